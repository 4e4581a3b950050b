"""How ``multilabel`` learns: posts as arrays, batches of like length, training, export. The only part with torch."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hashloom.networks import losses, training
from hashloom.networks.bilstm_tagger import BilstmTagger, Sizes
from hashloom.networks.export import to_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashloom.recommenders.multilabel import Multilabel
    from hashloom.types import Posts

LEAST = 20
"""Fewer validation posts than this judge by chance; then all posts are trained on for all epochs."""
SMALL = 1500
"""Batches of fewer words than this train faster on one thread."""
FEW = 100_000
"""Sets of fewer words are trained on one thread: it takes seconds, and no busy neighbour can make it minutes."""
WORD_LENGTH = 5.0
"""Mean Euclidean length that the word vectors start with, which suits the LSTM's gates."""


@dataclass
class Batch:
    """Posts as tensors, padded to the longest: ``words`` (posts, words), the others (posts,) or pairs."""

    words: Tensor
    lengths: Tensor
    communities: Tensor
    weights: Tensor
    at: Tensor
    """(2, pairs): post in the batch, and place of its tag among its community's tags."""


@dataclass
class Set:
    """Posts as numbers: words and tags flat, with starts; the tag numbers count within the community."""

    words: NDArray[np.int32]
    starts: NDArray[np.int64]
    tags: NDArray[np.int64]
    tag_starts: NDArray[np.int64]
    communities: NDArray[np.int64]
    weights: NDArray[np.float32]

    def batch(self, rows: NDArray[np.int64], place: torch.device) -> Batch:
        """The posts ``rows`` as tensors; a post without words has one padding word."""
        sizes = self.starts[rows + 1] - self.starts[rows]
        words = np.zeros((len(rows), max(1, int(sizes.max()))), dtype=np.int64)
        for i, row in enumerate(rows):
            words[i, : sizes[i]] = self.words[self.starts[row] : self.starts[row + 1]]
        many = self.tag_starts[rows + 1] - self.tag_starts[rows]
        tags = np.concatenate([self.tags[self.tag_starts[r] : self.tag_starts[r + 1]] for r in rows])
        at = np.stack([np.repeat(np.arange(len(rows)), many), tags])
        made = (words, np.maximum(sizes, 1), self.communities[rows], self.weights[rows], at)
        return Batch(*(torch.from_numpy(part).to(place) for part in made))

    def cut(self, rows: NDArray[np.int64], size: int, seed: int | None = None) -> list[NDArray[np.int64]]:
        """``rows`` in batches of posts of like length; with a seed, which ones meet and their order are random."""
        return training.cuts(rows, (self.starts[1:] - self.starts[:-1])[rows], size, seed, spread=12)


def learn(model: Multilabel, posts: Posts) -> None:
    """Set all that ``model`` learns."""
    words = model.split(posts.texts)
    if not getattr(model, "_pretrained", False):
        read_words(model, posts)
    counts = Counter(word for found in words for word in found)
    vocabulary = sorted(counts, key=lambda word: (-counts[word], word))[: model.words]
    # Rarer words are passed over: having the encoder hash each of them would take longer than an epoch.
    kept = set(vocabulary)
    words = [[word for word in found if word in kept] for found in words]
    _name_tags(model, posts)
    data = _numbered(model, posts, words, vocabulary)
    everything = np.arange(len(posts))
    late = training.latest(data.communities, model.validation)
    late = late if len(late) >= LEAST else late[:0]
    table = _table(model, vocabulary, counts)
    label = f"{posts.fingerprint} {hashlib.sha256(repr(model.settings()).encode()).hexdigest()[:16]}"
    network, course = _train(model, data, table, np.setdiff1d(everything, late), late, label)
    if model.refit and len(late):
        network, _ = _train(model, data, table, everything, late[:0], f"{label} refit", course.best)
    model.course_ = {"best": course.best, "scores": course.scores}
    _keep(model, network, vocabulary, counts)


