"""Tags spelt subword by subword by a trained speaker, without torch: the most probable of a beam.

The weights are ``networks.seq2seq.Speaker.arrays``. A tag's chance is the product of its subwords' chances and only
falls as it grows, so that the search ends when no open beginning can overtake what is complete.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from hashloom.generators._pieces import END, MARK, PAD, UNKNOWN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

NEVER = np.float32(-np.inf)
FLOOR = np.float32(np.log(1e-6))
"""Beginnings less probable than this are given up."""

Said = list[tuple[tuple[int, ...], float]]


def spell(
    arrays: Mapping[str, Floats], states: Floats, start: Floats, pieces: Ints, lengths: Ints, steps: int, beam: int
) -> list[Said]:
    """For each source, sequences of subwords and their log-probabilities, best first, about ``beam`` of them or more.

    ``states``: (posts, places, 2 width); ``start``: (posts, width); ``pieces``: (posts, places); ``lengths``:
    (posts,). ``steps``: subwords of a tag at most.
    """
    search = _Search(_Step(arrays, states, pieces, lengths), start, beam)
    for at in range(steps + 1):
        if not search.go_on(at, last=at == steps):
            break
    return [sorted(found.items(), key=lambda pair: (-pair[1], pair[0])) for found in search.found]


class _Step:
    """One step of the speaker, for posts with the same number of beginnings each."""

    def __init__(self, arrays: Mapping[str, Floats], states: Floats, pieces: Ints, lengths: Ints) -> None:
        self.a, self.states, self.pieces = arrays, states, pieces
        away = np.arange(pieces.shape[1]) >= lengths[:, None]
        self.away = np.where(away, NEVER, np.float32(0))[:, None]  # (posts, 1, places)

    def of(self, rows: Ints) -> _Step:
        """For some of the posts."""
        made = _Step.__new__(_Step)
        made.a, made.states, made.pieces, made.away = self.a, self.states[rows], self.pieces[rows], self.away[rows]
        return made

    def __call__(self, hidden: Floats, codes: Ints) -> tuple[Floats, Floats]:
        """The next state (posts, beginnings, width) and chances (posts, beginnings, pieces) after ``codes``.

        ``hidden``: (posts, beginnings, width); ``codes``: (posts, beginnings), what was said last.
        """
        a = self.a
        embedded = a["table"][codes]
        hidden = _gru(a, embedded, hidden)
        energy = _times(hidden, a["ask"]) @ self.states.transpose(0, 2, 1) + self.away  # (posts, beginnings, places)
        weights = np.exp(energy - energy.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        context = weights @ self.states  # (posts, beginnings, 2 width)
        both = np.concatenate([hidden, context], axis=2)
        logits = _times(np.tanh(_times(both, a["mix"]) + a["mix_bias"]), a["table"]) + a["bias"]
        np.exp(logits - logits.max(axis=2, keepdims=True), out=logits)
        gate = _sigmoid(_times(np.concatenate([both, embedded], axis=2), a["copy"]) + a["copy_bias"])
        logits *= (1 - gate) / logits.sum(axis=2, keepdims=True)
        self._copy(logits, gate * weights)
        return hidden, logits

    def _copy(self, chances: Floats, weights: Floats) -> None:
        """Add to ``chances`` what is copied: ``weights`` (posts, beginnings, places) of the subwords read."""
        posts, beginnings, _ = weights.shape
        row = np.arange(posts)[:, None, None], np.arange(beginnings)[None, :, None]
        np.add.at(chances, (*row, self.pieces[:, None, :]), weights)


class _Search:
    """Beginnings still open, ``total`` -inf where a place is free, and what is complete."""

    def __init__(self, step: _Step, start: Floats, beam: int) -> None:
        posts = len(start)
        self.step, self.beam = step, beam
        self.open = np.arange(posts)
        self.hidden = start[:, None].astype(np.float32)
        self.total = np.zeros((posts, 1), np.float32)
        self.codes = np.full((posts, 1, 1), END, np.int64)  # (open posts, beginnings, said so far and END before)
        self.found: list[dict[tuple[int, ...], float]] = [{} for _ in range(posts)]

    def go_on(self, at: int, last: bool) -> bool:
        """Say one more subword (where ``last``: only the end); whether anything is left to go on with."""
        hidden, chances = self.step(self.hidden, self.codes[:, :, -1])
        totals = self.total[:, :, None] + np.log(np.maximum(chances, 1e-30))
        self._complete(totals[:, :, END], at)
        if last:
            return False
        totals[:, :, [PAD, END, MARK, UNKNOWN]] = NEVER
        posts, _, wide = totals.shape
        flat = totals.reshape(posts, -1)
        top = np.argpartition(-flat, min(self.beam, flat.shape[1] - 1), axis=1)[:, : self.beam]
        row = np.arange(posts)[:, None]
        self.total = flat[row, top]
        self.total[self.total < np.maximum(FLOOR, self._bar()[:, None])] = NEVER
        whose, code = top // wide, top % wide
        self.hidden = hidden[row, whose]
        self.codes = np.concatenate([self.codes[row, whose], code[:, :, None]], axis=2)
        self._leave()
        return len(self.open) > 0

    def _complete(self, ends: Floats, at: int) -> None:
        """Take down what ends here; ``ends``: (open posts, beginnings). Nothing is said without a subword."""
        if not at:
            return
        for i, j in np.argwhere(ends > FLOOR).tolist():
            self.found[self.open[i]][tuple(self.codes[i, j, 1:].tolist())] = float(ends[i, j])

    def _bar(self) -> Floats:
        """What a beginning must reach to be among the ``beam`` best: the least of these so far; (open posts,)."""
        bars = [sorted(self.found[i].values())[-self.beam :] for i in self.open]
        return np.array([bar[0] if len(bar) == self.beam else NEVER for bar in bars], np.float32)

    def _leave(self) -> None:
        """Posts without an open beginning are done."""
        on = (self.total > NEVER).any(axis=1)
        if not on.all():
            rows = np.flatnonzero(on)
            self.step, self.open = self.step.of(rows), self.open[rows]
            self.hidden, self.total, self.codes = self.hidden[rows], self.total[rows], self.codes[rows]


def _gru(a: Mapping[str, Floats], x: Floats, hidden: Floats) -> Floats:
    """One GRU step; ``x`` and ``hidden``: (posts, beginnings, width)."""
    given, kept = _times(x, a["input"]) + a["input_bias"], _times(hidden, a["hidden"]) + a["hidden_bias"]
    size = hidden.shape[-1]
    gates = _sigmoid(given[..., : 2 * size] + kept[..., : 2 * size])
    reset, update = gates[..., :size], gates[..., size:]
    fresh = np.tanh(given[..., 2 * size :] + reset * kept[..., 2 * size :])
    return np.asarray((1 - update) * fresh + update * hidden, np.float32)


def _times(x: Floats, weight: Floats) -> Floats:
    """``x`` (posts, beginnings, in) by ``weight`` (out, in), as one product."""
    return (x.reshape(-1, x.shape[-1]) @ weight.T).reshape(*x.shape[:-1], len(weight))


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))), np.float32)


def distinct(said: Said, spelt: Sequence[str], count: int) -> list[tuple[str, float]]:
    """Texts and chances, best first, each once: what is spelt in two ways has both chances."""
    chances: dict[str, float] = {}
    for (_, total), text in zip(said, spelt):
        if text:
            chances[text] = chances.get(text, 0.0) + float(np.exp(total))
    ranked = sorted(chances.items(), key=lambda pair: (-pair[1], pair[0]))[:count]
    return [(text, min(chance, 1.0)) for text, chance in ranked]
