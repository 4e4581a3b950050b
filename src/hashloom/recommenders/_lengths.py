"""How long a list should be: the first K tags for which the expected F1 is highest (Jansche 2007; Ye et al. 2012).

With independent chances, as in Ye, Chai, Lee and Chieu, "Optimizing F-measures: a tale of two approaches" (ICML 2012)
§3 and Jansche, "A maximum expected utility framework for binary sequence labeling" (ACL 2007), the best set of a size
is that of the likeliest tags (Lewis, SIGIR 1995), and the expected F1 of the first K follows from two distributions: of
hits among the first K and of true tags behind them. Both are exact here, over all posts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

FEW = 256
"""Posts whose tables are in memory at once."""


def expected_f1(chances: Floats, shown: int, missed: float = 0.0) -> Floats:
    """The expected F1 of the first 1, 2, … ``shown`` tags of each post, in the order given. (posts, shown)

    ``chances`` (posts, tags) are those of all candidates, 0 where a post has fewer; ``missed`` is how many true tags
    are no candidates, on average, counted as further candidates that are not shown.

    >>> expected_f1(np.array([[1.0, 0.5]]), 2).round(3).tolist()
    [[0.833, 0.833]]
    """
    posts, tags = chances.shape
    further = int(np.ceil(missed))
    chances = np.concatenate([chances, np.full((posts, further), missed / max(further, 1))], axis=1)
    shown = min(shown, tags)
    parts = [_exact(chances[at : at + FEW], shown) for at in range(0, posts, FEW)]
    return np.concatenate(parts) if parts else np.zeros((0, shown))


def _exact(chances: Floats, shown: int) -> Floats:
    tags = chances.shape[1]
    behind = [np.ones((len(chances), 1))]  # how many are true among the last 0, 1, … candidates
    for at in range(tags - 1, 0, -1):
        behind.append(_and(behind[-1], chances[:, at]))
    hits, made = np.ones((len(chances), 1)), np.zeros((len(chances), shown))
    for k in range(1, shown + 1):
        hits = _and(hits, chances[:, k - 1])
        h, m = np.arange(k + 1)[:, None], np.arange(tags - k + 1)[None, :]
        made[:, k - 1] = np.sum((hits @ (2 * h / (k + h + m))) * behind[tags - k], axis=1)
    return made


def _and(counts: Floats, chance: Floats) -> Floats:
    """The distribution of a count with one more, which is 1 by ``chance``. (posts, count + 1)"""
    more = np.zeros((counts.shape[0], counts.shape[1] + 1))
    more[:, :-1] = counts * (1 - chance)[:, None]
    more[:, 1:] += counts * chance[:, None]
    return more


def table(starts: Ints, chances: Floats) -> Floats:
    """Flat chances as one row per post, 0 behind the last. (posts, most tags of a post)

    >>> table(np.array([0, 2, 3]), np.array([0.5, 0.25, 1.0])).tolist()
    [[0.5, 0.25], [1.0, 0.0]]
    """
    sizes = np.diff(starts)
    made = np.zeros((len(sizes), int(sizes.max(initial=0))))
    made[np.arange(made.shape[1]) < sizes[:, None]] = chances
    return made


def best_lengths(starts: Ints, chances: Floats, most: int, missed: float = 0.0) -> Ints:
    """How many tags of each post to show, at most ``most``, for the highest expected F1; 0 where there is none.

    >>> best_lengths(np.array([0, 3, 4]), np.array([0.9, 0.8, 0.01, 0.1]), 10).tolist()
    [2, 1]
    """
    rows = table(starts, chances)
    if not rows.shape[1]:
        return np.zeros(len(rows), dtype=np.int64)
    found = expected_f1(rows, most, missed)
    sizes = np.diff(starts)
    found = np.where(np.arange(found.shape[1]) < sizes[:, None], found, -1.0)
    return np.minimum(found.argmax(axis=1) + 1, sizes).astype(np.int64)