def read_words(model: Multilabel, posts: Posts) -> None:
    """Let the encoder learn its word vectors; they need no tags."""
    if model.encoder is not None:
        # About as many characters as hold the words that are read: more would only take time.
        limit = model.tokens * 8
        model.encoder.fit([text[:limit] for text in posts.texts])


def _name_tags(model: Multilabel, posts: Posts) -> None:
    used: dict[str, Counter[str]] = {}
    for community, tags in zip(posts.communities, posts.tags, strict=True):
        used.setdefault(community, Counter()).update(tags)
    model.communities_ = sorted(used)
    names = [sorted(used[community]) for community in model.communities_]
    model.tags_ = [tag for of in names for tag in of]
    model.starts_ = np.cumsum([0, *map(len, names)]).astype(np.int64)
    posts_of = Counter(posts.communities)
    shares = [
        (used[c][t] + 0.5) / (posts_of[c] + 1) for c, of in zip(model.communities_, names, strict=True) for t in of
    ]
    model.bias_ = np.log(np.array(shares) / (1 - np.array(shares))).astype(np.float32)


def _numbered(model: Multilabel, posts: Posts, words: list[list[str]], vocabulary: list[str]) -> Set:
    number = {word: at for at, word in enumerate(vocabulary, 1)}
    community = {name: at for at, name in enumerate(model.communities_)}
    communities = np.array([community[name] for name in posts.communities], dtype=np.int64)
    place = [
        {tag: at for at, tag in enumerate(model.tags_[model.starts_[c] : model.starts_[c + 1]])}
        for c in range(len(community))
    ]
    weights = np.bincount(communities)[communities].astype(np.float32) ** -model.balance
    return Set(
        np.array([number[word] for found in words for word in found], dtype=np.int32),
        np.cumsum([0, *map(len, words)]),
        np.array([place[c][tag] for c, tags in zip(communities, posts.tags) for tag in tags], dtype=np.int64),
        np.cumsum([0, *map(len, posts.tags)]),
        communities,
        weights / weights.mean(),
    )


def _table(model: Multilabel, vocabulary: list[str], counts: Counter[str]) -> NDArray[np.float32]:
    """Where the word vectors start, row 0 for padding; shape (words + 1, dim)."""
    if model.encoder is None:
        vectors = np.random.default_rng(model.seed).normal(size=(len(vocabulary), 300)).astype(np.float32)
    else:
        vectors = model.encoder.vectors(vocabulary)
    often = np.array([counts[word] for word in vocabulary], dtype=np.float32)
    model.centre_, model.spread_ = whitening(vectors, often)
    return np.concatenate([np.zeros((1, vectors.shape[1]), np.float32), model._spread(vectors)])


