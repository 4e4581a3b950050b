"""Whether scores are chances: calibration error, reliability, risk against coverage, and how long lists should be.

ECE after Naeini, Cooper and Hauskrecht (AAAI 2015), with bins of equal mass as Nixon et al. (CVPR workshops 2019) ask
for; Brier (1950); risk and coverage as in El-Yaniv and Wiener (JMLR 2010) and Geifman and El-Yaniv (2017). The map
itself and the expected F1 are in ``recommenders._calibrating`` and ``recommenders._lengths``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hashloom.evaluate.hits import Hits
from hashloom.evaluate.svg import Series, _figure, _Frame, _line, ticks
from hashloom.recommenders._calibrating import Chances, Taught
from hashloom.tags import key
from hashloom.types import Rankings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

BINS = 15
WIDE, HIGH = 340, 236


@dataclass(frozen=True)
class Bin:
    """Suggestions of about the same chance: the mean chance, the share that is true, and how many they are."""

    chance: float
    true: float
    count: int


@dataclass(frozen=True)
class Judged:
    """Every suggestion's chance and whether it is true (both flat, best first within a post), and each one's post."""

    chances: Floats
    true: Flags
    post: NDArray[np.int64]

    @classmethod
    def of(cls, rankings: Rankings, truths: Sequence[Collection[str]], k: int = 10) -> Judged:
        """The first ``k`` suggestions of each post against its true tags (keys).

        >>> Judged.of(Rankings.of(["a"], [[("Rye", 0.8), ("Oat", 0.1)]]), [{"rye"}]).true.tolist()
        [True, False]
        """
        if len(rankings) != len(truths):
            raise ValueError(f"{len(rankings)} rankings but {len(truths)} sets of true tags; give one set per post")
        post = np.repeat(np.arange(len(rankings)), rankings.lengths)
        near = np.arange(len(post)) - np.repeat(rankings.starts[:-1], rankings.lengths) < k
        post, tags = post[near], rankings.tags[near].tolist()
        true = np.array([key(tag) in truths[p] for p, tag in zip(post.tolist(), tags)], dtype=bool)
        return cls(rankings.scores[near], true, post)

    def only(self, rows: Flags) -> Judged:
        """Some of the suggestions. ``rows`` (suggestions,)"""
        return Judged(self.chances[rows], self.true[rows], self.post[rows])


def bins(chances: Floats, true: Flags, count: int = BINS) -> list[Bin]:
    """Suggestions in the order of their chances, cut into ``count`` parts of equal size; equal chances stay together.

    >>> bins(np.array([0.1, 0.1, 0.9]), np.array([False, True, True]), 2)
    [Bin(chance=0.1, true=0.5, count=2), Bin(chance=0.9, true=1.0, count=1)]
    """
    if not len(chances):
        return []
    _, at = np.unique(chances, return_inverse=True)
    sizes = np.bincount(at)
    middle = (np.cumsum(sizes) - sizes / 2) / len(chances)
    part = np.minimum((middle * count).astype(np.int64), count - 1)[at]
    _, part = np.unique(part, return_inverse=True)
    rows = np.bincount(part)
    means = zip(np.bincount(part, chances) / rows, np.bincount(part, true) / rows, rows)
    return [Bin(float(chance), float(share), int(n)) for chance, share, n in means]


def ece(chances: Floats, true: Flags, count: int = BINS) -> float:
    """Expected calibration error: how far chance and share of true ones are apart, averaged over suggestions.

    Formula: Σ over bins of n/N · |mean chance - share true|; 0 to 1, lower is better; NaN without suggestions.

    >>> ece(np.array([0.75] * 4), np.array([True, True, True, False]))
    0.0
    >>> ece(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    made = bins(np.asarray(chances, dtype=np.float64), true, count)
    whole = sum(one.count for one in made)
    return round(sum(one.count * abs(one.chance - one.true) for one in made) / whole, 12) if whole else float("nan")


def brier(chances: Floats, true: Flags) -> float:
    """The mean squared distance of chances from what was so (1 or 0); lower is better.

    >>> brier(np.array([1.0, 0.5]), np.array([True, False]))
    0.125
    """
    return float(np.mean((chances - true) ** 2)) if len(chances) else float("nan")


def f1_given(rankings: Rankings, truths: Sequence[Collection[str]], most: int | None = None) -> Floats:
    """F1 of each post over the tags that were suggested, however many: 2h / (#R + #T); NaN without true tags.

    ``most`` cuts the lists. Unlike ``f1_posts@K`` a short list is not taken to be filled up with wrong tags.

    >>> f1_given(Rankings.of(["a"], [[("Rye", 0.8), ("Oat", 0.1)]]), [{"rye"}]).round(3).tolist()
    [0.667]
    >>> f1_given(Rankings.of(["a"], [[("Rye", 0.8), ("Oat", 0.1)]]), [{"rye"}], most=1).tolist()
    [1.0]
    """
    depth = int(most or max(1, rankings.lengths.max(initial=1)))
    hits = Hits.of(rankings, truths, depth)
    shown = np.minimum(hits.given, depth)
    return np.where(hits.truths > 0, 2 * hits.at(hits.counts, depth) / (shown + hits.asked), np.nan)


def best_fixed(rankings: Rankings, truths: Sequence[Collection[str]], highest: int = 10) -> int:
    """The one K up to ``highest`` at which the posts' mean F1 is highest; to be chosen on validation posts.

    >>> best_fixed(Rankings.of(["a"], [[("Rye", 0.8), ("Oat", 0.6), ("Jib", 0.1)]]), [{"rye", "oat"}])
    2
    """
    return int(np.argmax([np.nanmean(f1_given(rankings, truths, k)) for k in range(1, highest + 1)])) + 1


def risk_coverage(confidence: Floats, loss: Floats, steps: int = 100) -> list[tuple[float, float]]:
    """(share of posts answered, mean loss on them) as less and less confident posts are answered too.

    ``confidence`` and ``loss`` (posts,); the surest come first, equal ones in the order given.

    >>> risk_coverage(np.array([0.9, 0.1]), np.array([0.0, 1.0]), steps=2)
    [(0.5, 0.0), (1.0, 0.5)]
    """
    if not len(loss):
        return []
    risks = np.cumsum(loss[np.argsort(-confidence, kind="stable")]) / np.arange(1, len(loss) + 1)
    at = np.unique(np.ceil(np.arange(1, steps + 1) * len(loss) / steps).astype(np.int64))
    return [(float(n / len(loss)), float(risks[n - 1])) for n in at]


def area(curve: Sequence[tuple[float, float]]) -> float:
    """The area under a risk-coverage curve, its first risk level down to no coverage; lower is better.

    >>> area([(0.5, 0.0), (1.0, 0.5)])
    0.125
    """
    x = np.array([0.0, *(c for c, _ in curve)])
    y = np.array([curve[0][1], *(r for _, r in curve)])
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))


