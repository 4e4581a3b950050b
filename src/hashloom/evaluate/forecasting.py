"""The honest run of forecasters: fit on the training part, look back through history, score the test part once.

As UHAN's paper was measured (Zhang et al., WWW 2018; models §11.6, §11.9), but split strictly by time.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom import catalogue
from hashloom.data.split import How, Split, split
from hashloom.data.target import Target, choose
from hashloom.evaluate.protocol import _today, seeded
from hashloom.forecaster import Forecaster
from hashloom.recommender import hashed
from hashloom.types import UNDATED, Posts, utc

if TYPE_CHECKING:
    from hashloom.evaluate.forecast_findings import ForecastExperiment, ForecastFindings, ForecastResult

LOG = logging.getLogger(__name__)
STRICT = ("time", "community")
"""Splits in which every post learnt from is earlier than every post scored (in its community)."""


def is_forecast(recipe: Mapping[str, Any]) -> bool:
    """Whether a recipe's model is a forecaster.

    >>> is_forecast(catalogue.recipe("author-mean")), is_forecast(catalogue.recipe("popular"))
    (True, False)
    """
    model = recipe["model"]
    return next((word for word in catalogue.ROOMS.values() if word in model), None) == "forecaster"


@dataclass(frozen=True)
class Parts:
    """Posts whose number is known, split; ``left_out`` says why posts are missing, and how many."""

    split: Split
    target: Target
    left_out: dict[str, int] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean number of the training part."""
        return float(self.target.values(self.split.train).mean())

    @property
    def id(self) -> str:
        """Names the split, the target and its numbers, which a later crawl may change; kept forecasts go by it."""
        numbers = b"".join(self.target.values(part).tobytes() for part in _parts(self.split))
        return f"{self.split.id} {self.target} {hashlib.blake2b(numbers, digest_size=8).hexdigest()}"


def prepared(
    recipes: Sequence[Mapping[str, Any]],
    posts: Posts,
    *,
    how: How = "time",
    seed: int = 0,
    users: int = 0,
    until: datetime | None = None,
) -> Parts:
    """The posts that recipes forecast, split; the number is the one that all of them forecast.

    ``until``: only posts created before this moment, because the numbers of later ones are not ripe. ``users``: only
    posts of so many authors, those with most posts in the training part; the parts are cut before, so that no later
    post decides who is looked at. Raises ``ValueError`` where recipes forecast different numbers.
    """
    made, left_out = posts.in_order(), {}
    if until is not None:
        moment = int(utc(until).timestamp() * 1e6)
        ripe = (made.times < moment) & (made.times != UNDATED)
        left_out[f"not created before {until.isoformat()}"] = int((~ripe).sum())
        made = made[ripe]
    target = _target(recipes, made)
    known = np.isfinite(target.values(made))
    left_out[f"without {target}"] = int((~known).sum())
    # By time no later copy of a text is drawn into the training part, as it is for tags: its number is a later one.
    parts = split(made[known], how, seed=seed, grouped=how not in STRICT)
    if users:
        fewer = _most_active(parts, users)
        left_out[f"not of the {users} authors with most training posts"] = _size(parts) - _size(fewer)
        parts = fewer
    if not len(parts.train):
        raise ValueError(f"the training part of {len(posts):,} posts holds none that states {target}; give more posts")
    return Parts(parts, target, {why: n for why, n in left_out.items() if n})


def _target(recipes: Sequence[Mapping[str, Any]], posts: Posts) -> Target:
    found: dict[str, str] = {}
    for recipe in recipes:
        if recipe.get("prepare"):
            raise catalogue.UnknownName(f"recipe {recipe['name']!r}: [prepare] is for recommenders; leave it out")
        found.setdefault(str(choose(_built(recipe).target, posts)), recipe["name"])
    if len(found) > 1:
        said = "; ".join(f"{name!r} {target}" for target, name in found.items())
        raise ValueError(
            f"recipes forecast different numbers, which cannot be compared: {said}; set one target for all"
        )
    return Target.parse(next(iter(found)))


def _built(recipe: Mapping[str, Any], seed: int | None = None) -> Forecaster:
    if not is_forecast(recipe):
        raise catalogue.UnknownName(
            f"recipe {recipe['name']!r} suggests tags and forecasts nothing; name a forecaster's"
        )
    made: Forecaster = catalogue.build(recipe["model"] if seed is None else seeded(recipe["model"], seed))
    return made


def _most_active(made: Split, users: int) -> Split:
    """The split with posts of the authors who wrote most of the training part; of equals, those who came first."""
    frame = made.train.frame.select("community", "user").drop_nulls("user")
    counts = (
        frame.group_by("community", "user", maintain_order=True).len().sort("len", descending=True, maintain_order=True)
    )
    kept = set(counts.head(users).select("community", "user").iter_rows())
    parts = (p[[i for i, who in enumerate(zip(p.communities, p.users)) if who in kept]] for p in _parts(made))
    train, validation, test = parts
    return replace(made, train=train, validation=validation, test=test)


