"""Makes docs/results/faithfulness.md: does deleting what is marked move the answer more than deleting at random?

    python tools/faithfulness.py                         # all rows; those kept are not made again
    python tools/faithfulness.py lobsters-linear --posts 20   # one row on few posts; prints, writes no page
    python tools/faithfulness.py --again lobsters-loom   # after a change of the model's code

Each model learns from the training part of the latest posts (by time) and is asked about posts of the test part, drawn
evenly. What was found is kept under .cache/faithfulness. The posts are looked for in ../shared/data; they are real
people's and are not part of this repository.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import numpy as np
from result_tables import DATA, PICTURES, ROOT, UNSEEING, Changes, set_where_known

from hashloom import catalogue
from hashloom.data.read import read
from hashloom.data.split import split
from hashloom.evaluate.tables import number
from hashloom.explain.faithfulness import Faithfulness, Falls, faithfulness
from hashloom.explain.occlusion import Canvas
from hashloom.types import Posts

OUT = ROOT / "docs" / "results" / "faithfulness.md"
KEPT = ROOT / ".cache" / "faithfulness"
POSTS = 200
DRAWS = 5
SEED = 0
RIPE = datetime(2019, 4, 16, tzinfo=UTC)
"""Instagram: later posts' likes had not ripened when they were counted."""


@dataclass(frozen=True)
class Row:
    """A recipe, the posts it learns from and is asked about, and what is changed in it."""

    recipe: str
    file: str
    latest: int
    changes: Changes
    target: str = ""
    seeing: bool = False
    """Only posts with words and a picture that can be read are asked about."""

    def settings(self) -> dict[str, Any]:
        """The recipe's model as it is trained."""
        made = dict(catalogue.recipe(self.recipe)["model"])
        for path, value in self.changes:
            made = set_where_known(made, path, value)
        return catalogue.override(made, f'target="{self.target}"') if self.target else made


def _lobsters(recipe: str, target: str = "") -> Row:
    return Row(recipe, "lobsters/posts.parquet", 6000, UNSEEING, target)


def _instagram(recipe: str, target: str = "") -> Row:
    return Row(recipe, "instagram_2019/posts.jsonl", 8000, PICTURES, target, seeing=True)


ROWS = {
    "lobsters-linear": _lobsters("linear"),
    "lobsters-loom": _lobsters("loom"),
    "lobsters-macon": _lobsters("macon"),
    "lobsters-uhan": _lobsters("uhan", "score"),
    "lobsters-boosted": _lobsters("boosted", "score"),
    "instagram-macon": _instagram("macon"),
    "instagram-uhan": _instagram("uhan", "likes/user_followers"),
}


def find(name: str, posts: int, again: bool = False) -> Faithfulness:
    """What a row says, from what is kept where nothing has changed."""
    row = ROWS[name]
    given = json.dumps([row.settings(), row.file, row.latest, posts, DRAWS, SEED], sort_keys=True)
    path = KEPT / f"{name}-{blake2b(given.encode(), digest_size=6).hexdigest()}.json"
    if not path.exists() or again:
        made = measure(row, posts)
        KEPT.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps([_plain(one) for one in made.falls]), encoding="utf-8")
        beside.replace(path)
    return Faithfulness(tuple(_falls(one) for one in json.loads(path.read_text(encoding="utf-8"))))


def measure(row: Row, count: int) -> Faithfulness:
    """Train a row's model and delete words and regions: by its own marks and by occlusion."""
    posts = read(DATA / row.file)[0].in_order()
    posts = posts if not row.target else _ripe(posts, row)
    tagged = posts if row.target else posts.tagged()
    made = split(tagged[-row.latest :])
    model = catalogue.build(row.settings()).fit(made.train)
    asked = _drawn(made.test, count, row.seeing)
    given: dict[str, Any] = {"history": made.validation, "draws": DRAWS, "seed": SEED}
    own = faithfulness(model, asked, **given)
    if all(one.kind == "occlusion" for one in own.falls):
        return own
    return Faithfulness(own.falls + faithfulness(model, asked, kind="occlusion", **given).falls)


