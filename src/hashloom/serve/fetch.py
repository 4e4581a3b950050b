"""Pictures by address, off by default: only public hosts, the address that was checked is the one that is asked.

Each redirect is checked anew; time, size and hops are bounded. What comes is checked by content like any upload.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from urllib.parse import SplitResult, urljoin, urlsplit

HOPS = 3
BLOCK = 65_536
PORTS = {"http": 80, "https": 443}
INNER = tuple(map(ipaddress.ip_network, ("fec0::/10", "64:ff9b:1::/48", "::ffff:0:0:0/96", "3fff::/20", "5f00::/16")))
"""Networks that are not public, whatever the tables of older Pythons say."""
Resolve = Callable[[str, int], list[str]]


class NotFetched(ValueError):
    """A picture that was not fetched; the message says why and names no inner address."""


def resolve(host: str, port: int) -> list[str]:
    """All addresses of a host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotFetched("the host is not known") from None
    return [str(one[4][0]) for one in found]


def is_public(address: str) -> bool:
    """Whether an address is reached over the internet; one within another (6to4, NAT64, mapped) must be so, too.

    >>> [is_public(a) for a in ("93.184.216.34", "127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::7f00:1")]
    [True, False, False, False, False]
    """
    try:
        at = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return False
    inner: list[ipaddress.IPv4Address | None] = []
    if isinstance(at, ipaddress.IPv6Address):
        inner = [at.ipv4_mapped, at.sixtofour, *(at.teredo or ())]
        if at in ipaddress.ip_network("64:ff9b::/96") or int(at) >> 32 == 0:
            inner.append(ipaddress.IPv4Address(int(at) & 0xFFFFFFFF))
    if at.is_multicast or any(at in network for network in INNER):
        return False
    return at.is_global and all(one is None or one.is_global for one in inner)


def fetch(url: str, most: int, seconds: float, *, resolve: Resolve = resolve) -> bytes:
    """The bytes at an address, at most ``most``, within ``seconds``. Raises ``NotFetched``.

    >>> fetch("file:///etc/passwd", 100, 1.0)
    Traceback (most recent call last):
    ...
    hashloom.serve.fetch.NotFetched: only http and https addresses are fetched
    """
    end = monotonic() + seconds
    for _ in range(HOPS + 1):
        parts = _checked(url)
        answer, url = _ask(parts, _address(parts, resolve), most, end)
        if answer is not None:
            return answer
    raise NotFetched(f"more than {HOPS} redirects")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise NotFetched("no address") from None
    if parts.scheme not in PORTS:
        raise NotFetched("only http and https addresses are fetched")
    if not parts.hostname or parts.username is not None or len(url) > 2_000 or any(c <= " " for c in url):
        raise NotFetched("no plain address of a host")
    if port not in (None, 80, 443):
        raise NotFetched("only the ports 80 and 443 are asked")
    return parts


def _address(parts: SplitResult, resolve: Resolve) -> str:
    """One address of the host; all must be public, or none is asked."""
    found = resolve(parts.hostname or "", parts.port or PORTS[parts.scheme])
    if not found or not all(map(is_public, found)):
        raise NotFetched("the host is not public")
    return found[0]


class _Pinned(http.client.HTTPConnection):
    """A connection to the address that was checked, whatever the name has become since."""

    def __init__(self, parts: SplitResult, address: str, seconds: float) -> None:
        super().__init__(parts.hostname or "", parts.port or PORTS[parts.scheme], timeout=seconds)
        self._address = address
        self._secure = parts.scheme == "https"

    def connect(self) -> None:
        self.sock = made = socket.create_connection((self._address, self.port), self.timeout)
        if self._secure:
            self.sock = ssl.create_default_context().wrap_socket(made, server_hostname=self.host)

    def cut(self) -> None:
        """End what is under way; the timeout of a socket is for each piece, and a host that drips is never done."""
        if self.sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


def _ask(parts: SplitResult, address: str, most: int, end: float) -> tuple[bytes | None, str]:
    """The bytes, or None and where to ask next."""
    connection = _Pinned(parts, address, _left(end))
    watch = threading.Timer(_left(end), connection.cut)
    watch.daemon = True
    watch.start()
    try:
        path = parts.path or "/"
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path, headers={"Accept": "image/*"})
        answer = connection.getresponse()
        if answer.status in (301, 302, 303, 307, 308):
            return None, urljoin(parts.geturl(), answer.getheader("Location") or "")
        if answer.status != 200:
            raise NotFetched(f"the host answered {answer.status}")
        return _read(answer, most, end), ""
    except NotFetched:
        raise
    except (OSError, http.client.HTTPException, ValueError):
        raise NotFetched("the host did not answer as it should") from None
    finally:
        watch.cancel()
        connection.close()


def _read(answer: http.client.HTTPResponse, most: int, end: float) -> bytes:
    parts, size = [], 0
    while part := answer.read1(BLOCK):
        size += len(part)
        if size > most:
            raise NotFetched(f"more than {most:,} bytes")
        parts.append(part)
        _left(end)
    _left(end)  # an end that came because the time was up is none
    return b"".join(parts)


def _left(end: float) -> float:
    left = end - monotonic()
    if left <= 0:
        raise NotFetched("took too long")
    return left
