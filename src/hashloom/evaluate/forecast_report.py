"""The report on forecasters: one self-contained HTML page on which comes nearest, by how much, for whom, how surely."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

import numpy as np

from hashloom.evaluate import forecast_charts as charts
from hashloom.evaluate import svg
from hashloom.evaluate.compare import Difference, Interval
from hashloom.evaluate.findings import FEWEST_USERS
from hashloom.evaluate.forecast_findings import ForecastFindings
from hashloom.evaluate.forecast_metrics import METRICS
from hashloom.evaluate.forecast_tables import best, deviation, figure, percent, setting, words
from hashloom.evaluate.panels import FEW, grid, section
from hashloom.evaluate.report import MARK, _nav, _tile, _version
from hashloom.evaluate.tables import number, seconds

DRAWN = 6
"""So many methods are drawn, best first; the best floor is always among them."""
MORE = (
    ".band { fill: var(--good-bg); opacity: .7; } .reach { stroke: var(--s); stroke-width: 5; stroke-opacity: .28;"
    " stroke-linecap: round; } .formula { font-size: 15px; } .formula code { font-size: 14px; }"
)


def report(found: ForecastFindings) -> str:
    """The page as a string; it needs no network, no script and no file beside it, and shows no post."""
    blocks = {
        "Methods": methods(found),
        "Differences": differences(found),
        "Pairs": pairs(found),
        "Forecast and truth": truths(found),
        "Coverage": coverage(found),
        "Slices": sliced(found),
        "Set-up": setup(found),
    }
    shown = {name: block for name, block in blocks.items() if block}
    style = "".join(files("hashloom.evaluate").joinpath(f"{n}.css").read_text("utf-8") for n in ("chart", "report"))
    name = escape(found.experiment.name)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Hashloom forecasts: {name}</title><style>{style}{MORE}</style></head>\n"
        f'<body><a class="skip" href="#main">To the results</a>{head(found)}{_nav(shown)}\n'
        f'<main id="main">{"".join(shown.values())}</main>\n<footer><p>Made by Hashloom {_version("hashloom")}, '
        f"{escape(found.experiment.date)}.</p></footer></body></html>\n"
    )


def head(found: ForecastFindings) -> str:
    """Title, formula, the result in words and the most important figures as tiles."""
    made = found.experiment
    about = f'<p class="kicker">{escape(made.about)}</p>' if made.about else ""
    return (
        f'<header><div class="title">{MARK}<div><p class="kicker">Hashloom report on forecasts</p>'
        f"<h1>{escape(made.name)}</h1>{about}</div></div>"
        f'<p class="lead">{verdict(found)}</p>'
        f'<p class="formula">What is forecast, y, is <code>{escape(made.formula)}</code>.</p>'
        f'<dl class="tiles">{"".join(_tiles(found))}</dl></header>'
    )


def verdict(found: ForecastFindings) -> str:
    """Which method comes nearest, whether it clears the best floor, and who does not; in words, as HTML."""
    one = found.intervals["mse"][0]
    first = f"<b>{escape(found.names[0])}</b> comes nearest: mean squared error <b>{number(one.value)}</b>{_in(one)}"
    if len(found.names) == 1:
        return f"{first}."
    if not found.results[found.against].floor:
        return f"{first}, of {len(found.names)} methods."
    floor = escape(found.names[found.against])
    lost = [escape(found.names[i]) for i, gap in found.differences if gap.difference.low > 0 and not _floor(found, i)]
    below = f" Farther off than it: {', '.join(lost)}." if lost else ""
    if found.against == 0:
        return f"{first}. It is a floor, which no other method clears.{below}"
    gap = found.apart(0, found.against)
    close = "chance does not explain the difference" if gap.clear else "too close to tell the two apart"
    return f"{first}, {gap.ratio.value:.2f} times that of the best floor, {floor}; {close}.{below}"


def _floor(found: ForecastFindings, i: int) -> bool:
    return found.results[i].floor


def _in(one: Interval) -> str:
    return f" (95\u202f% interval {_span(one)})" if one.low == one.low else ""


def _span(one: Interval, form: str = "{:.3f}–{:.3f}") -> str:
    return form.format(one.low, one.high) if one.low == one.low else "–"


def _tiles(found: ForecastFindings) -> Iterable[str]:
    made = found.experiment
    for metric in ("mse", "spearman", "within", "r2"):
        one = found.intervals[metric][0]
        if one.value == one.value:
            yield _tile(METRICS[metric].title, number(one.value), f"{_span(one)} (95\u202f%)")
    covered = found.intervals["coverage"][0]
    yield _tile("Coverage", percent(covered.value), f"stated: {percent(found.coverage)}")
    yield _tile(f"{made.part.capitalize()} posts", f"{len(made.test):,}", f"{found.user_count:,} authors")


def look(found: ForecastFindings, i: int) -> str:
    """The style class of a method, the same on the whole page; floors use up no colour, but differ in their dashes."""
    floors = sum(result.floor for result in found.results[:i])
    if _floor(found, i):
        return svg.style(floors, True) + (f" f{floors % 3 + 1}" if floors % 3 else "")
    return svg.style(i - floors, False)


def named(found: ForecastFindings, i: int) -> str:
    """A method's name with the sample of its colour."""
    floor = '<span class="tag-floor">floor</span>' if _floor(found, i) else ""
    note = f' title="{escape(found.results[i].notes, quote=True)}"' if found.results[i].notes else ""
    swatch = f'<span class="swatch {look(found, i)}" aria-hidden="true"></span>'
    return f"{swatch}<span{note}>{escape(found.names[i])}</span>{floor}"


