"""What the service says of communities, models and keys that it does not know, or knows no longer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import asked, bearer

from hashloom.forecasters.author_mean import AuthorMean
from hashloom.serve.engine import UNKNOWN, Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import Store
from hashloom.tag_space import TagSpace
from hashloom.types import Post, Posts

PATIENT = ServeSettings(budget=60.0)

# ---------------------------------------------------------------- communities


def test_a_community_with_a_tag_space_alone_is_listed(engine: Engine, store: Store) -> None:
    reader = store.new_key("reader")[1]
    operator = store.new_key("operator", "new here")[1]
    with asked(engine, near=False) as client:
        before = client.get("/v1/communities", headers=bearer(reader)).json()["communities"]
        added = client.patch("/v1/spaces/new%20here", json={"add": ["Rye"]}, headers=bearer(operator))
        assert added.status_code == 200
        assert client.get("/v1/communities", headers=bearer(reader)).json()["communities"] == before | {"new here": 0}
        assert client.get("/v1/communities", headers=bearer(operator)).json()["communities"] == {"new here": 0}
        assert client.put("/v1/spaces/new%20here", json={}, headers=bearer(operator)).status_code == 200
        assert client.get("/v1/communities", headers=bearer(reader)).json()["communities"] == before
        other = store.new_key("reader", "even")[1]
        assert list(client.get("/v1/communities", headers=bearer(other)).json()["communities"]) == ["even"]


def test_a_misspelt_community_is_noted(engine: Engine, store: Store) -> None:
    store.put_space(TagSpace.of(["Rye"], "listed"), by="test")
    store.put_space(TagSpace("emptied"), by="test")
    store.put_posts(Posts.of([Post("w", "rye", "waiting")]), source="unreviewed")
    engine.sync()
    with asked(engine) as client:

        def notes(community: str) -> list[str]:
            answer = client.post("/v1/suggest", json={"text": "rye flour", "community": community})
            assert answer.status_code == 200
            return list(answer.json()["notes"])

        assert [notes("evne"), notes("emptied")] == [[UNKNOWN], [UNKNOWN]]
        assert [notes(name) for name in ("even", "listed", "waiting")] == [[], [], []]
        many = client.post("/v1/suggest/many", json={"drafts": [{"community": "evne"}, {"community": "even"}]})
        assert [one["notes"] for one in many.json()["answers"]] == [[UNKNOWN], []]


def test_a_community_that_the_model_alone_knows_is_known(tmp_path: Path, models: dict[str, Path]) -> None:
    with Store.open(tmp_path / "empty") as store, Engine(store, model=models["linear"], settings=PATIENT) as engine:
        with asked(engine) as client:
            said = [client.post("/v1/suggest", json={"text": "rye", "community": c}).json() for c in ("even", "evne")]
        assert [one["notes"] for one in said] == [[], [UNKNOWN]]


# ---------------------------------------------------------------- keys


def test_a_wrong_or_revoked_key_is_called_so(engine: Engine, store: Store) -> None:
    id, secret = store.new_key("reader")
    store.new_key("reader")
    with asked(engine, near=False, key_seconds=0.0) as client:
        assert client.get("/v1/me", headers=bearer(secret)).status_code == 200
        store.revoke(id)
        for headers in (bearer(secret), bearer("hl_wrong"), {"X-API-Key": "hl_wrong"}):
            answer = client.get("/v1/me", headers=headers)
            assert (answer.status_code, answer.json()["detail"]) == (401, "This key is not known, or was revoked.")
            assert answer.headers["www-authenticate"].startswith("Bearer")
        for headers in ({}, {"Authorization": "Basic x"}):
            answer = client.get("/v1/me", headers=headers)
            assert (answer.status_code, answer.json()["detail"][:16]) == (401, "A key is needed:")


def test_a_silent_store_stops_nobody_whose_key_it_knew(
    engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, unknown = store.new_key("reader")[1], store.new_key("reader")[1]
    again, find = threading.Event(), store.find_key

    def silent(secret: str) -> object:
        again.wait(120)
        return find(secret)

    with asked(engine, near=False, key_seconds=0.0) as client:
        draft = {"text": "rye", "community": "even"}
        assert client.post("/v1/suggest", json=draft, headers=bearer(known)).status_code == 200
        monkeypatch.setattr("hashloom.serve.auth.PATIENCE", 0.2)
        monkeypatch.setattr(store, "find_key", silent)
        for _ in range(2):
            assert client.post("/v1/suggest", json=draft, headers=bearer(known)).json()["way"] == "model"
            answer = client.post("/v1/suggest", json=draft, headers=bearer(unknown))
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        monkeypatch.setattr("hashloom.serve.auth.STANDING", 0.0)
        assert client.post("/v1/suggest", json=draft, headers=bearer(known)).status_code == 503
        again.set()


def test_a_silent_store_makes_nobody_the_administrator(
    engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> object:
        raise OSError("away")

    monkeypatch.setattr(store, "keys", away)
    with asked(engine) as client:
        assert client.get("/v1/me").status_code == 503


def test_a_reader_completes_no_other_authors_rare_tags(engine: Engine, store: Store) -> None:
    store.put_posts(Posts.of([Post("r1", "rye", "even", "mo", tags=("RareThing",))]))
    engine.sync()
    seen = {}
    with asked(engine, near=False) as client:
        for role in ("reader", "writer", "operator", "admin"):
            headers = bearer(store.new_key(role, "even")[1])
            for user in ("mo", "u0"):
                found = client.get("/v1/autocomplete/even", params={"q": "rare", "user": user}, headers=headers)
                seen[role, user] = [one["tag"] for one in found.json()["tags"]]
    mine = ["RareThing"]
    assert seen == {
        (role, user): mine if user == "mo" and role != "reader" else []
        for role in ("reader", "writer", "operator", "admin")
        for user in ("mo", "u0")
    }


def test_a_reader_sees_nobodys_habits(
    store: Store, publish: Callable[[str], str], engine_of: Callable[..., Engine]
) -> None:
    from test_serve_posts import png

    rows = [Post(f"h{i}", "plain", "even", "mo", tags=("MyHabit",)) for i in range(4)]
    store.put_posts(Posts.of(rows))
    publish("linear")
    draft = {"text": "plain", "community": "even", "k": 20, "explain": True}
    form = {"files": {"picture": ("a.png", png(), "image/png")}}

    def answers(secret: str, **more: object) -> list[dict[str, object]]:
        """Of every route that takes a draft."""
        sent, headers = draft | more, bearer(secret)
        made = [
            client.post("/v1/suggest", json=sent, headers=headers),
            client.post("/v1/suggest/pictures", data={"draft": json.dumps(sent)}, headers=headers, **form),
            client.post("/v1/forecast", json=sent, headers=headers),
            client.post("/v1/forecast/pictures", data={"draft": json.dumps(sent)}, headers=headers, **form),
        ]
        many = client.post("/v1/suggest/many", json={"drafts": [sent, draft]}, headers=headers).json()["answers"]
        said = [one.json() for one in made] + many
        return [{name: one[name] for name in one if name not in ("took_ms", "request_id")} for one in said]

    def without_notes(said: list[dict[str, object]]) -> list[dict[str, object]]:
        return [one | {"notes": ""} for one in said]

    reader, writer = (store.new_key(role, "even")[1] for role in ("reader", "writer"))
    with asked(engine_of(), near=False) as client:
        named, nobody, heeded = answers(reader, user="mo"), answers(reader), answers(writer, user="mo")
        assert without_notes(named) == without_notes(nobody)
        assert ["a reader's key may not name an author; user was passed over" in one["notes"] for one in named] == [
            True, True, True, True, True, False,
        ]  # fmt: skip
        assert not any("may not name" in str(one["notes"]) for one in (*nobody, *heeded))
        assert ["MyHabit" in str(one) for one in heeded] == [True, True, False, False, True, False]
        assert "MyHabit" not in str(named)
    with asked(engine_of(), near=False, readers_name_users=True) as client:
        assert answers(reader, user="mo")[0] == heeded[0]
        found = client.get("/v1/autocomplete/even?q=habit0&user=u0", headers=bearer(reader)).json()["tags"]
        assert [one["tag"] for one in found] == ["Habit0"]


# ---------------------------------------------------------------- models


def test_nothing_to_go_back_to_and_no_such_model(
    engine: Engine, store: Store, models: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    with asked(engine) as client:
        before = store.published("recommender")
        for name in ("recommender", "forecaster", "nobody"):
            answer = client.post(f"/v1/models/{name}/rollback")
            said = answer.json()
            assert (answer.status_code, said["type"]) == (409, "urn:hashloom:problem:conflict")
            assert said["detail"] == "There is no earlier model to go back to."
        for verb in ("publish", "shadow", "drop"):
            answer = client.post(f"/v1/models/recommender/{verb}", json={"digest": "0" * 64})
            assert (answer.status_code, answer.json()["detail"]) == (404, "The store holds no such model.")
        assert store.published("recommender") == before
        assert [one for one in caplog.records if one.levelname == "ERROR"] == []
        store.add_model("recommender", models["popular"])
        held = {one["digest"]: one for one in client.get("/v1/models").json()["models"]}
        other = next(digest for digest, one in held.items() if not one["published"])
        assert client.post("/v1/models/recommender/publish", json={"digest": other}).status_code == 200
        now = {one["digest"]: one["previous"] for one in client.get("/v1/models").json()["models"]}
        assert before is not None
        assert now == {before.digest: True, other: False}
        assert client.post("/v1/models/recommender/rollback").status_code == 200


def test_a_restored_store_leaves_the_service_as_one_that_starts_now(
    store: Store, known: Posts, models: dict[str, Path], engine_of: Callable[..., Engine], tmp_path: Path
) -> None:
    bare, backup = tmp_path / "bare.zip", tmp_path / "one.zip"
    store.backup(bare)
    first = store.add_model("recommender", models["linear"])
    store.publish("recommender", first.digest)
    store.backup(backup)
    second = store.add_model("recommender", models["popular"])
    store.publish("recommender", second.digest)
    counted = Posts.of([liked(post) for post in known])
    made = store.add_model("forecaster", AuthorMean().fit(counted).save(tmp_path / "forecaster"))
    store.publish("forecaster", made.digest)
    engine = engine_of()
    assert (engine.health().recommender, engine.health().forecaster) == (second.digest, made.digest)
    for path, recommender in ((backup, first.digest), (bare, None)):
        store.restore(path)
        engine.sync()
        running, restarted = engine.health(), engine_of().health()
        assert (running.recommender, running.previous, running.forecaster) == (recommender, None, None)
        assert (restarted.recommender, restarted.previous, restarted.forecaster) == (recommender, None, None)
        with asked(engine) as client:
            said = client.post("/v1/forecast", json={"community": "even"}).json()
            assert (said["forecast"], said["why"]) == (None, "no forecaster is published")
            answer = client.post("/v1/suggest", json={"text": "rye flour", "community": "even"}).json()
            assert (answer["model"], answer["why"]) == (recommender, "" if recommender else "no model is published")


def test_a_forecaster_of_a_folder_stays_after_a_restore(store: Store, known: Posts, tmp_path: Path) -> None:
    backup = tmp_path / "bare.zip"
    store.backup(backup)
    folder = AuthorMean().fit(Posts.of([liked(post) for post in known])).save(tmp_path / "forecaster")
    with Engine(store, forecaster=folder) as engine:
        before = engine.health().forecaster
        store.restore(backup)
        engine.sync()
        assert before
        assert engine.health().forecaster == before


def liked(post: Post) -> Post:
    from dataclasses import replace

    return replace(post, likes=float(len(post.text)))
