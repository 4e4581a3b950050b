"""The loaded models: loaded beside, checked, brought up to date and warmed, then put in place by one assignment.

Whoever answers takes one reference at the beginning. A model that cannot be loaded, fails or is too slow on the warming
drafts is refused, and the one in place stays.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hashloom import keeping
from hashloom.forecaster import Forecaster
from hashloom.recommender import Recommender
from hashloom.serve import learning, memory
from hashloom.serve.following import News
from hashloom.serve.learnable import deleted, reviewed
from hashloom.serve.learning import Authors, Model
from hashloom.serve.pictures import Spool, sees_pictures
from hashloom.serve.running import NoAnswer, Running
from hashloom.serve.settings import ServeSettings
from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.types import Posts

if TYPE_CHECKING:
    from hashloom.store import Store

Kind = Literal["recommender", "forecaster"]
LOG = logging.getLogger(__name__)
PATIENCE = 600.0
"""Seconds until a model that is loaded must have caught up with the store."""


class Refused(ValueError):
    """A model that may not serve; the message says why and names no path."""


@dataclass
class Served:
    """A loaded model and what is known of it; ``authors`` of its tags, ``own`` the spaces it was trained with."""

    running: Running[Any]
    name: str
    folder: Path
    sees: bool = False
    authors: Authors = field(default_factory=dict)
    own: dict[str, TagSpace] = field(default_factory=dict)
    seq: int = 0

    @property
    def digest(self) -> str:
        """The digest of the folder it was loaded from."""
        return self.running.digest

    @property
    def is_calibrated(self) -> bool:
        """Whether its scores are probabilities, and it has dials."""
        return self.name == "calibrated"


class Shelf:
    """Loads models and keeps them up to date with a store."""

    def __init__(self, store: Store, settings: ServeSettings, spool: Spool) -> None:
        self.store = store
        self.settings = settings
        self.spool = spool

    def load(self, folder: Path, digest: str, kind: Kind, spaces: TagSpaces, drafts: Sequence[Posts]) -> Served:
        """A model of the folder, checked, caught up and warm. Raises ``Refused``; nothing in place is touched."""
        model = self._read(folder, digest, kind)
        running = Running(digest, model, waiting=self.settings.waiting, kind=kind)
        served = Served(running, model.name, folder, sees_pictures(model))
        try:
            served.seq = self.store.last_change()
            running.change(lambda m: self._catch_up(served, m, spaces)).result(PATIENCE)
            self._warm(served, kind, drafts or self._own_drafts(model, kind))
        except (NoAnswer, Refused) as error:
            running.close()
            raise Refused(f"{kind} {digest[:12]}: {error}; the one in place stays") from error
        except Late:
            running.close()
            raise Refused(f"{kind} {digest[:12]}: took longer than {PATIENCE:g} s to catch up with the store") from None
        except Exception as error:
            running.close()
            LOG.warning("%s %s failed while it caught up", kind, digest[:12], exc_info=True)
            said = f"{kind} {digest[:12]}: failed to learn what came since ({type(error).__name__})"
            raise Refused(f"{said}; the one in place stays") from error
        memory.settle()
        return served

    @staticmethod
    def bare(posts: Posts) -> Posts:
        """The posts as drafts: under names that no model knows, without tags."""
        return Posts.of([replace(post, id=f"?warm {at}", tags=(), images=()) for at, post in enumerate(posts)])

    def _own_drafts(self, model: Model, kind: Kind) -> list[Posts]:
        """What a model is tried on where nothing was asked and the store is empty: the latest posts it remembers.

        Few models remember texts; the names of a post's tags are the words that most surely say something to them.
        """
        latest = [replace(post, images=(), text=post.text or " ".join(post.tags)) for post in model.memory_[-10:]]
        made = [Posts.of([post]) for post in latest]
        return [self.bare(posts) for posts in made] if kind == "recommender" else made

    def _read(self, folder: Path, digest: str, kind: Kind) -> Model:
        wanted = Recommender if kind == "recommender" else Forecaster
        try:
            if keeping.manifest(folder)["digest"] != digest:
                raise Refused(f"{kind} {digest[:12]}: its folder holds another model; add it to the store again")
            model = keeping.load(folder)
        except (keeping.DamagedModel, OSError, ImportError) as error:
            LOG.warning("%s %s cannot be loaded: %s", kind, digest[:12], error)
            raise Refused(f"{kind} {digest[:12]}: damaged or not of this version; add it to the store again") from error
        if not isinstance(model, wanted):
            raise Refused(
                f"{kind} {digest[:12]}: is a {type(model).__name__}, no {kind}; publish it under its own name"
            )
        return model

    def _catch_up(self, served: Served, model: Model, spaces: TagSpaces) -> None:
        """Within the model's thread: what was deleted goes, what came since is learnt."""
        gone = deleted(self.store, model.memory_)
        if any(gone):
            pairs = zip(model.memory_.communities, model.memory_.ids, gone)
            learning.forget(model, {learning.pair_of(c, name) for c, name, is_gone in pairs if is_gone})
        learning.forget_communities(model, self.store.deleted_communities(learning.communities_of(model)))
        for space in spaces.spaces.values():
            learning.set_space(model, served.own, space.community, space)
        if self.settings.learn:
            for posts in self.store.posts():
                learning.learn(model, self._seen(served, reviewed(self.store, posts)))
        self._count(served, model)

    def _seen(self, served: Served, posts: Posts) -> Posts:
        return self.spool.shown(posts, self.store.get_picture, served.sees)

    def _count(self, served: Served, model: Model) -> None:
        if isinstance(model, Recommender):
            served.authors = learning.authors_of(model, self.settings.least_authors, self.settings.anonymous)

    def _warm(self, served: Served, kind: Kind, drafts: Sequence[Posts]) -> None:
        """The first answers are slow; one afterwards must come in time, and all must be numbers."""
        for posts in drafts:
            self._answers(served, kind, posts, self.settings.batch_budget)
        if drafts:
            self._answers(served, kind, drafts[-1], self.settings.budget)

    def _answers(self, served: Served, kind: Kind, posts: Posts, budget: float) -> None:
        def ask(model: Any) -> Any:
            return model.recommend(posts, 10).scores if kind == "recommender" else model.forecast(posts).values

        if not np.isfinite(served.running.ask(ask, budget)).all():
            raise Refused("answers what is no number")

    def tell(self, served: Served, news: News, spaces: TagSpaces) -> Future[None]:
        """Let a loaded model know the news, before it answers anything that waits."""
        done = served.running.change(lambda model: self._apply(served, model, news, spaces))
        done.add_done_callback(lambda one: self._noted(served, one))
        return done

    def _apply(self, served: Served, model: Model, news: News, spaces: TagSpaces) -> None:
        if news.seq <= served.seq:
            return
        fewer = self._leave(served, model, news.places)
        for community in news.spaces:
            learning.set_space(model, served.own, community, spaces.spaces.get(community))
        fewer += learning.forget(model, news.gone)
        for mark, community in news.authors:
            fewer += learning.forget_authors(model, partial(self._is, mark, community), community)
        if self.settings.learn and len(news.posts):
            self._learn(served, model, news.posts)
        if fewer:
            self._count(served, model)
        served.seq = news.seq

    def _leave(self, served: Served, model: Model, marks: set[str]) -> int:
        """Forget deleted communities; gives how many posts and tag spaces that took."""
        if not marks:
            return 0
        gone = {one for one in learning.communities_of(model) if self.store.community_mark(one) in marks}
        for community in gone:
            served.own.pop(community, None)
        return sum(learning.forget_communities(model, gone))

    def _is(self, mark: str, community: str, user: str) -> bool:
        return self.store.mark(user, community or None) == mark

    def _learn(self, served: Served, model: Model, posts: Posts) -> None:
        """All at once, or one by one where one of them is more than the model can bear."""
        posts = self._seen(served, posts)
        parts = [posts]
        while parts:
            part = parts.pop()
            try:
                learning.learn(model, part)
            except Exception as error:
                if len(part) > 1:
                    parts += [part[: len(part) // 2], part[len(part) // 2 :]]
                    continue
                served.running.trouble = f"a post could not be learnt ({type(error).__name__})"
                LOG.warning("model %s could not learn a post: %s", served.digest[:12], type(error).__name__)
        if isinstance(model, Recommender):
            learning.add_authors(
                served.authors, model, posts, self.settings.least_authors, self.settings.anonymous
            )  # fmt: skip

    def _noted(self, served: Served, done: Future[None]) -> None:
        error = done.exception() if not done.cancelled() else None
        if error is not None:
            served.running.trouble = f"changes could not be applied ({type(error).__name__})"
            LOG.error("model %s could not take changes in: %s", served.digest[:12], type(error).__name__)
