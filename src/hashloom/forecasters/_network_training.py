"""Learning of the forecasters that are networks: standardised targets, Adam, early stopping by the latest posts."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hashloom.encoders._reading import Reader, Reading
from hashloom.forecasters.author_mean import AuthorMean
from hashloom.networks import training
from hashloom.networks.export import to_onnx
from hashloom.networks.popularity import Named, Plan, Popularity
from hashloom.networks.towers import VectorTower, WordTower
from hashloom.types import Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashloom.forecasters._network import Networked

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

UPDATES = 40
"""Updates of a pass at least: a tiny set is gone through several times in one."""
CHECKS = 4
"""Judgements in a pass, where settings do not say after how many updates."""
SMALL = 100_000
"""With fewer words to read than this, one thread is quickest."""
SHAPES = ((3, 7), (1, 1), (5, 3), (2, 12))
"""Posts and words at which exports are checked."""


def learn(model: Networked, posts: Posts, values: Floats, late: Ints) -> Floats:
    """Set all that ``model`` learns; gives what was forecast of ``late`` before anything was learnt from them."""
    rows = np.setdiff1d(np.arange(len(posts)), late)
    model.usual_ = [float(values[rows].mean()), _prior(model, posts, values, late)] if model.beyond == "author" else []
    values = values - model._start(posts, model._record)[0]
    reader = Reader.learn(model, posts[rows])
    # A later crawl may find other numbers and pictures of the same posts, which the fingerprint does not tell.
    told = f"{values.tolist()} {posts.frame['images'].to_list()} {model.settings()!r}"
    label = f"{posts.fingerprint} {hashlib.sha256(told.encode()).hexdigest()[:16]}"
    work = _work(model, reader, posts, values, rows)
    network, course = work.train(rows, late, label)
    work.keep(network, course)
    before = model._guess(posts[late], model._record, False).values if len(late) else np.zeros(0)
    if model.refit and len(late):
        work = _work(model, Reader.learn(model, posts), posts, values, np.arange(len(posts)))
        network, _ = work.train(np.arange(len(posts)), late[:0], f"{label} refit", course.best)
        work.keep(network, course)
    return before


def _prior(model: Networked, posts: Posts, values: Floats, late: Ints) -> float:
    """κ of the author's mean, chosen by the latest posts."""
    means = AuthorMean(settles=model.settles)
    means.memory_ = model.memory_
    means._fit(posts, values, late)
    return means.prior_


def _work(model: Networked, reader: Reader, posts: Posts, values: Floats, rows: Ints) -> Work:
    """What is known of ``rows``: their authors and the scale of their targets; all posts as numbers."""
    reading, used = reader.read(posts, half=True), posts[rows]
    plan = _plan(model, reading, rows)
    counts = Counter((c, u) for c, u in zip(used.communities, used.users) if u is not None)
    known = [list(pair) for pair in sorted(counts) if counts[pair] >= model.least_posts]
    model.authors_ = known if plan.knows_authors else []
    model.scale_ = [float(values[rows].mean()), max(float(values[rows].std()), 1e-6)]
    model.__dict__.pop("_author_of", None)
    targets = (values - model.scale_[0]) / model.scale_[1]
    return Work(model, plan, reader, reading, model._numbers(posts), targets)


def _plan(model: Networked, reading: Reading, rows: Ints) -> Plan:
    """The model's plan without a side that none of ``rows`` has."""
    given = model._whole_plan()
    if given["reads"] == "both" and not reading.region_mask[rows].any():
        given["reads"] = "text"
    elif given["reads"] == "both" and not reading.word_mask[rows].any():
        given["reads"] = "picture"
    return Plan(**given)


