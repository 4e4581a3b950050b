"""What a forecast costs: one post at a time and many at once, with and without reasons; milliseconds a post.

    python benchmarks/forecasting.py                              # 60,000 made-up posts remembered; one thread
    python benchmarks/forecasting.py --posts 5000 --model boosted
    python benchmarks/forecasting.py --posts 2000 --model uhan    # networks take long to learn

The posts are drawn by Zipf's law: words, tags, authors, five communities. All forecasters are timed in one run; the
last column is one post without reasons next to the first row's.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from hashloom import catalogue
from hashloom.forecaster import Forecaster
from hashloom.types import Post, Posts

MODELS = ("mean", "author_mean", "svr", "boosted")
BATCH = 256


def world(posts: int, communities: int, seed: int = 0) -> Posts:
    """Posts of eleven words and two tags, one a minute; author and words decide the likes."""
    draw = np.random.default_rng(seed)

    def zipf(kinds: int, count: int) -> list[int]:
        worth = 1 / np.arange(1, kinds + 1)
        return draw.choice(kinds, count, p=worth / worth.sum()).tolist()

    words, tags, users = zipf(30_000, posts * 11), zipf(500, posts * 2), zipf(3_000, posts)
    places, noise = draw.integers(0, communities, posts).tolist(), draw.normal(size=posts)
    start = datetime(2025 + seed, 1, 1, tzinfo=UTC)
    return Posts.of(
        Post(
            f"p{seed}-{i}",
            " ".join(f"word{w}" for w in words[i * 11 : i * 11 + 11]),
            f"community{places[i]}",
            f"user{users[i]}",
            start + timedelta(minutes=i),
            tags=tuple(dict.fromkeys(f"tag{t}" for t in tags[i * 2 : i * 2 + 2])),
            likes=float(2 ** max(0.0, 3 + users[i] % 5 + sum(words[i * 11 : i * 11 + 11]) % 3 + noise[i])),
        )
        for i in range(posts)
    )


def clocked(action: Callable[[], object]) -> float:
    """Milliseconds that an action takes."""
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def figures(model: Forecaster, asked: Posts) -> list[float]:
    """Milliseconds a post: one post (median, p95), one explained (median, p95), of many, of many explained."""
    single, explained = [], []
    model.forecast(asked[:1], explain=True)  # what is made once is made
    for i in range(len(asked)):
        single.append(clocked(lambda i=i: model.forecast(asked[i : i + 1])))
        explained.append(clocked(lambda i=i: model.forecast(asked[i : i + 1], explain=True)))
    many = [clocked(lambda e=e: model.forecast(asked, explain=e)) / len(asked) for e in (False, True)]
    return [*(float(np.quantile(row, q)) for row in (single, explained) for q in (0.5, 0.95)), *many]


def main() -> None:
    """Read the command line, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=60_000)
    parser.add_argument("--asked", type=int, default=BATCH)
    parser.add_argument("--communities", type=int, default=1, help="one is the hardest: all posts may be neighbours")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", action="append", choices=catalogue.names("forecasters"), help="may be repeated")
    given = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": str(given.threads), "OMP_WAIT_POLICY": "PASSIVE"}
    known = world(given.posts, given.communities)
    asked = world(given.asked, given.communities, seed=1)
    print(f"{given.posts:,} posts remembered; milliseconds a post, {given.threads} thread(s)", flush=True)
    print(f"| model | learning, s | one | p95 | one explained | p95 | of {given.asked} | explained | ratio |")
    print("| --- | --: | --: | --: | --: | --: | --: | --: | --: |", flush=True)
    first = 0.0
    for name in given.model or MODELS:
        model = catalogue.build({"forecaster": name, "target": "likes"})
        learning = clocked(lambda model=model: model.fit(known)) / 1e3
        row = figures(model, asked)
        first = first or row[0]
        print(f"| {name} | {learning:.1f} | {' | '.join(f'{x:.2f}' for x in row)} | {row[0] / first:.1f} |", flush=True)


if __name__ == "__main__":
    main()
