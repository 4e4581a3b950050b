"""Abuse: floods of posts and of feedback, hijacked trends, and denied tags that come back in disguise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asking import asked
from test_denied import DENIED, LOOKS
from world import START

from hashloom.serve.engine import Engine
from hashloom.store import Store
from hashloom.tags import key, skeleton

MODELS = ("popular", "linear", "calibrated")
ASKED = {"text": "rye flour kneaded", "community": "even", "user": "u2", "k": 50}
BAD = {skeleton(key(tag)) for tag in LOOKS}


@pytest.fixture(params=MODELS)
def served(request: pytest.FixtureRequest, engine_of: Callable[..., Engine], publish: Callable[[str], str]) -> Engine:
    publish(request.param)
    return engine_of()


def tags(client: Any, **draft: Any) -> list[str]:
    answer = client.post("/v1/suggest", json=ASKED | draft)
    assert answer.status_code == 200, answer.text
    return [one["tag"] for one in answer.json()["suggestions"]]


def everywhere(client: Any, start: str = "s", **draft: Any) -> set[str]:
    """All tags that a community is told, on every road that tells any."""
    many = client.post("/v1/suggest/many", json={"drafts": [ASKED | draft]}).json()["answers"][0]["suggestions"]
    found = [one for q in (start, "") for one in client.get("/v1/autocomplete/even", params={"q": q}).json()["tags"]]
    found += [*many, *client.get("/v1/trends/even").json()["trends"]]
    reviewed = client.get("/v1/review/even").json()["posts"]
    return {*tags(client, **draft), *(one["tag"] for one in found), *(tag for r in reviewed for tag in r["suggested"])}


def put(client: Any, count: int, **post: Any) -> None:
    """Posts of one or several authors: what is callable is called with each post's number."""
    rows = [
        {"id": f"{post['name']}{i}", "community": "even"}
        | {n: v(i) if callable(v) else v for n, v in post.items() if n != "name"}
        for i in range(count)
    ]
    for start in range(0, count, 1_000):
        answer = client.post("/v1/posts", json={"posts": rows[start : start + 1_000]})
        assert answer.json()["new"] == len(rows[start : start + 1_000]), answer.text


# ---------------------------------------------------------------- floods of posts


def test_one_authors_flood_moves_nothing_for_others(served: Engine) -> None:
    now = START + timedelta(days=2)  # the world's latest posts are of this hour
    with asked(served) as client:
        before = tags(client)
        trends = client.get("/v1/trends/even").json()["trends"]
        put(client, 3_000, name="s", text="rye flour kneaded oat", user="spammer", tags=["Scam", "Oat"],
            created_at=lambda i: (now - timedelta(seconds=i)).isoformat())  # fmt: skip
        served.sync()
        assert tags(client) == before
        assert "Scam" not in everywhere(client)
        after = client.get("/v1/trends/even").json()["trends"]
        old, new = ({one["tag"]: one["worth"] for one in found} for found in (trends, after))
        assert old.keys() == new.keys()
        assert new["Oat"] <= old["Oat"] + 1  # 3,000 uses count as one
        assert "Scam" in tags(client, user="spammer")


def test_a_word_that_one_author_ties_to_a_tag_pulls_it_for_nobody_else(served: Engine) -> None:
    with asked(served) as client:
        put(client, 500, name="b", text="zanzibar rye flour", user="spammer", tags=["Scam"])
        served.sync()
        assert "Scam" not in everywhere(client, text="zanzibar rye flour")


def test_copied_texts_with_another_tag_do_not_replace_it(served: Engine, known: Any) -> None:
    texts = [post.text for post in known if post.community == "even"]
    with asked(served) as client:
        before = tags(client)[:2]
        put(client, 500, name="c", text=lambda i: texts[i % len(texts)], user="spammer", tags=["Scam"])
        served.sync()
        assert tags(client)[:2] == before
        assert "Scam" not in tags(client)


def test_a_slow_drip_of_one_author_adds_up_to_no_more(engine: Engine) -> None:
    with asked(engine) as client:
        for i in range(40):
            body = {"text": "rye flour kneaded", "user": "spammer", "tags": ["Scam"]}
            body["created_at"] = (datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=i)).isoformat()
            client.put(f"/v1/posts/even/d{i}", json=body)
            if not i % 10:
                engine.sync()
        engine.sync()
        assert "Scam" not in everywhere(client)


