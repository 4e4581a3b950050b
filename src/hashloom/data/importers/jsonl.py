"""JSON lines: one post a line, in Hashloom's own shape; plain or gz."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from hashloom.data.rows import Item, Problem, Row
from hashloom.data.unpack import lines, open_bytes


def rows(paths: Sequence[Path], *, zone: str | None = None) -> Iterator[Item]:
    """Every line of every file as a row; a line that is no JSON object is a problem."""
    for path in paths:
        with open_bytes(path) as stream:
            yield from from_stream(stream, path.name)


def from_stream(stream: BinaryIO, file: str) -> Iterator[Item]:
    """The lines of an open stream; empty lines are passed over."""
    for line in lines(stream, file):
        if isinstance(line, Problem):
            yield line
        elif line[1].strip():
            yield _row(file, *line)


def _row(file: str, number: int, line: bytes) -> Row | Problem:
    try:
        fields = json.loads(line.decode("utf-8"))
    except RecursionError:
        return Problem(file, number, "JSON nested too deeply")
    except json.JSONDecodeError as error:
        return Problem(file, number, f"broken JSON ({error.msg}, character {error.colno:,})")
    except UnicodeDecodeError as error:
        return Problem(file, number, f"broken UTF-8 at byte {error.start:,} of the line; save the file as UTF-8")
    except ValueError as error:
        return Problem(file, number, f"broken JSON ({str(error)[:80]})")
    if isinstance(fields, dict):
        return Row(f"{file}:{number}", fields)
    remedy = "; a file that is one array needs one post a line: jq -c '.[]' FILE" if isinstance(fields, list) else ""
    return Problem(file, number, f"a line must be a JSON object, not {type(fields).__name__}{remedy}")
