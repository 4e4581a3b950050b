"""ROUGE-1, -2 and -L between suggested and true tags as text (Lin 2004), as RIGHT (Fan et al., ECIR 2024) measures.

Defined as version 1.0.1 of the Python package ``rouge`` computes F by default: n-grams and words are sets, so that a
repeated one counts once; a full stop ends a sentence, so that ``node.js`` is two; L is the union of the longest common
subsequences of all pairs of sentences; and 1e-8 stands in the denominator. The text of a post are the keys of its tags,
each once, joined by spaces: the suggested ones in the order of the ranking, the true ones in the order as posted. A key
with a space is so many words. Nothing suggested scores 0 (the package refuses it). Versions of the package before 1.0
have another F of ROUGE-L.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hashloom.evaluate.hits import Hits
from hashloom.tags import key

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TINY = 1e-8


def rouge1(hits: Hits, k: int) -> Floats:
    """ROUGE-1: F of the words that the text of the first K suggestions shares with that of the true tags.

    Formula: 2PR / (P + R + 1e-8) with P = shared / suggested words, R = shared / true words, all distinct
    Range: 0 to 1, higher is better
    Source: RIGHT (the package rouge 1.0.1)

    >>> from hashloom.types import Rankings
    >>> answers = Rankings.of(["a"], [[("Rain", 2.0), ("tour", 1.0), ("sun", 0.5)]])
    >>> rouge1(Hits.of(answers, [["tour", "rain"]], 3), 3).round(6)
    array([0.8])
    """
    return np.array([_grams(said, true, 1) for said, true in _texts(hits, k)], dtype=np.float64)


def rouge2(hits: Hits, k: int) -> Floats:
    """ROUGE-2: the same over pairs of neighbouring words; 0 where a post carries a single word.

    Formula: 2PR / (P + R + 1e-8) with P = shared / suggested pairs, R = shared / true pairs, all distinct
    Range: 0 to 1, higher is better
    Source: RIGHT (the package rouge 1.0.1)

    >>> from hashloom.types import Rankings
    >>> answers = Rankings.of(["a"], [[("rain", 2.0), ("tour", 1.0), ("sun", 0.5)]])
    >>> rouge2(Hits.of(answers, [["rain", "tour"]], 3), 3).round(6)
    array([0.666667])
    """
    _need_order(hits)
    return np.array([_grams(said, true, 2) for said, true in _texts(hits, k)], dtype=np.float64)


def rougeL(hits: Hits, k: int) -> Floats:
    """ROUGE-L: the same over the longest common subsequence, so that order counts and gaps do not.

    Formula: 2PR / (P + R + 1e-8) with P = subsequence / suggested words, R = subsequence / true words, all distinct
    Range: 0 to 1, higher is better
    Source: RIGHT (the package rouge 1.0.1)

    >>> from hashloom.types import Rankings
    >>> answers = Rankings.of(["a"], [[("rain", 2.0), ("sun", 1.0), ("tour", 0.5)]])
    >>> rougeL(Hits.of(answers, [["tour", "rain"]], 3), 3).round(6)
    array([0.4])
    """
    _need_order(hits)
    return np.array([_longest(said, true) for said, true in _texts(hits, k)], dtype=np.float64)


def _need_order(hits: Hits) -> None:
    for at, row in enumerate(hits.posted):
        if isinstance(row, set | frozenset) and len(row) > 1:
            raise ValueError(
                f"the true tags of ranking {at + 1} are a set: ROUGE-2 and ROUGE-L need them in the order as posted; "
                "give lists (hashloom.evaluate.beyond.posted makes them)"
            )


def _texts(hits: Hits, k: int) -> Iterator[tuple[list[list[str]], list[list[str]]]]:
    """The sentences, as words, of the first K suggestions and of the true tags of each post."""
    if hits.rankings is None:
        raise ValueError("ROUGE compares texts, and these hits are marks alone; make them with Hits.of(rankings, …)")
    starts = hits.rankings.starts
    for i, true in enumerate(hits.posted):
        yield _sentences(hits.rankings.tags[starts[i] : starts[i + 1]], k), _sentences(true)


def _sentences(tags: Iterable[str], k: int | None = None) -> list[list[str]]:
    """The words of each sentence of a text. Two full stops with a space between hold an empty word, as there."""
    text = " ".join([tag for tag in dict.fromkeys(map(key, tags)) if tag][:k])
    return [" ".join(part.split()).split(" ") for part in text.split(".") if part]


def _flat(sentences: Sequence[Sequence[str]]) -> list[str]:
    return [word for sentence in sentences for word in sentence]


def _grams(said: Sequence[Sequence[str]], true: Sequence[Sequence[str]], n: int) -> float:
    """F of the runs of ``n`` words, which go on across sentences."""
    first, second = (
        {tuple(words[i : i + n]) for i in range(len(words) - n + 1)} for words in (_flat(said), _flat(true))
    )
    return _f(len(first & second), len(first), len(second))


def _longest(said: Sequence[Sequence[str]], true: Sequence[Sequence[str]]) -> float:
    union = {word for there in true for here in said for word in _common(there, here)}
    return _f(len(union), len(set(_flat(said))), len(set(_flat(true))))


def _f(shared: int, said: int, true: int) -> float:
    precision, recall = shared / said if said else 0.0, shared / true if true else 0.0
    return 2.0 * ((precision * recall) / (precision + recall + TINY))


def _common(a: Sequence[str], b: Sequence[str]) -> list[str]:
    """A longest common subsequence, last word first; of several, the one with the latest words of ``a``."""
    lengths = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, word in enumerate(a, 1):
        for j, other in enumerate(b, 1):
            lengths[i][j] = lengths[i - 1][j - 1] + 1 if word == other else max(lengths[i - 1][j], lengths[i][j - 1])
    i, j, found = len(a), len(b), []
    while i and j:
        if a[i - 1] == b[j - 1]:
            found.append(a[i - 1])
            i, j = i - 1, j - 1
        elif lengths[i - 1][j] > lengths[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return found
