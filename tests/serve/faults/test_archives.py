"""Backups to be restored that are damaged, forged or made to harm: refused, nothing changed, nothing run (item 17)."""

from __future__ import annotations

import hashlib
import io
import json
import random
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from asking import asked

from hashloom import keeping
from hashloom.serve.drafts import Draft
from hashloom.serve.engine import Engine
from hashloom.store import DamagedStore, Store, StoreError
from hashloom.types import Post, Posts

BLOCK = 4096
RYE = Draft("rye flour kneaded", "even")
Publish = Callable[[str], str]


@pytest.fixture
def copy(store: Store, publish: Publish, tmp_path: Path) -> Path:
    """A backup with a published model, after which a post was put."""
    publish("popular")
    store.backup(tmp_path / "copy.zip")
    store.put_posts(Posts.of([Post("later", "rye", "even", "u0", tags=("Rye",))]))
    return tmp_path / "copy.zip"


def state(store: Store) -> tuple[Any, ...]:
    files = sorted(str(path) for path in (store.folder / "models").rglob("*") if not path.name.startswith("."))
    return store.count(), store.last_change(), store.published("recommender"), files


def forged(path: Path, change: Callable[[zipfile.ZipFile, dict[str, Any], dict[str, bytes]], None]) -> Path:
    """The backup with other files; the checksums fit again."""
    with zipfile.ZipFile(path) as old:
        files = {name: old.read(name) for name in old.namelist()}
    said = json.loads(files.pop("manifest.json"))
    made = path.with_name("forged.zip")
    with zipfile.ZipFile(made, "w") as archive:
        change(archive, said, files)
        for name, content in files.items():
            archive.writestr(name, content)
            said["files"].setdefault(name, {})["sha256"] = hashlib.sha256(content).hexdigest()
        archive.writestr("manifest.json", json.dumps(said))
    return made


def restored(store: Store, copy: Path) -> bool:
    try:
        store.restore(copy)
    except DamagedStore:
        return False
    return True


