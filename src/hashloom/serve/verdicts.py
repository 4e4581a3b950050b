"""What authors accepted, rejected and typed, and how far that moves the odds of a tag for the next draft.

Others' verdicts move a tag as far as they differ from the usual verdicts on suggestions of like score: a tag low in the
list is refused often, and that is known already. Ranks that few look at leave out accepted and rejected tags alike, so
only what was judged is compared, and what was shown and ignored teaches nothing. An author's own verdicts raise the
tags that they use more than their community does, by how little the model was sure of them, as long as the model has
not learnt the post itself; a single rejection is about its post, several about the tag. ``tools/feedback.py`` measures
what this gives.
"""

from __future__ import annotations

import threading
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import copysign, exp, log, sqrt
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from hashloom.store import Feedback
    from hashloom.types import Posts

MOST = 2.0
"""Others' verdicts never multiply or divide the odds of a tag by more than this, nor do an author's own."""
PRIOR = 8.0
"""So many verdicts' worth of doubt is added to a tag's own, and to those on a span of scores."""
DOUBT = 2.0
"""A tag is moved by what its verdicts say beyond so many standard errors."""
EACH = 1.0
"""Nobody's verdicts on a tag count for more than this many, however many were sent."""
LATEST = 8
"""So many verdicts of one person on one tag are remembered."""
OWN_POSTS = 100
"""So many of an author's latest posts with verdicts are remembered."""
OWN_PRIOR, OWN_POWER = 10.0, 0.4
"""So many posts with the community's tags are added to an author's own; the power to which their ratio is taken."""
UNDOES = 0.5
"""How much of a use a rejection takes away."""
AGAINST, AGAINST_POWER = 3.0, 0.4
"""An author's rejections lower a tag from so many on; the power to which twice their share of that is taken."""
POSTS = 20.0
"""So many posts without any tag are added to a community's, so that the first use of a tag is no habit."""
SCORES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
HEARD = 100_000
"""So many events are known again when they are read twice."""


class _Judged(NamedTuple):
    good: bool
    usual: float
    """How often suggestions of like score were accepted until then, of those that were judged."""


@dataclass
class _Own:
    """An author's verdicts by post: how much a good tag said, below 0 for a rejected one; and their sums by tag."""

    posts: dict[str, dict[str, float]] = field(default_factory=dict)
    worth: dict[str, float] = field(default_factory=dict)
    learnt: set[str] = field(default_factory=set)
    """Those of the posts that the model knows itself."""
    unlearnt: dict[str, float] = field(default_factory=dict)
    """The sums over the other posts."""

    def put(self, post: str, tag: str, weight: float) -> Counter[str]:
        """Enter a verdict; gives by how much that changes in how many posts each tag is good."""
        said, change = self.posts.setdefault(post, {}), Counter[str]()
        if tag in said:
            self._count(post, tag, said[tag], -1, change)
        said[tag] = weight
        self._count(post, tag, weight, 1, change)
        if len(self.posts) > OWN_POSTS:
            old = next(iter(self.posts))
            for other, was in self.posts.pop(old).items():
                self._count(old, other, was, -1, change)
            self.learnt.discard(old)
        return change

    def _count(self, post: str, tag: str, weight: float, by: int, change: Counter[str]) -> None:
        self.worth[tag] = self.worth.get(tag, 0.0) + by * weight
        change[tag] += by * (weight >= 0)
        if post not in self.learnt:
            self.unlearnt[tag] = self.unlearnt.get(tag, 0.0) + by * weight

    def learn(self, post: str) -> None:
        """From now on the model knows this post itself."""
        if post in self.posts and post not in self.learnt:
            self.learnt.add(post)
            for tag, weight in self.posts[post].items():
                self.unlearnt[tag] -= weight


