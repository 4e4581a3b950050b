"""What is kept is whole or refused: damaged, foreign and half-replaced models, failed, killed and concurrent saves."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from world import checkerboard

from hashloom import keeping
from hashloom.keeping import DamagedModel, load, save
from hashloom.recommenders.linear import Linear
from hashloom.recommenders.popular import Popular

POSTS, HELD = checkerboard()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with arrays, a frame, tag spaces and a part inside."""
    return save(Linear().fit(POSTS), tmp_path_factory.mktemp("whole") / "model")


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "model"))


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def refusal(folder: Path) -> str:
    with pytest.raises(DamagedModel) as caught:
        load(folder)
    return str(caught.value)


def sealed(folder: Path, name: str, content: bytes) -> None:
    """Puts a file in place with checksums that fit, as a forger or another version would."""
    (folder / name).write_bytes(content)
    said = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    said["files"][name] = keeping._sha256(folder / name)
    (folder / "manifest.json").write_text(json.dumps(said | {"digest": keeping._digest(said)}), encoding="utf-8")


def test_a_whole_model_answers_as_before(whole: Path) -> None:
    assert list(load(whole).recommend(HELD, 3)) == list(Linear().fit(POSTS).recommend(HELD, 3))


# ---------------------------------------------------------------- damage


def test_every_file_cut_short_anywhere_is_refused_by_name(copy: Path) -> None:
    for path in files_of(copy):
        content = path.read_bytes()
        for length in {0, 1, len(content) // 2, len(content) - 1}:
            path.write_bytes(content[:length])
            assert path.name in refusal(copy)
        path.write_bytes(content)
    load(copy)


def test_a_flipped_bit_in_any_file_is_refused(copy: Path) -> None:
    chance = random.Random(3)
    for path in files_of(copy):
        content = path.read_bytes()
        for _ in range(30 if path.name == "manifest.json" else 5):
            flipped = bytearray(content)
            flipped[chance.randrange(len(flipped))] ^= 1 << chance.randrange(8)
            path.write_bytes(flipped)
            assert str(copy) in refusal(copy)
        path.write_bytes(content)
    load(copy)


def test_a_missing_file_is_refused_by_name(copy: Path) -> None:
    for path in files_of(copy):
        content = path.read_bytes()
        path.unlink()
        assert f"{path.name}" in refusal(copy)
        path.write_bytes(content)
    load(copy)


def linked(path: Path, whole: Path) -> None:
    path.unlink()
    path.symlink_to(whole / path.name)


def piped(path: Path, whole: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def foldered(path: Path, whole: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [linked, piped, foldered])
@pytest.mark.parametrize("name", ["arrays.npz", "settings.json", "manifest.json"])
def test_what_is_no_plain_file_is_refused(
    copy: Path, whole: Path, name: str, change: Callable[[Path, Path], None]
) -> None:
    change(copy / name, whole)
    assert name in refusal(copy)


def test_what_does_not_belong_to_the_model_is_refused(copy: Path, whole: Path) -> None:
    (copy / "notes.txt").write_text("mine")
    assert "notes.txt: not part of this model" in refusal(copy)
    (copy / "notes.txt").unlink()
    (copy / "elsewhere").symlink_to(whole)
    assert "elsewhere: not part of this model" in refusal(copy)
    (copy / "elsewhere").unlink()
    (copy / ".DS_Store").write_text("left by a file manager")
    load(copy)


# ---------------------------------------------------------------- foreign models


@pytest.mark.parametrize("number", [0, 2, "1", None])
def test_another_format_is_refused_with_the_remedy(copy: Path, number: object) -> None:
    said = json.loads((copy / "manifest.json").read_text(encoding="utf-8")) | {"format": number}
    (copy / "manifest.json").write_text(json.dumps(said | {"digest": keeping._digest(said)}), encoding="utf-8")
    assert "this Hashloom reads format 1; train again" in refusal(copy)


def test_a_changed_fact_is_noticed(copy: Path) -> None:
    said = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    (copy / "manifest.json").write_text(json.dumps(said | {"fingerprint": "0"}), encoding="utf-8")
    assert "manifest.json: altered" in refusal(copy)


DEEP = b"[" * 100_000


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("settings.json", c) for c in (b"{}", b"[]", b"3", b"null", DEEP, b'{"model": "nope"}', b'{"model": 3}')),
        *(("learnt.json", c) for c in (b"[]", b"3", b"null", DEEP, b'{"fit": 3}', b'{"__class__": 3}')),
        *(("learnt.json", c) for c in (b'{"a_": {}}', b'{"a_": {"$nope": "x"}}', b'{"a_": {"$array": "x"}}')),
        *(("learnt.json", c) for c in (b'{"a_": {"$dict": 3}}', b'{"a_": {"$csr": "x", "shape": 3}}')),
        ("learnt.json", b'{"a_": {"$bytes": "../../outside"}}'),
        ("learnt.json", b'{"a_": {"$bytes": "/etc/hostname"}}'),
        *(("spaces_.json", c) for c in (b"[]", b"3", DEEP)),
        ("memory_.parquet", b"x"),
        ("arrays.npz", b"PK\x03\x04junk"),
    ],
)
def test_what_only_looks_like_a_model_is_refused(copy: Path, name: str, content: bytes) -> None:
    sealed(copy, name, content)
    said = refusal(copy)
    assert str(copy) in said
    assert len(said) < 600


