"""ROUGE over tags: figures worked out by hand, a second implementation, and the package ``rouge`` where it is there.

Without that package the first two are all the proof there is: the second implementation here shares no code with the
first and looks for the longest common subsequence by trying all of them.
"""

from itertools import combinations

import numpy as np
import pytest

from hashloom.evaluate.beyond import posted
from hashloom.evaluate.hits import Hits
from hashloom.evaluate.metrics import measure, summarise
from hashloom.evaluate.rouge import _f, rouge1
from hashloom.types import Post, Posts, Rankings

NAMES = ("rouge1", "rouge2", "rougeL")
# Suggested, true, and by hand: (shared, suggested, true) of words, pairs and subsequence; F = 2PR / (P + R).
WORKED = [
    ("a b c", "a b c", (3, 3, 3), (2, 2, 2), (3, 3, 3)),
    ("c b a", "a b c", (3, 3, 3), (0, 2, 2), (1, 3, 3)),
    ("a x b y c", "a b c", (3, 5, 3), (0, 4, 2), (3, 5, 3)),
    ("x a b y", "a b z", (2, 4, 3), (1, 3, 2), (2, 4, 3)),
    ("x y", "a", (0, 2, 1), (0, 1, 0), (0, 2, 1)),
    ("a", "a", (1, 1, 1), (0, 0, 0), (1, 1, 1)),
]


def ranked(*rows):
    return Rankings.of([str(i) for i in range(len(rows))], [[(tag, 9.0 - j) for j, tag in enumerate(r)] for r in rows])


def scores(said, true, k=15):
    made = measure(ranked(said), [true], [f"{name}@{k}" for name in NAMES])
    return [float(made.values[f"{name}@{k}"][0]) for name in NAMES]


def f(shared, said, true):
    p, r = shared / max(said, 1), shared / max(true, 1)
    return 2 * p * r / (p + r + 1e-8)


@pytest.mark.parametrize(("said", "true", "words", "pairs", "longest"), WORKED)
def test_worked_by_hand(said, true, words, pairs, longest):
    found = scores(said.split(), true.split())
    assert found == pytest.approx([f(*words), f(*pairs), f(*longest)], abs=1e-12)


def test_the_small_term_below_is_that_of_the_package():
    assert scores(["a"], ["a"])[0] == 2 / (2 + 1e-8) == 0.999999995


@pytest.mark.parametrize(
    ("shared", "said", "true", "theirs"),
    [(22, 35, 49, 0.5238095189484127), (15, 40, 71, 0.27027026566025497), (6, 16, 38, 0.22222221805212622)],
)
def test_the_figures_that_the_packages_own_tests_state(shared, said, true, theirs):
    """F of ROUGE-1 and -2 in tests/data.json of the package; the counts are those of its precision and recall."""
    assert _f(shared, said, true) == theirs


def test_only_the_first_k_count_each_once_and_by_key():
    assert scores(["#A", "a", "B", "x"], ["a", "b"], k=2) == pytest.approx([1, 1, 1])
    assert scores(["a", "b", "x"], ["A", "＃b", "a"], k=2) == pytest.approx([1, 1, 1])


def test_a_tag_with_a_space_is_words_and_one_with_a_full_stop_sentences():
    assert scores(["open source"], ["source"])[0] == pytest.approx(f(1, 2, 1))
    assert scores(["js", "node"], ["node", "js"]) == pytest.approx([f(2, 2, 2), 0, f(1, 2, 2)])
    # As two sentences each word is looked for by itself; runs of words go on across sentences.
    assert scores(["js", "node"], ["node.js"]) == pytest.approx([f(2, 2, 2), 0, f(2, 2, 2)])
    assert scores(["node.js"], ["node", "js"]) == pytest.approx([f(2, 2, 2), f(1, 1, 1), f(2, 2, 2)])


def test_a_repeated_word_counts_once():
    assert scores(["deep learning", "machine learning"], ["machine learning"]) == pytest.approx(
        [f(2, 3, 2), f(1, 3, 1), f(2, 3, 2)]
    )


def test_nothing_suggested_is_nothing_and_posts_without_tags_are_left_out():
    assert scores([], ["a", "b"]) == [0, 0, 0]
    assert scores(["."], ["a"]) == [0, 0, 0]
    made = measure(ranked(["a"], ["a"]), [["a"], []], ["rouge1@1"])
    assert summarise(made, "rouge1@1") == pytest.approx(1)
    assert np.isnan(made.values["rouge1@1"][1])


def test_order_is_needed_where_order_counts():
    assert summarise(measure(ranked(["a", "b"]), [{"a", "b"}], ["rouge1@2"]), "rouge1@2") == pytest.approx(1)
    for name in ("rouge2@2", "rougeL@2"):
        with pytest.raises(ValueError, match="order as posted"):
            measure(ranked(["a", "b"]), [{"a", "b"}], [name])
    with pytest.raises(ValueError, match=r"Hits\.of"):
        rouge1(Hits.marked("+", truths=1), 1)


def test_true_tags_keep_the_order_in_which_they_were_posted():
    posts = Posts.of([Post("a", tags=("Zoo", "ape", "#zoo", "bee"))])
    assert posted(posts) == [["zoo", "ape", "bee"]]


# ---- a second implementation --------------------------------------------------------------------------------------


def sentences(tags):
    return [part.split() for part in " ".join(tags).split(".")]


def subsequences(words):
    """All subsequences, the longest first; of one length, those of later words first (the package's choice)."""
    for size in range(len(words), -1, -1):
        for chosen in sorted(combinations(range(len(words)), size), key=lambda c: c[::-1], reverse=True):
            yield tuple(words[i] for i in chosen)


def common(there, here):
    within = set(subsequences(here))
    return next(each for each in subsequences(there) if each in within)


def plain(said, true):
    if not said:
        return [0.0, 0.0, 0.0]
    first, second = sentences(said), sentences(true)
    flat = [[word for sentence in part for word in sentence] for part in (first, second)]
    grams = [[set(zip(*(words[i:] for i in range(n)))) for words in flat] for n in (1, 2)]
    union = {word for a in second for b in first for word in common(a, b)}
    lengths = [len(set(words)) for words in flat]
    return [*(f(len(a & b), len(a), len(b)) for a, b in grams), f(len(union), *lengths)]


def random_tags(seed, posts=300, tags=12):
    """Lists of 0 to 7 suggested and 1 to 5 true tags; some have two words, some a full stop."""
    rng = np.random.default_rng(seed)
    names = [f"t{i}" for i in range(tags)] + ["t1 t2", "t3 t1", "t2.t3", "t1.t4 t5"]
    draw = lambda low, high: [str(t) for t in rng.choice(names, rng.integers(low, high), replace=False)]  # noqa: E731
    return [(draw(0, 8), draw(1, 6)) for _ in range(posts)]


def test_agrees_with_the_second_implementation_on_random_tags():
    for said, true in random_tags(1):
        assert scores(said, true) == pytest.approx(plain(said, true), abs=1e-12), (said, true)


def test_agrees_with_the_package_on_random_tags():
    package = pytest.importorskip(
        "rouge", reason="the package rouge (1.0.1), a public implementation, is not installed"
    )
    judge = package.Rouge()
    for said, true in random_tags(2):
        if said:
            theirs = judge.get_scores(" ".join(said), " ".join(true))[0]
            assert scores(said, true) == pytest.approx([theirs[f"rouge-{n}"]["f"] for n in "12l"], abs=1e-12)
