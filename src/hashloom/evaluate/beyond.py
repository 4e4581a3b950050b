"""What stands beside accuracy: ceilings, the share of true tags a model can know, and how evenly tags are suggested.

Coverage and Gini index as in Shani and Gunawardana, "Evaluating recommendation systems" (2011); mean popularity as in
Yin et al., "Challenging the long tail recommendation" (VLDB 2012). Tags of different communities are different tags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hashloom.evaluate.formulas import COUNTS, OF_SOME
from hashloom.evaluate.hits import Hits
from hashloom.evaluate.metrics import metrics, score, summarise
from hashloom.tags import key
from hashloom.types import Posts, Rankings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Tag = tuple[str, str]
"""A community and a tag's key."""
Some = Mapping[str, Sequence[Collection[str]]]
"""Some of the true tags of each post, by what they are called; see ``Hits``."""


def posted(posts: Posts) -> list[list[str]]:
    """The true tags of each post, as keys, each once, in the order as posted.

    >>> from hashloom.types import Post
    >>> posted(Posts.of([Post("a", tags=("Tour", "Rain", "#tour"))]))
    [['tour', 'rain']]
    """
    return [[tag for tag in dict.fromkeys(map(key, tags)) if tag] for tags in posts.tags]


def truths(posts: Posts) -> list[set[str]]:
    """The true tags of each post, as keys.

    >>> from hashloom.types import Post
    >>> truths(Posts.of([Post("a", tags=("Tour", "#tour"))]))
    [{'tour'}]
    """
    return [{key(tag) for tag in tags} - {""} for tags in posts.tags]


def tag_counts(posts: Posts) -> Counter[Tag]:
    """How many posts of each community carry each tag.

    >>> from hashloom.types import Post
    >>> tag_counts(Posts.of([Post("a", community="c", tags=("Tour",)), Post("b", community="c", tags=("tour",))]))
    Counter({('c', 'tour'): 2})
    """
    return Counter((place, tag) for place, tags in zip(posts.communities, truths(posts)) for tag in tags)


def ceiling(
    true: Sequence[Iterable[str]],
    k: int = 10,
    known: Sequence[Container[str]] | None = None,
    among: Some | None = None,
    names: Iterable[str] | None = None,
) -> dict[str, float]:
    """What the best possible lists of K tags would score, for the metrics ``names`` (without a cut; default: all).

    ``known`` (one per post) limits the lists. ``among``: some of the true tags, see ``Hits``; metrics of these are left
    out by default where it is not given. The text of a best list is that of the true tags.

    >>> ceiling([{"a"}, {"a", "b", "c"}], k=2)["p@2"]
    0.75
    >>> ceiling([{"a"}, {"b"}], k=1, known=[{"a"}, {"a"}])["hit@1"]
    0.5
    """
    rows = [sorted(row) if isinstance(row, set | frozenset) else list(row) for row in true]
    within = rows if known is None else [[t for t in row if t in ks] for row, ks in zip(rows, known)]
    asked = list(_judged(among or {}) if names is None else names)
    tops: dict[str, float] = {}
    for kind in dict.fromkeys(OF_SOME.get(name) for name in asked):
        ids = [f"{name}@{k}" for name in asked if OF_SOME.get(name) == kind]
        scores = score(_best(rows, within, k, kind, among or {}), [""] * len(rows), ids)
        tops |= {name: summarise(scores, name) for name in ids}
    return tops


def _judged(among: Some) -> list[str]:
    counts = {f.__name__ for f in COUNTS}
    return [name for name in metrics() if name not in counts and OF_SOME.get(name, name) in (name, *among)]


def _best(
    rows: Sequence[Sequence[str]], within: Sequence[Sequence[str]], k: int, kind: str | None, among: Some
) -> Hits:
    """Lists of true tags alone; those of the kind that is asked for come first, so that they find a place."""
    if kind is not None:
        within = [sorted(row, key=lambda t, some=some: t not in some) for row, some in zip(within, among[kind])]  # type: ignore[misc]
    lists = [[(tag, 1.0) for tag in row] for row in within]
    hits = Hits.of(Rankings.of([""] * len(rows), lists), rows, k, among)
    return replace(hits, given=np.full(len(rows), k))


def known_share(true: Sequence[set[str]], known: Sequence[Container[str]]) -> float:
    """The share of all true tags that are in the vocabulary ``known`` (one per post); NaN without true tags.

    >>> known_share([{"a", "b"}], [{"a"}])
    0.5
    """
    total = sum(map(len, true))
    return sum(tag in tags for row, tags in zip(true, known) for tag in row) / total if total else float("nan")


def vocabularies(train: Posts, communities: Iterable[str]) -> list[set[str]]:
    """For each asked post's community, the keys that its training posts carry (one shared set per community).

    >>> from hashloom.types import Post
    >>> vocabularies(Posts.of([Post("a", community="c", tags=("Tour",))]), ["c", "new"])
    [{'tour'}, set()]
    """
    found: dict[str, set[str]] = {}
    for place, tag in tag_counts(train):
        found.setdefault(place, set()).add(tag)
    return [found.setdefault(place, set()) for place in communities]


@dataclass(frozen=True)
class Spread:
    """How suggestions spread over the tags of the training posts.

    ``coverage``: share of those tags suggested at least once. ``gini``: 0 where all are suggested equally often, near
    1 where few are. ``popularity``: mean number of training posts that carry a suggested tag. ``unseen``: share of
    suggestions that no training post of the community carries.
    """

    coverage: float
    gini: float
    popularity: float
    unseen: float


def spread(rankings: Rankings, communities: Sequence[str], counts: Counter[Tag], k: int = 10) -> Spread:
    """The spread of the first K suggestions; ``communities`` has one entry per post, ``counts`` see ``tag_counts``.

    >>> answers = Rankings.of(["a", "b"], [[("Tour", 1.0)], [("Tour", 1.0)]])
    >>> spread(answers, ["c", "c"], Counter({("c", "tour"): 3, ("c", "rain"): 1}))
    Spread(coverage=0.5, gini=0.5, popularity=3.0, unseen=0.0)
    """
    if len(rankings) != len(communities):
        raise ValueError(f"{len(rankings)} rankings but {len(communities)} communities; give one per post")
    suggested: Counter[Tag] = Counter()
    for i, place in enumerate(communities):
        suggested.update((place, key(tag)) for tag in rankings.row(i)[0][:k])
    total, nan = sum(suggested.values()), float("nan")
    if not total or not counts:
        return Spread(0.0, nan, nan, nan)
    given = np.array([suggested[tag] for tag in counts], dtype=np.float64)
    popularity = sum(counts[tag] * n for tag, n in suggested.items()) / total
    return Spread(float((given > 0).mean()), gini(given), popularity, 1 - float(given.sum()) / total)


def gini(values: Floats) -> float:
    """The Gini index of non-negative numbers, 0 (all equal) to nearly 1; NaN where all are 0.

    >>> gini(np.array([1.0, 1.0])), gini(np.array([0.0, 1.0]))
    (0.0, 0.5)
    """
    if not values.sum():
        return float("nan")
    ranks = np.arange(1, len(values) + 1)
    return float(np.sum((2 * ranks - len(values) - 1) * np.sort(values)) / (len(values) * values.sum()))
