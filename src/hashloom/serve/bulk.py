"""Tags an archive: the store's untagged posts get suggested tags, with a journal to go on from, to look at and to undo.

What is written counts as unreviewed, so that no model learns from it. The journal has a line per post, synced to the
disk before the store is changed: after a sudden end, the next run finishes what the last line promised.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from hashloom.serve.drafts import Draft
from hashloom.serve.learnable import UNREVIEWED
from hashloom.serve.pictures import NAME
from hashloom.types import Post, Posts

if TYPE_CHECKING:
    from hashloom.serve.drafts import Answer
    from hashloom.serve.engine import Engine
    from hashloom.store import Store

T = TypeVar("T")
FORMAT = 1
BATCH = 64


class BadJournal(ValueError):
    """A file that is no journal of ours, or one of another run."""


@dataclass(frozen=True)
class Wanted:
    """Which posts are tagged, and how: ``k`` tags at most, each with a chance of at least ``floor``."""

    community: str | None = None
    k: int = 5
    floor: float | None = None

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ValueError(f"k is {self.k}; give 1 or more")
        if self.floor is not None and not 0 <= self.floor <= 1:
            raise ValueError(f"floor is {self.floor}; it is a chance, from 0 to 1")


@dataclass
class Done:
    """What a run did; ``left`` says whether the budget ended it."""

    tagged: int = 0
    without: int = 0
    """Posts for which nothing was sure enough."""
    failed: int = 0
    """Posts that the model gave no answer to; the next run asks again."""
    gone: int = 0
    """Posts deleted or changed by somebody meanwhile, which were left as they are."""
    left: bool = False


@dataclass(frozen=True)
class Line:
    """One post of the journal: its tags before and after, and how sure each new one was."""

    community: str
    id: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    chances: tuple[float | None, ...] = ()
    reviewed: bool = True

    def diff(self) -> str:
        """The change in one line.

        >>> Line("bakers", "p1", (), ("Rye", "Oat"), (0.91, None)).diff()
        'bakers p1: +Rye (91 %) +Oat'
        """
        new = [tag for tag in self.after if tag not in self.before]
        chances = [*self.chances, *[None] * (len(new) - len(self.chances))]
        told = [f"+{tag}" + (f" ({chance:.0%})".replace("%", " %") if chance is not None else "")
                for tag, chance in zip(new, chances)]  # fmt: skip
        lost = [f"-{tag}" for tag in self.before if tag not in self.after]
        return f"{self.community or '~'} {self.id}: {' '.join([*lost, *told]) or 'nothing'}"


# ---------------------------------------------------------------- the journal


@dataclass
class Journal:
    """What was done: a header, a line per post, and after each batch that the store has taken, a mark."""

    path: Path
    header: dict[str, Any]
    lines: list[Line] = field(default_factory=list)
    taken: int = 0
    """So many of the lines are in the store for sure."""
    at_work: dict[str, Any] | None = None
    """Which process works on it, or did until its sudden end."""

    @classmethod
    def open(cls, path: Path, header: dict[str, Any]) -> Journal:
        """The journal to go on with, or a new one. A half-written last line is cut off; another run's is refused."""
        if not path.exists() or _encoded(header).startswith(path.read_bytes()):
            made = cls(path, header)
            if path.exists():
                os.truncate(path, 0)  # ended before its first line was whole
            made._write([header])
            return made
        found = cls.read(path, cut=True)
        for name, value in header.items():
            if found.header.get(name) != value:
                raise BadJournal(f"{path}: {_differs(name, found.header.get(name), value)}")
        return found

    @classmethod
    def read(cls, path: Path, cut: bool = False) -> Journal:
        """A journal as it stands; ``cut``: take a half-written last line off the file too."""
        content = path.read_bytes()
        end = content.rfind(b"\n") + 1
        try:
            rows = [json.loads(row) for row in content[:end].splitlines()]
            if rows[0]["bulk"] != FORMAT:
                raise ValueError(f"format {rows[0]['bulk']!r}")
            found = cls(path, rows[0])._with(rows[1:])
        except (ValueError, LookupError, TypeError) as error:
            raise BadJournal(f"{path}: is no journal of hashloom bulk ({error}); name another file") from None
        if cut and end < len(content):
            os.truncate(path, end)
        return found

    def _with(self, rows: list[dict[str, Any]]) -> Journal:
        for row in rows:
            if "taken" in row:
                self.taken = int(row["taken"])
            elif "at_work" in row:
                self.at_work = row["at_work"] and dict(row["at_work"])
            else:
                lists = {name: tuple(row[name]) for name in ("before", "after", "chances")}
                self.lines.append(Line(**row | lists))
        return self

    def add(self, lines: Iterable[Line]) -> None:
        """Note what will be done."""
        new = list(lines)
        self._write([vars(line) for line in new])
        self.lines += new

    def mark(self) -> None:
        """Note that the store has taken all lines."""
        self.taken = len(self.lines)
        self._write([{"taken": self.taken}])

    @contextmanager
    def at_work_now(self) -> Iterator[None]:
        """Note who works on it, and in the end that nobody does."""
        self._write([{"at_work": {"process": os.getpid(), "host": socket.gethostname(), "since": _now()}}])
        yield
        self._write([{"at_work": None}])

    def _write(self, rows: Iterable[dict[str, Any]]) -> None:
        with open(self.path, "ab", opener=_private) as file:
            file.write(b"".join(map(_encoded, rows)))
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _alone(path: Path, mode: Literal["ab", "rb"] = "ab") -> Iterator[None]:
    """One process at a time works on a journal; its end, also a sudden one, ends the claim."""
    with open(path, mode, opener=_private) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadJournal(f"{path}: {_who(path)} works on it; wait until it has ended, or stop it") from None
        yield


