"""What an explanation costs: one post with reasons and the model's own marks, next to the bare answer, on one thread.

    python benchmarks/explaining.py POSTS [--latest 4000] [--asked 100] [--only loom linear] [--json FILE]

Each model learns from the latest posts but the last hundred, which are then asked about one at a time, by turns without
and with reasons. Occlusion, which asks a model once per word and cell, is measured on a few posts and stands apart.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MODELS = ("loom", "linear", "macon", "multilabel", "author-mean", "boosted", "uhan")
OCCLUDED = 5
"""Posts on which occlusion is measured."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}


def median_ms(asked: Any, *ways: Callable[[Any], Any]) -> list[float]:
    """The median time of each way to treat one post, taken by turns."""
    import numpy as np

    took: list[list[float]] = [[] for _ in ways]
    for i in range(len(asked)):
        one = asked[i : i + 1]
        for way, times in zip(ways, took):
            start = time.perf_counter()
            way(one)
            times.append(1000 * (time.perf_counter() - start))
    return [float(np.median(times)) for times in took]


def measure(name: str, posts: Any, count: int) -> dict[str, Any]:
    """Train one recipe and time its answers, its answers with reasons, its marks and occlusion."""
    from hashloom import catalogue
    from hashloom.explain.marks import firsts, marks
    from hashloom.explain.occlusion import occluded
    from hashloom.forecaster import Forecaster

    model = catalogue.build(catalogue.recipe(name)["model"]).fit(posts[: len(posts) - count])
    asked = posts[len(posts) - count :]
    if isinstance(model, Forecaster):
        tags = dict.fromkeys(asked.ids)
        plain, reasons = model.forecast, lambda one: model.forecast(one, explain=True)
        whole = lambda one: (model.forecast(one, explain=True), model.marks(one))  # noqa: E731
    else:
        tags = dict(zip(asked.ids, firsts(model, asked)))
        plain, reasons = model.recommend, lambda one: model.recommend(one, explain=True)
        whole = lambda one: (model.recommend(one, explain=True), model.marks(one, [tags[one.ids[0]] or ""]))  # noqa: E731
    median_ms(asked[:10], plain, reasons, whole)
    bare, with_reasons, with_marks = median_ms(asked, plain, reasons, whole)
    (hidden,) = median_ms(asked[:OCCLUDED], lambda one: occluded(model, one, tags[one.ids[0]]))
    return {
        "model": name,
        "answer_ms": round(bare, 2),
        "with_reasons_ms": round(with_reasons, 2),
        "with_reasons_and_marks_ms": round(with_marks, 2),
        "ratio": round(with_marks / bare, 2),
        "own_marks": marks(model, asked[:1], occlude=False)[0] is not None,
        "occlusion_ms": round(hidden),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts")
    parser.add_argument("--latest", type=int, default=4000)
    parser.add_argument("--asked", type=int, default=100)
    parser.add_argument("--only", nargs="+", default=MODELS)
    parser.add_argument("--json")
    given = parser.parse_args()
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ONE_THREAD)
    from hashloom import catalogue
    from hashloom.data.read import read

    posts = read(given.posts)[0].in_order()
    posts = posts[-given.latest :]
    found = []
    for name in given.only:
        if name not in catalogue.names("recipes"):
            print(f"{name}: there is no such recipe; left out")
            continue
        found.append(measure(name, posts, given.asked))
        print(found[-1], flush=True)
    print(f"load average {os.getloadavg()[0]:.1f}")
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
