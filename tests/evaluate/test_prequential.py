"""The walk through time: cut right, asked before learnt, each mode knows what it may, a stopped walk goes on."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from world import undated

from hashloom import catalogue
from hashloom.evaluate.prequential import MODES, _paces, keeping_place, of_recipe, prequential, walk
from hashloom.evaluate.prequential_page import figure, gains, setting, shown, steps, summary
from hashloom.types import Post, Posts, Rankings

START = datetime(2024, 1, 1, tzinfo=UTC)
LOBSTERS = Path(__file__).resolve().parents[3] / "shared/data/lobsters/posts.parquet"


def stream(posts=120, community="c"):
    """Two posts a day; every ten days a new tag is born, which every other post carries from then on."""
    rows = []
    for i in range(posts):
        tags = ("steady", f"born{i // 20}") if i % 2 else ("steady",)
        when = START + timedelta(hours=12 * i)
        rows.append(
            Post(f"{community}{i:03}", f"the text number {i} of many", community, f"u{i % 30}", when, tags=tags)
        )
    return Posts.of(rows)


class Latest:
    """Suggests the tags that it learnt, the last one first, and writes down what it is told and asked."""

    def __init__(self, log=None):
        self.tags, self.log = {}, [] if log is None else log

    def fit(self, posts):
        self.log.append(("fit", posts.ids))
        return self._take(posts)

    def update(self, posts):
        self.log.append(("update", posts.ids))
        return self._take(posts)

    def _take(self, posts):
        for tags in posts.tags:
            for tag in tags:
                self.tags.pop(tag, None)
                self.tags[tag] = None
        return self

    def recommend(self, posts, k):
        self.log.append(("ask", posts.ids))
        row = [(tag, 1.0) for tag in reversed(self.tags)]
        return Rankings.of(posts.ids, [row[:k] for _ in posts.ids])


def walked(log=None, made=None, **settings):
    made = walk(stream(), first=0.5, steps=3) if made is None else made
    return prequential("latest", lambda posts: Latest(log).fit(posts), made, say=lambda _: None, **settings)


# ---- cutting ------------------------------------------------------------------------------------------------------


def test_a_walk_cuts_by_time_and_loses_no_post():
    posts = stream()
    made = walk(Posts(posts.frame.reverse()), first=0.5, steps=3)
    assert [len(made.first), *map(len, made.steps)] == [60, 20, 20, 20]
    assert made.everything.ids == posts.ids
    assert made.questions.ids == posts.ids[60:]
    assert made.at.tolist() == [0] * 20 + [1] * 20 + [2] * 20


def test_steps_of_days():
    made = walk(stream(), first=0.5, days=7)
    assert [len(step) for step in made.steps] == [14, 14, 14, 14, 4]
    with pytest.raises(ValueError, match="give a number of steps"):
        walk(undated(stream()), days=7)


def test_posts_of_one_moment_stay_together():
    rows = [Post(str(i), f"post {i}", created_at=START + timedelta(days=i // 4), tags=("x",)) for i in range(16)]
    made = walk(Posts.of(rows), first=0.4, steps=3)
    times = [set(part.times.tolist()) for part in (made.first, *made.steps)]
    assert len(set.union(*times)) == sum(map(len, times)) == 4
    assert [len(some) for some in _paces(Posts.of(rows), 3)] == [4, 4, 4, 4]
    assert [len(some) for some in _paces(undated(Posts.of(rows)), 5)] == [5, 5, 5, 1]


def test_undated_posts_are_cut_in_each_community():
    both = undated(Posts.concat([stream(20, "a"), stream(60, "b")]))
    made = walk(both, first=0.5, steps=2)
    assert [[part.communities.count(c) for c in "ab"] for part in (made.first, *made.steps)] == [
        [10, 30],
        [5, 15],
        [5, 15],
    ]


def test_copies_and_posts_without_tags_are_learnt_but_not_asked():
    rows = list(stream(40))
    rows[30] = Post("copy", rows[3].text + "!", "c", created_at=rows[30].created_at, tags=("steady",))
    rows[35] = Post("bare", "no tag at all", "c", created_at=rows[35].created_at)
    made = walk(Posts.of(rows), first=0.5, steps=2)
    assert {"copy", "bare"} <= set(made.steps[1].ids) | set(made.steps[0].ids)
    assert not {"copy", "bare"} & set(made.questions.ids)


def test_what_cannot_be_walked_is_refused():
    with pytest.raises(ValueError, match="too few"):
        walk(Posts.of([Post("a", "x"), Post("b", "y")]))
    with pytest.raises(ValueError, match="between 0 and 1"):
        walk(stream(), first=1.0)


# ---- walking ------------------------------------------------------------------------------------------------------


def test_every_post_is_asked_before_it_is_learnt_and_the_frozen_learns_nothing():
    log = []
    made = walk(stream(), first=0.5, steps=3)
    walked(log, made, modes=("frozen",))
    assert log == [("fit", made.first.ids), *(("ask", step.ids) for step in made.steps)]
    log.clear()
    walked(log, made, modes=("updated",))
    assert log == [("fit", made.first.ids), *((verb, step.ids) for step in made.steps for verb in ("ask", "update"))]
    log.clear()
    walked(log, made, modes=("updated",), pace=8)
    assert [len(ids) for verb, ids in log if verb == "update"] == [8, 8, 4] * 3
    known = set()
    for verb, ids in log:
        assert verb != "ask" or not known & set(ids)
        known |= set(ids)


def test_the_retrained_learns_all_that_came_before():
    log = []
    made = walk(stream(), first=0.5, steps=3)
    found = walked(log, made)
    fits = [ids for verb, ids in log if verb == "fit"]
    assert fits == [made.first.ids, made.everything.ids[:80], made.everything.ids[:100]]
    # Before the first step all three know the same; it is not trained again.
    assert {found.values(mode, "ndcg@10")[0] for mode in MODES} == {found.values("frozen", "ndcg@10")[0]}


def test_scores_are_those_of_tags_born_on_the_way():
    found = walked(metrics=("ndcg@10", "young_r@10", "novel_r@10", "r@10"))
    # born3 … born5 come up with the steps: the first part has born0 … born2.
    assert found.counts("novel_r@10") == [10, 10, 10]
    assert found.counts("young_r@10") == [9, 9, 9]
    assert found.counts("ndcg@10") == [20, 20, 20]
    assert found.values("frozen", "novel_r@10") == [0, 0, 0]
    assert found.values("updated", "novel_r@10") == found.values("retrained", "novel_r@10") == [0, 0, 0]
    quick = walked(pace=1, metrics=("young_r@10", "novel_r@10"))
    assert quick.values("updated", "young_r@10") == [1, 1, 1]
    assert quick.values("updated", "novel_r@10") == [0.9, 0.9, 0.9]
    assert quick.values("frozen", "young_r@10", so_far=True) == [0, 0, 0]
    gain = quick.difference("updated", "frozen", "young_r@10")
    assert gain.difference.value == 1
    assert gain.clear


def test_old_novelties_are_found_after_an_update():
    made = walk(stream(), first=0.4, steps=8)
    found = walked(made=made)
    late = found.values("updated", "novel_r@10")
    assert late[2] > 0
    assert found.values("retrained", "novel_r@10") == pytest.approx(late, nan_ok=True)
    assert found.values("updated", "novel_r@10", so_far=True)[-1] == pytest.approx(
        found.interval("updated", "novel_r@10").value
    )


def test_a_stopped_walk_goes_on_and_catches_up(tmp_path):
    made = walk(stream(), first=0.4, steps=4)
    whole = walked(made=made, pace=5, folder=tmp_path)
    for name in ("updated-003", "retrained-004"):
        (tmp_path / f"{name}.parquet").unlink()
    log = []
    again = walked(log, made, pace=5, folder=tmp_path)
    for mode in MODES:
        for metric in whole.metrics:
            assert np.array_equal(again.values(mode, metric), whole.values(mode, metric), equal_nan=True)
    asked = [i for verb, ids in log if verb == "ask" for i in ids]
    assert asked == made.asked[2].ids + made.asked[3].ids
    log.clear()
    walked(log, made, pace=5, folder=tmp_path)
    assert log == []


def test_other_settings_and_other_walks_are_other_answers(tmp_path):
    popular, made = catalogue.recipe("popular"), walk(stream(), steps=3)
    changed = popular | {"model": catalogue.override(popular["model"], "half_life_days=3")}
    places = {
        keeping_place(popular, made, tmp_path),
        keeping_place(changed, made, tmp_path),
        keeping_place(popular, walk(stream(), steps=4), tmp_path),
        keeping_place(popular, made, tmp_path, pace=10),
    }
    assert len(places) == 4


def test_a_real_recommender_walks():
    found = prequential("popular", of_recipe(catalogue.recipe("popular")), walk(stream(), steps=5), pace=1)
    assert sum(found.values("frozen", "novel_r@10")) == 0
    # Popular counts its tags, so that an update is all that it needs; only the first use of a tag cannot be known.
    assert found.values("updated", "young_r@10")[1:] == [1, 1, 1, 1]
    assert found.interval("updated", "ndcg@10").value > found.interval("frozen", "ndcg@10").value


# ---- the page -----------------------------------------------------------------------------------------------------


def test_the_tables_and_the_picture():
    found = walked(made=walk(stream(), first=0.4, steps=4), pace=5)
    drawn = figure([found, found])
    ElementTree.fromstring(drawn)
    assert drawn.count("<polyline") == 2 * 3 * 3
    assert "step = 4" in drawn
    lines = steps(found).splitlines()
    assert len(lines) == 2 + 4
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].split("|")[2].strip() == "2024-01-25"
    assert len(summary([found]).splitlines()) == 2 + 3
    assert "updated − frozen" in gains([found])
    assert "48 posts teach first; 72 come in 4 steps" in setting(found)
    json.dumps(found.values("updated", "ndcg@10"))


def test_without_times_no_tag_is_young_and_the_page_says_nothing_of_it():
    found = walked(made=walk(undated(stream()), steps=3))
    assert shown(found) == ["ndcg@10", "novel_r@10"]
    assert "young" not in figure([found]) + summary([found]) + steps(found) + gains([found])


@pytest.mark.skipif(not LOBSTERS.is_file(), reason="the Lobsters posts are not there")
def test_lobsters_walks():
    from hashloom.data.read import read

    made = walk(read(LOBSTERS)[0].in_order()[:3000], first=0.5, steps=2)
    found = prequential("popular-recent", of_recipe(catalogue.recipe("popular-recent")), made, pace=100)
    assert sum(found.counts("young_r@10")) > 0
    assert found.interval("updated", "novel_r@10").value > found.interval("frozen", "novel_r@10").value == 0
