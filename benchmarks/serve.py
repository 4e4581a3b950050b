"""The service under load: milliseconds, requests a second, memory, of one process and one client beside it.

    python benchmarks/serve.py --model FOLDER POSTS [--pictures FOLDER] [--requests 100000] [--clients 1 2 4 8]

Starts ``hashloom serve`` as a process over a fresh store with the posts, and asks for suggestions for texts of 400
characters from a client in another process (``http_load``). All figures of a run are from one minute or a few, so that
their ratios hold on a busy machine as well; the load average stands at the end.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import http_load
import numpy as np
from http_load import Asked, get, post, upload

CHARACTERS = 400
K = 10
WARM = 50
STEP = 10_000
"""Requests between two looks at the memory."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def drafts_of(posts_file: str, count: int) -> list[dict[str, Any]]:
    """Bodies of drafts: texts of 400 characters, drawn evenly from the posts that have so many."""
    from hashloom.data.read import read

    posts, _ = read(posts_file)
    long = [i for i, text in enumerate(posts.texts) if len(text) >= CHARACTERS] or list(range(len(posts)))
    rows = np.unique(np.linspace(0, len(long) - 1, count).astype(int))
    order = np.random.default_rng(0).permutation(rows).tolist()
    chosen = (long[i] for i in order)
    return [{"text": posts.texts[i][:CHARACTERS], "community": posts.communities[i], "k": K} for i in chosen]


@contextmanager
def serving(model: str, store: str) -> Iterator[tuple[int, int]]:
    """``hashloom serve`` in a process of its own while it is used: its port and process id."""
    code = "from hashloom.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--store", store, "--model", model, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | ONE_THREAD)
    try:
        assert process.stderr is not None
        said = ""
        while not (found := re.search(r"answers at http://127\.0\.0\.1:(\d+)", said)):
            said = process.stderr.readline()
            if not said:
                raise SystemExit("the service did not start; run `hashloom serve` by hand to see why")
        yield int(found[1]), process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def memory(pid: int) -> tuple[int, int, int]:
    """Megabytes of a process now, its open files and its threads."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return int(status["VmRSS"].split()[0]) // 1024, files, int(status["Threads"])


class Load:
    """A client in a process of its own, and the table of what it saw."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pool = ProcessPoolExecutor(1, get_context("spawn"))
        print("| | answers/s | p50, ms | p99, ms | failed or not by the model |\n| --- | --: | --: | --: | --: |")

    def closed(self, name: str, requests: Sequence[bytes], clients: int, count: int) -> Asked:
        """So many connections that ask without a pause."""
        return self._row(f"{name}, {_clients(clients)}", http_load.closed, self.port, requests, clients, count)

    def opened(self, name: str, requests: Sequence[bytes], rate: float, seconds: float) -> Asked:
        """At a fixed rate, from the intended start."""
        return self._row(f"{name}, {rate:g} due each second", http_load.opened, self.port, requests, rate, seconds)

    def quietly(self, requests: Sequence[bytes], clients: int, count: int) -> Asked:
        """The same as ``closed`` without a row."""
        return self.pool.submit(http_load.closed, self.port, requests, clients, count).result()

    def _row(self, name: str, work: Callable[..., Asked], *args: Any) -> Asked:
        asked = self.pool.submit(work, *args).result()
        print(f"| {name} | {asked.row()} |", flush=True)
        return asked


def _clients(count: int) -> str:
    return "one client" if count == 1 else f"{count} clients"


