"""The mean of what an author's earlier posts got: HisAve of UHAN's paper (Zhang et al., WWW 2018; models §11.7).

With a prior it is drawn towards the community's mean, the more so the fewer earlier posts there are (empirical Bayes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from hashloom.data.history import History
from hashloom.data.record import Record
from hashloom.forecaster import Forecaster, Guess
from hashloom.types import Posts, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PRIORS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


@dataclass
class AuthorMean(Forecaster):
    """The mean of what an author's earlier posts got, drawn towards the community's: (n·ȳ_author + κ·ȳ) / (n + κ).

    >>> from hashloom.types import Post
    >>> known = [Post(str(i), user="mo", popularity=float(p)) for i, p in enumerate([4, 5, 6])]
    >>> AuthorMean(prior=0).fit(Posts.of(known)).forecast(Posts.of([Post("new", user="mo")]))[0].value
    5.0
    """

    adds_up: ClassVar[bool] = True

    prior: Annotated[float, Ge(0)] | None = None
    """κ: the community's mean weighs as much as so many posts of the author; none: chosen by the latest posts."""
    expanding: bool = True
    """Whether posts after those learnt from count, where the history has them."""

    def _fit(self, posts: Posts, values: Floats, late: NDArray[np.int64]) -> Guess:
        self.mean_ = float(values.mean())
        self.prior_ = PRIORS[3] if self.prior is None else self.prior
        asked, record = posts[late], self._record
        if not self.expanding:
            # Later posts will not be looked at either.
            record = Record(History(self.memory_[: len(posts) - len(late)]), self.settles)
        if self.prior is None and len(late):
            missed = [np.mean((self._means(asked, record, prior)[0] - values[late]) ** 2) for prior in PRIORS]
            self.prior_ = PRIORS[int(np.argmin(missed))]
        values, _, count = self._means(asked, record, self.prior_)
        return Guess(values, earlier=count)

    def _guess(self, posts: Posts, record: Record, explain: bool) -> Guess:
        record = record if self.expanding else self._record
        values, usual, count = self._means(posts, record, self.prior_)
        why = None
        if explain:
            heard = record.of(posts, "community").count
            names = [community if n else "all posts" for community, n in zip(posts.communities, heard)]
            why = [
                (Reason("author", f"{int(n)} earlier posts", float(v - u)), Reason("community", name, float(u)))
                for v, u, n, name in zip(values, usual, count, names)
            ]
        return Guess(values, reasons=why, earlier=count)

    def _means(self, posts: Posts, record: Record, prior: float) -> tuple[Floats, Floats, Floats]:
        """The author's mean as drawn to the community's, the latter, and the author's earlier posts; all (posts,)."""
        usual = record.of(posts, "community").mean(self.mean_)
        author = record.of(posts)
        weight = author.count + prior
        drawn = (author.total + prior * usual) / np.maximum(weight, 1e-9)
        return np.where(weight > 0, drawn, usual), usual, author.count
