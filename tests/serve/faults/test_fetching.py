"""Pictures by address: only what is public is asked, at the address that was checked, in time and size.

Names and addresses are made up; what would go out is led to a server of the test, and where to is written down.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from asking import asked
from encoders.pictures import drawn, encoded

from hashloom.serve import fetch as fetching
from hashloom.serve.engine import Engine
from hashloom.serve.fetch import NotFetched, fetch, is_public

PUBLIC = "93.184.216.34"
INNER = (
    "127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "172.16.0.1", "100.64.0.1", "0.0.0.0", "::1", "fd00::1",
    "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "2002:a9fe:a9fe::",
    "::127.0.0.1", "::ffff:0:127.0.0.1", "fec0::1", "3fff::1", "224.0.0.1", "255.255.255.255", "198.18.0.1",
    "240.0.0.1",
)  # fmt: skip
PICTURE = encoded(drawn(), "PNG")


class Handler(BaseHTTPRequestHandler):
    """Answers by path."""

    protocol_version = "HTTP/1.1"
    over: threading.Event
    asked: list[tuple[str, str]]

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append((self.headers["Host"], self.path))
        self.close_connection = True
        with suppress(OSError):
            getattr(self, "on_" + self.path[1:].split("?")[0].split("/")[0])()

    def say(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def on_picture(self) -> None:
        self.say(200, PICTURE)

    def on_page(self) -> None:
        self.say(200, b"<html>not a picture</html>", **{"Content-Type": "image/png"})

    def on_gone(self) -> None:
        self.say(404)

    def on_to(self) -> None:
        from urllib.parse import unquote

        self.say(302, Location=unquote(self.path.partition("?")[2]))

    def on_loop(self) -> None:
        self.say(301, Location="/loop")

    def on_nowhere(self) -> None:
        self.say(307)

    def on_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        while not self.over.is_set():
            self.wfile.write(b"\0" * 65_536)

    def on_bomb(self) -> None:
        self.say(200, b"\x1f\x8b" + b"\0" * 99, **{"Content-Encoding": "gzip"})

    def on_hang(self) -> None:
        self.over.wait(120)

    def on_dripping(self) -> None:
        self.drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a")

    def on_drops(self) -> None:
        self.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"\0")

    def on_chunks(self) -> None:
        self.drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", b"0")

    def on_heads(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000 + b"\r\n")

    def drip(self, start: bytes, part: bytes) -> None:
        self.wfile.write(start)
        while not self.over.wait(0.05):
            self.wfile.write(part)
            self.wfile.flush()


class Net:
    """What was resolved, and which addresses were connected to."""

    def __init__(self) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.resolved: list[str] = []
        self.connected: list[str] = []
        self.asked: list[tuple[str, str]] = []

    def resolve(self, host: str, port: int) -> list[str]:
        """The next answer for a name; the last one stays."""
        self.resolved.append(host)
        known = self.names.get(host)
        if known is None:
            return [host] if host.strip("0123456789.:abcdef") == "" else [PUBLIC]
        return known.pop(0) if len(known) > 1 else known[0]


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    """All connections of ``fetch`` end at a server of this test."""
    made, over = Net(), threading.Event()
    handler = type("Bound", (Handler,), {"over": over, "asked": made.asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    real = socket.create_connection

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        made.connected.append(address[0])
        return real(("127.0.0.1", server.server_port), timeout)

    monkeypatch.setattr(fetching.socket, "create_connection", connect)
    yield made
    over.set()
    server.shutdown()
    server.server_close()
    thread.join()


def taken(net: Net, url: str, seconds: float = 60.0) -> bytes:
    return fetch(url, 1_000_000, seconds, resolve=net.resolve)


def test_a_public_picture_is_fetched_at_the_address_that_was_checked(net: Net) -> None:
    assert taken(net, "http://a.example/picture") == PICTURE
    assert (net.connected, net.asked) == ([PUBLIC], [("a.example", "/picture")])


def test_a_name_that_is_rebound_is_asked_once(net: Net) -> None:
    """Public when it is checked, private a moment later: what was checked is what is connected to."""
    net.names["a.example"] = [[PUBLIC], ["127.0.0.1"]]
    assert taken(net, "http://a.example/picture") == PICTURE
    assert (net.resolved, net.connected) == (["a.example"], [PUBLIC])
    with pytest.raises(NotFetched, match="not public"):
        taken(net, "http://a.example/picture")
    net.names["b.example"] = [[PUBLIC], ["10.0.0.1"]]
    with pytest.raises(NotFetched, match="not public"):
        taken(net, "http://b.example/to?/picture")
    assert net.connected == [PUBLIC, PUBLIC]


@pytest.mark.parametrize("address", INNER)
def test_inner_addresses_are_never_connected_to(net: Net, address: str) -> None:
    assert not is_public(address)
    net.names |= {"inner.example": [[address]], "both.example": [[PUBLIC, address]]}
    literal = f"[{address}]" if ":" in address else address
    for url in (f"http://{literal}/picture", "http://inner.example/picture", "http://both.example/picture"):
        with pytest.raises(NotFetched, match="not public"):
            taken(net, url)
        with pytest.raises(NotFetched, match="not public"):
            taken(net, f"http://a.example/to?{url}")
    assert set(net.connected) == {PUBLIC}


@pytest.mark.parametrize("to", ["file:///etc/passwd", "gopher://a.example/", "ftp://a.example/", "http://a.example:22/",
                                "http://me:pw@a.example/", "data:image/png;base64,AAAA", "//[::1"])  # fmt: skip
def test_a_redirect_to_something_odd_is_not_followed(net: Net, to: str) -> None:
    with pytest.raises(NotFetched):
        taken(net, f"http://a.example/to?{to}")
    assert len(net.connected) == 1


def test_loops_end(net: Net) -> None:
    for path in ("loop", "nowhere"):
        net.connected.clear()
        with pytest.raises(NotFetched, match="more than 3 redirects"):
            taken(net, f"http://a.example/{path}")
        assert len(net.connected) == 4


@pytest.mark.parametrize("path", ["hang", "dripping", "drops", "chunks"])
def test_a_host_that_is_slow_is_given_up(net: Net, path: str) -> None:
    began = time.monotonic()
    with pytest.raises(NotFetched):
        taken(net, f"http://a.example/{path}", 0.5)
    assert time.monotonic() - began < 20  # the host goes on for as long as it is let


def test_bodies_and_heads_without_end_are_cut_off(net: Net) -> None:
    with pytest.raises(NotFetched, match="more than 1,000,000 bytes"):
        taken(net, "http://a.example/endless")
    for path in ("gone", "heads"):
        with pytest.raises(NotFetched):
            taken(net, f"http://a.example/{path}")


def test_through_the_service_a_picture_that_was_not_fetched_is_noted(
    engine: Engine, net: Net, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., bytes] = fetching.fetch
    monkeypatch.setattr(fetching, "fetch", lambda *rest: real(*rest, resolve=net.resolve))
    draft: dict[str, Any] = {"text": "rye flour", "community": "even"}
    said = {
        "http://a.example/picture": [],
        "http://a.example/page": ["no picture of a known format"],
        "http://a.example/bomb": ["no picture of a known format"],
        "http://169.254.169.254/latest/meta-data": ["the host is not public"],
        "http://a.example/to?http://127.0.0.1/picture": ["the host is not public"],
        "file:///etc/passwd": ["only http and https addresses are fetched"],
        "http://a.example/dripping": ["took too long"],
    }
    for url, wanted in said.items():
        with asked(engine, fetch_pictures=True, fetch_seconds=0.5 if "dripping" in url else 60.0) as client:
            answer = client.post("/v1/suggest", json=draft | {"picture_urls": [url]})
            assert (answer.status_code, answer.json()["way"]) == (200, "model")
            assert answer.json()["suggestions"]
            notes = answer.json()["notes"]
            assert len(notes) == len(wanted)
            assert all(part in note for part, note in zip(wanted, notes)), notes
    with asked(engine) as client:
        count = len(net.connected)
        answer = client.post("/v1/suggest", json=draft | {"picture_urls": ["http://a.example/picture"]})
        assert answer.json()["notes"] == ["picture 0: this service fetches no pictures; send it"]
        assert len(net.connected) == count
    assert not list(engine.spool.folder.iterdir())
