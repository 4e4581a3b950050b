"""Communities that are hardly any: a model is trained on them or that is refused plainly, and all are answered (15)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import asked

from hashloom.serve import upkeep
from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import Store
from hashloom.tag_space import TagSpace
from hashloom.tags import key
from hashloom.types import Post, Posts

PATIENT = ServeSettings(budget=20.0, default_rate=1e6)
RECIPES: dict[str, dict[str, Any]] = {
    "popular": {"model": "popular"},
    "linear": {"model": "linear"},
    "nearest": {"model": "nearest"},
    "calibrated": {
        "model": "calibrated",
        "held": {"model": "rerank", "makers": [{"model": "linear"}, {"model": "popular"}]},
    },
}


def of(count: int, tags: Callable[[int], list[str]], users: int = 5, text: str = "rye loaf {}") -> list[Post]:
    return [Post(f"p{i}", text.format(i), "c", f"u{i % users}", tags=tuple(tags(i))) for i in range(count)]


def either(i: int) -> list[str]:
    return [("Rye", "Oat")[i % 2]]


WORLDS: dict[str, list[Post]] = {
    "one post": of(1, either),
    "one tag": of(30, lambda _: ["Rye"]),
    "one user": of(30, either, users=1),
    "every tag used once": of(30, lambda i: [f"T{i}"]),
    "no text": of(30, either, text=""),
    "the same text": of(30, either, text="rye"),
    "500 tags on a post": of(4, lambda _: [f"T{i}" for i in range(500)]),
    "one tagged post among many": of(40, lambda i: ["Rye"] if i == 7 else []),
    "nobody is named": [Post(f"p{i}", f"rye {i}", "c", tags=tuple(either(i))) for i in range(30)],
    "ten communities of one post": [Post("p", "rye", f"c{i}", "mo", tags=("Rye",)) for i in range(10)],
}
TRAINABLE = set(WORLDS)
WORLDS["no post"] = []
WORLDS["no tag at all"] = of(30, lambda _: [])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "empty") as made:
        yield made


def recipe(name: str) -> dict[str, Any]:
    return {"name": name, "model": RECIPES[name]}


def must_answer(store: Store, way: str) -> list[dict[str, Any]]:
    """The service answers drafts of known and unknown users and communities alike, in the stated way."""
    last: list[dict[str, Any]] = []
    with Engine(store, settings=PATIENT) as engine, asked(engine) as client:
        for community in ("c", "nowhere"):
            for user in ("u0", "stranger", None):
                for text in ("rye loaf 1", "", "quite other words"):
                    draft = {"text": text, "community": community, "user": user, "k": 50, "explain": True}
                    answer = client.post("/v1/suggest", json=draft)
                    assert (answer.status_code, answer.json()["way"]) == (200, way)
                    last = answer.json()["suggestions"] if community == "c" else last
                    keys = [key(one["tag"]) for one in last]
                    assert len(keys) == len(set(keys))
                    assert all(math.isfinite(one["score"]) for one in last)
                    assert all(0 <= one["probability"] <= 1 for one in last if one["probability"] is not None)
            for address in (f"/v1/trends/{community}", f"/v1/autocomplete/{community}?q=r", f"/v1/review/{community}"):
                assert client.get(address).status_code == 200
    return last


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("world", sorted(TRAINABLE))
def test_a_model_of_hardly_anything_answers(store: Store, world: str, name: str) -> None:
    store.put_posts(Posts.of(WORLDS[world]))
    made = upkeep.retrain(store, recipe(name))
    assert made.posts == len(WORLDS[world])
    must_answer(store, "model")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("world", "said"), [("no post", "hashloom posts put"), ("no tag at all", "nothing to learn")])
def test_what_teaches_nothing_is_refused_and_the_service_answers_without(
    store: Store, world: str, said: str, name: str
) -> None:
    if WORLDS[world]:
        store.put_posts(Posts.of(WORLDS[world]))
    with pytest.raises(ValueError, match=said):
        upkeep.retrain(store, recipe(name))
    assert store.published("recommender") is None
    assert must_answer(store, "none") == []


@pytest.mark.parametrize("name", RECIPES)
def test_a_community_whose_tags_are_all_denied_is_given_none(store: Store, name: str) -> None:
    store.put_posts(Posts.of(of(30, either)))
    upkeep.retrain(store, recipe(name))
    assert must_answer(store, "model")
    before = store.published("recommender").digest
    store.put_space(TagSpace("c", denied=["Rye", "Oat"]), by="op")
    assert must_answer(store, "model") == []
    store.put_posts(Posts.of([Post("more", "rye", "c", "u1", tags=("Rye",))]))
    with pytest.raises(ValueError, match="that its community's list allows"):
        upkeep.retrain(store, recipe(name))
    assert store.published("recommender").digest == before
    store.put_space(TagSpace.of([], "c", closed=True), by="op")
    assert must_answer(store, "model") == []


def test_a_hundred_thousand_tags(store: Store) -> None:
    """Each post carries as many tags as may be; completing one takes no longer than answering."""
    store.put_posts(Posts.of([Post(f"q{i}", f"w{i}", "c", f"u{i % 3}", tags=tuple(f"T{i}x{j}" for j in range(500)))
                              for i in range(200)]))  # fmt: skip
    store.put_posts(Posts.of(of(6, either)))
    assert upkeep.retrain(store, recipe("popular"), drop=None).posts == 206
    with Engine(store, settings=PATIENT) as engine, asked(engine) as client:
        began = time.process_time()
        for start in ("t1", "t199x4", "zzz", "o"):
            assert client.get(f"/v1/autocomplete/c?q={start}").status_code == 200
        answer = client.post("/v1/suggest", json={"text": "w1", "community": "c", "user": "somebody", "k": 5}).json()
        assert (answer["way"], [one["tag"] for one in answer["suggestions"]]) == ("model", ["Oat", "Rye"])
        assert time.process_time() - began < 5


def test_one_post_more_tags_than_may_be_is_refused(store: Store) -> None:
    put = store.put_posts(Posts.of(of(1, lambda _: [f"T{i}" for i in range(501)])))
    assert (put.new, put.refused) == (0, [("p0", "501 tags; at most 500 can be kept")])
