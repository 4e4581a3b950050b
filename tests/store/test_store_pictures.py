"""The store between communities and beside readers: whose a picture is, changes at once, deletions meanwhile."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from hashloom.store import Feedback, Store, StoreError
from hashloom.store.errors import BusyStore
from hashloom.store.opening import LONGEST, postgresql_engine
from hashloom.store.pictures import named
from hashloom.store.posts import UNREVIEWED
from hashloom.tag_space import TagSpace
from hashloom.types import Post, Posts


def put(store: Store, *posts: Post, source: str = "api") -> None:
    assert not store.put_posts(Posts.of(posts), source=source).refused


# ---------------------------------------------------------------- pictures


def test_a_picture_is_its_communitys_alone(store: Store) -> None:
    name, other = (store.put_picture(b"loaf", "image/png", place) for place in ("bakers", "sailors"))
    assert name == hashlib.sha256(b"bakers\0loaf").hexdigest() == named(b"loaf", "bakers")
    assert name != other
    assert (store.get_picture(name, "bakers"), store.get_picture(other, "sailors")) == (b"loaf", b"loaf")
    assert store.get_picture(name, "sailors") is store.get_picture(other, "bakers") is None
    assert store.holds_picture(name)
    assert not store.holds_picture("0" * 64)


def test_who_names_a_picture_of_another_community_neither_gets_nor_keeps_it(store: Store) -> None:
    name = store.put_picture(b"secret", "image/png", "bakers")
    put(store, Post("b", "", "bakers", "bo", images=(name,)), Post("s", "", "sailors", "eve", images=(name,)))
    assert store.get_posts("sailors", ["s"])[0].images == (name,)  # as plain words
    assert store.export_author("eve")["pictures"] == []
    assert base64.b64decode(store.export_author("bo")["pictures"][0]["content"]) == b"secret"
    assert store.delete_posts("sailors", ["s"]) == 1
    assert store.get_picture(name, "bakers") == b"secret"
    put(store, Post("s2", "", "sailors", "eve", images=(name,)))
    assert store.delete_author("bo").where["pictures"] == 1
    assert not store.holds_picture(name)


def test_an_edit_keeps_the_pictures_that_a_post_goes_on_showing(store: Store) -> None:
    one, two = (store.put_picture(content, "image/png", "c") for content in (b"1", b"2"))
    put(store, Post("p", "", "c", "mo", images=(one,)))
    put(store, Post("p", "edited", "c", "mo", images=(one, two)))
    assert store.drop_orphans(older_than=timedelta(0)) == 0
    put(store, Post("p", "edited", "c", "mo", images=(two,)))
    assert (store.get_picture(one, "c"), store.get_picture(two, "c")) == (None, b"2")


# ---------------------------------------------------------------- authors


def test_an_author_is_exported_within_one_community(store: Store) -> None:
    names = {place: store.put_picture(place.encode(), "image/png", place) for place in ("bakers", "sailors")}
    put(store, *(Post(f"p-{place}", "", place, "mo", images=(name,)) for place, name in names.items()))
    store.put_feedback([Feedback(f"t{place}", place, "p", "Rye", "rejected", "mo") for place in names])
    held = store.export_author("mo", community="sailors")
    assert [post["id"] for post in held["posts"]] == ["p-sailors"]
    assert [one["community"] for one in held["feedback"]] == ["sailors"]
    assert [one["sha256"] for one in held["pictures"]] == [names["sailors"]]
    assert len(store.export_author("mo")["posts"]) == 2


def test_deleting_waits_for_no_reader(tmp_path: Path) -> None:
    """A backup may read for minutes: neither the deletion nor other writers wait for it, and all is erased later."""
    with Store.open(tmp_path, patience=20.0) as store, Store.open(tmp_path) as other:
        put(store, Post("p", "Zwieback-4711", "c", "mo"), Post("q", "", "c", "flo"))
        with other._reading() as at:
            at.exec_driver_sql("SELECT count(*) FROM hashloom_posts").scalar()
            begun = time.monotonic()
            assert not store.delete_author("mo").erased
            assert store.delete_posts("c", ["q"]) == 1
            put(store, Post("r", "", "c", "al"))
            assert time.monotonic() - begun < 18  # each waits for 20 s where it waits
        with store._reading() as at:
            assert at.exec_driver_sql("PRAGMA busy_timeout").scalar() == 20_000
        assert store.erase()


def test_a_deleted_post_is_in_no_file(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        put(store, Post("p", "Zwieback-4711", "c", "mo"))
        assert store.delete_posts("c", ["p"]) == 1
        held = b"".join(path.read_bytes() for path in tmp_path.glob("hashloom.sqlite*"))
    assert b"Zwieback-4711" not in held


# ---------------------------------------------------------------- changes


def test_no_change_of_a_post_is_lost(store: Store) -> None:
    for number in range(10):
        put(store, Post(id := f"p{number}", "rye", "c", "mo"))
        both = threading.Barrier(2)

        def change(to: Callable[[Post], Post], both: threading.Barrier = both, id: str = id) -> None:
            both.wait()
            store.change_post("c", id, to)

        changes: list[Callable[[Post], Post]] = [
            lambda post: replace(post, likes=5.0), lambda post: replace(post, tags=("Rye",))
        ]  # fmt: skip
        threads = [threading.Thread(target=change, args=(to,)) for to in changes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        made = store.get_posts("c", [id])[0]
        assert (made.likes, made.tags) == (5.0, ("Rye",))


def test_a_change_reviews_only_where_it_says_so(store: Store) -> None:
    put(store, Post("p", "rye", "c", tags=("Auto",)), source=UNREVIEWED)
    assert store.change_post("c", "p", lambda post: replace(post, likes=3.0)).changed == 1  # type: ignore[union-attr]
    assert store.unreviewed([("c", "p")])
    store.change_post("c", "p", lambda post: post, reviewed=True)
    assert not store.unreviewed([("c", "p")])
    store.change_post("c", "p", lambda post: replace(post, likes=4.0), reviewed=False)
    assert store.unreviewed([("c", "p")])
    assert store.change_post("c", "none", lambda post: post) is None
    with pytest.raises(StoreError, match="return the same post"):
        store.change_post("c", "p", lambda post: replace(post, id="q"))
    assert store.count() == 1


def test_posts_of_several_sources_are_put_in_their_order(store: Store) -> None:
    rows = [Post("z", "first", "c"), Post("y", "other", "c"), Post("z", "second", "c")]
    made = store.put_posts(Posts.of(rows), source=[UNREVIEWED, UNREVIEWED, "api"])
    assert (made.new, made.changed) == (2, 1)
    assert store.get_posts("c", ["z"])[0].text == "second"
    assert store.unreviewed([("c", "z"), ("c", "y")]) == {("c", "y")}


def test_a_log_is_read_in_pages(store: Store) -> None:
    for number in range(5):
        store.put_space(TagSpace.of([f"tag{number}"], "c"), by="mo")
    assert [one.version for one in store.space_log("c", last=2)] == [4, 5]
    assert [one.version for one in store.space_log("c", last=2, before=4)] == [2, 3]
    assert [one.version for one in store.space_log("c")] == [1, 2, 3, 4, 5]


# ---------------------------------------------------------------- PostgreSQL


def test_a_statement_on_postgresql_ends_some_day(request: pytest.FixtureRequest) -> None:
    url = sa.make_url(request.getfixturevalue("server")())
    with Store.open(url.render_as_string(hide_password=False)) as store, store._reading() as at:
        assert at.exec_driver_sql("SHOW statement_timeout").scalar() == f"{LONGEST // 60_000}min"
        raw = at.connection.dbapi_connection
        said = {one.split("=")[0]: one.split("=")[1] for one in raw.info.dsn.split() if "=" in one}  # type: ignore[union-attr]
        assert (said["tcp_user_timeout"], said["keepalives_idle"]) == ("30000", "15")
    own = str(url.query.get("options", ""))
    quick = url.update_query_dict({"options": f"{own} -c statement_timeout=1000".strip(), "tcp_user_timeout": "7000"})
    with Store.open(quick.render_as_string(hide_password=False)) as store:
        with pytest.raises(BusyStore, match="statement_timeout"), store._reading() as at:
            at.exec_driver_sql("SELECT pg_sleep(20)")
        assert store.count() == 0


def test_a_url_may_say_when_a_silent_server_is_given_up() -> None:
    url = sa.make_url("postgresql://nobody@127.0.0.1:1/none?tcp_user_timeout=7000")
    engine = postgresql_engine(url, 30)
    _, arguments = engine.dialect.create_connect_args(engine.url)
    assert arguments["tcp_user_timeout"] == "7000"
    engine.dispose()


def test_a_deletion_stands_where_the_disk_refuses_to_overwrite(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite fails the checkpoint here by an authorizer of ours, in the way (``OperationalError``) of a full disk."""
    import sqlite3

    with Store.open(tmp_path) as store:
        put(store, Post("p", "rye", "c", "mo"), Post("q", "rye", "c", "mo"))
        with store._reading() as at:
            at.connection.dbapi_connection.set_authorizer(  # type: ignore[union-attr]
                lambda *asked: sqlite3.SQLITE_OK if asked[1] != "wal_checkpoint" else 99
            )
        assert store.delete_posts("c", ["p"]) == 1
        with store._reading() as at:
            at.connection.dbapi_connection.set_authorizer(None)  # type: ignore[union-attr]
        assert store.get_posts("c", ["p"]).ids == []
    assert "could not be overwritten" in caplog.text