def test_nothing_is_ever_unpickled(copy: Path) -> None:
    import io

    import numpy as np

    file = io.BytesIO()
    np.savez(file, a=np.array([{"an": "object"}], dtype=object))
    sealed(copy, "arrays.npz", file.getvalue())
    assert "allow_pickle" in refusal(copy)


# ---------------------------------------------------------------- saving


def test_a_failed_save_leaves_the_old_model_and_nothing_else(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keeping.manifest(copy)
    for step in ("_write_part", "_write_manifest", "_publish", "_exchange", "_fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(keeping, step, broken)
            with pytest.raises(OSError, match="disk full"):
                save(Popular().fit(POSTS), copy)
        assert keeping.manifest(copy) == before
        assert list(tmp_path.iterdir()) == [copy]
    load(copy)


def broken(*args: object, **settings: object) -> None:
    raise OSError("disk full")


def test_what_is_no_model_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "monday.txt").write_text("mine")
    (tmp_path / "note").write_text("mine too")
    model = Popular().fit(POSTS)
    for name in ("diary", "note"):
        with pytest.raises(FileExistsError, match=f"{name} is there and is no Hashloom model"):
            save(model, tmp_path / name)
    assert (tmp_path / "note").read_text() == "mine too"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["diary", "monday.txt", "note"]
    (tmp_path / "empty").mkdir()
    load(save(model, tmp_path / "empty"))


def test_a_link_to_the_model_in_use_stays_a_link(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(copy)
    save(Popular().fit(POSTS), tmp_path / "current")
    assert (tmp_path / "current").is_symlink()
    assert load(copy).name == load(tmp_path / "current").name == "popular"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "model"]


KILLED = """
import sys
from world import checkerboard
from hashloom.keeping import save
from hashloom.recommenders.popular import Popular
models = [Popular(half_life_days=days).fit(checkerboard()[0]) for days in (1, 2)]
print("ready", flush=True)
while True:
    for model in models:
        save(model, sys.argv[1])
"""


def test_killed_while_it_saves_the_old_model_is_there_or_the_new_one(copy: Path) -> None:
    chance = random.Random(5)
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, copy],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        # Saves follow one another without a pause, so that whenever the end comes, it comes within one.
        threading.Event().wait(chance.random() / 20)
        process.kill()
        process.wait()
        process.stdout.close()
        assert load(copy).name in ("linear", "popular")


def test_the_same_model_saved_again_is_another_one_to_a_reader(tmp_path: Path) -> None:
    model = Popular().fit(POSTS)
    seen = set()
    for _ in range(3):
        save(model, tmp_path / "model")
        seen.add(keeping._identity(tmp_path / "model"))
    assert len(seen) == 3
    assert keeping._identity(tmp_path / "nowhere") == ()


def test_models_saved_at_once_end_as_one_of_them_and_readers_see_none_mixed(tmp_path: Path) -> None:
    place, failures = tmp_path / "model", list[BaseException]()
    models = [Popular(half_life_days=days).fit(POSTS) for days in (1.0, 2.0, 3.0)]

    def work(do: Callable[[], object]) -> None:
        try:
            for _ in range(15):
                do()
        except BaseException as error:
            failures.append(error)

    def read() -> None:
        if place.exists():
            assert load(place).half_life_days in (1, 2, 3)

    tasks: list[Callable[[], object]] = [lambda m=m: save(m, place) for m in models]  # type: ignore[misc]
    threads = [threading.Thread(target=work, args=(task,)) for task in [*tasks, read, read]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert load(place).half_life_days in (1, 2, 3)
    assert list(tmp_path.iterdir()) == [place]
