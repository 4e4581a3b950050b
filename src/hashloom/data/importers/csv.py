"""CSV with a header (comma, semicolon, tab or bar): columns named as the fields of a post, or by common other names."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hashloom.data.rows import BadInput, Item, Problem, Row
from hashloom.data.unpack import lines, open_bytes
from hashloom.types import POST_FIELDS

ALSO = {
    "id": ("post_id", "postid", "pid", "uuid", "guid", "key"),
    "text": ("body", "caption", "message", "content", "post", "title"),
    "user": ("author", "username", "account", "user_id", "author_id", "owner"),
    "created_at": ("date", "time", "timestamp", "created", "datetime", "published", "published_at", "posted_at"),
    "tags": ("hashtags", "tag", "labels", "keywords"),
    "images": ("image", "picture", "pictures", "photo", "image_path"),
    "community": ("group", "forum", "channel", "site", "subreddit"),
    "language": ("lang",),
}
"""Field → other names by which a column is taken for it, where none has its own."""

MAX_FIELD = 64 << 20
MAX_REPAIRS = 100

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")


def rows(paths: Sequence[Path], *, zone: str | None = None) -> Iterator[Item]:
    """Every row of every file. Cells may hold line breaks; tags in a cell are parted by commas, or else spaces."""
    for path in paths:
        with open_bytes(path) as stream:
            yield from _rows(_Lines(lines(stream, path.name)), path.name)


class _Lines:
    """Lines for the CSV reader, with those of the row at hand kept, so that they can be read again."""

    def __init__(self, source: Iterator[tuple[int, bytes] | Problem]) -> None:
        self.source, self.problems = source, list[Problem]()
        self.held, self.again = list[tuple[int, str]](), list[tuple[int, str]]()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.again.pop() if self.again else self._next()
        self.held.append(line)
        return line[1]

    def _next(self) -> tuple[int, str]:
        for line in self.source:
            if not isinstance(line, Problem):
                # Broken bytes survive as lone surrogates, by which the row that holds them is found.
                return line[0], line[1].decode("utf-8", "surrogateescape") + "\n"
            self.problems.append(line)
        raise StopIteration

    def read_again(self) -> None:
        """Give all but the first line of the row at hand once more."""
        self.again.extend(reversed(self.held[1:]))
        self.held = []


def _rows(source: _Lines, file: str) -> Iterator[Item]:
    csv.field_size_limit(MAX_FIELD)
    header, delimiter = _header(source, file)
    reader, repairs = csv.reader(source, delimiter=delimiter, strict=True), 0
    while True:
        source.held = []
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            start = source.held[0][0] if source.held else None
            yield Problem(file, start, f"broken CSV ({error}); is a quote missing or not doubled?")
            repairs += 1
            if repairs > MAX_REPAIRS:
                raise BadInput(f"{file}:{start}: over {MAX_REPAIRS} broken rows; is this really CSV?") from error
            source.read_again()
            reader = csv.reader(source, delimiter=delimiter, strict=True)
            continue
        if cells:
            yield _row(file, source.held[0][0], header, cells)
    yield from source.problems


def _header(source: _Lines, file: str) -> tuple[list[str], str]:
    """The fields that the columns stand for, and the delimiter: the one that gives most columns."""
    line = next((text for text in source if text.strip()), "")
    delimiter = max(",;\t|", key=lambda sign: len(_cells(line, sign)))
    found = [name.strip() for name in _cells(line, delimiter)]
    names = fields_of(found)
    if "id" not in names or not {"text", "images"} & set(names):
        raise BadInput(
            f"{file}:1: the header must name an id and a text (or images) column; found {', '.join(found)[:200]!r}. "
            f"Taken for them: id, {', '.join(ALSO['id'])}; text, {', '.join(ALSO['text'])}"
        )
    return names, delimiter


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader(io.StringIO(line), delimiter=delimiter), [])


def fields_of(found: Sequence[str]) -> list[str]:
    """The field that each column stands for; a column that stands for none keeps its name.

    >>> fields_of(["ID", "Caption", "Author", "Weather"])
    ['id', 'text', 'user', 'Weather']
    """
    plain = [re.sub(r"[\s-]+", "_", name.lower()) for name in found]
    names = [p if p in POST_FIELDS else name for p, name in zip(plain, found)]
    for field, others in ALSO.items():
        at = next((plain.index(other) for other in others if other in plain), None)
        if field not in names and at is not None:
            names[at] = field
    return names


def _row(file: str, number: int, header: Sequence[str], cells: Sequence[str]) -> Row | Problem:
    if len(cells) > len(header):
        return Problem(
            file, number, f"{len(cells)} cells where the header has {len(header)}; quote cells that hold commas"
        )
    if any(not cell.isascii() and re.search("[\udc80-\udcff]", cell) for cell in cells):
        return Problem(file, number, "broken UTF-8; save the file as UTF-8")
    fields: Mapping[str, str | None] = dict.fromkeys(header) | dict(zip(header, cells))
    return Row(f"{file}:{number}", {name: _value(name, cell) for name, cell in fields.items()})


def _value(name: str, cell: str | None) -> Any:
    """The cell as it stands; in further columns an empty one is missing and whole numbers are numbers."""
    if name in ("text", "images"):
        return cell
    if not cell:
        return None
    return int(cell) if name not in POST_FIELDS and _INTEGER.fullmatch(cell) else cell
