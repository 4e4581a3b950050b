"""Since when authors post in a community: who came so lately that their uses of tags do not count for others yet.

Accounts are cheap and time is not: a thousand of them made today move nothing until they have aged.
"""

from __future__ import annotations

from collections.abc import Iterable

from hashloom.types import UNDATED

NEVER = 2**62
"""The first post of somebody whose posts have no time, who stays new."""


class Arrivals:
    """The moment of each author's first post in one community, as posts come and go; microseconds since 1970.

    >>> arrivals = Arrivals()
    >>> arrivals.came("mo", 5), arrivals.came("mo", 3), arrivals.came("al", 9)
    (None, None, None)
    >>> arrivals.after(4), arrivals.next_after(4)
    ({'al'}, 9)
    >>> arrivals.went("mo", 3)
    >>> arrivals.settle([("mo", 5), ("al", 9)])
    >>> sorted(arrivals.after(4))
    ['al', 'mo']
    """

    def __init__(self) -> None:
        self._first: dict[str, int] = {}
        self._unsure: set[str] = set()

    def came(self, author: str, at: int) -> None:
        """A post of an author came."""
        at = at if at > UNDATED else NEVER
        if at <= self._first.get(author, NEVER):
            self._first[author] = at
            self._unsure.discard(author)

    def went(self, author: str, at: int) -> None:
        """A post of an author went; where it was the first, ``settle`` must be told of those that are left."""
        if self._first.get(author) == (at if at > UNDATED else NEVER):
            self._unsure.add(author)

    def settle(self, left: Iterable[tuple[str, int]]) -> None:
        """Find the first posts anew of those who lost theirs, among what is left (author, moment) of all posts."""
        unsure, self._unsure = self._unsure, set()
        if not unsure:
            return
        for author in unsure:
            del self._first[author]
        for author, at in left:
            if author in unsure:
                self.came(author, at)

    def after(self, moment: int) -> set[str]:
        """Who came later than a moment."""
        return {author for author, first in self._first.items() if first > moment}

    def next_after(self, moment: int) -> int:
        """The earliest arrival later than a moment; ``NEVER`` where there is none."""
        return min((first for first in self._first.values() if first > moment), default=NEVER)

    def is_after(self, author: str, moment: int) -> bool:
        """Whether an author came later than a moment; those who are not known here did not."""
        return self._first.get(author, UNDATED) > moment