@dataclass
class _Place:
    """A community's verdicts: by span of scores, by tag and person, and by author."""

    spans: dict[int, list[int]] = field(default_factory=dict)
    judged: dict[str, dict[str, dict[str, _Judged]]] = field(default_factory=dict)
    sums: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Of each tag: by how much it was accepted more often than usual, and the variance of that."""
    own: dict[str, _Own] = field(default_factory=dict)
    posts: int = 0
    uses: Counter[str] = field(default_factory=Counter)
    about: set[str] = field(default_factory=set)
    """The posts that any verdict was about."""

    def put(self, event: Feedback, is_learnt: bool) -> None:
        self.about.add(event.post_id)
        good = event.event != "rejected"
        usual = self._judge(event, good) if event.event != "typed" else 0.0
        if event.user is not None:
            own = self.own.setdefault(event.user, _Own())
            before, sure = len(own.posts), _chance(event)
            weight = 1 - (usual if sure is None else sure) if event.event == "accepted" else 1.0 if good else -UNDOES
            self.uses.update(own.put(event.post_id, event.tag, weight))
            self.posts += len(own.posts) - before
            if is_learnt:
                own.learn(event.post_id)

    def _judge(self, event: Feedback, good: bool) -> float:
        """Enter a verdict on a suggestion; gives how usual it was until then that such are accepted."""
        said = self.judged.setdefault(event.tag, {}).setdefault(event.user or "", {})
        before = _weight(said.values())
        known = said.pop(event.post_id, None)
        span = self.spans.setdefault(_span(event), [0, 0])
        usual = known.usual if known else (span[1] + PRIOR / 2) / (span[0] + PRIOR)
        if not known and len(said) < LATEST:
            span[0] += 1
            span[1] += good
        said[event.post_id] = _Judged(good, usual)
        if len(said) > LATEST:
            del said[next(iter(said))]
        total, after = self.sums.get(event.tag, (0.0, 0.0)), _weight(said.values())
        self.sums[event.tag] = (total[0] + after[0] - before[0], total[1] + after[1] - before[1])
        return usual

    def others(self, tag: str) -> float:
        """By how much all verdicts move the log odds of a tag."""
        more, variance = self.sums.get(tag, (0.0, 0.0))
        beyond = max(0.0, abs(more) - DOUBT * sqrt(max(variance, 0.0)))
        return _within(copysign(beyond, more) / (max(variance, 0.0) + PRIOR), MOST)

    def mine(self, tag: str, user: str | None) -> float:
        """By how much an author's own verdicts move the log odds of a tag."""
        own = self.own.get(user) if user is not None else None
        if own is None:
            return 0.0
        uses = own.worth.get(tag, 0.0)
        refused = -uses / UNDOES
        if refused >= AGAINST:
            return _within(-AGAINST_POWER * log(2 * refused / AGAINST), MOST)
        usual = (self.uses[tag] + 1) / (self.posts + POSTS)
        news, posts = max(0.0, own.unlearnt.get(tag, 0.0)), len(own.posts) - len(own.learnt)
        share = (news + OWN_PRIOR * usual) / (posts + OWN_PRIOR)
        return _within(max(0.0, OWN_POWER * log(share / usual)), MOST)


