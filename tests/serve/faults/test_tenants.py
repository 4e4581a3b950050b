"""Communities beside each other: a canary in one changes not a byte for the other; names that are nearly the same."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from asking import asked, bearer
from test_serve_access import ROUTES
from test_serve_communities import plant

from hashloom.serve.drafts import scoped
from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import Store
from hashloom.types import Posts

ID = re.compile(r"\b[0-9a-f]{32}\b")
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
TOOK = re.compile(r'"took_ms":\s*[\d.]+')
KEY = re.compile(r'"by":\s*"[0-9a-f]{12}"')
OWN = ("even", "EVEN", "Even", "ｅｖｅｎ", "even\u200b", "e\u0301ven", "éven")
"""Names that some place might take for one another; each is a community of its own."""


def quiet(text: str) -> str:
    """The text without request ids, moments, durations and the key's id."""
    for pattern in (ID, MOMENT, TOOK, KEY):
        text = pattern.sub("-", text)
    return text


def told(answer: Any) -> tuple[Any, ...]:
    """Status, headers and body of an answer, to the byte but for ids and times."""
    headers = {n: v for n, v in answer.headers.items() if n not in ("x-request-id", "content-length")}
    return answer.status_code, headers, quiet(answer.text)


def asked_for(client: Any, secret: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """All that a community's own administrator can get out of a service, reading first, then changing."""
    headers = bearer(secret)
    drafts = [
        {"text": text, "community": "even", "user": user, "post_id": post, "k": 50, "explain": explain}
        for text in ("rye flour kneaded", "Canary7d3", "surf board waxed", "")
        for user in ("u0", "spy1")
        for post in ("d1", "q-90001", "0-0")
        for explain in (True, False)
    ]
    for draft in drafts:
        yield "suggest", told(client.post("/v1/suggest", json=draft, headers=headers))
    yield "many", told(client.post("/v1/suggest/many", json={"drafts": drafts}, headers=headers))
    for start in ("", "can", "Canary7d3", "r", "s"):
        query = {"q": start, "user": "spy1"}
        yield "autocomplete", told(client.get("/v1/autocomplete/even", params=query, headers=headers))
    for user in ("spy1", "u0", "u1"):
        yield "author", told(client.get(f"/v1/authors/{user}", headers=headers))
    for turn in ("own", "other"):
        for (method, path), (_, _, sent) in ROUTES.items():
            if "keys" in path or "pictures/" in path:
                continue
            there = path if turn == "own" else path.replace("even", "odd")
            sent = sent if turn == "own" or "json" not in sent else {"json": {"community": "odd"}}
            yield f"{method} {there}", told(client.request(method, there, headers=headers, **sent))


def service(
    home: Path, known: Posts, folder: Path, planted: bool, settings: ServeSettings, log: pytest.LogCaptureFixture
) -> tuple[list[Any], list[str], list[str]]:
    """Answers, log lines and counters of a service, with or without the other community's canary."""
    log.clear()
    with Store.open(home) as store:
        store.put_posts(known)
        store.publish("recommender", store.add_model("recommender", folder).digest)
        if planted:
            plant(store)
        secret = store.new_key("admin", "even", rate=1e6)[1]
        with Engine(store, settings=settings) as engine, asked(engine, near=False) as client:
            engine.sync()
            log.clear()
            answers = list(asked_for(client, secret))
            counters = client.get("/metrics", headers=bearer(secret)).text
    lines = [quiet(one.getMessage()) for one in log.records if one.name == "hashloom.serve.requests"]
    return answers, lines, [row for row in counters.splitlines() if counted(row)]


def counted(row: str) -> bool:
    """Not how long something took, not when counting began, and not the documented sum over all communities."""
    return not re.search(r"_seconds|_created|hashloom_posts\b|hashloom_posts ", row)


@pytest.mark.parametrize(
    ("model", "learn"), [("popular", True), ("linear", True), ("linear", False), ("calibrated", False)]
)
def test_not_a_byte_changes_for_one_community_through_what_another_does(
    tmp_path: Path, known: Posts, models: dict[str, Path], caplog: pytest.LogCaptureFixture, model: str, learn: bool
) -> None:
    """A model that counts by community, while it learns; and models with shared weights, whose weights stay."""
    caplog.set_level(logging.DEBUG, "hashloom")  # which `serve` in an earlier test may have made quieter
    settings = ServeSettings(budget=30, batch_budget=60, sync_seconds=3600, learn=learn)
    plain = service(tmp_path / "a", known, models[model], False, settings, caplog)
    planted = service(tmp_path / "b", known, models[model], True, settings, caplog)
    assert len(plain[0]) > 100
    for (name, one), (_, other) in zip(plain[0], planted[0], strict=True):
        assert one == other, name
    assert plain[1] == planted[1]
    assert plain[1]
    assert plain[2] == planted[2]
    assert "hashloom_answers_total" in str(plain[2])


def test_names_that_look_alike_are_communities_of_their_own(engine: Engine, store: Store) -> None:
    with asked(engine) as client:
        for at, name in enumerate(OWN[1:]):
            place = quote(name, safe="")
            for i in range(3):
                body = {"text": "rye flour kneaded", "tags": [f"Only{at}"], "user": f"u{i}"}
                assert client.put(f"/v1/posts/{place}/0-0", json=body).status_code == 200
                assert client.put(f"/v1/posts/{place}/n{i}", json=body).status_code == 200
        engine.sync()
        for at, name in enumerate(OWN):
            body = {"text": "rye flour kneaded", "community": name, "k": 50, "user": "u2"}
            found = {one["tag"] for one in client.post("/v1/suggest", json=body).json()["suggestions"]}
            others = {f"Only{i}" for i in range(len(OWN))} - {f"Only{at - 1}"}
            assert found, name
            assert not found & others, name
            shown = client.get(f"/v1/autocomplete/{quote(name, safe='')}", params={"q": "only"}).json()["tags"]
            assert {one["tag"] for one in shown} == ({f"Only{at - 1}"} if at else set()), name
        assert client.delete(f"/v1/posts/{quote(OWN[1], safe='')}/0-0").json()["deleted"] == 1
        assert client.get("/v1/posts/even/0-0").status_code == 200


def test_a_community_in_the_body_cannot_differ_from_the_one_in_the_address(engine: Engine, store: Store) -> None:
    secret = store.new_key("admin", "even")[1]
    with asked(engine, near=False) as client:
        headers = bearer(secret)
        for put in ({"community": "odd"}, {"community": "even"}, {"id": "other"}):
            refused = client.put("/v1/posts/even/x1", json={"text": "x"} | put, headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (422, "urn:hashloom:problem:unprocessable-content")
            assert refused.json()["errors"][0]["field"] in put
        mixed = [{"id": "x1", "text": "x"}, {"id": "x2", "text": "x", "community": "odd"}]
        refused = client.post("/v1/posts", json={"posts": mixed}, headers=headers)
        assert (refused.status_code, refused.json()["detail"]) == (403, "This key is for another community.")
        events = [
            {"token": "a", "post_id": "x", "tag": "Rye", "event": "rejected"},
            {"token": "b", "post_id": "x", "tag": "Rye", "event": "rejected", "community": "odd"},
        ]
        assert client.post("/v1/feedback", json={"events": events}, headers=headers).status_code == 403
        drafts = {"drafts": [{"text": "x"}, {"text": "x", "community": "odd"}]}
        assert client.post("/v1/suggest/many", json=drafts, headers=headers).status_code == 403
        for name in ("X-Community", "Community", "X-Tenant", "X-Forwarded-Host"):
            answer = client.get("/v1/me", headers=headers | {name: "odd"}).json()
            assert answer["community"] == "even"
        assert client.get("/v1/autocomplete/even", params={"community": "odd"}, headers=headers).status_code == 422
    assert not len(store.get_posts("even", ["x1"]))
    assert list(store.feedback()) == []


def test_an_id_that_spells_another_communitys_post_is_only_an_id(engine: Engine, store: Store) -> None:
    """Models know posts as ``3:odd:1-0``; a post of ``even`` may be called just so."""
    told_so = quote(scoped("odd", "1-0"), safe="")
    with asked(engine) as client:
        for i in range(2):
            body = {"text": "buckwheat groats", "tags": ["Buckwheat"], "user": f"n{i}"}
            assert client.put(f"/v1/posts/even/{told_so}{'' if i else 'x'}", json=body).status_code == 200
        engine.sync()
        memory = engine.current.running.peek.memory_
        assert scoped("odd", "1-0") in memory.ids
        assert client.delete(f"/v1/posts/even/{told_so}").json()["deleted"] == 1
        memory = engine.current.running.peek.memory_
        assert scoped("odd", "1-0") in memory.ids
        assert client.get("/v1/posts/odd/1-0").status_code == 200
        draft = {"text": "surf board", "community": "even", "post_id": scoped("odd", "1-0"), "explain": True, "k": 50}
        found = client.post("/v1/suggest", json=draft).json()["suggestions"]
        assert not {one["tag"] for one in found} & {"Surf", "Sail"}


def test_a_community_that_is_emptied_and_filled_again_remembers_nothing(engine: Engine, store: Store) -> None:
    with asked(engine) as client:
        client.patch("/v1/spaces/even", json={"add": ["Ferment"]})
        event = {"token": "t", "community": "even", "post_id": "0-0", "tag": "Oat", "event": "rejected", "user": "u9"}
        client.post("/v1/feedback", json={"events": [event]})
        for id in [id for posts in store.posts("even") for id in posts.ids]:
            assert client.delete(f"/v1/posts/even/{id}").json()["deleted"] == 1
        client.put("/v1/spaces/even", json={})
        assert client.get("/v1/communities").json()["communities"] == {"odd": 24}
        everything = {"text": "rye flour kneaded oat flakes", "community": "even", "user": "u0", "k": 50}
        assert client.post("/v1/suggest", json=everything).json()["suggestions"] == []
        for i in range(2):
            body = {"text": "rye flour kneaded", "tags": ["Fresh"], "user": f"u{2 * i}"}
            assert client.put(f"/v1/posts/even/new{i}", json=body).json()["status"] == "new"
        engine.sync()
        assert [one["tag"] for one in client.post("/v1/suggest", json=everything).json()["suggestions"]] == ["Fresh"]
        assert [one["tag"] for one in client.get("/v1/autocomplete/even").json()["tags"]] == ["Fresh"]
        assert not list(store.feedback("even"))
        assert client.put("/v1/posts/even/0-0", json={"text": "x"}).status_code == 410


def test_a_tag_of_one_author_is_seen_by_that_author_alone(
    engine_of: Callable[..., Engine], publish: Callable[[str], str]
) -> None:
    """The floor of authors on every road; the third author to use it opens it (``least_authors=3``)."""
    publish("linear")
    engine = engine_of(least_authors=3)
    with asked(engine) as client:

        def roads(user: str | None) -> set[str]:
            draft = {"text": "my diagnosis", "community": "even", "user": user, "k": 50, "explain": True}
            query = {"q": "dia"} | ({"user": user} if user else {})
            found = client.post("/v1/suggest", json=draft).json()["suggestions"]
            found += client.post("/v1/suggest/many", json={"drafts": [draft]}).json()["answers"][0]["suggestions"]
            found += client.get("/v1/autocomplete/even", params=query).json()["tags"]
            return {one["tag"] for one in found + client.get("/v1/trends/even").json()["trends"]}

        for i in range(3):
            assert "Diagnosis" not in roads("u2")
            assert "Diagnosis" not in roads(None)
            for turn in range(4):
                body = {"text": "my diagnosis", "tags": ["Diagnosis"], "user": f"ill{i}"}
                client.put(f"/v1/posts/even/ill{i}-{turn}", json=body)
            engine.sync()
            assert "Diagnosis" in roads(f"ill{i}")
        assert "Diagnosis" in roads("u2")
