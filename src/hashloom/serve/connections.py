"""Connections that must say what they want: a request's head within a size and a time, or they are closed.

The HTTP parser itself bounds neither, so that headers without end would fill the memory, and heads that never end
would hold connections for ever.
"""

from __future__ import annotations

from asyncio import TimerHandle, Transport
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hashloom.serve.problems import MEDIA, body_of

MOST_HEAD = 65_536
"""Bytes of a request's first line and headers; what arrives in one piece with the first of them is not counted."""
HEAD_SECONDS = 20.0
"""In which a head must have arrived. Idle connections that were answered before are closed sooner by the server."""


class Bounded(HttpToolsProtocol):
    """One connection; what is no HTTP is answered with a problem, too."""

    _clock: TimerHandle | None = None
    """Runs while a head is awaited."""
    _head = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """A head is awaited."""
        super().connection_made(transport)
        self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._heard()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Another head is awaited."""
        self._await()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is there; its body has limits of its own."""
        self._heard()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Count what comes until the head is whole."""
        clock = self._clock
        super().data_received(data)
        if clock is not None and clock is self._clock:
            self._head += len(data)
            if self._head > MOST_HEAD:
                self._refuse(431, f"The head of a request has at most {MOST_HEAD:,} bytes.")

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(400, "This is no HTTP request.")

    def _await(self) -> None:
        self._heard()
        self._head = 0
        self._clock = self.loop.call_later(HEAD_SECONDS, self._refuse, 408, "The request did not arrive in time.")

    def _heard(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _refuse(self, status: int, detail: str) -> None:
        self._heard()
        content = body_of(status, detail, "")
        start = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: {MEDIA}\r\n"
        self.transport.write(f"{start}content-length: {len(content)}\r\nconnection: close\r\n\r\n".encode() + content)
        self.transport.close()
