"""What keeps a store's models fresh and its deletions whole: training from it, publishing, proofs of deletion."""

from __future__ import annotations

import fcntl
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashloom import keeping
from hashloom.data.rows import clean
from hashloom.serve.cleaning import (
    Author,
    Community,
    Whose,
    clean_models,
    clean_since,
    forget_deleted,
    prune,
    renewed,
    taught_by,
)
from hashloom.serve.learnable import learnable
from hashloom.serve.pictures import Spool, sees_pictures
from hashloom.serve.settings import ServeSettings
from hashloom.types import Post, Posts

if TYPE_CHECKING:
    from hashloom.store import DeletionReport, Model, Store

METRIC = "ndcg@10"
CHANGES_KEPT = timedelta(days=30)
"""A service that read the log of changes longer ago than this reads all posts anew."""
NAMES = {False: ServeSettings.recommender, True: ServeSettings.forecaster}
"""Under which name a recommender and a forecaster (True) are published."""


class Worse(ValueError):
    """The new model is clearly worse than the one in use; it was not published."""


@dataclass(frozen=True)
class Retrained:
    """What a round did; ``model`` None: nothing had changed since the published one was trained."""

    name: str
    model: Model | None
    measured: float | None = None
    posts: int = 0


# ---------------------------------------------------------------- models


def publish(store: Store, folder: Path, *, unseen: bool = False) -> Model:
    """Add a saved model to the store and publish it under the name of its kind; ``unseen``: as shadow instead."""
    from hashloom.forecaster import Forecaster
    from hashloom.recommender import Recommender

    model = keeping.load(folder)
    if not isinstance(model, Recommender | Forecaster):
        raise ValueError(f"{folder}: holds a {type(model).__name__}, a part of a model; give one of hashloom train")
    name = NAMES[isinstance(model, Forecaster)]
    with tempfile.TemporaryDirectory(prefix="hashloom-publish-") as place:
        if gone := forget_deleted(store, model):
            folder = model.save(Path(place) / "model", **gone.noted(keeping.facts(folder)))
        made = store.add_model(name, folder)
        if unseen:
            store.shadow(name, made.digest)
        else:
            made = store.publish(name, made.digest)
    # What was deleted since that look: whoever deleted it may have looked at the models before this one was there.
    return renewed(store, made, model, gone) if (gone := forget_deleted(store, model)) else made


def recipes_in_use(store: Store) -> list[dict[str, Any]]:
    """The recipes of what is published, with the settings that it was trained with: what a schedule trains anew."""
    found = [store.published(name) for name in NAMES.values()]
    return [_recipe_of(one) for one in found if one is not None and "recipe" in one.facts]


def _recipe_of(one: Model) -> dict[str, Any]:
    """A published model's recipe, as ``--set`` had changed it; seeds are given anew."""
    if not _stands(one):
        said = f"{one.name} {one.digest[:12]}: the folder of the published model is damaged or away"
        raise ValueError(f"{said}; say what to train in its place: hashloom retrain --recipe {one.facts['recipe']}")
    settings = json.loads((one.folder / "settings.json").read_text(encoding="utf-8"))
    prepare = dict(one.facts.get("prepare") or {})
    return {"name": one.facts["recipe"], "model": _seedless(settings), "prepare": prepare}


def _stands(one: Model) -> bool:
    try:
        keeping.check(one.folder)
    except keeping.DamagedModel:
        return False
    return True


def _seedless(settings: Any) -> Any:
    if isinstance(settings, list):
        return [_seedless(one) for one in settings]
    if not isinstance(settings, dict):
        return settings
    return {name: _seedless(value) for name, value in settings.items() if name != "seed"}


def _all_settings(recipe: dict[str, Any]) -> dict[str, Any]:
    """A recipe with every default spelt out, so that the same one is known again however it was written."""
    from hashloom import catalogue

    settings = catalogue.settings(catalogue.build(recipe["model"]))
    return {"model": _seedless(settings), "prepare": recipe.get("prepare") or {}}


