"""Which tables of forecasts docs/results.md shows: the posts of each, the rows, and what each row changes.

Rows are recipes; ``python tools/results.py run forecast-lobsters`` makes one table, as it does those of suggestions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from result_tables import DATA, PICTURES, THREE, UNSEEING, Changes, set_where_known

from hashloom import catalogue
from hashloom.data.read import read
from hashloom.evaluate.forecast_findings import ForecastFindings
from hashloom.evaluate.forecasting import compare
from hashloom.types import Posts

FLOORS = ["mean", "hisave", "author-mean"]
PAPER = ["svr", "dmf", "dual-attention", "uhan", "uhan-author"]
UHAN = ["uhan-no-residual", "uhan-no-intra"]
"""UHAN without a part of it (models §11.8)."""
UHAN_SEEING = [
    "uhan-no-user",
    "uhan-user-intra",
    "uhan-user-inter",
    "uhan-text",
    "uhan-picture",
    "uhan-no-inter",
    "uhan-concat",
]
"""Rows that tell something only where there are pictures. Without, UHAN has nothing to weigh text against: guided by
the author between the sides alone, or not at all, it is DualAtt; guided within the text alone, it has no residual."""
BOOSTED = ["boosted", "boosted-no-author", "boosted-no-text", "boosted-no-tags", "boosted-no-neighbours"]
BOOSTED_SEEING = ["boosted-no-picture"]
ROWS = [*FLOORS, *PAPER, *UHAN, *BOOSTED]


@dataclass(frozen=True)
class ForecastTable:
    """One table: which posts, which number, which rows and what is said of it.

    ``changes`` are fields set in one row, ``settings`` fields set in every part of every row that has them. ``users``
    and ``until`` choose posts as ``forecasting.compare`` says. ``pairs``: rows told apart by name.
    """

    title: str
    file: str
    target: str
    recipes: Sequence[str]
    users: int = 0
    until: datetime | None = None
    seeds: Sequence[int] = THREE
    changes: Mapping[str, Changes] = field(default_factory=dict)
    settings: Changes = ()
    pairs: Sequence[tuple[str, str]] = ()
    about: str = ""

    def posts(self) -> Posts:
        """The table's posts, in order of time."""
        return read(DATA / self.file)[0].in_order()

    def rows(self) -> list[dict[str, Any]]:
        """The recipes of all rows, changed as the table says."""
        for name in [*self.changes, *(name for pair in self.pairs for name in pair)]:
            if name not in self.recipes:
                raise ValueError(f"{self.title}: {name!r} is no row of this table")
        return [self.row(name) for name in self.recipes]

    def row(self, name: str) -> dict[str, Any]:
        """One row's recipe."""
        recipe = catalogue.recipe(name.partition(", ")[0])
        model = catalogue.override(recipe["model"], f'target="{self.target}"')
        for path, value in self.changes.get(name, ()):
            model = catalogue.override(model, f"{path}={value}")
        for path, value in self.settings:
            model = set_where_known(model, path, value)
        return recipe | {"name": name, "model": model}


def _pairs(rows: Sequence[str]) -> list[tuple[str, str]]:
    """Each model and the same without a part, and the order that the paper states."""
    order = [("uhan", "dual-attention"), ("dual-attention", "dmf"), ("dmf", "svr"), ("svr", "hisave")]
    order += [("boosted", "uhan"), ("boosted", "uhan-author"), ("uhan", "author-mean"), ("boosted", "author-mean")]
    parts = [(full, row) for full in ("uhan", "boosted") for row in rows if row.startswith(f"{full}-")]
    return [(a, b) for a, b in order + parts if a in rows and b in rows]


SEEING = [*ROWS, *UHAN_SEEING, *BOOSTED_SEEING]
SCORES = "A post's number is its score at the end of the crawl. Text and habit alone; there are no pictures."
FORECASTS = {
    "forecast-lobsters": ForecastTable(
        "Forecasts: scores on Lobsters, all authors, by time",
        "lobsters/posts.parquet",
        "score",
        ROWS,
        settings=UNSEEING,
        pairs=_pairs(ROWS),
        about=SCORES,
    ),
    "forecast-lobsters-128": ForecastTable(
        "Forecasts: scores on Lobsters, the 128 most active authors, by time",
        "lobsters/posts.parquet",
        "score",
        ROWS,
        users=128,
        settings=UNSEEING,
        pairs=_pairs(ROWS),
        about="As in UHAN's paper, which kept 128 active users. They are those with most posts in the training part, "
        "which is cut before, so that no later post decides who is looked at: the parts are then no longer 70/10/20, "
        f"and some of the authors have stopped posting before the test part. {SCORES}",
    ),
    "forecast-instagram": ForecastTable(
        "Forecasts: likes per follower on Instagram, by time",
        "instagram_2019/posts.jsonl",
        "likes/user_followers",
        SEEING,
        until=datetime(2019, 4, 16, tzinfo=UTC),
        settings=PICTURES,
        pairs=_pairs(SEEING),
        about="Posts of the last three days before 2019-04-19 are left out, since their likes had not ripened. "
        "Followers are those at the time of the crawl. At most twelve posts per author; pictures are thumbnails of 42 "
        "pixels, and a fifth of the posts has none.",
    ),
}


def measure(name: str, folder: Path, only: Sequence[str] = ()) -> ForecastFindings:
    """Train and score a table's rows, or ``only`` some; forecasts are kept in ``folder``."""
    table = FORECASTS[name]
    return compare(
        table.rows() if not only else [table.row(row) for row in only],
        table.posts(),
        seeds=table.seeds,
        folder=folder,
        pairs=() if only else table.pairs,
        users=table.users,
        until=table.until,
        say=partial(print, flush=True),
    )


def section(name: str, found: ForecastFindings) -> str:
    """A table's part of docs/results.md."""
    table = FORECASTS[name]
    seeds = ", ".join(map(str, table.seeds))
    said = f"Networks were trained with the seeds {seeds}; scores are means over them."
    parts = [f"## {table.title}", table.about, said if any(one.runs for one in found.results) else ""]
    parts += [f"`python tools/results.py run {name}`", found.markdown().rstrip()]
    return "\n\n".join(part for part in parts if part) + "\n"
