"""What the C library keeps of freed memory: large blocks go back, since pictures come and go in many threads."""

from __future__ import annotations

import ctypes
import sys

ARENA_MAX, MMAP_THRESHOLD = -8, -3
"""Parameters of glibc's ``mallopt``."""
ARENAS = 2
LARGE = 8 * 2**20
"""Blocks of so many bytes go back to the system when they are freed. Decoders work in blocks of 16 MiB: with glibc's
moving threshold eight large pictures at once left 2.1 GB in the arenas of the threads, with this one .95 GB."""


def give_back() -> bool:
    """Set both for this process; False where the C library knows no ``mallopt`` (macOS, Windows, musl)."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(ARENA_MAX, ARENAS)) and bool(mallopt(MMAP_THRESHOLD, LARGE))