def retrain(
    store: Store, recipe: dict[str, Any], *, drop: float | None = 0.1, seed: int = 0, keep: int = 5,
    say: Callable[[str], None] = print,
) -> Retrained:  # fmt: skip
    """Train a recipe on the store's reviewed posts and publish it, unless nothing changed or it is clearly worse.

    A recommender is first trained on the earlier posts and measured on the later ones (NDCG@10); where that is more
    than the share ``drop`` below what the published one had measured in the same way, ``Worse`` is raised. None:
    published unmeasured. What is published has learnt from all posts. Of the models that it made before, the
    last ``keep`` stay, rid of what was deleted since.
    """
    from hashloom.evaluate import forecasting

    foretells = forecasting.is_forecast(recipe)
    name = NAMES[foretells]
    with _alone(store, name), _tidied(store, say), _spooled(store, recipe) as posts:
        if not len(posts):
            raise ValueError(f"{store.where}: holds no posts to learn from; put some: hashloom posts put")
        before = store.published(name)
        learnt_before = before.facts.get("retrained") or {} if before else {}
        state = {"recipe": _all_settings(recipe), "fingerprint": posts.fingerprint, "seed": seed}
        if before and learnt_before.get("state") == state and _stands(before):
            return Retrained(name, None)
        measured = None if drop is None or foretells else _measured(recipe, posts, seed, store)
        _must_hold(measured, learnt_before.get(METRIC), drop)
        model = _fitted(store, recipe, posts, seed, {"state": state, METRIC: measured}, foretells)
        prune(store, name, keep, say)
        clean_since(store, say)
        return Retrained(name, model, measured, len(posts))


def _fitted(
    store: Store, recipe: dict[str, Any], posts: Posts, seed: int, said: dict[str, Any], foretells: bool
) -> Model:
    from hashloom.evaluate import forecasting, protocol

    with tempfile.TemporaryDirectory(prefix="hashloom-retrain-") as place:
        folder = Path(place) / "model"
        if foretells:
            made: Any = forecasting.train(recipe, posts, how="none", seed=seed)
        else:
            made = protocol.train(recipe, posts, how="none", seed=seed, spaces=store.spaces())
        made.model.save(folder, **made.facts | {"retrained": said})
        return publish(store, folder)


def _measured(recipe: dict[str, Any], posts: Posts, seed: int, store: Store) -> float | None:
    """NDCG@10 on the latest posts of a model of the others; None where they are too few to tell."""
    from hashloom.evaluate import protocol

    if len(posts.tagged()) < 50:
        return None
    made = protocol.train(recipe, posts, how="time", seed=seed, spaces=store.spaces())
    found = protocol.evaluate(made.model, posts, said=made.facts, metrics=(METRIC,))
    value = float(found.value(0, METRIC))
    return value if math.isfinite(value) else None


def _must_hold(measured: float | None, before: float | None, drop: float | None) -> None:
    if measured is None or before is None or drop is None or measured >= (1 - drop) * before:
        return
    said = f"the new model has NDCG@10 {measured:.3f} on the latest posts, the one in use had {before:.3f}"
    raise Worse(f"{said}; it was not published. Look at the latest posts, or publish it all the same with --drop 1")


@contextmanager
def _alone(store: Store, name: str) -> Iterator[None]:
    """One training of a kind at a time in a store's folder; the end of the process ends the claim too."""
    if store.folder is None:
        raise ValueError(f"{store.where}: models need a folder; name one with --folder")
    store.folder.mkdir(parents=True, exist_ok=True)
    with (store.folder / f".retrain-{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{store.where}: another training of its {name} runs; wait until it has ended") from None
        yield


@contextmanager
def _tidied(store: Store, say: Callable[[str], None]) -> Iterator[None]:
    """What time and deletions have made superfluous goes first, whatever becomes of the training."""
    for community in sorted(store.leaving()):
        say(f"{store.where}: the deletion of a community was cut off, and is ended now")
        store.delete_community(community)
    clean_since(store, say)
    store.drop_orphans()
    store.trim_changes(datetime.now(UTC) - CHANGES_KEPT)
    store.erase()
    yield


