"""The service under strain: bodies that would fill or stall it, silent databases, races, dear requests."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asking import asked, soon
from browsing import serving
from fastapi.routing import APIRoute

from hashloom.serve import ledger as ledgers
from hashloom.serve import limits, lookups
from hashloom.serve.answering import quoted
from hashloom.serve.api import ROUTES
from hashloom.serve.engine import Draft, Engine, Refused
from hashloom.serve.following import Follower
from hashloom.serve.guard import Guard
from hashloom.serve.ledger import Ledger
from hashloom.serve.limits import BadJson, parse
from hashloom.serve.reading import Route
from hashloom.serve.shelf import Shelf
from hashloom.store import Feedback, Store
from hashloom.types import Post, Posts, Reason

New = Callable[..., Engine]
Publish = Callable[[str], str]
RYE = Draft("rye flour kneaded", "even", k=50)
JSON = {"Content-Type": "application/json"}


# ---------------------------------------------------------------- bodies that are being read


@contextmanager
def service(engine: Engine, **settings: Any) -> Iterator[int]:
    """The port of a running service."""
    with contextlib.contextmanager(serving)(engine, replace(engine.settings, **settings)) as address:
        yield int(address.strip("/").rpartition(":")[2])


def sent(port: int, path: str, *lines: str, body: bytes = b"") -> socket.socket:
    """A connection on which a request was begun; nothing on it waits for longer than some seconds."""
    line = socket.create_connection(("127.0.0.1", port), timeout=60)
    head = "\r\n".join((f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", *lines))
    line.sendall(head.encode() + b"\r\n\r\n" + body)
    return line


def status(line: socket.socket) -> int:
    return int(line.recv(65_536).split(b" ")[1])


def test_bodies_count_from_their_first_byte_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    guards, init = [], Guard.__init__
    monkeypatch.setattr(
        Guard, "__init__", lambda self, *args, **more: (guards.append(self), init(self, *args, **more))[1]
    )
    length, part = "Content-Length: 400000", b" " * 300_000
    with service(engine, max_buffered=1_000_000) as port:
        held = [sent(port, "/v1/suggest", length, body=part) for _ in range(3)]
        soon(lambda: guards[-1].buffered == 900_000)
        for _ in range(2):
            with sent(port, "/v1/suggest", length, body=part) as line:
                assert status(line) == 503
            soon(lambda: guards[-1].buffered == 900_000)  # those that were refused count no longer
        for line in held:
            line.close()
        soon(lambda: guards[-1].buffered == 0)
        whole = b'{"text": "rye"}'.ljust(900_000)
        with sent(port, "/v1/suggest", f"Content-Length: {len(whole)}", body=whole) as line:
            assert status(line) == 200


def test_a_key_has_its_share_of_the_room_and_no_more(
    engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    guards, init = [], Guard.__init__
    monkeypatch.setattr(
        Guard, "__init__", lambda self, *args, **more: (guards.append(self), init(self, *args, **more))[1]
    )
    greedy, other = (f"Authorization: Bearer {store.new_key('reader')[1]}" for _ in range(2))
    share, part = 250_000, 150_000

    def answered(key: str, size: int) -> int:
        with sent(port, "/v1/suggest", key, f"Content-Length: {size}", body=b'{"text": "rye"}'.ljust(size)) as line:
            return status(line)

    with service(engine, max_buffered=1_000_000, key_share=0.25) as port:
        assert answered(greedy, 900_000) == 200  # alone, a body may be larger than the share
        slow = sent(port, "/v1/suggest", greedy, "Content-Length: 400000", body=b" " * part)
        soon(lambda: guards[-1].buffered == part)
        for more, expected in ((-1, 200), (0, 200), (1, 429)):
            assert answered(greedy, share - part + more) == expected, more
            soon(lambda: guards[-1].buffered == part)  # those that were refused count no longer
        assert answered(other, 800_000) == 200
        soon(lambda: guards[-1].buffered == part)
        with sent(port, "/v1/suggest", greedy, "Content-Length: 900000", body=b" " * 300_000) as line:
            said = line.recv(65_536).lower()
            assert (b" 429 " in said, b"retry-after: 1" in said, b"connection: close" in said) == (True, True, True)
        slow.close()
        soon(lambda: guards[-1].buffered == 0)
        assert not guards[-1].by_key
        assert answered(greedy, share + 1) == 200
    with (
        service(engine, max_buffered=1_000_000, key_share=1.0) as port,
        sent(port, "/v1/suggest", greedy, "Content-Length: 400000", body=b" " * part),
    ):
        soon(lambda: guards[-1].buffered == part)
        assert answered(greedy, 800_000) == 200


@pytest.mark.parametrize("path", ["/health", "/ready", "/", "/v1/openapi.json", "/nothing"])
def test_addresses_without_a_key_take_no_body(engine: Engine, store: Store, path: str) -> None:
    secret = store.new_key("admin")[1]
    with service(engine) as port:
        for length, body in (("Content-Length: 3999999", b""), ("Transfer-Encoding: chunked", b"1\r\n{\r\n")):
            with sent(port, path, length, body=body) as line:
                assert status(line) == 413
                with contextlib.suppress(ConnectionError):
                    while line.recv(65_536):  # and the connection ends, however much is still to come
                        pass
        with sent(port, path, "Content-Length: 0") as line:
            assert status(line) in (404, 405)
        with sent(port, "/v1/suggest", f"Authorization: Bearer {secret}", "Content-Length: 2", body=b"{}") as line:
            assert status(line) == 200


# ---------------------------------------------------------------- JSON that is small as text alone


BOMBS = {
    "lists": b'{"drafts":[' + b"[]," * 1_300_000 + b"[]]}",
    "objects": b'{"text":[' + b"{}," * 1_300_000 + b"{}]}",
    "numbers": b'{"text":[' + b"0," * 1_990_000 + b"0]}",
    "ends": b"]" * 3_900_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_json_bomb_is_refused_before_it_is_parsed(engine: Engine, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with asked(engine) as client:
        if name != "ends":
            monkeypatch.setattr(limits.json, "loads", _not_called)
        answer = client.post("/v1/suggest/many", content=BOMBS[name], headers=JSON)
        monkeypatch.undo()
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (400, "bad-request")


def _not_called(*_: Any, **__: Any) -> Any:
    raise AssertionError("it was read")


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_lists_and_values_are_counted_outside_strings(more: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_HOLDERS", 10)
    monkeypatch.setattr(limits, "MOST_VALUES", 20)
    rows = [['[{,]}"\\', {}, "[" * 99] for _ in range(4)] + [[]] * (1 + more)  # 9 + 1 + more, with the list itself
    values = [',,,\\"' * 9] * (21 + more)
    for body in (json.dumps(rows).encode(), json.dumps(values).encode()):
        if more < 1:
            assert parse(body) == json.loads(body)
        else:
            with pytest.raises(BadJson, match="more than"):
                parse(body)


def test_the_largest_bodies_that_the_api_takes_are_read() -> None:
    post = {"id": "a", "tags": ["t"] * 100, "images": ["a"] * 4, "text": "x"}
    tags = {f"t{i}": "T" for i in range(50_000)}
    for body in ({"posts": [post] * 1_000}, {"tags": tags, "aliases": tags, "denied": list(tags), "describe": tags}):
        assert parse(json.dumps(body).encode()) == body


def test_a_body_is_parsed_once_and_by_the_guard(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.requests import Request

    monkeypatch.setattr(Request, "json", _not_called)
    with asked(engine) as client:
        answer = client.post("/v1/suggest", json={"text": "rye flour", "community": "even", "k": 1})
        assert (answer.status_code, len(answer.json()["suggestions"])) == (200, 1)
        assert client.put("/v1/posts/even/new", json={"text": "rye"}).status_code == 200
        assert client.post("/v1/suggest", json={"k": "many"}).status_code == 422
        made = [route for routes in ROUTES for route in routes(client.app.state.service).routes]
        routes = [one for one in made if isinstance(one, APIRoute) and one.body_field is not None]
        assert len(routes) > 10
        assert all(isinstance(one, Route) for one in routes)


# ---------------------------------------------------------------- a silent database


@pytest.mark.parametrize("draft", [replace(RYE, post_id="p"), Draft("rye", "nowhere")])
def test_a_silent_database_holds_up_no_draft(engine: Engine, draft: Draft, monkeypatch: pytest.MonkeyPatch) -> None:
    silent, asks, passed = threading.Event(), [], [0.0]
    monkeypatch.setattr(lookups, "monotonic", lambda: time.monotonic() + passed[0])
    monkeypatch.setattr(lookups, "PAUSE", 3_600.0)
    monkeypatch.setattr(lookups, "SECONDS", 0.5)
    for name in ("rejected", "count"):
        monkeypatch.setattr(engine.store, name, _silent(getattr(engine.store, name), silent, asks))
    with monkeypatch.context() as patient:
        patient.setattr(lookups, "SECONDS", 60.0)
        usual = engine.suggest(draft)
    silent.set()
    asks.clear()
    try:
        answers = [_timed(lambda: engine.suggest(draft)) for _ in range(3)]
        for answer, _ in answers:
            assert (answer.tags, answer.way) == (usual.tags, "model")
            assert any("could not be read" in note for note in answer.notes) is (draft.post_id is not None)
        assert answers[0][1] < SILENT / 2
        assert len(asks) == 1  # the others did not wait, nor ask
    finally:
        silent.clear()
    assert any("could not be read" in note for note in engine.suggest(draft).notes) is (draft.post_id is not None)
    assert len(asks) == 1
    passed[0] = 3_601.0
    monkeypatch.setattr(lookups, "SECONDS", 60.0)
    assert engine.suggest(draft).notes == usual.notes


def test_a_silent_database_holds_up_no_reasons(engine: Engine, known: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = threading.Event()
    monkeypatch.setattr(engine.store, "get_posts", _silent(engine.store.get_posts, silent, []))
    post = known[0]
    why = [[Reason("neighbour", post.id, 1.0)]]
    assert quoted(engine.lookups, post.community, why)[post.id].text == post.text
    silent.set()
    monkeypatch.setattr(lookups, "SECONDS", 0.5)
    found, took = _timed(lambda: quoted(engine.lookups, post.community, why))
    silent.clear()
    assert (found, took < SILENT / 2) == ({}, True)


SILENT = 60.0


def _silent(work: Callable[..., Any], silent: threading.Event, asks: list[str]) -> Callable[..., Any]:
    def waits(*args: Any, **values: Any) -> Any:
        asks.append(work.__name__)
        until = time.monotonic() + SILENT
        while silent.is_set() and time.monotonic() < until:
            time.sleep(0.02)
        return work(*args, **values)

    return waits


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    return work(), time.monotonic() - began


def test_a_database_that_is_silent_keeps_nobody_from_ending(engine_of: New, store: Store) -> None:
    ends, asked_for, kinds = threading.Event(), [], []
    looks = lookups.Lookups(store)
    for _ in range(3):
        with pytest.raises(lookups.NoAnswer) as error:
            looks.ask(lambda _: (asked_for.append(1), ends.wait(60)), 0.1)
        kinds.append(error.value.kind)
    assert kinds == ["slow", "stuck", "stuck"]
    assert len(asked_for) == 1
    assert all(line._thread.daemon for line in looks._lines)
    looks.close()
    ends.set()


# ---------------------------------------------------------------- races


def test_drafts_that_come_while_an_author_is_dropped_break_nothing(
    engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(5):
        engine.suggest(replace(RYE, user=f"u{i}"))
    is_gone = engine._is_gone

    def meanwhile(draft: Draft, news: Any) -> bool:
        engine.recent.append(replace(RYE, user="late"))
        return is_gone(draft, news)

    monkeypatch.setattr(engine, "_is_gone", meanwhile)
    store.delete_author("u0")
    engine.sync()
    assert {draft.user for draft in engine.recent} >= {"u1", "u2", "u3", "u4"}
    assert "u0" not in {draft.user for draft in engine.recent}


def test_a_candidate_does_not_leave_while_news_are_taken_in(
    engine: Engine, store: Store, models: dict[str, Path]
) -> None:
    made = store.add_model("recommender", models["popular"])
    engine.set_shadow("recommender", made.digest)
    shadow = engine.shadow
    assert shadow is not None
    with engine._syncing:
        ending = threading.Thread(target=engine.set_shadow, args=("recommender", None))
        ending.start()
        ending.join(0.3)
        assert ending.is_alive()
        assert engine.shadow is shadow
        shadow.served.running.change(lambda model: None).result(60)  # it can still be told
    ending.join(60)
    assert engine.shadow is None
    with pytest.raises(lookups.NoAnswer):
        shadow.served.running.ask(lambda model: None, 60.0)


def _loses_the_log(engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the next model is loaded, an author is deleted, and the log that tells of it trimmed."""
    warm, late = Shelf._warm, [True]

    def meanwhile(self: Shelf, *args: Any) -> None:
        if late and late.pop():
            store.delete_author("u0")
            store.trim_changes(datetime.now(UTC) + timedelta(seconds=1))
            engine.follower.take(engine.follower.news())  # another thread has taken it in
        warm(self, *args)

    monkeypatch.setattr(Shelf, "_warm", meanwhile)


