"""What the client answers and raises, and how both are made of what the service says."""

from __future__ import annotations

import http.client
import json
import urllib.error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, TypedDict

Event = Literal["shown", "accepted", "rejected", "typed"]
Role = Literal["reader", "writer", "operator", "admin"]
MAX_ANSWER = 64_000_000
"""Bytes of an answer; a longer one is refused."""

# ---------------------------------------------------------------- what is sent


class DraftFields(TypedDict, total=False):
    """What is said of a draft beside its text and pictures; what is left out stands as the API has it."""

    community: str | None
    user: str | None
    post_id: str | None
    k: int
    language: str | None
    platform: str | None
    chosen: Sequence[str]
    unwanted: Sequence[str]
    picture_urls: Sequence[str]
    explain: bool
    sensitive: bool
    popularity: float | None
    diversity: float | None
    novelty: float | None
    adaptive: bool | None


class DraftRow(DraftFields, total=False):
    """A draft among many."""

    text: str


class PostFields(TypedDict, total=False):
    """A post's content. A moment needs a zone; ``images`` are names of pictures that ``put_picture`` gave."""

    text: str
    user: str | None
    created_at: datetime | str | None
    tags: Sequence[str]
    images: Sequence[str]
    language: str | None
    views: float | None
    likes: float | None
    comments: float | None
    popularity: float | None
    reviewed: bool


class PostRow(PostFields, total=False):
    """A post among many, with its place."""

    id: str
    community: str | None


# ---------------------------------------------------------------- what may go wrong


class ServiceError(RuntimeError):
    """The service refused or failed. ``status`` 0: it could not be reached; ``errors`` name fields."""

    def __init__(self, status: int, detail: str, *, request_id: str = "", errors: Sequence[Mapping[str, Any]] = (),
                 retry_after: float | None = None) -> None:  # fmt: skip
        places = "; ".join(f"{one.get('field')}: {one.get('message')}" for one in errors)
        said = f"{detail} ({places})" if places else detail
        super().__init__(f"{status or 'no answer'}: {said}" + (f" [request {request_id}]" if request_id else ""))
        self.status = status
        self.detail = detail
        self.request_id = request_id
        self.errors = list(errors)
        self.retry_after = retry_after


class Refused(ServiceError):
    """What was sent is not as it must be (400, 413, 415, 422, …), or not possible in the present state (409)."""


class NotAllowed(ServiceError):
    """No key, a wrong one (401), or one that may not do this (403)."""


class NotFound(ServiceError):
    """There is nothing of this name (404)."""


class Deleted(ServiceError):
    """It was deleted, and what was deleted is not taken in again (410)."""


class TooMany(ServiceError):
    """Too many requests (429); ``retry_after`` says how many seconds to wait."""


class Unavailable(ServiceError):
    """The service is away, too slow, or cannot do this at the moment (5xx)."""


KINDS: dict[int, type[ServiceError]] = {
    401: NotAllowed, 403: NotAllowed, 404: NotFound, 408: Unavailable, 410: Deleted, 429: TooMany,
}  # fmt: skip


# ---------------------------------------------------------------- what is answered


@dataclass(frozen=True)
class Reason:
    """Why a tag is suggested or a number forecast."""

    source: str
    where: str
    weight: float
    sentence: str


@dataclass(frozen=True)
class Suggestion:
    """One suggested tag; ``probability`` is known of calibrated models alone."""

    tag: str
    score: float
    probability: float | None = None
    reasons: tuple[Reason, ...] = ()
    marks: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Answer:
    """Suggestions, best first, the digest of the model that gave them, and which way they came."""

    suggestions: tuple[Suggestion, ...]
    model: str | None
    way: str
    why: str
    notes: tuple[str, ...]
    took_ms: float
    request_id: str = ""

    @property
    def tags(self) -> list[str]:
        """The suggested tags, best first."""
        return [one.tag for one in self.suggestions]


@dataclass(frozen=True)
class Forecast:
    """The attention a post is expected to get, on the scale of ``formula``; ``numbers`` as the number itself."""

    value: float
    low: float
    high: float
    formula: str
    coverage: float
    number: str
    numbers: tuple[float, float, float] | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class ForecastAnswer:
    """A forecast, or why there is none."""

    forecast: Forecast | None
    model: str | None
    way: str
    why: str
    took_ms: float
    request_id: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Put:
    """What became of posts or events that were sent; ``refused`` has their places in the list and the reasons."""

    new: int
    changed: int = 0
    same: int = 0
    repeated: int = 0
    refused: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True)
