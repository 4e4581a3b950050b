"""Tfidf: TF-IDF of words, pressed into few dimensions by a truncated SVD (Commune two-stage paper §4.5.1).

The paper sets the TF-IDF of caption and tag side by side and presses the pair; here texts and tags get a vector each
in one space, learnt from the texts, so that they may be compared as well as set side by side.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hashloom.encoders.tokens import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Tfidf:
    """TF-IDF (1 + log count, smoothed inverse document frequency, unit length) and truncated SVD.

    >>> encoder = Tfidf(dim=2).fit(["rye bread", "rye flour", "wheat bread", "wheat flour"])
    >>> encoder.encode(["rye bread", "never seen"]).shape
    (2, 2)
    """

    dim: int = 300
    """Length of a vector; where the posts allow fewer dimensions, the rest is zero."""
    min_posts: int = 2
    """Words in fewer training posts than this are left out."""
    words: int = 30_000
    """So many words, those in most posts, are kept."""
    seed: int = 0
    """Start of the random projection inside the SVD."""
    tokens: Tokens = field(default_factory=Tokens)
    """How texts are cut into words."""

    def fit(self, texts: Sequence[str], tags: Sequence[str] = ()) -> Self:
        """Learn words, their weights and the projection from texts; ``tags`` add nothing.

        >>> Tfidf(dim=2).fit([]).encode(["nothing learnt"]).tolist()
        [[0.0, 0.0]]
        """
        counted = [Counter(self.tokens.split(text)) for text in texts]
        posts_with = Counter(word for words in counted for word in words)
        known = [word for word in posts_with if posts_with[word] >= self.min_posts]
        self.words_ = sorted(known, key=lambda word: (-posts_with[word], word))[: self.words]
        ratio = [(1 + len(texts)) / (1 + posts_with[word]) for word in self.words_]
        self.idf_ = (1 + np.log(np.array(ratio))).astype(np.float32)
        self.__dict__.pop("_row_of", None)
        self.projection_ = self._learn_projection(counted)
        return self

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts; shape (texts, dim), float32. A text without known words gets zeros."""
        return self.encode_tokens(self.tokens.split_all(texts))

    def encode_tags(self, tags: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of tags, given as words (``open source``), in the space of the texts; shape (tags, dim)."""
        return self.encode(tags)

    def encode_tokens(self, tokens: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Vectors of texts that are cut into words already; shape (texts, dim)."""
        vectors = np.zeros((len(tokens), self.dim), dtype=np.float32)
        for i, words in enumerate(tokens):
            rows, weights = self._weigh(Counter(words))
            if rows:
                vectors[i] = weights @ self.projection_.take(rows, axis=0)
        return vectors

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words_)}

    def _weigh(self, counts: Counter[str]) -> tuple[list[int], NDArray[np.float32]]:
        """Rows of a text's known words and their weights, which have unit length together."""
        row_of = self._row_of
        known = [(row_of[word], count) for word, count in counts.items() if word in row_of]
        rows = [row for row, _ in known]
        weights = np.array([1 + math.log(count) for _, count in known], dtype=np.float32) * self.idf_[rows]
        return rows, weights / max(float(np.linalg.norm(weights)), 1e-12)

    def _learn_projection(self, counted: Sequence[Counter[str]]) -> NDArray[np.float32]:
        """Shape (words, dim): row ``w`` is where the unit weight of word ``w`` goes."""
        projection = np.zeros((len(self.words_), self.dim), dtype=np.float32)
        size = min(self.dim, len(self.words_), len(counted))
        if not size:
            return projection
        from sklearn.decomposition import TruncatedSVD

        if len(self.words_) == 1:
            projection[0, 0] = 1
            return projection
        svd = TruncatedSVD(size, random_state=self.seed)
        # Posts that are all alike have no variance, by which scikit-learn divides to report the share explained.
        with np.errstate(invalid="ignore"):
            projection[:, :size] = svd.fit(self._matrix(counted)).components_.T
        return projection

    def _matrix(self, counted: Sequence[Counter[str]]) -> Any:
        from scipy.sparse import csr_matrix

        weighed = [self._weigh(counts) for counts in counted]
        starts = np.cumsum([0, *(len(rows) for rows, _ in weighed)])
        columns = np.concatenate([np.array(rows, dtype=np.int64) for rows, _ in weighed])
        weights = np.concatenate([weights for _, weights in weighed])
        return csr_matrix((weights, columns, starts), shape=(len(counted), len(self.words_)))
