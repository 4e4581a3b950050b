"""How the client writes what it sends: addresses, forms, moments."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any


def part(name: str) -> str:
    """A name as one part of an address; dots alone would be taken for folders.

    >>> part("a/b ü"), part("..")
    ('a%2Fb%20%C3%BC', '%2E%2E')
    """
    made = urllib.parse.quote(name, safe="")
    return made.replace(".", "%2E") if not made.strip(".") else made


def place(community: str) -> str:
    """A community in an address; ``~`` is the one without a name, and one of tildes and dots alone has one more.

    >>> place("bakers"), place(""), place("~"), place("..")
    ('bakers', '~', '~~', '~..')
    """
    return part(community) if community.strip("~.") else f"~{community}"


def post(community: str, id: str) -> str:
    """A post in an address."""
    return f"posts/{place(community)}/{part(id)}"


def content(picture: Path | bytes) -> bytes:
    """A picture's bytes."""
    return picture if isinstance(picture, bytes) else Path(picture).read_bytes()


def form_part(mark: str, name: str, file: str | None, content: bytes) -> bytes:
    """One part of a form; ``file`` is its name where it is one."""
    named = f'; filename="{file}"\r\nContent-Type: application/octet-stream' if file else ""
    return f'--{mark}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + content + b"\r\n"


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Moments as the API takes them; one without a zone is refused, since it could be any."""
    made = dict(values)
    for name, value in made.items():
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise ValueError(f"{name} {value.isoformat()} has no time zone; give it one, such as datetime.UTC")
            made[name] = value.isoformat()
    return made
