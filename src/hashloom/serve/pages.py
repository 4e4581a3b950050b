"""The page, the operators' view and the widget as files: no build, no other place asked, a policy that says so."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response

from hashloom.serve.problems import Problem
from hashloom.serve.service import Service

KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Only files of this service run and only this service is asked; pictures are those that the writer chose."""


@cache
def names() -> frozenset[str]:
    """The files that are served.

    >>> {"index.html", "page.css", "widget.js"} <= names()
    True
    """
    found = files("hashloom.serve").joinpath("page").iterdir()
    return frozenset(one.name for one in found if one.name.rpartition(".")[2] in KINDS)


def page_routes(_: Service) -> APIRouter:
    """The routes. They need no key and tell nothing of posts: the page asks the API, with its reader's key."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    def composer() -> Response:
        return sent("index.html")

    @router.get("/operator")
    def operator() -> Response:
        return sent("operator.html")

    @router.get("/widget.js")
    def widget() -> Response:
        return sent("widget.js")

    @router.get("/page/{file}")
    def file(file: str) -> Response:
        return sent(file)

    return router


def sent(name: str) -> Response:
    """A file with its kind and the policy; raises a ``Problem`` 404 for any other name.

    >>> sent("page.css").headers["content-type"]
    'text/css; charset=utf-8'
    """
    if name not in names():
        raise Problem(404)
    content = files("hashloom.serve").joinpath("page", name).read_bytes()
    kind = f"{KINDS[name.rpartition('.')[2]]}; charset=utf-8"
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
    return Response(content, media_type=kind, headers=headers)
