"""Floods: one author's many posts must not move what others are told.

Of what an author posts on one day (UTC) in one community, only so many posts count for others, and of those with the
same tag fewer still. The author's own habits know them all. Posts without an author or a time are not weighed.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from hashloom.types import UNDATED, Posts

POSTS_A_DAY = 30
"""So many of an author's posts of a day count for others."""
SAME_A_DAY = 3
"""So many of an author's uses of one tag on a day count for others."""
DAY = 86_400_000_000
DAYS = 2
"""Days that are remembered."""


class Floods:
    """How often each author posted, and used each tag, on the author's own latest days.

    >>> from datetime import UTC, datetime
    >>> from hashloom.types import Post
    >>> when = datetime(2025, 3, 2, tzinfo=UTC)
    >>> flood = Posts.of([Post(str(i), "buy", "c", "mo", when, tags=("Scam",)) for i in range(5)])
    >>> Floods().admit(flood).tolist()
    [True, True, True, False, False]
    """

    def __init__(self) -> None:
        self._days: dict[tuple[str, str], dict[int, Counter[str | None]]] = {}

    def admit(self, posts: Posts) -> NDArray[np.bool_]:
        """Which of these posts count for others; they are weighed in their order, and counted. (posts,)"""
        made = np.ones(len(posts), dtype=bool)
        for i, (community, user, time, tags) in enumerate(
            zip(posts.communities, posts.users, posts.times.tolist(), posts.tags)
        ):
            if user is not None and time != UNDATED:
                counts = self._of((community, user), time // DAY)
                different = dict.fromkeys(tags)
                made[i] = counts[None] < POSTS_A_DAY and all(counts[tag] < SAME_A_DAY for tag in different)
                counts.update([None, *different])
        return made

    def _of(self, author: tuple[str, str], day: int) -> Counter[str | None]:
        """An author's counts of a day: of posts (None) and of tags. Days long past count as the oldest one held."""
        days = self._days.setdefault(author, {})
        day = max(day, max(days, default=day) - DAYS + 1)
        for old in [other for other in days if other <= day - DAYS]:
            del days[old]
        return days.setdefault(day, Counter())
