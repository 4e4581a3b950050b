"""The user's own earlier tags, by frequency or by recency and frequency together (BLL: Kowald et al. 2014).

The base-level learning equation (BLL) as in Kowald et al. (WWW 2014 companion): ``ln Σ age^-decay`` over the uses of a
tag, ages in days plus one, made comparable within a user by softmax.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hashloom.data.history import History
from hashloom.recommender import Recommender
from hashloom.types import Count, Posts, Rankings, Reason


@dataclass
class OwnHistory(Recommender):
    """Counting an author's own tags; a stranger gets the community's favourites.

    Tags that no training post carries are found too, where the author's earlier posts carry them.

    >>> from hashloom.types import Post
    >>> posts = Posts.of([Post("1", "a", "c", "mo", tags=("Rye",)), Post("2", "b", "c", "jo", tags=("Oat",))])
    >>> OwnHistory().fit(posts).recommend(Posts.of([Post("3", "x", "c", "jo")]))[0].tags
    ['Oat', 'Rye']
    """

    reads_history: ClassVar[bool] = True

    rule: Literal["bll", "frequency"] = "bll"
    """``frequency``: how many earlier posts carry the tag; ``bll``: later uses count more."""
    decay: float = 0.5
    """bll: how fast a use fades with its age."""
    last: Count = 1000
    """So many of the user's latest posts are read."""

    def _fit(self, posts: Posts) -> None:
        """Nothing is learnt beyond the posts themselves, which the base class remembers."""

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        lists, why = [], []
        for rows, moment in zip(history.before(posts, last=self.last), history.moments_of(posts).tolist()):
            row = self._row(rows, moment, history)[:k]
            lists.append(row)
            why.append(_reasons(rows, history, row) if explain else [])
        return Rankings.of(posts.ids, lists, why if explain else None)

    def _row(self, rows: NDArray[np.int64], moment: int, history: History) -> list[tuple[str, float]]:
        """Shares of the user's tags, which add up to one."""
        if not len(rows):
            return []
        worth = np.ones(len(rows))
        if self.rule == "bll":
            worth = (history.ages(moment, rows) + 1.0) ** -self.decay
        sums: dict[str, float] = defaultdict(float)
        for row, value in zip(rows.tolist(), worth.tolist()):
            for tag in history.posts.tags[row]:
                sums[tag] += value
        # softmax over ln(sums) is the share of the sums, so the logarithm of the equation needs no taking.
        whole = sum(sums.values())
        return [(tag, value / whole) for tag, value in sorted(sums.items(), key=lambda x: (-x[1], x[0]))]


def _reasons(rows: NDArray[np.int64], history: History, row: list[tuple[str, float]]) -> list[tuple[Reason, ...]]:
    """The user's three latest posts that carry each tag."""
    past = history.posts
    latest = rows.tolist()[::-1]
    return [
        tuple(Reason("habit", past.ids[at], score) for at in latest if tag in past.tags[at])[:3] for tag, score in row
    ]
