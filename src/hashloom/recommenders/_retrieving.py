"""Which learnt posts a post is like, for RIGHT: an index that grows post by post (models §9.1, §9.2, §9.7).

One index per community, so that nothing crosses. Posts with the same text and tags stand in it once, the earliest.
Only strictly earlier posts are found; for a post without a time, all but itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.data.history import NOW
from hashloom.recommenders._bm25 import Bm25
from hashloom.types import UNDATED, Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

LATE = 512
"""So many vectors of added posts stand beside the others before they are put together."""
AT_ONCE = 128

Found = list[tuple[int, float]]
"""Places of posts in the index with their likeness, most alike first."""
Words = Sequence[Sequence[str]]


class Index:
    """The posts of one community and either their words or their vectors, in ``kept``, which goes with the model.

    ``words`` are those of each post, ``vectors`` (posts, dim) of unit length or zero; one of them is given, or neither.
    """

    def __init__(self, kept: dict[str, Any]) -> None:
        self.kept = kept

    @classmethod
    def of(cls, posts: Posts, words: Words | None, vectors: Floats | None, max_share: float) -> Index:
        """From posts that differ in text or tags."""
        kept: dict[str, Any] = {"ids": list(posts.ids), "tags": list(posts.tags)}
        kept |= {"moments": posts.times.copy(), "marks": marks(posts)}
        if words is not None:
            kept["bm25"] = Bm25.learn([Counter(found) for found in words], max_share).kept
        if vectors is not None:
            kept |= {"vectors": vectors, "late": vectors[:0]}
        return cls(kept)

    def __len__(self) -> int:
        return len(self.kept["ids"])

    @property
    def ids(self) -> list[str]:
        """The posts' ids."""
        return self.kept["ids"]

    @property
    def tags(self) -> list[list[str]]:
        """Tag keys of each post."""
        return self.kept["tags"]

    def new(self, posts: Posts) -> list[int]:
        """Rows of posts that the index has neither by id nor by text and tags, each of the latter once."""
        taken, rows = set[int](), list[int]()
        for row, (post, mark) in enumerate(zip(posts.ids, marks(posts).tolist())):
            if post not in self._places and mark not in self._marks and mark not in taken:
                taken.add(mark)
                rows.append(row)
        return rows

    def add(self, posts: Posts, words: Words | None, vectors: Floats | None) -> None:
        """Put further posts in, which must be ``new``; takes milliseconds."""
        kept, fresh = self.kept, marks(posts)
        self._places.update(zip(posts.ids, range(len(self), len(self) + len(posts))))
        self._marks.update(fresh.tolist())
        kept["ids"].extend(posts.ids)
        kept["tags"].extend(posts.tags)
        kept["moments"] = np.append(kept["moments"], posts.times)
        kept["marks"] = np.append(kept["marks"], fresh)
        if words is not None:
            self._bm25.add([Counter(found) for found in words])
        if vectors is not None:
            kept["late"] = np.concatenate([kept["late"], vectors])
            if len(kept["late"]) > LATE:
                self._settle()

    def remove(self, ids: Collection[str], tags: Collection[str]) -> None:
        """Take out posts and tags; a post that is left without a tag goes too."""
        kept = self.kept
        if tags:
            kept["tags"] = [[tag for tag in row if tag not in tags] for row in kept["tags"]]
        stay = np.array([i not in ids and bool(row) for i, row in zip(kept["ids"], kept["tags"])], dtype=bool)
        if not stay.all():
            rows = np.flatnonzero(stay)
            for name in ("ids", "tags"):
                kept[name] = [kept[name][row] for row in rows]
            self._settle()
            for name in {"moments", "marks", "vectors"} & kept.keys():
                kept[name] = kept[name][rows]
            if "bm25" in kept:
                self._bm25.remove(np.flatnonzero(~stay))
        for derived in ("_places", "_marks"):
            self.__dict__.pop(derived, None)

    def _settle(self) -> None:
        """Put the vectors of added posts to the others."""
        if "vectors" in self.kept:
            self.kept["vectors"] = np.concatenate([self.kept["vectors"], self.kept["late"]])
            self.kept["late"] = self.kept["late"][:0]

    # ---- what is asked

    def near(self, posts: Posts, moments: Ints, count: int, words: Words | None, vectors: Floats | None) -> list[Found]:
        """For each asked post the ``count`` most alike that are earlier than its moment (posts,).

        Likeness is the cosine. BM25 has no upper bound: a post's scores are divided by its highest, so that they weigh
        as cosines do.
        """
        found: list[Found] = []
        for at in range(0, len(posts), AT_ONCE):
            cut = slice(at, at + AT_ONCE)
            if words is not None:
                scores = self._bm25.scores([Counter(each) for each in words[cut]])
            else:
                scores = self._cosines(vectors[cut])  # type: ignore[index]
            for row, post, moment in zip(scores, posts.ids[cut], moments[cut].tolist()):
                self._bar(row, post, moment)
                found.append(self._highest(row, count, relative=words is not None))
        return found

    def drawn(self, posts: Posts, moments: Ints, count: int, seed: int) -> list[Found]:
        """Random earlier posts, for each asked post always the same; all equally alike."""
        found: list[Found] = []
        for post, moment in zip(posts.ids, moments.tolist()):
            row = np.ones(len(self), np.float32)
            self._bar(row, post, moment)
            chosen = chance(seed, post).permutation(np.flatnonzero(row > 0))[:count]
            found.append([(at, 1.0) for at in chosen.tolist()])
        return found

    def _cosines(self, vectors: Floats) -> Floats:
        """Of texts with all posts; (texts, posts)."""
        return np.concatenate([vectors @ self.kept[name].T for name in ("vectors", "late")], axis=1)

    def _bar(self, scores: Floats, post: str, moment: int) -> None:
        """No post is like itself or a later one; a post learnt from keeps its moment, also when asked undated."""
        itself = self._places.get(post)
        if itself is not None:
            scores[itself] = 0
            own = int(self.kept["moments"][itself])
            moment = moment if own == UNDATED else min(moment, own)
        if moment < NOW:
            scores[self.kept["moments"] >= moment] = 0

    def _highest(self, scores: Floats, count: int, relative: bool) -> Found:
        top = np.flatnonzero(scores > 0)
        if len(top) > count:
            some = scores[top]
            top = top[some >= np.partition(some, -count)[-count]]
        # Equal likeness: the later post first.
        top = top[np.lexsort((-top, -self.kept["moments"][top], -scores[top]))][:count]
        most = float(scores[top[0]]) if relative and len(top) else 1.0
        return [(at, float(scores[at]) / most) for at in top.tolist()]

    # ---- what is derived

    @cached_property
    def _bm25(self) -> Bm25:
        return Bm25(self.kept["bm25"])

    @cached_property
    def _places(self) -> dict[str, int]:
        return {post: i for i, post in enumerate(self.kept["ids"])}

    @cached_property
    def _marks(self) -> set[int]:
        return set(self.kept["marks"].tolist())


