"""The load benchmark's client tells the truth, and a service under load keeps its memory, files and threads."""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from hashloom.store import Store
from hashloom.types import Posts

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FULL = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GROWN = 12
"""Megabytes by which a few hundred requests may move the memory of a service that is warm."""
FEW = 5
"""Files and threads that come and go; 300 requests that each left one behind would leave 300."""


@pytest.fixture(scope="module")
def load() -> Iterator[ModuleType]:
    """The benchmark's client."""
    sys.path.insert(0, str(BENCHMARKS))
    yield importlib.import_module("http_load")
    sys.path.remove(str(BENCHMARKS))


@pytest.fixture
def stalling() -> Iterator[int]:
    """The port of a server that stands still for 0.3 s at its tenth request, and answers all others at once."""
    ready, at, seen, ends = threading.Event(), [0], [0], []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            seen[0] += 1
            if seen[0] == 10:
                time.sleep(0.3)  # the whole server, as a garbage collection or a lock would do it
            writer.write(FULL)
        writer.close()

    async def begin() -> None:
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        ends.append(lambda: loop.call_soon_threadsafe(end.set))
        made = await asyncio.start_server(serve, "127.0.0.1", 0)
        at[0] = made.sockets[0].getsockname()[1]
        ready.set()
        await end.wait()

    thread = threading.Thread(target=lambda: asyncio.run(begin()), daemon=True)
    thread.start()
    assert ready.wait(60)
    yield at[0]
    ends[0]()
    thread.join(60)


def test_requests_that_were_due_during_a_stall_count_as_late_in_the_open_loop_alone(
    load: ModuleType, stalling: int
) -> None:
    asked = load.opened(stalling, [load.get("/")], 100, 0.6)
    assert (len(asked.times), asked.failed) == (60, 0)
    assert sum(took > 100 for took in asked.times) >= 15  # 20 were due in the first 0.2 s of the stall


def test_the_closed_loop_sees_a_stall_once(load: ModuleType, stalling: int) -> None:
    asked = load.closed(stalling, [load.get("/")], 1, 60)
    assert len(asked.times) == 60
    assert sorted(asked.times)[-1] > 250
    assert sorted(asked.times)[-10] < 250


def test_percentiles_and_rows_are_those_of_the_times(load: ModuleType) -> None:
    asked = load.Asked(seconds=2.0, times=[float(n) for n in range(100, 0, -1)], failed=1, late=2)
    assert (asked.quantile(0.5), asked.quantile(0.99), asked.rate) == (51.0, 100.0, 50.0)
    assert asked.row() == "50 | 51.0 | 100.0 | 3"


def test_a_service_under_load_answers_all_by_its_model_and_grows_no_further(
    load: ModuleType, models: dict[str, Path], known: Posts, tmp_path: Path
) -> None:
    benchmark = importlib.import_module("serve")
    with Store.open(tmp_path / "store") as store:
        store.put_posts(known)
    bodies = [
        load.post("/v1/suggest", {"text": text, "community": community, "k": 3})
        for text, community in zip(known.texts, known.communities)
    ]
    with benchmark.serving(str(models["linear"]), str(tmp_path / "store")) as (port, pid):
        warm = load.closed(port, bodies, 2, 300)
        before = benchmark.memory(pid)
        asked = load.closed(port, bodies, 2, 300)
        after = benchmark.memory(pid)
        due = load.opened(port, bodies, 50, 1)
        missing = load.closed(port, [load.get("/v1/nothing")], 1, 3)
    assert [(len(one.times), one.failed, one.late) for one in (warm, asked, due)] == [
        (300, 0, 0), (300, 0, 0), (50, 0, 0),
    ]  # fmt: skip
    assert missing.failed == 3
    assert after[0] - before[0] < GROWN
    assert after[1] <= before[1] + FEW
    assert after[2] <= before[2] + FEW
