"""Routes for a community's operators: its tag space, and posts whose tags want a look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request

from hashloom.data.prepare import with_tags
from hashloom.serve.auth import Caller, named, needs
from hashloom.serve.bodies_operators import (
    AliasesBody,
    AlikeSaid,
    AlikesSaid,
    DeniedBody,
    DescribeBody,
    MergeBody,
    PairsSaid,
    ReviewSaid,
    SensitiveBody,
    SpaceBody,
    SpaceChangeSaid,
    SpaceLogSaid,
    SpacePatch,
    SpaceSaid,
    UncertainSaid,
)
from hashloom.serve.drafts import Answer, Draft
from hashloom.serve.meaning import alike
from hashloom.serve.problems import Problem
from hashloom.serve.reading import Route
from hashloom.serve.service import Service, answers, charge, id_of
from hashloom.tag_space import TagSpace
from hashloom.tags import display, key, take_out
from hashloom.types import Post, Posts

Operator = Annotated[Caller, Depends(needs("operator"))]
Change = Callable[[TagSpace], TagSpace]
Share = Annotated[float, Query(ge=0, le=1)]
Pairs = Annotated[int, Query(ge=1, le=100)]
LOOKED_AT = 3_000
"""So many of the latest posts tell what tags mean: seconds of work at most."""


def space_routes(service: Service) -> APIRouter:
    """The routes, over a service."""
    router = APIRouter(prefix="/v1", route_class=Route, responses=answers(409, 410), tags=["spaces"])
    store = service.store

    def changed(community: str, change: Change, caller: Caller, why: str, request: Request) -> SpaceSaid:
        try:
            by = caller.key or "this machine"
            made = store.change_space(named(caller, community), _bounded(change, service), by=by, why=why)
        except ValueError as error:
            raise Problem(409, f"{str(error)[:1].upper()}{str(error)[1:200]}.") from None
        service.engine.sync(beside=True)
        return _said(made, request)

    @router.put("/spaces/{community}", summary="Set the whole tag space (import)")
    def put_space(community: str, body: SpaceBody, caller: Operator, request: Request) -> SpaceSaid:
        values = body.model_dump(exclude={"why"})
        values["tags"] = {tag: display(form) or key(tag) for tag, form in body.tags.items()}
        return changed(community, lambda space: TagSpace(space.community, **values), caller, body.why, request)

    @router.patch("/spaces/{community}", summary="Open, close, add and remove tags")
    def patch_space(community: str, body: SpacePatch, caller: Operator, request: Request) -> SpaceSaid:
        return changed(community, partial(_patched, body), caller, body.why, request)

    @router.patch("/spaces/{community}/aliases", summary="Set and end aliases")
    def aliases(community: str, body: AliasesBody, caller: Operator, request: Request) -> SpaceSaid:
        return changed(community, partial(_named_anew, body), caller, body.why, request)

    @router.patch("/spaces/{community}/denied", summary="Deny tags and allow them again")
    def denied(community: str, body: DeniedBody, caller: Operator, request: Request) -> SpaceSaid:
        return changed(community, partial(_marked, body, "denied"), caller, body.why, request)

    @router.patch("/spaces/{community}/sensitive", summary="Mark tags as sensitive and end that")
    def sensitive(community: str, body: SensitiveBody, caller: Operator, request: Request) -> SpaceSaid:
        return changed(community, partial(_marked, body, "sensitive"), caller, body.why, request)

    @router.post("/spaces/{community}/merge", summary="Make several tags one")
    def merge(community: str, body: MergeBody, caller: Operator, request: Request) -> SpaceSaid:
        return changed(community, lambda space: merged(space, body.tags, body.into), caller, body.why, request)

    @router.patch("/spaces/{community}/describe", summary="Describe tags in a sentence")
    def describe(community: str, body: DescribeBody, caller: Operator, request: Request) -> SpaceSaid:
        return changed(community, partial(_described, body), caller, body.why, request)

    return router


def space_views(service: Service) -> APIRouter:
    """What operators look at, over a service."""
    router = APIRouter(prefix="/v1", route_class=Route, responses=answers(), tags=["spaces"])
    store = service.store

    @router.get("/spaces/{community}", summary="A community's tag space, whole; what PUT takes")
    def get_space(community: str, caller: Operator, request: Request) -> SpaceSaid:
        place = named(caller, community)
        return _said(store.get_space(place) or TagSpace(place), request)

    @router.get("/spaces/{community}/log", summary="Who changed what, when and why")
    def log(
        community: str,
        caller: Operator,
        request: Request,
        last: Annotated[int, Query(ge=1, le=100)] = 50,
        before: Annotated[int | None, Query(ge=1, le=2**31, description="Those of a lower version")] = None,
    ) -> SpaceLogSaid:
        rows = [
            SpaceChangeSaid(version=one.version, by=one.by, why=one.why, changed=one.changed, at=one.at)
            for one in store.space_log(named(caller, community), last=last, before=before)
        ]
        return SpaceLogSaid(request_id=id_of(request), changes=rows)

    @router.get("/spaces/{community}/duplicates", summary="Tags that look alike")
    def duplicates(community: str, caller: Operator, request: Request) -> PairsSaid:
        place = named(caller, community)
        space = store.get_space(place) or TagSpace(place)
        used = {one.tag: one.tag for one in service.engine.follower.ledger.favourites(place)}
        pairs = [list(pair) for pair in replace(space, tags=used | space.tags).duplicates()]
        return PairsSaid(request_id=id_of(request), pairs=pairs)

    @router.get("/spaces/{community}/alike", summary="Tags that may mean the same, by what their recent posts say")
    def meant_alike(
        community: str, caller: Operator, request: Request, least: Share = 0.3, k: Pairs = 30
    ) -> AlikesSaid:
        place = named(caller, community)
        posts = store.recent(place, last=LOOKED_AT)
        charge(request, len(posts) / 100)
        ledger, space = service.engine.follower.ledger, store.get_space(place) or TagSpace(place)
        rows = [
            AlikeSaid(tags=(one.tags[0], one.tags[1]), likeness=one.likeness, posts=one.posts, together=one.together)
            for one in alike(_resolved(posts, space), least=least, most=k)
        ]
        for row in rows:
            a, b = (space.tags.get(tag) or ledger.shown(place, tag) for tag in row.tags)
            row.tags = (a, b)
        return AlikesSaid(request_id=id_of(request), pairs=rows, looked_at=len(posts))

    @router.get("/review/{community}", summary="Posts whose tags want a look, the most doubtful first")
    def review(
        community: str, caller: Operator, request: Request, k: Annotated[int, Query(ge=1, le=50)] = 20
    ) -> ReviewSaid:
        return ReviewSaid(request_id=id_of(request), posts=uncertain(service, named(caller, community), k))

    return router


def _resolved(posts: Posts, space: TagSpace) -> Posts:
    """The posts with aliases replaced and without denied tags: what is decided already is not asked again."""
    return with_tags(posts, [[end for tag in tags if (end := space.resolve(tag)) is not None] for tags in posts.tags])


def _patched(body: SpacePatch, space: TagSpace) -> TagSpace:
    gone = set(map(key, body.remove))
    tags = {k: v for k, v in space.tags.items() if k not in gone} | {key(t): display(t) for t in body.add}
    return replace(space, tags=tags, closed=space.closed if body.closed is None else body.closed)


def _named_anew(body: AliasesBody, space: TagSpace) -> TagSpace:
    made = space.aliases | {key(a): key(b) if b is not None else "" for a, b in body.aliases.items()}
    return replace(space, aliases=made)


def _marked(body: DeniedBody | SensitiveBody, field: Literal["denied", "sensitive"], space: TagSpace) -> TagSpace:
    gone = set(map(key, body.remove))
    kept = {key(tag): tag for tag in (*getattr(space, field), *body.add) if key(tag) and key(tag) not in gone}
    marked = tuple(kept.values())
    return replace(space, denied=marked) if field == "denied" else replace(space, sensitive=marked)


def _described(body: DescribeBody, space: TagSpace) -> TagSpace:
    made = space.describe | {key(tag): text or "" for tag, text in body.describe.items()}
    return replace(space, describe={tag: text for tag, text in made.items() if text})


def merged(space: TagSpace, tags: list[str], into: str) -> TagSpace:
    """The space with tags as aliases of one, which is listed if any of them was.

    >>> made = merged(TagSpace.of(["Levain", "Rye"], "c"), ["levain"], "Sourdough")
    >>> made.tags, made.aliases
    ({'rye': 'Rye', 'sourdough': 'Sourdough'}, {'levain': 'sourdough'})
    """
    end = key(into)
    gone = {key(tag) for tag in tags} - {end, ""}
    if not end or not gone:
        raise ValueError("nothing to merge: name tags, and another one that they become")
    kept = {k: v for k, v in space.tags.items() if k not in gone}
    if end not in kept and gone & space.tags.keys():
        kept[end] = display(into)
    aliases = {a: end if b in gone else b for a, b in space.aliases.items()} | dict.fromkeys(sorted(gone), end)
    aliases.pop(end, None)
    describe = {k: v for k, v in space.describe.items() if k not in gone}
    return replace(space, tags=kept, aliases=aliases, describe=describe)


def uncertain(service: Service, community: str, k: int) -> list[UncertainSaid]:
    """Of the latest posts, those that nobody has reviewed or tagged, the most doubtful first.

    The more of a post's own tags are suggested, the less doubtful; of one without tags, the surer the first.
    """
    recent = service.store.recent(community, last=300)
    waiting = service.store.unreviewed([(community, id) for id in recent.ids])
    posts = [one for one in recent if (community, one.id) in waiting or not one.tags][-100:]
    drafts = [Draft(one.text, community, one.user, one.id, k=5, language=one.language) for one in posts]
    made = []
    for post, answer in zip(posts, service.engine.suggest_many([replace(d, text=_untagged(d.text)) for d in drafts])):
        said = UncertainSaid(
            id=post.id, text=post.text[:500], tags=list(post.tags), suggested=answer.tags, doubt=_doubt(post, answer)
        )
        made.append(said)
    return sorted(made, key=lambda one: -one.doubt)[:k]


def _untagged(text: str) -> str:
    return take_out(text)[0]


def _doubt(post: Post, answer: Answer) -> float:
    if not answer.suggestions:
        return 1.0
    if not post.tags:
        sure = answer.suggestions[0].probability
        return 0.5 if sure is None else round(1 - sure, 4)
    own, said = set(map(key, post.tags)), set(map(key, answer.tags))
    return round(1 - len(own & said) / min(len(own), len(said)), 4)


def _bounded(change: Change, service: Service) -> Change:
    """The change, refused where the space would grow beyond the limit."""

    def bounded(space: TagSpace) -> TagSpace:
        made, most = change(space), service.settings.max_space
        if max(map(len, (made.tags, made.aliases, made.denied, made.sensitive, made.describe))) > most:
            raise ValueError(f"a tag space holds at most {most:,} tags, aliases, denied and sensitive tags each")
        return made

    return bounded


def _said(space: TagSpace, request: Request) -> SpaceSaid:
    return SpaceSaid(**space.to_json() | {"request_id": id_of(request)})
