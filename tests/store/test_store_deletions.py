"""What is deleted is gone everywhere, stays out, and is told to running services; pictures go with their posts."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from world import START

from hashloom.store import Feedback, Store, StoreError
from hashloom.types import Post, Posts


def posted(id: str, user: str | None = "mo", community: str = "bakers", **more: object) -> Post:
    return Post(id, f"text of {id}", community, user, START, tags=("Rye",), **more)  # type: ignore[arg-type]


def put(store: Store, *rows: Post) -> list[str]:
    return [reason.split(";")[0] for _, reason in store.put_posts(Posts.of(rows)).refused]


def test_a_deleted_post_stays_out(store: Store) -> None:
    put(store, posted("p1"), posted("p2"), posted("p1", community="sailors"))
    assert store.delete_posts("bakers", ["p1", "p1", "never there"]) == 1
    assert put(store, posted("p1"), posted("never there"), posted("p1", community="sailors")) == ["deleted"] * 2
    assert store.get_posts("bakers", ["p1", "p2"]).ids == ["p2"]
    assert store.get_posts("sailors", ["p1"]).ids == ["p1"]
    assert store.delete_posts("bakers", ["p1"]) == 0


@pytest.mark.parametrize("name", ["%", "_", "p%", "p_", "' OR 1=1 --", "p1' --", "*", "p\\"])
def test_wildcards_delete_only_what_is_called_so(store: Store, name: str) -> None:
    put(store, posted("p1"), posted("p2"), posted(name, user=name))
    assert store.delete_posts("bakers", [name]) == 1
    assert store.delete_author(name).where["posts"] == 0
    assert store.count() == 2


def test_an_author_is_deleted_everywhere_and_stays_out(store: Store) -> None:
    put(store, posted("1"), posted("2", community="sailors"), posted("3", "Mo"), posted("4", None))
    store.put_feedback([
        Feedback("a", "bakers", "1", "rye", "accepted", "flo"), Feedback("b", "bakers", "3", "rye", "rejected", "mo"),
        Feedback("c", "bakers", "3", "oat", "rejected", "flo"),
    ])  # fmt: skip
    report = store.delete_author("mo")
    assert report.where == {"posts": 2, "feedback": 2, "changes": 3, "pictures": 0}
    assert report.left == {"posts": 0, "feedback": 0}
    assert [event.token for event in store.feedback()] == ["c"]
    assert put(store, posted("1", "mo"), posted("1", None), posted("5"), posted("6", "Mo")) == ["deleted"] * 3
    assert sorted(p.id for posts in store.posts() for p in posts) == ["3", "4", "6"]
    assert store.export_author("mo") == {"user": "mo", "posts": [], "feedback": [], "pictures": []}


def test_an_author_is_deleted_in_one_community(store: Store) -> None:
    put(store, posted("1"), posted("2", community="sailors"))
    assert store.delete_author("mo", community="bakers").where["posts"] == 1
    assert put(store, posted("3"), posted("3", community="sailors")) == ["deleted"]
    assert store.count("sailors") == 2


def test_a_readmitted_author_may_write_again_but_the_old_stays_out(store: Store) -> None:
    put(store, posted("1"))
    store.delete_author("mo")
    assert store.readmit_author("mo")
    assert not store.readmit_author("mo")
    assert put(store, posted("1"), posted("2")) == ["deleted"]


def test_services_are_told_without_the_name(store: Store) -> None:
    put(store, posted("1"), posted("2", "flo"))
    store.delete_author("mo")
    store.delete_posts("bakers", ["2", "3"])
    told = [(change.kind, change.community, change.ref) for change in store.changes()]
    assert told == [
        ("post_deleted", "bakers", "1"),
        ("author_deleted", "", store.mark("mo")),
        ("post_deleted", "bakers", "2"),
        ("post_deleted", "bakers", "3"),
    ]
    assert store.mark("mo") != store.mark("Mo") != store.mark("mo", "bakers")
    assert "mo" not in json.dumps(told).replace(store.mark("mo"), "")


def test_nothing_of_a_deleted_author_is_left_in_the_files(tmp_path: Path) -> None:
    needle = "unmistakable-loaf"
    with Store.open(tmp_path) as store:
        long = needle * 5_000  # more than a page, so kept on pages of its own
        store.put_posts(Posts.of([Post(f"{needle}-{i}", long, "c", f"author-{needle}") for i in range(20)]))
        store.put_feedback([Feedback("t", "c", "p", needle, "typed", f"author-{needle}")])
        assert any(needle.encode() in path.read_bytes() for path in tmp_path.glob("hashloom.sqlite*"))
        assert store.delete_author(f"author-{needle}").erased
        store.trim_changes(START.replace(year=9000))
        assert store.erase()
        assert not [path for path in tmp_path.glob("hashloom.sqlite*") if needle.encode() in path.read_bytes()]


def test_what_a_reader_holds_is_not_said_to_be_erased(tmp_path: Path) -> None:
    with Store.open(tmp_path, patience=0.1) as store, Store.open(tmp_path) as other:
        put(store, posted("1"))
        with other._reading() as at:
            at.exec_driver_sql("SELECT count(*) FROM hashloom_posts").scalar()
            assert not store.delete_author("mo").erased
        assert store.erase()


# ---------------------------------------------------------------- pictures


def test_pictures_are_kept_once_by_their_content(store: Store) -> None:
    name = store.put_picture(b"\0\xffpicture", "image/png", "c")
    by_hand = hashlib.sha256(b"c\0\0\xffpicture").hexdigest()
    assert name == store.put_picture(b"\0\xffpicture", "image/png", "c") == by_hand
    assert store.get_picture(name, "c") == b"\0\xffpicture"
    assert store.get_picture("0" * 64, "c") is store.get_picture("\0", "c") is None
    for wrong in (b"", b"x" * (32 * 2**20 + 1)):
        with pytest.raises(StoreError, match="bytes"):
            store.put_picture(wrong, "image/png", "c")


def test_pictures_go_with_the_last_post_that_shows_them(store: Store) -> None:
    one, two, three = (store.put_picture(bytes([i]), "image/png", "bakers") for i in range(3))
    put(
        store,
        posted("1", images=(one, two, "loaf.png")),
        posted("2", "flo", images=(two,)),
        posted("3", images=(three,)),
    )
    put(store, posted("3"))  # edited: it shows none any more
    assert store.get_picture(three, "bakers") is None
    assert store.delete_author("mo").where["pictures"] == 1
    assert (store.get_picture(one, "bakers"), store.get_picture(two, "bakers")) == (None, b"\1")
    store.delete_posts("bakers", ["2"])
    assert store.get_picture(two, "bakers") is None


def test_pictures_of_drafts_are_dropped_when_they_are_old(store: Store) -> None:
    draft, shown = (store.put_picture(content, "image/png", "bakers") for content in (b"draft", b"shown"))
    put(store, posted("1", images=(shown,)))
    assert store.drop_orphans() == 0
    assert store.drop_orphans(older_than=timedelta(0)) == 1
    assert (store.get_picture(draft, "bakers"), store.get_picture(shown, "bakers")) == (None, b"shown")


def test_everything_held_of_an_author_is_exported(store: Store) -> None:
    picture = store.put_picture(b"loaf", "image/png", "bakers")
    put(store, posted("1", images=(picture,)), posted("2", community="sailors"), posted("3", "flo"))
    store.put_feedback([Feedback("t", "bakers", "9", "Rye", "rejected", "mo", at=START)])
    held = json.loads(json.dumps(store.export_author("mo")))
    assert [(post["community"], post["id"], post["tags"]) for post in held["posts"]] == [
        ("bakers", "1", ["Rye"]), ("sailors", "2", ["Rye"])]  # fmt: skip
    assert held["posts"][0]["created_at"] == START.isoformat()
    assert [(event["tag"], event["event"], event["at"]) for event in held["feedback"]] == [
        ("rye", "rejected", START.isoformat())]  # fmt: skip
    assert base64.b64decode(held["pictures"][0]["content"]) == b"loaf"
    assert store.export_author("Mo")["posts"] == []


def test_deletions_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, *(posted(str(i)) for i in range(20)))
    monkeypatch.setattr("hashloom.store._base.portions.__defaults__", (3,))
    assert store.delete_posts("bakers", map(str, range(5))) == 5
    assert store.delete_author("mo").where["posts"] == 15


def test_a_put_that_races_a_deletion_does_not_bring_the_author_back(
    opened: Callable[..., Store], meanwhile: Any
) -> None:
    one, other = opened(), opened()
    with meanwhile(lambda i: put(other, posted(str(i)))):
        one.delete_author("mo")
        assert one.count() == 0
    assert one.count() == 0
