"""A community that is deleted is gone from every table at once or step by step, stays out, and keeps nobody waiting."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from world import START

from hashloom.store import Deleted, Feedback, Store, StoreError
from hashloom.store import communities as module
from hashloom.tag_space import TagSpace
from hashloom.types import Post, Posts

CUT = """
import os, signal, sys
from hashloom.store import Store
from hashloom.store import communities
communities.FIRST = communities.MOST = 5
communities.AIM = 1e9
store = Store.open(sys.argv[1], folder=sys.argv[2])
inner, left = store._empty, int(sys.argv[3])
def empty(*given):
    global left
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return inner(*given)
store._empty = empty
store.delete_community("bakers")
"""


def posts_of(community: str, count: int, **more: object) -> Posts:
    rows = [
        Post(f"p{i}", f"loaf of {community}", community, f"u{i % 3}", START + timedelta(hours=i), tags=("Rye",), **more)  # type: ignore[arg-type]
        for i in range(count)
    ]
    return Posts.of(rows)


@pytest.fixture
def filled(store: Store) -> Store:
    """Two communities and the one without a name, each with something of everything."""
    for community in ("bakers", "sailors", ""):
        shown, _ = (store.put_picture(content, "image/png", community) for content in (b"shown", b"sent"))
        store.put_posts(posts_of(community, 30, images=(shown,)))
        store.put_feedback([
            Feedback("a", community, "p1", "rye", "accepted", "u1"),
            Feedback("b", community, "draft", "oat", "rejected"),
        ])  # fmt: skip
        store.put_space(TagSpace.of(["Rye"], community, denied=["spam"]), by="mo")
        store.new_key("reader", community, note=f"of {community}")
    store.new_key("admin")
    store.delete_posts("bakers", ["p29"])
    store.delete_author("u9", community="bakers")
    return store


def open_keys(store: Store) -> set[str | None]:
    """The communities of the keys that were not revoked."""
    kept = store.keys()
    return {key.community for key in kept if key.revoked_at is None}


def rows(store: Store) -> dict[str, list[str]]:
    """Every row of every table, as text."""
    from hashloom.store.tables import METADATA

    with store._reading() as at:
        return {
            name: [repr(tuple(row)) for row in at.execute(sa.select(table))] for name, table in METADATA.tables.items()
        }


def where_is(store: Store, word: str) -> set[str]:
    return {name.removeprefix("hashloom_") for name, held in rows(store).items() if any(word in row for row in held)}


def test_a_community_is_gone_from_every_table(filled: Store) -> None:
    assert where_is(filled, "bakers") >= {"posts", "feedback", "spaces", "changes", "keys"}
    others = {name: [r for r in held if "sailors" in r] for name, held in rows(filled).items()}
    report = filled.delete_community("bakers")
    assert {name: report.where[name] for name in ("posts", "feedback", "pictures", "spaces", "keys")} == {
        "posts": 29, "feedback": 2, "pictures": 2, "spaces": 1, "keys": 1,
    }  # fmt: skip
    assert set(report.left.values()) == {0}
    assert where_is(filled, "bakers") == {"keys"}
    assert {name: [r for r in held if "sailors" in r] for name, held in rows(filled).items()} == others
    assert filled.communities() == {"": 30, "sailors": 30}
    assert (len(filled.keys()), open_keys(filled)) == (4, {"", "sailors", None})
    assert filled.get_space("bakers") is None
    assert not filled.space_log("bakers")
    assert not filled.leaving()


def test_the_community_without_a_name_is_one_like_any_other(filled: Store) -> None:
    filled.delete_author("u8")  # everywhere: its entry in the log of changes has no community
    assert filled.delete_community("").where["posts"] == 30
    assert filled.communities() == {"bakers": 29, "sailors": 30}
    assert filled.mark("u8") in [change.ref for change in filled.changes()]
    assert len(filled.spaces()) == 2


def test_names_that_look_alike_are_other_communities(store: Store) -> None:
    for community in ("bakers", "Bakers", "bakers ", "bakers%", "b_kers"):
        store.put_posts(posts_of(community, 2))
    for wild in ("%", "b_kers", "bakers%"):
        store.delete_community(wild)
    assert store.communities() == {"Bakers": 2, "bakers": 2, "bakers ": 2}


def test_nothing_of_it_is_taken_in_again(filled: Store, tmp_path: Path) -> None:
    filled.backup(tmp_path / "before.zip")
    filled.delete_community("bakers")

    def stays_out() -> None:
        put = filled.put_posts(Posts.of([Post("p1", "x", "bakers", "u1"), Post("new", "x", "bakers")]))
        assert [reason.split(";")[0] for _, reason in put.refused] == ["deleted", "deleted"]
        assert filled.put_feedback([Feedback("n", "bakers", "p", "rye", "typed")]).refused
        with pytest.raises(Deleted, match="readmit"):
            filled.put_space(TagSpace.of(["Rye"], "bakers"), by="mo")
        with pytest.raises(Deleted, match="was deleted"):
            filled.put_picture(b"again", "image/png", "bakers")
        assert filled.deleted(Posts.of([Post("new", "x", "bakers"), Post("new", "x", "sailors")])) == [True, False]
        assert filled.deleted_communities(["bakers", "sailors"]) == {"bakers"}

    stays_out()
    done = filled.restore(tmp_path / "before.zip")
    assert (done.kept_out["posts"], done.kept_out["spaces"], done.kept_out["feedback"]) == (29, 1, 2)
    assert filled.communities() == {"": 30, "sailors": 30}
    assert open_keys(filled) == {"", "sailors", None}
    assert "bakers" not in filled.spaces()
    stays_out()


def test_a_backup_into_a_store_that_knows_the_deletion_ends_keys_too(
    filled: Store, elsewhere: Callable[[str], Store], tmp_path: Path
) -> None:
    filled.backup(tmp_path / "before.zip")
    other = elsewhere("sqlite")
    other.delete_community("bakers")
    assert other.restore(tmp_path / "before.zip").kept_out["keys"] == 1
    assert "bakers" not in open_keys(other)


def test_a_readmitted_community_begins_anew(filled: Store) -> None:
    secret = filled.new_key("writer", "bakers")[1]
    filled.delete_community("bakers")
    assert filled.readmit_community("bakers")
    assert not filled.readmit_community("bakers")
    put = filled.put_posts(Posts.of([Post("p1", "x", "bakers", "u1"), Post("new", "x", "bakers", "u1")]))
    assert (put.new, [id for id, _ in put.refused]) == (1, ["p1"])
    assert filled.get_space("bakers") is None
    assert filled.find_key(secret) is None
    assert filled.communities()["bakers"] == 1


def test_services_are_told_first_and_without_the_name(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    last, told = filled.last_change(), []

    def seen(*_: object) -> dict[str, int]:
        told.append([(change.kind, change.community, change.ref) for change in filled.changes(last)])
        return {}

    monkeypatch.setattr(filled, "_empty", seen)
    filled.delete_community("bakers")
    mark = filled.community_mark("bakers")
    assert told == [[("community_deleted", "", mark)]]
    assert mark not in (filled.community_mark("Bakers"), filled.mark("bakers"))
    assert "bakers" not in json.dumps([(c.community, c.ref) for c in filled.changes()])


# ---------------------------------------------------------------- in parts


def test_others_write_between_the_parts(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction removes more than so many rows, and a writer gets its turn between any two."""
    monkeypatch.setattr(module, "AIM", 1e9)  # a slow machine would take smaller parts
    monkeypatch.setattr(module, "FIRST", 4)
    monkeypatch.setattr(module, "MOST", 4)
    sizes: list[int] = []
    inner, writing = filled._empty, filled._writing

    def empty(to: sa.Connection, place: bytes, size: int) -> dict[str, int]:
        gone = inner(to, place, size)
        sizes.append(gone.get("posts", gone.get("feedback", 0)))
        return gone

    @contextmanager
    def counted() -> Iterator[sa.Connection]:
        with writing() as to:
            yield to
        if 0 < len(sizes) < 6:  # after a part is done: another's write goes through before the next
            monkeypatch.setattr(filled, "_writing", writing)
            assert filled.put_posts(Posts.of([Post(f"between{len(sizes)}", "x", "sailors")])).new == 1
            monkeypatch.setattr(filled, "_writing", counted)

    monkeypatch.setattr(filled, "_empty", empty)
    monkeypatch.setattr(filled, "_writing", counted)
    report = filled.delete_community("bakers")
    assert sizes == [4, 4, 4, 4, 4, 4, 4, 1, 1, 0]
    assert report.where["posts"] == 29
    assert filled.count("sailors") == 35


