"""Tags by their words: two towers, one for the post, one for the tag (B8 of the recommended stack).

A tag is scored as ``A · e + r``: ``e`` stands for its words, ``r`` for what its own posts tell. So a tag with few posts
or none, a new one and one of a community that is only listed, are ranked too. The post is known by its text, by the
tags that its author has used in this community and by the community, which is the mean of its tags. Frozen vectors of
texts and tags come from an encoder. How much of a tag's letters stand in the text is a likeness of its own, so that a
tag whose words the encoder has never met is found as well. Training needs torch, answering only numpy.
"""

from __future__ import annotations

import importlib
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hashloom import tags as naming
from hashloom.data.history import History
from hashloom.encoders._vectors import unit
from hashloom.encoders.tfidf import Tfidf
from hashloom.encoders.tokens import Tokens
from hashloom.recommender import Gone, Recommender, best
from hashloom.recommenders.linear import character_grams, locate
from hashloom.types import Count, Encoder, Positive, Posts, Rankings, Reason, Share

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float32]

GRAMS = 1 << 20
"""Character n-grams are told apart by so many numbers."""
CHARACTERS = 2000
"""Letters are read from so many first characters of a text."""
LITTLE = 0.4
"""A smaller part of a tag's letters stands in many a text by chance."""
AT_ONCE = 128
"""Posts of a community that are scored together."""
TRIED = 40
"""So many words of a text are tried for how much they matter, where reasons are asked for."""
LIKENESSES = ("meaning", "habit", "spelling", "common", "unknown", "meaning unknown", "spelling unknown")
START = (4.0, 1.0, 4.0, 1.0, 0.0, 0.0, 0.0)
"""Weights that the likenesses begin with."""


class _Learnt:
    """What is learnt; the rows of ``tags_`` and ``own_`` from ``starts_[c]`` on are community ``c``'s."""

    communities_: list[str]
    tags_: list[str]
    starts_: NDArray[np.int64]
    own_: NDArray[np.float16]
    """(tags, width + 1): r of the tags that were trained on."""
    towers_: dict[str, Any]
    """Weights of the network's layers."""
    alike_: NDArray[np.float32]
    """Weights of the likenesses, in the order of ``LIKENESSES``."""
    counts_: dict[str, dict[str, int]]
    """Community → tag → posts that carry it."""
    posts_: dict[str, int]
    """Community → posts."""
    course_: dict[str, Any]


