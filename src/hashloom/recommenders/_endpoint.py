"""Endpoint: one request to a server, with one deadline for all of it and a limit on what is read of the answer.

Only http and https; no redirect is followed, for the key would travel with it.
"""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

MOST_BYTES = 1_000_000
"""An answer with more is refused."""


class NoAnswer(ConnectionError):
    """What kept an answer from coming, and the remedy.

    ``passing``: it may come if asked again, after ``wait`` seconds where the server said so. ``misread``: the server
    does not take the request as it was put. ``gone``: nobody is there.
    """

    def __init__(
        self, said: str, *, passing: bool = False, wait: float | None = None, misread: str = "", gone: bool = False
    ) -> None:
        super().__init__(said)
        self.passing, self.wait, self.misread, self.gone = passing, wait, misread, gone


@dataclass(frozen=True)
class Endpoint:
    """Where requests go: ``url`` up to and without ``/chat/completions``.

    >>> Endpoint.of("http://localhost:11434/v1/").name
    'http://localhost:11434/v1'
    >>> Endpoint.of("file:///etc/passwd")
    Traceback (most recent call last):
    ...
    ValueError: llm: url must be http:// or https:// and a host, like http://localhost:11434/v1, not 'file:///etc/passwd'
    """

    url: SplitResult

    @classmethod
    def of(cls, url: str) -> Endpoint:
        """The endpoint of an address; other than http and https, and secrets in it, are refused."""
        if "@" in url.partition("?")[0]:
            raise ValueError("llm: url must hold no password; put the key into the variable that key_from names")
        try:
            found = urlsplit(url)
            whole = found.scheme in ("http", "https") and found.hostname and found.port != 0
        except ValueError:
            whole = False
        if not whole or re.search(r"[^!-~]", url):
            shown = url.partition("?")[0]
            raise ValueError(
                f"llm: url must be http:// or https:// and a host, like http://localhost:11434/v1, not {shown!r}"
            )
        return cls(found)

    @property
    def name(self) -> str:
        """The address as it may be shown and logged, without its query."""
        return f"{self.url.scheme}://{self.url.netloc}{self.url.path.rstrip('/')}"

    @property
    def here(self) -> bool:
        """Whether it is on this machine."""
        host = self.url.hostname or ""
        with suppress(ValueError):
            return ipaddress.ip_address(host).is_loopback
        return host == "localhost" or host.endswith(".localhost")

    def post(self, body: bytes, headers: Mapping[str, str], timeout: float) -> tuple[int, str | None, bytes]:
        """Status, Retry-After and body of the answer; ``OSError`` or ``HTTPException`` where none comes in time."""
        connection = self._connection(timeout)
        late = threading.Event()
        watch: threading.Timer | None = None
        try:
            connection.connect()
            # Python's timeout is for each piece that arrives; a server that drips would never be done.
            watch = threading.Timer(timeout, _cut, (connection.sock, late))
            watch.daemon = True
            watch.start()
            path = f"{self.url.path.rstrip('/')}/chat/completions" + (f"?{self.url.query}" if self.url.query else "")
            connection.request("POST", path, body, dict(headers))
            response = connection.getresponse()
            data = _bounded(response)
            if not late.is_set():
                return response.status, response.getheader("Retry-After"), data
        except (OSError, http.client.HTTPException, ValueError):
            if not late.is_set():
                raise
        finally:
            if watch:
                watch.cancel()
            connection.close()
        raise TimeoutError

    def _connection(self, timeout: float) -> http.client.HTTPConnection:
        host, port, scheme = self.url.hostname or "", self.url.port, self.url.scheme
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=timeout)
        proxy = urlsplit(getproxies().get("https", ""))
        if not proxy.hostname or self.here or proxy_bypass(host):
            return http.client.HTTPSConnection(host, port, timeout=timeout)
        connection = http.client.HTTPSConnection(proxy.hostname, proxy.port, timeout=timeout)
        connection.set_tunnel(host, port)
        return connection


def _cut(sock: socket.socket | None, late: threading.Event) -> None:
    late.set()
    if sock is not None:
        with suppress(OSError):
            # TLS sockets forget their cipher in a shutdown of their own, while the other thread still reads.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _bounded(response: http.client.HTTPResponse) -> bytes:
    parts, size = [], 0
    while part := response.read1(65536):
        parts.append(part)
        size += len(part)
        if size > MOST_BYTES:
            raise NoAnswer(f"the answer has more than {MOST_BYTES:,} bytes")
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return b"".join(parts)


def after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for: a number or a date.

    >>> after("2"), after("Wed, 21 Oct 2015 07:28:00 GMT"), after("soon")
    (2.0, 0.0, None)
    """
    if not header:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", header.strip()):
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
