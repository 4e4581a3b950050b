"""Subwords of a generator's own: byte pairs learnt from the posts, bytes for what they lack (Sennrich et al. 2016).

Kept as the JSON text of the ``tokenizers`` library. Signs are numbers that no text can spell.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

PAD, END, MARK, UNKNOWN = range(4)
"""Padding; the end of a tag (and, read, its beginning); what stands before a retrieved tag; never used."""
SIGNS = ("<pad>", "<end>", "<mark>", "<unknown>", *(f"<0x{byte:02X}>" for byte in range(256)))
ALPHABET = 1500
"""So many of the most frequent characters are pieces by themselves; others are spelt in bytes."""
LONGEST = 16
SPACE = "\u2581"
"""How a space is written inside."""

_LATIN, _KANA, _HAN = "a-z0-9", "\u3041-\u309f\u30a1-\u30ff", "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_UNSPACED = f"{_KANA}{_HAN}"
# Where such scripts meet others or each other a space is put, so that a word is the same pieces wherever it stands.
_borders = re.compile(
    rf"(?<=[{_UNSPACED}])(?=[{_LATIN}])|(?<=[{_LATIN}])(?=[{_UNSPACED}])"
    rf"|(?<=[\u3041-\u309f])(?=[\u30a1-\u30fa{_HAN}])|(?<=[\u30a1-\u30ff])(?=[\u3041-\u309f{_HAN}])"
    rf"|(?<=[{_HAN}])(?=[{_KANA}])"
)
_unspaced = re.compile(f"[{_UNSPACED}]")
_word = re.compile(r"\w+")
_put_there = re.compile(rf"(?<=[{_UNSPACED}]) | (?=[{_UNSPACED}])")


class Pieces:
    """Texts as numbers of subwords, and back.

    >>> pieces = Pieces(learn(["rye bread", "rye flour", "rye rolls"], 300))
    >>> [pieces.text(row) for row in pieces.numbers(["Rye bread", "パン", "ß🌊"])]
    ['rye bread', 'パン', 'ss🌊']
    """

    def __init__(self, kept: str) -> None:
        self.kept = kept

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def numbers(self, texts: Sequence[str]) -> list[list[int]]:
        """Numbers of the subwords of each text."""
        found = self._tokenizer.encode_batch_fast([normal(text) for text in texts])
        return [encoded.ids for encoded in found]

    def text(self, numbers: Sequence[int]) -> str:
        """The text that numbers spell, or '' where they spell none (half a character)."""
        made = self._tokenizer.decode([n for n in numbers if n > UNKNOWN])
        return "" if "\ufffd" in made else _put_there.sub("", made.strip())

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.kept)


def learn(texts: Iterable[str], size: int) -> str:
    """At most ``size`` subwords (the signs and bytes among them) that spell ``texts`` shortly, as JSON text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    def bare(**given: Any) -> Any:
        made = Tokenizer(models.BPE(unk_token=SIGNS[UNKNOWN], byte_fallback=True, **given))
        made.pre_tokenizer = pre_tokenizers.Metaspace()
        made.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
        return made

    learnt, read = bare(), [normal(text) for text in texts]
    alphabet = _alphabet(read, min(ALPHABET, max(1, (size - len(SIGNS)) // 2)))
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SIGNS), initial_alphabet=alphabet, limit_alphabet=len(alphabet),
        max_token_length=LONGEST, min_frequency=2, show_progress=False,
    )  # fmt: skip
    learnt.train_from_iterator(read, trainer)
    import json

    found = json.loads(learnt.to_str())["model"]
    # Built anew, without signs that a text could spell: there <end> is five characters like any others.
    merges = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ")) for pair in found["merges"]]
    return str(bare(vocab=found["vocab"], merges=merges).to_str())


def _alphabet(texts: Iterable[str], most: int) -> list[str]:
    """The most frequent characters, ties in their order: the library would break these by chance."""
    counts = Counter(char for text in texts for char in text.replace(" ", SPACE))
    counts[SPACE] += 1
    return sorted(counts, key=lambda char: (-counts[char], char))[:most]


class Whole:
    """Which tags are made of whole words: of a source, or among ``known``. Others become ''.

    In scripts without spaces, what stands in the source is whole.

    >>> whole = Whole("A parser in Rustlang, 関数型言語", frozenset(["news"]))
    >>> [whole(tag) for tag in ("rustlang news", "関数型", "rust", "pars")]
    ['rustlang news', '関数型', '', '']
    """

    def __init__(self, source: str, known: frozenset[str]) -> None:
        self.source, self.known = normal(source), known
        self.words = words([source])

    def __call__(self, tag: str) -> str:
        """The tag, or ''."""
        return tag if all(self._has(word) for word in words([tag])) else ""

    def _has(self, word: str) -> bool:
        unspaced = bool(_unspaced.search(word)) and word in self.source
        return word in self.words or word in self.known or unspaced


def words(texts: Iterable[str]) -> set[str]:
    """The runs of letters and digits in texts, without case."""
    return {word for text in texts for word in _word.findall(normal(text))}


def normal(text: str) -> str:
    """Without case and width, so that a tag is spelt as its words in a text are.

    >>> normal("React 18の新機能")
    'react 18 の 新機能'
    """
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return _borders.sub(" ", text.encode("utf-8", "replace").decode("utf-8"))
