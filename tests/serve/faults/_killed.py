"""Forks workers that write, publish, migrate and train until they are killed, and say what is acknowledged.

It reads lines ``JOB<tab>STORE<tab>MODEL<tab>ROUND`` and prints each worker's process id. Nothing but imports happens in
this process itself, so that a fork has no threads to miss.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import alembic.config
import alembic.runtime.environment  # noqa: F401  (so that the forks need not)
import polars  # noqa: F401

from hashloom import keeping
from hashloom.evaluate import forecasting, protocol  # noqa: F401
from hashloom.recommenders import popular  # noqa: F401
from hashloom.serve import upkeep
from hashloom.serve.engine import Engine
from hashloom.store import Feedback, Store
from hashloom.types import Post, Posts

POPULAR = {"name": "popular", "model": {"model": "popular"}}


def say(*words: str) -> None:
    os.write(1, f"{' '.join(words)}\n".encode())


def write(store: Store, _: Path, turn: str) -> None:
    """Posts, feedback, deletions."""
    for number in count():
        name = f"w{turn}-{number}"
        store.put_posts(Posts.of([Post(name, "x" * 900, "c", f"u{number % 5}", tags=("Rye",))]))
        say("post", name)
        store.put_feedback([Feedback(name, "c", name, "rye", "accepted", user="mo")])
        say("feedback", name)
        if number % 2:
            say("deleting", name)
            store.delete_posts("c", [name])
            say("deleted", name)


def publish(store: Store, model: Path, turn: str) -> None:
    """As ``hashloom train --publish`` does; models that nothing needs any more are dropped."""
    made, home = keeping.load(model), Path(tempfile.mkdtemp(dir=store.folder.parent))
    for number in count():
        folder = made.save(home / "model", turn=f"{turn}-{number}")
        say("doing", keeping.manifest(folder)["digest"])
        say("done", upkeep.publish(store, folder).digest)
        drop_old(store)


def drop_old(store: Store) -> None:
    for one in store.models("recommender"):
        if not (one.published or one.previous):
            store.drop_model("recommender", one.digest)


def swap(store: Store, model: Path, turn: str) -> None:
    """A service's own publications and roll-backs."""
    drop_old(store)
    made, home = keeping.load(model), Path(tempfile.mkdtemp(dir=store.folder.parent))
    added = [store.add_model("recommender", made.save(home / "model", side=side)).digest for side in (1, 2)]
    with Engine(store) as engine:
        for number in count():
            wanted = added[number % 2]
            say("doing", wanted)
            if number % 5 == 4:
                engine.roll_back("recommender")
            engine.publish("recommender", wanted)
            say("done", wanted)


def migrate(store: Store, _: Path, turn: str) -> None:
    """Opening the store did it."""
    say("migrated", turn)
    time.sleep(60)


def retrain(store: Store, _: Path, turn: str) -> None:
    """As ``hashloom retrain`` does, each time with a post more."""
    for number in count():
        name = f"r{turn}-{number}"
        store.put_posts(Posts.of([Post(name, "rye loaf", "even", "mo", tags=("Rye",))]))
        say("post", name)
        made = upkeep.retrain(store, POPULAR, drop=None, say=lambda _: None)
        assert made.model is not None
        say("done", made.model.digest)


JOBS: dict[str, Callable[[Store, Path, str], None]] = {
    "write": write, "publish": publish, "swap": swap, "migrate": migrate, "retrain": retrain,
}  # fmt: skip


def main() -> None:
    for line in sys.stdin:
        job, where, model, turn = line.rstrip("\n").split("\t")
        child = os.fork()
        if not child:
            try:
                JOBS[job](Store.open(where), Path(model), turn)
            finally:
                os._exit(3)
        say("pid", str(child))
        _, status = os.waitpid(child, 0)
        say("end", str(status))


if __name__ == "__main__":
    main()
