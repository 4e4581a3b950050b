"""Models that come and go, training, writing and backups, all while others ask: no 5xx, and no answer of two models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from asking import asked, soon
from world import town

from hashloom.forecasters.author_mean import AuthorMean
from hashloom.recommenders.linear import Linear
from hashloom.recommenders.popular import Popular
from hashloom.serve import bulk, forecasting
from hashloom.serve.bulk import Bulk, Journal, Wanted
from hashloom.serve.drafts import Draft, with_scoped_ids
from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.serve.upkeep import retrain
from hashloom.store import Store
from hashloom.types import Post, Posts

QUICK = ServeSettings(budget=60.0, batch_budget=300.0, sync_seconds=0.05)
FAMILIES = ("red", "green", "blue")
OLD = 120
BODY = {"text": "rye flour", "community": "even", "k": 5}


def family(name: str) -> Posts:
    """Posts whose tags all begin with the family's name; nothing else tells the models apart."""
    rows = [
        Post(f"{name}{i}", f"rye flour {i % 5}", "even", f"u{i % 4}", tags=(f"{name}{i % 5}", f"{name}{i % 3}x"))
        for i in range(40)
    ]
    return with_scoped_ids(Posts.of(rows))


@pytest.fixture
def untagged(tmp_path: Path) -> Iterator[Store]:
    """A store whose posts have no tags, so that every tag of an answer comes from a model alone."""
    with Store.open(tmp_path / "store") as made:
        made.put_posts(Posts.of([Post(f"old{i}", f"rye flour {i}", "even", f"u{i % 4}") for i in range(OLD)]))
        yield made


@pytest.fixture
def digests(untagged: Store, tmp_path: Path) -> dict[str, str]:
    """Digest → family of three models in the store; the first is published."""
    made = {}
    for name, model in zip(FAMILIES, (Linear(), Popular(), Linear(c=0.5))):
        folder = model.fit(family(name)).save(tmp_path / name)
        made[untagged.add_model("recommender", folder).digest] = name
    untagged.publish("recommender", next(iter(made)))
    return made


@pytest.fixture
def alone(untagged: Store, digests: dict[str, str]) -> Iterator[Engine]:
    """An engine over the store without tags, answering with the first model."""
    with Engine(untagged, settings=QUICK) as made:
        yield made


@contextmanager
def beside(*works: Callable[[threading.Event], None]) -> Iterator[list[BaseException]]:
    """Threads that go on until the block ends; what they raise is listed, and raised at the end."""
    stop, failed = threading.Event(), []

    def run(work: Callable[[threading.Event], None]) -> None:
        try:
            work(stop)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield failed
    finally:
        stop.set()
        for thread in threads:
            thread.join(300)
    assert not failed, failed


def check(answer: dict[str, Any], digests: dict[str, str], ways: tuple[str, ...] = ("model",)) -> str:
    """The family of an answer, all of whose tags are of the model that it names."""
    assert answer["way"] in ways, answer
    name = digests[answer["model"]]
    assert answer["suggestions"]
    assert all(one["tag"].startswith(name) for one in answer["suggestions"]), answer
    return name


@dataclass
class Asking:
    """Those who ask while models change; ``seen`` are the families of their answers."""

    client: Any
    engine: Engine
    digests: dict[str, str]
    home: Path
    seen: set[str] = field(default_factory=set)

    def one(self, stop: threading.Event) -> None:
        """Single drafts, with and without reasons."""
        while not stop.is_set():
            for explain in (False, True):
                answer = self.client.post("/v1/suggest", json=BODY | {"explain": explain})
                assert answer.status_code == 200, answer.text
                self.seen.add(check(answer.json(), self.digests))

    def many(self, stop: threading.Event) -> None:
        """Batches: one may hold answers of two models, an answer may not."""
        while not stop.is_set():
            answer = self.client.post("/v1/suggest/many", json={"drafts": [BODY] * 40})
            assert answer.status_code == 200, answer.text
            self.seen.update(check(row, self.digests) for row in answer.json()["answers"])

    def archive(self, stop: threading.Event) -> None:
        """An archive is tagged, each part under a journal of its own."""
        for turn in count():
            done = Bulk(self.engine, Wanted(k=3)).run(self.home / f"journal{turn}", posts=16)
            if stop.is_set() or not done.left:
                return

    def tagged(self) -> Iterator[tuple[str, ...]]:
        """What the archive's posts were given."""
        for path in self.home.glob("journal*"):
            yield from (line.after for line in Journal.read(path).lines)


