"""A walk through time: each step's posts are asked first and learnt then ("prequential", Dawid 1984; Gama et al. 2013).

Three models walk: one that stays as it was after the first part (``frozen``), one that takes every step's posts in by
``update`` (``updated``) and one that is trained anew before each step (``retrained``). What the second gains over the
first is the worth of learning without training; what the third gains over the second is what that still lacks.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np

from hashloom import catalogue
from hashloom.data.prepare import Preparation
from hashloom.data.split import near_duplicates
from hashloom.evaluate import answers
from hashloom.evaluate.beyond import posted
from hashloom.evaluate.compare import Bootstrap, Difference, Interval
from hashloom.evaluate.findings import DEPTH, FEWEST_USERS, Result
from hashloom.evaluate.formulas import OF_SOME
from hashloom.evaluate.metrics import columns, measure, parse, summarise
from hashloom.evaluate.novelty import DAY, among
from hashloom.evaluate.protocol import seeded
from hashloom.types import UNDATED, Posts, Rankings, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOG = logging.getLogger(__name__)
Mode = Literal["frozen", "updated", "retrained"]
MODES: tuple[Mode, ...] = get_args(Mode)
METRICS = ("ndcg@10", "young_r@10", "novel_r@10")


class Learner(Protocol):
    """What can walk: every recommender."""

    def recommend(self, posts: Posts, k: int) -> Rankings:
        """One ranking of at most ``k`` tags per post."""

    def update(self, posts: Posts) -> Any:
        """Take further tagged posts in."""


@dataclass(frozen=True)
class Walk:
    """Posts cut in time. ``first`` teaches; then the posts of each of ``steps`` come, of which ``asked`` are asked."""

    first: Posts
    steps: tuple[Posts, ...]
    asked: tuple[Posts, ...]

    @cached_property
    def everything(self) -> Posts:
        """All posts, in the order of the walk."""
        return Posts.concat([self.first, *self.steps])

    @cached_property
    def questions(self) -> Posts:
        """The posts asked in all steps."""
        return Posts.concat(self.asked)

    @cached_property
    def at(self) -> NDArray[np.int64]:
        """The step, from 0, of each of ``questions``; shape (questions,)."""
        return np.repeat(np.arange(len(self.asked)), [len(each) for each in self.asked])

    @property
    def id(self) -> str:
        """Names the walk: results with one id were scored on the same posts."""
        sizes = f"{len(self.first)}+{'+'.join(str(len(step)) for step in self.steps)}"
        return hashlib.sha256(f"{self.everything.fingerprint} {sizes}".encode()).hexdigest()[:12]


def walk(posts: Posts, *, first: float = 0.5, steps: int = 10, days: float = 0) -> Walk:
    """Cut posts: the earliest share ``first`` of them teaches, the rest comes in ``steps`` of equal size.

    ``days``: each step is so long instead. Posts of one moment stay together. A set without any times is cut in the
    order given, within each community. A copy (same folded text) of an earlier post is learnt, but not asked.

    Raises ``ValueError`` where nothing is left to learn from or to ask, and for ``days`` of posts without times.

    >>> from hashloom.types import Post
    >>> made = walk(Posts.of([Post(str(i), f"post {i}", tags=("x",)) for i in range(10)]), first=0.4, steps=3)
    >>> len(made.first), [len(step) for step in made.steps]
    (4, [2, 2, 2])
    """
    if not 0 < first < 1 or steps < 1 or days < 0:
        raise ValueError(f"first ({first}) must lie between 0 and 1, steps ({steps}) be 1 or more, days not negative")
    posts = posts.in_order()
    undated = bool(np.all(posts.times == UNDATED))
    if days and undated:
        raise ValueError("steps of so many days need posts with times; these have none: give a number of steps instead")
    part = _by_order(posts, first, steps) if undated else _by_time(posts, first, steps, days)
    group = near_duplicates(posts)
    order = np.argsort(part, kind="stable")
    fresh = np.zeros(len(posts), dtype=bool)
    fresh[order[np.unique(group[order], return_index=True)[1]]] = True  # the first of all copies
    numbers = [n for n in range(1, int(part.max(initial=0)) + 1) if bool((part == n).any())]
    made = Walk(
        posts[part == 0],
        tuple(posts[part == n] for n in numbers),
        tuple(posts[(part == n) & fresh].tagged() for n in numbers),
    )
    if not len(made.first.tagged()) or not len(made.questions):
        raise ValueError(f"{len(posts)} posts are too few for a first part of {first:.0%} and steps with tagged posts")
    return made


def _edges(first: float, steps: int) -> NDArray[np.float64]:
    """The share of posts before each step; shape (steps,)."""
    return first + (1 - first) * np.arange(steps) / steps


def _by_time(posts: Posts, first: float, steps: int, days: float) -> NDArray[np.int64]:
    """0 for the first part, then the number of the step, for each post; posts of one moment fall into the later."""
    places = np.floor(_edges(first, steps) * len(posts) + 1e-9).astype(np.int64)
    starts = posts.times[places]
    if days:
        last = int(posts.times[-1] - starts[0])
        starts = starts[0] + (np.arange(int(last // (days * DAY)) + 1) * days * DAY).astype(np.int64)
    return np.searchsorted(starts, posts.times, side="right")


def _by_order(posts: Posts, first: float, steps: int) -> NDArray[np.int64]:
    part = np.zeros(len(posts), dtype=np.int64)
    communities = np.array(posts.communities, dtype=object)
    for community in dict.fromkeys(posts.communities):
        rows = np.flatnonzero(communities == community)
        part[rows] = np.searchsorted(_edges(first, steps), (np.arange(len(rows)) + 1e-9) / len(rows), side="right")
    return part


@dataclass(frozen=True)
class Prequential:
    """What a recipe scored on a walk: ``scores`` of all posts asked, by mode, from which every step's value comes.

    ``learn_seconds`` and ``answer_seconds`` have one figure per step, by mode: training before the step (``frozen``:
    before the first), or all updates within it.
    """

    name: str
    walk: Walk
    scores: Mapping[str, Scores]
    learn_seconds: Mapping[str, Sequence[float]]
    answer_seconds: Mapping[str, Sequence[float]]
    metrics: tuple[str, ...] = METRICS
    resamples: int = 2000

    @property
    def modes(self) -> list[str]:
        """The models that walked."""
        return list(self.scores)

    def values(self, mode: str, metric: str, *, so_far: bool = False) -> list[float]:
        """The score in each step, or (``so_far``) over all steps up to each; NaN where no post counts."""
        steps = range(len(self.walk.steps))
        masks = [self.walk.at <= n if so_far else self.walk.at == n for n in steps]
        return [summarise(self.scores[mode], metric, mask) for mask in masks]

    def counts(self, metric: str) -> list[int]:
        """What each step's score rests on: so many tags, for metrics of some of the tags, or else so many posts."""
        column = self.scores[self.modes[0]].values[columns(metric)[-1]]
        each = column if parse(metric)[0].name in OF_SOME else np.ones(len(column))
        known = np.where(np.isnan(column), 0, each)
        return [int(known[self.walk.at == n].sum()) for n in range(len(self.walk.steps))]

    def interval(self, mode: str, metric: str) -> Interval:
        """The score over all steps, with its interval."""
        return self._drawn.interval(self.modes.index(mode), metric)

    def difference(self, mode: str, other: str, metric: str) -> Difference:
        """How much better one mode is than another, on the same posts of all steps."""
        return self._drawn.paired(self.modes.index(mode), self.modes.index(other), metric)

    @cached_property
    def _drawn(self) -> Bootstrap:
        users = self.walk.questions.users
        by = users if len({u for u in users if u is not None}) >= FEWEST_USERS else None
        return Bootstrap([self.scores[mode] for mode in self.modes], self.metrics, by, self.resamples)