def test_a_trend_needs_authors_and_weighs_each_once(engine: Engine) -> None:
    now = datetime.now(UTC).isoformat()
    with asked(engine) as client:
        put(client, 400, name="x", text="x", user="spammer", tags=["Hijack"], created_at=now)
        engine.sync()
        assert "Hijack" not in str(client.get("/v1/trends/even").json())
        put(client, 400, name="y", text="y", user="sock", tags=["Hijack"], created_at=now)
        put(client, 5, name="z", text="z", user=lambda i: f"person{i}", tags=["Fair"], created_at=now)
        engine.sync()
        trends = client.get("/v1/trends/even").json()["trends"]
        assert [(one["tag"], one["authors"]) for one in trends][:2] == [("Fair", 5), ("Hijack", 2)]
        assert trends[0]["worth"] == pytest.approx(2.5 * trends[1]["worth"], rel=1e-3)


def test_posts_without_an_author_can_be_held_to_be_one(
    engine_of: Callable[..., Engine], publish: Callable[[str], str]
) -> None:
    publish("linear")
    engine = engine_of(anonymous="one")
    with asked(engine) as client:
        put(client, 300, name="a", text="rye flour kneaded", tags=["Scam"])
        engine.sync()
        assert "Scam" not in everywhere(client)


def test_a_thousand_new_authors_count_for_nothing_until_somebody_has_looked(served: Engine) -> None:
    """Where no age is asked of accounts (``test_serve_newcomers.py``), a platform marks their posts as not reviewed."""
    now = (START + timedelta(days=2)).isoformat()
    with asked(served) as client:
        before, trends = tags(client), client.get("/v1/trends/even").json()["trends"]
        put(client, 1_000, name="n", text="rye flour kneaded", user=lambda i: f"bot{i}", tags=["Scam"],
            created_at=now, reviewed=False)  # fmt: skip
        served.sync()
        assert tags(client) == before
        assert client.get("/v1/trends/even").json()["trends"] == trends
        assert "Scam" not in tags(client, user="bot7")


# ---------------------------------------------------------------- floods of feedback


