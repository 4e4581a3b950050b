"""The one abstraction: a recommender learns from tagged posts and ranks tags for others."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hashloom import catalogue, keeping
from hashloom.data.history import History
from hashloom.data.prepare import with_tags
from hashloom.tag_space import TagSpaces
from hashloom.types import Posts, Rankings, Reason


class Recommender(ABC):
    """A dataclass whose fields are its hyper-parameters; what it learns ends in ``_``.

    A new one writes ``_fit`` and ``_rank``; see ``docs/adding-a-recommender.md``. Between those two all tags are
    keys; ``recommend`` applies the tag space of each post's community and hands out display forms.
    """

    reads_history: ClassVar[bool] = False
    """Whether earlier posts are needed when asked; then the training posts are kept with the model."""
    seeded: ClassVar[bool] = False
    """Whether chance decides so much (a network's start) that comparisons train it once per seed."""

    spaces_: TagSpaces
    memory_: Posts
    favourites_: dict[str, dict[str, int]]
    seen_: NDArray[np.uint64]
    """Hashes of the ids of the posts learnt from, so that nobody is scored on them by mistake."""

    @abstractmethod
    def _fit(self, posts: Posts) -> None:
        """Learn from tagged posts in order of time; their tags are keys."""

    @abstractmethod
    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        """One ranking of tag keys per post, best first, at least ``k`` long where there is evidence for so many."""

    def fit(self, posts: Posts, *, spaces: TagSpaces | None = None) -> Self:
        """Learn from tagged posts. ``spaces``: the tags of each community; by default those that the posts use.

        Raises ``ValueError`` where no post carries a tag.
        """
        posts = posts.tagged().in_order()
        self.spaces_ = TagSpaces.learn(posts) if spaces is None else spaces
        posts = self._keyed(posts).tagged()
        if not len(posts):
            raise ValueError("there is nothing to learn from: no post carries a tag that its community's list allows")
        self._learn(posts, self.spaces_)
        self.memory_ = _remembered(posts) if self.uses_history() else posts[:0]
        self.favourites_ = _favourites(posts)
        self.seen_ = np.sort(hashed(posts.ids))
        for derived in ("_past", "_given"):
            self.__dict__.pop(derived, None)
        return self

    def recommend(self, posts: Posts, k: int = 10, *, history: Posts | None = None, explain: bool = False) -> Rankings:
        """One ranking of at most ``k`` tags per post, in the order given.

        ``history`` adds earlier posts to those that the model remembers; each asked post sees only those strictly
        before it. Where there is too little evidence, the community's favourites fill the ranking. A post of a
        community that neither the training posts, nor a tag space, nor ``history`` know gets an empty ranking.
        """
        if not hasattr(self, "spaces_"):
            raise RuntimeError(f"this {self.name} has learnt nothing yet; call fit(posts) or load a model first")
        if k < 1:
            raise ValueError(f"k must be 1 or more, not {k}")
        if not len(posts):
            return Rankings.of([], [])
        past = self._past_with(history)
        # One batch is not cut: columns that are read already stay read.
        parts = [posts[i : i + _BATCH] for i in range(0, len(posts), _BATCH)] if len(posts) > _BATCH else [posts]
        spare = self.spaces_.spare
        done = [self._deliver(self._rank(part, k + spare, past, explain), part, k, past, explain) for part in parts]
        return done[0] if len(done) == 1 else Rankings.concat(done)

    @property
    def name(self) -> str:
        """The name in settings, which is the name of the file."""
        return type(self).__module__.rsplit(".", 1)[-1]

    def settings(self) -> dict[str, Any]:
        """The fields as JSON, parts inside included: ``build(r.settings())`` equals ``r``."""
        return catalogue.settings(self)

    def save(self, folder: Path | str, **facts: Any) -> Path:
        """Keep the model as a folder; see ``hashloom.keeping``."""
        return keeping.save(self, folder, **facts)

    def inside(self) -> Iterator[Recommender]:
        """The recommenders held in fields."""
        for f in fields(self):  # type: ignore[arg-type]
            value = getattr(self, f.name)
            yield from (v for v in (value if isinstance(value, list) else [value]) if isinstance(v, Recommender))

    def uses_history(self) -> bool:
        """Whether this recommender or one inside it reads earlier posts."""
        return self.reads_history or any(part.uses_history() for part in self.inside())

    def is_seeded(self) -> bool:
        """Whether this recommender or one inside it is ``seeded``."""
        return self.seeded or any(part.is_seeded() for part in self.inside())

    def share(self) -> None:
        """Give the tag spaces to the recommenders inside (they are kept once, by the outermost)."""
        for part in self.inside():
            part.spaces_ = self.spaces_
            part.share()

    def _pretrain(self, posts: Posts) -> None:
        """Learn what needs no tags (word vectors), once, where ``_learn`` is about to be called several times."""
        for part in self.inside():
            part._pretrain(posts)

    def _learn(self, posts: Posts, spaces: TagSpaces) -> None:
        """Fit as a part of another recommender: spaces are given, nothing is remembered."""
        self.spaces_ = spaces
        for name in [n for n in vars(self) if n in _derived(type(self))]:
            del self.__dict__[name]
        self._fit(posts)
        self.share()

    def _keyed(self, posts: Posts) -> Posts:
        """The posts with each tag as the key that its community's space makes of it; tags not allowed are dropped."""
        resolve = self.spaces_.resolve
        tags = [resolve(c, given) for c, given in zip(posts.communities, posts.tags)]
        return with_tags(posts, tags)

    def _past_with(self, history: Posts | None) -> History:
        """What is remembered and what is given, made once where the same posts are given again and again."""
        if history is None:
            return self._past
        made = self.__dict__.get("_given")
        if made is None or made[0] is not history:
            made = self.__dict__["_given"] = (history, self._past.and_(self._keyed(history.tagged())))
        return made[1]

    @cached_property
    def _past(self) -> History:
        return History(self.memory_)

    def _deliver(self, found: Rankings, posts: Posts, k: int, past: History, explain: bool) -> Rankings:
        """Apply each community's space, fill with favourites, cut at ``k``, hand out display forms."""
        lists, reasons = [], []
        for i, community in enumerate(posts.communities):
            space, heard = self.spaces_[community], past.tags_in(community)
            row: dict[str, float] = {}
            why: list[tuple[Reason, ...]] = []
            for at in range(int(found.starts[i]), int(found.starts[i + 1])):
                tag = space.resolve(found.tags[at])
                if tag is None or tag in row or not (tag in space.tags or tag in heard or self._coins(tag)):
                    continue
                row[tag] = float(found.scores[at])
                why.append(found.reasons[at] if found.reasons else ())
                if len(row) == k:
                    break
            if len(row) < k:
                for tag, score, reason in self._fill(community, row, past, posts[i : i + 1]):
                    row[tag] = score
                    why.append((reason,))
                    if len(row) == k:
                        break
            lists.append([(space.show(tag), score) for tag, score in row.items()])
            reasons.append(why)
        return Rankings.of(posts.ids, lists, reasons if explain else None)

    def _coins(self, tag: str) -> bool:
        """Whether this recommender may give a tag that no post of the community has carried (generators may)."""
        return False

    def _fill(
        self, community: str, row: dict[str, float], past: History, post: Posts
    ) -> Iterator[tuple[str, float, Reason]]:
        """The community's favourites not in ``row``, scored just under its last score."""
        counts = self.favourites_.get(community) or _heard(past, post)
        space = self.spaces_[community]
        most = max(counts.values(), default=1)
        low = min(row.values(), default=1.0)
        for tag, count in counts.items():
            resolved = space.resolve(tag)
            if resolved is not None and resolved not in row:
                share = count / (most + 1)
                yield resolved, low * share if low > 0 else low - (1 - share), Reason("community", community, count)


_BATCH = 1024


def load(folder: Path | str) -> Any:
    """The recommender or forecaster kept in a folder; damaged or foreign folders are refused (``DamagedModel``)."""
    return keeping.load(folder)


def hashed(ids: Sequence[str]) -> NDArray[np.uint64]:
    """64 bits of a hash of each id. Shape (ids,)."""
    made = b"".join(hashlib.blake2b(i.encode("utf-8", "surrogatepass"), digest_size=8).digest() for i in ids)
    return np.frombuffer(made, dtype=np.uint64)


def _derived(kind: type) -> frozenset[str]:
    return frozenset(n for c in kind.__mro__ for n, v in vars(c).items() if isinstance(v, cached_property))


def _remembered(posts: Posts) -> Posts:
    return Posts.of(posts.frame.select("id", "text", "community", "user", "created_at", "images", "tags"))


def _favourites(posts: Posts) -> dict[str, dict[str, int]]:
    """Tag counts of each community, most used first, ties in order of the alphabet; the first hundred."""
    counts: dict[str, Counter[str]] = {}
    for community, tags in zip(posts.communities, posts.tags):
        counts.setdefault(community, Counter()).update(tags)
    return {c: dict(sorted(n.items(), key=lambda x: (-x[1], x[0]))[:100]) for c, n in counts.items()}


def _heard(past: History, post: Posts) -> dict[str, int]:
    """What the history says of a community that training did not know."""
    rows = past.before(post, by="community")[0]
    return next(iter(_favourites(past.posts[rows]).values()), {}) if len(rows) else {}


def best(scores: Any, codes: Any, k: int) -> Any:
    """Indices of the ``k`` highest scores, ties by the smaller code. All of shape (candidates,) but ``k``."""
    if len(scores) > 4 * k:
        part = np.argpartition(-scores, k)
        edge = scores[part[k - 1]] if k else np.inf
        keep = np.flatnonzero(scores >= edge)
        return keep[np.lexsort((codes[keep], -scores[keep]))][:k]
    return np.lexsort((codes, -scores))[:k]
