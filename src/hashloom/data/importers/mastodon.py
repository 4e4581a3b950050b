"""A Mastodon outbox (ActivityPub JSON): outbox.json, by itself, in the export's folder, or in its .zip or .tar.gz."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hashloom.data.markup import plain
from hashloom.data.rows import BadInput, Item, Problem, Row, Skip
from hashloom.data.unpack import load_json, parse_json, tar_member, whole, zip_members

PUBLIC = {"https://www.w3.org/ns/activitystreams#Public", "as:Public", "Public"}


def rows(paths: Sequence[Path], *, zone: str | None = None) -> Iterator[Item]:
    """Every public post of the outbox; boosts, and posts to followers or single people, are skipped and counted."""
    for path in paths:
        file = path / "outbox.json" if path.is_dir() else path
        outbox = _document(file)
        items = outbox.get("orderedItems") if isinstance(outbox, dict) else None
        if not isinstance(items, list):
            raise BadInput(f"{file}: has no 'orderedItems'; name the outbox.json of a Mastodon export")
        for at, activity in enumerate(items, 1):
            yield _post(file, at, activity)


def _document(file: Path) -> Any:
    name = file.name.lower()
    if name.endswith(".zip"):
        with zip_members(file, lambda member: member.rsplit("/", 1)[-1] == "outbox.json") as members:
            for member, opens in members.items():
                with opens() as stream:
                    return parse_json(whole(stream, member), f"{file.name}/{member}")
    elif name.endswith((".tar.gz", ".tgz", ".tar")):
        if (data := tar_member(file, "*outbox.json")) is not None:
            return parse_json(data, f"{file.name}/outbox.json")
    else:
        return load_json(file)
    raise BadInput(f"{file.name}: holds no outbox.json; name the archive that Mastodon exports")


def _post(file: Path, at: int, activity: Any) -> Item:
    if not isinstance(activity, dict):
        return Problem(file.name, at, "an activity must be an object")
    if activity.get("type") == "Announce":
        return Skip("boosts")
    note = activity.get("object")
    if activity.get("type") != "Create" or not isinstance(note, dict):
        return Skip(f"{str(activity.get('type'))[:40]} activities")
    if note.get("type") not in ("Note", "Question", "Article"):
        return Skip(f"{str(note.get('type'))[:40]} objects")
    if not PUBLIC & {
        *_strings(activity, "to"),
        *_strings(activity, "cc"),
        *_strings(note, "to"),
        *_strings(note, "cc"),
    }:
        return Skip("posts that are not public")
    content = note.get("content")
    if not isinstance(content, str):
        return Problem(file.name, at, "a note without content")
    return Row(f"{file.name}:{at}", _fields(activity, note, content, file.parent))


def _fields(activity: dict[str, Any], note: dict[str, Any], content: str, folder: Path) -> dict[str, Any]:
    actor = next(iter(_strings(note, "attributedTo") + _strings(activity, "actor")), "")
    warning = note.get("summary")
    languages = note.get("contentMap")
    return {
        "id": note.get("id") or activity.get("id"),
        "community": urlsplit(actor).hostname or "mastodon",
        "user": actor.rstrip("/").rsplit("/", 1)[-1].lstrip("@") or None,
        "created_at": note.get("published") or activity.get("published"),
        "text": "\n".join(part for part in (warning, plain(content)) if isinstance(part, str) and part),
        "images": [_place(link, folder) for link in _images(note)],
        "tags": [tag["name"] for tag in _tags(note)],
        "language": next(iter(languages), None) if isinstance(languages, dict) else None,
        "likes": _total(note.get("likes")),
        "comments": _total(note.get("replies")),
        "boosts": _total(note.get("shares")),
        "reply": bool(note.get("inReplyTo")),
    }


def _strings(holder: dict[str, Any], name: str) -> list[str]:
    value = holder.get(name)
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]


def _dicts(holder: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = holder.get(name)
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


def _tags(note: dict[str, Any]) -> list[dict[str, Any]]:
    return [tag for tag in _dicts(note, "tag") if tag.get("type") == "Hashtag" and isinstance(tag.get("name"), str)]


def _images(note: dict[str, Any]) -> list[str]:
    files = _dicts(note, "attachment")
    return [f["url"] for f in files if str(f.get("mediaType")).startswith("image/") and isinstance(f.get("url"), str)]


def _place(link: str, folder: Path) -> str:
    """The export names pictures by their path in it; one that lies there is given with its folder."""
    if "://" in link or ".." in link:
        return link
    local = folder / link.lstrip("/")
    return str(local) if local.exists() else link


def _total(collection: Any) -> Any:
    return collection.get("totalItems") if isinstance(collection, dict) else None
