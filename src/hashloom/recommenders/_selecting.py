"""RIGHT's selector: which retrieved tags are passed on, "mainstream" ones first (Fan et al. 2024; models §9.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

TRIES = 20
"""So often is a tag corrupted anew until it has changed."""


def mainstream(likeness: Mapping[str, Sequence[float]], cosines: Mapping[str, float] | None = None) -> dict[str, float]:
    """S(h) of each retrieved tag, from the likeness of the posts that carry it.

    Without ``cosines`` (no selector) their sum; with them (mean + cosine of text and tag) · (1 + (n - 1) / 10), where
    n posts carry the tag.

    >>> likeness = {"x": [0.9, 0.8], "y": [0.9], "z": [0.7]}
    >>> {tag: round(score, 3) for tag, score in mainstream(likeness).items()}
    {'x': 1.7, 'y': 0.9, 'z': 0.7}
    >>> {tag: round(s, 3) for tag, s in mainstream(likeness, {"x": 0.2, "y": 0.6, "z": 0.5}).items()}
    {'x': 1.155, 'y': 1.5, 'z': 1.2}
    """
    if cosines is None:
        return {tag: float(sum(found)) for tag, found in likeness.items()}
    return {
        tag: (float(np.mean(found)) + cosines[tag]) * (1 + (len(found) - 1) / 10) for tag, found in likeness.items()
    }


def bearers(found: Sequence[tuple[int, float]], tags: Sequence[Sequence[str]], first: bool) -> dict[str, list[float]]:
    """Tag → likeness of each retrieved post that carries it; ``first``: only each post's first tag counts."""
    likeness: dict[str, list[float]] = {}
    for row, score in found:
        for tag in tags[row][:1] if first else tags[row]:
            likeness.setdefault(tag, []).append(score)
    return likeness


def ranked(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    """Best first, ties in order of the alphabet."""
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))


def corrupt(phrase: str, synonym: Mapping[str, str], fillers: Sequence[str], draw: np.random.Generator) -> str:
    """A tag's words said as nobody says them: the wrong wording that the selector learns to tell from the right one.

    Of ten, seven have a word put in another's place, one is cut to a single word, one has two words exchanged, one has
    a word put in. Where ``TRIES`` leave it as it was, one of ``fillers`` is added. ``synonym``: word → the nearest
    other word in the encoder's space; the paper takes synonyms from WordNet, which knows English alone.

    >>> corrupt("open source", {"open": "free"}, ["the"], np.random.default_rng(0)) != "open source"
    True
    """
    words = phrase.split()
    for _ in range(TRIES if words else 0):
        made = _corrupted(words, synonym, draw)
        if made != words:
            return " ".join(made)
    return f"{phrase} {fillers[int(draw.integers(len(fillers)))]}".strip() if fillers else phrase


def _corrupted(words: list[str], synonym: Mapping[str, str], draw: np.random.Generator) -> list[str]:
    at, other = (int(n) for n in draw.integers(len(words), size=2))
    kind, made = draw.random(), list(words)
    if kind < 0.7:
        made[at] = synonym.get(words[at], words[at])
    elif kind < 0.8:
        # The authors delete every word with probability 1, which leaves one.
        return [words[at]]
    elif kind < 0.9:
        made[at], made[other] = words[other], words[at]
    elif words[at] in synonym:
        made.insert(other, synonym[words[at]])
    return made


def nearest_words(words: Sequence[str], vectors: Floats, among: Sequence[str], others: Floats) -> dict[str, str]:
    """Each word's nearest other word; ``vectors`` (words, dim) and ``others`` (among, dim) of unit length or zero.

    >>> axes = np.eye(2, dtype=np.float32)
    >>> nearest_words(["rye"], axes[:1], ["rye", "oat"], axes[[0, 0]])
    {'rye': 'oat'}
    """
    place = {word: at for at, word in enumerate(among)}
    found: dict[str, str] = {}
    for at in range(0, len(words) if len(among) else 0, 512):
        cosines = vectors[at : at + 512] @ others.T
        for word, row in zip(words[at : at + 512], cosines):
            if word in place:
                row[place[word]] = -2
            best = int(row.argmax())
            if row[best] > 0:
                found[word] = among[best]
    return found
