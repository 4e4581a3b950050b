"""DESIGN: words weighed, co-attention, habit; a classifier and a generator, joined (Bansal et al., TCSS 2022).

A reconstruction from the abstract and from Yakovlev & Shapoval (2024), whose weighted fusion is ``fusion="weighted"``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from hashloom.data.history import History
from hashloom.recommenders import _combine
from hashloom.recommenders._multimodal import AT_ONCE, Multimodal, habit
from hashloom.selections._selection import Selection
from hashloom.selections.fixed import Fixed
from hashloom.types import Count, Posts, Rankings

Floats = NDArray[np.float32]


class _Chosen:
    """What is chosen after training."""

    choice_: dict[str, Any]
    """hybrid: how much each head gives, as chosen on validation posts (``_combine.Choice``)."""


@dataclass
class Design(_Chosen, Multimodal):
    """One reader of posts with two heads: tags each by itself, and tags said one after the other.

    How many of a list come from each is chosen on validation posts, as is everything else.

    >>> from hashloom.types import Post
    >>> rows = [Post(f"{t}{i}", f"warm {t} loaf", "bakers", tags=(t,)) for i in range(8) for t in ("rye", "oat")]
    >>> model = Design(width=16, state=16, image=None).fit(Posts.of(rows))
    >>> model.recommend(Posts.of([Post("new", "rye bread", "bakers")]), k=1)[0].tags
    ['rye']
    """

    bce: ClassVar[bool] = True

    selection: Selection | None = field(default_factory=Fixed)
    """Which earlier posts are remembered; none: no habit."""
    mean: bool = False
    """Average what words and regions hear of each other instead of adding it up, so that 49 regions do not drown it."""
    fusion: Literal["sum", "weighted", "gate", "concat"] = "sum"
    """How the summaries of text and picture become one."""
    answers: Literal["hybrid", "classifier", "generator"] = "hybrid"
    """Whose tags are given: of both heads, or of one, which is then trained alone."""
    way: Literal["cut", "free", "reciprocal"] = "cut"
    """hybrid: so many of the one and so many of the other, with the list's length given or free; or by both ranks."""
    size: Count = 7
    """hybrid: the length of the list that the shares are chosen for."""
    state: Count = 256
    """Width of the generator's GRU."""
    steps: Count = 15
    """So many tags are said at most."""
    beam: Count = 5
    """Hypotheses kept while saying."""

    def _selection(self) -> Selection | None:
        return self.selection

    def _says(self) -> tuple[int, int]:
        return self.steps, self.beam

    def _plan(self) -> dict[str, Any]:
        return {
            "interaction": "parallel",
            "mean": self.mean,
            "inner": self.inner,
            "word_attention": True,
            "fusion": self.fusion,
            "classify": self.answers != "generator",
            "generate": self.answers != "classifier",
            "state": self.state,
            "dropout": self.dropout,
            "blank": self.blank,
        } | habit(self.selection)

    # ---- both heads together

    def _lists(self, asked: Floats, communities: Sequence[str], k: int) -> list[list[tuple[str, float]]]:
        if self.answers != "hybrid":
            return super()._lists(asked, communities, k)
        names: dict[str, int] = {}
        pair = self._pair(asked, communities, max(k, self.steps), names)
        columns, scores = _combine.Choice(**self.choice_).order(pair, k)
        back, found = list(names), _combine.codes(pair, columns)
        rows = zip(found.tolist(), scores.tolist())
        return [[(back[c], s) for c, s in zip(*row) if c >= 0] for row in rows]

    def _pair(self, asked: Floats, communities: Sequence[str], depth: int, names: dict[str, int]) -> _combine.Pair:
        """Both heads' rankings, as far as ``depth``; ``names`` is filled with the tags' codes."""
        ids = [str(i) for i in range(len(asked))]
        classified = Rankings.of(ids, self._classified(asked, communities, depth))
        return _combine.Pair.of(classified, Rankings.of(ids, self._said(asked, communities)), depth, names)

    def _chosen(self, posts: Posts, held: NDArray[np.int64]) -> None:
        """Choose how much each head gives, on posts that the network has not learnt from."""
        choice = _combine.Choice("cut", s1=self.size) if self.way != "reciprocal" else _combine.Choice("reciprocal")
        if self.answers == "hybrid" and len(held):
            names: dict[str, int] = {}
            judged, history = posts[held], History(posts)
            parts = [judged[i : i + AT_ONCE] for i in range(0, len(judged), AT_ONCE)]
            asked = np.concatenate([self._ask(p, self._mine(self._reader.read(p)), history)[0] for p in parts])
            pair = self._pair(asked, judged.communities, self.steps, names)
            truths = [[names.get(tag, -1) for tag in tags] for tags in judged.tags]
            choice = _combine.search(pair, truths, self.size, self.way).choice
        self.choice_ = asdict(choice)
