"""Two methods told apart on the same posts: overall and by caption length, by paired bootstrap (Efron 1979)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hashloom.evaluate.compare import Bootstrap, Difference
from hashloom.evaluate.metrics import columns
from hashloom.types import Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashloom.evaluate.findings import Findings

SLICE = "caption length"


@dataclass(frozen=True)
class Apart:
    """How far two methods are apart by one metric on some posts; ``label`` names the posts."""

    label: str
    metric: str
    posts: int
    difference: Difference


@dataclass(frozen=True)
class Pair:
    """``first`` against ``second``: first on all posts, then by caption length."""

    first: str
    second: str
    rows: list[Apart]


def pair(found: Findings, first: str, second: str) -> Pair:
    """The pair of these names, by the headline and by F1 of each post. Raises ``ValueError`` for an unknown name."""
    for name in (first, second):
        if name not in found.names:
            raise ValueError(f"no row {name!r} for the pair {first!r}, {second!r}; there are {', '.join(found.names)}")
    at = [found.names.index(first), found.names.index(second)]
    everyone = np.array([bool(row) for row in found.truths])
    masks = {"all posts": everyone} | found.masks.get(SLICE, {})
    names = list(dict.fromkeys([found.headline, f"f1_posts@{found.k}"]))
    return Pair(first, second, [_apart(found, at, m, label, mask) for m in names for label, mask in masks.items()])


def _apart(found: Findings, at: list[int], metric: str, label: str, mask: NDArray[np.bool_]) -> Apart:
    rows = np.flatnonzero(mask)
    ids = [found.experiment.test.ids[row] for row in rows]
    scores = [Scores(ids, {part: found.column(i, part)[rows] for part in columns(metric)}) for i in at]
    users = None if found.users is None else [found.users[row] for row in rows]
    drawn = Bootstrap(scores, [metric], users, found.experiment.resamples, found.seed)
    return Apart(label, metric, len(rows), drawn.paired(0, 1, metric))
