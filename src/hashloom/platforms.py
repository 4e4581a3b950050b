"""Platforms: which tags, how long and how many, each platform takes; dated presets from ``platforms.toml``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from hashloom.tags import display, find, unique, words


@dataclass(frozen=True)
class Platform:
    """What a platform takes, as it was known on the day ``checked``; None: no limit known."""

    name: str
    limit: int | None
    graphemes: int | None
    bytes: int | None
    sign: bool
    source: str
    checked: str


@cache
def platforms() -> dict[str, Platform]:
    """The presets of ``platforms.toml`` by name."""
    table = tomllib.loads(files("hashloom").joinpath("platforms.toml").read_text("utf-8"))
    return {
        name: Platform(name=name, **{"limit": None, "graphemes": None, "bytes": None} | row)
        for name, row in table.items()
    }


def fit_platform(tags: Iterable[str], platform: str) -> list[str]:
    """Those tags that a platform takes, best first as given, cut at its limit; in the form in which it takes them.

    Where tags are written with a sign in the text, several words become one (``open source`` → ``OpenSource``), and
    what still is no hashtag (``c++``, ``2024``) is left out. Lengths count graphemes and UTF-8 bytes.

    >>> fit_platform(["open source", "C++", "Linux"], "mastodon")
    ['OpenSource', 'Linux']
    """
    if platform not in platforms():
        raise ValueError(f"unknown platform {platform!r}; known: {', '.join(platforms())}")
    rules = platforms()[platform]
    shaped = [_one_word(tag) if rules.sign else display(tag) for tag in tags]
    return [tag for tag in unique(shaped) if _fits(tag, rules)][: rules.limit]


def _one_word(tag: str) -> str:
    shown = display(tag)
    if not _whole(shown):
        shown = "".join(word[:1].upper() + word[1:] for word in words(tag).split())
    return shown if _whole(shown) else ""


def _whole(tag: str) -> bool:
    return [found.raw for found in find("#" + tag)] == [tag]


def _fits(tag: str, rules: Platform) -> bool:
    import regex  # type: ignore[import-untyped, unused-ignore]

    short = rules.graphemes is None or len(regex.findall(r"\X", tag)) <= rules.graphemes
    return short and (rules.bytes is None or len(tag.encode()) <= rules.bytes)