@dataclass
class TwoTower(_Learnt, Recommender):
    """A post's vector against the vectors of its community's tags, which their words help to make.

    >>> from hashloom.tag_space import TagSpace, TagSpaces
    >>> from hashloom.types import Post
    >>> rows = [Post(f"{t}{i}", f"warm {t} loaf", "bakers", tags=(t,)) for i in range(8) for t in ("rye", "oat")]
    >>> spaces = TagSpaces([TagSpace.of(["Rye", "Oat", "Spelt"], "bakers"), TagSpace.of(["Oat", "Cake"], "others")])
    >>> model = TwoTower(width=16, epochs=20).fit(Posts.of(rows), spaces=spaces)
    >>> asked = [Post("a", "rye bread", "bakers"), Post("b", "loaf of spelt", "bakers"), Post("c", "cakes", "others")]
    >>> [ranking.tags[0] for ranking in model.recommend(Posts.of(asked))]
    ['Rye', 'Spelt', 'Cake']
    """

    seeded: ClassVar[bool] = True
    reads_history: ClassVar[bool] = True

    encoder: Encoder = field(default_factory=Tfidf)
    """What makes vectors of texts and of tags' words; it is not trained further."""
    hidden: Count = 256
    """Width of the layer between a post and its vector."""
    width: Count = 128
    """Length of the vectors that meet."""
    last: Count = 50
    """The tags of so many of the author's latest posts are the author's profile."""
    dropout: Share = 0.3
    """Share of what is known of a post, and of the hidden layer, that is left out at random in training."""
    alone: Share = 0.4
    """Share of tags that go, at each update, without their own vector and count, so that words learn to serve."""
    stranger: Share = 0.2
    """Share of training posts that are shown without their author's profile."""
    decay: Positive = 0.05
    """Weight decay of the tags' own vectors."""
    rate: Positive = 0.002
    """Adam's rate at the beginning; it falls to a twentieth over the planned updates."""
    batch: Count = 128
    """Posts per update at most; fewer where there are few posts."""
    epochs: Count = 20
    """Passes over the posts at most."""
    patience: Count = 3
    """So many epochs without a better NDCG@10 on the validation posts end the training."""
    validation: Share = 0.1
    """Share of each community's posts, the latest, that early stopping judges by; 0: no early stopping."""
    whole: Count = 20_000
    """Communities of up to so many tags learn against all of them; larger ones against drawn and hard ones."""
    drawn: Count = 2000
    """Larger communities: so many tags are drawn for each update, frequent ones more often."""
    hard: Count = 10
    """Larger communities: so many of the best wrong tags of each post, sought anew after a third and two thirds of the
    passes, are learnt against too."""
    seed: int = 0
    """The same seed and posts give the same model."""
    checkpoint: str = ""
    """Folder for the state of the training after each epoch, from which it is taken up again (the same to the last bit
    where no tags are drawn); empty: none."""

    def _fit(self, posts: Posts) -> None:
        _training().learn(self, posts)

    def _update(self, posts: Posts) -> None:
        for community, given in zip(posts.communities, posts.tags):
            counts = self.counts_.setdefault(community, {})
            for tag in given:
                counts[tag] = counts.get(tag, 0) + 1
            self.posts_[community] = self.posts_.get(community, 0) + 1
            self._labelled.pop(community, None)

    def _forget(self, gone: Gone) -> None:
        self.count(gone.left)
        kept = [
            [at for at in range(self.starts_[c], self.starts_[c + 1]) if self.tags_[at] in self.counts_.get(name, ())]
            for c, name in enumerate(self.communities_)
        ]
        rows = np.array([at for of in kept for at in of], dtype=np.int64)
        self.tags_, self.own_ = [self.tags_[at] for at in rows.tolist()], self.own_[rows]
        self.starts_ = np.cumsum([0, *map(len, kept)]).astype(np.int64)
        self._labelled.clear()
        self.__dict__.pop("_trained", None)

    def count(self, posts: Posts) -> None:
        """Count posts and uses of tags anew; tags are keys."""
        found: dict[str, Counter[str]] = {}
        for community, given in zip(posts.communities, posts.tags):
            found.setdefault(community, Counter()).update(given)
        self.counts_ = {name: dict(counts) for name, counts in found.items()}
        self.posts_ = dict(Counter(posts.communities))

    # ---- tags

    def labels(self, community: str) -> Labels:
        """A community's tags as they are scored: those its posts carry and those that are listed."""
        made, space = self._labelled.get(community), self.spaces_[community]
        listed = hash((tuple(space.tags.items()), tuple(space.describe.items())))
        if made is None or made.listed != listed:
            names = sorted({*self.counts_.get(community, ()), *space.tags})
            made = self._labelled[community] = self._label(community, names, listed)
        return made

    def _label(self, community: str, names: list[str], listed: int) -> Labels:
        counts, posts = self.counts_.get(community, {}), self.posts_.get(community, 0)
        words = self.vectors(community, names)
        own = np.zeros((len(names), self.own_.shape[1]), np.float32)
        trained = self._trained.get(community, {})
        known = np.array([tag in trained for tag in names], dtype=bool)
        own[known] = self.own_[[trained[tag] for tag in names if tag in trained]]
        rows = np.pad(words @ self.towers_["project"].T, ((0, 0), (0, 1))) + own
        common = np.array([counts.get(tag, 0) for tag in names], np.float32)
        level = levels(common, posts, np.where(known, 0.0, 1.0), self.alike_)
        spelt = spelling([self.spoken(community, tag) for tag in names])
        return Labels(names, listed, words, rows, level, ~known, spelt)

    def spoken(self, community: str, tag: str) -> str:
        """A tag's words and, where the tag space describes it, what is said of it."""
        space = self.spaces_[community]
        return f"{naming.words(space.show(tag))} {space.describe.get(tag, '')}".strip()

    def vectors(self, community: str, tags: Iterable[str]) -> Floats:
        """Unit vectors of tags' words; shape (tags, dim)."""
        spoken = [self.spoken(community, tag) for tag in tags]
        if new := [text for text in dict.fromkeys(spoken) if text not in self._read]:
            self._read.update(zip(new, unit(self.encoder.encode_tags(new)), strict=True))
        return np.array([self._read[text] for text in spoken], np.float32).reshape(len(spoken), self._dim)

    # ---- answers

    def unit_texts(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of texts; shape (posts, dim)."""
        return unit(self.encoder.encode(texts))

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        lists: list[list[tuple[str, float]]] = [[] for _ in posts.ids]
        why: list[list[tuple[Reason, ...]]] = [[] for _ in posts.ids]
        earlier = history.before(posts, last=self.last)
        groups: dict[str, list[int]] = {}
        for i, community in enumerate(posts.communities):
            groups.setdefault(community, []).append(i)
        for community, of in groups.items():
            if not (self.counts_.get(community) or self.spaces_[community].tags):
                continue  # nothing is kept of names that anybody may make up
            labels = self.labels(community)
            for rows in (of[at : at + AT_ONCE] for at in range(0, len(of) if labels.names else 0, AT_ONCE)):
                habits = labels.habits([[history.posts.tags[r] for r in earlier[i]] for i in rows])
                texts = [posts.texts[i] for i in rows]
                logits = self._score(labels, texts, habits)
                codes = np.arange(len(labels.names))
                for i, row, scores in zip(rows, logits, _shares(logits)):
                    top = best(row, codes, k)
                    lists[i] = [(labels.names[t], float(scores[t])) for t in top]
                    if explain:
                        why[i] = self._reasons(labels, posts.texts[i], habits[rows.index(i)], top)
                        # What neither a word nor the habit says comes of how common the tag is.
                        uses = self.counts_.get(community, {})
                        usual = (Reason("community", community, float(uses.get(labels.names[t], 0))) for t in top)
                        why[i] = [said or (common,) for said, common in zip(why[i], usual)]
        return Rankings.of(posts.ids, lists, why if explain else None)

    def _score(self, labels: Labels, texts: Sequence[str], habits: Floats) -> Floats:
        """Logits (posts, tags) of posts of one community."""
        meant = self.unit_texts(texts)
        place = np.broadcast_to(labels.place, habits.shape)
        towers = self.towers_
        hidden = np.concatenate([meant, habits, place], axis=1) @ towers["dense"].T + towers["dense bias"]
        asked = np.maximum(hidden, 0) @ towers["out"].T + towers["out bias"]
        meaning, spelt = meant @ labels.words.T, spelt_in(texts, labels.spelt).toarray()
        weight = dict(zip(LIKENESSES, self.alike_.tolist(), strict=True))
        logits = np.pad(asked, ((0, 0), (0, 1)), constant_values=1) @ labels.rows.T + labels.level
        logits += meaning * (weight["meaning"] + weight["meaning unknown"] * labels.unknown)
        logits += spelt * (weight["spelling"] + weight["spelling unknown"] * labels.unknown)
        return np.asarray(logits + weight["habit"] * (habits @ labels.words.T), np.float32)

    def _reasons(self, labels: Labels, text: str, habit: Floats, top: NDArray[np.int64]) -> list[tuple[Reason, ...]]:
        """What each tag's logit loses without a word of the text, and without the author's profile."""
        words = [word for word in dict.fromkeys(Tokens().split(text)) if locate(text, word)][:TRIED]
        texts = [text, text, *(re.sub(re.escape(word), " ", text, flags=re.IGNORECASE) for word in words)]
        habits = np.repeat(habit[None], len(texts), axis=0)
        habits[1] = 0
        logits = self._score(labels, texts, habits)[:, top]
        lost = logits[0] - logits[1:]
        made = []
        for column in lost.T:
            said = [
                (float(loss), Reason("text", locate(text, w) or w, float(loss))) for w, loss in zip(words, column[1:])
            ]
            said.append((float(column[0]), Reason("habit", "earlier tags", float(column[0]))))
            said.sort(key=lambda pair: -pair[0])
            made.append(tuple(reason for loss, reason in said[:3] if loss > 1e-4))
        return made

    # ---- made again from what is kept

    @cached_property
    def _labelled(self) -> dict[str, Labels]:
        return {}

    @cached_property
    def _read(self) -> dict[str, Floats]:
        """Vectors of the tags' words as they were read."""
        return {}

    @cached_property
    def _dim(self) -> int:
        return int(self.encoder.encode_tags(["a"]).shape[1])

    @cached_property
    def _trained(self) -> dict[str, dict[str, int]]:
        """Community → tag → row of ``own_``."""
        ends = zip(self.communities_, self.starts_[:-1].tolist(), self.starts_[1:].tolist())
        return {name: {self.tags_[at]: at for at in range(start, end)} for name, start, end in ends}


@dataclass
class Labels:
    """A community's tags: names in order of the alphabet, and what they are scored by."""

    names: list[str]
    listed: int
    """A hash of what the space listed when this was made."""
    words: Floats
    """(tags, dim)"""
    rows: Floats
    """(tags, width + 1)"""
    level: Floats
    """(tags,) what is added to the logit whatever the post."""
    unknown: NDArray[np.bool_]
    """(tags,) whether the tag was not trained on."""
    spelt: Spelling

    @cached_property
    def place(self) -> Floats:
        """The community's own vector: the mean of its tags'; (dim,)."""
        return unit(self.words.mean(axis=0, keepdims=True))[0]

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {tag: row for row, tag in enumerate(self.names)}

    def habits(self, earlier: Sequence[Sequence[Sequence[str]]]) -> Floats:
        """Users' profiles, the unit mean of the vectors of their earlier posts' tags; (posts, dim)."""
        made = np.zeros((len(earlier), self.words.shape[1]), np.float32)
        for i, posts in enumerate(earlier):
            rows = [self._row_of[tag] for given in posts for tag in given if tag in self._row_of]
            if rows:
                made[i] = self.words[rows].sum(axis=0)
        return unit(made)


def levels(counts: Floats, posts: int, unknown: Floats, alike: Floats) -> Floats:
    """What is added to tags' logits for how common they are; (tags,).

    A tag that training did not know is never thought rarer than such tags were in training.
    """
    weight = dict(zip(LIKENESSES, alike.tolist(), strict=True))
    known = weight["common"] * commonness(counts, posts)
    return np.where(unknown > 0, np.maximum(np.where(counts > 0, known, -np.inf), weight["unknown"]), known)


def commonness(counts: Floats, posts: int) -> Floats:
    """The logarithm of how much more often each is used than the mean of those that are; (tags,)."""
    share = (counts + 0.5) / (posts + 1)
    used = share[counts > 0]
    return np.log(share / used.mean() if len(used) else share).astype(np.float32)


@dataclass
class Spelling:
    """How much each character n-gram tells of a tag; only those are held that stand in one."""

    grams: NDArray[np.uint64]
    """Hashes, sorted; (n-grams,)."""
    worth: csr_matrix
    """(n-grams, tags)"""


def spelling(spoken: Sequence[str]) -> Spelling:
    """Rare n-grams tell more, and all of a tag's together 1."""
    from scipy.sparse import csr_matrix

    found = [np.unique(character_grams(text, 2, 5) % GRAMS) for text in spoken]
    grams, at = np.unique(np.concatenate([np.zeros(0, np.uint64), *found]), return_inverse=True)
    starts = np.cumsum([0, *map(len, found)])
    worth = np.log((1 + len(found)) / np.bincount(at, minlength=1)[at]) + 0.1
    sums = np.add.reduceat(np.append(worth, 0), starts[:-1]) if len(found) else np.zeros(0)
    worth = worth / np.repeat(sums, np.diff(starts))
    made = csr_matrix((worth.astype(np.float32), at, starts), shape=(len(found), len(grams)))
    return Spelling(grams, made.T.tocsr())


def spelt_in(texts: Sequence[str], spelt: Spelling) -> csr_matrix:
    """How much of each tag's letters stand in texts, to the fourth power; less than ``LITTLE`` is 0. (posts, tags)."""
    from scipy.sparse import csr_matrix

    found = [np.unique(character_grams(text[:CHARACTERS], 2, 5) % GRAMS) for text in texts]
    places = [_places(spelt.grams, grams) for grams in found]
    at, starts = np.concatenate([np.zeros(0, np.int64), *places]), np.cumsum([0, *map(len, places)])
    grams = csr_matrix((np.ones(len(at), np.float32), at, starts), shape=(len(found), len(spelt.grams)))
    made = (grams @ spelt.worth).tocsr()
    made.data = np.where(made.data < LITTLE, 0, made.data**4)
    made.eliminate_zeros()
    return made


def _places(grams: NDArray[np.uint64], wanted: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where those of the wanted that are there stand among sorted ones."""
    at = np.searchsorted(grams, wanted)
    there = at < len(grams)
    return at[there][grams[at[there]] == wanted[there]]


def _shares(logits: Floats) -> Floats:
    """Softmax of each row; (posts, tags)."""
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), np.float32)


def _training() -> ModuleType:
    """The part that needs torch, imported where it is used."""
    # OpenMP threads that spin while they wait make training ten times slower on a machine that has other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return importlib.import_module("hashloom.recommenders._two_tower_training")
