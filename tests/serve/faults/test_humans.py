"""What writers may rely on: their spelling stays, what is there or was refused is not repeated, a post never waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from asking import asked

from hashloom.recommenders.linear import Linear
from hashloom.serve.engine import Engine
from hashloom.store import Store, UnreachableStore
from hashloom.tags import key

DRAFT = {"text": "rye flour kneaded", "community": "even", "user": "u2", "k": 50}
SPELT = ("Rye", "rye", "#rye", "＃ｒｙｅ", "R\u200bye", " RYE ", "##Rye", "roggen", "#Roggen")
"""One tag, in forms that a writer may have it in already; the last two are names of it."""


def tags(client: Any, **draft: Any) -> list[str]:
    answer = client.post("/v1/suggest", json=DRAFT | draft)
    assert answer.status_code == 200, answer.text
    return [one["tag"] for one in answer.json()["suggestions"]]


# ---------------------------------------------------------------- what is there, what was refused


@pytest.mark.parametrize("form", SPELT)
def test_a_tag_that_is_there_in_any_form_is_not_suggested_again(engine: Engine, form: str) -> None:
    with asked(engine) as client:
        client.patch("/v1/spaces/even/aliases", json={"aliases": {"roggen": "rye"}})
        assert "Rye" in tags(client)
        assert "Rye" not in tags(client, chosen=[form])
        assert "Rye" not in tags(client, unwanted=[form])
        many = {"drafts": [DRAFT | {"chosen": [form]}, DRAFT]}
        first, second = client.post("/v1/suggest/many", json=many).json()["answers"]
        assert "Rye" not in [one["tag"] for one in first["suggestions"]]
        assert "Rye" in [one["tag"] for one in second["suggestions"]]
        if form.startswith("#") and not form.startswith("##"):
            assert "Rye" not in tags(client, text=f"kneaded {form} flour")
        event = {"token": "t", "community": "even", "post_id": "d", "tag": form, "event": "rejected", "user": "u2"}
        assert client.post("/v1/feedback", json={"events": [event]}).json()["new"] == 1
        assert "Rye" not in tags(client, post_id="d")
        assert "Rye" in tags(client, post_id="other")


def test_a_refused_tag_stays_away_also_from_another_model_and_comes_back_when_it_is_typed(
    engine: Engine, store: Store, models: dict[str, Any]
) -> None:
    other = store.add_model("recommender", models["popular"]).digest
    event = {"community": "even", "post_id": "d", "tag": "Rye", "user": "u2"}
    with asked(engine) as client:
        said = {"events": [event | {"token": "1", "event": "rejected"}]}
        client.post("/v1/feedback", json=said)
        for _ in range(2):
            assert "Rye" not in tags(client, post_id="d")
            client.post("/v1/models/recommender/publish", json={"digest": other})
        engine.current = engine.previous = None  # favourites alone
        assert "Rye" not in tags(client, post_id="d")
        assert "Rye" in tags(client)
        client.post("/v1/feedback", json={"events": [event | {"token": "2", "event": "typed"}]})
        assert "Rye" in tags(client, post_id="d")


# ---------------------------------------------------------------- spelling


def test_a_writers_spelling_is_kept_and_nothing_that_was_sent_is_rewritten(engine: Engine) -> None:
    written = ["SourDough", "iPhone", "ÉCLAIR", "NASA", "straße", "日本パン"]
    text = "  Mixed CASE, kept — ｆｕｌｌ width  too "
    with asked(engine) as client:
        client.put("/v1/posts/even/mine", json={"text": text, "tags": written, "user": "u2"})
        held = client.get("/v1/posts/even/mine").json()
        assert held["tags"] == written
        assert held["text"].strip() == text.strip()
        for i in range(3):
            client.put(f"/v1/posts/even/s{i}", json={"text": "rye flour", "tags": ["SourDough"], "user": f"w{i}"})
        client.put("/v1/posts/even/s3", json={"text": "rye flour", "tags": ["sourdough"], "user": "w3"})
        engine.sync()
        assert "SourDough" in tags(client)  # in the form that most use
        found = client.get("/v1/autocomplete/even", params={"q": "SOURD"}).json()["tags"]
        assert [one["tag"] for one in found] == ["SourDough"]
        client.patch("/v1/spaces/even", json={"add": ["sourDOUGH"]})
        assert "sourDOUGH" in tags(client)  # operators say how it is written
        assert client.get("/v1/posts/even/mine").json()["tags"] == written


def test_no_list_has_one_tag_twice(engine: Engine) -> None:
    forms = ["CamelCase", "camelcase", "CAMELCASE", "ｃａｍｅｌｃａｓｅ", "Camel_Case", "Camel-Case"]
    with asked(engine) as client:
        for i, form in enumerate(forms * 2):
            client.put(f"/v1/posts/even/f{i}", json={"text": "rye flour", "tags": [form], "user": f"w{i}"})
        engine.sync()
        found = tags(client)
        assert len([tag for tag in found if key(tag).replace("_", "").replace("-", "") == "camelcase"]) == 1


# ---------------------------------------------------------------- nobody waits


@pytest.mark.parametrize("fault", ["model fails", "model is stuck", "store is away", "no model", "nothing at all"])
def test_a_draft_is_answered_whatever_is_broken(
    engine_of: Callable[..., Engine], publish: Callable[[str], str], store: Store, monkeypatch: pytest.MonkeyPatch,
    fault: str,
) -> None:  # fmt: skip
    if fault not in ("no model", "nothing at all"):
        publish("linear")
    engine = engine_of(budget=0.3 if "stuck" in fault else 60.0)
    over = threading.Event()
    ways = {"store is away": ("model", ""), "no model": ("favourites", "no model is published")}
    ways["nothing at all"] = ("none", "no model is published")
    with asked(engine) as client:
        assert client.get("/v1/me").status_code == 200
        if fault.startswith("model"):
            failing = (lambda *_: over.wait(120) / 0) if "stuck" in fault else (lambda *_: 1 / 0)
            monkeypatch.setattr(Linear, "_rank", failing)
        if fault == "store is away":

            def away(*_: Any, **__: Any) -> Any:
                raise UnreachableStore("gone: /var/lib/store")

            for name in ("rejected", "get_posts", "changes"):
                monkeypatch.setattr(store, name, away)
        body = DRAFT | {"post_id": "d", "explain": True, "community": "empty" if fault == "nothing at all" else "even"}
        answer = client.post("/v1/suggest", json=body)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        way, why = ways.get(fault, ("favourites", "model: "))
        assert (said["way"], said["why"].startswith(why)) == (way, True)
        assert bool(said["suggestions"]) == (way != "none")
        assert said["took_ms"] < 60_000
        assert "/var/lib" not in answer.text
        if fault.startswith("model"):  # a post is kept whatever the model does
            put = client.put("/v1/posts/even/kept", json={"text": "rye", "tags": ["Rye"], "user": "u2"})
            assert put.json()["status"] == "new"
        over.set()
