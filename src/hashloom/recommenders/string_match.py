"""Tags whose words stand in the text: at work from the first day, before any post is tagged.

A tag is found whole (its words in a row, written together or apart, singular or plural), scattered (all its words
somewhere), as the beginning of a longer word, or one letter off in a long word. In scripts without spaces it is found
as a run of characters. What a find is worth is learnt: how often the tag was given when its words stood there.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

from hashloom.data.history import History
from hashloom.recommender import Gone, Recommender
from hashloom.tag_space import TagSpace
from hashloom.tags import words
from hashloom.types import Posts, Rankings, Reason

KINDS = ("title", "text", "scattered", "part", "close")
"""How a tag was found, best first: whole in the first line, whole below, …"""
GUESS = (0.5, 0.3, 0.2, 0.15, 0.1)
"""What each kind of find is worth before anything is learnt."""
LONGEST_TAG = 6
"""Tags of more words, or of more than twice so many characters without spaces, are not sought."""

# Thai, Lao, Burmese, Khmer, kana and Han.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_word = re.compile(rf"[^\W_{_UNSPACED}]+(?:'[^\W_{_UNSPACED}]+)?(?:[+#]{{1,2}}(?!\w))?")
_unspaced = re.compile(rf"[{_UNSPACED}]+")
_katakana = re.compile("[\u30a1-\u30fa\u30fc-\u30ff]")


class Find(NamedTuple):
    """A tag's words in a text: ``text[start:end]``, and the place of the kind in ``KINDS``."""

    kind: int
    start: int
    end: int


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


@dataclass
class Index:
    """A community's tags by what is looked up in a text.

    >>> index = Index.of(TagSpace.of(["open-source", "Cooking"]), [])
    >>> index.find("Cooked for opensource")
    {'open-source': Find(kind=0, start=11, end=21)}
    """

    whole: dict[str, list[str]] = field(default_factory=dict)
    """Words written together, folded → tags."""
    single: dict[str, list[str]] = field(default_factory=dict)
    """One-word tags of five letters or more."""
    close: dict[str, list[str]] = field(default_factory=dict)
    """One-word tags of seven letters or more, whole and with any one letter left out."""
    several: dict[str, list[tuple[frozenset[str], str]]] = field(default_factory=dict)
    """A word of several → all the words and the tag."""
    unspaced: dict[str, list[str]] = field(default_factory=dict)
    """Runs of characters in scripts without spaces → tags."""
    most: int = 1
    """Words of the longest tag."""

    @classmethod
    def of(cls, space: TagSpace, used: list[str]) -> Index:
        """From the tags listed and used, and from the aliases that stand for tags."""
        index = cls()
        for tag in dict.fromkeys([*sorted(space.tags), *used]):
            index.add(space, tag)
        for alias, tag in sorted(space.aliases.items()):
            index._add(words(alias), tag)
        return index

    def add(self, space: TagSpace, tag: str) -> None:
        """Enter a tag, by the words of its display form and of its key."""
        self._add(words(space.show(tag)), tag)
        self._add(words(tag), tag)

    def _add(self, spoken: str, tag: str) -> None:
        plain = unicodedata.normalize("NFKC", spoken).casefold()
        if _unspaced.search(plain):
            if 2 <= len(plain) <= 2 * LONGEST_TAG:
                _put(self.unspaced, plain, tag)
            return
        parts = [_fold(found) for found in _word.findall(plain)]
        if not parts or len(parts) > LONGEST_TAG:
            return
        _put(self.whole, "".join(parts), tag)
        # One word of the text may be several of the tag (open source), and the other way round.
        self.most = max(self.most, len(parts), 2)
        if len(parts) > 1:
            _put(self.several, max(parts, key=len), (frozenset(parts), tag))
        elif len(parts[0]) >= 5:
            _put(self.single, parts[0], tag)
            for form in _forms(parts[0]):
                _put(self.close, form, tag)

    def find(self, text: str) -> dict[str, Find]:
        """The tags whose words stand in the text, each with its best find."""
        found: dict[str, Find] = {}
        line = len(text) - len(text.lstrip())
        line = end if (end := text.find("\n", line)) >= 0 else len(text)
        spans = [(_fold(m.group()), m.start(), m.end()) for m in _word.finditer(text)]
        self._find_whole(spans, line, found)
        self._find_loose(spans, found)
        if self.unspaced and _unspaced.search(text):
            self._find_unspaced(text, line, found)
        return found

    def _find_whole(self, spans: list[tuple[str, int, int]], line: int, found: dict[str, Find]) -> None:
        whole, count = self.whole, len(spans)
        for i, (_, start, _) in enumerate(spans):
            joined = ""
            for j in range(i, min(i + self.most, count)):
                joined += spans[j][0]
                if joined in whole:
                    end = spans[j][2]
                    for tag in whole[joined]:
                        if tag not in found:
                            found[tag] = Find(0 if end <= line else 1, start, end)

    def _find_loose(self, spans: list[tuple[str, int, int]], found: dict[str, Find]) -> None:
        first: dict[str, tuple[int, int]] = {}
        for folded, start, end in spans:
            first.setdefault(folded, (start, end))
        finds = [*self._scattered(first), *self._parts(first), *self._close(first)]
        for tag, find in finds:
            if tag not in found:
                found[tag] = find

    def _scattered(self, first: dict[str, tuple[int, int]]) -> Iterator[tuple[str, Find]]:
        for word in first.keys() & self.several.keys() if len(self.several) > len(first) else first:
            for parts, tag in self.several.get(word, ()):
                if first.keys() >= parts:
                    yield tag, Find(2, *first[word])

    def _parts(self, first: dict[str, tuple[int, int]]) -> Iterator[tuple[str, Find]]:
        for word, span in first.items():
            for size in range(len(word) - 1, 4, -1):
                for tag in self.single.get(word[:size], ()):
                    yield tag, Find(3, *span)

    def _close(self, first: dict[str, tuple[int, int]]) -> Iterator[tuple[str, Find]]:
        for word, span in first.items():
            if 7 <= len(word) <= 24 and word not in self.single:
                for form in _forms(word):
                    for tag in self.close.get(form, ()):
                        yield tag, Find(4, *span)

    def _find_unspaced(self, text: str, line: int, found: dict[str, Find]) -> None:
        plain = _plain(text)
        sizes = sorted({len(tag) for tag in self.unspaced}, reverse=True)
        for size in sizes:
            for start in range(len(plain) - size + 1):
                tags = self.unspaced.get(plain[start : start + size])
                if tags and not _cut_short(plain, start, start + size):
                    for tag in tags:
                        found.setdefault(tag, Find(0 if start + size <= line else 1, start, start + size))


