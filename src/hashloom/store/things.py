"""What goes into the store and comes out of it, beside posts and tag spaces."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

Event = Literal["shown", "accepted", "rejected", "typed"]
EVENTS: tuple[Event, ...] = ("shown", "accepted", "rejected", "typed")
ChangeKind = Literal[
    "post", "post_deleted", "author_deleted", "community_deleted", "space", "model", "feedback", "restored"
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> int:
    """Microseconds since 1970 in UTC; a moment without a zone is refused.

    >>> micros(datetime(1970, 1, 2, tzinfo=UTC))
    86400000000
    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone; give it one, such as datetime.UTC")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(number: int) -> datetime:
    """The moment in UTC that ``micros`` made a number of."""
    return _EPOCH + timedelta(microseconds=number)


def now() -> int:
    """This moment as ``micros``."""
    return micros(datetime.now(UTC))


@dataclass
class Put:
    """What became of posts that were put: their numbers, and the refused ones by id with the reason."""

    new: int = 0
    changed: int = 0
    same: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody did with a suggested tag, or that it was shown, or that a tag was typed by hand.

    ``token`` is the caller's name for the event: one that is repeated within a community counts once. ``rank`` counts
    from 0, ``model`` is the digest of the model that suggested it.

    >>> Feedback("t1", "bakers", "p1", "rye", "accepted", rank=0).event
    'accepted'
    """

    token: str
    community: str
    post_id: str
    tag: str
    event: Event
    user: str | None = None
    rank: int | None = None
    score: float | None = None
    model: str | None = None
    at: datetime | None = None
    """When it happened; None: now."""


@dataclass
class FeedbackPut:
    """What became of feedback that was put; the refused by token with the reason."""

    new: int = 0
    repeated: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Day:
    """How suggestions fared on one day (in UTC)."""

    day: date
    shown: int = 0
    accepted: int = 0
    rejected: int = 0
    typed: int = 0


@dataclass(frozen=True)
class DeletionReport:
    """Where something of an author or community was found and removed, and what is left (nothing, or it is a fault).

    ``erased``: the freed pages were overwritten too. False where a reader held the journal (repeat it), and on
    PostgreSQL, which reuses the room after its next vacuum.
    """

    where: dict[str, int]
    left: dict[str, int]
    erased: bool
    at: datetime


@dataclass(frozen=True)
class SpaceChange:
    """One entry of a tag space's log: ``changed`` has each altered field with [before, after] per entry."""

    version: int
    by: str
    why: str
    changed: dict[str, Any]
    at: datetime


@dataclass(frozen=True)
class Model:
    """A model that the store keeps, and whether it is the published one of its name, the one before, or the shadow."""

    name: str
    digest: str
    folder: Path
    facts: dict[str, Any]
    added_at: datetime
    published: bool = False
    shadow: bool = False
    previous: bool = False


@dataclass(frozen=True)
class Key:
    """An API key without its secret. ``community`` None: all.

    ``rate``: requests a second; None: what the service grants a key that states none (``ServeSettings.default_rate``).
    """

    id: str
    role: str
    community: str | None
    rate: float | None
    note: str
    made_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the log that running services read.

    ``ref`` names what: a post's id (post, post_deleted, feedback), an author's mark (author_deleted, see
    ``Store.mark``), a community's (community_deleted, see ``Store.community_mark``), a model's name, a tag space's
    version; ``restored`` asks to read everything anew.
    """

    seq: int
    kind: ChangeKind
    community: str
    ref: str
    at: datetime


@dataclass
class Restored:
    """How many rows a backup brought back per table, and how many stayed out as they were deleted since."""

    rows: dict[str, int] = field(default_factory=dict)
    kept_out: dict[str, int] = field(default_factory=dict)
