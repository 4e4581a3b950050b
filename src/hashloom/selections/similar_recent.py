"""The user's earlier posts that are both like the asked one and not long ago."""

from __future__ import annotations

from dataclasses import dataclass

from hashloom.selections._selection import Asked, Entries, Selection, best, like_and_late
from hashloom.types import Count, Positive, Share


@dataclass
class SimilarRecent(Selection):
    """The highest ``alpha z(likeness) - (1 - alpha) decay z(ln(age + 1))``, with z over the user's earlier posts.

    >>> SimilarRecent(alpha=1.0).alpha  # chooses as the selection "similar" does; 0 as "recent"
    1.0
    """

    size: Count = 2
    """So many earlier posts are read."""
    alpha: Share = 0.5
    """How much likeness counts; recency counts for the rest."""
    decay: Positive = 1.0
    """How strongly the logarithm of the age pulls a post down."""

    def _entries(self, asked: Asked, i: int, epoch: int) -> Entries:
        likeness = asked.like(i, asked.past[i])
        scores = like_and_late(likeness, asked.ages[i], self.alpha, self.decay)
        return asked.entries(i, best(scores, self.size), likeness)
