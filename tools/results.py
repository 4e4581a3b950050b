"""Makes docs/results.md: trains and scores the recipes on the real posts, one table a set.

    python tools/results.py run stackexchange     # trains, scores, writes docs/results/stackexchange.md
    python tools/results.py page                  # puts docs/results.md together from docs/results/*.md

Answers are kept under .cache/results, so that a run that was stopped goes on where it was. The posts are looked for in
../shared/data; they are real people's and are not part of this repository.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hashloom import catalogue
from hashloom.data.read import read
from hashloom.evaluate.compare import Interval
from hashloom.evaluate.findings import Findings
from hashloom.evaluate.protocol import compare
from hashloom.evaluate.report import report
from hashloom.evaluate.tables import markdown, number
from hashloom.types import Posts

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
OUT = ROOT / "docs" / "results"
KEPT = ROOT / ".cache" / "results"
PAPER = ["commune-lightgbm", "commune-lightgbm-simple", "commune-two-stage"]
MINILM = [("encoder.weights", "minilm"), ("encoder.max_tokens", "128"), ("depth", "20")]


@dataclass(frozen=True)
class Table:
    """One table: which posts, which recipes (with changed fields), and what to say of it."""

    title: str
    file: str
    recipes: Sequence[str]
    every: int = 1
    changes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    makers: bool = True
    about: str = ""


def _tokeniser(mode: str) -> list[tuple[str, str]]:
    return [("tokens.japanese", mode)]


TABLES = {
    "stackexchange": Table(
        "Stack Exchange: four communities, each with its own tags, by order of posting",
        "stackexchange/posts.parquet",
        ["popular", *PAPER, "two-stage"],
        about="No times and no authors: the habit makers have nothing to say here. Cut 70/10/20 in each community.",
    ),
    "lobsters": Table(
        "Lobsters: one community, authors known, by time",
        "lobsters/posts.parquet",
        ["popular", "popular-recent", "own-frequency", "own-recency", *PAPER, "two-stage"],
        about="A text is a title with the linked page's domain.",
    ),
    "vectorisers": Table(
        "Vectorisers for the paper's ranker, on every twelfth Stack Exchange post",
        "stackexchange/posts.parquet",
        ["commune-two-stage", "commune-vectors-tfidf", "commune-vectors-separate", "commune-vectors-unified"],
        every=12,
        changes={
            "commune-two-stage": [("depth", "20")],
            "commune-vectors-tfidf": [("depth", "20")],
            "commune-vectors-separate": MINILM,
            "commune-vectors-unified": MINILM,
        },
        makers=False,
        about="Twenty candidates a post; the sentence encoder is all-MiniLM-L6-v2 (English), as ruri-small could "
        "not be had. The joined way encodes every pair of post and tag, hence the small sample.",
    ),
    "japanese": Table(
        "JSer.info: Japanese texts, one tokeniser a row, by time",
        "jser_ja/posts.parquet",
        [f"linear, {mode}" for mode in ("unidic", "ipadic", "sudachi_a", "sudachi_b", "sudachi_c")]
        + [f"nearest, {mode}" for mode in ("unidic", "ipadic", "sudachi_a", "sudachi_b", "sudachi_c")]
        + ["two-stage", "popular"],
        about="The linear model reads character n-grams beside words; `nearest` reads words alone.",
    ),
}


def _recipe(table: Table, name: str) -> dict[str, Any]:
    base, _, mode = name.partition(", ")
    recipe = catalogue.recipe(base)
    changes = table.changes.get(name, []) + (_tokeniser(mode) if mode else [])
    model = recipe["model"]
    if mode:
        model = model | {"tokens": {"encoder": "tokens"}}
    for path, value in changes:
        model = catalogue.override(model, f"{path}={value}")
    return recipe | {"name": name, "model": model}


def run(name: str, only: Sequence[str] = ()) -> None:
    """Train and score one table's recipes; write its page and its report."""
    table = TABLES[name]
    posts, _ = read(DATA / table.file)
    if table.every > 1:
        posts = Posts(posts.frame[:: table.every])
    recipes = [_recipe(table, each) for each in only or table.recipes]
    found = compare(recipes, posts, folder=KEPT, makers=table.makers, say=print)
    if only:
        print(markdown(found))
        return
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.md").write_text(_section(name, table, found), encoding="utf-8")
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.html").write_text(report(found), encoding="utf-8")
    print(f"{OUT / name}.md and {KEPT / name}.html")


def _section(name: str, table: Table, found: Findings) -> str:
    parts = [f"## {table.title}", table.about, f"`python tools/results.py run {name}`", markdown(found).rstrip()]
    parts += [f"### The best row against the others\n\n{_differences(found)}"]
    parts += [f"### By slice: {found.headline}\n\n{_slices(found)}"]
    published = list(_published(found))
    if published:
        head = "| row | metric | published | measured here |\n| --- | --- | --: | --: |"
        parts += ["### Beside the published figures\n\n" + "\n".join([head, *published])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _differences(found: Findings) -> str:
    rows = [f"| {found.names[0]} against | {found.headline}: difference | ratio |\n| --- | --: | --: |"]
    for other, gap in found.differences:
        rows.append(f"| {other} | {_span(gap.difference)} | {_span(gap.ratio)} |")
    return "\n".join(rows)


def _span(one: Interval) -> str:
    return f"{number(one.value)} [{number(one.low)}, {number(one.high)}]"


def _slices(found: Findings) -> str:
    best = found.names[:6]
    rows = ["| slice | posts | " + " | ".join(best) + " |", "| --- | --: |" + " --: |" * len(best)]
    for kind, labels in found.slices.items():
        for label, (count, values) in labels.items():
            rows.append(f"| {kind}: {label} | {count:,} | " + " | ".join(number(v) for v in values[: len(best)]) + " |")
    return "\n".join(rows)


def _published(found: Findings) -> Iterator[str]:
    for i, result in enumerate(found.results):
        for metric, value in result.published.items():
            yield f"| {result.name} | {metric} | {number(float(value))} | {number(found.value(i, metric))} |"


def page() -> None:
    """docs/results.md from its parts: an introduction written by hand, then the tables."""
    head = (OUT / "introduction.md").read_text(encoding="utf-8").replace("](../", "](")
    parts = [
        (OUT / f"{name}.md").read_text(encoding="utf-8")
        for name in [*TABLES, "new-community"]
        if (OUT / f"{name}.md").is_file()
    ]
    (ROOT / "docs" / "results.md").write_text("\n".join([head, *parts]), encoding="utf-8")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "page"])
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES)}; default: all")
    parser.add_argument("--only", action="append", default=[], help="only these recipes; prints, writes no page")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for name in (given.tables or TABLES) if given.verb == "run" else ():
        run(name, given.only)
    if given.verb == "page":
        page()


if __name__ == "__main__":
    main()
