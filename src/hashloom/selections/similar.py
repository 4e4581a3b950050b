"""The user's earlier posts that are most like the asked one in text and picture."""

from __future__ import annotations

from dataclasses import dataclass

from hashloom.selections._selection import Asked, Entries, Selection, best
from hashloom.types import Count


@dataclass
class Similar(Selection):
    """The most alike come first; of equally alike ones the later.

    >>> Similar(size=8).width
    8
    """

    size: Count = 2
    """So many earlier posts are read."""

    def _entries(self, asked: Asked, i: int, epoch: int) -> Entries:
        likeness = asked.like(i, asked.past[i])
        return asked.entries(i, best(likeness, self.size), likeness)
