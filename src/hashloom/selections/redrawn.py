"""A few earlier posts at random, drawn anew in every epoch, so that no two exemplars are learnt by heart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hashloom.selections._selection import Asked, Entries, Selection, best, draws
from hashloom.types import Count


@dataclass
class Redrawn(Selection):
    """In training other posts each epoch; when answering always the same ones for the same post.

    >>> Redrawn.redrawn
    True
    """

    redrawn: ClassVar[bool] = True

    size: Count = 2
    """So many earlier posts are read."""
    seed: int = 0
    """What the draw starts from, together with the asked post's id and the epoch."""

    def _entries(self, asked: Asked, i: int, epoch: int) -> Entries:
        lots = draws(len(asked.past[i]), self.seed, asked.ids[i], max(epoch, -1))
        return asked.entries(i, best(lots, self.size))
