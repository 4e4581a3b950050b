"""Pages of other origins: none may read an answer by default, named ones may with a key; the widget on such a page."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.request import Request, urlopen

import pytest
from asking import asked, bearer
from browsing import browser, in_a_browser, serving

from hashloom.serve.engine import Engine
from hashloom.store import Store

__all__ = ["browser"]
"""A fixture."""

FORUM = "https://forum.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


def told(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


def test_no_origin_is_named_by_default(engine: Engine, store: Store) -> None:
    secret = store.new_key("reader", "even")[1]
    with asked(engine, near=False) as client:
        for headers in ({}, {"Origin": FORUM}, {"Origin": "null"}):
            answer = client.post("/v1/suggest", json={"text": "x"}, headers=headers | bearer(secret))
            assert (answer.status_code, told(answer)) == (200, {})
        asked_first = client.options("/v1/suggest", headers={"Origin": FORUM} | PREFLIGHT)
        assert (asked_first.status_code, told(asked_first)) == (401, {})


def test_a_named_origin_reads_answers_and_errors_and_nobody_else_does(engine: Engine, store: Store) -> None:
    secret = store.new_key("reader", "even")[1]
    with asked(engine, near=False, origins=("https://Forum.example",)) as client:
        first = client.options("/v1/suggest", headers={"Origin": FORUM} | PREFLIGHT)
        assert (first.status_code, first.content, first.headers["vary"]) == (204, b"", "Origin")
        assert first.headers["access-control-allow-origin"] == FORUM
        assert "Authorization" in first.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in first.headers
        for headers, status in ((bearer(secret), 200), ({}, 401), (bearer("hl_wrong"), 401)):
            answer = client.post("/v1/suggest", json={"text": "x"}, headers={"Origin": FORUM} | headers)
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (status, FORUM)
            assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
        near_misses = (
            f"{FORUM}:443",
            f"{FORUM}.evil.example",
            "http://forum.example",
            "https://a.forum.example",
            "null",
        )
        for origin in near_misses:
            for answer in (
                client.post("/v1/suggest", json={"text": "x"}, headers={"Origin": origin} | bearer(secret)),
                client.options("/v1/suggest", headers={"Origin": origin} | PREFLIGHT),
            ):
                assert (told(answer), answer.headers["vary"]) == ({}, "Origin"), origin


def test_a_named_origin_still_needs_a_key_on_this_machine(engine: Engine) -> None:
    with asked(engine, origins=(FORUM,)) as client:
        assert client.post("/v1/suggest", json={"text": "x"}).status_code == 200
        assert client.post("/v1/suggest", json={"text": "x"}, headers={"Origin": FORUM}).status_code == 403


@pytest.mark.parametrize("origin", ["*", "null", "forum.example", "https://forum.example/", "https://a.example/b", ""])
def test_what_is_no_origin_is_refused_before_the_service_listens(engine: Engine, origin: str) -> None:
    with pytest.raises(ValueError, match="is no origin"), asked(engine, origins=(origin,)):
        pass


# ---------------------------------------------------------------- the widget on a page of another origin


@pytest.fixture
def forum() -> Iterator[Any]:
    """A page of another address; ``forum.html`` is what it shows, ``forum.port`` where."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(server.html.encode() if self.path == "/" else b"")  # type: ignore[attr-defined]

        def do_POST(self) -> None:
            """Hand a request on to the service, with the page's own key and whoever is logged in."""
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"]))) | {"user": "u0"}
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {server.key}"}  # type: ignore
            url = server.service + self.path.removeprefix("/tags/")  # type: ignore[attr-defined]
            with urlopen(Request(url, json.dumps(body).encode(), headers)) as answer:
                said = answer.read()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    server.html, server.port = "", server.server_address[1]  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@in_a_browser
def test_the_widget_works_on_a_page_of_a_named_origin_alone(
    engine: Engine, store: Store, forum: Any, browser: Any
) -> None:
    secret = store.new_key("writer", "even")[1]
    settings = replace(engine.settings, origins=(f"http://127.0.0.1:{forum.port}",))
    for address in serving(engine, settings):
        forum.html = (
            '<!doctype html><html lang="en"><title>Forum</title><link rel="icon" href="data:,">'
            f'<script src="{address}widget.js" data-key="{secret}" data-community="even" data-k="3" defer></script>'
            '<label>Post <textarea id="post"></textarea></label>'
        )
        context = browser.new_context()
        context.set_default_timeout(60_000)
        _asks(context.new_page(), address, forum.port)
        context.close()


def _asks(page: Any, address: str, port: int) -> None:
    own, elsewhere = (address, f"http://127.0.0.1:{port}/", f"http://localhost:{port}/", "data:"), []
    page.on("request", lambda one: None if one.url.startswith(own) else elsewhere.append(one.url))
    page.goto(f"http://127.0.0.1:{port}/")
    page.type("#post", "lime tide")
    page.wait_for_selector(".take")
    tag = page.inner_text(".take >> nth=0")
    with page.expect_response("**/v1/feedback") as heard:
        page.click(".take >> nth=0")
    assert heard.value.status == 200
    assert page.input_value("#post") == f"lime tide {tag}"
    page.goto(f"http://localhost:{port}/")  # the same page, by a name that the service was not told
    with page.expect_console_message(lambda said: said.text.startswith("Hashloom: no answer from ")) as hint:
        page.type("#post", "lime tide")
    assert hint.value.text.endswith(f"hashloom serve --origin http://localhost:{port}")
    page.wait_for_selector(".lost:visible")
    assert page.inner_text(".lost") == "No suggestions now: the service cannot be reached"
    assert page.input_value("#post") == "lime tide"
    assert elsewhere == []


@in_a_browser
def test_a_widget_with_a_readers_key_works_and_shows_nobodys_habits(
    engine: Engine, store: Store, forum: Any, browser: Any
) -> None:
    """Through the page's own server, which has a writer's key and says who is logged in, it does show that one's."""
    reader, forum.key = (store.new_key(role, "even")[1] for role in ("reader", "writer"))
    settings = replace(engine.settings, origins=(f"http://127.0.0.1:{forum.port}",))
    for forum.service in serving(engine, settings):
        seen = {}
        for name, about in (("reader", f'data-key="{reader}"'), ("own server", 'data-address="/tags/"')):
            forum.html = (
                '<!doctype html><html lang="en"><title>Forum</title><link rel="icon" href="data:,">'
                f'<script src="{forum.service}widget.js" {about} data-community="even" data-user="u0" data-k="20" '
                'defer></script><label>Post <textarea id="post"></textarea></label>'
            )
            context = browser.new_context()
            context.set_default_timeout(60_000)
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{forum.port}/")
            page.type("#post", "lime tide")
            page.wait_for_selector(".take")
            seen[name] = {one.inner_text() for one in page.query_selector_all(".take")}
            page.click(".take >> nth=0")
            assert page.input_value("#post").startswith("lime tide #")
            context.close()
        assert seen["reader"]
        assert "#Habit0" in seen["own server"] - seen["reader"]
