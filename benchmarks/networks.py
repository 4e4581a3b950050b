"""What the networks cost: training updates a second and milliseconds per answered post, each model beside the others.

    python benchmarks/networks.py [POSTS] [--posts 2000] [--json FILE]

All models read the same posts with the same encoder and are as wide as each other; one epoch is timed. A ratio to CoA,
the simplest, says more than the figure, since machines differ. Answers are made on one thread, one post at a time.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

SAMPLES = Path(__file__).parents[1] / "samples" / "posts.jsonl"
MORE = 4
"""Epochs that are timed."""
MODELS: dict[str, dict[str, Any]] = {
    "coa": {},
    "amnn": {},
    "macon": {},
    "macon, all earlier posts": {"selection": {"selection": "everything"}},
    "design, classifier": {"answers": "classifier"},
    "design, weighted": {"answers": "classifier", "fusion": "weighted"},
    "design, both heads": {},
    "tagnet": {},
}


def measured(name: str, posts: Any, asked: Any) -> dict[str, float]:
    from hashloom import catalogue

    settings = {"model": name.split(",")[0], "epochs": 1, "validation": 0.0} | MODELS[name]
    # The better of two each: other work on the machine only adds.
    once, often = (min(_seconds(settings | {"epochs": n}, posts) for _ in range(2)) for n in (1, 1 + MORE))
    model = catalogue.build(settings).fit(posts)
    for i in range(5):
        model.recommend(asked[i : i + 1])
    took = []
    for i in range(len(asked)):
        start = time.perf_counter()
        model.recommend(asked[i : i + 1])
        took.append(1000 * (time.perf_counter() - start))
    # The epochs more cost the reading of posts and the export no second time.
    return {"posts_per_second": MORE * len(posts) / (often - once), "answer_ms": float(np.median(took))}


def _seconds(settings: dict[str, Any], posts: Any) -> float:
    from hashloom import catalogue

    model = catalogue.build(settings)
    start = time.perf_counter()
    model.fit(posts)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts", nargs="?", default=str(SAMPLES))
    parser.add_argument("--posts", dest="count", type=int, default=2000)
    parser.add_argument("--json")
    given = parser.parse_args()
    from hashloom.data.read import read

    posts, _ = read(given.posts)
    posts = posts.tagged().in_order()[-given.count - 100 :]
    learnt, asked = posts[:-100], posts[-100:]
    found: dict[str, dict[str, float]] = {}
    measured("coa", learnt[:40], asked[:5])  # what is loaded at the first training is no part of the times
    print(f"{len(learnt)} posts learnt from, {len(asked)} asked one by one")
    print(f"{'model':28}{'posts/s in training':>20}{'of CoA':>8}{'ms per answer':>15}{'of CoA':>8}")
    for name in MODELS:
        found[name] = measured(name, learnt, asked)
        first, row = found["coa"], found[name]
        speed, wait = row["posts_per_second"], row["answer_ms"]
        ratios = f"{speed / first['posts_per_second']:8.2f}", f"{wait / first['answer_ms']:8.2f}"
        print(f"{name:28}{speed:20.0f}{ratios[0]}{wait:15.2f}{ratios[1]}", flush=True)
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
