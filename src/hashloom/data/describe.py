"""Shows what is in a set of posts: counts, tags, lengths, gaps, communities; as text and as a page with plots."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hashloom.types import Posts

if TYPE_CHECKING:
    import polars as pl

WORD_CLASSES = ("0", "1–5", "6–20", ">20")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
PARTS = (
    "text",
    "images",
    "tags",
    "community",
    "user",
    "created_at",
    "language",
    "views",
    "likes",
    "comments",
    "popularity",
)

_WHOLE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_SCRIPTS = ("Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Thai", "Hangul", "Devanagari", "Kana", "Han")
_NAMES = {"Kana": "Japanese", "Han": "Han (Chinese, or Japanese without kana)", "Hangul": "Hangul (Korean)"}
_LOOKED_AT = 500


@dataclass(frozen=True)
class Community:
    """One community's row in the table; ``favourites`` are its three most used tags."""

    name: str
    posts: int
    users: int
    tags: int
    tags_per_post: float
    favourites: tuple[str, ...]


@dataclass(frozen=True)
class Description:
    """What is in a set of posts. ``text()`` shows it in a terminal, ``html()`` as a page.

    ``frequencies`` are the uses of every tag, most used first; ``months`` the posts of every month (ISO, "2025-03").
    """

    posts: int
    users: int
    first: datetime | None
    last: datetime | None
    tags_per_post: dict[int, int]
    frequencies: tuple[int, ...]
    most_used: tuple[tuple[str, int], ...]
    gini: float
    lengths: dict[str, dict[float, float]]
    word_classes: dict[str, int]
    missing: dict[str, int]
    scripts: dict[str, int]
    communities: tuple[Community, ...]
    months: dict[str, int] = field(default_factory=dict)

    @property
    def tags(self) -> int:
        """Distinct tags, by key."""
        return len(self.frequencies)

    @property
    def used_once(self) -> int:
        """Tags that only one post uses."""
        return sum(1 for count in self.frequencies if count == 1)

    @property
    def mean_tags(self) -> float:
        """Tags per post."""
        return sum(n * posts for n, posts in self.tags_per_post.items()) / self.posts if self.posts else 0.0

    def text(self) -> str:
        """Plain aligned text; control and direction characters of the posts are left out."""
        parts = [table(rows, head) for head, rows in sections(self)]
        return "\n\n".join(part for part in parts if part) + "\n"

    def html(self) -> str:
        """One page with everything in it: no script, no outside file; light or dark as the reader's system is."""
        from hashloom.data.describe_page import page

        return page(self)


def describe(posts: Posts) -> Description:
    """Look at a set of posts; any part of it may be missing, and it may be empty.

    >>> from hashloom.types import Post
    >>> about = describe(Posts.of([Post("a", text="rain again", tags=("Tour", "rain")), Post("b", tags=("tour",))]))
    >>> about.posts, about.tags, about.most_used[0], about.missing["text"]
    (2, 2, ('Tour', 2), 1)
    """
    frame = posts.frame
    uses = _uses(frame)
    per_tag = uses.group_by("key").agg(pl_len()).sort("len", "key", descending=[True, False])
    frequencies = tuple(per_tag["len"].to_list())
    shown = _shown(uses)
    words = _words(frame["text"])
    times = frame["created_at"].drop_nulls()
    counts = frame["tags"].list.len().value_counts().sort("tags").iter_rows()
    return Description(
        posts=frame.height,
        users=frame["user"].n_unique() - int(frame["user"].null_count() > 0),
        first=times.min() if len(times) else None,  # type: ignore[arg-type]
        last=times.max() if len(times) else None,  # type: ignore[arg-type]
        tags_per_post=dict(counts),
        frequencies=frequencies,
        most_used=tuple((shown[key], n) for key, n in per_tag.head(20).iter_rows()),
        gini=gini(frequencies),
        lengths={"characters": _quantiles(frame["text"].str.len_chars()), "words": _quantiles(words)},
        word_classes=_classes(words),
        missing=_missing(frame),
        scripts=_scripts(frame["text"]),
        communities=_communities(frame, uses, shown),
        months=_months(times),
    )


def pl_len() -> pl.Expr:
    """The number of rows, as an expression."""
    import polars as pl

    return pl.len()


