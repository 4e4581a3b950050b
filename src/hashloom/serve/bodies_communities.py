"""What readers are answered about communities, platforms and themselves."""

from __future__ import annotations

from pydantic import BaseModel

from hashloom.serve.bodies import Said


class TrendSaid(BaseModel):
    """A tag that is used now: what its authors' latest uses are worth."""

    tag: str
    worth: float
    authors: int
    uses: int


class TrendsSaid(Said):
    """What is used now."""

    trends: list[TrendSaid]


class UsedSaid(BaseModel):
    """A tag and how many authors used it."""

    tag: str
    authors: int
    uses: int


class CompletedSaid(Said):
    """Tags that begin as typed."""

    tags: list[UsedSaid]


class CommunitiesSaid(Said):
    """The communities in reach, with the number of their posts; 0: it has a tag space alone."""

    communities: dict[str, int]


class CallerSaid(Said):
    """Who asks, and the limits of what may be asked."""

    role: str
    community: str | None
    limits: dict[str, int]


class PlatformSaid(BaseModel):
    """What a platform takes, as known on the day ``checked``."""

    name: str
    limit: int | None
    graphemes: int | None
    bytes: int | None
    sign: bool
    source: str
    checked: str


class PlatformsSaid(Said):
    """All platforms."""

    platforms: list[PlatformSaid]
