"""What is told of the rows of a table: the best K, named pairs, pictures as a slice, and the curves as a figure."""

from xml.etree import ElementTree

import numpy as np
import pytest

from hashloom.evaluate.figure import figure
from hashloom.evaluate.findings import Experiment, Findings, Result
from hashloom.evaluate.metrics import measure, summarise
from hashloom.evaluate.report import markdown, report
from hashloom.evaluate.slices import slices
from hashloom.types import Post, Posts, Rankings


def best_first(posts, place):
    """Answers with the one true tag at ``place`` (from 1), a number or a function of the post's row."""
    lists = []
    for i, post in enumerate(posts):
        at = place(i) if callable(place) else place
        row = [f"none{j}" for j in range(14)]
        lists.append([(tag, float(-j)) for j, tag in enumerate([*row[: at - 1], post.tags[0], *row[at - 1 :]])])
    return Rankings.of(posts.ids, lists)


def world(count, offset=0):
    return Posts.of(
        [Post(f"p{offset + i}", "word " * (i % 4 * 6), "c", f"u{i % 25}", tags=(f"t{i % 3}",)) for i in range(count)]
    )


def test_k_is_chosen_on_validation_and_measured_on_test():
    test, tuning = world(60), world(30, 100)
    late = Result("late", {}, best_first(test, 1), tuning={"": best_first(tuning, 3)})
    none = Result("none", {}, best_first(test, 2))
    found = Findings([late, none], Experiment("w", world(90, 200), test, tuning=tuning, resamples=50))
    assert found.names == ["late", "none"]
    assert found.peaks.ks == [3, None]
    assert found.peaks.intervals[0].value == pytest.approx(found.value(0, "f1_means@3")) == pytest.approx(0.5)
    assert found.peaks.difference(0, 1) is None
    assert "| 3 | 0.500" in markdown(found)
    assert "best on the validation posts: K = 3" in report(found)


def test_two_methods_at_their_own_k_are_compared_on_the_same_draws():
    test, tuning = world(60), world(30, 100)
    made = [Result(str(k), {}, best_first(test, k), tuning={"": best_first(tuning, k)}) for k in (1, 3)]
    found = Findings(made, Experiment("w", world(90, 200), test, tuning=tuning, resamples=50))
    gap = found.peaks.difference(0, 1)
    assert found.peaks.ks == [1, 3]
    assert gap.difference.value == pytest.approx(0.5)
    assert gap.ratio.value == pytest.approx(2.0)
    assert gap.difference.low == pytest.approx(0.5)


def test_named_pairs_are_told_apart_overall_and_by_caption_length():
    test = world(60)
    first = best_first(test, lambda i: 1 if i % 4 == 0 else 2)
    made = [Result("a", {}, first), Result("b", {}, best_first(test, 2))]
    found = Findings(made, Experiment("w", world(90, 200), test, resamples=50, pairs=(("a", "b"),)))
    (one,) = found.pairs
    rows = {(r.metric, r.label): r for r in one.rows}
    assert {label for _, label in rows} == {"all posts", "no words", "6–20 words"}
    assert rows["ndcg@10", "no words"].posts == 15
    at_one, at_two = 1.0, 1 / np.log2(3)
    assert rows["ndcg@10", "no words"].difference.difference.value == pytest.approx(at_one - at_two)
    assert rows["ndcg@10", "6–20 words"].difference.difference.value == 0
    scores = [measure(r.rankings, [set(t) for t in test.tags], ["ndcg@10"]) for r in made]
    whole = summarise(scores[0], "ndcg@10") - summarise(scores[1], "ndcg@10")
    assert rows["ndcg@10", "all posts"].difference.difference.value == pytest.approx(whole)
    assert rows["f1_posts@10", "all posts"].difference.difference.value == 0
    assert "Pair by pair" in report(found)
    assert "a minus b" in report(found)


def test_a_pair_must_name_rows():
    test = world(10)
    found = Findings([Result("a", {}, best_first(test, 1))], Experiment("w", test, test, pairs=(("a", "x"),)))
    with pytest.raises(ValueError, match="no row 'x'"):
        _ = found.pairs


def test_posts_with_a_picture_are_a_slice():
    test = Posts.of([Post("a", "x", images=("a.jpg",)), Post("b", "x")])
    assert {k: v.tolist() for k, v in slices(test, test)["picture"].items()} == {
        "with a picture": [True, False],
        "without a picture": [False, True],
    }
    assert "picture" not in slices(test[1:], test)


def test_the_figure_is_a_picture_of_five_charts_up_to_ten():
    test, tuning = world(60), world(30, 100)
    made = [Result(f"<{k}>", {}, best_first(test, k), tuning={"": best_first(tuning, k)}) for k in (1, 3)]
    root = ElementTree.fromstring(figure(Findings(made, Experiment("w", world(90, 200), test, tuning=tuning))))
    lines = root.findall(".//{http://www.w3.org/2000/svg}polyline")
    assert len(lines) == 10
    assert all(len(line.attrib["points"].split()) == 10 for line in lines)
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Precision", "Recall", "Hit", "<1>", "<3>"} <= set(texts)
    assert texts.count("K = 1") == 2
