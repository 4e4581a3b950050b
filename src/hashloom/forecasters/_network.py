"""What all forecasters that are networks share: settings, reading, answers and attention without torch (models §11)."""

from __future__ import annotations

import importlib
import os
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from hashloom.data.record import Record
from hashloom.encoders._onnx import session
from hashloom.encoders._reading import Reader
from hashloom.encoders._standing import gathered, read_places
from hashloom.encoders.image.descriptor import Descriptor
from hashloom.encoders.tfidf import Tfidf
from hashloom.forecaster import Forecaster, Guess
from hashloom.forecasters.author_mean import AuthorMean
from hashloom.types import Count, ImageEncoder, Marks, Positive, Posts, Reason, Share, TokenEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

AT_ONCE = 128
"""Posts that go through the network together when answering."""
MOST = 3
"""Words, and regions, named as reasons."""


def _likeness() -> Tfidf:
    return Tfidf(dim=100)


class _Learnt:
    """What training leaves behind."""

    reader_: dict[str, Any]
    """What the reader learnt: words, principal directions of regions (see ``Reader``)."""
    authors_: list[Any]
    """Author number - 1 → [community, user]; none: forgotten."""
    network_: bytes
    """The network as ONNX."""
    usual_: list[float]
    """beyond author: the mean of all posts and how many posts' weight it has (κ of ``author_mean``)."""
    scale_: list[float]
    """Mean and deviation of what is learnt: the network says how many deviations from the mean."""
    course_: dict[str, Any]
    """How the training went: the best judgement's number, and all of them (minus the mean squared error)."""


