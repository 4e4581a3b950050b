"""Which true tags are new: never seen in training, or young when the post was written.

A closed list of known tags fails on new topics; ``novel_r`` and ``young_r`` (in ``formulas``) say by how much. Tags of
different communities are different tags: one that is old elsewhere is new here.
"""

from __future__ import annotations

import numpy as np

from hashloom.evaluate.beyond import Some, Tag, truths, vocabularies
from hashloom.types import UNDATED, Posts

YOUNG = 30.0
"""Days from a tag's first use in its community for which it counts as young."""
DAY = 86_400e6


def among(asked: Posts, train: Posts, everything: Posts) -> Some:
    """What ``measure(…, among=…)`` needs for ``novel_r`` and ``young_r``; ``everything`` see ``young``.

    >>> from hashloom.evaluate.metrics import measure, summarise
    >>> from hashloom.types import Post, Rankings
    >>> train, asked = Posts.of([Post("a", tags=("old",))]), Posts.of([Post("b", tags=("old", "new"))])
    >>> answers = Rankings.of(["b"], [[("New", 1.0)]])
    >>> scores = measure(answers, truths(asked), ["novel_r@1"], among=among(asked, train, train))
    >>> summarise(scores, "novel_r@1")
    1.0
    """
    return {"novel": novel(asked, train), "young": young(asked, everything)}


def novel(asked: Posts, train: Posts) -> list[set[str]]:
    """The true tags of each asked post, as keys, that no training post of its community carries.

    >>> from hashloom.types import Post
    >>> train = Posts.of([Post("a", community="bakers", tags=("Rye",))])
    >>> novel(Posts.of([Post("b", community="bakers", tags=("rye", "Spelt"))]), train)
    [{'spelt'}]
    """
    return [tags - known for tags, known in zip(truths(asked), vocabularies(train, asked.communities))]


def young(asked: Posts, everything: Posts, days: float = YOUNG) -> list[set[str]]:
    """The true tags of each asked post whose first use in its community lies before it, by less than ``days``.

    ``everything``: all posts that could have used a tag before, those of the test part included. A tag that the asked
    post itself is first to use is not among them (nobody could have learnt it; it is ``novel``). An asked post without
    a time has no young tags, and a tag on a post without a time is old.

    >>> from datetime import UTC, datetime
    >>> from hashloom.types import Post
    >>> rows = [(1, ("rain",)), (20, ("rain", "flood")), (40, ("rain", "flood", "ark"))]
    >>> posts = Posts.of([Post(str(d), created_at=datetime.fromtimestamp(d * 86400, UTC), tags=t) for d, t in rows])
    >>> [sorted(tags) for tags in young(posts, posts)]
    [[], ['rain'], ['flood']]
    """
    first = _first_uses(everything)
    made = []
    for place, moment, tags in zip(asked.communities, asked.times.tolist(), truths(asked)):
        ages = {tag: (moment - first.get((place, tag), moment)) / DAY for tag in tags}
        made.append({tag for tag, age in ages.items() if moment != UNDATED and 0 < age < days})
    return made


def _first_uses(posts: Posts) -> dict[Tag, int]:
    """The moment at which each community first used each tag; ``UNDATED`` where a post without a time did."""
    first: dict[Tag, int] = {}
    order = np.argsort(posts.times, kind="stable").tolist()
    places, times, tags = posts.communities, posts.times.tolist(), truths(posts)
    for row in order:
        for tag in tags[row]:
            first.setdefault((places[row], tag), times[row])
    return first
