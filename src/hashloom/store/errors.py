"""What may be wrong with a store, each said with its remedy, the same for SQLite and PostgreSQL."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa


class StoreError(RuntimeError):
    """The store cannot do what was asked; the message names what and the remedy. Nothing of it was done."""


class FullStore(StoreError):
    """No room is left on the disk."""


class BusyStore(StoreError):
    """Another process held the store for longer than ``patience``."""


class ReadOnlyStore(StoreError):
    """The store may be read, not written."""


class DamagedStore(StoreError):
    """The file is no whole store of ours."""


class NewerStore(StoreError):
    """A later Hashloom wrote it."""


class UnreachableStore(StoreError):
    """The file cannot be opened, or the server does not answer."""


class NotThere(StoreError, LookupError):
    """What was named is not in the store."""


class Deleted(StoreError):
    """What was named was deleted, and is not taken in again."""


class InUse(StoreError):
    """What was to be dropped is needed still."""


class TrimmedChanges(StoreError):
    """Changes after the number asked for were trimmed: read ``last_change()``, then everything anew."""


Kind = tuple[type[StoreError], str]
_FULL: Kind = (FullStore, "the disk is full; free some room, then repeat: what was acknowledged is safe")
_BUSY: Kind = (BusyStore, "held by another process for too long; repeat, or open it with more patience")
_READ_ONLY: Kind = (ReadOnlyStore, "read-only; allow writing to the folder and its files, or to the database")
_DAMAGED: Kind = (DamagedStore, "damaged or no store of ours; restore a backup into a new folder")
_AWAY: Kind = (UnreachableStore, "cannot be opened; check that it is there, permitted and, if a server, running")
_DISK: Kind = (StoreError, "the disk fails to read or write; check it and its quota, then repeat")

_OTHER: Kind = (StoreError, "the database refused")

_SQLITE: dict[str, Kind] = {
    "database or disk is full": _FULL,
    "is locked": _BUSY,
    "readonly": _READ_ONLY,
    "unable to open": _AWAY,
    "malformed": _DAMAGED,
    "not a database": _DAMAGED,
    "disk i/o error": _DISK,
}
_POSTGRESQL: dict[str, Kind] = {
    "53100": _FULL,
    "57014": (BusyStore, "the database took too long over a statement; repeat, or raise its statement_timeout"),
    "55P03": _BUSY,
    "40P01": _BUSY,
    "40001": _BUSY,
    "53300": (BusyStore, "the server has no connection left; raise its max_connections or run fewer processes"),
    "25006": _READ_ONLY,
    "42501": (ReadOnlyStore, "the database's role lacks a permission; grant it all on the schema"),
    "XX001": _DAMAGED,
    "XX002": _DAMAGED,
    "58030": _DISK,
    "57P": _AWAY,
    "08": _AWAY,
    "28": _AWAY,
    "3D": _AWAY,
}


@contextmanager
def told(where: str) -> Iterator[None]:
    """Say a database's or disk's failure in our words; ``where`` names the store."""
    try:
        yield
    except sa.exc.TimeoutError as error:
        raise BusyStore(f"{where}: all connections are in use; repeat, or ask less at once") from error
    except sa.exc.DBAPIError as error:
        raise _said(error, where) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise FullStore(f"{where}: {_FULL[1]}") from error


def _said(error: sa.exc.DBAPIError, where: str) -> StoreError:
    # The driver's own first line: what follows may hold what people wrote.
    first = str(error.orig).strip().split("\n")[0][:300]
    kind, remedy = _kind(error, first)
    return kind(f"{where}: {remedy} ({first})")


def _kind(error: sa.exc.DBAPIError, first: str) -> Kind:
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return next((kind for start, kind in _POSTGRESQL.items() if state.startswith(start)), _OTHER)
    for words, kind in _SQLITE.items():
        if words in first.lower():
            return kind
    lost = isinstance(error, sa.exc.OperationalError) and type(error.orig).__module__.startswith("psycopg")
    return _AWAY if lost or error.connection_invalidated else _OTHER
