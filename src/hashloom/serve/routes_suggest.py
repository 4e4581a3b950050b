"""Routes for everyone who writes: suggestions, forecasts, completions, trends."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile

from hashloom.serve.auth import Caller, named, needs
from hashloom.serve.bodies import (
    AnswerSaid,
    AnswersSaid,
    DraftBody,
    DraftsBody,
    ForecastAnswerSaid,
    ForecastSaid,
)
from hashloom.serve.bodies_communities import (
    CallerSaid,
    CommunitiesSaid,
    CompletedSaid,
    PlatformSaid,
    PlatformsSaid,
    TrendSaid,
    TrendsSaid,
    UsedSaid,
)
from hashloom.serve.drafts import Draft, ForecastAnswer
from hashloom.serve.limits import BadJson, parse
from hashloom.serve.problems import Problem
from hashloom.serve.reading import Route
from hashloom.serve.service import Service, answers, charge, id_of, reasons

LOG = logging.getLogger(__name__)
Reader = Annotated[Caller, Depends(needs("reader"))]
Few = Annotated[int, Query(ge=1, le=50)]
Start = Annotated[str, Query(max_length=200, description="What was typed so far")]
User = Annotated[str | None, Query(max_length=500, description="Whose rare tags count too; readers' keys: nobody's")]
Sent = Annotated[str, Form(description="The draft as JSON, as POST /v1/suggest takes it")]
Files = Annotated[list[UploadFile], File(description="JPEG, PNG, WEBP, GIF, BMP or AVIF")]


def suggest_routes(service: Service) -> APIRouter:
    """The routes, over a service."""
    router = APIRouter(prefix="/v1", route_class=Route, responses=answers())
    engine = service.engine

    @router.post("/suggest", tags=["suggest"], summary="Suggest tags for a draft", response_model=AnswerSaid)
    def suggest(body: DraftBody, caller: Reader, request: Request) -> Response:
        with pictured(service, body, (), caller) as (made, notes):
            return sent(_noted(service.said(engine.suggest(made), request), notes))

    @router.post("/suggest/many", tags=["suggest"], summary="Suggest tags for many drafts", response_model=AnswersSaid)
    async def suggest_many(body: DraftsBody, caller: Reader, request: Request) -> Response:
        return await service.run_batch(many, body, caller, request)

    def many(body: DraftsBody, caller: Caller, request: Request) -> Response:
        service.lowered(body)
        charge(request, len(body.drafts) - 1)
        made = engine.suggest_many([service.draft(one, caller) for one in body.drafts])
        rows = [
            _noted(service.said(answer, request), service.notes_on(draft, caller))
            for draft, answer in zip(body.drafts, made)
        ]
        return sent(AnswersSaid(request_id=id_of(request), answers=rows))

    @router.post(
        "/suggest/pictures", tags=["suggest"], summary="Suggest tags for a draft with pictures",
        response_model=AnswerSaid,
    )  # fmt: skip
    def suggest_pictures(draft: Sent, picture: Files, caller: Reader, request: Request) -> Response:
        with pictured(service, _draft_body(service, draft), picture, caller) as (made, notes):
            return sent(_noted(service.said(engine.suggest(made), request), notes))

    @router.post("/forecast", tags=["forecast"], summary="Forecast the attention a draft will get")
    def forecast(body: DraftBody, caller: Reader, request: Request) -> ForecastAnswerSaid:
        with pictured(service, body, (), caller) as (made, notes):
            return forecast_said(engine.forecast(made), request, notes)

    @router.post("/forecast/pictures", tags=["forecast"], summary="Forecast for a draft with pictures")
    def forecast_pictures(draft: Sent, picture: Files, caller: Reader, request: Request) -> ForecastAnswerSaid:
        with pictured(service, _draft_body(service, draft), picture, caller) as (made, notes):
            return forecast_said(engine.forecast(made), request, notes)

    return router


def community_routes(service: Service) -> APIRouter:
    """What a community uses, and what the caller may do, over a service."""
    router = APIRouter(prefix="/v1", route_class=Route, responses=answers())
    engine, settings = service.engine, service.settings

    @router.get("/autocomplete/{community}", tags=["communities"], summary="Tags that begin as typed")
    def autocomplete(
        community: str, caller: Reader, request: Request, q: Start = "", k: Few = 10, user: User = None
    ) -> CompletedSaid:
        own = user if service.may_name(caller) else None
        found = engine.complete(named(caller, community), q, k, own)
        rows = [UsedSaid(tag=shown, authors=used.authors, uses=used.uses) for shown, used in found]
        return CompletedSaid(request_id=id_of(request), tags=rows)

    @router.get("/trends/{community}", tags=["communities"], summary="What is used now")
    def trends(community: str, caller: Reader, request: Request, k: Few = 20) -> TrendsSaid:
        found = engine.trends(named(caller, community), k)
        rows = [TrendSaid(tag=shown, worth=round(t.worth, 6), authors=t.authors, uses=t.uses) for shown, t in found]
        return TrendsSaid(request_id=id_of(request), trends=rows)

    @router.get("/communities", tags=["communities"], summary="Communities in reach of the key")
    def communities(caller: Reader, request: Request) -> CommunitiesSaid:
        spaces = engine.follower.spaces.spaces.values()
        found = {one.community: 0 for one in spaces if not one.is_empty} | service.store.communities()
        mine = found if caller.community is None else {caller.community: found.get(caller.community, 0)}
        return CommunitiesSaid(request_id=id_of(request), communities=dict(sorted(mine.items())))

    @router.get("/me", tags=["communities"], summary="Role, community and limits of the key")
    def me(caller: Reader, request: Request) -> CallerSaid:
        limits = settings.limits()
        return CallerSaid(request_id=id_of(request), role=caller.role, community=caller.community, limits=limits)

    @router.get("/platforms", tags=["communities"], summary="What platforms take, with the day it was checked")
    def platform_list(caller: Reader, request: Request) -> PlatformsSaid:
        from hashloom.platforms import platforms

        return PlatformsSaid(
            request_id=id_of(request), platforms=[PlatformSaid(**asdict(one)) for one in platforms().values()]
        )

    return router


@contextmanager
def pictured(
    service: Service, body: DraftBody, files: Sequence[UploadFile], caller: Caller
) -> Iterator[tuple[Draft, list[str]]]:
    """A draft with its pictures in files, while it is asked about; pictures that cannot be used are noted.

    A post with a broken picture is still a post: its text is answered.
    """
    draft = service.draft(body, caller)
    if len(files) + len(body.picture_urls) > service.settings.max_pictures:
        raise Problem(422, errors=[{"field": "picture", "message": f"at most {service.settings.max_pictures}"}])
    paths, notes = [], service.notes_on(body, caller)
    try:
        sent: list[UploadFile | str] = [*files, *body.picture_urls]
        for at, picture in enumerate(sent):
            try:
                paths.append(service.engine.spool.draft(_content(service, picture)))
            except ValueError as error:  # BadPicture, NotFetched
                notes.append(f"picture {at}: {error}")
            except OSError as error:  # a full disk, no file left to open
                notes.append(f"picture {at}: there is no room to look at it")
                LOG.error("a draft's picture cannot be kept for a model: %s", error.strerror)
        yield replace(draft, pictures=tuple(map(str, paths))), notes
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _content(service: Service, picture: UploadFile | str) -> bytes:
    """A picture's bytes, checked."""
    from hashloom.serve.fetch import NotFetched, fetch
    from hashloom.serve.pictures import kind_of

    settings = service.settings
    if not isinstance(picture, str):
        content = picture.file.read(settings.max_picture + 1)
    elif not settings.fetch_pictures:
        raise NotFetched("this service fetches no pictures; send it")
    else:
        content = fetch(picture, settings.max_picture, settings.fetch_seconds)
    kind_of(content, settings)
    return content


