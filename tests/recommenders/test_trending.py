"""Trends: uses fade, count once per author, and no one author moves what others are given."""

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from world import checkerboard, undated

from hashloom.recommender import load
from hashloom.recommenders.trending import Trending
from hashloom.types import Post, Posts

NOW = datetime(2025, 6, 1, tzinfo=UTC)


def use(tag: str, days_ago: float, user: str | None, community: str = "c") -> Post:
    moment = NOW - timedelta(days=days_ago)
    return Post(f"{tag}-{days_ago}-{user}-{community}", "", community, user, moment, tags=(tag,))


def asked(days_ago: float = 0.0, community: str = "c") -> Posts:
    return Posts.of([Post("asked", "", community, "asker", NOW - timedelta(days=days_ago))])


def scores(model: Trending, posts: Posts, k: int = 10, **more) -> dict[str, float]:
    return {s.tag: s.score for s in model.recommend(posts, k, **more)[0].suggestions}


def fitted(rows: list[Post], **settings) -> Trending:
    return Trending(**settings).fit(Posts.of(rows).in_order())


def test_a_use_of_one_half_life_ago_counts_half():
    found = scores(fitted([use("rye", d, u) for d, u in ((0.5, "a"), (2, "b"), (4, "c"))]), asked())
    assert found["rye"] == pytest.approx(2**-0.25 + 0.5 + 0.25)


def test_authors_count_and_of_each_the_latest_use():
    many = [use("alone", d / 100, "a") for d in range(1, 90)] + [use("alone", 1, "b")]
    few = [use("shared", 1, u) for u in "abc"]
    found = scores(fitted(many + few), asked())
    assert list(found) == ["shared", "alone"]
    assert found["alone"] == pytest.approx(2**-0.005 + 2**-0.5)


def test_more_uses_per_author_count_where_asked_for():
    rows = [use("rye", 1, "a"), use("rye", 2, "a"), use("rye", 3, "a"), use("rye", 2, "b")]
    assert scores(fitted(rows, per_author=2), asked())["rye"] == pytest.approx(2**-0.5 + 0.5 + 0.5)


def test_what_counted_before_a_later_use_counts_for_whom_is_asked_before_it():
    model = fitted([use("rye", 5, "a"), use("rye", 5, "b"), use("rye", 1, "a")])
    assert scores(model, asked(3))["rye"] == pytest.approx(2 * 0.5)
    assert scores(model, asked(1))["rye"] == pytest.approx(2 * 0.25), "a post of the same moment is not earlier"
    assert scores(model, asked())["rye"] == pytest.approx(2**-0.5 + 2**-2.5)


def town(tags: int = 30, each: int = 12) -> list[Post]:
    """A community where each tag has some authors, some once and some again."""
    draw = np.random.default_rng(0)
    return [
        use(f"tag{t}", float(draw.uniform(0.1, 40)), f"u{draw.integers(25)}")
        for t in range(tags)
        for _ in range(1 + t % each)
    ]


@pytest.mark.parametrize("measure", ["count", "burst"])
@pytest.mark.parametrize("user", ["spammer", None])
def test_one_author_posting_10_000_times_changes_nobody_elses_first_ten(measure, user):
    calm, rows = town(), [use("scam", 10 * i / 10_000, user) for i in range(1, 10_001)]
    quiet, flooded = fitted(calm, measure=measure), fitted(calm + rows, measure=measure)
    others = Posts.of(
        [Post(f"q{d}", "buy scam", "c", "u3", NOW - timedelta(days=d)) for d in (0, 1, 5, 9)]
        + [Post("draft", "", "c", None, NOW)]
    )
    wanted = [r.tags for r in quiet.recommend(others)]
    assert [r.tags for r in flooded.recommend(others)] == wanted
    assert [r.tags for r in quiet.recommend(others, history=Posts.of(rows))] == wanted


@pytest.mark.parametrize("measure", ["count", "burst"])
def test_a_flood_of_a_tag_that_others_use_counts_as_one_post(measure):
    calm = town()
    once = fitted([*calm, use("tag3", 0.001, "spammer")], measure=measure)
    often = fitted([*calm, *(use("tag3", i / 1000, "spammer") for i in range(1, 1001))], measure=measure)
    assert scores(often, asked()) == pytest.approx(scores(once, asked()), abs=1e-9)


def test_a_young_community_is_not_flooded_either():
    rows = [use("bread", 1, "a"), use("oven", 1, "b"), *(use("scam", i / 1000, "s") for i in range(1, 500))]
    assert list(scores(fitted(rows), asked())) == ["bread", "oven", "scam"]


def test_each_anonymous_post_counts_where_posts_never_name_an_author():
    rows = [use("rye", d, None) for d in (1, 1.5, 2)] + [use("oat", 0.5, None)]
    assert list(scores(fitted(rows, anonymous="each"), asked())) == ["rye", "oat"]
    found = scores(fitted(rows, anonymous="each", least_authors=1), asked())
    assert found["rye"] == pytest.approx(2**-0.5 + 2**-0.75 + 0.5)


