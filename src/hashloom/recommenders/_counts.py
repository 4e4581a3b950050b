"""How tags are used: by community, lately, and together; counts that posts are added to in microseconds.

Used by ``_evidence``. A pair of numbers is one number, the first times 2^32 plus the second, so that new tags and
communities leave known pairs as they are. Pairs counted lately stand in small arrays beside the large ones.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.types import Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

RECENT = 0.1
"""The last share of a community's posts counts as recent."""
SHIFT = 32
LATE = 4096
"""So many pairs may stand beside the large arrays."""


def _none() -> Ints:
    return np.zeros(0, dtype=np.int64)


@dataclass
class Pairs:
    """How often each pair was counted; sorted by pair. All of shape (pairs,).

    >>> pairs = Pairs.count(np.array([7, 5, 7]))
    >>> pairs.add(np.array([6, 7]))
    >>> pairs.of(np.array([5, 6, 7, 8])).tolist()
    [1, 1, 3, 0]
    """

    pair: Ints = field(default_factory=_none)
    times: Ints = field(default_factory=_none)
    late_pair: Ints = field(default_factory=_none)
    late_times: Ints = field(default_factory=_none)

    @classmethod
    def count(cls, pairs: Ints) -> Pairs:
        """From all pairs, each as often as it is to be counted."""
        return cls(*(x.astype(np.int64) for x in np.unique(pairs, return_counts=True)))

    def add(self, pairs: Ints, by: int = 1) -> None:
        """Count pairs ``by`` more times."""
        new, times = np.unique(pairs, return_counts=True)
        self.late_pair, self.late_times = _entered(self.late_pair, self.late_times, new, by * times)
        if len(self.late_pair) > LATE:
            self.pair, self.times = _entered(self.pair, self.times, self.late_pair, self.late_times)
            self.late_pair, self.late_times = _none(), _none()

    def clear(self, numbers: Ints, first: bool = False) -> None:
        """Set the counts of all pairs with these second (or first) numbers to 0."""
        for pair, times in ((self.pair, self.times), (self.late_pair, self.late_times)):
            times[np.isin(pair >> SHIFT if first else pair & ((1 << SHIFT) - 1), numbers)] = 0

    def of(self, wanted: Ints) -> Ints:
        """The counts of pairs, 0 where there is none. (wanted,)"""
        made = _found(self.pair, self.times, wanted)
        return made + _found(self.late_pair, self.late_times, wanted) if len(self.late_pair) else made

    def beginning(self, first: int) -> Ints:
        """The second numbers of the pairs that have this first one, in order."""
        low, high = first << SHIFT, (first + 1) << SHIFT
        parts = [p[slice(*np.searchsorted(p, [low, high]))] for p in (self.pair, self.late_pair)]
        both = np.union1d(*parts)
        return both[self.of(both) > 0] - low

    def state(self) -> dict[str, Ints]:
        """What ``Pairs(**state)`` makes again."""
        return dict(vars(self))


def _entered(pair: Ints, times: Ints, new: Ints, more: Ints) -> tuple[Ints, Ints]:
    """Sorted pairs and counts with others added."""
    at = np.searchsorted(pair, new)
    known = (at < len(pair)) & (pair[np.minimum(at, len(pair) - 1)] == new) if len(pair) else np.zeros(len(new), bool)
    times = times.copy()
    times[at[known]] += more[known]
    return np.insert(pair, at[~known], new[~known]), np.insert(times, at[~known], more[~known])


def _found(pair: Ints, times: Ints, wanted: Ints) -> Ints:
    if not len(pair):
        return np.zeros(len(wanted), dtype=np.int64)
    at = np.minimum(np.searchsorted(pair, wanted), len(pair) - 1)
    return np.where(pair[at] == wanted, times[at], 0)


def joined(first: Any, second: Any) -> Any:
    """Pairs of numbers as one number each."""
    return (np.asarray(first, np.int64) << SHIFT) + second