def methods(found: ForecastFindings) -> str:
    """The main table: every method with every metric and its interval; below it what each cost."""
    top = max(one.high if one.high == one.high else one.value for one in found.intervals["mse"])
    rows = [_method(found, i, top) for i in range(len(found.names))]
    caption = (
        "Smallest squared error first; bold: the best of its column. Small figures: 95\u202f% intervals by bootstrap"
        f" over {_over(found)}. Bars: MSE from 0 to {top:.3g}."
    )
    heads = ["method", "", *(metric.title for metric in METRICS.values())]
    return section("methods", "Methods", "", grid(caption, heads, rows, ["first"]) + _costs(found))


def _costs(found: ForecastFindings) -> str:
    heads = ["method", "seeds", "MSE between seeds", "train", "forecast, per post"]
    rows = []
    for i, result in enumerate(found.results):
        each = result.forecast_seconds / max(len(found.experiment.test), 1)
        cells = [str(len(result.each)), deviation(found, i), seconds(result.train_seconds), seconds(each)]
        rows.append([named(found, i), *(f"<td>{cell}</td>" for cell in cells)])
    inside = grid("Seeds and time; ±: the standard deviation between seeds.", heads, rows)
    return f"<details><summary>Seeds and time</summary>{inside}</details>"


def _over(found: ForecastFindings) -> str:
    if found.by_user:
        return "authors"
    return f"posts (fewer than {FEWEST_USERS} authors)" if found.user_count else "posts"


def _method(found: ForecastFindings, i: int, top: float) -> list[str]:
    one = found.intervals["mse"][i]
    low, high = (one.low, one.high) if one.low == one.low else (one.value, one.value)
    bar = f'<td class="left {look(found, i)}">{svg.whisker(low, one.value, high, top, width=92)}</td>'
    return [named(found, i), bar, *(_cell(found, metric, i) for metric in METRICS)]


def _cell(found: ForecastFindings, metric: str, i: int) -> str:
    one, mark = found.intervals[metric][i], ' class="best"' if best(found, metric, i) else ""
    ends = [figure(metric, Interval(end, end, end)) for end in (one.low, one.high)]
    apart = " to " if one.low < 0 or metric == "bias" else "–"
    return (
        f'<td{mark}>{figure(metric, one)}<span class="ci">{apart.join(ends) if one.low == one.low else ""}</span></td>'
    )


