"""Pictures in the store, by the SHA-256 of community and bytes; one that no post shows is dropped."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta

import sqlalchemy as sa

from hashloom.data.rows import clean
from hashloom.store._base import Base, portions
from hashloom.store.errors import Deleted, StoreError
from hashloom.store.tables import digest, pictures, post_pictures, tombstones
from hashloom.store.things import now

MAX_PICTURE = 32 * 2**20


def named(content: bytes, community: str) -> str:
    """A picture's name within a community: the SHA-256 of the community's name, a NUL and the bytes.

    So the same picture in two communities is two, and who learns a name cannot reach it from another community.

    >>> named(b"loaf", "bakers")[:8], named(b"loaf", "sailors")[:8]
    ('960adc37', '90188c31')
    """
    return hashlib.sha256(clean(community).encode() + b"\0" + content).hexdigest()


class PictureRows(Base):
    """The part of the store that holds pictures."""

    def put_picture(self, content: bytes, kind: str, community: str) -> str:
        """Keep a community's picture (at most 32 MiB); gives its name, which posts put later have in ``images``.

        ``kind`` is its media type, such as ``image/png``; the first one given stays.
        """
        if not 0 < len(content) <= MAX_PICTURE:
            raise StoreError(f"a picture of {len(content):,} bytes; 1 to {MAX_PICTURE:,} can be kept")
        name = named(content, community)
        row = {"sha256": name, "kind": clean(kind)[:100], "content": content, "received_at": now()}
        with self._writing() as to:
            must_be_open(to, community)
            # A picture that is sent again begins its time anew, so that it is not dropped as one nobody showed.
            again = {"received_at": row["received_at"]}
            to.execute(self._insert(pictures).on_conflict_do_update(index_elements=["sha256"], set_=again), row)
        return name

    def get_picture(self, name: str, community: str) -> bytes | None:
        """The bytes of a community's picture; None where it has none of this name."""
        with self._reading() as at:
            row = picture_of(at, name, community)
        return row.content if row else None

    def holds_picture(self, name: str) -> bool:
        """Whether some community has a picture of this name."""
        with self._reading() as at:
            return at.scalar(sa.select(pictures.c.kind).where(pictures.c.sha256 == clean(name))) is not None

    def drop_orphans(self, *, older_than: timedelta = timedelta(days=1)) -> int:
        """Drop pictures that no post shows and that came longer ago than this; gives their number."""
        old = pictures.c.received_at <= now() - older_than // timedelta(microseconds=1)
        with self._writing() as to:
            return to.execute(sa.delete(pictures).where(old, unshown())).rowcount


def picture_of(at: sa.Connection, name: str, community: str) -> sa.Row | None:
    """A picture's row, where its bytes say that the name is this community's."""
    row = at.execute(sa.select(pictures).where(pictures.c.sha256 == clean(name))).one_or_none()
    return row if row is not None and named(row.content, community) == name else None


def must_be_open(at: sa.Connection, community: str) -> None:
    """Refuse a community that was deleted."""
    if at.execute(sa.select(tombstones.c.key).where(tombstones.c.key == digest("place", clean(community)))).first():
        said = "was deleted and is not taken in again; `Store.readmit_community` lifts that"
        raise Deleted(f"community {clean(community)[:60]!r} {said}")


def unshown() -> sa.ColumnElement[bool]:
    """Whether no post shows a picture."""
    return ~sa.exists().where(post_pictures.c.sha256 == pictures.c.sha256)


def drop_unshown(to: sa.Connection, shas: Iterable[str]) -> int:
    """Drop those of the pictures that no post shows any more; gives their number."""
    some_of = portions(sorted(shas))
    return sum(to.execute(sa.delete(pictures).where(pictures.c.sha256.in_(s), unshown())).rowcount for s in some_of)
