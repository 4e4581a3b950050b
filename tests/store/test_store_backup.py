"""Backups: a round trip between the databases, whole or refused, and without what was deleted since."""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from world import checkerboard

from hashloom.keeping import save
from hashloom.recommenders.popular import Popular
from hashloom.store import DamagedStore, Feedback, NewerStore, Store
from hashloom.tag_space import TagSpace
from hashloom.types import Post, Posts

POSTS, _ = checkerboard()


@pytest.fixture
def filled(store: Store, tmp_path: Path) -> Store:
    """A store with something of everything in it."""
    picture = store.put_picture(b"loaf", "image/png", "c")
    store.put_posts(POSTS)
    store.put_posts(
        Posts.of([Post("p", "\ufffd\u2028𝕏", "c", "mo", images=(picture,), tags=("Ä",)), Post("q", "x", "c")])
    )
    store.put_feedback([Feedback(f"t{i}", "c", "p", "Rye", "rejected", "u") for i in range(3)])
    store.put_space(TagSpace.of(["Rye"], "c"), by="mo")
    store.new_key("reader", "c", 1.5)
    for i in range(2):
        model = store.add_model("loom", save(Popular().fit(POSTS[: 9 + i]), tmp_path / f"model{i}"))
        store.publish("loom", model.digest)
    store.shadow("loom", model.digest)
    store.delete_posts("c", ["gone"])
    return store


def content(store: Store) -> dict[str, Any]:
    """All that can be read of a store, but for where its models lie."""
    return {
        "posts": [post for posts in store.posts() for post in posts],
        "feedback": list(store.feedback()),
        "spaces": store.spaces().to_json(),
        "log": store.space_log("c"),
        "keys": store.keys(),
        "models": [(m.name, m.digest, m.facts, m.added_at, m.published, m.shadow) for m in store.models()],
        "history": store.history("c", "mo").ids,
        "authors": store.export_author("mo"),
    }


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_round_trip_into_either_database(
    filled: Store, elsewhere: Callable[[str], Store], kind: str, tmp_path: Path
) -> None:
    counts = filled.backup(tmp_path / "copy.zip")
    assert (counts["posts"], counts["feedback"], counts["pictures"], counts["models"]) == (len(POSTS) + 2, 3, 1, 2)
    other = elsewhere(kind)
    assert other.restore(tmp_path / "copy.zip").rows == counts
    assert content(other) == content(filled)
    (shown,) = json.loads(json.dumps(content(other)["authors"]["pictures"]))
    assert other.get_picture(shown["sha256"], "c") == b"loaf"
    assert other.put_posts(Posts.of([Post("gone", "x", "c")])).refused
    assert other.put_posts(POSTS).same == len(POSTS)
    assert other.put_feedback([Feedback("t0", "c", "p", "Rye", "rejected")]).repeated == 1
    assert other.roll_back("loom") != filled.published("loom").digest
    assert (tmp_path / "copy.zip").stat().st_mode & 0o777 == 0o600


def test_what_was_deleted_after_the_backup_does_not_come_back(filled: Store, tmp_path: Path) -> None:
    filled.backup(tmp_path / "copy.zip")
    filled.delete_author("u0")
    filled.delete_author("u1", community="odd")
    filled.delete_author("u", community="c")
    filled.delete_posts("c", ["p"])
    filled.put_posts(Posts.of([Post("later", "x", "c")]))
    done = filled.restore(tmp_path / "copy.zip")
    assert done.kept_out["posts"] == 1 + sum(user in ("u0", "u1") for user in POSTS.users)
    assert (done.kept_out["feedback"], done.kept_out["pictures"]) == (3, 1)
    left = [post for posts in filled.posts() for post in posts]
    assert {post.user for post in left} == {*POSTS.users, None} - {"u0", "u1"}
    assert [post.id for post in left if post.community == "c"] == ["q"]
    assert list(filled.feedback()) == []
    assert len(filled.put_posts(POSTS).refused) == sum(user in ("u0", "u1") for user in POSTS.users)


def test_keys_revoked_after_the_backup_stay_revoked(store: Store, tmp_path: Path) -> None:
    kept, lost = store.new_key("reader", note="kept"), store.new_key("writer", note="lost")
    store.backup(tmp_path / "copy.zip")
    late = store.new_key("admin", note="made and revoked since")
    fresh = store.new_key("admin", note="made since")
    for id in (lost[0], late[0]):
        assert store.revoke(id)
    ended = {key.id: key for key in store.keys() if key.revoked_at}  # noqa: SIM118
    store.restore(tmp_path / "copy.zip")
    found = {key.id: key for key in store.keys()}  # noqa: SIM118
    assert set(found) == {kept[0], lost[0], late[0]}
    assert {id: found[id] for id in ended} == ended
    assert store.find_key(kept[1]).note == "kept"
    assert [store.find_key(secret) for _, secret in (lost, late, fresh)] == [None, None, None]


def test_services_are_told_to_read_anew_and_numbers_go_on(filled: Store, tmp_path: Path) -> None:
    filled.backup(tmp_path / "copy.zip")
    last = filled.last_change()
    filled.restore(tmp_path / "copy.zip")
    filled.put_posts(Posts.of([Post("new", "x", "c")]))
    assert [change.kind for change in filled.changes(last)] == ["restored", "post"]


