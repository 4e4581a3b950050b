"""Figures of forecasters as plain text: Markdown tables for documents and an aligned one for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hashloom.evaluate.compare import Interval
from hashloom.evaluate.forecast_findings import ForecastFindings
from hashloom.evaluate.forecast_metrics import METRICS
from hashloom.evaluate.tables import _aligned, number, seconds, share, span

SHOWN = 8
"""So many methods stand in the tables of slices, best first; the best floor is always among them."""


def setting(found: ForecastFindings) -> str:
    """Two lines on what was measured: the number, the data, the split, what was left out."""
    made = found.experiment
    tuning = f", {made.validation:,} validation" if made.part == "test" else ""
    parts = f"{len(made.train):,} training{tuning}, {len(made.test):,} {made.part} posts ({found.user_count:,} authors)"
    data = f", data {made.fingerprint}" if made.fingerprint else ""
    left = "; ".join(f"{n:,} {why}" for why, n in made.left_out.items())
    less = f"; left out: {left}" if left else ""
    return f"Forecast is {made.formula}.\n{made.name}: {parts}; split by {made.split}{data}{less}"


def best(found: ForecastFindings, metric: str, i: int) -> bool:
    """Whether a method is the best of a column, to the three decimals shown; some columns have no best."""
    column = [round(one.value, 3) for one in found.intervals[metric] if one.value == one.value]
    wanted = METRICS[metric].better
    if not column or wanted not in ("low", "high") or metric == "width":
        return False
    return round(found.intervals[metric][i].value, 3) == (min(column) if wanted == "low" else max(column))


def figure(metric: str, one: Interval) -> str:
    """A value as its column shows it: coverage in per cent, the bias with its sign."""
    if metric == "coverage":
        return percent(one.value)
    return f"{one.value:+.3f}" if metric == "bias" and one.value == one.value else number(one.value)


def percent(value: float) -> str:
    """A share in per cent to a tenth, with a thin space.

    >>> percent(0.9031), percent(float("nan"))
    ('90.3\u202f%', '–')
    """
    return "–" if value != value else f"{100 * value:.1f}\u202f%"


def between(metric: str, one: Interval) -> str:
    """An interval as its column shows it; nothing where there is none."""
    if one.low != one.low:
        return ""
    ends = [figure(metric, Interval(end, end, end)) for end in (one.low, one.high)]
    return f"[{', '.join(ends)}]"


def markdown(found: ForecastFindings) -> str:
    """The main table, the differences to the best floor and the slices, as Markdown; ends with a newline."""
    parts = [setting(found).replace("\n", "\n\n", 1), _main(found)]
    if found.differences:
        parts += [f"### MSE against {found.names[found.against]}", _differences(found)]
    if found.pairs:
        parts += ["### MSE pair by pair", _pairs(found)]
    if found.masks:
        parts += ["### MSE by slice", _slices(found, "mse"), "### Coverage by slice", _slices(found, "coverage")]
    return "\n\n".join(parts) + "\n"


def _main(found: ForecastFindings) -> str:
    seeds = any(result.runs for result in found.results)
    more = ["between seeds"] if seeds else []
    heads = ["method", *(metric.title for metric in METRICS.values()), *more, "train", "forecast, per post"]
    rows = [heads, ["---", *["--:"] * (len(heads) - 1)]]
    for i in range(len(found.names)):
        cells = [_cell(found, metric, i) for metric in METRICS]
        rows.append([_name(found, i), *cells, *([deviation(found, i)] if seeds else []), *_times(found, i)])
    return _lines(rows)


def _cell(found: ForecastFindings, metric: str, i: int) -> str:
    one, mark = found.intervals[metric][i], "**" if best(found, metric, i) else ""
    return f"{mark}{figure(metric, one)}{mark} {between(metric, one)}".rstrip()


def deviation(found: ForecastFindings, i: int) -> str:
    """How far the MSE differs between seeds, and how many there are."""
    result = found.results[i]
    return f"±{found.deviations[i]:.4f} ({len(result.each)})" if result.runs else "–"


def _name(found: ForecastFindings, i: int) -> str:
    name = found.names[i].replace("|", "\\|")
    return f"{name} (floor)" if found.results[i].floor else name


def _times(found: ForecastFindings, i: int) -> list[str]:
    result = found.results[i]
    return [seconds(result.train_seconds), seconds(result.forecast_seconds / max(len(found.experiment.test), 1))]


def _differences(found: ForecastFindings) -> str:
    rows = [["method", "difference", "ratio", "in words"], ["---", "--:", "--:", "---"]]
    for i, gap in found.differences:
        rows.append([_name(found, i), span(gap.difference), span(gap.ratio), words(gap.difference)])
    return _lines(rows)


def _pairs(found: ForecastFindings) -> str:
    rows = [["pair", "difference", "ratio", "in words"], ["---", "--:", "--:", "---"]]
    for a, b, gap in found.pairs:
        name = f"{found.names[a]} − {found.names[b]}"
        rows.append([name, span(gap.difference), span(gap.ratio), words(gap.difference)])
    return _lines(rows)


def words(gap: Interval) -> str:
    """What a difference of errors says: below 0 is nearer."""
    return "nearer" if gap.high < 0 else "farther" if gap.low > 0 else "no clear difference"


def shown(found: ForecastFindings) -> list[int]:
    """The methods that the tables of slices show."""
    return [i for i in range(len(found.names)) if i < SHOWN or i == found.against]


def _slices(found: ForecastFindings, metric: str) -> str:
    methods = shown(found)
    rows = [["slice", "posts", *(found.names[i] for i in methods)], ["---", *["--:"] * (len(methods) + 1)]]
    for kind, masks in found.masks.items():
        for label, mask in masks.items():
            values = [found.part(i, metric, mask) for i in methods]
            cells = [percent(v) if metric == "coverage" else number(v) for v in values]
            rows.append([f"{kind}: {label}", f"{int(mask.sum()):,}", *cells])
    return _lines(rows)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def table(found: ForecastFindings) -> str:
    """The figures for a terminal: aligned columns, then MSE and coverage by slice; ends with a newline."""
    heads = ["method", "MSE", "95 % interval", *(m.title for m in list(METRICS.values())[1:]), "train", "per post"]
    rows = [heads]
    for i in range(len(found.names)):
        one = found.intervals["mse"][i]
        rest = [figure(metric, found.intervals[metric][i]) for metric in list(METRICS)[1:]]
        rows.append([_name(found, i), number(one.value), _within(one), *rest, *_times(found, i)])
    blocks = [setting(found), _align(rows)]
    if found.masks:
        blocks.append(_align([["slice", "posts", *_slice_heads(found)], *_slice_rows(found)]))
    return "\n\n".join(blocks) + "\n"


def _within(one: Interval) -> str:
    return f"{number(one.low)}–{number(one.high)}" if one.low == one.low else "–"


def _slice_heads(found: ForecastFindings) -> list[str]:
    return [f"{found.names[i]}: {what}" for i in shown(found)[:3] for what in ("MSE", "coverage")]


def _slice_rows(found: ForecastFindings) -> Iterator[list[str]]:
    for kind, masks in found.masks.items():
        for label, mask in masks.items():
            cells = [
                text
                for i in shown(found)[:3]
                for text in (number(found.part(i, "mse", mask)), share(found.part(i, "coverage", mask)))
            ]
            yield [f"{kind}: {label}", f"{int(mask.sum()):,}", *cells]


def _align(rows: Sequence[Sequence[str]]) -> str:
    wide = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join([row[0].ljust(wide[0]), *_aligned(row[1:], wide[1:])]).rstrip() for row in rows)
