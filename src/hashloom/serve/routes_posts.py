"""Routes for the platform's server: posts, pictures, feedback."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Path, Query, Request, UploadFile

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
from hashloom.serve.held import UNREVIEWED
from hashloom.serve.problems import Problem
from hashloom.serve.service import Service, answers, charge, id_of
from hashloom.types import POST_FIELDS, Post, Posts

Writer = Annotated[Caller, Depends(needs("writer"))]
Operator = Annotated[Caller, Depends(needs("operator"))]
PostId = Annotated[str, Path(max_length=500)]
DELETED = "deleted"


def post_routes(service: Service) -> APIRouter:
    """The routes, over a service."""
    router = APIRouter(prefix="/v1", responses=answers())
    store = service.store

    @router.put(
        "/posts/{community}/{id:path}", tags=["posts"], summary="Put a post, or its edit", responses=answers(410)
    )
    def put_post(community: str, id: PostId, body: PostBody, caller: Writer, request: Request) -> PutSaid:
        service.lowered(body)
        return _put(service, _post(named(caller, community), id, body), body.reviewed, request)

    @router.patch(
        "/posts/{community}/{id:path}", tags=["posts"], summary="Change parts of a post", responses=answers(404, 410)
    )
    def patch_post(community: str, id: PostId, body: PostBody, caller: Writer, request: Request) -> PutSaid:
        service.lowered(body)
        place = named(caller, community)
        held = _there(service, place, id)
        values = {name: getattr(held, name) for name in PostBody.model_fields if name != "reviewed"}
        given = {name: getattr(body, name) for name in body.model_fields_set if name != "reviewed"}
        return _put(service, _checked(place, id, values | given), body.reviewed, request)

    @router.get("/posts/{community}/{id:path}", tags=["posts"], summary="A post as stored", responses=answers(404))
    def get_post(community: str, id: PostId, caller: Writer, request: Request) -> PostSaid:
        held = _there(service, named(caller, community), id)
        values: dict[str, Any] = {name: getattr(held, name) for name in POST_FIELDS}
        return PostSaid(**values | {"request_id": id_of(request)})

    @router.delete("/posts/{community}/{id:path}", tags=["posts"], summary="Delete a post for good")
    def delete_post(community: str, id: PostId, caller: Writer, request: Request) -> DeletedSaid:
        gone = store.delete_posts(named(caller, community), [_named(id)])
        service.engine.sync()
        return DeletedSaid(request_id=id_of(request), deleted=gone)

    @router.post("/posts", tags=["posts"], summary="Put many posts")
    def put_posts(body: PostsBody, caller: Writer, request: Request) -> PutManySaid:
        service.lowered(body)
        charge(request, len(body.posts) / 100)
        return _put_many(service, body.posts, caller, request)

    @router.post("/pictures/{community}", tags=["posts"], summary="Keep a picture that a post will show")
    def put_picture(
        community: str, picture: Annotated[UploadFile, File()], caller: Writer, request: Request
    ) -> PictureSaid:
        from hashloom.encoders.image._pictures import BadPicture
        from hashloom.serve.pictures import kind_of

        named(caller, community)
        content = picture.file.read(service.settings.max_picture + 1)
        try:
            kind = kind_of(content, service.settings)
        except BadPicture as error:
            raise Problem(422, errors=[{"field": "picture", "message": str(error)}]) from None
        return PictureSaid(request_id=id_of(request), sha256=store.put_picture(content, kind), kind=kind)

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
    put = service.store.put_posts(Posts.of([post]), source="api" if reviewed else UNREVIEWED)
    if put.refused:
        reason = put.refused[0][1]
        raise (
            Problem(410) if reason.startswith(DELETED) else Problem(422, errors=[{"field": "post", "message": reason}])
        )
    return PutSaid(request_id=id_of(request), status="new" if put.new else "changed" if put.changed else "same")


def _put_many(service: Service, rows: list[PostRow], caller: Caller, request: Request) -> PutManySaid:
    """Each post by itself is taken or refused; communities out of reach refuse the whole request."""
    said = PutManySaid(request_id=id_of(request), new=0, refused=[])
    parts: dict[bool, list[tuple[int, Post]]] = {True: [], False: []}
    for at, row in enumerate(rows):
        community = caller.community_of(row.community)
        try:
            parts[row.reviewed].append((at, _post(community, row.id, row)))
        except Problem as problem:
            said.refused.append(RefusedSaid(at=at, reason=str(problem.errors[0]["message"])))
    for reviewed, part in parts.items():
        if not part:
            continue
        put = service.store.put_posts(Posts.of([p for _, p in part]), source="api" if reviewed else UNREVIEWED)
        said.new, said.changed, said.same = said.new + put.new, said.changed + put.changed, said.same + put.same
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
        events.append(Feedback(**values))
    put = service.store.put_feedback(events)
    places: dict[str, list[int]] = {}
    for at, event in enumerate(events):
        places.setdefault(event.token, []).append(at)
    refused = [RefusedSaid(at=places[t].pop(0), reason=why) for t, why in put.refused if places.get(t)]
    return FeedbackSaid(request_id=id_of(request), new=put.new, repeated=put.repeated, refused=refused)
