"""How ``two_tower`` learns: posts and tags as vectors, one community per update, training. The only part with torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hashloom.data.history import History
from hashloom.networks import losses, training
from hashloom.networks.two_tower import Sizes, TwoTower, corrected_softmax
from hashloom.recommenders.two_tower import START, Labels, commonness, spelling, spelt_in

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    from hashloom.recommenders import two_tower
    from hashloom.types import Posts

    Floats = NDArray[np.float32]
    Numbers = NDArray[np.int64]

LEAST = 20
"""Fewer validation posts than this judge by chance; then all posts are trained on for all epochs."""
FEWER = 0.75
"""Tags are drawn by their counts to this power, so that rare ones come up too."""


@dataclass
class Place:
    """One community: its posts' rows in the set, its tags from ``start`` on and what is known of both."""

    rows: Numbers
    start: int
    labels: Labels
    common: Floats
    """(tags,)"""
    counts: Floats
    """(tags,)"""
    true: csr_matrix
    """(posts of the community, tags)"""
    spelt: csr_matrix
    """(posts of the community, tags)"""
    habits: Floats
    """(posts of the community, dim)"""
    hard: Numbers
    """(posts of the community, hard): best wrong tags as last sought; -1: none yet."""

    @property
    def size(self) -> int:
        """How many tags there are."""
        return len(self.labels.names)


@dataclass
class Set:
    """All communities, and the posts' vectors."""

    places: list[Place]
    meant: Floats
    """(posts, dim)"""

    def asked(self, place: Place, at: Numbers, known: NDArray[np.bool_]) -> Floats:
        """What is known of posts ``at`` of a community, profiles only where ``known``; (posts, 3 dim)."""
        habits = place.habits[at] * known[:, None]
        beside = np.broadcast_to(place.labels.place, habits.shape)
        return np.concatenate([self.meant[place.rows[at]], habits, beside], axis=1)


def learn(model: two_tower.TwoTower, posts: Posts) -> None:
    """Set all that ``model`` learns."""
    model.count(posts)
    model.communities_ = sorted(model.counts_)
    spoken = {model.spoken(c, tag) for c, counts in model.counts_.items() for tag in counts}
    model.encoder.fit(posts.texts, sorted(spoken))
    data = _set(model, posts)
    model.tags_ = [tag for place in data.places for tag in place.labels.names]
    model.starts_ = np.cumsum([0, *(place.size for place in data.places)]).astype(np.int64)
    network, course = _train(model, data, posts)
    model.course_ = {"best": course.best, "scores": course.scores}
    _keep(model, network)


def _set(model: two_tower.TwoTower, posts: Posts) -> Set:
    communities = np.array(posts.communities, dtype=object)
    history, places, start = History(posts), [], 0
    for name in model.communities_:
        rows = np.flatnonzero(communities == name)
        places.append(_place(model, name, posts[rows], rows, start, history))
        start += places[-1].size
    return Set(places, model.unit_texts(posts.texts))


def _place(model: two_tower.TwoTower, name: str, posts: Posts, rows: Numbers, start: int, history: History) -> Place:
    from scipy.sparse import csr_matrix

    names = sorted(model.counts_[name])
    counts = np.array([model.counts_[name][tag] for tag in names], np.float32)
    spelt = spelling([model.spoken(name, tag) for tag in names])
    none = np.zeros(0, np.float32)
    labels = Labels(names, 0, model.vectors(name, names), none, none, np.zeros(len(names), bool), spelt)
    code = {tag: at for at, tag in enumerate(names)}
    tags = np.array([code[tag] for given in posts.tags for tag in given], np.int64)
    starts = np.cumsum([0, *map(len, posts.tags)])
    true = csr_matrix((np.ones(len(tags), np.float32), tags, starts), shape=(len(rows), len(names)))
    earlier = [[history.posts.tags[r] for r in found] for found in history.before(posts, last=model.last)]
    hard = np.full((len(rows), model.hard if len(names) > model.whole else 0), -1)
    common = commonness(counts, len(rows))
    found = spelt_in(posts.texts, spelt)
    return Place(rows, start, labels, common, counts, true, found, labels.habits(earlier), hard)


