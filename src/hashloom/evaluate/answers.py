"""Answers of a recipe kept in a file, so that a comparison that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np

from hashloom import catalogue
from hashloom.evaluate.findings import Result
from hashloom.types import Rankings


def place(folder: Path, recipe: Mapping[str, Any], split_id: str, seed: int) -> Path:
    """Where the answers of this recipe, with these settings, to the posts of this split belong."""
    from hashloom import __version__

    # With every default spelt out, so that a changed default is not mistaken for the same recipe.
    settings = catalogue.settings(catalogue.build(recipe["model"]))
    told = json.dumps([settings, recipe["prepare"], split_id, seed, __version__], sort_keys=True)
    return folder / f"{recipe['name']}-{hashlib.sha256(told.encode()).hexdigest()[:12]}.parquet"


@contextmanager
def taken(path: Path) -> Iterator[bool]:
    """Whether the answers of ``path`` are this process's to make; no other process gets them until the end.

    The mark is a lock on a file beside; it ends with the process, also where that is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("a") as file:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError):
            yield False
        else:
            yield True


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def save(result: Result, path: Path) -> None:
    """Write a result's rankings, those of its makers and those for tuning too, and its times; whole or not at all."""
    import polars as pl

    path.parent.mkdir(parents=True, exist_ok=True)
    parts = {"test": {"": result.rankings, **result.makers}, "validation": result.tuning}
    frames = [_frame(part, name, r) for part, each in parts.items() for name, r in each.items()]
    beside = path.with_suffix(".tmp")
    pl.concat(frames).write_parquet(beside)
    times = {"train_seconds": result.train_seconds, "recommend_seconds": result.recommend_seconds}
    names = {"makers": list(result.makers), "tuning": list(result.tuning)}
    path.with_suffix(".json").write_text(json.dumps(times | names), encoding="utf-8")
    beside.rename(path)


def load(path: Path, result: Result, ids: list[str], tuning: Sequence[str] = ()) -> Result:
    """``result`` with what ``save`` wrote; ``tuning``: the ids of the validation posts."""
    import polars as pl

    frame = pl.read_parquet(path)
    if "part" not in frame.columns:
        frame = frame.with_columns(part=pl.lit("test"))
    said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))

    def read(part: str, name: str, asked: Sequence[str]) -> Rankings:
        return _rankings(frame.filter((pl.col("part") == part) & (pl.col("maker") == name)), list(asked))

    makers = {name: read("test", name, ids) for name in said.pop("makers")}
    tuned = {name: read("validation", name, tuning) for name in said.pop("tuning", [])}
    return replace(result, rankings=read("test", "", ids), makers=makers, tuning=tuned, **said)


def _frame(part: str, name: str, rankings: Rankings) -> Any:
    import polars as pl

    post = np.repeat(np.arange(len(rankings)), rankings.lengths)
    tags = pl.Series(rankings.tags.tolist(), dtype=pl.String())
    made = pl.DataFrame({"post": post, "tag": tags, "score": rankings.scores})
    return made.with_columns(part=pl.lit(part), maker=pl.lit(name))


def _rankings(frame: Any, ids: list[str]) -> Rankings:
    starts = np.searchsorted(frame["post"].to_numpy(), np.arange(len(ids) + 1)).astype(np.int64)
    tags = np.array(frame["tag"].to_list(), dtype=object)
    return Rankings(ids, starts, tags, frame["score"].to_numpy())
