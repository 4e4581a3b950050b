"""Who asks: keys, roles and communities; on this machine nobody needs a key until the first one is made."""

from __future__ import annotations

import ipaddress
import math
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from fastapi import Request

from hashloom.data.rows import clean
from hashloom.serve import names
from hashloom.serve.lookups import Lookups
from hashloom.serve.problems import Problem
from hashloom.serve.running import NoAnswer
from hashloom.serve.settings import ServeSettings

if TYPE_CHECKING:
    from hashloom.store import Key, Store

T = TypeVar("T")
ROLES = ("reader", "writer", "operator", "admin")
"""Each may do what those before it may."""
NAMES = ("localhost", "127.0.0.1", "::1", "[::1]", "testserver")
LONGEST_KEY = 200
PATIENCE = 3.0
"""Seconds in which the store must say whose a key is."""
NEVER = (-math.inf, False)
STANDING = 60.0
"""For so many seconds more a key stands that was known, while the store is silent; a revocation then holds later."""


@dataclass(frozen=True)
class Caller:
    """Who asks. ``community`` None: all; ``key``: the id of the key, '' on this machine without keys."""

    role: str
    community: str | None = None
    key: str = ""
    rate: float | None = None

    def may(self, role: str) -> bool:
        """Whether the caller's role is at least this one.

        >>> Caller("writer").may("reader"), Caller("writer").may("operator")
        (True, False)
        """
        return self.role in ROLES and ROLES.index(self.role) >= ROLES.index(role)

    def community_of(self, given: str | None) -> str:
        """The community that is meant, spelt as it is stored; another than the key's is refused.

        Nothing is told of whether the other one exists.

        >>> Caller("reader", "bakers").community_of(None), Caller("reader").community_of(" bakers ")
        ('bakers', 'bakers')
        """
        if given is None:
            return self.community or ""
        named = clean(given).strip()
        if self.community is not None and named != self.community:
            raise Problem(403, "This key is for another community.")
        return named


class Keys:
    """Finds callers by their keys, and remembers them for a short while.

    A store that fails or is silent stops nobody whose key it knew within the last minute.
    """

    def __init__(self, lookups: Lookups, settings: ServeSettings) -> None:
        self.lookups = lookups
        self.settings = settings
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Caller]] = {}
        self._any: tuple[float, bool] = NEVER

    def recent(self, secret: str) -> Caller | None:
        """The caller, where the key was found a moment ago."""
        with self._lock:
            until, caller = self._known.get(secret, (0.0, None))
        return caller if until > monotonic() else None

    def find(self, secret: str) -> Caller | None:
        """The caller who has this key; asks the store. Raises ``NoAnswer`` where that says nothing."""
        if len(secret) > LONGEST_KEY:
            return None
        try:
            key: Key | None = self._asked(lambda store: store.find_key(secret))
        except NoAnswer:
            with self._lock:
                until, known = self._known.get(secret, (0.0, None))
            if known is None or until + STANDING < monotonic():
                raise
            return known
        if key is None or key.role not in ROLES:
            with self._lock:
                self._known.pop(secret, None)
            return None
        caller = Caller(key.role, key.community, key.id, key.rate)
        with self._lock:
            if len(self._known) > 1_000:
                self._known.clear()
            self._known[secret] = (monotonic() + self.settings.key_seconds, caller)
        return caller

    def were_there(self) -> bool | None:
        """Whether the store held a key a moment ago; None where it must be asked again."""
        until, there = self._any
        return there if until >= monotonic() else None

    def are_there(self) -> bool:
        """Whether the store holds a key that was not revoked. Raises ``NoAnswer`` where it says nothing."""
        until, there = self._any
        if until < monotonic():
            try:
                there = self._asked(_holds_a_key)
            except NoAnswer:
                if until + STANDING < monotonic():
                    raise
                return there
            self._any = (monotonic() + self.settings.key_seconds, there)
        return there

    def _asked(self, work: Callable[[Store], T]) -> T:
        return self.lookups.ask(work, PATIENCE, most=PATIENCE)

    def forget(self) -> None:
        """Ask the store anew from now on."""
        with self._lock:
            self._known.clear()
            self._any = NEVER


def _holds_a_key(store: Store) -> bool:
    """Whether there is one that was not revoked."""
    kept = store.keys()
    return any(one.revoked_at is None for one in kept)


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("localhost")
    (True, True, False, True)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]").split("%")[0]).is_loopback
    except ValueError:
        return False


def check_binding(host: str, store: Store) -> None:
    """Refuse to listen where others can reach it, as long as the store holds no key. Raises ``ValueError``."""
    if not is_loopback(host) and not _holds_a_key(store):
        raise ValueError(
            f"the service does not listen on {host}, where others can reach it, without keys; "
            "make one with `hashloom keys new`, or listen on 127.0.0.1"
        )


def secret_of(headers: dict[bytes, bytes]) -> str | None:
    """The key that a request carries, as ``Authorization: Bearer`` or ``X-API-Key``; '' where it is malformed."""
    given = headers.get(b"authorization")
    if given is not None:
        kind, _, secret = given.decode("latin-1").partition(" ")
        return secret.strip() if kind.lower() == "bearer" else ""
    plain = headers.get(b"x-api-key")
    return plain.decode("latin-1").strip() if plain is not None else None


def is_own_name(headers: dict[bytes, bytes]) -> bool:
    """Whether the request calls this machine by its own name: a page elsewhere that rebinds a name to it does not."""
    host = headers.get(b"host", b"").decode("latin-1").lower()
    return not host or host in NAMES or host.rpartition(":")[0] in NAMES


def is_own_page(headers: dict[bytes, bytes]) -> bool:
    """Whether no page, or a page of this service, sent the request."""
    origin = headers.get(b"origin", b"").decode("latin-1").lower()
    return not origin or origin.split("://")[-1] == headers.get(b"host", b"").decode("latin-1").lower()


def caller_of(request: Request) -> Caller:
    """The caller that the guard found."""
    caller = request.scope.get("state", {}).get("caller")
    if not isinstance(caller, Caller):
        raise Problem(401)
    return caller


def needs(role: str, whole: bool = False) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency: the caller, if its role is at least this one; ``whole``: and its key is for all communities."""

    # A coroutine, though it awaits nothing: the frame would run a plain function in another thread.
    async def allowed(request: Request) -> Caller:
        caller = caller_of(request)
        if not caller.may(role):
            raise Problem(403, f"This needs the role {role}.")
        if whole and caller.community is not None:
            raise Problem(403, "This needs a key for all communities.")
        _no_others(request)
        _none_too_long(request)
        return caller

    return allowed


def _no_others(request: Request) -> None:
    """Refuse what stands in the query and is not known there: a misspelt name must not go unnoticed."""
    dependant = getattr(request.scope.get("route"), "dependant", None)
    known = {field.alias for field in dependant.query_params} if dependant else set()
    for name in request.query_params:
        if name not in known:
            there = f"; there are: {', '.join(sorted(known))}" if known else ""
            raise Problem(422, errors=[{"field": name[:60], "message": f"is not known here{there}"}])


def _none_too_long(request: Request) -> None:
    """Refuse names in the address that are longer than those in a body may be."""
    most = request.app.state.service.settings.max_name
    for name, value in (*request.path_params.items(), *request.query_params.items()):
        if len(str(value)) > most:
            raise Problem(422, errors=[{"field": name, "message": f"at most {most:,}"}])


def named(caller: Caller, community: str) -> str:
    """The community of an address; ``~`` stands for the one without a name."""
    return caller.community_of(names.community_of(community))
