"""Preparation as the papers do it: rare tags and tiny communities dropped, learnt on the training part alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from hashloom.data.split import Split
from hashloom.tag_space import TagSpaces
from hashloom.tags import key
from hashloom.types import Posts


@dataclass(frozen=True)
class Preparation:
    """What to leave out before training; thresholds count posts of the training part."""

    min_tag_count: int = 1
    """Tags on fewer training posts of their community are no part of the vocabulary."""
    min_community_posts: int = 1
    """Communities with fewer training posts are left out of training and test (Commune §4: 11)."""

    def __post_init__(self) -> None:
        for name in ("min_tag_count", "min_community_posts"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"prepare.{name} must be a whole number of 1 or more, not {value!r}")

    def split(self, made: Split) -> Split:
        """The split without tiny communities; the truths of the test part stay as they are."""
        counts = Counter(made.train.communities)
        kept = {c for c, n in counts.items() if n >= self.min_community_posts}
        if not kept:
            raise ValueError(f"no community has {self.min_community_posts} training posts; lower min_community_posts")
        train, validation, test = (_of(kept, part) for part in (made.train, made.validation, made.test))
        return replace(made, train=train, validation=validation, test=test)

    def spaces(self, train: Posts) -> TagSpaces:
        """The tag space of each community: the tags on at least ``min_tag_count`` of its training posts."""
        return TagSpaces.learn(train, self.min_tag_count)

    def train(self, train: Posts) -> Posts:
        """The training posts without their rare tags."""
        if self.min_tag_count <= 1:
            return train
        spaces = self.spaces(train)
        return with_tags(
            train, [[t for t in tags if key(t) in spaces[c].tags] for c, tags in zip(train.communities, train.tags)]
        )


def _of(communities: set[str], posts: Posts) -> Posts:
    if not len(posts):
        return posts
    return posts[np.array([c in communities for c in posts.communities], dtype=bool)]


def with_tags(posts: Posts, tags: list[list[str]]) -> Posts:
    """The same posts with other tags."""
    import polars as pl

    return Posts(posts.frame.with_columns(pl.Series("tags", tags, dtype=pl.List(pl.String()))))
