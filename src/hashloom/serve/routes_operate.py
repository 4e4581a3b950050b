"""Routes for those who run the service: models, keys, authors, and how it is."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from hashloom.data.rows import clean
from hashloom.serve.auth import ROLES, Caller, named, needs
from hashloom.serve.bodies_operators import (
    AuthorSaid,
    CommunityForgottenSaid,
    DigestBody,
    ForgottenSaid,
    KeyBody,
    KeySaid,
    KeysSaid,
    ModelSaid,
    ModelsSaid,
    NewKeySaid,
    RevokedSaid,
    ServingSaid,
    ShadowBody,
    StatusSaid,
)
from hashloom.serve.names import Name
from hashloom.serve.problems import Problem
from hashloom.serve.reading import Route
from hashloom.serve.service import Service, answers, id_of
from hashloom.serve.shelf import Refused

if TYPE_CHECKING:
    from hashloom.store import Store

LOG = logging.getLogger(__name__)
Operator = Annotated[Caller, Depends(needs("operator", whole=True))]
Admin = Annotated[Caller, Depends(needs("admin"))]
WholeAdmin = Annotated[Caller, Depends(needs("admin", whole=True))]
ModelName = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


def model_routes(service: Service) -> APIRouter:
    """Models: listed, published, rolled back, compared."""
    router = APIRouter(prefix="/v1", route_class=Route, responses=answers(404, 409), tags=["models"])
    engine, store = service.engine, service.store

    def serving() -> dict[str, str | None]:
        health = engine.health()
        shadow = health.shadow["digest"] if health.shadow else None
        return {"recommender": health.recommender, "previous": health.previous, "forecaster": health.forecaster,
                "shadow": shadow}  # fmt: skip

    def done(name: str, request: Request) -> ServingSaid:
        made = store.published(name)
        return ServingSaid(request_id=id_of(request), published=made.digest if made else None, serving=serving())

    @router.get("/models", summary="Models, which of them answer, and how a candidate fares")
    def models(caller: Operator, request: Request) -> ModelsSaid:
        rows = [
            ModelSaid(
                name=one.name, digest=one.digest, added_at=one.added_at, published=one.published,
                previous=one.previous, shadow=one.shadow,
                # Marks of deleted authors stay here: names could be guessed against them.
                facts={name: fact for name, fact in one.facts.items() if name != "cleaned_of"},
            )
            for one in (store.models() if store.folder else ())
        ]  # fmt: skip
        health = engine.health()
        return ModelsSaid(
            request_id=id_of(request), models=rows, serving=serving(), refused=health.refused, shadow=health.shadow
        )

    @router.post("/models/{name}/publish", summary="Let a model of the store answer, once it is checked and warm")
    def publish(name: ModelName, body: DigestBody, caller: Operator, request: Request) -> ServingSaid:
        _carried_out(store, lambda: engine.publish(name, body.digest))
        return done(name, request)

    @router.post("/models/{name}/rollback", summary="Let the model published before answer again")
    def rollback(name: ModelName, caller: Operator, request: Request) -> ServingSaid:
        _carried_out(store, lambda: engine.roll_back(name), Problem(409, "There is no earlier model to go back to."))
        return done(name, request)

    @router.post("/models/{name}/shadow", summary="Compare a candidate on live drafts, unseen")
    def shadow(name: ModelName, body: ShadowBody, caller: Operator, request: Request) -> ServingSaid:
        _carried_out(store, lambda: engine.set_shadow(name, body.digest))
        return done(name, request)

    @router.post("/models/{name}/drop", summary="Remove a model that is not in use, folder and all")
    def drop(name: ModelName, body: DigestBody, caller: Operator, request: Request) -> ServingSaid:
        _carried_out(store, lambda: store.drop_model(name, body.digest))
        return done(name, request)

    return router


def _carried_out(store: Store, work: Callable[[], Any], lacking: Problem | None = None) -> None:
    """Do it; ``lacking`` is said where the model that it needs is not there."""
    from hashloom.store import InUse, NotThere

    if store.folder is None:
        raise Problem(409, "This store keeps no models; open it with a folder.")
    try:
        work()
    except NotThere as error:
        LOG.info("%s", error)  # it may also say that a folder is damaged
        raise lacking or Problem(404, "The store holds no such model.") from None
    except (InUse, Refused) as error:
        said = str(error).split("; drop it")[0]
        raise Problem(409, f"{said[:1].upper()}{said[1:]}.") from None


def status_routes(service: Service) -> APIRouter:
    """How the service fares, for operators of all communities."""
    router = APIRouter(prefix="/v1", route_class=Route, responses=answers())
    engine = service.engine

    @router.get("/status", summary="How the service fares", tags=["service"])
    def status(caller: Operator, request: Request) -> StatusSaid:
        return StatusSaid(request_id=id_of(request), **asdict(engine.health()))

    return router


def admin_routes(service: Service) -> APIRouter:
    """Keys, authors, and communities as a whole."""
    router = APIRouter(prefix="/v1", route_class=Route, responses=answers(404))
    store = service.store

    @router.get("/keys", summary="Keys in reach, without their secrets", tags=["keys"])
    def keys(caller: Admin, request: Request) -> KeysSaid:
        return KeysSaid(request_id=id_of(request), keys=[_key(one) for one in _in_reach(service, caller)])

    @router.post("/keys", status_code=201, summary="Make a key; its secret is shown this once", tags=["keys"])
    def new_key(body: KeyBody, caller: Admin, request: Request) -> NewKeySaid:
        community = caller.community if body.community is None else caller.community_of(body.community)
        id, secret = store.new_key(body.role, community, body.rate, body.note)
        service.keys.forget()
        return NewKeySaid(request_id=id_of(request), id=id, secret=secret)

    @router.delete("/keys/{id}", summary="End a key", tags=["keys"])
    def revoke(id: Annotated[str, Path(max_length=40)], caller: Admin, request: Request) -> RevokedSaid:
        if all(one.id != id for one in _in_reach(service, caller)):
            raise Problem(404)
        revoked = store.revoke(id)
        service.keys.forget()
        return RevokedSaid(request_id=id_of(request), revoked=revoked)

    @router.get("/authors/{user:any}", summary="Everything held about an author", tags=["authors"])
    def export(user: Name, caller: Admin, request: Request) -> AuthorSaid:
        held = store.export_author(_named(user), community=caller.community)
        return AuthorSaid(**held | {"request_id": id_of(request)})

    @router.delete("/authors/{user:any}", summary="Forget an author, for good", tags=["authors"])
    def forget(user: Name, caller: Admin, request: Request) -> ForgottenSaid:
        made = store.delete_author(_named(user), community=caller.community)
        known = service.engine.sync(beside=True)
        return ForgottenSaid(
            request_id=id_of(request), where=made.where, left=made.left, erased=made.erased, at=made.at, models=known
        )

    @router.delete("/communities/{community}", summary="Delete a whole community, for good", tags=["communities"])
    def forget_community(community: str, caller: WholeAdmin, request: Request) -> CommunityForgottenSaid:
        made = store.delete_community(named(caller, community))
        service.keys.forget()
        known = service.engine.sync(beside=True)
        return CommunityForgottenSaid(
            request_id=id_of(request), where=made.where, left=made.left, erased=made.erased, at=made.at, models=known
        )

    return router


def open_routes(service: Service) -> APIRouter:
    """What needs no key and tells nothing: whether the service lives and is ready; and the counters."""
    router = APIRouter(tags=["service"], route_class=Route)

    @router.get("/health", summary="Whether the process lives")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/ready", summary="Whether it can answer", responses={503: answers()[503]})
    def ready() -> dict[str, str]:
        if not service.engine.health().ready:
            raise Problem(503)
        service.store.last_change()
        return {"status": "ready"}

    @router.get("/metrics", summary="Counters for Prometheus", response_class=Response,
                responses=answers() | {200: {"content": {"text/plain": {}}}})  # fmt: skip
    def metrics() -> Response:
        return Response(service.metrics.text(service.engine), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router


def _named(user: str) -> str:
    made = clean(user).strip()
    if not made:
        raise Problem(422, errors=[{"field": "user", "message": "is empty"}])
    return made


def _in_reach(service: Service, caller: Caller) -> list[Any]:
    found = service.store.keys()
    return [one for one in found if caller.community is None or one.community == caller.community]


def _key(one: Any) -> KeySaid:
    role = one.role if one.role in ROLES else "unknown"
    return KeySaid(
        id=one.id, role=role, community=one.community, rate=one.rate, note=one.note, made_at=one.made_at,
        revoked_at=one.revoked_at,
    )  # fmt: skip
