"""What is forecast of a post: which number, per which exposure, and the formula that makes it comparable.

``log2(views/days) + 1`` is the target of UHAN's paper (Zhang et al., WWW 2018, models §11.4), made safe for zeros.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.types import Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

USUAL = ("popularity", "views/days", "likes/user_followers", "views", "likes", "score", "comments")
"""What ``auto`` tries, in this order: the first of which a post has all parts is the target."""

HUGE = 1e30
"""A popularity as large as this is taken for infinite, and so for unknown; squared errors of it would be."""


@dataclass(frozen=True)
class Target:
    """A number of a post (``likes``), per an exposure (``user_followers``) where one is named.

    >>> Target.parse("likes/user_followers").formula
    'log2((max(likes, 0) + 1) / max(user_followers, 1))'
    >>> Target.parse("score").formula, Target.parse("popularity").formula
    ('log2(max(score, 0) + 1)', 'popularity as given')
    >>> Target.parse("views/days").formula
    'log2(max(views, 1) / max(days, 1)) + 1'
    """

    number: str
    exposure: str = ""

    @classmethod
    def parse(cls, text: str) -> Target:
        """From ``number`` or ``number/exposure``, both names of columns."""
        number, slash, exposure = (part.strip() for part in text.partition("/"))
        if not number or (slash and not exposure) or "/" in exposure:
            raise ValueError(f"target {text!r}: name a number, or number/exposure such as likes/followers")
        return cls(number, exposure)

    def __str__(self) -> str:
        return f"{self.number}/{self.exposure}" if self.exposure else self.number

    @property
    def formula(self) -> str:
        """How the target is computed; part of every output, so that two scales are never mixed."""
        if self.number == "popularity" and not self.exposure:
            return "popularity as given"
        if self.number == "views" and self.exposure == "days":
            return "log2(max(views, 1) / max(days, 1)) + 1"
        if self.exposure:
            return f"log2((max({self.number}, 0) + 1) / max({self.exposure}, 1))"
        return f"log2(max({self.number}, 0) + 1)"

    def values(self, posts: Posts) -> Floats:
        """The target of each post, NaN where a part of it is unknown. Shape (posts,)."""
        count = _column(posts, self.number)
        if self.formula == "popularity as given":
            return np.where(np.abs(count) < HUGE, count, np.nan)
        with np.errstate(invalid="ignore"):
            per = np.maximum(self.exposures(posts), 1)
            if str(self) == "views/days":
                return np.asarray(np.log2(np.maximum(count, 1) / per) + 1)
            return np.asarray(np.log2((np.maximum(count, 0) + 1) / per))

    def exposures(self, posts: Posts) -> Floats:
        """How many could see each post, or for how long; ones where no exposure is named. Shape (posts,)."""
        return _column(posts, self.exposure) if self.exposure else np.ones(len(posts))

    def natural(self, values: Floats, posts: Posts) -> Floats:
        """Targets as the number itself (likes, views); NaN where the exposure is unknown. Shape (posts,).

        >>> from hashloom.types import Post
        >>> Target.parse("score").natural(np.array([3.0]), Posts.of([Post("a")]))
        array([7.])
        """
        if self.formula == "popularity as given":
            return values
        per = np.maximum(self.exposures(posts), 1)
        if str(self) == "views/days":
            return np.asarray(2.0 ** (values - 1) * per)
        return np.asarray(np.maximum(2.0**values * per - 1, 0))


def choose(text: str, posts: Posts) -> Target:
    """The target that a text names, ``auto``: the first of the usual ones that posts state.

    Raises ``ValueError`` where no post states all parts of it.

    >>> from hashloom.types import Post
    >>> str(choose("auto", Posts.of([Post("a", likes=3.0)])))
    'likes'
    """
    if text != "auto":
        found = Target.parse(text)
        if not np.isfinite(found.values(posts)).any():
            raise ValueError(f"nothing to learn: no post states {' and '.join(filter(None, _parts(found)))}")
        return found
    for usual in map(Target.parse, USUAL):
        if _stated(usual, posts):
            return usual
    raise ValueError(f"nothing to learn: no post states any of {', '.join(USUAL)}; name a number with target=")


def _stated(target: Target, posts: Posts) -> bool:
    """Whether a post states all parts; a column of words, which has the name by chance, states none."""
    try:
        return bool(np.isfinite(target.values(posts)).any())
    except ValueError:
        return False


def _parts(target: Target) -> tuple[str, str]:
    return target.number, target.exposure


def _column(posts: Posts, name: str) -> Floats:
    """A column as numbers; NaN where it, or a row of it, states none. What is no number is refused."""
    import polars as pl

    if name not in posts.frame.columns:
        return np.full(len(posts), np.nan)
    column: Any = posts.frame[name]
    if column.dtype == pl.String:  # a further column of a CSV
        parsed = column.str.strip_chars().cast(pl.Float64, strict=False)
        column = parsed if parsed.is_not_null().any() or column.is_null().all() else column
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        raise ValueError(f"column {name!r} holds {column.dtype}, not numbers; name another target")
    made = column.cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)
    return np.where(np.isfinite(made), made, np.nan)
