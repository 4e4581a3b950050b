"""What a post must be like on its way in: rows, the checks of a row, problems, and the report about them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hashloom.data.moments import moment
from hashloom.types import POST_FIELDS

if TYPE_CHECKING:
    from datetime import tzinfo

MAX_TEXT = 100_000
MAX_TAGS = 500
MAX_TAG = 640
MAX_ID = 1_000
MAX_EXTRA = 200
KEPT_PROBLEMS = 1_000

_UNUSABLE = re.compile("[\x00\ud800-\udfff]")
SIGNS = "#＃﹟"


class BadInput(ValueError):
    """Input that cannot be used; the message names the place and the remedy."""


@dataclass(frozen=True, slots=True)
class Row:
    """One post as an importer found it: where, and its fields by the names of ``Post`` (others are carried along).

    ``hashtags`` is False for sources that state tags apart and whose texts use ``#`` for other things (program
    code, say): what looks like a hashtag there loses its sign and stays a word.
    """

    place: str
    fields: dict[str, Any]
    hashtags: bool = True


@dataclass(frozen=True, slots=True)
class Problem:
    """A row that was refused, or a file that could not be read, and why.

    >>> str(Problem("posts.csv", 7, "no id"))
    'posts.csv:7: no id'
    """

    file: str
    line: int | None
    reason: str

    @property
    def place(self) -> str:
        """File and line (or the number of the item in a file that has no lines)."""
        return self.file if self.line is None else f"{self.file}:{self.line}"

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Skip:
    """An entry that is no post of its author (a repost, a profile); counted under its reason."""

    reason: str


Item = Row | Problem | Skip


@dataclass
class Report:
    """What became of the rows of a source."""

    read: int = 0
    kept: int = 0
    refused: int = 0
    duplicates: int = 0
    cut: int = 0
    problems: list[Problem] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def refuse(self, problem: Problem) -> None:
        """Count a problem; the first thousand are kept word for word."""
        self.refused += 1
        if len(self.problems) < KEPT_PROBLEMS:
            self.problems.append(problem)

    def skip(self, reason: str) -> None:
        """Count an entry that was passed over on purpose."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def leave_out(self, name: str) -> None:
        """Note a column that could not be carried along."""
        if name not in self.left_out and len(self.left_out) < MAX_EXTRA:
            self.left_out.append(name)

    def summary(self) -> str:
        """A few readable lines: the first five problems, then the counts.

        >>> print(Report(read=3, kept=2, refused=1, problems=[Problem("a.csv", 2, "no id")]).summary())
        a.csv:2: no id
        3 rows read, 2 posts kept, 1 refused
        """
        lines = [str(problem) for problem in self.problems[:5]]
        if self.refused > 5:
            lines.append(f"… and {self.refused - 5:,} more problems")
        counts = [f"{self.read:,} rows read", f"{self.kept:,} posts kept"]
        counts += [f"{self.refused:,} refused"] * bool(self.refused)
        counts += [f"{self.duplicates:,} repeated ids (the last one wins)"] * bool(self.duplicates)
        counts += [f"{self.cut:,} posts cut to the limits"] * bool(self.cut)
        counts += [f"{count:,} {reason} skipped" for reason, count in self.skipped.items()]
        lines.append(", ".join(counts))
        if self.left_out:
            lines.append(
                "columns left out (lists or objects, too many, or a name of ours): " + ", ".join(self.left_out[:10])
            )
        return "\n".join(lines)


def shown(value: object) -> str:
    """A value for a message: short, and with control characters escaped.

    >>> print(shown("\\x1b[31mred"), shown("x" * 99)[-3:])
    '\\x1b[31mred' xx…
    """
    if isinstance(value, str):
        value = value[:60]
    elif isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return "a number of hundreds of digits"
    text = repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def clean(text: str) -> str:
    """The text with NULs and lone surrogates replaced by U+FFFD, so that every file and store can hold it.

    >>> clean("a\\x00b") == "a\\ufffdb"
    True
    """
    return _UNUSABLE.sub("\ufffd", text)


def check(row: Row, zone: tzinfo | None = None) -> tuple[dict[str, Any], dict[str, Any], bool]:
    """The twelve fields of a post, the further ones, and whether something was cut; a wrong one raises ValueError."""
    given = row.fields
    post: dict[str, Any] = {"id": _name(given, "id")}
    if post["id"] is None:
        raise ValueError("no id; every post needs one")
    if given.get("text") is None and given.get("images") is None:
        raise ValueError("neither text nor images; a post needs one of them")
    post["images"] = list(_strings(given.get("images"), "images", r"[|;\n]"))
    text, tags, cut = _text_and_tags(given, row.hashtags)
    post |= {"text": text, "tags": tags, "community": _name(given, "community") or "", "user": _name(given, "user")}
    post["language"] = _name(given, "language")
    post["created_at"] = moment(given.get("created_at"), zone)
    for name in ("views", "likes", "comments", "popularity"):
        post[name] = _number(given.get(name), name)
    return post, {name: value for name, value in given.items() if name not in POST_FIELDS}, cut


