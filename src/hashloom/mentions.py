"""Where a text names tags: whole, scattered, as the beginning of a longer word, or one letter off in a long word.

Whole: a tag's words in a row, written together or apart, singular or plural. Scattered: all its words somewhere. In
scripts without spaces a tag is found as a run of characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from hashloom.tag_space import TagSpace
from hashloom.tags import words

KINDS = ("title", "text", "scattered", "part", "close")
"""How a tag was found, best first: whole in the first line, whole below, …"""
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
            index.enter(words(alias), tag)
        return index

    def add(self, space: TagSpace, tag: str) -> None:
        """Enter a tag, by the words of its display form and of its key."""
        self.enter(words(space.show(tag)), tag)
        self.enter(words(tag), tag)

    def enter(self, spoken: str, tag: str) -> None:
        """Enter a tag by words that stand for it."""
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
