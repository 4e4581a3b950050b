"""One loaded model and the thread that alone works on it: questions, updates and deletions come one after another.

So no answer is made from half an update, and libraries that bear no second thread are safe. Whoever asks waits for a
stated time and no longer; while the thread is stuck, nobody waits at all.
"""

from __future__ import annotations

import ctypes
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, TypeVar

T = TypeVar("T")
M = TypeVar("M")
LOG = logging.getLogger(__name__)


class NoAnswer(RuntimeError):
    """A model gave no answer; ``kind`` is a short name for counters."""

    def __init__(self, said: str, kind: str) -> None:
        super().__init__(said)
        self.kind = kind


@dataclass(order=True)
class _Task:
    order: tuple[int, int]
    work: Callable[[Any], Any] = field(compare=False)
    done: Future[Any] = field(compare=False)


URGENT, USUAL, LAST = 0, 1, 2
_END = (9, 0)
"""After everything that waits."""


class Running(Generic[M]):
    """A model that answers and learns in a thread of its own.

    >>> running = Running("a" * 64, [1, 2])
    >>> running.ask(sum, 1.0), running.close()
    (3, None)
    """

    def __init__(self, digest: str, model: M, *, waiting: int = 64, kind: str = "model") -> None:
        self.digest = digest
        self.kind = kind
        self.waiting = waiting
        self.trouble = ""
        self._model = model
        self._tasks: queue.PriorityQueue[_Task] = queue.PriorityQueue()
        self._number = 0
        self._began: float | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name=f"hashloom-{kind}-{digest[:8]}", daemon=True)
        self._thread.start()

    @property
    def peek(self) -> M:
        """The model, for what never changes (its name, whether it has dials); all else goes through ``ask``."""
        return self._model

    def ask(self, work: Callable[[M], T], budget: float, *, last: bool = False) -> T:
        """What ``work`` makes of the model. Raises ``NoAnswer`` where that takes longer than ``budget`` seconds.

        ``last``: after all other questions that wait, as a part of a batch does.
        """
        began = self._began
        if began is not None and monotonic() - began > budget:
            raise NoAnswer("the model has been busy with an earlier question for too long", "stuck")
        if self._tasks.qsize() >= self.waiting:
            raise NoAnswer("too many questions are waiting for the model", "busy")
        done = self._put(work, LAST if last else USUAL)
        try:
            return done.result(budget)
        except Late:
            if done.done():  # the model's own TimeoutError
                raise NoAnswer("the model failed: TimeoutError", "failed") from None
            done.cancel()
            raise NoAnswer(f"the model took longer than {budget:g} s", "slow") from None
        except NoAnswer:
            raise
        except Exception as error:
            LOG.warning("model %s failed: %s", self.digest[:12], type(error).__name__, exc_info=_plain(error))
            raise NoAnswer(f"the model failed: {type(error).__name__}", "failed") from error

    def later(self, work: Callable[[M], T]) -> Future[T]:
        """Ask when nobody else does, without waiting for it."""
        return self._put(work, LAST)

    def change(self, work: Callable[[M], T]) -> Future[T]:
        """Let ``work`` change the model, before all questions that wait already."""
        return self._put(work, URGENT)

    def close(self) -> None:
        """End the thread when what waits is done; nothing can be asked any more."""
        with self._lock:
            self._closed = True
            self._tasks.put(_Task(_END, lambda _: None, Future()))

    def idle(self) -> bool:
        """Whether nothing waits and nothing is worked on."""
        return self._began is None and self._tasks.empty()

    def _put(self, work: Callable[[M], T], turn: int) -> Future[T]:
        with self._lock:
            if self._closed:
                raise NoAnswer("the model was taken out of service", "closed")
            self._number += 1
            task = _Task((turn, self._number), work, Future())
            self._tasks.put(task)
        return task.done

    def _work(self) -> None:
        while (task := self._tasks.get()).order != _END:
            if not task.done.set_running_or_notify_cancel():
                continue
            self._began = monotonic()
            try:
                task.done.set_result(task.work(self._model))
            except BaseException as error:  # whatever happens in a model, its thread goes on
                task.done.set_exception(error)
            finally:
                self._began = None
                del task


def give_back() -> None:
    """Return memory that loading took and left free; where the C library is another, it stays with the process."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def _plain(error: BaseException) -> bool:
    """Whether the trace may be logged: at the debug level alone, since messages may hold what people wrote."""
    return LOG.isEnabledFor(logging.DEBUG) and error is not None
