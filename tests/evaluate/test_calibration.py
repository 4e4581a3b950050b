"""Calibration by known answers: what ECE, F1 of short lists, risk and coverage must be on tables done by hand."""

from itertools import product
from xml.etree import ElementTree

import numpy as np
import pytest

from hashloom.evaluate import calibration
from hashloom.evaluate.calibration import Bin, Calibration, Judged, bins, ece, f1_given
from hashloom.evaluate.figure import sheet
from hashloom.evaluate.svg import Series
from hashloom.recommenders import _dials
from hashloom.recommenders._calibrating import LEAST, Chances, Taught
from hashloom.recommenders._lengths import best_lengths, expected_f1
from hashloom.types import Rankings


def drawn(posts=3000, size=6, seed=0, sharp=0.5):
    """Scores whose right chances are known: each is the log-odds of its chance times ``sharp``."""
    random = np.random.default_rng(seed)
    chances = -np.sort(-random.beta(0.6, 1.6, (posts, size)), axis=1)
    true = random.random((posts, size)) < chances
    scores = sharp * np.log(chances / (1 - chances))
    starts = np.arange(0, posts * size + 1, size)
    return Taught(starts, scores.ravel(), true.ravel(), ["c"] * posts, np.zeros(posts, np.int64)), chances.ravel()


# ---- what is measured


def test_ece_is_the_mean_distance_of_chance_and_truth():
    chances = np.array([0.2] * 10 + [0.8] * 10)
    true = np.array([True] * 2 + [False] * 8 + [True] * 5 + [False] * 5)
    assert ece(chances, true, 2) == pytest.approx(0.5 * 0.0 + 0.5 * 0.3)


def test_ece_of_chances_that_hold_is_small_and_of_others_large():
    taught, chances = drawn()
    assert ece(chances, taught.true) < 0.012
    assert ece(np.sqrt(chances), taught.true) > 0.1


def test_ece_without_suggestions_is_unknown():
    assert np.isnan(ece(np.zeros(0), np.zeros(0, bool)))


def test_bins_have_equal_mass_and_keep_equal_chances_together():
    made = bins(np.linspace(0, 1, 100), np.zeros(100, bool), 4)
    assert [one.count for one in made] == [25, 25, 25, 25]
    assert [one.count for one in bins(np.full(100, 0.3), np.zeros(100, bool), 4)] == [100]


def test_brier_by_hand():
    assert calibration.brier(np.array([0.5, 0.0]), np.array([True, True])) == pytest.approx((0.25 + 1) / 2)


def test_judged_looks_at_the_first_k_by_key():
    found = Judged.of(Rankings.of(["a", "b"], [[("#Rye", 0.9), ("Oat", 0.2)], [("Jib", 0.4)]]), [{"rye"}, {"oat"}], 1)
    assert found.true.tolist() == [True, False]
    assert found.post.tolist() == [0, 1]
    with pytest.raises(ValueError, match="2 rankings but 1"):
        Judged.of(Rankings.of(["a", "b"], [[], []]), [set()])


def test_f1_of_lists_of_any_length():
    lists = Rankings.of(list("abcd"), [[("rye", 1.0)], [("rye", 1.0), ("oat", 0.5)], [], [("rye", 1.0)]])
    found = f1_given(lists, [{"rye"}, {"oat", "jib"}, {"rye"}, set()])
    assert found[:3].tolist() == [1.0, 0.5, 0.0]
    assert np.isnan(found[3])


def test_best_fixed_k_is_where_the_mean_f1_is_highest():
    lists = Rankings.of(list("ab"), [[("x", 1.0), ("y", 0.5), ("z", 0.1)]] * 2)
    truths = [{"x"}, {"x", "y", "z"}]
    mean = [float(np.mean(f1_given(lists, truths, k))) for k in (1, 2, 3)]
    assert calibration.best_fixed(lists, truths) == int(np.argmax(mean)) + 1


def test_risk_falls_where_confidence_is_right_and_the_area_says_so():
    loss = np.array([0.0, 0.0, 1.0, 1.0])
    right = calibration.risk_coverage(np.array([4.0, 3.0, 2.0, 1.0]), loss, 4)
    assert right == [(0.25, 0.0), (0.5, 0.0), (0.75, pytest.approx(1 / 3)), (1.0, 0.5)]
    wrong = calibration.risk_coverage(np.array([1.0, 2.0, 3.0, 4.0]), loss, 4)
    assert calibration.area(right) < calibration.area(wrong)


def test_the_diagram_is_a_picture_with_the_diagonal():
    drawn_chart = calibration.reliability({"raw <&>": [Bin(0.1, 0.3, 9)], "chances": [Bin(0.1, 0.1, 9)]})
    assert drawn_chart.count("<polyline") == 3
    assert "floor" in drawn_chart
    risk = calibration.chart([Series("a", [(0.5, 0.1), (1.0, 0.2)], "s1")], "rising", "share of posts answered")
    ElementTree.fromstring(sheet([("Reliability", drawn_chart), ("Risk", risk)], [("raw", "s1")], "two charts"))


# ---- the expected F1


def by_hand(chances, k):
    """Over all that may be true."""
    whole = 0.0
    for world in product([0, 1], repeat=len(chances)):
        likely = np.prod([p if w else 1 - p for p, w in zip(chances, world)])
        whole += likely * 2 * sum(world[:k]) / (k + sum(world))
    return whole


def test_expected_f1_is_exact():
    chances = [0.9, 0.55, 0.4, 0.1, 0.05]
    found = expected_f1(np.array([chances]), 5)[0]
    assert found.tolist() == pytest.approx([by_hand(chances, k) for k in range(1, 6)])


