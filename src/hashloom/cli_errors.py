"""Errors in words: what to say of one, with place and remedy, and the exit code that goes with it."""

from __future__ import annotations

import errno
import linecache
from pathlib import Path

import typer


def told(error: Exception) -> tuple[int, str]:
    """The exit code of an error and what to say of it: 2 where the input is to blame, 1 where we are."""
    if isinstance(error, typer.TyperException):
        path = getattr(getattr(error, "ctx", None), "command_path", "hashloom")
        said = " ".join(error.format_message().replace("Value error, ", "").split())
        return 2, f"{said}{'' if said.endswith(('.', '?', '!')) else '.'} See: {path} --help"
    if isinstance(
        error, FileNotFoundError | FileExistsError | PermissionError | IsADirectoryError | NotADirectoryError
    ):
        return 2, f"{error.filename}: {error.strerror}; check the path" if error.filename else str(error)
    if isinstance(error, ValueError) and _ours(error):
        return 2, str(error)
    if isinstance(error, ModuleNotFoundError):
        return 1, f"the Python package {error.name!r} is missing; install Hashloom again with all its requirements"
    if isinstance(error, MemoryError):
        return 1, "out of memory; give fewer posts at once, or use a machine with more"
    if isinstance(error, OSError):
        return _told_of_machine(error)
    said = (str(error).splitlines() or [""])[0][:200]
    return 1, f"inner failure: {type(error).__name__}: {said}\nPlease report it; HASHLOOM_DEBUG=1 shows where it arose"


def _told_of_machine(error: OSError) -> tuple[int, str]:
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENAMETOOLONG:
        return 2, f"{str(error.filename)[:80]}…: the name is too long; choose a shorter one"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return 1, f"{where}no space left on the device; make room, or write elsewhere"
    if error.errno == errno.EROFS:
        return 2, f"{where}stands on a device that cannot be written; choose another place"
    return 1, f"{where}{error.strerror or error}"


def _ours(error: Exception) -> bool:
    """Whether our own code raised it on purpose; a ValueError that merely happened is a fault of ours."""
    if type(error).__module__.startswith("hashloom."):
        return True
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace is None:
        return False
    file = trace.tb_frame.f_code.co_filename
    here = Path(file).is_relative_to(Path(__file__).parent)
    return here and linecache.getline(file, trace.tb_lineno).lstrip().startswith("raise")
