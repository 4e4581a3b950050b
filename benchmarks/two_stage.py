"""Speed, memory and size of a two-stage model: training, one post at a time, many at once; without torch when asked.

    python benchmarks/two_stage.py POSTS [--posts 28000] [--recipe two-stage] [--json FILE]

Trains in one process and answers in a fresh one with one thread, so that neither helps the other.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def learn(posts_file: str, recipe_name: str, count: int, folder: str) -> dict[str, object]:
    from hashloom import catalogue
    from hashloom.data.read import read
    from hashloom.evaluate.protocol import publish, train

    posts, _ = read(posts_file)
    import numpy as np

    # Evenly drawn, so that every community is there.
    rows = np.linspace(0, len(posts) - 1, min(count, len(posts))).astype(int)
    trained = train(catalogue.recipe(recipe_name), posts[np.unique(rows)], how="none")
    publish(trained, folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"posts": len(np.unique(rows)), "train_seconds": round(trained.seconds, 1), "train_peak_gb": round(peak, 2)}


def peak_mb() -> int | None:
    """The most memory of this process; its resource usage would start from that of the process that started it."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM")), None)


def answer(posts_file: str, folder: str) -> dict[str, object]:
    import numpy as np

    from hashloom.data.read import read
    from hashloom.recommender import load

    posts, _ = read(posts_file)
    start = time.perf_counter()
    model = load(folder)
    loaded = time.perf_counter() - start
    asked = posts[np.linspace(0, len(posts) - 1, 300).astype(int)]
    for i in range(20):
        model.recommend(asked[i : i + 1])
    one = []
    for i in range(len(asked)):
        start = time.perf_counter()
        model.recommend(asked[i : i + 1])
        one.append(1000 * (time.perf_counter() - start))
    many = posts[np.linspace(0, len(posts) - 1, min(4000, len(posts))).astype(int)]
    start = time.perf_counter()
    model.recommend(many)
    seconds = time.perf_counter() - start
    return {
        "load_seconds": round(loaded, 2),
        "one_post_ms_median": round(float(np.median(one)), 2),
        "one_post_ms_p95": round(float(np.quantile(one, 0.95)), 2),
        "batch_posts_per_second": round(len(many) / seconds),
        "peak_mb": peak_mb(),
        "torch_imported": "torch" in sys.modules,
        "load_average": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts")
    parser.add_argument("--recipe", default="two-stage")
    parser.add_argument("--posts", dest="count", type=int, default=28_000)
    parser.add_argument("--model", help="a model trained before; then nothing is trained")
    parser.add_argument("--json")
    parser.add_argument("--answer-only", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.answer_only:
        print(json.dumps(answer(given.posts, given.model)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.model or str(Path(scratch) / "model")
        found = {} if given.model else learn(given.posts, given.recipe, given.count, folder)
        one_thread = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
        command = [sys.executable, __file__, given.posts, "--answer-only", "--model", folder]
        found |= json.loads(subprocess.run(command, env=one_thread, check=True, capture_output=True).stdout)
        found["model_mb"] = round(sum(p.stat().st_size for p in Path(folder).rglob("*") if p.is_file()) / 2**20, 1)
    print("\n".join(f"{name:26}{value}" for name, value in found.items()))
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
