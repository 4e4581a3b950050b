"""Occlusion: how far an answer falls without a word, or with a cell of the picture covered (Zeiler and Fergus 2014).

Works for every model, since it only asks; user, community, time and history stay as they are. What is covered takes the
picture's mean colour.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.encoders._standing import Span, outermost, spans
from hashloom.encoders.image._pictures import BadPicture, open_picture
from hashloom.encoders.tokens import Tokens
from hashloom.forecaster import Forecaster
from hashloom.recommender import Recommender
from hashloom.tags import key
from hashloom.types import Marks, Post, Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    Floats = NDArray[np.float64]

Model = Recommender | Forecaster
MOST = 64
"""So many stretches of a text are taken out at most, one at a time; longer texts are cut into this many."""
DEPTH = 100
"""So many tags are asked for, so that one that falls is still found."""
NEAR = 448
"""Pictures are covered at about this shorter side, twice what encoders read."""
NOTHING = 1e-6
"""Falls smaller than this, against the answer or 1, are noise of the arithmetic."""


def occluded(
    model: Model,
    post: Post | Posts,
    tag: str | None = None,
    *,
    history: Posts | None = None,
    grid: tuple[int, int] = (7, 7),
) -> Marks:
    """How far a tag's score, or a forecast, falls without each word and with each cell of the first picture covered.

    ``post``: one post; as ``Posts`` it keeps further columns. ``tag``: for a recommender, in any form; None for a
    forecaster. A tag that is no longer suggested has score 0, or the list's lowest where that is less. ``regions`` has
    the shape of ``grid``, and is None where there is no picture or covering it changes nothing. Raises ``ValueError``
    where a recommender is given no tag, or a forecaster one.

    >>> from hashloom.recommenders.string_match import StringMatch
    >>> known = [Post("1", "rye", "c", tags=("Rye",)), Post("2", "oat", "c", tags=("Oat",))]
    >>> model = StringMatch().fit(Posts.of(known))
    >>> [(word, fall > 0) for word, fall in occluded(model, Post("3", "warm rye loaf", "c"), "Rye").words]
    [('warm', False), ('rye', True), ('loaf', False)]
    """
    if (tag is None) != isinstance(model, Forecaster):
        raise ValueError("occluded needs a tag for a recommender, as in tag='Rye', and none for a forecaster")
    one = Posts.of([post]) if isinstance(post, Post) else post
    text, words = one.texts[0], stretches(one.texts[0])
    with TemporaryDirectory() as folder, unkept(model):
        shown = Canvas.of(one, Path(folder))
        asked = [changed(one, [text, *(without(text, [word]) for word in words)])]
        if shown is not None:
            covers = [shown.covered([]), *(shown.covered([cell], grid) for cell in range(grid[0] * grid[1]))]
            asked.append(changed(one, [text] * len(covers), covers))
        scores = answers(model, Posts.concat(asked), tag, history)
    falls = scores[0] - scores[1 : 1 + len(words)]
    regions = None
    if shown is not None:
        of_cells = scores[1 + len(words)] - scores[2 + len(words) :]
        seen = np.abs(of_cells).max() > NOTHING * max(1.0, abs(scores[0]))
        regions = of_cells.reshape(grid) if seen else None
    return Marks("occlusion", [(text[a:b], fall) for (a, b), fall in zip(words, falls.tolist())], regions)


def answers(model: Model, posts: Posts, tags: Sequence[str] | str | None, history: Posts | None) -> Floats:
    """The forecast of each post, or the score of its tag (one for all, or one each); (posts,)."""
    if isinstance(model, Forecaster):
        return np.asarray(model.forecast(posts, history=history).values, np.float64)
    wanted = [tags] * len(posts) if isinstance(tags, str) else list(tags or ())
    # What carries a score is asked, not what may be told: without its word a sensitive tag would be held back.
    found = model.recommend(posts, DEPTH, history=history, sensitive=True)
    scores = np.zeros(len(posts))
    for i, tag in enumerate(map(key, wanted)):
        names, row = found.row(i)
        at = next((j for j, name in enumerate(names) if key(name) == tag), None)
        scores[i] = min(0.0, row.min(initial=0.0)) if at is None else row[at]
    return scores


def changed(one: Posts, texts: Sequence[str], images: Sequence[Sequence[str]] | None = None) -> Posts:
    """The same post again and again with other texts and, where given, other pictures."""
    import polars as pl

    frame = one.frame[np.zeros(len(texts), np.int64)]
    frame = frame.with_columns(pl.Series("text", texts, dtype=pl.String))
    if images is not None:
        frame = frame.with_columns(pl.Series("images", [list(row) for row in images], dtype=pl.List(pl.String)))
    return Posts(frame)


# ---- words


def stretches(text: str, most: int = MOST) -> list[Span]:
    """The words of a text; in a long one runs of neighbouring words, ``most`` at the most.

    >>> [len(stretches("warm rye loaf", most)) for most in (5, 2)]
    [3, 2]
    """
    words = outermost(spans(text, Tokens().split(text)))
    if len(words) <= most:
        return words
    runs = np.array_split(np.array(words), most)
    return [(int(run[0, 0]), int(run[-1, 1])) for run in runs]


def without(text: str, taken: Collection[Span]) -> str:
    """The text with a space in the place of each stretch, so that its neighbours stay apart.

    >>> without("warm rye loaf", [(5, 8)])
    'warm   loaf'
    """
    for start, end in sorted(taken, reverse=True):
        text = f"{text[:start]} {text[end:]}"
    return text


# ---- pictures


@dataclass
class Canvas:
    """A post's first picture that can be read, and a folder for copies of it with cells covered."""

    picture: Image
    before: list[str]
    """The post's pictures before it, which cannot be read."""
    after: list[str]
    folder: Path
    name: str = ""
    """How the copies' names begin."""
    made: int = 0

    @classmethod
    def of(cls, one: Posts, folder: Path, name: str = "") -> Canvas | None:
        """None where no picture of the post can be read."""
        images = one.frame["images"][0].to_list()
        for i, path in enumerate(images):
            try:
                return cls(open_picture(path, near=NEAR), images[:i], images[i + 1 :], folder, name)
            except BadPicture:
                continue
        return None

    def covered(self, cells: Collection[int], grid: tuple[int, int] = (1, 1)) -> list[str]:
        """The post's pictures where these cells, counted row by row, have the picture's mean colour."""
        from PIL import Image

        pixels = np.asarray(self.picture).copy()
        mean = pixels.reshape(-1, 3).mean(axis=0).round().astype(np.uint8)
        down, across = (np.linspace(0, n, parts + 1).round().astype(int) for n, parts in zip(pixels.shape, grid))
        for cell in cells:
            row, column = divmod(cell, grid[1])
            pixels[down[row] : down[row + 1], across[column] : across[column + 1]] = mean
        self.made += 1
        path = self.folder / f"{self.name}{self.made}.bmp"
        Image.fromarray(pixels).save(path)
        return [*self.before, str(path), *self.after]


@contextmanager
def unkept(model: Model) -> Iterator[None]:
    """While it lasts, the model's encoders put nothing into their caches: a changed post is met once."""
    held = [(part, part.cache) for part in _parts(model) if isinstance(getattr(part, "cache", None), str)]
    held = [(part, cache) for part, cache in held if type(part).__module__.startswith("hashloom.encoders")]
    for part, _ in held:
        part.cache = ""
    try:
        yield
    finally:
        for part, cache in held:
            part.cache = cache


def _parts(part: Any) -> Iterator[Any]:
    """A part and all parts in its fields."""
    yield part
    for f in fields(part):
        value = getattr(part, f.name)
        for inner in value if isinstance(value, list) else [value]:
            if is_dataclass(inner):
                yield from _parts(inner)
