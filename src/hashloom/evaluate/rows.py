"""The rows of a comparison made one by one: kept answers read, locks respected, seeds of one recipe put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.types import Rankings

if TYPE_CHECKING:
    from hashloom.evaluate.findings import Result

FLOORS = ("popular", "own_history")
"""Counting baselines: a model below one of these is said to lose."""
PAUSE = 2.0
"""Seconds between two looks at what other processes are making."""


@dataclass(frozen=True)
class Job:
    """A recipe to be trained with a seed, and where its answers are kept."""

    recipe: Mapping[str, Any]
    seed: int
    path: Path | None = None

    def __str__(self) -> str:
        return f"{self.recipe['name']}, seed {self.seed}"

    def empty(self) -> Result:
        """The result without answers."""
        from hashloom.evaluate.findings import Result

        published = self.recipe.get("published", {})
        return Result(
            self.recipe["name"],
            self.recipe["model"],
            Rankings.of([], []),
            floor=str(self.recipe["model"].get("model")) in FLOORS,
            published={k: v for k, v in published.items() if isinstance(v, int | float)},
            source=str(published.get("source", "")),
            notes=str(self.recipe.get("notes", "")),
        )


def run(
    jobs: Sequence[Job],
    make: Callable[[Job], Result],
    ids: list[str],
    tuning: Sequence[str],
    say: Callable[[str], None],
) -> list[Result]:
    """One result per recipe, in the order of the jobs; ``ids`` and ``tuning`` are the posts asked.

    What another process is making is left to it and read when it is there; what that process gave up is made here.
    """
    done: dict[int, Result] = {}
    waits = False
    while len(done) < len(jobs):
        before = len(done)
        for at, job in enumerate(jobs):
            if at not in done:
                found = _one(job, make, ids, tuning, partial(_numbered, say, f"{at + 1}/{len(jobs)} {job}"))
                done |= {} if found is None else {at: found}
        if len(done) == before:
            if not waits:
                say("waiting for " + "; ".join(str(job) for at, job in enumerate(jobs) if at not in done))
            waits = True
            time.sleep(PAUSE)
    names = dict.fromkeys(job.recipe["name"] for job in jobs)
    return [merged([done[at] for at, job in enumerate(jobs) if job.recipe["name"] == name]) for name in names]


def _one(
    job: Job, make: Callable[[Job], Result], ids: list[str], tuning: Sequence[str], say: Callable[[str], None]
) -> Result | None:
    """A job's answers, read or made (and kept); None while another process makes them."""
    from hashloom.evaluate import answers

    if job.path is None:
        return _told(job, make, say)
    with answers.taken(job.path) as ours:
        if job.path.is_file():
            made_on = datetime.fromtimestamp(job.path.stat().st_mtime, UTC).isoformat(" ", "minutes")
            say(f"answers of {made_on} found in {job.path.name}")
            return answers.load(job.path, job.empty(), ids, tuning)
        if not ours:
            return None
        made = _told(job, make, say)
        answers.save(made, job.path)
        return made


def _numbered(say: Callable[[str], None], head: str, text: str) -> None:
    say(f"{head}: {text}")


def _told(job: Job, make: Callable[[Job], Result], say: Callable[[str], None]) -> Result:
    say("learning")
    made = make(job)
    say(f"learnt in {made.train_seconds:.1f} s")
    return made


def merged(results: Sequence[Result]) -> Result:
    """The results of one recipe with several seeds as one; its times are their means."""
    first, *others = results
    learnt = float(np.mean([one.train_seconds for one in results]))
    answered = float(np.mean([one.recommend_seconds for one in results]))
    return replace(first, runs=tuple(others), train_seconds=learnt, recommend_seconds=answered)
