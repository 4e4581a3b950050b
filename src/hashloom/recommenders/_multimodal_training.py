"""Learning of the recommenders that read words, pictures and habit: posts as tensors, losses, what is kept."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hashloom.data.history import History
from hashloom.encoders._reading import Reader, Reading
from hashloom.networks import losses, training
from hashloom.networks.decoder import sequence_loss
from hashloom.networks.export import to_onnx
from hashloom.networks.tagger import Ask, AskTags, Plan, Tagger
from hashloom.networks.towers import VectorTower, WordTower
from hashloom.recommender import hashed
from hashloom.recommenders._remembering import Shelf, remember, tag_numbers
from hashloom.selections._selection import Memory, Selection
from hashloom.types import Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashloom.recommenders._multimodal import Multimodal

    Ints = NDArray[np.int64]

LEAST = 8
"""Validation posts below which there is no early stopping."""
UPDATES = 6
"""Updates of an epoch at least: a tiny set is gone through several times in one."""
LIVE = 4
"""With more memories a post than this, their vectors are refreshed once an epoch, and no gradient flows to them."""
CHUNK = 512
"""Posts mined at once for the vectors of memories."""


@dataclass
class Set:
    """Training posts as numbers."""

    reading: Reading
    tags: list[Ints]
    """Tag numbers of each post, as posted."""
    allowed: NDArray[np.bool_]
    """(communities, tags): which tags a community has."""
    communities: Ints
    history: History
    memory: Memory | None = None

    def lengths(self) -> Ints:
        """Words of each post."""
        return self.reading.word_mask.sum(axis=1)

    def cut(self, rows: Ints, size: int, seed: int | None = None) -> list[Ints]:
        """``rows`` in batches of posts of like length; with a seed, which ones meet and their order are random."""
        return training.cuts(rows, self.lengths()[rows], size, seed)

    def inputs(self, rows: Ints, place: torch.device) -> list[Tensor]:
        """Words, their mask, regions, their mask; words cut at the longest."""
        reading = self.reading
        longest = max(1, int(reading.word_mask[rows].sum(axis=1).max(initial=1)))
        words, mask = reading.words[rows, :longest], reading.word_mask[rows, :longest]
        words = words.astype(np.int64 if words.dtype.kind == "i" else np.float32)
        regions = reading.regions[rows].astype(np.float32)
        return [torch.from_numpy(x).to(place) for x in (words, mask, regions, reading.region_mask[rows])]

    def truths(self, rows: Ints, place: torch.device) -> tuple[Tensor, Tensor]:
        """Which tags are true and which are the community's; both (posts, tags)."""
        true = np.zeros((len(rows), self.allowed.shape[1]), np.float32)
        for i, row in enumerate(rows.tolist()):
            true[i, self.tags[row]] = 1.0
        return torch.from_numpy(true).to(place), torch.from_numpy(self.allowed[self.communities[rows]]).to(place)

    def sequences(self, rows: Ints, place: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder is given and what it should say next, both (posts, steps), and the steps of each post."""
        widest = max(len(self.tags[r]) for r in rows.tolist()) + 1
        codes = np.zeros((len(rows), widest + 1), np.int64)
        for i, row in enumerate(rows.tolist()):
            codes[i, 1 : 1 + len(self.tags[row])] = self.tags[row] + 1
        steps = np.array([len(self.tags[r]) + 1 for r in rows.tolist()], np.int64)
        return tuple(torch.from_numpy(x).to(place) for x in (codes[:, :-1], codes[:, 1:], steps))


def learn(model: Multimodal, posts: Posts, kind: type[Work] | None = None) -> None:
    """Set all that ``model`` learns; ``kind`` is the training of a network that needs its own."""
    reader = Reader.learn(model, posts)
    data = numbered(model, reader, posts)
    selection = model._selection()
    plan = Plan(**model._plan(), streams=selection is not None and selection.width <= LIVE)
    late = training.latest(data.communities, model.validation)
    late = late if len(late) >= LEAST else late[:0]
    taught = np.flatnonzero([len(tags) > 0 for tags in data.tags])  # posts of rare tags alone are only remembered
    late, early = np.intersect1d(taught, late), np.setdiff1d(taught, late)
    label = f"{posts.fingerprint} {hashlib.sha256(repr(model.settings()).encode()).hexdigest()[:16]}"
    work = (kind or Work)(model, plan, reader, data, posts)
    tagger, course = work.train(early, late, label)
    model.course_ = {"best": course.best, "scores": course.scores}
    work.keep(tagger)
    model._chosen(posts, late)
    if model.refit and len(late):
        tagger, _ = work.train(taught, late[:0], f"{label} refit", course.best)
        work.keep(tagger)


def numbered(model: Multimodal, reader: Reader, posts: Posts) -> Set:
    """The posts as numbers; sets the model's tags and communities."""
    used: dict[str, Counter[str]] = {}
    for community, tags in zip(posts.communities, posts.tags, strict=True):
        used.setdefault(community, Counter()).update(tags)
    # In a community with none that is frequent enough, all its tags are known.
    often = {c: [t for t, n in of.items() if n >= model.least] or list(of) for c, of in used.items()}
    communities = sorted(used)
    model.tags_ = sorted(set().union(*often.values()))
    number = {tag: i for i, tag in enumerate(model.tags_)}
    model.listed_ = {c: np.array(sorted(number[t] for t in often[c]), np.int64) for c in communities}
    allowed = np.zeros((len(communities), len(number)), bool)
    for c, name in enumerate(communities):
        allowed[c, model.listed_[name]] = True
    at = {name: i for i, name in enumerate(communities)}
    where = np.array([at[c] for c in posts.communities], np.int64)
    numbers = [np.array([number[t] for t in row if t in number], np.int64) for row in posts.tags]
    return Set(reader.read(posts, half=True), numbers, allowed, where, History(posts))


@dataclass
class Work:
    """One model's training: the posts, the plan, and how a batch becomes a loss."""

    model: Multimodal
    plan: Plan
    reader: Reader
    data: Set
    posts: Posts

    def __post_init__(self) -> None:
        self.selection: Selection | None = self.model._selection()
        self.place = training.device()
        self.scale: dict[str, float] = {}
        self.bank = torch.zeros(0)
        self.fresh = False
        """Whether the bank was made with the weights and memories of now."""

    def network(self, rows: Ints) -> Tagger:
        """The network before any training; output rows start at how common tags are among ``rows``."""
        model, reader = self.model, self.reader
        counts = Counter(t for r in rows.tolist() for t in self.data.tags[r].tolist())
        share = np.array([(counts[t] + 0.5) / (len(rows) + 1) for t in range(len(model.tags_))])
        bias = torch.from_numpy(np.log(share / (1 - share) if model.bce else share).astype(np.float32))
        made = Tagger(self.plan, self._tower(), reader.region_dim, model.width, bias)
        return made.to(self.place)

    def _tower(self) -> torch.nn.Module:
        model, reader = self.model, self.reader
        if model.text is not None:
            top = getattr(model.text, "top", lambda: None)()
            return VectorTower(self.data.reading.words.shape[2], model.width, top)
        table = torch.from_numpy(_table(model, reader.words)) if reader.words else None
        return WordTower(len(reader.words) + 1, model.width, table, both_ways=model.both_ways)

    def train(self, rows: Ints, held: Ints, label: str, epochs: int = 0) -> tuple[Tagger, training.Course]:
        """A network trained on ``rows``, the best of its epochs as ``held`` judge."""
        model = self.model
        course = training.Course(epochs or model.epochs, model.patience, model.rate, seed=model.seed, clip=5.0)
        course.label = label
        course.folder = model.checkpoint and f"{model.checkpoint}/{'refit' if epochs else 'first'}"
        size = int(np.clip(len(rows) // 4, 8, model.batch))
        with training.seeded(model.seed):
            tagger = self.network(rows)
        self.remember(-1 if self.selection is None or not self.selection.redrawn else 0)
        self.scale = self._scale(tagger, self.data.cut(rows, size)[0])
        again = max(1, -(-UPDATES * size // max(1, len(rows))))

        def batches(epoch: int) -> list[Ints]:
            if self.selection is not None and self.selection.redrawn:
                self.remember(epoch)
            self.renew(tagger)
            drawn = [self.data.cut(rows, size, model.seed * 10_007 + epoch * 31 + i) for i in range(again)]
            return [cut for turn in drawn for cut in turn]

        def judge() -> float:
            self.renew(tagger)
            cuts = self.data.cut(held, 256)
            return sum(float(self.judged(tagger, cut)) for cut in cuts) / len(held)

        small = len(rows) * max(1, self.data.reading.word_mask.shape[1]) < 100_000
        with training.threads(1 if small else 1 << 10):
            training.train(tagger, batches, lambda cut: self.loss(tagger, cut), course, judge if len(held) else None)
            self.refresh(tagger, everything=True)
        return tagger.cpu(), course

    def _scale(self, tagger: Tagger, rows: Ints) -> dict[str, float]:
        """The loss of each head before training."""
        self.refresh(tagger)
        with torch.no_grad():
            found = self.losses(tagger.eval(), self.asked(tagger, rows)[0], rows)
        return {name: max(float(value), 1e-6) for name, value in found.items()}

    # ---- memory

    def remember(self, epoch: int) -> None:
        """Choose the earlier posts of each training post."""
        self.fresh = False
        if self.selection is None:
            return
        none = np.zeros((0, 1), np.float16)
        number = {tag: i for i, tag in enumerate(self.model.tags_)}
        shelf = Shelf(self.data.history, number, _never, np.zeros(0, np.uint64), none, none, self.data.reading.split)
        shelf.looks, shelf.known[:] = self.data.reading.looks, True
        self.data.memory = remember(self.selection, self.posts, self.data.reading, self.data.history, shelf, epoch)
        self.numbers = tag_numbers(self.data.memory, shelf.tags)

    def renew(self, tagger: Tagger) -> None:
        """``refresh`` where updates or another choice of memories have passed since the last time."""
        if not self.fresh:
            self.refresh(tagger)
        self.fresh = True

    def refresh(self, tagger: Tagger, everything: bool = False) -> None:
        """Vectors of all posts as remembered, with the weights of now."""
        memory = self.data.memory
        if self.selection is None or (not everything and memory is not None and memory.rows.shape[1] <= LIVE):
            return
        learning = tagger.training
        tagger.eval()
        with torch.no_grad():
            rows = np.arange(len(self.posts))
            order = np.argsort(self.data.lengths(), kind="stable")
            bank = torch.zeros(len(rows), self.model.width, device=self.place)
            for at in range(0, len(rows), CHUNK):
                some = order[at : at + CHUNK]
                bank[torch.from_numpy(some)] = tagger.to(self.place)(*self.data.inputs(some, self.place))[1]
        self.bank = bank
        tagger.train(learning)

    def asked(self, tagger: Tagger, rows: Ints) -> tuple[Tensor, Tensor | None]:
        """What tags are asked with (posts, wide), and the weights of memories."""
        memory = self.data.memory
        if self.selection is None or memory is None:
            return tagger(*self.data.inputs(rows, self.place))[0], None
        chosen = memory.rows[rows]
        if chosen.shape[1] > LIVE:
            post = tagger(*self.data.inputs(rows, self.place))[0]
            past = self.bank[torch.from_numpy(np.maximum(chosen, 0))]
        else:
            post, past = self._live(tagger, rows, chosen)
        present = torch.from_numpy(chosen >= 0).to(self.place)
        numbers = self.numbers[rows]
        numbers = numbers[:, :, : max(1, int((numbers > 0).sum(axis=2).max(initial=1)))]
        tags, facts = torch.from_numpy(numbers).to(self.place), torch.from_numpy(memory.facts[rows]).to(self.place)
        return tagger.ask(post, past * present.unsqueeze(2), tags, present, facts)

    def _live(self, tagger: Tagger, rows: Ints, chosen: Ints) -> tuple[Tensor, Tensor]:
        """Asked and remembered posts mined together, so that what is remembered learns too."""
        union, place = np.unique(np.concatenate([rows, chosen[chosen >= 0]]), return_inverse=True)
        text, image, *_ = tagger.mine(*self.data.inputs(union, self.place))
        at = torch.from_numpy(place[: len(rows)])
        post = tagger.as_asked(text[at], image[at])[0]
        used, where = np.unique(place[len(rows) :], return_inverse=True)
        if not len(used):
            return post, post.new_zeros(*chosen.shape, self.model.width)
        past = tagger.as_past(text[torch.from_numpy(used)], image[torch.from_numpy(used)])
        spread = np.zeros(chosen.shape, np.int64)
        spread[chosen >= 0] = where
        return post, past[torch.from_numpy(spread)]

    def keep(self, tagger: Tagger) -> None:
        """Leave what the network learnt with the model."""
        keep(self.model, self, tagger)

    # ---- losses and judgement

    def loss(self, tagger: Tagger, rows: Ints) -> Tensor:
        """The mean loss of a batch; where there are two heads, each counts by what it was before training."""
        self.fresh = False
        asked, _ = self.asked(tagger, rows)
        parts = self.losses(tagger, asked, rows)
        if len(parts) == 1:
            return next(iter(parts.values()))
        return sum(value / self.scale[name] for name, value in parts.items())

    def losses(self, tagger: Tagger, asked: Tensor, rows: Ints) -> dict[str, Tensor]:
        """The loss of each head."""
        found: dict[str, Tensor] = {}
        true, mask = self.data.truths(rows, self.place)
        if tagger.head is not None:
            logits = tagger.logits(asked)
            if self.model.bce:
                found["classifier"] = losses.masked_bce(logits, true, mask).mean()
            else:
                found["classifier"] = losses.softmax_loss(logits, true, mask, self.model._sums()).mean()
        if tagger.decoder is not None:
            previous, wanted, steps = self.data.sequences(rows, self.place)
            found["generator"] = sequence_loss(tagger.decoder(asked, previous), wanted, steps, mask).mean()
        return found

    def judged(self, tagger: Tagger, rows: Ints) -> Tensor:
        """The sum over posts of NDCG@10, or, of a generator alone, of minus its loss."""
        asked, _ = self.asked(tagger, rows)
        if tagger.head is None:
            return -self.losses(tagger, asked, rows)["generator"] * len(rows)
        return losses.ndcg(tagger.logits(asked), *self.data.truths(rows, self.place)).sum()


def _never(posts: Posts) -> Any:
    raise AssertionError("training posts have their looks")


def _table(model: Multimodal, words: Sequence[str]) -> NDArray[np.float32]:
    """Where embeddings start: the words' directions in the TF-IDF space, of mean length 1, row 0 for padding."""
    encoder = model.likeness
    vectors = np.zeros((len(words) + 1, encoder.dim), np.float32)
    at = {word: i for i, word in enumerate(encoder.words_)}
    for i, word in enumerate(words, 1):
        if word in at:
            vectors[i] = encoder.projection_[at[word]]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.maximum(lengths, 1e-6)
    draw = np.random.default_rng(model.seed).normal(scale=0.3 / np.sqrt(encoder.dim), size=vectors.shape)
    vectors[1:] += draw[1:].astype(np.float32)
    return vectors


# ---- what is kept


def keep(model: Multimodal, work: Work, tagger: Tagger) -> None:
    """Leave what the network learnt with the model, readable without torch."""
    tagger.eval()
    model.reader_ = work.reader.state()
    model.miner_ = _exported_miner(work, tagger)
    model.asker_ = _exported_asker(work, tagger) if work.selection is not None else b""
    with torch.no_grad():
        head = tagger.head
        model.head_ = np.zeros((0, 0), np.float16) if head is None else head.weight.numpy().astype(np.float16)
        model.bias_ = np.zeros(0, np.float32) if head is None else head.bias.numpy().copy()
    model.decoder_ = {} if tagger.decoder is None else dict(tagger.decoder.arrays())
    model.shelf_ = _shelf(work)
    for derived in ("_reader", "_miner", "_asker", "_rows", "_decoder", "_number", "_shelved"):
        model.__dict__.pop(derived, None)


def _shelf(work: Work) -> dict[str, Any]:
    split = work.data.reading.split
    if work.selection is None:
        none = np.zeros((0, 1), np.float16)
        return {"ids": np.zeros(0, np.uint64), "vectors": none, "looks": none, "split": split}
    ids = hashed(work.posts.ids)
    order = np.argsort(ids)
    vectors = work.bank.cpu().numpy().astype(np.float16)
    looks = work.data.reading.looks.astype(np.float16)
    return {"ids": ids[order], "vectors": vectors[order], "looks": looks[order], "split": split}


SHAPES = ((3, 7), (1, 1), (5, 3), (2, 12))
"""Posts and words (or memories) at which exports are checked."""


def _exported_miner(work: Work, tagger: Tagger) -> bytes:
    draw = torch.Generator().manual_seed(work.model.seed)
    reading, examples = work.data.reading, []
    for posts, words in SHAPES:
        mask = torch.arange(words) < torch.randint(0, words + 1, (posts, 1), generator=draw)
        if reading.words.ndim == 3:
            given = torch.randn(posts, words, reading.words.shape[2], generator=draw)
        else:
            known = len(work.reader.words)  # none where only pictures are read
            given = torch.randint(min(1, known), known + 1, (posts, words), generator=draw) * mask
        places = reading.regions.shape[1]
        regions = torch.randn(posts, places, reading.regions.shape[2], generator=draw)
        shown = (torch.rand(posts, 1, generator=draw) < 0.7).expand(posts, places).contiguous()
        examples.append((given, mask, regions, shown))
    inputs = {
        "words": {0: "posts", 1: "words"}, "word_mask": {0: "posts", 1: "words"},
        "regions": {0: "posts"}, "region_mask": {0: "posts"},
    }  # fmt: skip
    with training.threads(1):
        return to_onnx(tagger, examples, inputs, ["post", "past", "share", "of_words", "of_regions"])


def _exported_asker(work: Work, tagger: Tagger) -> bytes:
    draw = torch.Generator().manual_seed(work.model.seed)
    width, examples = work.model.width, []
    wide = width * 2 if work.plan.triplet else width
    for posts, memories in SHAPES:
        past = torch.randn(posts, memories, width, generator=draw)
        tags = torch.randint(0, len(work.model.tags_) + 1, (posts, memories, 1 + memories % 4), generator=draw)
        tags = tags[:, :, :1] if work.plan.habit == "tags" else tags
        present = torch.rand(posts, memories, generator=draw) < 0.8
        facts = torch.rand(posts, memories, 4, generator=draw)
        examples.append((torch.randn(posts, wide, generator=draw), past, tags, present, facts))
    inputs = {
        "post": {0: "posts"}, "past": {0: "posts", 1: "memories"}, "tags": {0: "posts", 1: "memories", 2: "tags"},
        "present": {0: "posts", 1: "memories"}, "facts": {0: "posts", 1: "memories"},
    }  # fmt: skip
    with training.threads(1):
        if work.plan.habit == "tags":
            del inputs["past"]
            fewer = [(post, *rest) for post, _, *rest in examples]
            return to_onnx(AskTags(tagger).eval(), fewer, inputs, ["asked", "weights"])
        return to_onnx(Ask(tagger).eval(), examples, inputs, ["asked", "weights"])
