"""Numbers and names in sentences of two languages: factors, levels on a formula's scale, ids and words in quotes."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Literal

Language = Literal["en", "ja"]
LANGUAGES: tuple[Language, ...] = ("en", "ja")

LONGEST = 90
"""Characters of an earlier post that a sentence quotes at most."""


def number(value: float) -> str:
    """About three digits, thousands with commas, and a true minus sign.

    >>> number(1234.5), number(-0.04567), number(0.0), number(3.0), number(float("nan"))
    ('1,234', '−0.0457', '0', '3', 'unknown')
    """
    if not math.isfinite(value):
        return "unknown"
    size = abs(value)
    if size >= 100:
        said = f"{size:,.0f}"
    elif size and size < 0.0005:
        said = f"{size:.1e}"
    else:
        said = f"{float(f'{size:.3g}'):.6f}".rstrip("0").rstrip(".")
    return ("−" if value < 0 and said != "0" else "") + said


def signed(value: float) -> str:
    """A number that always shows its sign, save 0.

    >>> signed(0.5), signed(-2), signed(0)
    ('+0.5', '−2', '0')
    """
    return f"+{number(value)}" if value > 0 else number(value)


def share(value: float) -> str:
    r"""A share of 1 in per cent; below one per cent with a digit more.

    >>> [share(v).replace("\u202f", " ") for v in (0.314, 0.004, 1.0)]
    ['31 %', '0.4 %', '100 %']
    """
    per = 100 * value
    return f"{per:.1f}\u202f%" if 0 < abs(per) < 0.95 else f"{per:.0f}\u202f%"


def is_log(formula: str) -> bool:
    """Whether one step on the formula's scale doubles the number.

    >>> is_log("log2(max(score, 0) + 1)"), is_log("popularity as given")
    (True, False)
    """
    return formula.startswith("log2")


def moved(weight: float, formula: str, language: Language = "en") -> str:
    """What a step of ``weight`` on the formula's scale means: a factor where it is log2, else a difference.

    >>> moved(0.4, "log2(max(score, 0) + 1)"), moved(0.4, "popularity as given")
    ('×1.32 of the usual', '+0.4 against the usual')
    >>> moved(-1.0, "log2(max(score, 0) + 1)", "ja")
    '通常の約0.5倍'
    """
    if is_log(formula):
        # Beyond this nothing that is counted goes; it keeps a broken model's page from failing.
        factor = number(2.0 ** max(min(weight, 60.0), -60.0))
        return f"×{factor} of the usual" if language == "en" else f"通常の約{factor}倍"
    return f"{signed(weight)} against the usual" if language == "en" else f"通常より{signed(weight)}"


_PLAIN = re.compile(r"log2\(max\((\w+), 0\) \+ 1\)")
_PER = re.compile(r"log2\(\(max\((\w+), 0\) \+ 1\) / max\((\w+), 1\)\)")
_A_DAY = "log2(max(views, 1) / max(days, 1)) + 1"


def natural(value: float, formula: str) -> float:
    """The number, or the number per exposure, that a value on the formula's scale stands for.

    >>> natural(3.0, "log2(max(score, 0) + 1)"), natural(-1.0, "log2((max(likes, 0) + 1) / max(followers, 1))")
    (7.0, 0.5)
    >>> natural(2.0, "log2(max(views, 1) / max(days, 1)) + 1"), natural(2.5, "popularity as given")
    (2.0, 2.5)
    """
    bounded = min(value, 60.0)
    if _PLAIN.fullmatch(formula):
        return float(max(2.0**bounded - 1, 0.0))
    if _PER.fullmatch(formula):
        return float(2.0**bounded)
    return float(2.0 ** (bounded - 1)) if formula == _A_DAY else value


def on_scale(count: float, formula: str) -> float:
    """The value on the formula's scale that a number (per exposure) has: ``natural`` the other way round.

    >>> on_scale(7.0, "log2(max(score, 0) + 1)"), on_scale(2.5, "popularity as given")
    (3.0, 2.5)
    """
    if not is_log(formula):
        return count
    if _PLAIN.fullmatch(formula):
        return math.log2(count + 1)
    return math.log2(count) + (formula == _A_DAY) if count > 0 else -math.inf


def level(value: float, formula: str, language: Language = "en") -> str:
    """A value on the formula's scale as the number it stands for, named after its column.

    >>> level(3.0, "log2(max(score, 0) + 1)"), level(2.5, "popularity as given")
    ('about 7 (score)', '2.5 (popularity)')
    >>> level(-5.0, "log2((max(likes, 0) + 1) / max(user_followers, 1))")
    'about 0.0312 (likes per user_followers)'
    """
    named = number(natural(value, formula))
    about = f"about {named}" if language == "en" else f"約{named}"
    if found := _PLAIN.fullmatch(formula):
        return f"{about} ({found[1]})"
    if per := unit(formula, language):
        return f"{about} ({per})"
    return f"{named} (popularity)" if formula == "popularity as given" else named


def unit(formula: str, language: Language = "en") -> str:
    """What ``natural`` counts where that is a number per exposure, else nothing.

    >>> unit("log2((max(likes, 0) + 1) / max(followers, 1))"), unit("log2(max(score, 0) + 1)")
    ('likes per followers', '')
    """
    if found := _PER.fullmatch(formula):
        return _per(found[1], found[2], language)
    return _per("views", "days", language) if formula == _A_DAY else ""


def _per(count: str, exposure: str, language: Language) -> str:
    return f"{count} per {exposure}" if language == "en" else f"{exposure}あたりの{count}"


def quoted(text: str, language: Language) -> str:
    """A piece of a post in the language's quotes, on one line and not too long.

    >>> quoted("rye  loaf", "en"), quoted("ライ麦", "ja")
    ('“rye loaf”', '「ライ麦」')
    """
    line = " ".join(text.split())
    short = line if len(line) <= LONGEST else line[: LONGEST - 1].rstrip() + "…"
    return f"“{apart(short)}”" if language == "en" else f"「{apart(short)}」"


def apart(text: str) -> str:
    r"""Text of others inside a sentence: what runs from right to left is isolated, and turns nothing outside of it.

    >>> apart("rye"), apart("خبز"), apart("a\u202eb")
    ('rye', '\u2068خبز\u2069', 'ab')
    """
    plain = "".join(c for c in text if c not in _TURNING)
    turned = any(unicodedata.bidirectional(c) in ("R", "AL") for c in plain)
    return f"\u2068{plain}\u2069" if turned else plain


_TURNING = {chr(c) for c in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def counted(n: int, one: str, many: str = "") -> str:
    """A number with its noun, singular or plural.

    >>> counted(1, "earlier post"), counted(2, "earlier post"), counted(0, "country", "countries")
    ('1 earlier post', '2 earlier posts', '0 countries')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"
