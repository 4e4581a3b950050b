"""A service as a process of its own, for what only shows on sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import wire
from wire import Running
from world import town

from hashloom.forecasters.author_mean import AuthorMean
from hashloom.serve.drafts import with_scoped_ids
from hashloom.serve.engine import Engine
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


@pytest.fixture
def foretelling(store: Store, engine_of: Callable[..., Engine], tmp_path: Path) -> Engine:
    """An engine over the town's posts with a forecaster that goes by their authors."""
    posts = town()[0]
    store.put_posts(posts)
    folder = AuthorMean().fit(with_scoped_ids(posts)).save(tmp_path / "forecaster")
    store.publish("forecaster", store.add_model("forecaster", folder).digest)
    return engine_of()
