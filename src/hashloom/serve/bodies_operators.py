"""What operators send and get: tag spaces, models, keys, authors."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from hashloom.serve.bodies import MOST, Body, Digest, Name, Said, SpaceTags, Tag, Why, YesNo, _example

Sentence = Annotated[str, StringConstraints(max_length=1_000)]
Aliases = Annotated[dict[Tag, Tag], Field(max_length=MOST.max_space)]


class SpaceBody(Body):
    """A whole tag space, as ``GET`` gives it: what is left out is emptied."""

    model_config = _example(tags={"sourdough": "Sourdough"}, closed=False, denied=["spam"], why="first list")

    tags: Annotated[dict[Tag, Tag], Field(max_length=MOST.max_space)] = Field({}, description="Key → form shown")
    closed: YesNo = False
    aliases: Aliases = Field({})
    denied: SpaceTags = Field([])
    describe: Annotated[dict[Tag, Sentence], Field(max_length=MOST.max_space)] = Field({})
    sensitive: SpaceTags = Field([], description="Suggested only where a draft's own text names them")
    why: Why = ""


class SpacePatch(Body):
    """Changes of a tag space."""

    model_config = _example(closed=True, add=["Rye"], remove=["oat"], why="season")

    closed: YesNo | None = None
    add: SpaceTags = Field([], description="Listed in the form in which they are shown")
    remove: SpaceTags = Field([])
    why: Why = ""


class AliasesBody(Body):
    """Names that stand for other tags; null ends one."""

    model_config = _example(aliases={"levain": "sourdough"})

    aliases: Annotated[dict[Tag, Tag | None], Field(max_length=MOST.max_space)]
    why: Why = ""


class DeniedBody(Body):
    """Tags never to be given, with all that looks like them."""

    model_config = _example(add=["spam"], remove=[])

    add: SpaceTags = Field([])
    remove: SpaceTags = Field([])
    why: Why = ""


class SensitiveBody(Body):
    """Tags to be given, with all that looks like them, only where a draft's own text names them."""

    model_config = _example(add=["depression"], remove=[])

    add: SpaceTags = Field([])
    remove: SpaceTags = Field([])
    why: Why = ""


class MergeBody(Body):
    """Tags that become one."""

    model_config = _example(tags=["levain", "leaven"], into="sourdough")

    tags: SpaceTags
    into: Tag
    why: Why = ""


class DescribeBody(Body):
    """A sentence per tag; null removes it."""

    model_config = _example(describe={"sourdough": "Bread raised by wild yeast"})

    describe: Annotated[dict[Tag, Sentence | None], Field(max_length=MOST.max_space)]
    why: Why = ""


class SpaceSaid(Said):
    """A community's tag space."""

    community: str
    tags: dict[str, str]
    closed: bool
    aliases: dict[str, str]
    denied: list[str]
    describe: dict[str, str]
    sensitive: list[str]


class SpaceChangeSaid(BaseModel):
    """One change of a tag space."""

    version: int
    by: str
    why: str
    changed: dict[str, Any]
    at: datetime


class SpaceLogSaid(Said):
    """All changes of a tag space, the first one first."""

    changes: list[SpaceChangeSaid]


class PairsSaid(Said):
    """Listed tags that look alike."""

    pairs: list[list[str]]


class AlikeSaid(BaseModel):
    """Two tags whose posts are alike, the more frequent one first; ``together`` counts posts with both."""

    tags: tuple[str, str]
    likeness: float = Field(description="1: their posts hold the same words and tags; 0: as unlike as any two")
    posts: tuple[int, int]
    together: int


class AlikesSaid(Said):
    """Tags that may mean the same, the most alike first, and how many posts were looked at."""

    pairs: list[AlikeSaid]
    looked_at: int


class ModelSaid(BaseModel):
    """A model of the store."""

    name: str
    digest: str
    added_at: datetime
    published: bool
    previous: bool = Field(description="The one to roll back to")
    shadow: bool
    facts: dict[str, Any]


class ModelsSaid(Said):
    """All models, the refused ones of this process with the reason, and what was seen of the candidate."""

    models: list[ModelSaid]
    serving: dict[str, str | None]
    refused: dict[str, str]
    shadow: dict[str, Any] | None


class DigestBody(Body):
    """Which model is meant."""

    model_config = _example(digest="0" * 64)

    digest: Digest


class ShadowBody(Body):
    """The candidate; null: none."""

    model_config = _example(digest=None)

    digest: Digest | None


class ServingSaid(Said):
    """What is published and what answers now."""

    published: str | None
    serving: dict[str, str | None]


class KeyBody(Body):
    """A key to be made."""

    model_config = _example(role="writer", community="bakers", rate=20, note="the forum's server")

    role: Literal["reader", "writer", "operator", "admin"]
    community: Name | None = Field(None, description="Left out: the maker's own scope")
    rate: Annotated[float, Field(strict=True, ge=0.01, le=1e6)] | None = Field(None, description="Requests a second")
    note: Why = ""


class KeySaid(BaseModel):
    """A key without its secret."""

    id: str
    role: str
    community: str | None
    rate: float | None
    note: str
    made_at: datetime
    revoked_at: datetime | None


class NewKeySaid(Said):
    """A new key's secret, which is shown this once."""

    id: str
    secret: str


class KeysSaid(Said):
    """All keys in reach."""

    keys: list[KeySaid]


class RevokedSaid(Said):
    """Whether a key was ended just now; False: it had been before."""

    revoked: bool


class AuthorSaid(Said):
    """Everything held about an author."""

    user: str
    posts: list[dict[str, Any]]
    feedback: list[dict[str, Any]]
    pictures: list[dict[str, Any]]


class ForgottenSaid(Said):
    """Where something of an author was, what is left there, and whether the running models know it too."""

    where: dict[str, int]
    left: dict[str, int]
    erased: bool
    models: bool
    at: datetime


class CommunityForgottenSaid(ForgottenSaid):
    """Where something of a community was, its revoked keys among it, and what is left."""


class StatusSaid(Said):
    """How the service fares, for operators of all communities."""

    ready: bool
    recommender: str | None
    previous: str | None
    forecaster: str | None
    shadow: dict[str, Any] | None
    refused: dict[str, str]
    posts: int
    behind_seconds: float
    trouble: str


class UncertainSaid(BaseModel):
    """A post whose tags want a look, with what the model would say."""

    id: str
    text: str
    tags: list[str]
    suggested: list[str]
    doubt: float


class ReviewSaid(Said):
    """Posts whose tags want a look, the most doubtful first."""

    posts: list[UncertainSaid]