def test_missed_tags_count_as_one_more_candidate_that_is_not_shown():
    chances = [0.8, 0.3]
    found = expected_f1(np.array([chances]), 2, missed=0.4)[0]
    assert found.tolist() == pytest.approx([by_hand([0.8, 0.3, 0.4], k) for k in (1, 2)])


def test_the_best_length_is_the_best_of_all():
    random = np.random.default_rng(1)
    chances = -np.sort(-(random.random((40, 7)) ** 2), axis=1)
    starts = np.arange(0, 281, 7)
    wanted = [int(np.argmax([by_hand(row, k) for k in range(1, 6)])) + 1 for row in chances]
    assert best_lengths(starts, chances.ravel(), 5).tolist() == wanted


def test_lengths_of_lists_of_unequal_length_and_of_none():
    assert best_lengths(np.array([0, 0, 1, 4]), np.array([0.2, 0.9, 0.9, 0.9]), 10).tolist() == [0, 1, 3]
    assert best_lengths(np.array([0, 0]), np.zeros(0), 10).tolist() == [0]


# ---- the map


@pytest.mark.parametrize("way", ["chosen", "isotonic", "logistic"])
def test_the_map_finds_the_chances(way):
    taught, _ = drawn(seed=0)
    fresh, chances = drawn(seed=1)
    made = Chances.learn(taught, 6, way)
    found = made.of(fresh.starts, fresh.scores, fresh.communities)
    assert np.abs(found - chances).mean() < 0.03
    assert ece(found, fresh.true) < 0.02
    assert made.way in ("isotonic", "logistic")


def test_order_is_kept_and_all_are_chances():
    taught, _ = drawn(posts=100)
    found = Chances.learn(taught, 6).of(taught.starts, taught.scores, taught.communities).reshape(100, 6)
    assert (np.diff(found, axis=1) <= 0).all()
    assert ((found > 0) & (found < 1)).all()


def test_rank_and_rivals_are_read_where_scores_say_little():
    random = np.random.default_rng(0)
    posts = 2000
    scores = -np.sort(-random.random((posts, 4)), axis=1)
    true = np.zeros((posts, 4), bool)
    true[:, 0] = True  # always the first, whatever its score
    taught = Taught(np.arange(0, posts * 4 + 1, 4), scores.ravel(), true.ravel(), ["c"] * posts, np.zeros(posts, int))
    made = Chances.learn(taught, 4)
    assert made.way == "logistic"
    assert made.of(np.array([0, 4]), np.array([0.3, 0.2, 0.1, 0.05]), ["c"])[0] > 0.9


def test_communities_move_the_odds_and_small_ones_hardly():
    taught, _ = drawn(posts=1200)
    harder = taught.true.copy().reshape(1200, 6)
    harder[:600] &= np.random.default_rng(2).random((600, 6)) < 0.5
    names = ["hard"] * 600 + ["easy"] * 590 + ["small"] * 10
    made = Chances.learn(Taught(taught.starts, taught.scores, harder.ravel(), names, taught.missed), 6, "isotonic")
    assert made.moves["hard"] < -0.1 < 0.1 < made.moves["easy"]
    assert abs(made.moves["small"]) < made.moves["easy"]
    both = made.of(np.array([0, 1, 2]), np.array([0.0, 0.0]), ["hard", "unknown"])
    assert both[0] < both[1]


def test_too_few_posts_are_guessed_from_the_rank():
    taught, _ = drawn(posts=LEAST - 1)
    made = Chances.learn(taught, 6)
    assert made.way == "guessed"
    assert made.of(np.array([0, 2, 3]), np.array([5.0, 1.0, 9.0]), ["c", "c"]).tolist() == pytest.approx(
        [0.5, 1 / 3, 0.5]
    )


def test_nothing_true_is_guessed_too():
    taught, _ = drawn(posts=100)
    none = Taught(taught.starts, taught.scores, np.zeros(600, bool), taught.communities, taught.missed)
    assert Chances.learn(none, 6).way == "guessed"


def test_a_map_by_itself_goes_through_json():
    import json

    random = np.random.default_rng(0)
    lists = [[("rye", s), ("oat", s - 1)] for s in random.random(80)]
    asked = Rankings.of([str(i) for i in range(80)], lists)
    truths = [{"rye"} if row[0][1] > random.random() else {"jib"} for row in lists]
    made = Calibration.fit(asked, truths, ["c"] * 80)
    again = Calibration.from_json(json.loads(json.dumps(made.to_json())))
    one, other = (each.apply(asked, ["c"] * 80).scores for each in (made, again))
    assert one.tolist() == other.tolist()


def test_empty_rankings_have_no_chances():
    taught, _ = drawn(posts=100)
    for way in ("isotonic", "logistic"):
        assert len(Chances.learn(taught, 6, way).of(np.array([0, 0, 0]), np.zeros(0), ["c", "c"])) == 0


# ---- dials


def test_worth_counts_uses_and_novelty():
    even = np.array([0.5, 0.5])
    assert _dials.worth(even, np.array([0, 99]), np.zeros(2, int), 0.5, 0.0)[1] == pytest.approx(-0.5 * np.log(100))
    assert _dials.worth(even, np.zeros(2, int), np.array([2, 0]), 0.0, 0.5)[0] == pytest.approx(2.0)


def test_diversity_off_keeps_the_order_and_full_takes_the_unlike():
    value, alike = np.array([4.0, 3.0, 2.0, 1.0]), np.eye(4)
    alike[0, 1] = alike[1, 0] = 0.9
    assert _dials.diverse(value, alike, 0.0).tolist() == [0, 1, 2, 3]
    assert _dials.diverse(value, alike, 1.0).tolist()[-1] == 1
