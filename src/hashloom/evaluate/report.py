"""The report: one self-contained HTML page on what was measured, which method is best, where, and by how much."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

from hashloom.evaluate import panels, panels_chances, svg
from hashloom.evaluate.compare import Difference, Interval
from hashloom.evaluate.findings import FEWEST_USERS, Experiment, Findings, Result
from hashloom.evaluate.metrics import parse
from hashloom.evaluate.panels import grid, look, named, section
from hashloom.evaluate.tables import best, extras, markdown, number, setting, share, table, title

__all__ = ["Experiment", "Findings", "Result", "markdown", "report", "table"]

# A hash sign, woven: each thread goes over one and under the next.
MARK = (
    '<svg class="mark" viewBox="0 0 52 52" aria-hidden="true"><g class="warp">'
    '<rect x="13" y="4" width="8" height="44" rx="4"/><rect x="31" y="4" width="8" height="44" rx="4"/></g>'
    '<g class="weft"><path d="M8 13h20v8H8a4 4 0 0 1 0-8zM42 13h2a4 4 0 0 1 0 8h-2z"/>'
    '<path d="M8 31h2v8H8a4 4 0 0 1 0-8zM24 31h20a4 4 0 0 1 0 8H24z"/></g></svg>'
)


def report(found: Findings) -> str:
    """The page as a string; it needs no network, no script and no file beside it.

    >>> from hashloom.types import Post, Posts, Rankings
    >>> test = Posts.of([Post("a", "rye & <b>salt</b>", tags=("Rye",))])
    >>> always = Result("always-rye", {}, Rankings.of(["a"], [[("Rye", 1.0)]]))
    >>> page = report(Findings([always], Experiment("tiny", test, test, metrics=("hit@1",))))
    >>> page.startswith("<!doctype html>"), "rye &amp; &lt;b&gt;salt" in page
    (True, True)
    """
    blocks = {
        "Methods": methods(found),
        "Differences": differences(found),
        "Pairs": pairs(found),
        "Published": published(found),
        "Against K": panels.curves(found),
        "Chances": panels_chances.chances(found),
        "Communities": panels.communities(found),
        "Slices": panels.sliced(found),
        "Beyond accuracy": panels.beyond(found),
        "Examples": panels.examples(found),
        "Set-up": setup(found),
    }
    shown = {name: block for name, block in blocks.items() if block}
    style = "".join(
        files("hashloom.evaluate").joinpath(f"{name}.css").read_text("utf-8") for name in ("chart", "report")
    )
    name = escape(found.experiment.name)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Hashloom report: {name}</title><style>{style}</style></head>\n"
        f'<body><a class="skip" href="#main">To the results</a>{head(found)}{_nav(shown)}\n'
        f'<main id="main">{"".join(shown.values())}</main>\n<footer><p>Made by Hashloom {_version("hashloom")}, '
        f"{escape(_date(found))}.</p></footer></body></html>\n"
    )


def _nav(blocks: dict[str, str]) -> str:
    ids = {name: block.split('id="', 1)[1].split('"', 1)[0] for name, block in blocks.items()}
    items = "".join(f'<li><a href="#{place}">{name}</a></li>' for name, place in ids.items())
    return f'<nav aria-label="Sections"><ul>{items}</ul></nav>'


def _date(found: Findings) -> str:
    return found.experiment.date or datetime.now(UTC).date().isoformat()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def head(found: Findings) -> str:
    """Title, the result in words and the most important figures as tiles."""
    about = f'<p class="kicker">{escape(found.experiment.about)}</p>' if found.experiment.about else ""
    return (
        f'<header><div class="title">{MARK}<div><p class="kicker">Hashloom report</p>'
        f"<h1>{escape(found.experiment.name)}</h1>{about}</div></div>"
        f'<p class="lead">{verdict(found)}</p><dl class="tiles">{"".join(_tiles(found))}</dl></header>'
    )


def verdict(found: Findings) -> str:
    """Which method is best, by how much, whether chance explains it, and who loses to counting; in words, as HTML."""
    one, metric = found.intervals[found.headline][0], title(found.headline)
    first = f"<b>{escape(found.names[0])}</b> reaches {metric} <b>{number(one.value)}</b>"
    span = f" (95\u202f% interval {_span(one)})"
    if not found.differences:
        return f"{first}{span}."
    name, apart = found.differences[0]
    known = apart.ratio.value == apart.ratio.value
    times = f"{apart.ratio.value:.2f} times that of {escape(name)}, the next best" if known else "all others reach 0"
    close = "chance does not explain the difference" if apart.clear else "too close to tell the two apart"
    return f"{first}{span}, the best of {len(found.names)} methods: {times}; {close}.{_below(found)}"


def _below(found: Findings) -> str:
    """Names the methods that a counting floor beats."""
    floor = next((i for i, result in enumerate(found.results) if result.floor), len(found.results))
    lost = [escape(result.name) for result in found.results[floor:] if not result.floor]
    return f" Below the floor {escape(found.names[floor])}: {', '.join(lost)}." if lost else ""


def _tiles(found: Findings) -> Iterable[str]:
    k = found.k
    one = found.intervals[found.headline][0]
    recall, top = found.value(0, f"r@{k}"), share(found.known_share)
    yield _tile(title(found.headline), number(one.value), f"{_span(one)} (95\u202f%)")
    yield _tile("At least one right", share(found.value(0, f"hit@{k}")), f"of posts, in {k} suggestions")
    yield _tile("True tags found", share(recall), f"{top} occur in training")
    yield _tile(f"Right of {k}", f"{found.value(0, f'found@{k}'):.1f}", f"a post carries {found.tags_per_post:.1f}")
    floor = next((i for i, result in enumerate(found.results) if result.floor and i), None)
    if floor is not None:
        there = found.intervals[found.headline][floor].value
        times = f"{one.value / there:.1f}\u202f×" if there > 0 else "–"
        yield _tile("Over the best floor", times, f"{escape(found.names[floor])}, {number(there)}")
    places = len(found.communities)
    yield _tile("Test posts", f"{found.scored_posts:,}", f"{places:,} communit{'y' if places == 1 else 'ies'}")


def _tile(name: str, value: str, fine: str) -> str:
    return (
        f'<div class="tile"><dt>{name}</dt><dd><span class="big">{value}</span></dd><dd class="fine">{fine}</dd></div>'
    )


def methods(found: Findings) -> str:
    """The main table: every method with every metric and its interval, then the ceilings."""
    metrics = found.experiment.metrics
    top = max(found.ceilings[found.headline], *(one.high for one in found.intervals[found.headline]))
    more = extras(found)
    rows = [_method(found, i, top) for i in range(len(found.names))]
    rows += [_limit(found, "perfect answers", found.ceilings)]
    rows += [_limit(found, "perfect, training tags only", found.known_ceilings)]
    for i, row in enumerate(rows):
        row += [_more(cells[i]) if i < len(cells) else "<td></td>" for cells in more.values()]
    kinds = ["first", *[""] * (len(found.names) - 1), "limit", "limit"]
    heads = ["method", "", *map(title, metrics), *more]
    caption = (
        "Best first; bold: the best of its column. Small figures: 95\u202f% intervals by bootstrap over"
        f" {_over(found)}. Bars: {title(metrics[0])} from 0 to {top:.2g}; dotted line:"
        " the ceiling of answers made of training tags."
        f"{_said_of(more)}"
    )
    return section("methods", "Methods", "", grid(caption, heads, rows, kinds))


def _more(cell: str) -> str:
    """A cell of the Markdown table as HTML, its interval in small figures."""
    value, _, between = cell.removesuffix("]").partition(" [")
    return f'<td>{value}<span class="ci">{between.replace(", ", "–")}</span></td>'


def _said_of(more: dict[str, list[str]]) -> str:
    """What the columns beside the metrics mean."""
    said = {
        "between seeds": " Between seeds: the standard deviation of the first figure, and how many seeds.",
        "best K": " Best K: where F1 of the averages peaks on the validation posts, and F1 there on the test posts.",
    }
    return "".join(text for head, text in said.items() if head in more)


def _over(found: Findings) -> str:
    if found.users is not None:
        return "users"
    return f"posts (fewer than {FEWEST_USERS} users)" if found.user_count else "posts"


def _method(found: Findings, i: int, top: float) -> list[str]:
    metrics = found.experiment.metrics
    one, limit = found.intervals[metrics[0]][i], found.known_ceilings[metrics[0]]
    low, high = (one.low, one.high) if one.low == one.low else (one.value, one.value)
    plot = "" if one.value != one.value else svg.whisker(low, one.value, high, top, limit)
    cells = [_cell(found.intervals[metric], i) for metric in metrics]
    return [named(found, i), f'<td class="left {look(found, i)}">{plot}</td>', *cells]


def _cell(column: list[Interval], i: int) -> str:
    one, mark = column[i], ' class="best"' if best(column, i) else ""
    return f'<td{mark}>{number(one.value)}<span class="ci">{_span(one)}</span></td>'


def _limit(found: Findings, name: str, tops: dict[str, float]) -> list[str]:
    return [name, "<td></td>", *(f"<td>{number(tops[m])}</td>" for m in found.experiment.metrics)]


def differences(found: Findings) -> str:
    """The best method against each other on the same posts."""
    if not found.differences:
        return ""
    ends = [end for _, d in found.differences for end in (d.difference.low, d.difference.high) if end == end]
    reach = (min(0.0, *ends), max(0.0, *ends)) if ends else (0.0, 1.0)
    rows = [[named(found, i), *_difference(d, reach)] for i, (_, d) in enumerate(found.differences, 1)]
    heads = ["against", "", "difference", "95\u202f% interval", "ratio", "95\u202f% interval", "in words"]
    caption = (
        f"{title(found.headline)} of {escape(found.names[0])} minus that of the other, on the same posts"
        f" ({found.experiment.resamples:,} paired resamples). Right of the line: {escape(found.names[0])} is better."
    )
    return section("differences", "Is the difference real?", "", grid(caption, heads, rows))


def pairs(found: Findings) -> str:
    """Named pairs of methods, on all posts and by caption length."""
    if not found.pairs:
        return ""
    ends = [e for p in found.pairs for r in p.rows for e in (r.difference.difference.low, r.difference.difference.high)]
    known = [end for end in ends if end == end]
    reach = (min(0.0, *known), max(0.0, *known)) if known else (0.0, 1.0)
    heads = ["posts", "n", "", "difference", "95\u202f% interval", "ratio", "95\u202f% interval", "in words"]
    tables = ""
    for one in found.pairs:
        rows = [
            [f"{title(r.metric)}, {escape(r.label)}", f"<td>{r.posts:,}</td>", *_difference(r.difference, reach)]
            for r in one.rows
        ]
        tables += grid(f"{escape(one.first)} minus {escape(one.second)}, on the same posts.", heads, rows)
    return section("pairs", "Pair by pair", "", tables)


def _difference(one: Difference, reach: tuple[float, float]) -> list[str]:
    apart, ratio = one.difference, one.ratio
    said = ("better" if apart.low > 0 else "worse") if one.clear else "no clear difference"
    plot = svg.difference((apart.low, apart.value, apart.high), reach) if apart.low == apart.low else ""
    texts = [f"{apart.value:+.3f}", _span(apart, "{:+.3f} to {:+.3f}"), number(ratio.value), _span(ratio), said]
    return [f'<td class="left">{plot}</td>', *(f"<td>{text}</td>" for text in texts)]


def _span(one: Interval, form: str = "{:.3f}–{:.3f}") -> str:
    """An interval in figures; a dash where chance could not be measured."""
    return form.format(one.low, one.high) if one.low == one.low else "–"


def published(found: Findings) -> str:
    """Measured figures beside those that a paper states for the same method on its own data."""
    rows = []
    for i, result in enumerate(found.results):
        for metric, value in result.published.items():
            here = found.value(i, metric)
            cells = [title(metric), number(here), number(value), escape(result.source)]
            rows.append([named(found, i), *(f"<td>{cell}</td>" for cell in cells)])
    if not rows:
        return ""
    text = "Published figures were measured on other posts: compare the order of the methods, not the heights."
    heads = ["method", "metric", "measured here", "published", "source"]
    return section(
        "published", "Beside the published figures", text, grid("Measured and published.", heads, rows, look="text")
    )


def setup(found: Findings) -> str:
    """Everything that is needed to say what the figures mean and to make them again."""
    made = found.experiment
    tags = sum(len(known) for known in {id(known): known for known in found.known}.values())
    facts = {
        "data": setting(found),
        "fingerprint": made.fingerprint or made.test.fingerprint + " (test posts)",
        "split": made.split,
        "scored posts": f"{found.scored_posts:,} of {len(made.test):,} test posts, those with a true tag",
        "users": f"{found.user_count or 'none'} in the test posts; intervals are drawn over {_over(found)}",
        "training tags": f"{tags:,} in the test posts' communities, {share(found.known_share)} of the true ones",
        "metrics": ", ".join(made.metrics),
        "seeds": ", ".join(map(str, made.seeds)),
        "made": f"{_date(found)} with {', '.join(f'{p} {_version(p)}' for p in ('hashloom', 'numpy', 'polars'))}, "
        f"Python {platform.python_version()}",
    }
    items = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts.items())
    body = f'<dl class="facts">{items}</dl>{_definitions(found)}{_settings(found)}'
    return section("setup", "Set-up", "", body)


def _definitions(found: Findings) -> str:
    ids = dict.fromkeys(name.partition("@")[0] for name in found.experiment.metrics)
    known = {name: parse(f"{name}@1")[0] for name in ids}
    rows = [
        [escape(name), *(f"<td>{escape(text)}</td>" for text in (m.about, m.formula, m.range, m.source))]
        for name, m in known.items()
    ]
    text = "h: true tags among the first K suggestions; #T: true tags of the post."
    inside = grid(text, ["id", "what it says", "formula", "range", "used by"], rows, look="text")
    return f"<details><summary>What the metrics mean</summary>{inside}</details>"


def _settings(found: Findings) -> str:
    rows = [[escape(result.name), f"<td><code>{escape(_json(result))}</code></td>"] for result in found.results]
    inside = grid("Settings of every method.", ["method", "settings"], rows, look="text")
    return f"<details><summary>Settings</summary>{inside}</details>"


def _json(result: Result) -> str:
    return json.dumps(dict(result.settings), ensure_ascii=False, default=str)
