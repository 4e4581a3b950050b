"""The one abstraction: a recommender learns from tagged posts and ranks tags for others."""

from __future__ import annotations

import copy
import hashlib
import heapq
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hashloom import catalogue, keeping
from hashloom.data.flood import Floods
from hashloom.data.history import History
from hashloom.data.prepare import with_tags
from hashloom.sensitive import Withheld
from hashloom.tag_space import TagSpaces
from hashloom.tags import key, skeleton
from hashloom.types import Marks, Posts, Rankings, Reason


@dataclass(frozen=True)
class Gone:
    """What is to be forgotten, as it was remembered; tags are keys.

    Texts and pictures of the posts are there only where the recommender reads earlier posts.
    """

    posts: Posts
    """Posts that go and were counted (see ``data.flood``)."""
    tags: frozenset[str] = frozenset()
    """Tags that go everywhere."""
    stripped: Posts = field(default_factory=lambda: Posts.of([]))
    """Posts that stay and carried some of the tags."""
    left: Posts = field(default_factory=lambda: Posts.of([]))
    """All posts that stay and were counted, without those tags."""
    all: Posts = field(default_factory=lambda: Posts.of([]))
    """All posts that go."""
    kept: Posts = field(default_factory=lambda: Posts.of([]))
    """All posts that stay, those that do not count and those without tags included."""
    unused: frozenset[tuple[str, str]] = frozenset()
    """Community and tag: what the posts that go used and none that stays uses."""


@dataclass(frozen=True)
class Forgotten:
    """How much was found: posts, and uses of tags in posts that stay."""

    posts: int
    uses: int


