"""The most alike earlier posts, by vectors of text and picture: those of the community, and the author's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hashloom.data.record import Record
from hashloom.types import Posts

Floats = NDArray[np.float64]
Looks = NDArray[np.float32]
Ints = NDArray[np.int64]

OWN = 200
"""So many of the author's latest posts are looked at."""
AT_ONCE = 256
"""Asked posts that are compared at once."""


@dataclass
class Near:
    """Rows of the record (-1: none) and their likeness, best first; both (posts, count)."""

    rows: Ints
    likeness: Floats

    @classmethod
    def none(cls, posts: int, count: int) -> Near:
        """Nobody, for each of so many posts."""
        return cls(np.full((posts, count), -1, np.int64), np.zeros((posts, count)))

    def mean(self, values: Floats) -> Floats:
        """The mean of the found posts' values, each as heavy as it is alike; NaN where there is none. (posts,)"""
        weights = np.where(self.rows >= 0, np.maximum(self.likeness, 1e-6), 0)
        if not len(values):
            return np.full(len(self.rows), np.nan)
        total = weights.sum(axis=1)
        said = (weights * values[np.maximum(self.rows, 0)]).sum(axis=1)
        return np.where(total > 0, said / np.maximum(total, 1e-12), np.nan)

    def first(self, values: Floats) -> Floats:
        """The value of the most alike; NaN where there is none. (posts,)"""
        return np.array([values[row] if row >= 0 else np.nan for row in self.rows[:, 0].tolist()], np.float64)

    @property
    def nearest(self) -> Floats:
        """The likeness of the most alike; NaN where there is none. (posts,)"""
        return np.where(self.rows[:, 0] >= 0, self.likeness[:, 0], np.nan)


def own(posts: Posts, asked: Looks, record: Record, looks: Looks, count: int) -> Near:
    """The author's own earlier posts that are most alike. ``asked`` (posts, dim), ``looks`` (record's posts, dim)."""
    found = Near.none(len(posts), count)
    for i, rows in enumerate(record.rows(posts, "user", OWN)):
        if len(rows):
            _enter(found, i, rows, looks[rows] @ asked[i])
    return found


def near(posts: Posts, asked: Looks, record: Record, looks: Looks, count: int, seen: list[Ints]) -> Near:
    """The most alike of the community's earlier posts, of which each may see some rows; shapes as for ``own``."""
    found = Near.none(len(posts), count)
    places: dict[str, list[int]] = {}
    for i, community in enumerate(posts.communities):
        places.setdefault(community, []).append(i)
    for held in places.values():
        for at in range(0, len(held), AT_ONCE):
            some = [i for i in held[at : at + AT_ONCE] if len(seen[i])]
            if some:
                latest = max(some, key=lambda i: seen[i][-1])
                whole = record.rows(posts[latest : latest + 1], "community")[0]
                window = whole[np.searchsorted(whole, min(seen[i][0] for i in some)) :]
                _search(found, some, seen, window, asked, looks)
    return found


def _search(found: Near, some: list[int], seen: list[Ints], window: Ints, asked: Looks, looks: Looks) -> None:
    """For some posts of one community: the window, of which each sees a stretch, is compared with all at once."""
    likeness = asked[some] @ _taken(looks, window).T  # (some, window)
    firsts = np.searchsorted(window, [seen[i][0] for i in some])
    for row, i, first in zip(likeness, some, firsts.tolist()):
        _enter(found, i, seen[i], row[first : first + len(seen[i])])


def _taken(looks: Looks, rows: Ints) -> Looks:
    """Rows of the matrix, without a copy where they follow one another."""
    start, stop = int(rows[0]), int(rows[-1]) + 1
    return looks[start:stop] if stop - start == len(rows) else looks[rows]


def _enter(found: Near, i: int, rows: Ints, likeness: Looks) -> None:
    """Of rows and their likeness to post ``i`` the best that are alike at all; of equal ones the later."""
    count = found.rows.shape[1]
    # Rounded, so that the order of equal ones does not hang on how many are compared at once.
    likeness = np.round(likeness, 4)
    top = np.arange(len(rows))
    if len(rows) > count:
        top = np.flatnonzero(likeness >= np.partition(likeness, -count)[-count])
    top = top[likeness[top] > 0]
    top = top[np.lexsort((-rows[top], -likeness[top]))][:count]
    found.rows[i, : len(top)], found.likeness[i, : len(top)] = rows[top], likeness[top]
