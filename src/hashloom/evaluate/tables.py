"""The findings as plain text: a Markdown table for the documents and an aligned one for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from hashloom.evaluate.compare import Interval
from hashloom.evaluate.findings import Findings

TITLES = {
    "ndcg": "NDCG@{}",
    "ndcg_t": "NDCG@{} (all)",
    "p": "P@{}",
    "p_adapt": "P@{} (given)",
    "r": "R@{}",
    "r_cap": "R@{} (capped)",
    "map": "MAP@{}",
    "ap_min": "MAP@{}",
    "ap_t": "MAP@{} (all)",
    "ap_hit": "MAP@{} (found)",
    "mrr": "MRR@{}",
    "hit": "Hit@{}",
    "f1_posts": "F1@{} (posts)",
    "f1_means": "F1@{} (means)",
    "micro_p": "micro P@{}",
    "micro_r": "micro R@{}",
    "micro_f1": "micro F1@{}",
    "rouge1": "ROUGE-1@{}",
    "rouge2": "ROUGE-2@{}",
    "rougeL": "ROUGE-L@{}",
    "novel_r": "novel R@{}",
    "young_r": "young R@{}",
}


def title(metric: str) -> str:
    """A metric's id as a column's heading.

    >>> title("ndcg@10"), title("f1_means@5"), title("rr_truths@5")
    ('NDCG@10', 'F1@5 (means)', 'rr_truths@5')
    """
    name, _, k = metric.partition("@")
    return TITLES[name].format(k) if name in TITLES else metric


def number(value: float) -> str:
    """Three decimals; a dash where there is no number.

    >>> number(0.70349), number(float("nan"))
    ('0.703', '–')
    """
    return "–" if value != value else f"{value:.3f}"


def seconds(value: float) -> str:
    """A duration in the unit that people would say.

    >>> seconds(0.000038), seconds(0.0042), seconds(3.2), seconds(200), seconds(float("nan"))
    ('38 µs', '4.2 ms', '3.2 s', '3 min 20 s', '–')
    """
    if value != value:
        return "–"
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value * 1000:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    return f"{round(value) // 60} min {round(value) % 60} s"


def setting(found: Findings) -> str:
    """One line on what was measured: data, split, counts."""
    made = found.experiment
    parts = f"{len(made.train):,} training, {made.validation:,} validation, {len(made.test):,} test posts"
    mark = f", data {made.fingerprint}" if made.fingerprint else ""
    return f"{made.name}: {parts}; split by {made.split}{mark}; {found.tags_per_post:.1f} true tags per post"


def markdown(found: Findings) -> str:
    """A Markdown table, best method first, every figure with its 95 % interval; ends with a newline.

    >>> from hashloom.evaluate.findings import Experiment, Result
    >>> from hashloom.types import Post, Posts, Rankings
    >>> test = Posts.of([Post("a", "rye", tags=("Rye",))])
    >>> always = Result("always-rye", {}, Rankings.of(["a"], [[("Rye", 1.0)]]))
    >>> print(markdown(Findings([always], Experiment("tiny", test, test, metrics=("hit@1",)))).splitlines()[4])
    | always-rye | **1.000** | – | – |
    """
    names = found.experiment.metrics
    more = extras(found)
    heads = ["method", *map(title, names), *more, "train", "answer, per post"]
    rows = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for i in range(len(found.names)):
        rows.append([_name(found, i), *_cells(found, i), *(column[i] for column in more.values()), *_times(found, i)])
    for name, tops in (("*perfect answers*", found.ceilings), ("*perfect, known tags*", found.known_ceilings)):
        rows.append([name, *(number(tops[metric]) for metric in names), *[""] * len(more), "", ""])
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"{setting(found)}\n\n{table}\n"


def extras(found: Findings) -> dict[str, list[str]]:
    """Heading → cells of the columns that stand only where there is something to say: seeds, best K, spread."""
    made: dict[str, list[str]] = {}
    if any(result.runs for result in found.results):
        each = zip(found.results, found.deviations)
        made["between seeds"] = [f"±{d:.4f} ({len(result.each)})" if result.runs else "–" for result, d in each]
    if any(found.peaks.ks):
        made["best K"] = [str(k or "–") for k in found.peaks.ks]
        made["F1 there (means)"] = [span(one) for one in found.peaks.intervals]
    return made | (uniformity(found) if found.experiment.spreads else {})


def uniformity(found: Findings) -> dict[str, list[str]]:
    """Heading → cells: how evenly each method suggests tags; see ``beyond.Spread``."""
    return {
        "coverage": [share(one.coverage) for one in found.spreads],
        "Gini": [number(one.gini) for one in found.spreads],
        "mean popularity": [_whole(one.popularity) for one in found.spreads],
        "unseen": [share(one.unseen) for one in found.spreads],
    }


def _whole(value: float) -> str:
    return "–" if value != value else f"{value:,.0f}"


def share(value: float) -> str:
    """A share in per cent, with a thin space; a tenth where it is small.

    >>> share(0.256), share(0.0042), share(0.0)
    ('26\u202f%', '0.4\u202f%', '0\u202f%')
    """
    return "–" if value != value else f"{100 * value:.{1 if 0 < value < 0.0995 else 0}f}\u202f%"


def span(one: Interval) -> str:
    """A figure with its interval.

    >>> span(Interval(0.5, 0.25, 0.75)), span(Interval(0.5, float("nan"), float("nan")))
    ('0.500 [0.250, 0.750]', '0.500')
    """
    return number(one.value) + (f" [{number(one.low)}, {number(one.high)}]" if one.low == one.low else "")


def _name(found: Findings, i: int) -> str:
    name = found.names[i].replace("|", "\\|")
    return f"{name} (floor)" if found.results[i].floor else name


def best(values: Sequence[Interval], i: int) -> bool:
    """Whether the i-th value is the highest of its column (to the three decimals that are shown)."""
    tops = [round(one.value, 3) for one in values if one.value == one.value]
    return bool(tops) and round(values[i].value, 3) == max(tops)


def _cells(found: Findings, i: int) -> list[str]:
    cells = []
    for metric in found.experiment.metrics:
        column = found.intervals[metric]
        value, _, between = span(column[i]).partition(" ")
        mark = "**" if best(column, i) else ""
        cells.append(f"{mark}{value}{mark} {between}".rstrip())
    return cells


def _times(found: Findings, i: int) -> list[str]:
    result = found.results[i]
    return [seconds(result.train_seconds), seconds(per_post(found, i))]


def per_post(found: Findings, i: int) -> float:
    """Seconds that a method took to answer one post, in batch."""
    return found.results[i].recommend_seconds / max(len(found.experiment.test), 1)


def table(found: Findings) -> str:
    """The same for a terminal: aligned columns, the headline with its interval; ends with a newline.

    >>> from hashloom.evaluate.findings import Experiment, Result
    >>> from hashloom.types import Post, Posts, Rankings
    >>> test = Posts.of([Post("a", "rye", tags=("Rye",))])
    >>> always = Result("always-rye", {}, Rankings.of(["a"], [[("Rye", 1.0)]]))
    >>> print(table(Findings([always], Experiment("tiny", test, test, metrics=("hit@1",)))).splitlines()[3])
    always-rye       1.000              –      –         –
    """
    names = found.experiment.metrics
    more = {head: cells for head, cells in extras(found).items() if not head.startswith("F1")}
    heads = ["method", title(names[0]), "95 % interval", *map(title, names[1:]), *more, "train", "per post"]
    rows = [heads]
    for i in range(len(found.names)):
        first, *rest = [found.intervals[metric][i] for metric in names]
        within = f"{number(first.low)}–{number(first.high)}" if first.low == first.low else "–"
        others = [*(number(o.value) for o in rest), *(column[i] for column in more.values())]
        rows.append([_name(found, i), number(first.value), within, *others, *_times(found, i)])
    tops = [number(found.ceilings[metric]) for metric in names]
    rows.append(["perfect answers", tops[0], "", *tops[1:], *[""] * len(more), "", ""])
    wide = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    aligned = ["  ".join([row[0].ljust(wide[0]), *_aligned(row[1:], wide[1:])]).rstrip() for row in rows]
    return "\n".join([setting(found), "", *aligned]) + "\n"


def _aligned(row: Sequence[str], wide: Sequence[int]) -> list[str]:
    return [cell.rjust(width) for cell, width in zip(row, wide)]
