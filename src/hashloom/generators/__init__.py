"""What says tags, known or new, of a post and of what was retrieved for it; one file per generator, by its file name.

A source is one line: the text, then each retrieved tag behind ``RETRIEVED`` (RIGHT, Fan et al., ECIR 2024; models
§9.1, §9.4). Generators that know other signs put theirs in its place.
"""

from __future__ import annotations

from collections.abc import Sequence

RETRIEVED = "<extra_id_1>"
"""Stands before each retrieved tag in a source."""
BETWEEN = "<extra_id_0>"
"""Stands between two tags of a target."""


def join(text: str, tags: Sequence[str]) -> str:
    """One source of a text and its retrieved tags; signs that the text itself holds are taken out.

    >>> join("Rye <extra_id_1> loaf", ["baking", "bread"])
    'Rye loaf <extra_id_1> baking <extra_id_1> bread'
    """
    parts = [plain(part) for part in (text, *tags)]
    return f" {RETRIEVED} ".join(parts)


def part(source: str) -> tuple[str, list[str]]:
    """Text and retrieved tags of a source.

    >>> part("Rye loaf <extra_id_1> baking <extra_id_1> bread")
    ('Rye loaf', ['baking', 'bread'])
    """
    text, *tags = (piece.strip() for piece in source.split(RETRIEVED))
    return text, [tag for tag in tags if tag]


def plain(text: str) -> str:
    """A text without the signs, its white space collapsed."""
    while RETRIEVED in text or BETWEEN in text:
        text = text.replace(RETRIEVED, " ").replace(BETWEEN, " ")
    return " ".join(text.split())
