"""A classifier's and a generator's rankings made one: selector, combiner, evaluator (DESIGN, Bansal et al. 2022).

How much each gives is searched on validation posts and then frozen. Nothing here is ever shown test posts, but for
``oracle``, which chooses with the true tags of each post and is only a ceiling for reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from hashloom.types import Rankings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

Way = Literal["cut", "free", "reciprocal"]
Measure = Literal["f1_means", "f1_posts"]

MOST = 15
"""free: at most so many tags of each part are tried."""
ETAS = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""reciprocal: the weights of the generator that are tried."""
FOLDS = 5
SMALL = 1000
"""With fewer validation posts than this, one standard error is not taken for a difference."""
_SAME = 1e-12
_LATER = 1e6


@dataclass(frozen=True)
class Pair:
    """Two rankings of the same posts as tag codes, best first, the places left over at the end -1.

    No ranking holds a code twice.
    """

    classified: Ints
    """(posts, a)"""
    generated: Ints
    """(posts, g)"""

    @classmethod
    def of(cls, classified: Rankings, generated: Rankings, depth: int, code: dict[str, int]) -> Self:
        """The first ``depth`` tags of both; tags that ``code`` does not know are given the next numbers in it."""
        return cls(_coded(classified, depth, code), _coded(generated, depth, code))

    @property
    def both(self) -> Ints:
        """The one ranking beside the other; (posts, a + g)."""
        return np.concatenate([self.classified, self.generated], axis=1)

    @cached_property
    def place(self) -> Ints:
        """Where the classifier has each generated tag; a where it has not. (posts, g)"""
        return _places(self.generated, self.classified)

    @cached_property
    def back(self) -> Ints:
        """Where the generator has each classified tag; g where it has not. (posts, a)"""
        return _places(self.classified, self.generated)

    def new(self, s1: int) -> Bools:
        """Which generated tags are not among the first ``s1`` classified ones; (posts, g)."""
        return (self.generated >= 0) & (self.place >= min(s1, self.classified.shape[1]))


def _coded(rankings: Rankings, depth: int, code: dict[str, int]) -> Ints:
    places = np.arange(int(rankings.starts[-1])) - np.repeat(rankings.starts[:-1], rankings.lengths)
    near = places < depth
    out = np.full((len(rankings), depth), -1, dtype=np.int64)
    flat = [code.setdefault(tag, len(code)) for tag in rankings.tags[near].tolist()]
    out[np.repeat(np.arange(len(rankings)), rankings.lengths)[near], places[near]] = flat
    return out


def _places(wanted: Ints, there: Ints) -> Ints:
    """Column of each wanted code in the same row of ``there``, or the width of ``there``; shape as ``wanted``."""
    width = there.shape[1]
    if not wanted.size or not there.size:
        return np.full(wanted.shape, width)
    step = int(max(wanted.max(), there.max())) + 2
    rows = np.arange(len(there))[:, None] * step + 1
    # Codes grow from row to row, so that one sorted array serves all of them.
    known = (rows + there).ravel()
    order = np.argsort(known, kind="stable")
    asked = rows + wanted
    at = np.minimum(np.searchsorted(known[order], asked), known.size - 1)
    found = (known[order][at] == asked) & (wanted >= 0)
    return np.where(found, order[at] % width, width)


# ---- selector and combiner


def combine(pair: Pair, s1: int, s2: int, k: int, *, union: bool = False) -> Ints:
    """The columns of ``pair.both`` that make each post's list, -1 where there are no more tags. (posts, k)

    First ``s1`` classified tags, then the first ``s2`` generated ones that are not among them (``union``: those of
    the first ``s2`` that are not), then the other classified ones and at last the other generated ones.

    >>> pair = Pair(np.array([[7, 8, 9]]), np.array([[7, 5, 4]]))
    >>> codes(pair, combine(pair, 1, 1, 4)).tolist(), codes(pair, combine(pair, 1, 1, 4, union=True)).tolist()
    ([[7, 5, 8, 9]], [[7, 8, 9, 5]])
    """
    columns = np.arange(pair.generated.shape[1])
    new = pair.new(s1)
    nth = np.cumsum(new, axis=1)
    taken = new & ((columns < s2) if union else (nth <= s2))
    alone = (pair.generated >= 0) & (pair.place == pair.classified.shape[1])
    second = np.where(taken, s1 + nth, np.where(alone, 2 * _LATER + columns, np.inf))
    return _first(np.concatenate([_classified(pair, taken, s1), second], axis=1), k)


