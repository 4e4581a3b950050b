"""Deletion and export: posts and authors are removed for good, and digests of them keep them from coming back."""

from __future__ import annotations

import base64
import logging
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hashloom.data.rows import clean
from hashloom.store._base import Base, found, portions
from hashloom.store._rows import as_posts, marks, pictures_of, plain
from hashloom.store.feedback import as_feedback, plain_feedback
from hashloom.store.pictures import drop_unshown, picture_of
from hashloom.store.tables import changes, digest, feedback, post_pictures, posts, tombstones
from hashloom.store.things import DeletionReport, moment_of, now
from hashloom.types import POST_FIELDS, Posts

LOG = logging.getLogger(__name__)


class Deletions(Base):
    """The part of the store that forgets."""

    def delete_posts(self, community: str, ids: Iterable[str]) -> int:
        """Delete posts with their feedback and pictures; gives how many were there.

        An id that is not there is refused from now on, too: a deletion may arrive before its post.
        """
        community, gone = clean(community), 0
        for some in portions(dict.fromkeys(map(clean, ids))):
            keys = [digest("post", community, post) for post in some]
            with self._writing() as to:
                self._bury(to, "post", keys)
                gone += remove_posts(to, posts.c.key.in_(keys), keys)["posts"]
                self._log(to, "post_deleted", zip([community] * len(some), some, keys))
        self.erase()
        return gone

    def delete_author(self, user: str, *, community: str | None = None) -> DeletionReport:
        """Delete all of an author's posts and feedback, in one community or everywhere, and what hangs on them.

        From now on the author's posts are refused there (``readmit_author`` lifts that). What remains is a digest of
        the name, and the ids of the posts in the log of changes, from which running services learn what to forget.
        """
        mark, at = self._mark(user, community), now()
        keys = sa.select(posts.c.key).where(_by(posts, user, community))
        with self._writing() as to:
            kind = "author" if community is None else "member"
            self._log_deleted(to, keys, at)
            self._bury(to, kind, [mark])
            where = {"feedback": _delete(to, feedback, _by(feedback, user, community))}
            where = add(where, remove_posts(to, posts.c.key.in_(keys), keys))
            self._log(to, "author_deleted", [(clean(community or ""), mark.hex(), None)])
        return DeletionReport(where, self._left(user, community), self.erase(), moment_of(at))

    def _log_deleted(self, to: sa.Connection, keys: sa.Select, at: int) -> None:
        """The author's posts get tombstones of their own, and services are told each."""
        held = to.execute(sa.select(posts.c.community, posts.c.id, posts.c.key).where(posts.c.key.in_(keys))).all()
        self._bury(to, "post", [row.key for row in held])
        self._log(to, "post_deleted", map(tuple, held))

    def _left(self, user: str, community: str | None) -> dict[str, int]:
        with self._reading() as at:
            return {
                name: at.execute(sa.select(sa.func.count()).where(_by(table, user, community))).scalar_one()
                for name, table in (("posts", posts), ("feedback", feedback))
            }

    def _bury(self, to: sa.Connection, kind: str, keys: list[bytes]) -> None:
        at = now()
        rows = [{"key": key, "kind": kind, "at": at} for key in keys]
        if rows:
            to.execute(self._insert(tombstones).on_conflict_do_nothing(index_elements=["key"]), rows)

    def readmit_author(self, user: str, *, community: str | None = None) -> bool:
        """Take an author's new posts in again after a deletion; the deleted ones stay out. False: was not deleted."""
        with self._writing() as to:
            return _delete(to, tombstones, tombstones.c.key == self._mark(user, community)) > 0

    @staticmethod
    def mark(user: str, community: str | None = None) -> str:
        """What stands for a deleted author in ``Change.ref``: a digest of the name, within a community or anywhere."""
        return Deletions._mark(user, community).hex()

    @staticmethod
    def _mark(user: str, community: str | None) -> bytes:
        return digest("author", clean(user)) if community is None else digest("member", clean(community), clean(user))

    def deleted(self, given: Posts) -> list[bool]:
        """Of each post, whether it, its community, its author or its author there was deleted; put, it is refused.

        >>> from hashloom.store import Store
        >>> from hashloom.types import Post
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        ...     _ = store.delete_author("mo")
        ...     store.deleted(Posts.of([Post("p1", "rye", "bakers", "mo"), Post("p2", "oat", "bakers", "al")]))
        [True, False]
        """
        with self._reading(whole=True) as at:
            if at.execute(sa.select(tombstones.c.key).limit(1)).one_or_none() is None:
                return [False] * len(given)
            names = [_names(*row) for row in zip(given.communities, given.ids, given.users)]
            asked = set().union(*names)
            gone = {row.key for row in found(at, sa.select(tombstones.c.key), tombstones.c.key, asked)}
        return [bool(known & gone) for known in names]

    def last_deletion(self) -> datetime | None:
        """When something was deleted last; None where nothing ever was."""
        with self._reading() as at:
            found_at = at.scalar(sa.select(sa.func.max(tombstones.c.at)))
        return None if found_at is None else moment_of(found_at)

    def erase(self) -> bool:
        """Overwrite what was deleted in SQLite's journal too.

        False on PostgreSQL, and where a reader held the journal or the disk refused: what was deleted is gone all the
        same, and overwritten when this is done again.
        """
        if not self.is_sqlite:
            return False
        with self._my_turn(), self._reading() as at:
            connection: Any = at.connection.dbapi_connection
            # A reader, such as a backup, may hold the journal for minutes: nobody waits for it, least of all writers.
            connection.execute("PRAGMA busy_timeout=0")
            try:
                busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except sqlite3.OperationalError as error:
                LOG.warning("%s: what was deleted could not be overwritten (%s)", self.where, error)
                busy = 1
            finally:
                connection.execute(f"PRAGMA busy_timeout={int(self.patience * 1000)}")
            return busy == 0

    def export_author(self, user: str, *, community: str | None = None) -> dict[str, Any]:
        """Everything held about an author, in one community or in all, in plain types: posts with their pictures
        (base64; ``sha256`` is the name that the posts have), and feedback."""
        columns = [posts.c[name] for name in POST_FIELDS]
        with self._reading(whole=True) as at:
            wanted = sa.select(*columns, posts.c.received_at, posts.c.key, posts.c.source)
            rows = at.execute(wanted.where(_by(posts, user, community)).order_by(posts.c.created_at, posts.c.seq)).all()
            said = at.execute(sa.select(feedback).where(_by(feedback, user, community)).order_by(feedback.c.seq)).all()
            names = {(name, row.community) for row in rows for name in pictures_of(row.images)}
            seen = [row for name, place in sorted(names) if (row := picture_of(at, name, place)) is not None]
        written = as_posts([row[: len(POST_FIELDS)] for row in rows])
        return {
            "user": clean(user),
            "posts": [plain(post) | {"received_at": moment_of(row.received_at).isoformat(), "source": row.source}
                      for post, row in zip(written, rows)],
            "feedback": [plain_feedback(as_feedback(row)) for row in said],
            "pictures": [{"sha256": row.sha256, "kind": row.kind, "content": base64.b64encode(row.content).decode()}
                         for row in seen],
        }  # fmt: skip


