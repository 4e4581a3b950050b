"""The recommender's sibling: a forecaster learns from posts whose number is known and forecasts that of others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

from hashloom import catalogue, keeping
from hashloom.data.history import History
from hashloom.data.intervals import Intervals
from hashloom.data.prepare import with_tags
from hashloom.data.record import Record
from hashloom.data.target import Target, choose
from hashloom.recommender import Forgotten, hashed
from hashloom.tags import key
from hashloom.types import Forecasts, Marks, Posts, Reason

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST = 8
"""With fewer posts than this to hold back, nothing is held back and the intervals come from the posts learnt from."""
_BATCH = 1024


@dataclass(frozen=True)
class Guess:
    """What a model says of posts before intervals are put around it; all (posts,).

    ``spread`` says how uncertain one forecast is next to the others; without it, all are alike. ``earlier`` counts the
    author's posts that were read, where they are not all that the record holds.
    """

    values: Floats
    spread: Floats | None = None
    reasons: Sequence[tuple[Reason, ...]] | None = None
    earlier: Floats | None = None

    @property
    def spreads(self) -> Floats:
        """The spread of each, ones where all are alike; never 0."""
        return np.ones(len(self.values)) if self.spread is None else np.maximum(self.spread, 1e-6)


class _Learnt:
    """What learning leaves behind."""

    target_: str
    """Which target was learnt, in the form of the field ``target``."""
    memory_: Posts
    """Who posted when, with which tags (keys), and got what (``value``)."""
    seen_: NDArray[np.uint64]
    """Hashes of the ids of the posts learnt from, so that nobody is scored on them by mistake."""
    intervals_: dict[str, Any]
    """See ``data.intervals``."""


@dataclass
class Forecaster(_Learnt, ABC):
    """A dataclass whose fields are its hyper-parameters; what it learns ends in ``_``.

    A new one writes ``_fit`` and ``_guess``; see ``docs/adding-a-forecaster.md``. Numbers inside are targets on the
    scale of ``target_`` (``data.target``); what an author's or a community's earlier posts got, ``_record`` tells.
    """

    seeded: ClassVar[bool] = False
    """Whether chance decides so much (a network's start) that comparisons train it once per seed."""
    adds_up: ClassVar[bool] = False
    """Whether the weights of a forecast's reasons sum to its value."""

    target: str = "auto"
    """What is forecast: a column, or number/exposure (likes/user_followers, views/days); auto: the first there is."""
    coverage: Annotated[float, Gt(0), Lt(1)] = 0.9
    """Share of posts whose number the interval is to hold."""
    held: Annotated[float, Ge(0), Le(0.5)] = 0.15
    """Share of the posts, the latest, by which settings are chosen and intervals made."""
    settles: Annotated[float, Ge(0)] = 0.0
    """Days until a post's number can be known; only then do forecasts of others know it."""

    @abstractmethod
    def _fit(self, posts: Posts, values: Floats, late: Ints) -> Guess:
        """Learn from posts in order of time and their targets (posts,); tags are keys.

        ``late`` are rows of the latest ones, possibly none: settings and early stopping may be chosen by them. Returns
        what was forecast of these before anything was learnt from them; the intervals come from that.
        """

    @abstractmethod
    def _guess(self, posts: Posts, record: Record, explain: bool) -> Guess:
        """What is expected of posts, whoever wrote them and whatever they lack."""

    def fit(self, posts: Posts) -> Self:
        """Learn from posts whose number is known. Raises ``ValueError`` where there is none."""
        target = choose(self.target, posts)
        posts = posts.in_order()
        values = target.values(posts)
        known = np.isfinite(values)
        posts, values = _keyed(posts[known]), values[known]
        self._clear()
        self.target_ = str(target)
        self.memory_ = _kept(posts, values)
        self.seen_ = np.sort(hashed(posts.ids))
        late = np.arange(len(posts) - int(len(posts) * self.held), len(posts))
        late = late if len(late) >= LEAST else late[:0]
        self._learn_intervals(posts, values, late, self._fit(posts, values, late))
        return self

    def _learn_intervals(self, posts: Posts, values: Floats, late: Ints, before: Guess) -> None:
        if not len(late):
            late = np.arange(len(posts))
            before = self._guess(posts, self._record, False)
        earlier = self._record.of(posts[late]).count if before.earlier is None else before.earlier
        made = Intervals.learn(values[late] - before.values, before.spreads, earlier, self.coverage)
        self.intervals_ = {"low": list(made.low), "high": list(made.high)}

    def forecast(self, posts: Posts, *, history: Posts | None = None, explain: bool = False) -> Forecasts:
        """What each post is expected to get, in the order given, on the scale of ``formula``.

        ``history`` adds earlier posts, with their numbers, to those that the model remembers; each asked post sees
        only those strictly before it. Numbers that the asked posts state themselves are not looked at.
        """
        self._must_be_fitted()
        record = self._record_with(history)
        parts = [posts[i : i + _BATCH] for i in range(0, len(posts), _BATCH)] or [posts]
        return Forecasts.concat([self._deliver(_keyed(part), record, explain) for part in parts])

    def _deliver(self, posts: Posts, record: Record, explain: bool) -> Forecasts:
        made = self._guess(posts, record, explain) if len(posts) else Guess(np.zeros(0), reasons=[])
        earlier = record.of(posts).count if made.earlier is None else made.earlier
        low, high = Intervals(**self.intervals_).around(made.values, made.spreads, earlier)
        why = (made.reasons or [()] * len(posts)) if explain else None
        return Forecasts(posts.ids, made.values, low, high, self.formula, self.coverage, why)

    @property
    def formula(self) -> str:
        """How the number that is forecast is computed."""
        self._must_be_fitted()
        return Target.parse(self.target_).formula

    @property
    def name(self) -> str:
        """The name in settings, which is the name of the file."""
        return type(self).__module__.rsplit(".", 1)[-1]

    def settings(self) -> dict[str, Any]:
        """The fields as JSON, parts inside included: ``build(f.settings())`` equals ``f``."""
        return catalogue.settings(self)

    def save(self, folder: Path | str, **facts: Any) -> Path:
        """Keep the model as a folder; see ``hashloom.keeping``."""
        return keeping.save(self, folder, **facts)

    def inside(self) -> Iterator[Forecaster]:
        """The forecasters held in fields."""
        for f in fields(self):
            value = getattr(self, f.name)
            yield from (v for v in (value if isinstance(value, list) else [value]) if isinstance(v, Forecaster))

    def is_seeded(self) -> bool:
        """Whether this forecaster or one inside it is ``seeded``."""
        return self.seeded or any(part.is_seeded() for part in self.inside())

    def marks(self, posts: Posts, *, history: Posts | None = None) -> list[Marks | None]:
        """How much each word and region carries of each forecast, where the model can say so by itself."""
        return [None] * len(posts)

    def update(self, posts: Posts) -> Self:
        """Let later forecasts know what further posts got, without training anew; known ids are passed over."""
        self._must_be_fitted()
        values = Target.parse(self.target_).values(posts)
        fresh = np.isfinite(values) & ~np.isin(hashed(posts.ids), self.seen_)
        fresh &= np.isin(np.arange(len(posts)), np.unique(hashed(posts.ids), return_index=True)[1])
        if not fresh.any():
            return self
        posts, values = _keyed(posts[fresh]), values[fresh]
        self._update(posts, values)
        self.memory_ = Posts.concat([self.memory_, _kept(posts, values)]).in_order()
        self.seen_ = np.union1d(self.seen_, hashed(posts.ids))
        self._clear()
        return self

    def forget(self, *, posts: Collection[str] = (), users: Collection[str] = ()) -> Forgotten:
        """Take posts (by id) and all posts of users out of what is remembered; trained weights are not undone."""
        self._must_be_fitted()
        for name, given in {"posts": posts, "users": users}.items():
            if isinstance(given, str):
                raise TypeError(f"{name} must be several, not one string; write {name}=[{given!r}]")
        frame = self.memory_.frame
        leave = (frame["id"].is_in(list(posts)) | frame["user"].is_in(list(users)).fill_null(False)).to_numpy()
        gone = self.memory_[leave]
        if len(gone) or users:
            self.memory_ = self.memory_[~leave]
            self.seen_ = np.setdiff1d(self.seen_, hashed(gone.ids))
            self._clear()
            self._forget(gone, frozenset(users))
        return Forgotten(len(gone), 0)

    def _update(self, posts: Posts, values: Floats) -> None:
        """Add posts to indices that stand beside ``memory_``."""

    def _forget(self, gone: Posts, users: frozenset[str]) -> None:
        """Take posts and users out of what stands beside ``memory_``."""

    def _must_be_fitted(self) -> None:
        if not hasattr(self, "target_"):
            raise RuntimeError(f"this {self.name} has learnt nothing yet; call fit(posts) or load a model first")

    def _clear(self) -> None:
        """Forget what is derived from what is learnt."""
        for kind in type(self).__mro__:
            for name, value in vars(kind).items():
                if isinstance(value, cached_property):
                    self.__dict__.pop(name, None)
        self.__dict__.pop("_given", None)

    @cached_property
    def _record(self) -> Record:
        """What the posts learnt from got."""
        return Record(History(self.memory_), self.settles)

    def _record_with(self, history: Posts | None) -> Record:
        """The record with further posts, made once where the same posts are given again and again."""
        if history is None:
            return self._record
        made = self.__dict__.get("_given")
        if made is None or made[0] is not history:
            values = Target.parse(self.target_).values(history)
            known = np.isfinite(values)
            more = _kept(_keyed(history[known]), values[known])
            made = self.__dict__["_given"] = (history, Record(self._record.history.and_(more), self.settles, history))
        return made[1]


def _keyed(posts: Posts) -> Posts:
    """The posts with each tag as its key."""
    return with_tags(posts, [[k for k in map(key, row) if k] for row in posts.tags])


def _kept(posts: Posts, values: Floats) -> Posts:
    """What is remembered of posts."""
    import polars as pl

    frame = posts.frame[["id", "community", "user", "created_at", "tags"]]
    return Posts.of(frame.with_columns(value=pl.Series(values, dtype=pl.Float64)))
