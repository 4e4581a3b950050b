"""Linear classifiers over words and characters, one per tag within each community.

Squared-hinge support vector machines in one-vs-rest form. All tags of a community are solved together by dual
coordinate descent (Hsieh et al., ICML 2008): a post's features are read once for all its tags.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.data.history import History
from hashloom.encoders._standing import Span, spans
from hashloom.encoders.tokens import Tokens
from hashloom.recommender import Recommender, best
from hashloom.recommenders import _contributions as contributions
from hashloom.types import Count, Marks, Positive, Posts, Rankings, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]

BLOCK = 1 << 26
"""So many weights are solved at once, which bounds the memory (float32)."""

STEP = 0.01
"""Smaller steps are left out: they cost time and change no ranking that matters."""

_between_words = re.compile(r"[\W_]+")


@dataclass
class Linear(Recommender):
    """Linear classifiers over words and characters, one per tag within each community.

    >>> from hashloom.types import Post
    >>> loaf, wave = Post("1", "rye bread", "c", tags=("baking",)), Post("2", "high wave", "c", tags=("surf",))
    >>> Linear().fit(Posts.of([loaf, wave])).recommend(Posts.of([Post("3", "more bread", "c")]), 1)[0].tags
    ['baking']
    """

    c: Positive = 0.25
    """Cost of a post on the wrong side; smaller: smoother weights."""
    epochs: Count = 5
    """Passes over the training posts."""
    min_df: Count = 2
    """Words of the text on fewer posts of the community are left out (in communities under 100 posts: 1)."""
    pairs: bool = True
    """Also pairs of neighbouring words in the first line."""
    title_weight: float = 0.7
    """Weight of the first line's words next to 1 for those of the whole text."""
    characters: int = 350
    """Character n-grams are read from so many first characters; 0: none."""
    char_weight: float = 0.7
    """Weight of the character n-grams."""
    char_min: Count = 2
    """Shortest character n-gram."""
    char_max: Count = 5
    """Longest character n-gram."""
    char_min_df: Count = 3
    """Character n-grams on fewer posts of the community are left out (in communities under 100 posts: 1)."""
    prune: float = 0.02
    """Weights smaller than this are dropped once learnt, which keeps the model small."""
    tokens: Tokens = field(default_factory=Tokens)
    """How texts are split into words."""
    threads: Count = 2
    """Communities learnt at once."""

    def _fit(self, posts: Posts) -> None:
        rows: dict[str, list[int]] = {}
        for row, community in enumerate(posts.communities):
            rows.setdefault(community, []).append(row)
        texts, tags = posts.texts, posts.tags
        names = sorted(rows, key=lambda name: (-len(rows[name]), name))
        with ThreadPoolExecutor(self.threads) as pool:
            jobs = [
                pool.submit(self._learn_one, [texts[i] for i in rows[name]], [tags[i] for i in rows[name]])
                for name in names
            ]
            self.communities_ = {name: job.result() for name, job in zip(names, jobs)}

    def _learn_one(self, texts: list[str], given: list[list[str]]) -> dict[str, Any]:
        """Vocabulary, weights (features, tags) and tag keys of one community."""
        seen = [self._features(text) for text in texts]
        learnt = self._vocabulary(seen)
        learnt["tags"] = sorted({tag for row in given for tag in row})
        code = {tag: i for i, tag in enumerate(learnt["tags"])}
        true = np.zeros((len(texts), len(code)), dtype=bool)
        for i, row in enumerate(given):
            true[i, [code[tag] for tag in row]] = True
        x = self._matrix(seen, learnt, _index(learnt["words"]))
        learnt["weights"] = self._weights(x, true)
        return learnt

    def _weights(self, x: csr_matrix, true: NDArray[np.bool_]) -> csr_matrix:
        """Weights of all tags, (features, tags), solved a block of tags at a time."""
        from scipy.sparse import csr_matrix, hstack

        step = max(1, BLOCK // sum(x.shape))
        blocks = []
        for at in range(0, true.shape[1], step):
            weights = solve(x, true[:, at : at + step], self.c, self.epochs)
            weights[np.abs(weights) < self.prune] = 0
            blocks.append(csr_matrix(weights))
        return hstack(blocks, format="csr")

    # ---- features

    def _features(self, text: str) -> _Features:
        """What is counted in a text: words of all of it, words and pairs of its first line, character n-grams."""
        line = text.lstrip().split("\n", 1)[0]
        words = self.tokens.split(text)
        title = words if len(line) == len(text) else self.tokens.split(line)
        pairs = [f"{a} {b}" for a, b in pairwise(title)] if self.pairs else []
        grams = character_grams(text[: self.characters], self.char_min, self.char_max)
        return _Features(Counter(words), Counter(title + pairs), *np.unique(grams, return_counts=True))

    def _vocabulary(self, seen: Sequence[_Features]) -> dict[str, Any]:
        """The features kept and their inverse document frequency: words, first-line words, n-grams, one constant."""
        least, char_least = (1, 1) if len(seen) < 100 else (self.min_df, self.char_min_df)
        body = Counter(word for f in seen for word in f.words)
        title = Counter(word for f in seen for word in f.title)
        words = [("w " + w, n) for w, n in sorted(body.items()) if n >= least]
        words += [("t " + w, n) for w, n in sorted(title.items()) if n >= least]
        grams, uses = np.unique(np.concatenate([f.grams for f in seen]), return_counts=True)
        grams, uses = grams[uses >= char_least], uses[uses >= char_least]
        df = np.concatenate([np.array([n for _, n in words], dtype=np.int64), uses])
        idf = np.log((1 + len(seen)) / (1 + df)) + 1
        return {"words": [w for w, _ in words], "grams": grams, "idf": idf.astype(np.float32)}

    def _matrix(self, seen: Iterable[_Features], learnt: dict[str, Any], index: dict[str, int]) -> csr_matrix:
        """Weighted features of texts, each of the three groups of length one times its weight. (texts, features)."""
        from scipy.sparse import csr_matrix

        rows = [self._row(f, learnt, index) for f in seen]
        starts = np.cumsum([0] + [len(at) for at, _ in rows])
        at, values = np.concatenate([r[0] for r in rows]), np.concatenate([r[1] for r in rows])
        return csr_matrix((values, at, starts), shape=(len(rows), len(learnt["idf"]) + 1))

    def _row(self, f: _Features, learnt: dict[str, Any], index: dict[str, int]) -> tuple[NDArray[np.int64], Floats]:
        idf: Floats = learnt["idf"]
        parts = [
            (*_known(index, "w ", f.words), 1.0),
            (*_known(index, "t ", f.title), self.title_weight),
            (*_known_grams(learnt["grams"], f.grams, f.counts, len(index)), self.char_weight),
        ]
        made = [(at, _unit((1 + np.log(count)) * idf[at], weight)) for at, count, weight in parts if len(at)]
        # The constant comes last; its weight is the tag's bias.
        made.append((np.array([len(idf)]), np.ones(1, dtype=np.float32)))
        return np.concatenate([at for at, _ in made]), np.concatenate([value for _, value in made])

    @cached_property
    def _indices(self) -> dict[str, dict[str, int]]:
        return {name: _index(learnt["words"]) for name, learnt in self.communities_.items()}

    # ---- answers

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        lists: list[list[tuple[str, float]]] = [[] for _ in posts.ids]
        why: list[list[tuple[Reason, ...]]] = [[] for _ in posts.ids]
        for community in dict.fromkeys(posts.communities):
            learnt = self.communities_.get(community)
            if learnt is None:
                continue
            rows = [i for i, name in enumerate(posts.communities) if name == community]
            for i in rows:
                seen = self._features(posts.texts[i])
                at, values = self._row(seen, learnt, self._indices[community])
                if len(at) == 1:
                    continue  # no known feature: nothing to say
                # Row by row: to multiply sparse matrices costs more than the few rows of one post's features.
                margins = learnt["weights"][at].T @ values
                top = best(margins, np.arange(len(margins)), k)
                scores = 1 / (1 + np.exp(-2 * margins[top].astype(np.float64)))
                lists[i] = [(learnt["tags"][t], s) for t, s in zip(top.tolist(), scores.tolist())]
                if explain:
                    x = self._matrix([seen], learnt, self._indices[community])
                    why[i] = self._reasons(posts.texts[i], x, community, top)
        return Rankings.of(posts.ids, lists, why if explain else None)

    def _reasons(self, text: str, x: csr_matrix, community: str, top: NDArray[Any]) -> list[tuple[Reason, ...]]:
        """For each tag the three words that add most to its margin; the constant, where no word adds anything."""
        words, added = self._added(text, x, community, top)
        learnt = self.communities_[community]
        first: dict[str, Span] = {}
        for start, end in words:
            first.setdefault(text[start:end].casefold(), (start, end))
        reasons = []
        for column, constant in zip(added.T.tolist(), np.ravel(learnt["weights"][-1][:, top].todense()).tolist()):
            sums: Counter[Span] = Counter()
            for (start, end), share in zip(words, column):
                sums[first[text[start:end].casefold()]] += share
            said = [Reason("text", f"{a}:{b}", share) for (a, b), share in sums.most_common(3) if share > 0]
            reasons.append(tuple(said) or (Reason("model", "constant", float(constant)),))
        return reasons

    def marks(self, posts: Posts, tags: Sequence[str], *, history: Posts | None = None) -> list[Marks | None]:
        """What each word adds to the tag's margin, exactly: with the tag's constant they sum to it.

        None for a tag that no training post of the community carries.
        """
        self._must_be_fitted()
        return [self._marked(*each) for each in zip(posts.texts, posts.communities, tags, strict=True)]

    def _marked(self, text: str, community: str, tag: str) -> Marks | None:
        learnt, known = self.communities_.get(community), self.spaces_[community].resolve(tag)
        if learnt is None or known not in learnt["tags"]:
            return None
        x = self._matrix([self._features(text)], learnt, self._indices[community])
        words, added = self._added(text, x, community, np.array([learnt["tags"].index(known)]))
        return Marks("contribution", [(text[a:b], share) for (a, b), share in zip(words, added[:, 0].tolist())])

    def _added(
        self, text: str, x: csr_matrix, community: str, top: NDArray[Any]
    ) -> tuple[list[Span], NDArray[np.float64]]:
        """The words of a text, and what each adds to the margins of some tags; (words, tags)."""
        words, found = self.tokens.split(text), contributions.Places()
        learnt, index = self.communities_[community], self._indices[community]
        contributions.of_words(found, index, text, words)
        line = text.lstrip().split("\n", 1)[0]
        contributions.of_title(found, index, text, self.tokens.split(line), self.pairs)
        sizes = self.char_min, self.char_max
        contributions.of_grams(found, learnt["grams"], len(index), text[: self.characters], *sizes)
        places, shares = contributions.gathered(text, found, spans(text, words), x)
        return places, np.asarray((shares @ learnt["weights"][:, top]).todense())


@dataclass(slots=True)
class _Features:
    words: Counter[str]
    title: Counter[str]
    grams: NDArray[np.uint64]
    counts: NDArray[np.int64]


def solve(x: csr_matrix, true: NDArray[np.bool_], c: float, epochs: int) -> Floats:
    """One-vs-rest squared-hinge machines by dual coordinate descent; (features, tags).

    ``x`` (posts, features) float32 with a constant as last feature, ``true`` (posts, tags).

    >>> from scipy.sparse import csr_matrix
    >>> weights = solve(csr_matrix(np.eye(2, dtype=np.float32)), np.eye(2, dtype=bool), 1.0, 20)
    >>> (weights > 0).tolist()
    [[True, False], [False, True]]
    """
    starts, indices, data = x.indptr, x.indices, x.data
    weights = np.zeros((x.shape[1], true.shape[1]), dtype=np.float32)
    alpha = np.zeros(true.shape, dtype=np.float32)
    slack = np.float32(0.5 / c)
    room = np.empty((int(np.diff(starts).max()), true.shape[1]), dtype=np.float32)
    random = np.random.default_rng(0)
    for _ in range(epochs):
        for i in random.permutation(x.shape[0]).tolist():
            at, value = indices[starts[i] : starts[i + 1]], data[starts[i] : starts[i + 1]]
            sign = np.where(true[i], np.float32(1), np.float32(-1))
            margin = sign * (value @ np.take(weights, at, axis=0, out=room[: len(at)], mode="clip"))
            new = alpha[i] - (margin - 1 + alpha[i] * slack) / (value @ value + slack)
            step = (np.maximum(new, 0) - alpha[i]) * sign
            moved = np.flatnonzero(np.abs(step) > STEP)
            alpha[i, moved] += step[moved] * sign[moved]
            if 4 * len(moved) > len(step):
                weights[at] += value[:, None] * np.where(np.abs(step) > STEP, step, 0)
            elif len(moved):
                weights[at[:, None], moved] += value[:, None] * step[moved]
    return weights


def locate(text: str, words: str) -> str | None:
    """``start:end`` of a word or a pair of words in a text, in characters; None where it does not stand as such.

    >>> locate("Warm Rye, and bread", "rye")
    '5:8'
    """
    pattern = r"[\W_]+".join(map(re.escape, words.split(" ")))
    found = re.search(rf"(?<!\w){pattern}(?!\w)", text, re.IGNORECASE) or re.search(pattern, text, re.IGNORECASE)
    return f"{found.start()}:{found.end()}" if found else None


def _index(words: Sequence[str]) -> dict[str, int]:
    return {word: i for i, word in enumerate(words)}


def _known(index: dict[str, int], mark: str, counts: Counter[str]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    pairs = [(at, n) for word, n in counts.items() if (at := index.get(mark + word)) is not None]
    made = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return made[:, 0], made[:, 1].astype(np.float32)


def _known_grams(
    kept: NDArray[np.uint64], grams: NDArray[np.uint64], counts: NDArray[np.int64], offset: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if not len(kept):
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.float32)
    at = np.searchsorted(kept, grams)
    at[at == len(kept)] = 0
    known = kept[at] == grams
    return at[known] + offset, counts[known].astype(np.float32)


def _unit(values: Floats, weight: float) -> Floats:
    return (values * (weight / np.sqrt(values @ values))).astype(np.float32)


def character_grams(text: str, shortest: int, longest: int) -> NDArray[np.uint64]:
    """Hashes of the character n-grams within words, a word's edges marked by a space; one per occurrence."""
    bare = _between_words.sub(" ", unicodedata.normalize("NFKC", text).casefold()).strip()
    if not bare:
        return np.zeros(0, dtype=np.uint64)
    codes = np.frombuffer(f" {bare} ".encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    found = [hashes for _, _, hashes in contributions.hashed_grams(codes, shortest, longest)]
    return np.concatenate(found) if found else np.zeros(0, dtype=np.uint64)
