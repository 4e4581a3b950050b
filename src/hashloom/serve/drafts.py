"""What the engine is asked and what it answers: drafts, suggestions, forecasts, and posts by names no two share."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hashloom.data.rows import Row, check
from hashloom.types import Marks, Post, Posts, Reason

Way = Literal["model", "previous model", "favourites", "none"]
WAYS: tuple[Way, ...] = ("model", "previous model", "favourites", "none")
DIALS = ("popularity", "diversity", "novelty", "adaptive")


@dataclass(frozen=True)
class Draft:
    """A post that is being written. ``pictures`` are paths of files that were checked; tags are in any form.

    ``post_id`` names the post where it has an id already: tags rejected for it are not suggested again. ``sensitive``
    asks for sensitive tags also where the text names none (see ``hashloom.sensitive``). Dials are
    from 0 (off) to 1, None: as the model was published; so is ``adaptive``, with which a list may end before ``k``.
    """

    text: str = ""
    community: str = ""
    user: str | None = None
    post_id: str | None = None
    k: int = 10
    language: str | None = None
    platform: str | None = None
    pictures: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    explain: bool = False
    sensitive: bool = False
    popularity: float | None = None
    diversity: float | None = None
    novelty: float | None = None
    adaptive: bool | None = None

    def post(self) -> Post:
        """The draft as a post for a model; hashtags in its text become its tags.

        >>> Draft("Rye loaf #baking", "bakers").post().tags
        ('baking',)
        """
        fields = {"id": "draft", "text": self.text, "community": self.community, "user": self.user,
                  "language": self.language, "images": list(self.pictures)}  # fmt: skip
        made, _, _ = check(Row("draft", fields))
        known = self.post_id and scoped(made["community"], self.post_id)
        made |= {"id": known or f"?{uuid.uuid4().hex}", "images": self.pictures, "tags": tuple(made["tags"])}
        return Post(**made)

    def dials(self) -> dict[str, float]:
        """The dials that were turned."""
        return {name: value for name in DIALS if (value := getattr(self, name)) is not None}


@dataclass(frozen=True)
class Told:
    """One reason in words. ``where`` is a word span, a region, an earlier post of the same community, …"""

    source: str
    where: str
    weight: float
    sentence: str = ""


@dataclass(frozen=True)
class Suggested:
    """One suggested tag; ``probability`` is known of calibrated models alone."""

    tag: str
    score: float
    probability: float | None = None
    reasons: tuple[Told, ...] = ()
    marks: Marks | None = None


@dataclass(frozen=True)
class Answer:
    """What is suggested, by which model, and which way it came; ``why`` says what failed before that way.

    ``kind`` is a short name of that failure for counters: it holds nothing of the draft.
    """

    suggestions: tuple[Suggested, ...] = ()
    model: str | None = None
    way: Way = "none"
    why: str = ""
    kind: str = ""
    notes: tuple[str, ...] = ()
    took_ms: float = 0.0

    @property
    def tags(self) -> list[str]:
        """The suggested tags, best first."""
        return [one.tag for one in self.suggestions]


@dataclass(frozen=True)
class Forecasted:
    """A forecast on the scale that ``formula`` names; ``numbers`` are value, low and high as the number itself."""

    value: float
    low: float
    high: float
    formula: str
    coverage: float
    number: str = ""
    numbers: tuple[float, float, float] | None = None
    reasons: tuple[Told, ...] = ()


@dataclass(frozen=True)
class ForecastAnswer:
    """A forecast, or why there is none."""

    forecast: Forecasted | None = None
    model: str | None = None
    way: Way = "none"
    why: str = ""
    kind: str = ""
    took_ms: float = 0.0


@dataclass
class Health:
    """How the service fares, for operators."""

    ready: bool
    recommender: str | None
    previous: str | None
    forecaster: str | None
    shadow: dict[str, Any] | None
    refused: dict[str, str] = field(default_factory=dict)
    posts: int = 0
    behind_seconds: float = 0.0
    trouble: str = ""


def scoped(community: str, id: str) -> str:
    """A post's name within a model, which no post of another community can have.

    >>> scoped("bakers", "p1"), unscoped("6:bakers:p1"), unscoped("p1")
    ('6:bakers:p1', ('bakers', 'p1'), None)
    """
    return f"{len(community)}:{community}:{id}"


def unscoped(name: str) -> tuple[str, str] | None:
    """Community and id of a scoped name; None where it is none."""
    size, colon, rest = name.partition(":")
    if not (colon and size.isascii() and size.isdigit() and len(size) < 10):
        return None
    at = int(size)
    return (rest[:at], rest[at + 1 :]) if rest[at : at + 1] == ":" else None


def with_scoped_ids(posts: Posts) -> Posts:
    """The posts under scoped names, as the running models learn them; train models for a service on these.

    >>> with_scoped_ids(Posts.of([Post("p1", "rye", "bakers")])).ids
    ['6:bakers:p1']
    """
    import polars as pl

    names = [scoped(c, i) for c, i in zip(posts.communities, posts.ids)]
    return Posts(posts.frame.with_columns(pl.Series("id", names, dtype=pl.String())))


def told(
    reasons: Sequence[Reason], text: str, language: str | None, earlier: Mapping[str, Post], formula: str = ""
) -> tuple[Told, ...]:
    """Reasons in words, Japanese for a draft in that language, else English; ``earlier``: the posts that they name.

    >>> told([Reason("text", "0:3", 0.5)], "rye loaf", "en", {})[0].where
    '0:3'
    """
    from hashloom.explain.sentences import sentence

    spoken: Literal["en", "ja"] = "ja" if (language or "").lower().startswith("ja") else "en"
    return tuple(
        Told(one.source, one.where, float(one.weight),
             sentence(one, spoken, formula=formula, text=text, earlier=earlier))
        for one in reasons
    )  # fmt: skip
