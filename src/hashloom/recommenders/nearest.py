"""Tags of the nearest earlier posts, by BM25 or by vectors of text and picture (BM25: Robertson and Zaragoza 2009).

By BM25 a post's words weigh by rarity, saturate by repetition and are discounted in long posts (``_bm25``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hashloom.data.history import History
from hashloom.encoders._reading import LOOK, directions, looked, sample, shown, whole
from hashloom.encoders._vectors import unit
from hashloom.encoders.floret import Floret
from hashloom.encoders.tokens import Tokens
from hashloom.recommender import Gone, Recommender, hashed
from hashloom.recommenders import _sifting
from hashloom.recommenders._bm25 import Bm25
from hashloom.types import Count, Encoder, ImageEncoder, Positive, Posts, Rankings, Reason, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

REMEMBERED = 50_000
"""So many of the users' earlier posts are kept in memory as words or vectors."""
LATE = 64
"""So many additions stand beside the matrix of vectors before they are entered into it."""

_Found = tuple[str, list[str], float]


@dataclass
class Nearest(Recommender):
    """Tags of the nearest earlier posts: each neighbour gives its tags its similarity.

    A tag's score is its share of all neighbours' weight. A post is no neighbour of itself.

    >>> from hashloom.types import Post
    >>> loaf, wave = Post("1", "rye bread", "c", tags=("baking",)), Post("2", "high wave", "c", tags=("surf",))
    >>> Nearest().fit(Posts.of([loaf, wave])).recommend(Posts.of([Post("3", "more bread", "c")]), 1)[0].tags
    ['baking']
    """

    by: Literal["bm25", "vectors"] = "bm25"
    """What nearness is measured by: shared words, or the angle between the encoder's vectors."""
    scope: Literal["community", "own", "all"] = "community"
    """Whose posts may be neighbours: the community's; the user's own earlier ones there; all, of which then only tags
    of the asked community's space count."""
    neighbours: Count = 50
    """So many nearest posts are heard."""
    power: Positive = 2.0
    """bm25: a neighbour weighs its score relative to the nearest's, to this power."""
    temperature: Positive = 0.05
    """vectors: a neighbour weighs exp((cosine - the nearest's cosine) / temperature)."""
    max_share: Share = 0.25
    """bm25: words in a larger share of the posts say nothing and are left out."""
    last: Count = 200
    """own: only so many of the user's latest posts are looked at."""
    encoder: Encoder = field(default_factory=Floret)
    """vectors: the encoder of texts."""
    image: ImageEncoder | None = None
    """vectors: what reads pictures; none: they are not read."""
    picture: Share = 0.5
    """vectors: the picture's share of the likeness of two posts; the rest is the text's."""
    tokens: Tokens = field(default_factory=Tokens)
    """bm25: how texts are split into words."""

    def uses_history(self) -> bool:
        """Only the user's own posts come from the history; all others were learnt."""
        return self.scope == "own"

    def _fit(self, posts: Posts) -> None:
        if self.by == "vectors":
            self.encoder.fit(posts.texts, sorted({tag for row in posts.tags for tag in row}))
            self._learn_looks(posts)
        self.groups_ = {name: self._group(posts[at]) for name, at in self._rows_of(posts.communities).items()}

    def _rows_of(self, communities: Sequence[str]) -> dict[str, list[int]]:
        """Rows of the posts of each group: a community's, or all together."""
        rows: dict[str, list[int]] = {}
        for row, community in enumerate(communities):
            rows.setdefault(community if self.scope == "community" else "", []).append(row)
        return rows

    def _group(self, posts: Posts) -> dict[str, Any]:
        """Posts that are searched together: ids, tags and either vectors or an index of words."""
        held: dict[str, Any] = {} if self.scope == "own" else {"ids": list(posts.ids), "tags": list(posts.tags)}
        if self.by == "vectors":
            return held if self.scope == "own" else held | {"vectors": self._vectors(posts), "late": []}
        index = Bm25.learn(self._counts(posts), self.max_share, searched=self.scope != "own")
        if self.scope == "own":
            held["learnt"] = np.sort(hashed(posts.ids))
        return held | {"index": index.kept}

    def _counts(self, posts: Posts) -> list[Counter[str]]:
        return [Counter(words) for words in self.tokens.split_all(posts.texts)]

    # ---- posts that come and go

    def _update(self, posts: Posts) -> None:
        """The posts may be neighbours at once. How rare words are in ``own`` stays as it was in training."""
        if self.scope == "own":
            return
        for name, rows in self._rows_of(posts.communities).items():
            self._add(name, posts if len(rows) == len(posts) else posts[rows])

    def _add(self, name: str, posts: Posts) -> None:
        if name not in self.groups_:
            self.groups_[name] = self._group(posts)
            self.__dict__.pop("_places", None)
            return
        group = self.groups_[name]
        self._places[name].update(zip(posts.ids, range(len(group["ids"]), len(group["ids"]) + len(posts))))
        group["ids"].extend(posts.ids)
        group["tags"].extend(posts.tags)
        if self.by == "bm25":
            return self._index(name).add(self._counts(posts))
        group["late"].append(self._vectors(posts))
        if len(group["late"]) > LATE:
            group["vectors"], group["late"] = np.concatenate([group["vectors"], *group["late"]]), []
            self._sieves.pop(name, None)

    def _forget(self, gone: Gone) -> None:
        self.__dict__.pop("_read", None)
        if self.scope == "own":
            if self.by == "bm25":
                learnt = self.groups_[""]["learnt"]
                lost = np.isin(hashed(gone.posts.ids), learnt)
                self.groups_[""]["learnt"] = np.setdiff1d(learnt, hashed(gone.posts.ids))
                self._index("").lose(self._counts(gone.posts[lost]))
            return
        ids = set(gone.posts.ids)
        for name, group in self.groups_.items():
            if gone.tags:
                group["tags"] = [[t for t in row if t not in gone.tags] for row in group["tags"]]
            stay = np.array([i not in ids for i in group["ids"]], dtype=bool)
            if not stay.all():
                self._keep(name, stay)

    def _keep(self, name: str, stay: NDArray[np.bool_]) -> None:
        """Of a group's posts only some."""
        group = self.groups_[name]
        if self.by == "bm25":
            self._index(name).remove(np.flatnonzero(~stay))
        else:
            group["vectors"], group["late"] = np.concatenate([group["vectors"], *group["late"]])[stay], []
            self._sieves.pop(name, None)  # it holds the vectors of posts that go
        for column in ("ids", "tags"):
            group[column] = [value for value, keep in zip(group[column], stay) if keep]
        self.__dict__.pop("_places", None)

    def _learn_looks(self, posts: Posts) -> None:
        """The principal directions of the pictures, along which they are compared."""
        self.looks_ = {}
        if self.image is None:
            return
        pictures = [of_post[0] for of_post in posts.frame["images"].to_list() if of_post]
        self.image.fit(pictures)
        found = self.image.features(sample(pictures))
        centre, axes = directions(whole(found)[found.mask.any(axis=1)], LOOK)
        self.looks_ = {"centre": centre, "axes": axes}

    def _vectors(self, posts: Posts) -> Floats:
        """Vectors whose products are likenesses: of the text, and beside it of the picture; (posts, dim).

        A post without one of them has zeros there: it is like others by what it has.
        """
        texts = unit(self.encoder.encode(posts.texts))
        if self.image is None:
            return texts
        looks = np.zeros((len(posts), LOOK), np.float32)
        for rows, found in shown(self.image, posts.frame["images"].to_list()):
            looks[rows] = looked(found, self.looks_["centre"], self.looks_["axes"])
        return np.concatenate([np.sqrt(1 - self.picture) * texts, np.sqrt(self.picture) * looks], axis=1)

    def _index(self, name: str) -> Bm25:
        if name not in self._indices:
            self._indices[name] = Bm25(self.groups_[name]["index"])
        return self._indices[name]

    @cached_property
    def _indices(self) -> dict[str, Bm25]:
        return {}

    @cached_property
    def _places(self) -> dict[str, dict[str, int]]:
        """Post id → place in its group."""
        return {n: {post: i for i, post in enumerate(g.get("ids", ()))} for n, g in self.groups_.items()}

    @cached_property
    def _read(self) -> dict[Any, Any]:
        """Texts of earlier posts as they were last read: words with weights, or vectors."""
        return {}

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        found = self._own(posts, history) if self.scope == "own" else self._others(posts)
        lists, why = [], []
        for community, neighbours in zip(posts.communities, found):
            allowed = self.spaces_[community].tags if self.scope == "all" else None
            row, reasons = _vote(neighbours, allowed, k, explain)
            lists.append(row)
            why.append(reasons)
        return Rankings.of(posts.ids, lists, why if explain else None)

    # ---- neighbours among the training posts

    def _others(self, posts: Posts) -> list[list[_Found]]:
        found: list[list[_Found]] = [[] for _ in posts.ids]
        for name, rows in self._rows_of(posts.communities).items():
            if name not in self.groups_:
                continue
            for at in range(0, len(rows), 128):
                some = rows[at : at + 128]
                scores = self._similar(posts if len(some) == len(posts) else posts[np.array(some)], name)
                for i, row in zip(some, scores):
                    found[i] = self._nearest(row, name, posts.ids[i])
        return found

    def _similar(self, posts: Posts, name: str) -> Floats:
        """Similarity of the asked posts to all posts of a group; (asked, posts)."""
        group = self.groups_[name]
        if self.by == "bm25":
            return self._index(name).scores(self._counts(posts))
        asked = self._vectors(posts)
        if len(asked) <= _sifting.FEW and len(group["vectors"]) >= _sifting.LEAST:
            # One more than is heard, since the asked post itself may be among them.
            found = [np.stack([self._sieve(name).scores(one, self.neighbours + 1) for one in asked])]
        else:
            found = [asked @ group["vectors"].T]
        return np.concatenate([*found, *(asked @ some.T for some in group["late"])], axis=1)

    def _sieve(self, name: str) -> _sifting.Sieve:
        """The sieve of a group's vectors; made anew where they are others than it was made of."""
        held, vectors = self._sieves.get(name), self.groups_[name]["vectors"]
        if held is None or held.vectors is not vectors:
            held = self._sieves[name] = _sifting.Sieve(vectors)
        return held

    @cached_property
    def _sieves(self) -> dict[str, _sifting.Sieve]:
        return {}

    def _nearest(self, scores: Floats, name: str, asked: str) -> list[_Found]:
        itself = self._places[name].get(asked)
        if itself is not None:
            scores[itself] = -1
        top = np.flatnonzero(scores > 0)
        if len(top) > self.neighbours:
            some = scores[top]
            top = top[some >= np.partition(some, -self.neighbours)[-self.neighbours]]
        # Equal scores: the later post first.
        top = top[np.lexsort((-top, -scores[top]))][: self.neighbours]
        ids, tags = self.groups_[name]["ids"], self.groups_[name]["tags"]
        return [(ids[i], tags[i], w) for i, w in zip(top.tolist(), self._weigh(scores[top]))]

    def _weigh(self, scores: Floats) -> list[float]:
        """Weights of neighbours from their similarities, best first; the nearest weighs 1."""
        if not len(scores):
            return []
        if self.by == "vectors":
            return np.exp((scores - scores[0]) / self.temperature).tolist()
        return ((scores / scores[0]) ** self.power).tolist()

    # ---- neighbours among the user's own posts

    def _own(self, posts: Posts, history: History) -> list[list[_Found]]:
        found: list[list[_Found]] = []
        past = history.posts
        for i, rows in enumerate(history.before(posts, last=self.last)):
            earlier = [row for row in rows.tolist() if past.tags[row] and past.ids[row] != posts.ids[i]]
            if not earlier:
                found.append([])
                continue
            scores = self._likeness(posts[i : i + 1], past, earlier)
            order = [j for j in np.lexsort((-np.arange(len(scores)), -scores)).tolist() if scores[j] > 0]
            order = order[: self.neighbours]
            near = [(past.ids[earlier[j]], past.tags[earlier[j]]) for j in order]
            found.append([(post, tags, w) for (post, tags), w in zip(near, self._weigh(scores[order]))])
        return found

    def _likeness(self, asked: Posts, past: Posts, earlier: list[int]) -> Floats:
        """Similarity of one post to each of a few earlier ones."""
        if self.by == "vectors":
            mine = self._vectors(asked)[0]
            return np.array([mine @ vector for vector in self._vectors_of(past, earlier)], dtype=np.float32)
        counts = self._counts(asked)[0]
        return np.array([_dot(counts, self._weighed(past.texts[row])) for row in earlier], dtype=np.float32)

    def _vectors_of(self, past: Posts, rows: list[int]) -> list[Floats]:
        """Vectors of earlier posts; those not read before are read together."""
        pictures: list[list[str]] = [[] for _ in rows]
        if self.image is not None:
            pictures = past.frame["images"][rows].to_list()
        keys = [(past.texts[row], tuple(shown)) for row, shown in zip(rows, pictures)]
        self._make_room(len(rows))
        missing = {key: row for key, row in zip(keys, rows) if key not in self._read}
        if missing:
            self._read.update(zip(missing, self._vectors(past[np.array(list(missing.values()))])))
        return [self._read[key] for key in keys]

    def _weighed(self, text: str) -> dict[str, float]:
        if text not in self._read:
            self._make_room(1)
            self._read[text] = self._index("").weigh(Counter(self.tokens.split(text)))
        return self._read[text]

    def _make_room(self, count: int) -> None:
        if len(self._read) + count > REMEMBERED:
            self._read.clear()


def _vote(
    neighbours: Sequence[_Found], allowed: Mapping[str, str] | None, k: int, explain: bool
) -> tuple[list[tuple[str, float]], list[tuple[Reason, ...]]]:
    """The neighbours' tags by their share of the weight, and for each tag its three nearest bearers."""
    sums: dict[str, float] = {}
    for _, tags, weight in neighbours:
        for tag in tags:
            if allowed is None or tag in allowed:
                sums[tag] = sums.get(tag, 0.0) + weight
    whole = sum(weight for *_, weight in neighbours)
    row = [(tag, part / whole) for tag, part in sorted(sums.items(), key=lambda x: (-x[1], x[0]))[:k]]
    if not explain:
        return row, []
    bearers = [[Reason("neighbour", post, w) for post, tags, w in neighbours if tag in tags][:3] for tag, _ in row]
    return row, [tuple(found) for found in bearers]


def _dot(a: Mapping[str, int], b: Mapping[str, float]) -> float:
    return sum(value * b[at] for at, value in a.items() if at in b)
