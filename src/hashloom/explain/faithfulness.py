"""Faithfulness: does deleting what is marked move the answer more than deleting as much at random? (models §11.10)

A map alone is no evidence (Jain and Wallace, NAACL 2019). Words are taken out of the text, regions of the picture
covered with its mean colour; of a recommender the first suggested tag's score is watched, of a forecaster the forecast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from hashloom.evaluate.compare import Interval, resample
from hashloom.explain.marks import firsts, marks
from hashloom.explain.occlusion import Canvas, Model, answers, changed, occluded, unkept, without
from hashloom.explain.words import placed
from hashloom.forecaster import Forecaster
from hashloom.recommender import hashed
from hashloom.types import Marks, Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Kind = Literal["attention", "contribution", "occlusion"]
Side = Literal["words", "regions"]
AT_ONCE = 16
"""Posts whose changed copies are asked together."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Falls:
    """One kind of marks on one side: how far the answer moved in each post, what is marked deleted and at random.

    ``marked`` has shape (posts,), ``drawn`` (posts, draws). Of a recommender: how far the score fell; of a forecaster:
    how far the forecast moved, either way.
    """

    kind: Kind
    side: Side
    ids: tuple[str, ...]
    marked: Floats
    drawn: Floats

    @property
    def random(self) -> Floats:
        """The mean of each post's random draws; (posts,)."""
        return np.asarray(self.drawn.mean(axis=1))

    def difference(self, seed: int = 0) -> Interval:
        """Marked minus random, the mean over posts with its 95 % bootstrap interval (NaN of a single post)."""
        gap = self.marked - self.random
        drawn = resample(gap[:, None], np.arange(len(gap)), RESAMPLES, seed)[:, 0]
        low, high = np.quantile(drawn, [0.025, 0.975])
        return Interval(float(gap.mean()), float(low), float(high))

    @property
    def wins(self) -> float:
        """Share of posts where deleting what is marked moved the answer more than a random draw, mean over the draws.

        Not against the mean of the draws: where one word decides, most draws miss it, and their mean is beaten by
        anything half of the time. So marks without meaning come to a half at the most.
        """
        return float((self.marked[:, None] > self.drawn).mean())


@dataclass(frozen=True)
class Faithfulness:
    """What was found, by kind and side; empty where no post had marks to delete."""

    falls: tuple[Falls, ...]

    def of(self, side: Side, kind: Kind | None = None) -> Falls | None:
        """The falls of one side, of one kind where there are several; None where there are none."""
        return next((one for one in self.falls if one.side == side and kind in (None, one.kind)), None)


class _Plan(NamedTuple):
    share: float
    draws: int
    seed: int
    either: bool
    """Whether what counts is how far the answer moves, either way (forecasts), or falls (tags)."""


class _Trial(NamedTuple):
    """Copies of a post: as it is, without what is marked on one side, and one per random draw."""

    kind: Kind
    side: Side
    post: int
    asked: Posts


def faithfulness(
    model: Model,
    posts: Posts,
    *,
    history: Posts | None = None,
    share: float = 0.1,
    draws: int = 5,
    seed: int = 0,
    kind: Kind | None = None,
) -> Faithfulness:
    """Falls of score or forecast: the marked ``share`` of words or cells deleted, at least one, against chance.

    ``kind``: ``occlusion`` marks all posts by it; another: only the model's own marks of that kind; None: its own, by
    occlusion where it has none. Chance deletes as many of the same words or cells, ``draws`` times; the same ``seed``
    and post draw alike. Posts with too little to choose from are passed over.
    """
    tags = [None] * len(posts) if isinstance(model, Forecaster) else firsts(model, posts, history)
    plan = _Plan(share, draws, seed, isinstance(model, Forecaster))
    falls: dict[tuple[Kind, Side], list[tuple[str, Floats]]] = {}
    for at in range(0, len(posts), AT_ONCE):
        part, named = posts[at : at + AT_ONCE], tags[at : at + AT_ONCE]
        found = _marked(model, part, named, history, kind)
        with TemporaryDirectory() as folder, unkept(model):
            trials = list(_trials(part, found, Path(folder), plan))
            if not trials:
                continue
            each = [named[trial.post] or "" for trial in trials for _ in range(draws + 2)]
            scores = answers(model, Posts.concat([trial.asked for trial in trials]), each, history)
        asked = scores.reshape(len(trials), draws + 2)
        moved = asked[:, :1] - asked[:, 1:]  # (trials, 1 + draws)
        for trial, row in zip(trials, np.abs(moved) if plan.either else moved):
            falls.setdefault((trial.kind, trial.side), []).append((part.ids[trial.post], row))
    return Faithfulness(tuple(_falls(*name, rows) for name, rows in sorted(falls.items())))


def _falls(kind: Kind, side: Side, rows: Sequence[tuple[str, Floats]]) -> Falls:
    moved = np.stack([row for _, row in rows])
    return Falls(kind, side, tuple(post for post, _ in rows), moved[:, 0], moved[:, 1:])


def _marked(
    model: Model, posts: Posts, tags: Sequence[str | None], history: Posts | None, kind: Kind | None
) -> list[Marks | None]:
    """The marks of each post as far as they are of the kind wanted."""
    found: list[Marks | None] = [None] * len(posts)
    rows = [i for i, tag in enumerate(tags) if tag or isinstance(model, Forecaster)]
    if not rows:
        return found
    if kind == "occlusion":
        made: list[Marks | None] = [occluded(model, posts[i : i + 1], tags[i], history=history) for i in rows]
    else:
        named = None if isinstance(model, Forecaster) else [tags[i] or "" for i in rows]
        made = marks(model, posts[rows], named, history=history, occlude=kind is None)
    for i, one in zip(rows, made):
        found[i] = one if one is not None and kind in (None, one.kind) else None
    return found


def _trials(posts: Posts, found: Sequence[Marks | None], folder: Path, plan: _Plan) -> Iterator[_Trial]:
    """What is asked of each post: without marked words, and with marked regions covered."""
    for i, one in enumerate(found):
        if one is None:
            continue
        post, text = posts[i : i + 1], posts.texts[i]
        random = np.random.default_rng([plan.seed, int(hashed(post.ids)[0])])
        words, _ = placed(text, one.words)
        if chosen := _chosen(np.array([weight for *_, weight in words]), plan, random):
            texts = [without(text, [words[j][:2] for j in some]) for some in chosen]
            yield _Trial(one.kind, "words", i, changed(post, [text, *texts]))
        shown = None if one.regions is None else Canvas.of(post, folder, f"{i}-")
        if one.regions is not None and shown and (chosen := _chosen(one.regions.ravel(), plan, random)):
            grid = one.regions.shape[0], one.regions.shape[1]
            covers = [shown.covered(cells, grid) for cells in ([], *chosen)]
            yield _Trial(one.kind, "regions", i, changed(post, [text] * len(covers), covers))


def _chosen(weights: Floats, plan: _Plan, random: np.random.Generator) -> list[list[int]]:
    """What is deleted: the most marked, then random draws of as many; nothing where that would be all."""
    count = max(1, round(plan.share * len(weights)))
    if count >= len(weights):
        return []
    order = np.argsort(-np.abs(weights) if plan.either else -weights, kind="stable")
    drawn = [random.choice(len(weights), count, replace=False).tolist() for _ in range(plan.draws)]
    return [order[:count].tolist(), *drawn]
