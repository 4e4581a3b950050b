"""Which models are in place: publish, roll back and shadow, each by one assignment, while questions go on."""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import replace
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
    lacking: str = "no model is published"
    """Why there is no current recommender, where there is none."""
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
        if wanted is None:
            if there is not None and self.folders[kind] is None:
                self._take_out(kind)
            return
        if there is not None and there.digest == wanted[1] and not anew:
            return
        if self.previous is not None and self.previous.digest == wanted[1] and kind == "recommender" and not anew:
            self._put_in_place(kind, self.previous)
            return
        try:
            served = self._loaded(wanted[0], wanted[1], kind)
        except Refused:
            if kind == "recommender" and there is None:
                self.lacking = "the published model was refused"
                self._fall_back()
            raise
        self._put_in_place(kind, served, anew)

    def _take_out(self, kind: Kind) -> None:
        """The store, since it was restored, publishes none of a kind: answer as a service that starts now would."""
        with self._syncing:
            if kind == "forecaster":
                out, self.forecaster = [self.forecaster], None
            else:
                out = [self.current, self.previous]
                self.current = self.previous = None
                self.lacking = Swapping.lacking
        self._end(out)
        LOG.info("no %s is published; the one in place was taken out", kind)

    def _fall_back(self) -> None:
        """At the start, with nothing in place to stay: load the recommender that was published before."""
        kept = self.store.models(self.name_of("recommender")) if self.folders["recommender"] is None else []
        before = next((one for one in kept if one.previous), None)
        if before is None or self.previous is not None:
            return
        served = self._loaded(before.folder, before.digest, "recommender")
        with self._syncing:
            self._take()
            self._tell_the_rest(served)
            self.previous = served

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
        # Without pictures: those of drafts are gone by now, and those of posts have names that are no files.
        made = [Posts.of([replace(post, images=())]) for post in drafts[: self.settings.warm]]
        return [self.shelf.bare(posts) for posts in made] if kind == "recommender" else made

    def _put_in_place(self, kind: Kind, served: Served, anew: bool = False) -> None:
        """The swap itself; what happened in the store while the model was loaded is told to it first.

        ``anew``: the model before may know what the store has no longer, so it is not kept.
        """
        with self._syncing:
            self._take()
            self._tell_the_rest(served)
            if kind == "forecaster":
                out, self.forecaster = [self.forecaster], served
            else:
                before, self.current = self.current, served
                keep = self.settings.keep_previous and not anew
                out = [self.previous] if keep else [self.previous, before]
                self.previous = before if keep else None
        self._end(out)
        LOG.info("%s %s answers now", kind, served.digest[:12])

    def _end(self, out: list[Served | None]) -> None:
        for old in out:
            if old is not None and all(old is not one for one in self.in_place()):
                old.running.close()

    def _tell_the_rest(self, served: Served) -> None:
        """What happened since it was loaded; where that cannot be told, it is closed, and ``Refused`` is raised."""
        try:
            while (news := self.follower.news(served.seq)) is not None:
                if news.anew:  # the log does not tell what went, which this model may know
                    self.due = "anew"
                    said = "the store was restored, or its log of changes trimmed, while it was loaded"
                    raise Refused(f"{served.digest[:12]}: {said}; what is published is loaded again soon")
                self.shelf.tell(served, news, self.follower.spaces).result(60)
                if served.seq < news.seq:
                    raise Refused(f"{served.digest[:12]}: could not take in what changed meanwhile")
        except BaseException:
            if all(served is not one for one in self.in_place()):
                served.running.close()
            raise

    def _reload_shadow(self) -> None:
        if self.store.folder is None:
            return
        name = self.name_of("recommender")
        model = next((one for one in self.store.models(name) if one.shadow), None)
        there = self.shadow
        if model is None:
            with self._syncing:  # whoever takes news in tells it to all in place, which none may leave meanwhile
                self.shadow = None
        elif there is None or there.served.digest != model.digest:
            served = self._loaded(model.folder, model.digest, "recommender")
            with self._syncing:
                self._take()
                self._tell_the_rest(served)
                self.shadow = Shadow(served)
        if there is not None and there is not self.shadow:
            self._end([there.served])

    # ---- what operators ask for

    def publish(self, name: str, digest: str) -> Model:
        """Publish a model of the store, once it is loaded beside, checked and warm; raises ``Refused`` otherwise."""
        kind = self.kind_of(name)
        with self._swapping:
            before = self.store.published(name)
            served = self._candidate(name, digest, kind) if kind else None
            try:
                made = self.store.publish(name, digest)
            except BaseException:
                if served is not None:
                    served.running.close()
                raise
            try:
                if kind and served is not None and self.folders[kind] is None:
                    self._put_in_place(kind, served)
                elif kind:
                    self._reload(kind, False)
            except Refused:
                if before is not None and before.digest != digest:
                    self.store.roll_back(name)
                raise
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
