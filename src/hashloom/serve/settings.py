"""Every limit and switch of the service in one place; each limit is tested at one less, itself and one more."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, get_type_hints

FIXED = (
    "max_text", "max_post_text", "max_name", "max_tag", "max_tags", "max_k", "max_drafts", "max_posts", "max_events",
    "max_space", "max_pictures",
)  # fmt: skip
"""Limits that the API itself describes: a service may set them lower, not higher."""
MAY_BE_0 = ("warm", "waiting", "key_seconds", "max_pictures", "trusted_after_days")
CHOICES = {"anonymous": ("each", "one")}


@dataclass(frozen=True)
class ServeSettings:
    """What the service allows and how it behaves; times are in seconds.

    >>> ServeSettings(max_k=20).max_k, ServeSettings().least_authors
    (20, 2)
    """

    recommender: str = "recommender"
    """The name under which the store publishes the recommender."""
    forecaster: str = "forecaster"
    """The name under which the store publishes the forecaster."""

    # ---- answers
    budget: float = 2.0
    """Seconds. A model that has not answered by then is cut off, and the answer comes from the next of the chain."""
    batch_budget: float = 20.0
    """Seconds for each portion of many drafts."""
    portion: int = 16
    """So many drafts of a batch are asked at once; others' drafts are answered between two portions."""
    waiting: int = 64
    """With more questions than this waiting for a model, further ones are answered without it."""
    least_authors: int = 2
    """A tag that fewer authors of the community have used is suggested to nobody else; 1: no such floor."""
    anonymous: str = "each"
    """Posts without an author count as ``each`` of its own, or as those of ``one`` author."""
    trusted_after_days: float = 0.0
    """For that floor, favourites and trends an author counts once the first post is so many days old; 0: at once."""
    keep_previous: bool = True
    """Whether the model that was replaced stays in memory, as the first to fall back on."""
    learn_from_feedback: bool = True
    """Whether what authors accept and reject moves tags up and down in their community."""
    learn: bool = True
    """Whether new posts reach the running models. Deletions always do."""
    warm: int = 30
    """So many recent drafts a model must answer before it takes over."""
    sync_seconds: float = 1.0
    """Seconds from one reading of the store's changes to the next."""
    half_life_days: float = 2.0
    """Trends: a use so many days old counts half."""
    trend_days: float = 30.0
    """Trends: older uses count for nothing."""

    # ---- limits of what is asked
    max_text: int = 20_000
    """Characters of a draft."""
    max_post_text: int = 100_000
    """Characters of a post that is stored."""
    max_name: int = 500
    """Characters of an id, an author, a community."""
    max_tag: int = 200
    """Characters of a tag."""
    max_tags: int = 100
    """Tags of one post, tags chosen, tags unwanted."""
    max_k: int = 50
    """Suggestions per draft."""
    max_drafts: int = 100
    """Drafts of one batch."""
    max_posts: int = 1_000
    """Posts of one request."""
    max_events: int = 1_000
    """Feedback events of one request."""
    max_space: int = 50_000
    """Tags, aliases, denied or sensitive tags of one tag space."""
    max_pictures: int = 4
    """Pictures of a draft or a post."""
    max_picture: int = 10_000_000
    """Bytes of one picture."""
    max_pixels: int = 50_000_000
    """Pixels of one picture."""
    picture_seconds: float = 5.0
    """Seconds to decode one picture."""
    max_body: int = 4_000_000
    """Bytes of a JSON body."""
    max_upload: int = 42_000_000
    """Bytes of a body with pictures."""
    max_depth: int = 20
    """Lists and objects within each other in a JSON body."""
    max_buffered: int = 256_000_000
    """Bytes of all bodies that are being read or worked on at a time."""
    key_share: float = 0.25
    """The share of ``max_buffered`` that the bodies of one key may take at a time; a single body always may. 1: all."""
    body_seconds: float = 30.0
    """Seconds until a body must have arrived."""
    threads: int = 16
    """Requests that are worked on at a time; others wait."""
    max_address: int = 4_000
    """Bytes of the path and query of a request."""

    # ---- who may ask
    open_on_loopback: bool = True
    """Whether this machine needs no key as long as the store holds none."""
    key_seconds: float = 2.0
    """Seconds for which a key is taken as known before the store is asked again, and so until a revocation holds."""
    default_rate: float = 50.0
    """Requests a second of a key that states none."""
    readers_name_users: bool = False
    """Whether a reader's key may name an author, and so see that author's habits. It may stand in a web page."""
    failures: float = 5.0
    """Wrong keys a second from one address, above which it is told to wait."""
    origins: tuple[str, ...] = ()
    """Pages of these origins (https://example.org) may ask from a browser, with a key; no others may."""
    public_metrics: bool = False
    """Whether /metrics needs no key."""
    fetch_pictures: bool = False
    """Whether a draft may name pictures by address (``picture_urls``), which the service then fetches."""
    fetch_seconds: float = 5.0
    """Seconds to fetch one picture."""

    def limits(self) -> dict[str, Any]:
        """The limits of what is asked, by name, as the API states them."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name.startswith("max_")}

    def changed(self, assignments: Iterable[str]) -> ServeSettings:
        """The settings with some changed, each given as ``FIELD=VALUE``; raises ``ValueError`` with the remedy.

        >>> ServeSettings().changed(["fetch_pictures=true", "max_k=20"]).max_k
        20
        >>> ServeSettings().changed(["max_j=20"])
        Traceback (most recent call last):
        ValueError: no setting 'max_j'; did you mean 'max_k'? All: docs/settings.md, "Service"
        """
        kinds = get_type_hints(ServeSettings)
        made: dict[str, Any] = {}
        for one in assignments:
            name, equals, text = one.partition("=")
            name = name.strip()
            if not equals:
                raise ValueError(f"write it as FIELD=VALUE, not {one!r}")
            if name not in kinds:
                raise ValueError(_unknown(name, kinds))
            made[name] = _read(name, kinds[name], text.strip())
        return replace(self, **made)


def _unknown(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(known), 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f'no setting {name!r}{hint} All: docs/settings.md, "Service"'


def _read(name: str, kind: Any, text: str) -> Any:
    """A value by the type of its field, within what the service can work with."""
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{name} is true or false, not {text!r}")
        return text.lower() == "true"
    if kind in (int, float):
        return _number(name, kind, text)
    if kind is not str:
        return tuple(part for one in text.split(",") if (part := one.strip()))
    if not text or text not in CHOICES.get(name, (text,)):
        raise ValueError(f"{name} is {' or '.join(CHOICES.get(name, ('a name',)))}, not {text!r}")
    return text


def _number(name: str, kind: type[int] | type[float], text: str) -> int | float:
    try:
        value = kind(text)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"{name} is {what}, not {text!r}") from None
    if not math.isfinite(value) or value < 0 or (value == 0 and name not in MAY_BE_0):
        raise ValueError(f"{name} must be {'0 or more' if name in MAY_BE_0 else 'above 0'}, not {text}")
    most = getattr(ServeSettings, name)
    if name in FIXED and value > most:
        raise ValueError(f"{name} may be set lower than the {most:,} that the API takes, not higher: {text}")
    return value
