"""What keeps a store's models fresh and its deletions whole: training from it, publishing, proofs of deletion."""

from __future__ import annotations

import fcntl
import io
import math
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashloom import keeping
from hashloom.data.rows import clean
from hashloom.serve.held import deleted, learnable
from hashloom.serve.pictures import Spool, sees_pictures
from hashloom.serve.settings import ServeSettings
from hashloom.types import Post, Posts

if TYPE_CHECKING:
    from hashloom.store import Model, Store

METRIC = "ndcg@10"
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


def publish(store: Store, folder: Path) -> Model:
    """Add a saved model to the store and publish it under the name of its kind."""
    from hashloom.forecaster import Forecaster
    from hashloom.recommender import Recommender

    model = keeping.load(folder)
    if not isinstance(model, Recommender | Forecaster):
        raise ValueError(f"{folder}: holds a {type(model).__name__}, a part of a model; give one of hashloom train")
    name = NAMES[isinstance(model, Forecaster)]
    return store.publish(name, store.add_model(name, folder).digest)


def recipes_in_use(store: Store) -> list[str]:
    """The recipes of what is published: those that a schedule trains anew."""
    found = [store.published(name) for name in NAMES.values()]
    return [str(one.facts["recipe"]) for one in found if one is not None and "recipe" in one.facts]


def retrain(store: Store, recipe: dict[str, Any], *, drop: float | None = 0.1, seed: int = 0) -> Retrained:
    """Train a recipe on the store's reviewed posts and publish it, unless nothing changed or it is clearly worse.

    A recommender is first trained on the earlier posts and measured on the later ones (NDCG@10); where that is more
    than the share ``drop`` below what the published one had measured in the same way, ``Worse`` is raised. None:
    published unmeasured. What is published has learnt from all posts.
    """
    from hashloom.evaluate import forecasting

    foretells = forecasting.is_forecast(recipe)
    name = NAMES[foretells]
    with _alone(store, name), _spooled(store, recipe) as posts:
        if not len(posts):
            raise ValueError(f"{store.where}: holds no posts to learn from; put some: hashloom posts put")
        before = store.published(name)
        learnt_before = before.facts.get("retrained") or {} if before else {}
        state = {"recipe": recipe["model"], "fingerprint": posts.fingerprint, "seed": seed}
        if before and learnt_before.get("state") == state:
            return Retrained(name, None)
        measured = None if drop is None or foretells else _measured(recipe, posts, seed, store)
        _must_hold(measured, learnt_before.get(METRIC), drop)
        model = _fitted(store, recipe, posts, seed, {"state": state, METRIC: measured}, foretells)
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
    """Delete an author from a store and its published models; gives the proof: where was looked, found and left.

    The proof names the author by a digest alone. Models that are not published, and backups, are looked into and
    reported: services forget what was deleted when they load a model, and a restore leaves it out.
    """
    user = clean(user).strip()
    if not user:
        raise ValueError("the author's name is empty; give it as the posts have it")
    made = store.delete_author(user, community=community)
    models = [_in_model(store, one, user, community) for one in (store.models() if store.folder else ())]
    _publish_cleaned(store, user, community, models, say)
    kept_out = deleted(store, Posts.of([Post("?", "", community or "", user)]))[0]
    looked = [_in_backup(path, store.mark(user), community) for path in backups]
    proof: dict[str, Any] = {
        "author": store.mark(user, community), "community": community, "at": made.at.isoformat(),
        "store": {"removed": made.where, "left": made.left, "overwritten": made.erased},
        "models": models, "backups": looked,
        "kept_out_from_now_on": kept_out,
        "running_services": "read the deletion from the log of changes, within sync_seconds (1 s)",
    }  # fmt: skip
    sure = kept_out and not any(made.left.values()) and not any(one["left"] for one in models if one["published"])
    rest = [one["left"] for one in models] + [one["posts"] + one["feedback"] for one in looked]
    return proof | {"store_and_published_models_clean": sure, "complete": sure and not any(rest)}


def _posts_of(model: Any, user: str, community: str | None) -> int:
    memory = getattr(model, "memory_", None)
    if memory is None or not len(memory):
        return 0
    pairs = zip(memory.users, memory.communities)
    return sum(one == user and community in (None, place) for one, place in pairs)


def _in_model(store: Store, one: Model, user: str, community: str | None) -> dict[str, Any]:
    said = {"name": one.name, "digest": one.digest, "published": one.published, "left": 0, "removed": 0}
    try:
        held = _posts_of(keeping.load(one.folder), user, community)
    except keeping.DamagedModel:
        return said | {"left": 1, "note": "damaged: could not be looked into; delete its folder"}
    return said | {"left": held} | ({"note": "services forget it on loading"} if held else {})


def _publish_cleaned(store: Store, user: str, community: str | None, models: list[dict[str, Any]],
                     say: Callable[[str], None]) -> None:  # fmt: skip
    """Publish, in the place of each published model that remembers the author, the same without."""
    for row in [one for one in models if one["published"] and one["left"]]:
        old = store.published(row["name"])
        if old is None or old.digest != row["digest"] or ("note" in row and row["note"].startswith("damaged")):
            continue
        model = keeping.load(old.folder)
        _take_out(model, user, community)
        with tempfile.TemporaryDirectory(prefix="hashloom-forget-") as place:
            folder = model.save(Path(place) / "model", **old.facts)
            new = store.publish(row["name"], store.add_model(row["name"], folder).digest)
        say(f"{row['name']}: published without the author's posts, as {new.digest[:12]}")
        row |= {"published": False, "note": "replaced; kept for rolling back, services forget it on loading"}
        left = _posts_of(model, user, community)
        models.append({"name": new.name, "digest": new.digest, "published": True, "left": left, "removed": row["left"]})


def _take_out(model: Any, user: str, community: str | None) -> None:
    from hashloom.serve import learning

    learning.forget_authors(model, lambda name: name == user, community or "")


def _in_backup(path: Path, mark: str, community: str | None) -> dict[str, Any]:
    """How much of an author a backup holds, in all communities or in one."""
    import polars as pl

    said: dict[str, Any] = {"file": path.name, "posts": 0, "feedback": 0}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                table = name.split("/")[0]
                if table in ("posts", "feedback") and name.endswith(".parquet"):
                    rows = pl.read_parquet(io.BytesIO(archive.read(name)), columns=["author", "community"])
                    rows = rows.filter(pl.col("author") == bytes.fromhex(mark))
                    rows = rows if community is None else rows.filter(pl.col("community") == community)
                    said[table] += rows.height
    except zipfile.BadZipFile:
        raise ValueError(f"{path}: is no backup of hashloom backup; leave it out") from None
    if said["posts"] or said["feedback"]:
        said["note"] = "a restore leaves these out; delete the file when its time is over"
    return said
