"""Tags that may mean the same: their posts use the same words and stand with the same tags, but hardly together.

Each tag's vector is the mean over its recent posts of TF-IDF of words and of the other tags, less the community's mean;
two tags are as alike as the cosine says. What often stands on one post (#bread #rye) goes together and is no duplicate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashloom.encoders.tokens import Tokens
from hashloom.tags import key, take_out, unique
from hashloom.types import Posts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

TAGS = 1_000
"""So many tags, those on most posts, are compared."""
AT_ONCE = 200
"""So many of them with all others at a time, which bounds the memory."""
LEAST_POSTS = 3
"""Fewer posts say too little of what a tag means."""
TOGETHER = 0.34
"""Tags that share more of the rarer one's posts go together."""
WORDS = 200
"""Different words that are read of a post."""


class Alike(NamedTuple):
    """Two tags (keys), the one on more posts first; how alike, on how many posts each is, and both are."""

    tags: tuple[str, str]
    likeness: float
    posts: tuple[int, int]
    together: int


def alike(posts: Posts, *, least: float = 0.3, most: int = 100) -> list[Alike]:
    """The pairs of tags of one community that are at least so alike (0 to 1), the most alike first.

    >>> from hashloom.types import Post
    >>> said = [("rye loaf", "Bread"), ("loaf of rye", "Loaves"), ("high wave", "Surf"), ("low tide", "Sea")] * 3
    >>> found = alike(Posts.of([Post(str(i), text, tags=(tag,)) for i, (text, tag) in enumerate(said)]))
    >>> [(one.tags, one.posts, one.together) for one in found]
    [(('bread', 'loaves'), (3, 3), 0)]
    """
    tagged = [[key(tag) for tag in unique(tags)] for tags in posts.tags]
    uses = Counter(tag for tags in tagged for tag in tags)
    ranked = sorted(uses, key=lambda tag: (-uses[tag], tag))[:TAGS]
    kept = [tag for tag in ranked if uses[tag] >= LEAST_POSTS]
    if len(kept) < 2:
        return []
    on = _table([[tag for tag in tags if tag in set(kept)] for tags in tagged], kept)
    of, names = _features(posts, tagged)
    own = [names.get(f"t {tag}", -1) for tag in kept]
    found = sorted(_pairs(kept, on, of, own, least), key=lambda one: (-one.likeness, one.tags))
    return found[:most]


def _features(posts: Posts, tagged: Sequence[Sequence[str]]) -> tuple[csr_array, dict[str, int]]:
    """TF-IDF of unit length over a post's different words and its tags (posts, words and tags), and their columns."""
    from scipy.sparse import diags_array

    words = Tokens()
    said = [list(dict.fromkeys(words.split(take_out(text)[0])))[:WORDS] for text in posts.texts]
    both = [[*(f"w {word}" for word in row), *(f"t {tag}" for tag in tags)] for row, tags in zip(said, tagged)]
    in_posts = Counter(name for row in both for name in row)
    names = sorted(name for name, n in in_posts.items() if n > 1)
    there = _table([[name for name in row if in_posts[name] > 1] for row in both], names)
    weighed = there @ diags_array(np.log((1 + len(posts)) / np.array([in_posts[name] for name in names], float)))
    long = np.sqrt((weighed**2).sum(1))
    return diags_array(1 / np.where(long > 0, long, 1)) @ weighed, {name: i for i, name in enumerate(names)}


def _table(rows: Sequence[Sequence[str]], names: Sequence[str]) -> csr_array:
    """Ones where a row has a name; (rows, names)."""
    from scipy.sparse import csr_array

    at = {name: i for i, name in enumerate(names)}
    starts = np.cumsum([0, *map(len, rows)])
    columns = np.array([at[name] for row in rows for name in row], np.int64)
    return csr_array((np.ones(len(columns)), columns, starts), shape=(len(rows), len(names)))


def _pairs(
    tags: Sequence[str], on: csr_array, features: csr_array, own: Sequence[int], least: float
) -> Iterator[Alike]:
    """The pairs that are alike enough and do not go together; ``on`` (posts, tags), ``features`` (posts, features).

    ``own`` are the tags' columns among the features: a tag says nothing of itself. With means a and b and the mean m
    of all posts, (a - m)(b - m) = ab - am - bm + mm: nothing dense but the result.
    """
    from scipy.sparse import diags_array

    posts = np.asarray(on.sum(0)).ravel()
    mean, all_posts = _without(diags_array(1 / posts) @ on.T @ features, own), np.asarray(features.mean(0)).ravel()
    to_all, square = mean @ all_posts, float(all_posts @ all_posts)
    long = np.sqrt(np.maximum(np.asarray((mean**2).sum(1)).ravel() - 2 * to_all + square, 1e-12))
    for start in range(0, len(tags), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        like = (mean[part] @ mean.T).toarray() - to_all[part, None] - to_all[None] + square
        like /= long[part, None] * long[None]
        both = (on.T[part] @ on).toarray()
        fit = (like >= least) & (both <= TOGETHER * np.minimum(posts[part, None], posts[None]))
        for i, j in zip(*np.nonzero(fit)):
            a = start + int(i)
            if a < j:  # the more frequent one stands first
                shared = int(both[i, j])
                yield Alike((tags[a], tags[j]), round(float(like[i, j]), 4), (int(posts[a]), int(posts[j])), shared)


def _without(mean: csr_array, own: Sequence[int]) -> csr_array:
    """The rows without each one's own column."""
    rows = mean.tocoo()
    rows.data[rows.col == np.asarray(own)[rows.row]] = 0
    return rows.tocsr()
