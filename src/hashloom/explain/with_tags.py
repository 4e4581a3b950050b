"""Tags and attention together: what posts with a tag got beside what their authors usually get, and a dial for it.

An association, never a promise: nobody drew lots for who uses a tag. Fame is taken out within authors, evidence is
counted by authors, and differences are drawn to 0 by empirical Bayes (Morris, JASA 1983).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from hashloom.data.history import History
from hashloom.tags import key
from hashloom.types import Posts, Rankings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashloom.forecaster import Forecaster
    from hashloom.types import Post

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LEAST = 5
"""With fewer authors than this, nothing is said of a tag but how far tags of its community usually lie apart."""
WINDOW = 250
"""The level of a community around a time is that of so many posts on either side."""
FAR = 4.0
"""Numbers farther out than so many times the usual distance from the community's middle are drawn in to there."""
BORROWED = 4.0
"""The spread among authors that is usual for tags of the community counts as so many authors more."""
SURE = 1.96
"""Half of an interval in standard errors: 95 %."""


@dataclass(frozen=True, slots=True)
class TagEffect:
    """What goes with a tag, on the forecaster's scale (``formula``); neither number promises what a tag would do.

    ``change`` is what the model forecasts with the tag less what it forecasts without. ``association`` (``low`` to
    ``high``, 95 %) is how posts with the tag did next to others, fame taken out, in the post's community; ``posts``
    and ``authors`` are those that it was seen on.
    """

    tag: str
    change: float
    association: float
    low: float
    high: float
    posts: int
    authors: int

    @property
    def thin(self) -> bool:
        """Whether too few authors used the tag to say anything; the association is then 0 and its interval wide."""
        return self.authors < LEAST


@dataclass(frozen=True, slots=True)
class Association:
    """How posts with a tag did next to others of the community, with its 95 % interval and what it was seen on."""

    value: float
    low: float
    high: float
    posts: int
    authors: int


class Associations:
    """For each community and tag (key): what its posts got beside what their authors usually get, less the others.

    ``posts`` are what a forecaster remembers: community, user, time, tags as keys and the column ``value``. Of each
    post its *surplus* is taken: its number less the community's level then, less what the author's earlier posts got
    above theirs (drawn to 0 where they are few). An author's vote on a tag is the mean surplus of the posts with it
    less that of the author's other posts, drawn to that of the community's others where these are few. The
    association is the mean vote: no author weighs more than one, however many posts there are. Numbers far out are
    drawn in first, and posts without an author count as one author's, unless the community names none at all. Of a
    tag that its authors put on every post, nothing can tell it from them: it is then drawn far to 0.

    >>> import polars as pl
    >>> from hashloom.types import Post
    >>> rows = [Post(f"{u}-{i}", user=f"u{u}", tags=("rye",) * (i % 2)) for i in range(20) for u in range(9)]
    >>> value = [float(i % 2 + u % 3) for i in range(20) for u in range(9)]
    >>> learnt = Associations(Posts(Posts.of(rows).frame.with_columns(value=pl.Series(value))))
    >>> found = learnt.of("", "rye")
    >>> round(found.value), found.low > 0, found.posts, found.authors
    (1, True, 90, 9)
    """

    def __init__(self, posts: Posts) -> None:
        past = History(posts)
        self._communities: dict[str, int] = {}
        community = _codes(past.posts.communities, self._communities)
        author = _codes(_authors(past.posts.users, community))
        surplus, prior, spread = _surplus(past, community, author)
        self._tags: dict[tuple[int, str], int] = {}
        votes = self._votes(past.posts.tags, community, author, surplus, prior)
        self._settle(votes, spread)

    def of(self, community: str, tag: str) -> Association:
        """The association of a tag (key); 0 with a wide interval where too little, or nothing, was seen of it."""
        at = self._tags.get((self._communities.get(community, -1), tag), -1)
        if at >= 0:
            value, error = float(self._value[at]), float(self._error[at])
            return Association(
                value, value - SURE * error, value + SURE * error, int(self._posts[at]), int(self._authors[at])
            )
        wide = SURE * float(self._wide[self._communities[community]] if community in self._communities else self._most)
        return Association(0.0, -wide, wide, 0, 0)

    def _votes(
        self, tags: Sequence[Sequence[str]], community: Ints, author: Ints, surplus: Floats, prior: Floats
    ) -> Votes:
        """What each author's posts say of each tag that they carry."""
        own = [tuple(dict.fromkeys(row)) for row in tags]
        post = np.repeat(np.arange(len(own)), np.fromiter(map(len, own), np.int64, len(own)))
        tag = _codes(zip(community[post].tolist(), chain.from_iterable(own)), self._tags)
        pair, first = np.unique(tag * (author.max(initial=0) + 1) + author[post], return_inverse=True)
        whose, which = np.divmod(pair, author.max(initial=0) + 1)[::-1]
        vote = 1 / np.bincount(author)[author]
        rest = _rest(community, vote, surplus, tag, post)
        n, total = np.bincount(first, minlength=len(pair)), np.bincount(first, surplus[post], len(pair))
        others = np.bincount(author)[whose] - n
        left = np.bincount(author, surplus)[whose] - total
        drawn = prior[np.fromiter((c for c, _ in self._tags), np.int64, len(self._tags))][which]
        lone = (left + drawn * rest[which]) / np.maximum(others + drawn, 1e-9)
        # Posts with the tag and posts to compare them with are worth their harmonic mean, which one vote bounds.
        worth = n * (others + drawn) / (n + others + drawn)
        weight = np.where(np.isfinite(lone), worth / (worth + 1), 0)
        self._posts, self._authors = np.bincount(tag, minlength=len(rest)), np.bincount(which, minlength=len(rest))
        return Votes(which, total / n - np.where(weight > 0, lone, 0), weight)

    def _settle(self, votes: Votes, spread: Floats) -> None:
        """Means of votes, their errors among authors, and both drawn to 0 within each community."""
        community = np.fromiter((c for c, _ in self._tags), np.int64, len(self._tags))
        mean, error, known = votes.means(community, len(self._communities))
        self._value, self._error, apart = _drawn(mean, error, known, community, len(self._communities))
        widest = np.zeros(len(self._communities))
        np.maximum.at(widest, community[known], self._error[known])
        self._wide = np.where(
            np.bincount(community[known], minlength=len(widest)) > 0, np.maximum(widest, apart), spread
        )
        self._value = np.where(known, self._value, 0)
        self._error = np.where(known, self._error, self._wide[community])
        self._most = self._wide.max(initial=0)


