"""One answer's marks side by side: the text with its marked words, the picture under its map, and both in words."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from hashloom.encoders.image._pictures import BadPicture, open_picture
from hashloom.evaluate.panels import grid
from hashloom.explain import heatmap, words
from hashloom.explain.amounts import Language, share
from hashloom.explain.wording import say
from hashloom.types import Marks, Post

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_CELLS = 200
"""A map with more regions than this is not written out as a table."""


@dataclass(frozen=True)
class Shown:
    """A post as pages show it, in one language; its first picture is read once."""

    post: Post
    language: Language

    @cached_property
    def picture(self) -> Image | None:
        """The picture, None where there is none or it cannot be read."""
        return self._read[0]

    @cached_property
    def trouble(self) -> str:
        """Why the picture cannot be shown; empty where it can."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[Image | None, str]:
        if not self.post.images:
            return None, ""
        try:
            return open_picture(self.post.images[0], near=heatmap.LONGEST), ""
        except BadPicture as error:
            return None, str(error)

    def text(self, inside: str) -> str:
        """A text of the post as a block in its own direction and language; ``inside`` is HTML already."""
        spoken = f' lang="{escape(self.post.language, quote=True)}"' if self.post.language else ""
        return f'<div class="said" dir="auto"{spoken}>{inside}</div>'

    @property
    def plain(self) -> str:
        """The text without marks."""
        return self.text(escape(self.post.text)) if self.post.text else f"<p>{say('no text', self.language)}</p>"


def plain(shown: Shown) -> str:
    """The post as it is: text and picture.

    >>> plain(Shown(Post("a", "rye <3"), "en"))
    '<div class="asked lone"><div><div class="said" dir="auto">rye &lt;3</div></div></div>'
    """
    picture = ""
    if shown.picture is not None:
        alt = escape(say("picture", shown.language), quote=True)
        picture = f'<figure><img src="{heatmap.data_uri(shown.picture)}" alt="{alt}">{_more(shown)}</figure>'
    elif shown.trouble:
        picture = f'<p class="fine">{escape(say("bad picture", shown.language, why=shown.trouble))}</p>'
    return _beside(shown.plain, picture)


def _more(shown: Shown) -> str:
    n = len(shown.post.images)
    return f"<figcaption>{say('more pictures', shown.language, n=n)}</figcaption>" if n > 1 else ""


def _beside(text: str, picture: str) -> str:
    second = f"<div>{picture}</div>" if picture else ""
    return f'<div class="asked{"" if picture else " lone"}"><div>{text}</div>{second}</div>'


def block(shown: Shown, marks: Marks, name: str, part: float = 1.0) -> str:
    """The marks of one answer, which has a name, as HTML.

    ``part``: so much of the picture's shorter side was looked at, in its middle.
    """
    language = shown.language
    if not weighs(marks):
        return f'<p class="fine">{say("no marks", language)}</p>'
    said = [f'<p class="fine">{say(marks.kind, language)}{_sides(marks, language)}</p>']
    return "".join(said) + _beside(_words(shown, marks), _map(shown, marks, name, part))


def weighs(marks: Marks) -> bool:
    """Whether any word or region has a weight."""
    return any(weight for _, weight in marks.words) or (marks.regions is not None and bool(np.any(marks.regions)))


def _sides(marks: Marks, language: Language) -> str:
    if marks.sides is None:
        return ""
    text, picture = (share(side) for side in marks.sides)
    return " " + say("sides", language, text=text, picture=picture)


def _words(shown: Shown, marks: Marks) -> str:
    if not shown.post.text:
        return shown.plain
    text, language = shown.post.text, shown.language
    parts = [shown.text(words.marked(text, marks)), words.legend(marks, language) if marks.words else ""]
    return "".join([*parts, words.strongest(marks, language), words.lost(text, marks, language)])


def _map(shown: Shown, marks: Marks, name: str, part: float) -> str:
    """The picture under the map of weights, with legend, words and a table of the numbers."""
    if marks.regions is None or not marks.regions.size:
        return ""
    weights, language = np.asarray(marks.regions, np.float64), shown.language
    is_signed = marks.kind != "attention"
    said = heatmap.said(weights, is_signed=is_signed, language=language)
    drawn = ""
    if shown.picture is not None:
        whole = marks.kind == "occlusion" or part >= 1
        box = heatmap.WHOLE if whole else heatmap.middle(shown.picture.size, part)
        uri = heatmap.data_uri(heatmap.overlay(shown.picture, weights, is_signed=is_signed, box=box))
        alt = escape(f"{say('map', language)} {said}", quote=True)
        drawn = f'<img src="{uri}" alt="{alt}">{_ramp(is_signed, language)}'
    table = _cells(weights, marks.kind, name, language)
    return f'<figure class="map">{drawn}<figcaption>{said}</figcaption>{table}</figure>'


def _ramp(is_signed: bool, language: Language) -> str:
    ends = ("minus", "plus") if is_signed else ("least", "most")
    low, high = (say(end, language) for end in ends)
    return f'<p class="ramp">{low} <img src="{heatmap.legend(is_signed)}" alt=""> {high}</p>'


def _cells(weights: np.ndarray, kind: str, name: str, language: Language) -> str:
    if weights.size > MOST_CELLS:
        return ""
    rows = [
        [f"{say('row', language)} {r}", *(f"<td>{words.told(float(w), kind)}</td>" for w in row)]
        for r, row in enumerate(weights, 1)
    ]
    heads = ["", *(str(c) for c in range(1, weights.shape[1] + 1))]
    table = grid(escape(say("cells caption", language, name=name)), heads, rows, look="cells")
    return f"<details><summary>{say('cells', language)}</summary>{table}</details>"
