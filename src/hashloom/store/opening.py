"""Opening a database: SQLite in a folder or PostgreSQL by URL, brought to our schema under a lock."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from hashloom.store._base import take_turn
from hashloom.store.errors import NewerStore, StoreError, told

if TYPE_CHECKING:
    from alembic.script import ScriptDirectory

FILE = "hashloom.sqlite"
VERSIONS = "hashloom_version"
MIGRATIONS = Path(__file__).parent / "migrations"
LONGEST = 300_000
"""A statement on PostgreSQL ends after so many milliseconds, unless the URL's ``options`` say otherwise."""


def sqlite_engine(path: Path, patience: float) -> sa.Engine:
    """SQLite with a write-ahead log: many readers beside one writer; what is acknowledged is on the disk."""
    engine = sa.create_engine(
        sa.URL.create("sqlite+pysqlite", database=str(path)),
        connect_args={"timeout": patience, "check_same_thread": False},
        poolclass=sa.QueuePool,
        max_overflow=40,
        pool_timeout=patience,
        hide_parameters=True,
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        # The driver leaves transactions to us, so that schema changes are part of them.
        connection.isolation_level = None
        _use_log(connection, patience)
        # FULL: a commit survives a power cut too. Deleted rows are overwritten with zeros.
        for setting in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "journal_size_limit=67108864"):
            connection.execute(f"PRAGMA {setting}")

    @sa.event.listens_for(engine, "begin")
    def _begun(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _use_log(connection: Any, patience: float) -> None:
    # Two that open a new file at once: SQLite says busy to the second without waiting.
    end = time.monotonic() + patience
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.01)


def postgresql_engine(url: sa.URL, patience: float) -> sa.Engine:
    """PostgreSQL through psycopg 3."""
    own = f"-c lock_timeout={int(patience * 1000)} -c client_encoding=UTF8 -c timezone=UTC"
    options = " ".join(filter(None, [f"-c statement_timeout={LONGEST}", str(url.query.get("options", "")), own]))
    # A server whose machine has gone says nothing: the connection to it ends by itself.
    dead = {"tcp_user_timeout": int(max(patience, 1) * 1000), "keepalives_idle": 15, "keepalives_interval": 5}
    ours = {name: value for name, value in dead.items() if name not in url.query}
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        connect_args=ours | {"options": options, "connect_timeout": max(2, int(min(patience, 10)))},
        pool_pre_ping=True,
        max_overflow=40,
        pool_timeout=patience,
        hide_parameters=True,
    )


def prepare(engine: sa.Engine, where: str, migrate: bool) -> None:
    """Bring the schema to ours, all in one transaction, one process at a time; a newer one is refused."""
    with told(where), engine.connect() as connection:
        if version(connection) == HEAD:
            return
    with told(where), engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")  # a change of the schema takes what it takes
            take_turn(connection)
            _must_hold_all_letters(connection, where)
        _to_head(connection, where, migrate)


def _must_hold_all_letters(connection: sa.Connection, where: str) -> None:
    encoding = connection.exec_driver_sql("SHOW server_encoding").scalar()
    if encoding != "UTF8":
        raise StoreError(f"{where}: the database is encoded as {encoding}; create it with ENCODING 'UTF8'")


def _to_head(connection: sa.Connection, where: str, migrate: bool) -> None:
    at = version(connection)
    if at == HEAD:
        return
    scripts = _scripts()
    if at is not None and at not in {script.revision for script in scripts.walk_revisions()}:
        raise NewerStore(f"{where}: its schema is {at}, this Hashloom knows {HEAD}; use a Hashloom as new as the store")
    if not migrate:
        raise StoreError(f"{where}: its schema is {at or 'not made yet'}, not {HEAD}; open it with migrate=True")
    upgrade(connection, scripts)


def version(connection: sa.Connection) -> str | None:
    """The schema's version; None where there is none of ours."""
    if not sa.inspect(connection).has_table(VERSIONS):
        return None
    return connection.exec_driver_sql(f"SELECT version_num FROM {VERSIONS}").scalar()


HEAD = "0003"
"""The version that this Hashloom writes; a test holds it to the last of ``migrations/``."""


def _scripts() -> ScriptDirectory:
    from alembic.script import ScriptDirectory

    return ScriptDirectory(MIGRATIONS)


def upgrade(connection: sa.Connection, scripts: ScriptDirectory | None = None, to: str = "head") -> None:
    """Run the migrations that are missing, within the connection's transaction."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext

    scripts = scripts or _scripts()

    def steps(revision: Any, _: Any) -> Any:
        return scripts._upgrade_revs(to, revision)

    with EnvironmentContext(Config(), scripts, fn=steps, destination_rev=to) as environment:
        environment.configure(connection=connection, version_table=VERSIONS, transactional_ddl=True)
        environment.run_migrations()
