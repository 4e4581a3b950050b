"""Tags said one after the other by a trained GRU, without torch: greedy, or the best of a beam (models §5.3, §7.2).

The weights are ``networks.decoder.TagDecoder.arrays``. Codes inside are tag numbers + 1, 0 for beginning and end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]
    Marks = NDArray[np.bool_]
    Arrays = Mapping[str, Floats]

NEVER = np.float32(-np.inf)


def decode(
    arrays: Arrays, z: Floats, allowed: Marks, steps: int, beam: int = 1, go_on: bool = False
) -> tuple[Ints, Floats, Floats]:
    """The tags that each post is given, in the order in which they are said, at most ``steps``.

    ``z``: (posts, width); ``allowed``: (posts, tags), which tags each may get. Returns tag numbers (posts, steps), -1
    after the last; the log-probability of each given those before it (posts, steps), 0 after the last; and the
    log-probabilities of the first step (posts, tags), -inf where not allowed. No tag is said twice. ``beam``:
    hypotheses kept, of which the one most probable per step is taken; 1: greedy. The end may not come before the first
    tag; with ``go_on`` it never comes, and there are as many tags as ``steps`` and ``allowed`` let there be.

    Raises ``ValueError`` where ``steps`` or ``beam`` is less than 1.
    """
    if steps < 1 or beam < 1:
        raise ValueError(f"steps and beam must be 1 or more, not {steps} and {beam}")
    if not len(z):
        return np.zeros((0, steps), np.int64), np.zeros((0, steps), np.float32), np.zeros(allowed.shape, np.float32)
    speaker = Speaker(arrays, z, allowed)
    state, first = speaker.step(speaker.begin(), np.zeros((len(z), 1), np.int64))
    search = _Search(steps, state, go_on)
    search.say(0, state, first, beam)
    for at in range(1, steps):
        if not search.open():
            break
        search.say(at, *speaker.step(search.state, search.codes[:, :, at - 1]), beam)
    search.take(search.total / np.float32(steps))
    return search.found - 1, search.scores_found, first[:, 0, 1:]


class Speaker:
    """The GRU for some posts, each with the same number of hypotheses."""

    def __init__(self, arrays: Arrays, z: Floats, allowed: Marks) -> None:
        self.arrays, self.z = arrays, np.asarray(z, np.float32)
        # What is not allowed takes no probability; the end is always possible.
        barred = np.concatenate([np.zeros((len(z), 1), bool), ~allowed], axis=1)
        self.barred = np.where(barred, NEVER, np.float32(0))[:, None]  # (posts, 1, tags + 1)
        always = arrays["input_bias"]
        self.always = always + (z @ arrays["add"].T @ arrays["input"].T)[:, None] if "add" in arrays else always

    def begin(self) -> Floats:
        """The state before anything is said; (posts, 1, state)."""
        return np.tanh(self.z @ self.arrays["start"].T + self.arrays["start_bias"])[:, None]

    def step(self, state: Floats, codes: Ints) -> tuple[Floats, Floats]:
        """The next state (posts, hypotheses, state) and log-probabilities (posts, hypotheses, tags + 1).

        ``state``: as returned; ``codes``: (posts, hypotheses), what was said last.
        """
        a = self.arrays
        given = _times(a["table"][codes], a["input"]) + self.always  # (posts, hypotheses, 3 state)
        kept = _times(state, a["hidden"]) + a["hidden_bias"]
        size = state.shape[-1]
        gates = _sigmoid(given[..., : 2 * size] + kept[..., : 2 * size])
        reset, update = gates[..., :size], gates[..., size:]
        fresh = np.tanh(given[..., 2 * size :] + reset * kept[..., 2 * size :])
        state = (1 - update) * fresh + update * state
        return state, _log_softmax(_times(state, a["out"]) + a["out_bias"] + self.barred)


class _Search:
    """Hypotheses still open, and of each post the best that has ended; codes 0 after the last tag."""

    def __init__(self, steps: int, state: Floats, go_on: bool) -> None:
        posts = len(state)
        self.state, self.go_on = state, go_on
        self.total = np.zeros((posts, 1), np.float32)  # -inf: this place is free
        self.codes = np.zeros((posts, 1, steps), np.int64)
        self.scores = np.zeros((posts, 1, steps), np.float32)
        self.rate = np.full(posts, NEVER)
        self.found = np.zeros((posts, steps), np.int64)
        self.scores_found = np.zeros((posts, steps), np.float32)

    def open(self) -> bool:
        """Whether any hypothesis goes on."""
        return bool((self.total > NEVER).any())

    def say(self, at: int, state: Floats, next_: Floats, beam: int) -> None:
        """Keep the ``beam`` most probable of all ways to go on after ``at`` tags; those that end give up their place.

        ``next_``: (posts, hypotheses, tags + 1) log-probabilities.
        """
        next_ = self._possible(at, next_)
        posts, _, wide = next_.shape
        totals = (self.total[:, :, None] + next_).reshape(posts, -1)
        top = _highest(totals, beam)  # (posts, beam)
        row, whose, code = np.arange(posts)[:, None], top // wide, top % wide
        self.total, self.state = totals[row, top], state[row, whose]
        self.codes, self.scores = self.codes[row, whose], self.scores[row, whose]
        ends = code == 0
        self.take(np.where(ends, self.total / np.float32(at + 1), NEVER))
        self.codes[:, :, at] = code
        self.scores[:, :, at] = next_[row, whose, code]
        self.total[ends] = NEVER

    def _possible(self, at: int, next_: Floats) -> Floats:
        """Without tags said before; without the end at the beginning, or always, unless no tag is left."""
        next_, end = next_.copy(), next_[:, :, 0]
        np.put_along_axis(next_, self.codes[:, :, :at], NEVER, axis=2)
        next_[:, :, 0] = end
        if self.go_on or not at:
            next_[:, :, 0] = np.where((next_[:, :, 1:] > NEVER).any(axis=2), NEVER, end)
        return next_

    def take(self, rates: Floats) -> None:
        """Where the best of ``rates`` (posts, hypotheses) beats what has ended so far, it takes its place."""
        which = rates.argmax(axis=1)
        rate = np.take_along_axis(rates, which[:, None], axis=1)[:, 0]
        better = np.flatnonzero(rate > self.rate)
        self.rate[better] = rate[better]
        self.found[better] = self.codes[better, which[better]]
        self.scores_found[better] = self.scores[better, which[better]]


def _times(x: Floats, weight: Floats) -> Floats:
    """``x`` (posts, hypotheses, in) by ``weight`` (out, in), as one product instead of one per post."""
    return (x.reshape(-1, x.shape[-1]) @ weight.T).reshape(*x.shape[:-1], len(weight))


def _highest(values: Floats, count: int) -> Ints:
    """Places of the ``count`` highest values of each row, best first; (rows, at most count)."""
    count = min(count, values.shape[1])
    if count == 1:
        return values.argmax(axis=1)[:, None]
    top = np.sort(np.argpartition(values, -count, axis=1)[:, -count:], axis=1)
    order = np.argsort(-np.take_along_axis(values, top, axis=1), axis=1, kind="stable")
    return np.take_along_axis(top, order, axis=1)


def _sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))), np.float32)


def _log_softmax(x: Floats) -> Floats:
    """Over the last axis, in which at least the end is finite."""
    x = x - x.max(axis=-1, keepdims=True)
    return np.asarray(x - np.log(np.exp(x).sum(axis=-1, keepdims=True)), np.float32)
