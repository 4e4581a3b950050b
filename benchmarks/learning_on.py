"""What ``update``, ``forget`` and an answer after each cost at 100,000 posts: milliseconds a post, memory.

    python benchmarks/learning_on.py                    # a made-up world; one thread
    python benchmarks/learning_on.py --posts 20000 --model nearest

The posts are drawn by Zipf's law: words, tags, authors, five communities. Each row is one recommender.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from hashloom import catalogue
from hashloom.types import Post, Posts

MODELS: dict[str, dict[str, Any]] = {
    "popular": {"model": "popular", "half_life_days": 60},
    "own_history": {"model": "own_history"},
    "nearest": {"model": "nearest"},
    "nearest own": {"model": "nearest", "scope": "own"},
    "string_match": {"model": "string_match"},
    "rerank of these": {
        "model": "rerank",
        "makers": [
            {"model": "nearest"},
            {"model": "nearest", "scope": "own"},
            {"model": "own_history"},
            {"model": "popular", "half_life_days": 60},
            {"model": "string_match"},
        ],
        "slices": [0.95],
        "rounds": 100,
    },
}


def world(posts: int, seed: int = 0) -> Posts:
    """Posts of eleven words and three tags, one a minute."""
    draw = np.random.default_rng(seed)

    def zipf(kinds: int, count: int) -> list[int]:
        worth = 1 / np.arange(1, kinds + 1)
        return draw.choice(kinds, count, p=worth / worth.sum()).tolist()

    words, tags, users = zipf(30_000, posts * 11), zipf(5_000, posts * 3), zipf(3_000, posts)
    places, start = draw.integers(0, 5, posts).tolist(), datetime(2025, 1, 1, tzinfo=UTC)
    return Posts.of(
        Post(
            f"p{seed}-{i}",
            " ".join(f"word{w}" for w in words[i * 11 : i * 11 + 11]),
            f"community{places[i]}",
            f"user{users[i]}",
            start + timedelta(minutes=i, days=seed * 365),
            tags=tuple(dict.fromkeys(f"tag{t}" for t in tags[i * 3 : i * 3 + 3])),
        )
        for i in range(posts)
    )


def clocked(action: Callable[[], object]) -> float:
    """Milliseconds that an action takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def memory() -> float:
    """Megabytes of this process now, less what it could give back."""
    gc.collect()
    with suppress(OSError, AttributeError):  # where the C library is another, free memory counts too
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def row(name: str, posts: int, updates: int) -> str:
    """One recommender's figures."""
    known, later = world(posts), world(updates, seed=1)
    model = catalogue.build(MODELS[name])
    before = memory()
    fit = clocked(lambda: model.fit(known)) / 1e3
    model.recommend(later[:1], 10)
    grown = memory() - before
    updating, answering = [], []
    for i in range(len(later)):
        updating.append(clocked(lambda i=i: model.update(later[i : i + 1])))
        answering.append(clocked(lambda i=i: model.recommend(later[i : i + 1], 10)))
    forget = clocked(lambda: model.forget(posts=[later.ids[0]]))
    after = clocked(lambda: model.recommend(later[1:2], 10))
    figures = (np.median(updating), np.quantile(updating, 0.95), max(updating), np.median(answering), forget, after)
    return f"| {name} | {fit:.1f} | " + " | ".join(f"{x:.2f}" for x in figures) + f" | {grown:.0f} |"


def main() -> None:
    """Read the command line, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=100_000)
    parser.add_argument("--updates", type=int, default=200)
    parser.add_argument("--model", action="append", choices=list(MODELS), help="may be repeated; default: all")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inner:
        print(row(given.model[0], given.posts, given.updates))
        return
    print(f"{given.posts:,} posts known, {given.updates} added one by one; milliseconds but for learning", flush=True)
    print("| model | learning, s | update, median | p95 | most | answer | forget | answer after | memory, MB |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: |", flush=True)
    sizes = [f"--posts={given.posts}", f"--updates={given.updates}"]
    for name in given.model or MODELS:  # each in a process of its own, so that none counts another's memory
        command = [sys.executable, __file__, *sizes, "--model", name, "--inner"]
        subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"})


if __name__ == "__main__":
    main()
