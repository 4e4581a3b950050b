"""The verbs that keep a store: retrain, publish, backup, restore, bulk, and forget with its proof."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashloom import progress
from hashloom.cli_files import check_place, plain, recipe_of, tell
from hashloom.cli_serve import Folder, Where, keys_app, must_answer, posts_app, serve, store_at

if TYPE_CHECKING:
    from hashloom.store import Store

OneCommunity = Annotated[str | None, typer.Option("--community", metavar="NAME", help="In this community alone.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it, though the store holds posts already.")]

_SAID = {
    "posts": "posts", "pictures": "pictures", "feedback": "feedback", "spaces": "tag spaces", "models": "models",
    "keys": "keys", "tombstones": "marks of what was deleted",
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add these verbs, and those of a service, to the command line."""
    app.command(epilog="Operating it, with keys, backups and updates: docs/operating.md")(serve)
    for verb in (retrain, backup, restore, bulk):
        app.command()(verb)
    app.add_typer(keys_app, name="keys")
    app.add_typer(posts_app, name="posts")


# ---------------------------------------------------------------- backup, restore


def backup(
    out: Annotated[Path, typer.Argument(metavar="FILE.zip", help="Written when it is whole, for its owner alone.")],
    store: Where = "hashloom-store",
    folder: Folder = None,
    models: Annotated[bool, typer.Option(help="With the models and their folders.")] = True,
) -> None:
    """Copy a store to one file while it is in use: SQLite or PostgreSQL, to be restored into either.

    [dim]hashloom backup backups/monday.zip --store my-store[/dim]
    """
    check_place(out)
    with store_at(store, folder) as held, progress.stage("backing up"):
        counts = held.backup(out, models=models)
    tell(f"{out}: {_counted(counts) or 'an empty store'}")


def _counted(rows: dict[str, int]) -> str:
    """What stands in a store or backup, without what only ties it together."""
    return ", ".join(f"{rows[name]:,} {said}" for name, said in _SAID.items() if rows.get(name))


def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE.zip", help="What hashloom backup wrote.")],
    store: Where = "hashloom-store",
    folder: Folder = None,
    yes: Yes = False,
) -> None:
    """Put a store back to what a backup holds, all of it or nothing; what was deleted since does not come back.

    [dim]hashloom restore backups/monday.zip --store new-store[/dim]
    """
    from hashloom.data.read import BadInput

    if not source.is_file():
        raise FileNotFoundError(f"{source}: there is no such backup; name a file of hashloom backup")
    _must_be_whole(source)
    with store_at(store, folder, make=True) as held, progress.stage("restoring"):
        if held.count() and not yes:
            said = f"{held.where}: holds {held.count():,} posts, which the backup would replace"
            raise BadInput(f"{said}; name a new store, or say --yes")
        from hashloom.serve.cleaning import clean_models

        done = held.restore(source)
        clean_models(held, say=tell)
    tell(f"{held.where}: {_counted(done.rows) or 'nothing'}")
    if out := {name: count for name, count in done.kept_out.items() if count}:
        tell(f"kept out, as deleted since: {', '.join(f'{count:,} {name}' for name, count in out.items())}")


def _must_be_whole(source: Path) -> None:
    """Refuse what is no backup before a store is made for it."""
    from hashloom.data.read import BadInput
    from hashloom.store import StoreError
    from hashloom.store.backup import opened

    try:
        with opened(source):
            pass
    except StoreError as error:
        raise BadInput(str(error)) from error


# ---------------------------------------------------------------- bulk


def bulk(
    journal: Annotated[Path, typer.Argument(metavar="JOURNAL", help="What is done is noted here, to go on or undo.")],
    store: Where = "hashloom-store",
    folder: Folder = None,
    model: Annotated[Path | None, typer.Option("--model", metavar="MODEL", help="Not the published one.")] = None,
    community: OneCommunity = None,
    k: Annotated[int, typer.Option("-k", min=1, max=50, help="At most so many tags for a post.")] = 5,
    floor: Annotated[
        float | None, typer.Option("--floor", min=0, max=1, help="Only tags this sure (calibrated models).")
    ] = None,
    budget: Annotated[int | None, typer.Option("--budget", min=1, help="Look at so many posts, then end.")] = None,
    minutes: Annotated[float | None, typer.Option("--minutes", min=0, help="End after so many minutes.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change; change nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take the tags of JOURNAL away again.")] = False,
) -> None:
    """Tag the untagged posts of a store; stopped and started again, it goes on. Nothing is learnt from these tags.

    A model that looks at pictures is shown those that the store keeps (as posts put keeps them), and no other files.

    [dim]hashloom bulk tagged.journal --store my-store --floor 0.6 --dry-run --budget 50[/dim]

    [dim]hashloom bulk tagged.journal --store my-store --floor 0.6[/dim]

    [dim]hashloom bulk tagged.journal --store my-store --undo[/dim]
    """
    if undo and not journal.is_file():
        raise FileNotFoundError(f"{journal}: there is no such journal; name the one that the run wrote")
    check_place(journal)
    with store_at(store, folder) as held:
        from hashloom.serve.bulk import Bulk, Wanted
        from hashloom.serve.bulk import undo as undone

        if undo:
            done = undone(held, journal)
            tell(f"{journal}: {done.tagged:,} posts as before; {done.gone:,} changed or deleted since, and left alone")
            return
        from hashloom.serve.engine import Engine

        _must_have(held, community)
        with Engine(held, model=model) as engine, progress.stage("tagging"):
            must_answer(engine, {"--model": model})
            work = Bulk(engine, Wanted(community, k, floor), tell)
            if dry_run:
                _show(work, budget)
                return
            done = work.run(journal, posts=budget, seconds=None if minutes is None else minutes * 60)
    tell(f"{journal}: {done.tagged:,} posts tagged; {done.without:,} without a sure tag; {done.failed:,} unanswered; "
         f"{done.gone:,} changed or deleted meanwhile")  # fmt: skip
    if done.left:
        tell("the budget is spent; the same command goes on")