def test_no_answer_is_mixed_while_models_are_published_rolled_back_and_refused(
    alone: Engine, untagged: Store, digests: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 8)
    broken = untagged.add_model("recommender", Popular().fit(family("torn")).save(tmp_path / "torn"))
    torn = broken.folder / "learnt.json"
    torn.write_bytes(torn.read_bytes()[:-9])
    first, *others = digests
    with asked(alone) as client:
        asking = Asking(client, alone, digests, tmp_path)

        def publish(digest: str) -> int:
            return client.post("/v1/models/recommender/publish", json={"digest": digest}).status_code

        with beside(asking.one, asking.one, asking.many, asking.archive) as failed:
            for _ in range(3):
                for digest in others:
                    assert (publish(digest), publish(broken.digest)) == (200, 409)
                    assert client.get("/v1/models").json()["serving"]["recommender"] == digest
                    soon(
                        lambda digest=digest: digests[digest] in asking.seen or bool(failed), "an answer of the new one"
                    )
                    assert client.post("/v1/models/recommender/rollback").status_code == 200
                    assert not failed, failed
                assert publish(first) == 200
    assert asking.seen == set(FAMILIES)
    tagged = list(asking.tagged())
    assert len(tagged) >= 16
    assert all(len({tag.rstrip("x0123456789") for tag in tags}) == 1 for tags in tagged)


def test_a_swap_between_the_two_halves_of_an_answer_ends_in_a_whole_one(
    alone: Engine, digests: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is asked once for tags and once for reasons; between them two others are published."""
    from hashloom.serve import answering

    first, *others = digests
    fitted, left = answering.fitted, list(others)

    def swapped(*args: Any) -> Any:
        while left:
            alone.publish("recommender", left.pop(0))
        return fitted(*args)

    monkeypatch.setattr(answering, "fitted", swapped)
    answer = alone.suggest(Draft("rye flour", "even", explain=True))
    assert (answer.model, answer.way) == (first, "model")
    assert all(tag.startswith("red") for tag in answer.tags)
    assert alone.suggest(Draft("rye flour", "even")).model == others[-1]


@pytest.mark.parametrize("keep", [True, False])
def test_a_model_that_is_taken_out_before_it_is_asked_is_replaced_by_the_one_in_place(
    untagged: Store, digests: dict[str, str], keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between taking the model and asking it, others are published, so that it is closed: no favourites are needed."""
    settings = replace(QUICK, keep_previous=keep)
    with Engine(untagged, settings=settings) as engine:
        _, *others = digests
        asked_for, left = engine._asked, list(others)

        def swapped(draft: Draft) -> Any:
            made = asked_for(draft)
            while left:
                engine.publish("recommender", left.pop(0))
            return made

        monkeypatch.setattr(engine, "_asked", swapped)
        answer = engine.suggest(Draft("rye flour", "even"))
        assert (answer.model, answer.way, answer.why) == (others[-1], "model", "")
        assert all(tag.startswith(digests[others[-1]]) for tag in answer.tags)


def test_a_forecaster_that_is_taken_out_is_replaced_by_the_one_in_place(
    engine: Engine, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = with_scoped_ids(town()[0])
    made = [store.add_model("forecaster", AuthorMean().fit(posts[i:]).save(tmp_path / f"{i}")).digest for i in (0, 1)]
    engine.publish("forecaster", made[0])
    known, left = forecasting.replace, [made[1]]

    def swapped(*args: Any, **changes: Any) -> Any:
        while left:
            engine.publish("forecaster", left.pop())
        return known(*args, **changes)

    monkeypatch.setattr(forecasting, "replace", swapped)
    answer = engine.forecast(Draft("fog", "harbour", "citizen-0"))
    assert (answer.model, answer.way, answer.why) == (made[1], "model", "")
    assert answer.forecast is not None


def test_training_writing_backups_and_readers_go_on_at_once(
    engine: Engine, store: Store, tmp_path: Path, known: Posts
) -> None:
    acknowledged: list[str] = []
    with asked(engine) as client:

        def write(stop: threading.Event) -> None:
            for i in count():
                body = {"text": f"spelt loaf {i}", "tags": ["Spelt"], "user": f"w{i % 3}"}
                answer = client.put(f"/v1/posts/even/w{i:05}", json=body)
                assert answer.status_code == 200, answer.text
                acknowledged.append(f"w{i:05}")
                if stop.is_set():
                    return

        def read(stop: threading.Event) -> None:
            while not stop.is_set():
                answer = client.post("/v1/suggest", json=BODY | {"user": "u0", "explain": True})
                assert (answer.status_code, answer.json()["way"]) == (200, "model"), answer.text
                for path in ("/v1/trends/even", "/v1/autocomplete/even?q=s", "/v1/authors/w1"):
                    assert client.get(path).status_code == 200

        before = engine.current.digest
        with beside(write, read, read, read):
            for turn in range(2):
                so_far = len(acknowledged)
                store.backup(tmp_path / f"{turn}.zip")
                made = retrain(store, {"name": "popular", "model": {"model": "popular"}}, drop=None)
                assert made is not None
                with Store.open(tmp_path / f"restored{turn}") as other:
                    other.restore(tmp_path / f"{turn}.zip")
                    held = sorted(i for posts in other.posts("even") for i in posts.ids if i.startswith("w"))
                assert len(held) >= so_far
                assert held == [f"w{i:05}" for i in range(len(held))]  # of one moment: nothing in between is missing
        engine.sync()
        assert engine.current.digest not in ("", before)
        assert engine.health().trouble == ""
    assert acknowledged
    assert store.count() == len(known) + len(acknowledged)
