"""Several trainers of one store at once, claims that a sudden end left, disks without an exchange (item 20)."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hashloom import keeping
from hashloom.recommenders.popular import Popular
from hashloom.serve import upkeep
from hashloom.serve.drafts import Draft, with_scoped_ids
from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import Store
from hashloom.types import Post, Posts

RYE = Draft("rye flour kneaded", "even")
PATIENT = ServeSettings(budget=60.0)
POPULAR = {"name": "popular", "model": {"model": "popular"}}
TRAINERS = 3
EACH = 4
TRAINER = """
import sys
from pathlib import Path
from hashloom import keeping
from hashloom.serve import upkeep
from hashloom.store import Store
store, model, me, home = Store.open(sys.argv[1]), keeping.load(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[5])):
    print(upkeep.publish(store, model.save(home / "model", turn=f"{me} {number}")).digest, flush=True)
"""


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_several_trainers_publish_under_one_name_at_once(
    engine: Engine, store: Store, models: dict[str, Path], tmp_path: Path
) -> None:
    """Each publication is whole, all are kept in one order, and a service beside them follows to the last."""
    homes = [tmp_path / f"home{i}" for i in range(TRAINERS)]
    processes = [started(TRAINER, store.folder, models["popular"], i, home, EACH) for i, home in enumerate(homes)]
    wrong, stop = [], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            engine.sync()
            answer = engine.suggest(RYE)
            if answer.way != "model":
                wrong.append(answer)
            time.sleep(0.05)

    assert [process.stdout.readline() for process in processes] == ["ready\n"] * TRAINERS
    thread = threading.Thread(target=ask)
    thread.start()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=600)[0].split() for process in processes]
    stop.set()
    thread.join()
    assert [process.returncode for process in processes] == [0] * TRAINERS
    assert wrong == []
    done = [digest for row in said for digest in row]
    assert len(set(done)) == TRAINERS * EACH
    assert store.published("recommender").digest in {row[-1] for row in said}
    kept = {one.digest: one.folder for one in store.models("recommender")}
    assert set(done) <= kept.keys()
    assert all(keeping.check(folder)["digest"] == digest for digest, folder in kept.items())
    assert store.strays() == []
    engine.sync()
    assert engine.suggest(RYE).model == store.published("recommender").digest
    # The way back leads through all of them, in the order in which they were published.
    order = [store.published("recommender").digest, *(store.roll_back("recommender") for _ in done[1:])][::-1]
    assert sorted(order) == sorted(done)
    assert [[one for one in order if one in row] for row in said] == said


def test_one_trainer_adds_the_same_model_as_another(store: Store, models: dict[str, Path]) -> None:
    failed: list[BaseException] = []

    def add() -> None:
        try:
            with Store.open(store.folder) as mine:
                mine.publish("recommender", mine.add_model("recommender", models["popular"]).digest)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert [one.digest for one in store.models()] == [keeping.manifest(models["popular"])["digest"]]
    keeping.load(store.published("recommender").folder)
    assert store.strays() == []


# ---- claims

HOLDER = """
import sys, time
from hashloom.serve import upkeep
from hashloom.store import Store
with upkeep._alone(Store.open(sys.argv[1]), "recommender"):
    print("ready", flush=True)
    time.sleep(120)
"""


def test_a_second_training_waits_for_nobody_and_says_so(store: Store) -> None:
    holder = started(HOLDER, store.folder)
    try:
        assert holder.stdout.readline() == "ready\n"
        with pytest.raises(ValueError, match="another training of its recommender runs; wait until it has ended"):
            upkeep.retrain(store, POPULAR, drop=None)
        assert holder.poll() is None  # it was not waited for
        assert store.published("recommender") is None
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert (store.folder / ".retrain-recommender.lock").exists()  # left by the sudden end, and claimed by nobody
    assert upkeep.retrain(store, POPULAR, drop=None).model.published


def test_a_claim_on_recommenders_hinders_no_forecaster(store: Store) -> None:
    with upkeep._alone(store, "recommender"), upkeep._alone(store, "forecaster"):
        pass
    with upkeep._alone(store, "recommender"):
        pass


def test_two_retrainings_at_once_one_trains_and_the_other_says_why(store: Store) -> None:
    """Whichever is first; in the end one model is published, of all posts, and a third round has nothing to do."""
    outcomes: list[object] = []
    start = threading.Barrier(2)

    def work() -> None:
        with Store.open(store.folder) as mine:
            start.wait()
            try:
                outcomes.append(upkeep.retrain(mine, POPULAR, drop=None).model)
            except ValueError as error:
                outcomes.append(str(error))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trained = [one for one in outcomes if one is not None and not isinstance(one, str)]
    refused = [one for one in outcomes if isinstance(one, str)]
    assert len(trained) == 1
    assert all("another training" in one for one in refused)
    assert len(store.models()) == 1
    assert upkeep.retrain(store, POPULAR, drop=None).model is None


def test_an_old_lock_file_with_anything_in_it_is_no_claim(store: Store) -> None:
    (store.folder / ".retrain-recommender.lock").write_text("pid 1 on another machine, a year ago")
    os.utime(store.folder / ".retrain-recommender.lock", (0, 0))
    assert upkeep.retrain(store, POPULAR, drop=None).model.published


def test_a_claim_ends_with_a_training_that_failed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Popular, "_fit", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            upkeep.retrain(store, POPULAR, drop=None)
    with (store.folder / ".retrain-recommender.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert upkeep.retrain(store, POPULAR, drop=None).model.published


# ---- disks without an exchange in one step


@pytest.fixture
def no_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file system that knows no ``renameat2`` with an exchange (NFS, some overlays)."""
    refused: Callable[..., int] = lambda *_: -1  # noqa: E731
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: type("Library", (), {"renameat2": staticmethod(refused)}))


@pytest.mark.usefixtures("no_exchange")
def test_without_an_exchange_the_new_model_takes_the_place_and_nothing_is_left(known: Posts, tmp_path: Path) -> None:
    for days in (1.0, 2.0, 3.0):
        keeping.save(Popular(half_life_days=days).fit(known), tmp_path / "model")
        assert keeping.load(tmp_path / "model").half_life_days == days
        assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.usefixtures("no_exchange")
def test_without_an_exchange_a_store_publishes_all_the_same(store: Store, known: Posts, tmp_path: Path) -> None:
    for days in (1.0, 2.0):
        made = keeping.save(Popular(half_life_days=days).fit(with_scoped_ids(known)), tmp_path / "model")
        digest = upkeep.publish(store, made).digest
        with Engine(store, settings=PATIENT) as engine:
            assert engine.suggest(RYE).model == digest
    store.put_posts(Posts.of([Post("more", "rye", "even", "u0", tags=("Rye",))]))
    assert upkeep.retrain(store, POPULAR, drop=None).model.published
