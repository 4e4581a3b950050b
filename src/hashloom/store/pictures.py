"""Pictures in the store, by the SHA-256 of their bytes; one that no post shows is dropped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta

import sqlalchemy as sa

from hashloom.data.rows import clean
from hashloom.store._base import Base, portions
from hashloom.store.errors import StoreError
from hashloom.store.tables import pictures, post_pictures
from hashloom.store.things import now

MAX_PICTURE = 32 * 2**20


class PictureRows(Base):
    """The part of the store that holds pictures."""

    def put_picture(self, content: bytes, kind: str) -> str:
        """Keep a picture (at most 32 MiB); gives its SHA-256, which a post names among its ``images``.

        ``kind`` is its media type, such as ``image/png``; the first one given stays.
        """
        if not 0 < len(content) <= MAX_PICTURE:
            raise StoreError(f"a picture of {len(content):,} bytes; 1 to {MAX_PICTURE:,} can be kept")
        name = hashlib.sha256(content).hexdigest()
        row = {"sha256": name, "kind": clean(kind)[:100], "content": content, "received_at": now()}
        with self._writing() as to:
            # A picture that is sent again begins its time anew, so that it is not dropped as one nobody showed.
            again = {"received_at": row["received_at"]}
            to.execute(self._insert(pictures).on_conflict_do_update(index_elements=["sha256"], set_=again), row)
        return name

    def get_picture(self, sha256: str) -> bytes | None:
        """The bytes of a picture; None where there is none of this name."""
        with self._reading() as at:
            return at.scalar(sa.select(pictures.c.content).where(pictures.c.sha256 == clean(sha256)))

    def drop_orphans(self, *, older_than: timedelta = timedelta(days=1)) -> int:
        """Drop pictures that no post shows and that came longer ago than this; gives their number."""
        old = pictures.c.received_at <= now() - older_than // timedelta(microseconds=1)
        with self._writing() as to:
            return to.execute(sa.delete(pictures).where(old, _unshown())).rowcount


def _unshown() -> sa.ColumnElement[bool]:
    return ~sa.exists().where(post_pictures.c.sha256 == pictures.c.sha256)


def drop_unshown(to: sa.Connection, shas: Iterable[str]) -> int:
    """Drop those of the pictures that no post shows any more; gives their number."""
    some_of = portions(sorted(shas))
    return sum(to.execute(sa.delete(pictures).where(pictures.c.sha256.in_(s), _unshown())).rowcount for s in some_of)
