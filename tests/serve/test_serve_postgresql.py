"""The service on SQLite and on PostgreSQL alike: several engines and processes over one store, and the verbs by URL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from asking import asked, bearer, soon
from databases import cluster as cluster
from databases import server as server
from test_cli_serve import run, served

from hashloom import keeping
from hashloom.client import Client, NotAllowed
from hashloom.serve.engine import Draft, Engine
from hashloom.serve.upkeep import forget
from hashloom.store import Feedback, Store
from hashloom.types import Post, Posts


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    if request.param == "sqlite":
        return str(tmp_path / "store"), tmp_path / "store"
    return request.getfixturevalue("server")(), tmp_path / "store"


@pytest.fixture
def store(where: tuple[str, Path], known: Posts) -> Iterator[Store]:
    """The world's posts on either database, in the place of the fixture that has them on SQLite."""
    with Store.open(where[0], folder=where[1]) as made:
        made.put_posts(known)
        yield made


@pytest.fixture
def other(where: tuple[str, Path], engine: Engine) -> Iterator[Engine]:
    """A second engine with a store of its own on the same database, as another process has it."""
    settings = engine.settings
    with Store.open(where[0], folder=where[1]) as store, Engine(store, settings=settings) as made:
        yield made.start()


def grains(engine: Engine, text: str = "buckwheat groats", **draft: Any) -> list[str]:
    return engine.suggest(Draft(text, "even", k=50, **draft)).tags


def test_what_is_asked_told_and_deleted_over_http(engine: Engine, store: Store) -> None:
    secret = store.new_key("operator", "even")[1]
    draft = {"text": "rye flour kneaded", "community": "even", "post_id": "d1", "k": 5}
    with asked(engine, near=False) as client:
        client.headers.update(bearer(secret))

        def tags() -> list[str]:
            answer = client.post("/v1/suggest", json=draft).json()
            assert (answer["way"], answer["model"]) == ("model", engine.current.digest)
            return [one["tag"] for one in answer["suggestions"]]

        assert tags()[0] == "Rye"
        events = [{"token": "t", "community": "even", "post_id": "d1", "tag": "Rye", "event": "rejected"}]
        said = [client.post("/v1/feedback", json={"events": events}).json() for _ in range(2)]
        assert [(one["new"], one["repeated"]) for one in said] == [(1, 0), (0, 1)]
        assert "Rye" not in tags()
        for i in range(2):
            body = {"text": "buckwheat groats", "user": f"n{i}", "tags": ["Buckwheat"]}
            assert client.put(f"/v1/posts/even/b{i}", json=body).json()["status"] == "new"
        engine.sync()
        draft |= {"text": "buckwheat groats", "k": 50}
        assert "Buckwheat" in tags()
        assert client.patch("/v1/spaces/even/denied", json={"add": ["Oat"]}).status_code == 200
        assert "Oat" not in tags()
        for i in range(2):
            assert client.delete(f"/v1/posts/even/b{i}").json()["deleted"] == 1
        assert "Buckwheat" not in tags()
        assert client.put("/v1/posts/even/b0", json=body).status_code == 410
        assert client.get("/v1/posts/odd/0-1").status_code == 403


def test_a_second_engine_knows_within_seconds(engine: Engine, other: Engine, store: Store) -> None:
    rows = [Post(f"b{i}", "buckwheat groats", "even", f"n{i}", tags=("Buckwheat",)) for i in range(2)]
    store.put_posts(Posts.of(rows))
    soon(lambda: "Buckwheat" in grains(other), "a post")
    store.put_feedback([Feedback("t", "even", "d1", "Buckwheat", "rejected")])
    assert "Buckwheat" not in grains(other, post_id="d1")
    store.delete_author("n0")
    soon(lambda: "Buckwheat" not in grains(other), "an author's deletion")
    assert "n0" not in other.current.running.peek.memory_.users
    assert "n1" in other.current.running.peek.memory_.users
    store.change_space("even", lambda space: type(space)("even", denied=("Rye",)), by="me")
    soon(lambda: "Rye" not in grains(other, "rye flour kneaded"), "a denied tag")


