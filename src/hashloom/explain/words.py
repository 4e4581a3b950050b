"""The text of a post with its words marked by weight: as HTML that reads without colour, and as a list of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

import numpy as np

from hashloom.explain.amounts import Language, quoted, share, signed
from hashloom.explain.heatmap import EVEN, entropy
from hashloom.explain.wording import say
from hashloom.types import Marks

LEVELS = 9
"""Steps of opacity; what weighs less than half of the first is not marked."""
SHOWN = 5


def placed(text: str, words: Sequence[tuple[str, float]]) -> tuple[list[tuple[int, int, float]], list[str]]:
    """Where marked words stand (start, end, weight), in reading order, and those that do not stand in the text.

    >>> placed("Rye and rye", [("Rye", 0.5), ("rye", 0.2), ("oat", 0.1)])
    ([(0, 3, 0.5), (8, 11, 0.2)], ['oat'])
    """
    found, lost, cursor = [], [], 0
    for word, weight in words:
        at = text.find(word, cursor) if word else -1
        end = at + len(word)
        if at < 0 and word and (match := re.compile(re.escape(word), re.IGNORECASE).search(text, cursor)):
            at, end = match.span()
        if at < 0:
            lost.append(word)
            continue
        found.append((at, end, float(weight)))
        cursor = end
    return found, lost


def told(weight: float, kind: str) -> str:
    """A weight as it is shown: attention as a share, everything else with its sign."""
    return share(weight) if kind == "attention" else signed(weight)


def marked(text: str, marks: Marks) -> str:
    """The text as HTML in which each word that weighs stands in a ``mark`` with its number.

    >>> marked("a <b>", Marks("contribution", [("a", -0.5)]))
    '<mark class="against w9" title="−0.5">a</mark> &lt;b&gt;'
    """
    spans, _ = placed(text, marks.words)
    most = max((abs(weight) for *_, weight in spans), default=0.0)
    parts, cursor = [], 0
    for start, end, weight in spans:
        level = round(LEVELS * abs(weight) / most) if most > 0 else 0
        if not level:
            continue
        look = f"{'for' if weight > 0 else 'against'} w{level}"
        parts.append(escape(text[cursor:start]))
        number = escape(told(weight, marks.kind), quote=True)
        parts.append(f'<mark class="{look}" title="{number}">{escape(text[start:end])}</mark>')
        cursor = end
    return "".join([*parts, escape(text[cursor:])])


def strongest(marks: Marks, language: Language) -> str:
    """The words that weigh most, either way, as a list with their numbers."""
    heavy = sorted((pair for pair in marks.words if pair[1]), key=lambda pair: -abs(pair[1]))[:SHOWN]
    if not heavy:
        return f"<p>{say('no words', language)}</p>"
    rows = "".join(
        f'<li><bdi>{escape(quoted(word, language))}</bdi> <span class="n">{told(weight, marks.kind)}</span></li>'
        for word, weight in heavy
    )
    even = f'<p class="fine">{say("even words", language)}</p>' if _is_even(marks) else ""
    return f'<h4>{say("strongest", language)}</h4><ol class="heavy">{rows}</ol>{even}'


def _is_even(marks: Marks) -> bool:
    """Whether attention lies on several words about alike."""
    weights = np.array([weight for _, weight in marks.words if weight])
    return marks.kind == "attention" and len(weights) > 1 and entropy(weights) >= EVEN * np.log2(len(weights))


def legend(marks: Marks, language: Language) -> str:
    """What the marks' looks mean."""
    signed_too = any(weight < 0 for _, weight in marks.words)
    first = say("looked" if marks.kind == "attention" else "for", language)
    rows = [f'<li><mark class="for w7">abc</mark> {first}</li>']
    if signed_too:
        rows.append(f'<li><mark class="against w7">abc</mark> {say("against", language)}</li>')
    return f'<ul class="key">{"".join(rows)}</ul>'


def lost(text: str, marks: Marks, language: Language) -> str:
    """Says which marked words do not stand in the text as they are, such as pieces of words."""
    missing = [word for word, weight in marks.words if weight and word in set(placed(text, marks.words)[1])]
    if not missing:
        return ""
    words = ", ".join(quoted(word, language) for word in missing[:SHOWN])
    return f'<p class="fine">{escape(say("lost", language, words=words))}</p>'
