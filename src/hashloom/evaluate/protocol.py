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
from hashloom.recommender import Recommender, hashed
from hashloom.tag_space import TagSpaces
from hashloom.types import Posts, Rankings

if TYPE_CHECKING:
    from hashloom.evaluate.findings import Findings, Result

LOG = logging.getLogger(__name__)
DEPTH = 15
"""Suggestions asked for when measuring, for the curves against K."""
FLOORS = ("popular", "own_history")
"""Counting baselines: a model below one of these is said to lose."""


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
    model = catalogue.build(_seeded(recipe["model"], seed))
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


def _seeded(settings: Any, seed: int) -> Any:
    """Settings in which each part that takes a seed, and names none, is given this one."""
    if isinstance(settings, list):
        return [_seeded(each, seed) for each in settings]
    if not isinstance(settings, Mapping):
        return settings
    made = {name: _seeded(value, seed) for name, value in settings.items()}
    room = next((room for room, word in catalogue.ROOMS.items() if word in made), None)
    if room and "seed" not in made:
        names = [s.name for s in catalogue.listing(catalogue.find(room, made[catalogue.ROOMS[room]]))]
        made |= {"seed": seed} if "seed" in names else {}
    return made


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
) -> Findings:
    """Score a kept model on posts that it has not learnt from; ``said`` is its manifest.

    Given the very data that it was trained on, the test part of its split is scored, and the validation part counts
    as history. Other posts are scored as they are, less those whose ids the model has learnt from.

    Raises ``ValueError`` where no tagged post is left to score.
    """
    from hashloom.evaluate.findings import Experiment, Findings

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
        metrics=_metrics(ks),
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
        return made.test.tagged(), made.validation, f"test part ({how} split)"
    fresh = ~np.isin(hashed(posts.ids), model.seen_)
    left = posts[fresh].tagged()
    if not len(left):
        raise ValueError(
            "there is nothing to score: the model has learnt from every tagged post given; "
            "give other posts, or train with `--split time`, which keeps a test part back"
        )
    return left, None, "posts given" + ("" if fresh.all() else f", without the {int((~fresh).sum())} learnt from")


def _learnt(model: Recommender, posts: Posts) -> Posts:
    return posts[np.isin(hashed(posts.ids), model.seen_)]


def _answer(name: str, model: Recommender, asked: Posts, history: Posts | None) -> Result:
    from hashloom.evaluate.findings import Result

    start = time.perf_counter()
    rankings = model.recommend(asked, DEPTH, history=history)
    seconds = time.perf_counter() - start
    return Result(name, model.settings(), rankings, recommend_seconds=seconds)


def _metrics(ks: Sequence[int]) -> tuple[str, ...]:
    kinds = ("ndcg", "p", "r", "map", "mrr", "hit", "f1_posts", "f1_means")
    return tuple(f"{kind}@{k}" for k in ks for kind in kinds)


def compare(
    recipes: Sequence[Mapping[str, Any]],
    posts: Posts,
    *,
    how: How = "time",
    seed: int = 0,
    part: str = "test",
    say: Callable[[str], None] = LOG.info,
    folder: Path | str | None = None,
    makers: bool = False,
) -> Findings:
    """Train each recipe on one split and score them all on its test part (``part="validation"`` while tuning).

    All recipes see the same posts: communities that any recipe's preparation leaves out are left out for all.
    Answers are kept in ``folder``, where one is given: started again after a stop, the comparison goes on from there.
    ``makers`` adds a row for each recommender that a two-stage recipe holds, as it was fitted there.
    """
    if how == "none":
        raise ValueError("a comparison needs a test part; use the split time, community or random")
    made = split(posts, how, seed=seed)
    for recipe in recipes:
        made = _prepare(recipe, made)
    asked = (made.test if part == "test" else made.validation).tagged()
    if not len(asked):
        raise ValueError(f"the {part} part of {len(posts)} posts has no tagged post; give more posts")
    history = made.validation if part == "test" else None
    results = []
    for at, recipe in enumerate(recipes, 1):
        say(f"{at}/{len(recipes)} {recipe['name']}: learning from {len(made.train):,} posts")
        results.append(_one(recipe, made, asked, history, seed, Path(folder) if folder else None))
        say(f"{at}/{len(recipes)} {recipe['name']}: learnt in {results[-1].train_seconds:.1f} s")
        if makers:
            results += maker_rows(results[-1])
    return _findings(results, made, asked, seed)


def maker_rows(result: Result) -> list[Result]:
    """The makers of a two-stage result as rows of their own."""
    from hashloom.evaluate.findings import Result

    return [Result(f"{result.name} › {name}", result.settings, rankings) for name, rankings in result.makers.items()]


def _one(
    recipe: Mapping[str, Any], made: Split, asked: Posts, history: Posts | None, seed: int, folder: Path | None
) -> Result:
    """A recipe's answers: read from the folder where they are kept there, else made (and kept)."""
    from hashloom.evaluate import answers
    from hashloom.evaluate.findings import Result

    result = Result(
        recipe["name"],
        recipe["model"],
        Rankings.of([], []),
        floor=str(recipe["model"].get("model")) in FLOORS,
        published={k: v for k, v in recipe["published"].items() if isinstance(v, int | float)},
        source=str(recipe["published"].get("source", "")),
        notes=str(recipe.get("notes", "")),
    )
    path = None if folder is None else answers.place(folder, recipe, f"{made.id} {len(asked)}", seed)
    if path is not None and path.is_file():
        return answers.load(path, result, asked.ids)
    trained = _fit(recipe, made, seed)
    given = _answer(recipe["name"], trained.model, asked, history)
    result = replace(
        result,
        settings=given.settings,
        rankings=given.rankings,
        train_seconds=trained.seconds,
        recommend_seconds=given.recommend_seconds,
        makers=by_maker(trained.model, asked, history),
    )
    if path is not None:
        answers.save(result, path)
    return result


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


def _findings(results: Sequence[Result], made: Split, asked: Posts, seed: int) -> Findings:
    from hashloom.evaluate.findings import Experiment, Findings

    experiment = Experiment(
        name=f"{len(made.train):,} training posts of {len(set(made.train.communities))} communities",
        train=made.train,
        test=asked,
        split=made.id,
        validation=len(made.validation),
        fingerprint=made.fingerprint,
        history=Posts.concat([made.train, made.validation]),
        seeds=(seed,),
        date=_today(),
    )
    return Findings(results, experiment)


def _today() -> str:
    return datetime.now(UTC).date().isoformat()
