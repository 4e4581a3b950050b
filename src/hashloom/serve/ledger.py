"""Who used which tag where: favourites, trends and completions without any model, and how many authors a tag has.

Posts come and go one by one, and all counts follow. A tag counts once per author wherever one author's flood could
move others' answers, and not at all for authors who came too lately (``newcomers``), where such an age is set.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from time import time
from typing import NamedTuple

from hashloom.serve.newcomers import NEVER, Arrivals
from hashloom.tags import display, key, unique
from hashloom.types import UNDATED, Posts

DAY = 86_400e6
NOBODY = "\0nobody"


class Held(NamedTuple):
    """What is remembered of a post: who, when (microseconds since 1970) and its tags as they are shown."""

    author: str
    at: int
    tags: tuple[str, ...]


class Used(NamedTuple):
    """A tag (key) of a community, by how many authors it was used and how often."""

    tag: str
    authors: int
    uses: int


class Trend(NamedTuple):
    """A tag (key) that is used now: what its authors' latest uses are worth, and how many authors and uses it has."""

    tag: str
    worth: float
    authors: int
    uses: int


class _Ranked(NamedTuple):
    """Favourites, and until when they hold if no post comes or goes: then a newcomer is none any more."""

    used: list[Used]
    until: float


class _Counted(NamedTuple):
    """Trends, and until when they hold if no post comes or goes: then a later post, or a newcomer, counts as well."""

    trends: list[Trend]
    until: float


@dataclass
class Place:
    """A community's posts and the uses of its tags, by author; ``forms`` count how each tag is written."""

    posts: dict[str, Held] = field(default_factory=dict)
    uses: dict[str, Counter[str]] = field(default_factory=dict)
    forms: dict[str, Counter[str]] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    """The most used form of those tags that were asked for."""
    arrivals: Arrivals | None = None
    ranked: _Ranked | None = None
    changes: int = 0
    trends: dict[tuple[float, float, int], _Counted] = field(default_factory=dict)
    """By half life, days and least authors."""

    def changed(self) -> None:
        """What was counted of the posts before holds no longer."""
        self.ranked = None
        self.changes += 1
        self.shown.clear()
        self.trends.clear()


