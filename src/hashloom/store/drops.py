"""Models that leave the store: dropped, or replaced by the same without what must be forgotten.

Rows go first, in one transaction that also notes which folder is to go; then the folder. Where the end comes in
between, opening the store finishes the work. Folders that no note names are never removed: they may be another store's.
"""

from __future__ import annotations

import logging
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from hashloom.store.errors import InUse, StoreError
from hashloom.store.models import DROPPED, ModelRows, _model, _must_be_there, fsync, last_two, note_of
from hashloom.store.tables import facts, models, publications, shadows
from hashloom.store.things import Model, now

LOG = logging.getLogger(__name__)
ABANDONED = 86_400.0
"""Seconds after which a half-made copy of a model counts as left behind by a sudden end."""


class ModelDrops(ModelRows):
    """The part of the store that lets models go."""

    def drop_model(self, name: str, digest: str, *, force: bool = False) -> None:
        """Remove a model and its folder for good.

        The published model, the one to roll back to and the shadow are refused (``InUse``) without ``force``; with it,
        rolling back passes the dropped one over, and where it was published, the one before it is published again.
        """
        self._home(name, digest)
        with self._writing() as to:
            _must_be_there(to, name, digest)
            use = None if force else _use(to, name, digest)
            if use:
                raise InUse(f"model {name} {digest[:12]} is {use}; drop it with force=True")
            self._let_go(to, name, digest)
            self._log(to, "model", [("", name, None)])
        self.finish_drops()

    def replace_model(self, name: str, digest: str, folder: Path | str) -> Model:
        """Put a saved model in the place of another, in each publication and as shadow; the other is dropped.

        So a model that must forget something is replaced by the same without it, and the way back stays open.
        """
        new = self.add_model(name, folder)
        if new.digest == digest:
            return new
        with self._writing() as to:
            _must_be_there(to, name, digest)
            for table in (publications, shadows):
                which = (table.c.name == name, table.c.digest == digest)
                to.execute(sa.update(table).where(*which).values(digest=new.digest))
            self._let_go(to, name, digest)
            self._log(to, "model", [("", name, None)])
            made = _model(to, self._models(), name, new.digest)
        self.finish_drops()
        return made

    def _let_go(self, to: sa.Connection, name: str, digest: str) -> None:
        """Take a model's rows out, and note that its folder is to go."""
        standing = (publications.c.name == name, publications.c.digest == digest, publications.c.withdrawn_at.is_(None))
        to.execute(sa.update(publications).where(*standing).values(withdrawn_at=now()))
        for table in (shadows, models):
            to.execute(sa.delete(table).where(table.c.name == name, table.c.digest == digest))
        self._upsert(to, facts, [{"name": note_of(name, digest), "value": str(now())}], ["name"])

    def finish_drops(self) -> int:
        """Remove the folders of models that were dropped and stand there still; gives how many."""
        if self.folder is None:
            return 0
        with self._reading() as at:
            notes = at.scalars(sa.select(facts.c.name).where(facts.c.name.startswith(DROPPED, autoescape=True))).all()
        return sum(self._finish(note) for note in notes)

    def _finish(self, note: str) -> bool:
        name, digest = note.removeprefix(DROPPED).split("/")
        home = self._home(name, digest)
        aside = home.with_name(f".{home.name[:16]}.{uuid.uuid4().hex[:8]}.old")
        with self._writing() as to:
            # Whoever adds the model again takes the note back in a turn of their own, and looks for the folder then.
            to.execute(sa.delete(facts).where(facts.c.name == note))
            again = to.execute(sa.select(models.c.name).where(models.c.name == name, models.c.digest == digest)).first()
            if again is not None or not home.exists():
                return False
            home.rename(aside)
        _remove(aside)
        fsync(home.parent)
        return True

    def strays(self) -> list[Path]:
        """Folders under ``models`` that no model of the store has: half-made copies, and whole ones without a row."""
        if self.folder is None:
            return []
        with self._reading() as at:
            known = {(row.name, row.digest) for row in at.execute(sa.select(models.c.name, models.c.digest))}
        return [path for path in _folders(self._models()) if (path.parent.name, path.name) not in known]

    def tidy(self) -> None:
        """Finish what a sudden end left undone: dropped folders, and copies that nobody makes any more."""
        try:
            for path in _folders(self._models()) if self.folder is not None else ():
                left = path.suffix == ".tmp" and time.time() - path.stat().st_ctime > ABANDONED
                if path.name.startswith(".") and (left or path.suffix == ".old"):
                    _remove(path)
            self.finish_drops()
        except (OSError, StoreError) as error:
            LOG.warning("%s: folders of dropped models could not be removed (%s)", self.where, error)


def _folders(home: Path) -> Iterator[Path]:
    return (path for path in sorted(home.glob("*/*")) if path.is_dir())


def _remove(folder: Path) -> None:
    # Another process that opens the store may be at the same work.
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise StoreError(f"{folder}: a dropped model's folder cannot be removed; allow it, or remove it by hand")


def _use(at: sa.Connection, name: str, digest: str) -> str | None:
    """What a model is needed for; None: for nothing."""
    published, before = last_two(at, name)
    if published is not None and published.digest == digest:
        return "published"
    if before is not None and before.digest == digest:
        return "the one to roll back to"
    unseen = at.scalar(sa.select(shadows.c.digest).where(shadows.c.name == name)) == digest
    return "the shadow" if unseen else None
