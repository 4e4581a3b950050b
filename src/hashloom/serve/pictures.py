"""Pictures on their way to a model: checked by content, put into files that nobody else can read, removed after."""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from hashloom.serve.settings import ServeSettings
from hashloom.types import Posts

NAME = re.compile("[0-9a-f]{64}")
KINDS = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png", b"GIF8": "image/gif", b"BM": "image/bmp"}


def kind_of(content: bytes, settings: ServeSettings) -> str:
    """The media type of a picture; one that cannot be used is refused (``BadPicture``), whatever it is called.

    >>> kind_of(b"%PDF-1.7", ServeSettings())
    Traceback (most recent call last):
    ...
    hashloom.encoders.image._pictures.BadPicture: PDF, not a picture; read are JPEG, PNG, WEBP, GIF, BMP, AVIF
    """
    from hashloom.encoders.image._pictures import BadPicture, Limits, decode

    if len(content) > settings.max_picture:
        raise BadPicture(f"{len(content):,} bytes; {settings.max_picture:,} are read at most")
    limits = Limits(bytes=settings.max_picture, pixels=settings.max_pixels, seconds=settings.picture_seconds)
    decode(content, limits, near=256)
    known = next((kind for start, kind in KINDS.items() if content.startswith(start)), None)
    return known or ("image/webp" if content[8:12] == b"WEBP" else "image/avif")


def sees_pictures(model: Any) -> bool:
    """Whether a model, or one inside it, looks at pictures."""
    return getattr(model, "image", None) is not None or any(sees_pictures(part) for part in model.inside())


class Spool:
    """A folder of picture files for models, under a temporary name; it goes when the service ends."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hashloom-pictures-"))
        self._lock = threading.Lock()

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def draft(self, content: bytes) -> Path:
        """A draft's picture as a file; the caller removes it."""
        path = self.folder / f"draft-{uuid.uuid4().hex}"
        path.write_bytes(content)
        return path

    def shown(self, posts: Posts, picture: Callable[[str], bytes | None], seen: bool) -> Posts:
        """The posts with pictures as files (``seen``), or without any for a model that looks at none."""
        import polars as pl

        if not any(posts.frame["images"].list.len()):
            return posts
        made = [self._files(row, picture) if seen else [] for row in posts.frame["images"].to_list()]
        return Posts(posts.frame.with_columns(pl.Series("images", made, dtype=pl.List(pl.String()))))

    def _files(self, names: Sequence[str], picture: Callable[[str], bytes | None]) -> list[str]:
        return [str(path) for name in names if NAME.fullmatch(name) and (path := self._file(name, picture))]

    def _file(self, name: str, picture: Callable[[str], bytes | None]) -> Path | None:
        path = self.folder / name
        with self._lock:
            if not path.exists():
                content = picture(name)
                if content is None:
                    return None
                path.write_bytes(content)
        return path

    def forget(self, is_there: Callable[[str], bool]) -> int:
        """Remove the files of pictures that the store has no longer; gives how many."""
        names: Iterable[Path] = [path for path in self.folder.iterdir() if NAME.fullmatch(path.name)]
        gone = [path for path in names if not is_there(path.name)]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)
