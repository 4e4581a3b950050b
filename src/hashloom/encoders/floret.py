"""Floret: word vectors from hashed character n-grams, trained on the posts themselves; a text is the mean of its words.

Skip-gram in 300 dimensions as in the Commune two-stage paper. What the paper does not say is ours: two hashes into
50,000 buckets, n-grams of 2 to 5 characters, and a text's vector as the mean of its L2-normalised word vectors. The
floret library trains; afterwards vectors come from a table of the training words and, for unseen words, from the
buckets, hashed here as floret does (MurmurHash3, x64, 128 bits), so that answering needs neither the library nor its
model file.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hashloom.encoders._vectors import unit
from hashloom.encoders.tokens import Tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 2166136261
REMEMBERED = 20_000
LARGEST = 1000.0
"""Sound training keeps numbers below about 10; half precision ends at 65,504."""
_WIDE = (1 << 64) - 1
_C1, _C2 = 0x87C37B91114253D5, 0x4CF5AD432745937F


@dataclass
class Floret:
    """Mean of floret word vectors.

    >>> encoder = Floret(dim=8, epochs=1, min_count=1).fit(["rye bread and salt", "rye flour and water"])
    >>> encoder.encode(["rye bread", "", "unheard-of"]).shape
    (3, 8)
    """

    dim: int = 300
    """Length of a vector."""
    epochs: int = 5
    """Passes over the training posts."""
    least_words: int = 1_000_000
    """Small sets are passed over more often than ``epochs``, up to 100 times, until so many words have been read;
    with fewer, all vectors still point the same way."""
    learning_rate: float = 0.1
    """Step size at the start of training; too high a one is refused after training."""
    window: int = 5
    """Words on each side that a word learns to foretell."""
    min_count: int = 2
    """Words rarer than this in training are not trained on; 1 is taken where no word is that frequent."""
    hashes: int = 2
    """Buckets that each n-gram is spread over, 1 to 4."""
    buckets: int = 50_000
    """Rows of the hash table."""
    shortest: int = 2
    """Characters of the shortest n-gram."""
    longest: int = 5
    """Characters of the longest n-gram."""
    words: int = 50_000
    """So many of the most frequent training words get a row in the word table; others are hashed when they come."""
    threads: int = 1
    """Training threads; more than 1 is faster, and then no two trainings give the same vectors."""
    tokens: Tokens = field(default_factory=Tokens)
    """How texts are cut into words."""

    def fit(self, texts: Sequence[str], tags: Sequence[str] = ()) -> Self:
        """Learn from training texts; the words of ``tags`` get a row in the word table too.

        Raises ValueError where training ran away because the learning rate is too high.

        >>> Floret(dim=8).fit([]).encode(["nothing learnt"]).any()
        np.False_
        """
        counts: Counter[str] = Counter()
        with tempfile.TemporaryDirectory(prefix="hashloom-") as folder:
            lines = Path(folder) / "posts.txt"
            with lines.open("w", encoding="utf-8") as file:
                for text in texts:
                    found = self.tokens.split(text)
                    counts.update(found)
                    file.write(" ".join(found) + "\n")
            model = self._train(lines, counts) if counts else None
        self.words_ = self._listed(counts, tags)
        self._keep(model)
        return self

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts; shape (texts, dim), float32. A text without words gets zeros."""
        return self.encode_tokens(self.tokens.split_all(texts))

    def encode_tags(self, tags: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of tags, given as words (``open source``), in the space of the texts; shape (tags, dim)."""
        return self.encode(tags)

    def encode_tokens(self, tokens: Sequence[Sequence[str]]) -> NDArray[np.float32]:
        """Vectors of texts that are cut into words already; shape (texts, dim)."""
        vectors = np.zeros((len(tokens), self.dim), dtype=np.float32)
        row_of, table = self._row_of, self._unit_table
        for i, words in enumerate(tokens):
            rows = [row_of.get(word, -1) for word in words]
            if -1 in rows:
                vectors[i] = self._sum_unseen([w for w, row in zip(words, rows) if row < 0])
                rows = [row for row in rows if row >= 0]
            if rows:
                vectors[i] += table.take(rows, axis=0).sum(axis=0)
            vectors[i] /= max(len(words), 1)
        return vectors

    def vectors(self, words: Sequence[str]) -> NDArray[np.float32]:
        """The words' own vectors, not normalised, to start an embedding layer from; shape (words, dim).

        >>> Floret(dim=8, min_count=1).fit(["rye bread"]).vectors(["rye", "ryes"]).shape
        (2, 8)
        """
        rows = (self._row_of.get(word, -1) for word in words)
        found = [self.table_[row] if row >= 0 else self._hashed(word) for word, row in zip(words, rows)]
        return np.asarray(found, dtype=np.float32).reshape(len(words), self.dim)

    def _train(self, lines: Path, counts: Counter[str]) -> Any:
        try:
            import floret
        except ImportError as error:
            raise ImportError("the floret library is not installed; run: pip install floret") from error
        epochs = max(self.epochs, min(100, -(-self.least_words // counts.total())))
        try:
            return floret.train_unsupervised(
                str(lines), model="skipgram", mode="floret", dim=self.dim, epoch=epochs, lr=self.learning_rate,
                ws=self.window, minCount=self.min_count if max(counts.values()) >= self.min_count else 1,
                hashCount=self.hashes, bucket=self.buckets, minn=self.shortest, maxn=self.longest,
                thread=self.threads, verbose=0,
            )  # fmt: skip
        except RuntimeError as error:
            raise ValueError(f"floret: {error}; {self._remedy}") from error

    @property
    def _remedy(self) -> str:
        return f"learning_rate={self.learning_rate} may be too high for these posts; set a lower one, e.g. 0.05"

    def _listed(self, counts: Counter[str], tags: Sequence[str]) -> list[str]:
        """Training words, most frequent first, then the tags' other words."""
        frequent = sorted(counts, key=lambda word: (-counts[word], word))[: self.words]
        return list(dict.fromkeys([*frequent, *(word for tag in tags for word in self.tokens.split(tag))]))

    def _keep(self, model: Any) -> None:
        """Take over what the library learnt; half precision holds it to about 3 digits and halves the folder."""
        learnt = np.zeros((self.buckets, self.dim), dtype=np.float32)
        if model is not None:
            learnt = model.get_input_matrix()[len(model.get_words()) :]
        # Written so that NaN fails too.
        if not np.abs(learnt).max() < LARGEST:
            raise ValueError(f"floret: training ran away; {self._remedy}")
        self.buckets_ = learnt.astype(np.float16)
        self.table_ = np.zeros((len(self.words_), self.dim), dtype=np.float16)
        for row, word in enumerate(self.words_ if model else ()):
            self.table_[row] = model.get_word_vector(word)
        for name in ("_row_of", "_unit_table", "_remembered"):
            self.__dict__.pop(name, None)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words_)}

    @cached_property
    def _unit_table(self) -> NDArray[np.float32]:
        return unit(self.table_.astype(np.float32))

    @cached_property
    def _remembered(self) -> dict[str, NDArray[np.float32]]:
        return {}

    def _sum_unseen(self, words: Iterable[str]) -> NDArray[np.float32]:
        """Sum of the unit vectors of words outside the table; these are remembered, up to a bound."""
        total = np.zeros(self.dim, dtype=np.float32)
        known = self._remembered
        for word in words:
            vector = known.get(word)
            if vector is None:
                vector = unit(self._hashed(word)[None])[0]
                if len(known) < REMEMBERED:
                    known[word] = vector
            total += vector
        return total

    def _hashed(self, word: str) -> NDArray[np.float32]:
        """The vector of any word: the mean over the buckets of the word and of its n-grams; shape (dim,)."""
        grams = ngrams(word, self.shortest, self.longest)
        rows = [h % self.buckets for gram in grams for h in hashes_of(gram)[: self.hashes]]
        return self.buckets_.take(rows, axis=0).astype(np.float32).mean(axis=0)


