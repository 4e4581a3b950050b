"""What earlier posts tell of a post, as numbers: the community's level of late, and author and tags next to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hashloom.data.record import DAY, Record
from hashloom.types import UNDATED, Posts

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = dict[str, Floats]

LAST = 10
"""An author's last posts."""
NOW = 50
"""A community's very last posts, and a tag's last ones."""
PULL = 10.0
"""A level, and a tag's mean, are drawn towards the usual as if by so many further posts."""


@dataclass
class Past:
    """A record's posts next to the level of their community at their time.

    ``usual``: the level where a community has no earlier post; ``spread``: how much an author's numbers usually vary;
    ``shrink``: an author's mean and spread are drawn towards level and usual spread as if by so many further posts
    (empirical Bayes); ``window``: posts that the level is the mean of.
    """

    record: Record
    usual: float
    spread: float
    shrink: float
    window: int

    def seen(self, posts: Posts, among: int) -> list[Ints]:
        """For each post the rows of its community's earlier posts, at most ``among`` or as many as the level needs."""
        return self.record.rows(posts, "community", max(among, self.window))

    def levels(self, seen: list[Ints]) -> Floats:
        """The community's level before each post, (posts,)."""
        late, values = [rows[-self.window :] for rows in seen], self.record.values
        return np.array([(values[r].sum() + PULL * self.usual) / (len(r) + PULL) for r in late], np.float64)

    def unrest(self, seen: list[Ints]) -> Floats:
        """How much the community's numbers vary of late next to the usual, 1 where nothing is known; (posts,)."""
        usual, values = max(self.spread, 1e-6) ** 2, self.record.values
        late = [values[rows[-self.window :]] for rows in seen]
        squares = np.array([((v - v.mean()) ** 2).sum() if len(v) else 0.0 for v in late], np.float64)
        return np.asarray(np.sqrt((squares / usual + PULL) / (np.array([len(v) for v in late]) + PULL)))

    @cached_property
    def beyond(self) -> Floats:
        """The numbers of the record's posts less their level; (record's posts,)."""
        values, out = self.record.values, np.zeros(len(self.record.values))
        for rows in _groups(self.record.history.posts.communities):
            sums = np.concatenate([[0.0], np.cumsum(values[rows])])
            at = np.arange(len(rows))
            first = np.maximum(0, at - self.window)
            out[rows] = values[rows] - (sums[at] - sums[first] + PULL * self.usual) / (at - first + PULL)
        return out

    @cached_property
    def _running(self) -> Floats:
        """Of each of the record's posts: how many its community has up to it, and the sum of what these got; (2, …)."""
        values, out = self.record.values, np.zeros((2, len(self.record.values)))
        for rows in _groups(self.record.history.posts.communities):
            out[:, rows] = np.arange(1, len(rows) + 1), np.cumsum(values[rows])
        return out

    def author(self, posts: Posts) -> Columns:
        """Features of the author; NaN where there is no earlier post."""
        rows, moments = self.record.rows(posts), self.record.history.moments_of(posts)
        out = np.array([self._of_author(r, int(m)) for r, m in zip(rows, moments)]).reshape(-1, 8)
        made = {f"author_{name}": out[:, i] for i, name in enumerate(_AUTHOR)}
        return made | {"author_known": np.array([float(user is not None) for user in posts.users])}

    def _of_author(self, rows: Ints, moment: int) -> tuple[float, ...]:
        n = len(rows)
        if not n:
            return 0.0, np.nan, np.nan, np.nan, self.spread, 0.0, np.nan, np.nan
        got, last = self.beyond[rows], rows[-LAST:]
        mean, late = got.sum() / (n + self.shrink), self.beyond[last]
        spread = np.sqrt((((got - mean) ** 2).sum() + self.shrink * self.spread**2) / (n + self.shrink))
        steps = np.arange(len(late)) - (len(late) - 1) / 2
        trend = float(steps @ late) / (float(steps @ steps) + 10)
        ages = self.record.history.ages(moment, last)
        rate = np.log1p(len(last) / max(float(ages[0]), 1 / 24))
        gap = np.log1p(max(float(ages[-1]), 0.0))
        return mean, late.sum() / (len(late) + self.shrink), late[-1], trend, spread, np.log1p(n), rate, gap

    def community(self, posts: Posts, seen: list[Ints], levels: Floats) -> Columns:
        """Features of the community; NaN where there is no earlier post."""
        moments = self.record.history.moments_of(posts)
        out = np.array([self._of_community(r, int(m)) for r, m in zip(seen, moments)]).reshape(-1, 5)
        names = ("now", "long", "spread", "rate", "posts")
        made = {f"community_{name}": out[:, i] for i, name in enumerate(names)} | {"community_level": levels}
        return made | {name: made[name] - levels for name in ("community_now", "community_long")}

    def _of_community(self, rows: Ints, moment: int) -> tuple[float, ...]:
        if not len(rows):
            return np.nan, np.nan, np.nan, np.nan, 0.0
        values, last = self.record.values[rows[-self.window :]], rows[-NOW:]
        days = max(float(self.record.history.ages(moment, last[:1])[0]), 1 / 24)
        count, total = self._running[:, rows[-1]]
        return values[-NOW:].mean(), total / count, values.std(), np.log1p(len(last) / days), np.log1p(count)

    def tags(self, posts: Posts, seen: list[Ints]) -> Columns:
        """Features of the tags, from earlier posts of the community that carry them; NaN where there is none."""
        each = zip(posts.communities, posts.tags, seen)
        out = np.array([self._of_tags(c, tags, int(r[-1]) if len(r) else -1) for c, tags, r in each]).reshape(-1, 5)
        made = {f"tag_{name}": out[:, i] for i, name in enumerate(("mean", "best", "least", "recent", "rarity"))}
        return made | {"tag_count": np.array([float(len(tags)) for tags in posts.tags])}

    def _of_tags(self, community: str, tags: list[str], last: int) -> tuple[float, ...]:
        """``last`` is the community's latest row that may be seen: of a tag's rows, those up to it."""
        means, late, counts = [], [], []
        for tag in tags:
            rows, sums = self._bearers.get((community, tag), _NOBODY)
            n = int(np.searchsorted(rows, last, side="right"))
            first = max(0, n - NOW)
            means.append(sums[n] / (n + PULL))
            late.append((sums[n] - sums[first]) / (n - first + PULL))
            counts.append(n)
        if not tags:
            return (np.nan,) * 5
        return float(np.mean(means)), max(means), min(means), float(np.mean(late)), float(np.log1p(min(counts)))

    @cached_property
    def _bearers(self) -> dict[tuple[str, str], tuple[Ints, Floats]]:
        """The rows that carry a tag in a community, and the running sums of what they got beyond the level."""
        posts = self.record.history.posts
        rows: dict[tuple[str, str], list[int]] = {}
        for row, (community, tags) in enumerate(zip(posts.communities, posts.tags)):
            for tag in tags:
                rows.setdefault((community, tag), []).append(row)
        made = {name: np.array(held, np.int64) for name, held in rows.items()}
        return {name: (held, np.concatenate([[0.0], np.cumsum(self.beyond[held])])) for name, held in made.items()}