# ---- charts -----------------------------------------------------------------------------------------------------


def chart(series: Sequence[Series], says: str, x_title: str, square: bool = False) -> str:
    """Lines over shares from 0 to 1 as inline SVG; ``square``: the other axis goes from 0 to 1 too.

    >>> chart([Series("a", [(0.0, 0.2), (1.0, 0.4)], "s1")], "rising", "posts answered").count("<polyline")
    1
    """
    top = 1.0 if square else max((y for one in series for _, y in one.points), default=1.0)
    steps = ticks(top)
    frame = _Frame(WIDE, HIGH, steps, (0.0, 1.0))
    drawn = "".join(_line(one, frame, x_title) for one in reversed(series))
    return _figure(WIDE, HIGH, says, frame.axes([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], x_title) + drawn)


def reliability(curves: Mapping[str, Sequence[Bin]], title: str = "chance said") -> str:
    """A reliability diagram: the share of true suggestions against the chance said; on the diagonal all is well.

    >>> reliability({"rye": [Bin(0.1, 0.2, 5), Bin(0.9, 0.8, 5)]}).count("<polyline")
    2
    """
    lines = [
        Series(name, [(one.chance, one.true) for one in found], f"s{i}")
        for i, (name, found) in enumerate(curves.items(), 1)
    ]
    ideal = Series("as said", [(0.0, 0.0), (1.0, 1.0)], "floor")
    return chart(
        [*lines, ideal], f"Share of true tags against the chance said: {', '.join(curves)}", title, square=True
    )


# ---- the map by itself --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Calibration:
    """The map from the scores of any rankings to chances, for a model that was trained without one.

    >>> asked = Rankings.of([str(i) for i in range(60)], [[("Rye", 5.0), ("Oat", 1.0)]] * 60)
    >>> found = Calibration.fit(asked, [{"rye"}] * 60, ["c"] * 60)
    >>> [round(s.score, 1) for s in found.apply(asked, ["c"] * 60)[0].suggestions]
    [1.0, 0.0]
    """

    chances: Chances

    @classmethod
    def fit(
        cls, rankings: Rankings, truths: Sequence[Iterable[str]], communities: Sequence[str], way: str = "chosen"
    ) -> Self:
        """Learn from rankings of posts that the model had not seen, in order of time, and their true tags.

        With fewer than 40 posts, or none of the tags true, chances are guessed from the rank.
        """
        true = [{key(tag) for tag in row} - {""} for row in truths]
        judged = Judged.of(rankings, true, int(rankings.lengths.max(initial=1)))
        hits = np.bincount(judged.post, judged.true, minlength=len(rankings)).astype(np.int64)
        missed = np.array([len(row) for row in true], dtype=np.int64) - hits
        taught = Taught(rankings.starts, rankings.scores, judged.true, list(communities), missed)
        return cls(Chances.learn(taught, int(rankings.lengths.max(initial=1)), way))

    def apply(self, rankings: Rankings, communities: Sequence[str]) -> Rankings:
        """The same rankings with chances for scores."""
        found = self.chances.of(rankings.starts, rankings.scores, communities)
        return Rankings(rankings.ids, rankings.starts, rankings.tags, found, rankings.reasons)

    def to_json(self) -> dict[str, Any]:
        """Plain types only; ``from_json`` reads it back."""
        return {name: _plain(value) for name, value in self.chances.state().items()}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """From what ``to_json`` wrote."""
        arrays = {n: {k: np.array(v) for k, v in said[n].items()} for n in ("base", "weights", "last")}
        return cls(Chances(**{**said, **arrays}))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    return {k: _plain(v) for k, v in value.items()} if isinstance(value, dict) else value
