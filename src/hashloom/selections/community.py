"""The user's earlier posts that are like and recent, and the nearest earlier posts of other users besides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hashloom.selections._selection import Asked, Entries, Selection, best, like_and_late
from hashloom.types import Count, Positive, Share


@dataclass
class Community(Selection):
    """The user's own posts come first, chosen as ``similar_recent`` does; those of others follow, nearest first.

    >>> Community(size=2, neighbours=3).width
    5
    """

    others: ClassVar[bool] = True

    size: Count = 2
    """So many of the user's earlier posts are read."""
    neighbours: Count = 2
    """So many earlier posts of other users of the community are read."""
    alpha: Share = 0.5
    """How much likeness counts for the user's own posts; recency counts for the rest."""
    decay: Positive = 1.0
    """How strongly the logarithm of the age pulls a post down."""

    @property
    def width(self) -> int:
        """Own entries and those of others."""
        return self.size + self.neighbours

    def _entries(self, asked: Asked, i: int, epoch: int) -> Entries:
        likeness = asked.like(i, asked.past[i])
        scores = like_and_late(likeness, asked.ages[i], self.alpha, self.decay)
        own = asked.entries(i, best(scores, self.size), likeness)
        rows, near, ages = asked.others(i, self.neighbours)
        return Entries(
            np.concatenate([own.rows, rows]),
            np.concatenate([own.likeness, near]),
            np.concatenate([own.ages, ages]),
            theirs=len(rows),
        )
