"""Posts as rows of the store and rows as posts; what no database can hold is replaced or refused, alike everywhere."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from hashloom.data.rows import MAX_ID, MAX_TAG, MAX_TAGS, MAX_TEXT, clean
from hashloom.store.tables import digest
from hashloom.store.things import now
from hashloom.types import FEW, POST_FIELDS, UNDATED, Post, Posts, schema

MAX_IMAGE = 4_096
NUMBERS = ("views", "likes", "comments", "popularity")
_SHA256 = re.compile("[0-9a-f]{64}")
_LONGEST = {"id": MAX_ID, "community": MAX_ID, "user": MAX_ID, "language": MAX_ID, "text": MAX_TEXT}


def as_rows(posts: Posts, sources: Sequence[str], refused: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """One row per post with its source; those that break a limit go to ``refused`` as (id, reason)."""
    rows, at = [], now()
    given_rows = posts.frame.select(POST_FIELDS).iter_rows(named=True)
    for given, moment, source in zip(given_rows, posts.times.tolist(), sources, strict=True):
        try:
            row = _row({**given, "created_at": moment})
        except ValueError as error:
            refused.append((given["id"] or "", str(error)))
        else:
            rows.append(row | {"source": source, "received_at": at, "changed_at": at})
    return rows


def _row(given: dict[str, Any]) -> dict[str, Any]:
    row = {**given, "images": listed(given, "images", MAX_IMAGE), "tags": listed(given, "tags", MAX_TAG)}
    for name, most in _LONGEST.items():
        row[name] = bounded(given[name], name, most)
    if not row["id"]:
        raise ValueError("no id; every post needs one")
    for name in NUMBERS:
        row[name] = finite(given[name], name)
    key = digest("post", row["community"], row["id"])
    return row | marks(row["community"], row["user"]) | {"key": key, "content": content_of(row)}


def content_of(row: dict[str, Any]) -> bytes:
    """What tells whether a post is the same as before."""
    return digest("content", *map(repr, (row[name] for name in POST_FIELDS)))


def bounded(value: str | None, name: str, most: int = MAX_ID) -> str | None:
    """The text in a form that every database holds; one that is longer than ``most`` is refused."""
    if value is not None and len(value) > most:
        raise ValueError(f"{name} has {len(value):,} characters; at most {most:,} can be kept")
    return None if value is None else clean(value)


def listed(given: dict[str, Any], name: str, most: int) -> str:
    """A post's list of texts as JSON."""
    values = given[name]
    if not values:
        return "[]"
    if len(values) > MAX_TAGS:
        raise ValueError(f"{len(values):,} {name}; at most {MAX_TAGS:,} can be kept")
    return json.dumps([bounded(value, name, most) for value in values if value is not None], ensure_ascii=False)


def finite(value: float | None, name: str) -> float | None:
    """The number; None where it is none, and an infinite one is refused."""
    if value is None or math.isnan(value):
        return None
    if math.isinf(value):
        raise ValueError(f"{name} is not a finite number")
    return float(value)


@lru_cache(maxsize=4_096)
def marks(community: str, user: str | None) -> dict[str, bytes | None]:
    """The digests of a community, of an author anywhere, and of the author there."""
    known = user is not None
    return {
        "place": digest("place", community),
        "author": digest("author", user) if known else None,  # type: ignore[arg-type]
        "member": digest("member", community, user) if known else None,  # type: ignore[arg-type]
    }


def pictures_of(images: str) -> set[str]:
    """The SHA-256 names among a row's images; paths and addresses are not kept here."""
    return {name for name in json.loads(images) if _SHA256.fullmatch(name)} if images != "[]" else set()


def as_posts(rows: Sequence[sa.Row] | Sequence[tuple[Any, ...]]) -> Posts:
    """Posts from rows whose columns are the fields of a post, in this order."""
    import polars as pl

    if not rows:
        return Posts.of([])
    columns: dict[str, Any] = dict(zip(POST_FIELDS, map(list, zip(*rows))))
    kinds = schema()
    columns["created_at"] = [None if moment == UNDATED else moment for moment in columns["created_at"]]
    columns["created_at"] = pl.Series(columns["created_at"], dtype=pl.Int64()).cast(kinds["created_at"])
    columns |= {name: _lists(columns[name]) for name in ("images", "tags")}
    return Posts(pl.DataFrame([pl.Series(name, values, dtype=kinds[name]) for name, values in columns.items()]))


def _lists(texts: list[str]) -> Any:
    import polars as pl

    kind = pl.List(pl.String())
    # polars reads many lists twenty times quicker than Python, but wakes its threads for it.
    if len(texts) > FEW:
        return pl.Series(texts, dtype=pl.String()).str.json_decode(kind)
    return pl.Series([json.loads(text) if text != "[]" else [] for text in texts], dtype=kind)


def plain(post: Post) -> dict[str, Any]:
    """A post in plain types, for JSON."""
    values = {name: getattr(post, name) for name in POST_FIELDS}
    moment = post.created_at.isoformat() if post.created_at else None
    return values | {"created_at": moment, "images": list(post.images), "tags": list(post.tags)}
