"""How networks are given a post: its words as numbers or vectors, its picture's regions, and a look for likeness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from hashloom.encoders._vectors import unit
from hashloom.types import Features, ImageEncoder, Posts, TokenEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashloom.encoders.tfidf import Tfidf

    Floats = NDArray[np.float32]

SAMPLE = 400
"""Pictures that the principal directions of regions are learnt from."""
LOOK = 64
"""Directions of the pooled picture vector that likeness is measured by."""
STEP = 256
"""Pictures whose regions are in memory at once."""
PICTURES = 4
"""Where a picture of a post cannot be read the next is tried, up to so many."""


class Reads(Protocol):
    """What a model says of its reading: fields of ``recommenders._multimodal`` and of ``forecasters._network``."""

    image: ImageEncoder | None
    text: TokenEncoder | None
    reads: Literal["both", "text", "picture"]
    likeness: Tfidf
    length: int
    words: int
    directions: int


@dataclass
class Reading:
    """Posts as a network reads them.

    ``words``: (posts, words) numbers or (posts, words, dim) vectors; ``regions``: (posts, regions, dim); both with
    masks. ``looks``: (posts, text dims + picture dims), each part of unit length or zero; ``split`` is where the
    picture's part begins.
    """

    words: NDArray[Any]
    word_mask: NDArray[np.bool_]
    regions: NDArray[Any]
    region_mask: NDArray[np.bool_]
    looks: Floats
    split: int


@dataclass
class Reader:
    """What is learnt of words and regions before any network is."""

    model: Reads
    words: list[str]
    """Known words; the number of the first is 1."""
    centre: Floats
    """(region dim,)"""
    axes: Floats
    """(region dim, directions); empty: regions as they are."""
    pooled_centre: Floats
    pooled_axes: Floats
    """(pooled dim, LOOK)"""
    places: int = 1
    """Regions of a picture."""

    @classmethod
    def learn(cls, model: Reads, posts: Posts) -> Reader:
        """Fit the encoders on training posts; learn known words and principal directions."""
        model.likeness.fit(posts.texts)
        none = np.zeros((0, 0), np.float32)
        made = cls(model, [], np.zeros(0, np.float32), none, np.zeros(0, np.float32), none)
        if model.text is not None:
            model.text.fit(posts.texts)
        elif model.reads != "picture":
            counts = Counter(word for text in posts.texts for word in made.split(text))
            often = [word for word in counts if counts[word] >= 2] or list(counts)
            made.words = sorted(often, key=lambda word: (-counts[word], word))[: model.words]
        made._learn_regions(posts)
        return made

    def state(self) -> dict[str, Any]:
        """What ``Reader(model, **state)`` makes again."""
        return {name: value for name, value in vars(self).items() if name not in ("model", "_row_of")}

    def _learn_regions(self, posts: Posts) -> None:
        image = self.model.image
        if image is None or self.model.reads == "text":
            return
        pictures = [of_post[0] for of_post in posts.frame["images"].to_list() if of_post]
        image.fit(pictures)
        found = image.features(sample(pictures))
        self.places = found.mask.shape[1]
        self.centre = np.zeros(found.values.shape[2], np.float32)
        if self.model.directions:
            self.centre, self.axes = directions(found.values[found.mask], self.model.directions)
        self.pooled_centre, self.pooled_axes = directions(whole(found)[found.mask.any(axis=1)], LOOK)

    @property
    def region_dim(self) -> int:
        """Width of a region as read."""
        return max(1, self.axes.shape[1] or len(self.centre))

    def split(self, text: str) -> list[str]:
        """The words of a text that are read."""
        return self.model.likeness.tokens.split(text)[: self.model.length]

    def read(self, posts: Posts, half: bool = False) -> Reading:
        """Posts as numbers; ``half``: regions and word vectors in float16, for keeping many."""
        kind = np.float16 if half else np.float32
        words, word_mask = self._words(posts.texts, kind)
        regions, region_mask, of_pictures = self._regions(posts.frame["images"].to_list(), kind)
        of_texts = self._of_texts(posts.texts)
        looks = np.concatenate([unit(of_texts), of_pictures], axis=1)
        return Reading(words, word_mask, regions, region_mask, looks, of_texts.shape[1])

    def _of_texts(self, texts: Sequence[str]) -> Floats:
        if self.model.reads == "picture":
            return np.zeros((len(texts), self.model.likeness.dim), np.float32)
        return self.model.likeness.encode(texts)

    def _words(self, texts: Sequence[str], kind: type) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        if self.model.reads == "picture":
            return np.zeros((len(texts), 1), np.int64), np.zeros((len(texts), 1), bool)
        if self.model.text is not None:
            found = self.model.text.features(texts)
            return found.values.astype(kind), found.mask
        rows = [[self._row_of[word] for word in self.split(text) if word in self._row_of] for text in texts]
        numbers = np.zeros((len(texts), max(1, *map(len, rows))), np.int64) if rows else np.zeros((0, 1), np.int64)
        for i, row in enumerate(rows):
            numbers[i, : len(row)] = row
        return numbers, numbers > 0

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words, 1)}

    def _regions(self, pictures: Sequence[Sequence[str]], kind: type) -> tuple[NDArray[Any], NDArray[np.bool_], Floats]:
        """Regions, their mask and the look of each post's first picture that can be read."""
        values: NDArray[Any] = np.zeros((len(pictures), self.places, self.region_dim), kind)
        mask = np.zeros((len(pictures), self.places), bool)
        looks = np.zeros((len(pictures), LOOK), np.float32)
        if self.model.image is None or self.model.reads == "text":
            return values, mask, looks
        for rows, found in shown(self.model.image, pictures):
            mask[rows], values[rows], looks[rows] = found.mask, self._along(found, kind), self._looked(found)
        return values, mask, looks

    def _along(self, found: Features, kind: type) -> NDArray[Any]:
        if not self.axes.size:
            return found.values.astype(kind)
        return (((found.values - self.centre) @ self.axes) * found.mask[:, :, None]).astype(kind)

    def _looked(self, found: Features) -> Floats:
        return looked(found, self.pooled_centre, self.pooled_axes)


