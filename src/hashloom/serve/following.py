"""Following the store: its log of changes becomes what the ledger, the verdicts and the running models know."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from hashloom.serve.learnable import reviewed
from hashloom.serve.learning import Pair
from hashloom.serve.ledger import Ledger
from hashloom.serve.settings import ServeSettings
from hashloom.serve.verdicts import Verdicts
from hashloom.tag_space import TagSpaces
from hashloom.types import Posts

if TYPE_CHECKING:
    from hashloom.store import Change, Store

LOG = logging.getLogger(__name__)
AT_ONCE = 2_000


@dataclass
class News:
    """What happened since the last look: posts as they are now, posts and authors that went, spaces that changed."""

    seq: int
    posts: Posts = field(default_factory=lambda: Posts.of([]))
    gone: list[Pair] = field(default_factory=list)
    authors: list[tuple[str, str]] = field(default_factory=list)
    """Mark and community ('': everywhere) of deleted authors."""
    places: set[str] = field(default_factory=set)
    """Marks of deleted communities."""
    spaces: set[str] = field(default_factory=set)
    models: bool = False
    anew: bool = False
    """Everything must be read anew."""
    oldest: datetime | None = None
    """When the oldest of these changes was made."""


class Follower:
    """The ledger, tag spaces and verdicts of a store, kept up to date."""

    def __init__(self, store: Store, settings: ServeSettings) -> None:
        self.store = store
        self.settings = settings
        self.seq = 0
        self.read_all()

    def read_all(self) -> None:
        """Read everything anew."""
        self.seq = self.store.last_change()
        ledger = Ledger(self.settings.anonymous, self.settings.trusted_after_days)
        for posts in self.store.posts():
            ledger.put(reviewed(self.store, posts))
        self.ledger = ledger
        self.spaces: TagSpaces = self.store.spaces()
        self.read_verdicts()

    def read_verdicts(self) -> None:
        """Read all feedback anew."""
        made = Verdicts(self.ledger.tagged if self.settings.learn else None)
        self._heard = self.store.last_feedback()
        if self.settings.learn_from_feedback:
            leaving = self.store.leaving()
            made.put(event for event in self.store.feedback() if event.community not in leaving)
        self.verdicts = made

    def news(self, after: int | None = None) -> News | None:
        """What happened since (or after a number); None where nothing did. ``take`` makes it known."""
        from hashloom.store import TrimmedChanges

        try:
            changes = self.store.changes(self.seq if after is None else after, AT_ONCE)
        except TrimmedChanges:
            LOG.warning("the log of changes was trimmed; everything is read anew")
            return News(self.seq, anew=True)
        return self._gathered(changes) if changes else None

    def _gathered(self, changes: list[Change]) -> News:
        news = News(changes[-1].seq, oldest=changes[0].at)
        touched: dict[str, dict[str, None]] = {}
        for change in changes:
            if change.kind in ("post", "post_deleted"):
                touched.setdefault(change.community, {})[change.ref] = None
            elif change.kind == "author_deleted":
                news.authors.append((change.ref, change.community))
            elif change.kind == "community_deleted":
                news.places.add(change.ref)
            elif change.kind == "space":
                news.spaces.add(change.community)
            news.models |= change.kind == "model"
            news.anew |= change.kind == "restored"
        self._look_at(touched, news)
        return news

    def _look_at(self, touched: dict[str, dict[str, None]], news: News) -> None:
        """What the posts are now says more than what was done to them."""
        found = []
        for community, ids in touched.items():
            posts = reviewed(self.store, self.store.get_posts(community, ids))
            there = set(posts.ids)
            news.gone += [(community, id) for id in ids if id not in there]
            found.append(posts)
        news.posts = Posts.concat(found) if found else news.posts

    def take(self, news: News) -> None:
        """Make the news known to ledger, spaces and verdicts. Feedback is looked at each time."""
        if news.anew:
            self.read_all()
            return
        self._drop_places(news.places)
        self.ledger.put(news.posts)
        by_community: dict[str, list[str]] = {}
        for community, id in news.gone:
            by_community.setdefault(community, []).append(id)
        for community, ids in by_community.items():
            self.ledger.remove(community, ids)
        for community in news.spaces:
            self._read_space(community)
        if any(not community for _, community in news.authors):
            self.read_verdicts()
        else:
            self._hear()
            self._unhear({community for _, community in news.authors}, by_community)
            if self.settings.learn:
                self.verdicts.learnt(news.posts)
        self.seq = news.seq

    def _drop_places(self, marks: set[str]) -> None:
        """Take deleted communities out; what came since one was readmitted is put after that."""
        if not marks:
            return
        known = {*self.ledger.communities(), *self.verdicts.communities(), *self.spaces}
        gone = {name for name in known if self.store.community_mark(name) in marks}
        for name in gone:
            self.ledger.drop(name)
            self.verdicts.drop(name)
        self.spaces = TagSpaces(space for name, space in self.spaces.spaces.items() if name not in gone)

    def _read_space(self, community: str) -> None:
        space = self.store.get_space(community)
        spaces = dict(self.spaces.spaces)
        if space is None:
            spaces.pop(community, None)
        else:
            spaces[community] = space
        self.spaces = TagSpaces(spaces.values())

    def _hear(self) -> None:
        if self.settings.learn_from_feedback:
            last = self.store.last_feedback()  # what comes while this is read is read again, and known by its token
            if last > self._heard:
                self.verdicts.put(self.store.feedback(after_seq=self._heard))
            self._heard = last

    def _unhear(self, communities: set[str], gone: dict[str, list[str]]) -> None:
        """Read the feedback of those communities anew from which some may have gone, with authors or posts."""
        touched = communities | {community for community, ids in gone.items() if self.verdicts.about(community, ids)}
        for community in touched if self.settings.learn_from_feedback else ():
            self.verdicts.put_anew(community, self.store.feedback(community))

    def forgotten(self, mark: str, community: str, users: Iterable[str]) -> list[str]:
        """Those of the users for whom a deleted author's mark stands."""
        return [user for user in users if self.store.mark(user, community or None) == mark]
