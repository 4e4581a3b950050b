"""Faults: ``kill -9`` at random moments, a full or read-only disk, others that hold the store, a server that ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hashloom.store import BusyStore, Feedback, FullStore, ReadOnlyStore, Store, StoreError, UnreachableStore
from hashloom.types import Post, Posts


@pytest.fixture
def writers() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).with_name("_child.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        yield process
        process.stdin.close()


def killed_round(
    writers: subprocess.Popen[str], where: tuple[str, Path], turn: int, words: int, wait: float
) -> list[list[str]]:
    """Starts a writer, kills it ``wait`` seconds after so many words, and gives what it had acknowledged."""
    writers.stdin.write(f"{where[0]}\t{where[1]}\t{turn}\n")
    said: list[list[str]] = []
    child = 0
    for line in writers.stdout:
        word, name = line.split()
        if word == "pid":
            child = int(name)
        elif word == "end":
            assert int(name) == signal.SIGKILL, f"the writer ended by itself: {name}"
            return said
        else:
            said.append([word, name])
        if child and wait >= 0 and len(said) >= words:  # without a word it is killed while it opens the store
            threading.Timer(wait, os.kill, (child, signal.SIGKILL)).start()
            wait = -1
    raise AssertionError("the writers ended")


def test_what_is_acknowledged_outlives_kill_9(
    where: tuple[str, Path], opened: Callable[..., Store], writers: subprocess.Popen[str]
) -> None:
    chance, said = random.Random(5), dict[str, set[str]]()
    rounds = 12 if "://" in where[0] else 52
    for turn in range(rounds):
        for word, name in killed_round(writers, where, turn, chance.randrange(12), chance.uniform(0, 0.02)):
            said.setdefault(word, set()).add(name)
        store = opened()
        must_hold(store, said)
        store.close()
    assert all(len(said[word]) >= rounds // 4 for word in ("post", "deleted", "feedback")), said
    store = opened()
    store.check()
    assert len(store.put_posts(Posts.of([Post(name, "again", "c") for name in said["deleted"]])).refused) == len(
        said["deleted"]
    )


def must_hold(store: Store, said: dict[str, set[str]]) -> None:
    """All that was acknowledged is there, and of what was not, a whole write or nothing."""
    held = {post for posts in store.posts() for post in posts.ids}
    assert said.get("post", set()) - said.get("deleting", set()) <= held
    assert held.isdisjoint(said.get("deleted", set()))
    assert said.get("feedback", set()) <= {event.token for event in store.feedback()}
    pairs = {name.rstrip("+") for name in held} - said.get("deleting", set())
    assert held - said.get("deleting", set()) - {f"{name}+" for name in said.get("deleting", set())} == {
        written for name in pairs for written in (name, f"{name}+")
    }
    told = {change.ref for change in store.changes(limit=10**6)}
    assert said.get("post", set()) <= told


@pytest.mark.parametrize("wait", range(10))
def test_a_migration_that_is_killed_is_done_or_not(tmp_path: Path, writers: subprocess.Popen[str], wait: int) -> None:
    # The writer's first deed is to make the schema; it is killed while it does, at ten moments.
    writers.stdin.write(f"{tmp_path}\t{tmp_path}\t1\n")
    child = int(writers.stdout.readline().split()[1])
    time.sleep(0.006 * wait)
    os.kill(child, signal.SIGKILL)
    with Store.open(tmp_path) as store:
        store.check()
        assert store.put_posts(Posts.of([Post("p")])).new == 1


# ---------------------------------------------------------------- disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB, where mounting one is allowed."""
    home = tmp_path / "disk"
    home.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(home)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip(f"mounting is not allowed here ({made.stderr.decode().strip()})")
    yield home
    subprocess.run(["umount", "-l", str(home)], check=True)


def big(number: int) -> Posts:
    return Posts.of([Post(f"{number}-{i}", random.Random(i).randbytes(2_000).hex(), "c") for i in range(20)])


def free_room(store: Store, number: int) -> bool:
    """Puts some posts; False where the disk is full."""
    try:
        store.put_posts(big(number))
    except FullStore:
        return False
    return True


def test_a_full_disk_is_said_and_nothing_acknowledged_is_lost(small_disk: Path) -> None:
    kept = 0
    with Store.open(small_disk / "store") as store:
        while free_room(store, kept):
            kept += 1
        assert 3 <= kept < 100
        assert store.count() == 20 * kept  # still answers
        with pytest.raises(FullStore, match="free some room"):
            store.put_posts(big(kept))
        with pytest.raises(FullStore):
            store.backup(small_disk / "copy.zip")
        assert sorted(path.name for path in small_disk.iterdir()) == ["store"]
    with Store.open(small_disk / "store") as store:
        assert store.count() == 20 * kept
        store.check()
        subprocess.run(["mount", "-o", "remount,size=30m", str(small_disk)], check=True)
        assert store.put_posts(big(kept)).new == 20
        store.check()


def test_a_read_only_disk_is_said(small_disk: Path) -> None:
    with Store.open(small_disk / "store") as store:
        store.put_posts(big(0))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with (
        pytest.raises(StoreError, match=r"read-only|cannot be opened") as caught,
        Store.open(small_disk / "store") as store,
    ):
        store.put_posts(big(1))
    assert isinstance(caught.value, ReadOnlyStore | UnreachableStore)
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    with Store.open(small_disk / "store") as store:
        assert store.count() == 20


def test_a_server_that_allows_reading_alone_is_said(server: Callable[[], str]) -> None:
    url = server()
    Store.open(url).close()
    with Store.open(f"{url}%20-c%20default_transaction_read_only%3Don") as store:
        assert store.count() == 0
        with pytest.raises(ReadOnlyStore, match="allow writing"):
            store.put_posts(big(0))


# ---------------------------------------------------------------- others


def test_one_that_waits_too_long_is_told_so(opened: Callable[..., Store]) -> None:
    one, other = opened(), opened(patience=0.2)
    start = time.monotonic()
    with one._writing() as to:
        to.exec_driver_sql("DELETE FROM hashloom_posts")
        with pytest.raises(BusyStore, match="repeat"):
            other.put_posts(big(0))
        assert other.count() == 0
    assert time.monotonic() - start < 25  # 30 s are the usual patience
    assert other.put_posts(big(0)).new == 20


def test_threads_of_one_process_wait_no_longer_either(opened: Callable[..., Store]) -> None:
    store = opened(patience=0.2)
    failed: list[BaseException] = []

    def put() -> None:
        try:
            store.put_posts(big(0))
        except StoreError as error:
            failed.append(error)

    with store._writing():
        thread = threading.Thread(target=put)
        thread.start()
        thread.join()
    assert [type(error) for error in failed] == [BusyStore]
    assert store.put_posts(big(0)).new == 20


def test_a_message_holds_nothing_of_what_people_wrote(store: Store) -> None:
    with store._writing() as to:
        to.exec_driver_sql("DROP TABLE hashloom_feedback")
    with pytest.raises(StoreError) as caught:
        store.put_feedback([Feedback("t", "c", "p", "secret-tag", "typed", "secret-user")])
    chain: BaseException | None = caught.value
    while chain:
        assert "secret" not in str(chain)
        chain = chain.__cause__


def test_connections_that_the_server_ended_are_replaced(server: Callable[[], str]) -> None:
    with Store.open(server()) as store:
        store.put_posts(big(0))
        with Store.open(server()) as other, other._writing() as to:
            ours = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
            to.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")
        assert store.count() == 20
        assert store.put_posts(big(1)).new == 20
