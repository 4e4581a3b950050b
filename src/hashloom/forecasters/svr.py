"""Support vector regression on hand features: colour and gradient, TF-IDF, mean word vectors (models §11.7).

A baseline of UHAN's paper (Zhang et al., WWW 2018), which keeps the best combination of these. The machine is linear
(liblinear: Fan et al., JMLR 2008), so that it can say exactly what each word added.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from hashloom.data.record import Record
from hashloom.encoders._reading import shown, whole
from hashloom.encoders.floret import Floret
from hashloom.encoders.image.descriptor import Descriptor
from hashloom.forecaster import Forecaster, Guess
from hashloom.forecasters._words import Words
from hashloom.types import Count, ImageEncoder, Marks, Positive, Posts, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

Features = Literal["best", "picture", "tfidf", "vectors", "picture+tfidf", "picture+vectors", "tfidf+vectors", "all"]
COMBINATIONS = (
    "picture",
    "tfidf",
    "vectors",
    "picture+tfidf",
    "picture+vectors",
    "tfidf+vectors",
    "picture+tfidf+vectors",
)
COSTS = (0.03, 0.3, 1.0)
"""Costs of a miss that the latest posts choose from."""
USUAL = 0.3
"""The cost where there are no latest posts to choose by."""
NAMED = 8
"""So many words of a text are reasons by themselves; the rest is summed."""


@dataclass
class SVR(Forecaster):
    """A linear support vector machine on colour, gradient, TF-IDF and word vectors; the best of them is kept.

    >>> from hashloom.types import Post
    >>> known = [Post(str(i), ("rye bread", "high wave")[i % 2], likes=float((3, 63)[i % 2])) for i in range(40)]
    >>> made = SVR(features="tfidf").fit(Posts.of(known))
    >>> [round(f.value) for f in made.forecast(Posts.of([Post("a", "rye bread"), Post("b", "high wave")]))]
    [2, 6]
    """

    adds_up: ClassVar[bool] = True

    features: Features = "best"
    """What is read; best: each alone and together is tried on the latest posts."""
    image: ImageEncoder | None = field(default_factory=Descriptor)
    """What describes pictures; none: they are not read."""
    vectors: Floret = field(default_factory=lambda: Floret(dim=100, epochs=2, least_words=200_000, buckets=20_000))
    """Word vectors, of which a text is the mean; also says how texts are cut into words."""
    words: Count = 30_000
    """So many words, those in most posts, are weighed by TF-IDF."""
    cost: Positive | None = None
    """What a miss costs next to large weights; none: chosen by the latest posts."""
    loss: Literal["squared", "absolute"] = "squared"
    """What of a miss beyond ``margin`` is held down."""
    margin: float = 0.1
    """Misses up to this cost nothing."""
    seed: int = 0
    """Order in which posts are gone through."""

    def _fit(self, posts: Posts, values: Floats, late: Ints) -> Guess:
        if self.image is None and "picture" in self.features:
            raise ValueError(f"svr: features={self.features!r} reads pictures, but image is none; name one")
        self.mean_ = float(values.mean())
        self._learn_blocks(posts)
        blocks, early = self._blocks(posts), np.arange(len(posts) - len(late))
        self.chosen_, self.cost_ = self._settings_without_choice()
        before, least = np.zeros(0), np.inf
        for names, cost in self._to_try() if len(late) else ():
            x = _joined(blocks, names)
            coef, bias = self._solved(x[early], values[early], cost)
            said = x[late] @ coef + bias
            missed = float(np.mean((said - values[late]) ** 2))
            if missed < least:
                self.chosen_, self.cost_, before, least = names, cost, said, missed
        x = _joined(blocks, self.chosen_)
        coef, self.bias_ = self._solved(x, values, self.cost_)
        ends = np.cumsum([0, *(blocks[name].shape[1] for name in self.chosen_)])
        self.coef_ = {n: coef[a:b] for n, a, b in zip(self.chosen_, ends, ends[1:])}
        return Guess(before)

    def _learn_blocks(self, posts: Posts) -> None:
        known = Words.learn(posts.texts, self.vectors.tokens, 2, self.words)
        self.words_, self.idf_ = known.words, known.idf
        self.scales_: dict[str, Any] = {}
        for name in {"picture", "vectors"} & set(self._wanted()):
            if name == "vectors":
                self.vectors.fit(posts.texts)
            elif self.image is not None:
                self.image.fit([of_post[0] for of_post in posts.frame["images"].to_list() if of_post])
            rows = self._dense(name, posts)
            there = rows[rows.any(axis=1)]
            centre = there.mean(axis=0) if len(there) else np.zeros(rows.shape[1])
            width = np.sqrt(((there - centre) ** 2).sum(axis=1).mean()) if len(there) else 1.0
            # Each block as long as a row of TF-IDF, so that none weighs by its size alone.
            self.scales_[name] = {"centre": centre, "width": float(max(width, 1e-9))}

    def _wanted(self) -> list[str]:
        """The blocks that may be read."""
        if self.features not in ("best", "all"):
            return self.features.split("+")
        return [name for name in ("picture", "tfidf", "vectors") if name != "picture" or self.image is not None]

    def _to_try(self) -> list[tuple[list[str], float]]:
        names = [c.split("+") for c in COMBINATIONS if set(c.split("+")) <= set(self._wanted())]
        if self.features != "best":
            names = [self._wanted()]
        return [(chosen, cost) for chosen in names for cost in ((self.cost,) if self.cost else COSTS)]

    def _settings_without_choice(self) -> tuple[list[str], float]:
        return self._wanted(), self.cost or USUAL

    def _solved(self, x: csr_matrix, y: Floats, cost: float) -> tuple[Floats, float]:
        """Weights (features,) and constant."""
        from sklearn.svm import LinearSVR

        loss = {"squared": "squared_epsilon_insensitive", "absolute": "epsilon_insensitive"}[self.loss]
        if not x.nnz or np.ptp(y) == 0:
            return np.zeros(x.shape[1]), float(y.mean())
        mean = float(y.mean())
        machine = LinearSVR(
            C=cost, loss=loss, epsilon=self.margin, dual=self.loss == "absolute", random_state=self.seed,
            max_iter=5000, tol=1e-3, intercept_scaling=10.0,
        )  # fmt: skip
        machine.fit(x, y - mean)
        return np.asarray(machine.coef_, np.float64).ravel(), mean + float(np.ravel(machine.intercept_)[0])

    # ---- what is read

    @cached_property
    def _known(self) -> Words:
        return Words(self.vectors.tokens, self.words_, self.idf_)

    def _blocks(self, posts: Posts, names: Sequence[str] | None = None) -> dict[str, csr_matrix]:
        """The blocks of features, each (posts, its features)."""
        from scipy.sparse import csr_matrix

        made = {}
        for name in self._wanted() if names is None else names:
            if name == "tfidf":
                made[name] = self._known.matrix(posts.texts)
            else:
                made[name] = csr_matrix(self._scaled(name, self._dense(name, posts)))
        return made

    def _dense(self, name: str, posts: Posts) -> Floats:
        """Mean word vectors, or the picture's description; zeros where a post has none. (posts, dim)."""
        if name == "vectors":
            return self.vectors.encode(posts.texts).astype(np.float64)
        if self.image is None:
            return np.zeros((len(posts), 0))
        rows: Floats | None = None
        for at, found in shown(self.image, posts.frame["images"].to_list()):
            seen = whole(found).astype(np.float64) * np.any(found.mask, axis=1, keepdims=True)
            rows = np.zeros((len(posts), seen.shape[1])) if rows is None else rows
            rows[at] = seen
        return np.zeros((len(posts), self._picture_dim)) if rows is None else rows

    @property
    def _picture_dim(self) -> int:
        scale = self.scales_.get("picture")
        return len(scale["centre"]) if scale else 0

    def _scaled(self, name: str, rows: Floats) -> Floats:
        scale = self.scales_[name]
        there = np.any(rows, axis=1, keepdims=True)
        return np.asarray((rows - scale["centre"]) / scale["width"] * there)

    # ---- answers

    def _guess(self, posts: Posts, record: Record, explain: bool) -> Guess:
        blocks = self._blocks(posts, self.chosen_)
        shares = {name: np.asarray(blocks[name] @ self.coef_[name]).ravel() for name in self.chosen_}
        values = self.bias_ + sum(shares.values(), np.zeros(len(posts)))
        return Guess(values, reasons=self._reasons(posts, shares) if explain else None)

    def _reasons(self, posts: Posts, shares: dict[str, Floats]) -> list[tuple[Reason, ...]]:
        """Words with what each adds, the rest of the text, the picture, and the constant; they sum to the value."""
        made = []
        for i, text in enumerate(posts.texts):
            words = self._added(text)
            top = sorted(words, key=lambda word: -abs(words[word]))[:NAMED]
            why = [Reason("text", found(text, word), words[word]) for word in top]
            rest = sum(float(share[i]) for name, share in shares.items() if name != "picture")
            why.append(Reason("text", "other words", rest - sum(words[word] for word in top)))
            if "picture" in shares:
                why.append(Reason("image", "picture", float(shares["picture"][i])))
            made.append((*why, Reason("model", "usual", self.bias_)))
        return made

    def marks(self, posts: Posts, *, history: Posts | None = None) -> list[Marks | None]:
        """What each word adds, each once, in reading order; the picture is one piece and has no regions."""
        self._must_be_fitted()
        said = [[(found(text, word), weight) for word, weight in self._added(text).items()] for text in posts.texts]
        return [Marks("contribution", words) for words in said]

    def _added(self, text: str) -> dict[str, float]:
        """What each word of a text adds, but for the constant that centring word vectors leaves."""
        words = self.vectors.tokens.split(text)
        added = dict.fromkeys(words, 0.0)
        if "tfidf" in self.coef_:
            at, weights = self._known.row(text)
            for row, weight in zip(at, (weights * self.coef_["tfidf"][at]).tolist()):
                added[self.words_[row]] += weight
        if "vectors" in self.coef_ and words:
            each = self.vectors.encode_tokens([[word] for word in words]).astype(np.float64)
            worth = each @ self.coef_["vectors"] / (self.scales_["vectors"]["width"] * len(words))
            for word, weight in zip(words, worth.tolist()):
                added[word] += weight
        return {word: weight for word, weight in added.items() if weight}


def _joined(blocks: dict[str, csr_matrix], names: Sequence[str]) -> csr_matrix:
    """Some blocks side by side, (posts, features)."""
    from scipy.sparse import csr_matrix, hstack

    return csr_matrix(hstack([blocks[name] for name in names]))


def found(text: str, word: str) -> str:
    """A word as it stands in a text; as it was read where it does not stand so.

    >>> found("Warm Rye, and bread", "rye")
    'Rye'
    """
    there = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) or re.search(
        re.escape(word), text, re.IGNORECASE
    )
    return there.group() if there else word
