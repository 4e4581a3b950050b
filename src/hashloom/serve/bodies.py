"""What is sent to the API and what it answers, field by field; the limits are those of ``ServeSettings``."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from hashloom.serve.settings import ServeSettings

MOST = ServeSettings()
UNKNOWN = 20
"""So many unknown fields are each told of; more are refused at once."""


def _no_surprise(value: datetime) -> datetime:
    if not 1990 <= value.year <= 2100:
        raise ValueError("the year must be from 1990 to 2100")
    return value


def _counted(value: Any) -> Any:
    """JSON's 5.0 is the whole number 5; true and "5" are none."""
    if isinstance(value, bool | str):
        raise ValueError("must be a whole number")
    return value


def _written(value: Any) -> Any:
    """Numbers are refused: whether they are seconds or milliseconds would be guessed."""
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("write it as in 2025-03-02T08:41:00Z")
    return value


def _known_platform(name: str) -> str:
    from hashloom.platforms import platforms

    if name not in platforms():
        raise ValueError(f"use one of {', '.join(platforms())}")
    return name


def _platform_names(schema: dict[str, Any]) -> None:
    from hashloom.platforms import platforms

    schema["enum"] = list(platforms())


Name = Annotated[str, StringConstraints(max_length=MOST.max_name)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=MOST.max_name, pattern=r"\S")]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=MOST.max_tag)]
Tags = Annotated[list[Tag], Field(max_length=MOST.max_tags)]
SpaceTags = Annotated[list[Tag], Field(max_length=MOST.max_space)]
Language = Annotated[str, StringConstraints(max_length=35)]
Dial = Annotated[float, Field(strict=True, ge=0, le=1)]
Rank = Annotated[int, Field(ge=0, le=1_000), BeforeValidator(_counted)]
K = Annotated[int, Field(ge=1, le=MOST.max_k), BeforeValidator(_counted)]
YesNo = Annotated[bool, Field(strict=True)]
Digest = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]
Why = Annotated[str, StringConstraints(max_length=1_000)]
Number = Annotated[float, Field(strict=True, ge=0, le=1e15, allow_inf_nan=False)]
Address = Annotated[str, StringConstraints(min_length=1, max_length=2_000)]
When = Annotated[
    AwareDatetime, AfterValidator(_no_surprise), BeforeValidator(_written),
    Field(json_schema_extra={"pattern": "^(199[0-9]|20[0-9]{2}|2100)-"}),
]  # fmt: skip
PlatformName = Annotated[str, AfterValidator(_known_platform), Field(json_schema_extra=_platform_names)]


class Body(BaseModel):
    """Something sent: unknown fields are refused, so that a misspelt one does not go unnoticed."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few(cls, value: Any) -> Any:
        """Stop before hundreds of thousands of unknown fields are each told of."""
        if isinstance(value, dict) and len(value) > len(cls.model_fields) + UNKNOWN:
            raise ValueError(f"more than {UNKNOWN} unknown fields")
        return value


class Said(BaseModel):
    """Something answered."""

    request_id: str = Field("", description="Names this request in the service's log")


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


# ---- suggestions


class DraftBody(Body):
    """A post that is being written."""

    model_config = _example(text="Rye loaf, day two of the starter", community="bakers", user="mo", k=5)

    text: Annotated[str, StringConstraints(max_length=MOST.max_text)] = Field(
        "", description="The text; hashtags in it count as chosen"
    )
    community: Name | None = Field(None, description="Left out: the key's own, else the one without a name")
    user: Name | None = Field(None, description="The author, whose habits are known; readers' keys: nobody's")
    post_id: Id | None = Field(None, description="Tags rejected for this post are not suggested again")
    k: K = Field(10, description="So many suggestions at most")
    language: Language | None = Field(None, description="Of text and reasons, such as en or ja")
    platform: PlatformName | None = Field(None, description="Its limit, form and length of tags are kept")
    chosen: Tags = Field([], description="Tags the post has already; they are not suggested")
    unwanted: Tags = Field([], description="Tags not to be suggested")
    picture_urls: Annotated[list[Address], Field(max_length=MOST.max_pictures)] = Field(
        [], description="Addresses of pictures, where this service fetches any; else they are noted and passed over"
    )
    explain: YesNo = Field(False, description="Whether reasons are told")
    sensitive: YesNo = Field(False, description="Whether sensitive tags are wanted that the text does not name")
    popularity: Dial | None = Field(None, description="How much often used tags are moved down")
    diversity: Dial | None = Field(None, description="How much tags like an earlier one are moved down")
    novelty: Dial | None = Field(None, description="How much new tags are moved up")
    adaptive: YesNo | None = Field(None, description="Whether the list ends where it is expected to be best, up to k")


class DraftsBody(Body):
    """Many drafts."""

    model_config = _example(drafts=[{"text": "Rye loaf", "community": "bakers"}])

    drafts: list[DraftBody] = Field(max_length=MOST.max_drafts)


class ReasonSaid(BaseModel):
    """Why a tag is suggested; ``where`` is a word span (12:17), a region, an earlier post's id, …"""

    source: str
    where: str
    weight: float
    sentence: str


