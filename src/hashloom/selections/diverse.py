"""Earlier posts like the asked one, recent, and unlike each other (MMR: Carbonell and Goldstein, SIGIR 1998)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashloom.selections._selection import Asked, Entries, Numbers, Rows, Selection, best, like_and_late
from hashloom.types import Count, Positive, Share

CANDIDATES = 64


@dataclass
class Diverse(Selection):
    """Each next post has the highest ``mu score - (1 - mu) likeness to the nearest one chosen``.

    The score is that of the selection ``similar_recent``; only its 64 best posts are compared with each other.

    >>> Diverse(mu=1.0).mu  # chooses as "similar_recent" does
    1.0
    """

    size: Count = 2
    """So many earlier posts are read."""
    alpha: Share = 0.5
    """How much likeness to the asked post counts in the score; recency counts for the rest."""
    decay: Positive = 1.0
    """How strongly the logarithm of the age pulls a post down."""
    mu: Share = 0.7
    """How much the score counts; being unlike those chosen counts for the rest."""

    def _entries(self, asked: Asked, i: int, epoch: int) -> Entries:
        likeness = asked.like(i, asked.past[i])
        scores = like_and_late(likeness, asked.ages[i], self.alpha, self.decay)
        at = best(scores, max(CANDIDATES, self.size))
        if len(at) > 1:
            at = at[_apart(scores[at], asked.alike(asked.past[i][at]), self.mu, self.size)]
        return asked.entries(i, at, likeness)


def _apart(scores: Numbers, alike: Numbers, mu: float, size: int) -> Rows:
    """The places chosen one by one; (candidates,) and (candidates, candidates) to (at most size,)."""
    chosen = [int(np.argmax(scores))]
    nearest = alike[chosen[0]].astype(np.float64)
    while len(chosen) < min(size, len(scores)):
        worth = mu * scores - (1 - mu) * nearest
        worth[chosen] = -np.inf
        chosen.append(int(np.argmax(worth)))
        nearest = np.maximum(nearest, alike[chosen[-1]])
    return np.array(chosen, dtype=np.int64)
