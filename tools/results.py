"""Makes docs/results.md: trains and scores the recipes on the real posts, one table a set.

    python tools/results.py run instagram                  # trains, scores, writes docs/results/instagram.md and curves
    python tools/results.py run instagram --only linear    # this row alone; prints, writes no page
    python tools/results.py run instagram --only linear --again   # after a change of the model's code
    python tools/results.py page                           # puts docs/results.md together from docs/results/*.md

Answers are kept under .cache/results, so that a run that was stopped goes on where it was, and several processes can
make the rows of one table: each takes what no other is making, and a last ``run`` finds them all. The tables are those
of result_tables.py and, of forecasts, forecast_tables.py. The posts are looked for in ../shared/data; they are real
people's and are not part of this repository.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from xml.etree import ElementTree

from forecast_tables import FORECASTS, measure, section
from result_tables import CHAT, ENDPOINT, ROOT, TABLES, Table

from hashloom.evaluate.compare import Difference
from hashloom.evaluate.figure import figure
from hashloom.evaluate.findings import Findings
from hashloom.evaluate.protocol import compare
from hashloom.evaluate.report import report
from hashloom.evaluate.tables import markdown, number, span, title

OUT = ROOT / "docs" / "results"
KEPT = ROOT / ".cache" / "results"


def run(name: str, only: Sequence[str] = (), again: bool = False) -> None:
    """Train and score one table's rows; write its page, its curves and its report. ``again``: forget kept answers."""
    recipes = (TABLES | FORECASTS)[name].recipes
    for row in only:
        if row not in recipes:
            raise SystemExit(f"table {name!r} has no row {row!r}; there are: {'; '.join(recipes)}")
    for row in only or recipes if again else ():
        forget(row)
    if name in FORECASTS:
        forecasts(name, only)
        return
    table = TABLES[name]
    with endpoint([row for row in only or table.recipes if row in CHAT]):
        found = compare(
            table.rows(),
            table.posts(),
            how=table.split,
            seeds=table.seeds,
            folder=KEPT,
            makers=table.makers,
            pairs=() if only else table.pairs,
            only=only,
            metrics=table.metrics,
            spreads=table.spreads,
            say=partial(print, flush=True),
        )
    if only:
        print(markdown(found))
        return
    write(name, table, found)


def forecasts(name: str, only: Sequence[str]) -> None:
    """Train and score the rows of a table of forecasts; write its page and its report."""
    found = measure(name, KEPT, only)
    if only:
        print(found.markdown())
        return
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.md").write_text(section(name, found), encoding="utf-8")
    (KEPT / f"{name}.html").write_text(found.html(), encoding="utf-8")
    print(f"{OUT / name}.md and {KEPT / name}.html")


@contextmanager
def endpoint(rows: Sequence[str]) -> Iterator[None]:
    """The local server that rows of language models ask, where there are any."""
    if not rows:
        yield
        return
    sys.path.insert(0, str(ROOT / "tests"))
    from chat_server import serving

    with serving("good", ENDPOINT):
        yield


def forget(row: str) -> None:
    """Remove what is kept of a row, in all tables: its model's code has changed, which settings do not show."""
    for path in KEPT.glob("*.parquet"):
        if re.fullmatch(re.escape(row) + r"-[0-9a-f]{12}\.parquet", path.name):
            path.unlink()


def write(name: str, table: Table, found: Findings) -> None:
    """The page and the curves of a table, for the documents, and its report, which shows posts and stays here."""
    OUT.mkdir(parents=True, exist_ok=True)
    drawn = figure(found)
    ElementTree.fromstring(drawn)  # a picture that is no XML would show as nothing
    (OUT / f"{name}-curves.svg").write_text(drawn, encoding="utf-8")
    (OUT / f"{name}.md").write_text(_section(name, table, found), encoding="utf-8")
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{name}.html").write_text(report(found), encoding="utf-8")
    print(f"{OUT / name}.md, {OUT / name}-curves.svg and {KEPT / name}.html")


