"""A forecast and its interval as inline SVG, with the numbers that the formula's scale stands for."""

from __future__ import annotations

import math
from html import escape

import numpy as np

from hashloom.explain.amounts import Language, is_log, natural, number, on_scale
from hashloom.explain.wording import say
from hashloom.types import Forecast

MOST = 6
"""Numbers under an axis."""
WIDTH, HEIGHT, SIDE = 420, 66, 26


def interval(one: Forecast, span: tuple[float, float], language: Language = "en") -> str:
    """The forecast as a dot on its interval, over an axis that spans ``span`` on the formula's scale.

    >>> made = interval(Forecast("a", 3.0, 2.0, 4.0, "log2(max(score, 0) + 1)"), (1.0, 5.0))
    >>> made.count("<circle"), "Forecast 7" in made
    (1, True)
    """
    low, high = span

    def at(value: float) -> float:
        share = (value - low) / ((high - low) or 1)
        return round(SIDE + min(max(share, 0.0), 1.0) * (WIDTH - 2 * SIDE), 1)

    marks = "".join(
        f'<line class="grid" x1="{at(v)}" x2="{at(v)}" y1="8" y2="44"/>'
        f'<text class="tick mid" x="{at(v)}" y="60">{_label(v, one.formula)}</text>'
        for v in ticks(low, high, one.formula)
    )
    says = say("drawn", language, **{n: _label(getattr(one, n), one.formula) for n in ("value", "low", "high")})
    body = (
        f'{marks}<line class="reach" x1="{at(one.low)}" x2="{at(one.high)}" y1="26" y2="26"/>'
        f'<circle class="at" cx="{at(one.value)}" cy="26" r="8"/>'
    )
    label = escape(says, quote=True)
    return f'<svg class="interval" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{body}</svg>'


def ticks(low: float, high: float, formula: str) -> list[float]:
    """Places on the formula's scale of a few round numbers.

    >>> [round(2**v - 1) for v in ticks(7.0, 10.0, "log2(max(score, 0) + 1)")]
    [200, 500, 1000]
    """
    if not is_log(formula):
        return steps(low, high)
    ends = [max(natural(end, formula), 1e-9) for end in (low, high)]
    powers = range(math.floor(math.log10(ends[0])), math.ceil(math.log10(ends[1])) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [on_scale(m * 10.0**p, formula) for p in powers for m in digits]
        inside = [value for value in found if low <= value <= high]
        if len(inside) <= MOST:
            break
    return inside or [(low + high) / 2]


def steps(low: float, high: float) -> list[float]:
    """About five round places between two ends.

    >>> steps(0.3, 9.7), steps(2.0, 2.0)
    ([2.0, 4.0, 6.0, 8.0], [2.0])
    """
    if not high > low:
        return [low]
    size = 10.0 ** np.floor(np.log10((high - low) / 4))
    step = next((size * m for m in (1, 2, 2.5, 5, 10) if (high - low) / (size * m) <= 5.5), size * 10)
    first = int(np.ceil(low / step))
    return [round(float(i * step), 10) for i in range(first, int(np.floor(high / step)) + 1)]


def span(forecasts: list[Forecast]) -> tuple[float, float]:
    """The axis on which several forecasts of one formula can be compared; a tenth more than they need.

    >>> span([Forecast("a", 2.0, 1.0, 3.0, ""), Forecast("a", 2.0, 0.0, 2.5, "")])
    (-0.3, 3.3)
    """
    low, high = min(f.low for f in forecasts), max(f.high for f in forecasts)
    room = (high - low) / 10 or 0.5
    return low - room, high + room


def _label(value: float, formula: str) -> str:
    return number(natural(value, formula))
