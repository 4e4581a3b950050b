"""Which suggestions are true tags: the one table (posts, ranks) from which every ranking metric is computed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from hashloom.tags import key
from hashloom.types import Rankings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Hits:
    """Which suggestions are true tags: all that the metrics look at.

    ``matrix`` (posts, depth) is 1.0 where the suggestion at that rank is true; ``truths`` (posts,) counts the true
    tags and ``given`` (posts,) the distinct suggestions. ``rankings`` and ``posted`` (the true tags) are what they were
    made from, for metrics of text; ``among`` names some of the true tags of each post, for metrics of these alone.

    >>> Hits.marked("+-+", truths=3).matrix
    array([[1., 0., 1.]])
    """

    matrix: Floats
    truths: NDArray[np.int64]
    given: NDArray[np.int64]
    rankings: Rankings | None = field(default=None, repr=False, compare=False)
    posted: Sequence[Iterable[str]] = field(default=(), repr=False, compare=False)
    among: Mapping[str, Sequence[Collection[str]]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def marked(cls, row: str, truths: int) -> Hits:
        """One post, written as ``+`` (a true tag) and ``-`` (another) from the first suggestion on."""
        matrix = np.array([[1.0 if mark == "+" else 0.0 for mark in row]])
        return cls(matrix, np.array([truths]), np.array([len(row)]))

    @classmethod
    def of(
        cls,
        rankings: Rankings,
        truths: Sequence[Iterable[str]],
        depth: int,
        among: Mapping[str, Sequence[Collection[str]]] | None = None,
    ) -> Hits:
        """The first ``depth`` distinct suggestions of each post against its true tags, compared by key.

        >>> Hits.of(Rankings.of(["a"], [[("#Tour", 2.0), ("tour", 1.5), ("Rain", 1.0)]]), [{"rain"}], 2).matrix
        array([[0., 1.]])
        """
        if len(rankings) != len(truths):
            raise ValueError(f"{len(rankings)} rankings but {len(truths)} sets of true tags; give one set per post")
        codes: dict[str, int] = {}
        posts, tags = _distinct(rankings, codes)
        true_posts, true_tags = _coded(truths, codes)
        width = max(len(codes), 1)
        right = np.isin(posts * width + tags, true_posts * width + true_tags)
        given = np.bincount(posts, minlength=len(rankings))
        ranks = np.arange(len(posts)) - np.repeat(np.cumsum(given) - given, given)
        near = ranks < depth
        matrix = np.zeros((len(rankings), max(depth, 1)))
        matrix[posts[near], ranks[near]] = right[near]
        counts = np.bincount(true_posts, minlength=len(rankings))
        return cls(matrix, counts, given, rankings, truths, among or {})

    def only(self, name: str) -> Hits:
        """The same suggestions against those of the true tags that ``among`` names so; made once.

        Raises ``ValueError`` where ``among`` does not name them.
        """
        if name not in self._only:
            if self.rankings is None or name not in self.among:
                raise ValueError(
                    f"these scores need to know which true tags are {name}: give measure(…, among={{'{name}': one set "
                    "per post}); hashloom.evaluate.novelty makes them"
                )
            self._only[name] = Hits.of(self.rankings, self.among[name], self.matrix.shape[1])
        return self._only[name]

    @cached_property
    def _only(self) -> dict[str, Hits]:
        return {}

    def at(self, cumulative: Floats, k: int) -> Floats:
        """Column ``k`` (counted from 1) of a running sum over ranks."""
        return cumulative[:, min(k, cumulative.shape[1]) - 1]

    @cached_property
    def ranks(self) -> Floats:
        """1, 2, 3, …; shape (depth,)."""
        return np.arange(1, self.matrix.shape[1] + 1, dtype=np.float64)

    @cached_property
    def counts(self) -> Floats:
        """True tags found up to each rank; shape (posts, depth)."""
        return np.cumsum(self.matrix, axis=1)

    @cached_property
    def precisions(self) -> Floats:
        """Running sum of the precision at each true tag found; shape (posts, depth)."""
        return np.cumsum(self.matrix * self.counts / self.ranks, axis=1)

    @cached_property
    def gains(self) -> Floats:
        """Running sum of 1/log2(rank + 1) over true tags found; shape (posts, depth)."""
        return np.cumsum(self.matrix / np.log2(self.ranks + 1), axis=1)

    @cached_property
    def reciprocals(self) -> Floats:
        """Running sum of 1/rank over true tags found; shape (posts, depth)."""
        return np.cumsum(self.matrix / self.ranks, axis=1)

    @cached_property
    def asked(self) -> NDArray[np.int64]:
        """The number of true tags, at least 1 so that it can divide."""
        return np.maximum(self.truths, 1)


def _distinct(rankings: Rankings, codes: dict[str, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Post number and tag code of every suggestion, in order, a repeated key kept at its first place only."""
    known = {tag: codes.setdefault(key(tag), len(codes)) for tag in dict.fromkeys(rankings.tags.tolist())}
    tags = np.fromiter(map(known.__getitem__, rankings.tags.tolist()), np.int64, len(rankings.tags))
    posts = np.repeat(np.arange(len(rankings)), rankings.lengths)
    tags = tags[int(rankings.starts[0]) : int(rankings.starts[-1])]
    first = np.sort(np.unique(posts * max(len(codes), 1) + tags, return_index=True)[1])
    return posts[first], tags[first]


def _coded(truths: Sequence[Iterable[str]], codes: dict[str, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Post number and tag code of every true tag, each key once per post; new keys are added to ``codes``."""
    rows = [{codes.setdefault(key(tag), len(codes)) for tag in row} for row in truths]
    posts = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    return posts, np.array([code for row in rows for code in row], dtype=np.int64)