@dataclass
class Networked(_Learnt, Forecaster):
    """The settings that all have, and the way to an answer."""

    seeded: ClassVar[bool] = True

    image: ImageEncoder | None = field(default_factory=Descriptor)
    """What reads pictures; none: pictures are not read."""
    text: TokenEncoder | None = None
    """What reads words; none: embeddings and an LSTM, trained with the rest."""
    reads: Literal["both", "text", "picture"] = "both"
    """What is read of a post; of both, a side that no post learnt from has is left out."""
    likeness: Tfidf = field(default_factory=_likeness)
    """Splits words; its word vectors start the embeddings."""
    width: Count = 64
    """Width of the network (the paper: 512)."""
    head: Count = 128
    """Width of its two hidden layers (the paper: 1024)."""
    length: Count = 50
    """So many words of a post are read, from its beginning."""
    words: Count = 20_000
    """So many of the most frequent training words are known, those met twice at least."""
    directions: Annotated[int, Ge(0)] = 128
    """Regions are read along so many principal directions of the training pictures' regions; 0: as they are."""
    beyond: Literal["mean", "author"] = "mean"
    """What the network's number is added to: the mean of all posts, as in the paper, or what the author's earlier
    posts got on average, drawn towards the community's mean as ``author_mean`` does it. The latter keeps learning."""
    least_posts: Count = 2
    """An author of fewer training posts than this is a stranger."""
    strangers: Share = 0.1
    """Share of training posts shown as a stranger's, from which strangers' forecasts are learnt."""
    dropout: Share = 0.5
    """Share of what the hidden layers are given that is left out at random in training."""
    hidden: Share = 0.0
    """Share of a post's words that are left out at random in training."""
    penalty: Annotated[float, Ge(0)] = 0.0
    """L2 on the word table and on the hidden layers' biases (the paper: 0.0001)."""
    decay: Annotated[float, Ge(0)] = 0.0
    """Weight decay, apart from the gradient, of what sets authors apart: few posts move an author little."""
    rate: Positive = 0.002
    """Adam's rate at the beginning (the paper: 0.001)."""
    final: Share = 0.05
    """Adam's rate after ``epochs`` passes as a share of ``rate``, reached in a straight line; 1: constant."""
    batch: Count = 128
    """Posts per update at most; fewer where there are few posts."""
    epochs: Count = 3
    """Passes over the posts at most; a set of few posts is gone through several times in one."""
    every: Annotated[int, Ge(0)] = 0
    """Updates from one judgement by the latest posts to the next (the paper: 64); 0: a quarter of a pass."""
    patience: Count = 8
    """So many judgements without a better one end the training."""
    refit: bool = False
    """After early stopping train anew on all posts for as many updates."""
    seed: int = 0
    """The same seed and posts give the same model."""
    checkpoint: str = ""
    """Folder for the state of the training after each judgement, from which it is taken up again; empty: none."""

    @abstractmethod
    def _plan(self) -> dict[str, Any]:
        """Which parts of the network this model has: fields of ``networks.popularity.Plan``."""

    def _whole_plan(self) -> dict[str, Any]:
        held = ("reads", "head", "dropout", "strangers", "hidden")
        return {name: getattr(self, name) for name in held} | self._plan()

    def _fit(self, posts: Posts, values: Floats, late: Ints) -> Guess:
        return Guess(training().learn(self, posts, values, late))

    def _guess(self, posts: Posts, record: Record, explain: bool) -> Guess:
        parts = [posts[i : i + AT_ONCE] for i in range(0, len(posts), AT_ONCE)]
        made = [self._look(part) for part in parts]
        start, of_author = self._start(posts, record)
        values = start + np.concatenate([self._on_scale(seen.value) for seen in made])
        if not explain:
            return Guess(values)
        counts = record.of(posts).count.astype(np.int64)
        why: list[tuple[Reason, ...]] = []
        for part, seen in zip(parts, made):
            rows = slice(len(why), len(why) + len(part))
            why += self._reasons(part, seen, counts[rows], of_author[rows])
        usual = (Reason("model", "the mean of all posts", self.scale_[0]),)
        return Guess(values, reasons=[said or usual for said in why])

    def _start(self, posts: Posts, record: Record) -> tuple[Floats, Floats]:
        """What the network's number is added to, and how much of that the author's earlier posts make; (posts,)."""
        if self.beyond == "mean":
            return np.zeros(len(posts)), np.zeros(len(posts))
        means = AuthorMean()
        means.mean_, prior = self.usual_
        drawn, usual, _ = means._means(posts, record, prior)
        return drawn, drawn - usual

    def marks(self, posts: Posts, *, history: Posts | None = None) -> list[Marks | None]:
        """Attention over the words and regions of each post; none where the model takes means instead.

        Words that the network does not know were not looked at and are left out.
        """
        self._must_be_fitted()
        if not self._attends():
            return [None] * len(posts)
        parts = [posts[i : i + AT_ONCE] for i in range(0, len(posts), AT_ONCE)]
        return [mark for part in parts for mark in self._marked(part, self._look(part))]

    def _attends(self) -> bool:
        """Whether words and regions are weighed by attention."""
        return True

    def _marked(self, posts: Posts, seen: Seen) -> Iterator[Marks]:
        grid = self.image.grid if self.image is not None and seen.has_picture.any() else (1, 1)
        for i, text in enumerate(posts.texts):
            has_words, has_picture = seen.has_words[i], seen.has_picture[i]
            places = read_places(self._reader, text) if has_words else []
            words = gathered(text, places, seen.of_words[i, : len(places)].tolist())
            regions = seen.of_regions[i].astype(np.float64).reshape(grid) if has_picture else None
            sides = (float(seen.sides[i, 0]), float(seen.sides[i, 1])) if has_words and has_picture else None
            yield Marks("attention", words, regions, sides)

    def _reasons(self, posts: Posts, seen: Seen, counts: Ints, of_author: Floats) -> list[tuple[Reason, ...]]:
        """Words and regions most looked at, each times what its side weighs, and what knowing the author changes."""
        if self._attends():
            why = [self._looked_at(mark) for mark in self._marked(posts, seen)]
        else:
            text, picture = self._change(seen, "word_mask"), self._change(seen, "region_mask")
            why = [
                [Reason("text", "the text", float(text[i]))] if there else [] for i, there in enumerate(seen.has_words)
            ]
            for i in np.flatnonzero(seen.has_picture).tolist():
                why[i].append(Reason("image", "picture", float(picture[i])))
        author = self._change(seen, "users") + of_author
        for i in np.flatnonzero((seen.given["users"] > 0) | (of_author != 0)).tolist():
            why[i].append(Reason("author", f"{counts[i]} earlier posts", float(author[i])))
        return [tuple(said) for said in why]

    def _change(self, seen: Seen, without: str) -> Floats:
        """How much higher each forecast is than without authors (``users``), words or regions (their masks)."""
        fewer = self._run(seen.given | {without: np.zeros_like(seen.given[without])}, seen)
        return self._on_scale(seen.value) - self._on_scale(fewer.value)

    def _looked_at(self, mark: Marks) -> list[Reason]:
        text, picture = mark.sides or (1.0, 1.0)
        words = sorted(((w, weight) for w, weight in mark.words if weight), key=lambda x: -x[1])
        said = [Reason("text", word, text * weight) for word, weight in words[:MOST]]
        if mark.regions is not None:
            columns, flat = mark.regions.shape[1], mark.regions.ravel()
            for j in np.argsort(-flat, kind="stable")[:MOST].tolist():
                where = f"row {j // columns + 1}, column {j % columns + 1}"
                said.append(Reason("image", where, picture * float(flat[j])))
        return said

    def _on_scale(self, values: NDArray[np.float32]) -> Floats:
        """What the network says, as targets above what it adds to."""
        return self.scale_[0] + self.scale_[1] * values.astype(np.float64)

    # ---- the network

    def _numbers(self, posts: Posts) -> Ints:
        """The number of each post's author, 0 for strangers."""
        known = self._author_of
        return np.array([known.get((c, u), 0) for c, u in zip(posts.communities, posts.users)], np.int64)

    def _look(self, posts: Posts) -> Seen:
        """Posts through the network."""
        reading = self._reader.read(posts)
        given = {"words": reading.words, "regions": reading.regions, "users": self._numbers(posts)}
        known = {given.name for given in self._session.get_inputs()}
        # What the network does not read, no post has.
        given |= {name: getattr(reading, name) & (name in known) for name in ("word_mask", "region_mask")}
        none = np.zeros(len(posts), np.float32)
        return self._run(given, Seen(given, none, np.zeros((len(posts), 0)), np.zeros((len(posts), 0)), none))

    def _run(self, given: dict[str, Any], before: Seen) -> Seen:
        names = [known.name for known in self._session.get_outputs()]
        wanted = {known.name: given[known.name] for known in self._session.get_inputs()}
        made = dict(zip(names, self._session.run(None, wanted)))
        held = {name: made.get(name, getattr(before, name)) for name in ("value", "of_words", "of_regions", "sides")}
        return Seen(given, **held)

    def _forget(self, gone: Posts, users: frozenset[str]) -> None:
        left = set(zip(self.memory_.communities, self.memory_.users))
        self.authors_ = [pair if pair is not None and tuple(pair) in left else None for pair in self.authors_]

    @cached_property
    def _author_of(self) -> dict[tuple[str, str | None], int]:
        return {(pair[0], pair[1]): i for i, pair in enumerate(self.authors_, 1) if pair is not None}

    @cached_property
    def _reader(self) -> Reader:
        return Reader(self, **self.reader_)

    @cached_property
    def _session(self) -> Any:
        return session(self.network_)


@dataclass
class Seen:
    """Posts as given to the network, what it says of them (posts,), and all its weights."""

    given: dict[str, Any]
    value: NDArray[np.float32]
    of_words: NDArray[Any]
    """(posts, words)"""
    of_regions: NDArray[Any]
    """(posts, regions)"""
    sides: NDArray[np.float32]
    """(posts, 2)"""

    @property
    def has_words(self) -> NDArray[np.bool_]:
        """Which posts have a word that is read; (posts,)."""
        return self.given["word_mask"].any(axis=1)

    @property
    def has_picture(self) -> NDArray[np.bool_]:
        """Which posts have a picture that is read; (posts,)."""
        return self.given["region_mask"].any(axis=1)


def training() -> ModuleType:
    """The part that needs torch, imported where it is used."""
    # OpenMP threads that spin while they wait make training ten times slower on a machine that has other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return importlib.import_module("hashloom.forecasters._network_training")
