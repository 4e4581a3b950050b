"""Posts in the store: put, edited, read by id, by author and by time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hashloom.data.rows import clean
from hashloom.store._base import Base, found, portions
from hashloom.store._rows import as_posts, as_rows, content_of, pictures_of
from hashloom.store.errors import StoreError
from hashloom.store.pictures import drop_unshown, picture_of
from hashloom.store.tables import digest, post_pictures, posts, tombstones
from hashloom.store.things import Put, micros, now
from hashloom.types import POST_FIELDS, UNDATED, Post, Posts

BATCH = 10_000
"""So many posts are put in one transaction."""
UNREVIEWED = "unreviewed"
"""The source of posts whose tags no person has looked at; nothing is learnt from them."""
DELETED = "deleted; what was deleted is not taken in again"
_READ = sa.select(*(posts.c[name] for name in POST_FIELDS))


class PostRows(Base):
    """The part of the store that holds posts."""

    def put_posts(self, given: Posts, *, source: str | Sequence[str] = "api", live: bool = False) -> Put:
        """Take posts in, or their edits: a post is known by community and id, and the last one put wins.

        Putting the same again changes nothing, but that what waited for review (``UNREVIEWED``) is reviewed then. A
        post is refused, with the reason, where it, its community, its author or its author there was deleted, or where
        it breaks a limit of ``data.rows``. More than 10,000 posts are put in several transactions, each whole.
        ``source``: one for all, or one per post. Of the names among ``images``, those of the community's pictures that
        are kept already count as shown; others are kept as words. ``live``: posts come as they are written, so that a
        new one without a time is of this moment, and an edit without one keeps the one before.

        >>> from hashloom.store import Store
        >>> from hashloom.types import Post, Posts
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        ...     put = store.put_posts(Posts.of([Post("p1", "rye loaf", "bakers", "mo", tags=("Rye",))]))
        ...     put.new, store.history("bakers", "mo").tags
        (1, [['Rye']])
        """
        put = Put()
        sources = [source] * len(given) if isinstance(source, str) else list(source)
        for some in portions(range(len(given)), BATCH):
            here = slice(some[0], some[-1] + 1)
            rows = as_rows(given[here], list(map(clean, sources[here])), put.refused)
            with self._writing() as to:
                self._put(to, rows, put, live)
        return put

    def change_post(self, community: str, id: str, change: Callable[[Post], Post], *, source: str = "api",
                    reviewed: bool | None = None) -> Put | None:  # fmt: skip
        """Change a post in one transaction, so that no other change of it is lost; None where it is not there.

        ``reviewed``: whether a person now stands behind its tags; None: as it was.

        >>> from hashloom.store import Store
        >>> from dataclasses import replace
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        ...     put = store.put_posts(Posts.of([Post("p1", "rye loaf", "bakers")]))
        ...     store.change_post("bakers", "p1", lambda post: replace(post, likes=3)).changed
        1
        """
        key, put = digest("post", clean(community), clean(id)), Put()
        with self._writing() as to:
            row = to.execute(_READ.add_columns(posts.c.source).where(posts.c.key == key)).one_or_none()
            if row is None:
                return None
            made = change(as_posts([row[:-1]])[0])
            if (clean(made.community), clean(made.id)) != (clean(community), clean(id)):
                raise StoreError(f"the change of post {clean(id)[:60]!r} gave another one; return the same post")
            waits = row.source == UNREVIEWED if reviewed is None else not reviewed
            self._put(to, as_rows(Posts.of([made]), [UNREVIEWED if waits else clean(source)], put.refused), put)
        return put

    def _put(self, to: sa.Connection, rows: list[dict[str, Any]], put: Put, live: bool = False) -> None:
        rows = self._admitted(to, rows, put)
        wanted = sa.select(posts.c.key, posts.c.content, posts.c.source, posts.c.created_at)
        rows_held = found(to, wanted, posts.c.key, (row["key"] for row in rows))
        if live:
            _date(rows, {row.key: row.created_at for row in rows_held})
        held = {row.key: (row.content, row.source == UNREVIEWED) for row in rows_held}
        old = set(held)
        write: dict[bytes, dict[str, Any]] = {}
        new = changed = 0
        for row in rows:
            before = held.get(row["key"])
            waits = row["source"] == UNREVIEWED
            # The same again changes nothing, but that a person now stands behind what waited for one.
            if before is None or before[0] != row["content"] or (before[1] and not waits):
                new, changed = new + (before is None), changed + (before is not None)
                held[row["key"]] = (row["content"], waits)
                write[row["key"]] = row
        self._upsert(to, posts, list(write.values()), ["key"], keep=["received_at"])
        self._link(to, list(write.values()), old)
        self._log(to, "post", ((row["community"], row["id"], row["key"]) for row in write.values()))
        put.new, put.changed, put.same = put.new + new, put.changed + changed, put.same + len(rows) - new - changed

    def _admitted(self, to: sa.Connection, rows: list[dict[str, Any]], put: Put) -> list[dict[str, Any]]:
        names = [{row["key"], row["place"], row["author"], row["member"]} - {None} for row in rows]
        asked = set().union(*names)
        gone = {row.key for row in found(to, sa.select(tombstones.c.key), tombstones.c.key, asked)}
        put.refused += [(row["id"], DELETED) for row, known in zip(rows, names) if known & gone]
        return [row for row, known in zip(rows, names) if not known & gone]

    def _link(self, to: sa.Connection, rows: list[dict[str, Any]], old: Collection[bytes]) -> None:
        """Note which of their own community's pictures the posts show; what they showed before needs no second look."""
        had: set[tuple[bytes, str]] = set()
        for some in portions([row["key"] for row in rows if row["key"] in old]):
            of_these = post_pictures.c.post.in_(some)
            had |= set(map(tuple, to.execute(sa.select(post_pictures.c.post, post_pictures.c.sha256).where(of_these))))
            to.execute(sa.delete(post_pictures).where(of_these))
        named = {(row["key"], name): row["community"] for row in rows for name in pictures_of(row["images"])}
        there = {
            (name, community)
            for name, community in {(name, community) for (_, name), community in named.items()}
            if picture_of(to, name, community) is not None
        }
        shown = [pair for pair, community in named.items() if (pair[1], community) in there]
        if shown:
            to.execute(sa.insert(post_pictures), [{"post": post, "sha256": name} for post, name in shown])
        drop_unshown(to, {name for _, name in had})

    def get_posts(self, community: str, ids: Iterable[str]) -> Posts:
        """The posts of a community that have these ids, in the order asked; those not there are left out."""
        asked = [digest("post", clean(community), clean(post)) for post in ids]
        with self._reading() as at:
            rows = found(at, _READ.add_columns(posts.c.key), posts.c.key, asked)
        by_key = {row[-1]: row[:-1] for row in rows}
        return as_posts([by_key[key] for key in dict.fromkeys(asked) if key in by_key])

    def history(self, community: str, user: str, *, before: datetime | None = None, last: int = 200) -> Posts:
        """The ``last`` posts of an author in a community, oldest first; ``before``: those strictly earlier.

        As in ``data.History``, posts without a time stand before all others, in the order in which they came.
        """
        return self._last(posts.c.member == digest("member", clean(community), clean(user)), before, last)

    def recent(self, community: str, *, before: datetime | None = None, last: int = 500) -> Posts:
        """The ``last`` posts of a community, oldest first; ``before``: those strictly earlier."""
        return self._last(posts.c.place == digest("place", clean(community)), before, last)

    def _last(self, whose: sa.ColumnElement[bool], before: datetime | None, last: int) -> Posts:
        wanted = _READ.where(whose).order_by(posts.c.created_at.desc(), posts.c.seq.desc()).limit(last)
        if before is not None:
            wanted = wanted.where(posts.c.created_at < micros(before))
        with self._reading() as at:
            rows = at.execute(wanted).all()
        return as_posts(rows[::-1])

    def posts(self, community: str | None = None, *, since: datetime | None = None, until: datetime | None = None,
              batch: int = BATCH) -> Iterator[Posts]:  # fmt: skip
        """All posts in order of time, ``batch`` at once; ``since`` ≤ time < ``until``, where given.

        Each batch is read on its own, so that writers are not kept waiting: a post that is put or edited meanwhile
        may or may not be among them, all others are, once.
        """
        place = (posts.c.created_at, posts.c.seq)
        wanted = _READ.add_columns(posts.c.seq).where(*_within(community, since, until)).order_by(*place).limit(batch)
        after: tuple[int, int] | None = None
        while True:
            ask = wanted if after is None else wanted.where(sa.tuple_(*place) > sa.tuple_(*after))
            with self._reading() as at:
                rows = at.execute(ask).all()
            if rows:
                after = (rows[-1].created_at, rows[-1].seq)
                yield as_posts([row[:-1] for row in rows])
            if len(rows) < batch:
                return

    def count(self, community: str | None = None) -> int:
        """How many posts there are, in a community or in all."""
        with self._reading() as at:
            wanted = sa.select(sa.func.count()).select_from(posts).where(*_within(community, None, None))
            return at.execute(wanted).scalar_one()

    def unreviewed(self, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of the posts, each by community and id, whose tags no person has looked at (``UNREVIEWED``)."""
        by_key = {digest("post", clean(community), clean(id)): (community, id) for community, id in pairs}
        wanted = sa.select(posts.c.key).where(posts.c.source == UNREVIEWED)
        with self._reading() as at:
            return {by_key[row.key] for row in found(at, wanted, posts.c.key, by_key)}

    def communities(self) -> dict[str, int]:
        """Each community that has posts, and how many."""
        with self._reading() as at:
            rows = at.execute(sa.select(posts.c.community, sa.func.count()).group_by(posts.c.community))
            return {name: count for name, count in sorted(map(tuple, rows))}


def _date(rows: list[dict[str, Any]], known: dict[bytes, int]) -> None:
    """Give posts without a time the one they had, new ones this moment.

    It is taken while it is one's turn to write: then later changes have later moments, and what is learnt from them
    is added at the end.
    """
    at = now()
    for row in rows:
        if row["created_at"] == UNDATED:
            row["created_at"] = known.get(row["key"], at)
            row["content"] = content_of(row)
        known[row["key"]] = row["created_at"]


def _within(community: str | None, since: datetime | None, until: datetime | None) -> list[sa.ColumnElement[bool]]:
    bounds = [posts.c.place == digest("place", clean(community))] if community is not None else []
    bounds += [posts.c.created_at >= micros(since)] if since is not None else []
    return bounds + ([posts.c.created_at < micros(until)] if until is not None else [])
