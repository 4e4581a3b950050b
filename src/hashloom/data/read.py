"""Posts in and out: read a file of posts, import another source, write posts; what is wrong is said with its place."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from hashloom.data.columns import Gathered, checked
from hashloom.data.moments import zone_of
from hashloom.data.rows import BadInput, Item, Problem, Report, Row, Skip
from hashloom.types import Posts

if TYPE_CHECKING:
    import polars as pl

__all__ = ["BadInput", "Problem", "Report", "Row", "Skip", "collect", "import_posts", "importers", "read", "write"]

ENDINGS = {
    ".parquet": "parquet",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
}
"""Ending of a file of posts → its importer."""


def importers() -> list[str]:
    """The kinds of sources that ``import_posts`` knows, by name.

    >>> "mastodon" in importers()
    True
    """
    import pkgutil

    package = import_module("hashloom.data.importers")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def read(path: str | Path, *, strict: bool = False, zone: str | None = None) -> tuple[Posts, Report]:
    """Posts from .parquet, .jsonl(.gz) or .csv, or from standard input as JSON lines (``-``), and what became of them.

    Wrong rows are left out and stand in the report with file and line; ``strict`` raises BadInput at the first.
    ``zone`` holds for times that state none. Hashtags in texts become tags. Picture paths, which stand in the file
    relative to it, come out relative to the working folder.
    """
    if str(path) == "-":
        from hashloom.data.importers import jsonl

        return collect(jsonl.from_stream(sys.stdin.buffer, "standard input"), zone=zone, strict=strict)
    path = Path(path)
    return import_posts(_kind(path), [path], zone=zone, strict=strict)


def _kind(path: Path) -> str:
    ending = next((e for e in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(e)), None)
    if ending is None:
        known = ", ".join(list(ENDINGS)[:3])
        raise BadInput(
            f"{path}: cannot tell what this is; posts are {known} or .csv; else: hashloom import KIND {path}"
        )
    return ENDINGS[ending]


def import_posts(
    kind: str, paths: Sequence[str | Path], *, zone: str | None = None, strict: bool = False
) -> tuple[Posts, Report]:
    """Posts from a source of another kind (``importers()`` lists them), in the order found; the last of an id wins.

    Raises BadInput where nothing can be read: no such file, damaged, an archive that unpacks without end.
    """
    if kind not in importers():
        raise BadInput(f"no importer {kind!r}; there are {', '.join(importers())}")
    if not paths:
        raise BadInput(f"hashloom import {kind}: name at least one file or folder")
    module, files = import_module(f"hashloom.data.importers.{kind}"), [Path(path) for path in paths]
    if kind in ("jsonl", "csv", "parquet"):
        # In these formats pictures stand relative to their file, so each is read by itself.
        parts = [_one(module, file, zone, strict) for file in files]
        posts, report = _together(parts)
    else:
        posts, report = collect(module.rows(files, zone=zone), zone=zone, strict=strict)
    if not len(posts) and report.refused:
        raise BadInput(f"no post could be read from {', '.join(map(str, files))[:200]}\n{report.summary()}")
    return posts, report


def _one(module: object, file: Path, zone: str | None, strict: bool) -> tuple[Posts, Report]:
    report = Report()
    if hasattr(module, "frames"):
        frames = [checked(f, name, _zone(zone), report, strict) for name, f in module.frames([file])]
        posts = _last_of_each(Posts.of(frames[0]), report)
    else:
        posts, report = collect(module.rows([file], zone=zone), zone=zone, strict=strict)  # type: ignore[attr-defined]
    return _moved(posts, lambda image: os.path.join(file.parent, image)), report


def _together(parts: Sequence[tuple[Posts, Report]]) -> tuple[Posts, Report]:
    if len(parts) == 1:
        return parts[0]
    total = Report()
    for _, report in parts:
        total.read += report.read
        total.refused += report.refused
        total.duplicates += report.duplicates
        total.cut += report.cut
        total.problems += report.problems
        total.left_out += [name for name in report.left_out if name not in total.left_out]
    return _last_of_each(Posts.concat(posts for posts, _ in parts), total), total


def collect(rows: Iterable[Item], *, strict: bool = False, zone: str | None = None) -> tuple[Posts, Report]:
    """Checks every row, takes hashtags out of texts, keeps the last row of each id, and reports.

    >>> posts, report = collect([Row("a.jsonl:1", {"id": 7, "text": "Day two #Sourdough"}), Row("a.jsonl:2", {})])
    >>> posts[0].text, posts[0].tags, str(report.problems[0])
    ('Day two', ('Sourdough',), 'a.jsonl:2: no id; every post needs one')
    """
    report, posts, where = Report(), Gathered(), _zone(zone)
    for row in rows:
        if isinstance(row, Skip):
            report.skip(row.reason)
            continue
        report.read += 1
        if isinstance(row, Problem):
            posts.refuse(row, report, strict)
        else:
            posts.add(row, where, report, strict)
    return _last_of_each(Posts(posts.frame(report)), report), report


def _zone(name: str | None) -> tzinfo | None:
    try:
        return zone_of(name)
    except ValueError as error:
        raise BadInput(str(error)) from None


def _last_of_each(posts: Posts, report: Report) -> Posts:
    frame = posts.frame.unique(subset="id", keep="last", maintain_order=True)
    report.duplicates += len(posts) - frame.height
    report.kept = frame.height
    return Posts(frame)


def _moved(posts: Posts, move: Callable[[str], str]) -> Posts:
    """The posts with ``move`` applied to every picture that is a path (no link, no content hash)."""
    import polars as pl

    images = posts.frame["images"].explode().unique().drop_nulls().to_list()
    moved = {image: os.path.normpath(move(image)) for image in images if _is_path(image)}
    if all(image == there for image, there in moved.items()):
        return posts
    return Posts(posts.frame.with_columns(pl.col("images").list.eval(pl.element().replace(moved))))


def _is_path(image: str) -> bool:
    return "://" not in image and ("." in image or "/" in image)


def _from_folder(image: str, folder: Path) -> str:
    """The path as seen from a folder; one that shares nothing with it but the root stays absolute."""
    if os.path.isabs(image) and os.path.commonpath([image, folder.resolve()]) == os.path.abspath(os.sep):
        return image
    return os.path.relpath(image, folder)


def write(posts: Posts, path: str | Path) -> None:
    """Write posts to .parquet (zstd) or .jsonl: beside the target first, then renamed, so no half file is ever seen.

    Picture paths are written relative to the file. Another ending or an unwritable place raises BadInput.
    """
    path = Path(path)
    kind = next((e for e in (".parquet", ".jsonl") if path.name.lower().endswith(e)), None)
    if kind is None:
        raise BadInput(f"{path}: posts are written to .parquet or .jsonl; give it one of these endings")
    frame = _moved(posts, lambda image: _from_folder(image, path.parent)).frame
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            _write_frame(frame, file, kind)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror or error}); choose another place") from error
    finally:
        beside.unlink(missing_ok=True)


def _write_frame(frame: pl.DataFrame, file: object, kind: str) -> None:
    import polars as pl
    import polars.selectors as cs

    if kind == ".parquet":
        frame.write_parquet(file, compression="zstd")  # type: ignore[arg-type]
        return
    times = pl.col("created_at").dt.to_string("%Y-%m-%dT%H:%M:%S%.fZ")
    frame.with_columns(times, cs.float().exclude("created_at").fill_nan(None)).write_ndjson(file)  # type: ignore[call-overload]
