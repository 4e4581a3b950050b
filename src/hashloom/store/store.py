"""The store: posts, tag spaces, feedback, models, keys and the log of changes, in a folder or on PostgreSQL."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa

from hashloom.store.backup import Backups
from hashloom.store.changes import ChangeRows
from hashloom.store.communities import CommunityDeletions
from hashloom.store.drops import ModelDrops
from hashloom.store.errors import DamagedStore, FullStore, ReadOnlyStore, StoreError, UnreachableStore
from hashloom.store.feedback import FeedbackRows
from hashloom.store.keys import KeyRows
from hashloom.store.opening import FILE, postgresql_engine, prepare, sqlite_engine
from hashloom.store.pictures import PictureRows
from hashloom.store.posts import PostRows
from hashloom.store.spaces import SpaceRows


class Store(
    PostRows, PictureRows, CommunityDeletions, SpaceRows, FeedbackRows, ModelDrops, KeyRows, ChangeRows, Backups
):  # fmt: skip
    """All that Hashloom keeps for communities, safe for many threads and processes at once.

    What a method has done when it returns is on the disk: it survives the end of the process, also a sudden one, and
    a power cut. Each method is done as a whole or not at all, but for those that take any number of posts or feedback,
    which are done in parts, each whole.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
    ...     store.count(), store.last_change()
    (0, 0)
    """

    @classmethod
    def open(cls, url_or_folder: str | Path, *, folder: str | Path | None = None, migrate: bool = True,
             patience: float = 30.0) -> Self:  # fmt: skip
        """Open a store in a folder (SQLite, made where it is missing) or by a PostgreSQL URL.

        ``folder`` is where models lie, for a store by URL. ``migrate=False`` refuses a store whose schema is not ours
        instead of bringing it up to date. Whoever waits for another writer gives up after ``patience`` seconds.
        """
        name = str(url_or_folder)
        at = Path(folder) if folder is not None else None
        if "://" in name:
            url = _postgresql(name)
            where, engine = url.render_as_string(hide_password=True).split("?")[0], postgresql_engine(url, patience)
        else:
            at = _made(Path(url_or_folder), folder)
            where, engine = str(at / FILE), sqlite_engine(at / FILE, patience)
        try:
            prepare(engine, where, migrate)
        except BaseException:
            engine.dispose()
            raise
        made = cls(engine, where, at, patience)
        made.tidy()
        return made

    def close(self) -> None:
        """Give the connections back; the store must not be used after."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def check(self) -> None:
        """Read the whole SQLite file for damage, which takes a while; PostgreSQL has tools of its own for that."""
        if not self.is_sqlite:
            return
        with self._reading() as at:
            said = at.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
            dangling = at.exec_driver_sql("PRAGMA foreign_key_check").first()
        if said != "ok" or dangling:
            raise DamagedStore(f"{self.where}: damaged ({said}); restore a backup into a new folder")


def _postgresql(name: str) -> sa.URL:
    try:
        url = sa.make_url(name)
    except (sa.exc.ArgumentError, ValueError):
        url = None
    if url is None or url.get_backend_name() not in ("postgresql", "postgres"):
        kind = name.split("://")[0][:40]
        raise StoreError(f"{kind!r} is no kind of store; give a folder or postgresql+psycopg://user@host/database")
    return url


def _made(home: Path, folder: str | Path | None) -> Path:
    if folder is not None and Path(folder).resolve() != home.resolve():
        raise StoreError(f"{home}: a store in a folder keeps its models there; leave folder= out")
    try:
        # People's posts: nobody else on the machine may read them.
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not (home / FILE).exists():
            (home / FILE).touch(mode=0o600)
    except (FileExistsError, NotADirectoryError):
        raise UnreachableStore(f"{home}: a file stands there; a store is a folder, give its name") from None
    except OSError as error:
        raise _not_made(home, error) from error
    return home.resolve()


def _not_made(home: Path, error: OSError) -> StoreError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FullStore(f"{home}: the disk is full; free some room, then repeat")
    if error.errno == errno.EROFS:
        return ReadOnlyStore(f"{home}: the file system is read-only; make the store on another")
    return UnreachableStore(f"{home}: cannot be made or opened ({error.strerror}); allow it or name another folder")
