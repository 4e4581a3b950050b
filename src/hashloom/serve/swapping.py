"""Which models are in place: publish, roll back and shadow, each by one assignment, while questions go on."""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING

from hashloom import keeping
from hashloom.serve.drafts import Draft
from hashloom.serve.following import Follower
from hashloom.serve.settings import ServeSettings
from hashloom.serve.shadowing import Shadow
from hashloom.serve.shelf import Kind, Refused, Served, Shelf
from hashloom.types import Posts

if TYPE_CHECKING:
    from hashloom.store import Model, Store

LOG = logging.getLogger(__name__)


class Swapping:
    """The part of the engine that puts models in place."""

    store: Store
    settings: ServeSettings
    shelf: Shelf
    follower: Follower
    folders: dict[str, Path | None]
    refused: dict[str, str]
    """Digest → why it may not serve."""
    current: Served | None
    previous: Served | None
    forecaster: Served | None
    shadow: Shadow | None
    recent: deque[Draft]
    _syncing: threading.RLock
    _swapping: threading.RLock

    due: str
    """"models" or "anew": what the next ``sync`` has to load."""

    def _take(self) -> list[Future[None]]:
        raise NotImplementedError

    def in_place(self) -> list[Served]:
        """All loaded models, each once."""
        found = (self.current, self.previous, self.forecaster, self.shadow.served if self.shadow else None)
        return list({id(served): served for served in found if served is not None}.values())

    def name_of(self, kind: Kind) -> str:
        """Under which name the store publishes a kind of model."""
        return self.settings.recommender if kind == "recommender" else self.settings.forecaster

    def kind_of(self, name: str) -> Kind | None:
        """The kind of model that is published under a name; None: no service answers with it."""
        kinds: dict[str, Kind] = {self.settings.recommender: "recommender", self.settings.forecaster: "forecaster"}
        return kinds.get(name)

    def reload(self, *, anew: bool = False) -> dict[str, str]:
        """Put in place what is published now; gives what was refused, by digest. ``anew``: load also what is there."""
        with self._swapping:
            for kind in ("recommender", "forecaster"):
                try:
                    self._reload(kind, anew)
                except Refused as error:
                    LOG.error("%s", error)
            try:
                self._reload_shadow()
            except Refused as error:
                LOG.error("%s", error)
        return dict(self.refused)

    def _wanted(self, kind: Kind) -> tuple[Path, str] | None:
        folder = self.folders[kind]
        if folder is not None:
            try:
                return folder, keeping.manifest(folder)["digest"]
            except keeping.DamagedModel as error:
                LOG.error("%s", error)
                self.refused[str(kind)] = "the given folder holds no whole model"
                return None
        model = self.store.published(self.name_of(kind)) if self.store.folder is not None else None
        return (model.folder, model.digest) if model else None

    def _reload(self, kind: Kind, anew: bool) -> None:
        wanted = self._wanted(kind)
        there = self.current if kind == "recommender" else self.forecaster
        if wanted is None or (there is not None and there.digest == wanted[1] and not anew):
            return
        if self.previous is not None and self.previous.digest == wanted[1] and kind == "recommender" and not anew:
            self._put_in_place(kind, self.previous)
            return
        self._put_in_place(kind, self._loaded(wanted[0], wanted[1], kind))

    def _loaded(self, folder: Path, digest: str, kind: Kind) -> Served:
        """A model beside, checked and warm; why it was refused is remembered."""
        try:
            served = self.shelf.load(folder, digest, kind, self.follower.spaces, self._warming(kind))
        except Refused as error:
            self.refused[digest] = str(error)
            raise
        self.refused.pop(digest, None)
        return served

    def _warming(self, kind: Kind) -> list[Posts]:
        """Recent drafts, or the latest posts of the largest communities, as drafts."""
        drafts = [draft.post() for draft in list(self.recent)]
        if not drafts:
            sizes = self.store.communities()
            largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
            drafts = [post for name in largest for post in self.store.recent(name, last=10)]
        made = [Posts.of([post]) for post in drafts[: self.settings.warm]]
        return [self.shelf.bare(posts) for posts in made] if kind == "recommender" else made

    def _put_in_place(self, kind: Kind, served: Served) -> None:
        """The swap itself; what happened in the store while the model was loaded is told to it first."""
        with self._syncing:
            self._take()
            self._tell_the_rest(served)
            if kind == "forecaster":
                out, self.forecaster = [self.forecaster], served
            else:
                before, self.current = self.current, served
                out = [self.previous] if self.settings.keep_previous else [self.previous, before]
                self.previous = before if self.settings.keep_previous else None
        for old in out:
            if old is not None and all(old is not one for one in self.in_place()):
                old.running.close()
        LOG.info("%s %s answers now", kind, served.digest[:12])

    def _tell_the_rest(self, served: Served) -> None:
        while (news := self.follower.news(served.seq)) is not None and not news.anew:
            self.shelf.tell(served, news, self.follower.spaces).result(60)
            if served.seq < news.seq:
                raise Refused(f"{served.digest[:12]}: could not take in what changed meanwhile")

    def _reload_shadow(self) -> None:
        if self.store.folder is None:
            return
        name = self.name_of("recommender")
        model = next((one for one in self.store.models(name) if one.shadow), None)
        there = self.shadow
        if model is None:
            self.shadow = None
        elif there is None or there.served.digest != model.digest:
            served = self._loaded(model.folder, model.digest, "recommender")
            with self._syncing:
                self._take()
                self._tell_the_rest(served)
                self.shadow = Shadow(served)
        if there is not None and there is not self.shadow:
            there.served.running.close()

    # ---- what operators ask for

    def publish(self, name: str, digest: str) -> Model:
        """Publish a model of the store, once it is loaded beside, checked and warm; raises ``Refused`` otherwise."""
        kind = self.kind_of(name)
        with self._swapping:
            served = self._candidate(name, digest, kind) if kind else None
            try:
                made = self.store.publish(name, digest)
            except BaseException:
                if served is not None:
                    served.running.close()
                raise
            if kind and served is not None and self.folders[kind] is None:
                self._put_in_place(kind, served)
            elif kind:
                self._reload(kind, False)
        return made

    def _candidate(self, name: str, digest: str, kind: Kind) -> Served | None:
        """The model, loaded; None where it is in place or in memory already."""
        from hashloom.store import NotThere

        there = [self.current, self.previous] if kind == "recommender" else [self.forecaster]
        if any(served is not None and served.digest == digest for served in there):
            return None
        model = next((one for one in self.store.models(name) if one.digest == digest), None)
        if model is None:
            raise NotThere("there is no such model in the store; add it first")
        return self._loaded(model.folder, digest, kind)

    def roll_back(self, name: str) -> str:
        """Publish what was published before; at once where it is still in memory."""
        with self._swapping:
            before = self.store.published(name)
            digest = self.store.roll_back(name)
            kind = self.kind_of(name)
            try:
                if kind:
                    self._reload(kind, False)
            except Refused:
                if before is not None:
                    self.store.publish(name, before.digest)
                raise
        return digest

    def set_shadow(self, name: str, digest: str | None) -> None:
        """Let a candidate answer live drafts unseen; None ends that. Raises ``Refused`` where it cannot."""
        with self._swapping:
            before = next((one.digest for one in self.store.models(name) if one.shadow), None)
            self.store.shadow(name, digest)
            try:
                if self.kind_of(name) == "recommender":
                    self._reload_shadow()
            except Refused:
                self.store.shadow(name, before)
                raise
