"""An X/Twitter archive: data/tweets.js, by itself, in the archive's folder, or in its .zip."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from hashloom.data.rows import BadInput, Item, Problem, Row, Skip
from hashloom.data.unpack import must_be_file, open_bytes, parse_json, whole, zip_members

_TWEETS = re.compile(r"(^|/)tweets?(-part\d+)?\.js$")
_ACCOUNT = re.compile(r"(^|/)account\.js$")
_ASSIGNMENT = re.compile(r"\s*window\.YTD\.\w+\.part\d+\s*=\s*")


def rows(paths: Sequence[Path], *, zone: str | None = None) -> Iterator[Item]:
    """Every post of the archive's author; retweets are skipped and counted. The community is ``x``."""
    for path in paths:
        if path.suffix.lower() == ".zip":
            with zip_members(path, lambda name: bool(_TWEETS.search(name) or _ACCOUNT.search(name))) as members:
                yield from _archive({f"{path.name}/{name}": opens for name, opens in members.items()}, path, None)
        else:
            files = [f for f in sorted(path.rglob("*.js")) if path.is_dir()] or [must_be_file(path)]
            files += [beside for f in files if (beside := f.with_name("account.js")).exists() and beside not in files]
            yield from _archive({f.as_posix(): _opener(f) for f in files}, path, files[0].parent)


def _opener(file: Path) -> Callable[[], BinaryIO]:
    return lambda: open_bytes(file)


def _archive(members: dict[str, Callable[[], BinaryIO]], path: Path, folder: Path | None) -> Iterator[Item]:
    wanted = {name: opens for name, opens in members.items() if _TWEETS.search(name)}
    if not wanted:
        raise BadInput(f"{path}: holds no tweets.js; name the archive's .zip, its folder or data/tweets.js")
    account = next((_listed(opens, name) for name, opens in members.items() if _ACCOUNT.search(name)), [])
    user, pictures = _username(account), _pictures(folder) if folder else {}
    for name, opens in wanted.items():
        for at, entry in enumerate(_listed(opens, name), 1):
            yield _post(name.rsplit("/", 1)[-1], at, entry, user, pictures)


def _username(account: list[Any]) -> str | None:
    for entry in account[:1]:
        details = entry.get("account") if isinstance(entry, dict) else None
        name = details.get("username") if isinstance(details, dict) else None
        return name if isinstance(name, str) else None
    return None


def _listed(opens: Callable[[], BinaryIO], name: str) -> list[Any]:
    """The array that a file of the archive assigns to a variable."""
    file = name.rsplit("/", 1)[-1]
    with opens() as stream:
        data = whole(stream, file)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: broken UTF-8 at byte {error.start:,}; unpack the archive again") from None
    listed = parse_json(_ASSIGNMENT.sub("", text, count=1).rstrip().rstrip(";"), file)
    if not isinstance(listed, list):
        raise BadInput(f"{file}: holds no list of posts; is this the archive's tweets.js?")
    return listed


def _pictures(folder: Path) -> dict[str, list[str]]:
    """Post id → pictures in the archive's media folder, which are named ID-NAME.jpg."""
    found: dict[str, list[str]] = {}
    for file in sorted(folder.glob("tweet*_media/*")):
        if file.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp", ".gif"):
            found.setdefault(file.name.split("-")[0], []).append(str(file))
    return found


def _post(file: str, at: int, entry: Any, user: str | None, pictures: dict[str, list[str]]) -> Item:
    tweet = entry.get("tweet", entry) if isinstance(entry, dict) else None
    if not isinstance(tweet, dict):
        return Problem(file, at, "an entry must be an object with a 'tweet'")
    text = tweet.get("full_text", tweet.get("text"))
    if not isinstance(text, str):
        return Problem(file, at, "no full_text")
    if text.startswith("RT @"):
        return Skip("retweets")
    id = tweet.get("id_str") or tweet.get("id")
    entities = tweet.get("entities") if isinstance(tweet.get("entities"), dict) else {}
    language = tweet.get("lang")
    fields = {
        "id": id,
        "community": "x",
        "user": user,
        "created_at": _iso(tweet.get("created_at")),
        "text": _text(text, entities),
        "images": pictures.get(str(id)) or _links(tweet),
        "tags": [tag["text"] for tag in _dicts(entities, "hashtags") if isinstance(tag.get("text"), str)],
        "language": None if language in ("und", "zxx", "qme", "qht", "qam") else language,
        "likes": tweet.get("favorite_count"),
        "retweets": _count(tweet.get("retweet_count")),
        "reply": bool(tweet.get("in_reply_to_status_id_str") or tweet.get("in_reply_to_status_id")),
    }
    return Row(f"{file}:{at}", fields)


def _dicts(holder: Any, name: str) -> list[dict[str, Any]]:
    listed = holder.get(name) if isinstance(holder, dict) else None
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def _iso(created: Any) -> Any:
    """X writes 'Wed Oct 10 20:19:24 +0000 2018'; anything else is left for the check of times."""
    try:
        return datetime.strptime(created, "%a %b %d %H:%M:%S %z %Y").isoformat()
    except (TypeError, ValueError):
        return created


def _text(text: str, entities: Any) -> str:
    """Short links written out, those to the post's own media taken out, entities resolved."""
    for link in _dicts(entities, "urls"):
        if isinstance(link.get("url"), str) and link["url"] and isinstance(link.get("expanded_url"), str):
            text = text.replace(link["url"], link["expanded_url"])
    for media in _dicts(entities, "media"):
        if isinstance(media.get("url"), str) and media["url"]:
            text = text.replace(media["url"], "")
    return html.unescape(text).strip()


def _links(tweet: dict[str, Any]) -> list[str]:
    media = _dicts(tweet.get("extended_entities"), "media") or _dicts(tweet.get("entities"), "media")
    return [
        m["media_url_https"] for m in media if m.get("type") == "photo" and isinstance(m.get("media_url_https"), str)
    ]


def _count(value: Any) -> int | None:
    return int(value) if re.fullmatch(r"\d{1,18}", str(value)) else None