def _text_and_tags(given: Mapping[str, Any], hashtags: bool) -> tuple[str, list[str], bool]:
    from hashloom.tags import unique

    text = given.get("text")
    if text is not None and not isinstance(text, str):
        raise ValueError(f"text must be a string, not {shown(text)}")
    text, was_cut = cut_text(clean(text or ""))
    listed = list(_strings(given.get("tags"), "tags", None))
    text, found = part(text, listed, hashtags)
    tags = unique([_shown(raw[:MAX_TAG]) for raw in listed + found])
    return text, tags[:MAX_TAGS], was_cut or len(tags) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in listed)


@lru_cache(maxsize=1 << 15)
def _shown(raw: str) -> str:
    from hashloom.tags import display

    return display(raw)


def cut_text(text: str) -> tuple[str, bool]:
    """At most ``MAX_TEXT`` characters, ending between words where the last 200 have a space."""
    if len(text) <= MAX_TEXT:
        return text, False
    text = text[:MAX_TEXT]
    space = max(text.rfind(" ", MAX_TEXT - 200), text.rfind("\n", MAX_TEXT - 200))
    return (text[:space] if space > 0 else text), True


def part(text: str, tags: list[str], hashtags: bool) -> tuple[str, list[str]]:
    """The text without its hashtags, and these; where they are no tags, only the sign goes (``Row.hashtags``).

    >>> part("#include <stdio.h> breaks #cooking", ["cooking"], hashtags=False)
    ('include <stdio.h> breaks', [])
    """
    if not any(sign in text for sign in SIGNS):
        return text, []
    from hashloom.tags import take_out

    if not hashtags:
        return take_out(_without_signs(text, tags), tags)[0], []
    return take_out(text, tags)


def _without_signs(text: str, tags: list[str]) -> str:
    """The text with the signs of all hashtags gone but of those that are among the post's tags."""
    from hashloom.tags import find, key

    true = {key(tag) for tag in tags}
    while others := [tag for tag in find(text, chains=True) if key(tag.raw) not in true]:
        ends = [0, *(tag.start + 1 for tag in others)]
        starts = [*(tag.start for tag in others), len(text)]
        text = "".join(text[end:start] for end, start in zip(ends, starts))
    return text


def _name(given: Mapping[str, Any], name: str) -> str | None:
    value = given.get(name)
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 256:
        value = str(value)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, not {shown(value)}")
    if len(value) > MAX_ID:
        raise ValueError(f"{name} has {len(value):,} characters; at most {MAX_ID:,} can be kept")
    return clean(value).strip() or None


def _number(value: Any, name: str) -> float | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{name} must be a number, not {shown(value)}")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(f"{name} must be a number, not {shown(value)}") from None
    if math.isnan(number):
        return None
    if math.isinf(number):
        raise ValueError(f"{name} is not a finite number")
    if number < 0 and name != "popularity":
        raise ValueError(f"{name} is {shown(value)}, below zero; leave it empty where it is unknown")
    return number


def _strings(value: Any, name: str, separators: str | None) -> Iterator[str]:
    for item in _listed(value, name, separators):
        if isinstance(item, int) and not isinstance(item, bool) and item.bit_length() <= 256:
            item = str(item)
        if item is None:
            continue
        if not isinstance(item, str):
            raise ValueError(f"{name} must hold strings, not {shown(item)}")
        if item := clean(item).strip():
            yield item


def _listed(value: Any, name: str, separators: str | None) -> list[Any]:
    if value is None or value == "":
        return []
    if isinstance(value, list | tuple):
        return list(value)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a list, not {shown(value)}")
    value = value.strip()
    if value.startswith("[") and value.endswith("]"):
        return _bracketed(value)
    if separators is None:
        separators = next((sign for sign in (",", "、", ";", r"\|") if re.search(sign, value)), r"\s")
    return re.split(separators, value)


def _bracketed(value: str) -> list[Any]:
    """A list written into one cell: as JSON, or as Python prints it."""
    try:
        listed = json.loads(value)
    except (ValueError, RecursionError):
        return [item.strip().strip("'\"") for item in value[1:-1].split(",")]
    return listed if isinstance(listed, list) else [value]