def gini(counts: tuple[int, ...]) -> float:
    """How unequal counts are: 0 where all are the same, near 1 where one has nearly all.

    >>> gini((2, 2, 2)), round(gini((97, 1, 1, 1)), 2)
    (0.0, 0.72)
    """
    total, n = sum(counts), len(counts)
    if not total:
        return 0.0
    return sum((2 * rank - n - 1) * count for rank, count in enumerate(sorted(counts), 1)) / (n * total)


def _uses(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per use of a tag: community, the form typed, key; a tag counts once per post."""
    import polars as pl

    from hashloom.tags import key

    flat = frame.select("community", "tags").with_row_index("post").explode("tags").drop_nulls("tags")
    forms = flat["tags"].unique()
    keys = pl.DataFrame({"tags": forms, "key": pl.Series([key(tag) for tag in forms], dtype=pl.String)})
    uses = flat.join(keys, on="tags", how="left").filter(pl.col("key") != "")
    return uses.unique(subset=["post", "key"], keep="first", maintain_order=True)


def _shown(uses: pl.DataFrame) -> dict[str, str]:
    """Key → its most used form."""
    forms = uses.group_by("key", "tags").agg(pl_len()).sort("len", "tags", descending=[True, False])
    first = forms.unique(subset="key", keep="first", maintain_order=True)
    return dict(zip(first["key"].to_list(), first["tags"].to_list()))


def _words(texts: pl.Series) -> pl.Series:
    """Words per text; where a script writes no spaces, two characters count as a word. Shape (posts,)."""
    spaced = texts.str.count_matches(rf"[[\p{{L}}\p{{M}}\p{{N}}_'’]--[{_WHOLE}]]+")
    return spaced + (texts.str.count_matches(f"[{_WHOLE}]") + 1) // 2


def _quantiles(counts: pl.Series) -> dict[float, float]:
    return {q: float(counts.quantile(q, "nearest") or 0) for q in QUANTILES} if len(counts) else {}


def _classes(words: pl.Series) -> dict[str, int]:
    bounds = zip(WORD_CLASSES, (0, 1, 6, 21), (0, 5, 20, 2**31))
    return {name: int(words.is_between(low, high).sum()) for name, low, high in bounds}


def _missing(frame: pl.DataFrame) -> dict[str, int]:
    counts = {}
    for name in PARTS:
        column = frame[name]
        if name in ("text", "community"):
            counts[name] = int((column.fill_null("").str.strip_chars() == "").sum())
        elif name in ("images", "tags"):
            counts[name] = int((column.list.len().fill_null(0) == 0).sum())
        else:
            counts[name] = column.null_count()
    return counts


def _scripts(texts: pl.Series) -> dict[str, int]:
    """Posts by the script that most of their letters are of; kana makes a text Japanese."""
    import polars as pl

    start = texts.str.slice(0, _LOOKED_AT)
    classes = {"Kana": r"[\p{Hiragana}\p{Katakana}]"}
    counts = pl.DataFrame({s: start.str.count_matches(classes.get(s, rf"\p{{{s}}}")) for s in _SCRIPTS})
    kana = pl.col("Kana")
    counts = counts.with_columns(Kana=pl.when(kana > 0).then(kana + pl.col("Han")).otherwise(0))
    most = pl.max_horizontal(*_SCRIPTS)
    choice = pl.coalesce(
        pl.when(most == 0).then(pl.lit("no letters of these scripts")),
        *(pl.when(pl.col(s) == most).then(pl.lit(_NAMES.get(s, s))) for s in ("Kana", *_SCRIPTS)),
    )
    found = counts.select(script=choice)["script"].value_counts().sort("count", "script", descending=[True, False])
    return dict(found.iter_rows())


def _communities(frame: pl.DataFrame, uses: pl.DataFrame, shown: dict[str, str]) -> tuple[Community, ...]:
    import polars as pl

    used = uses.group_by("community", "key").agg(pl.len()).sort("len", "key", descending=[True, False])
    tags = used.group_by("community").agg(
        pl.col("key").head(3).alias("top"), pl.len().alias("tags"), pl.col("len").sum()
    )
    posts = frame.group_by("community").agg(
        pl.len().alias("posts"), pl.col("user").drop_nulls().n_unique().alias("users")
    )
    joined = posts.join(tags, on="community", how="left").sort("posts", "community", descending=[True, False])
    return tuple(
        Community(
            row["community"],
            row["posts"],
            row["users"],
            row["tags"] or 0,
            (row["len"] or 0) / row["posts"],
            tuple(shown[key] for key in row["top"] or []),
        )
        for row in joined.iter_rows(named=True)
    )


def _months(times: pl.Series) -> dict[str, int]:
    months = times.dt.to_string("%Y-%m").alias("month").value_counts().sort("month")
    return dict(months.iter_rows())


def sections(about: Description) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """Everything as titled tables of plain cells, for the terminal and the page alike."""
    n = max(about.posts, 1)
    quantiles = [(what, *(f"{v:,.0f}" for v in found.values())) for what, found in about.lengths.items() if found]
    communities = [
        (c.name or "(none)", c.posts, c.users, c.tags, f"{c.tags_per_post:.2f}", ", ".join(c.favourites))
        for c in about.communities[:200]
    ]
    more = len(about.communities) - len(communities)
    return [
        ("The set", _overview(about)),
        ("Most used tags", [("tag", "posts", "share"), *((tag, k, f"{k / n:.1%}") for tag, k in about.most_used)]),
        ("Tags per post", [("tags", "posts", "share"), *_binned(about.tags_per_post, n)]),
        ("Length of the text", [("of the posts", *(f"{q:.0%} ≤" for q in QUANTILES)), *quantiles]),
        ("Words", [("words", "posts", "share"), *((c, k, f"{k / n:.1%}") for c, k in about.word_classes.items())]),
        ("Missing", [("part", "posts", "share"), *((p, k, f"{k / n:.1%}") for p, k in about.missing.items())]),
        ("Scripts", [("script", "posts", "share"), *((s, k, f"{k / n:.1%}") for s, k in about.scripts.items())]),
        (
            "Communities" + (f" (the largest {len(communities)}; {more:,} more)" if more else ""),
            [("community", "posts", "users", "tags", "tags/post", "most used"), *communities],
        ),
    ]


def _overview(about: Description) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = [
        ("posts", about.posts),
        ("users", about.users),
        ("communities", len(about.communities)),
        ("tags", about.tags),
        ("tags used once", about.used_once),
        ("tags per post", f"{about.mean_tags:.2f}"),
        ("inequality of tags (Gini)", f"{about.gini:.2f}"),
    ]
    if about.first and about.last:
        rows.append(("time (UTC)", f"{about.first:%Y-%m-%d %H:%M} to {about.last:%Y-%m-%d %H:%M}"))
    return rows


def _binned(counts: dict[int, int], posts: int) -> list[tuple[Any, ...]]:
    """Up to ten tags one by one, all above together."""
    rows = [(str(k), n, f"{n / posts:.1%}") for k, n in counts.items() if k <= 10]
    above = sum(n for k, n in counts.items() if k > 10)
    return rows + ([(">10", above, f"{above / posts:.1%}")] if above else [])


def printable(text: str) -> str:
    """On one line, without control, direction and surrogate characters, cut at 60 characters."""
    kept = (c for c in " ".join(text[:200].split()) if unicodedata.category(c) not in ("Cc", "Cs", "Co", "Cn"))
    line = "".join(c for c in kept if c not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")
    return line if len(line) <= 60 else line[:59] + "…"


def cell(value: Any) -> str:
    """A cell as it is shown: numbers with thousands parted."""
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def table(rows: list[tuple[Any, ...]], head: str) -> str:
    """Aligned columns under a title; wide characters count as two. Empty tables (a header alone) show nothing."""
    if len(rows) < 2:
        return ""
    cells = [[cell(value) for value in row] for row in rows]
    columns = [[row[i] for row in cells if i < len(row)] for i in range(max(map(len, cells)))]
    widths = [max(map(_width, column)) for column in columns]
    lines = ["  ".join(map(_padded, row, widths, numeric(cells[1:]))).rstrip() for row in cells]
    return "\n".join([head, "─" * _width(head), *lines])


def numeric(cells: list[list[str]]) -> list[bool]:
    """Which columns hold numbers throughout; these stand to the right. The first column names the row."""
    return [i > 0 and all(text[:1].isdigit() for text in column) for i, column in enumerate(zip(*cells))]


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _padded(text: str, width: int, right: bool) -> str:
    fill = " " * (width - _width(text))
    return fill + text if right else text + fill
