"""Newcomers: who came so lately that what they use is no favourite, no trend and no company for a rare tag yet."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from asking import asked
from world import START

from hashloom.serve import ledger as ledgers
from hashloom.serve.engine import Engine
from hashloom.serve.ledger import Ledger, Used
from hashloom.serve.newcomers import NEVER, Arrivals
from hashloom.serve.settings import ServeSettings
from hashloom.store import Store
from hashloom.types import Post, Posts

DAYS = 14.0
NOW = START + timedelta(days=60)
OLD, NEW = NOW - timedelta(days=40), NOW - timedelta(hours=3)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The ledger's clock, in seconds, in a list so that it can be set."""
    held = [NOW.timestamp()]
    monkeypatch.setattr(ledgers, "time", lambda: held[0])
    return held


def post(id: str, user: str | None, at: datetime | None, *tags: str) -> Post:
    return Post(id, "", "c", user, at, tags=tags)


def ledger(*posts: Post, **settings: Any) -> Ledger:
    made = Ledger(**{"trusted_after_days": DAYS} | settings)
    made.put(Posts.of(posts))
    return made


# ---------------------------------------------------------------- in the ledger


def test_newcomers_count_once_they_have_aged(clock: list[float]) -> None:
    held = ledger(*(post(f"o{i}", f"o{i}", OLD, "Rye") for i in range(3)),
                  *(post(f"n{i}", f"n{i}", NEW, "Scam", "Rye") for i in range(50)))  # fmt: skip
    assert held.favourites("c") == [Used("rye", 3, 3), Used("scam", 0, 0)]
    assert [(one.tag, one.authors) for one in held.trends("c", days=90.0)] == [("rye", 3)]
    assert [held.at_least("c", "scam", n) for n in (0, 1)] == [True, False]
    assert [held.at_least("c", "rye", n) for n in (3, 4)] == [True, False]
    clock[0] = NEW.timestamp() + DAYS * 86_400 - 1
    assert held.favourites("c")[0] == Used("rye", 3, 3)
    clock[0] += 1  # nothing came or went: it is time alone that passes
    assert held.favourites("c") == [Used("rye", 53, 53), Used("scam", 50, 50)]
    assert {one.tag: one.authors for one in held.trends("c", days=90.0)} == {"rye": 53, "scam": 50}
    assert held.at_least("c", "scam", 50)


def test_without_the_setting_all_count_and_nothing_is_kept_of_them(clock: list[float]) -> None:
    held = ledger(post("n", "mo", NEW, "Rye"), trusted_after_days=0.0)
    assert held.favourites("c") == [Used("rye", 1, 1)]
    assert held._places["c"].arrivals is None
    assert not held.tells_newcomers
    assert ServeSettings().trusted_after_days == 0.0
    assert ServeSettings().changed(["trusted_after_days=0.5"]).trusted_after_days == 0.5
    with pytest.raises(ValueError, match="0 or more"):
        ServeSettings().changed(["trusted_after_days=-1"])


def test_one_old_post_makes_an_author_old_in_that_community_alone(clock: list[float]) -> None:
    elsewhere = Post("e", "", "d", "al", OLD, tags=("Oat",))
    held = ledger(post("n1", "mo", NEW, "Rye"), post("n2", "al", NEW, "Rye"), post("o", "mo", OLD), elsewhere)
    assert held.favourites("c") == [Used("rye", 1, 1)]
    assert held.favourites("d") == [Used("oat", 1, 1)]


def test_edits_and_deletions_of_the_first_post_keep_the_age_right(clock: list[float]) -> None:
    held = ledger(post("o", "mo", OLD, "Oat"), post("n", "mo", NEW, "Rye"), post("x", "al", OLD, "Oat"))
    assert held.at_least("c", "rye", 1)
    held.put(Posts.of([post("o", "mo", OLD, "Barley")]))  # its tags alone
    assert held.at_least("c", "rye", 1)
    held.put(Posts.of([post("o", "mo", NEW, "Barley")]))  # its time
    assert not held.at_least("c", "rye", 1)
    held.put(Posts.of([post("o", "mo", OLD, "Barley")]))
    assert held.at_least("c", "rye", 1)
    held.remove("c", ["o"])
    assert not held.at_least("c", "rye", 1)
    held.put(Posts.of([post("o", "al", OLD, "Rye"), post("n", "mo", OLD, "Rye")]))  # another's now
    assert held.at_least("c", "rye", 2)


def test_posts_without_an_author_age_one_by_one_or_together(clock: list[float]) -> None:
    posts = [post("o", None, OLD, "Oat"), post("n", None, NEW, "Rye")]
    assert not ledger(*posts).at_least("c", "rye", 1)
    assert ledger(*posts, anonymous="one").at_least("c", "rye", 1)


def test_posts_without_a_time_make_nobody_old(clock: list[float]) -> None:
    held = ledger(post("u", "mo", None, "Rye"))
    assert not held.at_least("c", "rye", 1)
    clock[0] += 1e9
    assert not held.at_least("c", "rye", 1)
    held.put(Posts.of([post("o", "mo", OLD)]))
    assert held.at_least("c", "rye", 1)


