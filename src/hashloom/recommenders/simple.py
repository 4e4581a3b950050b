"""The simple candidate generator of the Commune two-stage paper: edit distance, frequency, nearest tags.

The paper does not say how the three lists are merged; reciprocal rank fusion is our choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.data.history import History
from hashloom.encoders._vectors import unit
from hashloom.encoders.floret import Floret
from hashloom.encoders.tokens import Tokens
from hashloom.recommender import Gone, Recommender, best
from hashloom.tags import words
from hashloom.types import Count, Encoder, Posts, Rankings, Reason, Source

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

LISTS: tuple[tuple[Source, str], ...] = (("text", "edit distance"), ("community", "frequency"), ("model", "nearest"))


@dataclass
class Simple(Recommender):
    """Tags that look like a word of the post, that are frequent in its community, or that are near its vector.

    >>> from hashloom.types import Post
    >>> posts = Posts.of([Post("1", "rye bread", "c", tags=("baking",)), Post("2", "oats", "c", tags=("breakfast",))])
    >>> model = Simple(encoder=Floret(dim=8, epochs=1, buckets=100)).fit(posts)
    >>> sorted(model.recommend(Posts.of([Post("3", "we baked bread", "c")]), 2)[0].tags)
    ['baking', 'breakfast']
    """

    neighbours: Count = 30
    """Length of each of the three lists."""
    rrf: Count = 60
    """Constant of reciprocal rank fusion: rank r (from 1) counts 1 / (rrf + r)."""
    encoder: Encoder = field(default_factory=Floret)
    """Puts posts and tags into one space."""
    tokens: Tokens = field(default_factory=Tokens)
    """How texts are split into words for the edit distance."""

    def _fit(self, posts: Posts) -> None:
        counts = self._counts(posts)
        spoken = sorted({words(tag) for found in counts.values() for tag in found})
        self.encoder.fit(posts.texts, spoken)
        self.communities_ = {name: self._learn_one(name, found) for name, found in counts.items()}

    def _counts(self, posts: Posts) -> dict[str, Counter[str]]:
        """How many posts of each community carry each tag; 0 for those that are only listed."""
        counts: dict[str, Counter[str]] = {}
        for community, given in zip(posts.communities, posts.tags):
            counts.setdefault(community, Counter()).update(given)
        for name in self.spaces_:
            counts.setdefault(name, Counter()).update(dict.fromkeys(self.spaces_[name].tags, 0))
        return {name: found for name, found in counts.items() if found}

    def _update(self, posts: Posts) -> None:
        counts: dict[str, Counter[str]] = {}
        for community, given in zip(posts.communities, posts.tags):
            counts.setdefault(community, Counter()).update(given)
        for name, found in counts.items():
            held = self.communities_.get(name, {"tags": [], "uses": np.zeros(0, np.float32)})
            found.update(dict(zip(held["tags"], held["uses"].astype(int).tolist())))
            self.communities_[name] = self._learn_one(name, found, held)

    def _forget(self, gone: Gone) -> None:
        counts = self._counts(gone.left)
        self.communities_ = {n: self._learn_one(n, c, self.communities_.get(n)) for n, c in counts.items()}

    def _learn_one(self, name: str, counts: Counter[str], held: dict[str, Any] | None = None) -> dict[str, Any]:
        """A community's tags in order of the alphabet with the words, use and vector of each.

        ``held``: the same as it was before; vectors found there are not made again.
        """
        tags = sorted(counts)
        spoken = [words(self.spaces_[name].show(tag)) for tag in tags]
        known = dict(zip(held["tags"], held["vectors"])) if held and len(held["tags"]) else {}
        fresh = [i for i, tag in enumerate(tags) if tag not in known]
        made = dict(zip(fresh, unit(self.encoder.encode_tags([spoken[i] for i in fresh])))) if fresh else {}
        return {
            "tags": tags,
            "words": [text.casefold() for text in spoken],
            "uses": np.array([counts[tag] for tag in tags], dtype=np.float32),
            "vectors": np.stack([made[i] if i in made else known[tag] for i, tag in enumerate(tags)]),
        }

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        vectors = unit(self.encoder.encode(posts.texts))
        lists: list[list[tuple[str, float]]] = []
        why: list[list[tuple[Reason, ...]]] = []
        for text, community, vector in zip(posts.texts, posts.communities, vectors):
            learnt = self.communities_.get(community)
            votes = self._votes(text, vector, learnt) if learnt else np.zeros((3, 0))
            total = votes.sum(axis=0)
            top = [t for t in best(total, np.arange(len(total)), k).tolist() if total[t] > 0]
            lists.append([(learnt["tags"][t], float(total[t])) for t in top] if learnt else [])
            why.append([_reasons(votes[:, t]) for t in top] if explain else [])
        return Rankings.of(posts.ids, lists, why if explain else None)

    def _votes(self, text: str, vector: Floats, learnt: dict[str, Any]) -> NDArray[np.float64]:
        """What each of the three lists gives to each tag: 1 / (rrf + rank), 0 where not listed. (3, tags)."""
        scores = (self._alike(text, learnt["words"]), learnt["uses"], learnt["vectors"] @ vector)
        votes = np.zeros((3, len(learnt["tags"])))
        for row, score in zip(votes, scores):
            top = best(score, np.arange(len(score)), self.neighbours)
            top = top[score[top] > 0]
            row[top] = 1 / (self.rrf + 1 + np.arange(len(top)))
        return votes

    def _alike(self, text: str, spoken: Sequence[str]) -> Floats:
        """The best likeness of each tag to a word of the text: 1 - edit distance / longer length. (tags,)."""
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        found = list(dict.fromkeys(self.tokens.split(text)))
        if not found:
            return np.zeros(len(spoken), dtype=np.float32)
        alike = cdist(found, spoken, scorer=Levenshtein.normalized_similarity, score_cutoff=0.5)
        return np.asarray(alike.max(axis=0), dtype=np.float32)


def _reasons(votes: NDArray[np.float64]) -> tuple[Reason, ...]:
    return tuple(Reason(source, name, float(v)) for (source, name), v in zip(LISTS, votes) if v > 0)