_NOTHING = Index()


def _put(index: dict[str, list], word: str, value: object) -> None:
    values = index.setdefault(word, [])
    if value not in values:
        values.append(value)


@lru_cache(maxsize=1 << 16)
def _fold(word: str) -> str:
    """A word without case, width and the plural's ending.

    >>> [_fold(word) for word in ("Loaves", "Berries", "classes", "bus", "C++")]
    ['loave', 'berry', 'class', 'bus', 'c++']
    """
    word = word.casefold() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()
    word = word.removesuffix("'s")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    if len(word) > 3 and word[-1] == "s" and word[-2] not in "sui":
        return word[:-1]
    return word


@lru_cache(maxsize=1 << 15)
def _forms(word: str) -> tuple[str, ...]:
    """A long word and what is left of it without any one letter but the first: one edit apart, one form in common."""
    if len(word) < 7:
        return ()
    return (word, *dict.fromkeys(word[:i] + word[i + 1 :] for i in range(1, len(word))))


def _plain(text: str) -> str:
    """The text without case and width, of the same length, so that places stay places."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    if len(folded) == len(text):
        return folded
    each = (unicodedata.normalize("NFKC", char).casefold() for char in text)
    return "".join(made if len(made) == 1 else char for char, made in zip(text, each))


def _cut_short(text: str, start: int, end: int) -> bool:
    """Whether a run of katakana goes on beyond the span: パン is no part of パンツ."""
    before = start > 0 and _katakana.match(text[start]) and _katakana.match(text[start - 1])
    after = end < len(text) and _katakana.match(text[end - 1]) and _katakana.match(text[end])
    return bool(before or after)
