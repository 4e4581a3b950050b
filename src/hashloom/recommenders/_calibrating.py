"""A map from a score and its place to the chance that the tag is true (Platt 1999; Zadrozny and Elkan, KDD 2002).

Used by ``calibrated``. Two ways: ``isotonic`` looks at the score alone; ``logistic`` also at the rank and at how many
true tags the whole list promises, with a second isotonic step behind. The one with the smaller log loss on later posts
is taken. Communities move the odds as far as their posts say so, shrunk towards no move. Arrays of shape (rows,) are
flat over candidates, best first within a post.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

WAYS = ("isotonic", "logistic")
LEAST = 40
"""With fewer teaching posts than this nothing is learnt, and a tag's chance is guessed from its rank."""
STEPS, FEWEST = 400, 25
"""An isotonic map has at most so many steps, each of at least so many rows."""
MOVE = 0.3
"""How far the log-odds of communities are expected to differ (the spread of the prior)."""
RIDGE = 1.0
FLOOR = 1e-6


@dataclass(frozen=True)
class Taught:
    """Candidates for posts that the recommender had not learnt from: ``starts`` (posts + 1,), the others (rows,).

    ``communities`` has one entry per post; ``missed`` (posts,) counts the true tags that are no candidates.
    """

    starts: Ints
    scores: Floats
    true: NDArray[np.bool_]
    communities: Sequence[str]
    missed: Ints

    def __len__(self) -> int:
        return len(self.communities)

    def part(self, low: int, high: int) -> Taught:
        """The posts from ``low`` to ``high``."""
        rows = slice(int(self.starts[low]), int(self.starts[high]))
        starts = self.starts[low : high + 1] - self.starts[low]
        return Taught(starts, self.scores[rows], self.true[rows], self.communities[low:high], self.missed[low:high])


@dataclass(frozen=True)
class Chances:
    """The map, in plain arrays and numbers: ``state`` gives them, ``Chances(**state)`` makes it again.

    >>> true = np.array([True, False] * 60)
    >>> taught = Taught(np.arange(0, 122, 2), np.tile([0.9, 0.1], 60), true, ["c"] * 60, np.zeros(60, dtype=int))
    >>> found = Chances.learn(taught, depth=2)
    >>> [round(p, 1) for p in found.of(np.array([0, 2]), np.array([0.9, 0.1]), ["c"]).tolist()]
    [1.0, 0.0]
    """

    way: str
    depth: int
    base: dict[str, Any]
    """The isotonic map of the score."""
    weights: dict[str, Any]
    last: dict[str, Any]
    """The isotonic map of what the logistic one says."""
    moves: dict[str, float]
    """Community → what is added to its log-odds."""
    missed: float
    """True tags of a post that are no candidates, on average."""
    posts: int
    losses: dict[str, float]
    """Log loss of each way on the latest third of the teaching posts, none of which it had seen."""

    @classmethod
    def guessed(cls, depth: int) -> Chances:
        """Without teaching posts: 1 / (1 + rank), so that nothing is said to be certain."""
        return cls("guessed", depth, {}, {}, {}, {}, 0.0, 0, {})

    @classmethod
    def learn(cls, taught: Taught, depth: int, way: str = "chosen") -> Chances:
        """The better way, learnt from all teaching posts; ``way`` other than ``chosen`` names one."""
        if len(taught) < LEAST or not taught.true.any():
            return cls.guessed(depth)
        ways = WAYS if way == "chosen" else (way,)
        cut = len(taught) * 2 // 3
        early, late = taught.part(0, cut), taught.part(cut, len(taught))
        losses = {}
        for each in ways:
            found = cls._learnt(early, depth, each).of(late.starts, late.scores, late.communities)
            losses[each] = _log_loss(found, late.true)
        best = min(losses, key=lambda name: losses[name])
        return replace(cls._learnt(taught, depth, best), losses=losses)

    @classmethod
    def _learnt(cls, taught: Taught, depth: int, way: str) -> Chances:
        y = taught.true.astype(np.float64)
        base = _isotonic(taught.scores, y)
        odds, weights, last = _logit(_read(base, taught.scores)), {}, {}
        if way == "logistic":
            weights = _logistic(_features(taught.starts, odds, depth), y)
            said = _said(weights, _features(taught.starts, odds, depth))
            last = _isotonic(said, y)
            odds = _logit(_read(last, said))
        moves = _moves(odds, y, taught.starts, taught.communities)
        return cls(way, depth, base, weights, last, moves, float(taught.missed.mean()), len(taught), {})

    def of(self, starts: Ints, scores: Floats, communities: Sequence[str]) -> Floats:
        """The chance of each row, never higher than that of the row before it in its post. (rows,)"""
        if self.way == "guessed":
            return 1 / (1.0 + _ranks(starts))
        odds = _logit(_read(self.base, scores))
        if self.way == "logistic":
            odds = _logit(_read(self.last, _said(self.weights, _features(starts, odds, self.depth))))
        move = np.array([self.moves.get(c, 0.0) for c in communities], dtype=np.float64)
        return _falling(_chance(odds + np.repeat(move, np.diff(starts))), starts)

    def state(self) -> dict[str, Any]:
        """What ``Chances(**state)`` makes again."""
        return dict(vars(self))