class Recommender(ABC):
    """A dataclass whose fields are its hyper-parameters; what it learns ends in ``_``.

    A new one writes ``_fit`` and ``_rank``; see ``docs/adding-a-recommender.md``. Between those two all tags are
    keys; ``recommend`` applies the tag space of each post's community and hands out display forms.
    """

    reads_history: ClassVar[bool] = False
    """Whether earlier posts are needed when asked; then the training posts are kept with the model."""
    seeded: ClassVar[bool] = False
    """Whether chance decides so much (a network's start) that comparisons train it once per seed."""
    says_chances: ClassVar[bool] = False
    """Whether scores are the chances that tags are true; the report then shows whether they hold."""

    spaces_: TagSpaces
    memory_: Posts
    favourites_: dict[str, dict[str, int]]
    seen_: NDArray[np.uint64]
    """Hashes of the ids of the posts learnt from, so that nobody is scored on them by mistake."""
    forgotten_: NDArray[np.uint64] = np.zeros(0, dtype=np.uint64)
    """Hashes of how forgotten tags look, which no part may make up again; sorted."""

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
        self.spaces_ = TagSpaces.learn(posts) if spaces is None else copy.deepcopy(spaces)
        posts = self._keyed(posts).tagged()
        if not len(posts):
            raise ValueError("there is nothing to learn from: no post carries a tag that its community's list allows")
        self._learn(posts, self.spaces_)
        self.memory_ = Posts.of(self._worth_keeping(posts).frame)
        self.favourites_ = _favourites(posts)
        self.seen_ = np.sort(hashed(posts.ids))
        self.forgotten_ = np.zeros(0, dtype=np.uint64)
        for derived in ("_past", "_given", "_floods", "_counted_uses"):
            self.__dict__.pop(derived, None)
        return self

    def update(self, posts: Posts) -> Self:
        """Learn further tagged posts without training anew: tags, counts, neighbours and habits grow in milliseconds.

        A tag used a moment ago can be suggested at once. What was trained (a network's or a linear model's weights)
        stays as it is until ``fit``. Of a flood of posts by one author only a few count for others (``data.flood``),
        while the author's own habits know them all. Posts that are known already, by id, are passed over; ``forget``
        them first where they have changed.

        >>> from hashloom.recommenders.popular import Popular
        >>> from hashloom.types import Post
        >>> model = Popular().fit(Posts.of([Post("1", "a", "c", tags=("Rye",))]))
        >>> model.update(Posts.of([Post("2", "b", "c", tags=("Eclipse",))])).recommend(Posts.of([Post("3")]))[0].tags
        []
        >>> model.recommend(Posts.of([Post("3", community="c")]))[0].tags
        ['Eclipse', 'Rye']
        """
        self._must_be_fitted()
        given = posts = self._unknown(posts.tagged().in_order())
        posts = self._keyed(posts).tagged()
        if not len(posts):
            return self
        heard = self._floods.admit(posts)
        counted = posts if heard.all() else posts[heard]
        if len(counted):
            self.spaces_.grow(given[np.isin(given.ids, counted.ids)] if len(given) > len(counted) else given)
            used = {skeleton(tag) for row in counted.tags for tag in row} if len(self.forgotten_) else ()
            self.forgotten_ = np.setdiff1d(self.forgotten_, hashed(sorted(used)))
            self._update(counted)
            self._gain_favourites(counted)
        # Last, so that posts on which a part failed are not taken for known.
        fresh = np.sort(hashed(posts.ids))
        self.seen_ = np.insert(self.seen_, np.searchsorted(self.seen_, fresh), fresh)
        self._remember(posts, heard)
        return self

    def forget(
        self, *, posts: Collection[str] = (), users: Collection[str] = (), tags: Collection[str] = ()
    ) -> Forgotten:
        """Take posts (by id), all posts of users, and tags out of what is remembered, counted and indexed.

        Trained weights are not undone: a network that has learnt from a post keeps what it learnt until ``fit``. A tag
        that is forgotten is not suggested until somebody uses it anew, but a closed list is the community's own and
        stays as it is; to ban a tag, deny it in the tag space. Returns how many posts and uses of tags were found.

        >>> from hashloom.recommenders.popular import Popular
        >>> from hashloom.types import Post
        >>> known = [Post("1", "a", "c", "mo", tags=("Rye",)), Post("2", "b", "c", tags=("Oat",))]
        >>> model = Popular().fit(Posts.of(known))
        >>> model.forget(users=["mo"])
        Forgotten(posts=1, uses=0)
        >>> model.recommend(Posts.of([Post("3", community="c")]))[0].tags
        ['Oat']
        """
        self._must_be_fitted()
        for name, given in {"posts": posts, "users": users, "tags": tags}.items():
            if isinstance(given, str):
                raise TypeError(f"{name} must be several, not one string; write {name}=[{given!r}]")
        gone = self._gone(frozenset(posts), frozenset(users), frozenset(map(key, tags)) - {""})
        if not (len(gone.all) or gone.tags):
            return Forgotten(0, 0)
        self.seen_ = np.setdiff1d(self.seen_, hashed(gone.all.ids), assume_unique=True)
        self.memory_ = gone.kept
        self.favourites_ = _favourites(gone.left)
        self._drop_unused(gone)
        lost = {skeleton(tag) for tag in (*gone.tags, *(tag for _, tag in gone.unused))}
        self.forgotten_ = np.union1d(self.forgotten_, hashed(sorted(lost)))
        for derived in ("_past", "_given", "_floods", "_counted_uses"):
            self.__dict__.pop(derived, None)
        self._forget(gone)
        return Forgotten(len(gone.all), sum(tag in gone.tags for row in gone.stripped.tags for tag in row))

    def recommend(
        self, posts: Posts, k: int = 10, *, history: Posts | None = None, explain: bool = False, sensitive: bool = False
    ) -> Rankings:
        """One ranking of at most ``k`` tags per post, in the order given.

        ``history`` adds earlier posts to those that the model remembers; each asked post sees only those strictly
        before it. Where there is too little evidence, the community's favourites fill the ranking. A post of a
        community that neither the training posts, nor a tag space, nor ``history`` know gets an empty ranking.
        ``sensitive``: the authors ask for sensitive tags too, which else are given only where the text names them.
        """
        self._must_be_fitted()
        if k < 1:
            raise ValueError(f"k must be 1 or more, not {k}")
        if not len(posts):
            return Rankings.of([], [])
        past = self._past_with(history)
        # One batch is not cut: columns that are read already stay read.
        parts = [posts[i : i + _BATCH] for i in range(0, len(posts), _BATCH)] if len(posts) > _BATCH else [posts]
        spare = self.spaces_.spare + min(len(self.forgotten_), SPARE)
        done = [
            self._deliver(self._rank(part, k + spare, past, explain), part, k, past, explain, sensitive)
            for part in parts
        ]
        return done[0] if len(done) == 1 else Rankings.concat(done)

    def marks(self, posts: Posts, tags: Sequence[str], *, history: Posts | None = None) -> list[Marks | None]:
        """How much each word and region carries of one tag per post, where the recommender can say so by itself."""
        return [None] * len(posts)

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

    def _update(self, posts: Posts) -> None:
        """Add posts (tags as keys, in order of time) to counts and indices; weights that were trained stay."""
        for part in self.inside():
            part._update(posts)

    def _forget(self, gone: Gone) -> None:
        """Take posts and tags out of counts and indices; weights that were trained stay."""
        for part in self.inside():
            part._forget(gone)

    def _must_be_fitted(self) -> None:
        if not hasattr(self, "spaces_"):
            raise RuntimeError(f"this {self.name} has learnt nothing yet; call fit(posts) or load a model first")

    def _unknown(self, posts: Posts) -> Posts:
        """Those not learnt from yet, each id once."""
        codes = hashed(posts.ids)
        at = np.minimum(np.searchsorted(self.seen_, codes), max(0, len(self.seen_) - 1))
        known = self.seen_[at] == codes if len(self.seen_) else np.zeros(len(codes), dtype=bool)
        first = dict(zip(codes[::-1].tolist(), range(len(codes) - 1, -1, -1)))
        rows = [i for i, code in enumerate(codes.tolist()) if first[code] == i and not known[i]]
        return posts if len(rows) == len(posts) else posts[rows]

    def _worth_keeping(self, posts: Posts) -> Posts:
        """What is kept of posts: all that habits need, or else only who gave which tags where and when."""
        columns = ["id", "community", "user", "created_at", "tags"]
        return Posts(posts.frame[[*columns, *(("text", "images") if self.uses_history() else ())]])

    @cached_property
    def _floods(self) -> Floods:
        made = Floods()
        made.admit(self.memory_)
        return made

    def _gain_favourites(self, posts: Posts) -> None:
        used: dict[str, dict[str, None]] = {}
        for community, tags in zip(posts.communities, posts.tags):
            self._counted_uses.setdefault(community, Counter()).update(tags)
            used.setdefault(community, {}).update(dict.fromkeys(tags))
        for community, new in used.items():
            counts, held = self._counted_uses[community], self.favourites_.get(community, {})
            self.favourites_[community] = _ranked(held | {tag: counts[tag] for tag in new})

    @cached_property
    def _counted_uses(self) -> dict[str, Counter[str]]:
        """All counts behind the favourites: a tag that comes slowly must be able to become one."""
        return _counted(_counting(self.memory_))

    def _remember(self, posts: Posts, heard: NDArray[np.bool_]) -> None:
        import polars as pl

        more = self._worth_keeping(posts)
        if not heard.all() or "heard" in self.memory_.frame.columns:
            more = Posts(more.frame.with_columns(pl.Series("heard", heard)))
        self.memory_ = self.memory_.followed_by(more)
        if "_past" in self.__dict__ and self.uses_history():
            self.__dict__["_past"] = self._past.followed_by(more)
        self.__dict__.pop("_given", None)

    def _gone(self, ids: frozenset[str], users: frozenset[str], tags: frozenset[str]) -> Gone:
        held, frame = self.memory_, self.memory_.frame
        heard = frame["heard"].fill_null(True).to_numpy() if "heard" in frame.columns else np.ones(len(held), bool)
        leave = (frame["id"].is_in(list(ids)) | frame["user"].is_in(list(users)).fill_null(False)).to_numpy()
        carry = np.array([not tags.isdisjoint(row) for row in held.tags], dtype=bool) if tags else leave & ~leave
        left = held[~leave] if leave.any() else held
        kept = _without(left, tags)
        counted = kept if heard.all() else kept[heard[~leave]]
        gone = Gone(held[leave & heard], tags, held[carry & ~leave], counted.tagged(), all=held[leave], kept=kept)
        return replace(gone, unused=_unused(gone.posts, counted))

    def _drop_unused(self, gone: Gone) -> None:
        """Take forgotten tags out of the spaces, and out of open ones those that no post uses any more."""
        self.spaces_.drop(gone.tags)
        for community, tag in gone.unused:
            if not self.spaces_[community].closed:
                self.spaces_[community].tags.pop(tag, None)

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
        # Its own Posts: a history's columns are lengthened in place.
        return History(Posts(self.memory_.frame).tagged() if self.uses_history() else self.memory_[:0])

    def _deliver(
        self, found: Rankings, posts: Posts, k: int, past: History, explain: bool, sensitive: bool = False
    ) -> Rankings:
        """Apply each community's space, fill with favourites, cut at ``k``, hand out display forms."""
        lists, reasons = [], []
        for i, (community, text) in enumerate(zip(posts.communities, posts.texts)):
            space, heard = self.spaces_[community], past.tags_in(community)
            withheld = Withheld(space, text, wanted=sensitive)
            row: dict[str, float] = {}
            why: list[tuple[Reason, ...]] = []
            for at in range(int(found.starts[i]), int(found.starts[i + 1])):
                tag = space.resolve(found.tags[at])
                if tag is None or tag in row or not (tag in space.tags or tag in heard or self._may_coin(tag)):
                    continue
                if withheld.holds(tag):
                    continue
                row[tag] = float(found.scores[at])
                why.append(found.reasons[at] if found.reasons else ())
                if len(row) == k:
                    break
            if len(row) < k:
                for tag, score, reason in self._fill(community, row, past, posts[i : i + 1]):
                    if withheld.holds(tag):
                        continue
                    row[tag] = score
                    why.append((reason,))
                    if len(row) == k:
                        break
            lists.append([(space.show(tag), score) for tag, score in row.items()])
            reasons.append(why)
        return Rankings.of(posts.ids, lists, reasons if explain else None)

    def _may_coin(self, tag: str) -> bool:
        """Whether a tag that the community does not know may be given: a generator's, unless it was forgotten."""
        if not self._coins(tag):
            return False
        return not len(self.forgotten_) or not np.isin(hashed([skeleton(tag)]), self.forgotten_)[0]

    def _known_to(self, part: Recommender, found: Rankings, communities: Sequence[str], past: History) -> Rankings:
        """What a part inside says, less tags that the community does not know where the part coins none.

        The holder's gate is open for all as soon as one part coins tags.
        """
        if part._coins("") or not self._coins(""):
            return found
        lists, why = [], []
        for i, community in enumerate(communities):
            known, heard, (tags, scores) = self.spaces_[community].tags, past.tags_in(community), found.row(i)
            stay = [j for j, tag in enumerate(tags) if tag in known or tag in heard]
            lists.append([(tags[j], float(scores[j])) for j in stay])
            why.append([found.reasons[int(found.starts[i]) + j] for j in stay] if found.reasons else [])
        return Rankings.of(found.ids, lists, why if found.reasons else None)

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
SPARE = 100
"""So many forgotten tags, which trained parts may still rank, are made up for."""


