"""Tokens: the words of a post in Japanese, Chinese and, by a Unicode rule, every other language.

The script decides, per post. Text with kana is Japanese: its runs of kana and Han go to MeCab (UniDic, IPADic) or
Sudachi (modes A, B, C). Text with Han but no kana is Chinese or Japanese as ``han`` says. All else follows one rule:
a word is a run of letters, marks and digits; ``' . -`` inside it and ``+ #`` at its end belong to it (``c++``, ``c#``,
``node.js``, ``3d-printing``, ``don't``). Scripts that write no spaces and have no segmenter here (Thai, Lao, Khmer)
give one token per run of letters. Emoji are words of their own; a URL stands for its host.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

LONGEST = 64
"""A word is cut after so many characters, since what is longer is no word."""

CHINESE_RUN = 24
"""So many Han characters in a post without a single kana are Chinese."""

KANA = "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff"
HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"

_kana = re.compile(f"[{KANA}]")
_han = re.compile(f"[{HAN}]")
_cjk = re.compile(f"[{KANA}{HAN}]")
_url = re.compile(r"\b(?:https?|ftp)://(?:[^\s/@]*@)?(?:www\.)?([^\s/?#:\]\)]*)[^\s\]\)]*", re.IGNORECASE)
_ascii_word = re.compile(r"[a-z0-9][a-z0-9_]*(?:['.\-][a-z0-9_]+)*(?:[+#]{1,2}(?![a-z0-9]))?", re.IGNORECASE)
_joint = re.compile(r"[.\-]")
_lock = threading.Lock()
_cut = threading.local()

Segmenter = Callable[[str], list[str]]


@dataclass
class Tokens:
    """Splits texts and tag words into words.

    >>> Tokens().split("Learning C++ and node.js: 3D-printing isn't hard 🍞 https://www.example.com/a?b=1")
    ... # doctest: +NORMALIZE_WHITESPACE
    ['learning', 'c++', 'and', 'node.js', 'node', 'js', '3d-printing', '3d', 'printing', "isn't", 'hard', '🍞',
     'example.com', 'example', 'com']
    >>> Tokens(parts=False).split("React 18の新機能")
    ['react', '18', 'の', '新', '機能']
    """

    japanese: Literal["unidic", "ipadic", "sudachi_a", "sudachi_b", "sudachi_c"] = "unidic"
    """Dictionary for Japanese; Sudachi's modes cut short (A), middle (B) or long (C) units."""
    chinese: Literal["jieba"] = "jieba"
    """Dictionary for Chinese."""
    han: Literal["auto", "japanese", "chinese"] = "auto"
    """What text with Han characters and no kana is; auto: Chinese if it uses a character that Japanese encodings
    lack, or 24 or more Han characters; else Japanese."""
    lowercase: bool = True
    """Casefold words."""
    parts: bool = True
    """After a word joined by hyphens or dots, its parts too (open-source, open, source)."""
    characters: int = 2000
    """Only so many characters of a text are read, which bounds the time."""

    def split(self, text: str) -> list[str]:
        """The words of one text, in order.

        >>> Tokens().split("")
        []
        """
        held: dict[Any, list[str]] | None = getattr(_cut, "held", None)
        if held is None:
            return self._split(text)
        asked = (self.japanese, self.chinese, self.han, self.lowercase, self.parts, self.characters, text)
        if asked not in held:
            held[asked] = self._split(text)
        return held[asked].copy()

    def _split(self, text: str) -> list[str]:
        text = text[: self.characters]
        if "://" in text:
            text = _url.sub(r" \1 ", text)
        if text.isascii():
            found = _ascii_word.findall(text.lower() if self.lowercase else text)
        else:
            found = self._split_unicode(self._normal(text))
        if self.parts and any("-" in word or "." in word for word in found):
            found = [part for word in found for part in _with_parts(word)]
        return [word if len(word) <= LONGEST else word[:LONGEST] for word in found]

    def split_all(self, texts: Sequence[str]) -> list[list[str]]:
        """The words of many texts; one list per text.

        >>> Tokens().split_all(["Rye bread", ""])
        [['rye', 'bread'], []]
        """
        return [self.split(text) for text in texts]

    def _normal(self, text: str) -> str:
        text = unicodedata.normalize("NFKC", text)
        text = unicodedata.normalize("NFKC", text.casefold()) if self.lowercase else text
        return text.replace("\u2019", "'")

    def _split_unicode(self, text: str) -> list[str]:
        found: list[str] = _unicode_word().findall(text)
        if not _cjk.search(text):
            return found
        segment = _segmenter(self._language(text))
        return [word for run in found for word in (segment(run) if _cjk.match(run) else (run,))]

    def _language(self, text: str) -> str:
        """The name of the dictionary that cuts this text's runs of kana and Han."""
        if _kana.search(text) or self.han == "japanese":
            return self.japanese
        if self.han == "chinese" or looks_chinese(text):
            return self.chinese
        return self.japanese


