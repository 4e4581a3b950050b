"""What all recommenders that read words, pictures and habit share: settings, reading, answers without torch.

A model says by its ``_plan`` which network it is (``hashloom.networks.tagger``). Posts that it has learnt from are kept
as vectors, so that they are remembered without being read again.
"""

from __future__ import annotations

import importlib
import os
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hashloom.data.history import History
from hashloom.encoders._onnx import session
from hashloom.encoders._reading import Reader, Reading
from hashloom.encoders._standing import Span, gathered, read_places
from hashloom.encoders.image.descriptor import Descriptor
from hashloom.encoders.tfidf import Tfidf
from hashloom.recommender import Gone, Recommender, best, hashed
from hashloom.recommenders import _decoding
from hashloom.recommenders._remembering import Shelf, remember
from hashloom.selections._selection import Selection
from hashloom.types import Count, ImageEncoder, Marks, Positive, Posts, Rankings, Reason, Share, TokenEncoder

Floats = NDArray[np.float32]

AT_ONCE = 128
"""Posts that go through the network together when answering."""


def _likeness() -> Tfidf:
    return Tfidf(dim=100)


class _Learnt:
    """What training leaves behind."""

    reader_: dict[str, Any]
    """What the reader learnt: words, principal directions of regions (see ``Reader``)."""
    tags_: list[str]
    """Tag numbers → tags."""
    listed_: dict[str, Any]
    """Community → numbers of its tags."""
    bias_: NDArray[np.float32]
    miner_: bytes
    """The network that reads a post, as ONNX: words and regions to vectors and attention."""
    asker_: bytes
    """The network that adds the habit, as ONNX; empty without."""
    head_: NDArray[np.float16]
    """(tags, wide): output rows; empty for a generator alone."""
    decoder_: dict[str, Any]
    """The generator's arrays; empty without."""
    shelf_: dict[str, Any]
    """Vectors of the posts learnt from, by hash of their id (see ``Shelf``); empty without a memory."""
    course_: dict[str, Any]
    """How the training went: best epoch, judgement after each."""


