"""Memory of a service: large blocks go back when they are freed, and what stays is not looked through for garbage."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress

ARENA_MAX, MMAP_THRESHOLD = -8, -3
"""Parameters of glibc's ``mallopt``."""
ARENAS = 2
LARGE = 8 * 2**20
"""Blocks of so many bytes go back to the system when they are freed. Decoders work in blocks of 16 MiB: with glibc's
moving threshold eight large pictures at once left 2.1 GB in the arenas of the threads, with this one .95 GB."""


_is_own = False


def own() -> bool:
    """Say that this process is a service and nothing else; False where the C library knows no ``mallopt``.

    That is so on macOS and Windows and with musl.
    """
    global _is_own
    _is_own = True
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(ARENA_MAX, ARENAS)) and bool(mallopt(MMAP_THRESHOLD, LARGE))


def settle() -> None:
    """After a model was loaded: return what that took and left free, and let the collector look at the rest no more.

    A model of Stack Exchange has 350,000 objects; to look through them for cycles, which was due after every two
    hundred answers, held all threads for 60 to 150 ms. A process with other work of its own keeps its collector.
    """
    if _is_own:
        gc.unfreeze()  # the model before may have left garbage
        gc.collect()
        gc.freeze()
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
