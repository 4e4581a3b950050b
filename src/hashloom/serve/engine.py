"""All that the service does, without HTTP: it answers drafts, follows the store, swaps models and says how it is.

Suggestions never block a post: where the published model fails or is too slow, the answer comes from the model before
it, else from the community's favourites, else it is empty, and it says so.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from hashloom.sensitive import Withheld
from hashloom.serve import answering, choosing, forecasting
from hashloom.serve.answering import Asked
from hashloom.serve.drafts import Answer, Draft, ForecastAnswer, Health, Suggested, Way
from hashloom.serve.following import Follower, News
from hashloom.serve.ledger import Trend, Used
from hashloom.serve.lookups import Lookups
from hashloom.serve.pictures import Spool
from hashloom.serve.running import NoAnswer
from hashloom.serve.settings import ServeSettings
from hashloom.serve.shelf import Refused, Served, Shelf
from hashloom.serve.swapping import Swapping
from hashloom.types import Posts, Ranking

if TYPE_CHECKING:
    from hashloom.store import Store

LOG = logging.getLogger(__name__)
UNKNOWN = "nothing is known of this community yet: no posts and no list of tags"


class Engine(Swapping):
    """Answers with the store's published models, or with those of given folders.

    >>> from hashloom.store import Store
    >>> from hashloom.types import Post
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
    ...     _ = store.put_posts(Posts.of([Post(str(i), "rye", "c", f"u{i}", tags=("Rye",)) for i in range(2)]))
    ...     with Engine(store) as engine:
    ...         answer = engine.suggest(Draft("A loaf", "c"))
    >>> answer.tags, answer.way, answer.why
    (['Rye'], 'favourites', 'no model is published')
    """

    def __init__(self, store: Store, *, model: Path | None = None, forecaster: Path | None = None,
                 settings: ServeSettings | None = None) -> None:  # fmt: skip
        self.store = store
        self.settings = settings or ServeSettings()
        self.folders = {"recommender": model, "forecaster": forecaster}
        self.lookups = Lookups(store)
        self.spool = Spool()
        self.shelf = Shelf(store, self.settings, self.spool)
        self.refused: dict[str, str] = {}
        self.trouble = ""
        self.due = ""
        self.current = self.previous = self.forecaster = None
        self.shadow = None
        self.recent: deque[Draft] = deque(maxlen=max(1, self.settings.warm))
        self._syncing = threading.RLock()
        self._swapping = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loading: threading.Thread | None = None
        self._telling: list[Future[None]] = []
        self._behind: datetime | None = None
        self.follower = Follower(store, self.settings)
        self.reload()

    # ---- life

    def start(self) -> Self:
        """Follow the store in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._follow, name="hashloom-sync", daemon=True)
            self._thread.start()
        return self

    def _follow(self) -> None:
        while not self._stop.wait(self.settings.sync_seconds):
            try:
                self.sync(beside=True)
                self.trouble = ""
            except Exception as error:  # the store may be away for a while; the thread must outlive that
                self.trouble = f"the store's changes cannot be read ({type(error).__name__})"
                LOG.warning("%s", self.trouble)

    def close(self) -> None:
        """End the threads and remove the pictures."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
        for served in self.in_place():
            served.running.close()
        self.lookups.close()
        self.spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    # ---- suggestions

    def suggest(self, draft: Draft) -> Answer:
        """Tags for a draft. A draft that breaks a rule raises ``ValueError``; no inner failure raises anything."""
        began = perf_counter()
        current, previous = self.current, self.previous
        asked, notes = self._asked(draft)
        made = self._along_the_chain(asked, current, previous)
        if made.kind == "closed":  # others were put in place since
            current, previous = self.current, self.previous
            made = self._along_the_chain(asked, current, previous)
        took = (perf_counter() - began) * 1000
        if draft.dials() and made.way == "model" and current and not current.is_calibrated:
            notes.append("the published model has no dials; they changed nothing")
        self._seen(asked, made, current, took)
        return replace(made, notes=tuple(notes), took_ms=round(took, 3))

    def _asked(self, draft: Draft) -> tuple[Asked, list[str]]:
        post, notes, rejected, name = draft.post(), [], set[str](), draft.post_id
        if name:
            try:
                rejected = self.lookups.ask(lambda store: store.rejected(post.community, name), self.settings.budget)
            except NoAnswer as error:
                notes.append("tags rejected for this post earlier could not be read")
                LOG.warning("rejections cannot be read: %s", error.kind)
        follower, served = self.follower, self.current
        gate = choosing.Gate.of(
            draft, post, follower.spaces[post.community], follower.ledger, served.authors if served else {}, rejected,
            self.settings.least_authors,
        )  # fmt: skip
        if not self._knows(post.community):
            notes.append(UNKNOWN)
        return Asked(draft, Posts.of([replace(post, tags=())]), gate, follower.verdicts), notes

    def _knows(self, community: str) -> bool:
        """Whether the store or a model in place has anything of a community; a store that is away may have."""
        follower, models = self.follower, (self.current, self.previous)
        if follower.ledger.knows(community) or not follower.spaces[community].is_empty:
            return True
        if any(community in served.running.peek.favourites_ for served in models if served is not None):
            return True
        try:
            return bool(self.lookups.ask(lambda store: store.count(community), self.settings.budget))
        except NoAnswer:
            return True

    def _along_the_chain(self, asked: Asked, current: Served | None, previous: Served | None) -> Answer:
        """The published model, else the one before it, else the favourites, else nothing."""
        said, kind = [] if current else [self.lacking], "" if current else "no model"
        ways: list[tuple[Way, Served | None]] = [("model", current), ("previous model", previous)]
        for way, served in ways:
            if served is None:
                continue
            asked = replace(asked, gate=replace(asked.gate, known=served.authors))
            try:
                found = answering.suggest(asked, served, self.settings.budget, self.lookups)
                return Answer(tuple(found), served.digest, way, "; ".join(said), kind)
            except NoAnswer as error:
                said.append(f"{way}: {error}")
                kind = kind or error.kind
            except Exception as error:
                said.append(f"{way}: {type(error).__name__}")
                kind = kind or "failed"
                LOG.error("an answer of %s failed", served.digest[:12], exc_info=LOG.isEnabledFor(logging.DEBUG))
        found = self._favourites(asked, current or previous)
        return Answer(tuple(found), None, "favourites" if found else "none", "; ".join(said), kind)

    def _favourites(self, asked: Asked, served: Served | None) -> list[Suggested]:
        community = asked.gate.community
        ranked = [(used.tag, used.authors) for used in self.follower.ledger.favourites(community)]
        if not ranked and served is not None:
            ranked = self._remembered(asked, served.running.peek)
        found = [one for _, one in asked.gate.through(choosing.favourites(asked.gate, ranked))]
        told = [replace(one, reasons=answering.in_words(one.reasons, asked.draft)) for one in found[:200]]
        return choosing.fitted(told, asked.draft)

    @staticmethod
    def _remembered(asked: Asked, model: Any) -> list[tuple[str, int]]:
        """A model's favourites, less the sensitive ones by the tag space that it was trained with."""
        community, draft = asked.gate.community, asked.draft
        withheld = Withheld(model.spaces_[community], asked.posts.texts[0], wanted=draft.sensitive)
        return [pair for pair in model.favourites_.get(community, {}).items() if not withheld.holds(pair[0])]

    def _seen(self, asked: Asked, made: Answer, current: Served | None, took: float) -> None:
        """Keep the draft for warming the next model, and let the candidate answer it too."""
        draft = asked.draft
        if not draft.pictures:
            self.recent.append(draft)
        shadow = self.shadow
        if shadow is not None and current is not None and made.way == "model" and not draft.pictures:
            ask = asked.question(asked.wide)

            def finish(ranking: Ranking) -> list[str]:
                gate = replace(asked.gate, known=shadow.served.authors)
                return [one.tag for one in answering.answered(replace(asked, gate=gate), ranking, shadow.served)]

            shadow.compare(lambda model: ask(model)[0], finish, made.tags, took)

    def suggest_many(self, drafts: Sequence[Draft]) -> list[Answer]:
        """Tags for many drafts, asked in portions between which others are answered; reasons are told too."""
        answers: list[Answer] = []
        for start in range(0, len(drafts), self.settings.portion):
            answers += self._portion(drafts[start : start + self.settings.portion])
        return answers

    def _portion(self, drafts: Sequence[Draft]) -> list[Answer]:
        current = self.current
        plain = not any(draft.explain or draft.dials() or draft.pictures or draft.sensitive for draft in drafts)
        if current is None or not plain:
            return [self.suggest(draft) for draft in drafts]
        began = perf_counter()
        both = [self._asked(draft) for draft in drafts]
        together, wide = Posts.concat([asked.posts for asked, _ in both]), max(asked.wide for asked, _ in both)
        try:
            found = current.running.ask(answering.Question(together, wide), self.settings.batch_budget, last=True)
        except NoAnswer:
            return [self.suggest(draft) for draft in drafts]
        took = round((perf_counter() - began) * 1000 / len(drafts), 3)
        made = []
        for (asked, notes), ranking in zip(both, found):
            asked = replace(asked, gate=replace(asked.gate, known=current.authors))
            told = tuple(answering.answered(asked, ranking, current))
            made.append(Answer(told, current.digest, "model", notes=tuple(notes), took_ms=took))
        return made

    def forecast(self, draft: Draft) -> ForecastAnswer:
        """What attention a draft with its chosen tags is expected to get."""
        began = perf_counter()
        made = forecasting.forecast(draft, self.forecaster, self.settings.budget, self.lookups)
        if made.kind == "closed":  # another was put in place since
            made = forecasting.forecast(draft, self.forecaster, self.settings.budget, self.lookups)
        return replace(made, took_ms=round((perf_counter() - began) * 1000, 3))

    # ---- what a community uses

    def _open_gate(self, community: str) -> choosing.Gate:
        """A gate behind which nothing is taken, nobody asks and no text names a sensitive tag."""
        served, follower = self.current, self.follower
        known = served.authors if served else {}
        floor = self.settings.least_authors
        space = follower.spaces[community]
        return choosing.Gate(community, None, space, follower.ledger, known, frozenset(), floor, Withheld(space))

    def trends(self, community: str, k: int = 20) -> list[tuple[str, Trend]]:
        """What is used now in a community, each with the form in which it is shown."""
        settings, gate = self.settings, self._open_gate(community)
        least = max(2, settings.least_authors)
        found = self.follower.ledger.trends(community, settings.half_life_days, settings.trend_days, least)
        made: dict[str, Trend] = {}
        for trend in found:
            tag = gate.passes(trend.tag)
            if tag is not None:
                made.setdefault(tag, trend)
        return [(gate.shown(tag, tag), made[tag]) for tag in choosing.looks(made, k)]

    def complete(self, community: str, start: str, k: int = 10, user: str | None = None) -> list[tuple[str, Used]]:
        """Tags of a community that begin as typed, the most used first, then listed ones that nobody used yet.

        A sensitive tag is completed once its first three characters were typed: its author is who names it then.
        """
        from hashloom.tags import key

        gate = self._open_gate(community)
        gate = replace(gate, user=user, withheld=Withheld(gate.space, typed=start))
        ledger = self.follower.ledger
        allowed = ledger.completed(community, start, lambda tag: gate.passes(tag) is not None, 4 * k)
        made: dict[str, Used] = {}
        for used in allowed:
            made.setdefault(gate.passes(used.tag) or used.tag, used)
        begins = key(start)
        unused = (tag for tag in sorted(gate.space.tags) if tag.startswith(begins) and gate.passes(tag))
        for tag in unused if len(made) < k else ():
            made.setdefault(tag, Used(tag, 0, 0))
        return [(gate.shown(tag, tag), made[tag]) for tag in choosing.looks(made, k)]

    # ---- following the store

    def sync(self, patience: float = 10.0, *, beside: bool = False) -> bool:
        """Take in what happened in the store, and wait until the models in place know it; False where one is behind.

        Models that were published are loaded before this returns, also where another thread has begun to, or, with
        ``beside``, in a thread of their own.
        """
        from concurrent.futures import wait

        with self._syncing:
            # What another thread has taken in may not have reached the models yet.
            told = self._telling = [one for one in self._telling if not one.done()] + self._take()
            due, self.due = self.due, ""
            if due:
                self._loading = threading.Thread(target=self._load, args=(due,), daemon=True)
                self._loading.start()
            loading = self._loading
        if loading is not None and not beside:
            loading.join()
        return not wait(told, patience).not_done

    def _load(self, due: str) -> None:
        """Load what is due; where the store is away, the next ``sync`` tries again."""
        try:
            self.reload(anew=due == "anew")
        except Exception as error:  # the thread that asked for it goes on with the models in place
            LOG.warning("what is published could not be loaded (%s); it is tried again", type(error).__name__)
            self.due = "anew" if "anew" in (due, self.due) else due

    def _take(self) -> list[Future[None]]:
        """Take the news in and tell them to the models in place; ``due`` says whether others are to be loaded."""
        told: list[Future[None]] = []
        while (news := self.follower.news()) is not None:
            self._behind = news.oldest
            self.follower.take(news)
            if news.anew:
                # The models may know what the store has no longer.
                self.due = "anew"
                self.recent.clear()
                break
            told += [self.shelf.tell(served, news, self.follower.spaces) for served in self.in_place()]
            self.due = self.due or ("models" if news.models else "")
            if news.gone or news.authors or news.places:
                self._drop(news)
        self._behind = None
        return told

    def _drop(self, news: News) -> None:
        """Take the drafts and pictures of deleted authors and communities out."""
        # A copy first: others append to it meanwhile.
        self.recent = deque((d for d in list(self.recent) if not self._is_gone(d, news)), maxlen=self.recent.maxlen)
        self.spool.forget(self.store.holds_picture)

    def _is_gone(self, draft: Draft, news: News) -> bool:
        by_author = draft.user is not None and any(
            self.store.mark(draft.user, community or None) == mark for mark, community in news.authors
        )
        by_community = bool(news.places) and self.store.community_mark(draft.community or "") in news.places
        return by_author or by_community or (draft.community, draft.post_id) in news.gone

    # ---- health

    def health(self) -> Health:
        """How the service fares."""
        behind = (datetime.now(UTC) - self._behind).total_seconds() if self._behind else 0.0
        troubles = [self.trouble, *(served.running.trouble for served in self.in_place())]
        return Health(
            ready=not self._stop.is_set(),
            recommender=self.current.digest if self.current else None,
            previous=self.previous.digest if self.previous else None,
            forecaster=self.forecaster.digest if self.forecaster else None,
            shadow=self.shadow.report() if self.shadow else None,
            refused=dict(self.refused),
            posts=len(self.follower.ledger),
            behind_seconds=round(behind, 3),
            trouble="; ".join(filter(None, troubles)),
        )


__all__ = ["Answer", "Draft", "Engine", "ForecastAnswer", "Health", "Refused"]
