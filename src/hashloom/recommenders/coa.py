"""CoA: picture and text look at each other in turn, then one softmax over tags (Zhang et al., IJCAI 2017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hashloom.recommenders._multimodal import Multimodal


@dataclass
class Coa(Multimodal):
    """Alternating co-attention: the text's mean guides attention over regions, their summary that over words.

    Both summaries are added. As in §3 of the paper, with attention and mean masked where a text is short.

    >>> from hashloom.types import Post, Posts
    >>> rows = [Post(f"{t}{i}", f"warm {t} loaf", "bakers", tags=(t,)) for i in range(8) for t in ("rye", "oat")]
    >>> model = Coa(width=16, image=None).fit(Posts.of(rows))
    >>> model.recommend(Posts.of([Post("new", "rye bread", "bakers")]), k=1)[0].tags
    ['rye']
    """

    loss: Literal["mean", "sum"] = "mean"
    """Over a post's true tags: the mean, or the sum as the authors' code has it."""

    join: Literal["concat", "sum", "product"] = "concat"
    """How a row and what guides it are set together. Set side by side, as printed, the guide adds the same to every
    row's energy and so guides nothing; added or multiplied it does."""

    def _sums(self) -> Literal["mean", "sum"]:
        return self.loss

    def _plan(self) -> dict[str, Any]:
        return {
            "interaction": "alternating",
            "join": self.join,
            "inner": self.inner,
            "dropout": self.dropout,
            "blank": self.blank,
        }
