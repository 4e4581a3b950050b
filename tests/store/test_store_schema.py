"""Opening a store: made when empty, brought up to date as a whole, refused when newer, foreign, away or damaged."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from hashloom.store import DamagedStore, NewerStore, Store, StoreError, UnreachableStore, opening, tables
from hashloom.tag_space import TagSpace
from hashloom.types import UNDATED, Post, Posts

Where = tuple[str, Path]
OLD = {
    "key": tables.digest("post", "c", "p"), "place": tables.digest("place", "c"), "id": "p", "text": "of version 1",
    "community": "c", "created_at": UNDATED, "images": "[]", "tags": '["Rye"]', "source": "api",
    "content": b"x" * 16, "received_at": 1, "changed_at": 1,
}  # fmt: skip


def bare(where: Where) -> sa.Engine:
    """The database without a store's schema."""
    if "://" in where[0]:
        return opening.postgresql_engine(sa.make_url(where[0]), 10)
    where[1].mkdir(exist_ok=True)
    return opening.sqlite_engine(where[1] / opening.FILE, 10)


def version_1(where: Where) -> None:
    database = bare(where)
    with database.execution_options(writes=True).begin() as connection:
        opening.upgrade(connection, to="0001")
        connection.execute(sa.insert(tables.posts), OLD)
    database.dispose()


def tables_of(where: Where) -> set[str]:
    database = bare(where)
    with database.connect() as connection:
        names = set(sa.inspect(connection).get_table_names())
    database.dispose()
    return names


def test_migrations_make_what_the_tables_say(store: Store) -> None:
    with store._engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": opening.VERSIONS, "compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, tables.METADATA) == []
        assert opening.version(connection) == opening.HEAD


def test_head_is_the_last_migration() -> None:
    assert ScriptDirectory(opening.MIGRATIONS).get_current_head() == opening.HEAD


def test_an_empty_store_is_made_only_where_that_is_allowed(opened: Callable[..., Store]) -> None:
    with pytest.raises(StoreError, match="not made yet"):
        opened(migrate=False)
    opened().put_posts(Posts.of([Post("p")]))
    assert opened(migrate=False).count() == 1


def test_version_1_is_brought_up_to_date_with_its_rows(where: Where, opened: Callable[..., Store]) -> None:
    version_1(where)
    with pytest.raises(StoreError, match="is 0001, not"):
        opened(migrate=False)
    store = opened()
    assert store.history("c", "mo").ids == []
    assert list(store.get_posts("c", ["p"])) == [Post("p", "of version 1", "c", tags=("Rye",))]
    assert store.new_key("reader")
    assert store.put_posts(Posts.of([Post("p", "edited", "c")])).changed == 1


def test_a_tag_space_of_version_2_marks_nothing_as_sensitive(where: Where, opened: Callable[..., Store]) -> None:
    database, body = bare(where), '{"community": "c", "tags": {"rye": "Rye"}, "denied": ["spam"]}'
    row = {"place": tables.digest("place", "c"), "community": "c", "body": body, "version": 1, "changed_at": 1}
    with database.execution_options(writes=True).begin() as connection:
        opening.upgrade(connection, to="0002")
        connection.execute(sa.insert(tables.spaces), row)
    database.dispose()
    store = opened()
    assert store.get_space("c") == TagSpace("c", {"rye": "Rye"}, denied=["spam"])
    made = store.change_space("c", lambda space: replace(space, sensitive=("Rye",)), by="mo")
    assert store.get_space("c") == made
    assert store.space_log("c")[0].changed == {"sensitive": [[], ["Rye"]]}