def _section(name: str, table: Table, found: Findings) -> str:
    parts = [f"## {table.title}", table.about, _how(table, found), f"`python tools/results.py run {name}`"]
    parts += [markdown(found).rstrip(), f"![Metrics against K = 1 … 10]({name}-curves.svg)"]
    parts += [f"### The best row against the others\n\n{_differences(found)}"]
    parts += [f"### Pair by pair\n\n{_pairs(found)}"] if found.pairs else []
    parts += [f"### By slice: {found.headline}\n\n{_slices(found)}"]
    published = list(_published(found))
    if published:
        head = "| row | metric | published | measured here |\n| --- | --- | --: | --: |"
        parts += ["### Beside the published figures\n\n" + "\n".join([head, *published])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _how(table: Table, found: Findings) -> str:
    """What the columns beside the metrics say, where they are there."""
    said = []
    if any(result.runs for result in found.results):
        seeds = ", ".join(map(str, table.seeds))
        said += [f"Networks were trained with the seeds {seeds}; a post's score is the mean over them."]
    if any(found.peaks.ks):
        said += ["The best K is where F1 of the averages peaks on the validation part, never on the test part."]
    return " ".join(said)


def _differences(found: Findings) -> str:
    best, f1 = found.names[0], any(found.peaks.ks)
    heads = [f"{best} against", f"{found.headline}: difference", "ratio"]
    heads += ["F1 at each one's best K: difference", "ratio"] if f1 else []
    rows = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for i, (other, gap) in enumerate(found.differences, 1):
        rows.append([other, *_apart(gap), *(_apart(found.peaks.difference(0, i)) if f1 else [])])
    return _table(rows)


def _apart(one: Difference | None) -> list[str]:
    return ["–", "–"] if one is None else [span(one.difference), span(one.ratio)]


def _table(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _pairs(found: Findings) -> str:
    rows = [["rows", "metric", "posts", "n", "difference", "ratio"], ["---", "---", "---", "--:", "--:", "--:"]]
    for one in found.pairs:
        for each in one.rows:
            head = [f"{one.first} − {one.second}", title(each.metric), each.label, f"{each.posts:,}"]
            rows.append([*head, *_apart(each.difference)])
    return _table(rows)


def _slices(found: Findings) -> str:
    shown = _shown(found)
    rows = [["slice", "posts", *(found.names[i] for i in shown)], ["---", *["--:"] * (len(shown) + 1)]]
    for kind, labels in found.slices.items():
        for label, (count, values) in labels.items():
            rows.append([f"{kind}: {label}", f"{count:,}", *(number(values[i]) for i in shown)])
    return _table(rows)


def _shown(found: Findings) -> list[int]:
    """The six best rows, the rows of named pairs, and the best counting row."""
    named = {name for pair in found.experiment.pairs for name in pair}
    floor = next((i for i, result in enumerate(found.results) if result.floor), 0)
    return [i for i, name in enumerate(found.names) if i < 6 or i == floor or name in named]


def _published(found: Findings) -> Iterator[str]:
    for i, result in enumerate(found.results):
        for metric, value in result.published.items():
            yield f"| {result.name} | {metric} | {number(float(value))} | {number(found.value(i, metric))} |"


def page() -> None:
    """docs/results.md from its parts: an introduction written by hand, then the tables."""
    head = (OUT / "introduction.md").read_text(encoding="utf-8").replace("](../", "](")
    walks = ["prequential-lobsters", "prequential-stackexchange"]
    names = [
        name
        for name in [*TABLES, "new-community", *walks, *FORECASTS, "faithfulness", "calibration", "feedback"]
        if (OUT / f"{name}.md").is_file()
    ]
    parts = [(OUT / f"{n}.md").read_text(encoding="utf-8").replace(f"]({n}-", f"](results/{n}-") for n in names]
    (ROOT / "docs" / "results.md").write_text("\n".join([head, *parts]), encoding="utf-8")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["run", "page"])
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES | FORECASTS)}; default: all")
    parser.add_argument(
        "--only", action="append", default=[], help="only this row (may be repeated); prints, writes no page"
    )
    parser.add_argument("--again", action="store_true", help="forget the kept answers of these rows, in all tables")
    given = parser.parse_args()
    # Paths of encoders and caches in settings count from here, so that they are the same on every machine.
    os.chdir(ROOT)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for name in (given.tables or TABLES | FORECASTS) if given.verb == "run" else ():
        run(name, given.only, given.again)
    if given.verb == "page":
        page()


if __name__ == "__main__":
    main()
