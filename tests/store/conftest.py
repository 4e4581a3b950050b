"""The store on both databases: SQLite in a folder, PostgreSQL in a cluster of the tests' own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from databases import cluster as cluster
from databases import server as server

from hashloom.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """Where an empty store may be opened: what ``Store.open`` takes, and the folder of its models."""
    if request.param == "sqlite":
        return str(tmp_path / "store"), tmp_path / "store"
    return request.getfixturevalue("server")(), tmp_path / "store"


@pytest.fixture
def opened(where: tuple[str, Path]) -> Iterator[Callable[..., Store]]:
    """Opens the store; each time a further one on the same database. All are closed at the end."""
    stores: list[Store] = []

    def open_again(**settings: object) -> Store:
        stores.append(Store.open(where[0], folder=where[1], **settings))  # type: ignore[arg-type]
        return stores[-1]

    yield open_again
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[..., Store]) -> Store:
    return opened()


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Store]]:
    """Opens a further, empty store of a kind: ``elsewhere("sqlite")``."""
    stores: list[Store] = []

    def open_new(kind: str) -> Store:
        home = tmp_path / f"other{len(stores)}"
        at = str(home) if kind == "sqlite" else request.getfixturevalue("server")()
        stores.append(Store.open(at, folder=home))
        return stores[-1]

    yield open_new
    for store in stores:
        store.close()


@pytest.fixture
def meanwhile() -> Callable[[Callable[[int], object]], AbstractContextManager[None]]:
    """Calls something with 0, 1, … up to 499 in a thread of its own, until the block ends."""

    @contextmanager
    def called(work: Callable[[int], object]) -> Iterator[None]:
        stop = threading.Event()

        def go_on() -> None:
            for i in range(500):
                if stop.is_set():
                    return
                work(i)

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    return called
