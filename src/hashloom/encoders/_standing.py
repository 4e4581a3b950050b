"""Where words stand in a text although they were folded (NFKC, case) when they were read.

Models read folded words; what they say of them is said of the text as it was written.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashloom.encoders._reading import Reader

Span = tuple[int, int]
"""Start and end in the text, in characters."""

_joins = re.compile("[\u1160-\u11ff\uff9e\uff9f]")
"""What melts with the character before it beside marks: parts of a Hangul syllable, narrow voicing signs."""
_joint = re.compile(r"[.\-]")


def plain(text: str, fold: Callable[[str], str] | None = None) -> tuple[str, NDArray[np.int64], NDArray[np.int64]]:
    """The folded text, and for each of its characters where in the text what it came from starts and ends.

    ``fold``: how a character with its marks is folded, by default as ``Tokens`` does.

    >>> folded, starts, ends = plain("Ｒｙｅ ½")
    >>> folded, starts.tolist(), ends.tolist()
    ('rye 1⁄2', [0, 1, 2, 3, 4, 4, 4], [1, 2, 3, 4, 5, 5, 5])
    """
    if text.isascii():
        at = np.arange(len(text))
        return text.lower(), at, at + 1
    clusters = _clusters(text)
    made = [(fold or _fold)(text[start:end]) for start, end in clusters]
    spans = np.repeat(np.array(clusters, np.int64).reshape(-1, 2), [len(part) for part in made], axis=0)
    return "".join(made), spans[:, 0], spans[:, 1]


def _clusters(text: str) -> list[Span]:
    """Characters with the marks that belong to them."""
    starts = [i for i, char in enumerate(text) if not i or not (char > "\u02ff" and _belongs(char))]
    return list(zip(starts, [*starts[1:], len(text)]))


@lru_cache(maxsize=1 << 12)
def _belongs(char: str) -> bool:
    return unicodedata.category(char)[0] == "M" or bool(_joins.match(char))


@lru_cache(maxsize=1 << 14)
def _fold(part: str) -> str:
    """As ``Tokens`` folds."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", part).casefold())
    return folded.replace("\u2019", "'")


def spans(text: str, words: Sequence[str]) -> list[Span | None]:
    """Where each of the words that ``Tokens`` read in a text stands there; None where it is not found.

    The parts of a joined word follow it and stand inside it.

    >>> spans("Warm RYE, warm sour-dough", ["warm", "rye", "warm", "sour-dough", "sour", "dough"])
    [(0, 4), (5, 8), (10, 14), (15, 25), (15, 19), (20, 25)]
    """
    folded, starts, ends = plain(text)
    found: list[Span | None] = []
    cursor, whole = 0, (0, 0, "")
    for word in map(_fold, words):
        part = word != whole[2] and word in _joint.split(whole[2])
        inside = folded.find(word, whole[0], whole[1]) if part else -1
        at = inside if inside >= 0 else folded.find(word, cursor)
        if at < 0 or not word:
            found.append(None)
            continue
        end = at + len(word)
        cursor, whole = (cursor, (end, whole[1], whole[2])) if inside >= 0 else (end, (at, end, word))
        found.append((int(starts[at]), int(ends[end - 1])))
    return found


def read_places(reader: Reader, text: str) -> list[Span | None]:
    """Where each word that a network was given of a text stands there, one per place of its attention.

    Words that the network does not know are no place of it; signs that are no word have none.
    """
    encoder = reader.model.text
    if reader.model.reads == "picture":
        return []
    if encoder is not None:
        pieces = getattr(encoder, "pieces", None)
        return [place if place[0] < place[1] else None for place in pieces([text])[0]] if pieces else []
    words = reader.split(text)
    return [place for word, place in zip(words, spans(text, words)) if word in reader._row_of]


def outermost(places: Sequence[Span | None]) -> list[Span]:
    """The places that lie in no other, in order, without overlaps.

    >>> outermost([(15, 25), (0, 4), (15, 19), None])
    [(0, 4), (15, 25)]
    """
    found: list[Span] = []
    for start, end in sorted({place for place in places if place}, key=lambda place: (place[0], -place[1])):
        if not found or start >= found[-1][1]:
            found.append((start, end))
    return found


def gathered(text: str, places: Sequence[Span | None], weights: Sequence[float]) -> list[tuple[str, float]]:
    """Words as they are in the text, in order of reading, each with its weight and that of its parts.

    What has no place in the text is left out.

    >>> gathered("Warm sour-dough", [(0, 4), (5, 15), (5, 9), None], [0.5, 0.25, 0.125, 1.0])
    [('Warm', 0.5), ('sour-dough', 0.375)]
    """
    whole = outermost(places)
    starts = [start for start, _ in whole]
    sums = np.zeros(len(whole))
    for place, weight in zip(places, weights, strict=True):
        if place:
            sums[int(np.searchsorted(starts, place[0], side="right")) - 1] += weight
    return [(text[start:end], weight) for (start, end), weight in zip(whole, sums.tolist())]
