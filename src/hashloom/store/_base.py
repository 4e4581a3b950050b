"""What all parts of the store share: one transaction to read in, one to write in, and the log of changes."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hashloom.store import tables
from hashloom.store.errors import BusyStore, StoreError, told
from hashloom.store.things import ChangeKind, now

LOCK = 0x6861_7368
"""The first half of our advisory locks on PostgreSQL; the second is the schema's."""
AT_ONCE = 5_000
"""So many values stand in one ``IN (…)`` at most."""

T = TypeVar("T")


class Base:
    """An open database. All writers take turns, also on PostgreSQL.

    So the numbers of the changes come in the order in which they can be seen, no reader passes one over, and nothing
    that is deleted can slip in again between a look at the tombstones and the writing of a row.
    """

    def __init__(self, engine: sa.Engine, where: str, folder: Path | None, patience: float) -> None:
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        self.where = where
        self.folder = folder
        self.patience = patience
        self._turn = threading.Lock()
        self._holder: int | None = None

    @property
    def is_sqlite(self) -> bool:
        """True on SQLite, False on PostgreSQL."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def _reading(self, whole: bool = False) -> Iterator[sa.Connection]:
        """A connection to read with; ``whole``: all that is read is of one moment."""
        with told(self.where), self._engine.connect() as connection:
            if whole and not self.is_sqlite:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """A connection whose work is done as a whole, durably, when the block ends, or not at all."""
        with self._my_turn(), told(self.where), self._writer.begin() as connection:
            if not self.is_sqlite:
                take_turn(connection)
            yield connection

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        me = threading.get_ident()
        if self._holder == me:
            raise StoreError(f"{self.where}: a change within a change; end the first before the second begins")
        if not self._turn.acquire(timeout=self.patience):
            raise BusyStore(f"{self.where}: another thread wrote for longer than {self.patience:g} s; repeat")
        self._holder = me
        try:
            yield
        finally:
            self._holder = None
            self._turn.release()

    def _insert(self, table: sa.Table) -> Any:
        """An INSERT that knows ``on_conflict_do_update`` and ``on_conflict_do_nothing``."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def _upsert(self, to: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], key: Sequence[str],
                keep: Iterable[str] = ()) -> None:  # fmt: skip
        """Insert rows; where the ``key`` is there, its other columns but ``keep`` are set anew."""
        if not rows:
            return
        insert = self._insert(table)
        update = {name: insert.excluded[name] for name in rows[0] if name not in {*key, *keep}}
        to.execute(insert.on_conflict_do_update(index_elements=list(key), set_=update), list(rows))

    def _log(self, to: sa.Connection, kind: ChangeKind, entries: Iterable[tuple[str, str, bytes | None]]) -> None:
        """Enter changes, each (community, ref, digest of the post or None)."""
        at = now()
        rows = [{"kind": kind, "community": c, "ref": ref, "about": about, "at": at} for c, ref, about in entries]
        if rows:
            to.execute(sa.insert(tables.changes), rows)


def take_turn(connection: sa.Connection) -> None:
    """On PostgreSQL: wait for all other writers of this schema; the turn ends with the transaction."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK}, hashtext(current_schema()))")


def portions(values: Iterable[T], size: int = AT_ONCE) -> Iterator[list[T]]:
    """The values in lists of at most ``size``.

    >>> list(portions("abc", 2))
    [['a', 'b'], ['c']]
    """
    held = list(values)
    return (held[i : i + size] for i in range(0, len(held), size))


def found(to: sa.Connection, wanted: sa.Select, column: sa.ColumnElement, values: Iterable[Any]) -> list[sa.Row]:
    """The rows of a select whose column is one of the values, however many these are."""
    return [row for some in portions(dict.fromkeys(values)) for row in to.execute(wanted.where(column.in_(some)))]
