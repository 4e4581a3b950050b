"""What earlier posts got, next to a plain count of posts that are earlier and settled."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hashloom.data.history import History
from hashloom.data.record import Record
from hashloom.types import Post, Posts

START = datetime(2025, 1, 1, tzinfo=UTC)


def record_of(posts, settles=0.0):
    values = np.arange(len(posts), dtype=float)
    import polars as pl

    return Record(History(Posts(posts.frame.with_columns(value=pl.Series(values)))), settles)


@pytest.mark.parametrize("settles", [0.0, 1.0, 2.5])
def test_earlier_and_settled_posts_of_author_and_community_are_counted(settles):
    draw = np.random.default_rng(0)
    days = np.sort(draw.integers(0, 8, 40))
    posts = Posts.of(
        Post(str(i), user=str(draw.choice(["mo", "li"])), community=str(draw.choice(["a", "b"])),
             created_at=START + timedelta(days=int(day)))
        for i, day in enumerate(days)
    )  # fmt: skip
    record = record_of(posts, settles)
    for by in ("user", "community"):
        of = record.of(posts, by)
        for i, post in enumerate(posts):
            rows = [
                j for j, other in enumerate(posts)
                if days[j] < days[i] and days[j] + settles <= days[i] and other.community == post.community
                and (by == "community" or other.user == post.user)
            ]  # fmt: skip
            assert (of.count[i], of.total[i]) == (len(rows), sum(rows))
            assert of.squares[i] == sum(j * j for j in rows)


def test_undated_posts_are_known_at_once():
    posts = Posts.of([Post(str(i), user="mo") for i in range(4)])
    assert record_of(posts, settles=2.0).of(posts).count.tolist() == [0, 1, 2, 3]
    assert record_of(posts, settles=2.0).of(Posts.of([Post("new", user="mo")])).count.tolist() == [4]


def test_a_post_given_twice_does_not_see_itself():
    twice = Posts.of([Post("a", user="mo"), Post("b", user="mo"), Post("a", user="mo")])
    assert [rows.tolist() for rows in record_of(twice).rows(twice)] == [[], [0], []]
