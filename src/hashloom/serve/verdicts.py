"""What authors accepted and rejected, and how far that moves a tag within its community.

A person counts once per tag and community, by the latest word, so that nobody can vote a tag up or down alone; people
without a name count as one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashloom.store import Feedback

PRIOR = 8.0
"""So many people's usual verdicts are added to a tag's own."""
MOST = 2.0
"""No tag's rank is divided or multiplied by more than this."""
_GOOD = ("accepted", "typed")


@dataclass
class _Said:
    good: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)


class Verdicts:
    """Accepted and rejected tags by community. Safe for many threads.

    >>> from hashloom.store import Feedback
    >>> verdicts = Verdicts()
    >>> verdicts.put(Feedback(f"t{i}", "c", "p", "rye", "rejected", user=f"u{i}") for i in range(20))
    >>> verdicts.factor("c", "rye", None) < 1, verdicts.factor("c", "oat", None)
    (True, 1.0)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[str, dict[str, _Said]] = {}

    def put(self, events: Iterable[Feedback]) -> None:
        """Enter feedback; what was entered before changes nothing."""
        with self._lock:
            for event in events:
                if event.event != "shown":
                    self._put(event.community, event.tag, event.user or "", event.event in _GOOD)

    def _put(self, community: str, tag: str, user: str, good: bool) -> None:
        said = self._said.setdefault(community, {}).setdefault(tag, _Said())
        (said.good if good else said.bad).add(user)
        (said.bad if good else said.good).discard(user)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._said.clear()

    def factor(self, community: str, tag: str, user: str | None) -> float:
        """By how much a tag is liked more (above 1) or less than this community's tags usually are.

        A tag that the author rejected and has not accepted since is moved down as far as any.
        """
        return self._factors(community, [tag], user)[0]

    def _factors(self, community: str, tags: list[str], user: str | None) -> list[float]:
        with self._lock:
            place = self._said.get(community, {})
            said = [(user in one.bad, len(one.good), len(one.bad)) if (one := place.get(tag)) else None for tag in tags]
            good, bad = (sum(len(getattr(one, side)) for one in place.values()) for side in ("good", "bad"))
        usual = (good + 1) / (good + bad + 2)
        return [1.0 if one is None else _factor(*one, usual) for one in said]

    def reordered(self, community: str, tags: list[str], user: str | None) -> list[int]:
        """The places of the tags (keys) in the order that verdicts make of it: by log(2 + place) less log(factor)."""
        if community not in self._said:
            return list(range(len(tags)))
        factors = self._factors(community, tags, user)
        return sorted(range(len(tags)), key=lambda at: (log(2 + at) - log(factors[at]), at))


def _factor(refused: bool, good: int, bad: int, usual: float) -> float:
    if refused:
        return 1 / MOST
    own = (good + PRIOR * usual) / (good + bad + PRIOR)
    return min(MOST, max(1 / MOST, own / usual))
