"""The honest run: prepare and fit on the training part, look back through history, score the test part once."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom import catalogue
from hashloom.data.prepare import Preparation
from hashloom.data.split import How, Split, split
from hashloom.evaluate import rows
from hashloom.recommender import Recommender, hashed
from hashloom.tag_space import TagSpaces
from hashloom.types import Posts, Rankings

if TYPE_CHECKING:
    from hashloom.evaluate.findings import Experiment, Findings, Result

LOG = logging.getLogger(__name__)
DEPTH = 15
"""Suggestions asked for when measuring, for the curves against K."""


@dataclass(frozen=True)
class Trained:
    """A fitted recommender, the split that it was fitted on, the seconds it took, and what its manifest says."""

    model: Recommender
    split: Split
    seconds: float
    facts: dict[str, Any]


def train(
    recipe: Mapping[str, Any], posts: Posts, *, how: How = "time", seed: int = 0, spaces: TagSpaces | None = None
) -> Trained:
    """Fit a recipe's recommender on the training part of ``posts`` (``how="none"``: on all of them).

    ``spaces`` are tag lists, aliases and denied tags of communities; those of others, and the tags that posts use in
    communities whose list is open, are learnt. The validation and test part are not touched. ``seed`` goes into the
    split and into every part that has a field ``seed``. Raises ``ValueError`` where nothing is left to learn from.
    """
    prepared = _prepare(recipe, split(posts, how, seed=seed))
    return _fit(recipe, prepared, seed, spaces)


def _with_learnt(given: TagSpaces, posts: Posts) -> TagSpaces:
    learnt = TagSpaces.learn(posts)
    opened = {c: replace(given[c], tags=learnt[c].tags | given[c].tags) for c in given if not given[c].closed}
    return TagSpaces((learnt.spaces | given.spaces | opened).values())


def _prepare(recipe: Mapping[str, Any], made: Split) -> Split:
    try:
        preparation = Preparation(**recipe.get("prepare", {}))
    except TypeError:
        known = "min_tag_count, min_community_posts"
        raise catalogue.UnknownName(f"recipe {recipe['name']!r}: [prepare] takes {known}") from None
    return preparation.split(made)


def _fit(recipe: Mapping[str, Any], made: Split, seed: int, spaces: TagSpaces | None = None) -> Trained:
    model = catalogue.build(seeded(recipe["model"], seed))
    preparation = Preparation(**recipe.get("prepare", {}))
    learnt = preparation.train(made.train)
    start = time.perf_counter()
    model.fit(learnt, spaces=None if spaces is None else _with_learnt(spaces, learnt))
    seconds = time.perf_counter() - start
    facts = {
        "recipe": recipe["name"],
        "split": {"how": made.how, "seed": made.seed, "id": made.id},
        "fingerprint": made.fingerprint,
        "learnt_from": {"posts": len(learnt.tagged()), "fingerprint": learnt.fingerprint},
        "prepare": dict(recipe.get("prepare", {})),
        "train_seconds": round(seconds, 2),
    }
    return Trained(model, made, seconds, facts)


def seeded(settings: Mapping[str, Any], seed: int) -> Any:
    """Settings, every default spelt out, in which each part that takes a seed, and names none, is given this one."""
    return _with_seed(catalogue.settings(catalogue.build(settings)), settings, seed)


def _with_seed(full: Any, given: Any, seed: int) -> Any:
    if isinstance(full, list):
        named = given if isinstance(given, list) else [{}] * len(full)
        return [_with_seed(each, one, seed) for each, one in zip(full, named)]
    if not isinstance(full, Mapping):
        return full
    said = given if isinstance(given, Mapping) else {}
    made = {name: _with_seed(value, said.get(name), seed) for name, value in full.items()}
    return made | ({"seed": seed} if "seed" in made and "seed" not in said else {})


def publish(trained: Trained, folder: Path | str) -> Path:
    """Keep a trained model with what is known of its making."""
    return trained.model.save(folder, **trained.facts)


def evaluate(
    model: Recommender,
    posts: Posts,
    *,
    said: Mapping[str, Any],
    ks: Sequence[int] = (10,),
    history: Posts | None = None,
    metrics: Sequence[str] = (),
) -> Findings:
    """Score a kept model on posts that it has not learnt from; ``said`` is its manifest.

    ``metrics`` are ids of any metrics (``novel_r@10``); without them, eight common ones at each of ``ks``.

    Given the very data that it was trained on, the test part of its split is scored, and the validation part counts
    as history (of a split by user, the earlier posts of the test part too). Other posts are scored as they are, less
    those whose ids the model has learnt from.

    Raises ``ValueError`` where no tagged post is left to score.
    """
    from hashloom.evaluate.findings import Experiment, Findings

    _known(metrics)
    asked, earlier, label = _unseen(model, posts, said)
    past = [part for part in (earlier, history) if part is not None and len(part)]
    result = _answer(str(said.get("recipe", model.name)), model, asked, Posts.concat(past) if past else None)
    experiment = Experiment(
        name=label,
        train=_learnt(model, posts),
        test=asked,
        split=str(said.get("split", {}).get("id", "given")),
        fingerprint=posts.fingerprint,
        history=Posts.concat([_learnt(model, posts), *past]),
        metrics=tuple(metrics) or _metrics(ks),
        date=_today(),
    )
    return Findings([result], experiment)


def _unseen(model: Recommender, posts: Posts, said: Mapping[str, Any]) -> tuple[Posts, Posts | None, str]:
    """Posts to score, posts between those learnt from and these, and what to call them."""
    posts = posts.in_order()
    how = said.get("split", {}).get("how", "none")
    if posts.fingerprint == said.get("fingerprint") and how != "none":
        made = split(posts, how, seed=said["split"]["seed"])
        made = Preparation(**said.get("prepare", {})).split(made)
        asked = _questions(made, "test")
        return asked.posts, asked.history, f"test part ({how} split)"
    fresh = ~np.isin(hashed(posts.ids), model.seen_)
    left = posts[fresh].tagged()
    if not len(left):
        raise ValueError(
            "there is nothing to score: the model has learnt from every tagged post given; "
            "give other posts, or train with `--split time`, which keeps a test part back"
        )
    return left, None, "posts given" + ("" if fresh.all() else f", without the {int((~fresh).sum())} learnt from")


def _learnt(model: Recommender, posts: Posts) -> Posts:
    """The posts that a model learnt from: those among ``posts``, or what it remembers of them where that is more."""
    here = posts[np.isin(hashed(posts.ids), model.seen_)]
    return here if len(here) >= len(model.memory_) else model.memory_


def _answer(name: str, model: Recommender, asked: Posts, history: Posts | None) -> Result:
    from hashloom.evaluate.findings import Result

    start = time.perf_counter()
    rankings = model.recommend(asked, DEPTH, history=history)
    seconds = time.perf_counter() - start
    return Result(name, model.settings(), rankings, recommend_seconds=seconds, chances=model.says_chances)


def _known(metrics: Sequence[str]) -> None:
    """Refuse an unknown metric before anything is learnt."""
    from hashloom.evaluate.metrics import parse

    for name in metrics:
        parse(name)


def _metrics(ks: Sequence[int]) -> tuple[str, ...]:
    kinds = ("ndcg", "p", "r", "map", "mrr", "hit", "f1_posts", "f1_means")
    return tuple(f"{kind}@{k}" for k in ks for kind in kinds)


@dataclass(frozen=True)
class Questions:
    """Posts to ask a model, and what it may know of the past beside its training posts."""

    posts: Posts
    history: Posts | None


def _questions(made: Split, part: str) -> Questions:
    """The tagged posts of a part. Authors of a split by user bring their own earlier posts, of the part itself."""
    if part == "test":
        past = [made.validation, made.test] if made.how == "user" else [made.validation]
        return Questions(made.test.tagged(), Posts.concat(past))
    return Questions(made.validation.tagged(), made.validation if made.how == "user" else None)


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
    makers: bool = False,
    pairs: Sequence[tuple[str, str]] = (),
    only: Sequence[str] = (),
    metrics: Sequence[str] = (),
    spreads: bool = False,
) -> Findings:
    """Train each recipe on one split and score them all on its test part (``part="validation"`` while tuning).

    All recipes see the same posts: communities that any recipe's preparation leaves out are left out for all.
    ``seed`` makes the split; ``seeds`` (by default that one) are those of the models: one that is ``seeded`` is
    trained once with each and its scores are means, others are trained once.

    Answers are kept in ``folder``, where one is given: started again after a stop, the comparison goes on from there,
    and of several processes with one folder each makes what no other is making. ``makers`` adds a row for each
    recommender that a two-stage recipe holds, as it was fitted there. ``pairs`` are names of rows to be told apart;
    ``only`` are names of the rows to make, of all that share the split. ``metrics`` are ids of those to show, the
    headline first (default: eight common ones @10); ``spreads`` adds how evenly each row suggests tags.
    """
    from hashloom.evaluate.findings import Findings

    if how == "none":
        raise ValueError("a comparison needs a test part; use the split time, community, random or user")
    _known(metrics)
    made = split(posts, how, seed=seed)
    for recipe in recipes:
        made = _prepare(recipe, made)
    asked = _questions(made, part)
    if not len(asked.posts):
        raise ValueError(f"the {part} part of {len(posts)} posts has no tagged post; give more posts")
    tuning = _questions(made, "validation") if part == "test" else Questions(posts[:0], None)
    jobs = _jobs([r for r in recipes if not only or r["name"] in only], tuple(seeds) or (seed,), made, asked, folder)
    done = rows.run(jobs, lambda job: _made(job, made, asked, tuning), asked.posts.ids, tuning.posts.ids, say)
    results = [row for one in done for row in ([one, *maker_rows(one)] if makers else [one])]
    experiment = _experiment(made, asked, tuning, tuple(seeds) or (seed,))
    shown = tuple(metrics) or experiment.metrics
    return Findings(results, replace(experiment, pairs=tuple(pairs), metrics=shown, spreads=spreads))


def _jobs(
    recipes: Sequence[Mapping[str, Any]], seeds: tuple[int, ...], made: Split, asked: Questions, folder: Any
) -> list[rows.Job]:
    """One for each recipe and seed; where chance plays no great part, for the first seed alone."""
    from hashloom.evaluate import answers

    jobs = []
    for recipe in recipes:
        for seed in seeds if catalogue.build(recipe["model"]).is_seeded() else seeds[:1]:
            name = f"{made.id} {len(asked.posts)}"
            jobs.append(rows.Job(recipe, seed, answers.place(Path(folder), recipe, name, seed) if folder else None))
    return jobs


def maker_rows(result: Result) -> list[Result]:
    """The makers of a two-stage result as rows of their own."""
    return [rows.merged([_maker_row(one, name) for one in result.each]) for name in result.makers]


def _maker_row(result: Result, name: str) -> Result:
    from hashloom.evaluate.findings import Result

    tuning = {"": result.tuning[name]} if name in result.tuning else {}
    return Result(f"{result.name} › {name}", result.settings, result.makers[name], tuning=tuning)


def _made(job: rows.Job, made: Split, asked: Questions, tuning: Questions) -> Result:
    """A recipe trained with a seed, its answers and those of what it holds."""
    trained = _fit(job.recipe, made, job.seed)
    given = _answer(job.recipe["name"], trained.model, asked.posts, asked.history)
    tuned = {}
    if len(tuning.posts):
        own = trained.model.recommend(tuning.posts, DEPTH, history=tuning.history)
        tuned = {"": own, **by_maker(trained.model, tuning.posts, tuning.history)}
    return replace(
        job.empty(),
        settings=given.settings,
        rankings=given.rankings,
        train_seconds=trained.seconds,
        recommend_seconds=given.recommend_seconds,
        makers=by_maker(trained.model, asked.posts, asked.history),
        tuning=tuned,
    )


def by_maker(model: Recommender, asked: Posts, history: Posts | None) -> dict[str, Rankings]:
    """The answers of the recommenders held by a two-stage model, each by itself."""
    found: dict[str, Rankings] = {}
    for maker in model.inside():
        alone = copy.copy(maker)
        alone.favourites_, alone.memory_ = model.favourites_, model.memory_
        alone.__dict__.pop("_past", None)
        name = maker.name if maker.name not in found else f"{maker.name} {len(found)}"
        found[name] = alone.recommend(asked, DEPTH, history=history)
    return found


def _experiment(made: Split, asked: Questions, tuning: Questions, seeds: tuple[int, ...]) -> Experiment:
    from hashloom.evaluate.findings import Experiment

    return Experiment(
        name=f"{len(made.train):,} training posts of {len(set(made.train.communities))} communities",
        train=made.train,
        test=asked.posts,
        split=made.id,
        validation=len(made.validation),
        fingerprint=made.fingerprint,
        history=Posts.concat(part for part in (made.train, asked.history) if part is not None).tagged(),
        seeds=seeds,
        date=_today(),
        tuning=tuning.posts if len(tuning.posts) else None,
    )


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
