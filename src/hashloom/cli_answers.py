"""Posts in, lines of JSON out, batch by batch: what ``hashloom recommend`` and ``hashloom forecast`` do."""

from __future__ import annotations

import io
import json
import os
import select
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hashloom.data.columns import Gathered, checked
from hashloom.data.read import ENDINGS, read
from hashloom.data.rows import BadInput, Problem, Report, Skip
from hashloom.types import Posts, Ranking, Rankings, Reason

if TYPE_CHECKING:
    from hashloom.data.rows import Item
    from hashloom.recommender import Recommender

SMALLEST, LARGEST = 64, 4096
"""Posts in the first batch and in the largest; each is twice the one before, so the first answers come at once."""
MOST_SHOWN = 100
"""Refused rows that are shown one by one."""


@dataclass
class Answers(ABC):
    """Asks a model about posts as they come and writes one line each, in their order.

    Every good row is answered, also one whose id came before: a stream cannot know whether it will come again.
    ``say`` takes the lines about refused rows. What kind of model is asked, a subclass says.
    """

    out: BinaryIO
    explain: bool = False
    history: Posts | None = None
    strict: bool = False
    say: Callable[[str], None] = print
    report: Report = field(default_factory=Report)
    answered: int = 0
    size: int = SMALLEST
    held: Gathered = field(default_factory=Gathered)

    @abstractmethod
    def lines(self, posts: Posts) -> Iterable[bytes]:
        """The answer to each of the posts, as a line."""

    def notes(self) -> list[str]:
        """What a person should know of the answers at the end."""
        return []

    def of(self, path: Path) -> None:
        """Answer the posts of a file, or of standard input (``-``)."""
        kind = _kind(path)
        if kind == "parquet":
            from hashloom.data.importers import parquet

            for file, frame in parquet.frames([path]):
                for start in range(0, frame.height, LARGEST):
                    part = frame.slice(start, LARGEST)
                    self._answer(Posts.of(checked(part, file, None, self.report, self.strict)))
            return
        for item in _stdin(self.flush) if kind == "-" else _rows(kind, path):
            self._take(item)
        self.flush()

    def _take(self, item: Item) -> None:
        if isinstance(item, Skip):
            self.report.skip(item.reason)
            return
        self.report.read += 1
        if isinstance(item, Problem):
            self.held.refuse(item, self.report, self.strict)
        else:
            self.held.add(item, None, self.report, self.strict)
        if len(self.held.posts["id"]) >= self.size:
            self.flush()
            self.size = min(2 * self.size, LARGEST)

    def flush(self) -> None:
        """Answer what is held back for a batch."""
        held, self.held = self.held, Gathered()
        self._answer(Posts(held.frame(self.report)))

    def _answer(self, posts: Posts) -> None:
        self._tell_problems()
        if not len(posts):
            return
        for text in self.lines(posts):
            self.out.write(text)
        self.out.flush()
        self.answered += len(posts)

    def _tell_problems(self) -> None:
        """Say what was refused since the last time; the report counts all, and this forgets what was said."""
        before = self.report.refused - len(self.report.problems)
        for problem in self.report.problems[: max(MOST_SHOWN - before, 0)]:
            self.say(str(problem))
        self.report.problems.clear()

    def summary(self) -> list[str]:
        """What a person should know at the end: refused and cut rows, and what there is to say of the answers."""
        said = []
        if self.report.refused:
            said.append(f"posts answered: {self.answered:,}; rows refused: {self.report.refused:,}")
        if self.report.cut:
            said.append(f"posts cut to the limits before they were answered: {self.report.cut:,}")
        return said + self.notes()

    def written(self, path: Path) -> None:
        """Answer the posts of a file; nothing readable in it is an error."""
        self.of(path)
        if self.report.refused and not self.answered:
            place = "standard input" if str(path) == "-" else path
            raise BadInput(f"no post could be read from {place}; see the lines above")


@dataclass(kw_only=True)
class Suggested(Answers):
    """Tags for each post; ``sensitive``: such tags, too. ``reordered`` may put them into another order."""

    model: Recommender
    k: int
    sensitive: bool = False
    reordered: Callable[[Rankings, Posts], Rankings] = lambda rankings, posts: rankings
    strangers: dict[str, int] = field(default_factory=dict)

    def lines(self, posts: Posts) -> Iterable[bytes]:
        """The suggestions for each of the posts, as a line."""
        found = self.model.recommend(
            posts, self.k, history=self.history, explain=self.explain, sensitive=self.sensitive
        )
        for community, ranking in zip(posts.communities, self.reordered(found, posts), strict=True):
            if not ranking.suggestions and community not in self.known:
                self.strangers[community] = self.strangers.get(community, 0) + 1
            yield line(ranking)

    @cached_property
    def known(self) -> set[str]:
        """The communities of which the model or the history has posts."""
        return set(self.model.spaces_) | set(self.history.communities if self.history else ())

    def notes(self) -> list[str]:
        """The communities that the model does not know."""
        if not self.strangers:
            return []
        posts, names = sum(self.strangers.values()), list(self.strangers)
        shown = ", ".join(map(repr, names[:5])) + (" …" if len(names) > 5 else "")
        return [
            f"the model knows no community {shown} (posts without suggestions: {posts:,}); "
            "check the field 'community', give tagged posts of it with --history, or train again with it"
        ]


def line(ranking: Ranking) -> bytes:
    """One answer as a line of JSON in UTF-8.

    >>> from hashloom.types import Suggestion
    >>> line(Ranking("p1", (Suggestion("Rye", 0.5),)))
    b'{"id": "p1", "suggestions": [{"tag": "Rye", "score": 0.5, "reasons": []}]}\\n'
    """
    rows = [{"tag": s.tag, "score": float(s.score), "reasons": reasons(s.reasons)} for s in ranking.suggestions]
    return as_line({"id": ranking.id, "suggestions": rows})


def as_line(answer: Mapping[str, Any]) -> bytes:
    """An answer as a line of JSON in UTF-8; what is no finite number is refused, not written."""
    return json.dumps(answer, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def reasons(why: Iterable[Reason]) -> list[dict[str, Any]]:
    """Reasons as JSON."""
    return [asdict(reason) | {"weight": float(reason.weight)} for reason in why]


def _kind(path: Path) -> str:
    if str(path) == "-":
        return "-"
    kind = next((ENDINGS[e] for e in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(e)), None)
    if kind is None:
        read(path)  # says which endings there are
        raise BadInput(f"{path}: cannot tell what this is")
    return kind


def _rows(kind: str, path: Path) -> Iterator[Item]:
    from importlib import import_module

    yield from import_module(f"hashloom.data.importers.{kind}").rows([path])


def _stdin(before_waiting: Callable[[], None]) -> Iterator[Item]:
    from hashloom.data.importers import jsonl

    stream: Any = sys.stdin.buffer
    if os.name == "posix" and isinstance(getattr(stream, "raw", None), io.FileIO):
        stream = io.BufferedReader(_Patient(stream.raw, before_waiting), 1 << 16)
    yield from jsonl.from_stream(stream, "standard input")


class _Patient(io.RawIOBase):
    """Standard input that has what came so far answered before it waits for more: a program may ask post by post."""

    def __init__(self, raw: io.FileIO, before_waiting: Callable[[], None]) -> None:
        self.raw, self.before_waiting = raw, before_waiting

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if not select.select([self.raw], [], [], 0)[0]:
            self.before_waiting()
        return self.raw.readinto(buffer)
