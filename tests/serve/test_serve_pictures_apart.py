"""Pictures stay within their community on every road; posts and feedback are changed and found as they are kept."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asking import asked, bearer

from hashloom import keeping
from hashloom.serve import upkeep
from hashloom.serve.bulk import Bulk, Wanted
from hashloom.serve.engine import Engine
from hashloom.serve.pictures import Spool
from hashloom.store import Store
from hashloom.store.errors import TrimmedChanges
from hashloom.tag_space import TagSpace
from hashloom.types import Post, Posts

POPULAR: dict[str, Any] = {"name": "popular", "model": {"model": "popular"}}


def png() -> bytes:
    from PIL import Image

    made = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 10, 10)).save(made, "PNG")
    return made.getvalue()


@pytest.fixture
def two(engine: Engine, store: Store) -> Iterator[tuple[Any, dict[str, dict[str, str]], str]]:
    """A client, keys by role and community, and the name of a picture of ``odd`` that a post of ``even`` names too."""
    keys = {f"{role} {place}": bearer(store.new_key(role, place)[1])
            for role in ("writer", "admin", "operator") for place in ("even", "odd")}  # fmt: skip
    with asked(engine, near=False) as client:
        sent = client.post("/v1/pictures/odd", files={"picture": ("p", png())}, headers=keys["writer odd"]).json()
        name = sent["sha256"]
        for place, user in (("odd", "bo"), ("even", "eve")):
            body = {"text": "look", "user": user, "images": [name]}
            put = client.put(f"/v1/posts/{place}/shown", json=body, headers=keys[f"writer {place}"])
            assert put.status_code == 200
        yield client, keys, name


def test_the_same_picture_in_two_communities_is_two(two: Any, store: Store) -> None:
    client, keys, name = two
    sent = client.post("/v1/pictures/even", files={"picture": ("p", png())}, headers=keys["writer even"]).json()
    assert sent["sha256"] != name
    assert (store.get_picture(name, "odd"), store.get_picture(sent["sha256"], "even")) == (png(), png())


def test_an_export_holds_no_picture_of_another_community(two: Any) -> None:
    client, keys, name = two
    held = client.get("/v1/authors/eve", headers=keys["admin even"]).json()
    assert [post["images"] for post in held["posts"]] == [[name]]
    assert held["pictures"] == []
    held = client.get("/v1/authors/bo", headers=keys["admin odd"]).json()
    assert [base64.b64decode(one["content"]) for one in held["pictures"]] == [png()]
    assert client.get("/v1/authors/bo", headers=keys["admin even"]).json()["posts"] == []


def test_models_are_shown_no_picture_of_another_community(two: Any, engine: Engine, store: Store) -> None:
    _, _, name = two
    theirs, mine = store.get_posts("odd", ["shown"]), store.get_posts("even", ["shown"])
    engine.current.sees = True
    seen = engine.shelf._seen(engine.current, Posts.concat([mine, theirs, mine]))
    assert [[Path(file).read_bytes() for file in post.images] for post in seen] == [[], [png()], []]
    assert (engine.spool.folder / name).exists()
    assert not any(engine.spool.shown(mine, store.get_picture, True)[0].images)
    work = Bulk(engine, Wanted("even", k=1))
    with work._pictured([mine[0], theirs[0]]) as files:
        assert [len(shown) for shown in files] == [0, 1]


def test_a_trained_model_is_shown_no_picture_of_another_community(
    two: Any, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "sees_pictures", lambda model: True)
    with upkeep._spooled(store, POPULAR) as posts:
        shown = {post.community: len(post.images) for post in posts if post.user in ("bo", "eve")}
    assert shown == {"odd": 1, "even": 0}


def test_a_deletion_takes_the_bytes_though_another_community_names_them(two: Any, engine: Engine, store: Store) -> None:
    client, keys, name = two
    engine.spool.shown(store.get_posts("odd", ["shown"]), store.get_picture, True)
    assert (engine.spool.folder / name).exists()
    gone = client.delete("/v1/authors/bo", headers=keys["admin odd"]).json()
    assert (gone["where"]["pictures"], gone["erased"]) == (1, True)
    assert not store.holds_picture(name)
    assert not (engine.spool.folder / name).exists()
    held = b"".join(path.read_bytes() for path in store.folder.glob("hashloom.sqlite*"))
    assert png()[60:] not in held


def test_a_spool_forgets_whose_a_file_was(store: Store) -> None:
    name = store.put_picture(b"loaf", "image/png", "c")
    posts, spool = Posts.of([Post("p", "", "c", images=(name,))]), Spool()
    try:
        assert spool.shown(posts, store.get_picture, True)[0].images
        assert spool.forget(lambda _: False) == 1
        assert not spool.shown(posts, lambda _, __: None, True)[0].images
    finally:
        spool.close()


# ---------------------------------------------------------------- posts


def test_a_change_of_other_parts_reviews_nothing(engine: Engine, store: Store) -> None:
    with asked(engine) as client:
        client.put("/v1/posts/even/b1", json={"text": "bulk", "tags": ["AutoTag"], "reviewed": False})
        assert client.patch("/v1/posts/even/b1", json={"likes": 3}).json()["status"] == "changed"
        assert store.unreviewed([("even", "b1")])
        client.patch("/v1/posts/even/b1", json={"tags": ["Rye"]})
        assert not store.unreviewed([("even", "b1")])
        client.patch("/v1/posts/even/b1", json={"reviewed": False, "likes": 4})
        assert store.unreviewed([("even", "b1")])
        assert client.patch("/v1/posts/even/b1", json={"reviewed": True}).json()["status"] == "changed"
        assert not store.unreviewed([("even", "b1")])
        assert client.patch("/v1/posts/even/none", json={"likes": 3}).status_code == 404
        store.delete_author("mo")
        assert client.patch("/v1/posts/even/b1", json={"user": "mo"}).status_code == 410


def test_two_changes_at_once_are_both_kept(engine: Engine, store: Store) -> None:
    with asked(engine) as client:
        for number in range(8):
            address, both = f"/v1/posts/even/l{number}", threading.Barrier(2)
            client.put(address, json={"text": "t", "user": "x"})

            def change(body: dict[str, Any], address: str = address, both: threading.Barrier = both) -> None:
                both.wait()
                client.patch(address, json=body)

            threads = [threading.Thread(target=change, args=(body,)) for body in ({"likes": 5}, {"tags": ["Rye"]})]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            made = store.get_posts("even", [f"l{number}"])[0]
            assert (made.likes, made.tags) == (5.0, ("Rye",))


def test_of_many_posts_the_last_of_an_id_wins(engine: Engine, store: Store) -> None:
    rows = [{"id": "z", "text": "first", "tags": ["A1"], "reviewed": False, "community": "even"},
            {"id": "gone", "text": "deleted", "community": "even"},
            {"id": "z", "text": "second", "tags": ["B2"], "community": "even"},
            {"id": "y", "text": "other", "reviewed": False, "community": "even"}]  # fmt: skip
    store.delete_posts("even", ["gone"])
    with asked(engine) as client:
        said = client.post("/v1/posts", json={"posts": rows}).json()
        assert (said["new"], said["changed"], [one["at"] for one in said["refused"]]) == (2, 1, [1])
    assert store.get_posts("even", ["z"])[0].text == "second"
    assert store.unreviewed([("even", "z"), ("even", "y")]) == {("even", "y")}


def test_feedback_and_drafts_are_found_under_an_authors_name_as_posts_are(engine: Engine, store: Store) -> None:
    event = {"token": "t", "community": "even", "post_id": "w", "tag": "Rye", "event": "rejected", "user": " mo "}
    with asked(engine) as client:
        events = [event, event | {"token": "s", "user": "  "}]
        assert client.post("/v1/feedback", json={"events": events}).json()["new"] == 2
        client.post("/v1/suggest", json={"text": "rye flour", "community": "even", "user": " mo "})
        assert [one.user for one in store.feedback()] == ["mo", None]
        assert any(draft.user == "mo" for draft in engine.recent)
        assert client.delete("/v1/authors/%20mo%20").json()["where"]["feedback"] == 1
        assert [one.user for one in store.feedback()] == [None]
        assert not any(draft.user and "mo" in draft.user for draft in engine.recent)


def test_a_tag_spaces_log_comes_in_pages(two: Any, store: Store) -> None:
    client, keys, _ = two
    for number in range(60):
        store.put_space(TagSpace.of([f"tag{number}"], "even"), by="mo")

    def versions(**query: int) -> list[int]:
        got = client.get("/v1/spaces/even/log", params=query, headers=keys["operator even"])
        return [one["version"] for one in got.json()["changes"]]

    assert versions() == list(range(11, 61))
    assert versions(last=3) == [58, 59, 60]
    assert versions(last=100, before=11) == list(range(1, 11))
    for wrong in ({"last": 0}, {"last": 101}, {"before": 0}):
        got = client.get("/v1/spaces/even/log", params=wrong, headers=keys["operator even"])
        assert got.status_code == 422


# ---------------------------------------------------------------- upkeep


def test_a_training_that_is_refused_has_cleaned_all_the_same(
    store: Store, publish: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deletions reach kept models; pictures that no post shows and old changes go; whatever becomes of the training."""
    published = publish("popular")
    user = str(next(store.posts()).users[0])
    store.delete_author(user)
    name = store.put_picture(png(), "image/png", "even")
    later = datetime.now(UTC) + timedelta(days=31)
    monkeypatch.setattr("hashloom.store.pictures.now", lambda: int(later.timestamp() * 1e6))

    class Late(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return later

    monkeypatch.setattr(upkeep, "datetime", Late)

    def refused(*_: Any, **__: Any) -> None:
        raise upkeep.Worse("clearly worse")

    monkeypatch.setattr(upkeep, "_must_hold", refused)
    with pytest.raises(upkeep.Worse):
        upkeep.retrain(store, POPULAR, drop=None, say=lambda _: None)
    held = store.published("recommender")
    assert held.digest != published
    assert user not in json.dumps(keeping.load(held.folder).memory_.users)
    assert not store.holds_picture(name)
    with pytest.raises(TrimmedChanges):
        store.changes(0)
    assert store.changes(store.last_change()) == []