def _train(model: two_tower.TwoTower, data: Set, posts: Posts) -> tuple[TwoTower, training.Course]:
    number = np.zeros(len(data.meant), np.int64)
    for c, place in enumerate(data.places):
        number[place.rows] = c
    late = training.latest(number, model.validation)
    late = late if len(late) >= LEAST else late[:0]
    size = int(np.clip((len(number) - len(late)) // 4, 8, model.batch))
    early = [np.flatnonzero(~np.isin(place.rows, late)) for place in data.places]
    held = [(place, np.flatnonzero(np.isin(place.rows, late))) for place in data.places]
    cuts = [(place, at[i : i + 256]) for place, at in held for i in range(0, len(at), 256)]
    each = sum(-(-len(at) // size) for at in early)
    course = training.Course(model.epochs, model.patience, model.rate, 0.05, model.epochs * each, seed=model.seed)
    digest = hashlib.sha256(repr(model.settings()).encode()).hexdigest()[:16]
    course.folder, course.label = model.checkpoint, f"{posts.fingerprint} {digest}"
    with training.seeded(model.seed):
        sizes = Sizes(model.hidden, model.width, model.dropout)
        network = TwoTower(3 * data.meant.shape[1], data.meant.shape[1], len(model.tags_), list(START), sizes)
    network.to(training.device())

    def batches(epoch: int) -> list[tuple[Place, Numbers]]:
        if epoch in (model.epochs // 3, 2 * model.epochs // 3):
            _seek(network, data)
        draw = np.random.default_rng(model.seed * 10_007 + epoch)
        made = [(p, part) for p, at in zip(data.places, early) for part in _parts(draw.permutation(at), size)]
        return [made[i] for i in draw.permutation(len(made))]

    def loss(batch: tuple[Place, Numbers]) -> Tensor:
        place, at = batch
        return _loss(model, network, data, place, at)

    def judge() -> float:
        found = (losses.ndcg(*_judged(network, data, place, at)).sum() for place, at in cuts)
        return float(sum(found)) / len(late)

    own = [{"params": [network.own], "weight_decay": model.decay}]
    rest = {"params": [p for name, p in network.named_parameters() if name != "own"]}
    training.train(network, batches, loss, course, judge if len(late) else None, [rest, *own])
    return network.cpu(), course


def _parts(rows: Numbers, size: int) -> list[Numbers]:
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _loss(model: two_tower.TwoTower, network: TwoTower, data: Set, place: Place, at: Numbers) -> Tensor:
    """The mean loss of a batch: against all tags of the community, or against drawn and hard ones."""
    # torch's generator is seeded per epoch, so that a training taken up again draws the same.
    draw = np.random.default_rng(int(torch.randint(1 << 62, ())))
    known = draw.random(len(at)) >= model.stranger
    if place.size <= model.whole:
        tags, chances = np.arange(place.size), None
    else:
        tags, chances = _candidates(model, place, at, draw)
    alone = draw.random(len(tags)) < model.alone
    logits, targets, mask = _logits(network, data, place, at, known, alone, tags)
    if chances is None:
        return losses.softmax_loss(logits, targets, mask).mean()
    return corrected_softmax(logits, targets, torch.from_numpy(chances).to(logits.device)).mean()


def _judged(network: TwoTower, data: Set, place: Place, at: Numbers) -> tuple[Tensor, Tensor, Tensor]:
    everything = np.arange(place.size)
    return _logits(network, data, place, at, np.ones(len(at), bool), np.zeros(place.size, bool), everything)


def _logits(
    network: TwoTower, data: Set, place: Place, at: Numbers,
    known: NDArray[np.bool_], alone: NDArray[np.bool_], tags: Numbers,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Logits, targets and mask of a batch; each (posts, tags)."""
    device = network.own.device

    def given(part: Any) -> Tensor:
        return torch.from_numpy(np.asarray(part)).to(device)

    own = network.own[given(place.start + tags)]
    common = given(np.where(alone, np.nan, place.common[tags]).astype(np.float32))
    targets, spelt = (given(part[at][:, tags].toarray()) for part in (place.true, place.spelt))
    asked = given(data.asked(place, at, known))
    logits = network.logits(asked, given(place.labels.words[tags]), own, spelt, common)
    return logits, targets, torch.ones_like(logits, dtype=torch.bool)


def _candidates(
    model: two_tower.TwoTower, place: Place, at: Numbers, draw: np.random.Generator
) -> tuple[Numbers, Floats]:
    """Tags that a batch learns against, and the chance that each had of being there for each post.

    There are the posts' true tags, tags drawn by their counts and each post's hard ones, about which only that post is
    asked. Shapes (tags,) and (posts, tags).
    """
    share = place.counts**FEWER
    share /= share.sum()
    common = np.union1d(draw.choice(place.size, model.drawn, p=share / share.sum()), place.true[at].indices)
    hard = place.hard[at]
    tags = np.union1d(common, hard[hard >= 0])
    missed = model.drawn * np.log1p(-share[tags]) + len(at) * np.log1p(
        -np.minimum(place.counts[tags] / len(place.rows), 0.999)
    )
    chances = np.repeat(np.where(np.isin(tags, common), -np.expm1(missed), 0)[None], len(at), axis=0)
    posts, _ = np.nonzero(hard >= 0)
    chances[posts, np.searchsorted(tags, hard[hard >= 0])] = 1.0
    return tags, chances.astype(np.float32)


def _seek(network: TwoTower, data: Set) -> None:
    """Seek the best wrong tags of each post anew, where a community has too many to learn against them all."""
    network.eval()
    with torch.no_grad():
        for place in (place for place in data.places if place.hard.shape[1]):
            for at in _parts(np.arange(len(place.rows)), 256):
                logits, targets, _ = _judged(network, data, place, at)
                wrong = logits.masked_fill(targets > 0, -torch.inf)
                place.hard[at] = wrong.topk(min(place.hard.shape[1], place.size - 1), 1).indices.cpu().numpy()
    network.train()


def _keep(model: two_tower.TwoTower, network: TwoTower) -> None:
    state: dict[str, Any] = {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}
    model.own_, model.alike_ = state["own"].astype(np.float16), state["alike"]
    names = {"dense": "dense.weight", "dense bias": "dense.bias", "out": "out.weight", "out bias": "out.bias"}
    model.towers_ = {name: state[key] for name, key in (names | {"project": "project.weight"}).items()}