@dataclass(frozen=True)
class Votes:
    """One author's say on one tag each: which tag, how much more its posts got, and the weight, below 1; (votes,)."""

    tag: Ints
    value: Floats
    weight: Floats

    def means(self, community: Ints, communities: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Mean vote per tag, its variance, and whether enough authors gave one; ``community`` is that of each tag."""
        tags = len(community)
        size, weight = np.bincount(self.tag[self.weight > 0], minlength=tags), np.bincount(self.tag, self.weight, tags)
        mean = np.bincount(self.tag, self.weight * self.value, tags) / np.maximum(weight, 1e-9)
        apart = np.bincount(self.tag, self.weight * (self.value - mean[self.tag]) ** 2, tags)
        known = size >= LEAST
        free = np.bincount(community[known], size[known] - 1, communities)
        usual = np.bincount(community[known], apart[known], communities) / np.maximum(free, 1)
        variance = (apart + BORROWED * usual[community]) / np.maximum(size - 1 + BORROWED, 1)
        return mean, variance / np.maximum(weight, 1e-9), known


def associations(forecaster: Forecaster) -> Associations:
    """What a forecaster's memory says of tags; learnt when first asked for and again when the memory is another."""
    forecaster._must_be_fitted()
    made = _LEARNT.get(forecaster.memory_)
    if made is None:
        made = _LEARNT[forecaster.memory_] = Associations(forecaster.memory_)
    return made


_LEARNT: WeakKeyDictionary[Posts, Associations] = WeakKeyDictionary()


def effects(
    forecaster: Forecaster, post: Post, tags: Sequence[str], *, history: Posts | None = None
) -> list[TagEffect]:
    """What goes with each tag (display form or key) on a post, in the order given.

    The change is the model's, 0 where it reads no tags: the post as it is, with the tag less without it. ``history``
    is for these forecasts; the associations are of the memory alone.

    >>> from hashloom.forecasters.author_mean import AuthorMean
    >>> from hashloom.types import Post
    >>> model = AuthorMean(prior=0).fit(Posts.of([Post("a", user="mo", tags=("Rye",), popularity=5.0)]))
    >>> found = effects(model, Post("new", user="mo"), ["#Rye"])[0]
    >>> found.change, found.association, found.posts, found.thin
    (0.0, 0.0, 1, True)
    """
    if isinstance(tags, str):
        raise TypeError(f"tags must be several, not one string; write [{tags!r}]")
    if not tags:
        return []
    learnt = associations(forecaster)
    bare = [tuple(t for t in post.tags if key(t) != key(tag)) for tag in tags]
    added = [(*row, tag) for row, tag in zip(bare, tags)]
    asked = list(dict.fromkeys([*bare, *added]))
    made = forecaster.forecast(Posts.of([replace(post, tags=row) for row in asked]), history=history)
    value = dict(zip(asked, made.values.tolist()))
    seen = [learnt.of(post.community, key(tag)) for tag in tags]
    return [_effect(tag, value[y] - value[x], a) for tag, x, y, a in zip(tags, bare, added, seen)]


def _effect(tag: str, change: float, seen: Association) -> TagEffect:
    return TagEffect(tag, change, seen.value, seen.low, seen.high, seen.posts, seen.authors)


def dialled(
    rankings: Rankings, posts: Posts, forecaster: Forecaster, dial: float, *, history: Posts | None = None
) -> Rankings:
    """Each post's own suggestions, in the order of (1 − dial)·relevance + dial·attention, which are the new scores.

    Relevance is the suggestion's score, attention the lower end of the association's interval, so that thin evidence
    is not rewarded; each runs from 0 to 1 over the suggestions of the post. No tag is added or dropped, reasons stay,
    ties keep their order, and with 0 the rankings are handed back as they are. ``history`` changes nothing: what is
    known of tags is the memory alone, so that no asked post's number reaches its own order.

    Raises ``ValueError`` for a dial outside 0 to 1 and where rankings and posts are not of the same posts.
    """
    if not 0 <= dial <= 1:
        raise ValueError(f"dial must lie between 0 (relevance alone) and 1 (attention alone), not {dial!r}")
    if list(rankings.ids) != posts.ids:
        raise ValueError("rankings and posts are not of the same posts in the same order; give the posts asked about")
    if dial == 0:
        return rankings
    learnt = associations(forecaster)
    order, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
    for i, community in enumerate(posts.communities):
        tags, relevance = rankings.row(i)
        low = np.array([learnt.of(community, key(tag)).low for tag in tags])
        made = (1 - dial) * _unit(relevance) + dial * _unit(low)
        best = np.argsort(-made, kind="stable")
        order.append(rankings.starts[i] + best)
        scores.append(made[best])
    rows = np.concatenate(order)
    why = None if rankings.reasons is None else [rankings.reasons[row] for row in rows]
    starts = rankings.starts - rankings.starts[0]
    return replace(rankings, starts=starts, tags=rankings.tags[rows], scores=np.concatenate(scores), reasons=why)


def _unit(values: Floats) -> Floats:
    """From 0 for the least to 1 for the most; zeros where all are alike."""
    if not len(values) or values.max() == values.min():
        return np.zeros(len(values))
    return np.asarray((values - values.min()) / (values.max() - values.min()))


# ---------------------------------------------------------------- what is learnt


def _codes(names: Iterable[Hashable], held: dict[Any, int] | None = None) -> Ints:
    """A number for each different name, in the order of appearance; ``held`` is filled with them."""
    seen: dict[Any, int] = {} if held is None else held
    return np.array([seen.setdefault(name, len(seen)) for name in names], dtype=np.int64)


def _authors(users: Sequence[str | None], community: Ints) -> list[Hashable]:
    """Who wrote each post, apart for each community; posts without an author are one's, unless all of it are."""
    codes = community.tolist()
    named = {c for c, user in zip(codes, users) if user is not None}
    return [
        (c, user) if user is not None or c in named else (c, None, i) for i, (c, user) in enumerate(zip(codes, users))
    ]


def _surplus(past: History, community: Ints, author: Ints) -> tuple[Floats, Floats, Floats]:
    """What each post got over its community's level and its author's usual (posts,), and two facts per community.

    These are κ, the posts of an author that say as much as knowing nothing of him, and the spread of numbers.
    """
    vote = 1 / np.bincount(author)[author]
    value = past.posts.frame["value"].to_numpy().astype(np.float64)
    value, spread = _drawn_in(value, vote, community)
    over = value - _level(value, vote, community)
    prior = _prior(over, author, community)
    count, got = earlier(author, past.moments, np.ones(len(over)), over)
    return over - got / (count + prior[community]), prior, spread


def _drawn_in(value: Floats, vote: Floats, community: Ints) -> tuple[Floats, Floats]:
    """The numbers with those far out drawn in, and the usual distance from the middle; each author has one vote."""
    value, spread = value.copy(), np.zeros(community.max(initial=-1) + 1)
    for c, rows in enumerate(_rows_of(community)):
        middle = _quantile(value[rows], vote[rows], 0.5)
        away = np.abs(value[rows] - middle)
        spread[c] = _quantile(away, vote[rows], 0.75) or float(away.max())
        value[rows] = np.clip(value[rows], middle - FAR * spread[c], middle + FAR * spread[c])
    return value, spread


def _rows_of(groups: Ints) -> list[Ints]:
    """The rows of each group."""
    return np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1]) if len(groups) else []


