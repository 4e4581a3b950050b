"""Names in addresses: any community, post and author can be named there, with slashes, dots and all.

A name stands percent-encoded as one part of an address. ``%2F`` is a slash within a name, never one between parts: what
a server decodes before the routes see it would lead to another community. ``~`` stands for the community without a
name; so one whose name has tildes and dots alone, which browsers take for folders, is written with one more ``~`` in
front.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import Path
from pydantic import AfterValidator
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.types import Scope

SLASH = "\0"
"""Stands for a slash within a name until the routes have taken the address apart; no name holds it."""


def path_of(scope: Scope) -> str:
    """The decoded path of a request, in which slashes within names are told from those between parts.

    >>> path_of({"path": "/v1/trends/a/b", "raw_path": b"/v1/trends/a%2Fb"})
    '/v1/trends/a\\x00b'
    """
    raw = scope.get("raw_path")
    if not raw or b"%" not in raw:
        return str(scope["path"]).replace(SLASH, "\ufffd")
    parts = raw.split(b"?")[0].decode("latin-1").split("/")
    return "/".join(unquote(part).replace(SLASH, "\ufffd").replace("/", SLASH) for part in parts)


def whole(part: str) -> str:
    """A name as it was meant, slashes and all.

    >>> whole("a\\x00b")
    'a/b'
    """
    return part.replace(SLASH, "/")


def community_of(part: str) -> str:
    """The community that a part of an address names.

    >>> [community_of(part) for part in ("~", "~~", "~..", "bakers", "~bakers")]
    ['', '~', '..', 'bakers', '~bakers']
    """
    name = whole(part)
    return name[1:] if name.startswith("~") and not name.strip("~.") else name


Name = Annotated[str, Path(max_length=500), AfterValidator(whole)]
"""The id of a post, or an author, in an address."""


class _Any(PathConvertor):
    """The rest of an address; the frame's own ends at a line break."""

    regex = "(?s:.*)"


register_url_convertor("any", _Any())
