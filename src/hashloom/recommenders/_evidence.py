"""What a ranker reads of a candidate tag: its makers' scores, counts, the user's habit, company of other tags.

Used by ``rerank``. All arrays are flat over candidates; candidates stand in order of post, then of tag code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.data.history import History
from hashloom.recommenders._counts import RECENT, Counts, joined
from hashloom.types import Posts, Rankings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float32]

ANCHORS = 6
"""So many of the likeliest candidates are asked which tags keep them company."""
FADING = 0.5
"""How fast a user's use of a tag fades with its age in days (BLL, Kowald et al. 2014)."""


_NONE = np.zeros(0, dtype=np.int64)


@dataclass
class Candidates:
    """The candidates of a batch: ``post`` and ``tag`` (code), and each maker's score and rank (NaN: not proposed)."""

    post: Ints
    tag: Ints
    scores: Floats
    """(candidates, makers)"""
    ranks: Floats
    """(candidates, makers), from 1."""
    names: list[str]
    """Code → tag key."""

    @classmethod
    def of(
        cls, found: Sequence[Rankings], names: list[str], code: dict[str, int], listed: Sequence[Ints] | None = None
    ) -> Candidates:
        """The union of what makers propose and, where given, each post's ``listed`` codes.

        ``names`` are the known tags and ``code`` their places; others that makers propose get codes after them.
        """
        given = [tag for ranking in found for tag in ranking.tags.tolist()]
        codes = [code.get(tag, -1) for tag in given]
        if -1 in codes:
            names = [*names, *sorted({tag for tag, at in zip(given, codes) if at < 0})]
            code = {tag: i for i, tag in enumerate(names)}
            codes = [code[tag] for tag in given]
        posts = [np.repeat(np.arange(len(ranking)), ranking.lengths) for ranking in found]
        parts = [(np.concatenate([*posts, _NONE]), np.array(codes, dtype=np.int64))]
        if listed is not None:
            rows = np.repeat(np.arange(len(listed)), [len(row) for row in listed])
            parts.append((rows, np.concatenate([*listed, _NONE])))
        width = max(len(names), 1)
        keys, at = np.unique(np.concatenate([p * width + t for p, t in parts]), return_inverse=True)
        scores = np.full((len(keys), len(found)), np.nan, dtype=np.float32)
        ranks = scores.copy()
        ends = np.cumsum([0, *(len(of) for of in posts)])
        for m, ranking in enumerate(found):
            mine = at[ends[m] : ends[m + 1]]
            scores[mine, m] = ranking.scores
            ranks[mine, m] = np.arange(len(mine)) - np.repeat(ranking.starts[:-1], ranking.lengths) + 1
        return cls(keys // width, keys % width, scores, ranks, names)

    def fused(self) -> Floats:
        """Reciprocal rank fusion over the makers, constant 60 (Cormack et al., SIGIR 2009). (candidates,)"""
        return np.nansum(1 / (60 + self.ranks), axis=1) if len(self.post) else np.zeros(0, dtype=np.float32)

    def starts(self, posts: int) -> Ints:
        """Where each post's candidates begin; (posts + 1,)."""
        return np.searchsorted(self.post, np.arange(posts + 1))


NAMES_OF_COUNTS = (
    "tag count", "tag share", "recent share", "community posts", "words", "user posts", "user uses", "user share",
    "user fading", "user last", "company", "company lift", "company most", "company in all", "company squared",
    "makers", "fused", "candidates",
)  # fmt: skip


def names_of_features(makers: Sequence[str]) -> list[str]:
    """The columns of ``features``, in order."""
    each = [f"{what} {i}:{name}" for what in ("score", "rank", "gap") for i, name in enumerate(makers)]
    return [*each, *NAMES_OF_COUNTS]


def features(made: Candidates, counts: Counts, posts: Posts, history: History) -> Floats:
    """What is known of each candidate; (candidates, features), NaN where unknown."""
    starts = made.starts(len(posts))
    places = np.array([counts.place.get(c, -1) for c in posts.communities], dtype=np.int64)
    fused = made.fused()
    gap = _gaps(made, starts)
    columns = [
        made.scores,
        made.ranks,
        gap,
        _counted(made, counts, posts, places),
        _habit(made, posts, history, starts),
    ]
    if not len(made.post):
        return np.zeros((0, 3 * made.scores.shape[1] + len(NAMES_OF_COUNTS)), dtype=np.float32)
    columns += [_company(made, counts, fused, starts), _agreement(made, fused, starts)]
    return np.concatenate([np.asarray(c, dtype=np.float32) for c in columns], axis=1)


def _gaps(made: Candidates, starts: Ints) -> Floats:
    """How far each maker's score lies under its best for the post; (candidates, makers)."""
    if not len(made.post):
        return made.scores
    some = starts[:-1] < starts[1:]
    best = np.fmax.reduceat(made.scores, starts[:-1][some], axis=0)
    return np.asarray(best[(np.cumsum(some) - 1)[made.post]] - made.scores, dtype=np.float32)


def _counted(made: Candidates, counts: Counts, posts: Posts, places: Ints) -> NDArray[Any]:
    """Count, share and recent share in the community; its size; the post's words. (candidates, 5)"""
    width = len(counts.tags)
    place = places[made.post]
    known = (made.tag < width) & (place >= 0)
    pairs = np.where(known, joined(place, made.tag), -1)
    count, recent = counts.uses.of(pairs), counts.recent.of(pairs)
    size = np.where(place >= 0, counts.size[place], 0)
    words = np.array([text.count(" ") + 1 if text else 0 for text in posts.texts])[made.post]
    share, lately = count / np.maximum(size, 1), recent / np.maximum(size * RECENT, 1)
    return np.stack([np.log1p(count), share, lately, np.log1p(size), words], axis=1)


def _habit(made: Candidates, posts: Posts, history: History, starts: Ints) -> Floats:
    """The user's earlier posts, uses of the tag, their share, faded uses, days since the last. (candidates, 5)"""
    out = np.full((len(made.post), 5), np.nan, dtype=np.float32)
    out[:, 0] = 0
    moments = history.moments_of(posts)
    for i, rows in enumerate(history.before(posts, last=1000)):
        span = slice(int(starts[i]), int(starts[i + 1]))
        if not len(rows) or span.start == span.stop:
            continue
        at = {made.names[t]: j for j, t in enumerate(made.tag[span].tolist())}
        ages = history.ages(int(moments[i]), rows)
        uses, faded, last = _uses(at, [history.posts.tags[r] for r in rows.tolist()], ages.tolist())
        out[span] = np.stack([np.full(len(at), len(rows)), uses, uses / len(rows), faded, last], axis=1)
    out[:, 0] = np.log1p(out[:, 0])
    return out


def _uses(at: dict[str, int], given: Sequence[Sequence[str]], ages: Sequence[float]) -> tuple[Floats, Floats, Floats]:
    uses, faded, last = np.zeros(len(at)), np.zeros(len(at)), np.full(len(at), np.nan)
    for tags, age in zip(given, ages):
        for tag in tags:
            j = at.get(tag)
            if j is not None:
                uses[j] += 1
                faded[j] += (age + 1.0) ** -FADING
                last[j] = age
    return uses, faded, last  # type: ignore[return-value]


def _company(made: Candidates, counts: Counts, fused: Floats, starts: Ints) -> Floats:
    """How often the tag keeps company with the post's likeliest candidates, the anchors; (candidates, 5).

    Chance and lift beside the first anchor, the best chance, and the chances summed with the anchors' scores (and
    their squares) as weights. The first maker's order and scores count, all makers' fused ones where there is none.
    """
    alone, width = counts.alone, len(counts.tags)
    order, weight = _anchors(made, fused)
    out = np.full((len(made.post), 5), np.nan, dtype=np.float32)
    out[:, 2:] = 0
    # Of each candidate's post the likeliest candidates; all of shape (candidates, ANCHORS).
    places = starts[made.post][:, None] + np.arange(ANCHORS)
    anchors = order[np.minimum(places, len(order) - 1)]
    mine, tags = made.tag[anchors], made.tag[:, None]
    known = (places < starts[made.post + 1][:, None]) & (mine < width) & (tags < width) & (mine != tags)
    both = np.zeros(known.shape, dtype=np.int64)
    both[known] = counts.company.of(joined(mine, tags)[known])
    chance = both / np.maximum(alone[np.where(known, mine, 0)], 1)
    first = known[:, 0]
    out[first, 0] = chance[first, 0]
    there, tag = alone[mine[first, 0]], alone[made.tag[first]]
    out[first, 1] = np.log((both[first, 0] + 0.5) * alone.sum() / ((there + 1) * (tag + 1)))
    out[:, 2] = chance.max(axis=1)
    for weighed, column in zip(weight[anchors].T, chance.T):
        out[:, 3] += weighed * column
        out[:, 4] += weighed**2 * column
    return out


def _anchors(made: Candidates, fused: Floats) -> tuple[Ints, Floats]:
    """The candidates in order of post and likelihood, and how likely each is. Both (candidates,)."""
    if not made.ranks.shape[1]:
        return np.lexsort((-fused, made.post)), fused
    first = np.where(np.isnan(made.ranks[:, 0]), np.inf, made.ranks[:, 0])
    return np.lexsort((-fused, first, made.post)), np.clip(np.nan_to_num(made.scores[:, 0]), 0, 1)


def _agreement(made: Candidates, fused: Floats, starts: Ints) -> NDArray[Any]:
    """How many makers propose the tag, the fused score, how many candidates there are. (candidates, 3)"""
    agree = (~np.isnan(made.scores)).sum(axis=1)
    return np.stack([agree, fused, np.diff(starts)[made.post]], axis=1)