def _quantile(values: Floats, weights: Floats, share: float) -> float:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, share * reached[-1])])


def _level(value: Floats, vote: Floats, community: Ints) -> Floats:
    """What authors of the community got around the time of each post, each author one vote over all time; (posts,).

    Looking to both sides keeps a rise from looking like a surplus; nothing is forecast by it.
    """
    level = np.empty(len(value))
    for rows in _rows_of(community):
        weight, total = (np.concatenate([[0.0], np.cumsum(c[rows])]) for c in (vote, vote * value))
        at = np.arange(len(rows))
        first, end = np.maximum(at - WINDOW, 0), np.minimum(at + WINDOW + 1, len(rows))
        level[rows] = (total[end] - total[first]) / (weight[end] - weight[first])
    return level


def earlier(groups: Ints, moments: Ints, *columns: Floats) -> list[Floats]:
    """Sums of each column over the strictly earlier rows of the same group.

    Rows come in order of time, all of shape (rows,). ``data.record.Record`` gives the same for any asked posts; this
    is for all rows at once.

    >>> earlier(np.array([0, 0, 1, 0]), np.array([1, 2, 2, 2]), np.array([5.0, 6.0, 7.0, 8.0]))
    [array([0., 5., 0., 5.])]
    """
    order = np.argsort(groups, kind="stable")
    at, group, moment = np.arange(len(order)), groups[order], moments[order]
    opens = np.ones((2, len(order)), dtype=bool)
    opens[0, 1:] = group[1:] != group[:-1]
    opens[1, 1:] = opens[0, 1:] | (moment[1:] != moment[:-1])
    start, end = np.maximum.accumulate(np.where(opens, at, 0), axis=1)
    found = []
    for column in columns:
        running = np.concatenate([[0.0], np.cumsum(column[order])])
        found.append(np.empty(len(order)))
        found[-1][order] = running[end] - running[start]
    return found


