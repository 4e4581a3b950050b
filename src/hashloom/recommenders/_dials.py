"""Dials that change the order of a list and nothing else: less of what all use, less of the same, more that is new.

Used by ``calibrated``. Popularity divides the odds by a power of the tag's uses in the community (as inverse propensity
does); novelty multiplies them for tags that are young there or that the author has never used; diversity is maximal
marginal relevance (Carbonell and Goldstein, SIGIR 1998) over the company that tags keep. A dial is 0 (off) to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LIFT = 2.0
"""What each kind of novelty adds to the log-odds at the full turn."""


def worth(chances: Floats, uses: Ints, new: Ints, popularity: float, novelty: float) -> Floats:
    """Log-odds less ``popularity`` · log(1 + uses) plus ``novelty`` · 2 · (kinds of new: 0, 1, 2). All (tags,).

    >>> worth(np.array([0.5, 0.5]), np.array([0, 9]), np.array([0, 1]), 1.0, 0.0).round(2).tolist()
    [0.0, -2.3]
    """
    p = np.clip(chances, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p)) - popularity * np.log1p(uses) + novelty * LIFT * new


def diverse(value: Floats, alike: Floats, diversity: float) -> Ints:
    """The order in which each next tag has the highest (1 - d) · value - d · likeness to its nearest before it.

    ``value`` (tags,) is brought to 0 … 1 first; ``alike`` (tags, tags) is within 0 … 1. Ties stay in order.

    >>> alike = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1.0]])
    >>> diverse(np.array([3.0, 2.0, 1.0]), alike, 0.5).tolist()
    [0, 2, 1]
    """
    span = value.max(initial=-np.inf) - value.min(initial=np.inf)
    scaled = (value - value.min()) / span if span > 0 else np.ones(len(value))
    nearest, left, order = np.zeros(len(value)), np.ones(len(value), dtype=bool), []
    for _ in range(len(value)):
        gain = np.where(left, (1 - diversity) * scaled - diversity * nearest, -np.inf)
        best = int(gain.argmax())
        order.append(best)
        left[best] = False
        nearest = np.maximum(nearest, alike[best])
    return np.array(order, dtype=np.int64)


def alike(company: Ints, alone: Ints) -> Floats:
    """The cosine of two tags over the posts that carry them, from how often they stand together and alone.

    >>> alike(np.array([[4, 2], [2, 4]]), np.array([4, 4])).tolist()
    [[1.0, 0.5], [0.5, 1.0]]
    """
    each = np.sqrt(np.maximum(alone, 1).astype(np.float64))
    return np.clip(company / (each[:, None] * each[None, :]), 0.0, 1.0)
