"""DMF: the last LSTM state and the mean of the regions side by side into a deep network (baseline of UHAN's paper)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hashloom.forecasters._network import Networked


@dataclass
class Dmf(Networked):
    """Deep multimodal fusion (models §11.7; Zhang et al., WWW 2018): neither attention nor author.

    >>> from hashloom.types import Post, Posts
    >>> got = [("rye", 9.0), ("oat", 1.0)] * 40
    >>> rows = [Post(str(i), f"warm {word} loaf", popularity=much) for i, (word, much) in enumerate(got)]
    >>> model = Dmf(width=8, head=8, dropout=0, rate=0.02).fit(Posts.of(rows))
    >>> found = model.forecast(Posts.of([Post("a", "rye bread"), Post("b", "oat bread")]))
    >>> bool(found.values[0] > found.values[1] + 4)
    True
    """

    def _attends(self) -> bool:
        return False

    def _plan(self) -> dict[str, Any]:
        return {"intra": False, "last": True, "inter": "concat", "user": "none", "residual": False}
