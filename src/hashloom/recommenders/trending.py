"""What is used now: recent uses of a tag, which fade by half-lives and count once per author.

An author adds to a tag what its latest use is worth, however often it was used. A tag that a single author has used
comes after all others, the newest last: one author's flood of a new tag moves no other tag. Ties go to the older tag.
Several accounts of one person are several authors here; that is for a community's moderators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashloom.data.history import NOW, History
from hashloom.recommender import Gone, Recommender, best
from hashloom.types import UNDATED, Count, Positive, Posts, Rankings, Reason

DAY = 86_400e6
LAST = np.iinfo(np.int64).max
MORE = 500
"""So many posts more are entered one by one; at more than that all are put in order anew."""
Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass
class Trending(Recommender):
    """The community's trends at the moment of the asked post, then its other tags by how many authors used them.

    An asked post without a time is a draft of now, which is the moment of the latest post that is remembered. Where
    posts have no time, one post stands for one day.

    >>> from hashloom.types import Post
    >>> rows = [Post(f"r{i}", "loaf", "c", f"u{i}", tags=("Rye",)) for i in range(3)]
    >>> rows += [Post(f"s{i}", "buy", "c", "spammer", tags=("Scam",)) for i in range(50)]
    >>> Trending().fit(Posts.of(rows)).recommend(Posts.of([Post("new", "", "c")]))[0].tags
    ['Rye', 'Scam']
    """

    reads_history: ClassVar[bool] = True

    half_life_days: Positive = 2.0
    """A use so many days old counts half."""
    usual_days: Positive = 30.0
    """Uses older than this are no part of a trend; burst: what is usual is measured over so many days."""
    measure: Literal["count", "burst"] = "count"
    """``count``: how much a tag is used now; ``burst``: how much more than is usual for it."""
    per_author: Count = 1
    """So many uses of a tag by one author count, the latest."""
    least_authors: Count = 2
    """A tag that fewer authors have used in ``usual_days`` is no trend."""
    anonymous: Literal["one", "each"] = "one"
    """Posts without an author count as those of ``one`` author, or ``each`` as of its own: for posts that never name
    one, where nothing then stops a flood."""
    smoothing: Positive = 1.0
    """burst: so many authors are added to both what is used now and what is usual."""

    def _fit(self, posts: Posts) -> None:
        """Nothing is learnt beyond the posts themselves, which the base class remembers."""

    def _forget(self, gone: Gone) -> None:
        self.__dict__.pop("_ordered", None)

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        earlier = [len(rows) for rows in history.before(posts, by="community")]
        made: dict[tuple[str, int, int], tuple[Row, Why]] = {}
        keys = list(zip(posts.communities, earlier, history.moments_of(posts).tolist()))
        for key in dict.fromkeys(keys):
            made[key] = self._row(*key, history, k) if key[1] else ([], [])
        found = [made[key] for key in keys]
        return Rankings.of(posts.ids, [row for row, _ in found], [why for _, why in found] if explain else None)

    def _row(self, community: str, earlier: int, moment: int, history: History, k: int) -> tuple[Row, Why]:
        """Trends, then the community's other tags, of the first ``earlier`` posts as seen at a moment."""
        uses = self._uses(community, history)
        now = uses.day_of(moment, earlier)
        seen = self._seen(uses, earlier, now)
        scores = self._burst(uses, earlier, now, seen.worth) if self.measure == "burst" else seen.worth
        hot = np.flatnonzero(seen.authors >= self.least_authors)
        hot = hot[best(scores[hot], hot, k)]
        row = [(uses.names[t], float(scores[t])) for t in hot]
        said = f"authors in {self.usual_days:g} days"
        why: Why = [(Reason("trend", f"{seen.authors[t]} {said}", float(scores[t])),) for t in hot]
        if len(row) < k:
            rest, authors = uses.others(earlier, seen.authors >= self.least_authors, k - len(row))
            low, most = row[-1][1] if row else 1.0, float(authors.max(initial=0)) + 1
            row += [(uses.names[t], low * n / most) for t, n in zip(rest.tolist(), authors.tolist())]
            why += [(Reason("community", community, n),) for n in authors.tolist()]
        return row, why

    def _seen(self, uses: Uses, earlier: int, now: float) -> Seen:
        """What each tag's uses of the last ``usual_days`` are worth, and by how many authors they are."""
        start, end = uses.between(now - self.usual_days, earlier)
        tags, size = uses.tags[start:end], len(uses.names)
        # Only the latest uses by each author count: those that no later one (or few enough) precedes the end.
        counted = np.flatnonzero(uses.later[start:end] >= end)
        worth = np.exp2((uses.days[start:end][counted] - now) / self.half_life_days)
        by_author = counted if self.per_author == 1 else np.flatnonzero(uses.next[start:end] >= end)
        authors = np.bincount(tags[by_author], minlength=size).astype(np.int64)
        return Seen(np.bincount(tags[counted], worth, size).astype(np.float64), authors)

    def _burst(self, uses: Uses, earlier: int, now: float, worth: Floats) -> Floats:
        """How many times as much as usual: what a steady stream of the usual authors would be worth now is 1."""
        start, _ = uses.between(now - self.usual_days, earlier)
        end, _ = uses.between(now - self.half_life_days, earlier)
        fresh = uses.tags[start:end][uses.fresh[start:end]]
        days = now - self.half_life_days - max(now - self.usual_days, float(uses.days[0]))
        periods = max(days / self.half_life_days, 1.0)
        usual = np.bincount(fresh, minlength=len(worth)) / periods / np.log(2)
        return np.asarray((worth + self.smoothing) / (usual + self.smoothing))

    def _uses(self, community: str, history: History) -> Uses:
        """A community's uses, put in order once for each history; of one that was lengthened, only the new posts."""
        made: Ordered | None = self.__dict__.get("_ordered")
        if made is None or made.history is not history:
            made = self.__dict__["_ordered"] = self._ordered_anew(made, history)
        if community not in made.of:
            made.of[community] = Uses.of(community, history, self)
        return made.of[community]

    def _ordered_anew(self, made: Ordered | None, history: History) -> Ordered:
        size, rows = len(history.moments), history.posts.tags
        # A history that is followed by another shares its lists with it.
        if (
            made is None
            or made.rows is not rows
            or size - made.size > MORE
            or history.moments[made.size - 1] <= UNDATED // 2
        ):
            return Ordered(history, rows, size, {})
        fresh: dict[str, list[int]] = {}
        for row in range(made.size, size):
            fresh.setdefault(history.posts.communities[row], []).append(row)
        longer = {c: made.of[c].followed_by(at, history, self) for c, at in fresh.items() if c in made.of}
        return Ordered(history, rows, size, made.of | longer)


