"""Good and bad pictures, drawn or forged here; no file of anyone else's is needed."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def drawn(side: int = 64, seed: int = 0) -> Image.Image:
    """A picture with colour, edges and texture, red at the top left."""
    draw = np.random.default_rng(seed)
    values = np.full((side, side, 3), 120, np.uint8)
    values[:, side // 2 :] = draw.integers(0, 256, (side, side - side // 2, 3))
    values[: side // 2, : side // 2] = (220, 20, 20)
    return Image.fromarray(values)


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(wide: int, high: int, data: bytes = b"", more: bytes = b"") -> bytes:
    """A PNG that states a size and holds what it likes."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + more + chunk(b"IDAT", data or zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def stating(data: bytes, at: int, how: str, side: int) -> bytes:
    """A picture whose header states another size."""
    size = struct.pack(how, side, side)
    return data[:at] + size + data[at + len(size) :]


def gif_frames(frames: int) -> bytes:
    """A GIF of very many frames."""
    one = encoded(Image.new("P", (32, 32)), "GIF")
    start = one.index(b",")
    return one[:start] + one[start:-1] * frames + b";"


def webp_canvas(side: int) -> bytes:
    """A WebP whose header states a canvas that its one small frame does not have."""
    inner = encoded(Image.new("RGB", (16, 16)), "WEBP", lossless=True)[12:]
    size = (side - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + b"\0\0\0\0" + size + size + inner
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def endless_scans() -> bytes:
    """A progressive JPEG that refines the same picture over and over."""
    data = encoded(Image.new("RGB", (4000, 4000), "teal"), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * 40_000 + data[-2:]


JPEG_SIZE = encoded(drawn(), "JPEG").index(b"\xff\xc0") + 5
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n(/tmp/owned) (w) file closefile\nshowpage\n"
SVG = b'<?xml version="1.0"?><!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="s">&x;</svg>'
FORGED: dict[str, tuple[Callable[[], bytes], str]] = {
    "zero.png": (lambda: b"", "an empty file"),
    "truncated.jpg": (lambda: encoded(drawn(), "JPEG")[:-600], "damaged"),
    "truncated.png": (lambda: encoded(drawn(), "PNG")[:-600], "damaged"),
    "truncated.gif": (lambda: encoded(drawn().convert("P"), "GIF")[:900], "damaged"),
    "head.jpg": (lambda: encoded(drawn(), "JPEG")[:20], "no picture of a known format"),
    "flipped.png": (lambda: encoded(drawn(), "PNG").replace(b"IDAT", b"IDAX"), "no picture of a known format"),
    "dot.png": (lambda: encoded(Image.new("RGB", (1, 1)), "PNG"), "1 x 1 pixels"),
    "line.png": (lambda: encoded(Image.new("L", (1, 100_000)), "PNG"), "1 x 100,000 pixels"),
    "long.png": (lambda: encoded(Image.new("L", (9, 100_000)), "PNG"), "9 x 100,000 pixels"),
    "bomb.png": (lambda: png(12_000, 9_000), "12,000 x 9,000 pixels"),
    "huge.png": (lambda: png(65_535, 65_535), "far more pixels"),
    "zeros.png": (lambda: png(7_000, 7_000, zlib.compress(b"\0" * 1_000)), "damaged"),
    "text.png": (lambda: png(9, 9, more=chunk(b"zTXt", b"a\0\0" + zlib.compress(b"\0" * 90_000_000))), "damaged"),
    "bomb.gif": (lambda: stating(encoded(drawn().convert("P"), "GIF"), 6, "<HH", 65_535), "far more pixels"),
    "bomb.bmp": (lambda: stating(encoded(drawn(), "BMP"), 18, "<ii", 60_000), "far more pixels"),
    "bomb.jpg": (lambda: stating(encoded(drawn(), "JPEG"), JPEG_SIZE, ">HH", 65_000), "far more pixels"),
    "bomb.webp": (lambda: webp_canvas(16_384), "far more pixels"),
    "script.png": (lambda: EPS, "PostScript, not a picture"),
    "vector.png": (lambda: SVG, "SVG, not a picture"),
    "page.png": (lambda: b"%PDF-1.7\n1 0 obj", "PDF, not a picture"),
    "scan.png": (lambda: encoded(drawn(), "TIFF"), "no picture of a known format"),
    "icon.png": (lambda: encoded(drawn(), "ICO"), "no picture of a known format"),
    "words.jpg": (lambda: b"First rye loaf of the year", "no picture of a known format"),
}
"""Name → what the file holds, and what is said of it."""
PLACES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing.jpg": (lambda path: None, "no such file"),
    "folder.jpg": (lambda path: path.mkdir(), "no plain file"),
    "pipe.jpg": (lambda path: os.mkfifo(path), "no plain file"),
    "away.jpg": (lambda path: path.symlink_to("/etc/hostname"), "leads out of its folder"),
    "device.jpg": (lambda path: path.symlink_to("/dev/zero"), "leads out of its folder"),
    "loop.jpg": (lambda path: path.symlink_to(path), ""),
    "nowhere.jpg": (lambda path: path.symlink_to(path.parent / "gone.jpg"), "no such file"),
}
"""Name → how the place is made, and what is said of it."""


def forge(folder: Path) -> dict[str, str]:
    """Every bad picture in a folder: path → what is said of it."""
    for name, (make, _) in FORGED.items():
        (folder / name).write_bytes(make())
    for name, (place, _) in PLACES.items():
        place(folder / name)
    return {str(folder / name): said for name, (_, said) in (FORGED | PLACES).items()}