def _ripe(posts: Posts, row: Row) -> Posts:
    import polars as pl

    return Posts(posts.frame.filter(pl.col("created_at") < RIPE)) if row.seeing else posts


def _drawn(posts: Posts, count: int, seeing: bool) -> Posts:
    """Posts with words (and a readable picture), evenly drawn."""
    rows = [i for i, text in enumerate(posts.texts) if len(text.split()) > 1]
    if seeing:
        pictures = posts.frame["images"].list.len().to_numpy() > 0
        rows = [i for i in rows if pictures[i]]
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))
    rows = [rows[i] for i in chosen.tolist()]
    return posts[[i for i in rows if not seeing or Canvas.of(posts[i : i + 1], ROOT)]]


def _plain(one: Falls) -> dict[str, Any]:
    return {"kind": one.kind, "side": one.side, "ids": one.ids} | {
        name: getattr(one, name).tolist() for name in ("marked", "drawn")
    }


def _falls(one: Mapping[str, Any]) -> Falls:
    return Falls(one["kind"], one["side"], tuple(one["ids"]), np.array(one["marked"]), np.array(one["drawn"]))


HEADS = ("row", "side", "marks", "posts", "marked", "random", "difference [95 %]", "marked > random")
ABOUT = f"""A map alone is no evidence. The marked tenth of a post's words or picture cells (at least one) is deleted,
and {DRAWS} times a random tenth: words are taken out of the text, cells take the picture's mean colour. Of
recommenders (linear, loom, macon) the fall of the first suggested tag's score is shown, of forecasters (uhan, boosted)
how far the forecast moves, on its scale of log2. The difference is the mean over posts with its bootstrap interval;
the last column is the share of posts where what is marked moved more than a random draw (marks without meaning come to
a half at the most). Occlusion finds its marks by deleting one thing at a time: where one is deleted here too, its row
measures what it was chosen by, and is an upper bound for the other kinds, no evidence of its own."""


def lines(name: str, found: Faithfulness) -> list[str]:
    """A row's lines of the table."""
    made = []
    for one in found.falls:
        gap = one.difference(SEED)
        span = f"{number(gap.value)} [{number(gap.low)}, {number(gap.high)}]"
        cells = [name, one.side, one.kind, str(len(one.ids)), number(one.marked.mean()), number(one.random.mean())]
        made.append("| " + " | ".join([*cells, span, f"{one.wins:.2f}"]) + " |")
    return made


def page(found: Mapping[str, Faithfulness]) -> str:
    """The whole page."""
    head = "| " + " | ".join(HEADS) + " |\n| --- | --- | --- |" + " --: |" * (len(HEADS) - 3)
    rows = [line for name, one in found.items() for line in lines(name, one)]
    about = ABOUT.replace("\n", " ")
    return f"## Faithfulness of explanations\n\n{about}\n\n`python tools/faithfulness.py`\n\n" + "\n".join(
        [head, *rows]
    )


def main(given: Sequence[str] | None = None) -> None:
    """Make the rows asked for, or all and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help=", ".join(ROWS))
    parser.add_argument("--posts", type=int, default=POSTS)
    parser.add_argument("--again", action="store_true")
    asked = parser.parse_args(given)
    for name in asked.rows:
        if name not in ROWS:
            raise SystemExit(f"no row {name!r}; there are: {', '.join(ROWS)}")
    found = {}
    for name in asked.rows or ROWS:
        found[name] = find(name, min(asked.posts, POSTS), asked.again)
        print("\n".join(lines(name, found[name])), flush=True)
    if not asked.rows and asked.posts >= POSTS:
        OUT.write_text(page(found) + "\n", encoding="utf-8")
        print(OUT)


if __name__ == "__main__":
    main()
