"""Backups: one zip of Parquet files per table, with checksums; the same from SQLite and PostgreSQL, into either.

What was deleted after a backup was made does not come back with it: the tombstones of both are joined, and what they
name stays out. Keys that were revoked since stay revoked. The log of changes is not kept; services that run are told to
read everything anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hashloom import keeping
from hashloom.data.rows import clean
from hashloom.store import tables
from hashloom.store._base import Base, found
from hashloom.store.authors import remove_posts
from hashloom.store.changes import last_change
from hashloom.store.errors import DamagedStore, NewerStore, StoreError, told
from hashloom.store.models import fsync, place, whole
from hashloom.store.opening import HEAD, version
from hashloom.store.things import Restored, now

FORMAT = 1
ROWS = {"pictures": 32}
"""So many rows stand in one file; 10,000 where nothing is said."""
MOST = 50
"""A file that unpacks to more than so many times its size is refused; a backup is packed hardly at all."""
_KEPT = {
    "posts": tables.posts,
    "pictures": tables.pictures,
    "post_pictures": tables.post_pictures,
    "tombstones": tables.tombstones,
    "spaces": tables.spaces,
    "space_log": tables.space_log,
    "feedback": tables.feedback,
    "keys": tables.keys,
}
_OF_MODELS = {"models": tables.models, "publications": tables.publications, "shadows": tables.shadows}
_MODEL_FILE = re.compile(r"models/([A-Za-z0-9][A-Za-z0-9._-]{0,99})/([0-9a-f]{64})/((?:[^/\\\0]+/)*[^/\\\0]+)")


class Backups(Base):
    """The part of the store that makes copies of it and takes them in again."""

    def backup(self, path: Path | str, *, models: bool = True) -> dict[str, int]:
        """Write a copy of this moment's store to a zip while it is in use; gives the rows per table.

        ``models``: with the models and their folders. The file is there when it is whole, readable by its owner only.
        """
        path = Path(path)
        beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
        with told(str(path)):
            try:
                counts = self._write_backup(beside, models and self.folder is not None)
                fsync(beside)
                beside.replace(path)
                fsync(path.parent)
            finally:
                beside.unlink(missing_ok=True)
        return counts

    def _write_backup(self, path: Path, models: bool) -> dict[str, int]:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with zipfile.ZipFile(path, "w") as archive, self._reading(whole=True) as at:
            wanted = _KEPT | (_OF_MODELS if models else {})
            files: dict[str, Any] = {}
            for name, table in wanted.items():
                files |= _dump(at, archive, name, table)
            if models and self.folder is not None:
                files |= _pack_models(at, archive, self.folder)
            said = {"format": FORMAT, "schema": version(at), "made_at": datetime.now(UTC).isoformat(),
                    "last_change": last_change(at), "tables": list(wanted), "files": files}  # fmt: skip
            archive.writestr("manifest.json", json.dumps(said, indent=1))
        return {name: sum(f["rows"] for f in files.values() if f.get("table") == name) for name in wanted}

    def restore(self, path: Path | str) -> Restored:
        """Put the store back to what a backup holds, but for what was deleted or revoked since; all of it or nothing.

        Every checksum is compared before the first row is written. A backup made without models leaves them alone.
        """
        with told(self.where), opened(Path(path)) as (archive, said):
            if self.folder is not None:
                _unpack_models(archive, said, self.folder)
            with self._writing() as to:
                if not self.is_sqlite:
                    to.exec_driver_sql("SET LOCAL statement_timeout = 0")  # emptying a large table may take long
                done, revoked = Restored(), _revoked(to)
                for name in _emptied(to, said["tables"]):
                    done.rows[name] = self._fill(to, archive, said, name)
                self._upsert(to, tables.keys, revoked, ["id"])
                done.kept_out = _keep_out(to)
                self._go_on_after(to, max(said["last_change"], last_change(to)))
        return done

    def _fill(self, to: sa.Connection, archive: zipfile.ZipFile, said: Mapping[str, Any], name: str) -> int:
        table, count = (_KEPT | _OF_MODELS)[name], 0
        for file in sorted(f for f, about in said["files"].items() if about.get("table") == name):
            rows = list(_rows(archive.read(file), table, file))
            insert = self._insert(table)
            # Tombstones are joined, all other tables are empty.
            to.execute(insert.on_conflict_do_nothing() if name == "tombstones" else insert, rows)
            count += len(rows)
        return count

    def _go_on_after(self, to: sa.Connection, last: int) -> None:
        """Number further changes above all that this store or the backed-up one has given."""
        row = {"seq": last + 1, "kind": "restored", "community": "", "ref": "", "about": None, "at": now()}
        to.execute(sa.insert(tables.changes), row)
        if not self.is_sqlite:
            counter = f"pg_get_serial_sequence('{tables.changes.name}', 'seq')"
            to.exec_driver_sql(f"SELECT setval({counter}, {int(last) + 1})")


def _dump(at: sa.Connection, archive: zipfile.ZipFile, name: str, table: sa.Table) -> dict[str, Any]:
    import polars as pl

    # Numbers of rows are the database's own; they are given anew, in the same order.
    columns = [column for column in table.c if column.name != "seq"]
    wanted = sa.select(*columns).order_by(*table.primary_key.columns)
    size, files = ROWS.get(name, 10_000), {}
    with at.execute(wanted, execution_options={"yield_per": size}) as result:
        for number, rows in enumerate(result.partitions(size)):
            file = f"{name}/{number:06}.parquet"
            held = io.BytesIO()
            pl.DataFrame(list(map(tuple, rows)), schema=_kinds(columns), orient="row").write_parquet(held)
            files[file] = {"table": name, "rows": len(rows)} | _add(archive, file, held.getvalue())
    return files


def _kinds(columns: list[sa.Column]) -> dict[str, Any]:
    import polars as pl

    known = ((sa.LargeBinary, pl.Binary()), (sa.Integer, pl.Int64()), (sa.Float, pl.Float64()), (sa.Text, pl.String()))
    return {column.name: next(kind for of, kind in known if isinstance(column.type, of)) for column in columns}


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> dict[str, Any]:
    archive.writestr(name, content)
    return {"sha256": hashlib.sha256(content).hexdigest()}


def _pack_models(at: sa.Connection, archive: zipfile.ZipFile, folder: Path) -> dict[str, Any]:
    files = {}
    for name, digest in at.execute(sa.select(tables.models.c.name, tables.models.c.digest)):
        home = folder / "models" / name / digest
        if not whole(home):
            raise StoreError(
                f"{home}: damaged or missing; add the model again, or back up without models (--no-models)"
            )
        for path in sorted(p for p in home.rglob("*") if p.is_file()):
            file = path.relative_to(folder).as_posix()
            archive.write(path, file)
            with path.open("rb") as stream:
                files[file] = {"sha256": hashlib.file_digest(stream, "sha256").hexdigest()}
    return files


@contextmanager
def opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any]]]:
    """A backup and its manifest, once all checksums were compared; another file raises ``StoreError``."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile:
        raise DamagedStore(f"{path}: no backup, or a damaged one; use another copy") from None
    with archive:
        yield archive, _checked(archive, path)


