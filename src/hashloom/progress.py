"""Shows how far long work has come: on standard error, only where a person watches, and only if asked to.

A library must not draw into its caller's terminal, so nothing is shown until ``watch()``, which the command line calls.
What the library logs at INFO meanwhile ("learning linear from 24872 posts") stands on the line of the stage at hand.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Item = TypeVar("Item")


class _Screen:
    """The one display that all stages share, because a terminal has one last line; there while a stage runs."""

    watched = False
    display: Progress | None = None
    stages: ClassVar[list[tuple[TaskID, str]]] = []
    """Row and label of each stage that runs, the innermost last."""


class _Said(logging.Handler):
    """Puts what the library logs on the line of the innermost stage; warnings stay, as lines of their own."""

    def emit(self, record: logging.LogRecord) -> None:
        said = " ".join(record.getMessage().split())
        if record.levelno >= logging.WARNING:
            print(f"hashloom: {said}", file=sys.stderr, flush=True)
        elif _Screen.display and _Screen.stages:
            row, label = _Screen.stages[-1]
            _Screen.display.update(row, description=f"{label}: {said}")


_SAID = _Said(logging.INFO)


def watch(on: bool | None = None) -> bool:
    """Show progress from now on (``on``; None: where standard error is a terminal). Gives what holds now.

    >>> watch(False)
    False
    """
    _Screen.watched = sys.stderr.isatty() if on is None else on
    log = logging.getLogger("hashloom")
    log.removeHandler(_SAID)
    if _Screen.watched:
        log.addHandler(_SAID)
    log.setLevel(logging.INFO if _Screen.watched else logging.NOTSET)
    return _Screen.watched


@contextmanager
def stage(label: str, total: float | None = None) -> Iterator[None]:
    """Name what is done meanwhile, with its time so far; stages may stand within stages.

    >>> with stage("learning"):
    ...     done = 1 + 1
    """
    if not _Screen.watched:
        yield
        return
    with _row(label, total):
        yield


def track(items: Iterable[Item], label: str, total: float | None = None) -> Iterator[Item]:
    """The items, one by one, counted on a bar; ``total`` where the items do not know how many they are.

    >>> list(track([1, 2], "posts"))
    [1, 2]
    """
    if not _Screen.watched:
        yield from items
        return
    count = total if total is not None else len(items) if isinstance(items, Sized) else None
    of = "" if count is None else f"/{count:,.0f}"
    with _row(label, count) as (display, row):
        for done, item in enumerate(items, 1):
            yield item
            display.update(row, advance=1, count=f"{done:,}{of}")


@contextmanager
def _row(label: str, total: float | None) -> Iterator[tuple[Progress, TaskID]]:
    display = _Screen.display or _made()
    _Screen.display = display
    row = display.add_task(label, total=total, count="")
    _Screen.stages.append((row, label))
    try:
        yield display, row
    finally:
        display.remove_task(row)
        _Screen.stages.remove((row, label))
        if not _Screen.stages:
            display.stop()
            _Screen.display = None


def _made() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    said, bar = TextColumn("{task.description}", markup=False), BarColumn(bar_width=24)
    count = TextColumn("{task.fields[count]}", markup=False)
    # Transient: what is done leaves no trace between the lines that stay.
    display = Progress(
        SpinnerColumn(), said, bar, count, TimeElapsedColumn(), console=Console(stderr=True), transient=True
    )
    display.start()
    return display
