"""What the service tells nobody, and what it forgets: keys and paths in no log or error; deletions on every road."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from asking import asked, bearer, soon
from test_serve_access import ROUTES

from hashloom.recommenders.nearest import Nearest
from hashloom.serve.drafts import Draft, with_scoped_ids
from hashloom.serve.engine import Engine
from hashloom.serve.learnable import learnable
from hashloom.store import Store
from hashloom.types import Post, Posts

PERSON, WORD, TAG = "mo-4711", "zwieback", "Heirloom4711"


# ---------------------------------------------------------------- leaks


def test_open_addresses_tell_nothing_of_anybody(engine: Engine, store: Store) -> None:
    store.new_key("reader", "even", note="the forum of Mo")
    with asked(engine, near=False) as client:
        told = [client.get(path).text for path in ("/health", "/ready", "/v1/openapi.json", "/", "/operator")]
        told += [client.get(path).text for path in ("/v1/me", "/metrics", "/v1/status", "/nowhere/even", "/docs")]
    words = ("habit0", "kneaded", "surf", "forum of mo", str(store.folder).lower(), engine.current.digest[:12])
    for text in told:
        assert not [word for word in words if word in text.lower()], text[:200]
    assert json.loads(told[0]) == {"status": "ok"}
    assert json.loads(told[1]) == {"status": "ready"}
    assert '"odd"' not in told[2]


@pytest.mark.parametrize("sent", ['{"text": 5, "%s": 1}', '{"text": "%s"', '{"k": "%s"}', '["%s"]', "%s"])
def test_errors_repeat_neither_values_nor_paths_nor_others(engine: Engine, store: Store, sent: str) -> None:
    """What breaks a rule is named by its place; only a field's own name comes back, and to its sender."""
    secret = store.new_key("admin", "even")[1]
    headers = bearer(secret) | {"Content-Type": "application/json"}
    with asked(engine, near=False) as client:
        for method, path in ROUTES:
            for there in (path, path.replace("even", "odd")):
                answer = client.request(method, there, content=sent % "v4lue", headers=headers)
                if answer.status_code < 400:
                    continue
                said = answer.json()
                assert answer.headers["content-type"] == "application/problem+json"
                assert said["type"].startswith("urn:hashloom:problem:")
                assert not said.keys() - {"type", "title", "status", "detail", "request_id", "errors"}
                fields = [error.pop("field") for error in said.get("errors", ())]
                text = json.dumps(said)
                for word in ("v4lue", secret, str(store.folder), "Traceback", "sqlite", "site-packages", "odd"):
                    assert word not in text, (method, there)
                assert not [name for name in fields if name not in ("v4lue",) and "v4lue" in name]


def test_a_wrong_key_is_in_no_log_line_and_in_no_answer(
    engine: Engine, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "hashloom")  # a service that ran in this process has set another
    id, right = store.new_key("reader")
    wrong = [f"hl_{id}_" + "w" * 43, "hl_" + "v" * 56, right[:-1] + "~", "no key of ours at all", "x" * 5_000]
    store.revoke(store.new_key("reader")[0])
    with asked(engine, near=False, failures=1e6) as client:
        for secret in wrong:
            for headers in (bearer(secret), {"X-API-Key": secret}, {"Authorization": f"Basic {secret}"}):
                answer = client.get("/v1/me", headers=headers)
                assert answer.status_code == 401
                assert secret[3:] not in answer.text + str(answer.headers)
            answer = client.get("/v1/me", headers=bearer(right), params={"key": secret[:200]})
            assert (answer.status_code, secret[:200] in answer.text) == (422, False)
        client.get("/v1/me", headers=bearer(right))
    ours = "\n".join(one.getMessage() for one in caplog.records if not one.name.startswith("httpx"))
    for secret in [*wrong, right]:
        assert secret not in ours
    assert " 401" in ours


