"""Tags whose words stand in the text: at work from the first day, before any post is tagged.

A tag is found whole (its words in a row, written together or apart, singular or plural), scattered (all its words
somewhere), as the beginning of a longer word, or one letter off in a long word. In scripts without spaces it is found
as a run of characters. What a find is worth is learnt: how often the tag was given when its words stood there.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from functools import cached_property

from hashloom.data.history import History
from hashloom.mentions import KINDS, Index
from hashloom.recommender import Gone, Recommender
from hashloom.types import Posts, Rankings, Reason

GUESS = (0.5, 0.3, 0.2, 0.15, 0.1)
"""What each kind of find is worth before anything is learnt."""


@dataclass
class StringMatch(Recommender):
    """Tags whose words stand in the text, listed tags that no post has used included.

    The score is the chance that the tag is given when its words stand there so.

    >>> from hashloom.types import Post
    >>> posts = Posts.of([Post("1", "oats", "c", tags=("Sourdough Bread",)), Post("2", "rain", "c", tags=("新機能",))])
    >>> asked = Posts.of([Post("3", "Two sourdough breads", "c"), Post("4", "React 18の新機能です", "c")])
    >>> [ranking.tags[0] for ranking in StringMatch().fit(posts).recommend(asked, 1)]
    ['Sourdough Bread', '新機能']
    """

    smoothing: float = 5.0
    """So many posts does what is known of all tags weigh against what is known of one."""
    characters: int = 4000
    """Only so many characters of a text are read."""

    def _fit(self, posts: Posts) -> None:
        used: dict[str, set[str]] = {}
        for community, given in zip(posts.communities, posts.tags):
            used.setdefault(community, set()).update(given)
        self.used_ = {name: sorted(tags) for name, tags in used.items()}
        self.counts_: dict[str, dict[str, dict[str, int]]] = {}
        self._count(posts)
        self.known_ = [self._worth(i) for i in range(len(KINDS))]

    def _count(self, posts: Posts) -> None:
        """Count how often each tag was found, and how often it was given then."""
        for community, text, given in zip(posts.communities, posts.texts, posts.tags):
            counts = self.counts_.setdefault(community, {kind: {} for kind in (*KINDS, *_hits())})
            for tag, find in self._index(community).find(text[: self.characters]).items():
                tries, hits = counts[KINDS[find.kind]], counts["hit " + KINDS[find.kind]]
                tries[tag] = tries.get(tag, 0) + 1
                hits[tag] = hits.get(tag, 0) + (tag in given)

    def _update(self, posts: Posts) -> None:
        for community, given in zip(posts.communities, posts.tags):
            used = self.used_.setdefault(community, [])
            # Entered into the tags used first, so that an index made just now holds the tag once.
            fresh = [tag for tag in given if not _among(used, tag)]
            made = community in self._indices
            for tag in fresh:
                insort(used, tag)
                if made:
                    self._indices[community].add(self.spaces_[community], tag)
        self._count(posts)

    def _forget(self, gone: Gone) -> None:
        """Tags that are used no more are sought no more; what a find is worth stays as it was learnt."""
        lost: dict[str, set[str]] = {name: set(gone.tags) for name in self.used_}
        for community, tag in gone.unused:
            lost[community].add(tag)
        for name, tags in lost.items():
            if not tags:
                continue
            self.used_[name] = [tag for tag in self.used_[name] if tag not in tags]
            self._indices.pop(name, None)
            for found in self.counts_[name].values():
                for tag in tags & found.keys():
                    del found[tag]

    def _worth(self, kind: int) -> float:
        """The share of all finds of a kind in which the tag was given, drawn to the guess where there are few."""
        name = KINDS[kind]
        hits = sum(sum(counts["hit " + name].values()) for counts in self.counts_.values())
        tries = sum(sum(counts[name].values()) for counts in self.counts_.values())
        return (hits + self.smoothing * GUESS[kind]) / (tries + self.smoothing)

    def _chance(self, community: str, tag: str, kind: int) -> float:
        """The chance that a tag is given when found so; what other tags tell weighs like ``smoothing`` posts."""
        counts = self.counts_.get(community)
        tries = counts[KINDS[kind]].get(tag, 0) if counts else 0
        hits = counts["hit " + KINDS[kind]].get(tag, 0) if counts else 0
        # Among tags of which nothing is known, the longer is the more telling.
        prior = self.known_[kind] * (1 - 1 / (2 + len(tag)))
        return (hits + self.smoothing * prior) / (tries + self.smoothing)

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        lists: list[list[tuple[str, float]]] = []
        why: list[list[tuple[Reason, ...]]] = []
        for community, text in zip(posts.communities, posts.texts):
            found = self._index(community).find(text[: self.characters])
            row = [(tag, self._chance(community, tag, find.kind)) for tag, find in found.items()]
            row.sort(key=lambda pair: (-pair[1], pair[0]))
            lists.append(row[:k])
            if explain:
                spans = [(f"{found[tag].start}:{found[tag].end}", score) for tag, score in row[:k]]
                why.append([(Reason("text", span, score),) for span, score in spans])
        return Rankings.of(posts.ids, lists, why if explain else None)

    def _index(self, community: str) -> Index:
        if community not in self._indices:
            if not (community in self.used_ or community in self.spaces_):
                return _NOTHING
            self._indices[community] = Index.of(self.spaces_[community], self.used_.get(community, []))
        return self._indices[community]

    @cached_property
    def _indices(self) -> dict[str, Index]:
        return {}


def _among(tags: list[str], tag: str) -> bool:
    """Whether a sorted list holds a tag."""
    at = bisect_left(tags, tag)
    return at < len(tags) and tags[at] == tag


def _hits() -> list[str]:
    return ["hit " + kind for kind in KINDS]


_NOTHING = Index()