def test_damage_in_any_block_of_a_backup_is_refused(store: Store, copy: Path) -> None:
    whole, before, chance = copy.read_bytes(), state(store), random.Random(4)
    harmless = 0
    for start in range(0, len(whole), BLOCK // 2):
        flipped = bytearray(whole)
        flipped[chance.randrange(start, min(start + BLOCK // 2, len(whole)))] ^= 1 << chance.randrange(8)
        for damaged in (bytes(flipped), whole[:start]):
            copy.write_bytes(damaged)
            if restored(store, copy):  # the time of a file within the zip, say, which nobody reads
                harmless += 1
                assert store.count() == before[0] - 1
                store.put_posts(Posts.of([Post("later", "rye", "even", "u0", tags=("Rye",))]))
                before = state(store)
            assert state(store) == before
    assert harmless <= 3


def link(archive: zipfile.ZipFile, name: str, target: str, kind: int = stat.S_IFLNK) -> bytes:
    about = zipfile.ZipInfo(name)
    about.create_system, about.external_attr = 3, (kind | 0o777) << 16
    archive.writestr(about, target)
    return target.encode()


def added(name: str, kind: int) -> Callable[[zipfile.ZipFile, dict[str, Any], dict[str, bytes]], None]:
    def change(archive: zipfile.ZipFile, said: dict[str, Any], _: dict[str, bytes]) -> None:
        said["files"][name] = {"sha256": hashlib.sha256(link(archive, name, "/etc", kind)).hexdigest()}

    return change


HOME = "models/recommender/" + "a" * 64


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFREG])
@pytest.mark.parametrize(
    "name", [f"{HOME}/evil", f"{HOME}/../../../evil", "/evil", "C:/evil", "evil", f"{HOME}/\\evil"]
)
def test_links_devices_and_ways_out_make_no_file_of_their_kind(
    store: Store, copy: Path, tmp_path: Path, name: str, kind: int
) -> None:
    """Whatever a zip calls an entry, at most a plain file is made, under the models, and no model is made of it."""
    made = forged(copy, added(name, kind))
    before = state(store)
    with pytest.raises(DamagedStore):
        store.restore(made)
    assert state(store) == before
    assert not Path("/evil").exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink() or "evil" in path.name]


def test_a_link_among_a_models_own_files_is_read_as_damage(store: Store, copy: Path) -> None:
    def swap(archive: zipfile.ZipFile, said: dict[str, Any], files: dict[str, bytes]) -> None:
        name = next(name for name in files if name.endswith("learnt.json"))
        del files[name]
        said["files"][name] = {"sha256": hashlib.sha256(link(archive, name, "/etc/hostname")).hexdigest()}

    made, home = forged(copy, swap), store.folder.parent / "other"
    with Store.open(home) as other:
        with pytest.raises(DamagedStore, match=r"learnt\.json"):
            other.restore(made)
        assert (other.count(), other.models(), other.strays()) == (0, [], [])


def test_a_zip_bomb_is_refused_before_it_is_unpacked(store: Store, copy: Path) -> None:
    before, size = state(store), 100_000_000

    def bomb(archive: zipfile.ZipFile, said: dict[str, Any], _: dict[str, bytes]) -> None:
        about = zipfile.ZipInfo(f"{HOME}/arrays.npz")
        about.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(about, bytes(size))
        said["files"][about.filename] = {"sha256": hashlib.sha256(bytes(size)).hexdigest()}

    made = forged(copy, bomb)
    assert made.stat().st_size < size / 100
    with pytest.raises(DamagedStore, match="unpack"):
        store.restore(made)
    assert state(store) == before


def parquet(**columns: list[Any]) -> bytes:
    import polars as pl

    file = io.BytesIO()
    pl.DataFrame(columns).write_parquet(file)
    return file.getvalue()


ROWS = {
    "no Parquet": b"PAR1 but not really PAR1",
    "empty": b"",
    "a pickle": b"cos\nsystem\n(S'touch evil'\ntR.",
    "other columns": parquet(a=[1], b=["x"]),
    "no columns": parquet(),
}


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("table", ["posts", "models"])
def test_rows_that_are_none_are_refused_and_nothing_changes(store: Store, copy: Path, kind: str, table: str) -> None:
    def put(_: zipfile.ZipFile, __: dict[str, Any], files: dict[str, bytes]) -> None:
        files[f"{table}/000000.parquet"] = ROWS[kind]

    before = state(store)
    with pytest.raises(StoreError):
        store.restore(forged(copy, put))
    assert state(store) == before
    store.check()


def test_a_published_model_that_is_forged_in_a_backup_never_answers(
    engine: Engine, store: Store, copy: Path, tmp_path: Path
) -> None:
    """Its checksums fit those of the backup, not those of its own manifest."""

    def put(_: zipfile.ZipFile, __: dict[str, Any], files: dict[str, bytes]) -> None:
        name = next(name for name in files if name.endswith("arrays.npz"))
        files[name] = b"PK\x03\x04junk"

    with Store.open(tmp_path / "new") as other, pytest.raises(DamagedStore, match=r"arrays\.npz"):
        other.restore(forged(copy, put))
    assert engine.suggest(RYE).way == "model"
    assert keeping.load(store.published("recommender").folder)


@pytest.mark.parametrize(
    "body", [{"tags": ["../../etc/passwd"]}, {"tags": ["/etc/passwd", "file:///etc/passwd"]}, {"tags": ["\\\\host\\x"]}]
)
def test_names_in_an_imported_tag_space_are_names(engine: Engine, store: Store, body: dict[str, Any]) -> None:
    there = sorted(path.name for path in store.folder.parent.rglob("*") if path.is_dir())
    with asked(engine) as client:
        assert client.put("/v1/spaces/..%2F..%2Fetc", json=body).status_code in (200, 422)
        assert client.put("/v1/spaces/even", json=body).status_code in (200, 422)
        assert client.get("/v1/spaces/even").status_code == 200
    assert sorted(path.name for path in store.folder.parent.rglob("*") if path.is_dir()) == there
