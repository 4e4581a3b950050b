"""The nouns that flow between the rooms: posts, rankings, reasons, scores. This file imports nothing of ours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self, overload, runtime_checkable

import numpy as np
from annotated_types import Ge, Gt, Le

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

Source = Literal[
    "text",
    "image",
    "history",
    "habit",
    "community",
    "trend",
    "neighbour",
    "generator",
    "model",
    "author",
    "time",
    "tag",
]

Count = Annotated[int, Ge(1)]
Share = Annotated[float, Ge(0), Le(1)]
Positive = Annotated[float, Gt(0)]
"""What settings may be: a field of one of these kinds is checked when a part is built from settings."""


@runtime_checkable
class Encoder(Protocol):
    """What turns texts and tag words into vectors; the files of the room ``encoders`` hold such."""

    def fit(self, texts: Sequence[str], tags: Sequence[str] = ()) -> Any: ...
    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]: ...
    def encode_tags(self, tags: Sequence[str]) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class Features:
    """What encoders make for networks: words of texts or regions of pictures, one row per item.

    ``values`` has shape (items, places, dim), ``mask`` (items, places), true where there is something: an item without
    a true place has no such part. ``pooled``, where an encoder gives it, is one vector per item.
    """

    values: NDArray[np.float32]
    mask: NDArray[np.bool_]
    pooled: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.mask)


@runtime_checkable
class ImageEncoder(Protocol):
    """What turns pictures into regions; the files of the room ``encoders/image`` hold such."""

    def fit(self, pictures: Sequence[str]) -> Any: ...
    def features(self, pictures: Sequence[str]) -> Features: ...

    if TYPE_CHECKING:
        # Not part of what isinstance looks at: Python 3.11 would run the property, which loads weights.
        @property
        def grid(self) -> tuple[int, int]: ...


@runtime_checkable
class Generator(Protocol):
    """What says tags, also such as nobody used before; the files of the room ``generators`` hold such.

    A source is one line as ``hashloom.generators.join`` makes it. ``generate`` gives for each at most ``count`` tags,
    best first, each once, with its chance in (0, 1].
    """

    def fit(self, sources: Sequence[str], targets: Sequence[Sequence[str]]) -> Any: ...
    def generate(self, sources: Sequence[str], count: int) -> list[list[tuple[str, float]]]: ...


@runtime_checkable
class TokenEncoder(Protocol):
    """What turns a text into one vector per token, for networks."""

    def fit(self, texts: Sequence[str], tags: Sequence[str] = ()) -> Any: ...
    def features(self, texts: Sequence[str]) -> Features: ...


@dataclass(frozen=True, slots=True)
class Post:
    """One post; the same shape in a file's line, an API body and a store row.

    Only ``id`` and one of ``text``/``images`` need be given. ``created_at`` carries a time zone.

    >>> Post("p1", text="Rye loaf, day two", community="bakers", tags=("Sourdough",)).community
    'bakers'
    """

    id: str
    text: str = ""
    community: str = ""
    user: str | None = None
    created_at: datetime | None = None
    images: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    language: str | None = None
    views: float | None = None
    likes: float | None = None
    comments: float | None = None
    popularity: float | None = None


POST_FIELDS = tuple(f.name for f in fields(Post))


def schema() -> dict[str, Any]:
    """Column name → polars type of the twelve columns that every ``Posts`` has."""
    import polars as pl

    text, number, listed = pl.String(), pl.Float64(), pl.List(pl.String())
    kinds = {"created_at": pl.Datetime("us", "UTC"), "images": listed, "tags": listed}
    kinds |= dict.fromkeys(("views", "likes", "comments", "popularity"), number)
    return {name: kinds.get(name, text) for name in POST_FIELDS}


class Posts(Sequence[Post]):
    """Many posts, columnar: a polars frame inside, in the order given.

    Further columns of the frame (``title``, ``dup_group``, …) are carried along. ``in_order()`` sorts by time;
    posts without a time come first there, in the order given.

    >>> posts = Posts.of([Post("a", text="rain", tags=("Tour",)), Post("b", text="sun")])
    >>> len(posts), posts[0].tags, posts.texts
    (2, ('Tour',), ['rain', 'sun'])
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self._pieces = [frame]

    @property
    def frame(self) -> pl.DataFrame:
        """One row per post; pieces added by ``followed_by`` are put together when this is first asked for."""
        if len(self._pieces) > 1:
            import polars as pl

            self._pieces = [_conform(pl.concat(self._pieces, how="diagonal_relaxed"), schema())]
        return self._pieces[0]

    @classmethod
    def of(cls, rows: Iterable[Post] | pl.DataFrame) -> Self:
        """Posts from ``Post`` objects, or from a frame whose known columns have (or cast to) the right types."""
        import polars as pl

        kinds = schema()
        if isinstance(rows, pl.DataFrame):
            return cls(_conform(rows, kinds))
        rows = list(rows)
        for row in rows:
            if row.created_at is not None and row.created_at.tzinfo is None:
                raise ValueError(f"`created_at` of post {row.id!r} has no time zone; say one, such as datetime.UTC")
        if len(rows) == 1:
            return cls(_single(rows[0], kinds))
        # A field that no post states keeps its type through the schema given here.
        columns = {n: [_plain(getattr(row, n)) for row in rows] for n in POST_FIELDS}
        return cls(pl.DataFrame(columns, schema=kinds))

    @classmethod
    def concat(cls, parts: Iterable[Posts]) -> Self:
        """One after the other; columns that only some parts have are filled with nulls."""
        import polars as pl

        frames = [part.frame for part in parts]
        return cls(pl.concat(frames, how="diagonal_relaxed")) if frames else cls.of([])

    def followed_by(self, more: Posts) -> Posts:
        """These posts and then ``more``, quickly: columns read already are carried on instead of being read again.

        The lists behind ``ids``, ``texts``, … are lengthened in place and shared; use these posts no more.
        """
        made = type(self)(self._pieces[0])
        made._pieces = [*self._pieces, *more._pieces]
        if len(made._pieces) > PIECES:
            _ = made.frame
        for name in _LISTS & self.__dict__.keys():
            column = self.__dict__[name]
            column.extend(getattr(more, name))
            made.__dict__[name] = column
        if "times" in self.__dict__:
            made.__dict__["times"] = np.concatenate([self.times, more.times])
        return made

    def __len__(self) -> int:
        return sum(piece.height for piece in self._pieces)

    @overload
    def __getitem__(self, at: int) -> Post: ...
    @overload
    def __getitem__(self, at: slice | NDArray[Any] | list[int]) -> Posts: ...
    def __getitem__(self, at: int | slice | NDArray[Any] | list[int]) -> Post | Posts:
        if isinstance(at, int | np.integer):
            return self._post(int(at))
        if isinstance(at, slice):
            return Posts(self.frame[at])
        rows = np.asarray(at)
        return Posts(self.frame[np.flatnonzero(rows) if rows.dtype == bool else rows.astype(np.int64)])

    def _post(self, at: int) -> Post:
        row = self.frame.row(range(len(self))[at], named=True)
        values = {name: row[name] for name in POST_FIELDS}
        return Post(**values | {"images": tuple(row["images"]), "tags": tuple(row["tags"])})

    def __iter__(self) -> Iterator[Post]:
        return (self._post(i) for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Posts({len(self)} posts, {self.frame['community'].n_unique()} communities)"

    @cached_property
    def ids(self) -> list[str]:
        return self.frame["id"].to_list()

    @cached_property
    def texts(self) -> list[str]:
        return self.frame["text"].to_list()

    @cached_property
    def communities(self) -> list[str]:
        return self.frame["community"].to_list()

    @cached_property
    def users(self) -> list[str | None]:
        return self.frame["user"].to_list()

    @cached_property
    def tags(self) -> list[list[str]]:
        """The tags of each post, in the form in which they were typed."""
        return self.frame["tags"].to_list()

    @cached_property
    def times(self) -> NDArray[np.int64]:
        """Microseconds since 1970 in UTC; ``UNDATED`` where a post has no time. Shape (posts,)."""
        import polars as pl

        column = self.frame["created_at"]
        if column.null_count() == len(column):  # a draft: casting would cost more than all else that is read of it
            return np.full(len(column), UNDATED, dtype=np.int64)
        column = column.cast(pl.Int64())
        if column.null_count():
            column = column.fill_null(UNDATED)
        return column.to_numpy().astype(np.int64, copy=False)

    def in_order(self) -> Posts:
        """Sorted by time (stable); posts without a time first."""
        if bool(np.all(self.times[1:] >= self.times[:-1])):
            return self
        return self[np.argsort(self.times, kind="stable")]

    def tagged(self) -> Posts:
        """Those that carry at least one tag."""
        if len(self) < FEW and all(self.tags):
            return self
        return Posts(self.frame.filter(self.frame["tags"].list.len() > 0))

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits of a hash over ids, texts, communities, users, times and tags, in order."""
        digest = hashlib.blake2b(digest_size=8)
        for row in self.frame.select("id", "text", "community", "user", "created_at", "tags").iter_rows():
            digest.update(repr(row).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


UNDATED = -(2**62)
FEW = 64
"""With fewer posts than this, looking at each is quicker than asking the frame."""
PIECES = 1000
"""So many additions wait before they are put into one frame."""
_LISTS = {"ids", "texts", "communities", "users", "tags"}


@lru_cache(maxsize=1)
def _blank() -> pl.DataFrame:
    """A row of which nothing is stated."""
    import polars as pl

    return pl.DataFrame({name: [[] if name in ("images", "tags") else None] for name in POST_FIELDS}, schema=schema())


def _single(post: Post, kinds: Mapping[str, Any]) -> pl.DataFrame:
    """A frame of one post, a draft most often: only what it states is made, in a tenth of the time."""
    import polars as pl

    frame = _blank().clone()
    for at, (name, kind) in enumerate(kinds.items()):
        value = _plain(getattr(post, name))
        if value is not None and value != []:
            frame.replace_column(at, pl.Series(name, [value], dtype=kind))
    return frame


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _conform(frame: pl.DataFrame, kinds: Mapping[str, Any]) -> pl.DataFrame:
    import polars as pl

    if "id" not in frame.columns:
        raise ValueError("posts need a column 'id'; found " + ", ".join(frame.columns))
    fill: dict[str, Any] = {"text": "", "community": "", "images": [], "tags": []}
    columns = []
    for name, kind in kinds.items():
        column = pl.col(name) if name in frame.columns else pl.lit(None)
        column = column.cast(kind)
        if name in fill:
            column = column.fill_null(pl.lit(fill[name], dtype=kind))
        columns.append(column.alias(name))
    extra = [name for name in frame.columns if name not in kinds]
    return frame.select(*columns, *extra)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a tag is suggested or a number forecast: what was looked at, where in it, and how much it weighed.

    ``where`` names a word span, an image region, an earlier post's id, a community, a maker, …
    """

    source: Source
    where: str
    weight: float


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One tag (in display form), its score (comparable within one ranking) and the reasons for it."""

    tag: str
    score: float
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranking:
    """The suggestions for one post, best first."""

    id: str
    suggestions: tuple[Suggestion, ...] = ()

    @property
    def tags(self) -> list[str]:
        return [s.tag for s in self.suggestions]


@dataclass(frozen=True)
class Rankings(Sequence[Ranking]):
    """One ranking per post, kept as flat arrays; best first within a post.

    ``tags`` (object array of strings) and ``scores`` (float64) are flat, of shape (entries,); the entries of post
    ``i`` are ``starts[i]:starts[i + 1]``. Between recommenders the strings are tag keys; ``Recommender.recommend``
    hands out display forms.

    >>> r = Rankings.of(["a", "b"], [[("Tour", 2.0), ("Rain", 1.0)], []])
    >>> r[0].tags, r[1].tags, len(r)
    (['Tour', 'Rain'], [], 2)
    """

    ids: Sequence[str]
    starts: NDArray[np.int64]
    tags: NDArray[np.object_]
    scores: NDArray[np.float64]
    reasons: Sequence[tuple[Reason, ...]] | None = None

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        lists: Sequence[Sequence[tuple[str, float]]],
        reasons: Sequence[Sequence[tuple[Reason, ...]]] | None = None,
    ) -> Rankings:
        """From one list of (tag, score) per post, best first already; ``reasons`` has the same shape."""
        starts = np.array([0, *accumulate(map(len, lists))], dtype=np.int64)
        tags = np.empty(int(starts[-1]), dtype=object)
        tags[:] = [tag for row in lists for tag, _ in row]
        scores = np.array([score for row in lists for _, score in row], dtype=np.float64)
        flat = None if reasons is None else [why for row in reasons for why in row]
        return cls(list(ids), starts, tags, scores, flat)

    @classmethod
    def concat(cls, parts: Sequence[Rankings]) -> Rankings:
        """The rankings of several batches, one batch after the other."""
        if not parts:
            return cls.of([], [])
        offsets = np.cumsum([0] + [int(p.starts[-1]) for p in parts])
        starts = [parts[0].starts[:1]] + [p.starts[1:] + o for p, o in zip(parts, offsets, strict=False)]
        known = [p.reasons for p in parts if p.reasons is not None]
        return cls(
            [i for p in parts for i in p.ids],
            np.concatenate(starts),
            np.concatenate([p.tags for p in parts]),
            np.concatenate([p.scores for p in parts]),
            [why for part in known for why in part] if len(known) == len(parts) else None,
        )

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> Ranking: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Ranking]: ...
    def __getitem__(self, at: int | slice) -> Ranking | Sequence[Ranking]:
        if isinstance(at, slice):
            return [self[i] for i in range(len(self))[at]]
        i = range(len(self))[at]
        span = range(int(self.starts[i]), int(self.starts[i + 1]))
        why = self.reasons
        found = (Suggestion(self.tags[j], float(self.scores[j]), why[j] if why else ()) for j in span)
        return Ranking(self.ids[i], tuple(found))

    def row(self, i: int) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
        """Tags and scores of post ``i``, both of shape (its entries,)."""
        span = slice(int(self.starts[i]), int(self.starts[i + 1]))
        return self.tags[span], self.scores[span]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a post is expected to get: a number on the scale that ``formula`` names, its interval, and the reasons."""

    id: str
    value: float
    low: float
    high: float
    formula: str
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True)
class Forecasts(Sequence[Forecast]):
    """One forecast per post. ``values``, ``low`` and ``high`` have shape (posts,); all finite, low ≤ value ≤ high.

    ``coverage`` is the share of posts whose number is meant to lie in the interval.

    >>> f = Forecasts(["a"], np.array([2.0]), np.array([1.0]), np.array([4.0]), "log2(max(score, 0) + 1)", 0.9)
    >>> f[0].value, len(f)
    (2.0, 1)
    """

    ids: Sequence[str]
    values: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    formula: str
    coverage: float
    reasons: Sequence[tuple[Reason, ...]] | None = None

    @classmethod
    def concat(cls, parts: Sequence[Forecasts]) -> Forecasts:
        """The forecasts of several batches (at least one), one batch after the other."""
        first = parts[0]
        why = [p.reasons for p in parts if p.reasons is not None]
        values, low, high = (np.concatenate([getattr(p, name) for p in parts]) for name in ("values", "low", "high"))
        reasons = [r for part in why for r in part] if len(why) == len(parts) else None
        return cls([i for p in parts for i in p.ids], values, low, high, first.formula, first.coverage, reasons)

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, at: int) -> Forecast: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Forecast]: ...
    def __getitem__(self, at: int | slice) -> Forecast | Sequence[Forecast]:
        if isinstance(at, slice):
            return [self[i] for i in range(len(self))[at]]
        i = range(len(self))[at]
        value, low, high = (float(column[i]) for column in (self.values, self.low, self.high))
        return Forecast(self.ids[i], value, low, high, self.formula, self.reasons[i] if self.reasons else ())


