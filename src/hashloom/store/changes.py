"""The log of changes that running services read, so that posts, feedback and deletions reach their models."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from hashloom.store._base import Base
from hashloom.store.errors import TrimmedChanges
from hashloom.store.tables import changes, facts
from hashloom.store.things import Change, micros, moment_of

TRIMMED = "changes_trimmed"


class ChangeRows(Base):
    """The part of the store that tells what happened.

    Numbers only grow, also over deletions, trimming and restarts, and a change is seen only after all with lower
    numbers are: who has read up to a number has missed nothing before it.
    """

    def changes(self, after_seq: int = 0, limit: int = 1_000) -> list[Change]:
        """The next changes after a number, oldest first, at most ``limit``.

        Where some after this number were trimmed, ``TrimmedChanges`` is raised: read ``last_change()``, then all anew.

        >>> from hashloom.store import Store
        >>> from hashloom.types import Post, Posts
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        ...     _ = store.put_posts(Posts.of([Post("p1", "rye loaf", "bakers")]))
        ...     [(change.kind, change.ref) for change in store.changes()]
        [('post', 'p1')]
        """
        wanted = sa.select(changes).where(changes.c.seq > after_seq).order_by(changes.c.seq).limit(limit)
        with self._reading(whole=True) as at:
            lost = _trimmed(at)
            rows = at.execute(wanted).all()
        if after_seq < lost:
            raise TrimmedChanges(f"changes up to {lost} were trimmed; read last_change(), then all posts anew")
        return [Change(row.seq, row.kind, row.community, row.ref, moment_of(row.at)) for row in rows]

    def last_change(self) -> int:
        """The number of the last change; 0 where nothing happened yet. Read it before the posts themselves."""
        with self._reading(whole=True) as at:
            return last_change(at)

    def trim_changes(self, before: datetime) -> int:
        """Drop changes from before a moment, with the ids in them; gives how many. Nothing else is lost."""
        old = changes.c.at < micros(before)
        with self._writing() as to:
            last = to.scalar(sa.select(sa.func.max(changes.c.seq)).where(old))
            if last is None:
                return 0
            # By number, so that what is left is all of the later ones, also where the clock was set back.
            gone = to.execute(sa.delete(changes).where(changes.c.seq <= last)).rowcount
            self._upsert(to, facts, [{"name": TRIMMED, "value": str(last)}], ["name"])
        return gone


def _trimmed(at: sa.Connection) -> int:
    return int(at.scalar(sa.select(facts.c.value).where(facts.c.name == TRIMMED)) or 0)


def last_change(at: sa.Connection) -> int:
    """The number of the last change, trimmed or not."""
    return max(_trimmed(at), at.scalar(sa.select(sa.func.max(changes.c.seq))) or 0)
