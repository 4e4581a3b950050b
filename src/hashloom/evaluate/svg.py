"""Small charts as inline SVG: lines, dots and whiskers, coloured by the page's style sheet, readable without colour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLOURS = 8
LEFT, RIGHT, TOP, BOTTOM = 38, 22, 12, 34


@dataclass(frozen=True)
class Series:
    """One line or cloud: ``points`` (x, y), a style class, and at which point to draw a ring."""

    name: str
    points: Sequence[tuple[float, float]]
    style: str
    ring: int | None = None


@dataclass(frozen=True)
class Dot:
    """One dot of a scatter: its place, what the pointer shows, its style class and a label to write beside it."""

    x: float
    y: float
    says: str
    style: str = "s1"
    label: str = ""


def ticks(top: float) -> list[float]:
    """About five round steps from 0 to at least ``top``.

    >>> ticks(0.73)
    [0.0, 0.2, 0.4, 0.6, 0.8]
    """
    if not top > 0:
        return [0.0, 1.0]
    size = 10 ** math.floor(math.log10(top / 4))
    step = next(size * m for m in (1, 2, 2.5, 5, 10) if size * m * 5 >= top)
    return [round(step * i, 10) for i in range(math.ceil(round(top / step, 9)) + 1)]


def style(i: int, floor: bool) -> str:
    """The style class of the i-th method: a dye, or the pale dashes of a floor.

    >>> style(0, False), style(9, False), style(3, True)
    ('s1', 's2 dashed', 'floor')
    """
    return "floor" if floor else f"s{i % COLOURS + 1}" + (" dashed" if i >= COLOURS else "")


class _Frame:
    """Axes of a chart, and the places of values in it."""

    def __init__(
        self, width: int, height: int, tops: Sequence[float], x: tuple[float, float], log: bool = False
    ) -> None:
        self.width, self.height, self.tops, self.log = width, height, tops, log
        self.low, self.high = (math.log10(x[0]), math.log10(x[1])) if log else x

    def x(self, value: float) -> float:
        share = ((math.log10(value) if self.log else value) - self.low) / ((self.high - self.low) or 1)
        return round(LEFT + share * (self.width - LEFT - RIGHT), 1)

    def y(self, value: float) -> float:
        return round(self.height - BOTTOM - value / self.tops[-1] * (self.height - TOP - BOTTOM), 1)

    def axes(self, marks: Sequence[float], title: str) -> str:
        right, base = self.width - RIGHT, self.height - BOTTOM
        rows = "".join(
            f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{self.y(v)}" y2="{self.y(v)}"/>'
            f'<text class="tick end" x="{LEFT - 6}" y="{self.y(v) + 4}">{v:g}</text>'
            for v in self.tops
        )
        named = "".join(f'<text class="tick mid" x="{self.x(v)}" y="{base + 15}">{v:,g}</text>' for v in marks)
        return f'{rows}{named}<text class="axis mid" x="{(LEFT + right) / 2}" y="{base + 30}">{escape(title)}</text>'


def _figure(width: int, height: int, says: str, body: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(says, quote=True)}">{body}</svg>'


def lines(series: Sequence[Series], says: str, x_title: str, width: int = 340, height: int = 236) -> str:
    """Lines over whole numbers from 1; ``says`` is what a screen reader says of the chart.

    >>> lines([Series("a", [(1, 0.2), (2, 0.4)], "s1", ring=1)], "rising", "K").count("<circle")
    3
    """
    top = max((y for one in series for _, y in one.points if y == y), default=1.0)
    last = max((x for one in series for x, _ in one.points), default=1.0)
    frame = _Frame(width, height, ticks(top), (1, last))
    marks = [x for x in (1, 3, 5, 10, 15, 20, 30, 50, 100) if x <= last]
    # The best method is drawn last, on top of the others.
    drawn = "".join(_line(one, frame, x_title) for one in reversed(series))
    return _figure(width, height, says, frame.axes(marks, x_title) + drawn)


def _line(one: Series, frame: _Frame, x_title: str) -> str:
    known = [(x, y) for x, y in one.points if y == y]
    way = " ".join(f"{frame.x(x)},{frame.y(y)}" for x, y in known)
    hover = "".join(
        f'<circle class="hover" cx="{frame.x(x)}" cy="{frame.y(y)}" r="5">'
        f"<title>{escape(one.name)}, {escape(x_title)} = {x:g}: {y:.3f}</title></circle>"
        for x, y in known
    )
    ring = ""
    if one.ring is not None:
        at, y = one.points[one.ring]
        x, y = frame.x(at), frame.y(y)
        # Beside the line's ends the label would leave the chart or cover the axis.
        beside = min(max(x, LEFT + 20), frame.width - 30)
        ring = f'<circle class="ring" cx="{x}" cy="{y}" r="4.5"/>'
        ring += f'<text class="peak mid" x="{beside}" y="{y - 9}">K = {at:g}</text>'
    return f'<g class="{one.style}"><polyline class="line" points="{way}"/>{ring}{hover}</g>'


def scatter(dots: Sequence[Dot], says: str, x_title: str, width: int = 1090, height: int = 340) -> str:
    """Dots over a logarithmic x axis (values from 1 on; smaller ones stand at 1).

    >>> scatter([Dot(10, 0.5, "bakers"), Dot(1000, 0.7, "riders")], "two", "posts").count("<circle")
    2
    """
    places = [max(dot.x, 1.0) for dot in dots]
    low, high = max(min(places) * 0.8, 1.0), max(places) * 1.25
    frame = _Frame(width, height, ticks(max(dot.y for dot in dots)), (low, high), log=True)
    marks = [m * 10.0**p for p in range(8) for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    drawn = "".join(_dot(dot, frame) for dot in dots)
    return _figure(width, height, says, frame.axes(marks, x_title) + drawn)


def _dot(dot: Dot, frame: _Frame) -> str:
    x, y = frame.x(max(dot.x, 1.0)), frame.y(dot.y)
    near_end = x > frame.width * 0.8
    side = f'class="label end" x="{x - 9}"' if near_end else f'class="label" x="{x + 9}"'
    label = f'<text {side} y="{y + 4}">{escape(dot.label)}</text>' if dot.label else ""
    circle = f'<circle class="dot" cx="{x}" cy="{y}" r="5"><title>{escape(dot.says)}</title></circle>'
    return f'<g class="{dot.style}">{circle}{label}</g>'


def whisker(low: float, value: float, high: float, top: float, ceiling: float | None = None, width: int = 116) -> str:
    """A value with its interval on an axis from 0 to ``top``; decoration of a number that stands beside it.

    >>> whisker(0.4, 0.5, 0.6, 1.0, width=100).count("<line")
    2
    """

    def at(number: float) -> float:
        return round(4 + number / (top or 1) * (width - 8), 1)

    limit = "" if ceiling is None else f'<line class="limit" x1="{at(ceiling)}" x2="{at(ceiling)}" y1="1" y2="21"/>'
    body = (
        f'<line class="grid" x1="4" x2="{width - 4}" y1="11" y2="11"/>{limit}'
        f'<rect class="bar" x="4" y="7" width="{max(at(value) - 4, 0)}" height="8" rx="2"/>'
        f'<line class="span" x1="{at(low)}" x2="{at(high)}" y1="11" y2="11"/>'
    )
    return f'<svg class="whisker" viewBox="0 0 {width} 22" width="{width}" height="22" aria-hidden="true">{body}</svg>'


def difference(one: tuple[float, float, float], span: tuple[float, float], width: int = 180) -> str:
    """A difference (low, value, high) on an axis over ``span``, which holds 0, with a line there.

    >>> difference((-0.1, 0.1, 0.3), (-0.2, 0.4), width=100).count("<circle")
    1
    """
    low, value, high = one

    def at(number: float) -> float:
        return round(6 + (number - span[0]) / ((span[1] - span[0]) or 1) * (width - 12), 1)

    body = (
        f'<line class="zero" x1="{at(0)}" x2="{at(0)}" y1="1" y2="21"/>'
        f'<line class="span" x1="{at(low)}" x2="{at(high)}" y1="11" y2="11"/>'
        f'<circle class="dot" cx="{at(value)}" cy="11" r="3.5"/>'
    )
    return f'<svg class="whisker" viewBox="0 0 {width} 22" width="{width}" height="22" aria-hidden="true">{body}</svg>'
