"""Full, read-only and failing disks, no file left to open: said plainly, nothing lost, suggestions go on (item 19)."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import random
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import asked

from hashloom import keeping
from hashloom.serve import bulk
from hashloom.serve.bulk import Bulk, Wanted, undo
from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import FullStore, Store, StoreError
from hashloom.types import Post, Posts

DRAFT = {"text": "rye flour kneaded", "community": "even"}
PATIENT = ServeSettings(budget=10.0, default_rate=1e6)
LOAF = {"text": "rye loaf", "user": "mo", "tags": ["Rye"]}


@contextlib.contextmanager
def disk(home: Path, options: str) -> Iterator[Path]:
    """A file system of its own, where mounting one is allowed."""
    home.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(home)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"mounting is not allowed here ({made.stderr.decode().strip()})")
    try:
        yield home
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with disk(tmp_path / "disk", "size=4m") as home:
        yield home


def remounted(home: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(home)], check=True)


def fill(home: Path) -> Path:
    """Takes all the room that is left; give it back by removing the file."""
    path = home / "ballast"
    with path.open("wb", buffering=0) as file:
        for size in (65_536, 4_096):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size) == size:
                    pass
    assert shutil.disk_usage(home).free < 4_096
    return path


def must_be_full(answer: Any) -> None:
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:hashloom:problem:service-unavailable")
    assert answer.json()["detail"] == "No room is left to keep this; nothing of it was kept."


@pytest.fixture
def place(small: Path, known: Posts, models: dict[str, Path]) -> Iterator[tuple[Engine, Path]]:
    """A service whose store, with a published model, stands on the small disk."""
    with Store.open(small / "store") as store:
        store.put_posts(known)
        store.publish("recommender", store.add_model("recommender", models["linear"]).digest)
        with Engine(store, settings=PATIENT) as engine:
            yield engine, small


def way_of(client: Any, **more: object) -> tuple[str, str]:
    said = client.post("/v1/suggest", json={**DRAFT, **more}).json()
    return said["way"], said["suggestions"][0]["tag"]


def test_a_service_on_a_full_disk_says_so_keeps_what_it_took_and_goes_on(place: tuple[Engine, Path]) -> None:
    engine, home = place
    kept, heard = [], []
    with asked(engine) as client:
        for number in range(10_000):  # until nothing more goes in
            text = random.Random(number).randbytes(3_000).hex()
            answer = client.put(f"/v1/posts/even/f{number}", json=LOAF | {"text": text})
            if answer.status_code != 200:
                break
            kept.append(f"f{number}")
            event = {"token": f"t{number}", "community": "even", "post_id": "p", "tag": "Rye", "event": "shown"}
            answer = client.post("/v1/feedback", json={"events": [event]})
            if answer.status_code != 200:
                break
            heard.append(f"t{number}")
        must_be_full(answer)
        assert len(kept) > 20
        fill(home)
        assert way_of(client) == way_of(client, post_id="f1", explain=True) == ("model", "Rye")
        rows = [{"id": f"m{i}", "community": "even", "text": "x" * 3_000} for i in range(50)]
        must_be_full(client.post("/v1/posts", json={"posts": rows}))
        must_be_full(client.post("/v1/pictures/even", files={"picture": ("a.png", picture(400))}))
        assert client.get("/v1/posts/even/f1").status_code == 200
        assert client.get("/v1/trends/even").status_code == 200
        assert client.get("/ready").status_code == 200
        assert str(home) not in answer.text
        remounted(home, "size=40m")
        assert client.put("/v1/posts/even/after", json=LOAF).json()["status"] == "new"
        assert client.post("/v1/feedback", json={"events": [event | {"token": "after"}]}).json()["new"] == 1
        assert way_of(client) == ("model", "Rye")
    with Store.open(home / "store") as again:
        again.check()
        assert again.get_posts("even", [*kept, "after"]).ids == [*kept, "after"]
        assert {one.token for one in again.feedback()} == {*heard, "after"}
        assert not len(again.get_posts("even", [f"m{i}" for i in range(50)]))


def picture(side: int) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(19).randbytes(3 * side * side)).save(file, "PNG")
    return file.getvalue()


def test_a_model_that_does_not_fit_leaves_the_one_in_place_and_no_rubbish(
    place: tuple[Engine, Path], models: dict[str, Path], tmp_path: Path
) -> None:
    engine, home = place
    before, there = engine.current.digest, sorted(path for path in home.rglob("*") if path.is_dir())
    big = Path(shutil.copytree(models["popular"], tmp_path / "big"))
    (big / "ballast.bin").write_bytes(b"x" * 5_000_000)
    said = keeping.json.loads((big / "manifest.json").read_text("utf-8"))
    said["files"]["ballast.bin"] = keeping._sha256(big / "ballast.bin")
    (big / "manifest.json").write_text(keeping.json.dumps(said | {"digest": keeping._digest(said)}), "utf-8")
    with pytest.raises(FullStore, match="free some room"):
        engine.store.add_model("recommender", big)
    assert sorted(path for path in home.rglob("*") if path.is_dir()) == there
    assert [one.digest for one in engine.store.models()] == [before]
    with asked(engine) as client:
        assert way_of(client) == ("model", "Rye")
        ballast = fill(home)
        with pytest.raises(FullStore):
            engine.store.add_model("recommender", models["popular"])
        ballast.unlink()
        digest = engine.store.add_model("recommender", models["popular"]).digest
        ballast = fill(home)
        answer = client.post("/v1/models/recommender/publish", json={"digest": digest})
        assert answer.status_code in (200, 503)
        if answer.status_code == 503:
            must_be_full(answer)
            assert engine.current.digest == before
        ballast.unlink()
        assert client.post("/v1/models/recommender/publish", json={"digest": digest}).status_code == 200
        assert engine.current.digest == digest == engine.store.published("recommender").digest


def test_no_name_left_for_a_file_is_a_full_disk_too(tmp_path: Path, models: dict[str, Path]) -> None:
    with disk(tmp_path / "disk", "size=20m,nr_inodes=22") as home, Store.open(home / "store") as store:
        store.add_model("recommender", models["popular"])
        with pytest.raises(FullStore, match="free some room"):
            store.add_model("recommender", models["linear"])
        assert not [path for path in store.strays() if path.name.startswith(".")]
        assert store.put_posts(Posts.of([Post("p", "x")])).new == 1


def test_a_backup_that_does_not_fit_leaves_the_last_one(place: tuple[Engine, Path]) -> None:
    engine, home = place
    engine.store.backup(home / "copy.zip")
    before = (home / "copy.zip").read_bytes()
    fill(home)
    with pytest.raises(FullStore, match="free some room"):
        engine.store.backup(home / "copy.zip")
    assert (home / "copy.zip").read_bytes() == before
    assert sorted(path.name for path in home.iterdir()) == ["ballast", "copy.zip", "store"]
    (home / "ballast").unlink()
    assert engine.store.restore(home / "copy.zip").rows["posts"] == engine.store.count()


def test_a_journal_that_cannot_grow_stops_a_bulk_run_which_then_goes_on(
    engine: Engine, store: Store, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BATCH", 5)
    names = [f"old{i}" for i in range(40)]
    store.put_posts(Posts.of([Post(name, f"rye flour kneaded {name}", "even", "u0") for name in names]))
    work, written = Bulk(engine, Wanted(k=1), say=list), []
    sound = bulk.Journal.add

    def full_after_three(self: bulk.Journal, lines: Any) -> None:
        written.append(1)
        if len(written) == 4:
            fill(small)
        sound(self, lines)

    monkeypatch.setattr(bulk.Journal, "add", full_after_three)
    with pytest.raises(OSError, match="No space left"):
        work.run(small / "journal")
    tagged = [post.id for post in store.get_posts("even", names) if post.tags]
    assert len(tagged) < 40
    (small / "ballast").unlink()
    assert work.run(small / "journal").left is False
    assert [post.tags for post in store.get_posts("even", names)] == [("Rye",)] * 40
    undo(store, small / "journal")
    assert [post.tags for post in store.get_posts("even", names)] == [()] * 40


def test_a_picture_for_which_there_is_no_room_leaves_the_text(
    engine_of: Callable[..., Engine], publish: Callable[[str], str], small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("linear")
    monkeypatch.setattr(tempfile, "tempdir", str(small))
    engine = engine_of()
    assert engine.spool.folder.parent == small
    with asked(engine) as client:
        for side in (10, 700):  # held in memory, and spooled to a file, while the body is read
            ballast, sent = fill(small), {"draft": '{"text": "rye flour kneaded", "community": "even"}'}
            answer = client.post("/v1/suggest/pictures", data=sent, files={"picture": ("a.png", picture(side))})
            assert (answer.status_code, answer.json().get("way")) == (200, "model"), answer.text
            assert answer.json()["suggestions"][0]["tag"] == "Rye"
            assert answer.json()["notes"] == ["picture 0: there is no room to look at it"]
            ballast.unlink()
            answer = client.post("/v1/suggest/pictures", data=sent, files={"picture": ("a.png", picture(side))})
            assert answer.json()["notes"] == []
    assert not list(engine.spool.folder.iterdir())


def test_a_read_only_disk_is_said_and_suggestions_go_on(place: tuple[Engine, Path]) -> None:
    engine, home = place
    with asked(engine) as client:
        assert client.put("/v1/posts/even/before", json=LOAF).status_code == 200
        engine.store._engine.dispose()  # or an open file would keep the disk from being changed
        remounted(home, "ro")
        answer = client.put("/v1/posts/even/during", json=LOAF)
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:hashloom:problem:service-unavailable")
        assert way_of(client) == ("model", "Rye")
        assert client.get("/health").status_code == 200
        remounted(home, "rw")
        assert client.put("/v1/posts/even/after", json=LOAF).json()["status"] == "new"
        assert client.get("/v1/posts/even/during").status_code == 404


@pytest.mark.parametrize("step", ["fsync", "rename", "copyfile"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_fails_at_any_step_of_adding_a_model(
    engine: Engine, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    before, store = engine.current.digest, engine.store
    there = sorted(path.name for path in (store.folder / "models" / "recommender").iterdir())

    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr({"fsync": os, "rename": Path, "copyfile": shutil}[step], step, fails)
        with pytest.raises(FullStore if number != errno.EIO else OSError):
            store.add_model("recommender", models["popular"])
    assert sorted(path.name for path in (store.folder / "models" / "recommender").iterdir()) == there
    assert [one.digest for one in store.models()] == [before]
    engine.publish("recommender", store.add_model("recommender", models["popular"]).digest)


@contextlib.contextmanager
def no_file_left() -> Iterator[None]:
    """No further file, pipe or connection can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, hard))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(0))
        with pytest.raises(OSError, match="Too many open files"):
            os.dup(0)
        yield
    finally:
        for number in taken:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_without_a_file_left_to_open_drafts_are_answered(
    engine: Engine, models: dict[str, Path], tmp_path: Path
) -> None:
    digest = engine.store.add_model("recommender", models["popular"]).digest
    before = engine.current.digest
    with asked(engine) as client:
        assert way_of(client) == ("model", "Rye")
        engine.store._engine.dispose()
        with no_file_left():
            assert way_of(client) == way_of(client, post_id="p1", explain=True) == ("model", "Rye")
            answer = client.put("/v1/posts/even/during", json=LOAF)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:hashloom:problem:service-unavailable")
            answer = client.post("/v1/models/recommender/publish", json={"digest": digest})
            assert answer.status_code in (409, 503)
            with pytest.raises((OSError, StoreError)):
                engine.store.backup(tmp_path / "copy.zip")
        assert client.get("/v1/posts/even/during").status_code == 404
        assert client.put("/v1/posts/even/after", json=LOAF).json()["status"] == "new"
        assert way_of(client) == ("model", "Rye")
        assert engine.current.digest == before
        assert client.post("/v1/models/recommender/publish", json={"digest": digest}).status_code == 200
    assert not list(tmp_path.glob(".copy*"))
