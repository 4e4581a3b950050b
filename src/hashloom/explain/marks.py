"""Marks of any model: what it says itself of words and regions, else what occlusion finds."""

from __future__ import annotations

from collections.abc import Sequence

from hashloom.explain.occlusion import Model, occluded
from hashloom.forecaster import Forecaster
from hashloom.types import Marks, Posts


def marks(
    model: Model, posts: Posts, tags: Sequence[str] | None = None, *, history: Posts | None = None, occlude: bool = True
) -> list[Marks | None]:
    """How much each word and region carries of one answer per post: of a forecast, or of a recommender's tag.

    ``tags``: one per post, in any form; by default the first that is suggested (none suggested: None is given). Where
    the model cannot say it by itself it is asked once per word and cell (``occluded``), or None is given without
    ``occlude``. Raises ``ValueError`` where there are not as many tags as posts, or a forecaster is given some.

    >>> from hashloom.recommenders.linear import Linear
    >>> from hashloom.types import Post
    >>> known = [Post("1", "rye bread", "c", tags=("Baking",)), Post("2", "high wave", "c", tags=("Surf",))]
    >>> found = marks(Linear().fit(Posts.of(known)), Posts.of([Post("3", "more bread", "c")]))[0]
    >>> found.kind, max(found.words, key=lambda pair: pair[1])[0]
    ('contribution', 'bread')
    """
    if isinstance(model, Forecaster):
        if tags is not None:
            raise ValueError("a forecaster's marks are of its forecast; give no tags")
        found, wanted = model.marks(posts, history=history), _none(posts)
    else:
        wanted = firsts(model, posts, history) if tags is None else list(tags)
        if len(wanted) != len(posts):
            raise ValueError(f"{len(wanted)} tags for {len(posts)} posts; give one per post")
        rows = [i for i, tag in enumerate(wanted) if tag]
        own = model.marks(posts[rows], [wanted[i] or "" for i in rows], history=history) if rows else []
        found = [None] * len(posts)
        for i, one in zip(rows, own):
            found[i] = one
    for i, tag in enumerate(wanted):
        if occlude and found[i] is None and (tag or isinstance(model, Forecaster)):
            found[i] = occluded(model, posts[i : i + 1], tag, history=history)
    return found


def _none(posts: Posts) -> list[str | None]:
    return [None] * len(posts)


def firsts(model: Model, posts: Posts, history: Posts | None = None) -> list[str | None]:
    """The tag that a recommender suggests first for each post; None where it suggests none."""
    assert not isinstance(model, Forecaster)
    return [ranking.tags[0] if ranking.tags else None for ranking in model.recommend(posts, 1, history=history)]
