"""What the store's most frequent calls cost, beside bare SQLite running the same statements in the same breath.

    python benchmarks/store.py                     # 100,000 posts, twenty to an author, in twenty communities
    python benchmarks/store.py --posts 10000 --runs 500 --folder /fast/disk

Each call and its statements alone, on a second database with the same rows, take turns, so that what else runs meets
both. Milliseconds by the clock have the disk's part of a commit in them; those of the processor are this thread's.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from hashloom.store import Feedback, Store
from hashloom.store.opening import FILE
from hashloom.types import Post, Posts

START = datetime(2025, 1, 1, tzinfo=UTC)
EACH, PLACES, EVENTS, PUT = 20, 20, 100, 100
AIMS = {"a history of 20 posts": 1.0, "an event of feedback, of 100 put together": 1.0}
Call = Callable[[int], object]
Asked = list[tuple[str, object, bool]]


def world(first: int, last: int, users: int) -> Posts:
    """Posts by number, a minute apart."""
    return Posts.of(
        Post(f"p{i}", "word " * 60, f"c{i % PLACES}", f"u{i % users}", START + timedelta(minutes=i),
             tags=("Rye", "Oat"))
        for i in range(first, last)
    )  # fmt: skip


def calls(store: Store, posts: int, users: int, runs: int) -> dict[str, tuple[Call, int]]:
    """What is measured, by number of the run, and how many things each is about."""
    new = [world(first, first + PUT, users) for first in range(posts, posts + PUT * (runs + 1), PUT)]

    def told(run: int) -> object:
        return store.put_feedback(
            Feedback(f"{run}-{i}", "c1", f"p{i}", f"tag{i}", "shown", "u1") for i in range(EVENTS)
        )

    return {
        "a history of 20 posts": (lambda i: store.history(f"c{i % PLACES}", f"u{i % users}"), 1),
        "the 100 latest posts": (lambda i: store.recent(f"c{i % PLACES}", last=100), 1),
        "a post by its id": (lambda i: store.get_posts(f"c{i % PLACES}", [f"p{i % posts}"]), 1),
        "the tags rejected for a post": (lambda i: store.rejected(f"c{i % PLACES}", f"p{i % posts}"), 1),
        "an event of feedback, of 100 put together": (told, EVENTS),
        "a post, of 100 put together": (lambda run: store.put_posts(new[run]), PUT),
    }


def bare(twin: sqlite3.Connection, asked: Asked) -> None:
    """The statements alone."""
    for text, values, many in asked:
        if many:
            twin.executemany(text, values)  # type: ignore[arg-type]
        else:
            twin.execute(text, values or ()).fetchall()  # type: ignore[arg-type]
    if twin.in_transaction:
        twin.execute("COMMIT")


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds by the clock and of this thread's processor time."""
    began, busy = time.perf_counter(), time.thread_time()
    work()
    return (time.perf_counter() - began) * 1e3, (time.thread_time() - busy) * 1e3


def row(name: str, call: Call, things: int, runs: int, store: Store, twin: sqlite3.Connection) -> str:
    """One call's figures."""
    asked: Asked = []

    def note(_: object, __: object, text: str, values: object, ___: object, many: bool) -> None:
        asked.append((text, values, many))

    sa.event.listen(store._engine, "after_cursor_execute", note)
    ours, plain = [], []
    for i in range(runs + 1):
        asked.clear()
        ours.append(clocked(partial(call, i)))
        plain.append(clocked(partial(bare, twin, asked)))
    sa.event.remove(store._engine, "after_cursor_execute", note)
    clock, busy = ([both[at] / things for both in ours[1:]] for at in (0, 1))  # the first made what is made once
    ratio = statistics.median(one[1] for one in ours[1:]) / max(1e-6, statistics.median(one[1] for one in plain[1:]))
    late = statistics.quantiles(clock, n=20)[-1]
    aim = f"{AIMS[name]:g}, {'met' if statistics.median(busy) <= AIMS[name] else 'missed'}" if name in AIMS else ""
    figures = f"{statistics.median(clock):.3f} | {late:.3f} | {statistics.median(busy):.3f} | {ratio:.1f}"
    return f"| {name} | {figures} | {aim} |"


def twin_of(folder: Path) -> sqlite3.Connection:
    """A plain connection with the store's settings."""
    made = sqlite3.connect(folder / FILE, isolation_level=None)
    for setting in ("synchronous=FULL", "foreign_keys=ON", "secure_delete=ON", "journal_size_limit=67108864"):
        made.execute(f"PRAGMA {setting}")
    return made


def main() -> None:
    """Read the command line, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where the databases are made for the while; default: temporary")
    given = parser.parse_args()
    if given.posts < EACH * PLACES or given.runs < 20:
        parser.error(f"--posts is at least {EACH * PLACES} and --runs at least 20")
    posts, users = given.posts, given.posts // EACH // PLACES * PLACES
    with tempfile.TemporaryDirectory(dir=given.folder) as home:
        for name in ("other", "store"):
            with Store.open(Path(home, name)) as store:
                took = clocked(lambda: store.put_posts(world(0, posts, users)))[0]
        print(f"{posts:,} posts put in {took / 1e3:.1f} s, their making included; medians of {given.runs} runs\n")
        print("| call | ms | 95 % | ms of the processor | × bare SQLite | aim, ms |")
        print("| --- | --: | --: | --: | --: | --: |", flush=True)
        with Store.open(Path(home, "store")) as store:
            twin = twin_of(Path(home, "other"))
            for name, (call, things) in calls(store, posts, users, given.runs).items():
                print(row(name, call, things, given.runs, store, twin), flush=True)
            twin.close()
    print(f"\nload {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