def marks(posts: Posts) -> NDArray[np.uint64]:
    """64 bits of a hash of each post's community, text and set of tags; (posts,)."""
    rows = zip(posts.communities, posts.texts, posts.tags)
    made = (repr((community, " ".join(text.split()), sorted(set(tags)))) for community, text, tags in rows)
    digests = b"".join(hashlib.blake2b(row.encode("utf-8", "replace"), digest_size=8).digest() for row in made)
    return np.frombuffer(digests, dtype=np.uint64)


def first(posts: Posts) -> list[int]:
    """Rows of the posts that no earlier one has the same community, text and tags as."""
    return np.sort(np.unique(marks(posts), return_index=True)[1]).tolist()


def once(posts: Posts) -> Posts:
    """Posts in order of time, those with the same community, text and tags once, as the earliest."""
    rows = first(posts)
    return posts if len(rows) == len(posts) else posts[rows]


def moments(posts: Posts) -> Ints:
    """The moment of each post, ``NOW`` where it has no time; (posts,)."""
    return np.where(posts.times == UNDATED, NOW, posts.times)


def chance(seed: int, post: str) -> np.random.Generator:
    """A source of chance of one post's own, so that no answer depends on which posts are asked with it."""
    digest = hashlib.blake2b(post.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.random.default_rng([seed % 2**32, int.from_bytes(digest, "little")])
