"""Shadow mode: a candidate answers live drafts unseen, and how often it agrees with the published model is counted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

from hashloom.serve.running import NoAnswer
from hashloom.serve.shelf import Served
from hashloom.tags import key
from hashloom.types import Ranking

Ask = Callable[[Any], Ranking]
Finish = Callable[[Ranking], list[str]]


class Shadow:
    """A candidate and what was seen of it so far. Drafts that come while it is busy are passed over."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self._lock = threading.Lock()
        self._drafts = self._failed = self._first = 0
        self._shared = self._took = self._published_took = 0.0

    def compare(self, ask: Ask, finish: Finish, tags: Sequence[str], took_ms: float) -> None:
        """Let the candidate answer a draft to which the published model said ``tags``; returns at once.

        ``ask`` asks a model about the draft, ``finish`` makes of its ranking what would be told.
        """
        if not self.served.running.idle():
            return
        try:
            self.served.running.later(lambda model: self._ask(model, ask, finish, tags, took_ms))
        except NoAnswer:
            return

    def _ask(self, model: Any, ask: Ask, finish: Finish, tags: Sequence[str], took_ms: float) -> None:
        began = perf_counter()
        try:
            found = finish(ask(model))
        except Exception:
            with self._lock:
                self._drafts, self._failed = self._drafts + 1, self._failed + 1
            raise
        mine, theirs = [key(tag) for tag in found], [key(tag) for tag in tags]
        both = len(set(mine) | set(theirs))
        with self._lock:
            self._drafts += 1
            self._shared += len(set(mine) & set(theirs)) / both if both else 1.0
            self._first += mine[:1] == theirs[:1]
            self._took += (perf_counter() - began) * 1000
            self._published_took += took_ms

    def report(self) -> dict[str, Any]:
        """How many drafts it answered or failed on, how far it agrees (Jaccard index, same first tag), and its time."""
        with self._lock:
            answered = max(1, self._drafts - self._failed)
            return {
                "digest": self.served.digest,
                "drafts": self._drafts,
                "failed": self._failed,
                "agreement": round(self._shared / answered, 4),
                "same_first": round(self._first / answered, 4),
                "mean_ms": round(self._took / answered, 2),
                "published_mean_ms": round(self._published_took / answered, 2),
            }
