"""DualAtt: UHAN without the author; words and regions weighed by each other, side by side (Zhang et al., WWW 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hashloom.forecasters._network import Networked


@dataclass
class DualAttention(Networked):
    """Dual attention of one step (models §11.7): what a post is forecast does not depend on who wrote it.

    >>> from hashloom.types import Post, Posts
    >>> got = [("rye", 9.0), ("oat", 1.0)] * 40
    >>> rows = [Post(str(i), f"warm {word} loaf", popularity=much) for i, (word, much) in enumerate(got)]
    >>> model = DualAttention(width=8, head=8, dropout=0, rate=0.02).fit(Posts.of(rows))
    >>> found = model.forecast(Posts.of([Post("a", "rye bread"), Post("b", "oat bread")]))
    >>> bool(found.values[0] > found.values[1] + 4)
    True
    """

    def _plan(self) -> dict[str, Any]:
        return {"inter": "concat", "user": "none", "residual": False}