def _must_have(store: Store, community: str | None) -> None:
    """Who misspells a community must not take "0 posts tagged" for an answer."""
    from hashloom.data.read import BadInput

    if community is not None and not store.count(community):
        there = ", ".join(sorted(name or "~" for name in store.communities())[:20]) or "none"
        raise BadInput(f"--community {community}: the store has no posts of it; communities with posts: {there}")


def _show(work: Any, budget: int | None) -> None:
    changed = same = 0
    for line in work.plan(budget):
        changed, same = changed + (line.after != line.before), same + (line.after == line.before)
        print(plain(line.diff(), keep=""))
    tell(f"{changed:,} posts would be tagged, {same:,} not; nothing was changed")


# ---------------------------------------------------------------- models, deletions


def publish(store: str | None, folder: Path | None, model: Path, *, unseen: bool) -> None:
    """Publish a model that was trained just now, or compare it: ``hashloom train --publish`` and ``--shadow``."""
    from hashloom.serve import upkeep

    with store_at(_named(store, unseen), folder, make=True) as held:
        made = upkeep.publish(held, model, unseen=unseen)
    done = "the shadow" if unseen else "published"
    tell(f"{made.name} {made.digest[:12]}: {done}; services that run take it up once it is checked and warm")


def check_publishing(store: str | None, folder: Path | None, *, publish: bool, unseen: bool, forecasts: bool) -> None:
    """Refuse before hours of training what could not be published after them."""
    from hashloom.data.read import BadInput

    if publish and unseen:
        raise BadInput("--publish and --shadow: a model answers or is compared unseen; say one of them")
    if unseen and forecasts:
        raise BadInput("--shadow: only recommenders are compared unseen; measure forecasters with hashloom evaluate")
    with store_at(_named(store, unseen), folder, make=True) as held:
        if held.folder is None:
            _no_folder(held)


def _named(store: str | None, unseen: bool) -> str:
    from hashloom.data.read import BadInput

    if not store:
        option = "--shadow" if unseen else "--publish"
        raise BadInput(f"{option}: in which store? Name it with --store STORE, or in HASHLOOM_STORE")
    return store


def retrain(
    store: Where = "hashloom-store",
    folder: Folder = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            "--recipe", metavar="RECIPE", help="May be repeated. Without it: those in use, as trained, else calibrated."
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="Change a setting of the one --recipe; it is remembered."),
    ] = None,
    every: Annotated[
        str | None, typer.Option("--every", metavar="24h", help="Again and again: 30m, 24h, 7d. Else once.")
    ] = None,
    drop: Annotated[
        float, typer.Option("--drop", min=0, max=1, help="Not published if its NDCG@10 falls by more than this share.")
    ] = 0.1,
    seed: Annotated[int, typer.Option("--seed", help="For everything that is drawn by chance.")] = 0,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Keep so many of the models that it made.")] = 5,
) -> None:
    """Train on the store's posts and publish, where posts changed and the result holds; running services take it up.

    [dim]hashloom retrain --store my-store --recipe calibrated[/dim]

    [dim]hashloom retrain --store my-store --recipe nearest --set neighbours=80[/dim]

    [dim]hashloom retrain --store my-store --every 24h[/dim]
    """
    pause = seconds(every) if every else None
    _named_recipes(recipe or [], change or [])  # a slip of the pen is told now, not night after night
    while True:
        try:
            with store_at(store, folder) as held:
                _round(held, _recipes(held, recipe or [], change or []), drop, seed, keep)
        except (ValueError, OSError, typer.Exit) as error:
            if pause is None:
                raise
            tell(f"hashloom: this round failed: {error}" if str(error) else "hashloom: this round failed")
        if pause is None:
            return
        tell(f"hashloom: the next round begins in {every}")
        time.sleep(pause)