class Ledger:
    """All communities' posts by who used which tags. Safe for many threads.

    ``trusted_after_days``: authors count for others once their first post in the community is so old; 0: at once.

    >>> from hashloom.types import Post
    >>> ledger = Ledger()
    >>> ledger.put(Posts.of([Post("1", "", "c", "mo", tags=("Rye",)), Post("2", "", "c", "al", tags=("rye", "Oat"))]))
    >>> ledger.favourites("c"), ledger.authors("c", "oat"), ledger.shown("c", "rye")
    ([Used(tag='rye', authors=2, uses=2), Used(tag='oat', authors=1, uses=1)], {'al'}, 'Rye')
    """

    def __init__(self, anonymous: str = "each", trusted_after_days: float = 0.0) -> None:
        self._one = anonymous == "one"
        self._age = int(trusted_after_days * DAY)
        self._places: dict[str, Place] = {}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        with self._lock:
            return sum(len(place.posts) for place in self._places.values())

    def put(self, posts: Posts) -> None:
        """Enter posts, or their edits."""
        rows = zip(posts.communities, posts.ids, posts.users, posts.times.tolist(), posts.tags)
        with self._lock:
            for community, id, user, at, tags in rows:
                self._remove(community, id)
                self._put(community, id, user, at, tags)
            for community in set(posts.communities):
                self._settle(community)

    def _put(self, community: str, id: str, user: str | None, at: int, tags: Iterable[str]) -> None:
        if community not in self._places:
            self._places[community] = Place(arrivals=Arrivals() if self._age else None)
        place = self._places[community]
        author = sys.intern(user) if user is not None else NOBODY if self._one else f"\0{id}"
        shown = tuple(sys.intern(display(tag)) for tag in unique(tags))
        place.posts[id] = Held(author, at, shown)
        if place.arrivals is not None:
            place.arrivals.came(author, at)
        place.changed()
        for form in shown:
            tag = key(form)
            place.uses.setdefault(tag, Counter())[author] += 1
            place.forms.setdefault(tag, Counter())[form] += 1

    def remove(self, community: str, ids: Iterable[str]) -> None:
        """Take posts out."""
        with self._lock:
            for id in ids:
                self._remove(community, id)
            self._settle(community)

    def _settle(self, community: str) -> None:
        """After posts went: since when those authors are there whose first one was among them."""
        place = self._places.get(community)
        if place is not None and place.arrivals is not None:
            place.arrivals.settle((held.author, held.at) for held in place.posts.values())

    def drop(self, community: str) -> None:
        """Take a whole community out."""
        with self._lock:
            self._places.pop(community, None)

    def communities(self) -> list[str]:
        """The communities that have posts."""
        with self._lock:
            return list(self._places)

    def _remove(self, community: str, id: str) -> None:
        place = self._places.get(community)
        held = place.posts.pop(id, None) if place else None
        if place is None or held is None:
            return
        for form in held.tags:
            tag = key(form)
            _less(place.uses, tag, held.author)
            _less(place.forms, tag, form)
        if place.arrivals is not None:
            place.arrivals.went(held.author, held.at)
        place.changed()
        if not place.posts:
            del self._places[community]

    def knows(self, community: str) -> bool:
        """Whether the community has posts."""
        return community in self._places

    def tagged(self, community: str, id: str) -> bool:
        """Whether a post is among them and has tags."""
        place = self._places.get(community)
        held = place.posts.get(id) if place else None
        return held is not None and bool(held.tags)

    def authors(self, community: str, tag: str) -> set[str]:
        """Who used a tag (key)."""
        with self._lock:
            place = self._places.get(community)
            return set(place.uses.get(tag, ())) if place else set()

    @property
    def tells_newcomers(self) -> bool:
        """Whether there is an age before which authors do not count for others."""
        return self._age > 0

    def at_least(self, community: str, tag: str, count: int, more: Iterable[str] = ()) -> bool:
        """Whether so many authors who count used a tag (key), those of the ledger and ``more`` of them taken together.

        Who is not known here is no newcomer.
        """
        if count <= 0:
            return True
        with self._lock:
            place = self._places.get(community)
            arrivals, before = place.arrivals if place else None, self._before(int(time() * 1e6))
            found: set[str] = set()
            for by in (place.uses.get(tag, ()) if place else (), more):
                for author in by:
                    if arrivals is None or not arrivals.is_after(author, before):
                        found.add(author)
                    if len(found) >= count:
                        return True
        return False

    def _before(self, clock: int) -> int:
        """Who came later than this is a newcomer."""
        return clock - self._age

    def _newcomers(self, place: Place, clock: int) -> tuple[set[str], float]:
        """Who does not count yet, and when the next of them will."""
        if place.arrivals is None:
            return set(), float("inf")
        next_one = place.arrivals.next_after(self._before(clock))
        return place.arrivals.after(self._before(clock)), next_one + self._age if next_one < NEVER else float("inf")

    def shown(self, community: str, tag: str) -> str:
        """How a tag is written most often, CamelCase first among equals; the tag itself where nobody used it."""
        with self._lock:
            place = self._places.get(community)
            forms = place.forms.get(tag) if place else None
            if place is None or not forms:
                return tag
            if tag not in place.shown:
                place.shown[tag] = min(
                    forms, key=lambda form: (-forms[form], -sum(c.isupper() for c in form[1:]), form)
                )
            return place.shown[tag]

    def favourites(self, community: str) -> list[Used]:
        """A community's tags, those that most authors used first; ties by uses, then by the alphabet.

        Newcomers and their uses are not counted; tags that they alone have used come last, with none of either.
        """
        clock = int(time() * 1e6)
        with self._lock:
            place = self._places.get(community)
            if place is None:
                return []
            if place.ranked is None or clock >= place.ranked.until:
                new, until = self._newcomers(place, clock)
                counted = (_used(tag, by, new) for tag, by in place.uses.items())
                used = sorted(counted, key=lambda used: (-used.authors, -used.uses, used.tag))
                place.ranked = _Ranked(used, until)
            return place.ranked.used

    def trends(self, community: str, half_life_days: float = 2.0, days: float = 30.0, least: int = 2) -> list[Trend]:
        """What is used now, as ``recommenders.trending`` counts it: each author's latest use, which fades.

        Now is the moment of the latest post, but not later than the clock says; posts without a time are no part of
        it, nor are those of newcomers, nor tags that fewer than ``least`` authors have used in so many days. They are
        counted anew when posts of the community have come or gone.
        """
        clock, asked = int(time() * 1e6), (half_life_days, days, least)
        with self._lock:
            place = self._places.get(community)
            if place is None:
                return []
            known = place.trends.get(asked)
            if known is not None and clock < known.until:
                return known.trends
            held, changes = list(place.posts.values()), place.changes
            new, until = self._newcomers(place, clock)
        made = _trends([one for one in held if UNDATED < one.at <= clock and one.author not in new], *asked)
        until = min([until, *(one.at for one in held if one.at > clock)])
        with self._lock:
            if place.changes == changes:
                place.trends[asked] = _Counted(made, until)
        return made

    def completed(self, community: str, start: str, allowed: Callable[[str], bool], k: int) -> list[Used]:
        """Favourites whose key begins with what was typed, then those with a word that does; at most ``k``."""
        start = key(start)
        first = (used for used in self.favourites(community) if used.tag.startswith(start))
        later = (used for used in self.favourites(community) if start and _within(used.tag, start))
        return _first(k, (used for part in (first, later) for used in part if allowed(used.tag)))

    def users(self) -> set[str]:
        """All authors who are known by name."""
        with self._lock:
            named = {held.author for place in self._places.values() for held in place.posts.values()}
        return {author for author in named if not author.startswith("\0")}