def of_recipe(recipe: Mapping[str, Any], seed: int = 0) -> Callable[[Posts], Learner]:
    """What trains a recipe's recommender on posts: rare tags left out as it says, ``seed`` in every part that draws.

    >>> from hashloom.types import Post
    >>> learnt, asked = Posts.of([Post("a", community="c", tags=("Rye",))]), Posts.of([Post("b", community="c")])
    >>> of_recipe(catalogue.recipe("popular"))(learnt).recommend(asked, 1)[0].tags
    ['Rye']
    """
    preparation = Preparation(**recipe.get("prepare", {}))

    def train(posts: Posts) -> Learner:
        return catalogue.build(seeded(recipe["model"], seed)).fit(preparation.train(posts))

    return train


def keeping_place(recipe: Mapping[str, Any], made: Walk, folder: Path, *, seed: int = 0, pace: int = 0) -> Path:
    """The folder in which the answers of this recipe, with these settings, on this walk are kept."""
    return answers.place(folder, recipe, f"{made.id} pace {pace}", seed).with_suffix("")


def prequential(
    name: str,
    train: Callable[[Posts], Learner],
    made: Walk,
    *,
    modes: Sequence[Mode] = MODES,
    metrics: Sequence[str] = METRICS,
    pace: int = 0,
    folder: Path | None = None,
    say: Callable[[str], None] = LOG.info,
) -> Prequential:
    """Walk once with each mode; ``train`` gives a trained model (see ``of_recipe``).

    The frozen model never gets a later post, not as history either; the updated one gets them by ``update`` alone,
    after every ``pace`` posts (0: after each step), and never before they were asked. Novel tags are those that no post
    of the first part carries. Answers are kept in ``folder``, one file a step and mode: started again after a stop, the
    walk goes on from there.
    """
    for metric in metrics:
        parse(metric)
    walker = _Walker(name, train, made, pace, folder, say)
    results = {mode: list(walker.go(mode)) for mode in MODES if mode in modes}
    marks = among(made.questions, made.first, made.everything)
    truths = posted(made.questions)
    rankings = {mode: Rankings.concat([one.rankings for one in each]) for mode, each in results.items()}
    return Prequential(
        name,
        made,
        {mode: measure(each, truths, metrics, among=marks) for mode, each in rankings.items()},
        {mode: [one.train_seconds for one in each] for mode, each in results.items()},
        {mode: [one.recommend_seconds for one in each] for mode, each in results.items()},
        tuple(metrics),
    )


