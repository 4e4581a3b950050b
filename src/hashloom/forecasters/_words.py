"""Words of posts as sparse TF-IDF rows, and what posts with such words got: ridge regression, out of fold in time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.encoders.tokens import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float64]

CUTS = (0.15, 0.3, 0.45, 0.6, 0.75)
"""Shares of the posts after which the words are weighed anew for the next posts."""
LEAST = 50
"""From fewer posts nothing is learnt of words."""


@dataclass
class Words:
    """Known words and how rare they are; a text is a row of unit length, (1 + log count) times rarity.

    >>> words = Words.learn(["rye bread", "rye flour", "wheat bread"], Tokens(), least=2, most=2)
    >>> words.words, words.matrix(["rye and bread", "never"]).toarray().round(2).tolist()
    (['bread', 'rye'], [[0.71, 0.71], [0.0, 0.0]])
    """

    tokens: Tokens
    words: list[str]
    idf: Floats
    """(words,)"""

    @classmethod
    def learn(cls, texts: Sequence[str], tokens: Tokens, least: int, most: int) -> Words:
        """The ``most`` frequent of the words in at least ``least`` texts (in fewer than 100 texts: in any)."""
        uses = Counter(word for text in texts for word in set(tokens.split(text)))
        known = [word for word in uses if uses[word] >= (least if len(texts) >= 100 else 1)]
        words = sorted(known, key=lambda word: (-uses[word], word))[:most]
        ratio = np.array([(1 + len(texts)) / (1 + uses[word]) for word in words])
        return cls(tokens, words, 1 + np.log(ratio))

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words)}

    def row(self, text: str) -> tuple[list[int], Floats]:
        """The numbers of a text's known words and their weights."""
        counts = Counter(self.tokens.split(text))
        at = [self._row_of[word] for word in counts if word in self._row_of]
        weights = (1 + np.log([counts[self.words[i]] for i in at])) * self.idf[at]
        return at, weights / max(float(np.linalg.norm(weights)), 1e-12)

    def matrix(self, texts: Sequence[str]) -> csr_matrix:
        """Texts as rows, (texts, words)."""
        from scipy.sparse import csr_matrix

        rows = [self.row(text) for text in texts]
        starts = np.cumsum([0, *(len(at) for at, _ in rows)])
        at = np.concatenate([np.array(at, np.int64) for at, _ in rows] or [np.zeros(0, np.int64)])
        weights = np.concatenate([weights for _, weights in rows] or [np.zeros(0)])
        return csr_matrix((weights, at, starts), shape=(len(texts), len(self.words)))

    def dot(self, texts: Sequence[str], weights: Floats) -> Floats:
        """Texts times a weight per word, (texts,); for few texts far quicker than by the matrix."""
        rows = [self.row(text) for text in texts]
        return np.array([value @ weights[at] for at, value in rows], np.float64)


def ridge(x: csr_matrix, y: Floats, alpha: float) -> Floats:
    """Weights of words (words,), with a constant fitted beside them and left out."""
    from sklearn.linear_model import Ridge

    if len(y) < LEAST or not x.nnz:
        return np.zeros(x.shape[1])
    return np.asarray(Ridge(alpha=alpha, solver="sparse_cg", tol=1e-3).fit(x, y).coef_, np.float64)


def out_of_fold(x: csr_matrix, y: Floats, alpha: float, late: int) -> tuple[Floats, Floats]:
    """What words say of each post, learnt from posts before it alone; and the weights learnt from all.

    Rows come in order of time; the ``late`` last ones are one fold. The first have no earlier ones: NaN. Shapes
    (posts,), (words,).
    """
    n = len(y)
    cuts = [int(n * share) for share in CUTS if n * share < n - late]
    cuts = sorted({*cuts, n - late} if late else set(cuts))
    said: Any = np.full(n, np.nan)
    for cut, end in zip(cuts, [*cuts[1:], n]):
        if cut >= LEAST:
            said[cut:end] = x[cut:end] @ ridge(x[:cut], y[:cut], alpha)
    return said, ridge(x, y, alpha)
