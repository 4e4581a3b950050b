"""Intervals that hold without belief in a model: split conformal prediction, in groups and scaled.

Quantiles of what was missed on posts not learnt from (Vovk et al. 2005; Lei et al., JASA 2018), apart for posts of
authors with few and many earlier posts (Mondrian), so that coverage holds for newcomers too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EDGES = (1, 5, 20)
"""An author's earlier posts: none, 1 to 4, 5 to 19, 20 and more."""
FEW = 100
"""A group with fewer posts to learn from takes the quantiles of all."""


@dataclass(frozen=True)
class Intervals:
    """How far below and above a forecast a post's number may lie, in units of its spread; one pair per group.

    >>> made = Intervals.learn(np.linspace(-1, 1, 201), np.ones(201), np.zeros(201), 0.9)
    >>> [round(float(bound[0]), 2) for bound in made.around(np.array([5.0]), np.array([1.0]), np.array([0]))]
    [4.09, 5.91]
    """

    low: Sequence[float]
    """Per group, 0 or below."""
    high: Sequence[float]
    """Per group, 0 or above."""

    @classmethod
    def learn(cls, missed: Floats, spread: Floats, earlier: Floats, coverage: float) -> Intervals:
        """From number minus forecast, spread and the author's earlier posts, of posts not learnt from; all (posts,).

        ``missed`` may be empty; the intervals then have no width.
        """
        scaled, group = missed / spread, np.searchsorted(EDGES, earlier, side="right")
        bounds = []
        for which in range(len(EDGES) + 1):
            rows = scaled[group == which]
            bounds.append(_bounds(rows if len(rows) >= FEW else scaled, coverage))
        return cls([low for low, _ in bounds], [high for _, high in bounds])

    def around(self, values: Floats, spread: Floats, earlier: Floats) -> tuple[Floats, Floats]:
        """Lower and upper end for each forecast; all (posts,)."""
        group = np.searchsorted(EDGES, earlier, side="right")
        return values + np.asarray(self.low)[group] * spread, values + np.asarray(self.high)[group] * spread


def _bounds(missed: Floats, coverage: float) -> tuple[float, float]:
    """The order statistics that a further post lies between with the wanted chance; the extremes where too few."""
    if not len(missed):
        return 0.0, 0.0
    ordered, n = np.sort(missed), len(missed)
    out = math.floor((n + 1) * (1 - coverage) / 2 + 1e-9)  # (1 - .9) / 2 is a little less than .05
    low, high = ordered[max(0, out - 1)], ordered[min(n - 1, n - out)]
    return min(0.0, float(low)), max(0.0, float(high))
