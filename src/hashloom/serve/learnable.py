"""What of a store may be learnt from: neither what was deleted, nor what nobody reviewed, nor the future."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hashloom.serve.drafts import with_scoped_ids
from hashloom.serve.learning import pair_of
from hashloom.store.posts import UNREVIEWED
from hashloom.store.things import now
from hashloom.types import Posts

if TYPE_CHECKING:
    from hashloom.store import Store

__all__ = ["UNREVIEWED", "deleted", "learnable", "reviewed"]

AHEAD = 86_400_000_000
"""Posts dated further ahead than this (a day, in microseconds) would be the present that all others are old to."""


def deleted(store: Store, posts: Posts) -> list[bool]:
    """``Store.deleted`` for what a model remembers, where posts may have scoped ids."""
    import polars as pl

    names = [pair_of(community, name)[1] for community, name in zip(posts.communities, posts.ids)]
    return store.deleted(Posts(posts.frame.with_columns(pl.Series("id", names, dtype=pl.String()))))


def reviewed(store: Store, posts: Posts) -> Posts:
    """The posts without those whose tags no person has looked at, and those dated more than a day ahead of the clock.

    The latter are learnt by what starts or is trained when their time has come. Posts of a community whose deletion was
    cut off are left out too.
    """
    pairs = list(zip(posts.communities, posts.ids))
    out, early, leaving = store.unreviewed(pairs), posts.times > now() + AHEAD, store.leaving()
    if not out and not early.any() and not leaving:
        return posts
    stay = (pair not in out and pair[0] not in leaving and not early[row] for row, pair in enumerate(pairs))
    return posts[[row for row, stays in enumerate(stay) if stays]]


def learnable(store: Store) -> Iterator[Posts]:
    """All posts of a store that may be learnt from, in order of time, as a model for this service is trained on them.

    >>> from hashloom.store import Store
    >>> from hashloom.types import Post
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
    ...     _ = store.put_posts(Posts.of([Post("p1", "rye", "bakers", tags=("Rye",))]))
    ...     _ = store.put_posts(Posts.of([Post("p2", "oat", "bakers", tags=("Oat",))]), source=UNREVIEWED)
    ...     [posts.ids for posts in learnable(store)]
    [['6:bakers:p1']]
    """
    for posts in store.posts():
        yield with_scoped_ids(reviewed(store, posts))
