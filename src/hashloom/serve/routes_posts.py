"""Routes for the platform's server: posts, pictures, feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, File, Query, Request, UploadFile

from hashloom.data.rows import Row, check, clean
from hashloom.serve.auth import Caller, named, needs
from hashloom.serve.bodies import (
    DaySaid,
    DeletedSaid,
    EventsBody,
    FeedbackSaid,
    PictureSaid,
    PostBody,
    PostRow,
    PostSaid,
    PostsBody,
    PutManySaid,
    PutSaid,
    QualitySaid,
    RefusedSaid,
)
from hashloom.serve.learnable import UNREVIEWED
from hashloom.serve.names import Name
from hashloom.serve.problems import Problem
from hashloom.serve.reading import Route
from hashloom.serve.service import Service, answers, charge, id_of
from hashloom.types import POST_FIELDS, Post, Posts

if TYPE_CHECKING:
    from hashloom.store import Put

Writer = Annotated[Caller, Depends(needs("writer"))]
Operator = Annotated[Caller, Depends(needs("operator"))]
DELETED = "deleted"


def post_routes(service: Service) -> APIRouter:
    """A post by its address: put, changed, read, deleted."""
    router = APIRouter(prefix="/v1", route_class=Route, responses=answers())
    store = service.store

    @router.put(
        "/posts/{community}/{id:any}", tags=["posts"], summary="Put a post, or its edit", responses=answers(410)
    )
    def put_post(community: str, id: Name, body: PostBody, caller: Writer, request: Request) -> PutSaid:
        service.lowered(body)
        return _put(service, _post(named(caller, community), id, body), body.reviewed, request)

    @router.patch(
        "/posts/{community}/{id:any}", tags=["posts"], summary="Change parts of a post", responses=answers(404, 410)
    )
    def patch_post(community: str, id: Name, body: PostBody, caller: Writer, request: Request) -> PutSaid:
        service.lowered(body)
        place = named(caller, community)
        given = {name: getattr(body, name) for name in body.model_fields_set if name != "reviewed"}

        def changed(held: Post) -> Post:
            values = {name: getattr(held, name) for name in PostBody.model_fields if name != "reviewed"}
            return _checked(place, id, values | given)

        # Who says nothing of tags has not looked at them either.
        reviewed = body.reviewed if body.model_fields_set & {"reviewed", "tags"} else None
        put = store.change_post(place, _named(id), changed, reviewed=reviewed)
        if put is None:
            raise Problem(404)
        return _done(put, request)

    @router.get("/posts/{community}/{id:any}", tags=["posts"], summary="A post as stored", responses=answers(404))
    def get_post(community: str, id: Name, caller: Writer, request: Request) -> PostSaid:
        held = _there(service, named(caller, community), id)
        values: dict[str, Any] = {name: getattr(held, name) for name in POST_FIELDS}
        return PostSaid(**values | {"request_id": id_of(request)})

    @router.delete("/posts/{community}/{id:any}", tags=["posts"], summary="Delete a post for good")
    def delete_post(community: str, id: Name, caller: Writer, request: Request) -> DeletedSaid:
        gone = store.delete_posts(named(caller, community), [_named(id)])
        service.engine.sync(beside=True)
        return DeletedSaid(request_id=id_of(request), deleted=gone)

    return router


def sending_routes(service: Service) -> APIRouter:
    """What is sent beside single posts: many posts, pictures, feedback; and how suggestions fared."""
    router = APIRouter(prefix="/v1", route_class=Route, responses=answers())
    store = service.store

    @router.post("/posts", tags=["posts"], summary="Put many posts")
    def put_posts(body: PostsBody, caller: Writer, request: Request) -> PutManySaid:
        service.lowered(body)
        charge(request, len(body.posts) / 100)
        return _put_many(service, body.posts, caller, request)

    @router.post(
        "/pictures/{community}", tags=["posts"], summary="Keep a picture that a post will show", responses=answers(410)
    )
    def put_picture(
        community: str, picture: Annotated[UploadFile, File()], caller: Writer, request: Request
    ) -> PictureSaid:
        return _kept(service, picture, named(caller, community), request)

    @router.post("/feedback", tags=["feedback"], summary="Say what authors did with suggestions")
    def put_feedback(body: EventsBody, caller: Writer, request: Request) -> FeedbackSaid:
        return _feedback(service, body, caller, request)

    @router.get("/quality/{community}", tags=["feedback"], summary="How suggestions fared, day by day")
    def quality(
        community: str, caller: Operator, request: Request, days: Annotated[int, Query(ge=1, le=366)] = 30
    ) -> QualitySaid:
        found = store.quality(named(caller, community), days)
        rows = [
            DaySaid(day=d.day.isoformat(), shown=d.shown, accepted=d.accepted, rejected=d.rejected, typed=d.typed)
            for d in found
        ]
        return QualitySaid(request_id=id_of(request), days=rows)

    return router


def _kept(service: Service, picture: UploadFile, community: str, request: Request) -> PictureSaid:
    from hashloom.encoders.image._pictures import BadPicture
    from hashloom.serve.pictures import TooMany, kind_of

    content = picture.file.read(service.settings.max_picture + 1)
    try:
        kind = kind_of(content, service.settings)
    except TooMany:
        raise Problem(503, headers={"Retry-After": "5"}) from None
    except BadPicture as error:
        raise Problem(422, errors=[{"field": "picture", "message": str(error)}]) from None
    name = service.store.put_picture(content, kind, community)
    return PictureSaid(request_id=id_of(request), sha256=name, kind=kind)


def _named(id: str) -> str:
    made = clean(id).strip()
    if not made:
        raise Problem(422, errors=[{"field": "id", "message": "is empty"}])
    return made


def _post(community: str, id: str, body: PostBody) -> Post:
    return _checked(community, id, {name: getattr(body, name) for name in PostBody.model_fields if name != "reviewed"})


def _checked(community: str, id: str, values: dict[str, Any]) -> Post:
    """A post as every importer leaves it: hashtags in the text become tags, all names are cleaned."""
    fields = {
        **values,
        "id": id,
        "community": community,
        "images": list(values["images"]),
        "tags": list(values["tags"]),
    }
    try:
        made, _, _ = check(Row("post", fields))
    except ValueError as error:
        raise Problem(422, errors=[{"field": "post", "message": str(error)[:200]}]) from None
    return Post(**made | {"images": tuple(made["images"]), "tags": tuple(made["tags"])})


def _there(service: Service, community: str, id: str) -> Post:
    found = service.store.get_posts(community, [_named(id)])
    if not len(found):
        raise Problem(404)
    return found[0]


def _put(service: Service, post: Post, reviewed: bool, request: Request) -> PutSaid:
    return _done(service.store.put_posts(Posts.of([post]), source=_source(reviewed), live=True), request)


def _source(reviewed: bool) -> str:
    return "api" if reviewed else UNREVIEWED


def _done(put: Put, request: Request) -> PutSaid:
    if put.refused:
        reason = put.refused[0][1]
        raise (
            Problem(410) if reason.startswith(DELETED) else Problem(422, errors=[{"field": "post", "message": reason}])
        )
    return PutSaid(request_id=id_of(request), status="new" if put.new else "changed" if put.changed else "same")


def _put_many(service: Service, rows: list[PostRow], caller: Caller, request: Request) -> PutManySaid:
    """Each post by itself is taken or refused; communities out of reach refuse the whole request."""
    said = PutManySaid(request_id=id_of(request), new=0, refused=[])
    part: list[tuple[int, Post]] = []
    sources: list[str] = []
    for at, row in enumerate(rows):
        community = caller.community_of(row.community)
        try:
            part.append((at, _post(community, row.id, row)))
            sources.append(_source(row.reviewed))
        except Problem as problem:
            said.refused.append(RefusedSaid(at=at, reason=str(problem.errors[0]["message"])))
    put = service.store.put_posts(Posts.of([post for _, post in part]), source=sources, live=True)
    said.new, said.changed, said.same = put.new, put.changed, put.same
    said.refused += _placed(part, put.refused)
    said.refused.sort(key=lambda one: one.at)
    return said


def _placed(part: list[tuple[int, Post]], refused: list[tuple[str, str]]) -> list[RefusedSaid]:
    """The store names refused posts by id; they are in order, so each id's next place is meant."""
    places: dict[str, list[int]] = {}
    for at, post in part:
        places.setdefault(post.id, []).append(at)
    return [RefusedSaid(at=places[id].pop(0), reason=reason) for id, reason in refused if places.get(id)]


def _feedback(service: Service, body: EventsBody, caller: Caller, request: Request) -> FeedbackSaid:
    from hashloom.store import Feedback

    service.lowered(body)
    events = []
    for one in body.events:
        values = one.model_dump() | {"community": caller.community_of(one.community), "post_id": _named(one.post_id)}
        values["user"] = (clean(one.user).strip() or None) if one.user else None  # as a post's author is kept
        values["token"] = clean(one.token)  # as the store names it where it refuses it
        events.append(Feedback(**values))
    put = service.store.put_feedback(events)
    places: dict[str, list[int]] = {}
    for at, event in enumerate(events):
        places.setdefault(event.token, []).append(at)
    refused = [RefusedSaid(at=places[t].pop(0), reason=why) for t, why in put.refused if places.get(t)]
    return FeedbackSaid(request_id=id_of(request), new=put.new, repeated=put.repeated, refused=refused)
