"""The same few posts of a user at random, as MaCon reads them (Zhang et al., AAAI 2019), but only earlier ones."""

from __future__ import annotations

from dataclasses import dataclass

from hashloom.selections._selection import Asked, Entries, Selection, best, draws
from hashloom.types import Count


@dataclass
class Fixed(Selection):
    """Each earlier post of a user has its lot, drawn once; those with the highest lots are read.

    A user's posts keep their lots as the past grows, so that the choice changes only where a new post has a higher one.
    MaCon draws from all posts of a user, later ones too; here a draw from what came before stands for it.

    >>> Fixed(size=3).width
    3
    """

    size: Count = 2
    """So many earlier posts are read."""
    seed: int = 0
    """What the draw starts from, together with the user."""

    def _entries(self, asked: Asked, i: int, epoch: int) -> Entries:
        if not asked.users:
            raise ValueError("the selection 'fixed' draws once per user: give Asked the users of the asked posts")
        lots = draws(len(asked.past[i]), self.seed, asked.users[i])
        return asked.entries(i, best(lots, self.size))
