"""History: nothing but what was known before a post, also when the history holds the asked posts themselves."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hashloom.data.history import History
from hashloom.data.read import read
from hashloom.types import Post, Posts

NOON = datetime(2025, 3, 2, 12, tzinfo=UTC)


def post(name, hours=None, user="ann", community="c", tags=("rye",)):
    when = None if hours is None else NOON + timedelta(hours=hours)
    return Post(name, "bread", community, user, when, tags=tags)


def named(history, posts, **how):
    return [[history.posts.ids[row] for row in rows] for rows in history.before(posts, **how)]


def test_history_of_the_asked_posts_themselves_gives_each_only_the_earlier_ones():
    asked = Posts.of([post("a", 0), post("b", 1), post("c", 2), post("d", 3)])
    assert named(History(asked), asked) == [[], ["a"], ["a", "b"], ["a", "b", "c"]]
    turned = asked[[3, 1, 0, 2]]
    assert named(History(turned), turned) == [["a", "b", "c"], ["a"], [], ["a", "b"]]


@pytest.mark.parametrize("by", ["user", "community"])
def test_a_history_file_with_the_asked_posts_is_as_good_as_one_with_the_earlier_ones(tmp_path, by):
    random = np.random.default_rng(4)
    rows = [
        post(f"p{i}", int(random.integers(0, 25)), f"u{random.integers(3)}", f"c{random.integers(2)}")
        for i in range(120)
    ]
    lines = [
        f'{{"id": "{p.id}", "text": "x", "user": "{p.user}", "community": "{p.community}", '
        f'"created_at": "{p.created_at.isoformat()}"}}\n'
        for p in rows
    ]
    file = tmp_path / "history.jsonl"
    file.write_text("".join(lines))
    history, asked = History(read(file)[0]), Posts.of(rows)
    for one, found in zip(rows, named(history, asked, by=by)):
        mates = [p for p in rows if p.community == one.community and (by == "community" or p.user == one.user)]
        assert sorted(found) == sorted(p.id for p in mates if p.created_at < one.created_at)
        assert one.id not in found


def test_posts_of_the_same_moment_do_not_see_each_other():
    asked = Posts.of([post("a", 0), post("b", 1), post("twin", 1), post("c", 1.001)])
    assert named(History(asked), asked) == [[], ["a"], ["a"], ["a", "b", "twin"]]


def test_undated_asked_posts_stand_at_their_place_in_a_history_that_holds_them():
    asked = Posts.of([post("a"), post("b"), post("c")])
    assert named(History(asked), asked) == [[], ["a"], ["a", "b"]]
    assert named(History(asked), Posts.of([post("draft")])) == [["a", "b", "c"]]


def test_undated_posts_are_no_past_of_one_another_but_of_every_dated_one():
    asked = Posts.of([post("x"), post("dated", 0), post("y")])
    assert named(History(asked), asked) == [[], ["x", "y"], ["x"]]


def test_the_earlier_of_two_times_of_one_post_counts():
    held = History(Posts.of([post("a", 0), post("b", 1), post("q", 0.5)]))
    assert named(held, Posts.of([post("q", 9)])) == [["a"]]
    assert named(held, Posts.of([post("q", -1)])) == [[]]
    assert named(held, Posts.of([post("q")])) == [["a"]]


def test_adding_the_asked_posts_to_what_is_remembered_changes_nothing():
    learnt = Posts.of([post(f"t{i}", i) for i in range(5)])
    asked = Posts.of([post("q1", 5), post("q2", 6)])
    alone = History(learnt)
    both = alone.and_(asked)
    assert named(alone, asked) == [learnt.ids, learnt.ids]
    assert named(both, asked) == [learnt.ids, [*learnt.ids, "q1"]]
    assert named(both.and_(asked), asked) == named(both, asked)


def test_of_a_post_held_already_the_one_held_stays():
    held = History(Posts.of([post("a", 0, tags=("rye",))]))
    assert held.and_(Posts.of([post("a", 3, tags=("oat",))])).posts.tags == [["rye"]]


def test_the_last_few_are_the_latest_of_the_strictly_earlier_ones():
    asked = Posts.of([post(f"p{i}", i) for i in range(6)])
    assert named(History(asked), asked, last=2)[4:] == [["p2", "p3"], ["p3", "p4"]]


def test_nothing_crosses_from_user_to_user_or_community_to_community():
    asked = Posts.of([post("a", 0), post("b", 0, "bo"), post("e", 0, community="d"), post("n", 0, None), post("q", 1)])
    history = History(asked)
    assert named(history, asked[[4]]) == [["a"]]
    assert named(history, asked[[4]], by="community") == [["a", "b", "n"]]
    assert named(history, Posts.of([post("x", 2, None)])) == [[]]


def test_ages_are_days_and_steps_where_there_is_no_time():
    history = History(Posts.of([post("u"), post("a", -48), post("b", -12)]))
    rows = history.before(Posts.of([post("q", 0)]))[0]
    moment = int(history.moments_of(Posts.of([post("q", 0)]))[0])
    assert history.ages(moment, rows).tolist() == [3, 2, 0.5]
    draft = int(history.moments_of(Posts.of([post("q")]))[0])
    assert history.ages(draft, rows).tolist() == [3, 2, 1]