@dataclass(frozen=True)
class Marks:
    """How much each word of a post and each region of its picture carries of one answer.

    ``words`` stand in the order of reading, each as it is in the text; ``regions`` has shape (rows, columns), None
    without a picture. ``box`` is the part of the picture that they cover (left, top, right, bottom, in shares) where
    that is known; None says nothing of it. ``sides`` are the shares of text and picture where the model weighs them.
    ``kind`` says what the     weights are: how much was looked (shares that sum to 1 on each side), what was added to
    the score (signed), or how     far the score falls without it (signed).
    """

    kind: Literal["attention", "contribution", "occlusion"]
    words: Sequence[tuple[str, float]] = ()
    regions: NDArray[np.float64] | None = None
    sides: tuple[float, float] | None = None
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Scores:
    """One number per metric and post, so that any slice and any interval can be made from them.

    ``values[metric]`` has shape (posts,), NaN where the metric does not apply to a post.

    >>> Scores(["a", "b"], {"hit@1": np.array([1.0, 0.0])}).mean("hit@1")
    0.5
    """

    ids: Sequence[str]
    values: Mapping[str, NDArray[np.float64]]

    def mean(self, metric: str) -> float:
        return float(np.nanmean(self.values[metric])) if len(self.ids) else float("nan")


def utc(moment: datetime) -> datetime:
    """The same moment in UTC; a moment without a zone is refused, because guessing leaks the future.

    >>> utc(datetime(2025, 3, 2, 8, tzinfo=UTC)).isoformat()
    '2025-03-02T08:00:00+00:00'
    """
    if moment.tzinfo is None:
        raise ValueError(f"time {moment.isoformat()} has no zone; write e.g. {moment.isoformat()}Z")
    return moment.astimezone(UTC)