def _draft_body(service: Service, draft: str) -> DraftBody:
    from pydantic import ValidationError

    try:
        return DraftBody.model_validate(parse(draft.encode("utf-8", "surrogatepass"), service.settings.max_depth))
    except BadJson as error:
        raise Problem(422, errors=[{"field": "draft", "message": str(error)}]) from None
    except ValidationError as error:
        found = [
            {"field": ".".join(["draft", *map(str, one["loc"])])[:200], "message": one["msg"][:200]}
            for one in error.errors()[:20]
        ]
        raise Problem(422, errors=found) from None


def sent(said: AnswerSaid | AnswersSaid) -> Response:
    """An answer as it is sent: what the frame would do, without checking anew in another thread what was just made."""
    return Response(said.model_dump_json(), media_type="application/json")


def _noted(said: AnswerSaid, notes: list[str]) -> AnswerSaid:
    said.notes += notes
    return said


def forecast_said(answer: ForecastAnswer, request: Request, notes: list[str]) -> ForecastAnswerSaid:
    """A forecast as the API gives it."""
    one = answer.forecast
    told = None if one is None else ForecastSaid(
        value=one.value, low=one.low, high=one.high, formula=one.formula, coverage=one.coverage, number=one.number,
        numbers=one.numbers, reasons=reasons(one.reasons),
    )  # fmt: skip
    return ForecastAnswerSaid(
        request_id=id_of(request), forecast=told, model=answer.model, way=answer.way, why=answer.why,
        notes=notes, took_ms=answer.took_ms,
    )  # fmt: skip
