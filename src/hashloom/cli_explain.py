"""``hashloom explain``: pages that show why a model answers so, one HTML file per post."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from hashloom.explain.gather import Explained
    from hashloom.forecaster import Forecaster
    from hashloom.recommender import Recommender
    from hashloom.types import Posts

MOST = 1000
"""Posts that one call draws pages for; a folder with more is hard to use."""
OTHERS = (".csv", ".gif", ".jpg", ".json", ".jsonl", ".md", ".parquet", ".pdf", ".png", ".svg", ".txt")
"""Endings of files that are no page; a folder is not called so by intention."""
MADE = re.compile(r"Hashloom \d")
"""Stands at the foot of every page."""


def explain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A kept model: a recommender or a forecaster.")],
    posts: Annotated[list[Path], typer.Argument(metavar="POST...", help="Files of posts; - reads JSON lines.")],
    out: Annotated[
        Path,
        typer.Option(
            "-o",
            "--out",
            metavar="PAGE",
            help="A .html file (- is the screen), or a folder: a page per post and an index.",
        ),
    ],
    forecaster: Annotated[
        list[Path] | None,
        typer.Option("--forecaster", metavar="MODEL", help="A kept forecaster to ask too; may be repeated."),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option("--history", metavar="POSTS", help="Earlier posts, on top of those that the model remembers."),
    ] = None,
    id: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="The post with this id; may be repeated.")
    ] = None,
    language: Annotated[Literal["en", "ja"], typer.Option(help="Of the page's own words.")] = "en",
    k: Annotated[int, typer.Option("-k", min=1, max=50, help="At most so many tags.")] = 5,
    occlude: Annotated[
        bool, typer.Option(help="Where a model marks no words by itself, take each out and ask again.")
    ] = True,
) -> None:
    """Draw why a model answers so: marked words and regions, reasons, forecasts, tags and attention.

    Of a file the first post is shown, or those named with --id; into a folder all are.

    [dim]hashloom explain my-model new.jsonl -o page.html --forecaster my-forecaster[/dim]

    [dim]hashloom explain my-model posts.parquet --id p17 -o page.html --language ja[/dim]

    [dim]hashloom explain my-model new.jsonl -o pages/[/dim]
    """
    from hashloom import progress
    from hashloom.cli_files import quiet
    from hashloom.explain.amounts import counted

    single = str(out) == "-" or out.name.lower().endswith((".html", ".htm"))
    _check(out, single, [*posts, *([history] if history else [])])
    recommender, made, kept = _models([model, *(forecaster or [])])
    given = _read(posts)
    asked = _wanted(given, id or [], 1 if single else MOST, posts)
    earlier = _read([history]) if history else None
    found = []
    with quiet() if str(out) == "-" else progress.stage("explaining"):
        for i in progress.track(range(len(asked)), "posts"):
            from hashloom.explain.gather import explain as gather

            one = gather(
                asked[i : i + 1], recommender=recommender, forecasters=made, k=k, history=earlier, occlude=occlude,
                texts=given, kept=kept,
            )  # fmt: skip
            found.append(one)
        _write(found, out, single, language)
    _tell_strangers(found, recommender, earlier)
    said = "the page" if single else f"{counted(len(found), 'page')}; open index.html"
    typer.echo(f"{out}: {said}", err=True)


def _check(out: Path, single: bool, given: Sequence[Path]) -> None:
    """Refuse before the work what could not be written after it, or read twice."""
    from hashloom.cli_files import check_place
    from hashloom.data.read import BadInput

    if sum(str(path) == "-" for path in given) > 1:
        raise BadInput("only one of POST and --history can be standard input (-); give the others as files")
    if single:
        if str(out) != "-":
            check_place(out)
    elif out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file and no .html; name a page (why.html) or a folder")
    elif out.suffix.lower() in OTHERS and not out.is_dir():
        raise BadInput(f"{out}: is no page and no folder; name a page (why.html) or a folder")
    elif (out / "manifest.json").exists():
        raise BadInput(f"{out}: holds a model; choose another folder for the pages")
    elif (out / "index.html").exists() and not MADE.search((out / "index.html").read_text("utf-8", "replace")):
        raise BadInput(f"{out / 'index.html'}: is there and was not made by hashloom explain; choose another folder")
    elif not out.absolute().parent.is_dir():
        raise BadInput(f"{out}: there is no folder {out.absolute().parent}; make it first")


def _models(folders: Sequence[Path]) -> tuple[Recommender | None, dict[str, Forecaster], dict[str, Mapping[str, Any]]]:
    """The recommender, the forecasters by name, and their manifests; the first folder may hold either kind."""
    from hashloom import keeping
    from hashloom.data.read import BadInput
    from hashloom.forecaster import Forecaster
    from hashloom.recommender import Recommender

    recommender: Recommender | None = None
    made: dict[str, Forecaster] = {}
    kept: dict[str, Mapping[str, Any]] = {}
    for i, folder in enumerate(folders):
        part = keeping.load(folder)
        if isinstance(part, Recommender) and i == 0:
            recommender, kept[""] = part, keeping.manifest(folder)
        elif isinstance(part, Forecaster):
            names = [part.name, f"{part.name} {folder.name}", *(f"{part.name} {n}" for n in range(2, len(folders) + 2))]
            name = next(name for name in names if name not in made)
            made[name], kept[name] = part, keeping.manifest(folder)
        else:
            kind = type(part).__name__
            wanted = "neither a recommender nor a forecaster" if i == 0 else "no forecaster; give it as MODEL"
            raise BadInput(f"{folder}: holds {kind}, which is {wanted}")
    return recommender, made, kept


def _read(paths: Sequence[Path]) -> Posts:
    from hashloom.data.read import read
    from hashloom.types import Posts

    parts = []
    for path in paths:
        posts, report = read(path)
        if report.refused or report.duplicates or report.cut:
            typer.echo(report.summary(), err=True)
        parts.append(posts)
    return parts[0] if len(parts) == 1 else Posts.concat(parts)


def _wanted(posts: Posts, ids: Sequence[str], most: int, paths: Sequence[Path]) -> Posts:
    """The posts to explain: those named, else the first ones."""
    import numpy as np

    from hashloom.data.read import BadInput

    files = ", ".join(map(str, paths))
    if not len(posts):
        raise BadInput(f"{files}: holds no posts; nothing to explain")
    if missing := [one for one in ids if one not in set(posts.ids)]:
        raise BadInput(f"{files}: there is no post with id {missing[0]!r}; check --id")
    if not ids and most > 1 and len(posts) > most:
        raise BadInput(f"{files}: holds {len(posts):,} posts; at most {most:,} are drawn at once, choose with --id")
    rows = [posts.ids.index(one) for one in dict.fromkeys(ids)] if ids else list(range(min(most, len(posts))))
    if len(rows) > most:
        raise BadInput(f"{len(rows)} posts do not fit into one page; name a folder with -o")
    return posts[np.array(rows)]


def _tell_strangers(found: Sequence[Explained], model: Recommender | None, earlier: Posts | None) -> None:
    """Say which communities no tag could be suggested for, because nothing is known of them."""
    known = {*(model.spaces_ if model else ()), *(earlier.communities if earlier else ())}
    strange = {one.post.community for one in found if one.ranking and not one.ranking.suggestions} - known
    for community in sorted(strange):
        said = (
            f"hashloom: the model knows no community {community!r}; check the field 'community', give tagged posts of"
        )
        typer.echo(f"{said} it with --history, or train again with it", err=True)


def _write(found: Sequence[Explained], out: Path, single: bool, language: Literal["en", "ja"]) -> None:
    from hashloom.cli_files import write_text
    from hashloom.explain.page import index, page

    if single:
        write_text(out, page(found[0], language))
        return
    out.mkdir(exist_ok=True)
    names = [f"{i:04d}-{_plain(one.post.id)}.html" for i, one in enumerate(found, 1)]
    for name, one in zip(names, found, strict=True):
        write_text(out / name, page(one, language))
    write_text(out / "index.html", index(list(zip(names, found, strict=True)), language))


def _plain(id: str) -> str:
    """An id as part of a file's name: letters, digits and hyphens, 40 at most.

    >>> _plain("../etc/<x>")
    'etc-x'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", id).strip("-")[:40] or "post"