def whitening(
    vectors: NDArray[np.float32], often: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What to take from word vectors, and what to multiply them by, so that they fill their space evenly.

    Skip-gram vectors of a small set share one large direction: left in, all words look alike to the network, and it
    needs many passes to tell them. ``vectors``: (words, dim); ``often``: (words,) counts. Gives (dim,) and (dim, dim).
    """
    share = (often / max(float(often.sum()), 1.0)).astype(np.float64)
    centre = share @ vectors
    apart = vectors - centre
    values, directions = np.linalg.eigh((apart * share[:, None]).T @ apart)
    # Directions with next to no variance are noise: they are kept small.
    gains = 1 / np.sqrt(np.maximum(values, 0) + 0.1 * max(float(values.mean()), 1e-12))
    spread = (directions * gains) @ directions.T
    lengths = np.linalg.norm(apart @ spread, axis=1)
    spread *= WORD_LENGTH / max(float(lengths.mean()) if len(lengths) else 1.0, 1e-9)
    return centre.astype(np.float32), spread.astype(np.float32)


def _train(
    model: Multilabel, data: Set, table: NDArray[np.float32], rows: NDArray[np.int64], held: NDArray[np.int64],
    label: str, epochs: int = 0,
) -> tuple[BilstmTagger, training.Course]:  # fmt: skip
    size = int(np.clip(len(rows) // 4, 8, model.batch))
    each = -(-len(rows) // size)
    planned = max(1, min(model.epochs, max(2, model.reads // max(1, len(data.words)))))
    course = training.Course(epochs or planned, model.patience, model.rate, 0.05, planned * each, seed=model.seed)
    course.half, course.label = model.half and training.half_pays(), label
    course.folder = model.checkpoint and f"{model.checkpoint}/{'refit' if epochs else 'first'}"
    place = training.device()
    with training.seeded(model.seed):
        sizes = Sizes(model.states, model.community, model.hidden, model.dropout, model.matches())
        given = (table, model._tag_vectors(model.tags_), model.starts_, model.bias_)
        words, tags, starts, bias = map(torch.from_numpy, given)
        network = BilstmTagger(words, tags, starts, bias, sizes).to(place)
    network.alone = model.alone if model.encoder else 0.0
    cuts = data.cut(held, 256)

    def batches(epoch: int) -> list[Any]:
        return data.cut(rows, size, model.seed * 10_007 + epoch)

    def loss(cut: NDArray[np.int64]) -> Tensor:
        batch = data.batch(cut, place)
        logits, targets, mask = _asked(network, batch)
        return (losses.masked_bce(logits, targets, mask) * batch.weights).mean()

    def judge() -> float:
        return float(sum(losses.ndcg(*_asked(network, data.batch(cut, place))).sum() for cut in cuts)) / len(held)

    own = [{"params": [network.own], "weight_decay": model.decay}]
    rest = {"params": [p for name, p in network.named_parameters() if name != "own"]}
    few = len(data.words) / max(1, len(data.communities)) * size < SMALL or len(data.words) < FEW
    with training.threads(1 if few else 1 << 10):
        training.train(network, batches, loss, course, judge if len(held) else None, [rest, *own])
    return network.cpu(), course


def _asked(network: BilstmTagger, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, targets and mask of a batch; each (posts, most tags)."""
    hidden, _ = network.hidden(batch.words, batch.lengths, batch.communities)
    logits, mask = network.logits(hidden, batch.communities)
    targets = torch.zeros_like(logits)
    targets[batch.at[0], batch.at[1]] = 1.0
    return logits, targets, mask


def _keep(model: Multilabel, network: BilstmTagger, vocabulary: list[str], counts: Counter[str]) -> None:
    """Words seen once are left to the encoder, from which they have hardly moved."""
    least = 2 if model.encoder else 1
    model.words_ = [word for word in vocabulary if counts[word] >= least]
    with torch.no_grad():
        table = network.words.weight[: len(model.words_) + 1].numpy().astype(np.float16)
        model.rows_ = network.rows(0, len(model.tags_)).numpy().copy()
        model.bias_ = network.bias.numpy().copy()
        model.projection_ = network.project.weight.numpy().copy()
        places = network.places.weight.numpy()
    model.table_ = table
    # The last row stands for communities without a post.
    model.places_ = np.concatenate([places, places.mean(axis=0, keepdims=True)])
    model.network_ = _exported(model, network)


def _exported(model: Multilabel, network: BilstmTagger) -> bytes:
    draw = np.random.default_rng(model.seed)
    examples = []
    for posts, longest in ((3, 7), (1, model.tokens), (5, 2), (1, 1)):
        lengths = np.minimum(draw.integers(1, longest + 1, posts), longest)
        lengths[0] = longest
        vectors = model.table_[draw.integers(0, len(model.table_), (posts, longest))].astype(np.float32)
        places = model.places_[draw.integers(0, len(model.places_), posts)]
        examples.append(tuple(torch.from_numpy(part) for part in (vectors, lengths.astype(np.int64), places)))
    inputs = {"vectors": {0: "posts", 1: "words"}, "lengths": {0: "posts"}, "place": {0: "posts"}}
    with training.threads(1):
        return to_onnx(network, examples, inputs, ["hidden", "attention"])
