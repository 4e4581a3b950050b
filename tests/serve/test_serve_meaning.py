"""Tags alike by meaning: real synonyms are found, companions and chance are not; over the API within a community."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

import pytest
from asking import asked, bearer

from hashloom.data.read import read
from hashloom.serve.answering import located
from hashloom.serve.engine import Engine
from hashloom.serve.meaning import TAGS, alike
from hashloom.store import Store
from hashloom.types import Marks, Post, Posts

DATA = Path(__file__).parents[2].parent / "shared" / "data"
WORDS = [f"word{i}" for i in range(400)]


def made(topics: dict[str, int], posts: int = 12, seed: int = 1) -> Posts:
    """Posts of tags; a tag draws its words from those of its topic."""
    draw, rows = Random(seed), []
    for tag, topic in topics.items():
        for i in range(posts):
            text = " ".join(draw.sample(WORDS[20 * topic : 20 * topic + 20], 6) + draw.sample(WORDS[300:], 6))
            rows.append(Post(f"{tag}{i}", text, "c", f"u{draw.randrange(30)}", tags=(tag,)))
    return Posts.of(rows)


def test_two_names_of_one_topic_are_found_and_no_others() -> None:
    topics = {f"t{i}": i for i in range(9)} | {"t3b": 3, "t7b": 7}
    found = alike(made(topics))
    assert {frozenset(one.tags) for one in found} == {frozenset({"t3", "t3b"}), frozenset({"t7", "t7b"})}
    assert all(0.3 <= one.likeness <= 1 and one.posts == (12, 12) and one.together == 0 for one in found)
    assert [one.likeness for one in found] == sorted((one.likeness for one in found), reverse=True)


def test_tags_that_stand_together_are_no_duplicates() -> None:
    posts = made({f"t{i}": i for i in range(6)} | {"t3b": 3})
    both = [["t3", "t3b"] if tags[0] in ("t3", "t3b") else list(tags) for tags in posts.tags]
    assert alike(Posts.of([replace(post, tags=tuple(tags)) for post, tags in zip(posts, both)])) == []


@pytest.mark.parametrize("posts", [[], [("", ())], [("", ("A",))] * 5, [("x", ("A", "B"))] * 5, [("rye", ())] * 5])
def test_little_to_compare_is_no_fault(posts: list[tuple[str, tuple[str, ...]]]) -> None:
    assert alike(Posts.of([Post(str(i), text, tags=tags) for i, (text, tags) in enumerate(posts)])) == []


def test_the_time_is_bounded() -> None:
    posts = made({f"t{i}": i % 15 for i in range(TAGS + 300)}, posts=3)
    began = perf_counter()
    assert len(alike(posts, least=0.0, most=100)) == 100
    assert perf_counter() - began < 20  # about 1 s where nothing else runs


@pytest.mark.skipif(not (DATA / "stackexchange").is_dir(), reason="needs ../shared/data/stackexchange")
def test_real_synonyms_are_among_the_first() -> None:
    posts, _ = read(DATA / "stackexchange" / "posts.parquet")
    cooking = posts[[at for at, name in enumerate(posts.communities) if name == "cooking"][-3000:]]
    found = [frozenset(one.tags) for one in alike(cooking, most=40)]
    wanted = [("broth", "stock"), ("pan", "frying-pan"), ("grilling", "barbecue"), ("slow-cooking", "crockpot")]
    assert sum(frozenset(pair) in found for pair in wanted) >= 3


# ---------------------------------------------------------------- over the API


def test_operators_are_told_within_their_community_and_decided_pairs_go(engine: Engine, store: Store) -> None:
    topics = {f"T{i}": i for i in range(9)} | {"T3b": 3}
    store.put_posts(Posts.of([replace(post, community="club") for post in made(topics)]))
    engine.sync()
    secret, other = (store.new_key("operator", name)[1] for name in ("club", "even"))
    with asked(engine, near=False) as client:

        def ask(key: str, query: str = "") -> Any:
            return client.get(f"/v1/spaces/club/alike{query}", headers=bearer(key))

        said = ask(secret).json()
        assert (said["looked_at"], [row["tags"] for row in said["pairs"]]) == (108 + 12, [["T3", "T3b"]])
        assert ask(secret, "?least=1").json()["pairs"] == []
        assert len(ask(secret, "?least=0&k=1").json()["pairs"]) == 1
        assert [ask(secret, q).status_code for q in ("?k=0", "?k=101", "?least=1.1", "?lest=0")] == [422] * 4
        assert ask(other).status_code == 403
        merged = client.post(
            "/v1/spaces/club/merge", json={"tags": ["T3b"], "into": "T3"}, headers=bearer(secret)
        )  # fmt: skip
        assert merged.status_code == 200
        assert ask(secret).json()["pairs"] == []


def test_a_list_may_end_where_it_is_best(engine: Engine, publish: Any) -> None:
    body = {"text": "lime tide", "community": "even", "k": 10}
    with asked(engine) as client:
        notes = client.post("/v1/suggest", json=body | {"adaptive": True}).json()["notes"]
        assert notes == ["the published model has no dials; they changed nothing"]
        publish("calibrated")
        engine.reload()
        turned: list[dict[str, float]] = []
        model = engine.current.running.peek  # type: ignore[union-attr]
        model.turned = lambda **dials: turned.append(dials) or model
        for given in ({}, {"adaptive": True}, {"adaptive": False, "novelty": 0.5}):
            assert client.post("/v1/suggest", json=body | given).json()["notes"] == []
        assert turned == [{"adaptive": True}, {"adaptive": False, "novelty": 0.5}]
        assert client.post("/v1/suggest", json=body | {"adaptive": 1}).status_code == 422


def test_marks_tell_the_part_of_the_picture_that_they_cover(tmp_path: Path) -> None:
    import numpy as np
    from PIL import Image

    upright, turned = tmp_path / "a.png", tmp_path / "b.jpg"
    Image.new("RGB", (200, 100)).save(upright)
    notes = Image.Exif()
    notes[0x0112] = 6  # shown upright it is 100 wide and 200 high
    Image.new("RGB", (200, 100)).save(turned, exif=notes)
    looked, hidden = (Marks(kind, (), np.ones((7, 7))) for kind in ("attention", "occlusion"))  # type: ignore[arg-type]
    plain = Marks("attention", [("rye", 1.0)])

    def boxes(path: Path, part: float) -> list[Any]:
        posts = Posts.of([Post("1", "rye", images=(str(path),))])
        return [one.box for one in located({"a": looked, "b": hidden, "c": plain}, posts, part).values()]

    whole = (0.0, 0.0, 1.0, 1.0)
    assert boxes(upright, 0.5) == [(0.375, 0.25, 0.625, 0.75), whole, None]
    assert boxes(turned, 0.5) == [(0.25, 0.375, 0.75, 0.625), whole, None]
    assert boxes(upright, 1.0) == [whole, whole, None]
    assert located({"c": plain}, Posts.of([Post("1", "rye")]), 0.5) == {"c": plain}
