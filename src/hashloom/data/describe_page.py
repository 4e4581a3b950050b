"""The page of `hashloom describe`: tables and plots of a set of posts in one HTML file."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hashloom.data.describe import Description, cell, numeric, printable, sections

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _ACCENT = "#0b0c0d", "#2a7fb8"
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f23; --paper: #fff; --line: #d8dee4; --soft: #57606a }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --paper: #0d1117; --line: #30363d; --soft: #9da7b1 } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.plots, .tables { display: grid; gap: 1rem 2rem }
.plots { grid-template-columns: repeat(auto-fit, minmax(min(28rem, 100%), 1fr)) }
.tables { grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)) }
figure { margin: 0 } figure svg { width: 100%; height: auto; color: var(--ink) }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .15rem 1.2rem .15rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.n, th.n { text-align: right } th { color: var(--soft); font-weight: 600 }
"""


def page(about: Description) -> str:
    """The whole page; texts from posts are escaped, plots are drawn as inline SVG."""
    plots = "\n".join(_figure(title, svg) for title, svg in _plots(about))
    tables = [
        _table(head, rows, named=number > 0) for number, (head, rows) in enumerate(sections(about)) if len(rows) > 1
    ]
    title = f"{about.posts:,} posts in {len(about.communities):,} communities"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n{tables[0] if tables else ''}\n"
        f'<div class="plots">{plots}</div>\n<div class="tables">{"".join(tables[1:-1])}</div>\n'
        f"{tables[-1] if len(tables) > 1 else ''}\n</body></html>\n"
    )


def _figure(title: str, svg: str) -> str:
    return f'<figure role="img" aria-label="{html.escape(title)}"><h2>{html.escape(title)}</h2>{svg}</figure>'


def _table(head: str, rows: list[tuple[Any, ...]], named: bool) -> str:
    """``named``: the first row holds the names of the columns."""
    cells = [[cell(value) for value in row] for row in rows]
    right = numeric(cells[named:])
    lines = []
    for number, row in enumerate(cells):
        mark = "th" if named and number == 0 else "td"
        kinds = [' class="n"' if is_number else "" for is_number in right]
        lines.append("".join(f"<{mark}{k}>{html.escape(t)}</{mark}>" for k, t in zip(kinds, row)))
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<section><h2>{html.escape(head)}</h2><div class="scroll"><table>{body}</table></div></section>\n'


def _plots(about: Description) -> list[tuple[str, str]]:
    wanted: list[tuple[str, Any, Callable[[Axes, Description], None]]] = [
        ("Posts over time", about.months, _over_time),
        ("Tags per post", about.tags_per_post, _per_post),
        ("Uses of a tag by its rank", about.frequencies, _ranks),
        ("Posts per community", about.communities, _per_community),
    ]
    return [(title, _svg(draw, about, title)) for title, data, draw in wanted if data]


def _svg(draw: Callable[[Axes, Description], None], about: Description, title: str) -> str:
    import warnings

    import matplotlib as mpl
    from matplotlib.figure import Figure

    # No pyplot: it would open a window system, and a server draws from many threads.
    look = {"svg.fonttype": "none", "svg.hashsalt": title, "text.parse_math": False, "axes.edgecolor": _INK}
    look |= {"text.color": _INK, "axes.labelcolor": _INK, "xtick.color": _INK, "ytick.color": _INK}
    with mpl.rc_context(look), warnings.catch_warnings():
        # Letters stay text in the SVG and the reader's browser has the fonts; ours are only used to measure.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(6, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes, about)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL).replace(
        _INK, "currentColor"
    )


def _over_time(axes: Axes, about: Description) -> None:
    from datetime import datetime

    months = [datetime.fromisoformat(f"{month}-01") for month in about.months]
    axes.bar(months, list(about.months.values()), width=25, color=_ACCENT)  # type: ignore[arg-type]
    axes.set_ylabel("posts a month")


def _per_post(axes: Axes, about: Description) -> None:
    counts = {k: n for k, n in about.tags_per_post.items() if k <= 30}
    axes.bar(list(counts), list(counts.values()), color=_ACCENT)
    axes.set_xlabel("tags")
    axes.set_ylabel("posts")


def _ranks(axes: Axes, about: Description) -> None:
    # On log axes some hundred points show the same line as thousands.
    ranks = sorted({round(about.tags ** (i / 300)) for i in range(301)})
    axes.loglog(ranks, [about.frequencies[rank - 1] for rank in ranks], ".-", markersize=4, color=_ACCENT)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:,.0f}")
        axis.set_minor_formatter("")
    axes.set_xlabel("rank")
    axes.set_ylabel("uses")


def _per_community(axes: Axes, about: Description) -> None:
    largest = about.communities[:20][::-1]
    axes.barh(range(len(largest)), [c.posts for c in largest], color=_ACCENT)
    axes.set_yticks(range(len(largest)), [printable(c.name)[:24] or "(none)" for c in largest])
    axes.set_xlabel("posts")