def _parts(made: Split) -> tuple[Posts, Posts, Posts]:
    return made.train, made.validation, made.test


def _size(made: Split) -> int:
    return sum(map(len, _parts(made)))


@dataclass(frozen=True)
class TrainedForecaster:
    """A fitted forecaster, the split that it was fitted on, the seconds it took, and what its manifest says."""

    model: Forecaster
    split: Split
    seconds: float
    facts: dict[str, Any]


def train(
    recipe: Mapping[str, Any],
    posts: Posts,
    *,
    how: How = "time",
    seed: int = 0,
    users: int = 0,
    until: datetime | None = None,
) -> TrainedForecaster:
    """Fit a recipe's forecaster on the training part of ``posts`` (``how="none"``: on all of them).

    Posts whose number is not known are left out before the split; ``users`` and ``until`` are those of ``prepared``.
    ``seed`` goes into the split and into every part that has a field ``seed``.

    >>> from hashloom.types import Post
    >>> posts = Posts.of([Post(str(i), user="mo", popularity=float(i)) for i in range(10)])
    >>> made = train(catalogue.recipe("mean"), posts)
    >>> made.facts["formula"], made.facts["learnt_from"]["posts"], made.model.forecast(posts[9:])[0].value
    ('popularity as given', 7, 3.0)
    """
    return _fit(recipe, prepared([recipe], posts, how=how, seed=seed, users=users, until=until), seed, users, until)


def _fit(
    recipe: Mapping[str, Any], parts: Parts, seed: int, users: int = 0, until: datetime | None = None
) -> TrainedForecaster:
    model, made = _built(recipe, seed), parts.split
    start = time.perf_counter()
    model.fit(made.train)
    seconds = time.perf_counter() - start
    facts = {
        "recipe": recipe["name"],
        "split": {"how": made.how, "seed": made.seed, "id": made.id},
        "fingerprint": made.fingerprint,
        "formula": model.formula,
        "target": model.target_,
        "learnt_from": {"posts": len(made.train), "fingerprint": made.train.fingerprint},
        "left_out": parts.left_out,
        "users": users,
        "until": until.isoformat() if until else None,
        "train_seconds": round(seconds, 2),
    }
    return TrainedForecaster(model, made, seconds, facts)


def publish(trained: TrainedForecaster, folder: Path | str) -> Path:
    """Keep a trained forecaster with what is known of its making."""
    return trained.model.save(folder, **trained.facts)


def evaluate(
    model: Forecaster, posts: Posts, *, said: Mapping[str, Any], history: Posts | None = None
) -> ForecastFindings:
    """Score a kept forecaster on posts that it has not learnt from and whose number is known; ``said``: its manifest.

    Given the very data that it was trained on, the test part of its split is scored, and the validation part counts
    as history (of a split by user, the earlier posts of the test part too). Other posts are scored as they are, less
    those whose ids the model has learnt from. Raises ``ValueError`` where no post is left to score.
    """
    from hashloom.evaluate.forecast_findings import ForecastExperiment, ForecastFindings

    asked = _unseen(model, posts, said)
    past = [part for part in (asked.history, history) if part is not None and len(part)]
    result = forecast(str(said.get("recipe", model.name)), model, asked.posts, Posts.concat(past) if past else None)
    learnt = model.memory_
    experiment = ForecastExperiment(
        name=asked.label,
        test=asked.posts,
        truth=Target.parse(model.target_).values(asked.posts),
        formula=model.formula,
        mean=float(learnt.frame["value"].to_numpy().mean()) if len(learnt) else float("nan"),
        train=learnt,
        history=Posts.concat([learnt, *past]),
        split=str(said.get("split", {}).get("id", "given")),
        fingerprint=posts.fingerprint,
        left_out=asked.left_out,
        date=_today(),
    )
    return ForecastFindings([result], experiment)


@dataclass(frozen=True)
class Asked:
    """Posts to forecast, what may be known of the past beside the training posts, and what to call it."""

    posts: Posts
    history: Posts | None
    label: str = ""
    left_out: dict[str, int] = field(default_factory=dict)


def _unseen(model: Forecaster, posts: Posts, said: Mapping[str, Any]) -> Asked:
    how = said.get("split", {}).get("how", "none")
    again = _again(model, posts, said) if how != "none" else None
    if again is not None and again.split.fingerprint == said.get("fingerprint"):
        asked = _asked(again.split, "test")
        return replace(asked, label=f"test part ({how} split)", left_out=again.left_out)
    posts = posts.in_order()
    known = np.isfinite(Target.parse(model.target_).values(posts))
    fresh = ~np.isin(hashed(posts.ids), model.seen_)
    if not (known & fresh).any():
        why = (
            "none states " + model.target_ if not known.any() else "the model has learnt from every post that states it"
        )
        raise ValueError(
            f"there is nothing to score: {why}; give other posts, or train with `--split time`, which keeps a test part"
        )
    left_out = {f"without {model.target_}": int((~known).sum()), "learnt from": int((known & ~fresh).sum())}
    return Asked(posts[known & fresh], None, "posts given", {why: n for why, n in left_out.items() if n})


