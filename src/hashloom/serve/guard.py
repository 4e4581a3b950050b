"""The door of the service: who asks, how often, how much and what kind of body, before any route sees the request."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections import Counter
from time import perf_counter
from typing import Any

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hashloom.serve.auth import Caller, Keys, is_loopback, is_own_name, is_own_page, secret_of
from hashloom.serve.limits import BadJson, Buckets, parse
from hashloom.serve.metrics import Metrics
from hashloom.serve.names import path_of
from hashloom.serve.problems import MEDIA, Problem, body_of
from hashloom.serve.running import NoAnswer
from hashloom.serve.settings import ServeSettings

LOG = logging.getLogger("hashloom.serve.requests")
KEYED = ("/v1", "/metrics", "/docs")
"""How addresses begin that need a key."""
FREE = ("/v1/openapi.json",)
UPLOADS = ("/v1/suggest/pictures", "/v1/forecast/pictures", "/v1/pictures")
TOO_MUCH = "What is being sent with this key takes its whole room; send less at a time."
WRONG_KEY = "This key is not known, or was revoked."
_ID = re.compile("[A-Za-z0-9._-]{1,64}")
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"cache-control": b"no-store",
    b"referrer-policy": b"no-referrer",
    b"x-frame-options": b"DENY",
}


class Guard:
    """Pure ASGI, so that a body is not read before its sender is known."""

    def __init__(self, app: ASGIApp, *, settings: ServeSettings, keys: Keys, metrics: Metrics) -> None:
        self.app = app
        self.settings = settings
        self.keys = keys
        self.metrics = metrics
        self.buckets = Buckets()
        self.buffered = 0
        self.by_key: Counter[str] = Counter()
        """Of what is buffered, how much came with each key."""
        self._finding: anyio.CapacityLimiter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let the routes do so; whatever fails becomes a problem."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["path"] = path_of(scope)
        headers = dict(scope["headers"])
        given = headers.get(b"x-request-id", b"").decode("latin-1")
        id = given if _ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = id
        answer = _Answer(send, id)
        began = perf_counter()
        try:
            await self._let_in(scope, headers, receive, answer)
        except Problem as problem:
            self.metrics.refused(str(problem.status_code))
            await answer.problem(problem)
        except Exception as error:
            LOG.error("request %s failed: %s", id, type(error).__name__, exc_info=error)
            if answer.status:
                raise
            await answer.problem(Problem(500))
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.request(route, scope["method"], answer.status or 499, perf_counter() - began)
            LOG.info("%s %s %s %d", id, scope["method"][:8], route, answer.status)

    async def _let_in(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, answer: _Answer) -> None:
        if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > self.settings.max_address:
            raise Problem(414)
        caller = await self._caller(scope, headers)
        scope["state"]["caller"] = caller
        scope["state"]["charge"] = lambda cost: self._charge(caller, cost)
        if caller is not None:
            self._turn(caller)
        held = _Held(self, caller.key if caller is not None else "")
        try:
            body = await self._body(scope, headers, receive, held)
            await self.app(scope, _replayed(body, receive), answer)
        finally:
            held.let_go()

    # ---- who

    async def _caller(self, scope: Scope, headers: dict[bytes, bytes]) -> Caller | None:
        secret, path = secret_of(headers), scope["path"]
        client = scope["client"][0] if scope.get("client") else ""
        needed = path.startswith(KEYED) and path not in FREE and not (
            path == "/metrics" and self.settings.public_metrics
        )  # fmt: skip
        if secret is not None:
            return await self._by_key(secret, client)
        if not needed:
            return None
        if self.settings.open_on_loopback and is_loopback(client) and not await self._are_keys():
            if not is_own_name(headers):
                raise Problem(421)
            if not is_own_page(headers):
                raise Problem(403, "A page of another place may not ask here without a key.")
            return Caller("admin")
        raise Problem(401)

    async def _are_keys(self) -> bool:
        known = self.keys.were_there()
        return bool(await self._run(self.keys.are_there)) if known is None else known

    async def _by_key(self, secret: str, client: str) -> Caller:
        caller = self.keys.recent(secret)
        if caller is None:
            caller = await self._run(self.keys.find, secret)
        if caller is None:
            wait = self.buckets.take(f"wrong {client}", self.settings.failures)
            raise _later(wait) if wait else Problem(401, WRONG_KEY if secret else "")
        return caller

    async def _run(self, work: Any, *args: Any) -> Any:
        if self._finding is None:  # made within the loop that it belongs to
            self._finding = anyio.CapacityLimiter(4)
        try:
            return await anyio.to_thread.run_sync(work, *args, limiter=self._finding)
        except NoAnswer:
            raise Problem(503, "The store does not say whose key this is.", headers={"Retry-After": "5"}) from None

    # ---- how often

    def _turn(self, caller: Caller) -> None:
        if caller.key:
            wait = self.buckets.take(caller.key, caller.rate or self.settings.default_rate)
            if wait:
                raise _later(wait)

    def _charge(self, caller: Caller | None, cost: float) -> None:
        if caller is not None and caller.key:
            self.buckets.charge(caller.key, caller.rate or self.settings.default_rate, cost)

    # ---- what

    async def _body(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, held: _Held) -> bytes:
        upload = scope["path"].startswith(UPLOADS)
        most = self.settings.max_upload if upload else self.settings.max_body
        if scope["state"]["caller"] is None:
            most = 0  # no address that needs no key takes a body
        _check_length(headers, most)
        if headers.get(b"content-encoding", b"identity").strip().lower() not in (b"", b"identity"):
            raise Problem(415, "Compressed bodies are not taken.")
        try:
            async with asyncio.timeout(self.settings.body_seconds):
                body = await self._read(receive, most, held)
        except TimeoutError:
            raise Problem(408) from None
        if body and scope["method"] in ("POST", "PUT", "PATCH", "DELETE"):
            value = await self._checked(body, headers.get(b"content-type", b""), upload)
            if not upload:
                scope["state"]["json"] = value
        return body

    async def _read(self, receive: Receive, most: int, held: _Held) -> bytes:
        parts: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Problem(400, "The body ended early.")
            part = message.get("body", b"")
            held.add(len(part))
            if held.size > most:
                raise _too_large(most)
            if self.buffered > self.settings.max_buffered:
                raise Problem(503, headers={"Retry-After": "1"})
            if held.of_key > max(held.size, self.settings.key_share * self.settings.max_buffered):
                raise Problem(429, TOO_MUCH, headers={"Retry-After": "1", "Connection": "close"})
            if part:
                parts.append(part)
            if len(parts) > 1_000:  # a body in tiny parts must not take many times its size
                parts = [b"".join(parts)]
            if not message.get("more_body"):
                return b"".join(parts)

    async def _checked(self, body: bytes, kind: bytes, upload: bool) -> Any:
        """The value of a JSON body, which the routes are given (``reading``); of an upload, nothing."""
        media = kind.split(b";")[0].strip().lower()
        if upload and media != b"multipart/form-data":
            raise Problem(415, "Pictures are sent as multipart/form-data.")
        if upload:
            return None
        if media != b"application/json":
            raise Problem(415, "A body here is application/json.")
        try:
            if len(body) > 65_536:
                return await self._run(parse, body, self.settings.max_depth)
            return parse(body, self.settings.max_depth)
        except BadJson as error:
            raise Problem(400, f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


class _Held:
    """What one request holds of all that is buffered, from its first byte on."""

    def __init__(self, guard: Guard, key: str) -> None:
        self._guard = guard
        self._key = key
        self.size = 0

    @property
    def of_key(self) -> int:
        """What all requests with this key hold; without a key, what this one does."""
        return self._guard.by_key[self._key] if self._key else self.size

    def add(self, size: int) -> None:
        self.size += size
        self._guard.buffered += size
        if self._key:
            self._guard.by_key[self._key] += size

    def let_go(self) -> None:
        size, self.size = self.size, 0
        self._guard.buffered -= size
        if self._key:
            self._guard.by_key[self._key] -= size
            if not self._guard.by_key[self._key]:
                del self._guard.by_key[self._key]


class _Answer:
    """Sends, and remembers the status; adds the headers that every answer has."""

    def __init__(self, send: Send, id: str) -> None:
        self._send = send
        self._id = id
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            there = {name.lower() for name, _ in message.get("headers", [])}
            more = [(name, value) for name, value in HEADERS.items() if name not in there]
            headers = [*message.get("headers", []), *more, (b"x-request-id", self._id.encode("ascii"))]
            message = {**message, "headers": headers}
        await self._send(message)

    async def problem(self, problem: Problem) -> None:
        content = body_of(problem.status_code, problem.detail, self._id, problem.errors)
        headers = [(name.lower().encode(), value.encode()) for name, value in (problem.headers or {}).items()]
        if problem.status_code == 401:
            headers.append((b"www-authenticate", b'Bearer realm="hashloom"'))
        headers += [(b"content-type", MEDIA.encode()), (b"content-length", str(len(content)).encode())]
        if problem.status_code in (408, 413, 503):
            headers.append((b"connection", b"close"))  # what is left of the body is not read
        await self({"type": "http.response.start", "status": problem.status_code, "headers": headers})
        await self({"type": "http.response.body", "body": content})


def _check_length(headers: dict[bytes, bytes], most: int) -> None:
    given = headers.get(b"content-length")
    if given is None:
        return
    if not given.isdigit():
        raise Problem(400, "Content-Length is no number.")
    if len(given) > 12 or int(given) > most:
        raise _too_large(most)


def _too_large(most: int) -> Problem:
    return Problem(413, f"A body here has at most {most:,} bytes." if most else "Nothing here takes a body.")


def _later(seconds: float) -> Problem:
    return Problem(429, headers={"Retry-After": str(max(1, round(seconds + 0.5)))})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, and then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay
