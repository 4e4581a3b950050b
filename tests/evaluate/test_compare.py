"""Bootstrap intervals: right width, right groups, right pairs, quick enough."""

import time

import numpy as np
import pytest

from hashloom.evaluate.compare import Bootstrap, groups, interval, over_users, paired, resample
from hashloom.types import Scores

IDS = [str(i) for i in range(400)]


def scored(values, metric="p@1"):
    return Scores([str(i) for i in range(len(values))], {metric: np.asarray(values, dtype=float)})


def coin(posts, chance, seed):
    return (np.random.default_rng(seed).random(posts) < chance).astype(float)


def test_width_agrees_with_the_normal_approximation():
    values = coin(2000, 0.3, 1)
    found = interval(scored(values), "p@1", resamples=4000)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert found.value == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.08)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    covered = 0
    for seed in range(200):
        found = interval(scored(coin(300, 0.4, seed)), "p@1", resamples=400, seed=seed)
        covered += found.low <= 0.4 <= found.high
    assert 180 <= covered <= 199


def test_posts_of_one_user_are_drawn_together():
    values = np.repeat(coin(40, 0.5, 2), 10)
    users = np.repeat([f"u{i}" for i in range(40)], 10).tolist()
    alone, together = interval(scored(values), "p@1"), interval(scored(values), "p@1", by=users)
    assert together.high - together.low > 2.5 * (alone.high - alone.low)


def test_posts_without_a_user_are_groups_of_their_own():
    assert groups(["a", None, "a", None], 4).tolist() == [0, 1, 0, 2]
    values = coin(100, 0.5, 3)
    assert interval(scored(values), "p@1", by=[None] * 100) == interval(scored(values), "p@1")
    with pytest.raises(ValueError, match="2 users for 3 posts"):
        groups(["a", "b"], 3)


def test_set_level_metrics_are_resampled_as_ratios():
    rng = np.random.default_rng(4)
    found, carried = rng.integers(0, 4, 300).astype(float), rng.integers(4, 9, 300).astype(float)
    scores = Scores([str(i) for i in range(300)], {"found@5": found, "carried@5": carried})
    got = interval(scores, "micro_r@5", resamples=3000)
    draws = rng.integers(0, 300, (3000, 300))
    plain = np.quantile(found[draws].sum(axis=1) / carried[draws].sum(axis=1), [0.025, 0.975])
    assert got.value == pytest.approx(found.sum() / carried.sum())
    assert (got.low, got.high) == pytest.approx(tuple(plain), abs=0.01)


def test_pairs_are_much_sharper_than_separate_intervals():
    hard = np.random.default_rng(5).random(1000)
    a, b = scored(np.clip(hard + 0.02, 0, 1)), scored(hard)
    found = paired(a, b, "p@1")
    both = Bootstrap([a, b], ["p@1"])
    apart = [both.interval(0, "p@1"), both.interval(1, "p@1")]
    assert found.clear
    assert found.difference.low > 0.015
    assert apart[0].low < apart[1].high
    assert found.ratio.value == pytest.approx(a.mean("p@1") / b.mean("p@1"))
    assert found.ratio.low < found.ratio.value < found.ratio.high
    assert found.chance == 1 / 2000


def test_equal_methods_do_not_differ():
    a = scored(coin(100, 0.5, 6))
    found = paired(a, a, "p@1")
    assert (found.difference.low, found.difference.high, found.ratio.low, found.chance) == (0, 0, 1, 1)
    assert not found.clear


def test_a_rival_that_scores_nothing_gives_no_ratio():
    found = paired(scored([1.0, 0.0, 1.0]), scored([0.0, 0.0, 0.0]), "p@1")
    assert np.isnan(found.ratio.value)
    assert found.difference.value == pytest.approx(2 / 3)


def test_different_posts_cannot_be_paired():
    with pytest.raises(ValueError, match="different posts"):
        paired(Scores(["a"], {"p@1": np.ones(1)}), Scores(["b"], {"p@1": np.ones(1)}), "p@1")


def test_posts_without_a_value_are_left_out():
    values = coin(200, 0.5, 7)
    gaps = np.concatenate([values, np.full(300, np.nan)])
    assert interval(scored(gaps), "p@1", seed=1) == interval(scored(values), "p@1", seed=1)
    nothing = interval(scored(np.full(5, np.nan)), "p@1")
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


def test_one_group_says_nothing_of_chance():
    found = paired(scored(coin(50, 0.5, 9)), scored(coin(50, 0.2, 9)), "p@1", by=["ann"] * 50)
    assert found.difference.value > 0
    assert np.isnan([found.difference.low, found.ratio.high, found.chance]).all()
    assert not found.clear


def test_same_seed_same_interval():
    scores = scored(coin(100, 0.5, 8))
    assert interval(scores, "p@1", seed=3) == interval(scores, "p@1", seed=3)
    assert interval(scores, "p@1", seed=3) != interval(scores, "p@1", seed=4)


def test_prolific_users_do_not_weigh_more_over_users():
    scores = Scores(list("abcd"), {"found@2": np.array([2.0, 2, 2, 0]), "carried@2": np.array([2.0, 2, 2, 4])})
    assert over_users(scores, "micro_r@2", ["ann", "ann", "ann", "bo"]) == 0.5


def test_ten_thousand_resamples_of_twenty_thousand_posts_take_seconds():
    table = np.random.default_rng(0).random((20_000, 6))
    start = time.process_time()
    drawn = resample(table, np.arange(20_000), 1000, 0)
    assert drawn.shape == (1000, 6)
    assert time.process_time() - start < 5  # a tenth of the full job; 0.2 s were seen
