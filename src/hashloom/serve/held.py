"""What the service asks of the store beyond single rows: what was deleted, what nobody reviewed, what to learn from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from hashloom.serve.drafts import with_scoped_ids
from hashloom.serve.learning import Pair, pair_of
from hashloom.types import Posts

if TYPE_CHECKING:
    from hashloom.store import Store

UNREVIEWED = "unreviewed"
"""The source of posts whose tags no person has looked at; nothing is learnt from them."""


def deleted(store: Store, posts: Posts) -> list[bool]:
    """Of each post, whether it, its author or its author in this community was deleted; scoped ids are understood."""
    import sqlalchemy as sa

    from hashloom.store._base import found
    from hashloom.store.tables import digest, tombstones

    with store._reading() as at:
        if not at.scalar(sa.select(sa.func.count()).select_from(tombstones)):
            return [False] * len(posts)
    marks = []
    for community, name, user in zip(posts.communities, posts.ids, posts.users):
        of_post = {digest("post", community, pair_of(community, name)[1])}
        of_user = {digest("author", user), digest("member", community, user)} if user is not None else set()
        marks.append(of_post | of_user)
    with store._reading() as at:
        asked = set().union(*marks) if marks else set()
        gone = {row.key for row in found(at, sa.select(tombstones.c.key), tombstones.c.key, asked)}
    return [bool(known & gone) for known in marks]


def unreviewed(store: Store, pairs: Iterable[Pair]) -> set[Pair]:
    """Those of the posts whose tags no person has looked at."""
    import sqlalchemy as sa

    from hashloom.store._base import found
    from hashloom.store.tables import digest
    from hashloom.store.tables import posts as table

    by_key = {digest("post", community, id): (community, id) for community, id in pairs}
    wanted = sa.select(table.c.key).where(table.c.source == UNREVIEWED)
    with store._reading() as at:
        return {by_key[row.key] for row in found(at, wanted, table.c.key, by_key)}


def reviewed(store: Store, posts: Posts) -> Posts:
    """The posts without those whose tags no person has looked at."""
    pairs = list(zip(posts.communities, posts.ids))
    out = unreviewed(store, pairs)
    return posts if not out else posts[[row for row, pair in enumerate(pairs) if pair not in out]]


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
