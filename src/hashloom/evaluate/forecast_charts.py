"""Charts of forecasts as inline SVG: what was got against what was forecast, and the intervals' coverage by group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from hashloom.evaluate.svg import _figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BINS = 10
WIDE, HIGH = 300, 236
LEFT, RIGHT, TOP, BOTTOM = 34, 12, 10, 36


@dataclass(frozen=True)
class Bin:
    """Posts with forecasts near each other: the mean forecast, and mean and middle half of what they got."""

    forecast: float
    got: float
    low: float
    high: float
    posts: int


def bins(truth: Floats, forecasts: Floats, count: int = BINS) -> list[Bin]:
    """Posts in the order of their forecasts, cut into ``count`` equal parts; equal forecasts stay together.

    >>> [(one.forecast, one.got, one.posts) for one in bins(np.array([1.0, 3.0, 9.0]), np.array([2.0, 2.0, 5.0]))]
    [(2.0, 2.0, 2), (5.0, 9.0, 1)]
    """
    _, first = np.unique(forecasts, return_inverse=True)
    sizes = np.bincount(first)
    middle = (np.cumsum(sizes) - sizes / 2) / len(forecasts)
    part = np.minimum((middle * count).astype(np.int64), count - 1)[first]
    made = []
    for which in np.unique(part):
        got = truth[part == which]
        low, high = np.quantile(got, [0.25, 0.75])
        mean = float(forecasts[part == which].mean())
        made.append(Bin(mean, float(got.mean()), float(low), float(high), len(got)))
    return made


def steps(low: float, high: float) -> list[float]:
    """About five round numbers within a range.

    >>> steps(-7.2, 1.3)
    [-6.0, -4.0, -2.0, 0.0]
    """
    wide = max(high - low, 1e-9)
    size = 10.0 ** math.floor(math.log10(wide / 4))
    step = next((size * m for m in (1, 2, 5, 10) if wide / (size * m) <= 5), size * 10)
    return [round(step * i, 10) + 0.0 for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def reach(each: Sequence[Sequence[Bin]]) -> tuple[float, float]:
    """The range that holds all bins, so that charts side by side share their axes."""
    ends = [end for row in each for one in row for end in (one.forecast, one.got, one.low, one.high)]
    room = 0.04 * (max(ends) - min(ends)) or 0.5
    return min(ends) - room, max(ends) + room


def against(row: Sequence[Bin], span: tuple[float, float], says: str, style: str) -> str:
    """What was got against what was forecast; on the dashed line both are equal.

    >>> chart = against(bins(np.array([1.0, 3.0]), np.array([1.0, 2.0])), (0.0, 4.0), "two", "s1")
    >>> chart.count("<circle")
    2
    """

    def x(value: float) -> float:
        return round(LEFT + (value - span[0]) / (span[1] - span[0]) * (WIDE - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(HIGH - BOTTOM - (value - span[0]) / (span[1] - span[0]) * (HIGH - TOP - BOTTOM), 1)

    base = HIGH - BOTTOM
    drawn = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{y(v)}" y2="{y(v)}"/>'
        f'<text class="tick end" x="{LEFT - 6}" y="{y(v) + 4}">{v:g}</text>'
        f'<text class="tick mid" x="{x(v)}" y="{base + 14}">{v:g}</text>'
        for v in steps(*span)
    ]
    drawn += [f'<line class="limit" x1="{x(span[0])}" y1="{y(span[0])}" x2="{x(span[1])}" y2="{y(span[1])}"/>']
    drawn += [
        f'<line class="reach" x1="{x(b.forecast)}" x2="{x(b.forecast)}" y1="{y(b.low)}" y2="{y(b.high)}"/>'
        f'<circle class="dot" cx="{x(b.forecast)}" cy="{y(b.got)}" r="4.5"><title>{b.posts:,} posts: forecast'
        f" {b.forecast:.2f}, got {b.got:.2f}, half of them {b.low:.2f} to {b.high:.2f}</title></circle>"
        for b in row
    ]
    drawn += [f'<text class="axis mid" x="{(LEFT + WIDE - RIGHT) / 2}" y="{base + 31}">forecast</text>']
    return _figure(WIDE, HIGH, says, f'<g class="{style}">{"".join(drawn)}</g>')


@dataclass(frozen=True)
class Covered:
    """One method's coverage in one group of posts."""

    group: str
    method: str
    share: float
    posts: int
    style: str


def coverage(rows: Sequence[Covered], stated: float, says: str, tolerance: float = 0.03) -> str:
    """A dot per method and group on an axis of coverage; a line at what is stated, a band ``tolerance`` around it.

    >>> coverage([Covered("all posts", "mean", 0.88, 10, "s1")], 0.9, "one").count("<circle")
    1
    """
    groups = list(dict.fromkeys(row.group for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    tall, label, wide = 12 + 9 * len(methods), 170, 760
    low = max(0.0, math.floor(10 * min(stated - 0.15, *(row.share for row in rows))) / 10)
    height = TOP + tall * len(groups) + BOTTOM

    def x(share: float) -> float:
        return round(label + (share - low) / (1 - low) * (wide - label - 16), 1)

    base = height - BOTTOM
    left, right = x(max(low, stated - tolerance)), x(min(1.0, stated + tolerance))
    drawn = [f'<rect class="band" x="{left}" y="{TOP}" width="{round(right - left, 1)}" height="{base - TOP}"/>']
    drawn += [f'<line class="limit" x1="{x(stated)}" x2="{x(stated)}" y1="{TOP}" y2="{base}"/>']
    drawn += [f'<text class="tick mid" x="{x(v)}" y="{base + 15}">{100 * v:g}\u202f%</text>' for v in steps(low, 1.0)]
    for at, group in enumerate(groups):
        y = TOP + at * tall
        drawn += [
            f'<line class="grid" x1="8" x2="{wide - 16}" y1="{y}" y2="{y}"/>'
            f'<text class="label" x="8" y="{y + tall / 2 + 4}">{escape(group)}</text>'
        ]
        drawn += [
            _covered(row, x(row.share), y + 10 + 9 * methods.index(row.method)) for row in rows if row.group == group
        ]
    return _figure(wide, height, says, "".join(drawn))


def _covered(row: Covered, x: float, y: float) -> str:
    says = f"{row.method}, {row.group}: {100 * row.share:.1f} % of {row.posts:,} posts"
    dot = f'<circle class="dot" cx="{x}" cy="{y}" r="4.5"><title>{escape(says)}</title></circle>'
    return f'<g class="{row.style}">{dot}</g>'
