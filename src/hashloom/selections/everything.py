"""All earlier posts of the user up to a generous number; the model's attention does the choosing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hashloom.selections._selection import Asked, Entries, Selection
from hashloom.types import Count


@dataclass
class Everything(Selection):
    """The latest come first; the model learns how much their age tells against them.

    >>> Everything.recency
    True
    """

    recency: ClassVar[bool] = True

    size: Count = 64
    """At most so many earlier posts are read, the latest ones."""

    def _entries(self, asked: Asked, i: int, epoch: int) -> Entries:
        end = len(asked.past[i])
        return asked.entries(i, np.arange(end - 1, max(-1, end - 1 - self.size), -1))
