"""One loaded model and the thread that alone works on it: questions, updates and deletions come one after another.

So no answer is made from half an update, and libraries that bear no second thread are safe. Whoever asks waits for a
stated time and no longer; while the thread is stuck, nobody waits at all. Questions that wait and are of one kind are
asked together, since a model answers four posts at once in less than three times the time of one.
"""

from __future__ import annotations

import logging
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")
M = TypeVar("M")
LOG = logging.getLogger(__name__)


class NoAnswer(RuntimeError):
    """A model gave no answer; ``kind`` is a short name for counters."""

    def __init__(self, said: str, kind: str) -> None:
        super().__init__(said)
        self.kind = kind


class Joinable(ABC):
    """A question that may be asked together with others of its kind."""

    @abstractmethod
    def joins(self, others: Sequence[Any]) -> bool:
        """Whether it may be asked together with these."""

    @abstractmethod
    def together(self, others: Sequence[Self], model: Any) -> Sequence[Any]:
        """The answers, this one's first; each as it would be alone."""


@dataclass(order=True)
class _Task:
    order: tuple[int, int]
    work: Any = field(compare=False)
    done: Future[Any] = field(compare=False)


URGENT, USUAL, LAST = 0, 1, 2
_END = (9, 0)
"""After everything that waits."""
TOGETHER, TOGETHER_SECONDS = 8, 0.05
"""So many questions at most are asked together, and no more than the model answers in that time, going by how it has
done lately: the first of them waits for the answers to all."""


class Running(Generic[M]):
    """A model that answers and learns in a thread of its own.

    >>> running = Running("a" * 64, [1, 2])
    >>> running.ask(sum, 60.0), running.close()
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
        self._pace = TOGETHER_SECONDS
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
            tasks = [one for one in (task, *self._like(task)) if one.done.set_running_or_notify_cancel()]
            if not tasks:
                continue
            self._began = began = monotonic()
            try:
                if len(tasks) == 1 or not self._together(tasks):
                    for one in tasks:
                        self._alone(one)
            finally:
                self._began = None
                if isinstance(task.work, Joinable):
                    self._pace += 0.1 * ((monotonic() - began) / len(tasks) - self._pace)
                del task, tasks

    def _like(self, task: _Task) -> list[_Task]:
        """Questions behind this one that may be asked together with it."""
        found: list[_Task] = []
        if not isinstance(task.work, Joinable):
            return found
        most = min(TOGETHER, int(TOGETHER_SECONDS / max(self._pace, 1e-6)))
        while len(found) < most - 1:
            try:
                behind = self._tasks.get_nowait()
            except queue.Empty:
                break
            if behind.order[0] != task.order[0] or not _joins(behind.work, [task.work, *(one.work for one in found)]):
                self._tasks.put(behind)  # its number keeps its place
                break
            found.append(behind)
        return found

    def _together(self, tasks: Sequence[_Task]) -> bool:
        """Answer questions at once; False where that failed, so that one of them spoils no other."""
        first, *others = (task.work for task in tasks)
        try:
            found = list(zip(tasks, first.together(others, self._model), strict=True))
        except BaseException as error:
            LOG.debug("%d questions asked together failed: %s", len(tasks), type(error).__name__)
            return False
        for task, one in found:
            task.done.set_result(one)
        return True

    def _alone(self, task: _Task) -> None:
        try:
            task.done.set_result(task.work(self._model))
        except BaseException as error:  # whatever happens in a model, its thread goes on
            task.done.set_exception(error)


def _joins(work: Any, others: Sequence[Any]) -> bool:
    return isinstance(work, Joinable) and work.joins(others)


def _plain(error: BaseException) -> bool:
    """Whether the trace may be logged: at the debug level alone, since messages may hold what people wrote."""
    return LOG.isEnabledFor(logging.DEBUG) and error is not None