def times(posts: Posts) -> Columns:
    """Day of the week (Monday 0) and hour in UTC; NaN where a post has no time.

    >>> from datetime import UTC, datetime
    >>> from hashloom.types import Post
    >>> {k: v.tolist() for k, v in times(Posts.of([Post("a", created_at=datetime(2025, 1, 1, 6, tzinfo=UTC))])).items()}
    {'weekday': [2.0], 'hour': [6.0]}
    """
    known = posts.times != UNDATED
    day, hour = (posts.times // DAY + 3) % 7, posts.times % DAY / (DAY / 24)
    return {"weekday": np.where(known, day, np.nan), "hour": np.where(known, hour, np.nan)}


def shrinkage(values: Floats, authors: list[object]) -> float:
    """How many posts' worth of doubt an author's mean deserves: variance within authors by that between them.

    >>> bool(shrinkage(np.array([1.0, 1.1, 5.0, 5.1]), ["mo", "mo", "li", "li"]) < 1)
    True
    """
    groups = [values[rows] for rows in _groups(authors) if len(rows) > 1 and authors[int(rows[0])] is not None]
    if len(groups) < 2:
        return PULL
    within = sum(float(((got - got.mean()) ** 2).sum()) for got in groups) / sum(len(got) - 1 for got in groups)
    means = np.array([got.mean() for got in groups])
    between = float(means.var()) - within * float(np.mean([1 / len(got) for got in groups]))
    return float(np.clip(within / max(between, 1e-6), 0.5, 50.0))


def _groups(names: list[object] | list[str]) -> list[Ints]:
    """The rows of each name, in order."""
    rows: dict[object, list[int]] = {}
    for row, name in enumerate(names):
        rows.setdefault(name, []).append(row)
    return [np.array(held, np.int64) for held in rows.values()]


_AUTHOR = ("mean", "recent", "last", "trend", "spread", "posts", "rate", "gap")
_NOBODY: tuple[Ints, Floats] = (np.zeros(0, np.int64), np.zeros(1))
