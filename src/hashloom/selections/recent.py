"""The user's latest posts before the asked one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hashloom.selections._selection import Asked, Entries, Selection
from hashloom.types import Count


@dataclass
class Recent(Selection):
    """The latest come first.

    >>> Recent().size
    2
    """

    size: Count = 2
    """So many earlier posts are read."""

    def _entries(self, asked: Asked, i: int, epoch: int) -> Entries:
        end = len(asked.past[i])
        return asked.entries(i, np.arange(end - 1, max(-1, end - 1 - self.size), -1))