class Space:
    """A community's tag space."""

    community: str
    tags: Mapping[str, str]
    closed: bool
    aliases: Mapping[str, str]
    denied: tuple[str, ...]
    describe: Mapping[str, str]
    sensitive: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A model that the service keeps."""

    name: str
    digest: str
    added_at: datetime
    published: bool
    shadow: bool
    facts: Mapping[str, Any]
    previous: bool = False
    """The one to roll back to."""


@dataclass(frozen=True)
class Me:
    """Role, community (None: all) and limits of the key that asks."""

    role: str
    community: str | None
    limits: Mapping[str, int]


@dataclass(frozen=True)
class Day:
    """How suggestions fared on a day, written as in 2025-03-02."""

    day: str
    shown: int
    accepted: int
    rejected: int
    typed: int


@dataclass(frozen=True)
class Uncertain:
    """A post whose tags want a look, with what the model would say; the more doubtful the higher ``doubt``."""

    id: str
    text: str
    tags: tuple[str, ...]
    suggested: tuple[str, ...]
    doubt: float


@dataclass(frozen=True)
class Key:
    """A key without its secret; ``community`` None: all, ``rate``: requests a second."""

    id: str
    role: str
    community: str | None
    rate: float | None
    note: str
    made_at: datetime
    revoked_at: datetime | None


# ---------------------------------------------------------------- made of what the service says


def parsed(content: bytes) -> dict[str, Any]:
    """The object that the service answered; anything else is refused."""
    if len(content) > MAX_ANSWER:
        raise ServiceError(0, f"the answer has more than {MAX_ANSWER:,} bytes; ask for less at once")
    try:
        said = json.loads(content)
    except ValueError:
        raise ServiceError(0, "the answer is no JSON; is this the address of a Hashloom service?") from None
    if not isinstance(said, dict):
        raise ServiceError(0, "the answer is no object; is this the address of a Hashloom service?")
    return said


def problem(error: urllib.error.HTTPError) -> ServiceError:
    """The exception for an answer that is no success."""
    status = error.code
    try:
        said = json.loads(error.read(1_000_000))
    except (ValueError, OSError, http.client.HTTPException):
        said = None
    said = said if isinstance(said, dict) else {}
    detail = str(said.get("detail") or error.reason or "")
    if 300 <= status < 400:
        detail = "the address leads elsewhere; give the client the final address"
    kind = KINDS.get(status, Refused if 400 <= status < 500 else Unavailable if status >= 500 else ServiceError)
    found = [one for one in said.get("errors") or () if isinstance(one, dict)]
    return kind(status, detail, request_id=str(said.get("request_id") or ""), errors=found,
                retry_after=seconds(error.headers.get("Retry-After")))  # fmt: skip


def seconds(given: str | None) -> float | None:
    """Seconds of a Retry-After; None where it states none."""
    return float(given) if given and given.strip().isascii() and given.strip().isdigit() else None


def known(kind: type, said: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this client knows: a later service may answer more."""
    return {f.name: said[f.name] for f in fields(kind) if f.name in said}


def reasons(rows: Sequence[Mapping[str, Any]]) -> tuple[Reason, ...]:
    """Reasons of an answer."""
    return tuple(Reason(**known(Reason, one)) for one in rows)


def answer(said: Mapping[str, Any]) -> Answer:
    """An answer with its suggestions."""
    rows = tuple(
        Suggestion(**known(Suggestion, one) | {"reasons": reasons(one["reasons"])}) for one in said["suggestions"]
    )
    return Answer(**known(Answer, said) | {"suggestions": rows, "notes": tuple(said["notes"])})


def put(said: Mapping[str, Any]) -> Put:
    """What became of what was sent."""
    refused = tuple((int(one["at"]), str(one["reason"])) for one in said["refused"])
    return Put(**known(Put, said) | {"refused": refused})


def space(said: Mapping[str, Any]) -> Space:
    """A tag space."""
    lists = {name: tuple(said[name]) for name in ("denied", "sensitive") if name in said}
    return Space(**known(Space, said) | lists)


def model(said: Mapping[str, Any]) -> Model:
    """A model of the service."""
    return Model(**known(Model, said) | {"added_at": datetime.fromisoformat(said["added_at"])})


def uncertain(said: Mapping[str, Any]) -> Uncertain:
    """A post that wants a look."""
    lists = {"tags": tuple(said["tags"]), "suggested": tuple(said["suggested"])}
    return Uncertain(**known(Uncertain, said) | lists)


def access(said: Mapping[str, Any]) -> Key:
    """A key without its secret."""
    moments = {name: said[name] and datetime.fromisoformat(said[name]) for name in ("made_at", "revoked_at")}
    return Key(**known(Key, said) | moments)
