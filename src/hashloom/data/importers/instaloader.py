"""A folder that Instaloader wrote: JSON or JSON.xz per post with its .txt caption and pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hashloom.data.rows import BadInput, Item, Problem, Row, Skip
from hashloom.data.unpack import load_json, must_be_file

PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".heic"}

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)_(\d\d)-(\d\d)-(\d\d)_UTC$")
_NO_POST = re.compile(r"_comments\.json$|^iterator_|^resume_info_")


def rows(paths: Sequence[Path], *, zone: str | None = None) -> Iterator[Item]:
    """Every post of every folder (and of those inside); posts kept without JSON are read from .txt and pictures."""
    for path in paths:
        if path.is_dir():
            folders = sorted({file.parent for file in path.rglob("*") if file.is_file()})
            if not folders:
                raise BadInput(f"{path}: holds no files; name the folder that Instaloader wrote")
            for folder in folders:
                yield from _folder(sorted(file for file in folder.iterdir() if file.is_file()))
        else:
            yield _post(must_be_file(path), _beside(sorted(path.parent.iterdir())))


def _folder(files: Sequence[Path]) -> Iterator[Item]:
    beside, told = _beside(files), set()
    for file in files:
        if file.name.endswith((".json", ".json.xz")) and not _NO_POST.search(file.name):
            told.add(_base(file))
            yield _post(file, beside)
    for base, parts in beside.items():
        if base not in told and _MOMENT.search(base):
            yield _untold(base, parts)


def _base(file: Path) -> str:
    return re.sub(r"\.json(\.xz)?$|\.[a-z0-9]+$", "", file.name)


def _beside(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Captions and pictures by the name of the post that they stand beside."""
    found: dict[str, list[Path]] = {}
    for file in files:
        if file.suffix.lower() in PICTURES | {".txt"}:
            base = _base(file)
            found.setdefault(re.sub(r"(_UTC)_\d{1,3}$", r"\1", base), []).append(file)
    return found


def _post(file: Path, beside: dict[str, list[Path]]) -> Item:
    try:
        document = load_json(file)
    except BadInput as error:
        return Problem(file.name, None, str(error).removeprefix(f"{file.name}: "))
    if isinstance(document, dict) and (kind := _kind(document)) != "Post":
        return Skip(f"{kind} files")
    node = document.get("node", document) if isinstance(document, dict) else None
    if not isinstance(node, dict) or not (node.get("shortcode") or node.get("code")):
        return Problem(file.name, None, "no post of Instaloader's: it has no 'node' with a 'shortcode'")
    parts = beside.get(_base(file), []) or _numbered(_base(file), beside)
    return Row(file.name, _fields(node, parts, file.parent.name))


def _numbered(base: str, beside: dict[str, list[Path]]) -> list[Path]:
    """Pictures of a post of many whose name does not end in a time (other file-name patterns)."""
    return [
        file for name, files in beside.items() if re.fullmatch(re.escape(base) + r"_\d{1,3}", name) for file in files
    ]


def _kind(document: dict[str, Any]) -> str:
    told = document.get("instaloader")
    kind = told.get("node_type") if isinstance(told, dict) else None
    return kind if isinstance(kind, str) else "Post"


def _fields(node: dict[str, Any], parts: Sequence[Path], folder: str) -> dict[str, Any]:
    caption = _within(node, "edge_media_to_caption", "edges", 0, "node", "text") or _caption(node)
    likes = _within(node, "edge_media_preview_like", "count")
    likes = _within(node, "edge_liked_by", "count") if likes is None else likes
    talk = [
        _within(node, f"edge_media_{name}", "count") for name in ("to_comment", "to_parent_comment", "preview_comment")
    ]
    return {
        "id": node.get("shortcode") or node.get("code"),
        "community": "instagram",
        "user": _within(node, "owner", "username") or _within(node, "owner", "id") or folder,
        "created_at": node.get("taken_at_timestamp", node.get("date")),
        "text": caption if isinstance(caption, str) else _text(parts),
        "images": _pictures(parts),
        # Instagram says -1 where its author hides the number.
        "likes": None if likes == -1 else likes,
        "comments": next((count for count in talk if count is not None and count != -1), None),
        "views": node.get("video_view_count"),
        "is_video": node.get("is_video"),
        "user_followers": _within(node, "owner", "edge_followed_by", "count"),
    }


def _caption(node: dict[str, Any]) -> Any:
    caption = node.get("caption")
    return caption.get("text") if isinstance(caption, dict) else caption


def _within(value: Any, *steps: str | int) -> Any:
    """What lies at the end of the steps, or None where a step is missing."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def _untold(base: str, parts: Sequence[Path]) -> Row:
    day, hour, minute, second = _MOMENT.search(base).groups()  # type: ignore[union-attr]
    folder = parts[0].parent.name
    fields = {"id": f"{folder}/{base}", "community": "instagram", "user": folder, "text": _text(parts)}
    fields["created_at"] = f"{day}T{hour}:{minute}:{second}Z"
    return Row(parts[0].name, fields | {"images": _pictures(parts)})


def _text(parts: Sequence[Path]) -> str:
    caption = next((file for file in parts if file.suffix == ".txt"), None)
    return caption.read_bytes().decode("utf-8-sig", "replace").strip() if caption else ""


def _pictures(parts: Sequence[Path]) -> list[str]:
    def place(file: Path) -> int:
        number = re.search(r"_(\d{1,3})\.\w+$", file.name)
        return int(number[1]) if number else 0

    return [str(file) for file in sorted(parts, key=place) if file.suffix.lower() in PICTURES]
