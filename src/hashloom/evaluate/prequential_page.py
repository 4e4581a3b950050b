"""A walk through time as tables and as one picture: what the frozen, the updated and the retrained model scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from hashloom.evaluate import svg
from hashloom.evaluate.figure import ACROSS, HIGH, WIDE, sheet
from hashloom.evaluate.formulas import OF_SOME
from hashloom.evaluate.metrics import parse
from hashloom.evaluate.prequential import Prequential
from hashloom.evaluate.tables import number, seconds, span, title
from hashloom.types import UNDATED, Posts

LOOKS = {"frozen": "floor", "updated": "s1", "retrained": "s2"}
GAINS = (("updated", "frozen"), ("retrained", "updated"))
"""Which modes are told apart, and from which."""


def shown(found: Prequential) -> list[str]:
    """The metrics that any step has something to say of: where posts have no times, no tag is young."""
    return [metric for metric in found.metrics if any(found.counts(metric))]


def _of_some(metric: str) -> bool:
    return parse(metric)[0].name in OF_SOME


def figure(walks: Sequence[Prequential]) -> str:
    """An SVG file's text: a row of charts per recipe, a chart per metric, a line per mode, against the step.

    Recall of few tags is drawn over all steps so far, because a step by itself has too few of them.
    """
    charts = [chart for found in walks for chart in _row(found)]
    modes = dict.fromkeys(mode for found in walks for mode in found.modes)
    says = f"Scores against the step of the walk of {', '.join(found.name for found in walks)}: {', '.join(modes)}"
    return sheet(charts, [(mode, LOOKS[mode]) for mode in modes], says)


def _row(found: Prequential) -> list[tuple[str, str]]:
    charts = [(_head(found, metric), _chart(found, metric)) for metric in shown(found)]
    return charts + [("", "")] * (-len(charts) % ACROSS)


def _head(found: Prequential, metric: str) -> str:
    return f"{found.name}: {title(metric)}" + (", steps so far" if _of_some(metric) else "")


def _chart(found: Prequential, metric: str) -> str:
    series = [
        svg.Series(mode, list(enumerate(found.values(mode, metric, so_far=_of_some(metric)), 1)), LOOKS[mode])
        for mode in reversed(found.modes)
    ]
    says = f"{title(metric)} of {found.name} in {len(found.walk.steps)} steps: {', '.join(found.modes)}"
    return svg.lines(series, says, "step", WIDE, HIGH)


def summary(walks: Sequence[Prequential]) -> str:
    """A Markdown table of all steps together: each recipe and mode, every metric with its interval, and the times."""
    metrics = list(dict.fromkeys(metric for found in walks for metric in shown(found)))
    rows = [["recipe", "mode", *map(title, metrics), "training, each", "update, per post", "answer, per post"]]
    for found in walks:
        for mode in found.modes:
            cells = [span(found.interval(mode, metric)) if metric in shown(found) else "–" for metric in metrics]
            rows.append([found.name, mode, *cells, *_times(found, mode)])
    return _table(rows, 2)


def _times(found: Prequential, mode: str) -> list[str]:
    learnt, posts = sum(found.learn_seconds[mode]), sum(map(len, found.walk.steps))
    answered = seconds(sum(found.answer_seconds[mode]) / len(found.walk.questions))
    if mode == "updated":
        return ["–", seconds(learnt / posts), answered]
    fits = 1 if mode == "frozen" else len(found.walk.steps)
    return [seconds(learnt / fits) if learnt else "–", "–", answered]


def gains(walks: Sequence[Prequential]) -> str:
    """A Markdown table of the paired differences: updated over frozen, retrained over updated."""
    metrics = list(dict.fromkeys(metric for found in walks for metric in shown(found)))
    rows = [["recipe", "difference", *map(title, metrics)]]
    for found in walks:
        for mode, other in GAINS:
            if mode in found.modes and other in found.modes:
                apart = [
                    span(found.difference(mode, other, metric).difference) if metric in shown(found) else "–"
                    for metric in metrics
                ]
                rows.append([found.name, f"{mode} − {other}", *apart])
    return _table(rows, 2) if len(rows) > 1 else ""


def steps(found: Prequential) -> str:
    """A Markdown table of one recipe's walk, a row per step: when it began, what was asked, and each mode's scores."""
    metrics = shown(found)
    heads = [f"{title(metric)}, {mode}" for metric in metrics for mode in found.modes]
    counted = [metric for metric in metrics if _of_some(metric)]
    rows = [["step", "from", "posts asked", *(f"tags of {title(m)}" for m in counted), *heads]]
    values = [found.values(mode, metric) for metric in metrics for mode in found.modes]
    counts = [found.counts(metric) for metric in counted]
    for n, asked in enumerate(found.walk.asked):
        sizes = [f"{len(asked):,}", *(f"{each[n]:,}" for each in counts)]
        rows.append([str(n + 1), _begin(found.walk.steps[n]), *sizes, *(number(each[n]) for each in values)])
    return _table(rows, 2)


def _begin(posts: Posts) -> str:
    first = int(posts.times[0])
    return "–" if first == UNDATED else datetime.fromtimestamp(first / 1e6, UTC).date().isoformat()


def setting(found: Prequential) -> str:
    """One line on the walk: how many posts teach first, and how many come in how many steps."""
    made = found.walk
    later = sum(map(len, made.steps))
    return (
        f"{len(made.first):,} posts teach first; {later:,} come in {len(made.steps)} steps, of which"
        f" {len(made.questions):,} are asked (walk {made.id})"
    )


def _table(rows: Sequence[Sequence[str]], words: int) -> str:
    """A Markdown table whose first columns, ``words`` of them, are text."""
    return "\n".join(_lines(rows, words))


def _lines(rows: Sequence[Sequence[str]], words: int) -> Iterator[str]:
    for i, row in enumerate(rows):
        yield "| " + " | ".join(row) + " |"
        if i == 0:
            yield "| " + " | ".join(["---"] * words + ["--:"] * (len(row) - words)) + " |"
