"""Bodies and heads as no client sends them, on the sockets of a running service: refused in time and at small cost."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from asking import soon
from wire import Heard, Running, head, post, send

from hashloom.serve.engine import Engine

JSON = {"Host": "localhost", "Content-Type": "application/json"}
EDGE = "b" * 60
FORM = f"multipart/form-data; boundary={EDGE}"
GROWN = 250.0
"""Megabytes that one request may take at most, body and copies included; an upload has up to 42 itself."""
KEPT = 120.0
"""Megabytes by which the service may be larger after all of them; the allocator keeps some."""


def keyed(count: int, value: bytes = b"0") -> bytes:
    return b"{" + b",".join(b'"%x":%b' % (i, value) for i in range(count)) + b"}"


BODIES: dict[str, tuple[Callable[[], bytes], str, tuple[int, str]]] = {
    "100,000 deep": (lambda: b"[" * 100_000, "", (400, "bad-request")),
    "objects 100,000 deep": (lambda: b'{"a":' * 100_000, "", (400, "bad-request")),
    "1e6 keys": (lambda: keyed(1_000_000), "", (413, "")),
    "as many keys as there is room for": (lambda: keyed(370_000), "", (400, "bad-request")),
    "as many keys as are counted": (lambda: keyed(300_000), "", (422, "")),
    "unknown keys in many posts": (
        lambda: b'{"posts":[' + b",".join([keyed(299)] * 1_000) + b"]}", "/v1/posts", (422, ""),
    ),
    "1.3 million empty posts": (lambda: b'{"posts":[' + b",".join([b"{}"] * 1_300_000) + b"]}", "/v1/posts",
                                (400, "bad-request")),
    "19,000 empty posts": (lambda: b'{"posts":[' + b",".join([b"{}"] * 19_000) + b"]}", "/v1/posts", (422, "")),
    "1.9 million tags": (
        lambda: b'{"chosen":[' + b",".join([b"1"] * 1_900_000) + b"]}", "", (400, "bad-request"),
    ),
    "300,000 tags": (lambda: b'{"chosen":[' + b",".join([b"1"] * 300_000) + b"]}", "", (422, "")),
    "100,000 hashtags": (lambda: json.dumps({"text": "#tag " * 100_000}).encode(), "", (422, "")),
    "a million signs": (lambda: json.dumps({"text": "#" * 1_000_000}).encode(), "", (422, "")),
    "3.9 million digits": (lambda: b'{"k":' + b"9" * 3_900_000 + b"}", "", (400, "bad-request")),
    "a long fraction": (lambda: b'{"novelty":0.' + b"1" * 3_900_000 + b"5e400}", "", (400, "bad-request")),
    "escapes": (lambda: b'{"text":"' + b"\\\\" * 1_900_000 + b'"}', "", (422, "")),
    "escaped quotes": (lambda: b'{"text":"' + b'\\"' * 1_900_000 + b'"}', "", (422, "")),
    "a string without end": (lambda: b'{"text":"' + b'\\"' * 1_900_000, "", (400, "bad-request")),
    "half surrogates": (lambda: b'{"text":"' + b"\\ud83d" * 600_000 + b'"}', "", (400, "bad-request")),
    "10 MB of text": (lambda: json.dumps({"text": "a" * 10_000_000}).encode(), "", (413, "")),
    "utf-16": (lambda: '{"text": "a"}'.encode("utf-16"), "", (400, "bad-request")),
    "garbage behind": (lambda: b'{"text": "a"}' + b"\0" * 1_000_000, "", (400, "bad-request")),
    "spaces behind": (lambda: b'{"text": "a"}' + b" " * 3_900_000, "", (200, "")),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_a_body_made_to_hurt_is_refused_at_once(running: Running, name: str) -> None:
    make, path, (status, kind) = BODIES[name]
    body = make()
    heard = bounded(running, lambda: post(running.port, body, path=path or "/v1/suggest"))
    assert heard.status == status, heard
    assert status == 200 or heard.problem
    assert not kind or heard.problem == kind


def bounded(running: Running, ask: Callable[[], Heard], seconds: float = 20.0) -> Heard:
    """Ask, and see that it cost little time and memory, and that others are answered."""
    before = running.memory()
    running.forget_peak()
    heard = ask()
    assert heard.seconds < seconds
    assert running.peak() - before < GROWN, (before, running.peak())
    running.answers()
    return heard


# ---------------------------------------------------------------- lengths, chunks, compression


HEADS = {
    "negative": ({"Content-Length": "-5"}, b"{}", 400),
    "no number": ({"Content-Length": "five"}, b"{}", 400),
    "two lengths": ({"Content-Length": "2", "content-length": "5"}, b"{}", 400),
    "length and chunks": ({"Content-Length": "2", "Transfer-Encoding": "chunked"}, b"{}", 400),
    "larger than any number": ({"Content-Length": "9" * 30}, b"", 400),
    "a terabyte": ({"Content-Length": str(10**12)}, b"", 413),
    "none at all": ({}, b"", 422),
    "no chunk": ({"Transfer-Encoding": "chunked"}, b"zz\r\n", 400),
    "a chunk too large": ({"Transfer-Encoding": "chunked"}, b"f" * 40 + b"\r\n", 400),
    "an unknown coding": ({"Transfer-Encoding": "gzip, chunked"}, b"0\r\n\r\n", 422),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
def test_a_length_that_is_none_is_refused(running: Running, name: str) -> None:
    headers, body, status = HEADS[name]
    heard = bounded(running, lambda: send(running.port, [head("POST", "/v1/suggest", JSON | headers), body]))
    assert heard.status == status, heard
    assert heard.problem


@pytest.mark.parametrize(
    "start", [b"\x16\x03\x01\x02\x00\x01\x00" * 9, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 99]
)
def test_what_is_no_http_is_answered_with_a_problem(running: Running, start: bytes) -> None:
    heard = send(running.port, [start])
    assert (heard.status, heard.problem) == (400, "bad-request")


def chunks(count: int, size: int, at_once: int = 1_000) -> Iterator[bytes]:
    """A chunked body of spaces between brackets."""
    yield head("POST", "/v1/suggest", JSON | {"Transfer-Encoding": "chunked"}) + b"1\r\n{\r\n"
    one = b"%x\r\n%b\r\n" % (size, b" " * size)
    for _ in range(count // at_once):
        yield one * at_once
    yield b"1\r\n}\r\n0\r\n\r\n"


def test_a_body_in_chunks_of_one_byte_is_read_and_bounded(running: Running) -> None:
    heard = bounded(running, lambda: send(running.port, chunks(200_000, 1)))
    assert heard.status == 200
    heard = bounded(running, lambda: send(running.port, chunks(4_100_000, 1, 10_000)))
    assert heard.status == 413, heard
    assert heard.problem
    heard = bounded(running, lambda: send(running.port, chunks(4_000, 65_536, 1)))
    assert heard.status == 413
    assert heard.sent < 60_000_000


def test_a_compressed_body_is_not_unpacked(running: Running) -> None:
    bomb = gzip.compress(b'{"text": "' + b"a" * 100_000_000)
    for coding in ("gzip", "GZIP", "deflate", "br", "zstd", "gzip, gzip"):
        heard = bounded(running, lambda kind=coding: post(running.port, bomb, Content_Encoding=kind))  # type: ignore[misc]
        assert (heard.status, heard.problem) == (415, "unsupported-media-type")
    assert post(running.port, bomb).status == 400


# ---------------------------------------------------------------- forms


def form(*parts: tuple[str, bytes]) -> bytes:
    rows = [b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (EDGE.encode(), name.encode(), body)
            for name, body in parts]  # fmt: skip
    return b"".join(rows) + b"--%b--\r\n" % EDGE.encode()


DRAFT = ('name="draft"', b'{"text": "rye flour", "community": "even"}')
FORMS: dict[str, tuple[Callable[[], bytes], str, int]] = {
    "edges alone": (lambda: (b"--" + EDGE.encode() + b"\r\n") * 600_000, FORM, 400),
    "300,000 fields": (lambda: form(*[(f'name="f{i}"', b"x") for i in range(300_000)]), FORM, 400),
    "300,000 files": (lambda: form(*[('name="picture"; filename="a"', b"x")] * 300_000), FORM, 400),
    "a draft of 30 MB": (lambda: form(('name="draft"', b"a" * 30_000_000)), FORM, 400),
    "a head without end": (lambda: form(DRAFT)[:99] + b"\r\nX: " + b"a" * 30_000_000, FORM, 400),
    "an edge of 60,000": (lambda: b"--" + b"b" * 60_000, "multipart/form-data; boundary=" + "b" * 60_000, 400),
    "no edge": (lambda: form(DRAFT), "multipart/form-data", 400),
    "no end": (lambda: form(DRAFT, ('name="picture"; filename="a"', b"x" * 99))[:-80], FORM, 422),
    "no picture": (lambda: form(DRAFT), FORM, 422),
    "five pictures": (lambda: form(DRAFT, *[('name="picture"; filename="a"', b"x")] * 5), FORM, 422),
    "a bad draft": (lambda: form(('name="draft"', b"[" * 9_999), ('name="picture"; filename="a"', b"x")), FORM, 422),
    "larger than any upload": (lambda: b"a" * 42_000_001, FORM, 413),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_form_made_to_hurt_is_refused(running: Running, name: str) -> None:
    make, kind, status = FORMS[name]
    body = make()
    heard = bounded(running, lambda: post(running.port, body, path="/v1/suggest/pictures", kind=kind))
    assert heard.status == status, heard
    assert heard.problem


def test_edges_without_end_are_cut_off(running: Running) -> None:
    def edges() -> Iterator[bytes]:
        yield head("POST", "/v1/suggest/pictures", JSON | {"Content-Type": FORM, "Transfer-Encoding": "chunked"})
        part = (b"--" + EDGE.encode() + b"\r\n") * 1_000
        for _ in range(3_000):
            yield b"%x\r\n%b\r\n" % (len(part), part)

    heard = bounded(running, lambda: send(running.port, edges()))
    assert (heard.status, heard.problem) == (413, "content-too-large")
    assert heard.sent < 100_000_000


# ---------------------------------------------------------------- heads and bodies that do not end


@pytest.mark.parametrize("start", ["GET /", "GET / HTTP/1.1\r\nHost: localhost\r\nX: ", "GET / HTTP/1.1\r\n"])
def test_a_head_without_end_is_cut_off(running: Running, start: str) -> None:
    part = b"X-Y: 1\r\n" * 8_192 if start.endswith("\n") else b"a" * 65_536

    def endless() -> Iterator[bytes]:
        yield start.encode()
        for _ in range(3_000):
            yield part

    heard = bounded(running, lambda: send(running.port, endless()))
    assert heard.status == 431, heard
    assert heard.problem == "request-header-fields-too-large"
    assert heard.sent < 30_000_000


@contextmanager
def listening(engine: Engine) -> Iterator[int]:
    """The service in this process, as patient with bodies as the engine's settings say; gives its port."""
    import uvicorn

    from hashloom.serve.api import make_app
    from hashloom.serve.connections import Bounded

    config = uvicorn.Config(
        make_app(engine, engine.store), host="127.0.0.1", port=0, log_config=None, http=Bounded, ws="none"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    soon(lambda: server.started, "the start of the server")
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(60)


def drip(start: bytes, port: int) -> Heard:
    """A beginning, then a byte now and then."""

    def slowly() -> Iterator[bytes]:
        yield start
        for _ in range(200):
            time.sleep(0.05)
            yield b"a"

    return send(port, slowly())


def test_whoever_sends_slowly_is_given_up_and_others_are_answered(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of connections that send a byte now and then, in the head or in the body, or nothing at all."""
    from hashloom.serve import connections

    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    engine.settings = replace(engine.settings, body_seconds=1.0)
    starts = [
        b"",
        b"POST /v1/suggest HTTP/1.1\r\nHost: localhost\r\nX: ",
        head("POST", "/v1/suggest", JSON | {"Content-Length": "999"}),
        head("POST", "/v1/suggest", JSON | {"Transfer-Encoding": "chunked"}) + b"1;",
    ]
    with listening(engine) as port:
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        for at, line in enumerate(idle):
            line.sendall(starts[at % 4])
        heard: dict[bytes, Heard] = {}
        threads = [threading.Thread(target=lambda s=s: heard.update({s: drip(s, port)})) for s in starts[1:]]  # type: ignore[misc]
        for thread in threads:
            thread.start()
        asked = post(port, b'{"text": "rye flour kneaded", "community": "even"}')
        assert (asked.status, json.loads(asked.body)["way"]) == (200, "model")
        for thread in threads:
            thread.join(180)
        assert {(one.status, one.problem) for one in heard.values()} == {(408, "request-timeout")}
        for line in idle:
            line.settimeout(60)
            assert line.recv(1_000).startswith(b"HTTP/1.1 408 ")
            line.close()


# ---------------------------------------------------------------- afterwards


def test_after_all_that_the_service_is_as_small_as_before(running: Running) -> None:
    """The worst of the above several times over: memory and sockets do not add up."""
    worst = keyed(300_000)
    for _ in range(3):
        post(running.port, worst)
    before, files = running.memory(), running.files()
    for _ in range(8):
        assert post(running.port, worst).status == 422
        assert post(running.port, b"a" * 30_000_000, path="/v1/suggest/pictures", kind=FORM).status == 400
    running.answers()
    assert running.memory() - before < KEPT, (before, running.memory())
    assert running.files() <= files + 2