@dataclass
class _Walker:
    """Goes through the steps with one mode after another; ``model`` has learnt the first part and ``learnt`` steps."""

    name: str
    train: Callable[[Posts], Learner]
    made: Walk
    pace: int
    folder: Path | None
    say: Callable[[str], None]
    model: Learner | None = None
    learnt: int = 0
    start: Result | None = None

    def go(self, mode: Mode) -> Iterator[Result]:
        """The answers to each step's posts."""
        answer = {"frozen": self._frozen, "updated": self._updated, "retrained": self._retrained}[mode]
        for n, asked in enumerate(self.made.asked):
            path = None if self.folder is None else self.folder / f"{mode}-{n + 1:03}.parquet"
            kept = path is not None and path.is_file()
            if path is not None and kept:
                result = answers.load(path, Result(self.name, {}, Rankings.of([], [])), asked.ids)
            else:
                result = answer(n)
            if path is not None and not kept:
                answers.save(result, path)
            self.start = result if mode == "frozen" and n == 0 else self.start
            times = (
                "" if kept else f" learnt in {result.train_seconds:.1f} s, asked in {result.recommend_seconds:.1f} s"
            )
            self.say(f"{self.name}, {mode}, step {n + 1}/{len(self.made.steps)}:{times or ' kept answers'}")
            yield result

    def _frozen(self, n: int) -> Result:
        seconds = self._ready()
        return self._asked(self._model(), self.made.asked[n], seconds)

    def _updated(self, n: int) -> Result:
        self._ready()
        # Steps whose answers are kept are caught up with.
        for step in self.made.steps[self.learnt : n]:
            for some in _paces(step, self.pace):
                self._model().update(some)
        self.learnt = n + 1
        ids, rows, seconds = set(self.made.asked[n].ids), [], 0.0
        for some in _paces(self.made.steps[n], self.pace):
            asked = some[np.array([i in ids for i in some.ids], dtype=bool)]
            rows.append(self._asked(self._model(), asked, 0.0))
            start = time.perf_counter()
            self._model().update(some)
            seconds += time.perf_counter() - start
        rankings = Rankings.concat([one.rankings for one in rows])
        answered = sum(one.recommend_seconds for one in rows)
        return Result(self.name, {}, rankings, train_seconds=seconds, recommend_seconds=answered)

    def _retrained(self, n: int) -> Result:
        if n == 0 and self.start is not None:
            return self.start
        start = time.perf_counter()
        model = self.train(Posts.concat([self.made.first, *self.made.steps[:n]]))
        return self._asked(model, self.made.asked[n], time.perf_counter() - start)

    def _ready(self) -> float:
        """Learn the first part, where that is not done; the seconds that it took."""
        start = time.perf_counter()
        if self.model is None:
            self.model = self.train(self.made.first)
        return time.perf_counter() - start

    def _model(self) -> Learner:
        assert self.model is not None
        return self.model

    def _asked(self, model: Learner, asked: Posts, learnt: float) -> Result:
        start = time.perf_counter()
        rankings = model.recommend(asked, DEPTH) if len(asked) else Rankings.of([], [])
        return Result(self.name, {}, rankings, train_seconds=learnt, recommend_seconds=time.perf_counter() - start)


def _paces(posts: Posts, pace: int) -> Iterator[Posts]:
    """The posts of a step in pieces of about ``pace`` (0: in one), posts of one moment together."""
    start = 0
    while start < len(posts):
        end = min(start + pace, len(posts)) if pace else len(posts)
        if posts.times[end - 1] != UNDATED:
            end = int(np.searchsorted(posts.times, posts.times[end - 1], side="right"))
        yield posts[start:end]
        start = end
