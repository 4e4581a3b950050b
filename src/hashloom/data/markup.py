"""HTML to plain text, in linear time: paragraphs become lines, tags and scripts go, entities are resolved."""

from __future__ import annotations

import html
import re

_DROPPED = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_BREAK = re.compile(
    r"<(?:br|/?(?:p|div|li|ul|ol|pre|blockquote|h[1-6]|tr|table|hr|section|article|dd|dt|dl))\b[^<>]*>", re.IGNORECASE
)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_SPACE = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n[ \n]*")


def plain(markup: str) -> str:
    """The text of a piece of HTML.

    >>> plain("<p>Rye &amp; oats,<br>day <b>two</b></p><p><a href='/t/x'>#<span>bread</span></a></p>")
    'Rye & oats,\\nday two\\n#bread'
    """
    text = _DROPPED.sub(" ", markup) if "<!--" in markup or "<s" in markup.lower() else markup
    text = _TAG.sub("", _BREAK.sub("\n", text))
    text = _SPACE.sub(" ", html.unescape(text).replace("\r", "\n"))
    return _LINES.sub("\n", text).strip()
