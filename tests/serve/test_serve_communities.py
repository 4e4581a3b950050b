"""The canary: what one community writes changes nothing that another can see, on any road out of the service."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import asked, bearer
from test_serve_access import PICTURE, ROUTES

from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import Feedback, Store
from hashloom.tag_space import TagSpace
from hashloom.types import Post, Posts

CANARY = "Canary7d3"
SECRETS = (CANARY.lower(), "odd", "spy", "q-9000")
SKIPPED = {"request_id", "took_ms", "at", "made_at", "added_at", "received_at", "by"}


def plant(store: Store) -> None:
    """The other community fills with the canary, in posts, ids, authors, its tag space and feedback."""
    rows = [
        Post(f"q-9000{i}", f"rye flour kneaded {CANARY}", "odd", f"spy{i}", tags=(CANARY, "Rye")) for i in range(30)
    ]
    store.put_posts(Posts.of([*rows, Post("0-0", f"same id {CANARY}", "odd", "spy", tags=(CANARY,))]))
    store.put_space(
        TagSpace.of([CANARY], "odd", aliases={"rye": CANARY}, denied=["Oat"], sensitive=["Rye", CANARY]), by="spy"
    )
    store.put_feedback([Feedback(f"f{i}", "odd", "d1", "Rye", "rejected", user=f"spy{i}") for i in range(30)])


def without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_times(held) for name, held in value.items() if name not in SKIPPED}
    return [without_times(held) for held in value] if isinstance(value, list) else value


def seen(home: Path, known: Posts, folder: Path, planted: bool, log: list[str]) -> list[Any]:
    """All that a key for ``even`` is answered."""
    with Store.open(home) as store:
        store.put_posts(known)
        store.publish("recommender", store.add_model("recommender", folder).digest)
        if planted:
            plant(store)
        secret = store.new_key("admin", "even", rate=1e6)[1]
        with Engine(store, settings=ServeSettings(budget=20)) as engine, asked(engine, near=False) as client:
            return [*roads(client, secret, log)]


def roads(client: Any, secret: str, log: list[str]) -> Any:
    headers = bearer(secret)
    drafts = [
        {"text": text, "community": "even", "user": user, "post_id": post, "k": 50, "explain": explain}
        for text in ("rye flour kneaded", CANARY, "")
        for user in ("u0", "spy1", None)
        for post in ("d1", "q-90001", "0-0")
        for explain in (True, False)
    ]
    for draft in drafts:
        yield client.post("/v1/suggest", json=draft, headers=headers).json()
    yield client.post("/v1/suggest/many", json={"drafts": drafts}, headers=headers).json()
    for start in ("", "can", CANARY, "r"):
        yield client.get("/v1/autocomplete/even", params={"q": start, "user": "spy1"}, headers=headers).json()
    for (method, path), (_, _, sent) in ROUTES.items():
        if "keys" not in path:
            answer = client.request(method, path, headers=headers, **sent)
            yield method, path, answer.status_code, answer.json()
        other = path.replace("even", "odd")
        body = {"json": {"community": "odd"}} if sent and sent != PICTURE else sent
        answer = client.request(method, other, headers=headers, **body) if other != path else None
        yield answer and (answer.status_code, {k: v for k, v in answer.json().items() if k != "request_id"})
    yield client.get("/v1/posts/even/q-90001", headers=headers).status_code
    yield client.get("/v1/authors/spy1", headers=headers).json()["posts"]
    log.append(client.get("/metrics", headers=headers).text)


def test_a_canary_of_another_community_is_seen_nowhere(
    tmp_path: Path, known: Posts, models: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="hashloom")
    metrics: list[str] = []
    plain = seen(tmp_path / "a", known, models["linear"], False, metrics)
    caplog.clear()
    planted = seen(tmp_path / "b", known, models["linear"], True, metrics)
    assert len(plain) == len(planted) > 80
    for one, other in zip(plain, planted, strict=True):
        assert tags_of(one) == tags_of(other)
    for word in ("spy", "q-9000"):
        assert word not in str(planted).replace('"spy1"', "").lower()
    assert CANARY.lower() not in answers_to_strangers(planted)
    for text in (caplog.text.lower(), metrics[1].lower()):
        assert not [word for word in SECRETS if word in text]


def tags_of(answer: Any) -> Any:
    """The answer without moments, and without scores, which a shared model's counts may move."""
    if isinstance(answer, dict) and "suggestions" in answer:
        return [one["tag"] for one in answer["suggestions"]]
    if isinstance(answer, dict) and "answers" in answer:
        return [tags_of(one) for one in answer["answers"]]
    return without_times(list(answer) if isinstance(answer, tuple) else answer)


def answers_to_strangers(answers: Any) -> str:
    """All answers, without words of the asking drafts themselves, which marks and reasons quote."""

    def quiet(value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("source") == "text":
                return None
            return {name: quiet(held) for name, held in value.items() if name != "marks"}
        return [quiet(one) for one in value] if isinstance(value, list | tuple) else value

    return str(quiet(answers)).lower()


def test_reasons_of_neighbours_stay_within_the_community(
    store: Store, known: Posts, engine_of: Callable[..., Engine], tmp_path: Path
) -> None:
    from hashloom.recommenders.nearest import Nearest
    from hashloom.serve.drafts import with_scoped_ids

    for name, posts in (("bare", known), ("scoped", with_scoped_ids(known))):
        folder = Nearest(scope="all").fit(posts).save(tmp_path / name)
        store.publish("recommender", store.add_model("recommender", folder).digest)
        with asked(engine_of()) as client:
            body = {"text": "surf board waxed rye flour", "community": "even", "explain": True}
            answer = client.post("/v1/suggest", json=body).json()
        named = [r["where"] for one in answer["suggestions"] for r in one["reasons"] if r["source"] == "neighbour"]
        assert named
        assert set(named) <= {i for i, c in zip(known.ids, known.communities) if c == "even"}