def _classified(pair: Pair, taken: Bools, s1: int) -> Floats:
    """What classified tags are put in order by; those that the generator gave already are none. (posts, a)"""
    columns = np.arange(pair.classified.shape[1])
    gone = np.take_along_axis(np.pad(taken, ((0, 0), (0, 1))), pair.back, axis=1)
    return np.where((pair.classified >= 0) & ~gone, columns + np.where(columns < s1, 0, _LATER), np.inf)


def _first(order: Floats, k: int) -> Ints:
    """Columns of the ``k`` lowest, -1 for those that are infinite. (posts, k)"""
    columns = np.argsort(order, axis=1, kind="stable")[:, :k]
    columns = np.where(np.isinf(np.take_along_axis(order, columns, axis=1)), -1, columns)
    return np.pad(columns, ((0, 0), (0, k - columns.shape[1])), constant_values=-1)


def reciprocal(pair: Pair, eta: float, k: int, constant: float = 60.0) -> tuple[Ints, Floats]:
    """Columns of ``pair.both`` by 1/(c + rank classified) + eta/(c + rank generated), and these. Both (posts, k).

    A tag that a part has not got gets nothing from it; of equals the classified one stands first. The scores of
    places without a tag are 0 (Cormack et al., SIGIR 2009).

    >>> pair = Pair(np.array([[7, 8]]), np.array([[8, 5]]))
    >>> codes(pair, reciprocal(pair, 1.0, 3)[0]).tolist()
    [[8, 7, 5]]
    """
    a, g = pair.classified.shape[1], pair.generated.shape[1]
    first = 1 / (constant + 1 + np.arange(a)) + np.where(pair.back < g, eta / (constant + 1 + pair.back), 0.0)
    second = np.broadcast_to(eta / (constant + 1 + np.arange(g)), pair.generated.shape)
    alone = (pair.generated >= 0) & (pair.place == a)
    scores = np.concatenate([np.where(pair.classified >= 0, first, -np.inf), np.where(alone, second, -np.inf)], axis=1)
    columns = _first(-scores, k)
    return columns, np.where(columns >= 0, _at(scores, columns), 0.0)


def codes(pair: Pair, columns: Ints) -> Ints:
    """The tag codes in these columns of ``pair.both``, -1 where a column is -1. (posts, k)"""
    return np.where(columns >= 0, _at(pair.both, columns), -1)


def _at(values: Any, columns: Ints) -> Any:
    """``values`` (posts, a + g) at columns of which -1 may be any."""
    if not values.shape[1]:
        return np.zeros(columns.shape, dtype=values.dtype)
    return np.take_along_axis(values, np.maximum(columns, 0), axis=1)


@dataclass(frozen=True)
class Choice:
    """How much each part gives: what is searched, frozen and then applied.

    >>> pair = Pair(np.array([[7, 8, 9]]), np.array([[5, 4]]))
    >>> columns, scores = Choice("cut", s1=2, s2=1).order(pair, 3)
    >>> codes(pair, columns).tolist()
    [[7, 8, 5]]
    """

    way: Way = "cut"
    s1: int = 0
    """cut, free: tags of the classifier."""
    s2: int = 0
    """cut, free: tags of the generator."""
    eta: float = 0.0
    """reciprocal: the weight of the generator."""
    constant: float = 60.0
    """reciprocal: what is added to each rank."""

    @property
    def borrowed(self) -> float:
        """How much the generator has to say."""
        return self.eta if self.way == "reciprocal" else float(self.s2)

    def order(self, pair: Pair, k: int) -> tuple[Ints, Floats]:
        """Columns of ``pair.both``, best first, -1 where there are no more, and falling scores. Both (posts, k)."""
        if self.way == "reciprocal":
            return reciprocal(pair, self.eta, k, self.constant)
        columns = combine(pair, self.s1, self.s2, k, union=self.way == "free")
        return columns, np.where(columns >= 0, 1 / np.arange(1.0, k + 1), 0.0)


# ---- evaluator


@dataclass(frozen=True)
class Found:
    """What a search found: the choice, its score, and what else was tried."""

    choice: Choice
    score: float
    """On the posts searched on, so a little too high."""
    nested: float | None
    """The score of choosing itself: chosen on four fifths, scored on the other, five times. None below two posts."""
    posts: int
    """Posts with true tags."""
    tried: list[Choice] = field(repr=False)
    scores: Floats = field(repr=False)
    """(tried,)"""


