"""Ranking metrics by id: the registry of the formulas, and scoring rankings by them.

An id names the exact definition (a function in ``formulas``) and the cut: ``ndcg@10``. Posts without true tags are left
out of every score (NaN), never counted as 0 or 1.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.evaluate.formulas import COUNTS, PER_POST, PER_SET
from hashloom.evaluate.hits import Hits
from hashloom.types import Rankings, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ALIASES = {"map": "ap_min", "precision": "p", "recall": "r"}


@dataclass(frozen=True)
class Metric:
    """A metric's id, what its docstring says of it, and the per-post metrics that it is made of."""

    name: str
    about: str
    formula: str
    range: str
    source: str
    function: Callable[..., Any]
    parts: tuple[str, ...]
    cut: bool

    @classmethod
    def of(cls, function: Callable[..., Any]) -> Metric:
        """Read a function: ``parts`` are its parameters but ``k``, or itself if it looks at the hits."""
        about, _, rest = inspect.getdoc(function).partition("\n\n")  # type: ignore[union-attr]
        says = dict(re.findall(r"^(Formula|Range|Source): (.+)$", rest, re.M))
        names = tuple(inspect.signature(function).parameters)
        parts = (function.__name__,) if names[0] == "hits" else tuple(n for n in names if n != "k")
        facts = (says["Formula"], says["Range"], says["Source"])
        return cls(function.__name__, " ".join(about.replace("``", "").split()), *facts, function, parts, "k" in names)

    @property
    def per_post(self) -> bool:
        """Whether it gives one number per post."""
        return self.parts == (self.name,)

    def combine(self, means: Sequence[Any], k: int) -> Any:
        """The score of a set, from the means of ``parts``; numbers or arrays of one shape."""
        if self.per_post:
            return means[0]
        return self.function(*means, k) if self.cut else self.function(*means)


@cache
def metrics() -> dict[str, Metric]:
    """Every metric by name.

    >>> metrics()["ndcg"].range
    '0 to 1, higher is better'
    """
    return {f.__name__: Metric.of(f) for f in (*PER_POST, *PER_SET, *COUNTS)}


@cache
def parse(name: str) -> tuple[Metric, int]:
    """The metric and the cut K of an id; aliases are followed. Raises ``ValueError`` for an unknown id.

    >>> parse("map@10")[0].name, parse("map@10")[1]
    ('ap_min', 10)
    """
    base, _, cut = name.partition("@")
    base = ALIASES.get(base, base)
    if base not in metrics():
        near = difflib.get_close_matches(base, [*metrics(), *ALIASES], 1)
        hint = f"did you mean '{near[0]}@{cut or 10}'? " if near else ""
        raise ValueError(f"no metric '{name}'; {hint}known: {', '.join(metrics())}")
    if not re.fullmatch(r"[1-9][0-9]{0,5}", cut):
        raise ValueError(f"metric '{name}' needs a cut from 1 to 999999, such as '{base}@10'")
    return metrics()[base], int(cut)


def columns(name: str) -> list[str]:
    """The per-post columns that an id is computed from.

    >>> columns("f1_means@5"), columns("map@5")
    (['p@5', 'r@5'], ['map@5'])
    """
    metric, k = parse(name)
    return [name] if metric.per_post else [f"{part}@{k}" for part in metric.parts]


def score(hits: Hits, ids: Sequence[str], names: Sequence[str]) -> Scores:
    """Per-post columns of the metrics ``names`` from hits; a set-level metric leaves its parts' columns."""
    values: dict[str, Floats] = {}
    tagged = hits.truths > 0
    for column in dict.fromkeys(part for name in names for part in columns(name)):
        metric, k = parse(column)
        values[column] = np.where(tagged, metric.function(hits, k), np.nan)
    return Scores(ids, values)


def score_seeds(hits: Sequence[Hits], ids: Sequence[str], names: Sequence[str]) -> Scores:
    """``score`` of the same posts answered several times (once a seed): each column is the mean over the seeds.

    >>> score_seeds([Hits.marked("+", truths=1), Hits.marked("-", truths=1)], ["a"], ["p@1"]).mean("p@1")
    0.5
    """
    each = [score(one, ids, names) for one in hits]
    return Scores(ids, {name: np.mean([one.values[name] for one in each], axis=0) for name in each[0].values})


def measure(
    rankings: Rankings,
    truths: Sequence[Iterable[str]],
    metrics: Sequence[str],
    *,
    among: Mapping[str, Sequence[Collection[str]]] | None = None,
) -> Scores:
    """Score rankings against true tags, both compared by key; one column of shape (posts,) per per-post metric.

    ROUGE-2 and ROUGE-L need the true tags in the order as posted (lists, not sets). ``novel_r`` and ``young_r`` need
    ``among={"novel": …, "young": …}``, one set per post, see ``novelty``.

    Set-level metrics (``f1_means``, ``micro_*``) leave the columns they are made of: read them by ``summarise``.
    Raises ``ValueError`` for an unknown id and where the number of rankings and of truths differ.

    >>> answers = Rankings.of(["a", "b"], [[("Tour", 2.0), ("Rain", 1.0)], [("Tour", 1.0)]])
    >>> scores = measure(answers, [{"rain", "wind"}, {"tour"}], ["mrr@2", "micro_r@2"])
    >>> summarise(scores, "mrr@2"), round(summarise(scores, "micro_r@2"), 4)
    (0.75, 0.6667)
    """
    depth = max((parse(name)[1] for name in metrics), default=1)
    longest = int(rankings.lengths.max(initial=0))
    return score(Hits.of(rankings, truths, min(depth, max(longest, 1)), among), rankings.ids, metrics)


def mean(values: Floats) -> float:
    """The mean over posts that have a value; NaN if none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def summarise(scores: Scores, metric: str, mask: NDArray[np.bool_] | None = None) -> float:
    """The score of all posts, or of those in ``mask`` (posts,); NaN where no post has true tags.

    >>> summarise(Scores(["a", "b"], {"p@1": np.array([1.0, 0.0]), "r@1": np.array([0.5, 0.0])}), "f1_means@1")
    0.3333333333333333
    """
    kind, k = parse(metric)
    missing = [column for column in columns(metric) if column not in scores.values]
    if missing:
        raise ValueError(f"scores have no {', '.join(missing)}; ask measure() for '{metric}'")
    picked = [scores.values[column] if mask is None else scores.values[column][mask] for column in columns(metric)]
    return float(kind.combine([mean(column) for column in picked], k))


def means(scores: Scores, names: Sequence[str]) -> Mapping[str, float]:
    """Several scores by id.

    >>> means(Scores(["a"], {"p@1": np.array([1.0])}), ["p@1"])
    {'p@1': 1.0}
    """
    return {name: summarise(scores, name) for name in names}
