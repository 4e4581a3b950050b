"""Feedback in the store: what was shown, accepted, rejected and typed by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from hashloom.data.rows import MAX_ID, clean
from hashloom.store._base import Base, found, portions
from hashloom.store._rows import bounded, marks
from hashloom.store.tables import digest, feedback, tombstones
from hashloom.store.things import EVENTS, Day, Feedback, FeedbackPut, micros, moment_of, now
from hashloom.tags import key as tag_key

BATCH = 5_000
DAY = 86_400_000_000


class FeedbackRows(Base):
    """The part of the store that holds feedback."""

    def put_feedback(self, events: Iterable[Feedback]) -> FeedbackPut:
        """Take feedback in; an event whose token its community has sent before is counted as repeated.

        Refused, with the reason: an unknown event, no token, no post, a tag without a key, a moment without a zone,
        and what concerns a deleted post, author or community.

        >>> from hashloom.store import Store
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        ...     put = store.put_feedback([Feedback("t1", "bakers", "p1", "Rye", "rejected")] * 2)
        ...     put.new, put.repeated, store.rejected("bakers", "p1")
        (1, 1, {'rye'})
        """
        put = FeedbackPut()
        for some in portions(events, BATCH):
            rows = _rows(some, put.refused)
            with self._writing() as to:
                self._put_feedback(to, rows, put)
        return put

    def _put_feedback(self, to: sa.Connection, rows: list[dict[str, Any]], put: FeedbackPut) -> None:
        named = {name for row in rows for name in (row["post"], row["place"], row["author"], row["member"])} - {None}
        gone = {row.key for row in found(to, sa.select(tombstones.c.key), tombstones.c.key, named)}
        known = {row.key for row in found(to, sa.select(feedback.c.key), feedback.c.key, (r["key"] for r in rows))}
        new: dict[bytes, dict[str, Any]] = {}
        for row in rows:
            if gone & {row["post"], row["place"], row["author"], row["member"]}:
                put.refused.append((row["token"], "the post, its author or its community was deleted"))
            elif row["key"] in known or row["key"] in new:
                put.repeated += 1
            else:
                new[row["key"]] = row
        if new:
            to.execute(sa.insert(feedback), list(new.values()))
        about = {row["post"]: (row["community"], row["post_id"], row["post"]) for row in new.values()}
        self._log(to, "feedback", about.values())
        put.new += len(new)

    def rejected(self, community: str, post_id: str) -> set[str]:
        """The keys of the tags that were rejected for a post and neither accepted nor typed later."""
        decided = ("accepted", "rejected", "typed")
        wanted = sa.select(feedback.c.tag, feedback.c.event).where(
            feedback.c.post == digest("post", clean(community), clean(post_id)), feedback.c.event.in_(decided)
        )
        with self._reading() as at:
            rows = at.execute(wanted.order_by(feedback.c.at, feedback.c.seq)).all()
        last = {row.tag: row.event for row in rows}
        return {tag for tag, event in last.items() if event == "rejected"}

    def feedback(self, community: str | None = None, since: datetime | None = None, *, after_seq: int = 0,
                 batch: int = BATCH) -> Iterator[Feedback]:  # fmt: skip
        """All feedback in the order in which it came.

        ``since``: what happened at this moment or later; ``after_seq``: what came after ``last_feedback()`` was that.
        """
        which = _within(community, micros(since) if since is not None else None)
        wanted, after = sa.select(feedback).where(*which).order_by(feedback.c.seq).limit(batch), after_seq
        while True:
            with self._reading() as at:
                rows = at.execute(wanted.where(feedback.c.seq > after)).all()
            yield from map(as_feedback, rows)
            if len(rows) < batch:
                return
            after = rows[-1].seq

    def last_feedback(self) -> int:
        """The number of what came last; 0 where nothing did. Numbers only grow. Read it before the feedback itself."""
        with self._reading() as at:
            return int(at.scalar(sa.select(sa.func.max(feedback.c.seq))) or 0)

    def quality(self, community: str | None = None, days: int = 30) -> list[Day]:
        """How suggestions fared on each of the last ``days`` days (in UTC, today among them), oldest first."""
        today = now() // DAY
        day = (feedback.c.at // DAY).label("day")
        wanted = sa.select(day, feedback.c.event, sa.func.count()).group_by(day, feedback.c.event)
        with self._reading() as at:
            rows = at.execute(wanted.where(*_within(community, (today - days + 1) * DAY))).all()
        counts: dict[int, dict[str, int]] = {d: {} for d in range(today - days + 1, today + 1)}
        for number, event, count in rows:
            if number in counts:
                counts[number][event] = count
        return [Day((moment_of(0) + timedelta(days=number)).date(), **held) for number, held in counts.items()]


def _within(community: str | None, since: int | None) -> list[sa.ColumnElement[bool]]:
    which = [feedback.c.place == digest("place", clean(community))] if community is not None else []
    return which + ([feedback.c.at >= since] if since is not None else [])


def _rows(events: Iterable[Feedback], refused: list[tuple[str, str]]) -> list[dict[str, Any]]:
    rows, received = [], now()
    for event in events:
        try:
            rows.append(_row(event) | {"at": micros(event.at) if event.at else received, "received_at": received})
        except ValueError as error:
            refused.append((event.token, str(error)))
    return rows


def _row(event: Feedback) -> dict[str, Any]:
    row: dict[str, Any] = {
        name: bounded(getattr(event, name), name) for name in ("token", "community", "post_id", "user", "model")
    }
    row |= {"tag": tag_key(clean(event.tag)), "event": event.event, "rank": event.rank, "score": event.score}
    if event.event not in EVENTS:
        raise ValueError(f"event is {event.event!r:.40}; use {', '.join(EVENTS)}")
    for name in ("token", "post_id", "tag"):
        if not row[name]:
            raise ValueError(f"no {name}; feedback needs one")
    if event.rank is not None and not 0 <= event.rank <= MAX_ID:
        raise ValueError(f"rank is {event.rank}; it counts from 0 to {MAX_ID:,}")
    if event.score is not None and not math.isfinite(event.score):
        raise ValueError("score is not a finite number")
    community = row["community"] or ""
    names = {"key": ("feedback", row["token"]), "post": ("post", row["post_id"])}
    digests = {column: digest(kind, community, name or "") for column, (kind, name) in names.items()}
    return row | digests | marks(community, row["user"])


def as_feedback(row: sa.Row) -> Feedback:
    """A row of the store as feedback."""
    values = {name: getattr(row, name) for name in Feedback.__slots__}
    return Feedback(**values | {"at": moment_of(row.at)})


def plain_feedback(event: Feedback) -> dict[str, Any]:
    """Feedback in plain types, for JSON."""
    values = {name: getattr(event, name) for name in Feedback.__slots__}
    return values | {"at": event.at.isoformat() if event.at else None}
