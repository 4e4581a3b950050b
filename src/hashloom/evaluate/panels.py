"""The report's sections below the main table: curves, communities, slices, spread and time, examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from hashloom.evaluate import svg
from hashloom.evaluate.examples import Example, pick, shorten
from hashloom.evaluate.findings import CURVES, DEPTH, Findings
from hashloom.evaluate.metrics import columns, mean
from hashloom.evaluate.tables import number, per_post, seconds, title, uniformity
from hashloom.tags import key
from hashloom.types import Rankings

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEW = 50
"""Slices with fewer posts are set in italics: their figures say little."""


def grid(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], kinds: Iterable[str] = (), look: str = "numbers"
) -> str:
    """An HTML table from cells that are HTML already; the first cell of a row names it, ``kinds`` are row classes.

    ``look="text"`` sets every column to the left.

    >>> "<th scope=row>a</th>" in grid("Posts", ["method", "posts"], [["a", "<td>1</td>"]]).replace('"', "")
    True
    """
    top = "".join(f'<th scope="col">{head}</th>' for head in heads)
    classes = iter(kinds)
    body = "".join(
        f'<tr class="{next(classes, "")}"><th scope="row">{row[0]}</th>{"".join(row[1:])}</tr>' for row in rows
    )
    inside = f"<caption>{caption}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody>"
    # A table wider than the window scrolls by itself; a keyboard reaches it through the tabindex.
    label = escape(caption.split(".")[0], quote=True)
    inside = f'<table class="{look}">{inside}</table>'
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{inside}</div>'


def section(name: str, heading: str, text: str, body: str) -> str:
    """A titled block of the page that the navigation points to."""
    said = f"<p>{text}</p>" if text else ""
    return f'<section id="{name}" aria-labelledby="{name}-h"><h2 id="{name}-h">{heading}</h2>{said}{body}</section>'


def look(found: Findings, i: int) -> str:
    """The style class of a method, the same on the whole page; floors use up no colour, but differ in their dashes."""
    floors = sum(result.floor for result in found.results[:i])
    if found.results[i].floor:
        return svg.style(floors, True) + (f" f{floors % 3 + 1}" if floors % 3 else "")
    return svg.style(i - floors, False)


def named(found: Findings, i: int) -> str:
    """A method's name with the sample of its line."""
    result = found.results[i]
    floor = '<span class="tag-floor">floor</span>' if result.floor else ""
    note = f' title="{escape(result.notes, quote=True)}"' if result.notes else ""
    swatch = f'<span class="swatch {look(found, i)}" aria-hidden="true"></span>'
    return f"{swatch}<span{note}>{escape(result.name)}</span>{floor}"


def peak(values: Sequence[float]) -> int:
    """The place of the highest value, the first where several are equal.

    >>> peak([0.1, 0.3, 0.3])
    1
    """
    return int(np.nanargmax(np.asarray(values))) if any(v == v for v in values) else 0


def curves(found: Findings) -> str:
    """Precision, recall, hit, both F1 and NDCG against K, with a ring where the best method's F1 peaks."""
    legend = "".join(f"<li>{named(found, i)}</li>" for i in range(len(found.names)))
    charts = "".join(_curve(found, name) for name in CURVES)
    text = f"What changes with the number of suggestions. {_ring_says(found)}"
    heads = ["method", *(f"K = {k}" for k in range(1, DEPTH + 1))]
    tables = "".join(_curve_table(found, name, heads) for name in CURVES)
    more = f"<details><summary>The figures behind the curves</summary>{tables}</details>"
    return section(
        "curves", "Against K", text, f'<ul class="legend">{legend}</ul><div class="charts">{charts}</div>{more}'
    )


def _ring_says(found: Findings) -> str:
    first = escape(found.names[0])
    if found.peaks.ks[0]:
        return f"The ring marks the K where F1 of {first} is best on the validation posts: K = {found.peaks.ks[0]}."
    words = [f"{CURVES[name]}: K = {peak(found.curves[name][0]) + 1}" for name in ("f1_posts", "f1_means")]
    return (
        f"The ring marks the K where F1 of {first} peaks ({'; '.join(words)}). "
        "A K chosen here would be chosen on the test posts: choose it on validation posts."
    )


def series(found: Findings, name: str, depth: int = DEPTH) -> list[svg.Series]:
    """A metric of every method against K up to ``depth``; a ring at the best method's K in the curves of F1."""
    made = []
    for i, values in enumerate(found.curves[name]):
        chosen = found.peaks.ks[0]
        place = chosen - 1 if chosen else peak(values[:depth])
        ring = place if i == 0 and name.startswith("f1") else None
        made.append(svg.Series(found.names[i], list(enumerate(values[:depth], 1)), look(found, i), ring))
    return made