def test_a_key_is_compared_once_in_constant_time_whoever_asks(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    from hashloom.store import keys

    compared: list[tuple[int, int]] = []
    digest = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return digest(one, other)

    monkeypatch.setattr(keys.hmac, "compare_digest", counted)
    id, right = store.new_key("reader")
    gone, revoked = store.new_key("reader")
    store.revoke(gone)
    for secret in (right, right[:-1] + "~", f"hl_{id}_", "hl_000000000000_" + "x" * 43, revoked, "", "é"):
        store.find_key(secret)
        assert compared.pop() == (32, 32)
        assert not compared


# ---------------------------------------------------------------- deletion


def picture() -> bytes:
    from PIL import Image

    made = io.BytesIO()
    Image.new("RGB", (16, 16), (47, 11, 0)).save(made, "PNG")
    return made.getvalue()


@pytest.fixture
def full(store: Store, known: Posts, tmp_path: Path, models: dict[str, Path], engine_of: Callable[..., Engine]) -> Any:
    """A service whose published model, the one before it and the candidate all know a person's posts."""
    mine = [
        Post(f"mine{i}", f"{WORD} rye flour kneaded", "even", PERSON, known[0].created_at, tags=(TAG, "Rye"))
        for i in range(3)
    ]
    theirs = [Post("theirs", f"{WORD} rye", "even", "friend", known[0].created_at, tags=(TAG, "Rye"))]
    store.put_posts(Posts.of([*mine, *theirs]))
    everything = with_scoped_ids(Posts.concat([known, Posts.of([*mine, *theirs])]))
    digests = []
    for name, model in (("one", Nearest()), ("two", Nearest(neighbours=9)), ("three", Nearest(neighbours=8))):
        folder = model.fit(everything).save(tmp_path / name)
        digests.append(store.add_model("recommender", folder).digest)
    store.publish("recommender", digests[0])
    engine = engine_of()
    engine.publish("recommender", digests[1])
    engine.set_shadow("recommender", digests[2])
    with asked(engine) as client:
        name = client.post("/v1/pictures/even", files={"picture": ("a.png", picture())}).json()["sha256"]
        assert client.patch("/v1/posts/even/mine0", json={"images": [name]}).json()["status"] == "changed"
        event = {"community": "even", "post_id": "d1", "tag": "Oat", "event": "rejected", "user": PERSON, "token": "f"}
        client.post("/v1/feedback", json={"events": [event, event | {"token": "g", "post_id": "mine1"}]})
        engine.sync()
        engine.spool.shown(store.get_posts("even", ["mine0"]), store.get_picture, True)
        client.post("/v1/suggest", json={"text": f"{WORD} draft", "community": "even", "user": PERSON})
        yield client, engine, store, name


def roads(client: Any, user: str | None = "u2") -> str:
    """All that is told of a community to one of its authors."""
    draft = {"text": f"{WORD} rye flour", "community": "even", "user": user, "k": 50, "explain": True}
    told = [client.post("/v1/suggest", json=draft).json(), client.get("/v1/autocomplete/even?q=heir").json()]
    told += [client.get("/v1/trends/even").json(), client.get("/v1/review/even").json()]
    rows = [[one | {"marks": None} for one in answer.get("suggestions", ())] or answer for answer in told]
    quoted = [r for row in rows[0] for r in row.get("reasons", ()) if r["source"] != "text"]
    return json.dumps([[row.get("tag") for row in rows[0]], quoted, rows[1:]]).lower()


def memories(engine: Engine) -> str:
    """What the models in place remember, as text: posts, authors, tags, counts of authors."""
    told = []
    for served in engine.in_place():
        model = served.running.peek
        told.append([model.memory_.frame.rows(), model.favourites_, served.authors])
        told.append([sorted(space.tags) for space in model.spaces_.spaces.values()])
    places = engine.follower.ledger._places
    told.append([[list(p.posts.items()), list(p.uses.items()), list(p.forms.items())] for p in places.values()])
    return str(told).lower()


def test_an_author_is_gone_from_every_place_at_once(full: Any, tmp_path: Path) -> None:
    client, engine, store, name = full
    assert len(engine.in_place()) == 3
    assert TAG.lower() in roads(client)
    for word in (PERSON, "mine1", TAG.lower()):
        assert word in memories(engine)
    assert (engine.spool.folder / name).exists()
    assert any(draft.user == PERSON for draft in engine.recent)
    store.backup(tmp_path / "before.zip")

    gone = client.delete(f"/v1/authors/{PERSON}").json()

    assert (gone["where"]["posts"], gone["where"]["feedback"], gone["where"]["pictures"]) == (3, 2, 1)
    assert (set(gone["left"].values()), gone["models"], gone["erased"]) == ({0}, True, True)
    assert TAG.lower() not in roads(client)  # one author is left who used it
    assert "mine" not in roads(client)
    assert PERSON not in memories(engine)
    assert "mine" not in memories(engine)
    assert not len(store.history("even", PERSON))
    assert not (engine.spool.folder / name).exists()
    assert store.get_picture(name, "even") is None
    assert not any(draft.user == PERSON for draft in engine.recent)
    assert not [event for event in store.feedback() if event.user == PERSON]
    assert store.rejected("even", "d1") == set()
    assert not [posts for posts in learnable(store) if PERSON in posts.users]
    held = b"".join(path.read_bytes() for path in store.folder.glob("hashloom.sqlite*"))
    assert PERSON.encode() not in held


def test_an_author_comes_back_by_no_import_backup_rollback_or_model(full: Any, tmp_path: Path) -> None:
    client, engine, store, _ = full
    store.backup(tmp_path / "before.zip")
    client.delete(f"/v1/authors/{PERSON}")
    again = {"text": WORD, "user": PERSON, "tags": [TAG]}
    assert client.put("/v1/posts/even/mine0", json=again).status_code == 410
    assert client.put("/v1/posts/even/quite-new", json=again).status_code == 410
    assert client.put("/v1/posts/even/mine0", json=again | {"user": "somebody-else"}).status_code == 410
    many = client.post("/v1/posts", json={"posts": [again | {"id": "n1", "community": "even"}]}).json()
    assert (many["new"], many["refused"][0]["reason"][:7]) == (0, "deleted")
    event = {"community": "even", "post_id": "d2", "tag": "Oat", "event": "typed", "user": PERSON, "token": "h"}
    assert client.post("/v1/feedback", json={"events": [event]}).json()["refused"][0]["at"] == 0
    kept_out = store.restore(tmp_path / "before.zip").kept_out
    assert kept_out["posts"] >= 3
    engine.sync()
    assert client.post("/v1/models/recommender/rollback").status_code == 200
    for digest in [one["digest"] for one in client.get("/v1/models").json()["models"]]:
        client.post("/v1/models/recommender/publish", json={"digest": digest})  # loaded anew, its folder knows more
        assert PERSON not in memories(engine)
        assert TAG.lower() not in roads(client)
    fresh = Nearest().fit(Posts.concat(list(learnable(store)))).save(tmp_path / "fresh")
    engine.publish("recommender", store.add_model("recommender", fresh).digest)
    assert PERSON not in memories(engine)
    assert client.get(f"/v1/authors/{PERSON}").json() | {"request_id": ""} == {
        "request_id": "", "user": PERSON, "posts": [], "feedback": [], "pictures": [],
    }  # fmt: skip


def test_a_post_is_gone_from_every_place_at_once(full: Any, tmp_path: Path) -> None:
    client, engine, store, name = full
    store.backup(tmp_path / "before.zip")
    assert client.delete("/v1/posts/even/mine0").json()["deleted"] == 1
    assert "mine0" not in memories(engine)
    assert "mine0" not in roads(client)
    assert not (engine.spool.folder / name).exists()
    assert store.get_picture(name, "even") is None
    store.restore(tmp_path / "before.zip")
    engine.sync()
    assert "mine0" not in memories(engine)
    assert client.get("/v1/posts/even/mine0").status_code == 404
    for post in ("mine1", "mine2"):
        client.delete(f"/v1/posts/even/{post}")
    assert TAG.lower() not in roads(client)
    assert TAG.lower() in roads(client, "friend")  # who has used it


def test_a_forecaster_forgets_an_author_too(foretelling: Engine) -> None:
    with asked(foretelling) as client:

        def forecast(user: str) -> Any:
            body = {"text": "fog over town", "community": "harbour", "user": user}
            return client.post("/v1/forecast", json=body).json()["forecast"]["value"]

        assert forecast("citizen-0") != forecast("stranger")
        assert client.delete("/v1/authors/citizen-0").json()["models"]
        assert forecast("citizen-0") == forecast("stranger")
        assert "citizen-0" not in str(foretelling.forecaster.running.peek.memory_.frame.rows())


def test_a_space_that_changes_brings_no_forgotten_tag_back(engine: Engine, store: Store) -> None:
    """A model's weights know the tag still; opening, closing and emptying a tag space must not list it anew."""
    with asked(engine) as client:
        body = {"text": "rye flour kneaded oat flakes", "community": "even", "user": "nobody", "k": 50}
        client.patch("/v1/spaces/even", json={"add": ["Spelt"]})
        assert client.delete("/v1/authors/u0").json()["models"]
        for change in ({"closed": True}, {"closed": False}, {"add": ["Barley"]}, {"remove": ["Spelt"]}):
            client.patch("/v1/spaces/even", json=change)
            assert "Habit0" not in str(client.post("/v1/suggest", json=body).json()), change
            assert "Habit0" not in str(client.post("/v1/suggest", json=body | {"user": "u0"}).json()), change
        client.put("/v1/spaces/even", json={})
        assert "Habit0" not in str(client.post("/v1/suggest", json=body).json())
        assert "Rye" in str(client.post("/v1/suggest", json=body).json())


def test_a_question_that_waits_is_answered_without_what_was_deleted_meanwhile(full: Any) -> None:
    """The model learns of a deletion before all questions that wait."""
    _, engine, store, _ = full
    draft = Draft(WORD, "even", "u2", k=50, explain=True)
    assert "mine" in str(engine.suggest(draft))
    running = engine.current.running
    busy, go = threading.Event(), threading.Event()

    def hold(_: Any) -> None:
        busy.set()
        assert go.wait(120)

    held: Future[None] = running.later(hold)
    assert busy.wait(60)
    waiting: list[Any] = []
    ask = threading.Thread(target=lambda: waiting.append(engine.suggest(draft)))
    ask.start()
    soon(lambda: running._tasks.qsize() > 0, "the question")
    store.delete_author(PERSON)
    threading.Timer(0.3, go.set).start()
    assert engine.sync()
    ask.join(120)
    held.result(120)
    assert waiting[0].way == "model"
    assert "mine" not in str(waiting[0])
    assert PERSON not in memories(engine)


# ---------------------------------------------------------------- export


def test_everything_held_about_a_person_is_exported(full: Any) -> None:
    import base64

    client, _, _, name = full
    held = client.get(f"/v1/authors/{PERSON}").json()
    assert sorted(post["id"] for post in held["posts"]) == ["mine0", "mine1", "mine2"]
    assert {post["community"] for post in held["posts"]} == {"even"}
    for post in held["posts"]:
        assert {"text", "tags", "images", "created_at", "received_at", "source", "views", "language"} <= post.keys()
        assert (post["text"], sorted(post["tags"])) == (f"{WORD} rye flour kneaded", sorted([TAG, "Rye"]))
    assert [(event["post_id"], event["tag"], event["event"]) for event in held["feedback"]] == [
        ("d1", "oat", "rejected"), ("mine1", "oat", "rejected"),
    ]  # fmt: skip
    assert [(one["sha256"], base64.b64decode(one["content"])) for one in held["pictures"]] == [(name, picture())]
    assert "friend" not in json.dumps(held)
