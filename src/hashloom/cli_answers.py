"""Posts in, lines of JSON out, batch by batch: what ``hashloom recommend`` does."""

from __future__ import annotations

import io
import json
import os
import select
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hashloom.data.columns import Gathered, checked
from hashloom.data.read import ENDINGS, read
from hashloom.data.rows import BadInput, Problem, Report, Skip
from hashloom.types import Posts, Ranking

if TYPE_CHECKING:
    from hashloom.data.rows import Item
    from hashloom.recommender import Recommender

SMALLEST, LARGEST = 64, 4096
"""Posts in the first batch and in the largest; each is twice the one before, so the first answers come at once."""
MOST_SHOWN = 100
"""Refused rows that are shown one by one."""


@dataclass
class Answers:
    """Asks a model about posts as they come and writes one line each, in their order.

    Every good row is answered, also one whose id came before: a stream cannot know whether it will come again.
    ``say`` takes the lines about refused rows.
    """

    model: Recommender
    k: int
    out: BinaryIO
    explain: bool = False
    history: Posts | None = None
    strict: bool = False
    say: Callable[[str], None] = print
    report: Report = field(default_factory=Report)
    answered: int = 0
    strangers: dict[str, int] = field(default_factory=dict)
    size: int = SMALLEST
    held: Gathered = field(default_factory=Gathered)

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
        found = self.model.recommend(posts, self.k, history=self.history, explain=self.explain)
        for community, ranking in zip(posts.communities, found, strict=True):
            if not ranking.suggestions and community not in self.known:
                self.strangers[community] = self.strangers.get(community, 0) + 1
            self.out.write(line(ranking))
        self.out.flush()
        self.answered += len(posts)

    @cached_property
    def known(self) -> set[str]:
        """The communities of which the model or the history has posts."""
        return set(self.model.spaces_) | set(self.history.communities if self.history else ())

    def _tell_problems(self) -> None:
        """Say what was refused since the last time; the report counts all, and this forgets what was said."""
        before = self.report.refused - len(self.report.problems)
        for problem in self.report.problems[: max(MOST_SHOWN - before, 0)]:
            self.say(str(problem))
        self.report.problems.clear()

    def summary(self) -> list[str]:
        """What a person should know at the end: refused rows, and communities that the model does not know."""
        said = []
        if self.report.refused:
            said.append(f"posts answered: {self.answered:,}; rows refused: {self.report.refused:,}")
        if self.report.cut:
            said.append(f"posts cut to the limits before they were answered: {self.report.cut:,}")
        if self.strangers:
            posts, names = sum(self.strangers.values()), list(self.strangers)
            shown = ", ".join(map(repr, names[:5])) + (" …" if len(names) > 5 else "")
            said.append(
                f"the model knows no community {shown} (posts without suggestions: {posts:,}); "
                "check the field 'community', give tagged posts of it with --history, or train again with it"
            )
        return said


def line(ranking: Ranking) -> bytes:
    """One answer as a line of JSON in UTF-8.

    >>> from hashloom.types import Suggestion
    >>> line(Ranking("p1", (Suggestion("Rye", 0.5),)))
    b'{"id": "p1", "suggestions": [{"tag": "Rye", "score": 0.5, "reasons": []}]}\\n'
    """
    rows = [
        {"tag": s.tag, "score": float(s.score), "reasons": [_reason(asdict(r)) for r in s.reasons]}
        for s in ranking.suggestions
    ]
    text = json.dumps({"id": ranking.id, "suggestions": rows}, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _reason(reason: dict[str, Any]) -> dict[str, Any]:
    return reason | {"weight": float(reason["weight"])}


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
