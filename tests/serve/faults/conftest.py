"""A service as a process of its own, for what only shows on sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import wire
from wire import Running

from hashloom.store import Store
from hashloom.types import Posts


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, known: Posts, models: dict[str, Path]) -> Iterator[Running]:
    """A service with the world's posts and the linear model, which writes a line for each request."""
    folder = tmp_path_factory.mktemp("running")
    with Store.open(folder) as store:
        store.put_posts(known)
        store.publish("recommender", store.add_model("recommender", models["linear"]).digest)
    with wire.service("--store", folder, "--log", *wire.PATIENT) as made:
        made.answers()
        yield made