def search(
    pair: Pair,
    truths: Sequence[Sequence[int]],
    size: int,
    way: Way = "cut",
    *,
    metric: Measure = "f1_means",
    constant: float = 60.0,
    careful: bool | None = None,
) -> Found:
    """The best choice on validation posts, whose true tags ``truths`` are given as codes (negative: known to none).

    ``cut``: every s1 from 0 to ``size``, s2 the rest. ``free``: all (s1, s2) up to 15, precision over what is given.
    ``reciprocal``: every weight in ``ETAS``, lists of ``size``. Ties go to the larger s1 (the smaller eta).
    ``careful``, by default where there are fewer than 1,000 posts: of the choices no more than one standard error
    of their difference over five folds under the best, the best of those that ask least of the generator. Folds are
    runs of posts, because neighbours in time share authors. Raises ``ValueError`` where no post has true tags.

    >>> pair = Pair(np.array([[1, 2, 3], [1, 3, 2]]), np.array([[5, 4, 1], [4, 6, 1]]))
    >>> found = search(pair, [[1, 5], [1, 4]], size=2, careful=False)
    >>> found.choice.s1, found.choice.s2, found.score
    (1, 1, 1.0)
    """
    true = _Truths.of(pair, truths)
    tried, columns = _tried(true, size, way, metric, constant)
    posts = len(true.sizes)
    edges = np.unique(np.arange(FOLDS) * posts // FOLDS)
    sums = np.stack([np.add.reduceat(each, edges, axis=0) for each in columns])
    table = _Table(sums, np.diff([*edges, posts]), np.array([choice.borrowed for choice in tried]))
    careful = posts < SMALL if careful is None else careful
    best = table.best(careful)
    scores = table.scores()
    return Found(tried[best], float(scores[best]), table.nested(careful), posts, tried, scores)


def oracle(pair: Pair, truths: Sequence[Sequence[int]], size: int, metric: Measure = "f1_means") -> float:
    """The score if each post's own best s1 were known: the ceiling of ``cut``, which no choice can pass.

    >>> oracle(Pair(np.array([[1], [2]]), np.array([[3], [4]])), [[1], [4]], size=1)
    1.0
    """
    true = _Truths.of(pair, truths)
    most = np.max([true.hits(combine(true.pair, s, size - s, size)) for s in range(size + 1)], axis=0)
    return float(_score(_columns(most, np.full(len(most), size), true.sizes, metric).mean(axis=0)))


def score(
    pair: Pair, truths: Sequence[Sequence[int]], choice: Choice, size: int, metric: Measure = "f1_means"
) -> float:
    """What a choice scores on posts with true tags: lists of ``size``, of s1 and s2 tags together where ``free``.

    >>> score(Pair(np.array([[1, 2]]), np.array([[3]])), [[1, 3]], Choice("cut", s1=1, s2=1), size=2)
    1.0
    """
    true = _Truths.of(pair, truths)
    if choice.way == "free":
        columns = _free(true, metric, choice.s1)[choice.s2]
    else:
        given = np.full(len(true.sizes), size)
        columns = _columns(true.hits(choice.order(true.pair, size)[0]), given, true.sizes, metric)
    return float(_score(columns.mean(axis=0)))


@dataclass(frozen=True)
class _Truths:
    """The posts that have true tags, and which of both rankings are true."""

    pair: Pair
    right: Bools
    """(posts, a + g), beside ``pair.both``"""
    sizes: Ints
    """How many true tags each post has, those known to no part included; (posts,)."""

    @classmethod
    def of(cls, pair: Pair, truths: Sequence[Sequence[int]]) -> Self:
        if len(truths) != len(pair.classified):
            raise ValueError(f"{len(pair.classified)} rankings but {len(truths)} sets of true tags; give one per post")
        sizes = np.array([len(row) for row in truths], dtype=np.int64)
        if not sizes.any():
            raise ValueError("nothing can be chosen: no validation post has true tags; give a larger share of them")
        rows = sizes > 0
        pair = Pair(pair.classified[rows], pair.generated[rows])
        flat = np.array([code for row in truths for code in row], dtype=np.int64)
        step = int(max(pair.both.max(initial=0), flat.max())) + 1
        at = np.arange(int(rows.sum()))
        right = np.isin(at[:, None] * step + pair.both, (np.repeat(at, sizes[rows]) * step + flat)[flat >= 0])
        return cls(pair, right & (pair.both >= 0), sizes[rows])

    def hits(self, columns: Ints) -> Ints:
        """How many in these columns are true; (posts,)."""
        return (_at(self.right, columns) & (columns >= 0)).sum(axis=1)


def _tried(true: _Truths, size: int, way: Way, metric: Measure, constant: float) -> tuple[list[Choice], list[Floats]]:
    """Every choice, those preferred among equals first, and what it scores on each post; (posts, columns) each."""
    if way == "free":
        tried = [Choice(way, s1, s2) for s1 in range(MOST, -1, -1) for s2 in range(MOST + 1)]
        return tried, [each for s1 in range(MOST, -1, -1) for each in _free(true, metric, s1)]
    if way == "cut":
        tried = [Choice(way, s1, size - s1) for s1 in range(size, -1, -1)]
    else:
        tried = [Choice(way, eta=eta, constant=constant) for eta in ETAS]
    given = np.full(len(true.sizes), size)
    hits = (true.hits(choice.order(true.pair, size)[0]) for choice in tried)
    return tried, [_columns(each, given, true.sizes, metric) for each in hits]


def _free(true: _Truths, metric: Measure, s1: int) -> list[Floats]:
    """For ``s1`` and every s2: what the union of both scores on each post."""
    pair, a = true.pair, true.pair.classified.shape[1]
    first = slice(0, min(s1, a))
    new = pair.new(s1)
    hits, given = true.right[:, first].sum(axis=1), (pair.classified[:, first] >= 0).sum(axis=1)
    more, longer = _running(new & true.right[:, a:]), _running(new)
    return [_columns(hits + more[s2], given + longer[s2], true.sizes, metric) for s2 in range(MOST + 1)]


def _running(marks: Bools) -> Ints:
    """How many of the first 0, 1, … 15 columns are marked; (16, posts)."""
    sums = np.cumsum(marks[:, :MOST], axis=1).T
    return np.pad(np.pad(sums, ((1, 0), (0, 0))), ((0, MOST - len(sums)), (0, 0)), mode="edge")


def _columns(hits: Ints, given: Ints, true: Ints, metric: Measure) -> Floats:
    """The numbers of each post whose means make the metric; (posts, 1 or 2)."""
    if metric == "f1_posts":
        return (2 * hits / (given + true))[:, None]
    return np.stack([hits / np.maximum(given, 1), hits / true], axis=1)


def _score(means: Floats) -> Floats:
    """The metric from the means of its numbers; (..., columns) to (...)."""
    if means.shape[-1] == 1:
        return means[..., 0]
    top, bottom = 2 * means.prod(axis=-1), means.sum(axis=-1)
    return np.divide(top, bottom, out=np.zeros_like(bottom), where=bottom > 0)


@dataclass(frozen=True)
class _Table:
    """Sums over the posts of each fold, from which every score is made."""

    sums: Floats
    """(choices, folds, columns)"""
    counts: Ints
    """(folds,)"""
    borrowed: Floats
    """(choices,)"""

    def scores(self) -> Floats:
        """(choices,)"""
        return _score(self.sums.sum(axis=1) / self.counts.sum())

    def best(self, careful: bool) -> int:
        """The first of the best; ``careful``: among those that borrow least of all that are nearly as good."""
        scores = self.scores()
        keep = np.ones(len(scores), dtype=bool)
        if careful:
            keep = scores >= scores.max() - self._errors(scores) - _SAME
            keep &= self.borrowed == self.borrowed[keep].min()
        return int(np.argmax(keep & (scores >= scores[keep].max() - _SAME)))

    def _errors(self, scores: Floats) -> Floats:
        """Standard error, over the folds, of how far each choice lies under the best; (choices,)."""
        folds = len(self.counts)
        if folds < 2:
            return np.full(len(scores), np.inf)
        each = _score(self.sums / self.counts[:, None])
        return (each[scores.argmax()] - each).std(axis=1, ddof=1) / np.sqrt(folds)

    def nested(self, careful: bool) -> float | None:
        """The score of posts by the choice that all other folds make."""
        folds = np.arange(len(self.counts))
        if len(folds) < 2:
            return None
        picked = [_Table(self.sums[:, folds != f], self.counts[folds != f], self.borrowed).best(careful) for f in folds]
        return float(_score(self.sums[picked, folds].sum(axis=0) / self.counts.sum()))
