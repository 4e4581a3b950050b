"""One BiLSTM for many communities, each with its own output rows (Commune two-stage paper §3.1).

The first stage of the two-stage system, also a recommender by itself. Ours beyond the paper: losses weighted by
community (``balance``) and output rows made from the tags' words, so that a tag without a post, or a community known
only by its tag space, is scored too. Training needs torch; answering runs the exported network in ONNX Runtime.
"""

from __future__ import annotations

import importlib
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hashloom import tags as naming
from hashloom.encoders._onnx import session
from hashloom.encoders._standing import gathered, spans
from hashloom.encoders._vectors import unit
from hashloom.encoders.floret import Floret
from hashloom.encoders.tokens import Tokens
from hashloom.recommender import Recommender, best
from hashloom.types import Count, Marks, Positive, Posts, Rankings, Reason, Share

if TYPE_CHECKING:
    from hashloom.data.history import History

AT_ONCE = 64
"""Posts in one run of the exported network."""
REMEMBERED = 50_000
"""Unseen words whose vectors are remembered."""


def _floret() -> Floret:
    return Floret(epochs=1, least_words=400_000)


class _Learnt:
    """What is learnt; the rows of ``tags_``, ``rows_`` and ``bias_`` from ``starts_[c]`` on are community ``c``'s."""

    words_: list[str]
    table_: NDArray[np.float16]
    """(words + 1, dim); row 0 for padding."""
    centre_: NDArray[np.float32]
    spread_: NDArray[np.float32]
    communities_: list[str]
    places_: NDArray[np.float32]
    """(communities + 1, community); the last is the mean, for communities without a post."""
    tags_: list[str]
    starts_: NDArray[np.int64]
    rows_: NDArray[np.float32]
    bias_: NDArray[np.float32]
    projection_: NDArray[np.float32]
    network_: bytes
    course_: dict[str, Any]