def shown(image: ImageEncoder, pictures: Sequence[Sequence[str]]) -> Iterator[tuple[NDArray[np.int64], Features]]:
    """Rows of posts and the features of the first picture of each that can be read, in steps.

    A row comes again where its picture could not be read and the post has another one.
    """
    left = np.array([i for i, of_post in enumerate(pictures) if of_post], np.int64)
    for turn in range(PICTURES):
        left = left[[len(pictures[i]) > turn for i in left.tolist()]]
        bad = []
        for rows in (left[at : at + STEP] for at in range(0, len(left), STEP)):
            found = image.features([pictures[i][turn] for i in rows.tolist()])
            yield rows, found
            bad.append(rows[~found.mask.any(axis=1)])
        left = np.concatenate([left[:0], *bad])


def sample(pictures: Sequence[str]) -> Sequence[str]:
    """So many pictures that principal directions can be learnt from them, from the first to the last."""
    return pictures[:: max(1, len(pictures) // SAMPLE)][:SAMPLE] or [""]


def looked(found: Features, centre: Floats, axes: Floats) -> Floats:
    """What a picture looks like for likeness: along principal directions, of unit length; (pictures, LOOK)."""
    seen = np.asarray(found.mask.any(axis=1))[:, None]
    return unit(np.asarray((whole(found) - centre) @ axes, np.float32)) * seen


def whole(found: Features) -> Floats:
    """One vector per picture: the encoder's own, else the mean of its regions; (pictures, dim)."""
    return found.pooled if found.pooled is not None else found.values.mean(axis=1)


def directions(rows: Floats, count: int) -> tuple[Floats, Floats]:
    """Mean (dim,) and principal directions (dim, count) of rows, scaled so that a coordinate's mean square is 1.

    >>> mean, axes = directions(np.array([[0.0, 1.0], [0.0, 3.0]], np.float32), 1)
    >>> mean.tolist(), np.abs(axes).round(3).tolist()
    ([0.0, 2.0], [[0.0], [1.0]])
    """
    if not len(rows):
        return np.zeros(rows.shape[1], np.float32), np.zeros((rows.shape[1], count), np.float32)
    mean = rows.mean(axis=0)
    apart = (rows - mean).astype(np.float64)
    values, vectors = np.linalg.eigh(apart.T @ apart / len(apart))
    order = np.argsort(-values)[:count]
    axes = np.zeros((rows.shape[1], count))
    axes[:, : len(order)] = vectors[:, order]
    axes /= np.sqrt(max(float(np.maximum(values[order], 0).mean()), 1e-12))
    return mean.astype(np.float32), axes.astype(np.float32)