Row = list[tuple[str, float]]
Why = list[tuple[Reason, ...]]


class Seen(NamedTuple):
    """Of each tag, what its counted uses are worth and how many authors they have; both of shape (tags,)."""

    worth: Floats
    authors: Numbers


class Ordered(NamedTuple):
    """A history's uses by community; ``rows`` is its list of tags, of which the first ``size`` are in order."""

    history: History
    rows: list[list[str]]
    size: int
    of: dict[str, Uses]


@dataclass
class Uses:
    """All uses of tags in one community, in order of time; arrays of shape (uses,) where nothing else is said."""

    code: dict[str, int]
    """Tag → its number, the older the smaller."""
    author: dict[str | int | None, int]
    """User → number."""
    starts: Numbers
    """(posts + 1,) where the uses of each post begin."""
    post_days: Floats
    """(posts,) when, in days; undated posts lie one day apart before all that have a time."""
    moments: Numbers
    """(posts,) as the history has them."""
    tags: Numbers
    pairs: Numbers
    """A number for the tag and its author."""
    days: Floats
    next: Numbers
    """Place of the next use of the same tag by the same author; as large as can be where there is none."""
    later: Numbers
    """Likewise of the use by which this one no longer counts, ``per_author`` uses on."""
    fresh: NDArray[np.bool_]
    """Whether it is the author's first use of the tag in its stretch of one half-life."""
    first: NDArray[np.bool_]
    """Whether it is the author's first use of the tag at all."""

    @classmethod
    def of(cls, community: str, history: History, model: Trending) -> Uses:
        """From all posts of a community that a history holds; who asks says how many of them are earlier."""
        at = history.posts.frame["community"].eq(community).arg_true().to_numpy().astype(np.int64)
        code: dict[str, int] = {}
        author: dict[str | int | None, int] = {}
        counts, tags, pairs = _numbered(at.tolist(), history, model, code, author)
        post_days = _days(history.moments[at])
        days = np.repeat(post_days, counts)
        stretches = _stretches(days, post_days[0], model)
        following, fresh, first = _followed(pairs, 1), _begins(pairs, stretches), _begins(pairs, 0 * stretches)
        later = following if model.per_author == 1 else _followed(pairs, model.per_author)
        starts = np.cumsum([0, *counts])
        return cls(
            code, author, starts, post_days, history.moments[at], tags, pairs, days, following, later, fresh, first
        )

    def followed_by(self, at: Sequence[int], history: History, model: Trending) -> Uses:
        """With few later posts, rows ``at`` of the history, quickly."""
        counts, tags, pairs = _numbered(at, history, model, self.code, self.author)
        moments, none = history.moments[at], np.full(len(tags), LAST)
        post_days, yes = _days(moments), np.ones(len(tags), dtype=bool)
        days = np.concatenate([self.days, np.repeat(post_days, counts)])
        all_pairs = np.concatenate([self.pairs, pairs])
        following, later, fresh, first = (
            np.concatenate(parts)
            for parts in ((self.next, none), (self.later, none), (self.fresh, yes), (self.first, yes))
        )
        stretches = _stretches(days, self.post_days[0], model)
        for i in range(len(self.tags), len(days)):
            before = np.flatnonzero(all_pairs[:i] == all_pairs[i])
            if len(before):
                following[before[-1]], first[i] = i, False
                fresh[i] = stretches[before[-1]] != stretches[i]
            if len(before) >= model.per_author:
                later[before[-model.per_author]] = i
        starts = np.concatenate([self.starts, self.starts[-1] + np.cumsum(counts)])
        return Uses(
            self.code, self.author, starts, np.concatenate([self.post_days, post_days]),
            np.concatenate([self.moments, moments]), np.concatenate([self.tags, tags]), all_pairs, days,
            following, later, fresh, first,
        )  # fmt: skip

    @cached_property
    def names(self) -> list[str]:
        """Number → tag."""
        return list(self.code)

    def day_of(self, moment: int, earlier: int) -> float:
        """A moment in days, of which ``earlier`` posts are strictly earlier."""
        before = float(self.post_days[earlier - 1])
        if moment <= UNDATED // 2 or self.moments[earlier - 1] <= UNDATED // 2:
            return before + 1
        return before if moment >= NOW // 2 else moment / DAY

    def between(self, since: float, earlier: int) -> tuple[int, int]:
        """Where the uses since a day begin and end among those of the first ``earlier`` posts."""
        post = int(np.searchsorted(self.post_days[:earlier], since, side="left"))
        return int(self.starts[post]), int(self.starts[earlier])

    def others(self, earlier: int, out: NDArray[np.bool_], k: int) -> tuple[Numbers, Numbers]:
        """The ``k`` tags not ``out`` that most authors have ever used, the older first; and by how many authors."""
        end = int(self.starts[earlier])
        authors = np.bincount(self.tags[:end][self.first[:end]], minlength=len(self.names))
        left = np.flatnonzero((authors > 0) & ~out)
        chosen = left[best(authors[left], left, k)]
        return chosen, authors[chosen]


