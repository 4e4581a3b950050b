"""What moved a tag in a ranker's order: its trees' exact contributions by kind of evidence, and the counts behind them.

Used by ``rerank``. The contributions are Shapley values of the trees (TreeSHAP, Lundberg et al. 2020), which sum with
the constant to the tag's margin; those of features that say the same kind of thing are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.data.history import History
from hashloom.recommenders._counts import RECENT, Counts, joined
from hashloom.recommenders._evidence import NAMES_OF_COUNTS
from hashloom.types import Posts, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SHOWN = 3
"""So many of each: kinds of evidence, earlier posts."""
LAST = 1000
"""So many of the user's latest posts are looked at, as by ``_evidence``."""
KINDS = (
    *("community",) * 2, "trend", "community", "length", *("habit",) * 5, *("company",) * 5, *("agreement",) * 3,
)  # fmt: skip
"""The kind of evidence of each of ``NAMES_OF_COUNTS``."""
assert len(KINDS) == len(NAMES_OF_COUNTS)


def labels(makers: Sequence[str]) -> list[str]:
    """Names of makers; of those with one name the second is told apart by its number."""
    return [f"{name} {n}" if (n := makers[: i + 1].count(name)) > 1 else name for i, name in enumerate(makers)]


def kinds(makers: Sequence[str], columns: int, evidence: bool) -> list[str]:
    """The kind of evidence of each column that a ranker reads: a maker's, a kind of count, or ``likeness`` of vectors.

    >>> kinds(["nearest", "nearest"], 24, evidence=True)[:4]
    ['nearest', 'nearest 2', 'nearest', 'nearest 2']
    """
    known = [*labels(makers) * 3, *KINDS] if evidence else []
    return [*known, *["likeness"] * (columns - len(known))]


def moved(trees: Any, x: NDArray[Any], of: Sequence[str]) -> tuple[list[str], Floats]:
    """The kinds, and what each adds to each candidate's margin; (candidates, kinds). ``x``: (candidates, features)."""
    names = list(dict.fromkeys(of))
    if not len(x):
        return names, np.zeros((0, len(names)))
    shares = np.asarray(trees.predict(x, pred_contrib=True, num_threads=1))[:, :-1]
    at = np.array([names.index(kind) for kind in of])
    return names, np.stack([shares[:, at == i].sum(axis=1) for i in range(len(names))], axis=1)


def reasons_of(names: Sequence[str], added: Floats) -> list[Reason]:
    """The kinds of evidence that moved one tag most, either way."""
    order = np.argsort(-np.abs(added), kind="stable")[:SHOWN].tolist()
    shown = [i for i in order if added[i]] or order[:1]
    return [Reason("model", f"evidence: {names[i]}", float(added[i])) for i in shown]


class Facts:
    """What is counted of tags for one post: uses in its community, lately too, and by its author."""

    def __init__(self, counts: Counts, post: Posts, history: History) -> None:
        self.counts, self.community = counts, post.communities[0]
        rows = history.before(post, last=LAST)[0].tolist()
        self.earlier: dict[str, list[str]] = {}
        for row in reversed(rows):
            for tag in history.posts.tags[row]:
                self.earlier.setdefault(tag, []).append(history.posts.ids[row])
        self.rows = len(rows)

    def reasons(self, tag: str) -> list[Reason]:
        """Counts of one tag, as far as there are any; of the author's posts that carry it the latest."""
        said = []
        place, code = self.counts.place.get(self.community), self.counts.code.get(tag)
        if place is not None and code is not None:
            pair = np.array([joined(place, code)])
            uses, recent = int(self.counts.uses.of(pair)[0]), int(self.counts.recent.of(pair)[0])
            latest = max(1, round(int(self.counts.size[place]) * RECENT))
            said += [Reason("community", self.community, float(uses))] if uses else []
            said += [Reason("trend", f"{recent} of the latest {latest} posts", recent / latest)] if recent else []
        ids = self.earlier.get(tag, [])
        return said + [Reason("habit", post, len(ids) / self.rows) for post in ids[:SHOWN]]