def _who(path: Path) -> str:
    at = Journal.read(path).at_work or {}
    return f"another run (process {at.get('process', '?')} on {at.get('host', '?')}, since {at.get('since', '?')})"


def _differs(name: str, before: Any, now: Any) -> str:
    """Why a journal is not gone on with, and what to do instead."""
    if name == "model":
        said = f"was begun with model {str(before)[:12]}, and {str(now)[:12]} is in use now"
        return f"{said}; name a new journal for it: posts that have tags are not asked again"
    option = "-k" if name == "k" else f"--{name}"
    had, has = ("without " + option if one is None else f"with {option} {one}" for one in (before, now))
    return f"was begun {had}, not {has}; go on as it was begun, or name another journal"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _private(name: str, flags: int) -> int:
    # Ids of people's posts: for the owner alone.
    return os.open(name, flags, 0o600)


def _encoded(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n"


# ---------------------------------------------------------------- tagging


@dataclass
class Bulk:
    """Tags a store's untagged posts with an engine's published model."""

    engine: Engine
    wanted: Wanted
    say: Callable[[str], None] = print

    @property
    def store(self) -> Store:
        """The engine's store."""
        return self.engine.store

    def header(self) -> dict[str, Any]:
        """What a run must have in common with the one that it goes on with."""
        current = self.engine.current
        if current is None:
            raise ValueError("no model is published, or it was refused; name one with --model, or publish one")
        if self.wanted.floor is not None and not current.is_calibrated:
            raise ValueError(
                f"the model ({current.name}) knows no chances, so a floor means nothing; train the recipe calibrated"
            )
        return {"bulk": FORMAT, "model": current.digest, **vars(self.wanted)}

    def plan(self, posts: int | None = None) -> Iterator[Line]:
        """What would be done, post by post, nothing of it done; of ``posts`` posts at most."""
        self.header()
        done = Done()
        for batch in _portions(islice(self._untagged(set()), posts), BATCH):
            yield from self._lines(batch, done)

    def run(self, path: Path, *, posts: int | None = None, seconds: float | None = None) -> Done:
        """Tag what is untagged and not in the journal yet, until all is done or the budget is spent.

        The budget is of posts looked at and of seconds. Whoever calls again goes on where it ended.
        """
        header = self.header()
        with _alone(path):
            journal = Journal.open(path, header)
            if journal.at_work:
                self.say(f"{path}: {_who(path)} did not end by itself; this one goes on")
            with journal.at_work_now():
                return self._run(journal, posts, seconds)

    def _run(self, journal: Journal, posts: int | None, seconds: float | None) -> Done:
        began, done = monotonic(), Done()
        self._finish(journal, done)
        known = {(line.community, line.id) for line in journal.lines}
        asked = 0
        for batch in _portions(self._untagged(known), BATCH):
            late = seconds is not None and monotonic() - began >= seconds
            now = [] if late else batch if posts is None else batch[: posts - asked]
            if now:
                journal.add(self._lines(now, done))
                self._finish(journal, done)
            asked += len(now)
            if len(now) < len(batch):
                done.left = True
                break
        return done

    def _untagged(self, known: set[tuple[str, str]]) -> Iterator[Post]:
        for posts in self.store.posts(self.wanted.community):
            for post in posts:
                if not post.tags and (post.community, post.id) not in known:
                    yield post

    def _lines(self, posts: list[Post], done: Done) -> list[Line]:
        """What the model says to posts; favourites, which a service falls back on, are not good enough here."""
        self.engine.sync()  # what was deleted or denied meanwhile
        with self._pictured(posts) as pictures:
            drafts = [self._draft(post, shown) for post, shown in zip(posts, pictures)]
            answers = self.engine.suggest_many(drafts)
        waiting = self.store.unreviewed([(post.community, post.id) for post in posts])
        lines = []
        for post, answer in zip(posts, answers):
            if answer.way != "model":
                done.failed += 1
                continue
            line = self._line(post, answer, (post.community, post.id) not in waiting)
            done.without += not line.after
            lines.append(line)
        return lines

    @contextmanager
    def _pictured(self, posts: list[Post]) -> Iterator[list[tuple[str, ...]]]:
        """The pictures that the store keeps of each post, as files for as long as a model looks at them."""
        current = self.engine.current
        files: list[str] = []
        made: list[tuple[str, ...]] = []
        for post in posts if current is not None and current.sees else ():
            names = [name for name in post.images if NAME.fullmatch(name)]
            kept = [content for name in names if (content := self.store.get_picture(name, post.community))]
            made.append(tuple(str(self.engine.spool.draft(content)) for content in kept))
            files += made[-1]
        try:
            yield made or [()] * len(posts)
        finally:
            for file in files:
                Path(file).unlink(missing_ok=True)

    def _draft(self, post: Post, pictures: tuple[str, ...]) -> Draft:
        return Draft(
            post.text, post.community, post.user, post.id, k=self.wanted.k, language=post.language, pictures=pictures
        )

    def _line(self, post: Post, answer: Answer, reviewed: bool) -> Line:
        floor = self.wanted.floor
        sure = [one for one in answer.suggestions if floor is None or (one.probability or 0.0) >= floor]
        chances = tuple(None if one.probability is None else round(one.probability, 4) for one in sure)
        return Line(post.community, post.id, post.tags, (*post.tags, *(s.tag for s in sure)), chances, reviewed)

    def _finish(self, journal: Journal, done: Done) -> None:
        """Do what the lines after the last mark promise; what stands in the store already counts as done."""
        promised = [line for line in journal.lines[journal.taken :] if line.after != line.before]
        changed, gone = _change(self.store, [(line, line.before, line.after, False) for line in promised])
        done.tagged, done.gone = done.tagged + changed, done.gone + gone
        if journal.taken < len(journal.lines):
            journal.mark()


def undo(store: Store, path: Path) -> Done:
    """Take the tags of a journal away again; posts that somebody has changed or deleted since are left alone."""
    with _alone(path, "rb"):
        return _undone(store, Journal.read(path))


def _undone(store: Store, journal: Journal) -> Done:
    done = Done()
    for batch in _portions([line for line in journal.lines if line.after != line.before], 1_000):
        changed, gone = _change(store, [(line, line.after, line.before, line.reviewed) for line in batch])
        done.tagged, done.gone = done.tagged + changed, done.gone + gone
    return done


def _change(store: Store, wanted: list[tuple[Line, tuple[str, ...], tuple[str, ...], bool]]) -> tuple[int, int]:
    """Give posts other tags where they have those they should have; gives how many have them, how many do not."""
    done = gone = 0
    parts: dict[bool, list[Post]] = {True: [], False: []}
    there = _there(store, [line for line, *_ in wanted])
    for line, old, new, reviewed in wanted:
        post = there.get((line.community, line.id))
        if post is None or post.tags not in (old, new):
            gone += 1
            continue
        done += 1
        if post.tags != new:
            parts[reviewed].append(replace(post, tags=new))
    for reviewed, posts in parts.items():
        if posts:
            put = store.put_posts(Posts.of(posts), source="api" if reviewed else UNREVIEWED)
            done, gone = done - len(put.refused), gone + len(put.refused)
    return done, gone


def _portions(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most ``size``, read no further than asked for."""
    held = iter(items)
    while some := list(islice(held, size)):
        yield some


def _there(store: Store, lines: list[Line]) -> dict[tuple[str, str], Post]:
    ids: dict[str, list[str]] = {}
    for line in lines:
        ids.setdefault(line.community, []).append(line.id)
    return {(c, post.id): post for c, names in ids.items() for post in store.get_posts(c, names)}
