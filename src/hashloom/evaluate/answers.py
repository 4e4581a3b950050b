"""Answers of a recipe kept in a file, so that a comparison that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def save(result: Result, path: Path) -> None:
    """Write a result's rankings, those of its makers too, and its times; whole or not at all."""
    import polars as pl

    path.parent.mkdir(parents=True, exist_ok=True)
    frames = [_frame(name, r) for name, r in [("", result.rankings), *result.makers.items()]]
    beside = path.with_suffix(".tmp")
    pl.concat(frames).write_parquet(beside)
    times = {"train_seconds": result.train_seconds, "recommend_seconds": result.recommend_seconds}
    path.with_suffix(".json").write_text(json.dumps(times | {"makers": list(result.makers)}), encoding="utf-8")
    beside.rename(path)


def load(path: Path, result: Result, ids: list[str]) -> Result:
    """``result`` with the rankings and times that ``save`` wrote."""
    import polars as pl

    frame = pl.read_parquet(path)
    said = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    parts = {name: _rankings(frame.filter(pl.col("maker") == name), ids) for name in ["", *said.pop("makers")]}
    return replace(result, rankings=parts.pop(""), makers=parts, **said)


def _frame(name: str, rankings: Rankings) -> Any:
    import polars as pl

    post = np.repeat(np.arange(len(rankings)), rankings.lengths)
    tags = pl.Series(rankings.tags.tolist(), dtype=pl.String())
    return pl.DataFrame({"post": post, "tag": tags, "score": rankings.scores}).with_columns(maker=pl.lit(name))


def _rankings(frame: Any, ids: list[str]) -> Rankings:
    starts = np.searchsorted(frame["post"].to_numpy(), np.arange(len(ids) + 1)).astype(np.int64)
    tags = np.array(frame["tag"].to_list(), dtype=object)
    return Rankings(ids, starts, tags, frame["score"].to_numpy())
