"""Limits on what is sent: JSON that every reader reads alike, and so many requests a second."""

from __future__ import annotations

import json
import math
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic
from typing import Any

_SIGN = re.compile(r'["\[\]{},]')
KEPT = 10_000
"""So many buckets are kept; the one unused for longest goes first."""
MOST_HOLDERS = 20_000
"""So many lists and objects a body may have; the largest that the API takes, 1,000 posts, has about 3,000."""
MOST_VALUES = 300_000
"""So many values (commas, in fact) a body may have; the largest that the API takes, a tag space, has 200,000."""


class BadJson(ValueError):
    """A body that is not JSON, or JSON that two readers would read differently."""


def parse(body: bytes, depth: int = 20) -> Any:
    """The value of a JSON body.

    Refused: bad UTF-8, lone surrogates, repeated keys, NaN, infinities, deep nesting, and more values than any request
    needs, since what is small as text may be large and slow as values.

    >>> parse(b'{"k": 1}')
    {'k': 1}
    >>> parse(b'{"k": 1, "k": 2}')
    Traceback (most recent call last):
    ...
    hashloom.serve.limits.BadJson: a key stands twice in one object
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadJson("the body is not UTF-8") from None
    if deepest(text, depth) > depth:
        raise BadJson(f"lists and objects lie more than {depth} deep")
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
    except BadJson:
        raise
    except (ValueError, RecursionError):
        raise BadJson("the body is not JSON") from None
    if "\\u" in text and not _is_whole(value):
        raise BadJson("half of a surrogate pair stands alone in a string")
    return value


def deepest(text: str, enough: int) -> int:
    """How deep lists and objects lie in each other, strings apart; counting ends above ``enough``.

    Raises ``BadJson`` where there are more than ``MOST_HOLDERS`` of them, or more than ``MOST_VALUES`` commas.
    """
    most = depth = at = holders = commas = 0
    while (found := _SIGN.search(text, at)) is not None:
        sign, at = found[0], found.end()
        if sign == '"':
            at = _end_of_string(text, at) + 1
        elif sign == ",":
            commas += 1
        elif sign in "[{":
            depth, holders = depth + 1, holders + 1
            most = max(most, depth)
        else:
            depth -= 1
        if most > enough or depth < 0:  # with more ends than beginnings it is no JSON, as its reader will say
            return most
        if holders > MOST_HOLDERS:
            raise BadJson(f"the body has more than {MOST_HOLDERS:,} lists and objects")
        if commas > MOST_VALUES:
            raise BadJson(f"the body has more than {MOST_VALUES:,} values")
    return most


def _end_of_string(text: str, at: int) -> int:
    while True:
        end = text.find('"', at)
        if end < 0:
            return len(text)
        back = end - 1
        while back >= at and text[back] == "\\":
            back -= 1
        if (end - back) % 2:
            return end
        at = end + 1


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise BadJson("a key stands twice in one object")
    return made


def _no_number(name: str) -> float:
    raise BadJson(f"{name} is no number in JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise BadJson("a number is too large")
    return value


def _is_whole(value: Any) -> bool:
    """Whether every string can be written as UTF-8."""
    if isinstance(value, str):
        return not any("\ud800" <= sign <= "\udfff" for sign in value)
    if isinstance(value, dict):
        return all(map(_is_whole, (*value.keys(), *value.values())))
    return all(map(_is_whole, value)) if isinstance(value, list) else True


class Buckets:
    """A token bucket per name: ``rate`` requests a second, and as many at once as come in two seconds.

    >>> buckets = Buckets()
    >>> [buckets.take("key", 1.0) for _ in range(3)][:2], buckets.take("key", 1.0) > 0
    ([0.0, 0.0], True)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str, rate: float, cost: float = 1.0) -> float:
        """0.0 where the request may go on, else the seconds to wait. A dear one may leave a debt, and is paid after."""
        now, most = monotonic(), max(1.0, 2 * rate)
        with self._lock:
            tokens, at = self._held.pop(name, (most, now))
            tokens = min(most, tokens + (now - at) * rate)
            wait = 0.0 if tokens >= 1 else (1 - tokens) / rate
            self._held[name] = (tokens if wait else tokens - cost, now)
            while len(self._held) > KEPT:
                self._held.popitem(last=False)
        return wait

    def charge(self, name: str, rate: float, cost: float) -> None:
        """Take more for a request that was let in and turned out dear."""
        with self._lock:
            if name in self._held:
                tokens, at = self._held[name]
                self._held[name] = (max(tokens - cost, -60 * rate), at)