def _curve(found: Findings, name: str) -> str:
    rows = series(found, name)
    says = f"{CURVES[name]} of {len(rows)} methods at K from 1 to {DEPTH}; the figures are in the tables below"
    return f"<figure><figcaption>{CURVES[name]}</figcaption>{svg.lines(rows, says, 'K')}</figure>"


def _curve_table(found: Findings, name: str, heads: Sequence[str]) -> str:
    rows = [
        [escape(found.names[i]), *(f"<td>{number(v)}</td>" for v in values)]
        for i, values in enumerate(found.curves[name])
    ]
    return grid(f"{CURVES[name]} against K.", heads, rows)


def communities(found: Findings) -> str:
    """The headline against training posts per community: one dot each, and the best floor's as a hollow one."""
    rows = found.communities
    if len(rows) < 2:
        return ""
    floor = next((i for i, result in enumerate(found.results) if result.floor and i), None)
    dots = [] if floor is None else [_dot(found, row, floor, False) for row in rows]
    dots += [_dot(found, row, 0, len(rows) <= 12) for row in rows]
    metric = title(found.headline)
    hollow = "" if floor is None else f", a hollow one for {escape(found.names[floor])}"
    text = f"One dot per community for {escape(found.names[0])}{hollow}. {_trend(found)}"
    says = f"{metric} of {len(rows)} communities against their training posts; the figures are in the table below"
    chart = svg.scatter(dots, says, "training posts in the community (logarithmic)")
    shown = [0] if floor is None else [0, floor]
    heads = ["community", "training posts", "test posts", *(escape(found.names[i]) for i in shown)]
    cells = [
        [escape(place) or "(none)", f"<td>{n:,}</td><td>{m:,}</td>", *(f"<td>{number(v[i])}</td>" for i in shown)]
        for place, n, m, v in sorted(rows, key=lambda row: -row[1])
    ]
    table = grid(f"{metric} by community, largest first.", heads, cells)
    more = f"<details><summary>The figures of all {len(rows)} communities</summary>{table}</details>"
    return section("communities", f"{metric} against posts per community", text, f"<figure>{chart}</figure>{more}")


def _dot(found: Findings, row: tuple[str, int, int, list[float]], i: int, label: bool) -> svg.Dot:
    place, trained, tested, values = row
    says = f"{place or '(none)'}: {found.names[i]} {number(values[i])}, {trained:,} training and {tested:,} test posts"
    return svg.Dot(trained, values[i], says, look(found, i), (place or "(none)") if label else "")


