import logging
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hashloom.encoders import _cache
from hashloom.encoders._cache import Cache


class Lengths:
    """Makes vectors of texts through a cache, and remembers which texts it was asked for."""

    def __init__(self, folder: Path | str, maker: str = "lengths") -> None:
        self.cache, self.maker = Cache(str(folder)), maker
        self.asked: list[str] = []

    def make(self, texts: list[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.array([[len(text), len(self.maker), 1] for text in texts], dtype=np.float32)

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        return self.cache.through(self.maker, texts, self.make)


@pytest.fixture
def lengths(tmp_path: Path) -> Lengths:
    return Lengths(tmp_path)


def test_nothing_is_encoded_twice(lengths: Lengths, tmp_path: Path) -> None:
    texts = ["a", "bb", "", "a", "lone \ud800"]
    first = lengths.encode(texts)
    assert first[:, 0].tolist() == [1, 2, 0, 1, 6]
    assert lengths.asked == ["a", "bb", "", "lone \ud800"]
    again = Lengths(tmp_path)
    assert np.array_equal(again.encode([*texts, "new"])[:5], first)
    assert again.asked == ["new"]


def test_another_maker_meets_no_old_vector(lengths: Lengths, tmp_path: Path) -> None:
    lengths.encode(["a"])
    assert Lengths(tmp_path, "other").encode(["a"]).tolist() == [[1, 5, 1]]
    assert Lengths(tmp_path, "lengths a").encode([""])[0, 0] == 0


def test_stopped_work_keeps_what_was_made(lengths: Lengths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_cache, "STEP", 2)

    def stop_at_third(texts: list[str]) -> NDArray[np.float32]:
        if "ccc" in texts:
            raise KeyboardInterrupt
        return lengths.make(texts)

    with pytest.raises(KeyboardInterrupt):
        lengths.cache.through("lengths", ["a", "bb", "ccc"], stop_at_third)
    again = Lengths(tmp_path)
    again.encode(["a", "bb", "ccc"])
    assert again.asked == ["ccc"]


def test_damaged_vectors_are_reported_and_made_anew(lengths: Lengths, caplog: pytest.LogCaptureFixture) -> None:
    want = lengths.encode(["a", "bb", "ccc"])
    with sqlite3.connect(lengths.cache.path) as db:
        db.execute("UPDATE vectors SET data = zeroblob(12) WHERE rowid = 1")
        db.execute("UPDATE vectors SET data = 'text' WHERE rowid = 2")
    db.close()
    lengths.asked.clear()
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(lengths.encode(["a", "bb", "ccc"]), want)
    assert lengths.asked == ["a", "bb"]
    assert "2 damaged vectors" in caplog.text
    lengths.encode(["a", "bb", "ccc"])
    assert lengths.asked == ["a", "bb"]


@pytest.mark.parametrize("damage", [b"no database at all" * 500, b"SQLite format 3\0" + b"\xff" * 8000])
def test_a_file_that_is_no_database_is_set_aside(
    lengths: Lengths, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    want = lengths.encode(["a"])
    lengths.cache.path.write_bytes(damage)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(lengths.encode(["a"]), want)
    assert "set aside" in caplog.text
    assert (Path(lengths.cache.folder) / "vectors.damaged").read_bytes() == damage


def test_the_oldest_vectors_go_when_room_runs_out(tmp_path: Path) -> None:
    cache = Cache(str(tmp_path), megabytes=1)
    vector = np.ones(250, dtype=np.float32)
    for start in range(0, 3000, 500):
        cache.put({f"{i:05d}".encode(): vector for i in range(start, start + 500)})
    known = cache.get([f"{i:05d}".encode() for i in range(3000)])
    assert 700 <= len(known) <= 1000
    assert b"02999" in known
    assert b"00000" not in known


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        Cache(str(tmp_path / "file")).put({b"k": np.ones(2, dtype=np.float32)})


def test_work_goes_on_without_a_cache_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    lengths = Lengths(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        assert lengths.encode(["a", "bb"])[:, 0].tolist() == [1, 2]
    assert str(tmp_path / "file") in caplog.text
    assert "going on without the cache" in caplog.text


def write_many(folder: str, start: int) -> int:
    lengths = Lengths(folder)
    for i in range(start, start + 40):
        lengths.encode([f"text {i}", f"own {start} {i}"])
    return start


def test_processes_write_at_once(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(write_many, [str(tmp_path)] * 2, [0, 20]))
    lengths = Lengths(tmp_path)
    texts = [f"text {i}" for i in range(60)]
    assert lengths.encode(texts)[:, 0].tolist() == [len(text) for text in texts]
    assert lengths.asked == []