@dataclass
class Multilabel(_Learnt, Recommender):
    """BiLSTM with attention over the words, one output row per tag of each community.

    >>> from hashloom.types import Post
    >>> rows = [Post(f"{t}{i}", f"warm {t} loaf", "bakers", tags=(t,)) for i in range(8) for t in ("rye", "oat")]
    >>> model = Multilabel(encoder=Floret(dim=8, min_count=1), epochs=20, rate=0.02).fit(Posts.of(rows))
    >>> model.recommend(Posts.of([Post("new", "rye bread", "bakers")]), k=1)[0].tags
    ['rye']
    """

    encoder: Floret | None = field(default_factory=_floret)
    """Word vectors that the word table starts with, and that tags and unseen words are read by; none: random."""
    tokens: Count = 32
    """So many words of a post are read, from its beginning (128 take four times as long)."""
    words: Count = 50_000
    """So many of the most frequent training words keep a trained vector; others are read by the encoder."""
    states: Count = 128
    """Width of the LSTM in each direction."""
    community: Count = 32
    """Length of the vector that stands for the community."""
    hidden: Count = 256
    """Width of the layer before the output."""
    dropout: Share = 0.3
    """Share of the text vector and of the hidden layer left out at random in training."""
    alone: Share = 0.2
    """Share of output rows that go, at each update, without the tag's own part, so that tag texts learn to serve."""
    decay: float = 0.01
    """Weight decay of the tags' own parts of the output rows."""
    match: bool = True
    """The words attended to also reach the hidden layer directly and are matched with the tags' words (ours)."""
    balance: Share = 0.0
    """Loss weight of a community with n posts is n to the power of minus this: 0 to 1."""
    rate: Positive = 0.003
    """Adam's rate at the beginning; it falls to a twentieth over the planned updates."""
    batch: Count = 128
    """Posts per update at most; fewer where there are few posts."""
    epochs: Count = 30
    """Passes over the posts at most."""
    reads: Count = 4_000_000
    """Words read in all passes together at most, which bounds the time on large sets; two passes are made anyhow."""
    patience: Count = 3
    """So many epochs without a better NDCG@10 on the validation posts end the training."""
    validation: Share = 0.1
    """Share of each community's posts, the latest, that early stopping judges by; 0: no early stopping."""
    refit: bool = False
    """After early stopping train anew on all posts for as many epochs."""
    half: bool = True
    """Train in bfloat16 where the machine is faster with it."""
    seed: int = 0
    """The same seed and posts give the same model."""
    threads: int = 0
    """Threads that answer when many posts are asked at once; 0: one per core."""
    checkpoint: str = ""
    """Folder for the state of the training after each epoch, from which it is taken up again; empty: none."""

    def _fit(self, posts: Posts) -> None:
        _training().learn(self, posts)

    def _pretrain(self, posts: Posts) -> None:
        _training().read_words(self, posts)
        self._pretrained = True

    def split(self, texts: Sequence[str]) -> list[list[str]]:
        """The words that are read of each text."""
        return [words[: self.tokens] for words in self._tokens.split_all(texts)]

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        words = self.split(posts.texts)
        hidden, weights = self._read(words, posts.communities)
        lists: list[list[tuple[str, float]]] = [[] for _ in words]
        groups: dict[str, list[int]] = defaultdict(list)
        for i, community in enumerate(posts.communities):
            groups[community].append(i)
        for community, rows in groups.items():
            for i, ranked in zip(rows, self._score(community, hidden[rows], k), strict=True):
                lists[i] = ranked
        if not explain:
            return Rankings.of(posts.ids, lists)
        reasons = [_reasons(t, w, a) for t, w, a in zip(posts.texts, words, weights, strict=True)]
        # Of a post without words the network says what is usual in the community.
        why = [[r or (Reason("model", self.name, s),) for _, s in row] for row, r in zip(lists, reasons, strict=True)]
        return Rankings.of(posts.ids, lists, why)

    def marks(self, posts: Posts, tags: Sequence[str], *, history: Posts | None = None) -> list[Marks | None]:
        """How much the network looked at each word; the same for all tags of a post."""
        self._must_be_fitted()
        words = self.split(posts.texts)
        weights = self._read(words, posts.communities)[1]
        places = (spans(text, row) for text, row in zip(posts.texts, words))
        return [
            Marks("attention", gathered(*each)) for each in zip(posts.texts, places, map(np.ndarray.tolist, weights))
        ]

    def _score(self, community: str, hidden: NDArray[np.float32], k: int) -> Iterator[list[tuple[str, float]]]:
        """The ``k`` best tags of each post of one community, with their probabilities."""
        names, rows, bias = self._output(community)
        scores = 1 / (1 + np.exp(-np.clip(hidden @ rows.T + bias, -60, 60)))  # (posts, tags)
        codes = np.arange(len(names))
        for row in scores:
            yield [(names[at], float(row[at])) for at in best(row, codes, k)]

    def _read(
        self, words: list[list[str]], communities: Sequence[str]
    ) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
        """Hidden vectors (posts, hidden) and the attention of each post's words, by the exported network."""
        order = np.argsort([len(found) for found in words], kind="stable")
        cuts = [order[i : i + AT_ONCE] for i in range(0, len(order), AT_ONCE)]

        session = self._session

        def run(rows: NDArray[np.int64]) -> Any:
            return session.run(None, self._inputs([words[i] for i in rows], [communities[i] for i in rows]))

        if len(cuts) == 1:
            found = [run(cuts[0])]
        else:
            with ThreadPoolExecutor(self.threads or None) as pool:
                found = list(pool.map(run, cuts))
        hidden = np.zeros((len(words), self.rows_.shape[1]), dtype=np.float32)
        weights: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(words)
        for rows, (vectors, attention) in zip(cuts, found, strict=True):
            hidden[rows] = vectors
            for i, row in zip(rows, attention, strict=True):
                weights[i] = row[: len(words[i])]
        return hidden, weights

    def _inputs(self, words: list[list[str]], communities: Sequence[str]) -> dict[str, NDArray[Any]]:
        """What the network is asked with; a post without words has one empty word."""
        lengths = np.array([max(1, len(found)) for found in words], dtype=np.int64)
        vectors = np.zeros((len(words), int(lengths.max()), self.table_.shape[1]), dtype=np.float32)
        row_of, unseen = self._row_of, self._unseen_of(words)
        for i, found in enumerate(words):
            rows = [row_of.get(word, 0) for word in found]
            vectors[i, : len(found)] = self.table_.take(rows, axis=0)
            if 0 in rows:
                for at in (at for at, row in enumerate(rows) if not row):
                    vectors[i, at] = unseen.get(found[at], 0.0)
        places = np.stack([self.places_[self._number.get(name, -1)] for name in communities])
        return {"vectors": vectors, "lengths": lengths, "place": places}

    def _unseen_of(self, words: list[list[str]]) -> dict[str, NDArray[np.float32]]:
        """Vectors, by the encoder, of the words that the table lacks; they are remembered up to a bound."""
        if self.encoder is None:
            return {}
        lacking = {word for found in words for word in found if word not in self._row_of}
        known = {word: vector for word in lacking if (vector := self._unseen.get(word)) is not None}
        if new := sorted(lacking - known.keys()):
            made = dict(zip(new, self._spread(self.encoder.vectors(new)), strict=True))
            known |= made
            if len(self._unseen) < REMEMBERED:
                self._unseen.update(made)
        return known

    def _output(self, community: str) -> tuple[list[str], NDArray[np.float32], NDArray[np.float32]]:
        """Tags in order of the alphabet, output rows and biases of a community, its tags without a post included."""
        listed = self.spaces_[community].tags
        kept = self._outputs.get(community)
        if kept is None or kept[0] != len(listed):
            kept = self._outputs[community] = (len(listed), self._assemble(community, list(listed)))
        return kept[1]

    def _assemble(
        self, community: str, listed: Sequence[str]
    ) -> tuple[list[str], NDArray[np.float32], NDArray[np.float32]]:
        at = self._number.get(community)
        start, end = (0, 0) if at is None else (int(self.starts_[at]), int(self.starts_[at + 1]))
        trained = self.tags_[start:end]
        known = set(trained)
        new = sorted(tag for tag in listed if tag not in known)
        rows = np.concatenate([self.rows_[start:end], self._new_rows(new)])
        # A tag without a post is thought as rare as the rarest tenth, in a new community as common as the mean tag.
        level = np.quantile(self.bias_[start:end], 0.1) if known else self.bias_.mean()
        bias = np.concatenate([self.bias_[start:end], np.full(len(new), level, np.float32)]).astype(np.float32)
        names = [*trained, *new]
        order = np.array(sorted(range(len(names)), key=names.__getitem__), dtype=np.int64)
        return [names[i] for i in order], np.ascontiguousarray(rows[order]), bias[order]

    def _new_rows(self, tags: Sequence[str]) -> NDArray[np.float32]:
        """Output rows of tags without a post here: what the same tag learnt elsewhere, else what its words say."""
        if not tags:
            return self.rows_[:0]
        said = self._tag_vectors(tags)
        rows = (
            np.concatenate([said @ self.projection_.T, said], axis=1) if self.matches() else said @ self.projection_.T
        )
        for i, tag in enumerate(tags):
            if elsewhere := self._trained.get(tag):
                rows[i] = self.rows_[elsewhere].mean(axis=0)
        return rows.astype(np.float32)

    def _spread(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The encoder's word vectors as the network reads them; shape (words, dim)."""
        return np.asarray((vectors - self.centre_) @ self.spread_, dtype=np.float32)

    def matches(self) -> bool:
        """Whether words and tags meet in the encoder's space."""
        return self.match and self.encoder is not None

    def _tag_vectors(self, tags: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors of the tags' words; shape (tags, dim), zeros where there is no encoder."""
        if self.encoder is None:
            return np.zeros((len(tags), 1), dtype=np.float32)
        words = self._tokens.split_all([naming.words(tag) for tag in tags])
        made = {word: at for at, word in enumerate(dict.fromkeys(word for found in words for word in found))}
        units = unit(self._spread(self.encoder.vectors(list(made))))
        sums = [units[[made[word] for word in found]].sum(axis=0) for found in words]
        return unit(np.asarray(sums, dtype=np.float32).reshape(len(tags), units.shape[1]))

    @cached_property
    def _tokens(self) -> Tokens:
        return self.encoder.tokens if self.encoder else Tokens()

    @cached_property
    def _session(self) -> Any:
        return session(self.network_)

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {word: row for row, word in enumerate(self.words_, 1)}

    @cached_property
    def _number(self) -> dict[str, int]:
        return {name: at for at, name in enumerate(self.communities_)}

    @cached_property
    def _trained(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = defaultdict(list)
        for row, tag in enumerate(self.tags_):
            rows[tag].append(row)
        return dict(rows)

    @cached_property
    def _unseen(self) -> dict[str, NDArray[np.float32]]:
        return {}

    @cached_property
    def _outputs(self) -> dict[str, Any]:
        return {}


def _training() -> ModuleType:
    """The part that needs torch, imported where it is used."""
    # OpenMP threads that spin while they wait make training ten times slower on a machine that has other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return importlib.import_module("hashloom.recommenders._multilabel_training")


def _reasons(text: str, words: Sequence[str], weights: NDArray[np.float32]) -> tuple[Reason, ...]:
    """The three words with most attention, as ``start:end word``."""
    places = spans(text, words)
    order = [int(i) for i in np.argsort(-weights, kind="stable")[:3]]
    said = (f"{place[0]}:{place[1]} {words[i]}" if (place := places[i]) else words[i] for i in order)
    return tuple(Reason("text", where, float(weights[i])) for where, i in zip(said, order))