def _ranks(starts: Ints) -> Ints:
    """1, 2, 3, … within each post. (rows,)"""
    return np.arange(int(starts[-1])) - np.repeat(starts[:-1], np.diff(starts)) + 1


def _logit(p: Floats) -> Floats:
    p = np.clip(p, FLOOR, 1 - FLOOR)
    return np.log(p / (1 - p))


def _chance(odds: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(odds, -30, 30)))


def _log_loss(p: Floats, true: NDArray[np.bool_]) -> float:
    p = np.clip(p, FLOOR, 1 - FLOOR)
    return float(-np.mean(np.where(true, np.log(p), np.log(1 - p))))


def _isotonic(x: Floats, y: Floats) -> dict[str, Floats]:
    """Points of a rising line: rows in order of ``x`` cut into equal parts, then pooled until they rise.

    Each part has one row of the mean added, so that no chance is 0 or 1. Equal ``x`` stay together.
    """
    from scipy.optimize import isotonic_regression

    values, at = np.unique(x, return_inverse=True)
    sizes = np.bincount(at)
    steps = max(1, min(STEPS, len(x) // FEWEST))
    part = np.minimum(((np.cumsum(sizes) - sizes / 2) * steps / len(x)).astype(np.int64), steps - 1)
    _, part = np.unique(part, return_inverse=True)
    rows = np.bincount(part, sizes)
    hits = np.bincount(part, np.bincount(at, y))
    middle = np.bincount(part, values * sizes) / rows
    pooled = isotonic_regression((hits + y.mean()) / (rows + 1), weights=rows).x
    return {"x": middle, "y": np.asarray(pooled)}


def _read(points: dict[str, Any], x: Floats) -> Floats:
    """The line at ``x``, level beyond its ends."""
    return np.interp(x, points["x"], points["y"])


def _features(starts: Ints, odds: Floats, depth: int) -> Floats:
    """Log-odds by score, rank, and of the post: how many true tags they promise, how many candidates. (rows, 4)"""
    ranks, sizes = _ranks(starts), np.diff(starts)
    post = np.repeat(np.arange(len(sizes)), sizes)
    promised = np.bincount(post, np.where(ranks <= depth, _chance(odds), 0.0), minlength=len(sizes))
    columns = [odds, np.log(ranks), np.log(promised + FLOOR)[post], np.log1p(np.minimum(sizes, depth))[post]]
    return np.stack(columns, axis=1)


def _logistic(x: Floats, y: Floats) -> dict[str, Floats]:
    """Logistic regression by Newton's method with halved steps, a small ridge on standardised columns."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 1e-6, spread, 1e12)  # a column that says nothing weighs nothing
    z = np.column_stack([np.ones(len(x)), (x - mean) / spread])
    w, ridge = np.zeros(z.shape[1]), np.array([0.0, *[RIDGE] * x.shape[1]])
    w[0] = _logit(np.array([y.mean()]))[0]
    loss = _ridged(z, y, w, ridge)
    for _ in range(50):
        p = _chance(z @ w)
        step = np.linalg.solve((z * (p * (1 - p))[:, None]).T @ z + np.diag(ridge), z.T @ (y - p) - ridge * w)
        while (after := _ridged(z, y, w + step, ridge)) > loss and np.abs(step).max() > 1e-6:
            step = step / 2
        if after >= loss or np.abs(step).max() < 1e-6:
            break
        w, loss = w + step, after
    return {"mean": mean, "spread": spread, "weights": w}


def _ridged(z: Floats, y: Floats, w: Floats, ridge: Floats) -> float:
    """What the logistic regression makes small."""
    odds = z @ w
    return float(np.sum(np.logaddexp(0, odds) - y * odds) + 0.5 * np.sum(ridge * w**2))


def _said(found: dict[str, Any], x: Floats) -> Floats:
    """Log-odds. (rows,)"""
    return found["weights"][0] + ((x - found["mean"]) / found["spread"]) @ found["weights"][1:]


def _moves(odds: Floats, y: Floats, starts: Ints, communities: Sequence[str]) -> dict[str, float]:
    """What each community adds to the log-odds: the likeliest number under a normal prior around 0."""
    names = np.repeat(np.array(communities, dtype=object), np.diff(starts))
    found = {}
    for name in dict.fromkeys(communities):
        rows = names == name
        move = 0.0
        for _ in range(25):
            p = _chance(odds[rows] + move)
            move += float((np.sum(y[rows] - p) - move / MOVE**2) / (np.sum(p * (1 - p)) + 1 / MOVE**2))
        found[name] = move
    return found


def _falling(p: Floats, starts: Ints) -> Floats:
    """No row above the one before it in its post: the recommender's order is kept."""
    sizes = np.diff(starts)
    if not len(p):
        return p
    table = np.ones((len(sizes), int(sizes.max())))
    inside = np.arange(table.shape[1]) < sizes[:, None]
    table[inside] = p
    return np.minimum.accumulate(table, axis=1)[inside]
