"""Ceilings, vocabulary share and the spread of suggestions."""

from collections import Counter

import numpy as np
import pytest

from hashloom.evaluate.beyond import ceiling, gini, known_share, spread, tag_counts, vocabularies
from hashloom.evaluate.metrics import measure, summarise
from hashloom.types import Post, Posts, Rankings

TRAIN = Posts.of(
    [
        Post("a", community="bakers", tags=("Rye", "Tour")),
        Post("b", community="bakers", tags=("rye",)),
        Post("c", community="riders", tags=("tour",)),
    ]
)


def test_the_oracles_precision_is_the_mean_of_what_fits():
    true = [set("abc"), set("d"), set("efghijk")]
    assert ceiling(true, 5)["p@5"] == pytest.approx((3 + 1 + 5) / 15)
    assert ceiling(true, 5)["r@5"] == pytest.approx((1 + 1 + 5 / 7) / 3)
    assert ceiling(true, 5)["ndcg@5"] == 1


def test_the_ceiling_is_what_the_true_tags_themselves_score():
    true = [list("abc"), list("d"), [], list("efghijk")]
    answers = Rankings.of(list("1234"), [[(tag, 1.0) for tag in row] for row in true])
    for name, top in ceiling(true, 4).items():
        if name != "p_adapt@4":
            assert top == pytest.approx(summarise(measure(answers, true, [name]), name)), name


def test_an_oracle_that_knows_only_training_tags():
    known = vocabularies(TRAIN, ["bakers", "riders", "new"])
    assert known == [{"rye", "tour"}, {"tour"}, set()]
    true = [{"rye", "new"}, {"rye"}, {"tour"}]
    assert known_share(true, known) == 0.25
    assert ceiling(true, 10, known)["r@10"] == pytest.approx(0.5 / 3)


def test_communities_have_their_own_tags():
    assert tag_counts(TRAIN) == {("bakers", "rye"): 2, ("bakers", "tour"): 1, ("riders", "tour"): 1}
    answers = Rankings.of(["x", "y"], [[("RYE", 2.0), ("Tour", 1.0)], [("rye", 1.0)]])
    found = spread(answers, ["bakers", "riders"], tag_counts(TRAIN), 10)
    assert found.coverage == pytest.approx(2 / 3)
    assert found.popularity == pytest.approx((2 + 1 + 0) / 3)
    assert found.unseen == pytest.approx(1 / 3)
    assert spread(answers, ["bakers", "riders"], tag_counts(TRAIN), 1).coverage == pytest.approx(1 / 3)


def test_nothing_suggested():
    found = spread(Rankings.of(["x"], [[]]), ["bakers"], tag_counts(TRAIN))
    assert found.coverage == 0
    assert np.isnan(found.gini)
    assert np.isnan(spread(Rankings.of([], []), [], Counter()).popularity)
    with pytest.raises(ValueError, match="1 rankings but 0 communities"):
        spread(Rankings.of(["x"], [[]]), [], Counter())


def test_gini_by_its_definition():
    values = np.random.default_rng(0).random(30)
    plain = np.abs(values[:, None] - values).sum() / (2 * len(values) ** 2 * values.mean())
    assert gini(values) == pytest.approx(plain)