def test_a_migration_that_fails_leaves_the_version_before(
    where: Where, opened: Callable[..., Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    version_1(where)
    before = tables_of(where)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(op, "create_index", fail)  # after some tables are made
        with pytest.raises(RuntimeError, match="power cut"):
            opened()
    assert tables_of(where) == before
    assert opened().get_posts("c", ["p"]).texts == ["of version 1"]


def test_a_newer_store_is_refused_and_left_alone(opened: Callable[..., Store]) -> None:
    store = opened()
    with store._writing() as to:
        to.exec_driver_sql(f"UPDATE {opening.VERSIONS} SET version_num = '9999'")
    with pytest.raises(NewerStore, match=r"schema is 9999.*use a Hashloom as new"):
        opened()
    with store._reading() as at:
        assert opening.version(at) == "9999"


def test_many_open_an_empty_store_at_once(opened: Callable[..., Store]) -> None:
    failed: list[BaseException] = []
    start = threading.Barrier(6)

    def go() -> None:
        try:
            start.wait()
            opened().put_posts(Posts.of([Post(str(threading.get_ident()))]))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    assert opened().count() == 6


def test_tables_of_others_in_the_same_database_stay(where: Where, opened: Callable[..., Store]) -> None:
    database = bare(where)
    with database.execution_options(writes=True).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE posts (id integer)")
    database.dispose()
    opened().put_posts(Posts.of([Post("p")]))
    assert "posts" in tables_of(where)


# ---------------------------------------------------------------- what cannot be opened


@pytest.mark.parametrize("url", ["mysql://u:secret@h/d", "sqlite:///x", "postgresql+", "://", "http://[::1/x"])
def test_other_kinds_of_stores_are_refused(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if "://" not in url:
        Store.open(url).close()
        assert (tmp_path / url / opening.FILE).is_file()  # a folder may be called so
        return
    with pytest.raises(StoreError, match="no kind of store") as caught:
        Store.open(url)
    assert "secret" not in str(caught.value)


def test_a_server_that_is_away_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(UnreachableStore, match="running") as caught:
        Store.open(f"postgresql://mo:hush@/nothing?host={tmp_path}", patience=1)
    assert "hush" not in str(caught.value)


def test_a_missing_database_is_named(server: Callable[[], str]) -> None:
    with pytest.raises(UnreachableStore, match="nowhere"):
        Store.open(server().replace("/postgres?", "/nowhere?"))


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnreachableStore, match="a file stands there"):
        Store.open(tmp_path / "file")
    with pytest.raises(UnreachableStore, match="a file stands there"):
        Store.open(tmp_path / "file" / "inside")


def test_another_folder_for_models_beside_a_store_in_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="leave folder= out"):
        Store.open(tmp_path / "a", folder=tmp_path / "b")


@pytest.mark.parametrize("content", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_foreign_or_damaged_file_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / opening.FILE).write_bytes(content)
    with pytest.raises(DamagedStore, match="restore a backup"):
        Store.open(tmp_path)
    assert (tmp_path / opening.FILE).read_bytes() == content


def test_damage_inside_is_said_and_what_is_read_is_never_made_up(tmp_path: Path) -> None:
    rows = [Post(f"p{i}", f"text {i} " * 50, "c", f"u{i}") for i in range(200)]
    with Store.open(tmp_path) as store:
        store.put_posts(Posts.of(rows))
        store.erase()
        store.check()
    path = tmp_path / opening.FILE
    whole = path.read_bytes()
    said = 0
    for start in range(4096, len(whole), 5 * 4096):
        path.write_bytes(whole[:start] + b"\xa5" * 4096 + whole[start + 4096 :])
        try:
            with Store.open(tmp_path) as store:
                store.check()
        except StoreError:
            said += 1
        else:
            raise AssertionError(f"the damage at {start} went unnoticed")
    assert said >= 10


def test_only_the_owner_may_read_the_files(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store") as store:
        store.put_posts(Posts.of([Post("p")]))
        assert (tmp_path / "store").stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / "store").glob("hashloom.sqlite*")} == {0o600}


def test_commits_reach_the_disk_and_rows_keep_their_links(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store, store._reading() as at:
        said = {n: at.exec_driver_sql(f"PRAGMA {n}").scalar() for n in ("journal_mode", "synchronous", "foreign_keys")}
        assert said == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    assert sqlite3.connect(tmp_path / opening.FILE).execute("PRAGMA integrity_check").fetchone() == ("ok",)
