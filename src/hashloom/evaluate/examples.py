"""Which answers a report shows: the best, typical and worst ones, chosen by rule (error analysis as in Table 2)."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hashloom.types import Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Example:
    """A test post by its row, why it is shown (best, typical, worst) and its score."""

    row: int
    kind: str
    score: float


def pick(values: NDArray[np.float64], posts: Posts, truths: Sequence[set[str]], each: int = 4) -> list[Example]:
    """Up to ``each`` posts of every kind by their score ``values`` (posts,), spread over communities.

    Only posts with text and at least two true tags stand for choice, where there are any. Best: highest score, then
    most true tags. Typical: nearest to the median. Worst: lowest score. Equal ones come in the order of a hash of
    their id, so that neither the file's order nor a person chooses.

    >>> from hashloom.types import Post
    >>> posts = Posts.of([Post(name, text="x", tags=("a", "b")) for name in "abc"])
    >>> [(e.kind, e.row) for e in pick(np.array([0.0, 1.0, 0.5]), posts, [{"a", "b"}] * 3, each=1)]
    [('best', 1), ('typical', 2), ('worst', 0)]
    """
    scored = [i for i in range(len(posts)) if not np.isnan(values[i])]
    rows = [i for i in scored if len(truths[i]) > 1 and posts.texts[i].strip()] or scored
    if not rows:
        return []
    ids, middle = posts.ids, float(np.median(values[rows]))
    chance = {i: hashlib.blake2b(ids[i].encode("utf-8", "replace"), digest_size=8).hexdigest() for i in rows}
    best = sorted(rows, key=lambda i: (-values[i], -len(truths[i]), chance[i]))
    worst = sorted(rows, key=lambda i: (values[i], chance[i]))
    typical = sorted(rows, key=lambda i: (abs(values[i] - middle), chance[i]))
    chosen: dict[int, str] = {}
    for kind, order in (("best", best), ("worst", worst), ("typical", typical)):
        chosen |= dict.fromkeys(_spread([i for i in order if i not in chosen], posts.communities, each), kind)
    kinds = ("best", "typical", "worst")
    return [Example(i, kind, float(values[i])) for kind in kinds for i, why in chosen.items() if why == kind]


def _spread(order: Iterable[int], communities: Sequence[str], each: int) -> list[int]:
    """The first ``each`` rows of the first twentieth, no community a second time while others are left there."""
    order = list(order)
    order = order[: max(each, len(order) // 20)]
    seen: Counter[str] = Counter()
    turns = []
    for place, i in enumerate(order):
        turns.append((seen[communities[i]], place, i))
        seen[communities[i]] += 1
    return [i for _, _, i in sorted(turns)[:each]]


def shorten(text: str, letters: int = 280) -> str:
    """One line of at most ``letters`` characters, cut after a word where there is one.

    >>> shorten("rye  and\\nspelt loaf", 13)
    'rye and …'
    """
    line = " ".join(text.split())
    if len(line) <= letters:
        return line
    cut = line[: letters - 1]
    space = cut.rfind(" ", letters // 2)
    return (cut[:space] if space > 0 else cut) + " …"