class Verdicts:
    """Accepted, rejected and typed tags by community. Safe for many threads.

    >>> from hashloom.store import Feedback
    >>> verdicts = Verdicts()
    >>> verdicts.put(Feedback(f"t{i}", "c", "p", "rye", "rejected", user=f"u{i}") for i in range(20))
    >>> verdicts.factor("c", "rye", None) < 1, verdicts.factor("c", "oat", None)
    (True, 1.0)
    """

    def __init__(self, is_learnt: Callable[[str, str], bool] | None = None) -> None:
        """``is_learnt`` says of a community and the id of a post whether the models have its tags."""
        self._lock = threading.Lock()
        self._is_learnt = is_learnt or (lambda community, post: False)
        self._places: dict[str, _Place] = {}
        self._heard: dict[int, None] = {}

    def put(self, events: Iterable[Feedback]) -> None:
        """Enter feedback, in the order in which it came; what was entered before changes nothing."""
        with self._lock:
            for event in events:
                if event.event != "shown" and self._is_new(event):
                    is_learnt = self._is_learnt(event.community, event.post_id)
                    self._places.setdefault(event.community, _Place()).put(event, is_learnt)

    def about(self, community: str, ids: Iterable[str]) -> bool:
        """Whether there were verdicts on any of these posts."""
        with self._lock:
            place = self._places.get(community)
            return place is not None and not place.about.isdisjoint(ids)

    def put_anew(self, community: str, events: Iterable[Feedback]) -> None:
        """Take a community's feedback, all that there is, in the place of what was entered of it before."""
        made = Verdicts(self._is_learnt)
        made.put(events)
        with self._lock:
            self._places.pop(community, None)
            self._places |= made._places
            for name in made._heard:
                self._note(name)

    def drop(self, community: str) -> None:
        """Take a whole community out."""
        with self._lock:
            self._places.pop(community, None)

    def communities(self) -> list[str]:
        """The communities of which there are verdicts."""
        with self._lock:
            return list(self._places)

    def learnt(self, posts: Posts) -> None:
        """Tagged posts reached the models; what their authors said of them counts no second time."""
        with self._lock:
            for community, id, user, tags in zip(posts.communities, posts.ids, posts.users, posts.tags):
                place = self._places.get(community)
                if place and tags and user in place.own:
                    place.own[user].learn(id)

    def _is_new(self, event: Feedback) -> bool:
        name = hash((event.community, event.token))
        if name in self._heard:
            return False
        self._note(name)
        return True

    def _note(self, name: int) -> None:
        self._heard.pop(name, None)
        self._heard[name] = None
        if len(self._heard) > HEARD:
            del self._heard[next(iter(self._heard))]

    def factor(self, community: str, tag: str, user: str | None) -> float:
        """By how much the odds of a tag (key) are multiplied for an author.

        Others' verdicts stay within 1/2 and 2, and so do the author's own, which move nobody else's answers.
        """
        return exp(self._shifts(community, [tag], user)[0])

    def _shifts(self, community: str, tags: Sequence[str], user: str | None) -> list[float]:
        with self._lock:
            place = self._places.get(community)
            return [place.others(tag) + place.mine(tag, user) if place else 0.0 for tag in tags]

    def reordered(
        self, community: str, tags: Sequence[str], user: str | None, chances: Sequence[float] | None = None
    ) -> list[int]:
        """The places of the tags (keys) in the order that verdicts make of it.

        The odds of a place are those of its ``chances``, highest first, so that a list whose order was turned by dials
        stays turned; without chances, they fall as 1 / (2 + place).
        """
        shifts = self._shifts(community, tags, user)
        if not any(shifts):
            return list(range(len(tags)))
        worth = [-log(2 + at) for at in range(len(tags))]
        if chances is not None:
            worth = sorted(map(_log_odds, chances), reverse=True)
        return sorted(range(len(tags)), key=lambda at: (-worth[at] - shifts[at], at))


def _weight(judged: Iterable[_Judged]) -> tuple[float, float]:
    """A person's verdicts on a tag less the usual ones, at most ``EACH``, and the variance of that."""
    more = variance = 0.0
    for one in judged:
        more += one.good - one.usual
        variance += one.usual * (1 - one.usual)
    share = min(1.0, EACH / abs(more)) if more else 1.0
    return more * share, variance * share


def _chance(event: Feedback) -> float | None:
    """The suggestion's score where that can be a chance."""
    return event.score if event.score is not None and 0 <= event.score <= 1 else None


def _span(event: Feedback) -> int:
    """Where among the scores the suggestion stood; without a score that can be a chance, by its rank."""
    if (chance := _chance(event)) is not None:
        return bisect(SCORES, chance)
    return -1 if event.rank is None else -2 - min(event.rank, 20)


def _log_odds(chance: float) -> float:
    chance = min(1 - 1e-4, max(1e-4, chance))
    return log(chance / (1 - chance))


def _within(shift: float, most: float) -> float:
    return min(log(most), max(-log(most), shift))
