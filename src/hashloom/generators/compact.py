"""A small encoder–decoder with copying, trained from scratch on subwords of its own (RIGHT's generator, models §9.4).

Needs no download, learns in minutes on one core and answers without torch. As in CopyRNN (Meng et al., ACL 2017) each
tag of a post is a target of its own: the paper's joined targets fix an order that tags do not have, and what is learnt
here is the chance of each tag.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
from annotated_types import Ge

from hashloom.encoders import _weights
from hashloom.generators import _beam, _pieces, part
from hashloom.types import Count, Positive, Share

AT_ONCE = 64
"""Posts answered together."""
CHARACTERS = 12
"""Of a text only so many characters per subword that may be read are cut into subwords."""
READ = 50_000
"""Sources that the subwords are learnt from, the latest."""


@dataclass
class Compact:
    """Tags spelt subword by subword, each with its chance; some are words of the post that no tag was before.

    >>> texts, tags = ["warm rye loaf", "warm oat loaf"] * 8, [["rye"], ["oat"]] * 8
    >>> Compact(width=32, updates=150, rate=0.01).fit(texts, tags).generate(["rye loaf"], 1)[0][0][0]
    'rye'
    """

    pieces: Annotated[int, Ge(300)] = 3000
    """Subwords, 260 signs and bytes among them."""
    width: Count = 96
    """Length of a subword's vector and width of the GRUs."""
    most: Annotated[int, Ge(2)] = 64
    """So many subwords of a source are read; the retrieved tags come first, half of these places at most, and of the
    text the beginning."""
    longest: Count = 16
    """Subwords of a tag at most."""
    beam: Count = 12
    """Beginnings followed at once."""
    dropout: Share = 0.5
    """Share of vectors left out at random in training."""
    rate: Positive = 0.001
    """Adam's rate at the beginning; it falls to a twentieth over the planned updates."""
    batch: Count = 64
    """Posts per update at most."""
    epochs: Count = 20
    """Passes over the posts at most."""
    updates: Count = 200
    """Small sets are passed over more often than ``epochs``, until so many updates are made."""
    reads: Count = 300_000
    """Posts read in all passes together at most, which bounds the time on large sets; two passes are made anyhow."""
    patience: Count = 2
    """So many epochs without a better likelihood of the validation posts end the training."""
    validation: Share = 0.1
    """Share of the posts, the latest, that early stopping judges by; 0: no early stopping."""
    seed: int = 0
    """The same seed and posts give the same generator."""

    def fit(self, sources: Sequence[str], targets: Sequence[Sequence[str]]) -> Self:
        """Learn which tags each source has; sources come in order of time.

        Raises ``ValueError`` where no source has a tag that can be spelt in ``longest`` subwords.
        """
        parts = [part(source) for source in sources[-READ:]]
        of_text = self.most * CHARACTERS
        shown = [text for source, tags in parts for text in (source[:of_text], *tags)]
        self.pieces_ = _pieces.learn([*shown, *(tag for row in targets for tag in row)], self.pieces)
        for derived in ("_spelling", "_session", "_tag_numbers", "_words"):
            self.__dict__.pop(derived, None)
        spelt = [self._tags(row) for row in targets]
        rows = [i for i, tags in enumerate(spelt) if tags]
        if not rows:
            raise ValueError(f"compact: no tag can be spelt in {self.longest} subwords; raise longest")
        network = _network()
        fields = ("width", "dropout", "rate", "batch", "epochs", "updates", "reads", "patience", "validation", "seed")
        plan = network.Plan(**{name: getattr(self, name) for name in fields})
        read = self._read([sources[i] for i in rows])
        self.reader_, self.speaker_, course = network.learn(read, [spelt[i] for i in rows], len(self._spelling), plan)
        self.words_ = sorted(_pieces.words(tag for row in targets for tag in row))
        self.course_ = {"best": course.best, "scores": course.scores}
        return self

    def generate(self, sources: Sequence[str], count: int) -> list[list[tuple[str, float]]]:
        """For each source at most ``count`` tags without case, best first, each once, with its chance in (0, 1].

        All words of a tag are whole words of the source or of tags learnt from: half a word is no tag.
        """
        read = self._read(sources)
        order = np.argsort([len(row) for row in read], kind="stable")
        found: list[list[tuple[str, float]]] = [[] for _ in sources]
        for at in range(0, len(order), AT_ONCE):
            some = order[at : at + AT_ONCE].tolist()
            for i, said in zip(some, self._spell([read[i] for i in some])):
                whole = _pieces.Whole(sources[i], self._words)
                texts = [whole(self._spelling.text(numbers)) for numbers, _ in said]
                found[i] = _beam.distinct(said, texts, count)
        return found

    def _spell(self, read: list[list[int]]) -> list[_beam.Said]:
        lengths = np.array([len(row) for row in read], np.int64)
        pieces = np.zeros((len(read), int(lengths.max())), np.int64)
        for i, row in enumerate(read):
            pieces[i, : len(row)] = row
        states, start = self._session.run(None, {"pieces": pieces, "lengths": lengths})
        return _beam.spell(self.speaker_, states, start, pieces, lengths, self.longest, self.beam)

    def _read(self, sources: Sequence[str]) -> list[list[int]]:
        """Sources as numbers: the text's, then each retrieved tag's behind a sign; one at least."""
        parts = [part(source) for source in sources]
        texts = self._spelling.numbers([text[: self.most * CHARACTERS] for text, _ in parts])
        return [self._joined(text, tags) for text, (_, tags) in zip(texts, parts)]

    def _joined(self, text: list[int], tags: list[str]) -> list[int]:
        retrieved: list[int] = []
        for tag in tags:
            spelt = [_pieces.MARK, *self._spell_tag(tag)]
            if len(retrieved) + len(spelt) > self.most // 2:
                break
            retrieved += spelt
        return [*text[: self.most - len(retrieved)], *retrieved] or [_pieces.END]

    def _tags(self, tags: Sequence[str]) -> list[list[int]]:
        """Tags as numbers, those too long left out."""
        spelt = self._spelling.numbers(tags)
        return [numbers for numbers in spelt if 0 < len(numbers) <= self.longest]

    def _spell_tag(self, tag: str) -> list[int]:
        known = self._tag_numbers
        if tag not in known:
            if len(known) >= READ:
                known.clear()
            known[tag] = self._spelling.numbers([tag])[0]
        return known[tag]

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(self.words_)

    @cached_property
    def _tag_numbers(self) -> dict[str, list[int]]:
        return {}

    @cached_property
    def _spelling(self) -> _pieces.Pieces:
        return _pieces.Pieces(self.pieces_)

    @cached_property
    def _session(self) -> Any:
        return _weights.session(self.reader_, 1)

    def __getstate__(self) -> dict[str, Any]:
        # A copy, also one in another process, opens the network when it needs it.
        return {name: value for name, value in vars(self).items() if name != "_session"}


def _network() -> Any:
    """The part that needs torch, imported where it is used."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return importlib.import_module("hashloom.networks.seq2seq")
