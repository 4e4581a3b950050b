"""At which K each method's F1 is best: chosen on the validation posts, measured on the test posts.

K is what a paper may choose so that its F1 looks best. Chosen on the test posts, the peak says too much; that is why
it is chosen where the settings are.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hashloom.evaluate.beyond import truths
from hashloom.evaluate.compare import Bootstrap, Difference, Interval
from hashloom.evaluate.hits import Hits
from hashloom.evaluate.metrics import score_seeds, summarise

if TYPE_CHECKING:
    from hashloom.evaluate.findings import Findings, Result

HIGHEST = 10
"""The largest K that may be chosen."""
KIND = "f1_means"
NONE = Interval(float("nan"), float("nan"), float("nan"))


class Peaks:
    """The best K of each method of ``found`` and its F1 (of the averages) there; no K without validation answers."""

    def __init__(self, found: Findings) -> None:
        self.found = found

    @cached_property
    def ks(self) -> list[int | None]:
        """The K of each method, or None."""
        return [self._chosen(result) for result in self.found.results]

    @cached_property
    def intervals(self) -> list[Interval]:
        """F1 of each method on the test posts at its own K."""
        return [self._drawn.interval(i, f"{KIND}@{k}") if k else NONE for i, k in enumerate(self.ks)]

    def difference(self, a: int, b: int) -> Difference | None:
        """How much better ``a`` at its K is than ``b`` at its own; None where either has none."""
        here, there = self.ks[a], self.ks[b]
        return self._drawn.paired(a, b, f"{KIND}@{here}", f"{KIND}@{there}") if here and there else None

    def _chosen(self, result: Result) -> int | None:
        posts = self.found.experiment.tuning
        if posts is None or not all(one.tuning for one in result.each):
            return None
        hits = [Hits.of(one.tuning[""], truths(posts), HIGHEST) for one in result.each]
        names = [f"{KIND}@{k}" for k in range(1, HIGHEST + 1)]
        scores = score_seeds(hits, posts.ids, names)
        values = [summarise(scores, name) for name in names]
        return int(np.nanargmax(values)) + 1 if not np.isnan(values).all() else None

    @cached_property
    def _drawn(self) -> Bootstrap:
        made, names = self.found.experiment, [f"{KIND}@{k}" for k in sorted({k for k in self.ks if k})]
        scores = [score_seeds(hits, made.test.ids, names) for hits in self.found.hits]
        return Bootstrap(scores, names, self.found.users, made.resamples, self.found.seed)
