"""Novel and young tags: which they are, how they are counted, and that tables, slices and intervals know of them."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from world import checkerboard

from hashloom import catalogue
from hashloom.evaluate import protocol
from hashloom.evaluate.compare import interval
from hashloom.evaluate.findings import Experiment, Findings, Result
from hashloom.evaluate.metrics import measure, summarise
from hashloom.evaluate.novelty import among, novel, young
from hashloom.evaluate.report import markdown, report, table
from hashloom.types import Post, Posts, Rankings

START = datetime(2024, 1, 1, tzinfo=UTC)


def post(name, day, *tags, community="c", user=None):
    return Post(name, text=name, community=community, user=user, created_at=START + timedelta(days=day), tags=tags)


TRAIN = Posts.of([post("a", 0, "Old"), post("b", 1, "old", "Elsewhere", community="d")])
TEST = Posts.of(
    [
        post("p", 100, "old", "fresh"),
        post("q", 110, "Fresh", "elsewhere"),
        post("r", 129.9, "fresh"),
        post("s", 130, "fresh", "old"),
    ]
)


def ranked(posts, *rows):
    return Rankings.of(posts.ids, [[(tag, 9.0 - j) for j, tag in enumerate(row)] for row in rows])


def test_novel_is_what_no_training_post_of_the_community_carries():
    assert novel(TEST, TRAIN) == [{"fresh"}, {"fresh", "elsewhere"}, {"fresh"}, {"fresh"}]


def test_young_is_what_the_community_began_to_use_less_than_thirty_days_before():
    everything = Posts.concat([TRAIN, TEST])
    # The first to use a tag could not know it; thirty days later it is young no more.
    assert young(TEST, everything) == [set(), {"fresh"}, {"fresh"}, set()]
    assert young(TEST, everything, days=5) == [set(), set(), set(), set()]
    assert young(TEST, TEST) == [set(), {"fresh"}, {"fresh"}, set()]


def test_a_later_or_simultaneous_use_makes_no_tag_young():
    twins = Posts.of([post("x", 5, "new"), post("y", 5, "new"), post("z", 6, "new")])
    assert young(twins[:2], twins) == [set(), set()]
    assert young(twins[2:], twins) == [{"new"}]


def test_posts_without_a_time_have_no_young_tags_and_make_tags_old():
    undated = Posts.of([Post("u", community="c", tags=("fresh",))])
    assert young(undated, Posts.concat([undated, TEST])) == [set()]
    assert young(TEST, Posts.concat([TEST, undated])) == [set()] * 4


def test_recall_is_counted_over_all_such_tags_together_and_other_posts_are_left_out():
    answers = ranked(TEST, ["fresh"], ["x", "fresh"], ["old"], ["old"])
    names = ["novel_r@2", "novel_r@1", "young_r@2", "r@2"]
    scores = measure(answers, TEST.tags, names, among=among(TEST, TRAIN, Posts.concat([TRAIN, TEST])))
    assert summarise(scores, "novel_r@2") == pytest.approx(2 / 5)
    assert summarise(scores, "novel_r@1") == pytest.approx(1 / 5)
    assert summarise(scores, "young_r@2") == pytest.approx(1 / 2)
    assert np.isnan(scores.values["young_carried@2"]).tolist() == [True, False, False, True]
    assert summarise(scores, "novel_r@2", np.array([False, True, False, True])) == pytest.approx(1 / 3)


def test_intervals_are_those_of_a_ratio_of_sums():
    rng = np.random.default_rng(0)
    days = sorted(rng.uniform(0, 400, 400))
    test = Posts.of([post(str(i), d, f"t{i // 8}", "old", user=f"u{i % 50}") for i, d in enumerate(days)])
    answers = ranked(test, *([f"t{i // 8}"] if rng.random() < 0.5 else ["x"] for i in range(400)))
    scores = measure(answers, test.tags, ["novel_r@5"], among=among(test, TRAIN, test))
    found = interval(scores, "novel_r@5", by=test.users, resamples=300)
    assert 0.4 < found.low < found.value < found.high < 0.6
    assert interval(scores, "novel_r@5", by=test.users, resamples=300) == found


def test_without_the_marks_the_metric_is_refused_with_a_remedy():
    with pytest.raises(ValueError, match="which true tags are young"):
        measure(ranked(TEST, ["a"], [], [], []), TEST.tags, ["young_r@10"])


def findings(**settings):
    answers = [("knows", (["fresh", "old"],) * 4), ("old", (["old"],) * 4)]
    made = [Result(name, {}, ranked(TEST, *rows)) for name, rows in answers]
    names = ("ndcg@5", "novel_r@5", "young_r@5", "rouge1@5", "rougeL@5")
    return Findings(made, Experiment("tiny", TRAIN, TEST, metrics=names, resamples=50, **settings))


def test_findings_know_the_marks_and_the_ceilings():
    found = findings(history=TRAIN)
    assert found.names == ["knows", "old"]
    assert [one.value for one in found.intervals["novel_r@5"]] == pytest.approx([4 / 5, 0])
    assert [one.value for one in found.intervals["young_r@5"]] == pytest.approx([1, 0])
    assert found.value(0, "novel_r@1") == pytest.approx(4 / 5)
    assert found.ceilings["novel_r@5"] == 1
    assert found.known_ceilings["novel_r@5"] == 0
    assert found.ceilings["rougeL@5"] == pytest.approx(1)
    # Two posts know one of two tags, one knows both at once, one none.
    assert found.known_ceilings["rouge1@5"] == pytest.approx((2 / 3 + 0 + 0 + 2 / 3) / 4)


def test_the_tables_show_them_and_the_spread_where_it_is_wanted():
    heads = markdown(findings(spreads=True)).splitlines()[2]
    for words in ("novel R@5", "young R@5", "ROUGE-1@5", "ROUGE-L@5", "coverage", "Gini", "mean popularity", "unseen"):
        assert words in heads, words
    assert "coverage" not in markdown(findings())
    assert "Gini" in table(findings(spreads=True))
    row = next(line for line in markdown(findings(spreads=True)).splitlines() if line.startswith("| knows"))
    # Half of what is suggested is no training tag; one of three training tags is suggested.
    assert "33\u202f%" in row
    assert "50\u202f%" in row
    page = report(findings(spreads=True))
    assert "novel R@5" in page
    assert "Novel-tag recall" in page


def test_a_headline_of_novel_tags_draws_a_whole_report():
    made = [Result("knows", {}, ranked(TEST, *(["fresh"],) * 4))]
    found = Findings(made, Experiment("tiny", TRAIN, TEST, metrics=("novel_r@5", "young_r@5"), resamples=20))
    assert "novel R@5" in report(found)
    assert found.as_json()["methods"][0]["spread"]["unseen"] == 1


POSTS = Posts.concat(checkerboard()).in_order()


def test_other_posts_are_novel_by_what_the_model_learnt():
    trained = protocol.train(catalogue.recipe("popular"), POSTS, how="none")
    known = Post("new", "rye", "even", created_at=START + timedelta(days=900), tags=("Rye", "Unheard"))
    found = protocol.evaluate(trained.model, Posts.of([known]), said={}, metrics=["novel_r@5"])
    assert found.among["novel"] == [{"unheard"}]


def test_comparisons_and_evaluations_take_any_metrics(tmp_path):
    names = ["novel_r@5", "rouge2@5", "ndcg@5"]
    found = protocol.compare([catalogue.recipe("popular")], POSTS, metrics=names, spreads=True, folder=tmp_path)
    assert list(found.intervals) == names
    assert "Gini" in markdown(found)
    trained = protocol.train(catalogue.recipe("popular"), POSTS)
    protocol.publish(trained, tmp_path / "m")
    said = {**trained.facts}
    alone = protocol.evaluate(trained.model, POSTS, said=said, metrics=names)
    assert list(alone.as_json()["methods"][0]["metrics"]) == names
    with pytest.raises(ValueError, match="did you mean 'novel_r@5'"):
        protocol.compare([catalogue.recipe("popular")], POSTS, metrics=["novl_r@5"])