def differences(found: ForecastFindings) -> str:
    """The MSE of each method minus that of the best floor, on the same posts."""
    if not found.differences:
        return ""
    name = escape(found.names[found.against])
    rows = [(named(found, i), gap) for i, gap in found.differences]
    caption = (
        f"MSE of each method minus that of {name}, on the same posts ({found.experiment.resamples:,} paired resamples"
        f" of {_over(found)}). Left of the line: the method comes nearer than {name}."
    )
    return section("differences", f"Against {name}", "", _apart(caption, rows))


def pairs(found: ForecastFindings) -> str:
    """Named pairs of methods."""
    if not found.pairs:
        return ""
    rows = [(f"{escape(found.names[a])} − {escape(found.names[b])}", gap) for a, b, gap in found.pairs]
    caption = "MSE of the first minus that of the second, on the same posts. Left of the line: the first comes nearer."
    return section("pairs", "Pair by pair", "", _apart(caption, rows))


def _apart(caption: str, rows: Sequence[tuple[str, Difference]]) -> str:
    ends = [end for _, gap in rows for end in (gap.difference.low, gap.difference.high) if end == end]
    span = (min(0.0, *ends), max(0.0, *ends)) if ends else (0.0, 1.0)
    heads = ["", "", "difference", "95\u202f% interval", "ratio", "95\u202f% interval", "in words"]
    return grid(caption, heads, [[name, *_difference(gap, span)] for name, gap in rows])


def _difference(gap: Difference, span: tuple[float, float]) -> list[str]:
    one = gap.difference
    plot = svg.difference((one.low, one.value, one.high), span) if one.low == one.low else ""
    texts = [f"{one.value:+.3f}", _span(one, "{:+.3f} to {:+.3f}"), number(gap.ratio.value), _span(gap.ratio)]
    return [f'<td class="left">{plot}</td>', *(f"<td>{text}</td>" for text in [*texts, words(one)])]


def drawn(found: ForecastFindings) -> list[int]:
    """The methods that charts show."""
    return [i for i in range(len(found.names)) if i < DRAWN or i == found.against]


def truths(found: ForecastFindings) -> str:
    """What posts got against what was forecast, a chart per method, on the same axes."""
    made = {i: charts.bins(found.experiment.truth, _values(found, i)) for i in drawn(found)}
    span = charts.reach(list(made.values()))
    figures = "".join(
        f"<figure><figcaption>{named(found, i)}</figcaption>"
        f"{charts.against(row, span, _says(found, i, row), look(found, i))}</figure>"
        for i, row in made.items()
    )
    text = (
        f"The posts in {charts.BINS} parts of about equal size, by forecast: across the mean forecast, upwards the"
        " mean of what the posts got, with the middle half of them as a bar. On the dashed line forecasts are right on"
        " average; dots close together say that a method hardly tells posts apart."
    )
    return section("truths", "Forecast and truth", text, f'<div class="charts">{figures}</div>')


def _values(found: ForecastFindings, i: int) -> np.ndarray:
    """Forecasts of a method, the mean over its seeds; (posts,)."""
    return np.asarray(np.mean([one.forecasts.values for one in found.results[i].each], axis=0))


def _says(found: ForecastFindings, i: int, row: Sequence[charts.Bin]) -> str:
    first, last = row[0], row[-1]
    return (
        f"{found.names[i]}: posts with the lowest forecasts ({first.forecast:.2f}) got {first.got:.2f} on average,"
        f" those with the highest ({last.forecast:.2f}) got {last.got:.2f}"
    )


def coverage(found: ForecastFindings) -> str:
    """How often the intervals hold, over all posts and by group."""
    stated, rows = found.coverage, list(_covered(found))
    legend = "".join(f"<li>{named(found, i)}</li>" for i in drawn(found))
    text = (
        f"The intervals are to hold the number of {percent(stated)} of posts (dashed line; the band is three points to"
        " either side), for newcomers too. Groups are by the author's earlier posts and by what the post brings; dots"
        " stand in the legend's order, from above."
    )
    says = f"Coverage by group of posts, stated {percent(stated)}: the figures stand in the table below"
    chart = charts.coverage(rows, stated, says)
    return section(
        "coverage", "Do the intervals hold?", text, f'<ul class="legend">{legend}</ul>{chart}{_table(found)}'
    )


