"""The report's section on chances: whether what a method says of its tags holds, and what it costs to say less."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hashloom.evaluate import calibration
from hashloom.evaluate.calibration import Bin, Judged, area, brier, ece, f1_given, risk_coverage
from hashloom.evaluate.findings import Findings
from hashloom.evaluate.panels import grid, look, named, section
from hashloom.evaluate.svg import Series
from hashloom.evaluate.tables import number, share

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDEAL = Series("as said", [(0.0, 0.0), (1.0, 1.0)], "floor")
TEXT = (
    "Scores of these methods are said to be the chances that tags are true. On the dashed diagonal of the first picture"
    " they are. The second answers the posts that the method is surest of first: risk is the share of their first"
    " suggestions that are wrong."
)


def chances(found: Findings) -> str:
    """Reliability diagram, risk against coverage and calibration error of every method that says chances.

    >>> from hashloom.evaluate.findings import Experiment, Result
    >>> from hashloom.types import Post, Posts, Rankings
    >>> test = Posts.of([Post("a", "rye", tags=("Rye",))])
    >>> sure = Result("sure", {}, Rankings.of(["a"], [[("Rye", 0.9)]]), chances=True)
    >>> page = chances(Findings([sure], Experiment("tiny", test, test, metrics=("hit@1",))))
    >>> "<td>0.100</td>" in page, page.count("<svg")
    (True, 2)
    """
    told = [i for i, result in enumerate(found.results) if result.chances]
    if not told:
        return ""
    judged = {i: Judged.of(found.results[i].rankings, found.truths, found.k) for i in told}
    curves = {i: _risks(one) for i, one in judged.items()}
    rows = [[named(found, i), *(f"<td>{cell}</td>" for cell in _row(found, i, judged[i], curves[i]))] for i in told]
    heads = ["method", f"ECE, first {found.k}", "ECE, first", "Brier", "mean chance", "true", "tags", "F1", "area"]
    caption = (
        f"Calibration error (ECE, {calibration.BINS} bins of equal mass) and Brier score over the first {found.k}"
        " suggestions, and over the first alone; mean chance beside the share that is true; tags on average, F1 of each"
        " post over the tags given; area under risk against coverage. Lower is better but for F1."
    )
    drawn = f'<div class="charts few">{_reliability(found, judged)}{_risk_chart(found, curves)}</div>'
    return section("chances", "Chances", TEXT, drawn + grid(caption, heads, rows))


def _row(found: Findings, i: int, judged: Judged, curve: Sequence[tuple[float, float]]) -> list[str]:
    rankings, first = found.results[i].rankings, judged.only(_firsts(judged))
    f1 = f1_given(rankings, found.truths, found.k)
    return [
        number(ece(judged.chances, judged.true)),
        number(ece(first.chances, first.true)),
        number(brier(judged.chances, judged.true)),
        number(_mean(judged.chances)),
        share(_mean(judged.true)),
        f"{np.minimum(rankings.lengths, found.k).mean():.2f}",
        number(_mean(f1[~np.isnan(f1)])),
        number(area(curve)) if curve else "–",
    ]


def _mean(values: NDArray[np.float64] | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _firsts(judged: Judged) -> NDArray[np.bool_]:
    """Which suggestions are the first of their post. (suggestions,)"""
    return np.diff(judged.post, prepend=-1) != 0


def _risks(judged: Judged) -> list[tuple[float, float]]:
    first = judged.only(_firsts(judged))
    return risk_coverage(first.chances, 1.0 - first.true.astype(np.float64))


def _points(found: list[Bin]) -> list[tuple[float, float]]:
    return [(one.chance, one.true) for one in found]


def _reliability(found: Findings, judged: dict[int, Judged]) -> str:
    lines = [
        Series(found.names[i], _points(calibration.bins(one.chances, one.true)), look(found, i))
        for i, one in judged.items()
    ]
    says = f"Share of true tags against the chance said: {', '.join(line.name for line in lines)}"
    return _figure("Reliability", calibration.chart([*lines, IDEAL], says, "chance said", square=True))


def _risk_chart(found: Findings, curves: dict[int, list[tuple[float, float]]]) -> str:
    lines = [Series(found.names[i], points, look(found, i)) for i, points in curves.items()]
    says = f"Risk against coverage: {', '.join(line.name for line in lines)}"
    return _figure("Risk and coverage", calibration.chart(lines, says, "share of posts answered"))


def _figure(title: str, drawn: str) -> str:
    return f"<figure><figcaption>{title}</figcaption>{drawn}</figure>"
