"""A bounded HTTP/1.1 client for load on loopback: closed loop, and open loop with latencies from the intended start.

In the closed loop each of a few connections asks again as soon as it is answered. In the open loop requests are due at
a fixed rate, whatever the service does, and one that must wait for a free connection has been waiting since it was due
(Tene's "coordinated omission" is what the closed loop leaves out).
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

MOST = 64
"""So many connections at most."""


@dataclass
class Asked:
    """What came of the requests: milliseconds of those answered with 200, how many were not, and by which ways."""

    seconds: float = 0.0
    times: list[float] = field(default_factory=list)
    failed: int = 0
    late: int = 0
    """Answers that did not come from the model."""

    def quantile(self, share: float) -> float:
        """Milliseconds within which such a share was answered.

        >>> Asked(times=[1.0, 2.0, 9.0]).quantile(0.5)
        2.0
        """
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.times) / self.seconds if self.seconds else 0.0

    def row(self) -> str:
        """The figures as cells of a table: answers a second, p50, p99, failed."""
        ends = f"{self.quantile(0.5):.1f} | {self.quantile(0.99):.1f}"
        return f"{self.rate:.0f} | {ends} | {self.failed + self.late}"


def get(path: str) -> bytes:
    """A request without a body, as it is sent."""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(path: str, body: dict[str, Any]) -> bytes:
    """A request with a JSON body, as it is sent.

    >>> post("/v1/suggest", {"k": 1}).splitlines()[-1]
    b'{"k": 1}'
    """
    return _with_body(path, "application/json", json.dumps(body).encode())


def upload(path: str, draft: dict[str, Any], picture: bytes) -> bytes:
    """A request with a draft and a picture as multipart form."""
    edge = "--of-the-parts"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="draft"\r\n\r\n{json.dumps(draft)}\r\n'
    head += f'--{edge}\r\nContent-Disposition: form-data; name="picture"; filename="p"\r\n\r\n'
    body = head.encode() + picture + f"\r\n--{edge}--\r\n".encode()
    return _with_body(path, f"multipart/form-data; boundary={edge}", body)


def _with_body(path: str, kind: str, body: bytes) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


class _Line(asyncio.Protocol):
    """One connection that is kept; one request at a time."""

    transport: asyncio.Transport
    _done: asyncio.Future[bytes] | None = None
    _got, _need = b"", -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        self._done, self._got, self._need = asyncio.get_running_loop().create_future(), b"", -1
        done = self._done
        if self.transport.is_closing():
            self.connection_lost(None)
        else:
            self.transport.write(request)
        return done

    def data_received(self, data: bytes) -> None:
        if self._done is None:  # said to a connection that has asked nothing: its end
            self.transport.close()
            return
        self._got += data
        if self._need < 0 and (end := self._got.find(b"\r\n\r\n")) >= 0:
            self._need = end + 4 + _length(self._got[:end])
        if 0 <= self._need <= len(self._got):
            done, self._done = self._done, None
            done.set_result(self._got)

    def connection_lost(self, _: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(ConnectionError("the service hung up"))


def _length(head: bytes) -> int:
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    return next((int(value) for name, _, value in lines if name == b"content-length"), 0)


def closed(port: int, requests: Sequence[bytes], clients: int, count: int) -> Asked:
    """``count`` requests, taken from ``requests`` in turn, by so many connections without a pause."""
    return asyncio.run(_closed(port, requests, min(clients, MOST), count))


def opened(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> Asked:
    """Requests at a fixed rate, timed from when each was due."""
    return asyncio.run(_opened(port, requests, rate, int(rate * seconds)))


async def _connected(port: int) -> _Line:
    _, made = await asyncio.get_running_loop().create_connection(_Line, "127.0.0.1", port)
    return made


async def _closed(port: int, requests: Sequence[bytes], clients: int, count: int) -> Asked:
    asked, todo = Asked(), iter(range(count))

    async def work(line: _Line) -> None:
        for at in todo:
            await _ask(line, requests[at % len(requests)], perf_counter(), asked)

    lines = [await _connected(port) for _ in range(clients)]
    began = perf_counter()
    await asyncio.gather(*map(work, lines))
    asked.seconds = perf_counter() - began
    _hang_up(lines)
    return asked


async def _opened(port: int, requests: Sequence[bytes], rate: float, count: int) -> Asked:
    asked, free, waiting = Asked(), [await _connected(port) for _ in range(MOST)], deque[tuple[int, float]]()
    tasks: set[asyncio.Task[None]] = set()

    async def work(line: _Line) -> None:
        if line.transport.is_closing():  # the service ends connections that were idle for some seconds
            line = await _connected(port)
        while waiting:
            at, due = waiting.popleft()
            await _ask(line, requests[at % len(requests)], due, asked)
        free.append(line)

    began = perf_counter()
    for at in range(count):
        due = began + at / rate
        await asyncio.sleep(max(0.0, due - perf_counter()))
        waiting.append((at, due))
        if free:
            tasks.add(asyncio.ensure_future(work(free.pop())))
    await asyncio.gather(*tasks)
    asked.seconds = perf_counter() - began
    _hang_up(free)
    return asked


async def _ask(line: _Line, request: bytes, since: float, asked: Asked) -> None:
    try:
        answer = await line.ask(request)
    except ConnectionError:
        asked.failed += 1
        return
    took = 1e3 * (perf_counter() - since)
    if not answer.startswith(b"HTTP/1.1 200"):
        asked.failed += 1
        return
    asked.times.append(took)
    asked.late += b'"way":' in answer and b'"way":"model"' not in answer


def _hang_up(lines: Sequence[_Line]) -> None:
    for line in lines:
        line.transport.close()
