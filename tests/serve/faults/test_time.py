"""Times through the service: zones, units, impossible and future moments, a clock that jumps (fault list, item 13)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from asking import asked

from hashloom.recommenders.trending import Trending
from hashloom.serve import learnable
from hashloom.serve.drafts import Draft, with_scoped_ids
from hashloom.serve.engine import Engine
from hashloom.store import Feedback, Store
from hashloom.types import Post, Posts

NOW = datetime.now(UTC).replace(microsecond=0)
New = Callable[..., Engine]


def body(created_at: object, **more: object) -> dict[str, object]:
    return {"text": "rye", "user": "mo", "tags": ["Rye"], "created_at": created_at, **more}


# ---- what is taken as a time


@pytest.mark.parametrize(
    "given",
    [
        "2025-03-02T08:41:00", "2025-03-02", "08:41:00Z", "2025-02-30T00:00:00Z", "2025-03-02T24:01:00Z",
        "2025-03-02T08:41:00+25:00", "2025-03-02T08:41:00 Europe/Berlin", "2016-12-31T23:59:60Z", "today", "",
        "1970-01-01T00:00:00Z", "1989-12-31T23:59:59Z", "2101-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
        "0001-01-01T00:00:00Z",
        1740904860, 1740904860000, 1740904860.5, "1740904860", "1740904860000", True, [], {}, float(2**31), -1,
    ],
)  # fmt: skip
def test_what_is_no_certain_time_is_refused_and_nothing_kept(engine: Engine, given: object) -> None:
    with asked(engine) as client:
        answer = client.put("/v1/posts/even/t", json=body(given))
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:hashloom:problem:unprocessable-content")
        assert answer.json()["errors"][0]["field"] == "created_at"
        assert client.get("/v1/posts/even/t").status_code == 404


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2025-03-02T08:41:00Z", "2025-03-02T08:41:00"),
        ("2025-03-02T17:41:00+09:00", "2025-03-02T08:41:00"),
        ("2025-03-02T08:41:00.123456Z", "2025-03-02T08:41:00.123456"),
        # In Berlin 02:30 did not occur that day, and 02:30 on the other occurred twice: the offset says which is meant.
        ("2025-03-30T02:30:00+01:00", "2025-03-30T01:30:00"),
        ("2025-10-26T02:30:00+02:00", "2025-10-26T00:30:00"),
        ("2025-10-26T02:30:00+01:00", "2025-10-26T01:30:00"),
        ("2038-01-19T03:14:08Z", "2038-01-19T03:14:08"),
        ("1990-01-01T00:00:00Z", "1990-01-01T00:00:00"),
        ("2100-12-31T23:59:59Z", "2100-12-31T23:59:59"),
    ],
)
def test_a_stated_zone_is_one_moment_in_utc(engine: Engine, given: str, kept: str) -> None:
    with asked(engine) as client:
        assert client.put("/v1/posts/even/t", json=body(given)).json()["status"] == "new"
        assert client.get("/v1/posts/even/t").json()["created_at"] == f"{kept}Z"
        assert client.put("/v1/posts/even/t", json=body(f"{kept}Z")).json()["status"] == "same"


def test_mixed_zones_stand_in_the_order_in_which_they_happened(store: Store) -> None:
    noon = datetime(2025, 6, 1, 12, tzinfo=UTC)
    zones = [timezone(timedelta(hours=h)) for h in (9, -8, 0, 5.5)]
    posts = [
        Post(f"z{i}", "x", "zones", "mo", (noon + timedelta(minutes=i)).astimezone(z)) for i, z in enumerate(zones)
    ]
    store.put_posts(Posts.of(posts[::-1]))
    assert store.history("zones", "mo").ids == ["z0", "z1", "z2", "z3"]
    assert store.history("zones", "mo", before=posts[2].created_at).ids == ["z0", "z1"]


def test_the_store_is_asked_with_a_zone_alone(store: Store) -> None:
    naive = datetime(2025, 1, 1)
    with pytest.raises(ValueError, match="no time zone"):
        store.history("even", "u0", before=naive)
    with pytest.raises(ValueError, match="no time zone"):
        next(store.posts("even", since=naive))
    assert store.put_feedback([Feedback("n", "even", "p", "Rye", "accepted", at=naive)]).refused[0][0] == "n"
    assert not list(store.feedback("even"))


# ---- the future


def crowd(tag: str, moment: datetime, count: int = 3) -> Posts:
    return Posts.of([Post(f"{tag}{i}", "oven news", "town", f"{tag}-u{i}", moment, tags=(tag,)) for i in range(count)])


@pytest.fixture
def trending(store: Store, tmp_path: Path) -> Store:
    """A store whose community has a trend, with a published model that follows trends."""
    store.put_posts(crowd("Now", NOW - timedelta(hours=1), 4))
    store.put_posts(crowd("Old", NOW - timedelta(days=20), 9))
    folder = Trending().fit(with_scoped_ids(store.recent("town"))).save(tmp_path / "trending")
    store.publish("recommender", store.add_model("recommender", folder).digest)
    return store


@pytest.mark.parametrize("ahead", [timedelta(days=2), timedelta(days=400), datetime(2100, 12, 31, tzinfo=UTC) - NOW])
def test_posts_of_the_future_lead_no_trend_and_teach_nothing(trending: Store, engine_of: New, ahead: timedelta) -> None:
    engine = engine_of()
    before = engine.suggest(Draft("oven", "town")).tags
    assert before == ["Now", "Old"]
    trending.put_posts(crowd("Later", NOW + ahead, 20))
    engine.sync()
    for one in (engine, engine_of()):
        assert one.suggest(Draft("oven", "town")).tags == before
        assert [shown for shown, _ in one.trends("town")] == before
        assert not one.complete("town", "lat")
    assert "Later" not in {tag for posts in learnable.learnable(trending) for tags in posts.tags for tag in tags}
    assert trending.count("town") == 33


def test_a_clock_that_is_a_little_ahead_costs_nothing(trending: Store, engine_of: New) -> None:
    engine = engine_of()
    trending.put_posts(crowd("Fast", datetime.now(UTC) + timedelta(minutes=10), 5))
    engine.sync()
    assert "Fast" in engine.suggest(Draft("oven", "town")).tags
    assert "Fast" not in [shown for shown, _ in engine.trends("town")]


def test_a_post_that_is_moved_into_the_future_is_forgotten_until_then(
    trending: Store, engine_of: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = engine_of()
    trending.put_posts(Posts.of([replace(post, created_at=NOW + timedelta(days=30)) for post in crowd("Old", NOW, 9)]))
    engine.sync()
    assert engine.suggest(Draft("oven", "town")).tags == ["Now"]
    monkeypatch.setattr(learnable, "now", lambda: int((NOW + timedelta(days=31)).timestamp() * 1e6))
    assert "Old" in engine_of().suggest(Draft("oven", "town")).tags


# ---- clocks


@pytest.mark.parametrize("years", [-30, -1, 1, 30])
def test_a_clock_that_jumps_changes_no_answer_and_no_limit(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, years: int
) -> None:
    draft = {"text": "rye flour kneaded", "community": "even"}
    with asked(engine) as client:
        before = client.post("/v1/suggest", json=draft).json()["suggestions"]
        moment = time.time() + years * 365.25 * 86_400
        monkeypatch.setattr("hashloom.serve.ledger.time", lambda: moment)
        monkeypatch.setattr("hashloom.store.things.now", lambda: int(moment * 1e6))
        for name in ("posts", "feedback", "models", "_base", "_rows"):
            monkeypatch.setattr(f"hashloom.store.{name}.now", lambda: int(moment * 1e6), raising=False)
        assert client.post("/v1/suggest", json=draft).json()["suggestions"] == before
        assert client.get("/v1/trends/even").status_code == 200
        assert client.put("/v1/posts/even/t", json=body("2025-03-02T08:41:00Z")).json()["status"] == "new"
        event = {"token": "t1", "community": "even", "post_id": "d1", "tag": before[0]["tag"], "event": "rejected"}
        assert client.post("/v1/feedback", json={"events": [event]}).json()["new"] == 1
        again = client.post("/v1/suggest", json={**draft, "post_id": "d1"}).json()["suggestions"]
        assert before[0]["tag"] not in [one["tag"] for one in again]
        assert client.get("/ready").status_code == 200
