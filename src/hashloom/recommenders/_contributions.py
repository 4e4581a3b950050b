"""What each word of a text adds to a linear model's margin, exactly: features are handed to the words they stand in.

Used by ``linear``. A word's own feature goes to where the word stands, a pair's half to each of its words, a character
n-gram's to its characters and so to their words; what is met several times is shared evenly among its places.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hashloom.encoders._standing import Span, outermost, plain, spans

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]

_between_words = re.compile(r"[\W_]+")


@dataclass
class Places:
    """Features and where they stand: parallel lists of feature, place and the place's part of the feature."""

    features: list[int] = field(default_factory=list)
    places: list[Span] = field(default_factory=list)
    parts: list[float] = field(default_factory=list)

    def add(self, feature: int | None, place: Span | None, part: float = 1.0) -> None:
        """A feature that is not known, or a word that is not found, is passed over."""
        if feature is not None and place is not None:
            self.features.append(feature)
            self.places.append(place)
            self.parts.append(part)


def of_words(found: Places, index: dict[str, int], text: str, words: Sequence[str]) -> None:
    """Enter the words of the whole text."""
    for word, place in zip(words, spans(text, words)):
        found.add(index.get("w " + word), place)


def of_title(found: Places, index: dict[str, int], text: str, words: Sequence[str], pairs: bool) -> None:
    """Enter the words of the first line and, where they count, pairs of neighbours."""
    before = len(text) - len(text.lstrip())
    line = text.lstrip().split("\n", 1)[0]
    places = [place and (place[0] + before, place[1] + before) for place in spans(line, words)]
    for word, place in zip(words, places):
        found.add(index.get("t " + word), place)
    for (one, at), (other, there) in pairwise(zip(words, places)) if pairs else ():
        feature = index.get(f"t {one} {other}")
        found.add(feature, at, 0.5)
        found.add(feature, there, 0.5)


def of_grams(found: Places, kept: NDArray[np.uint64], offset: int, text: str, shortest: int, longest: int) -> None:
    """Enter the character n-grams, each shared by its characters; ``kept`` are the known ones, sorted."""
    codes, starts, ends = bare(text)
    solid = starts >= 0
    for n, at, hashes in hashed_grams(codes, shortest, longest) if len(kept) else ():
        feature = np.minimum(np.searchsorted(kept, hashes), len(kept) - 1)
        known = kept[feature] == hashes
        letters = at[known, None] + np.arange(n)  # (known, n)
        part = solid[letters] / np.maximum(solid[letters].sum(axis=1, keepdims=True), 1)
        inside = part > 0
        found.features += np.broadcast_to(feature[known, None] + offset, letters.shape)[inside].tolist()
        found.places += zip(starts[letters[inside]].tolist(), ends[letters[inside]].tolist())
        found.parts += part[inside].tolist()


def gathered(text: str, found: Places, whole: Sequence[Span | None], row: csr_matrix) -> tuple[list[Span], csr_matrix]:
    """The words of a text, and how much of each feature of ``row`` (1, features) is each word's: (words, features).

    ``whole`` are the places of all words; what stands outside them (the path of an address) makes words of its own.
    """
    from scipy.sparse import csr_matrix, diags_array

    words = outermost([*whole, *_outside(text, whole, found.places)])
    shape = (len(words), row.shape[1])
    if not words or not found.features:
        return words, csr_matrix(shape)
    begin = np.array([start for start, _ in found.places])
    at = np.searchsorted([start for start, _ in words], begin, side="right") - 1
    made = csr_matrix((found.parts, (at, found.features)), shape=shape)
    sums = made.sum(axis=0)
    values = np.asarray(row.todense(), np.float64).ravel()
    return words, made @ diags_array(np.divide(values, np.ravel(sums), out=0 * values, where=np.ravel(sums) > 0))


def _outside(text: str, whole: Sequence[Span | None], places: Sequence[Span]) -> Iterator[Span]:
    """Runs of characters with a feature that stand in no word."""
    free = np.zeros(len(text) + 2, dtype=bool)  # one more at each end
    for start, end in set(places):
        free[start + 1 : end + 1] = True
    for start, end in filter(None, whole):
        free[start + 1 : end + 1] = False
    edges = np.flatnonzero(np.diff(free))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist())


def bare(text: str) -> tuple[NDArray[np.uint64], Ints, Ints]:
    """The characters that n-grams are made of, words apart and at the edges a space, and where each came from.

    Starts and ends of spaces are -1; all of shape (characters,), none where there is no word.

    >>> codes, starts, ends = bare("a--B!")
    >>> bytes(codes.tolist()), starts.tolist()
    (b' a b ', [-1, 0, -1, 3, -1])
    """
    folded, starts, ends = plain(text, _fold)
    kept: list[tuple[int, int, int]] = [(32, -1, -1)]
    last = 0
    for gap in [*_between_words.finditer(folded), None]:
        edge = gap.start() if gap else len(folded)
        kept += zip(map(ord, folded[last:edge]), starts[last:edge].tolist(), ends[last:edge].tolist())
        if kept[-1][0] != 32:
            kept.append((32, -1, -1))
        last = gap.end() if gap else edge
    made = np.array(kept if len(kept) > 1 else [], np.int64).reshape(-1, 3)
    return made[:, 0].astype(np.uint64), made[:, 1], made[:, 2]


def _fold(part: str) -> str:
    return unicodedata.normalize("NFKC", part).casefold()


def hashed_grams(
    codes: NDArray[np.uint64], shortest: int, longest: int
) -> Iterator[tuple[int, Ints, NDArray[np.uint64]]]:
    """Of each length the n-grams that lie within a word, its edges included: where they begin, and their hashes."""
    spaces = np.concatenate([[0], np.cumsum(codes == 32)])
    hashes = codes
    for n in range(2, longest + 1):
        if len(codes) < n:
            break
        hashes = hashes[:-1] * np.uint64(0x9E3779B97F4A7C15) + codes[n - 1 :]
        inside = spaces[n - 1 : len(codes)] - spaces[1 : len(codes) - n + 2] == 0
        if n >= shortest:
            yield n, np.flatnonzero(inside), hashes[inside]