def test_arrivals_are_those_of_the_posts_that_are_there_whatever_comes_and_goes() -> None:
    chance, held, arrivals = random.Random(7), dict[int, tuple[str, int]](), Arrivals()
    for _ in range(300):
        for _ in range(chance.randrange(4)):
            id = chance.randrange(30)
            if id in held:
                arrivals.went(*held.pop(id))
            if chance.random() < 0.6:
                held[id] = (f"u{chance.randrange(5)}", chance.choice([-(2**62), *range(8)]))
                arrivals.came(*held[id])
        arrivals.settle(held.values())
        first: dict[str, int] = {}
        for user, at in held.values():
            first[user] = min(first.get(user, NEVER), NEVER if at < 0 else at)
        assert arrivals._first == first
        for moment in (-1, 3, 7):
            assert arrivals.after(moment) == {user for user, at in first.items() if at > moment}
            assert arrivals.next_after(moment) == min((at for at in first.values() if at > moment), default=NEVER)


# ---------------------------------------------------------------- in the service


def rows(name: str, users: int, tags: list[str], at: datetime) -> dict[str, Any]:
    return {"posts": [
        {"id": f"{name}{i}", "community": "even", "text": "rye flour kneaded", "user": f"{name}{i}", "tags": tags,
         "created_at": at.isoformat()} for i in range(users)
    ]}  # fmt: skip


def told(client: Any, **draft: Any) -> list[str]:
    body = {"text": "rye flour kneaded", "community": "even", "user": "u2", "k": 50} | draft
    return [one["tag"] for one in client.post("/v1/suggest", json=body).json()["suggestions"]]


def everywhere(client: Any, user: str = "u2") -> set[str]:
    found = client.get("/v1/autocomplete/even", params={"q": "sc", "user": user}).json()["tags"]
    found += client.get("/v1/trends/even").json()["trends"]
    return {*told(client, user=user), *(one["tag"] for one in found)}


@pytest.fixture(params=["popular", "linear", "calibrated", None])
def served(
    request: pytest.FixtureRequest, clock: list[float], engine_of: Callable[..., Engine], publish: Callable[[str], str]
) -> Engine:
    """An engine with a model, or one that answers with favourites, for which the world's authors are old."""
    if request.param:
        publish(request.param)
    return engine_of(trusted_after_days=DAYS, trend_days=90.0)


def test_a_thousand_new_authors_push_a_tag_nowhere_until_they_have_aged(served: Engine, clock: list[float]) -> None:
    with asked(served) as client:
        before, ranked, trends = everywhere(client), told(client), client.get("/v1/trends/even").json()["trends"]
        assert trends
        assert client.post("/v1/posts", json=rows("bot", 1_000, ["Scam", "Oat"], NEW)).json()["new"] == 1_000
        served.sync()
        assert everywhere(client) == before
        assert client.get("/v1/trends/even").json()["trends"] == trends  # a known tag is lifted no more than a new one
        assert "Scam" in everywhere(client, user="bot7")  # an author's own tag is that author's
        if served.current is None:
            assert told(client) == ranked
        clock[0] += DAYS * 86_400
        assert "Scam" in told(client)
        assert client.get("/v1/trends/even").json()["trends"][0]["authors"] >= 1_000
        assert "Scam" in everywhere(client)


def test_without_a_floor_a_tag_of_newcomers_alone_is_held_back_too(
    clock: list[float], engine_of: Callable[..., Engine], publish: Callable[[str], str], store: Store
) -> None:
    publish("linear")
    store.put_posts(Posts.of([Post("n", "rye flour", "even", "new", NEW, tags=("Scam",)),
                              Post("o", "rye flour", "even", "u4", NEW, tags=("Fair",))]))  # fmt: skip
    with asked(engine_of(trusted_after_days=DAYS, least_authors=1)) as client:
        assert "Scam" not in told(client)
        assert "Fair" in told(client)  # by one whose first post is old


def test_authors_that_only_the_model_knows_are_no_newcomers(
    clock: list[float], engine_of: Callable[..., Engine], publish: Callable[[str], str], store: Store, known: Posts
) -> None:
    publish("linear")
    engine = engine_of(trusted_after_days=DAYS, learn=False)
    gate = engine._open_gate("even")
    assert gate.is_common("rye")
    engine.follower.ledger.remove("even", known.ids)
    assert len(gate.known["even"]["rye"]) >= 2
    assert gate.is_common("rye")


def test_a_deleted_author_leaves_no_arrival(served: Engine) -> None:
    place = served.follower.ledger._places["even"]
    assert place.arrivals is not None
    assert "u2" in place.arrivals._first
    with asked(served) as client:
        assert client.delete("/v1/authors/u2").status_code == 200
    served.sync()
    place = served.follower.ledger._places["even"]
    assert place.arrivals is not None
    assert "u2" not in place.arrivals._first
    assert {"u0", "u4", "u6"} <= place.arrivals._first.keys()


def test_what_is_kept_of_newcomers_is_small(clock: list[float]) -> None:
    import tracemalloc

    many = Posts.of([post(str(i), f"u{i % 2_000}", OLD, "Rye") for i in range(10_000)])
    sizes = []
    for days in (0.0, DAYS):
        tracemalloc.start()
        held = ledger(trusted_after_days=days)
        held.put(many)
        sizes.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        assert len(held) == 10_000
    assert sizes[1] - sizes[0] < 2_000 * 200  # bytes for each author