def test_a_backup_without_models_leaves_the_present_ones(filled: Store, tmp_path: Path) -> None:
    filled.backup(tmp_path / "copy.zip", models=False)
    before = filled.models()
    assert "models" not in filled.restore(tmp_path / "copy.zip").rows
    assert filled.models() == before


def test_a_backup_is_of_one_moment_while_others_write(opened: Callable[..., Store], tmp_path: Path) -> None:
    one, other = opened(), opened()
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            other.put_posts(Posts.of([Post(str(number), "x", "c")]))
            other.put_feedback([Feedback(str(number), "c", str(number), "rye", "shown")])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for i in range(5):
            counts = one.backup(tmp_path / f"{i}.zip")
            assert counts["posts"] - counts["feedback"] in (0, 1)
    finally:
        stop.set()
        thread.join()


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """A copy of a zip whose files went through ``change``; None leaves one out."""
    made = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w") as new:
        for name in old.namelist():
            if (said := change(name, old.read(name))) is not None:
                new.writestr(name, said)
    return made


def altered(**facts: Any) -> Callable[[str, bytes], bytes]:
    return lambda name, said: json.dumps(json.loads(said) | facts).encode() if name == "manifest.json" else said


WRONG: dict[str, tuple[type[Exception], Callable[[str, bytes], bytes | None]]] = {
    "a flipped bit": (DamagedStore, lambda n, s: s[:-1] + bytes([s[-1] ^ 1]) if n.startswith("posts/") else s),
    "a file missing": (DamagedStore, lambda n, s: None if n.startswith("feedback/") else s),
    "no manifest": (DamagedStore, lambda n, s: None if n == "manifest.json" else s),
    "no JSON": (DamagedStore, lambda n, s: b"{" if n == "manifest.json" else s),
    "a list": (DamagedStore, lambda n, s: b"[]" if n == "manifest.json" else s),
    "a newer schema": (NewerStore, altered(schema="9999")),
    "a newer format": (NewerStore, altered(format=2)),
    "no tables named": (
        DamagedStore,
        lambda n, s: s.replace(b'"tables"', b'"stools"') if n == "manifest.json" else s,
    ),
    "an unknown table": (NewerStore, altered(tables=["posts", "sqlite_master"])),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_backup_is_refused_and_nothing_changes(filled: Store, tmp_path: Path, wrong: str) -> None:
    filled.backup(tmp_path / "copy.zip")
    before = content(filled)
    error, change = WRONG[wrong]
    with pytest.raises(error):
        filled.restore(rewritten(tmp_path / "copy.zip", change))
    assert content(filled) == before


@pytest.mark.parametrize(
    "name", ["models/../{0}/evil", "/evil", "models/loom/{0}/../../../evil", "models/loom/{0}/a\\\\b"]
)
def test_files_outside_of_the_models_are_refused(filled: Store, tmp_path: Path, name: str) -> None:
    filled.backup(tmp_path / "copy.zip")
    said = json.loads(zipfile.ZipFile(tmp_path / "copy.zip").read("manifest.json"))
    bad = name.format("0" * 64)
    said["files"][bad] = {"sha256": hashlib.sha256(b"evil").hexdigest()}
    made = rewritten(tmp_path / "copy.zip", altered(files=said["files"]))
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr(bad, b"evil")
    with pytest.raises(DamagedStore, match="no part of a backup"):
        filled.restore(made)
    assert not list(tmp_path.rglob("*evil*"))


def test_files_that_are_no_backups_are_refused(store: Store, tmp_path: Path) -> None:
    for said in (b"", b"PK", b"SQLite format 3\0"):
        (tmp_path / "x.zip").write_bytes(said)
        with pytest.raises(DamagedStore, match=r"x\.zip"):
            store.restore(tmp_path / "x.zip")
    with pytest.raises(FileNotFoundError):
        store.restore(tmp_path / "absent.zip")


def test_a_failed_restore_changes_nothing(filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.backup(tmp_path / "copy.zip")
    filled.put_posts(Posts.of([Post("later", "x", "c")]))
    before = content(filled)

    def fail(*_: object) -> None:
        raise RuntimeError("midway")

    monkeypatch.setattr("hashloom.store.backup._keep_out", fail)
    with pytest.raises(RuntimeError, match="midway"):
        filled.restore(tmp_path / "copy.zip")
    assert content(filled) == before


def test_a_failed_backup_leaves_the_last_one_and_no_rubbish(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.backup(tmp_path / "copy.zip")
    before, there = (tmp_path / "copy.zip").read_bytes(), sorted(tmp_path.iterdir())

    def fail(*_: object) -> None:
        raise RuntimeError("midway")

    monkeypatch.setattr("hashloom.store.backup._pack_models", fail)
    with pytest.raises(RuntimeError, match="midway"):
        filled.backup(tmp_path / "copy.zip")
    assert ((tmp_path / "copy.zip").read_bytes(), sorted(tmp_path.iterdir())) == (before, there)