def _prior(over: Floats, author: Ints, community: Ints) -> Floats:
    """κ per community: variance within authors (each with one vote) over that between authors, from 0.1 to 100."""
    n = np.bincount(author)
    mean = np.bincount(author, over) / np.maximum(n, 1)
    within = np.bincount(author, (over - mean[author]) ** 2) / np.maximum(n - 1, 1)
    where = np.zeros(len(n), dtype=np.int64)
    where[author] = community
    some, size = n >= 2, int(community.max(initial=-1)) + 1
    authors = np.maximum(np.bincount(where[some], minlength=size), 1)
    noise = np.bincount(where[some], within[some], size) / authors
    centre = np.bincount(where[some], mean[some], size) / authors
    apart = np.bincount(where[some], (mean[some] - centre[where[some]]) ** 2 - within[some] / n[some], size) / authors
    return np.clip(noise / np.maximum(apart, 1e-9), 0.1, 100.0)


def _rest(community: Ints, vote: Floats, surplus: Floats, tag: Ints, post: Ints) -> Floats:
    """For each tag the mean surplus of the community's posts without it, each author one vote; NaN: there is none."""
    tags = int(tag.max(initial=-1)) + 1
    where = np.zeros(tags, dtype=np.int64)
    where[tag] = community[post]
    weight = np.bincount(community, vote)[where] - np.bincount(tag, vote[post], tags)
    total = np.bincount(community, vote * surplus)[where] - np.bincount(tag, (vote * surplus)[post], tags)
    return np.where(weight > 1e-9, total / np.maximum(weight, 1e-9), np.nan)


def _drawn(
    mean: Floats, variance: Floats, known: NDArray[np.bool_], community: Ints, communities: int
) -> tuple[Floats, Floats, Floats]:
    """Means drawn to 0 and their standard errors (tags,), and how far tags lie apart (communities,).

    Morris's empirical Bayes with the prior mean 0: how far apart the tags of a community truly lie is learnt from the
    well-known ones, and not knowing it well, where they are few, widens the interval.
    """
    where, m, v = community[known], mean[known], np.maximum(variance[known], 1e-12)
    apart = np.zeros(communities)
    for _ in range(50):
        weight = 1 / (v + apart[where])
        top = np.bincount(where, weight * (m**2 - v), communities)
        apart = np.maximum(top / np.maximum(np.bincount(where, weight, communities), 1e-12), 0)
    size = np.bincount(where, minlength=communities)[where]
    shrink = np.maximum(size - 2, 0) / size * v / (v + apart[where])
    value, error = np.zeros(len(mean)), np.zeros(len(mean))
    value[known] = (1 - shrink) * m
    error[known] = np.sqrt(v * (1 - shrink) + 2 / size * (shrink * m) ** 2)
    return value, error, np.sqrt(apart)
