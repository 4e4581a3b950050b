"""A service over the tiny world: a store with its posts, small trained models, and the engine over both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from world import checkerboard

from hashloom.recommender import Recommender
from hashloom.recommenders.calibrated import Calibrated
from hashloom.recommenders.linear import Linear
from hashloom.recommenders.popular import Popular
from hashloom.serve import auth, lookups
from hashloom.serve.drafts import with_scoped_ids
from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import Store
from hashloom.types import Posts

QUICK = ServeSettings(budget=60.0, batch_budget=300.0, picture_seconds=60.0, sync_seconds=0.05, default_rate=1e6)
"""So patient that a busy machine changes no answer."""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store may take long too: it is silent only where a test makes it so, and says after how long."""
    monkeypatch.setattr(lookups, "SECONDS", 60.0)
    monkeypatch.setattr(auth, "PATIENCE", 60.0)


@pytest.fixture(scope="session")
def known() -> Posts:
    """All posts of the tiny world, in two communities."""
    return checkerboard()[0]


@pytest.fixture(scope="session")
def models(known: Posts, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Saved models by name, each trained on the world."""
    home = tmp_path_factory.mktemp("models")
    scoped = with_scoped_ids(known)
    made: dict[str, Recommender] = {
        "popular": Popular(), "linear": Linear(), "calibrated": Calibrated(held=Linear()),
    }  # fmt: skip
    return {name: model.fit(scoped).save(home / name) for name, model in made.items()}


@pytest.fixture
def store(tmp_path: Path, known: Posts) -> Iterator[Store]:
    """A store with the world's posts, nothing published."""
    with Store.open(tmp_path / "store") as made:
        made.put_posts(known)
        yield made


@pytest.fixture
def publish(store: Store, models: dict[str, Path]) -> Callable[[str], str]:
    """Publishes a saved model by name, past the engine, as another process does; gives its digest."""

    def published(name: str) -> str:
        model = store.add_model("recommender", models[name])
        store.publish("recommender", model.digest)
        return model.digest

    return published


@pytest.fixture
def engine_of(store: Store) -> Iterator[Callable[..., Engine]]:
    """Makes engines over the store with some settings changed; all are closed at the end."""
    made: list[Engine] = []

    def new(**settings: object) -> Engine:
        made.append(Engine(store, settings=replace(QUICK, **settings)))  # type: ignore[arg-type]
        return made[-1]

    yield new
    for engine in made:
        engine.close()


@pytest.fixture
def engine(engine_of: Callable[..., Engine], publish: Callable[[str], str]) -> Engine:
    """An engine that answers with the linear model."""
    publish("linear")
    return engine_of()