def ngrams(word: str, shortest: int, longest: int) -> list[str]:
    """The padded word and its n-grams, as floret takes them (a word that is an n-gram itself counts twice).

    >>> ngrams("ab", 2, 3)
    ['<ab>', '<a', '<ab', 'ab', 'ab>', 'b>']
    """
    padded = f"<{word}>"
    size = len(padded)
    cuts = ((i, n) for i in range(size) for n in range(shortest, min(longest, size - i) + 1))
    # A lone boundary sign is no n-gram.
    return [padded, *(padded[i : i + n] for i, n in cuts if n > 1 or 0 < i < size - 1)]


@lru_cache(maxsize=1 << 17)
def hashes_of(gram: str) -> tuple[int, int, int, int]:
    """MurmurHash3 (x64, 128 bits) of the UTF-8 bytes under floret's seed, as four numbers of 32 bits.

    >>> [h % 50_000 for h in hashes_of("<新機能>")]
    [25671, 16261, 10295, 21375]
    """
    data = gram.encode("utf-8", "surrogatepass")
    h1 = h2 = SEED
    blocks = len(data) // 16 * 16
    for at in range(0, blocks, 16):
        h1 ^= _mixed(_number(data[at : at + 8]), _C1, 31, _C2)
        h1 = ((_turned(h1, 27) + h2) * 5 + 0x52DCE729) & _WIDE
        h2 ^= _mixed(_number(data[at + 8 : at + 16]), _C2, 33, _C1)
        h2 = ((_turned(h2, 31) + h1) * 5 + 0x38495AB5) & _WIDE
    h1 ^= _mixed(_number(data[blocks : blocks + 8]), _C1, 31, _C2) ^ len(data)
    h2 ^= _mixed(_number(data[blocks + 8 :]), _C2, 33, _C1) ^ len(data)
    h1 = (h1 + h2) & _WIDE
    h2 = (h2 + h1) & _WIDE
    h1, h2 = _finished(h1), _finished(h2)
    h1 = (h1 + h2) & _WIDE
    h2 = (h2 + h1) & _WIDE
    return h1 & 0xFFFFFFFF, h1 >> 32, h2 & 0xFFFFFFFF, h2 >> 32


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _turned(number: int, bits: int) -> int:
    return ((number << bits) | (number >> (64 - bits))) & _WIDE


def _mixed(number: int, first: int, bits: int, second: int) -> int:
    return _turned(number * first & _WIDE, bits) * second & _WIDE


def _finished(number: int) -> int:
    number = (number ^ (number >> 33)) * 0xFF51AFD7ED558CCD & _WIDE
    number = (number ^ (number >> 33)) * 0xC4CEB9FE1A85EC53 & _WIDE
    return number ^ (number >> 33)
