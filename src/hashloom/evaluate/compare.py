"""Intervals and paired differences by bootstrap over users, or over posts where there are none (Efron 1979).

A user's posts are drawn together, because they are not independent. Every metric is a function of means over posts,
so one table of column sums per group serves them all, set-level metrics too; the same seed draws the same groups
for every method, which makes comparisons paired.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hashloom.evaluate.metrics import columns, parse, summarise
from hashloom.types import Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CHUNK = 4_000_000
"""Draws held in memory at once."""


@dataclass(frozen=True)
class Interval:
    """A score and its bootstrap percentile interval, 95 % unless asked otherwise."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """``a`` minus ``b`` and ``a`` over ``b`` on the same posts, each with its interval.

    ``chance`` is the share of resamples in which ``a`` is not better (one-sided; never below 1/resamples).
    """

    difference: Interval
    ratio: Interval
    chance: float

    @property
    def clear(self) -> bool:
        """Whether the interval of the difference leaves out 0."""
        return self.difference.low > 0 or self.difference.high < 0


def groups(users: Sequence[str | None] | None, posts: int) -> NDArray[np.int64]:
    """What is drawn together, numbered from 0; shape (posts,). A post without a user is a group of its own.

    >>> groups(["ann", None, "ann", None], 4)
    array([0, 1, 0, 2])
    """
    if users is None:
        return np.arange(posts)
    if len(users) != posts:
        raise ValueError(f"{len(users)} users for {posts} posts; give one (or None) per post")
    seen: dict[object, int] = {}
    named = [(i,) if user is None else user for i, user in enumerate(users)]
    return np.fromiter((seen.setdefault(name, len(seen)) for name in named), np.int64, posts)


def resample(table: Floats, drawn: NDArray[np.int64], resamples: int, seed: int) -> Floats:
    """Means of each column of ``table`` (posts, columns) over resampled groups; shape (resamples, columns).

    NaN cells are left out. Groups that have no value at all are not drawn. All NaN where fewer than two groups are
    left, because one group says nothing of chance.

    >>> resample(np.array([[1.0], [1.0]]), np.array([0, 1]), 2, seed=0)
    array([[1.],
           [1.]])
    """
    known = ~np.isnan(table)
    # Metrics mostly know the same posts: one column of counts then serves them all.
    shared = known[:, :1] if bool((known == known[:, :1]).all()) else known
    size = int(drawn.max(initial=-1)) + 1
    both = np.hstack([np.where(known, table, 0.0), shared])
    sums = np.stack([np.bincount(drawn, column, size) for column in both.T], axis=1).astype(np.float64)
    sums = sums[sums[:, table.shape[1] :].any(axis=1)]
    if len(sums) < 2:
        return np.full((resamples, table.shape[1]), np.nan)
    totals = np.concatenate(list(_totals(sums, resamples, seed)))
    top, bottom = totals[:, : table.shape[1]], np.broadcast_to(totals[:, table.shape[1] :], (resamples, table.shape[1]))
    return np.divide(top, bottom, out=np.full_like(top, np.nan), where=bottom > 0)


def _totals(sums: Floats, resamples: int, seed: int) -> Iterator[Floats]:
    random = np.random.default_rng(seed)
    size = len(sums)
    step = max(CHUNK // size, 1)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        draws = random.integers(0, size, (rows, size), dtype=np.int32)
        draws += (np.arange(rows, dtype=np.int32) * size)[:, None]
        weights = np.bincount(draws.ravel(), minlength=rows * size).reshape(rows, size)
        yield weights @ sums


@dataclass(frozen=True)
class Bootstrap:
    """One drawing of groups for several methods and metrics on the same posts; made once, read often.

    ``by`` names a user (or None) per post; without it posts are drawn. Raises ``ValueError`` where the methods were
    scored on different posts.

    >>> ids = ["x", "y", "z"]
    >>> a, b = (Scores(ids, {"p@1": np.array(row)}) for row in ([1.0, 1.0, 1.0], [1.0, 0.0, 1.0]))
    >>> drawn = Bootstrap([a, b], ["p@1"])
    >>> drawn.interval(0, "p@1").low, round(drawn.paired(0, 1, "p@1").ratio.value, 4)
    (1.0, 1.5)
    """

    scores: Sequence[Scores]
    metrics: Sequence[str]
    by: Sequence[str | None] | None = None
    resamples: int = 2000
    seed: int = 0
    level: float = 0.95

    @cached_property
    def parts(self) -> list[str]:
        """The per-post columns that the metrics are made of."""
        return list(dict.fromkeys(part for metric in self.metrics for part in columns(metric)))

    @cached_property
    def means(self) -> Floats:
        """Resampled means, shape (methods, parts, resamples)."""
        first = self.scores[0]
        if any(list(one.ids) != list(first.ids) for one in self.scores[1:]):
            raise ValueError("scores of different posts cannot be paired; score both methods on the same posts")
        table = np.stack([one.values[part] for one in self.scores for part in self.parts], axis=1)
        drawn = resample(table, groups(self.by, len(table)), self.resamples, self.seed)
        return drawn.T.reshape(len(self.scores), len(self.parts), self.resamples)

    def drawn(self, method: int, metric: str) -> Floats:
        """The metric of one method in every resample; shape (resamples,)."""
        kind, k = parse(metric)
        means = [self.means[method, self.parts.index(part)] for part in columns(metric)]
        return np.asarray(kind.combine(means, k), dtype=np.float64)

    def interval(self, method: int, metric: str) -> Interval:
        """The score of one method with its interval."""
        return _percentiles(summarise(self.scores[method], metric), self.drawn(method, metric), self.level)

    def paired(self, a: int, b: int, metric: str, other: str | None = None) -> Difference:
        """How much better method ``a`` is than method ``b`` (measured by ``other``, where that is given)."""
        other = metric if other is None else other
        first, second = self.drawn(a, metric), self.drawn(b, other)
        here, there = summarise(self.scores[a], metric), summarise(self.scores[b], other)
        known = ~np.isnan(first - second)
        chance = max(float(np.mean(first[known] <= second[known])), 1 / self.resamples) if known.any() else float("nan")
        apart = _percentiles(here - there, first - second, self.level)
        return Difference(apart, _ratio(here, there, first, second, self.level), chance)


def _percentiles(value: float, drawn: Floats, level: float) -> Interval:
    drawn = drawn[~np.isnan(drawn)]
    if not drawn.size:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def interval(
    scores: Scores,
    metric: str,
    by: Sequence[str | None] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """The score of all posts with its bootstrap interval, over users ``by`` (one per post) or over posts.

    >>> scores = Scores(list("abcd"), {"p@1": np.array([1.0, 0.0, 1.0, 0.0])})
    >>> found = interval(scores, "p@1", by=["ann", "ann", "bo", "bo"])
    >>> found.value, found.low, found.high
    (0.5, 0.5, 0.5)
    """
    return Bootstrap([scores], [metric], by, resamples, seed, level).interval(0, metric)


def paired(
    a: Scores,
    b: Scores,
    metric: str,
    by: Sequence[str | None] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Difference:
    """How much better ``a`` is than ``b`` on the same posts. Raises ``ValueError`` where the posts differ.

    >>> ids = ["x", "y", "z"]
    >>> a, b = (Scores(ids, {"p@1": np.array(row)}) for row in ([1.0, 1.0, 1.0], [1.0, 0.0, 1.0]))
    >>> found = paired(a, b, "p@1")
    >>> round(found.difference.value, 4), found.difference.low
    (0.3333, 0.0)
    """
    return Bootstrap([a, b], [metric], by, resamples, seed, level).paired(0, 1, metric)


def _ratio(here: float, there: float, first: Floats, second: Floats, level: float) -> Interval:
    """NaN where ``b`` scores 0; resamples in which it does are left out of the interval."""
    known = second > 0
    return _percentiles(here / there if there > 0 else float("nan"), first[known] / second[known], level)


def over_users(scores: Scores, metric: str, users: Sequence[str | None]) -> float:
    """The mean over users of each user's own score, so that prolific users do not weigh more.

    >>> scores = Scores(list("abc"), {"p@1": np.array([1.0, 1.0, 0.0])})
    >>> over_users(scores, "p@1", ["ann", "ann", "bo"])
    0.5
    """
    kind, k = parse(metric)
    drawn = groups(users, len(scores.ids))
    table = np.stack([scores.values[part] for part in columns(metric)], axis=1)
    known = ~np.isnan(table).any(axis=1)
    counts = np.bincount(drawn[known], minlength=int(drawn.max(initial=-1)) + 1)
    sums = [np.bincount(drawn[known], column, len(counts)) for column in table[known].T]
    owned = [column[counts > 0] / counts[counts > 0] for column in sums]
    each = np.asarray(kind.combine(owned, k), dtype=np.float64)
    return float(each.mean()) if each.size else float("nan")
