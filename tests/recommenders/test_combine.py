import numpy as np
import pytest

from hashloom.evaluate.metrics import measure, summarise
from hashloom.recommenders import _combine
from hashloom.recommenders._combine import Choice, Pair, codes, combine, oracle, reciprocal, score, search
from hashloom.types import Rankings


def pair(classified: list[str], generated: list[str]) -> tuple[Pair, dict[str, int]]:
    """Rankings written as words of one-letter tags, one word per post."""
    code: dict[str, int] = {}
    made = [Rankings.of(list(map(str, range(len(rows)))), [[(t, 1.0) for t in row] for row in rows])
            for rows in (classified, generated)]  # fmt: skip
    return Pair.of(made[0], made[1], max(map(len, [*classified, *generated])), code), code


def lists(both: tuple[Pair, dict[str, int]], columns: np.ndarray) -> list[str]:
    names = list(both[1])
    return ["".join(names[t] for t in row if t >= 0) for row in codes(both[0], columns).tolist()]


def drawn(posts: int, seed: int, gain: float = 0.5) -> tuple[Pair, list[list[int]]]:
    """Random rankings of twenty tags, each with a taste of its own for the true ones."""
    random = np.random.default_rng(seed)
    truths = [random.choice(20, random.integers(1, 5), replace=False).tolist() for _ in range(posts)]
    liked = np.zeros((posts, 20))
    for row, tags in zip(liked, truths, strict=True):
        row[tags] = 1
    first, second = (
        np.argsort(random.random((posts, 20)) - g * liked * random.random((posts, 1))) for g in (gain, 0.3)
    )
    return Pair(first[:, :12], second[:, :9]), truths


@pytest.mark.parametrize(
    ("s1", "s2", "k", "expected"),
    [
        (3, 0, 3, "abc"),
        (2, 1, 3, "abx"),
        (1, 2, 3, "axb"),
        (0, 3, 3, "axb"),
        (1, 2, 5, "axbcd"),
        (1, 1, 7, "axbcdy"),
        (9, 2, 7, "abcdxy"),
    ],
)
def test_first_of_one_then_new_ones_of_the_other_then_the_rest(s1, s2, k, expected):
    both = pair(["abcd"], ["axby"])
    assert lists(both, combine(both[0], s1, s2, k)) == [expected]


def test_a_short_generator_is_filled_by_the_classifier_and_the_other_way_round():
    both = pair(["abcd", "a", ""], ["x", "wxyz", "xy"])
    assert lists(both, combine(both[0], 1, 3, 4)) == ["axbc", "awxy", "xy"]
    assert lists(both, combine(both[0], 4, 0, 4)) == ["abcd", "awxy", "xy"]
    assert lists(both, combine(both[0], 0, 1, 1)) == ["x", "w", "x"]


def test_a_union_takes_the_first_of_both_and_no_more():
    both = pair(["abcd"], ["baxy"])
    assert lists(both, combine(both[0], 2, 3, 3, union=True)) == ["abx"]
    assert lists(both, combine(both[0], 2, 3, 4)) == ["abxy"]
    assert lists(both, combine(both[0], 1, 1, 4, union=True)) == ["abcd"]


def test_neither_part_may_be_there():
    nothing = Pair(np.zeros((2, 0), np.int64), np.zeros((2, 0), np.int64))
    assert combine(nothing, 1, 1, 3).tolist() == [[-1] * 3] * 2
    assert reciprocal(nothing, 1.0, 2)[1].tolist() == [[0.0] * 2] * 2
    assert codes(nothing, combine(nothing, 1, 1, 3)).tolist() == [[-1] * 3] * 2
    one = Pair(np.array([[4, 5]]), np.zeros((1, 0), np.int64))
    assert codes(one, combine(one, 1, 1, 2)).tolist() == codes(one, reciprocal(one, 2.0, 2)[0]).tolist() == [[4, 5]]
    for way in ("cut", "free", "reciprocal"):
        assert search(one, [[5]], 2, way).choice.borrowed == 0


@pytest.mark.parametrize("s1", range(8))
def test_no_list_holds_a_tag_twice_and_none_is_short(s1):
    made, _ = drawn(50, seed=s1)
    for union in (False, True):
        rows = codes(made, combine(made, s1, 7 - s1, 9, union=union))
        assert all(len(set(row)) == 9 and -1 not in row for row in rows.tolist())


def test_reciprocal_ranks_by_hand():
    both = pair(["abc"], ["cx"])
    columns, scores = reciprocal(both[0], 0.5, 4, constant=1.0)
    assert lists(both, columns) == ["acbx"]
    assert scores[0] == pytest.approx([1 / 2, 1 / 4 + 0.5 / 2, 1 / 3, 0.5 / 3])
    assert lists(both, reciprocal(both[0], 0.0, 4)[0]) == ["abcx"]
    assert lists(both, reciprocal(both[0], 10.0, 2)[0]) == ["cx"]


def test_places_are_those_of_the_other_ranking():
    both, _ = pair(["ab", "cd", "e"], ["bx", "dc", ""])
    assert both.place.tolist() == [[1, 2], [1, 0], [2, 2]]
    assert both.back.tolist() == [[2, 0], [1, 0], [2, 2]]