def _names(community: str, id: str, user: str | None) -> set[Any]:
    """What a tombstone may say of a post: its own digest, its community's, its author's, and the author's there."""
    community, user = clean(community), None if user is None else clean(user)
    of_user = marks(community, user)
    return {digest("post", community, clean(id)), *of_user.values()} - {None}


def _by(table: sa.Table, user: str, community: str | None) -> sa.ColumnElement[bool]:
    author = table.c.author == digest("author", clean(user))
    return author if community is None else sa.and_(author, table.c.place == marks(clean(community), None)["place"])


def _delete(to: sa.Connection, table: sa.Table, which: sa.ColumnElement[bool]) -> int:
    return to.execute(sa.delete(table).where(which)).rowcount


def add(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    """The sums of two counts by name.

    >>> add({"posts": 1}, {"posts": 2, "feedback": 3})
    {'posts': 3, 'feedback': 3}
    """
    return one | {name: one.get(name, 0) + count for name, count in other.items()}


def remove_posts(to: sa.Connection, which: sa.ColumnElement[bool], keys: sa.Select | list[bytes]) -> dict[str, int]:
    """Take posts out with all that hangs on them, gone ones of ``keys`` too; gives how much went, by table."""
    at_them = post_pictures.c.post.in_(keys)
    shown = set(to.scalars(sa.select(post_pictures.c.sha256).where(at_them)))
    counts = {"feedback": _delete(to, feedback, feedback.c.post.in_(keys))}
    of_life = sa.and_(changes.c.about.in_(keys), changes.c.kind.in_(["post", "feedback"]))
    counts["changes"] = _delete(to, changes, of_life)
    counts["posts"] = _delete(to, posts, which)
    return counts | {"pictures": drop_unshown(to, shown)}