@dataclass
class Counts:
    """The tags (keys) of posts counted; ``state`` gives plain arrays, from which it is made again."""

    tags: list[str]
    """Code → tag; in order of the alphabet, those met later behind."""
    communities: list[str]
    uses: Pairs
    """Community and tag."""
    recent: Pairs
    """Community and tag, among the community's latest posts."""
    company: Pairs
    """Two tags of one post."""
    size: Ints
    """Posts of each community."""
    alone: Ints
    """Posts of each tag."""
    window: list[list[list[int]]]
    """Each community's latest posts, the oldest first: a hash of the id, then the codes of its tags."""

    @classmethod
    def learn(cls, posts: Posts) -> Counts:
        """Count the tags of training posts in order of time."""
        tags = sorted({tag for row in posts.tags for tag in row})
        communities = sorted(set(posts.communities))
        code, place = {t: i for i, t in enumerate(tags)}, {c: i for i, c in enumerate(communities)}
        where = np.array([place[c] for c in posts.communities], dtype=np.int64)
        rows = [np.array([code[t] for t in row], dtype=np.int64) for row in posts.tags]
        size = np.bincount(where, minlength=len(communities))
        window = _latest(where, rows, size, numbers(posts.ids))
        both = [joined(row[:, None], row[None, :]).ravel() for row in rows if len(row) > 1]
        lately = [joined(c, np.array(row[1:], np.int64)) for c, of in enumerate(window) for row in of]
        return cls(
            tags,
            communities,
            Pairs.count(np.concatenate([_none(), *(joined(c, row) for c, row in zip(where, rows))])),
            Pairs.count(np.concatenate([_none(), *lately])),
            Pairs.count(np.concatenate([_none(), *both])),
            size,
            np.bincount(np.concatenate([_none(), *rows]), minlength=len(tags)),
            window,
        )

    def add(self, posts: Posts) -> None:
        """Count further posts, later than those counted."""
        for number, community, tags in zip(numbers(posts.ids), posts.communities, posts.tags):
            place = self._place_of(community)
            row = np.array([self._code_of(tag) for tag in tags], dtype=np.int64)
            self._count(place, row, 1)
            self.recent.add(joined(place, row))
            self.window[place].append([number, *row.tolist()])
            while len(self.window[place]) > max(1.0, RECENT * self.size[place]):
                self._leave_window(place, 0)

    def remove(self, posts: Posts) -> None:
        """Take posts, counted before with these tags, out of the counts."""
        for number, community, tags in zip(numbers(posts.ids), posts.communities, posts.tags):
            place = self.place[community]
            self._count(place, np.array([self.code[tag] for tag in tags], dtype=np.int64), -1)
            at = next((i for i, row in enumerate(self.window[place]) if row[0] == number), None)
            if at is not None:
                self._leave_window(place, at)
        self._unname(np.flatnonzero(self.alone == 0))

    def _unname(self, codes: Ints) -> None:
        """Leave no word of tags that nobody uses; their codes stay, so that others keep theirs."""
        for at in codes.tolist():
            if self.code.get(self.tags[at]) == at:
                del self.code[self.tags[at]]
            self.tags[at] = ""

    def drop(self, tags: Collection[str]) -> None:
        """Take tags out of all counts; the posts that carried them stay counted."""
        codes = np.array(sorted(self.code[tag] for tag in tags if tag in self.code), dtype=np.int64)
        if not len(codes):
            return
        for pairs in (self.uses, self.recent, self.company):
            pairs.clear(codes)
        self.company.clear(codes, first=True)
        self.alone[codes] = 0
        self._unname(codes)
        gone = set(codes.tolist())
        self.window = [[[row[0], *(c for c in row[1:] if c not in gone)] for row in of] for of in self.window]

    def _count(self, place: int, row: Ints, by: int) -> None:
        self.uses.add(joined(place, row), by)
        self.size[place] += by
        self.alone[row] += by
        if len(row) > 1:
            self.company.add(joined(row[:, None], row[None, :]).ravel(), by)

    def _leave_window(self, place: int, at: int) -> None:
        old = np.array(self.window[place].pop(at)[1:], dtype=np.int64)
        self.recent.add(joined(place, old), by=-1)

    def _place_of(self, community: str) -> int:
        if community not in self.place:
            self.place[community] = len(self.communities)
            self.communities.append(community)
            self.size = np.append(self.size, 0)
            self.window.append([])
        return self.place[community]

    def _code_of(self, tag: str) -> int:
        if tag not in self.code:
            self.code[tag] = len(self.tags)
            self.tags.append(tag)
            self.alone = np.append(self.alone, 0)
        return self.code[tag]

    def state(self) -> dict[str, Any]:
        """What ``Counts.of`` makes again."""
        return {name: value.state() if isinstance(value, Pairs) else value for name, value in self._fields()}

    def _fields(self) -> list[tuple[str, Any]]:
        return [(name, getattr(self, name)) for name in self.__dataclass_fields__]

    @classmethod
    def of(cls, state: dict[str, Any]) -> Counts:
        """From what ``state`` gave."""
        return cls(**state | {name: Pairs(**state[name]) for name in ("uses", "recent", "company")})

    @cached_property
    def place(self) -> dict[str, int]:
        """Community → its number."""
        return {c: i for i, c in enumerate(self.communities)}

    @cached_property
    def code(self) -> dict[str, int]:
        """Tag → its code."""
        return {tag: i for i, tag in enumerate(self.tags) if tag}

    def codes_in(self, community: str) -> Ints:
        """Codes of the tags that a community's posts use."""
        return self.uses.beginning(self.place[community]) if community in self.place else _none()


def numbers(ids: Sequence[str]) -> list[int]:
    """A whole number for each id, a hash of it."""
    return [int.from_bytes(blake2b(i.encode("utf-8", "surrogatepass"), digest_size=6).digest()) for i in ids]


def _latest(where: Ints, rows: Sequence[Ints], size: Ints, ids: Sequence[int]) -> list[list[list[int]]]:
    """Each community's latest posts: number and tags."""
    order = np.zeros(len(where), dtype=np.int64)
    for c in range(len(size)):
        order[where == c] = np.arange(size[c])
    late = order >= size[where] * (1 - RECENT)
    window: list[list[list[int]]] = [[] for _ in size]
    for i in np.flatnonzero(late).tolist():
        window[where[i]].append([ids[i], *rows[i].tolist()])
    return window
