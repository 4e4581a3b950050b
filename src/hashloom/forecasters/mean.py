"""The mean of all posts learnt from: the floor that every other forecaster has to clear."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from hashloom.data.record import Record
from hashloom.forecaster import Forecaster, Guess
from hashloom.types import Posts, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass
class Mean(Forecaster):
    """One number for every post: the mean of the posts learnt from.

    >>> from hashloom.types import Post
    >>> known = [Post(str(i), popularity=float(p)) for i, p in enumerate([4, 5, 9])]
    >>> Mean().fit(Posts.of(known)).forecast(Posts.of([Post("new")]))[0].value
    6.0
    """

    adds_up: ClassVar[bool] = True

    def _fit(self, posts: Posts, values: NDArray[np.float64], late: NDArray[np.int64]) -> Guess:
        self.mean_ = float(values.mean())
        early = values[: len(values) - len(late)]
        return Guess(np.full(len(late), early.mean()))

    def _guess(self, posts: Posts, record: Record, explain: bool) -> Guess:
        why = [(Reason("model", "the mean of all posts", self.mean_),)] * len(posts)
        return Guess(np.full(len(posts), self.mean_), reasons=why if explain else None)
