"""What the store's changes do to a loaded model: posts learnt, edited and forgotten, authors forgotten, spaces set.

Posts are learnt under scoped names (``drafts.scoped``), so that equal ids of two communities are two posts. A model
that was trained elsewhere may know posts by their bare ids; then community and id together say which is meant.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from hashloom.forecaster import Forecaster
from hashloom.recommender import Recommender, hashed
from hashloom.serve.drafts import scoped, unscoped, with_scoped_ids
from hashloom.tag_space import TagSpace
from hashloom.tags import skeleton
from hashloom.types import Posts

Model = Recommender | Forecaster
Pair = tuple[str, str]
Authors = dict[str, dict[str, tuple[str, ...]]]
"""Community → tag → its authors, as far as they matter for the floor."""


def pair_of(community: str, name: str) -> Pair:
    """Community and id of a post that a model knows by ``name``."""
    found = unscoped(name)
    return found if found and found[0] == community else (community, name)


def names_in(model: Model, pairs: Collection[Pair]) -> dict[Pair, str]:
    """By which name the model knows each of these posts; those that it does not know are left out."""
    import polars as pl

    frame = model.memory_.frame
    if not pairs or not frame.height:
        return {}
    names = {id for _, id in pairs} | {scoped(c, id) for c, id in pairs}
    rows = frame.select("community", "id").filter(pl.col("id").is_in(list(names)))
    found = {pair_of(community, name): name for community, name in rows.iter_rows()}
    return {pair: found[pair] for pair in pairs if pair in found}


def learn(model: Model, posts: Posts) -> int:
    """Let the model learn posts and edits, as the store has them; gives how many were new to it or changed."""
    pairs = list(zip(posts.communities, posts.ids))
    known = names_in(model, pairs)
    stale = _edited(model, posts, known)
    if stale:
        forget(model, stale)
    wanted = [row for row, pair in enumerate(pairs) if pair not in known or pair in stale]
    if wanted:
        model.update(with_scoped_ids(posts[wanted]))
    return len(wanted)


def _edited(model: Model, posts: Posts, known: dict[Pair, str]) -> set[Pair]:
    """Those of the known posts whose tags, texts, authors or numbers are not what the model remembers."""
    import polars as pl

    if not known:
        return set()
    if isinstance(model, Forecaster):
        return set(known)  # a number that became known is worth learning anew
    columns = [name for name in ("text", "user", "created_at") if name in model.memory_.frame.columns]
    rows = model.memory_.frame.filter(pl.col("id").is_in(list(known.values())))
    held = {
        (c, id): (tags, rest) for c, id, tags, *rest in rows.select("community", "id", "tags", *columns).iter_rows()
    }
    resolve, changed = model.spaces_.resolve, set()
    given = posts.frame.select("community", "id", "tags", *columns).iter_rows()
    for community, id, tags, *rest in given:
        name = known.get((community, id))
        if name is not None and held.get((community, name)) != (resolve(community, tags), rest):
            changed.add((community, id))
    return changed


def forget(model: Model, pairs: Collection[Pair]) -> int:
    """Take posts out of the model; gives how many it knew. Posts of other communities that share an id stay."""
    import polars as pl

    known = names_in(model, pairs)
    if not known:
        return 0
    frame = model.memory_.frame
    names = set(known.values())
    sharing = frame.filter(pl.col("id").is_in(list(names)))
    gone = set(known)
    stay = [pair_of(c, name) not in gone for c, name in sharing.select("community", "id").iter_rows()]
    others = Posts(sharing.filter(pl.Series(stay, dtype=pl.Boolean)))
    model.forget(posts=names)
    if len(others):
        model.update(with_scoped_ids(Posts.of(others.frame)))
    return len(known)


def forget_authors(model: Model, gone: Callable[[str], bool], community: str = "") -> int:
    """Take all posts of authors out for whom ``gone`` is true, everywhere or in one community."""
    import polars as pl

    frame = model.memory_.frame
    users = [user for user in frame["user"].unique().drop_nulls() if gone(user)]
    if not users:
        return 0
    if not community:
        return model.forget(users=users).posts
    rows = frame.filter((pl.col("community") == community) & pl.col("user").is_in(users))
    return forget(model, [pair_of(community, name) for name in rows["id"]])


def forget_communities(model: Model, names: Collection[str]) -> tuple[int, int]:
    """Take communities out, with posts, tag space and favourites; gives how many posts and tag spaces went."""
    import polars as pl

    rows = model.memory_.frame.filter(pl.col("community").is_in(list(names)))
    posts = forget(model, {pair_of(community, id) for community, id in rows.select("community", "id").iter_rows()})
    if not isinstance(model, Recommender):
        return posts, 0
    for name in names:
        model.favourites_.pop(name, None)
    return posts, sum(model.spaces_.spaces.pop(name, None) is not None for name in names)


def communities_of(model: Model) -> set[str]:
    """The communities that a model knows by their posts or tag spaces."""
    return set(model.memory_.frame["community"].unique()) | set(getattr(model, "spaces_", ()))


def set_space(model: Model, own: dict[str, TagSpace], community: str, space: TagSpace | None) -> None:
    """Let a community's tag space, as operators set it, hold within the model; None: the one it was trained with.

    An open space keeps the tags that the model knows of the community's posts; a closed one has its own alone.
    """
    if not isinstance(model, Recommender):
        return
    spaces = model.spaces_.spaces
    if community not in own:
        own[community] = copy.deepcopy(spaces.get(community) or TagSpace(community))
    if space is None:
        spaces[community] = copy.deepcopy(replace(own[community], tags=_not_forgotten(model, own[community])))
        return
    made = copy.deepcopy(space)
    if not space.closed:
        learnt = spaces.get(community)
        known = _not_forgotten(model, own[community]) | (learnt.tags if learnt and not learnt.closed else {})
        made.tags = known | made.tags
    spaces[community] = made


def _not_forgotten(model: Recommender, space: TagSpace) -> dict[str, str]:
    """The tags that a model was trained with, without those that went with the last post that used them."""
    import polars as pl

    if not len(model.forgotten_):
        return space.tags
    frame = model.memory_.frame.filter(pl.col("community") == space.community)
    used = set(frame["tags"].explode())
    lost = np.isin(hashed([skeleton(tag) for tag in space.tags]), model.forgotten_)
    return {tag: shown for (tag, shown), is_lost in zip(space.tags.items(), lost) if not is_lost or tag in used}


def authors_of(model: Recommender, floor: int, anonymous: str) -> Authors:
    """The authors of each tag in the model's memory, at most ``floor`` of each."""
    import polars as pl

    frame = model.memory_.frame.select("community", "user", "tags").explode("tags").drop_nulls("tags")
    grouped = frame.group_by("community", "tags").agg(
        pl.col("user").drop_nulls().unique().head(floor).alias("named"), pl.col("user").null_count().alias("unnamed")
    )
    made: Authors = {}
    for community, tag, named, unnamed in grouped.iter_rows():
        more = ("\0",) * (min(unnamed, floor) if anonymous == "each" else min(unnamed, 1))
        made.setdefault(community, {})[tag] = tuple(named) + more
    return made


def add_authors(authors: Authors, model: Recommender, posts: Posts, floor: int, anonymous: str) -> None:
    """Enter the authors of further posts."""
    for community, user, tags in zip(posts.communities, posts.users, posts.tags):
        place = authors.setdefault(community, {})
        for tag in model.spaces_.resolve(community, tags):
            by = place.get(tag, ())
            name = "\0" if user is None else user
            if len(by) < floor and (name not in by or (user is None and anonymous == "each")):
                place[tag] = (*by, name)


def earlier_posts(model: Any, names: Iterable[str]) -> dict[str, str]:
    """Name → community of posts that the model remembers."""
    import polars as pl

    rows = model.memory_.frame.select("id", "community").filter(pl.col("id").is_in(list(names)))
    found: dict[str, str] = {}
    for name, community in rows.iter_rows():
        found[name] = community if found.get(name, community) == community else "\0several"
    return found
