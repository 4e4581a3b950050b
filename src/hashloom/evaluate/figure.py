"""The curves against K as one picture that stands by itself: precision, recall, hit and both F1, for the documents."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files

from hashloom.evaluate import panels, svg
from hashloom.evaluate.findings import CURVES, Findings

SHOWN = ("p", "r", "hit", "f1_posts", "f1_means")
DEPTH = 10
WIDE, HIGH = 340, 236
"""Size of one chart."""
ACROSS, GAP, HEAD, LINE = 3, 16, 22, 18


def figure(found: Findings) -> str:
    """An SVG file's text: a chart per metric for K = 1 … 10 and a legend of all methods, best first.

    >>> from hashloom.evaluate.findings import Experiment, Result
    >>> from hashloom.types import Post, Posts, Rankings
    >>> test = Posts.of([Post("a", "rye", tags=("Rye",))])
    >>> always = Result("always-rye", {}, Rankings.of(["a"], [[("Rye", 1.0)]]))
    >>> figure(Findings([always], Experiment("tiny", test, test))).count("<polyline")
    5
    """
    charts = [(CURVES[name], _chart(found, name)) for name in SHOWN]
    legend = [(name, panels.look(found, i)) for i, name in enumerate(found.names)]
    return sheet(charts, legend, f"Metrics against K from 1 to {DEPTH}: {', '.join(found.names)}")


def sheet(charts: Sequence[tuple[str, str]], legend: Sequence[tuple[str, str]], says: str) -> str:
    """An SVG file's text: charts (heading, SVG) in rows of three, and below them the lines' names with their styles.

    An empty chart leaves its place free.

    >>> chart = svg.lines([svg.Series("a", [(1, 0.2), (2, 0.4)], "s1")], "rising", "K")
    >>> sheet([("Rising", chart)], [("a", "s1")], "one rising line")[:4]
    '<svg'
    """
    drawn = "".join(_placed(head, chart, i) for i, (head, chart) in enumerate(charts))
    top = _top(-(-len(charts) // ACROSS) * ACROSS)
    names = "".join(_named(name, look, i, top) for i, (name, look) in enumerate(legend))
    width, height = ACROSS * WIDE + (ACROSS + 1) * GAP, top + -(-len(legend) // ACROSS) * LINE + GAP
    style = files("hashloom.evaluate").joinpath("chart.css").read_text(encoding="utf-8")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(says, quote=True)}">'
        f"<style>svg {{ font-family: system-ui, sans-serif; }}\n{style}"
        "svg .head { fill: var(--ink); font-size: 14px; font-weight: 600; } .key { stroke-width: 3; }</style>"
        f'<rect width="{width}" height="{height}" fill="var(--paper)"/>{drawn}{names}</svg>\n'
    )


def _left(i: int) -> int:
    return GAP + i % ACROSS * (WIDE + GAP)


def _top(i: int) -> int:
    return GAP + i // ACROSS * (HIGH + HEAD + GAP)


def _chart(found: Findings, name: str) -> str:
    says = f"{CURVES[name]} of {len(found.names)} methods at K from 1 to {DEPTH}"
    return svg.lines(panels.series(found, name, DEPTH), says, "K", WIDE, HIGH)


def _placed(head: str, chart: str, i: int) -> str:
    if not chart:
        return ""
    placed = f'<svg x="{_left(i)}" y="{_top(i) + HEAD}" width="{WIDE}" height="{HIGH}" '
    title = f'<text class="head" x="{_left(i) + svg.LEFT}" y="{_top(i) + 15}">{escape(head)}</text>'
    return title + chart.replace("<svg ", placed, 1)


def _named(name: str, look: str, i: int, top: int) -> str:
    x, y = _left(i) + svg.LEFT, top + i // ACROSS * LINE + LINE / 2
    line = f'<line class="line key" x1="{x}" x2="{x + 24}" y1="{y}" y2="{y}"/>'
    label = f'<text class="label" x="{x + 32}" y="{y + 4}">{escape(name)}</text>'
    return f'<g class="{look}">{line}{label}</g>'