def test_models_that_one_engine_publishes_rolls_back_and_cleans_reach_the_other(
    engine: Engine, other: Engine, store: Store, models: dict[str, Path]
) -> None:
    first = engine.current.digest
    second = store.add_model("recommender", models["popular"]).digest
    engine.publish("recommender", second)
    soon(lambda: other.current.digest == second, "a publication")
    engine.roll_back("recommender")
    soon(lambda: other.current.digest == first, "a rollback")
    engine.publish("recommender", second)
    proof = forget(store, "u0", say=lambda _: None)
    assert proof["complete"]
    third = store.published("recommender").digest
    assert third not in (first, second)
    for each in (engine.start(), other):
        soon(lambda each=each: each.current.digest == third, "a model without an author")
    assert {one.digest for one in store.models()} & {first, second} == set()
    assert all("u0" not in keeping.load(one.folder).memory_.users for one in store.models())
    assert grains(other, "rye flour kneaded")


def test_two_processes_over_one_store_are_one_service(
    server: Callable[[], str], known: Posts, models: dict[str, Path], tmp_path: Path
) -> None:
    where, folder = server(), tmp_path / "models"
    with Store.open(where, folder=folder) as store:
        store.put_posts(known)
        digests = [store.add_model("recommender", models[name]).digest for name in ("linear", "popular")]
        store.publish("recommender", digests[0])
        admin, reader = store.new_key("admin")[1], store.new_key("reader")
    with ExitStack() as stack:
        arguments = ("--store", where, "--folder", folder)
        addresses = [stack.enter_context(served(*arguments))[0] for _ in range(2)]
        one, two = (Client(address, admin, timeout=60) for address in addresses)
        for i in range(2):
            one.put_post("even", f"b{i}", text="buckwheat groats", user=f"n{i}", tags=["Buckwheat"])

        def tags() -> list[str]:
            return two.suggest("buckwheat groats", community="even", k=50).tags

        soon(lambda: "Buckwheat" in tags(), "a post")
        assert one.forget_author("n0")["left"] == {"posts": 0, "feedback": 0}
        soon(lambda: "Buckwheat" not in tags(), "an author's deletion")
        assert one.publish("recommender", digests[1]) == digests[1]
        soon(lambda: two.suggest("rye", community="even").model == digests[1], "a publication")
        assert two.roll_back("recommender") == digests[0]
        soon(lambda: one.suggest("rye", community="even").model == digests[0], "a rollback")
        with Store.open(where) as store:
            assert Client(addresses[1], reader[1]).suggest("rye", community="even").tags
            store.revoke(reader[0])
        soon(lambda: is_refused(addresses[1], reader[1]), "a revoked key")


def is_refused(address: str, secret: str) -> bool:
    try:
        Client(address, secret).suggest("rye", community="even")
    except NotAllowed:
        return True
    return False


def test_the_verbs_take_a_url_and_a_store_moves_between_databases(
    server: Callable[[], str], known: Posts, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ["--store", tmp_path / "here"]
    there = ["--store", server(), "--folder", tmp_path / "models"]
    back = ["--store", tmp_path / "back"]
    with Store.open(tmp_path / "here") as store:
        store.put_posts(known)
    assert run("retrain", *here, "--recipe", "popular", "--drop", 1) == 0
    assert run("keys", "new", *here, "--role", "reader", "--note", "moved") == 0
    assert run("backup", tmp_path / "one.zip", *here) == 0
    assert run("restore", tmp_path / "one.zip", *there) == 0
    assert run("restore", tmp_path / "one.zip", *there) == 2  # it holds posts now
    capsys.readouterr()
    assert run("keys", "list", *there[:2]) == 0
    id, row = capsys.readouterr().out.split(maxsplit=1)
    assert "moved" in row
    assert run("serve", *there, "--port", 0, "--check") == 0
    assert "suggestions not asked for, as they need a key" in capsys.readouterr().err
    assert run("keys", "revoke", id, *there[:2]) == 0
    assert run("serve", *there, "--port", 0, "--check") == 0
    assert "by the way 'model'" in capsys.readouterr().err
    assert run("forget", *there, "--author", "u0", "--proof") == 0
    assert json.loads(capsys.readouterr().out)["complete"] is True
    assert run("retrain", *there, "--drop", 1) == 0
    assert run("backup", tmp_path / "two.zip", *there) == 0
    assert run("restore", tmp_path / "two.zip", *back) == 0
    assert run("serve", *back, "--port", 0, "--check") == 0
    with Store.open(tmp_path / "back") as store, Store.open(there[1], folder=there[3]) as origin:
        assert store.published("recommender").digest == origin.published("recommender").digest
        assert store.communities() == origin.communities()
        assert store.count() == len(known) - known.users.count("u0")
        assert store.put_posts(known).refused
