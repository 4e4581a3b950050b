"""Posts that come twice, late, changed or again after their deletion, and ids that look alike (fault list, item 14)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import pytest
from asking import asked

from hashloom.serve.drafts import Draft
from hashloom.serve.engine import Engine
from hashloom.store import Store
from hashloom.types import Post, Posts

New = Callable[..., Engine]
GROATS = Draft("buckwheat groats", "even", k=50)


def crop(tag: str, *, text: str = "buckwheat groats") -> list[Post]:
    return [Post(f"b{i}", text, "even", f"n{i}", tags=(tag,)) for i in range(3)]


# ---- again, changed, late


@pytest.mark.parametrize("order", [*permutations(("Old", "Mid", "New"))])
def test_the_last_one_put_wins_whatever_its_time(engine: Engine, store: Store, order: tuple[str, ...]) -> None:
    for tag in order:
        year = {"Old": 2001, "Mid": 2010, "New": 2020}[tag]
        with asked(engine) as client:
            body = {"text": "buckwheat groats", "tags": [tag], "created_at": f"{year}-01-01T00:00:00Z"}
            for i in range(3):
                client.put(f"/v1/posts/even/b{i}", json={**body, "user": f"n{i}"})
    engine.sync()
    assert store.get_posts("even", ["b0"]).tags == [[order[-1]]]
    assert [tag for tag in engine.suggest(GROATS).tags if tag in order] == [order[-1]]


def test_the_last_of_several_in_one_request_wins(engine: Engine, store: Store) -> None:
    rows = [{"id": "b0", "community": "even", "text": f"take {i}", "tags": [f"T{i}"]} for i in range(5)]
    with asked(engine) as client:
        said = client.post("/v1/posts", json={"posts": rows}).json()
        assert (said["new"], said["changed"], said["same"], said["refused"]) == (1, 4, 0, [])
        assert client.get("/v1/posts/even/b0").json()["tags"] == ["T4"]
        again = client.post("/v1/posts", json={"posts": rows[-1:]}).json()
        assert (again["new"], again["changed"], again["same"]) == (0, 0, 1)
    assert store.count("even") == 25


def test_replayed_puts_edits_and_deletions_end_as_done_once(engine_of: New, store: Store) -> None:
    """The same stream of events, put once in order and put again in parts: the same store, the same answers."""
    once, chance = engine_of(), random.Random(14)
    stream: list[Posts | list[str]] = [Posts.of(crop("Draft")), Posts.of(crop("Groats")), ["b2"]]

    def play(events: list[Posts | list[str]]) -> None:
        for event in events:
            if isinstance(event, Posts):
                store.put_posts(event)
            else:
                store.delete_posts("even", event)

    play(stream)
    once.sync()
    before, tags = list(store.get_posts("even", ["b0", "b1", "b2"])), once.suggest(GROATS).tags
    assert [post.id for post in before] == ["b0", "b1"]
    for _ in range(20):
        start = chance.randrange(3)
        play(stream[start:])
        if chance.random() < 0.5:
            once.sync()
    play(stream[1:])
    once.sync()
    assert list(store.get_posts("even", ["b0", "b1", "b2"])) == before
    assert once.suggest(GROATS).tags == tags == engine_of().suggest(GROATS).tags


def test_an_id_stays_deleted_for_whoever_sends_it_again(engine: Engine, store: Store) -> None:
    with asked(engine) as client:
        for post in crop("Groats"):
            body = {"text": post.text, "user": post.user, "tags": list(post.tags)}
            assert client.put(f"/v1/posts/even/{post.id}", json=body).json()["status"] == "new"
        assert client.delete("/v1/posts/even/b0").json()["deleted"] == 1
        for user in ("n0", "somebody else", None):
            answer = client.put("/v1/posts/even/b0", json={"text": "again", "user": user, "tags": ["Again"]})
            assert (answer.status_code, answer.json()["type"]) == (410, "urn:hashloom:problem:gone")
        rows = [{"id": "b0", "community": "even", "text": "again"}, {"id": "b9", "community": "even", "text": "new"}]
        said = client.post("/v1/posts", json={"posts": rows}).json()
        assert (said["new"], [row["at"] for row in said["refused"]]) == (1, [0])
        assert client.delete("/v1/posts/even/b0").json()["deleted"] == 0
        assert client.put("/v1/posts/odd/b0", json={"text": "of another community"}).json()["status"] == "new"
    assert not len(store.get_posts("even", ["b0"]))


# ---- alike and not the same

ALIKE = {
    "case": ["Post", "post", "POST", "pOST"],
    "normal forms": ["caf\u00e9", "cafe\u0301"],
    "width": ["p1", "\uff501", "p\uff11"],
    "bytes in UTF-8": ["a", "\u00e9", "\u3042", "\U0001d54f", "\U0001d54f\u3042\u00e9a"],
    "invisible": ["p1", "p\u200b1", "p\u00ad1", "p1\ufe0f"],
    "look": ["pa", "p\u0430"],
    "numbers": ["1", "01", "1.0", "1e0", "+1", "\u0661", "4294967297", "18446744073709551617"],
    "Turkish": ["I", "i", "\u0130", "\u0131"],
    "wildcards": ["%", "_", "%%", "\\%", "a%", "a_"],
}


@pytest.mark.parametrize("kind", ALIKE)
def test_ids_that_only_look_alike_are_several_posts(engine: Engine, store: Store, kind: str) -> None:
    ids = ALIKE[kind]
    with asked(engine) as client:
        for at, id in enumerate(ids):
            row = {"id": id, "community": "even", "user": f"n{at}", "text": f"groats {at}", "tags": [f"G{at}"]}
            assert client.post("/v1/posts", json={"posts": [row]}).json()["new"] == 1
        engine.sync()
        assert store.get_posts("even", ids).texts == [f"groats {at}" for at in range(len(ids))]
        for gone, id in enumerate(ids):
            assert store.delete_posts("even", [id]) == 1
            engine.sync()
            assert store.get_posts("even", ids).ids == ids[gone + 1 :]
            assert set(engine.current.running.peek.memory_.ids) >= {f"4:even:{left}" for left in ids[gone + 1 :]}
            assert f"4:even:{id}" not in engine.current.running.peek.memory_.ids


@pytest.mark.parametrize("kind", ["case", "normal forms", "width", "invisible", "look"])
def test_authors_and_communities_that_only_look_alike_are_several(engine: Engine, store: Store, kind: str) -> None:
    names = ALIKE[kind]
    for at, name in enumerate(names):
        store.put_posts(Posts.of([Post("one", f"text {at}", name, name, tags=("Tag",))]))
    assert [store.history(name, name).texts for name in names] == [[f"text {at}"] for at in range(len(names))]
    store.delete_author(names[0])
    engine.sync()
    assert [store.count(name) for name in names] == [0] + [1] * (len(names) - 1)
    assert store.put_posts(Posts.of([Post("two", "x", names[1], names[1])])).new == 1


def test_spaces_around_an_id_and_what_no_store_can_hold_are_the_only_things_changed(engine: Engine) -> None:
    with asked(engine) as client:
        for sent, kept in ((" p1 ", "p1"), ("p\u0000x", "p\ufffdx")):
            row = {"id": sent, "community": "even", "text": "x"}
            assert client.post("/v1/posts", json={"posts": [row]}).json()["new"] == 1
            assert client.get(f"/v1/posts/even/{kept}").json()["id"] == kept
            assert client.post("/v1/posts", json={"posts": [row]}).json()["same"] == 1


def test_an_edit_that_changes_the_author_moves_the_post(engine: Engine, store: Store) -> None:
    store.put_posts(Posts.of(crop("Groats")))
    store.put_posts(Posts.of([replace(post, user="one") for post in crop("Groats")]))
    engine.sync()
    assert store.history("even", "n0").ids == []
    assert "Groats" not in engine.suggest(GROATS).tags  # of one author alone by now
    assert "Groats" in engine.suggest(replace(GROATS, user="one")).tags
