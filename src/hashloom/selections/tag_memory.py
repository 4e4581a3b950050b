"""The user's own tags instead of posts: how like, how lately and how often each was used (BLL: Kowald et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from hashloom.selections._selection import Asked, Entries, Rows, Selection
from hashloom.types import Count, Positive


@dataclass
class TagMemory(Selection):
    """One entry per tag of the user's earlier posts, the one of highest base-level activation first.

    Its likeness is that of the most alike post that carries it, which is the entry's row; its age is that of its last
    use. The activation, ``ln Σ (age + 1)^-decay`` over the uses, decides which tags have room.

    >>> TagMemory.kind
    'tags'
    """

    kind: ClassVar[Literal["posts", "tags"]] = "tags"

    size: Count = 64
    """At most so many tags are read."""
    decay: Positive = 0.5
    """How fast a use fades with its age, where a user has more tags than are read."""

    def _entries(self, asked: Asked, i: int, epoch: int) -> Entries:
        likeness = asked.like(i, asked.past[i])
        order = np.argsort(likeness, kind="stable")
        rows, ages, likeness = asked.past[i][order], asked.ages[i][order], likeness[order]
        used, place = asked.tags_of(rows)
        tags, which = _numbered(used)
        worth, last, nearest = np.zeros(len(tags)), np.full(len(tags), np.inf), np.zeros(len(tags), dtype=np.int64)
        np.add.at(worth, which, (ages[place] + 1.0) ** -self.decay)
        np.minimum.at(last, which, ages[place])
        nearest[which] = (
            place  # of the places of a tag the last stays, and posts stand from the least alike to the most
        )
        uses = np.bincount(which, minlength=len(tags))
        at = np.argsort(-worth, kind="stable")[: self.size]
        return Entries(rows[nearest[at]], likeness[nearest[at]], last[at], uses[at], tags[at])


def _numbered(used: Rows) -> tuple[Rows, Rows]:
    """The distinct tags in order, and for each use which of them it is; quicker than sorting the uses."""
    held = np.zeros(int(used.max(initial=-1)) + 1, dtype=bool)
    held[used] = True
    return np.flatnonzero(held), (np.cumsum(held) - 1)[used]
