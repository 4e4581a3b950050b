"""What generating and retrieving cost: a compact generator eager and exported, BM25 and vectors at 100,000 posts.

    python benchmarks/new_words.py                  # one thread; about three minutes
    python benchmarks/new_words.py --posts 20000

The posts are those of learning_on.py, drawn by Zipf's law. ``eager``: the reading network in torch; ``exported``: the
same weights in ONNX Runtime; ``whole answer``: reading and the search for twelve tags, without torch.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from learning_on import world

from hashloom import catalogue
from hashloom.generators.compact import Compact


def median(action: Callable[[int], object], times: int) -> float:
    """Milliseconds of the middle one of several calls."""
    taken = []
    for i in range(times):
        start = time.perf_counter()
        action(i)
        taken.append((time.perf_counter() - start) * 1e3)
    return float(np.median(taken))


def generating() -> list[str]:
    """Rows on the compact generator: sizes as by default, hardly trained, since training does not change the time."""
    import onnxruntime
    import torch

    from hashloom.networks.seq2seq import Seq2Seq, exported

    posts = world(400)
    made = Compact(updates=20, epochs=1).fit(posts.texts, posts.tags)
    network = Seq2Seq(made.pieces, made.width).eval()
    torch.set_num_threads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(exported(network.reader, made.pieces), options)
    pieces, lengths = np.ones((1, 32), np.int64), np.array([32])
    with torch.no_grad():
        eager = median(lambda _: network.reader(torch.from_numpy(pieces), torch.from_numpy(lengths)), 200)
    ready = median(lambda _: session.run(None, {"pieces": pieces, "lengths": lengths}), 200)
    whole = median(lambda i: made.generate(posts.texts[i : i + 1], 10), 100)
    batch = median(lambda i: made.generate(posts.texts[:64], 10), 5) / 64
    return [
        f"| reading 32 subwords, eager (torch) | {eager:.2f} |",
        f"| reading 32 subwords, exported (ONNX Runtime) | {ready:.2f} |",
        f"| whole answer, one post | {whole:.2f} |",
        f"| whole answer, of 64 posts together | {batch:.2f} |",
    ]


def retrieving(count: int) -> list[str]:
    """Rows on finding neighbours; asked one by one, and taken from the model's own search."""
    known, asked, rows = world(count), world(200, seed=1), []
    for name, settings in (("BM25", {}), ("TF-IDF vectors", {"by": "vectors", "encoder": {"encoder": "tfidf"}})):
        model = catalogue.build({"model": "nearest", "scope": "all", **settings}).fit(known)
        taken = median(lambda i, m=model: m.recommend(asked[i : i + 1], 10), 200)
        rows.append(f"| nearest of {count:,} posts in one community, {name}, whole answer | {taken:.2f} |")
    return rows


def main() -> None:
    """Read the command line, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=100_000)
    given = parser.parse_args()
    print("| | ms, median |\n| --- | --: |", flush=True)
    for row in (*generating(), *retrieving(given.posts)):
        print(row, flush=True)


if __name__ == "__main__":
    main()