def test_the_search_finds_what_each_part_knows():
    """The classifier knows the first two true tags, the generator the third and no other."""
    both, code = pair(["abpq"] * 40, ["xrst"] * 40)
    truths = [[code[t] for t in "abx"]] * 40
    found = search(both, truths, 3)
    assert (found.choice.s1, found.choice.s2, found.score, found.nested) == (2, 1, 1.0, 1.0)
    free = search(both, truths, 3, "free")
    assert (free.choice.s1, free.choice.s2, free.score) == (2, 1, 1.0)
    assert search(both, truths, 3, "reciprocal").score == 1.0
    assert score(both, truths, Choice("free", s1=2, s2=0), 9) == pytest.approx(2 * (2 / 3) / (1 + 2 / 3))


@pytest.mark.parametrize("metric", ["f1_means", "f1_posts"])
def test_scores_are_those_of_the_registered_metrics(metric):
    made, truths = drawn(60, seed=1)
    found = search(made, truths, 5, metric=metric)
    named = [{str(t) for t in row} for row in truths]
    for choice, reached in zip(found.tried, found.scores, strict=True):
        rows = codes(made, choice.order(made, 5)[0]).tolist()
        rankings = Rankings.of([str(i) for i in range(60)], [[(str(t), 1.0) for t in row] for row in rows])
        assert reached == pytest.approx(summarise(measure(rankings, named, [f"{metric}@5"]), f"{metric}@5"))
        assert reached == pytest.approx(score(made, truths, choice, 5, metric))


def test_free_sizes_score_the_lists_that_they_name():
    made, truths = drawn(40, seed=2)
    found = search(made, truths, 5, "free")
    assert {(c.s1, c.s2) for c in found.tried} == {(a, b) for a in range(16) for b in range(16)}
    for choice, reached in list(zip(found.tried, found.scores, strict=True))[::7]:
        lists = [{*a[: choice.s1], *g[: choice.s2]} for a, g in zip(made.classified.tolist(), made.generated.tolist())]
        hits = [len(row & set(true)) for row, true in zip(lists, truths, strict=True)]
        p = np.mean([h / len(row) if row else 0 for h, row in zip(hits, lists, strict=True)])
        r = np.mean([h / len(true) for h, true in zip(hits, truths, strict=True)])
        assert reached == pytest.approx(2 * p * r / (p + r) if p + r else 0)
        assert score(made, truths, choice, 5) == pytest.approx(reached)


@pytest.mark.parametrize("careful", [True, False])
def test_ties_go_to_the_classifier(careful):
    same, code = pair(["abc"] * 10, ["abc"] * 10)
    truths = [[code["a"]]] * 10
    assert search(same, truths, 3, careful=careful).choice.s1 == 3
    assert search(same, truths, 3, "reciprocal", careful=careful).choice.eta == 0
    free = search(same, truths, 3, "free", careful=careful).choice
    assert (free.s1, free.s2) == (1, 0)


def test_one_standard_error_is_no_difference():
    """The generator helps one post and harms none: too little to ask it, unless the best is asked for."""
    both, code = pair(["abc"] * 20, ["xyz"] * 20)
    truths = [[code["a"], code["b"]]] * 19 + [[code["a"], code["x"]]]
    bold = search(both, truths, 3, careful=False)
    assert bold.choice.s2 == 1
    assert search(both, truths, 3).choice.s2 == 0
    sure = [[code["a"], code["x"]]] * 20
    assert search(both, sure, 3).choice.s2 == 1


def test_one_post_says_nothing_of_chance():
    both, code = pair(["ab"], ["x"])
    found = search(both, [[code["x"]]], 2)
    assert (found.choice.s1, found.nested, found.posts) == (2, None, 1)


def test_without_truths_there_is_nothing_to_choose_by():
    both, _ = pair(["ab"], ["x"])
    with pytest.raises(ValueError, match="no validation post has true tags"):
        search(both, [[]], 2)
    with pytest.raises(ValueError, match="1 rankings but 2 sets"):
        search(both, [[0], [1]], 2)


def test_posts_without_truths_count_for_nothing_and_unknown_truths_do():
    both, code = pair(["ab", "ab"], ["x", "x"])
    assert score(both, [[code["a"]], []], Choice(s1=1), 1) == 1.0
    assert score(both, [[code["a"], -1], []], Choice(s1=1), 1) == pytest.approx(2 / 3)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_chosen_on_validation_never_passes_the_ceiling_on_test(seed):
    made, truths = drawn(300, seed)
    held, true = drawn(300, seed + 100)
    ceiling = oracle(held, true, 5)
    chosen = score(held, true, search(made, truths, 5).choice, 5)
    assert 0 < chosen < ceiling
    assert max(search(held, true, 5).scores) <= ceiling


def test_the_nested_score_is_not_flattered():
    """With nothing to find, the best of 256 looks better than it is; choosing anew in each fold does not."""
    nested, best = [], []
    for seed in range(8):
        made, truths = drawn(60, seed, gain=0.3)
        found = search(made, truths, 5, "free", careful=False)
        nested.append(found.nested)
        best.append(found.score)
    assert np.mean(nested) < np.mean(best)


def test_large_sets_are_searched_at_once():
    made, truths = drawn(20_000, seed=3)
    for way in ("cut", "free", "reciprocal"):
        found = search(made, truths, 7, way)
        assert found.posts == 20_000
        assert found.score == found.scores.max()
        assert found.choice == found.tried[int(found.scores.argmax())]
    assert len(_combine.ETAS) == len(found.tried)
