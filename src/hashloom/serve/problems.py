"""Errors as problem details (RFC 9457): what went wrong and the remedy, without paths, keys or other people's names."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

LOG = logging.getLogger(__name__)
MEDIA = "application/problem+json"
MAX_ERRORS = 20
DETAILS = {
    400: "The body cannot be read.",
    401: "A key is needed: send it as `Authorization: Bearer hl_…`.",
    403: "This key may not do that.",
    404: "There is nothing of this name.",
    405: "This address does not know this method.",
    408: "The body did not arrive in time.",
    409: "This cannot be done in the present state.",
    410: "It was deleted; what was deleted is not taken in again.",
    413: "The body is larger than is taken.",
    414: "The address is longer than is taken.",
    415: "A body of this type is not taken.",
    421: "This service answers under its own names alone.",
    422: "Something that was sent is not as it must be.",
    429: "Too many requests; wait as long as Retry-After says.",
    500: "An inner failure; its request id helps to find it in the log.",
    503: "The service cannot do this at the moment; repeat it later.",
}
"""What is said where nothing more exact is."""
TITLES = {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}
"""Names as in RFC 9110, where versions of Python differ: a problem's ``type`` must not."""

SAID = {
    "extra_forbidden": "is not known here",
    "timezone_aware": "has no time zone; write e.g. 2026-03-02T07:41:00Z",
}
"""What is said of a field, where the library's own words leave a stranger without a remedy."""


class Problem(HTTPException):
    """An error with its own words; ``errors`` name fields."""

    def __init__(
        self,
        status: int,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(status, detail or DETAILS[status], headers)
        self.errors = list(errors)


def body_of(status: int, detail: str, request_id: str, errors: Sequence[Mapping[str, Any]] = ()) -> bytes:
    """A problem as JSON in ASCII, which any client can read whatever was sent."""
    title = TITLES.get(status) or HTTPStatus(status).phrase
    slug = title.lower().replace(" ", "-")
    said: dict[str, Any] = {"type": f"urn:hashloom:problem:{slug}", "title": title, "status": status, "detail": detail}
    said |= {"request_id": request_id} | ({"errors": list(errors)} if errors else {})
    return json.dumps(said).encode("ascii")


def respond(request: Request, error: Problem) -> Response:
    """The answer for a problem."""
    id = request.scope.get("state", {}).get("request_id", "")
    content = body_of(error.status_code, error.detail, id, error.errors)
    headers = dict(error.headers or {})
    if error.status_code == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="hashloom"'
    return Response(content, error.status_code, headers, MEDIA)


def on_http(request: Request, error: Exception) -> Response:
    """Errors of the frame (no such address, no such method, a broken form) and our own."""
    if isinstance(error, Problem):
        return respond(request, error)
    assert isinstance(error, HTTPException)
    status = error.status_code if error.status_code in DETAILS else 400 if error.status_code < 500 else 500
    return respond(request, Problem(status, headers=dict(error.headers or {})))


def on_invalid(request: Request, error: Exception) -> Response:
    """What was sent is not as it must be: the places and what is wrong there, but not what was sent."""
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return respond(request, Problem(400))
    errors = [
        {
            "field": ".".join(str(part)[:60] for part in one["loc"][1:]) or str(one["loc"][0]),
            "message": SAID.get(one["type"], one["msg"].removeprefix("Value error, "))[:200],
        }
        for one in found[:MAX_ERRORS]
    ]
    return respond(request, Problem(422, errors=errors))


def on_store(request: Request, error: Exception) -> Response:
    """The store's errors; their messages name files, so they are logged and not sent."""
    from hashloom.store import Deleted, FullStore, NotThere

    if isinstance(error, Deleted):
        return respond(request, Problem(410))
    LOG.error("%s: %s", type(error).__name__, error)
    if isinstance(error, NotThere):
        return respond(request, Problem(404))
    if isinstance(error, FullStore):
        return respond(request, Problem(503, "No room is left to keep this; nothing of it was kept."))
    return respond(request, Problem(503, headers={"Retry-After": "2"}))


def on_failure(request: Request, error: Exception) -> Response:
    """Anything else is a fault of ours."""
    LOG.error("inner failure: %s", type(error).__name__, exc_info=error)
    return respond(request, Problem(500))