def test_a_model_that_missed_deletions_is_not_put_in_place(
    engine: Engine, store: Store, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, made = engine.current, store.add_model("recommender", models["popular"])
    _loses_the_log(engine, store, monkeypatch)
    with pytest.raises(Refused, match="trimmed"):
        engine.publish("recommender", made.digest)
    assert engine.current is before
    assert store.published("recommender").digest == before.digest
    engine.sync()
    assert "u0" not in engine.current.running.peek.memory_.users
    engine.publish("recommender", made.digest)
    assert engine.current.digest == made.digest
    assert "u0" not in engine.current.running.peek.memory_.users


def test_a_model_published_elsewhere_that_missed_deletions_is_loaded_again(
    engine: Engine, store: Store, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    _loses_the_log(engine, store, monkeypatch)
    before, digest = engine.current.digest, publish("popular")
    engine.sync()
    assert engine.current.digest == before
    engine.sync()
    assert engine.current.digest == digest
    assert "u0" not in engine.current.running.peek.memory_.users


# ---------------------------------------------------------------- dear requests


def test_trends_are_counted_again_when_posts_have_changed_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, trends, clock = [], ledgers._trends, [1_000_000.0]
    monkeypatch.setattr(ledgers, "_trends", lambda *args: (counted.append(1), trends(*args))[1])
    monkeypatch.setattr(ledgers, "time", lambda: clock[0])

    def put(id: str, community: str = "c", later: float = -10) -> None:
        at = datetime.fromtimestamp(clock[0] + later, UTC)
        held.put(Posts.of([Post(id, "", community, id, tags=("Rye",), created_at=at)]))

    def authors() -> tuple[int, int]:
        counted.clear()
        found = held.trends("c", least=1)
        assert found == held.trends("c", least=1)
        return (found[0].authors if found else 0), len(counted)

    held = Ledger()
    put("1")
    assert authors() == (1, 1)
    assert authors() == (1, 0)
    put("2", "other")
    assert authors() == (1, 0)
    put("2")
    assert authors() == (2, 1)
    held.remove("c", ["1", "unknown"])
    assert authors() == (1, 1)
    put("3", later=60)
    assert authors() == (1, 1)
    clock[0] += 59
    assert authors() == (1, 0)
    clock[0] += 2  # its time has come
    assert authors() == (2, 1)
    assert len(held.trends("c", half_life_days=1.0, least=3)) == 0
    held.remove("c", ["2", "3"])
    assert authors() == (0, 0)


def test_posts_that_change_while_trends_are_counted_are_in_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    trends, held = ledgers._trends, Ledger()
    at = datetime.now(UTC) - timedelta(minutes=1)
    both = [Post(str(i), "", "c", f"u{i}", tags=("Rye",), created_at=at) for i in range(2)]
    held.put(Posts.of(both[:1]))

    def meanwhile(*args: Any) -> Any:
        held.put(Posts.of(both[1:]))
        return trends(*args)

    monkeypatch.setattr(ledgers, "_trends", meanwhile)
    assert held.trends("c", least=1)[0].authors == 1
    monkeypatch.setattr(ledgers, "_trends", trends)
    assert held.trends("c", least=1)[0].authors == 2


def said(community: str, post: str, tag: str, count: int, event: Any = "rejected", **more: Any) -> list[Feedback]:
    return [Feedback(f"{post}{tag}{i}", community, post, tag, event, user=f"v{i}", **more) for i in range(count)]


def _reads(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Which communities' feedback is read from its beginning from now on; None: all."""
    reads, feedback = [], engine.store.feedback

    def noted(community: str | None = None, *args: Any, after_seq: int = 0, **values: Any) -> Any:
        if not after_seq:
            reads.append(community)
        return feedback(community, *args, after_seq=after_seq, **values)

    monkeypatch.setattr(engine.store, "feedback", noted)
    return reads


def test_a_deletion_reads_the_feedback_of_its_community_alone(
    engine: Engine, store: Store, known: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    about, plain = [post.id for post in known if post.community == "even"][:2]
    only = next(post.id for post in known if post.community == "odd")
    store.put_feedback(said("even", about, "rye", 30) + said("even", "other", "oat", 30, "accepted"))
    store.put_feedback(said("odd", only, "surf", 30))
    engine.sync()
    follower, reads = engine.follower, _reads(engine, monkeypatch)
    factor = follower.verdicts.factor
    before = [factor("even", "rye", None), factor("even", "oat", None), factor("odd", "surf", None)]
    assert before[0] < 1 < before[1]
    assert before[2] < 1
    store.delete_posts("even", [plain])
    engine.sync()
    assert reads == []
    assert [factor("even", "rye", None), factor("even", "oat", None), factor("odd", "surf", None)] == before
    store.delete_posts("even", [about])
    engine.sync()
    assert reads == ["even"]
    store.delete_author("v3", community="odd")
    engine.sync()
    assert reads == ["even", "odd"]
    store.put_feedback(said("even", "other", "spelt", 30, "accepted"))
    engine.sync()
    assert reads == ["even", "odd"]
    anew = Follower(store, engine.settings).verdicts
    for community, tag in (("even", "rye"), ("even", "oat"), ("even", "spelt"), ("odd", "surf")):
        assert factor(community, tag, None) == anew.factor(community, tag, None)
    assert factor("even", "rye", None) == 1 < factor("even", "oat", None)
    store.delete_posts("odd", [only])
    engine.sync()
    assert factor("odd", "surf", None) == 1  # nothing is left there


def test_feedback_is_heard_however_long_ago_it_happened(engine: Engine, store: Store) -> None:
    store.put_feedback(said("even", "p", "rye", 30, at=datetime.now(UTC) - timedelta(days=2)))
    engine.sync()
    rejected = engine.follower.verdicts.factor("even", "rye", None)
    assert rejected < 1
    store.put_feedback(said("even", "p", "oat", 30, "accepted", at=datetime.now(UTC) - timedelta(days=2)))
    engine.sync()
    heard, anew = engine.follower.verdicts, Follower(store, engine.settings).verdicts
    assert heard.factor("even", "rye", None) == rejected == anew.factor("even", "rye", None)
    assert heard.factor("even", "oat", None) == anew.factor("even", "oat", None) > 1
