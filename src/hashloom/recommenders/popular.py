"""The tags used most in the post's community, on request with recent uses counting more."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

import numpy as np

from hashloom.data.history import History
from hashloom.recommender import Recommender
from hashloom.types import UNDATED, Positive, Posts, Rankings, Reason, Source

DAY = 86_400e6


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
        sums: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for community, tags, weight in zip(posts.communities, posts.tags, self._weights(posts)):
            place = community if self.scope == "community" else ""
            for tag in tags:
                sums[place][tag] += weight
        self.counts_ = {place: _ranked(found) for place, found in sums.items()}

    def _weights(self, posts: Posts) -> list[float]:
        if self.half_life_days is None:
            return [1.0] * len(posts)
        times = posts.times
        back = np.arange(len(posts), 0, -1) if np.any(times == UNDATED) else (times[-1] - times) / DAY
        return np.exp2(-back / self.half_life_days).tolist()

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        made = {community: self._row(community, k) for community in dict.fromkeys(posts.communities)}
        lists = [made[community] for community in posts.communities]
        source: Source = "community" if self.half_life_days is None else "trend"
        why = [
            [(Reason(source, community, self.counts_[self._place(community)][tag]),) for tag, _ in row]
            for community, row in zip(posts.communities, lists)
        ]
        return Rankings.of(posts.ids, lists, why if explain else None)

    def _place(self, community: str) -> str:
        return community if self.scope == "community" else ""

    def _row(self, community: str, k: int) -> list[tuple[str, float]]:
        """Tags by their share of the posts' weight."""
        counts = self.counts_.get(self._place(community), {})
        whole = sum(counts.values()) or 1.0
        allowed = self.spaces_[community].tags if self.scope == "all" else counts
        return [(tag, count / whole) for tag, count in counts.items() if tag in allowed][:k]


def _ranked(sums: dict[str, float]) -> dict[str, float]:
    return dict(sorted(sums.items(), key=lambda x: (-x[1], x[0])))
