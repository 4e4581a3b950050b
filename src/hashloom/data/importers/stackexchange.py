"""A Stack Exchange dump: the questions in Posts.xml, by itself, in a folder, or in the site's .7z."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from xml.parsers import expat

from hashloom.data.markup import plain
from hashloom.data.rows import BadInput, Item, Problem, Row
from hashloom.data.unpack import must_be_file, open_bytes, seven_zip_member

CHUNK = 1 << 20


def rows(paths: Sequence[Path], *, zone: str | None = None) -> Iterator[Item]:
    """Every question of every dump; the community is the site's name, times are UTC as the dump states them."""
    for path in _dumps(paths):
        if path.suffix == ".7z":
            with seven_zip_member(path, "*Posts.xml") as stream:
                yield from _questions(stream, f"{path.name}/Posts.xml", site_of(path.stem))
        else:
            with open_bytes(path) as stream:
                yield from _questions(stream, f"{path.parent.name}/{path.name}", site_of(path.resolve().parent.name))


def site_of(name: str) -> str:
    """The community that a dump's file or folder is named after.

    >>> site_of("cooking.stackexchange.com"), site_of("stackoverflow.com-Posts"), site_of("cooking")
    ('cooking', 'stackoverflow', 'cooking')
    """
    return re.sub(r"(\.stackexchange)?(\.com)?(-Posts)?$", "", name)


def _dumps(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield must_be_file(path)
            continue
        found = sorted([*path.rglob("Posts.xml"), *path.rglob("*.7z")])
        if not found:
            raise BadInput(f"{path}: holds no Posts.xml and no .7z; name the folder of a Stack Exchange dump")
        yield from found


class _Parser:
    """Feeds lines to expat; after a broken one it starts afresh at the next, so that one bad row costs one row."""

    def __init__(self, file: str) -> None:
        self.file, self.found, self.closed = file, list[dict[str, str]](), False
        self._start(None)

    def _start(self, opening: bytes | None) -> None:
        self.expat = expat.ParserCreate()
        self.expat.StartElementHandler = self._element
        self.expat.EndElementHandler = self._end
        self.expat.StartDoctypeDeclHandler = self._refuse
        self.expat.EntityDeclHandler = self._refuse
        if opening:
            self.expat.Parse(opening, False)

    def _element(self, name: str, attributes: dict[str, str]) -> None:
        if name == "row":
            self.found.append(attributes)

    def _end(self, name: str) -> None:
        self.closed = self.closed or name == "posts"

    def _refuse(self, *_: Any) -> None:
        raise BadInput(f"{self.file}: declares a document type or entities, which no dump does; refused")

    def feed(self, data: bytes) -> str | None:
        """Parse some bytes; returns what is wrong with them, if anything."""
        try:
            self.expat.Parse(data, False)
        except expat.ExpatError as error:
            self._start(b"<posts>")
            return expat.ErrorString(error.code)
        return None


def _questions(stream: BinaryIO, file: str, site: str) -> Iterator[Item]:
    parser, number, broken = _Parser(file), 0, False
    while data := stream.readline(CHUNK):
        number += data.endswith(b"\n")
        line = max(number, 1)
        if broken:
            broken = not data.endswith(b"\n")
            continue
        if reason := parser.feed(data):
            broken = not data.endswith(b"\n")
            yield Problem(file, line, f"broken XML ({reason})")
        for attributes in parser.found:
            if attributes.get("PostTypeId") == "1":
                yield Row(f"{file}:{line}", _fields(attributes, site), hashtags=False)
        parser.found.clear()
    if not parser.closed:
        yield Problem(file, None, "ends before </posts>: truncated? fetch the dump again")


def _fields(row: dict[str, str], site: str) -> dict[str, Any]:
    title = row.get("Title", "")
    created = row.get("CreationDate")
    return {
        "id": f"{site}:{row['Id']}" if "Id" in row else None,
        "community": site,
        "user": row.get("OwnerUserId"),
        # The dump writes UTC without saying so.
        "created_at": f"{created}Z" if created and not created.endswith("Z") else created,
        "text": f"{title}\n{plain(row.get('Body', ''))}".strip(),
        "tags": [tag for tag in re.split(r"[<>|]+", row.get("Tags", "")) if tag],
        "views": row.get("ViewCount"),
        "comments": row.get("CommentCount"),
        "title": title or None,
        "score": _whole(row.get("Score")),
    }


def _whole(value: str | None) -> int | None:
    return int(value) if value and re.fullmatch(r"-?\d{1,18}", value) else None