def say(client: Any, events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    rows = [{"community": "even", "post_id": "p", "token": f"{i}"} | event for i, event in enumerate(events)]
    answer = client.post("/v1/feedback", json={"events": rows})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("user", ["spammer", None])
def test_one_persons_rejections_count_once_however_many(engine: Engine, user: str | None) -> None:
    with asked(engine) as client:
        before = tags(client)
        made = say(client, ({"tag": before[0], "event": "rejected", "user": user, "post_id": f"p{i}", "token": f"{i}"}
                            for i in range(1_000)))  # fmt: skip
        assert made["new"] == 1_000
        engine.sync()
        assert tags(client) == before
        assert tags(client, post_id="p7") == [tag for tag in before if tag != before[0]]


def test_a_thousand_false_persons_move_a_tag_by_two_places_at_most(engine: Engine) -> None:
    with asked(engine) as client:
        put(client, 30, name="m", text="rye flour kneaded", user=lambda i: f"baker{i}",
            tags=lambda i: [f"Usual{i % 6}", f"Usual{(i + 1) % 6}"])  # fmt: skip
        engine.sync()
        before = tags(client)
        assert len(before) >= 6
        target = before[0]
        say(client, ({"tag": target, "event": "rejected", "user": f"bot{i}"} for i in range(1_000)))
        engine.sync()
        assert tags(client).index(target) <= 2
        last = before[-1]
        say(client, ({"tag": last, "event": "accepted", "user": f"bot{i}", "token": f"b{i}"} for i in range(1_000)))
        engine.sync()
        place = tags(client).index(last)
        assert place + 2 >= (len(before) - 1 + 2) / 4  # its rank is divided by two, the others' doubled: no more


def test_feedback_suggests_no_tag_that_posts_do_not(engine: Engine) -> None:
    with asked(engine) as client:
        before = tags(client)
        for event in ("typed", "accepted", "shown"):
            say(client, ({"tag": "Scam", "event": event, "user": f"bot{i}", "token": f"{event}{i}"}
                         for i in range(300)))  # fmt: skip
        engine.sync()
        assert tags(client) == before
        assert "Scam" not in everywhere(client)


def test_replayed_tokens_count_once_also_with_other_content(engine: Engine) -> None:
    with asked(engine) as client:
        before = tags(client)
        first = {"token": "t", "tag": before[0], "event": "accepted", "user": "u1"}
        assert say(client, iter([first] * 100)) | {"request_id": ""} == {
            "request_id": "", "new": 1, "repeated": 99, "refused": []
        }  # fmt: skip
        changed = say(client, ({**first, "event": "rejected", "user": f"bot{i}"} for i in range(100)))
        assert (changed["new"], changed["repeated"]) == (0, 100)
        engine.sync()
        assert tags(client, post_id="p") == before
        assert sum(day["accepted"] for day in client.get("/v1/quality/even").json()["days"]) == 1


# ---------------------------------------------------------------- denied tags in disguise


def by_posts(client: Any, tag: str) -> None:
    put(client, 6, name="one", text="rye flour kneaded", user=lambda i: f"n{i}", tags=[tag, "Rye"])
    for i in range(3):
        client.put(f"/v1/posts/even/two{i}", json={"text": f"win #{tag}", "tags": ["Rye"], "user": f"m{i}"})
        client.put(f"/v1/posts/even/three{i}", json={"text": "rye", "tags": ["Rye"], "user": f"m{i}"})
        client.patch(f"/v1/posts/even/three{i}", json={"tags": [tag]})


def by_import(client: Any, tag: str) -> None:
    space = {name: value for name, value in client.get("/v1/spaces/even").json().items()
             if name not in ("community", "request_id")}  # fmt: skip
    space["tags"] |= {tag: tag}
    assert client.put("/v1/spaces/even", json=space | {"why": "import"}).status_code == 200
    assert client.patch("/v1/spaces/even", json={"add": [tag]}).status_code == 200


def by_alias(client: Any, tag: str) -> None:
    assert client.patch("/v1/spaces/even/aliases", json={"aliases": {"rye": tag, "oat": "rye"}}).status_code == 200


def by_merge(client: Any, tag: str) -> None:
    assert client.post("/v1/spaces/even/merge", json={"tags": ["Rye"], "into": tag}).status_code == 200


def by_feedback(client: Any, tag: str) -> None:
    for event in ("typed", "accepted"):
        say(client, ({"tag": tag, "event": event, "user": f"n{i}", "token": f"{event}{i}"} for i in range(30)))


ROADS = (by_posts, by_import, by_alias, by_merge, by_feedback)


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("closed", [False, True])
def test_a_denied_tag_comes_back_on_no_road_in_no_disguise(
    engine: Engine, road: Callable[[Any, str], None], closed: bool
) -> None:
    with asked(engine) as client:
        client.patch("/v1/spaces/even", json={"closed": closed, "add": ["Spelt", "Rye"]})
        client.patch("/v1/spaces/even/denied", json={"add": [DENIED]})
        for at, look in enumerate(LOOKS):
            if road in (by_posts, by_feedback) and at:
                continue
            road(client, look)
            assert not bad(everywhere(client, start=look[:2])), look
        if road in (by_posts, by_feedback):
            for at, look in enumerate(LOOKS[1:]):
                rows = [{"id": f"l{at}-{i}", "community": "even", "text": f"rye flour #{look}", "user": f"n{i}",
                         "tags": [look]} for i in range(3)]  # fmt: skip
                assert client.post("/v1/posts", json={"posts": rows}).status_code == 200
        engine.sync()
        for asker in ("u2", "n1"):  # one of them has used it
            for text in ("rye flour kneaded", "win scam", " ".join(f"#{look}" for look in LOOKS)):
                for language in ("en", "ja"):
                    found = everywhere(client, text=text, user=asker, language=language, chosen=["Spelt"])
                    assert not bad(found), (asker, text)
        for fallback in ("previous", "favourites"):
            engine.current, engine.previous = (None, engine.current) if fallback == "previous" else (None, None)
            assert not bad(everywhere(client)), fallback


def bad(found: set[str]) -> set[str]:
    return {tag for tag in found if skeleton(key(tag)) in BAD}


def test_a_sensitive_tag_that_is_denied_is_not_told_to_its_own_author_either(engine: Engine) -> None:
    """Marking it as sensitive (``test_serve_sensitive.py``) would leave it to those who name it."""
    with asked(engine) as client:
        put(client, 20, name="h", text="my therapy", user=lambda i: f"n{i % 4}", tags=["Depression"])
        engine.sync()
        assert "Depression" in tags(client, text="my therapy")
        client.patch("/v1/spaces/even/denied", json={"add": ["Depression"]})
        for user in ("n1", "u2", None):
            assert "Depression" not in everywhere(client, "dep", text="my therapy", user=user)
        client.patch("/v1/spaces/even/denied", json={"remove": ["Depression"]})
        client.patch("/v1/spaces/even", json={"closed": True, "add": ["Rye", "Oat"]})
        for user in ("n1", "u2", None):
            assert everywhere(client, "dep", text="my therapy", user=user) <= {"Rye", "Oat"}


def test_a_plural_is_another_tag_that_is_denied_by_itself_or_as_an_alias(engine: Engine, store: Store) -> None:
    with asked(engine) as client:
        client.patch("/v1/spaces/even/denied", json={"add": [DENIED]})
        put(client, 6, name="p", text="rye flour kneaded", user=lambda i: f"n{i}", tags=["Scams"])
        engine.sync()
        assert "Scams" in everywhere(client)
        client.patch("/v1/spaces/even/aliases", json={"aliases": {"scams": "scam"}})
        assert "Scams" not in everywhere(client)
