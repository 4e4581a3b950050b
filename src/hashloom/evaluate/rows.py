"""The rows of a comparison made one by one: kept answers read, locks respected, seeds of one recipe put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import numpy as np

from hashloom import catalogue
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
            chances=catalogue.build(self.recipe["model"]).says_chances,
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
    """One result per recipe, in the order of the jobs; ``ids`` and ``tuning`` are the posts asked."""
    from hashloom.evaluate import answers

    def load(job: Job, say: Callable[[str], None]) -> Result:
        assert job.path is not None
        made_on = datetime.fromtimestamp(job.path.stat().st_mtime, UTC).isoformat(" ", "minutes")
        say(f"answers of {made_on} found in {job.path.name}")
        return answers.load(job.path, job.empty(), ids, tuning)

    return in_turn(jobs, make, load, answers.save, merged, say)


class _Kept(Protocol):
    """What has to be made: of which recipe, and where it is kept, if anywhere."""

    @property
    def recipe(self) -> Mapping[str, Any]: ...
    @property
    def path(self) -> Path | None: ...


class _Timed(Protocol):
    """What is made: it says how long learning took."""

    @property
    def train_seconds(self) -> float: ...


J = TypeVar("J", bound=_Kept)
R = TypeVar("R", bound=_Timed)
Say = Callable[[str], None]


def in_turn(
    jobs: Sequence[J],
    make: Callable[[J], R],
    load: Callable[[J, Say], R],
    save: Callable[[R, Path], None],
    merge: Callable[[Sequence[R]], R],
    say: Say,
) -> list[R]:
    """One result per recipe, in the order of the jobs; those of one recipe's seeds are put together by ``merge``.

    What another process is making is left to it and read when it is there; what that process gave up is made here.
    """
    done: dict[int, R] = {}
    waits = False
    while len(done) < len(jobs):
        before = len(done)
        for at, job in enumerate(jobs):
            if at not in done:
                found = _one(job, make, load, save, partial(_numbered, say, f"{at + 1}/{len(jobs)} {job}"))
                done |= {} if found is None else {at: found}
        if len(done) == before:
            if not waits:
                say("waiting for " + "; ".join(str(job) for at, job in enumerate(jobs) if at not in done))
            waits = True
            time.sleep(PAUSE)
    names = dict.fromkeys(job.recipe["name"] for job in jobs)
    return [merge([done[at] for at, job in enumerate(jobs) if job.recipe["name"] == name]) for name in names]


def _one(
    job: J, make: Callable[[J], R], load: Callable[[J, Say], R], save: Callable[[R, Path], None], say: Say
) -> R | None:
    """What a job makes, read or made (and kept); None while another process makes it."""
    from hashloom.evaluate import answers

    if job.path is None:
        return _told(job, make, say)
    with answers.taken(job.path) as ours:
        if job.path.is_file():
            return load(job, say)
        if not ours:
            return None
        made = _told(job, make, say)
        save(made, job.path)
        return made


def _numbered(say: Say, head: str, text: str) -> None:
    say(f"{head}: {text}")


def _told(job: J, make: Callable[[J], R], say: Say) -> R:
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