def _round(store: Store, recipes: list[dict[str, Any]], drop: float, seed: int, keep: int) -> None:
    from hashloom.serve import upkeep

    for settings in recipes:
        name = settings["name"]
        with progress.stage(f"training {name}"):
            made = upkeep.retrain(store, settings, drop=drop, seed=seed, keep=keep, say=tell)
        if made.model is None:
            tell(f"{made.name}: {name} has learnt from these very posts already; nothing to do")
            continue
        told = "" if made.measured is None else f", NDCG@10 {made.measured:.3f} on the latest before it learnt them"
        tell(f"{made.name} {made.model.digest[:12]}: {name} of {made.posts:,} posts published{told}")


def _recipes(store: Store, names: list[str], changes: list[str]) -> list[dict[str, Any]]:
    """What is trained: the recipes named, else those in use, as they were changed, else ``calibrated``."""
    from hashloom.serve.upkeep import recipes_in_use

    if store.folder is None:
        _no_folder(store)
    return _named_recipes(names, changes) or recipes_in_use(store) or [recipe_of("calibrated")]


def _named_recipes(names: list[str], changes: list[str]) -> list[dict[str, Any]]:
    from hashloom.data.read import BadInput

    if changes and len(names) != 1:
        raise BadInput("--set: of which recipe? Name one with --recipe; later rounds remember its settings")
    return [recipe_of(name, changes) for name in names]


def _no_folder(store: Store) -> None:
    from hashloom.data.read import BadInput

    raise BadInput(f"{store.where}: models need a folder; name one with --folder, or in HASHLOOM_FOLDER")


def seconds(text: str) -> float:
    """A span of time in seconds.

    >>> seconds("90s"), seconds("24h"), seconds("7d")
    (90.0, 86400.0, 604800.0)
    """
    from hashloom.data.read import BadInput

    found = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if not found or not int(found[1]):
        raise BadInput(f"--every {text}: wants a number and s, m, h or d, such as 24h")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]]


def forget(
    store: str, folder: Path | None, authors: list[str], community: str | None, backups: list[Path], *, proof: bool,
    yes: bool,
) -> None:  # fmt: skip
    """Delete authors, or a whole community, from a store: ``hashloom forget --store STORE --author NAME --proof``."""
    from hashloom.data.read import BadInput

    if not authors and community is None:
        raise BadInput("what to forget? Name an author as the posts do, with --author NAME, or a --community NAME")
    for path in backups:
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such backup; check the path")
    with store_at(store, folder) as held:
        from hashloom.serve import upkeep

        if authors or community is None:
            proofs = [upkeep.forget(held, name, community, backups, tell) for name in authors]
        else:
            authors = [community]
            _must_be_meant(held, community, yes)
            proofs = [upkeep.forget_community(held, community, backups, tell)]
    for name, said in zip(authors, proofs):
        tell(_told(name, said))
        if proof:
            print(json.dumps(said, ensure_ascii=False))
    if not all(said["complete"] for said in proofs):
        raise typer.Exit(1)


def _must_be_meant(store: Store, community: str, yes: bool) -> None:
    """Who leaves --author out by mistake must not lose a community."""
    from hashloom.data.read import BadInput

    if not yes and (count := store.count(community)):
        raise BadInput(f"--community {community}: all its {count:,} posts would be deleted for good; if so, say --yes")


def readmit(store: str, folder: Path | None, authors: list[str], community: str | None) -> None:
    """Take authors or a community in again: ``hashloom forget --store STORE --author NAME --readmit``."""
    from hashloom.data.read import BadInput

    if not authors and community is None:
        raise BadInput("whom to take in again? Name an author with --author NAME, or a --community NAME")
    with store_at(store, folder) as held:
        for name in authors:
            done = held.readmit_author(name, community=community)
            tell(f"{name}: {_READMITTED[done]}")
        if not authors and community is not None:
            tell(f"{community}: {_READMITTED[held.readmit_community(community)]}")


_READMITTED = {
    True: "new posts are taken again; what was deleted stays out",
    False: "was not deleted here; nothing was changed",
}


def _told(name: str, proof: dict[str, Any]) -> str:
    """A proof in one line."""
    where = ", ".join(f"{count:,} {kind}" for kind, count in proof["store"]["removed"].items() if count)
    held = any(one["removed"] or one["left"] for one in proof["models"])
    held = held or any(_in_backup(one) for one in proof["backups"])
    if not (where or held or proof["trained_with_the_posts"]):
        said = f"no post or feedback of {name!r} was found; check the spelling"
        return f"{said}. The name is refused from now on; --readmit ends that"
    learnt = "; weights and vocabularies that were trained stay until: hashloom retrain"
    said = f"{name}: {where or 'nothing was in the store'}; {_left(proof)}"
    return said + (learnt if proof["trained_with_the_posts"] else "")


def _in_backup(looked: dict[str, Any]) -> bool:
    return any(looked.get(kind) for kind in ("posts", "feedback", "spaces"))


def _left(proof: dict[str, Any]) -> str:
    """What of an author is left, and where."""
    places = [f"{one['name']} {one['digest'][:12]}" for one in proof["models"] if one["left"]]
    places += [one["file"] for one in proof["backups"] if _in_backup(one)]
    places += [f"{count} {kind}" for kind, count in proof["store"]["left"].items() if count]
    return f"left in {', '.join(places)}" if places else "nothing is left where we looked"