@dataclass
class Multimodal(_Learnt, Recommender):
    """The settings that all have, and the way to an answer."""

    seeded: ClassVar[bool] = True

    image: ImageEncoder | None = field(default_factory=Descriptor)
    """What reads pictures; none: pictures are not read."""
    text: TokenEncoder | None = None
    """What reads words; none: embeddings and an LSTM, trained with the rest."""
    reads: Literal["both", "text", "picture"] = "both"
    """What is read of a post."""
    likeness: Tfidf = field(default_factory=_likeness)
    """Text vectors by which earlier posts are found alike; its word vectors start the embeddings."""
    width: Count = 128
    """Width of the network (d in the papers)."""
    inner: Count = 100
    """Width of its attention (k in the papers)."""
    length: Count = 30
    """So many words of a post are read, from its beginning."""
    words: Count = 20_000
    """So many of the most frequent training words are known, those met twice at least."""
    least: Count = 1
    """Tags on fewer training posts than this are not known to the network (the papers: 5)."""
    directions: int = 128
    """Regions are read along so many principal directions of the training pictures' regions; 0: as they are."""
    dropout: Share = 0.5
    """Share of what is asked with that is left out at random in training."""
    blank: Share = 0.0
    """Share of training posts with both text and picture that are shown without one of them."""
    rate: Positive = 0.005
    """Adam's rate."""
    batch: Count = 128
    """Posts per update at most; fewer where there are few posts."""
    epochs: Count = 30
    """Passes over the posts at most."""
    patience: Count = 6
    """So many epochs without a better judgement on the validation posts end the training."""
    validation: Share = 0.1
    """Share of each community's posts, the latest, that early stopping judges by; 0: no early stopping."""
    refit: bool = False
    """After early stopping train anew on all posts for as many epochs."""
    seed: int = 0
    """The same seed and posts give the same model."""
    checkpoint: str = ""
    """Folder for the state of the training after each epoch, from which it is taken up again; empty: none."""

    @abstractmethod
    def _plan(self) -> dict[str, Any]:
        """Which parts of the network this model has: fields of ``networks.tagger.Plan``."""

    def _selection(self) -> Selection | None:
        """Which earlier posts are remembered; none: no habit."""
        return None

    bce: ClassVar[bool] = False
    """Whether each tag is learnt by itself (binary cross-entropy) or all against each other (softmax)."""
    both_ways: ClassVar[bool] = False
    """Whether the LSTM reads in both directions."""

    def _says(self) -> tuple[int, int]:
        """Tags that a generator says at most, and hypotheses kept meanwhile."""
        return 10, 1

    def _sums(self) -> Literal["mean", "sum"]:
        """softmax: over a post's true tags, the mean of their losses or the sum."""
        return "mean"

    def _chosen(self, posts: Posts, held: NDArray[np.int64]) -> None:
        """Learn what is chosen on validation posts; ``held`` are their rows."""

    def uses_history(self) -> bool:
        """Where a selection says which earlier posts are remembered."""
        return self._selection() is not None

    def _fit(self, posts: Posts) -> None:
        training().learn(self, posts)

    def _forget(self, gone: Gone) -> None:
        self.shelf_ = without(self.shelf_, gone.all.ids, "vectors", "looks")
        self.__dict__.pop("_shelved", None)

    # ---- answers

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        parts = [posts[i : i + AT_ONCE] for i in range(0, len(posts), AT_ONCE)]
        done = [self._answer(part, k, history, explain) for part in parts]
        return Rankings.concat(done)

    def _answer(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        mined = self._mine(self._reader.read(posts))
        asked, habit = self._ask(posts, mined, history)
        lists = self._lists(asked, posts.communities, k)
        why = self._reasons(posts, mined, habit, history, lists) if explain else None
        return Rankings.of(posts.ids, lists, why)

    def _lists(self, asked: Floats, communities: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
        """The ranking of each post, from what is asked with: (posts, wide)."""
        return self._generated(asked, communities, k) if self.decoder_ else self._classified(asked, communities, k)

    def _mine(self, reading: Reading) -> Mined:
        names = ("words", "word_mask", "regions", "region_mask")
        given = dict(zip(names, (reading.words, reading.word_mask, reading.regions, reading.region_mask)))
        return Mined(reading, *self._miner.run(None, given))

    def _ask(self, posts: Posts, mined: Mined, history: History) -> tuple[Floats, tuple[Any, Floats] | None]:
        """What tags are asked with (posts, wide); the memories and their weights, where there is a habit."""
        selection = self._selection()
        if selection is None:
            return mined.post, None
        shelf = self._shelf(history)
        memory = remember(selection, posts, mined.reading, history, shelf)
        past, tags = shelf.memories(memory)
        given = {"post": mined.post, "past": past, "tags": tags, "present": memory.rows >= 0, "facts": memory.facts}
        if selection.kind == "tags":
            del given["past"]
        asked, weights = self._asker.run(None, given)
        return asked, (memory, weights)

    def _classified(self, asked: Floats, communities: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
        """The best tags of each post's community with their probabilities."""
        scores = 1 / (1 + np.exp(-np.clip(asked @ self._rows.T + self.bias_, -60, 60)))  # (posts, tags)
        lists = []
        for row, community in zip(scores, communities):
            codes = self._codes(community)
            lists.append([(self.tags_[codes[i]], float(row[codes[i]])) for i in best(row[codes], codes, k)])
        return lists

    def _said(self, asked: Floats, communities: Sequence[str]) -> list[list[tuple[str, float]]]:
        """Tags in the order in which the generator says them."""
        return self._said_of(self._decode(asked, communities)[0])

    def _said_of(self, codes: NDArray[np.int64]) -> list[list[tuple[str, float]]]:
        """The lists of decoded tag numbers; scores fall from 2 to 1, above any probability."""
        rows = (enumerate(row) for row in codes.tolist())
        return [[(self.tags_[c], 2.0 - place / self._says()[0]) for place, c in row if c >= 0] for row in rows]

    def _generated(self, asked: Floats, communities: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
        """Tags in the order in which the generator says them, then others by how likely they are to be the first."""
        codes, _, first = self._decode(asked, communities)
        lists = self._said_of(codes)
        for i, community in enumerate(communities):
            rest = np.setdiff1d(self._codes(community), codes[i])
            more = rest[best(first[i, rest], rest, max(0, k - len(lists[i])))] if len(rest) else rest
            lists[i] += [(self.tags_[c], float(np.exp(first[i, c]))) for c in more.tolist()]
        return lists

    def _decode(self, asked: Floats, communities: Sequence[str]) -> tuple[Any, Any, Any]:
        allowed = np.zeros((len(asked), len(self.tags_)), dtype=bool)
        for i, community in enumerate(communities):
            allowed[i, self._codes(community)] = True
        return _decoding.decode(self._decoder, asked, allowed, *self._says())

    def _codes(self, community: str) -> NDArray[np.int64]:
        found = self.listed_.get(community)
        return np.zeros(0, np.int64) if found is None else np.asarray(found, np.int64)

    def _reasons(
        self,
        posts: Posts,
        mined: Mined,
        habit: tuple[Any, Floats] | None,
        history: History,
        lists: list[list[tuple[str, float]]],
    ) -> list[list[tuple[Reason, ...]]]:
        """What the network looked at: words, regions of the picture and earlier posts; the same for a post's tags."""
        why = []
        for i, row in enumerate(lists):
            said = mined.reasons(i, posts.texts[i], read_places(self._reader, posts.texts[i]), self._grid)
            if habit is not None:
                memory, weights = habit
                rows = [(int(r), float(w)) for r, w in zip(memory.rows[i], weights[i]) if r >= 0]
                said += [Reason("history", history.posts.ids[r], w) for r, w in sorted(rows, key=lambda x: -x[1])[:3]]
            # Of a post that has nothing to look at, the network says what is usual.
            why.append([tuple(said) or (Reason("model", self.name, score),) for _, score in row])
        return why

    def marks(self, posts: Posts, tags: Sequence[str], *, history: Posts | None = None) -> list[Marks | None]:
        """How much the network looked at each word and region, and what text and picture weigh.

        It looks before it scores, so that all tags of a post have the same marks.
        """
        self._must_be_fitted()
        made: list[Marks | None] = []
        for part in (posts[at : at + AT_ONCE] for at in range(0, len(posts), AT_ONCE)):
            mined = self._mine(self._reader.read(part))
            places = (read_places(self._reader, text) for text in part.texts)
            made += [mined.marks(i, *each, self._grid) for i, each in enumerate(zip(part.texts, places))]
        return made

    @property
    def _grid(self) -> tuple[int, int]:
        """Rows and columns of a picture's regions."""
        return self.image.grid if self.image else (1, 1)

    # ---- made again from what is kept

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self, **self.reader_)

    @cached_property
    def _miner(self) -> Any:
        return session(self.miner_)

    @cached_property
    def _asker(self) -> Any:
        return session(self.asker_)

    @cached_property
    def _rows(self) -> Floats:
        return self.head_.astype(np.float32)

    @cached_property
    def _decoder(self) -> dict[str, Any]:
        return {name: np.asarray(value, np.float32) for name, value in self.decoder_.items()}

    @cached_property
    def _number(self) -> dict[str, int]:
        return {tag: i for i, tag in enumerate(self.tags_)}

    def _shelf(self, history: History) -> Shelf:
        """The vectors of a history's posts: kept ones, and others as they are needed."""
        made = self.__dict__.get("_shelved")
        if made is None or made[0] is not history:
            made = self.__dict__["_shelved"] = (history, Shelf(history, self._number, self._look, **self.shelf_))
        return made[1]

    def _look(self, posts: Posts) -> tuple[Floats, Floats]:
        """Vectors of posts not learnt from, as remembered and for likeness; (posts, width), (posts, look)."""
        parts = [self._mine(self._reader.read(posts[i : i + AT_ONCE])) for i in range(0, len(posts), AT_ONCE)]
        return np.concatenate([p.past for p in parts]), np.concatenate([p.reading.looks for p in parts])


@dataclass
class Mined:
    """What the network made of posts: vectors as asked and as remembered, the picture's share, both attentions."""

    reading: Reading
    post: Floats
    past: Floats
    share: Floats
    of_words: Floats
    of_regions: Floats

    def marks(self, i: int, text: str, places: Sequence[Span | None], grid: tuple[int, int]) -> Marks:
        """Attention of words and regions as it is; the sides where the post has both."""
        words, picture = self.reading.word_mask[i].any(), self.reading.region_mask[i].any()
        share = float(self.share[i].mean())
        return Marks(
            "attention",
            gathered(text, places, self.of_words[i, : len(places)].tolist()) if words else (),
            self.of_regions[i].reshape(grid).astype(np.float64) if picture else None,
            (1 - share, share) if words and picture else None,
        )

    def reasons(self, i: int, text: str, places: Sequence[Span | None], grid: tuple[int, int]) -> list[Reason]:
        """The three words and the three regions with most attention, each times what its side weighs."""
        picture = float(self.share[i].mean())
        said: list[Reason] = []
        if self.reading.word_mask[i].any():
            words = gathered(text, places, self.of_words[i, : len(places)].tolist())
            most = sorted(words, key=lambda pair: -pair[1])[:3]
            said += [Reason("text", word, (1 - picture) * weight) for word, weight in most]
        if self.reading.region_mask[i].any():
            columns = grid[1]
            at = np.argsort(-self.of_regions[i], kind="stable")[:3]
            said += [
                Reason(
                    "image", f"row {j // columns + 1}, column {j % columns + 1}", picture * float(self.of_regions[i, j])
                )
                for j in at.tolist()
            ]
        return said


def without(kept: dict[str, Any], ids: Sequence[str], *columns: str) -> dict[str, Any]:
    """What is kept by hash of post, without these posts."""
    if not len(kept.get("ids", ())):
        return kept
    stay = ~np.isin(kept["ids"], hashed(ids))
    return kept | {name: kept[name][stay] for name in ("ids", *columns)}


def training() -> ModuleType:
    """The part that needs torch, imported where it is used."""
    # OpenMP threads that spin while they wait make training ten times slower on a machine that has other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return importlib.import_module("hashloom.recommenders._multimodal_training")


def habit(selection: Selection | None) -> dict[str, Any]:
    """The part of a plan that follows from which earlier posts are remembered."""
    return {"habit": "none"} if selection is None else {"habit": selection.kind, "recency": selection.recency}
