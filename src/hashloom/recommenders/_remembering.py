"""How a personal model remembers: which earlier posts a selection chooses, and their vectors from a shelf."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.data.history import History
from hashloom.recommender import hashed
from hashloom.selections._selection import Asked, Memory, Selection
from hashloom.types import Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashloom.encoders._reading import Reading

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

POOL = 500
"""So many of a user's latest posts may be chosen from."""
MOST_TAGS = 32
"""So many tags of an earlier post are read (MaCon: 48)."""
PICTURE_SHARE = 0.5
"""What the picture counts in likeness where both posts have one (λ of the selection rules)."""


class Shelf:
    """Vectors and tag numbers of a history's posts: kept for posts learnt from, made for others when first needed.

    ``look(posts)`` makes vectors as remembered (posts, width) and for likeness (posts, look).
    """

    def __init__(
        self,
        history: History,
        number: dict[str, int],
        look: Callable[[Posts], tuple[Floats, Floats]],
        ids: NDArray[np.uint64],
        vectors: NDArray[np.float16],
        looks: NDArray[np.float16],
        split: int,
    ) -> None:
        self.history, self.number, self.make, self.split = history, number, look, split
        self.vectors = np.zeros((len(history.posts), vectors.shape[1]), np.float32)
        self.looks = np.zeros((len(history.posts), looks.shape[1]), np.float32)
        self.known = np.zeros(len(history.posts), bool)
        if len(ids) and len(history.posts):
            given = hashed(history.posts.ids)
            at = np.minimum(np.searchsorted(ids, given), len(ids) - 1)
            self.known = ids[at] == given
            self.vectors[self.known] = vectors[at[self.known]]
            self.looks[self.known] = looks[at[self.known]]
        self._tags: dict[int, list[int]] = {}

    def need(self, rows: Ints) -> None:
        """Make the vectors of rows that are not known yet."""
        fresh = np.unique(rows[~self.known[rows]])
        if len(fresh):
            self.vectors[fresh], self.looks[fresh] = self.make(self.history.posts[fresh])
            self.known[fresh] = True

    def looks_of(self, rows: Ints) -> Floats:
        """Vectors for likeness; (rows, look)."""
        self.need(rows)
        return self.looks[rows]

    def tags(self, row: int) -> Sequence[int]:
        """Numbers of the known tags of a row."""
        found = self._tags.get(row)
        if found is None:
            given = (self.number.get(tag) for tag in self.history.posts.tags[row])
            found = self._tags[row] = [n for n in given if n is not None][:MOST_TAGS]
        return found

    def memories(self, memory: Memory) -> tuple[Floats, Ints]:
        """Vectors (posts, memories, width) and tag numbers + 1, 0 for none (posts, memories, tags)."""
        rows = memory.rows
        self.need(rows[rows >= 0])
        past = (
            self.vectors[np.maximum(rows, 0)] if len(self.vectors) else np.zeros((*rows.shape, self.vectors.shape[1]))
        )
        return (past * (rows >= 0)[:, :, None]).astype(np.float32), tag_numbers(memory, self.tags)


def tag_numbers(memory: Memory, tags: Callable[[int], Sequence[int]]) -> Ints:
    """Tag numbers + 1 of each memory, 0 for none; (posts, memories, tags)."""
    rows = memory.rows
    if memory.tags is not None:
        return (memory.tags + 1)[:, :, None]
    used = {row: tags(row) for row in np.unique(rows[rows >= 0]).tolist()}
    widest = max(1, *(len(of) for of in used.values())) if used else 1
    table = np.zeros((max(used, default=-1) + 2, widest), np.int64)
    for row, of in used.items():
        table[row, : len(of)] = np.array(of, np.int64) + 1
    return table[rows]  # -1 is the last row, which is empty


def remember(
    selection: Selection, posts: Posts, reading: Reading, history: History, shelf: Shelf, epoch: int = -1
) -> Memory:
    """What each asked post remembers; at least one place, empty where there is nothing."""
    past = history.before(posts, last=POOL)
    moments = history.moments_of(posts)
    asked = Asked(
        ids=posts.ids,
        users=posts.users,
        past=past,
        ages=[history.ages(int(m), rows) for m, rows in zip(moments, past)],
        likeness=lambda i, rows: alike(reading.looks[i : i + 1], shelf.looks_of(rows), shelf.split)[0],
        alike=lambda rows: alike(shelf.looks_of(rows), shelf.looks_of(rows), shelf.split),
        tags=shelf.tags,
        others=_Others(posts, reading, history, shelf, moments),
    )
    return padded(selection.choose(asked, epoch))


def padded(memory: Memory) -> Memory:
    """The memory with at least one place."""
    if memory.rows.shape[1]:
        return memory
    n = len(memory.rows)
    return Memory(
        np.full((n, 1), -1), np.zeros((n, 1, 4), np.float32), None if memory.tags is None else np.full((n, 1), -1)
    )


def alike(one: Floats, other: Floats, split: int) -> NDArray[np.float64]:
    """Likeness (one, other) of looks: the cosine of texts and of pictures, mixed where both have both."""
    text, picture = one[:, :split] @ other[:, :split].T, one[:, split:] @ other[:, split:].T
    has_text = _has(one[:, :split])[:, None] & _has(other[:, :split])
    has_picture = _has(one[:, split:])[:, None] & _has(other[:, split:])
    share = np.where(has_picture & has_text, PICTURE_SHARE, has_picture)
    return np.asarray(share * picture + (1 - share) * text, np.float64)


def _has(looks: Floats) -> NDArray[np.bool_]:
    return np.asarray(np.abs(looks).sum(axis=1) > 0)


@dataclass
class _Others:
    """The nearest earlier posts of other users of the community, when a rule asks for them."""

    posts: Posts
    reading: Reading
    history: History
    shelf: Shelf
    moments: Ints
    _rows: dict[str, Any] = field(default_factory=dict)

    def __call__(self, i: int, n: int) -> tuple[Ints, NDArray[np.float64], NDArray[np.float64]]:
        if "all" not in self._rows:
            self._rows["all"] = self.history.before(self.posts, by="community")
            self._rows["users"] = np.array(self.history.posts.users, dtype=object)
        rows = self._rows["all"][i]
        rows = rows[self._rows["users"][rows] != self.posts.users[i]] if self.posts.users[i] else rows
        likeness = alike(self.reading.looks[i : i + 1], self.shelf.looks_of(rows), self.shelf.split)[0]
        top = np.argsort(-likeness, kind="stable")[:n]
        return rows[top], likeness[top], self.history.ages(int(self.moments[i]), rows[top])