@contextmanager
def each_once() -> Iterator[None]:
    """Within this, each text is cut once, however many parts of a model ask for its words; in this thread.

    What was cut is forgotten at the end, so that no text outlives the answer that needed it.

    >>> with each_once():
    ...     Tokens().split("Rye bread"), Tokens().split("Rye bread")
    (['rye', 'bread'], ['rye', 'bread'])
    """
    if getattr(_cut, "held", None) is not None:
        yield
        return
    _cut.held = {}
    try:
        yield
    finally:
        _cut.held = None


def looks_chinese(text: str) -> bool:
    """Whether text without kana is Chinese rather than a short Japanese noun, judged by its Han characters.

    >>> looks_chinese("新機能"), looks_chinese("这个")
    (False, True)
    """
    han = _han.findall(text)
    return len(han) >= CHINESE_RUN or any(_beyond_japanese(char) for char in han)


@lru_cache(maxsize=30_000)
def _beyond_japanese(char: str) -> bool:
    """Whether a character is in the Chinese standard sets (GB 2312, Big5) and in no Japanese one (CP932)."""
    return not _encodes(char, "cp932") and (_encodes(char, "gb2312") or _encodes(char, "big5"))


def _encodes(char: str, charset: str) -> bool:
    try:
        char.encode(charset)
    except UnicodeEncodeError:
        return False
    return True


def _with_parts(word: str) -> list[str]:
    """The word and, if it is joined, its parts; figures such as 1.5 stay whole."""
    parts = [part for part in _joint.split(word) if part]
    if len(parts) < 2 or not any(part.isalpha() for part in parts):
        return [word]
    return [word, *parts]


@lru_cache(maxsize=1)
def _unicode_word() -> re.Pattern[str]:
    import regex  # type: ignore[import-untyped, unused-ignore]

    cjk = f"[{KANA}{HAN}]"
    first = rf"[[\p{{L}}\p{{N}}]--{cjk}]"
    rest = rf"[[\p{{L}}\p{{M}}\p{{N}}_\u200c\u200d]--{cjk}]"
    word = rf"{first}{rest}*(?:['.\-]{rest}+)*(?:[+#]{{1,2}}(?!{rest}))?"
    emoji = r"[\p{Extended_Pictographic}\p{Regional_Indicator}--[©®™]]"
    pattern: re.Pattern[str] = regex.compile(f"{cjk}+|{word}|{emoji}", regex.V1)
    return pattern


def _segmenter(name: str) -> Segmenter:
    """The segmenter of that name: its dictionary is loaded once per process, and one thread at a time uses it."""
    with _lock:
        segment = _load(name)

    def alone(run: str) -> list[str]:
        with _lock:
            return segment(run)

    return alone


@lru_cache(maxsize=8)
def _load(name: str) -> Segmenter:
    makers: dict[str, Callable[[], Segmenter]] = {
        "unidic": lambda: _mecab("unidic_lite"),
        "ipadic": lambda: _mecab("ipadic"),
        "jieba": _jieba,
    }
    if name.startswith("sudachi_"):
        makers[name] = lambda: _sudachi(name[-1].upper())
    if name not in makers:
        raise ValueError(f"no dictionary {name!r}; there are unidic, ipadic, sudachi_a, sudachi_b, sudachi_c and jieba")
    try:
        return makers[name]()
    except ImportError as error:
        need = {"unidic": "fugashi unidic-lite", "ipadic": "fugashi ipadic", "jieba": "jieba"}
        packages = need.get(name, "sudachipy sudachidict-core")
        raise ImportError(f"the dictionary {name!r} is not installed; run: pip install {packages}") from error


def _mecab(package: str) -> Segmenter:
    from importlib import import_module

    from fugashi import GenericTagger

    # -r: the machine's own mecabrc, if any, must not change the words.
    tagger = GenericTagger(f'-Owakati -r /dev/null -d "{import_module(package).DICDIR}"')
    return lambda run: tagger.parse(run).split()


def _sudachi(mode: str) -> Segmenter:
    from sudachipy import Dictionary, SplitMode

    tokenizer = Dictionary(dict="core").tokenizer(mode=getattr(SplitMode, mode))
    return lambda run: [morpheme.surface() for morpheme in tokenizer.tokenize(run)]


def _jieba() -> Segmenter:
    import logging

    import jieba

    jieba.setLogLevel(logging.WARNING)
    tokenizer = jieba.Tokenizer()
    tokenizer.initialize()
    return lambda run: tokenizer.lcut(run)
