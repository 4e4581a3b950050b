"""The Python client against the real service, and against one that fails in every way; docs/api.md against OpenAPI."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import uvicorn

from hashloom.client import (
    Client,
    Deleted,
    DraftFields,
    DraftRow,
    NotAllowed,
    NotFound,
    PostFields,
    PostRow,
    Refused,
    ServiceError,
    TooMany,
    Unavailable,
    connect,
)
from hashloom.serve.api import make_app
from hashloom.serve.engine import Engine

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"


@contextmanager
def running(engine: Engine) -> Iterator[str]:
    """The service in a thread, on a loopback port; gives its address."""
    config = uvicorn.Config(make_app(engine, engine.store), port=0, log_config=None, access_log=False, ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive(), "the server ended at once"
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture
def address(engine: Engine) -> Iterator[str]:
    with running(engine) as made:
        yield made


@pytest.fixture
def client(address: str) -> Client:
    return connect(address)


# ---------------------------------------------------------------- the real service


def test_models_that_are_not_in_use_are_dropped(client: Client, engine: Engine, models: dict[str, Path]) -> None:
    digests = [engine.store.add_model("recommender", models[name]).digest for name in ("popular", "calibrated")]
    client.publish("recommender", digests[1])
    for needed in (engine.current.digest, engine.previous.digest):
        with pytest.raises(Refused, match=r"is (published|the one to roll back to)\.") as told:
            client.drop_model("recommender", needed)
        assert told.value.status == 409
    client.drop_model("recommender", digests[0])
    assert not (engine.store.folder / "models" / "recommender" / digests[0]).exists()
    with pytest.raises(NotFound):
        client.drop_model("recommender", digests[0])
    assert client.suggest("rye flour kneaded", community="even").model == digests[1]


def test_suggestions_come_with_model_way_and_reasons(client: Client, engine: Engine) -> None:
    answer = client.suggest("rye flour kneaded today", community="even", user="u0", k=3, explain=True)
    assert answer.tags[0] == "Rye"
    assert (answer.way, answer.model) == ("model", engine.current.digest)
    assert answer.suggestions[0].reasons
    assert answer.request_id
    many = client.suggest_many([{"text": "rye flour", "community": "even"}, {"text": "surf board", "community": "odd"}])
    assert [one.tags[0] for one in many] == ["Rye", "Surf"]


def test_pictures_are_sent_with_a_draft(client: Client) -> None:
    answer = client.suggest("rye flour kneaded", pictures=[b"%PDF-1.7"], community="even")
    assert answer.tags[0] == "Rye"
    assert "not a picture" in answer.notes[0]


def test_a_forecast_without_a_forecaster_says_why(client: Client) -> None:
    made = client.forecast("rye", community="even")
    assert made.forecast is None
    assert made.why


def test_posts_are_put_changed_read_and_deleted(client: Client) -> None:
    when = datetime(2025, 3, 1, 8, tzinfo=UTC)
    odd_id = "a/b ü ?.."
    assert client.put_post("even", odd_id, text="rye", user="mo", created_at=when, tags=["Rye"]) == "new"
    assert client.put_post("even", odd_id, text="rye", user="mo", created_at=when, tags=["Rye"]) == "same"
    assert client.change_post("even", odd_id, tags=["Oat"]) == "changed"
    assert client.get_post("even", odd_id)["tags"] == ["Oat"]
    assert client.delete_post("even", odd_id) is True
    with pytest.raises(Deleted):
        client.put_post("even", odd_id, text="rye")
    with pytest.raises(NotFound):
        client.get_post("even", "nowhere")
    put = client.put_posts([{"id": "n1", "community": "even", "text": "x"}, {"id": odd_id, "community": "even"}])
    assert put.new == 1
    assert put.refused[0][0] == 1
    with pytest.raises(ValueError, match="time zone"):
        client.put_post("even", "n2", created_at=datetime(2025, 1, 1))


def test_feedback_counts_once_per_token(client: Client) -> None:
    assert client.say("rejected", "Rye", post_id="d1", community="even", token="t1") is True
    assert client.say("rejected", "Rye", post_id="d1", community="even", token="t1") is False
    assert "Rye" not in client.suggest("rye flour kneaded", community="even", post_id="d1").tags
    assert client.feedback([{"post_id": "d2", "tag": "Rye", "event": "shown", "community": "even"}] * 2).new == 2


def test_tag_spaces_are_read_changed_and_set(client: Client) -> None:
    assert client.deny("even", ["Oat"]).denied == ("Oat",)
    assert client.mark_sensitive("even", ["Grief", "Gloom"]).sensitive == ("Grief", "Gloom")
    assert client.mark_sensitive("even", remove=["gloom"]).sensitive == ("Grief",)
    assert "Rye" in client.suggest("rye flour", community="even", sensitive=True).tags
    assert client.alias("even", {"levain": "rye"}).aliases == {"levain": "rye"}
    space = client.change_space("even", closed=True, add=["Rye", "Spelt"])
    assert space.closed
    assert client.put_space(space) == space == client.space("even")
    assert client.merge("even", ["Spelt"], "Rye").aliases["spelt"] == "rye"


def test_models_trends_authors_and_status(client: Client, engine: Engine) -> None:
    (model,) = client.models()
    assert (model.digest, model.published) == (engine.current.digest, True)
    assert model.added_at.tzinfo is not None
    assert client.publish("recommender", model.digest) == model.digest
    assert client.complete("even", "ry") == ["Rye"]
    assert isinstance(client.trends("even"), list)
    assert client.status()["recommender"] == model.digest
    assert len(client.export_author("u0")["posts"]) == 6
    assert client.forget_author("u0")["left"] == {"posts": 0, "feedback": 0}
    assert client.export_author("u0")["posts"] == []
    assert client.forget_community("odd")["where"]["posts"] == 24
    assert list(client.communities()) == ["even"]


def test_communities_keys_quality_review_and_duplicates(client: Client, engine: Engine) -> None:
    assert set(client.communities()) == {"even", "odd"}
    me = client.me()
    assert (me.role, me.community, me.limits["max_k"]) == ("admin", None, 50)
    client.change_space("even", add=["open-source", "OpenSource"])
    assert client.duplicates("even") == [("open-source", "opensource")]
    client.put_post("even", "look", text="rye flour kneaded", user="mo", tags=["Odd"], reviewed=False)
    (doubted,) = [one for one in client.review("even", k=50) if one.id == "look"]
    assert (doubted.tags, doubted.suggested[0], 0 <= doubted.doubt <= 1) == (("Odd",), "Rye", True)
    client.say("accepted", "Rye", post_id="d1", community="even")
    assert [(one.accepted, one.rejected) for one in client.quality("even", days=2)][-1:] == [(1, 0)]
    admin = Client(client.address, client.new_key("admin")[1], retries=0)  # from the first key on, all need one
    id, secret = admin.new_key("reader", community="even", rate=5, note="widget")
    held = {one.id: one for one in list(admin.keys())}[id]
    assert (held.role, held.community, held.rate, held.note, held.revoked_at) == ("reader", "even", 5, "widget", None)
    assert held.made_at.tzinfo is not None
    assert Client(client.address, secret).me().community == "even"
    assert [admin.revoke_key(id), admin.revoke_key(id)] == [True, False]


def test_what_may_be_sent_is_typed_as_the_service_has_it(engine: Engine) -> None:
    made = make_app(engine, engine.store).openapi()["components"]["schemas"]
    for typed, name in ((DraftRow, "DraftBody"), (PostFields, "PostBody"), (PostRow, "PostRow")):
        assert set(typed.__annotations__) == set(made[name]["properties"]), name
    assert set(DraftRow.__annotations__) == {*DraftFields.__annotations__, "text"}


def test_what_is_wrong_is_raised_with_its_field(client: Client) -> None:
    with pytest.raises(Refused, match=r"422: .*\(k: ") as caught:
        client.suggest("x", k=0)
    assert caught.value.request_id
    assert caught.value.errors[0]["field"] == "k"


def test_keys_are_sent_and_never_shown(address: str, engine: Engine) -> None:
    _, secret = engine.store.new_key("reader", "even")
    client = Client(address, secret, retries=0)
    assert client.suggest("rye flour").tags[0] == "Rye"
    assert secret not in repr(client)
    for call in (lambda: client.suggest("x", community="odd"), client.models):
        with pytest.raises(NotAllowed) as caught:
            call()
        assert secret not in str(caught.value)
    time.sleep(engine.settings.key_seconds)
    with pytest.raises(NotAllowed, match="401"):
        Client(address, "hl_wrong", retries=0).suggest("x")


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://x", "http://", "http://me:secret@host", "http://h/?q=1"])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Client(address)


# ---------------------------------------------------------------- a service that fails


class Failing(BaseHTTPRequestHandler):
    """Answers with what ``script`` says, one after another; notes what came."""

    script: list[tuple[int, dict[str, str], bytes]]
    seen: list[tuple[str, str, str | None]]

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("content-length") or 0))
        self.seen.append((self.command, self.path, self.headers.get("authorization")))
        status, headers, body = self.script.pop(0)
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, *_: object) -> None:
        pass


Script = list[tuple[int, dict[str, str], bytes]]
FINE = (200, {}, b'{"status": "same", "tags": []}')


@pytest.fixture
def failing() -> Iterator[Callable[[Script], tuple[str, list[tuple[str, str, str | None]]]]]:
    servers: list[ThreadingHTTPServer] = []

    def start(script: Script) -> tuple[str, list[tuple[str, str, str | None]]]:
        seen: list[tuple[str, str, str | None]] = []
        kind = type("Scripted", (Failing,), {"script": list(script), "seen": seen})
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), kind))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}", seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_safe_calls_are_repeated(failing, status):
    address, seen = failing([(status, {"retry-after": "0"}, b""), FINE])
    assert Client(address).put_post("c", "p") == "same"
    assert [method for method, *_ in seen] == ["PUT", "PUT"]


def test_other_calls_are_sent_once(failing):
    address, seen = failing([(503, {"retry-after": "0"}, b""), FINE])
    with pytest.raises(Unavailable):
        Client(address).change_post("c", "p", text="x")
    assert len(seen) == 1


def test_retries_end_and_long_waits_are_raised(failing):
    address, seen = failing([(503, {"retry-after": "0"}, b"")] * 5)
    with pytest.raises(Unavailable):
        Client(address, retries=2).trends("c")
    assert len(seen) == 3
    address, seen = failing([(429, {"retry-after": "3600"}, b"")])
    with pytest.raises(TooMany) as caught:
        Client(address).trends("c")
    assert (caught.value.retry_after, len(seen)) == (3600, 1)


def test_a_redirect_is_not_followed_so_the_key_stays(failing):
    other, seen_there = failing([FINE])
    address, seen = failing([(307, {"location": f"{other}/v1/trends/c"}, b"")])
    with pytest.raises(ServiceError, match="leads elsewhere"):
        Client(address, "hl_secret").trends("c")
    assert seen[0][2] == "Bearer hl_secret"
    assert seen_there == []


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"\xff"])
def test_an_answer_of_something_else_is_said(failing, body):
    address, _ = failing([(200, {}, body)])
    with pytest.raises(ServiceError, match="is this the address of a Hashloom service"):
        Client(address).trends("c")


def test_nobody_there_and_too_slow():
    with pytest.raises(Unavailable, match="not ready"):
        connect("http://127.0.0.1:9")
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.1, retries=1)
        with pytest.raises(Unavailable):
            client.suggest("x")


# ---------------------------------------------------------------- docs/api.md


def test_the_document_names_every_route_and_no_other(engine: Engine) -> None:
    said = make_app(engine, engine.store).openapi()["paths"]
    there = {(m.upper(), path, about["summary"]) for path, ms in said.items() for m, about in ms.items()}
    rows = re.findall(
        r"^\| (GET|PUT|POST|PATCH|DELETE) \| `([^`]+)` \| ([^|]+?) \|$", DOCUMENT.read_text("utf-8"), re.M
    )
    assert set(rows) == there


def test_the_example_of_the_document_runs(address: str) -> None:
    for text in re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.S | re.M):
        exec(compile(text.replace("http://127.0.0.1:8000", address), str(DOCUMENT), "exec"), {})


def test_the_examples_of_bodies_are_json(engine: Engine) -> None:
    for text in re.findall(r"^```json\n(.*?)^```$", DOCUMENT.read_text("utf-8"), re.S | re.M):
        json.loads(text)