def measured(load: Load, drafts: list[dict[str, Any]], pictures: Sequence[bytes], given: argparse.Namespace) -> Asked:
    """All rows of the table; the figures of one client are given back."""
    plain = [post("/v1/suggest", draft) for draft in drafts]
    count: int = given.count
    load.quietly(plain, 1, min(100, count))
    load.closed("bare HTTP (/health)", [get("/health")], 1, count)
    load.closed("the API without a model (/v1/me)", [get("/v1/me")], 1, count)
    one = load.closed("suggest", plain, 1, count)
    for clients in given.clients:
        load.closed("suggest", plain, clients, count)
    for rate in given.rates:
        load.opened("suggest", plain, rate, count / rate)
    load.closed("suggest with reasons", [post("/v1/suggest", d | {"explain": True}) for d in drafts], 1, count // 4)
    if pictures:
        pairs = [(draft, pictures[i % len(pictures)]) for i, draft in enumerate(drafts)]
        sent = [upload("/v1/suggest/pictures", *pair) for pair in pairs]
        for clients in (1, *given.clients[:1]):
            load.closed("suggest with a picture", sent, clients, count // 4)
    return one


def within(model: str, store: str, drafts: list[dict[str, Any]]) -> tuple[float, float]:
    """Milliseconds (median) of the engine's and of the recommender's answer, without HTTP."""
    from hashloom.serve.drafts import Draft
    from hashloom.serve.engine import Engine
    from hashloom.store import Store
    from hashloom.types import Posts

    with Store.open(store) as held, Engine(held, model=Path(model)) as engine:
        assert engine.current is not None
        bare = engine.current.running.peek
        whole, inner = [], []
        for one in (*drafts[:WARM], *drafts):  # in turn, so that both meet the same moments of the machine
            draft = Draft(one["text"], one["community"], k=K)
            post = Posts.of([draft.post()])
            whole.append(_clocked(partial(engine.suggest, draft)))
            inner.append(_clocked(partial(bare.recommend, post, K + 10)))
    return float(np.median(whole[WARM:])), float(np.median(inner[WARM:]))


def _clocked(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return 1e3 * (time.perf_counter() - start)


def watched(load: Load, pid: int, requests: Sequence[bytes], count: int, clients: int) -> None:
    """Memory, files and threads of the service over many requests."""
    print("\n| requests | memory, MB | open files | threads | answers/s |\n| --: | --: | --: | --: | --: |")
    for done in range(STEP, count + 1, STEP):
        asked = load.quietly(requests, clients, STEP)
        print(f"| {done:,} | {' | '.join(map(str, memory(pid)))} | {asked.rate:.0f} |", flush=True)


def pictures_in(folder: str | None) -> list[bytes]:
    """The picture files of a folder."""
    return [path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()] if folder else []


def run(given: argparse.Namespace, store: str) -> None:
    from hashloom.data.read import read
    from hashloom.store import Store

    with Store.open(store) as held:
        posts, _ = read(given.posts)
        for at in range(0, len(posts), 1_000):
            held.put_posts(posts[at : at + 1_000])
    drafts = drafts_of(given.drafts or given.posts, 500)
    pictures = pictures_in(given.pictures)
    with serving(given.model, store) as (port, pid):
        start = memory(pid)
        load = Load(port)
        one = measured(load, drafts, pictures, given)
        watched(load, pid, [post("/v1/suggest", draft) for draft in drafts], given.requests, max(given.clients))
        print(f"\nthe service: {start[0]} MB, {start[1]} files, {start[2]} threads when it began;", end=" ")
        print("{} MB, {} files, {} threads at the end".format(*memory(pid)))
        load.pool.shutdown()
    whole, inner = within(given.model, store, drafts)
    http = one.quantile(0.5)
    print(
        f"p50: recommender {inner:.2f} ms, engine {whole:.2f} ms ({whole / inner:.2f} ×), service {http:.2f} ms",
        end=" ",
    )
    print(f"({http / inner:.2f} ×)\nload average {os.getloadavg()[0]:.1f}")


def main() -> None:
    """Read the command line, print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("posts", help="posts that the store holds")
    parser.add_argument("--model", required=True, help="a recommender's folder")
    parser.add_argument("--drafts", help="posts whose texts are asked about; default: those of the store")
    parser.add_argument("--pictures", help="a folder of pictures to send")
    parser.add_argument("--requests", type=int, default=100_000, help="over which the memory is watched")
    parser.add_argument("--clients", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--rates", type=float, nargs="*", default=[50, 100, 150], help="requests due each second")
    parser.add_argument("--count", type=int, default=2_000, help="requests of each row")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as store:
        run(given, store)


if __name__ == "__main__":
    main()
