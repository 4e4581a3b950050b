"""Checks a frame of posts column by column; only the rows that need a closer look go through the check of a row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import tzinfo
from typing import TYPE_CHECKING, Any

from hashloom.data.rows import (
    MAX_EXTRA,
    MAX_ID,
    MAX_TAG,
    MAX_TAGS,
    MAX_TEXT,
    SIGNS,
    BadInput,
    Problem,
    Report,
    Row,
    check,
    clean,
)
from hashloom.types import POST_FIELDS, schema

if TYPE_CHECKING:
    import polars as pl

AT = "hashloom: row"
LOST = "hashloom: lost"
COUNTS = ("views", "likes", "comments", "popularity")
_PLAIN_TIME = r"^\d{4}-\d\d-\d\d[T ][0-2]\d:[0-5]\d:[0-5]\d(\.\d{1,6})?(Z|[+-][01]\d:[0-5]\d)$"
_INT64 = range(-(2**63), 2**63)


def checked(frame: pl.DataFrame, file: str, zone: tzinfo | None, report: Report, strict: bool) -> pl.DataFrame:
    """The posts of a frame in its order, wrong rows left out and counted in ``report``."""
    import polars as pl

    report.read += frame.height
    frame = _carried(frame, report).with_row_index(AT, offset=1).with_columns(pl.col(AT).cast(pl.Int64))
    cast = _cast(frame)
    good = cast.select(_fit(cast)).to_series().fill_null(False)
    cast = cast.drop(LOST)
    rest = frame.filter(~good)
    extra = [name for name in frame.columns if name not in POST_FIELDS]
    parts = [cast.filter(good)]
    if rest.height:
        mended = _one_by_one(rest, file, zone, report, strict)
        parts.append(mended.join(rest.select(extra), on=AT, how="left").select(cast.columns))
    return pl.concat(parts).sort(AT).drop(AT)


def _carried(frame: pl.DataFrame, report: Report) -> pl.DataFrame:
    """Without the further columns that hold lists or objects, are one too many, or are named as ours are meanwhile."""
    extra = [name for name in frame.columns if name not in POST_FIELDS]
    nested = [name for name in extra if frame.schema[name].is_nested() or frame.schema[name].is_object()]
    nested += [name for name in extra if name.startswith((AT, LOST)) and name not in nested]
    out = nested + [name for name in extra if name not in nested][MAX_EXTRA:]
    for name in out:
        report.leave_out(name)
    return frame.drop(out)


def _cast(frame: pl.DataFrame) -> pl.DataFrame:
    """All columns of a post in their types; what does not fit its type becomes null and is looked at by row."""
    import polars as pl

    kinds = schema()
    columns = []
    for name, kind in kinds.items():
        if name not in frame.columns:
            columns.append(pl.lit(None, dtype=kind).alias(name))
        elif name == "created_at":
            columns.append(_times(frame.schema[name]))
        elif _castable(frame.schema[name], kind):
            columns.append(pl.col(name).cast(kind, strict=False))
        else:
            columns.append(pl.lit(None, dtype=kind).alias(name))
    extra = [name for name in frame.columns if name not in kinds]
    lost = [
        (frame[name].is_not_null() & frame.select(column).to_series().is_null()).alias(f"{AT} {name}")
        for name, column in zip(kinds, columns)
        if name in frame.columns
    ]
    return frame.select(*columns, *extra).with_columns(_any(lost, frame.height).alias(LOST))


def _any(masks: Iterable[pl.Series], height: int) -> pl.Series:
    import polars as pl

    found = pl.repeat(False, height, eager=True)
    for mask in masks:
        found = found | mask
    return found


def _castable(given: Any, kind: Any) -> bool:
    import polars as pl

    if kind == pl.Float64():
        return given.is_numeric() or given == pl.Null
    if kind == pl.String():
        return given in (pl.String, pl.Null, pl.Categorical) or given.is_integer()
    return given in (pl.List(pl.String), pl.List(pl.Null), pl.Null)


def _times(given: Any) -> pl.Expr:
    import polars as pl

    column, kind = pl.col("created_at"), pl.Datetime("us", "UTC")
    if isinstance(given, pl.Datetime) and given.time_zone:
        return column.dt.convert_time_zone("UTC").cast(kind)
    if given == pl.String:
        # Only the plain form is read here; every other goes to the check of a row, which knows more and says why not.
        plain = pl.when(column.str.contains(_PLAIN_TIME)).then(column.str.replace("Z", "+00:00", literal=True))
        zoned = plain.str.replace(" ", "T", literal=True)
        return zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%:z", time_unit="us", strict=False).cast(kind)
    return pl.lit(None, dtype=kind).alias("created_at")


def _fit(frame: pl.DataFrame) -> pl.Expr:
    """True for the rows that already are as the check of a row would leave them."""
    import polars as pl

    plain = [pl.col(n).is_null() | _is_plain(pl.col(n), MAX_ID) for n in ("id", "community", "user", "language")]
    plain += [pl.col(n).is_null() | (pl.col(n) != "") for n in ("user", "language")]
    year = pl.col("created_at").dt.year()
    counts = [pl.col(c).is_null() | (pl.col(c).is_finite() & ((pl.col(c) >= 0) | (c == "popularity"))) for c in COUNTS]
    text = pl.col("text").is_null() | (
        (pl.col("text").str.len_chars() <= MAX_TEXT) & ~_has(pl.col("text"), SIGNS + "\0")
    )
    return pl.all_horizontal(
        pl.col("id").is_not_null() & (pl.col("id") != ""),
        pl.col("text").is_not_null() | pl.col("images").is_not_null(),
        *plain,
        text,
        year.is_null() | year.is_between(1990, 2100),
        *counts,
        _plain_list(pl.col("images"), 1 << 20),
        _plain_list(pl.col("tags"), MAX_TAG) & pl.Series(_distinct(frame["tags"])),
        ~pl.col(LOST),
    )


def _has(column: pl.Expr, signs: str) -> pl.Expr:
    return column.str.contains_any(list(signs))


def _is_plain(column: pl.Expr, longest: int) -> pl.Expr:
    return (column.str.len_chars() <= longest) & (column.str.strip_chars() == column) & ~_has(column, "\0")


def _plain_list(column: pl.Expr, longest: int) -> pl.Expr:
    import polars as pl

    item = pl.element()
    good = (item.is_not_null() & (item != "") & _is_plain(item, longest)).fill_null(False)
    return column.is_null() | column.list.eval(good).list.all()


def _distinct(tags: pl.Series) -> pl.Series:
    """True where no tag of a post stands twice by key, none has a sign, and there are not too many. Shape (posts,)."""
    import polars as pl

    from hashloom.tags import display, key

    forms = tags.explode().unique().drop_nulls()
    keys = [key(tag) if len(tag) <= MAX_TAG and display(tag) == tag else None for tag in forms]
    known = pl.DataFrame({"tags": forms, "key": pl.Series(keys, dtype=pl.String)})
    flat = pl.DataFrame({"tags": tags}).with_row_index("post").explode("tags").drop_nulls()
    per_post = (
        flat.join(known, on="tags", how="left")
        .group_by("post")
        .agg(
            ((pl.col("key").n_unique() == pl.len()) & pl.col("key").is_not_null().all() & (pl.len() <= MAX_TAGS)).alias(
                "fit"
            )
        )
    )
    every = pl.DataFrame({"tags": tags}).with_row_index("post").select("post")
    return every.join(per_post, on="post", how="left", maintain_order="left")["fit"].fill_null(True)


def _one_by_one(rest: pl.DataFrame, file: str, zone: tzinfo | None, report: Report, strict: bool) -> pl.DataFrame:
    own = [name for name in rest.columns if name in POST_FIELDS]
    posts = Gathered()
    for number, *values in rest.select(AT, *own).iter_rows():
        fields = {AT: number} | dict(zip(own, values))
        posts.add(Row(f"{file}:{number}", fields), zone, report, strict)
    frame = posts.frame(report)
    return frame if AT in frame.columns else frame.with_columns(rest[AT].clear())


class Gathered:
    """Posts that passed the check of a row, gathered column by column."""

    def __init__(self) -> None:
        self.posts: dict[str, list[Any]] = {name: [] for name in POST_FIELDS}
        self.extra: dict[str, dict[int, Any]] = {}

    def add(self, row: Row, zone: tzinfo | None, report: Report, strict: bool) -> None:
        """Check a row and keep it, or count what is wrong with it (``strict``: raise that)."""
        try:
            post, extra, cut = check(row, zone)
        except ValueError as error:
            self.refuse(problem_at(row.place, str(error)), report, strict)
            return
        at = len(self.posts["id"])
        report.cut += cut
        for name, value in post.items():
            self.posts[name].append(value)
        for name, value in extra.items():
            if value is not None:
                self._carry(name, at, value, report)

    @staticmethod
    def refuse(problem: Problem, report: Report, strict: bool) -> None:
        """Count a problem, or raise it."""
        if strict:
            raise BadInput(str(problem))
        report.refuse(problem)

    def _carry(self, name: str, at: int, value: Any, report: Report) -> None:
        if not isinstance(value, bool | int | float | str) or len(name) > MAX_ID:
            report.leave_out(clean(name[:80]))
        elif name in self.extra or len(self.extra) < MAX_EXTRA:
            self.extra.setdefault(name, {})[at] = clean(value) if isinstance(value, str) else value
        else:
            report.leave_out(clean(name[:80]))

    def frame(self, report: Report) -> pl.DataFrame:
        """All posts gathered, with the further columns that were carried along."""
        import polars as pl

        lists = {name: _lists(name, self.posts[name]) for name in ("images", "tags")}
        frame = pl.DataFrame(self.posts | lists, schema=schema())
        for name, found in self.extra.items():
            if name in report.left_out:
                continue
            values = [found.get(at) for at in range(frame.height)]
            frame = frame.with_columns(_series(clean(name), values))
        return frame


def _lists(name: str, rows: list[list[str]]) -> pl.Series:
    """A column of lists, made from one flat column: many times quicker than from Python's lists."""
    import polars as pl

    flat = [item for row in rows for item in row]
    at = [number for number, row in enumerate(rows) for _ in row]
    flat_frame = pl.DataFrame({"at": at, name: flat}, schema={"at": pl.Int64(), name: pl.String()})
    lists = flat_frame.group_by("at", maintain_order=True).agg(name)
    every = pl.DataFrame({"at": range(len(rows))}, schema={"at": pl.Int64()})
    joined = every.join(lists, on="at", how="left", maintain_order="left")[name]
    return joined.fill_null(pl.Series([[]], dtype=pl.List(pl.String())))


def _series(name: str, values: list[Any]) -> pl.Series:
    """A column of its narrowest type: truth values, whole numbers, numbers, or else strings."""
    import polars as pl

    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {int} and all(value is None or value in _INT64 for value in values):
        return pl.Series(name, values, dtype=pl.Int64)
    if kinds and kinds <= {int, float} and all(value is None or abs(value) < 1e300 for value in values):
        return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    return pl.Series(name, [None if value is None else _string(value) for value in values], dtype=pl.String)


def _string(value: Any) -> str:
    return hex(value) if isinstance(value, int) and value.bit_length() > 4096 else str(value)


def problem_at(place: str, reason: str) -> Problem:
    """The problem of a row whose place is written ``file:line``, or just ``file``."""
    file, _, line = place.rpartition(":")
    return Problem(file, int(line), reason) if file and line.isdigit() else Problem(place, None, reason)