def _days(moments: Numbers) -> Floats:
    """When posts were written, in days; (posts,). Undated ones, which come first, lie one day apart."""
    days = moments / DAY
    undated = int(np.searchsorted(moments, UNDATED // 2))
    days[:undated] = (days[undated] if undated < len(days) else 0.0) - np.arange(undated, 0, -1)
    return days


def _numbered(
    at: Sequence[int], history: History, model: Trending, code: dict[str, int], author: dict[str | int | None, int]
) -> tuple[list[int], Numbers, Numbers]:
    """Uses per post, and of each use the tag's number and the pair's; new tags and authors enter the dicts."""
    rows, users = history.posts.tags, history.posts.users
    counts = [len(rows[i]) for i in at]
    tags = np.array([code.setdefault(tag, len(code)) for i in at for tag in rows[i]], dtype=np.int64)
    one = model.anonymous == "one"
    named = (users[i] if users[i] is not None or one else i for i in at)
    authors = np.array([author.setdefault(name, len(author)) for name in named], dtype=np.int64)
    return counts, tags, (tags << 32) + np.repeat(authors, counts)


def _stretches(days: Floats, since: float, model: Trending) -> Numbers:
    return np.floor((days - since) / model.half_life_days).astype(np.int64)


def _followed(pairs: Numbers, steps: int) -> Numbers:
    """For each use, the place of the one by the same pair of tag and author ``steps`` uses on. (uses,)."""
    order = np.argsort(pairs, kind="stable")
    found = np.full(len(pairs), LAST)
    same = pairs[order[steps:]] == pairs[order[:-steps]]
    found[order[:-steps][same]] = order[steps:][same]
    return found


def _begins(pairs: Numbers, stretches: Numbers) -> NDArray[np.bool_]:
    """Whether a use is the first by its pair of tag and author within its stretch of time. (uses,)."""
    order = np.lexsort((stretches, pairs))
    found = np.ones(len(pairs), dtype=bool)
    same = (np.diff(pairs[order]) == 0) & (np.diff(stretches[order]) == 0)
    found[order[1:][same]] = False
    return found
