"""Sifting by rounded numbers loses none of the nearest and changes no score of theirs."""

from __future__ import annotations

import numpy as np
import pytest

from hashloom.encoders.tfidf import Tfidf
from hashloom.recommenders import _sifting
from hashloom.recommenders._sifting import Sieve
from hashloom.recommenders.nearest import Nearest
from hashloom.types import Post, Posts


def drawn(seed: int, posts: int = 3000, dim: int = 40) -> np.ndarray:
    """Unit vectors in clusters, so that many lie close together; some are zero, some stand twice."""
    draw = np.random.default_rng(seed)
    centres = draw.normal(size=(20, dim))
    made = centres[draw.integers(0, 20, posts)] + 0.2 * draw.normal(size=(posts, dim))
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    made[::50] = 0
    made[1::50] = made[2::50]
    return made.astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_the_nearest_are_those_of_comparing_with_all(seed: int) -> None:
    vectors = drawn(seed)
    sieve = Sieve(vectors)
    for asked in vectors[[2, 7, 1000, 50]]:
        every, sifted = vectors @ asked, sieve.scores(asked, 51)
        kept = np.flatnonzero(sifted)
        np.testing.assert_allclose(sifted[kept], every[kept], atol=1e-6)
        missed = np.setdiff1d(np.flatnonzero(every > max(0, np.sort(every)[-51]) + 1e-6), kept)
        assert not len(missed)


def test_few_are_compared_as_they_are() -> None:
    vectors = drawn(0)
    assert 51 <= np.count_nonzero(Sieve(vectors).scores(vectors[7], 51)) < 600


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e6])
def test_the_largest_numbers_overflow_nowhere(scale: float) -> None:
    vectors = np.full((2500, 300), scale, dtype=np.float32)
    vectors[::2] *= -1
    sifted = Sieve(vectors).scores(vectors[1] / np.float32(scale), 3)
    assert np.flatnonzero(sifted > 0).tolist() == list(range(1, 2500, 2))


def test_fewer_vectors_than_asked_for_are_all_compared() -> None:
    vectors = drawn(1, posts=30)
    np.testing.assert_allclose(Sieve(vectors).scores(vectors[7], 51), vectors @ vectors[7], atol=1e-6)


def test_answers_are_the_same_with_and_without_it_also_after_posts_came_and_went(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw = np.random.default_rng(3)
    words = [f"word{n}" for n in range(60)]
    posts = [Post(str(i), " ".join(draw.choice(words, 6)), "c", tags=(f"tag{draw.integers(30)}",)) for i in range(400)]
    asked = Posts.of([Post("a", " ".join(words[:6]), "c")])

    def answers(least: int) -> list[list[tuple[str, float]]]:
        monkeypatch.setattr(_sifting, "LEAST", least)
        model, found = Nearest(by="vectors", encoder=Tfidf(dim=20)).fit(Posts.of(posts[:350])), []
        for change in (
            lambda: None,
            lambda: model.update(Posts.of(posts[350:])),
            lambda: model.forget(posts=[str(i) for i in range(0, 400, 3)]),
        ):
            change()
            found.append([(one.tag, round(one.score, 5)) for one in model.recommend(asked)[0].suggestions])
        return found

    assert answers(10) == answers(10**9)


def test_nothing_is_held_of_posts_that_were_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_sifting, "LEAST", 2)
    posts = [Post(str(i), f"rye bread number{i}", "c", tags=("Rye",)) for i in range(20)]
    model = Nearest(by="vectors", encoder=Tfidf(dim=5)).fit(Posts.of(posts))
    model.recommend(Posts.of([Post("a", "rye bread", "c")]))
    assert len(model._sieves["c"].vectors) == 20
    model.forget(posts=["3"])
    assert not model._sieves
    model.recommend(Posts.of([Post("a", "rye bread", "c")]))
    assert len(model._sieves["c"].vectors) == 19
