"""The SMP Challenge files (Wu et al., ACM Multimedia 2019): *_text.json, *_category.json, *_label.txt and their kin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hashloom.data.rows import BadInput, Item, Problem, Row
from hashloom.data.unpack import load_json, must_be_file, open_bytes, whole

_PART = re.compile(
    r"(?P<set>.*?)_?(?P<part>text|category|temporalspatial_information|additional_information|additional"
    r"|label|img_filepath|img_path)\.(json|txt)"
)
_JSON = ("temporalspatial_information", "category", "additional_information", "additional", "text")
_LINES = ("label", "img_filepath", "img_path")

Parts = dict[str, Path]
Record = dict[str, Any]


def rows(paths: Sequence[Path], *, zone: str | None = None) -> Iterator[Item]:
    """Every post of every set (train, test, …) found; the files of a set are joined by user and post id.

    ``popularity`` is the label; the community is ``smp``; category, subcategory, concept and place are carried along.
    """
    sets = _sets(paths)
    if not any("text" in parts for parts in sets.values()):
        raise BadInput(f"{paths[0]}: no *_text.json; name the folder that holds the SMP files")
    for parts in sets.values():
        if "text" in parts:
            yield from _set(parts)


def _sets(paths: Sequence[Path]) -> dict[str, Parts]:
    """Set (folder and prefix) → part → file."""
    found: dict[str, Parts] = {}
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [must_be_file(path)]:
            if file.is_file() and (match := _PART.fullmatch(file.name)):
                found.setdefault(f"{file.parent}/{match['set']}", {})[match["part"]] = file
    return found


def _set(parts: Parts) -> Iterator[Item]:
    texts = _records(parts["text"])
    others = [_joined(_records(parts[name])) for name in _JSON[:-1] if name in parts]
    labels, images = _column(parts, "label", len(texts)), _column(parts, "img_filepath", len(texts))
    images = images or _column(parts, "img_path", len(texts))
    file = parts["text"].name
    for at, text in enumerate(texts):
        if (key := _key(text)) is None:
            yield Problem(file, at + 1, "a record needs Uid and Pid")
            continue
        record = {name: value for other in others for name, value in other.get(key, {}).items()} | text
        image = [str(parts["text"].parent / images[at])] if images else []
        yield Row(f"{file}:{at + 1}", _fields(record, key, labels[at] if labels else None, image))


def _records(file: Path) -> list[Record]:
    """Records with lower-case names, from a list of objects or from one object of columns."""
    document = load_json(file)
    if isinstance(document, dict) and document and all(isinstance(c, dict | list) for c in document.values()):
        columns = [list(c.values()) if isinstance(c, dict) else c for c in document.values()]
        if len({len(column) for column in columns}) > 1:
            raise BadInput(f"{file.name}: its columns have different lengths; fetch it again")
        document = [dict(zip(document, values)) for values in zip(*columns)]
    if not isinstance(document, list):
        raise BadInput(f"{file.name}: must be a list of records or an object of columns")
    return [{str(name).lower(): v for name, v in r.items()} if isinstance(r, dict) else {} for r in document]


def _key(record: Record) -> str | None:
    user, post = record.get("uid"), record.get("pid")
    return None if user is None or post is None else f"{user}/{post}"


def _joined(records: list[Record]) -> dict[str, Record]:
    return {key: record for record in records if (key := _key(record)) is not None}


def _column(parts: Parts, name: str, count: int) -> list[str]:
    """The lines of a file that goes with the texts by order; another number of lines is refused."""
    if name not in parts:
        return []
    with open_bytes(parts[name]) as stream:
        values = whole(stream, parts[name].name).decode("utf-8-sig", "replace").split()
    if len(values) != count:
        pair = f"{parts[name].name} has {len(values):,} lines, {parts['text'].name} {count:,} records"
        raise BadInput(f"{pair}: they do not belong together; fetch both again")
    return values


def _fields(record: Record, key: str, label: str | None, image: list[str]) -> Record:
    title = record.get("title")
    return {
        "id": key,
        "community": "smp",
        "user": record.get("uid"),
        "created_at": record.get("postdate"),
        "text": "" if title is None else str(title),
        "tags": str(record.get("alltags") or "").split(),
        "images": image,
        "popularity": label,
        "category": record.get("category"),
        "subcategory": record.get("subcategory"),
        "concept": record.get("concept"),
        "mediatype": record.get("mediatype"),
        "latitude": record.get("latitude"),
        "longitude": record.get("longitude"),
    }