@dataclass
class Work:
    """One model's training: its posts as numbers, and how a batch becomes a loss."""

    model: Networked
    plan: Plan
    reader: Reader
    reading: Reading
    users: Ints
    """(posts,)"""
    targets: Floats
    """(posts,), of mean 0 and deviation 1."""

    def __post_init__(self) -> None:
        self.place = training.device()
        self.lengths = self.reading.word_mask.sum(axis=1)

    def network(self) -> Popularity:
        """The network before any training."""
        model = self.model
        tower: torch.nn.Module
        if model.text is not None:
            top = getattr(model.text, "top", lambda: None)()
            tower = VectorTower(self.reading.words.shape[2], model.width, top)
        else:
            table = torch.from_numpy(_table(model, self.reader.words)) if self.reader.words else None
            tower = WordTower(len(self.reader.words) + 1, model.width, table)
            # Only the rows of a batch's words are updated, much faster; a penalty on the whole table forbids it.
            tower.words.sparse = not model.penalty
        return Popularity(self.plan, tower, self.reader.region_dim, model.width, len(model.authors_)).to(self.place)

    def train(self, rows: Ints, held: Ints, label: str, stretches: int = 0) -> tuple[Popularity, training.Course]:
        """A network trained on ``rows``, as it was when ``held`` judged it best; or after so many stretches."""
        model = self.model
        size = int(np.clip(len(rows) // 4, 8, model.batch))
        updates = max(UPDATES, -(-len(rows) // size))  # of a pass
        stretch = model.every or -(-updates // CHECKS)
        most = stretches or max(1, model.epochs * updates // stretch)
        course = training.Course(most, model.patience, model.rate, seed=model.seed, clip=5.0, label=label)
        course.final, course.steps = model.final, model.epochs * updates
        course.folder = model.checkpoint and f"{model.checkpoint}/{'refit' if stretches else 'first'}"
        with training.seeded(model.seed):
            network = self.network()

        def batches(number: int) -> list[Ints]:
            return [self._batch(rows, size, number * stretch + i) for i in range(stretch)]

        small = len(rows) * max(1, self.reading.word_mask.shape[1]) < SMALL
        with training.threads(1 if small else 1 << 10):
            judge = (lambda: -self.error(network, held)) if len(held) else None
            training.train(network, batches, lambda cut: self.loss(network, cut), course, judge, self._groups(network))
        return network.cpu(), course

    def _batch(self, rows: Ints, size: int, update: int) -> Ints:
        """The posts of an update, the same whenever it is asked for; each pass goes through all in another order."""
        of_pass = -(-len(rows) // size)
        turn, at = divmod(update, of_pass)
        made = self.__dict__.get("_cuts")
        if made is None or made[0] != (turn, len(rows)):
            cuts = training.cuts(rows, self.lengths[rows], size, self.model.seed * 10_007 + turn)
            made = self.__dict__["_cuts"] = ((turn, len(rows)), cuts)
        return made[1][at]

    def _groups(self, network: Popularity) -> list[dict[str, Any]]:
        """Adam's groups: what decays, and the rest."""
        known = [network.authors.apart.weight] if network.authors is not None else []
        rest = [p for p in network.parameters() if p.requires_grad and not any(p is table for table in known)]
        return [{"params": rest}, {"params": known, "weight_decay": self.model.decay}]

    def inputs(self, rows: Ints) -> dict[str, Tensor]:
        """Posts as the plan reads them; words cut at the longest."""
        reading, longest = self.reading, max(1, int(self.lengths[rows].max(initial=1)))
        words = reading.words[rows, :longest]
        given = {
            "words": words.astype(np.int64 if words.dtype.kind == "i" else np.float32),
            "word_mask": reading.word_mask[rows, :longest],
            "regions": reading.regions[rows].astype(np.float32),
            "region_mask": reading.region_mask[rows],
            "users": self.users[rows],
        }
        return {name: torch.from_numpy(given[name]).to(self.place) for name in self.plan.inputs}

    def loss(self, network: Popularity, rows: Ints) -> Tensor:
        """The mean squared error of a batch, plus the penalty."""
        wanted = torch.from_numpy(self.targets[rows].astype(np.float32)).to(self.place)
        missed = (network(**self.inputs(rows))[0].float() - wanted).square().mean()
        return missed + self.model.penalty * network.penalty() if self.model.penalty else missed

    def error(self, network: Popularity, rows: Ints) -> float:
        """The mean squared error of many posts."""
        missed = 0.0
        for cut in training.cuts(rows, self.lengths[rows], 256):
            said = network(**self.inputs(cut))[0].float().cpu().numpy()
            missed += float(np.square(said - self.targets[cut]).sum())
        return missed / len(rows)

    def keep(self, network: Popularity, course: training.Course) -> None:
        """Leave what the network learnt with the model, readable without torch."""
        model = self.model
        model.reader_ = self.reader.state()
        model.course_ = {"best": course.best, "scores": course.scores}
        model.network_ = self._exported(network.eval())
        for derived in ("_reader", "_session", "_author_of"):
            model.__dict__.pop(derived, None)

    def _exported(self, network: Popularity) -> bytes:
        draw = torch.Generator().manual_seed(self.model.seed)
        examples = [self._example(posts, words, draw) for posts, words in SHAPES]
        axes = {"words": {0: "posts", 1: "words"}, "word_mask": {0: "posts", 1: "words"}}
        inputs = {name: axes.get(name, {0: "posts"}) for name in self.plan.inputs}
        with training.threads(1):
            return to_onnx(Named(network), examples, inputs, self.plan.outputs)

    def _example(self, posts: int, words: int, draw: torch.Generator) -> tuple[Tensor, ...]:
        """Made-up posts, some without words, some without a picture, some of strangers."""
        reading = self.reading
        mask = torch.arange(words) < torch.randint(0, words + 1, (posts, 1), generator=draw)
        known = len(self.reader.words)
        text = torch.randint(min(1, known), known + 1, (posts, words), generator=draw) * mask
        if reading.words.ndim == 3:
            text = torch.randn(posts, words, reading.words.shape[2], generator=draw)
        shape = posts, *reading.regions.shape[1:]
        shown = (torch.rand(posts, 1, generator=draw) < 0.7).expand(shape[:2]).contiguous()
        given = {
            "words": text,
            "word_mask": mask,
            "regions": torch.randn(shape, generator=draw),
            "region_mask": shown,
            "users": torch.randint(0, len(self.model.authors_) + 1, (posts,), generator=draw),
        }
        return tuple(given[name] for name in self.plan.inputs)


def _table(model: Networked, words: list[str]) -> NDArray[np.float32]:
    """Where embeddings start: the words' directions in the TF-IDF space, of length 1, and noise; row 0 for padding."""
    encoder = model.likeness
    at = {word: i for i, word in enumerate(encoder.words_)}
    vectors = np.zeros((len(words) + 1, encoder.dim), np.float32)
    for i, word in enumerate(words, 1):
        if word in at:
            vectors[i] = encoder.projection_[at[word]]
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    draw = np.random.default_rng(model.seed)
    vectors[1:] += draw.normal(scale=0.3 / np.sqrt(encoder.dim), size=vectors[1:].shape).astype(np.float32)
    return vectors
