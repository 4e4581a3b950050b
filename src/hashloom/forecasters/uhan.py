"""UHAN: words and regions weighed by each other and by the author, then text and picture (Zhang et al., WWW 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hashloom.forecasters._network import Networked


@dataclass
class Uhan(Networked):
    """User-guided hierarchical attention (models §11.2); its fields take parts away, which gives the paper's ablations.

    Ours differ from the paper's in widths, dropout, padding at the end instead of the beginning, and a vector for
    strangers, to which a known author's adds what sets them apart.

    >>> from hashloom.types import Post, Posts
    >>> got = [("rye", 9.0), ("oat", 1.0)] * 40
    >>> rows = [Post(str(i), f"warm {word} loaf", popularity=much) for i, (word, much) in enumerate(got)]
    >>> model = Uhan(width=8, head=8, dropout=0, rate=0.02).fit(Posts.of(rows))
    >>> found = model.forecast(Posts.of([Post("a", "rye bread"), Post("b", "oat bread")]))
    >>> bool(found.values[0] > found.values[1] + 4)
    True
    """

    intra: bool = True
    """Words and regions weighed by attention; else their means are taken."""
    inter: Literal["attention", "mean", "concat"] = "attention"
    """How the vectors of text and picture become one: weighed, their mean, or side by side."""
    user: Literal["both", "intra", "inter", "none"] = "both"
    """Which attentions the author guides: within a side, between the sides."""
    residual: bool = True
    """Whether the author's vector is added to the post's."""

    def _attends(self) -> bool:
        return self.intra

    def _plan(self) -> dict[str, Any]:
        return {"intra": self.intra, "inter": self.inter, "user": self.user, "residual": self.residual}
