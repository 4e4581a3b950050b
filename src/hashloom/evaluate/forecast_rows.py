"""The rows of a comparison of forecasters made one by one: kept forecasts read, locks respected, seeds put together."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hashloom import catalogue
from hashloom.evaluate import answers
from hashloom.evaluate.forecast_findings import ForecastResult
from hashloom.evaluate.rows import in_turn
from hashloom.types import Forecasts

Make = Callable[["ForecastJob"], ForecastResult]
Say = Callable[[str], None]


@dataclass(frozen=True)
class ForecastJob:
    """A recipe to be trained with a seed, and where its forecasts are kept."""

    recipe: Mapping[str, Any]
    seed: int
    path: Path | None = None

    def __str__(self) -> str:
        return f"{self.recipe['name']}, seed {self.seed}"


def jobs(
    recipes: Sequence[Mapping[str, Any]], seeds: Sequence[int], scored: str, folder: Path | str | None
) -> list[ForecastJob]:
    """One for each recipe and seed; where chance plays no part, the first seed alone. ``scored`` names the posts."""
    made = []
    for recipe in recipes:
        for seed in seeds if catalogue.build(recipe["model"]).is_seeded() else seeds[:1]:
            path = answers.place(Path(folder), {"prepare": {}, **recipe}, scored, seed) if folder else None
            made.append(ForecastJob(recipe, seed, path))
    return made


def run(todo: Sequence[ForecastJob], make: Make, ids: list[str], say: Say) -> list[ForecastResult]:
    """One result per recipe, in the order of the jobs; ``ids`` are the posts asked."""

    def kept(job: ForecastJob, say: Say) -> ForecastResult:
        assert job.path is not None
        say(f"forecasts found in {job.path.name}")
        return load(job, ids)

    return in_turn(todo, make, kept, save, merged, say)


def save(result: ForecastResult, path: Path) -> None:
    """Write a result's forecasts and times; whole or not at all."""
    import polars as pl

    made = result.forecasts
    frame = pl.DataFrame({"id": list(made.ids), "value": made.values, "low": made.low, "high": made.high})
    beside = path.with_suffix(".tmp")
    frame.write_parquet(beside)
    times = {"train_seconds": result.train_seconds, "forecast_seconds": result.forecast_seconds}
    said = {"formula": made.formula, "coverage": made.coverage, "settings": dict(result.settings), **times}
    path.with_suffix(".json").write_text(json.dumps(said), encoding="utf-8")
    beside.rename(path)


def load(job: ForecastJob, ids: list[str]) -> ForecastResult:
    """What ``save`` wrote for a job. Raises ``ValueError`` where it is of other posts than ``ids``."""
    import polars as pl

    assert job.path is not None
    frame = pl.read_parquet(job.path)
    if frame["id"].to_list() != ids:
        raise ValueError(f"{job.path}: holds forecasts of other posts; remove the file")
    said = json.loads(job.path.with_suffix(".json").read_text(encoding="utf-8"))
    value, low, high = (frame[name].to_numpy() for name in ("value", "low", "high"))
    made = Forecasts(ids, value, low, high, said["formula"], said["coverage"])
    times = {name: said[name] for name in ("train_seconds", "forecast_seconds")}
    notes = str(job.recipe.get("notes", ""))
    return ForecastResult(job.recipe["name"], said["settings"], made, notes=notes, **times)


def merged(results: Sequence[ForecastResult]) -> ForecastResult:
    """The results of one recipe with several seeds as one; its times are their means."""
    first, *others = results
    learnt, asked = (
        float(np.mean([getattr(one, name) for one in results])) for name in ("train_seconds", "forecast_seconds")
    )
    return replace(first, runs=tuple(others), train_seconds=learnt, forecast_seconds=asked)
