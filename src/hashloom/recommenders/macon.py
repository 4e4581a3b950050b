"""MaCon: co-attention of picture and text, and the author's habit from earlier posts (Zhang et al., AAAI 2019)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hashloom.recommenders._multimodal import Multimodal, habit
from hashloom.selections._selection import Selection
from hashloom.selections.fixed import Fixed


@dataclass
class Macon(Multimodal):
    """Parallel co-attention (figure 2) and a memory of earlier posts, whose tags weigh by how alike the posts are.

    ``variant="code"`` does what the released code does; ``mask_bug`` repeats its attention on padding instead of tags,
    under which no earlier tag is seen. A learnt memory that all authors share stands beside the earlier posts, so that
    an author without any is answered.

    >>> from hashloom.types import Post, Posts
    >>> rows = [Post(f"{t}{i}", f"warm {t} loaf", "bakers", tags=(t,)) for i in range(8) for t in ("rye", "oat")]
    >>> model = Macon(width=16, image=None).fit(Posts.of(rows))
    >>> model.recommend(Posts.of([Post("new", "rye bread", "bakers")]), k=1)[0].tags
    ['rye']
    """

    selection: Selection | None = field(default_factory=Fixed)
    """Which earlier posts are remembered; none: no habit."""
    variant: Literal["paper", "code"] = "paper"
    """As the paper says, or as the released code does."""
    mask_bug: bool = False
    """Repeat the released code's sign error in the attention over earlier tags."""
    loss: Literal["mean", "sum"] = "mean"
    """Over a post's true tags: the mean, or the sum as in the paper."""
    mean: bool = False
    """Average what words and regions hear of each other instead of adding it up, so that 49 regions do not drown it."""
    fusion: Literal["sum", "weighted", "gate", "concat"] = "sum"
    """How the summaries of text and picture become one."""

    def _selection(self) -> Selection | None:
        return self.selection

    def _sums(self) -> Literal["mean", "sum"]:
        return self.loss

    def _plan(self) -> dict[str, Any]:
        return {
            "interaction": "parallel",
            "mean": self.mean,
            "variant": self.variant,
            "inner": self.inner,
            "fusion": self.fusion,
            "mask_bug": self.mask_bug,
            "dropout": self.dropout,
            "blank": self.blank,
        } | habit(self.selection)
