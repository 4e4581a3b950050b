"""Pictures read and decoded safely: what is wrong with one is said, and time and memory are bounded.

The format is decided by content, from a short list; no decoder that runs other programs is ever asked. Sizes are
checked in the header, before room is made for pixels. Of moving pictures the first frame is read.
"""

from __future__ import annotations

import io
import logging
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF")
"""What is read; anything else is refused, whatever its name ends in."""
FOREIGN = {b"%PDF": "PDF", b"%!PS": "PostScript", b"\xc5\xd0\xd3\xc6": "PostScript", b"<svg": "SVG", b"<?xml": "SVG"}
"""How files begin that pretend to be pictures, or nearly are."""
BLOCK = 16 * 1024
"""Bytes given to a decoder at once; between two blocks the clock is looked at."""
ORIENTATION = 0x0112
TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"} | {
    6: "ROTATE_270", 7: "TRANSVERSE", 8: "ROTATE_90"
}  # fmt: skip
"""EXIF orientation → what sets the picture upright."""


class BadPicture(ValueError):
    """A picture that cannot be used; the message says why."""


@dataclass(frozen=True)
class Limits:
    """What a picture may cost."""

    bytes: int = 32_000_000
    pixels: int = 50_000_000
    longest: int = 30_000
    """Pixels of a side, at most."""
    shortest: int = 8
    """Pixels of a side, at least: less shows nothing."""
    seconds: float = 10.0
    """Looked at between blocks of 16 KiB; what one block makes is bounded by the pixels."""


LIMITS = Limits()


def open_picture(path: str | Path, limits: Limits = LIMITS, near: int = 0) -> Image:
    """A picture as 8-bit RGB, upright, transparent parts white.

    ``near``: the shorter side that the caller will scale to; a larger picture may come smaller than it is, but no
    smaller than that. Raises ``BadPicture``.

    >>> open_picture("no/such.jpg")
    Traceback (most recent call last):
    ...
    hashloom.encoders.image._pictures.BadPicture: no such file
    """
    return decode(read(locate(path), limits), limits, near)


def locate(path: str | Path) -> tuple[str, os.stat_result]:
    """Where a picture really lies, and its size and times.

    Raises ``BadPicture`` where there is no plain file, or a link that leads out of the folder it lies in: what a post
    names must not bring a file of another place to light. That the folder itself is reached by a link is its
    owner's choice.
    """
    try:
        given = os.path.abspath(path)
        folder = os.path.realpath(os.path.dirname(given))
        real = os.path.realpath(given)
        found = os.stat(real)
    except FileNotFoundError:
        hint = "; pictures are read from files, not from addresses" if "://" in str(path) else ""
        raise BadPicture(f"no such file{hint}") from None
    except (OSError, ValueError) as error:
        raise BadPicture(f"cannot be found ({error})") from None
    if os.path.commonpath([folder, real]) != folder:
        raise BadPicture("a link that leads out of its folder; put the picture itself there")
    if not stat.S_ISREG(found.st_mode):
        raise BadPicture("no plain file")
    return real, found


def read(place: tuple[str, os.stat_result], limits: Limits = LIMITS) -> bytes:
    """The bytes of a picture that ``locate`` found; never waits for a pipe or a device. Raises ``BadPicture``."""
    real, found = place
    if found.st_size > limits.bytes:
        raise BadPicture(f"{found.st_size:,} bytes; {limits.bytes:,} are read at most")
    try:
        handle = os.open(real, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise BadPicture("no plain file")
            data = file.read(limits.bytes + 1)
    except OSError as error:
        raise BadPicture(f"cannot be read ({error.strerror})") from None
    if not data or len(data) > limits.bytes:
        raise BadPicture("an empty file" if not data else f"more than {limits.bytes:,} bytes")
    return data


def decode(data: bytes, limits: Limits = LIMITS, near: int = 0) -> Image:
    """The picture in bytes, as ``open_picture`` gives it. Raises ``BadPicture``.

    >>> decode(b"%PDF-1.7 ...")
    Traceback (most recent call last):
    ...
    hashloom.encoders.image._pictures.BadPicture: PDF, not a picture; read are JPEG, PNG, WEBP, GIF, BMP, AVIF
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(_Timed(data, limits.seconds), formats=FORMATS) as image:
            _check_size(image.size, limits)
            return _upright(_plain(_loaded(image, near), near), image)
    except BadPicture:
        raise
    except UnidentifiedImageError:
        raise BadPicture(f"{_kind(data)}; read are {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError:
        raise BadPicture(f"far more pixels than {limits.pixels:,}") from None
    except Exception as error:  # decoders meet damaged and hostile bytes, and fail in any way
        raise BadPicture(f"damaged ({str(error)[:100] or type(error).__name__})") from None


class _Timed(io.BytesIO):
    """Bytes that are given out until the time is up."""

    def __init__(self, data: bytes, seconds: float) -> None:
        super().__init__(data)
        self.seconds, self.end = seconds, time.monotonic() + seconds

    def read(self, size: int | None = -1, /) -> bytes:
        if time.monotonic() > self.end:
            raise BadPicture(f"takes longer than {self.seconds:g} s to decode")
        return super().read(size)


def _check_size(size: tuple[int, int], limits: Limits) -> None:
    wide, high = size
    said = f"{wide:,} x {high:,} pixels"
    if min(size) < limits.shortest:
        raise BadPicture(f"{said}; {limits.shortest} a side are needed")
    if wide * high > limits.pixels or max(size) > limits.longest:
        raise BadPicture(f"{said}; at most {limits.pixels:,} are decoded, and {limits.longest:,} a side")


def _kind(data: bytes) -> str:
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    kind = next((kind for magic, kind in FOREIGN.items() if start.startswith(magic.lower())), "")
    return f"{kind}, not a picture" if kind else "no picture of a known format"


def _loaded(image: Image, near: int) -> Image:
    """The first frame, where the format can do so already scaled down while decoding."""
    image.decodermaxblock = BLOCK  # type: ignore[attr-defined]
    if near and image.format == "JPEG" and not _is_progressive(image):
        image.draft(None, (near, near))
    image.load()
    factor = min(image.size) // near if near else 1
    return image.reduce(factor) if factor > 1 and image.mode in ("L", "RGB", "RGBA") else image


def _is_progressive(image: Image) -> bool:
    # Scaled while decoding, a progressive picture saves no time and comes with errors of its own.
    return bool(image.info.get("progressive") or image.info.get("progression"))


def _plain(image: Image, near: int) -> Image:
    """8-bit RGB of any mode; what is transparent becomes white."""
    from PIL import Image

    if image.mode.startswith("I"):  # 16 bit, grey
        values = np.asarray(image).astype(np.int64) >> 8
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    seen = image.convert("RGBA")
    ground = Image.new("RGBA", seen.size, "white")
    ground.alpha_composite(seen)
    return ground.convert("RGB")


def _upright(picture: Image, image: Image) -> Image:
    from PIL import Image

    turn = TURNS.get(_orientation(image))
    return picture.transpose(Image.Transpose[turn]) if turn else picture


def _orientation(image: Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception as error:  # damaged notes beside a sound picture are no reason to lose it
        log.debug("EXIF cannot be read: %s", error)
        return 1


def is_turned(image: Image) -> bool:
    """Whether width and height change places when an opened picture is set upright."""
    return _orientation(image) in (5, 6, 7, 8)
