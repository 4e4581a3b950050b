"""Parquet: one post a row, columns named as the fields of a post."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hashloom.data.rows import BadInput, Item, Row
from hashloom.data.unpack import must_be_file

if TYPE_CHECKING:
    import polars as pl

MAX_ROWS = 100_000_000


def rows(paths: Sequence[Path], *, zone: str | None = None) -> Iterator[Item]:
    """Every row of every file; ``frames`` gives the same as columns, which is faster."""
    for file, frame in frames(paths):
        for at, fields in enumerate(frame.iter_rows(named=True), 1):
            yield Row(f"{file}:{at}", fields)


def frames(paths: Sequence[Path]) -> Iterator[tuple[str, pl.DataFrame]]:
    """File name and frame of every file; one that is damaged or has no ``id`` raises BadInput."""
    for path in paths:
        frame = _frame(must_be_file(path))
        if "id" not in frame.columns:
            raise BadInput(f"{path.name}: no column 'id'; found {', '.join(frame.columns[:20]) or 'no columns'}")
        yield path.name, frame


def _frame(path: Path) -> pl.DataFrame:
    import polars as pl

    try:
        if (count := pl.scan_parquet(path).select(pl.len()).collect().item()) > MAX_ROWS:
            raise BadInput(f"{path.name}: {count:,} rows; at most {MAX_ROWS:,} can be read at once")
        return pl.read_parquet(path, hive_partitioning=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise BadInput(f"{path.name}: no readable Parquet, truncated or damaged ({reason}); write it again") from error