def _again(model: Forecaster, posts: Posts, said: Mapping[str, Any]) -> Parts | None:
    """The split that a model was trained on, made again; None where these posts give none."""
    recipe = {"name": model.name, "model": {"forecaster": model.name, "target": model.target_}}
    until = datetime.fromisoformat(said["until"]) if said.get("until") else None
    parts = said["split"]
    try:
        return prepared([recipe], posts, how=parts["how"], seed=parts["seed"], users=said.get("users", 0), until=until)
    except ValueError:
        return None  # other posts than those trained on, too few for a split


def _asked(made: Split, part: str) -> Asked:
    """The posts of a part. Authors of a split by user bring their own earlier posts, of the part itself."""
    if part == "test":
        past = [made.validation, made.test] if made.how == "user" else [made.validation]
        return Asked(made.test, Posts.concat(past))
    return Asked(made.validation, made.validation if made.how == "user" else None)


def forecast(name: str, model: Forecaster, asked: Posts, history: Posts | None) -> ForecastResult:
    """A model's forecasts of posts, with the seconds they took."""
    from hashloom.evaluate.forecast_findings import ForecastResult

    start = time.perf_counter()
    made = model.forecast(asked, history=history)
    return ForecastResult(name, model.settings(), made, forecast_seconds=time.perf_counter() - start)


def compare(
    recipes: Sequence[Mapping[str, Any]],
    posts: Posts,
    *,
    how: How = "time",
    seed: int = 0,
    seeds: Sequence[int] = (),
    part: str = "test",
    say: Callable[[str], None] = LOG.info,
    folder: Path | str | None = None,
    only: Sequence[str] = (),
    pairs: Sequence[tuple[str, str]] = (),
    users: int = 0,
    until: datetime | None = None,
) -> ForecastFindings:
    """Train each recipe on one split and score them all on its test part (``part="validation"`` while tuning).

    All recipes forecast the same number of the same posts (``prepared``). ``seed`` makes the split; ``seeds`` (by
    default that one) are those of the models: one that is ``seeded`` is trained once with each and its scores are
    means, others are trained once. Forecasts are kept in ``folder``, where one is given: started again after a stop,
    the comparison goes on from there, and of several processes with one folder each makes what no other is making.
    ``only`` are names of the rows to make; ``pairs`` are names of rows to be told apart.
    """
    from hashloom.evaluate import forecast_rows
    from hashloom.evaluate.forecast_findings import ForecastFindings

    if how == "none":
        raise ValueError("a comparison needs a test part; use the split time, community, random or user")
    parts = prepared(recipes, posts, how=how, seed=seed, users=users, until=until)
    asked = _asked(parts.split, part)
    if not len(asked.posts):
        raise ValueError(f"the {part} part of {len(posts):,} posts has no post that states {parts.target}; give more")
    seeds = tuple(seeds) or (seed,)
    chosen = [recipe for recipe in recipes if not only or recipe["name"] in only]
    jobs = forecast_rows.jobs(chosen, seeds, f"{parts.id} {part}", folder)
    results = forecast_rows.run(jobs, lambda job: _made(job, parts, asked), asked.posts.ids, say)
    return ForecastFindings(results, replace(_experiment(parts, asked, seeds), part=part, pairs=tuple(pairs)))


def _made(job: Any, parts: Parts, asked: Asked) -> ForecastResult:
    trained = _fit(job.recipe, parts, job.seed)
    made = forecast(job.recipe["name"], trained.model, asked.posts, asked.history)
    return replace(made, train_seconds=trained.seconds, notes=str(job.recipe.get("notes", "")))


def _experiment(parts: Parts, asked: Asked, seeds: tuple[int, ...]) -> ForecastExperiment:
    from hashloom.evaluate.forecast_findings import ForecastExperiment

    made = parts.split
    return ForecastExperiment(
        name=f"{len(made.train):,} training posts of {len(set(made.train.users) - {None}):,} authors",
        test=asked.posts,
        truth=parts.target.values(asked.posts),
        formula=parts.target.formula,
        mean=parts.mean,
        train=made.train,
        history=Posts.concat(part for part in (made.train, asked.history) if part is not None),
        split=made.id,
        validation=len(made.validation),
        fingerprint=made.fingerprint,
        seeds=seeds,
        left_out=parts.left_out,
        date=_today(),
    )
