"""What was known before a post: the only door to context, so that no model can look ahead."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from hashloom.types import UNDATED, Posts

By = Literal["user", "community"]
NOW = 2**62


class History:
    """Earlier posts, of which each asked post sees only those strictly before it.

    ``posts`` come in order of time. A post without a time stands before all that have one, in the order given; an
    asked post without a time is a draft of now, unless the history holds it, which tells its place. A user's history
    is that of the user within the asked post's community, so that nothing crosses from one community to another.

    >>> from hashloom.types import Post
    >>> past = History(Posts.of([Post("a", "rain", user="mo"), Post("b", "sun", user="mo")]))
    >>> [rows.tolist() for rows in past.before(Posts.of([Post("b", "sun", user="mo"), Post("new", user="mo")]))]
    [[0], [0, 1]]
    """

    def __init__(self, posts: Posts) -> None:
        self.posts = posts.in_order()
        times = self.posts.times
        # Undated posts take their place from their order, far before any dated one.
        self.moments: NDArray[np.int64] = np.where(times == UNDATED, UNDATED + np.arange(len(times)), times)

    def and_(self, more: Posts | History | None) -> History:
        """This history with further posts; of a post held already, the one held stays."""
        if more is None:
            return self
        more = more.posts if isinstance(more, History) else more
        known = set(self.posts.ids)
        fresh = np.array([i not in known for i in more.ids], dtype=bool)
        return History(Posts.concat([self.posts, more[fresh]])) if fresh.any() else self

    def followed_by(self, more: Posts) -> History:
        """This history with later posts that it does not hold, made without reading the earlier ones again.

        Where the posts are not all later, or undated, it is made anew. What is indexed already is lengthened in place
        and shared, so use this history no more.
        """
        more = more.in_order()
        last = self.posts.times[-1] if len(self.posts) else UNDATED
        if not len(self.posts) or not len(more) or more.times[0] <= UNDATED or more.times[0] < last:
            return History(Posts.concat([self.posts, more])) if len(more) else self
        made, first = History.__new__(History), len(self.posts)
        made.posts = self.posts.followed_by(more)
        made.moments = np.concatenate([self.moments, more.times])
        for name in _INDICES & self.__dict__.keys():
            made.__dict__[name] = self.__dict__[name]
        made._index(more, first)
        return made

    def _index(self, more: Posts, first: int) -> None:
        """Enter posts, whose rows begin with ``first``, into what is indexed already."""
        held = self.__dict__
        rows = range(first, first + len(more))
        if "_at" in held:
            self._at.update(zip(more.ids, rows))
        for row, community, user, tags in zip(rows, more.communities, more.users, more.tags):
            if "_communities" in held:
                self._communities[community] = np.append(self._communities.get(community, _NONE), row)
            if "_users" in held and user is not None:
                self._users[community, user] = np.append(self._users.get((community, user), _NONE), row)
            if "_used" in held and community in self._used:
                self._used[community].update(tags)

    def moments_of(self, posts: Posts) -> NDArray[np.int64]:
        """The moment of each asked post, before which the past lies. Shape (posts,)."""
        asked = np.where(posts.times == UNDATED, NOW, posts.times)
        at = [self._at.get(i) for i in posts.ids]
        held = np.array([NOW if a is None else self.moments[a] for a in at], dtype=np.int64)
        return np.minimum(asked, held)

    def before(self, posts: Posts, by: By = "user", last: int | None = None) -> list[NDArray[np.int64]]:
        """For each asked post, the rows of ``self.posts`` strictly earlier, oldest first; at most the ``last`` ones.

        ``by="user"``: the same user in the same community (none where the user is unknown); ``by="community"``: all
        of the community.
        """
        groups = self._users if by == "user" else self._communities
        names = zip(posts.communities, posts.users) if by == "user" else posts.communities
        return [
            self._cut(groups.get(name), moment, last)  # type: ignore[call-overload]
            for name, moment in zip(names, self.moments_of(posts))
        ]

    def _cut(self, rows: NDArray[np.int64] | None, moment: int, last: int | None) -> NDArray[np.int64]:
        if rows is None:
            return _NONE
        # Rows stand in order of their moments, so the place among all posts tells the place in the group.
        end = int(np.searchsorted(rows, np.searchsorted(self.moments, moment, side="left")))
        return rows[0 if last is None else max(0, end - last) : end]

    @cached_property
    def _at(self) -> dict[str, int]:
        # Of a post given twice the first place, so that it does not see itself.
        ids = self.posts.ids
        return {ids[row]: row for row in range(len(ids) - 1, -1, -1)}

    @cached_property
    def _users(self) -> dict[tuple[str, str], NDArray[np.int64]]:
        frame = self.posts.frame.select("community", "user").with_row_index("row")
        grouped = frame.drop_nulls("user").group_by("community", "user", maintain_order=True).agg("row")
        return {(c, u): np.asarray(rows, np.int64) for c, u, rows in grouped.iter_rows()}

    @cached_property
    def _communities(self) -> dict[str, NDArray[np.int64]]:
        frame = self.posts.frame.select("community").with_row_index("row")
        grouped = frame.group_by("community", maintain_order=True).agg(pl.col("row"))
        return {c: np.asarray(rows, np.int64) for c, rows in grouped.iter_rows()}

    def tags_in(self, community: str) -> AbstractSet[str]:
        """Every tag that the history's posts of a community carry."""
        if community not in self._used:
            rows = self._communities.get(community, _NONE)
            self._used[community] = {tag for row in rows for tag in self.posts.tags[row]}
        return self._used[community]

    @cached_property
    def _used(self) -> dict[str, set[str]]:
        return {}

    def ages(self, moment: int, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float64]:
        """Days from each of the rows to a moment; where either has no time, one day a post back."""
        there = self.moments[np.asarray(rows, np.int64)]
        dated = (there > UNDATED // 2) & (moment < NOW // 2)
        steps = np.arange(len(there), 0, -1, dtype=np.float64)
        return np.where(dated, (moment - there) / 86_400e6, steps)


_NONE = np.zeros(0, dtype=np.int64)
_INDICES = {"_at", "_users", "_communities", "_used"}
