"""What earlier posts got: counts, means and spreads of an author's or a community's numbers, strictly before a post."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hashloom.data.history import By, History
from hashloom.types import UNDATED, Posts

Floats = NDArray[np.float64]
DAY = 86_400_000_000
"""Microseconds."""


@dataclass(frozen=True)
class Sums:
    """Earlier posts of each asked post: how many, the sum of their numbers and of their squares. All (posts,)."""

    count: Floats
    total: Floats
    squares: Floats

    def mean(self, otherwise: Floats | float = np.nan) -> Floats:
        """The mean number, ``otherwise`` where there is no earlier post."""
        return np.where(self.count > 0, self.total / np.maximum(self.count, 1), otherwise)


class Record:
    """The numbers of a history's posts (its column ``value``), of which each asked post sees those before it.

    ``settles``: days until a post's number can be known; an earlier post counts only when that time is over. Undated
    posts are known at once. ``given``: those of the posts that were given when asked, whole.

    >>> import polars as pl
    >>> from hashloom.types import Post
    >>> past = Posts.of([Post("a", user="mo"), Post("b", user="mo")])
    >>> record = Record(History(Posts(past.frame.with_columns(value=pl.Series([2.0, 4.0])))))
    >>> record.of(Posts.of([Post("new", user="mo"), Post("other")])).mean(0.0).tolist()
    [3.0, 0.0]
    """

    def __init__(self, history: History, settles: float = 0.0, given: Posts | None = None) -> None:
        self.history, self.settles, self.given = history, settles, given

    @cached_property
    def values(self) -> Floats:
        """The number of each of the history's posts; (history's posts,)."""
        return self.history.posts.frame["value"].to_numpy()

    def rows(self, posts: Posts, by: By = "user", last: int | None = None) -> list[NDArray[np.int64]]:
        """For each asked post the rows of earlier posts whose number is known, oldest first; at most the ``last``."""
        if not self.settles:
            return self.history.before(posts, by, last)
        moments, wait = self.history.moments, int(self.settles * DAY)
        asked = self.history.moments_of(posts)
        ends = np.where(asked > UNDATED // 2, asked - wait, asked)
        found = []
        for rows, end in zip(self.history.before(posts, by), ends.tolist()):
            stop = int(np.searchsorted(rows, np.searchsorted(moments, end, side="right")))
            found.append(rows[0 if last is None else max(0, stop - last) : stop])
        return found

    def of(self, posts: Posts, by: By = "user") -> Sums:
        """Counts and sums over all earlier posts of the same author (in the community), or of the community."""
        out = np.zeros((3, len(posts)))
        names = zip(posts.communities, posts.users) if by == "user" else posts.communities
        for i, (name, rows) in enumerate(zip(names, self.rows(posts, by))):
            if len(rows):
                out[:, i] = len(rows), *self._running(by, name, rows)[:, len(rows) - 1]
        return Sums(*out)

    def _running(self, by: By, name: object, rows: NDArray[np.int64]) -> Floats:
        """Running sums of a group's numbers and their squares, made once for its longest past; (2, at least rows)."""
        held = self._sums.get((by, name))
        if held is None or held.shape[1] < len(rows):
            whole = (self.history._users if by == "user" else self.history._communities)[name]  # type: ignore[index]
            values = self.values[whole]
            held = self._sums[by, name] = np.cumsum([values, values**2], axis=1)
        return held

    @cached_property
    def _sums(self) -> dict[tuple[By, object], Floats]:
        return {}
