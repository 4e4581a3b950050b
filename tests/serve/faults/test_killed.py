"""``kill -9`` at random moments of writing, publishing, swapping, migrating and training (fault list, item 18).

Twenty rounds each; ``HASHLOOM_KILLS=300`` runs that many.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from hashloom import keeping
from hashloom.serve import upkeep
from hashloom.serve.drafts import Draft
from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import Store, opening, tables
from hashloom.types import UNDATED, Post, Posts

KILLS = int(os.environ.get("HASHLOOM_KILLS", "20"))
RYE = Draft("rye flour kneaded", "even")
PATIENT = ServeSettings(budget=60.0)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder in memory where there is one: the kernel keeps what a killed process had written, on any disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="hashloom-", dir=memory if memory.is_dir() else None) as made:
        yield Path(made)


@pytest.fixture
def store(home: Path, known: Posts) -> Iterator[Store]:
    with Store.open(home / "store") as made:
        made.put_posts(known)
        yield made


@pytest.fixture(scope="module")
def workers() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).with_name("_killed.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        yield process
        process.stdin.close()


class Rounds:
    """Rounds of one job on one store: each starts a worker, kills it at a random moment and keeps what it had said."""

    def __init__(self, workers: subprocess.Popen[str], job: str, store: Path, model: Path, words: int, span: float):
        self.workers = workers
        self.line = f"{job}\t{store}\t{model}"
        self.chance = random.Random(job)
        self.words, self.span = words, span
        self.said: dict[str, list[str]] = {}

    def kill_one(self, turn: int) -> dict[str, list[str]]:
        """What a worker said that was killed up to ``span`` seconds after its first 0 to ``words`` words."""
        self.workers.stdin.write(f"{self.line}\t{turn}\n")
        words, now = self.chance.randint(0, self.words), dict[str, list[str]]()
        child, heard = 0, 0
        for line in self.workers.stdout:
            word, name = line.split()
            if word == "end":
                assert int(name) == signal.SIGKILL, f"the worker ended by itself: {name}"
                break
            child = int(name) if word == "pid" else child
            if word != "pid":
                heard += 1
                now.setdefault(word, []).append(name)
                self.said.setdefault(word, []).append(name)
            if child and heard >= words and words >= 0:
                time.sleep(self.chance.uniform(0, self.span))
                os.kill(child, signal.SIGKILL)
                words = -1
        return now


def test_what_a_store_acknowledged_is_there(workers: subprocess.Popen[str], home: Path) -> None:
    rounds = Rounds(workers, "write", home / "store", home, words=12, span=0.02)
    for turn in range(KILLS):
        rounds.kill_one(turn)
        with Store.open(home / "store") as store:
            held = {post for posts in store.posts() for post in posts.ids}
            assert set(rounds.said.get("post", ())) - set(rounds.said.get("deleting", ())) <= held
            assert held.isdisjoint(rounds.said.get("deleted", ()))
            told = {event.token for event in store.feedback()}
            assert set(rounds.said.get("feedback", ())) - set(rounds.said.get("deleting", ())) <= told
    with Store.open(home / "store") as store:
        store.check()
        gone = Posts.of([Post(name, "again", "c") for name in rounds.said["deleted"]])
        assert len(store.put_posts(gone).refused) == len(gone)
    assert min(len(rounds.said[word]) for word in ("post", "feedback", "deleted")) >= KILLS / 2


def must_be_whole(store: Store, allowed: set[str], answers: bool) -> str | None:
    """All models are whole, and the published one is among the allowed; ``answers``: a service starts with it."""
    store.check()
    for one in store.models():
        keeping.check(one.folder)
    made = store.published("recommender")
    assert (made.digest if made else "") in allowed
    if made is not None:
        keeping.load(made.folder)
    for stray in store.strays():
        assert stray.name.startswith(".") or keeping.check(stray), "a half-made model under its final name"
    if answers and made is not None:
        with Engine(store, settings=PATIENT) as service:
            answer = service.suggest(RYE)
            assert (answer.way, answer.model, answer.why) == ("model", made.digest, "")
    return made.digest if made else None


@pytest.mark.parametrize(("job", "words", "span"), [("publish", 4, 0.06), ("swap", 4, 0.12)])
def test_a_publication_is_done_or_not(
    workers: subprocess.Popen[str], store: Store, models: dict[str, Path], job: str, words: int, span: float
) -> None:
    rounds, last = Rounds(workers, job, store.folder, models["popular"], words, span), ""
    for turn in range(KILLS):
        said = rounds.kill_one(turn)
        # The last that was acknowledged, the one under way, and while swapping the one that is rolled back to.
        allowed = {said["done"][-1] if "done" in said else last, *said.get("doing", [])[-1:]}
        if job == "swap":
            allowed |= {one for word in ("done", "doing") for one in rounds.said.get(word, [])}
        if not turn % 5:
            with Store.open(store.folder) as again:
                last = must_be_whole(again, allowed, turn % 10 == 0) or ""
        else:
            last = must_be_whole(store, allowed, False) or ""
    assert len(set(rounds.said["done"])) >= (2 if job == "swap" else KILLS / 4)
    assert store.count() == len([post for posts in store.posts() for post in posts])


def version_1(home: Path) -> Path:
    """A store of the first version with posts in it."""
    home.mkdir()
    database = opening.sqlite_engine(home / opening.FILE, 10)
    row = {
        "text": "of version 1", "community": "c", "place": tables.digest("place", "c"), "created_at": UNDATED,
        "images": "[]", "tags": '["Rye"]', "source": "api", "content": b"x" * 16, "received_at": 1, "changed_at": 1,
    }  # fmt: skip
    rows = [row | {"id": f"p{i}", "key": tables.digest("post", "c", f"p{i}")} for i in range(300)]
    with database.execution_options(writes=True).begin() as connection:
        opening.upgrade(connection, to="0001")
        connection.execute(sa.insert(tables.posts), rows)
    database.dispose()
    return home


def version_of(home: Path) -> str:
    with sqlite3.connect(home / opening.FILE) as connection:
        found = connection.execute(f"SELECT version_num FROM {opening.VERSIONS}").fetchone()[0]
    connection.close()
    return str(found)


def usual_migration(template: Path, home: Path) -> float:
    """Seconds that bringing a store to our schema takes here and now."""
    took = []
    for number in range(3):
        place = shutil.copytree(template, home / str(number))
        began = time.monotonic()
        Store.open(place).close()
        took.append(time.monotonic() - began)
    return min(took)


def test_a_migration_is_done_or_not(workers: subprocess.Popen[str], home: Path) -> None:
    template, place, found = version_1(home / "old"), home / "store", []
    rounds = Rounds(workers, "migrate", place, home, words=1, span=usual_migration(template, home / "tried"))
    for turn in range(KILLS):
        shutil.copytree(template, place)
        said = rounds.kill_one(turn)
        found.append(version_of(place))
        assert found[-1] in ("0001", opening.HEAD)
        assert found[-1] == opening.HEAD or "migrated" not in said
        with Store.open(place) as store:
            store.check()
            assert store.count("c") == 300
            assert store.get_posts("c", ["p7"]).tags == [["Rye"]]
            assert store.new_key("reader")
            assert store.put_posts(Posts.of([Post("p7", "edited", "c")])).changed == 1
        shutil.rmtree(place)
    assert set(found) == {"0001", opening.HEAD}


def test_a_retraining_leaves_a_whole_model_and_no_lock(workers: subprocess.Popen[str], store: Store) -> None:
    rounds = Rounds(workers, "retrain", store.folder, store.folder, words=4, span=0.15)
    for turn in range(KILLS):
        last = store.published("recommender")
        said = rounds.kill_one(turn)
        made = store.published("recommender")
        if "done" in said and made is not None and made.digest != said["done"][-1]:
            assert len(said["post"]) > len(said["done"])  # a further one was under way
        assert made is not None or last is None
        must_be_whole(store, {made.digest if made else ""}, turn % 10 == 0)
        assert set(said.get("post", ())) <= {name for posts in store.posts() for name in posts.ids}
        if turn % 10 == 9:  # the end of the process ended its claim
            done = upkeep.retrain(store, {"name": "popular", "model": {"model": "popular"}}, drop=None, say=list)
            assert done.model is None or done.posts == store.count()
    assert len(rounds.said["done"]) >= KILLS / 4