def _trends(dated: list[Held], half_life_days: float, days: float, least: int) -> list[Trend]:
    now = max((one.at for one in dated), default=0)
    latest: dict[str, dict[str, int]] = {}
    uses: Counter[str] = Counter()
    for one in dated:
        if now - one.at <= days * DAY:
            for tag in map(key, one.tags):
                by = latest.setdefault(tag, {})
                by[one.author] = max(by.get(one.author, one.at), one.at)
                uses[tag] += 1
    made = [
        Trend(tag, sum(2.0 ** ((at - now) / DAY / half_life_days) for at in by.values()), len(by), uses[tag])
        for tag, by in latest.items()
        if len(by) >= least
    ]
    return sorted(made, key=lambda trend: (-trend.worth, -trend.authors, trend.tag))


def _used(tag: str, by: Counter[str], new: set[str]) -> Used:
    if new.isdisjoint(by):
        return Used(tag, len(by), by.total())
    counting = [uses for author, uses in by.items() if author not in new]
    return Used(tag, len(counting), sum(counting))


def _less(counts: dict[str, Counter[str]], tag: str, what: str) -> None:
    counts[tag][what] -= 1
    if counts[tag][what] <= 0:
        del counts[tag][what]
    if not counts[tag]:
        del counts[tag]


def _within(tag: str, start: str) -> bool:
    return not tag.startswith(start) and (f" {start}" in tag or f"-{start}" in tag or f"_{start}" in tag)


def _first(k: int, found: Iterator[Used]) -> list[Used]:
    made: list[Used] = []
    for used in found:
        if len(made) >= k:
            break
        made.append(used)
    return made