def test_slow_parts_make_the_next_ones_smaller(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, asked = [0.0], []
    monkeypatch.setattr("hashloom.store.communities.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("hashloom.store.communities.time.sleep", lambda _: None)

    def some(_: sa.Connection, size: int) -> dict[str, int]:
        asked.append(size)
        clock[0] += size / 128 if len(asked) < 5 else size / 2**20
        return {"posts": size} if len(asked) < 12 else {}

    store._in_parts(some)
    assert asked[:5] == [100, 6, 6, 6, 6]
    assert asked[5:] == [12, 24, 48, 96, 192, 384, 768]


def test_a_put_that_races_the_deletion_brings_nothing_back(opened: Callable[..., Store], meanwhile: Any) -> None:
    one, other = opened(), opened()
    one.put_posts(posts_of("bakers", 50))
    with meanwhile(lambda i: other.put_posts(Posts.of([Post(str(i), "x", "bakers", tags=("Rye",))]))):
        assert set(one.delete_community("bakers").left.values()) == {0}
    assert one.count("bakers") == 0


# ---------------------------------------------------------------- cut off


@pytest.mark.parametrize("parts", [0, 3])
def test_after_kill_9_the_same_call_ends_it(
    where: tuple[str, Path], opened: Callable[..., Store], filled: Store, parts: int
) -> None:
    command = [sys.executable, "-c", CUT, where[0], str(where[1]), str(parts)]
    ended = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    store = opened()
    # Each part is whole: what is gone has its tombstone, what is left waits for the second call, and nothing is added.
    assert store.count("bakers") == 29 - 5 * parts
    assert store.leaving() == {"bakers"}
    assert store.put_posts(Posts.of([Post("new", "x", "bakers")])).refused
    with pytest.raises(StoreError, match="cut off"):
        store.readmit_community("bakers")
    report = store.delete_community("bakers")
    assert report.where["posts"] == 29 - 5 * parts
    assert set(report.left.values()) == {0}
    assert where_is(store, "bakers") == {"keys"}
    assert not store.leaving()
    assert store.readmit_community("bakers")
    assert len(store.put_posts(posts_of("bakers", 30)).refused) == 30


def test_nothing_of_it_is_left_in_the_files(tmp_path: Path) -> None:
    needle = "unmistakable-loaf"
    with Store.open(tmp_path) as store:
        store.put_posts(Posts.of([Post(f"{needle}-{i}", needle * 5_000, needle, f"u-{needle}") for i in range(20)]))
        store.put_feedback([Feedback("t", needle, "p", needle, "typed", f"u-{needle}")])
        store.put_space(TagSpace.of([needle], needle), by=needle)
        assert any(needle.encode() in path.read_bytes() for path in tmp_path.glob("hashloom.sqlite*"))
        assert store.delete_community(needle).erased
        assert not [path for path in tmp_path.glob("hashloom.sqlite*") if needle.encode() in path.read_bytes()]
