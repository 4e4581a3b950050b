"""The tags used most in the post's community, on request with recent uses counting more."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hashloom.data.history import History
from hashloom.recommender import Gone, Recommender
from hashloom.types import UNDATED, Positive, Posts, Rankings, Reason, Source

DAY = 86_400e6
MOST = 1000.0
"""No use counts for more than two to this; posts from the far future, by a wrong clock, would count without bound."""


@dataclass
class Popular(Recommender):
    """Counting, the baseline that papers forget: no text, no picture, no author.

    >>> from hashloom.types import Post
    >>> posts = Posts.of([Post("1", "a", "c", tags=("Rye", "Oat")), Post("2", "b", "c", tags=("Rye",))])
    >>> Popular().fit(posts).recommend(Posts.of([Post("3", "x", "c")]))[0].tags
    ['Rye', 'Oat']
    """

    scope: Literal["community", "all"] = "community"
    """Whose posts are counted; ``all``: everybody's, of which only tags of the asked community's space are given."""
    half_life_days: Positive | None = None
    """A use so many days before the last training post counts half; none: all uses count alike. Where posts have no
    time, one post stands for one day."""

    def _fit(self, posts: Posts) -> None:
        undated = bool(np.any(posts.times == UNDATED))
        self.now_ = {"dated": not undated, "time": int(posts.times.max(initial=0)), "later": 0}
        self.counts_: dict[str, dict[str, float]] = {}
        self._count(posts, np.arange(len(posts), 0, -1) if undated else self._days_before(posts))

    def _days_before(self, posts: Posts) -> NDArray[np.float64]:
        """Days from each post to the last training post, below 0 for later ones; a post without a time: none."""
        return np.where(posts.times == UNDATED, 0.0, (self.now_["time"] - posts.times) / DAY)

    def _count(self, posts: Posts, days: NDArray[Any]) -> None:
        worth = np.ones(len(posts))
        if self.half_life_days is not None:
            worth = np.exp2(np.minimum(-days / self.half_life_days, MOST))
        for community, tags, weight in zip(posts.communities, posts.tags, worth.tolist()):
            place = self._place(community)
            counts = self.counts_.setdefault(place, {})
            for tag in tags:
                counts[tag] = counts.get(tag, 0.0) + weight
            self._best.pop(place, None)

    def _update(self, posts: Posts) -> None:
        if self.now_["dated"]:
            self._move_on(posts)
            return self._count(posts, self._days_before(posts))
        self._count(posts, -self.now_["later"] - np.arange(len(posts)))
        self.now_["later"] += len(posts)

    def _move_on(self, posts: Posts) -> None:
        """Count from a later moment once posts are many half-lives after it, before counts grow too large."""
        ahead = -float(self._days_before(posts).min(initial=0.0))
        if self.half_life_days is None or ahead < MOST / 2 * self.half_life_days:
            return
        less = float(np.exp2(-ahead / self.half_life_days))
        self.counts_ = {place: {tag: n * less for tag, n in of.items()} for place, of in self.counts_.items()}
        self.now_["time"] += int(ahead * DAY)

    def _forget(self, gone: Gone) -> None:
        self._best.clear()
        if self.half_life_days is not None and not self.now_["dated"]:
            return self._fit(gone.left)  # what a post counted for hangs on its place among all
        self.counts_ = {}
        self._count(gone.left, self._days_before(gone.left))

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        made = {community: self._row(community, k) for community in dict.fromkeys(posts.communities)}
        lists = [made[community] for community in posts.communities]
        if not explain:
            return Rankings.of(posts.ids, lists)
        source: Source = "community" if self.half_life_days is None else "trend"
        why = [
            [(Reason(source, community, self.counts_[self._place(community)][tag]),) for tag, _ in row]
            for community, row in zip(posts.communities, lists)
        ]
        return Rankings.of(posts.ids, lists, why)

    def _place(self, community: str) -> str:
        return community if self.scope == "community" else ""

    def _row(self, community: str, k: int) -> list[tuple[str, float]]:
        """Tags by their share of the posts' weight."""
        whole, ranked = self._in_order(self._place(community))
        if self.scope == "community":
            return [(tag, count / whole) for tag, count in ranked[:k]]
        allowed = self.spaces_[community].tags
        return [(tag, count / whole) for tag, count in ranked if tag in allowed][:k]

    def _in_order(self, place: str) -> tuple[float, list[tuple[str, float]]]:
        """The sum of a place's counts, and its tags by their counts."""
        if place not in self._best:
            counts = self.counts_.get(place, {})
            self._best[place] = sum(counts.values()) or 1.0, sorted(counts.items(), key=lambda x: (-x[1], x[0]))
        return self._best[place]

    @cached_property
    def _best(self) -> dict[str, tuple[float, list[tuple[str, float]]]]:
        return {}