def load(folder: Path | str) -> Any:
    """The recommender or forecaster kept in a folder; damaged or foreign folders are refused (``DamagedModel``)."""
    return keeping.load(folder)


def hashed(ids: Sequence[str]) -> NDArray[np.uint64]:
    """64 bits of a hash of each id. Shape (ids,)."""
    made = b"".join(hashlib.blake2b(i.encode("utf-8", "surrogatepass"), digest_size=8).digest() for i in ids)
    return np.frombuffer(made, dtype=np.uint64)


def _derived(kind: type) -> frozenset[str]:
    return frozenset(n for c in kind.__mro__ for n, v in vars(c).items() if isinstance(v, cached_property))


def _without(posts: Posts, tags: frozenset[str]) -> Posts:
    """The posts without these tags; those that carried no others are left out."""
    if not tags:
        return posts
    return with_tags(posts, [[tag for tag in row if tag not in tags] for row in posts.tags])


def _unused(gone: Posts, left: Posts) -> frozenset[tuple[str, str]]:
    """Community and tag of what only the posts that go used."""
    import polars as pl

    used = {(c, tag) for c, row in zip(gone.communities, gone.tags) for tag in row}
    if not used:
        return frozenset()
    pairs = left.frame[["community", "tags"]].explode("tags")
    still = pairs.filter(pl.col("tags").is_in([tag for _, tag in used])).unique()
    return frozenset(used - set(still.iter_rows()))


def _favourites(posts: Posts) -> dict[str, dict[str, int]]:
    """Tag counts of each community, most used first, ties in order of the alphabet; the first hundred."""
    return {c: _ranked(n) for c, n in _counted(posts).items()}


def _counting(posts: Posts) -> Posts:
    """Those that count for others (see ``data.flood``)."""
    import polars as pl

    if "heard" not in posts.frame.columns:
        return posts
    return Posts(posts.frame.filter(pl.col("heard").fill_null(True)))


def _counted(posts: Posts) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for community, tags in zip(posts.communities, posts.tags):
        counts.setdefault(community, Counter()).update(tags)
    return counts


def _ranked(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(heapq.nsmallest(100, counts.items(), key=lambda x: (-x[1], x[0])))


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