@contextmanager
def _spooled(store: Store, recipe: dict[str, Any]) -> Iterator[Posts]:
    """The store's reviewed posts, their pictures as files where the recipe looks at them."""
    from hashloom import catalogue

    sees, spool = sees_pictures(catalogue.build(recipe["model"])), Spool()
    try:
        parts = [spool.shown(posts, store.get_picture, sees) for posts in learnable(store)]
        yield Posts.concat(parts) if parts else Posts.of([])
    finally:
        spool.close()


# ---------------------------------------------------------------- deletion


def forget(
    store: Store, user: str, community: str | None = None, backups: Sequence[Path] = (),
    say: Callable[[str], None] = print,
) -> dict[str, Any]:  # fmt: skip
    """Delete an author from a store and all models it keeps; gives the proof: where was looked, found and left.

    The proof names the author by a digest alone. Models are cleaned as ``serve.cleaning`` says; backups are looked into
    and reported, and a restore leaves out what was deleted; a file that is none is refused before anything is deleted.
    ``trained_with_the_posts`` names models whose weights and vocabularies (single words and tags) were learnt with the
    posts, whenever these were deleted: only training anew undoes that.
    """
    user = clean(user).strip()
    if not user:
        raise ValueError("the author's name is empty; give it as the posts have it")
    looked = [_in_backup(path, Author(user, community)) for path in backups]
    made = store.delete_author(user, community=community)
    said = {"author": store.mark(user, community), "community": community}
    return said | _proof(store, Author(user, community), made, looked, say)


def forget_community(
    store: Store, community: str, backups: Sequence[Path] = (), say: Callable[[str], None] = print
) -> dict[str, Any]:  # fmt: skip
    """Delete a community from a store and all models it keeps; gives the proof, as ``forget`` does for an author.

    It names the community by its mark alone.
    """
    whose = Community(clean(community).strip())
    looked = [_in_backup(path, whose) for path in backups]
    made = store.delete_community(whose.name)
    return {"community": whose.mark(store)} | _proof(store, whose, made, looked, say)


def _proof(
    store: Store, whose: Whose, made: DeletionReport, looked: list[dict[str, Any]], say: Callable[[str], None]
) -> dict[str, Any]:  # fmt: skip
    models = clean_models(store, whose, say)
    one = Post("?", "", *((whose.name, None) if isinstance(whose, Community) else (whose.community or "", whose.user)))
    kept_out = store.deleted(Posts.of([one]))[0]
    proof: dict[str, Any] = {
        "at": made.at.isoformat(),
        "store": {"removed": made.where, "left": made.left, "overwritten": made.erased},
        "models": models, "backups": looked, "trained_with_the_posts": taught_by(store, whose),
        "kept_out_from_now_on": kept_out,
        "running_services": "read the deletion from the log of changes, within sync_seconds (1 s)",
    }  # fmt: skip
    sure = kept_out and not any(made.left.values()) and not any(one["left"] for one in models if one["published"])
    rest = [one["left"] for one in models] + [one["posts"] + one["feedback"] + one.get("spaces", 0) for one in looked]
    return proof | {"store_and_published_models_clean": sure, "complete": sure and not any(rest)}


def _in_backup(path: Path, whose: Whose) -> dict[str, Any]:
    """How much of an author or a community a backup holds; it is checked first."""
    from hashloom.store import DamagedStore, StoreError
    from hashloom.store.backup import rows_of_author, rows_of_community

    try:
        if isinstance(whose, Community):
            counts = rows_of_community(path, whose.name)
        else:
            counts = rows_of_author(path, whose.user, whose.community)
    except DamagedStore as error:
        wrong = f"{path}: is no backup, or a damaged one; nothing was deleted. Leave it out or name another copy"
        raise ValueError(wrong) from error
    except StoreError as error:
        raise ValueError(f"{error}; nothing was deleted") from error
    said: dict[str, Any] = {"file": path.name, **counts}
    if any(counts.values()):
        said["note"] = "a restore leaves these out; delete the file when its time is over"
    return said
