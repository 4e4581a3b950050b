"""What the routes share: engine, store, keys and counters of one service, and small conversions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from fastapi import Request
from pydantic import BaseModel

from hashloom.data.rows import clean
from hashloom.serve.auth import Caller, Keys
from hashloom.serve.bodies import AnswerSaid, DraftBody, MarksSaid, ReasonSaid, SuggestionSaid
from hashloom.serve.drafts import Answer, Draft, Told
from hashloom.serve.metrics import Metrics
from hashloom.serve.problems import DETAILS, MEDIA, Problem
from hashloom.serve.settings import ServeSettings

if TYPE_CHECKING:
    from hashloom.serve.engine import Engine
    from hashloom.store import Store

T = TypeVar("T")
LIMITED = {
    "text": "max_text", "k": "max_k", "chosen": "max_tags", "unwanted": "max_tags", "tags": "max_tags",
    "images": "max_pictures", "drafts": "max_drafts", "posts": "max_posts", "events": "max_events", "tag": "max_tag",
    "id": "max_name", "community": "max_name", "user": "max_name", "post_id": "max_name", "token": "max_name",
}  # fmt: skip
"""Fields whose limits a service may set lower than the API's own."""
NAMELESS = "a reader's key may not name an author; user was passed over"


@dataclass
class Service:
    """One running service."""

    engine: Engine
    store: Store
    settings: ServeSettings
    keys: Keys
    metrics: Metrics

    _batches: anyio.CapacityLimiter | None = None

    async def run_batch(self, work: Callable[..., T], *args: Any) -> T:
        """Do it in one of a few threads for batches, so that single requests find theirs however many batches wait."""
        if self._batches is None:  # made within the loop that it belongs to
            self._batches = anyio.CapacityLimiter(max(1, self.settings.threads // 4))
        return await anyio.to_thread.run_sync(work, *args, limiter=self._batches)

    def lowered(self, body: BaseModel) -> None:
        """Refuse what breaks a limit that this service has set lower than the API's own."""
        for name, limit in LIMITED.items():
            value = getattr(body, name, None) if name in body.model_fields_set else None
            if name == "text" and not isinstance(body, DraftBody):
                limit = "max_post_text"
            size = value if isinstance(value, int) else len(value) if isinstance(value, str | list) else 0
            if limit == "max_tags" and any(len(tag) > self.settings.max_tag for tag in value or ()):
                size, limit = self.settings.max_tag + 1, "max_tag"
            if size > getattr(self.settings, limit):
                message = f"at most {getattr(self.settings, limit):,}"
                raise Problem(422, errors=[{"field": name, "message": message}])
        for inner in (one for name in ("drafts", "posts", "events") for one in getattr(body, name, None) or ()):
            self.lowered(inner)

    def draft(self, body: DraftBody, caller: Caller) -> Draft:
        """The draft of a body, within the caller's community."""
        self.lowered(body)
        community = caller.community_of(body.community)
        values: dict[str, Any] = {f.name: getattr(body, f.name, None) for f in fields(Draft)} | {"community": community}
        values |= {
            "pictures": (),
            "k": min(body.k, self.settings.max_k),
            "chosen": tuple(body.chosen),
            "unwanted": tuple(body.unwanted),
        }
        # As the store keeps them: a deletion finds the draft by these names.
        values |= {
            name: (clean(held).strip() or None) if (held := values[name]) else None for name in ("user", "post_id")
        }
        return Draft(**values if self.may_name(caller) else values | {"user": None})

    def may_name(self, caller: Caller) -> bool:
        """Whether the caller may name authors: a reader's key may stand in a web page, and show anybody's habits."""
        return self.settings.readers_name_users or caller.may("writer")

    def notes_on(self, body: DraftBody, caller: Caller) -> list[str]:
        """What is said of a draft of which not all is heeded."""
        return [NAMELESS] if body.user and not self.may_name(caller) else []

    def said(self, answer: Answer, request: Request) -> AnswerSaid:
        """An answer as the API gives it; counted."""
        self.metrics.answer(answer)
        rows = [
            SuggestionSaid(
                tag=one.tag, score=one.score, probability=one.probability, reasons=reasons(one.reasons),
                marks=marks(one.marks),
            )
            for one in answer.suggestions
        ]  # fmt: skip
        return AnswerSaid(
            request_id=id_of(request), suggestions=rows, model=answer.model, way=answer.way, why=answer.why,
            notes=list(answer.notes), took_ms=answer.took_ms,
        )  # fmt: skip


def id_of(request: Request) -> str:
    """The request's id."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def charge(request: Request, cost: float) -> None:
    """Let a dear request count for more than one."""
    pay = request.scope.get("state", {}).get("charge")
    if pay is not None and cost > 0:
        pay(cost)


def reasons(told: Sequence[Told]) -> list[ReasonSaid]:
    """Reasons as the API gives them."""
    return [
        ReasonSaid(source=one.source, where=one.where, weight=one.weight, sentence=one.sentence) for one in told
    ]  # fmt: skip


def marks(found: Any) -> MarksSaid | None:
    """Marks as the API gives them."""
    if found is None:
        return None
    regions = None if found.regions is None else [[float(x) for x in row] for row in found.regions]
    words = [(word, float(w)) for word, w in found.words]
    return MarksSaid(kind=found.kind, words=words, regions=regions, box=found.box if regions is not None else None)


def answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route may answer beside success, for the API's description."""
    problem = {
        "type": "object",
        "required": ["type", "title", "status", "detail", "request_id"],
        "properties": {
            "type": {"type": "string"}, "title": {"type": "string"}, "status": {"type": "integer"},
            "detail": {"type": "string"}, "request_id": {"type": "string"},
            "errors": {"type": "array", "items": {"type": "object"}},
        },
    }  # fmt: skip
    usual = (400, 401, 403, 408, 413, 414, 415, 421, 422, 429, 500, 503)
    return {
        status: {"description": DETAILS[status], "content": {MEDIA: {"schema": problem}}}
        for status in sorted({*usual, *statuses})
    }
