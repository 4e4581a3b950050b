"""BM25 over posts that come and go (Robertson and Zaragoza 2009, §3.3).

A word's weight in a post saturates by repetition and is discounted in long posts; these weights are a sparse matrix of
words and posts. How rare a word is counts when something is asked, so that it follows the posts. Posts added lately
stand beside the matrix, in lists by word, and are entered into it from time to time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.recommender import hashed

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

K1, B = 1.2, 0.75
LATE = 1000
"""So many posts may stand beside the matrix."""


class Bm25:
    """An index over ``kept``, plain values and arrays that are kept with a model, and that ``add``/``remove`` change.

    ``words`` and ``df``, the posts that hold each; ``common``, hashes of words that say nothing; ``posts``, their
    number; ``length``, their mean number of words; ``weights`` (words, posts); ``late``, the word counts of posts added
    since.

    >>> index = Bm25.learn([Counter(["rye", "bread"]), Counter(["wave"])], 1.0)
    >>> index.add([Counter(["rye", "oat"])])
    >>> index.scores([Counter(["rye"])]).astype(float).round(2).tolist()
    [[0.41, 0.0, 0.41]]
    """

    def __init__(self, kept: dict[str, Any]) -> None:
        self.kept = kept

    @classmethod
    def learn(cls, counts: Sequence[Counter[str]], max_share: float, searched: bool = True) -> Bm25:
        """From the word counts of posts. ``searched=False``: only what is needed to weigh words of other texts."""
        uses = Counter(word for row in counts for word in row)
        most = max(max_share * len(counts), 5)
        words = sorted(word for word, n in uses.items() if n <= most)
        kept = {
            "words": words,
            "df": np.array([uses[word] for word in words], dtype=np.int64),
            "common": np.sort(hashed(sorted(uses.keys() - set(words)))),
            "posts": len(counts),
            "length": max(float(np.mean([row.total() for row in counts])) if counts else 0.0, 1.0),
        }
        made = cls(kept)
        if searched:
            kept |= {"weights": made._matrix(counts), "late": []}
        return made

    def __len__(self) -> int:
        """Posts that are searched."""
        return int(self.kept["weights"].shape[1]) + len(self.kept["late"])

    def scores(self, asked: Sequence[Mapping[str, int]]) -> Floats:
        """What each post scores for each query of counted words; (queries, posts)."""
        made = np.zeros((len(asked), len(self)), dtype=np.float32)
        base = self.kept["weights"].shape[1]
        for row, counts in zip(made, asked):
            at, n = self._known(counts)
            worth = n * self._idf(self.kept["df"][at])
            inside = at < self.kept["weights"].shape[0]
            if inside.any():
                row[:base] += _summed(self.kept["weights"], at[inside], worth[inside])
            for word, value in zip(at.tolist(), worth.tolist()) if self.kept["late"] else ():
                for post, weight in self._lately.get(word, ()):
                    row[base + post] += value * weight
        return made

    def weigh(self, counts: Counter[str]) -> dict[str, float]:
        """Full weights of a text's words; one that no post holds is as rare as can be, a common one is left out."""
        known = {word: self._index.get(word, -1) for word in counts}
        words = [word for word, at in known.items() if at >= 0 or not self._is_common(word)]
        at = np.array([known[word] for word in words], dtype=np.int64)
        n = np.array([counts[word] for word in words], dtype=np.float64)
        df = np.where(at >= 0, self.kept["df"][at], 0) if len(self.kept["df"]) else np.zeros(len(at))
        worth = self._idf(df) * n * (K1 + 1) / (n + self._discount(counts))
        return dict(zip(words, worth.tolist()))

    def add(self, counts: Iterable[Counter[str]]) -> None:
        """Enter further posts, after the others."""
        for row in counts:
            self._enter_late(row)
            self.kept["late"].append(dict(row))
        if len(self.kept["late"]) > LATE:
            self._merge()

    def remove(self, rows: Ints) -> None:
        """Take posts out, by their places; the others move up. Words that no post holds any more go too."""
        from scipy.sparse import csc_matrix

        self._merge()
        weights = csc_matrix(self.kept["weights"])
        gone = np.zeros(weights.shape[1], dtype=bool)
        gone[rows] = True
        self.kept["df"] = self.kept["df"] - np.asarray((weights[:, gone] > 0).sum(axis=1)).ravel()
        self.kept["posts"] -= int(gone.sum())
        self.kept["weights"] = weights[:, ~gone].tocsr()
        self._drop_words(self.kept["df"] > 0)

    def lose(self, counts: Iterable[Counter[str]]) -> None:
        """Where nothing is searched: take the words of these posts out of the counts."""
        for row in counts:
            at, _ = self._known(row)
            self.kept["df"][at] -= 1
            self.kept["posts"] -= 1
        self._drop_words(self.kept["df"] > 0)

    # ---- inside

    def _drop_words(self, stay: NDArray[np.bool_]) -> None:
        if stay.all():
            return
        self.kept["words"] = [word for word, keep in zip(self.kept["words"], stay) if keep]
        self.kept["df"] = self.kept["df"][stay]
        if "weights" in self.kept:
            self.kept["weights"] = self.kept["weights"][np.flatnonzero(stay)]
        self._forget_derived()

    def _forget_derived(self) -> None:
        for name in ("_index", "_lately"):
            self.__dict__.pop(name, None)

    def _idf(self, df: NDArray[Any]) -> Floats:
        return np.log(1 + (self.kept["posts"] - df + 0.5) / (df + 0.5)).astype(np.float32)

    def _discount(self, counts: Mapping[str, int]) -> float:
        return K1 * (1 - B + B * sum(counts.values()) / float(self.kept["length"]))

    def _known(self, counts: Mapping[str, int]) -> tuple[Ints, Floats]:
        """Known words of a text and how often each is used, both of shape (words,)."""
        pairs = [(at, n) for word, n in counts.items() if (at := self._index.get(word)) is not None]
        made = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        return made[:, 0], made[:, 1].astype(np.float32)

    def _saturated(self, counts: Mapping[str, int]) -> tuple[Ints, Floats]:
        at, n = self._known(counts)
        return at, (n * (K1 + 1) / (n + self._discount(counts))).astype(np.float32)

    def _matrix(self, counts: Sequence[Mapping[str, int]]) -> csr_matrix:
        """Weights without rarity, (words, posts)."""
        from scipy.sparse import csr_matrix

        rows = [self._saturated(row) for row in counts]
        starts = np.cumsum([0] + [len(at) for at, _ in rows])
        at = np.concatenate([np.zeros(0, np.int64), *(r[0] for r in rows)])
        values = np.concatenate([np.zeros(0, np.float32), *(r[1] for r in rows)])
        return csr_matrix((values, at, starts), shape=(len(rows), len(self.kept["words"]))).T.tocsr()

    def _enter_late(self, counts: Counter[str]) -> None:
        """Count the words of a post that is about to be added, new ones included."""
        place, lately = len(self.kept["late"]), self._lately
        fresh = [word for word in counts if word not in self._index and not self._is_common(word)]
        self._index.update(zip(fresh, range(len(self.kept["words"]), len(self.kept["words"]) + len(fresh))))
        self.kept["words"].extend(fresh)
        self.kept["df"] = np.concatenate([self.kept["df"], np.zeros(len(fresh), np.int64)])
        at, weights = self._saturated(counts)
        self.kept["df"][at] += 1
        self.kept["posts"] += 1
        for word, weight in zip(at.tolist(), weights.tolist()):
            lately.setdefault(word, []).append((place, weight))

    def _merge(self) -> None:
        """Enter late posts into the matrix."""
        from scipy.sparse import csr_matrix, hstack, vstack

        if not self.kept["late"]:
            return
        weights, words = self.kept["weights"], len(self.kept["words"])
        grown = vstack([weights, csr_matrix((words - weights.shape[0], weights.shape[1]), dtype=np.float32)])
        self.kept["weights"] = hstack([grown, self._matrix(self.kept["late"])]).tocsr()
        self.kept["late"] = []
        self._forget_derived()

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.kept["words"])}

    @cached_property
    def _common(self) -> frozenset[int]:
        return frozenset(self.kept["common"].tolist())

    def _is_common(self, word: str) -> bool:
        # Kept as hashes: no post is left by which such a word could be dropped when posts are forgotten.
        return int(hashed([word])[0]) in self._common

    @cached_property
    def _lately(self) -> dict[int, list[tuple[int, float]]]:
        """Word → the late posts that hold it, with its weight there."""
        made: dict[int, list[tuple[int, float]]] = {}
        for place, counts in enumerate(self.kept.get("late", ())):
            for word, weight in zip(*(x.tolist() for x in self._saturated(counts))):
                made.setdefault(word, []).append((place, weight))
        return made


def _summed(weights: Any, at: Ints, worth: Floats) -> NDArray[Any]:
    """Rows of a CSR matrix times their worth, added up: ``weights[at].T @ worth`` in two thirds of the time."""
    spans = list(zip(weights.indptr[at].tolist(), weights.indptr[at + 1].tolist()))
    places = np.concatenate([weights.indices[start:end] for start, end in spans])
    values = np.concatenate([weights.data[start:end] for start, end in spans])
    times = np.repeat(worth, [end - start for start, end in spans])
    return np.asarray(np.bincount(places, values * times, minlength=weights.shape[1]))
