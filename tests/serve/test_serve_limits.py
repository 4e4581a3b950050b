"""Limits at one less, itself and one more; bodies that are not what they seem; what breaks is refused, never a 5xx."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from asking import asked

from hashloom.serve.engine import Engine
from hashloom.serve.fetch import NotFetched, fetch
from hashloom.serve.limits import BadJson, parse
from hashloom.serve.settings import ServeSettings

MOST = ServeSettings()
TAG = "t" * 10


def draft(**values: Any) -> tuple[str, str, Any]:
    return "POST", "/v1/suggest", {"community": "even"} | values


LIMITS = {
    "max_text": (MOST.max_text, lambda n: draft(text="a" * n)),
    "max_name": (MOST.max_name, lambda n: draft(user="u" * n)),
    "max_name of posts": (MOST.max_name, lambda n: ("PUT", f"/v1/posts/even/{'i' * n}", {"text": "x"})),
    "max_tag": (MOST.max_tag, lambda n: draft(chosen=["t" * n])),
    "max_tags": (MOST.max_tags, lambda n: draft(unwanted=[f"t{i}" for i in range(n)])),
    "max_tags of posts": (MOST.max_tags, lambda n: ("PUT", "/v1/posts/even/x", {"tags": [f"t{i}" for i in range(n)]})),
    "max_k": (MOST.max_k, lambda n: draft(k=n)),
    "max_drafts": (MOST.max_drafts, lambda n: ("POST", "/v1/suggest/many", {"drafts": [{}] * n})),
    "max_post_text": (MOST.max_post_text, lambda n: ("PUT", "/v1/posts/even/x", {"text": "a" * n})),
    "max_posts": (
        MOST.max_posts, lambda n: ("POST", "/v1/posts", {"posts": [{"id": str(i), "text": "x"} for i in range(n)]})
    ),
    "max_events": (
        MOST.max_events,
        lambda n: ("POST", "/v1/feedback", {
            "events": [{"token": str(i), "post_id": "p", "tag": "t", "event": "shown"} for i in range(n)]}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_holds_at_itself_and_not_beyond(engine: Engine, name: str) -> None:
    most, ask = LIMITS[name]
    with asked(engine) as client:
        for size, statuses in ((most - 1, (200,)), (most, (200,)), (most + 1, (422,))):
            method, path, body = ask(size)
            answer = client.request(method, path, json=body)
            assert answer.status_code in statuses, f"{size}: {answer.text[:300]}"


def test_limits_may_be_set_lower(engine: Engine) -> None:
    with asked(engine, max_k=5, max_text=10, max_drafts=2, max_tags=3) as client:
        for sizes, name, make in (
            ((5, 6), "k", lambda n: {"k": n}),
            ((10, 11), "text", lambda n: {"text": "a" * n}),
            ((3, 4), "chosen", lambda n: {"chosen": [f"t{i}" for i in range(n)]}),
        ):
            assert client.post("/v1/suggest", json=make(sizes[0])).status_code == 200
            refused = client.post("/v1/suggest", json=make(sizes[1]))
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, name)
        assert client.post("/v1/suggest/many", json={"drafts": [{}] * 3}).status_code == 422
        assert client.post("/v1/suggest/many", json={"drafts": [{"k": 6}]}).status_code == 422
        assert client.get("/v1/me").json()["limits"]["max_k"] == 5


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_body_depth_and_address_are_bounded(engine: Engine, more: int) -> None:
    expected = {-1: 200, 0: 200, 1: 413}[more]
    with asked(engine, max_body=2_000) as client:
        body = json.dumps({"text": "a"}).encode()
        padded = body + b" " * (2_000 - len(body) + more)
        sent = {"content": padded, "headers": {"Content-Type": "application/json"}}
        assert client.post("/v1/suggest", **sent).status_code == expected
        chunks = (padded[i : i + 1] for i in range(len(padded)))
        assert client.post("/v1/suggest", content=chunks, headers=sent["headers"]).status_code == expected
    with asked(engine, max_address=200) as client:
        path = "/v1/autocomplete/even?q="
        statuses = client.get(path + "a" * (200 - len(path) + 1 + more)).status_code
        assert statuses == {-1: 200, 0: 200, 1: 414}[more]
    deep = b"[" * (20 + more) + b"]" * (20 + more)
    if more < 1:
        parse(deep)
    else:
        with pytest.raises(BadJson, match="deep"):
            parse(deep)


BAD = {
    "nothing": b"",
    "half": b'{"text": "a"',
    "garbage after": b'{"text": "a"} x',
    "nan": b'{"popularity": NaN}',
    "infinity": b'{"popularity": -Infinity}',
    "too large": b'{"popularity": 1e400}',
    "huge": b'{"k": ' + b"9" * 5_000 + b"}",
    "twice": b'{"text": "a", "text": "b"}',
    "deep": b"[" * 100_000,
    "latin-1": '{"text": "é"}'.encode("latin-1"),
    "overlong": b'{"text": "\xc0\xaf"}',
    "surrogate": b'{"text": "\\ud83d"}',
    "surrogate bytes": b'{"text": "\xed\xa0\xbd"}',
    "utf-16": '{"text": "a"}'.encode("utf-16"),
    "bom": b'\xef\xbb\xbf{"text": "a"}',
}


@pytest.mark.parametrize("name", BAD)
def test_bodies_that_are_no_plain_json_are_refused(engine: Engine, name: str) -> None:
    with asked(engine) as client:
        began = time.monotonic()
        answer = client.post("/v1/suggest", content=BAD[name], headers={"Content-Type": "application/json"})
        assert answer.status_code in (400, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert time.monotonic() - began < 5


def test_wrong_types_lengths_and_encodings_are_refused(engine: Engine) -> None:
    kind, body = {"Content-Type": "application/json"}, b'{"text": "a"}'
    with asked(engine) as client:
        for other in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
            assert client.post("/v1/suggest", content=body, headers={"Content-Type": other}).status_code == 415
        assert client.post("/v1/suggest/pictures", content=body, headers=kind).status_code == 415
        assert client.post("/v1/suggest", content=body, headers=kind | {"Content-Encoding": "gzip"}).status_code == 415
        for length, status in (("-1", 400), ("x", 400), ("99999999999", 413), ("9" * 40, 413)):
            assert (
                client.post("/v1/suggest", content=body, headers=kind | {"Content-Length": length}).status_code
                == status
            )
        multipart = {"Content-Type": "multipart/form-data; boundary=" + "b" * 3_000}
        endless = client.post("/v1/suggest/pictures", content=b"--" + b"b" * 9_000, headers=multipart)
        assert endless.status_code in (400, 422)
        for wrong in (
            {"text": 5},
            {"k": True},
            {"k": 1.5},
            {"chosen": "a"},
            {"nope": 1},
            [],
            "x",
            None,
            {"platform": "nope"},
            {"explain": 1},
            {"novelty": "0"},
        ):
            assert client.post("/v1/suggest", json=wrong).status_code == 422


def test_a_body_that_does_not_come_is_given_up(engine: Engine) -> None:
    import anyio

    from hashloom.serve.api import make_app

    sent: list[Any] = []

    async def never() -> dict[str, Any]:
        await anyio.sleep(30)
        return {}

    async def keep(message: Any) -> None:
        sent.append(message)

    async def ask() -> None:
        from dataclasses import replace

        app = make_app(engine, engine.store, replace(engine.settings, body_seconds=0.2))
        headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
        scope = {
            "type": "http", "method": "POST", "path": "/v1/suggest", "raw_path": b"/v1/suggest", "headers": headers,
            "query_string": b"", "client": ("127.0.0.1", 1), "scheme": "http", "server": ("localhost", 80),
            "http_version": "1.1", "root_path": "",
        }  # fmt: skip
        await app(scope, never, keep)

    anyio.run(ask)
    assert sent[0]["status"] == 408


@pytest.mark.parametrize("text", ["#" * 20_000, "#tag " * 4_000, "a\u0301" * 10_000, "😀" * 20_000, "a" * 20_000])
def test_long_texts_are_answered_in_bounded_time(engine: Engine, text: str) -> None:
    with asked(engine) as client:
        began = time.monotonic()
        assert client.post("/v1/suggest", json={"text": text[:20_000], "community": "even"}).status_code == 200
        assert time.monotonic() - began < 8


def test_metrics_count_and_name_nobody(engine: Engine) -> None:
    with asked(engine) as client:
        client.post("/v1/suggest", json={"text": "rye flour", "community": "even", "user": "u0"})
        client.get("/v1/trends/even")
        client.get("/v1/nowhere/even")
        said = client.get("/metrics").text
    assert 'hashloom_requests_total{method="GET",route="/v1/trends/{community}",status="200"} 1.0' in said
    assert 'hashloom_answers_total{way="model"} 1.0' in said
    assert not [word for word in ("even", "u0", "rye", "nowhere") if word in said.lower()]


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "0.0.0.0", "10.1.2.3", "169.254.169.254", "::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1",
     "64:ff9b::7f00:1", "2002:7f00:1::", "224.0.0.1", "100.64.0.1", "no address"],
)  # fmt: skip
def test_pictures_are_fetched_from_public_hosts_alone(address: str) -> None:
    with pytest.raises(NotFetched, match="not public"):
        fetch("http://pictures.example/a.png", 100, 1.0, resolve=lambda host, port: ["93.184.216.34", address])


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "gopher://h/", "ftp://h/a", "http://h:22/", "http://u:p@h/", "http://", "//h", "http://h:x/",
     "http://[::1", "http://h/\r\nX: y", "a" * 3_000],
)  # fmt: skip
def test_odd_addresses_are_not_asked(url: str) -> None:
    def asked_for(host: str, port: int) -> list[str]:
        raise AssertionError(host)

    with pytest.raises(NotFetched):
        fetch(url, 100, 1.0, resolve=asked_for)


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"])
def test_other_forms_of_this_machine_are_seen_through(host: str) -> None:
    with pytest.raises(NotFetched):
        fetch(f"http://{host}/", 100, 1.0)
