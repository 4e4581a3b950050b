"""Models in the store: their folders, which one of a name is published, and the way back."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hashloom import keeping
from hashloom.data.rows import clean
from hashloom.store import tables
from hashloom.store._base import Base
from hashloom.store.errors import BusyStore, NotThere, StoreError, told
from hashloom.store.tables import models, publications, shadows
from hashloom.store.things import Model, moment_of, now

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
DROPPED = "dropped "
"""How the notes of folders that are to be removed begin."""
AGAIN = 9
"""How often a model is copied anew that others drop meanwhile."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class ModelRows(Base):
    """The part of the store that keeps models, under ``folder/models/NAME/DIGEST``."""

    def add_model(self, name: str, folder: Path | str, digest: str | None = None,
                  facts: Mapping[str, Any] | None = None) -> Model:  # fmt: skip
        """Copy a saved model (``keeping.save``) into the store; it is checked on the way, and not yet published.

        ``digest`` is what its manifest must say (None: whatever it says); ``facts`` come from the manifest where they
        are not given. A damaged model raises ``keeping.DamagedModel``.
        """
        said = keeping.check(folder)
        if digest not in (None, said["digest"]):
            raise StoreError(f"{folder}: its digest is {said['digest']}, not {digest}; add the model that was meant")
        home = self._home(name, said["digest"])
        known = keeping.facts(folder) if facts is None else dict(facts)
        row = {"name": name, "digest": said["digest"], "facts": json.dumps(known), "added_at": now()}
        for _ in range(AGAIN):
            self._copy(Path(folder), home)
            with self._writing() as to:
                if not home.is_dir():  # dropped by another since it was copied
                    continue
                to.execute(sa.delete(tables.facts).where(tables.facts.c.name == note_of(name, said["digest"])))
                self._upsert(to, models, [row], ["name", "digest"], keep=["added_at"])
                self._log(to, "model", [("", name, None)])
                return _model(to, self._models(), name, said["digest"])
        raise BusyStore(f"model {name} {said['digest'][:12]} was dropped {AGAIN} times while it was added; repeat")

    def _models(self) -> Path:
        if self.folder is None:
            raise StoreError(f"{self.where}: models need a folder; open the store with folder=…")
        return self.folder / "models"

    def _home(self, name: str, digest: str) -> Path:
        if not _NAME.fullmatch(name):
            raise StoreError(f"{name[:60]!r} cannot name a model; use 1 to 100 of A-Z a-z 0-9 . _ - (no sign first)")
        if not _DIGEST.fullmatch(digest):
            raise StoreError(f"{digest[:80]!r} is no digest of a model; its manifest.json has it")
        return self._models() / name / digest

    def _copy(self, folder: Path, home: Path) -> None:
        """Copy a model beside its place, on the disk for good, then put it there in one step."""
        if whole(home):
            return
        beside = home.parent / f".{home.name[:16]}.{uuid.uuid4().hex[:8]}.tmp"
        with told(str(home.parent)):
            try:
                for name in ("manifest.json", *keeping.manifest(folder)["files"]):
                    (beside / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(folder / name, beside / name)
                place(beside, home)
            finally:
                shutil.rmtree(beside, ignore_errors=True)

    def publish(self, name: str, digest: str) -> Model:
        """Make a model that was added the one that services answer with. The folder is checked once more."""
        home = self._home(name, digest)
        if not whole(home):
            raise NotThere(f"model {name} {digest[:12]} is not whole in {home.parent}; add it with add_model")
        with self._writing() as to:
            _must_be_there(to, name, digest)
            if _published(to, name) != digest:
                row = {"name": name, "digest": digest, "at": now(), "withdrawn_at": None}
                to.execute(sa.insert(publications), row)
                self._log(to, "model", [("", name, None)])
            return _model(to, self._models(), name, digest)

    def published(self, name: str) -> Model | None:
        """The published model of a name; None where there is none."""
        name = clean(name)
        with self._reading() as at:
            digest = _published(at, name)
            return _model(at, self._models(), name, digest) if digest else None

    def roll_back(self, name: str) -> str:
        """Withdraw the published model; gives the digest of the one published before, which is published again."""
        name = clean(name)
        with self._writing() as to:
            _, before = last_two(to, name)
            if before is None:
                raise NotThere(f"model {name[:60]!r} has no earlier publication to go back to; publish one")
            if not whole(self._home(name, before.digest)):
                raise NotThere(f"model {name} {before.digest[:12]}, published before, is not whole any more; add it")
            later = (publications.c.name == name, publications.c.seq > before.seq)
            standing = publications.c.withdrawn_at.is_(None)
            to.execute(sa.update(publications).where(*later, standing).values(withdrawn_at=now()))
            self._log(to, "model", [("", name, None)])
        return str(before.digest)

    def shadow(self, name: str, digest: str | None) -> None:
        """Let a model answer beside the published one, unseen, for comparison; None ends that."""
        name = clean(name)
        with self._writing() as to:
            if digest is None:
                to.execute(sa.delete(shadows).where(shadows.c.name == name))
            else:
                _must_be_there(to, name, clean(digest))
                self._upsert(to, shadows, [{"name": name, "digest": digest}], ["name"])
            self._log(to, "model", [("", name, None)])

    def models(self, name: str | None = None) -> list[Model]:
        """All models that the store keeps, or those of a name; the last added first."""
        which = [models.c.name == clean(name)] if name is not None else []
        with self._reading(whole=True) as at:
            rows = at.execute(sa.select(models).where(*which).order_by(models.c.added_at.desc(), models.c.digest)).all()
            return [_model(at, self._models(), row.name, row.digest) for row in rows]


def whole(folder: Path) -> bool:
    """Whether the folder holds an undamaged model."""
    try:
        keeping.check(folder)
    except keeping.DamagedModel:
        return False
    return True


def place(beside: Path, home: Path) -> None:
    """Sync a folder, then give it its name; what stands there (not whole, or it had stayed) gives way."""
    for path in [*beside.rglob("*"), beside]:
        fsync(path)
    try:
        beside.rename(home)
    except OSError:
        if not home.is_dir():
            raise
        if not whole(home):  # else another process put the same model there just now
            home.rename(aside := home.with_name(f".{home.name[:16]}.{uuid.uuid4().hex[:8]}.old"))
            beside.rename(home)
            shutil.rmtree(aside, ignore_errors=True)
    fsync(home.parent)


def fsync(path: Path) -> None:
    """See that a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _standing(name: str) -> sa.Select:
    """The publications of a name that were not withdrawn, the last one first."""
    which = (publications.c.name == name, publications.c.withdrawn_at.is_(None))
    return sa.select(publications).where(*which).order_by(publications.c.seq.desc())


def last_two(at: sa.Connection, name: str) -> tuple[sa.Row | None, sa.Row | None]:
    """The publication of a name that stands, and the last one before it of another model."""
    rows = at.execute(_standing(name)).all()
    return (rows[0] if rows else None), next((row for row in rows if row.digest != rows[0].digest), None)


def note_of(name: str, digest: str) -> str:
    """The name of the store's note that a model's folder is to be removed."""
    return f"{DROPPED}{name}/{digest}"


def _published(at: sa.Connection, name: str) -> str | None:
    row = at.execute(_standing(name).limit(1)).one_or_none()
    return row.digest if row else None


def _must_be_there(at: sa.Connection, name: str, digest: str) -> None:
    which = (models.c.name == name, models.c.digest == digest)
    if at.execute(sa.select(models.c.name).where(*which)).one_or_none() is None:
        raise NotThere(f"there is no model {name[:60]!r} {digest[:12]!r}; `models()` lists them, add_model adds one")


def _model(at: sa.Connection, folder: Path, name: str, digest: str) -> Model:
    which = (models.c.name == name, models.c.digest == digest)
    row = at.execute(sa.select(models).where(*which)).one()
    unseen = at.scalar(sa.select(shadows.c.digest).where(shadows.c.name == name)) == digest
    known = json.loads(row.facts)
    last, before = last_two(at, name)
    standing, previous = (one is not None and one.digest == digest for one in (last, before))
    return Model(name, digest, folder / name / digest, known, moment_of(row.added_at), standing, unseen, previous)