def _trend(found: Findings) -> str:
    """The rank correlation of size and score, where there are enough communities to speak of one."""
    if len(found.communities) < 5:
        return ""
    sizes, scores = (_ranks([row[1] for row in found.communities]), _ranks([row[3][0] for row in found.communities]))
    if not np.ptp(sizes) or not np.ptp(scores):
        return ""
    together = float(np.corrcoef(sizes, scores)[0, 1])
    return f"Rank correlation of size and score over {len(sizes)} communities: {together:.2f}."


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Ranks from 0, equal values sharing the middle one."""
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    left, right = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return np.asarray(left + right - 1, dtype=np.float64) / 2


def sliced(found: Findings) -> str:
    """One table per slice: methods down, labels across, shaded by value."""
    if not found.slices:
        return ""
    metric = title(found.headline)
    text = (
        f"{metric} on parts of the test posts (n of them). Words are counted between white space; in Japanese, Chinese"
        f" and other unspaced scripts two letters count as a word. Italics: fewer than {FEW} posts."
    )
    tables = "".join(f"<div>{_slice(found, name)}</div>" for name in found.slices)
    return section("slices", "Where it is easy and where it is hard", text, f'<div class="grid2">{tables}</div>')


def _slice(found: Findings, name: str) -> str:
    parts = list(found.slices[name].items())
    heads = ["method", *(f'{escape(label)}<span class="ci">n = {posts:,}</span>' for label, (posts, _) in parts)]
    rows = [
        [named(found, i), *(_shade(values[i], posts) for _, (posts, values) in parts)] for i in range(len(found.names))
    ]
    return grid(f"By {escape(name)}.", heads, rows)


def _shade(value: float, posts: int) -> str:
    few = " few" if posts < FEW else ""
    level = 0.0 if value != value else max(0.0, min(value, 1.0))
    return f'<td class="heat{few}" style="--h:{level:.2f}">{number(value)}</td>'


def beyond(found: Findings) -> str:
    """Coverage, Gini, popularity and times in one table."""
    heads = ["method", *uniformity(found), "training", "answer, per post", "posts/s"]
    users = "" if found.over_users is None else f" {title(found.headline)} over users: the mean of the users' means."
    heads += [f"{title(found.headline)} over users"] if users else []
    rows = [[named(found, i), *_beyond(found, i)] for i in range(len(found.names))]
    caption = (
        "Coverage: share of the training tags suggested at least once. Gini: 0 if all are suggested equally often,"
        " near 1 if a few are. Popularity: training posts that carry a suggested tag, on average. Unseen: suggestions"
        f" that no training post of the community carries. Answer times are in batch.{users}"
    )
    body = grid(caption, heads, rows, ["first"])
    return section("beyond", "Beyond accuracy, and time", "", body)


def _beyond(found: Findings, i: int) -> list[str]:
    result, each = found.results[i], per_post(found, i)
    rate = f"{1 / each:,.0f}" if each > 0 else "–"
    cells = [column[i] for column in uniformity(found).values()]
    users = [] if found.over_users is None else [number(found.over_users[i])]
    return [f"<td>{c}</td>" for c in [*cells, seconds(result.train_seconds), seconds(each), rate, *users]]


def examples(found: Findings, each: int = 4) -> str:
    """Cards of the best, typical and worst answers: text, true tags and what each method said."""
    values = found.scores[0].values[columns(found.headline)[0]]
    chosen = pick(values, found.experiment.test, found.truths, each)
    rows = _rows(found)
    body = ""
    for kind in ("best", "typical", "worst"):
        cards = "".join(_card(found, one, rows) for one in chosen if one.kind == kind)
        body += f'<h3 class="kind">{kind.capitalize()} answers</h3><div class="cards">{cards}</div>' if cards else ""
    text = (
        f"Chosen by rule, not by hand: by the {title(found.headline)} of {escape(found.names[0])} among posts with at"
        f" least two true tags, equal ones by a hash of their id; typical ones are nearest to the median. The mean over"
        f" all posts is {number(mean(values))}. A tick marks a true tag."
    )
    return section("examples", "Answers beside the true tags", text, body) if body else ""


def _rows(found: Findings) -> list[tuple[str, Rankings]]:
    """Whose answers a card shows: the best method's, and its makers' or else the next best's and the best floor's."""
    first = found.results[0]
    rows = [(first.name, first.rankings), *list(first.makers.items())[:5]]
    if len(rows) == 1:
        others = [r for r in found.results[1:] if not r.floor][:1] + [r for r in found.results[1:] if r.floor][:1]
        rows += [(other.name, other.rankings) for other in others]
    return rows


def _card(found: Findings, one: Example, rows: Sequence[tuple[str, Rankings]]) -> str:
    test, truth = found.experiment.test, found.truths[one.row]
    answers = {name: list(rankings.row(one.row)[0][: found.k]) for name, rankings in rows}
    given = {key(tag) for tag in answers[rows[0][0]]}
    true: dict[str, str] = {}
    for tag in test.tags[one.row]:
        true.setdefault(key(tag), tag)
    lists = [_row("true tags", true.values(), lambda tag: key(tag) in given, "found")]
    lists += [_row(name, tags, lambda tag: key(tag) in truth, "right") for name, tags in answers.items()]
    text = shorten(test.texts[one.row]) or "(no text)"
    place = test.communities[one.row]
    head = f"<span>{escape(place)}</span><span>{title(found.headline)} {number(one.score)}</span>"
    quote = f'<blockquote dir="auto">{escape(text)}</blockquote>'
    return f'<article><p class="meta">{head}</p>{quote}<table><tbody>{"".join(lists)}</tbody></table></article>'


def _row(name: str, tags: Iterable[str], hit: Callable[[str], bool], says: str) -> str:
    chips = "".join(_chip(tag, hit(tag), says) for tag in tags) or "<li>nothing</li>"
    return f'<tr><th scope="row">{escape(name)}</th><td><ul class="chips">{chips}</ul></td></tr>'


def _chip(tag: str, hit: bool, says: str) -> str:
    mark = f'<span class="sr"> ({says})</span>' if hit else ""
    return f'<li class="chip{" hit" if hit else ""}"><bdi>{escape(tag.removeprefix("#"))}</bdi>{mark}</li>'
