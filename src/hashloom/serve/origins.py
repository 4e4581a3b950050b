"""Pages of other origins (CORS): those that are named may read answers, all others may not; none is named by default.

An origin that is named still needs a key: it opens no door, it only lets a browser hand the answer to the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = b"GET, POST, PUT, PATCH, DELETE"
WANTED = b"Authorization, Content-Type, X-API-Key, X-Request-Id"
TOLD = b"Retry-After, X-Request-Id"
KEPT_SECONDS = b"600"
"""How long a browser may remember what a preflight was answered."""


def checked(origins: Sequence[str]) -> frozenset[bytes]:
    """The origins as browsers send them. Raises ``ValueError`` for what is no origin: ``*``, ``null``, paths.

    >>> checked(["https://Example.org"]), checked([])
    (frozenset({b'https://example.org'}), frozenset())
    >>> checked(["*"])
    Traceback (most recent call last):
    ...
    ValueError: '*' is no origin; write scheme, host and, if it is not the usual one, port, as in https://example.org
    """
    made = set()
    for origin in origins:
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not parts.netloc or origin.partition("://")[2] != parts.netloc:
            raise ValueError(
                f"{origin!r} is no origin; write scheme, host and, if it is not the usual one, port, "
                "as in https://example.org"
            )
        made.add(origin.lower().encode("ascii"))
    return frozenset(made)


class Origins:
    """Pure ASGI around the guard, so that errors too can be read by a named page."""

    def __init__(self, app: ASGIApp, *, origins: frozenset[bytes]) -> None:
        self.app = app
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight of a named origin; add what lets it read any other answer."""
        headers = dict(scope["headers"]) if scope["type"] == "http" else {}
        origin = headers.get(b"origin", b"").lower()
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif origin not in self.origins:
            await self.app(scope, receive, _adding(send, [(b"vary", b"Origin")]))
        elif scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            await _preflight(origin, send)
        else:
            named = [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", TOLD)]
            await self.app(scope, receive, _adding(send, [*named, (b"vary", b"Origin")]))


def _adding(send: Send, more: list[tuple[bytes, bytes]]) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return sent


async def _preflight(origin: bytes, send: Send) -> None:
    headers = [
        (b"access-control-allow-origin", origin), (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", WANTED), (b"access-control-max-age", KEPT_SECONDS), (b"vary", b"Origin"),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
