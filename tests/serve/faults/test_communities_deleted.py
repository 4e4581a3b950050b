"""A community that is deleted is in no answer, model or file any more, at once and by every way back; others stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import asked, bearer
from test_privacy import PERSON, TAG, WORD, memories, picture
from test_privacy import full as full
from test_serve_access import PASSED, ROUTES

from hashloom.recommenders.nearest import Nearest
from hashloom.serve.engine import Engine
from hashloom.serve.learnable import learnable
from hashloom.store import Store
from hashloom.types import Posts

SPACE = {"tags": {"canarytag": "CanaryTag"}, "denied": ["canarydenied"], "describe": {"canarytag": "canary words"}}
CANARIES = (PERSON, WORD, TAG.lower(), "friend", "canary", "mine1", "kneaded")
"""What only the community ``even`` holds."""


def told(client: Any) -> str:
    """What every route answers about the community to one who may ask them all."""
    said = []
    for (method, path), (_, _, sent) in ROUTES.items():
        if (method, path) != ("POST", "/v1/keys"):
            answer = client.request(method, path, **sent)
            assert answer.status_code in PASSED | {410}, (method, path, answer.text)
            said.append(answer.text)
    draft = {"text": "rye flour", "community": "even", "user": PERSON, "k": 50, "explain": True}
    said += [client.post("/v1/suggest", json=draft).text]
    said += [client.get(f"/v1/autocomplete/even?user={PERSON}&q={q}").text for q in ("", "c", "heir")]
    said += [client.get(path).text for path in ("/metrics", "/v1/spaces/even")]
    held = client.get(f"/v1/authors/{PERSON}").text
    return "\n".join([*said, held.replace(f'"user":"{PERSON}"', "")]).lower()


def leaks(text: str) -> list[str]:
    return [word for word in CANARIES if word in text]


def tags_of(client: Any, community: str, text: str = "surf board wax") -> list[str]:
    body = {"text": text, "community": community, "k": 20}
    return [one["tag"] for one in client.post("/v1/suggest", json=body).json()["suggestions"]]


@pytest.fixture
def shut(full: Any, tmp_path: Path) -> Any:
    """The service of ``full``, whose community ``even`` had a tag space and keys as well, once it was deleted."""
    client, engine, store, name = full
    assert client.put("/v1/spaces/even", json=SPACE).status_code == 200
    assert {PERSON, WORD, TAG.lower(), "canary"} <= set(leaks(told(client) + memories(engine)))
    store.backup(tmp_path / "before.zip")
    others = tags_of(client, "odd")
    secret = store.new_key("admin")[1]
    bound = store.new_key("writer", "even")[1]
    client.app.state.service.keys.forget()
    client.headers.update(bearer(secret))
    assert client.get("/v1/me", headers=bearer(bound)).status_code == 200
    gone = client.delete("/v1/communities/even").json()
    return client, engine, store, name, gone, bound, others


def test_it_is_gone_from_every_place_at_once(shut: Any) -> None:
    client, engine, store, name, gone, bound, others = shut
    assert (gone["where"]["spaces"], gone["where"]["keys"], gone["where"]["pictures"]) == (1, 1, 1)
    assert gone["where"]["posts"] == 24 + 4 + 2  # the world's, those of the fixture, and two of the table of routes
    assert (set(gone["left"].values()), gone["models"], gone["erased"]) == ({0}, True, True)
    assert not any(draft.community == "even" for draft in engine.recent)
    assert client.get("/v1/me", headers=bearer(bound)).status_code == 401
    assert not leaks(memories(engine))
    assert "'even'" not in memories(engine)
    assert not leaks(told(client))
    assert client.get("/v1/communities").json()["communities"] == {"odd": 24}
    assert tags_of(client, "even") == []
    assert tags_of(client, "odd") == others != []
    assert not (engine.spool.folder / name).exists()
    assert not [posts for posts in learnable(store) if "even" in posts.communities]
    held = b"".join(path.read_bytes() for path in store.folder.glob("hashloom.sqlite*")).lower()
    assert not [word for word in CANARIES if word.encode() in held]


def test_it_comes_back_by_no_import_backup_rollback_or_model(
    shut: Any, tmp_path: Path, engine_of: Callable[..., Engine]
) -> None:
    client, engine, store, *_ = shut
    again = {"text": WORD, "user": PERSON, "tags": [TAG]}
    assert client.put("/v1/posts/even/mine0", json=again).status_code == 410
    assert client.put("/v1/posts/even/quite-new", json=again).status_code == 410
    assert client.put("/v1/spaces/even", json=SPACE).status_code == 410
    assert client.patch("/v1/spaces/even/denied", json={"add": ["canary"]}).status_code == 410
    assert client.post("/v1/pictures/even", files={"picture": ("a.png", picture())}).status_code == 410
    many = client.post("/v1/posts", json={"posts": [again | {"id": "n1", "community": "even"}]}).json()
    assert (many["new"], many["refused"][0]["reason"][:7]) == (0, "deleted")
    event = {"community": "even", "post_id": "d2", "tag": "Oat", "event": "typed", "user": "new", "token": "h"}
    assert client.post("/v1/feedback", json={"events": [event]}).json()["refused"][0]["at"] == 0
    store.restore(tmp_path / "before.zip")
    engine.sync()
    client.app.state.service.keys.forget()
    client.headers.update(bearer(store.new_key("admin")[1]))
    assert not leaks(told(client) + memories(engine))
    for digest in [one["digest"] for one in client.get("/v1/models").json()["models"]]:
        client.post("/v1/models/recommender/publish", json={"digest": digest})  # loaded anew, its folder knows more
        assert not leaks(told(client) + memories(engine))
    assert not leaks(memories(engine_of()))  # as after a restart
    fresh = Nearest().fit(Posts.concat(list(learnable(store)))).save(tmp_path / "fresh")
    assert "even" not in Nearest().fit(Posts.concat(list(learnable(store)))).spaces_
    engine.publish("recommender", store.add_model("recommender", fresh).digest)
    assert not leaks(told(client) + memories(engine))


def test_readmitted_it_begins_anew(shut: Any) -> None:
    client, engine, store, *_ = shut
    assert store.readmit_community("even")
    new = [{"id": f"n{i}", "community": "even", "text": "plain", "user": f"v{i}", "tags": ["Fresh"]} for i in range(3)]
    assert client.post("/v1/posts", json={"posts": new}).json()["new"] == 3
    assert client.put("/v1/posts/even/mine0", json={"text": "x"}).status_code == 410
    engine.sync()
    assert tags_of(client, "even") == ["Fresh"]
    assert not leaks(told(client) + memories(engine))


def test_one_who_starts_while_it_is_cut_off_learns_nothing_of_it(
    full: Any, engine_of: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, engine, store, _ = full

    def cut(*_: object) -> dict[str, int]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(store, "_empty", cut)
        with pytest.raises(KeyboardInterrupt):
            store.delete_community("even")
    assert store.count("even") > 20
    engine.sync()
    for one in (engine, engine_of()):
        assert not leaks(memories(one))
        assert not one.follower.ledger.knows("even")
        assert not one.follower.verdicts.communities()
    assert not [posts for posts in learnable(store) if "even" in posts.communities]
    assert client.delete("/v1/communities/even").json()["left"] == {"posts": 0, "feedback": 0, "spaces": 0}
    assert not leaks(told(client))


def test_a_forecaster_forgets_it_too(foretelling: Engine) -> None:
    with asked(foretelling) as client:
        assert "harbour" in foretelling.forecaster.running.peek.memory_.communities
        assert client.delete("/v1/communities/harbour").json()["models"]
        assert "harbour" not in str(foretelling.forecaster.running.peek.memory_.frame.rows())


def test_the_community_without_a_name_and_odd_names(engine: Engine, store: Store) -> None:
    with asked(engine) as client:
        for name, place in (("", "~"), ("..", "~.."), ("a/b", "a%2Fb"), ("ＥＶＥＮ", "ＥＶＥＮ"), ("even ", "even")):
            client.post("/v1/posts", json={"posts": [{"id": "1", "community": name, "text": "x", "tags": ["Rye"]}]})
            assert client.delete(f"/v1/communities/{place}").json()["where"]["posts"] >= 1, name
            assert store.count(name.strip()) == 0
        assert store.communities() == {"odd": 24}
        # What never was is deleted as well: nothing of it is taken from then on.
        said = client.delete("/v1/communities/never").json()
        assert (set(said["where"].values()), store.deleted_communities(["never"])) == ({0}, {"never"})


def test_who_may_not_delete_it_changes_nothing(engine: Engine, store: Store) -> None:
    own, operator = store.new_key("admin", "even")[1], store.new_key("operator")[1]
    with asked(engine, near=False) as client:
        said = client.delete("/v1/communities/even", headers=bearer(own))
        assert (said.status_code, said.json()["detail"]) == (403, "This needs a key for all communities.")
        assert client.delete("/v1/communities/even", headers=bearer(operator)).status_code == 403
        assert client.delete("/v1/communities/even").status_code == 401
        assert client.get("/v1/communities/even", headers=bearer(own)).status_code == 405
    assert store.communities() == {"even": 24, "odd": 24}