def test_burst_is_more_than_usual():
    steady = [use("news", d + 0.3, f"n{d % 3}-{d}") for d in range(60) for _ in range(1)]
    steady += [use("news", d + 0.6, f"m{d}") for d in range(60)]
    sudden = [use("quake", 0.1 * i, f"q{i}") for i in range(1, 4)]
    both = steady + sudden
    assert next(iter(scores(fitted(both), asked()))) == "news"
    found = scores(fitted(both, measure="burst"), asked())
    assert next(iter(found)) == "quake"
    assert found["news"] == pytest.approx(1, abs=0.25), "a steady stream is usual"


def test_posts_given_as_history_count_at_once():
    model = fitted([use("rye", 3, u) for u in "ab"])
    fresh = Posts.of([use("quake", 0.01, u) for u in "abc"])
    assert next(iter(scores(model, asked(), history=fresh))) == "quake"
    assert next(iter(scores(model, asked(1), history=fresh))) == "rye"


@pytest.mark.parametrize("settings", [{}, {"per_author": 2}, {"measure": "burst"}, {"anonymous": "each"}])
def test_updated_it_says_what_it_says_fitted_anew(settings):
    rows = Posts.of([*town(), *(use("tag5", d / 10, None) for d in range(1, 30))]).in_order()
    late = len(rows) - 40
    model = Trending(**settings).fit(rows[:late])
    model.recommend(asked())
    for i in range(late, len(rows), 3):
        model.update(rows[i : i + 3])
        anew = Trending(**settings).fit(rows[: i + 3])
        for days in (0, 2, 20):
            assert scores(model, asked(days), 40) == pytest.approx(scores(anew, asked(days), 40))


def test_a_forgotten_author_leaves_the_trend():
    model = fitted([use("rye", 1, "a"), use("rye", 1, "b"), use("oat", 1, "a"), use("oat", 1, "b"), use("oat", 2, "c")])
    assert list(scores(model, asked())) == ["oat", "rye"]
    model.forget(users=["b"])
    assert scores(model, asked())["oat"] == pytest.approx(2**-0.5 + 2**-1)
    model.forget(tags=["oat"])
    assert list(scores(model, asked())) == ["rye"]


def test_posts_without_a_time_lie_a_day_apart():
    rows = [Post(str(i), "", "c", f"u{i}", tags=(t,)) for i, t in enumerate(("old", "old", "new", "new"))]
    found = scores(fitted(rows), Posts.of([Post("asked", "", "c")]))
    assert found == pytest.approx({"new": 2**-0.5 + 2**-1, "old": 2**-1.5 + 2**-2})
    dated = scores(fitted([*rows, use("dated", 7, "x"), use("dated", 7.0, "y")]), asked(7 - 1))
    assert dated["dated"] == pytest.approx(2 * 2**-0.5)
    assert dated["new"] == pytest.approx(2**-1 + 2**-1.5), "undated posts lie before the first that has a time"


def test_a_draft_is_of_the_moment_of_the_latest_post():
    model = fitted([use("rye", d, u) for d, u in ((9, "a"), (11, "b"))])
    assert scores(model, Posts.of([Post("draft", "", "c")]))["rye"] == pytest.approx(1 + 0.5)


def test_the_checkerboard_without_times():
    train, held = checkerboard()
    for ranking in Trending().fit(undated(train)).recommend(undated(held)):
        assert ranking.tags


def test_reasons_name_trend_and_community():
    model = fitted([use("rye", 1, "a"), use("rye", 1, "b"), use("oat", 1, "a")])
    found = {s.tag: s.reasons[0] for s in model.recommend(asked(), explain=True)[0].suggestions}
    assert (found["rye"].source, found["rye"].where) == ("trend", "2 authors in 30 days")
    assert (found["oat"].source, found["oat"].weight) == ("community", 1)


def test_kept_and_read_back(tmp_path):
    model = fitted(town(), measure="burst", half_life_days=1.0)
    assert scores(load(model.save(tmp_path / "model")), asked()) == scores(model, asked())


def test_a_hundred_thousand_remembered_posts_are_not_counted_anew_for_each_answer():
    """Answers took 0.7 ms and an update 6; to count all that is remembered takes a second."""
    draw = np.random.default_rng(0)
    tags = draw.zipf(1.3, (100_000, 2)) % 3000
    frame = pl.DataFrame(
        {
            "id": [str(i) for i in range(100_000)],
            "user": [f"u{u}" for u in draw.integers(0, 5000, 100_000)],
            "community": ["c"] * 100_000,
            "created_at": [NOW - timedelta(minutes=100_000 - i) for i in range(100_000)],
            "tags": [[f"t{a}", f"t{b}"] for a, b in tags.tolist()],
        }
    )
    model = Trending(measure="burst").fit(Posts.of(frame))
    wanted = Posts.of([Post(f"q{i}", "", "c", None, NOW - timedelta(hours=i)) for i in range(100)])
    model.recommend(wanted[:1])
    assert quickest(lambda: model.recommend(wanted)) / len(wanted) < 0.02
    new = iter([use("newborn", -i / 1000, f"w{i}") for i in range(10)])
    assert quickest(lambda: model.update(Posts.of([next(new)])).recommend(asked()), 10) < 0.2
    assert model.recommend(Posts.of([Post("draft", "", "c")]))[0].tags[0] == "newborn"


def quickest(work, times: int = 3) -> float:
    took = []
    for _ in range(times):
        start = time.process_time()
        work()
        took.append(time.process_time() - start)
    return min(took)
