"""How near forecasts come to the numbers: errors per post, rank correlation over all posts, intervals (models §11.9).

Ranks are those of all test posts together: a mean of Spearman's ρ over batches is another, smaller-sample figure
(§11.11). Under resampling they are made anew in each resample, from one sorting: with ``w`` copies of each post, the
average rank of a value is the copies below it plus half of those equal to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from hashloom.types import Forecasts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

CELLS = 200_000
"""Numbers held at once for each method while ranks are resampled."""


@dataclass(frozen=True)
class Metric:
    """What a figure says, its formula and which way is better: ``low``, ``high``, or near ``nought`` or ``stated``."""

    name: str
    title: str
    about: str
    formula: str
    better: Literal["low", "high", "nought", "stated"]


_ALL = (
    Metric("mse", "MSE", "mean squared error", "mean (ŷ − y)²", "low"),
    Metric("mae", "MAE", "mean absolute error", "mean |ŷ − y|", "low"),
    Metric(
        "spearman", "Spearman", "rank correlation over all test posts", "Pearson of average ranks of ŷ and y", "high"
    ),
    Metric(
        "within",
        "within authors",
        "rank correlation of what is above or below the author's own mean; authors with two and more test posts",
        "Spearman of ŷ − mean ŷ of the author and y − mean y of the author",
        "high",
    ),
    Metric(
        "r2", "R²", "share of the squared error of the training mean that is gone", "1 − Σ(ŷ − y)² / Σ(m − y)²", "high"
    ),
    Metric("bias", "bias", "mean error: above 0, forecasts are too high", "mean (ŷ − y)", "nought"),
    Metric(
        "coverage", "coverage", "share of posts whose number lies in the interval", "mean 1[low ≤ y ≤ high]", "stated"
    ),
    Metric("width", "width", "mean width of the interval", "mean (high − low)", "low"),
)
METRICS = {metric.name: metric for metric in _ALL}
RANKED = ("spearman", "within")
"""Metrics that are no means over posts."""


def per_post(truth: Floats, made: Forecasts, mean: float) -> dict[str, Floats]:
    """Each post's share of the metrics that are means, and its squared distance from ``mean`` (R²); all (posts,).

    >>> made = Forecasts(["a"], np.array([2.0]), np.array([1.0]), np.array([4.0]), "popularity as given", 0.9)
    >>> {name: float(column[0]) for name, column in per_post(np.array([3.0]), made, 1.0).items()}
    {'mse': 1.0, 'mae': 1.0, 'bias': -1.0, 'coverage': 1.0, 'width': 3.0, 'usual': 4.0}
    """
    missed = made.values - truth
    return {
        "mse": missed**2,
        "mae": np.abs(missed),
        "bias": missed,
        "coverage": ((made.low <= truth) & (truth <= made.high)).astype(np.float64),
        "width": made.high - made.low,
        "usual": (truth - mean) ** 2,
    }


def ranks(values: Floats, copies: Floats) -> Floats:
    """Average ranks from 1 of values (posts,) of which there are ``copies`` (resamples, posts).

    >>> ranks(np.array([5.0, 2.0, 5.0]), np.array([[1, 1, 1], [2, 0, 1]]))
    array([[2.5, 1. , 2.5],
           [2. , 0.5, 2. ]])
    """
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.r_[True, ordered[1:] != ordered[:-1]]
    equal = np.add.reduceat(copies[:, order], np.flatnonzero(starts), axis=1, dtype=np.float64)
    middle = np.cumsum(equal, axis=1) - equal / 2 + 0.5
    made = np.empty(copies.shape)
    made[:, order] = middle[:, np.cumsum(starts) - 1]
    return made


def spearman(truth: Floats, forecasts: Floats, copies: Floats | None = None) -> Floats:
    """Spearman's ρ with average ranks for ties, one figure per row of ``copies`` (resamples, posts).

    NaN where either side has one value only, as the forecasts of a mean have.

    >>> spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 20.0])).round(3)
    array([0.5])
    """
    copies = np.ones((1, len(truth))) if copies is None else copies
    return _pearson(ranks(truth, copies), ranks(forecasts, copies), copies) if len(truth) else np.full(1, np.nan)


def _pearson(x: Floats, y: Floats, copies: Floats) -> Floats:
    count = np.maximum(copies.sum(axis=1, keepdims=True), 1)
    x, y = (each - (copies * each).sum(axis=1, keepdims=True) / count for each in (x, y))
    xy, xx, yy = (np.einsum("rp,rp,rp->r", copies, a, b) for a, b in ((x, y), (x, x), (y, y)))
    known = (xx > 1e-9) & (yy > 1e-9)
    return np.divide(xy, np.sqrt(xx * yy), out=np.full(len(xy), np.nan), where=known)


def above_own(values: Floats, authors: NDArray[np.int64]) -> Floats:
    """Values less the mean of each one's author (numbered from 0); NaN for authors with one value. All (posts,).

    >>> above_own(np.array([1.0, 3.0, 9.0]), np.array([0, 0, 1]))
    array([-1.,  1., nan])
    """
    counts = np.bincount(authors)
    means = np.bincount(authors, values) / np.maximum(counts, 1)
    # Rounded, because what differs by the error of a sum alone would be ranked else.
    return np.where(counts[authors] > 1, np.round(values - means[authors], 9), np.nan)


def draws(groups: NDArray[np.int64], resamples: int, seed: int) -> Iterator[Floats]:
    """How often each post is drawn when groups (numbered from 0) are; pieces of shape (some resamples, posts)."""
    random, size = np.random.default_rng(seed), int(groups.max(initial=-1)) + 1
    step = max(CELLS // max(len(groups), 1), 1)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = random.integers(0, size, (rows, size)) + np.arange(rows)[:, None] * size
        copies = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        yield copies[:, groups].astype(np.float64)


def spearman_drawn(
    truth: Floats, methods: Sequence[Floats], groups: NDArray[np.int64], resamples: int, seed: int
) -> Floats:
    """ρ of each method in each resample of groups, the same resamples for all; shape (methods, resamples).

    Posts whose truth is NaN belong to the groups but are not ranked.
    """
    known = ~np.isnan(truth)
    if not known.any():
        return np.full((len(methods), resamples), np.nan)
    pieces = []
    for copies in draws(groups, resamples, seed):
        copies = copies[:, known]
        there = ranks(truth[known], copies)
        pieces.append([_pearson(there, ranks(values[known], copies), copies) for values in methods])
    return np.concatenate([np.array(piece) for piece in pieces], axis=1)
