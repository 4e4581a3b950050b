"""What a reader can see of tags, told by Unicode's own tables and not by the code under test."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import quote

from hashloom.tags import skeleton

UNSEEN = {"Cc", "Cf", "Cs", "Zs", "Zl", "Zp"}
BLANK = set("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | {chr(c) for c in range(0xFE00, 0xFE10)}
"""Characters of other categories that show nothing."""


def is_seen(tag: str) -> bool:
    """Whether something of a tag shows."""
    return any(unicodedata.category(c) not in UNSEEN and c not in BLANK for c in tag)


def is_calm(tag: str) -> bool:
    """Whether a tag moves no cursor, turns no direction and breaks no line."""
    turning = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    return not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in turning for c in tag)


def fine(tags: Sequence[str]) -> None:
    """Tags as they may be listed: seen, calm, and no two that look the same."""
    assert all(map(is_seen, tags)), [ascii(tag) for tag in tags]
    assert all(map(is_calm, tags)), [ascii(tag) for tag in tags]
    looks = [skeleton(tag) or tag for tag in tags]
    assert len(set(looks)) == len(looks), [ascii(tag) for tag in tags]


def place(community: str) -> str:
    """A community in an address; the one without a name is ``~``."""
    return ("" if community.strip("~.") else "~") + quote(community, safe="")


def named(id: str) -> str:
    """A post or an author in an address."""
    return quote(id, safe="").replace(".", "%2E")


def tags_of(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [row["tag"] for row in rows]
