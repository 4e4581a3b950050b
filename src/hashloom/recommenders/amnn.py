"""AMNN: picture and text each by attention, added, and a GRU that says tags one by one (Yang et al., TCSS 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hashloom.recommenders._multimodal import Multimodal
from hashloom.types import Count


@dataclass
class Amnn(Multimodal):
    """A generator: what it said is what it says next to; no tag twice.

    The released code attends over an axis of one region and gives its decoder the picture only at the first step when
    answering; here attention is over the regions and the fused vector is there at every step.

    >>> from hashloom.types import Post, Posts
    >>> rows = [Post(f"{t}{i}", f"warm {t} loaf", "bakers", tags=(t,)) for i in range(8) for t in ("rye", "oat")]
    >>> model = Amnn(width=16, state=16, image=None).fit(Posts.of(rows))
    >>> model.recommend(Posts.of([Post("new", "rye bread", "bakers")]), k=1)[0].tags
    ['rye']
    """

    both_ways: ClassVar[bool] = True

    state: Count = 256
    """Width of the GRU."""
    steps: Count = 10
    """So many tags are said at most."""
    beam: Count = 1
    """Hypotheses kept while saying; 1: greedy."""

    def _says(self) -> tuple[int, int]:
        return self.steps, self.beam

    def _plan(self) -> dict[str, Any]:
        return {
            "interaction": "own",
            "inner": self.inner,
            "classify": False,
            "generate": True,
            "every_step": True,
            "state": self.state,
            "dropout": self.dropout,
            "blank": self.blank,
        }