class MarksSaid(BaseModel):
    """How much each word and each region of the picture carries of a tag."""

    kind: Literal["attention", "contribution", "occlusion"]
    words: list[tuple[str, float]]
    regions: list[list[float]] | None = Field(description="Of the first picture, row by row")
    box: tuple[float, float, float, float] | None = Field(
        description="The part of the picture that regions cover, in shares of its sides: left, top, right, bottom"
    )


class SuggestionSaid(BaseModel):
    """One suggested tag."""

    tag: str
    score: float = Field(description="Comparable within one answer")
    probability: float | None = Field(description="The chance that it is right; calibrated models alone know it")
    reasons: list[ReasonSaid]
    marks: MarksSaid | None


class AnswerSaid(Said):
    """What is suggested, and which way the answer came."""

    suggestions: list[SuggestionSaid]
    model: str | None = Field(description="Digest of the model that answered")
    way: Literal["model", "previous model", "favourites", "none"]
    why: str = Field(description="What failed before this way was taken; empty where nothing did")
    notes: list[str]
    took_ms: float


class AnswersSaid(Said):
    """One answer per draft, in their order."""

    answers: list[AnswerSaid]


class ForecastSaid(BaseModel):
    """The attention a post is expected to get, on the scale that ``formula`` names."""

    value: float
    low: float
    high: float
    formula: str
    coverage: float = Field(description="Share of posts whose number the interval is to hold")
    number: str = Field(description="What is counted, such as likes")
    numbers: tuple[float, float, float] | None = Field(description="Value, low and high as that number")
    reasons: list[ReasonSaid]


class ForecastAnswerSaid(Said):
    """A forecast, or why there is none."""

    forecast: ForecastSaid | None
    model: str | None
    way: str
    why: str
    notes: list[str]
    took_ms: float


# ---- posts


class PostBody(Body):
    """A post's content. Views, likes and comments are what is known of it by now."""

    model_config = _example(text="Rye loaf, day two", user="mo", created_at="2025-03-02T08:41:00Z", tags=["Sourdough"])

    text: Annotated[str, StringConstraints(max_length=MOST.max_post_text)] = ""
    user: Name | None = None
    created_at: When | None = Field(
        None, description="With a time zone. Left out: the moment of arrival, or the one that the post had"
    )
    tags: Tags = []
    images: Annotated[list[Digest], Field(max_length=MOST.max_pictures)] = Field(
        [], description="Names of pictures that were sent before to this community"
    )
    language: Language | None = None
    views: Number | None = None
    likes: Number | None = None
    comments: Number | None = None
    popularity: Annotated[float, Field(strict=True, ge=-1e15, le=1e15, allow_inf_nan=False)] | None = None
    reviewed: YesNo = Field(True, description="False: nobody has looked at the tags; nothing is learnt from the post")


class PostRow(PostBody):
    """A post with its place."""

    model_config = _example(id="p1", community="bakers", text="Rye loaf", user="mo", tags=["Sourdough"])

    id: Id
    community: Name | None = None


class PostsBody(Body):
    """Many posts."""

    posts: list[PostRow] = Field(max_length=MOST.max_posts)


class PutSaid(Said):
    """What became of a post."""

    status: Literal["new", "changed", "same"]


class RefusedSaid(BaseModel):
    """What was not taken, by its place in the list, and why."""

    at: int
    reason: str


class PutManySaid(Said):
    """What became of many posts or events."""

    new: int
    changed: int = 0
    same: int = 0
    refused: list[RefusedSaid]


class DeletedSaid(Said):
    """How much was deleted."""

    deleted: int


class PostSaid(Said):
    """A post as it is stored."""

    id: str
    community: str
    text: str
    user: str | None
    created_at: datetime | None
    tags: list[str]
    images: list[str]
    language: str | None
    views: float | None
    likes: float | None
    comments: float | None
    popularity: float | None


class PictureSaid(Said):
    """The name of a picture that was kept, for the images of that community's posts: the SHA-256 of both."""

    sha256: str
    kind: str


class EventBody(Body):
    """What an author did with a tag."""

    model_config = _example(
        token="6f1c", community="bakers", post_id="p1", tag="Sourdough", event="accepted", user="mo", rank=0
    )

    token: Id = Field(description="The sender's name for the event; one sent again counts once")
    community: Name | None = None
    post_id: Id
    tag: Tag
    event: Literal["shown", "accepted", "rejected", "typed"]
    user: Name | None = None
    rank: Rank | None = None
    score: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = None
    model: Digest | None = None


class EventsBody(Body):
    """Many events."""

    events: list[EventBody] = Field(max_length=MOST.max_events)


class FeedbackSaid(Said):
    """What became of events."""

    new: int
    repeated: int
    refused: list[RefusedSaid]


class DaySaid(BaseModel):
    """How suggestions fared on a day."""

    day: str
    shown: int
    accepted: int
    rejected: int
    typed: int


class QualitySaid(Said):
    """How suggestions fared lately."""

    days: list[DaySaid]
