"""Posts cut into training, validation and test part: by time for the headline, by user, at random for parity."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hashloom.types import UNDATED, Posts

How = Literal["time", "random", "community", "user", "none"]
PARTS = (0.7, 0.1, 0.2)
DRAWN = ("random", "user")
"""Splits that depend on a seed."""


@dataclass(frozen=True)
class Split:
    """The three parts, how they were made and the fingerprint of the data that they were made from."""

    train: Posts
    validation: Posts
    test: Posts
    how: str
    seed: int
    fingerprint: str

    @property
    def id(self) -> str:
        """Names the split in every table: two results with one id were scored on the same posts."""
        parts = "/".join(str(len(p)) for p in (self.train, self.validation, self.test))
        return f"{self.how}-{self.fingerprint}-{parts}" + (f"-seed{self.seed}" if self.how in DRAWN else "")


def split(
    posts: Posts, how: How = "time", *, seed: int = 0, parts: tuple[float, float, float] = PARTS, grouped: bool = True
) -> Split:
    """Cut posts 70/10/20 (``parts``): ``time``, ``random``, ``community`` (by time in each) or ``none`` (all train).

    ``user`` cuts the authors, drawn by the seed, not the posts: all posts of an author stand in one part, so that
    those of the test part are strangers to the model. Posts without an author are drawn one by one.

    A set in which no post has a time is cut in the order given, within each community. Near-duplicates (same text
    after folding, or the same ``dup_group``) stand on the side of the earliest of them (``grouped``); with ``user``,
    where authors must stay whole, an author's copy of a later part's post is left out instead.

    >>> from hashloom.types import Post
    >>> made = split(Posts.of([Post(str(i), f"post {i}") for i in range(10)]))
    >>> len(made.train), len(made.validation), len(made.test)
    (7, 1, 2)
    """
    if how not in get_args(How):
        raise ValueError(f"no split {how!r}; there are {', '.join(get_args(How))}")
    posts = posts.in_order()
    group = near_duplicates(posts) if grouped and how != "none" else np.arange(len(posts))
    if how == "user":
        side = _without_copies(_authors(posts, group, seed, parts), group)
    else:
        side = _together(_sides(posts, how, seed, parts), group)
    train, validation, test = (posts[side == part] for part in range(3))
    return Split(train, validation, test, how, seed, posts.fingerprint)


def _sides(posts: Posts, how: How, seed: int, parts: tuple[float, float, float]) -> NDArray[np.int64]:
    """0, 1 or 2 for each post: the part that it belongs to."""
    if how == "none":
        return np.zeros(len(posts), dtype=np.int64)
    undated = bool(np.all(posts.times == UNDATED))
    if how == "community" or (how == "time" and undated):
        side = np.zeros(len(posts), dtype=np.int64)
        communities = np.array(posts.communities, dtype=object)
        for community in dict.fromkeys(posts.communities):
            rows = np.flatnonzero(communities == community)
            side[rows] = _cut(len(rows), parts)
        return side
    side = _cut(len(posts), parts)
    return np.random.default_rng(seed).permutation(side) if how == "random" else side


def _cut(count: int, parts: tuple[float, float, float]) -> NDArray[np.int64]:
    bounds = np.floor(np.cumsum(parts)[:2] * count + 0.5).astype(np.int64)
    return np.searchsorted(bounds, np.arange(count), side="right")


def _together(side: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    first = np.full(int(group.max(initial=-1)) + 1, 3, dtype=np.int64)
    np.minimum.at(first, group, side)
    return first[group]


def _authors(posts: Posts, group: NDArray[np.int64], seed: int, parts: tuple[float, float, float]) -> NDArray[np.int64]:
    """The part of each post's author; copies without an author count as one author."""
    seen: dict[object, int] = {}
    named = (("copy", g) if u is None else u for u, g in zip(posts.users, group.tolist()))
    author = np.array([seen.setdefault(name, len(seen)) for name in named], dtype=np.int64)
    return np.random.default_rng(seed).permutation(_cut(len(seen), parts))[author]


def _without_copies(side: NDArray[np.int64], group: NDArray[np.int64]) -> NDArray[np.int64]:
    """-1 for posts of which a later part holds a copy: they belong to no part."""
    last = np.full(int(group.max(initial=-1)) + 1, -1, dtype=np.int64)
    np.maximum.at(last, group, side)
    return np.where(side < last[group], -1, side)


def near_duplicates(posts: Posts) -> NDArray[np.int64]:
    """A group number for each post; posts of one community with the same folded text share one. Shape (posts,).

    Texts of fewer than twelve letters are no evidence of a copy. A column ``dup_group`` is used where there is one.
    """
    if "dup_group" in posts.frame.columns:
        marks: list[object] = posts.frame["dup_group"].to_list()
    else:
        marks = [(c, t) if len(t := fold(text)) >= 12 else None for c, text in zip(posts.communities, posts.texts)]
    seen: dict[object, int] = {}
    return np.array([seen.setdefault(m if m is not None else i, len(seen)) for i, m in enumerate(marks)], np.int64)


def fold(text: str) -> str:
    """Text without case, width, punctuation or space differences, for telling copies.

    >>> fold("Rye  loaf!") == fold("ｒｙｅ loaf")
    True
    """
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())
