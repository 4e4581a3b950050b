"""What every rule that chooses earlier posts is given and hands back; no rule sees the tags of the asked post."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hashloom.types import Count

Rows = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """The asked posts and what a rule may look at; rows are those of one history.

    ``past`` and ``ages`` hold one array per asked post: the rows of the user's own earlier posts, oldest first and all
    of them, and their ages in days. ``likeness(i, rows)`` compares asked post ``i`` with rows, shape (rows,);
    ``alike(rows)`` compares rows with each other, shape (rows, rows); both lie in -1 to 1 and read no tags.
    ``tags(row)`` are the numbers of a row's tags. ``others(i, n)`` gives rows, likeness and ages of the ``n`` nearest
    earlier posts by other users of the community. ``users`` is needed by rules that draw once per user.
    """

    ids: Sequence[str]
    past: Sequence[Rows]
    ages: Sequence[Numbers]
    likeness: Callable[[int, Rows], Numbers]
    alike: Callable[[Rows], Numbers]
    tags: Callable[[int], Sequence[int]]
    others: Callable[[int, int], tuple[Rows, Numbers, Numbers]]
    users: Sequence[str | None] = ()

    def __post_init__(self) -> None:
        lengths = {len(self.ids), len(self.past), len(self.ages), len(self.users) or len(self.ids)}
        if len(lengths) > 1:
            raise ValueError(f"ids, past, ages and users must be equally many, not {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.ids)

    def like(self, i: int, rows: Rows) -> Numbers:
        """The likeness of post ``i`` and the rows; a post without a past is compared with nothing. (rows,)"""
        return np.asarray(self.likeness(i, rows), dtype=np.float64) if len(rows) else np.zeros(0)

    def entries(self, i: int, at: Rows, likeness: Numbers | None = None) -> Entries:
        """The places ``at`` of post ``i``'s past as entries; ``likeness`` is that of the whole past, where known."""
        rows = self.past[i][at]
        return Entries(rows, self.like(i, rows) if likeness is None else likeness[at], self.ages[i][at])

    def tags_of(self, rows: Rows) -> tuple[Rows, Rows]:
        """The tag numbers of the rows one after the other, and for each the place in ``rows`` that carries it."""
        starts, flat = self._flat
        counts = starts[rows + 1] - starts[rows]
        place = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(len(place)) - np.repeat(np.cumsum(counts) - counts, counts)
        return flat[starts[rows][place] + within], place

    @cached_property
    def _flat(self) -> tuple[Rows, Rows]:
        """Where each row's tags start, and all tags; a tag counts once in a row."""
        held = np.zeros(max((int(rows.max()) + 1 for rows in self.past if len(rows)), default=0), dtype=bool)
        for rows in self.past:
            held[rows] = True
        lists = {row: sorted(set(self.tags(row))) for row in np.flatnonzero(held).tolist()}
        starts = np.zeros(len(held) + 1, dtype=np.int64)
        starts[np.flatnonzero(held) + 1] = [len(tags) for tags in lists.values()]
        np.cumsum(starts, out=starts)
        return starts, np.fromiter(chain.from_iterable(lists.values()), np.int64, int(starts[-1]))


@dataclass(frozen=True)
class Entries:
    """What is chosen for one post, in the order of choice; every array has shape (entries,)."""

    rows: Rows
    likeness: Numbers
    ages: Numbers
    uses: NDArray[np.int64] | None = None
    tags: Rows | None = None
    theirs: int = 0
    """So many at the end are posts of other users."""