def rows_of_author(path: Path, user: str, community: str | None = None) -> dict[str, int]:
    """How many posts and how much feedback of an author a backup holds, in all communities or in one."""
    marks = {"author": tables.digest("author", clean(user))}
    return _rows_with(path, marks if community is None else marks | {"place": tables.digest("place", clean(community))})


def rows_of_community(path: Path, community: str) -> dict[str, int]:
    """How many posts and how much feedback of a community a backup holds, and whether a tag space (1)."""
    return _rows_with(path, {"place": tables.digest("place", clean(community))}, "spaces")


def _rows_with(path: Path, marks: Mapping[str, bytes], *more: str) -> dict[str, int]:
    counts = dict.fromkeys(("posts", "feedback", *more), 0)
    with opened(path) as (archive, said):
        for file, about in said["files"].items():
            if (name := about.get("table")) in counts:
                rows = _rows(archive.read(file), _KEPT[name], file)
                counts[name] += sum(all(row[column] == mark for column, mark in marks.items()) for row in rows)
    return counts


def _checked(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    """The manifest of a backup whose files are all there and unaltered."""
    size = sum(entry.file_size for entry in archive.infolist())
    if size > MOST * path.stat().st_size:
        raise DamagedStore(f"{path}: would unpack to {size:,} bytes, as no backup of ours does; use another copy")
    try:
        said = json.loads(archive.read("manifest.json"))
        if said["format"] != FORMAT or said["schema"] > HEAD:
            raise NewerStore(f"{path}: its schema is {said['schema']}, this Hashloom knows {HEAD}; use a newer one")
        held, _ = set(said["tables"]), int(said["last_change"])
        for file, about in said["files"].items():
            with archive.open(file) as stream:
                if hashlib.file_digest(stream, "sha256").hexdigest() != about["sha256"]:  # type: ignore[arg-type]
                    raise DamagedStore(f"{path}: {file} is damaged (its checksum differs); use another copy")
    except (KeyError, TypeError, AttributeError, ValueError, zipfile.BadZipFile) as error:
        raise DamagedStore(f"{path}: no backup, or a damaged one; use another copy ({error})") from error
    for file, about in said["files"].items():
        if "table" not in about and (not _MODEL_FILE.fullmatch(file) or ".." in file.split("/")):
            raise DamagedStore(f"{path}: holds {file[:80]!r}, which is no part of a backup")
    if unknown := sorted(held - _KEPT.keys() - _OF_MODELS.keys()):
        raise NewerStore(f"{path}: it holds {unknown[0]!r}, which this Hashloom does not know; use a newer one")
    return said


def _unpack_models(archive: zipfile.ZipFile, said: Mapping[str, Any], folder: Path) -> None:
    homes: dict[Path, list[tuple[str, str]]] = {}
    for file, about in said["files"].items():
        if "table" not in about and (found := _MODEL_FILE.fullmatch(file)):
            homes.setdefault(folder / "models" / found[1] / found[2], []).append((file, found[3]))
    for home, files in homes.items():
        if not whole(home):
            _unpack_model(archive, home, files)


def _unpack_model(archive: zipfile.ZipFile, home: Path, files: list[tuple[str, str]]) -> None:
    beside = home.parent / f".{home.name[:16]}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        for file, name in files:
            (beside / name).parent.mkdir(parents=True, exist_ok=True)
            with archive.open(file) as source, (beside / name).open("wb") as target:
                shutil.copyfileobj(source, target)
        if keeping.check(beside)["digest"] != home.name:
            raise DamagedStore(f"{archive.filename}: another model stands in the place of {home.name[:12]}")
        place(beside, home)
    except keeping.DamagedModel as error:
        said = str(error).removeprefix(f"{beside}/")
        raise DamagedStore(f"{archive.filename}: holds no whole model {home.name[:12]} ({said})") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _emptied(to: sa.Connection, names: list[str]) -> list[str]:
    """Empty the tables that a backup fills, those that point to others first; gives the names, these last."""
    ordered = [name for name in (_KEPT | _OF_MODELS) if name in names]
    for name in reversed(ordered):
        if name != "tombstones":
            to.execute(sa.delete((_KEPT | _OF_MODELS)[name]))
    return ordered


def _revoked(to: sa.Connection) -> list[dict[str, Any]]:
    """The keys that were revoked so far: a backup from before must not make them live again."""
    return [
        dict(row) for row in to.execute(sa.select(tables.keys).where(tables.keys.c.revoked_at.is_not(None))).mappings()
    ]


def _rows(content: bytes, table: sa.Table, file: str) -> Iterator[dict[str, Any]]:
    """The rows of a file as the table has them; one that an earlier schema lacked must allow nulls."""
    import polars as pl

    try:
        frame = pl.read_parquet(content)
    except pl.exceptions.PolarsError as error:
        raise DamagedStore(f"{file}: no table of ours ({type(error).__name__}); use another copy") from error
    names = [column.name for column in table.c if column.name != "seq"]
    for name in names:
        if name not in frame.columns and not table.c[name].nullable:
            raise DamagedStore(f"{file}: has no column {name!r}; restore it with the Hashloom that wrote it")
    blank = dict.fromkeys(names)
    return (blank | {name: row[name] for name in names if name in row} for row in frame.iter_rows(named=True))


def _keep_out(to: sa.Connection) -> dict[str, int]:
    """Take out what tombstones name."""
    gone = sa.select(tables.tombstones.c.key)
    said = tables.feedback.c
    about = sa.or_(*(column.in_(gone) for column in (said.post, said.place, said.author, said.member)))
    lost = to.execute(sa.delete(tables.feedback).where(about)).rowcount
    held = tables.posts.c
    which = sa.or_(*(column.in_(gone) for column in (held.key, held.place, held.author, held.member)))
    counts = remove_posts(to, which, sa.select(held.key).where(which))
    to.execute(sa.delete(tables.space_log).where(tables.space_log.c.place.in_(gone)))
    spaces = to.execute(sa.delete(tables.spaces).where(tables.spaces.c.place.in_(gone))).rowcount
    keys = _revoke_of_deleted(to)
    return {"posts": counts["posts"], "feedback": lost + counts["feedback"], "pictures": counts["pictures"],
            "spaces": spaces, "keys": keys}  # fmt: skip


def _revoke_of_deleted(to: sa.Connection) -> int:
    """End the keys of communities that were deleted."""
    alive = sa.and_(tables.keys.c.revoked_at.is_(None), tables.keys.c.community.is_not(None))
    marks = {row.id: tables.digest("place", row.community) for row in to.execute(sa.select(tables.keys).where(alive))}
    stones = sa.select(tables.tombstones.c.key)
    gone = {row.key for row in found(to, stones, tables.tombstones.c.key, marks.values())}
    ids = [id for id, mark in marks.items() if mark in gone]
    return to.execute(sa.update(tables.keys).where(tables.keys.c.id.in_(ids)).values(revoked_at=now())).rowcount