def _groups(found: ForecastFindings) -> dict[str, np.ndarray]:
    every = {"all posts": np.ones(len(found.experiment.test), dtype=bool)}
    named = {f"{name}: {label}": mask for name, masks in found.masks.items() for label, mask in masks.items()}
    return every | named


def _covered(found: ForecastFindings) -> Iterable[charts.Covered]:
    for group, mask in _groups(found).items():
        if mask.sum() < FEW and group != "all posts":
            continue  # a handful of posts would stretch the axis and say nothing
        for i in drawn(found):
            share, name = found.part(i, "coverage", mask), group.partition(": ")[2] or group
            yield charts.Covered(name, found.names[i], share, int(mask.sum()), look(found, i))


def _table(found: ForecastFindings) -> str:
    heads = ["posts", "n", *(f"{escape(found.names[i])}" for i in drawn(found))]
    rows, kinds = [], []
    for group, mask in _groups(found).items():
        cells = [
            f'<td>{percent(found.part(i, "coverage", mask))}<span class="ci">±{found.part(i, "width", mask) / 2:.2f}'
            "</span></td>"
            for i in drawn(found)
        ]
        rows.append([escape(group), f"<td>{int(mask.sum()):,}</td>", *cells])
        kinds.append("few" if mask.sum() < FEW else "")
    return grid("Coverage, with half the mean width of the interval below it.", heads, rows, kinds)


def sliced(found: ForecastFindings) -> str:
    """Errors and bias by group of posts."""
    if not found.masks:
        return ""
    heads = ["posts", "n", *(escape(found.names[i]) for i in drawn(found))]
    rows, kinds = [], []
    for group, mask in _groups(found).items():
        low = min(found.part(i, "mse", mask) for i in drawn(found))
        rows.append(
            [escape(group), f"<td>{int(mask.sum()):,}</td>", *(_part(found, i, mask, low) for i in drawn(found))]
        )
        kinds.append("few" if mask.sum() < FEW else "")
    caption = f"MSE, with the bias below it; bold: the smallest of its row; italics: fewer than {FEW} posts."
    return section("slices", "For whom?", "", grid(caption, heads, rows, kinds))


def _part(found: ForecastFindings, i: int, mask: np.ndarray, low: float) -> str:
    value = found.part(i, "mse", mask)
    mark = ' class="best"' if round(value, 3) == round(low, 3) else ""
    return f'<td{mark}>{number(value)}<span class="ci">{found.part(i, "bias", mask):+.3f}</span></td>'


def setup(found: ForecastFindings) -> str:
    """Everything that is needed to say what the figures mean and to make them again."""
    made = found.experiment
    facts = {
        "formula": made.formula,
        "data": setting(found).partition("\n")[2],
        "fingerprint": made.fingerprint,
        "split": made.split,
        "training mean": number(made.mean),
        "authors": f"{found.user_count:,} in the test posts; intervals are drawn over {_over(found)}",
        "resamples": f"{made.resamples:,}; {made.rank_resamples:,} where ranks are made anew",
        "seeds": ", ".join(map(str, made.seeds)),
        "made": f"{made.date} with {', '.join(f'{p} {_version(p)}' for p in ('hashloom', 'numpy', 'polars'))}, "
        f"Python {platform.python_version()}",
    }
    items = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    return section("setup", "Set-up", "", f'<dl class="facts">{items}</dl>{_definitions()}{_settings(found)}')


def _definitions() -> str:
    rows = [[escape(m.title), f"<td>{escape(m.about)}</td>", f"<td>{escape(m.formula)}</td>"] for m in METRICS.values()]
    text = "y: the number of a test post; ŷ: its forecast; m: the mean of the training numbers."
    inside = grid(text, ["metric", "what it says", "formula"], rows, look="text")
    return f"<details><summary>What the metrics mean</summary>{inside}</details>"


def _settings(found: ForecastFindings) -> str:
    rows = [
        [escape(one.name), f"<td><code>{escape(json.dumps(dict(one.settings), ensure_ascii=False))}</code></td>"]
        for one in found.results
    ]
    inside = grid("Settings of every method.", ["method", "settings"], rows, look="text")
    return f"<details><summary>Settings</summary>{inside}</details>"