@dataclass(frozen=True)
class Memory:
    """The chosen entries of every asked post, in the order of choice.

    ``rows`` has shape (posts, width), -1 where there is no entry, which is only at the end. ``facts`` (posts, width, 4)
    holds likeness, ln(age + 1), ln(1 + uses) and one where the entry is another user's; uses are 0 where entries are
    posts. ``tags`` (posts, width) holds the tag number of each entry where entries are tags; otherwise it is none, and
    an entry carries all tags of its row.
    """

    rows: Rows
    facts: NDArray[np.float32]
    tags: Rows | None = None

    @classmethod
    def of(cls, chosen: Iterable[Entries], posts: int, width: int, tags: bool = False) -> Memory:
        """From the entries of each post; none may have more than ``width``."""
        rows = np.full((posts, width), -1, dtype=np.int64)
        facts = np.zeros((posts, width, 4), dtype=np.float32)
        numbers = np.full((posts, width), -1, dtype=np.int64) if tags else None
        for i, entries in enumerate(chosen):
            end = len(entries.rows)
            rows[i, :end] = entries.rows
            facts[i, :end, 0] = entries.likeness
            facts[i, :end, 1] = np.log1p(entries.ages)
            facts[i, end - entries.theirs : end, 3] = 1
            if entries.uses is not None:
                facts[i, :end, 2] = np.log1p(entries.uses)
            if numbers is not None and entries.tags is not None:
                numbers[i, :end] = entries.tags
        return cls(rows, facts, numbers)


@dataclass
class Selection(ABC):
    """A rule that chooses entries for the memory of a personal model; subclasses give ``_entries``.

    ``kind`` says whether entries are posts or tags; ``recency`` asks the model for a learnt log-recency bias;
    ``others`` tells that entries of other users may come; ``redrawn`` that the choice differs from epoch to epoch.
    """

    kind: ClassVar[Literal["posts", "tags"]] = "posts"
    recency: ClassVar[bool] = False
    others: ClassVar[bool] = False
    redrawn: ClassVar[bool] = False

    size: Count = 2
    """So many earlier posts are read."""

    @property
    def width(self) -> int:
        """The most entries that a post may get: the second size of what ``choose`` returns."""
        return self.size

    def choose(self, asked: Asked, epoch: int = -1) -> Memory:
        """The entries of every asked post; ``epoch`` counts from 0 in training and is -1 when answering."""
        chosen = (self._entries(asked, i, epoch) for i in range(len(asked)))
        return Memory.of(chosen, len(asked), self.width, tags=self.kind == "tags")

    @abstractmethod
    def _entries(self, asked: Asked, i: int, epoch: int) -> Entries:
        """What is chosen for asked post ``i``."""


def draws(count: int, *key: object) -> Numbers:
    """Numbers from 0 to 1 that depend on the key alone; a longer draw begins like a shorter one. (count,)

    >>> bool((draws(2, 0, "mo") == draws(3, 0, "mo")[:2]).all())
    True
    """
    text = "\0".join(map(str, key))
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.random.default_rng(int.from_bytes(digest, "big")).random(count)


def best(scores: Numbers, size: int) -> Rows:
    """The places of the highest scores, best first; of equal ones the later place. (at most size,)

    >>> best(np.array([1.0, 3.0, 3.0]), 2).tolist()
    [2, 1]
    """
    return len(scores) - 1 - np.argsort(-scores[::-1], kind="stable")[:size]


def standard(values: Numbers) -> Numbers:
    """z-scores; zeros where all values are equal. Same shape.

    >>> standard(np.array([1.0, 3.0])).tolist(), standard(np.array([0.1])).tolist()
    ([-1.0, 1.0], [0.0])
    """
    spread = values.std() if len(values) and values.min() < values.max() else 0.0
    return (values - values.mean()) / spread if spread > 0 else np.zeros(len(values))


def like_and_late(likeness: Numbers, ages: Numbers, alpha: float, decay: float) -> Numbers:
    """``alpha z(likeness) - (1 - alpha) decay z(ln(age + 1))``, with z over the past of one post. (past,)

    The decay stands outside z, since inside it would cancel; with a decay of 1 both are the same.
    """
    return alpha * standard(likeness) - (1 - alpha) * decay * standard(np.log1p(ages))
