"""Pictures on their way to a model: checked by content, put into files that nobody else can read, removed after."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashloom.encoders.image._pictures import BadPicture
from hashloom.serve.settings import ServeSettings
from hashloom.types import Posts

if TYPE_CHECKING:
    from hashloom.store import Store

NAME = re.compile("[0-9a-f]{64}")
Picture = Callable[[str, str], bytes | None]
"""Gives the bytes of a picture by its name and community, as ``Store.get_picture`` does."""
KINDS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"GIF8": "image/gif", b"BM": "image/bmp"}

AT_ONCE = 2
"""So many pictures are decoded at a time: each may take hundreds of megabytes meanwhile."""
_TURN = threading.BoundedSemaphore(AT_ONCE)


class TooMany(BadPicture):
    """A picture that was not looked at, since others are."""


def kind_of(content: bytes, settings: ServeSettings) -> str:
    """The media type of a picture; one that cannot be used is refused (``BadPicture``), whatever it is called.

    >>> kind_of(b"%PDF-1.7", ServeSettings())
    Traceback (most recent call last):
    ...
    hashloom.encoders.image._pictures.BadPicture: PDF, not a picture; read are JPEG, PNG, WEBP, GIF, BMP, AVIF
    """
    from hashloom.encoders.image._pictures import Limits, decode

    if len(content) > settings.max_picture:
        raise BadPicture(f"{len(content):,} bytes; {settings.max_picture:,} are read at most")
    limits = Limits(bytes=settings.max_picture, pixels=settings.max_pixels, seconds=settings.picture_seconds)
    if not _TURN.acquire(timeout=settings.picture_seconds):
        raise TooMany("too many pictures are being looked at; send it again later")
    try:
        decode(content, limits, near=256)
    finally:
        _TURN.release()
    known = next((kind for start, kind in KINDS.items() if content.startswith(start)), None)
    return known or ("image/webp" if content[8:12] == b"WEBP" else "image/avif")


def kept(posts: Posts, store: Store, settings: ServeSettings) -> tuple[Posts, list[str]]:
    """The posts with their picture files kept in the store and named as it names them; those that could not be read."""
    import polars as pl

    images = posts.frame["images"].to_list()
    if not any(images):
        return posts, []
    made = [[_kept(path, place, store, settings) for path in row] for row, place in zip(images, posts.communities)]
    named = [[name for name in row if name is not None] for row in made]
    lost = [path for row, names in zip(images, made) for path, name in zip(row, names) if name is None]
    return Posts(posts.frame.with_columns(pl.Series("images", named, dtype=pl.List(pl.String())))), lost


def _kept(path: str, community: str, store: Store, settings: ServeSettings) -> str | None:
    if NAME.fullmatch(path):
        return path
    try:
        content = Path(path).read_bytes()
        return store.put_picture(content, kind_of(content, settings), community)
    except (OSError, BadPicture):
        return None


def sees_pictures(model: Any) -> bool:
    """Whether a model, or one inside it, looks at pictures."""
    return getattr(model, "image", None) is not None or any(sees_pictures(part) for part in model.inside())


class Spool:
    """A folder of picture files for models, under a temporary name; it goes when the service ends."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hashloom-pictures-"))
        self._lock = threading.Lock()
        self._owners: dict[str, str] = {}

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def draft(self, content: bytes) -> Path:
        """A draft's picture as a file; the caller removes it."""
        path = self.folder / f"draft-{uuid.uuid4().hex}"
        _write(path, content)
        return path

    def shown(self, posts: Posts, picture: Picture, seen: bool) -> Posts:
        """The posts with pictures as files (``seen``), or without any for a model that looks at none."""
        import polars as pl

        if not any(posts.frame["images"].list.len()):
            return posts
        rows = zip(posts.frame["images"].to_list(), posts.communities)
        made = [self._files(row, place, picture) if seen else [] for row, place in rows]
        return Posts(posts.frame.with_columns(pl.Series("images", made, dtype=pl.List(pl.String()))))

    def _files(self, names: Sequence[str], community: str, picture: Picture) -> list[str]:
        return [str(path) for name in names if NAME.fullmatch(name) and (path := self._file(name, community, picture))]

    def _file(self, name: str, community: str, picture: Picture) -> Path | None:
        path = self.folder / name
        with self._lock:
            # A file that is there may be another community's.
            if self._owners.get(name) != community or not path.exists():
                content = picture(name, community)
                if content is None:
                    return None
                _write(path, content)
                self._owners[name] = community
        return path

    def forget(self, is_there: Callable[[str], bool]) -> int:
        """Remove the files of pictures that the store has no longer; gives how many."""
        names: Iterable[Path] = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        gone = [path for path in names if not is_there(path.name)]
        for path in gone:
            with self._lock:
                path.unlink(missing_ok=True)
                self._owners.pop(path.name, None)
        return len(gone)


def _write(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all: half a picture would be taken for one later."""
    try:
        path.write_bytes(content)
    except OSError:
        path.unlink(missing_ok=True)
        raise
