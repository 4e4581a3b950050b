"""Kept models without what was deleted: which of them still remember it, and what is done about that.

The published model, the one to roll back to and the shadow are saved anew without it and put in their own places. Older
ones that remember it are dropped, and so are, for a proof, older ones that cannot be looked into. Folders that the
store knows nothing of are looked into and left.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hashloom import keeping
from hashloom.serve import learning
from hashloom.serve.learnable import deleted

if TYPE_CHECKING:
    from hashloom.store import Model, Store

Say = Callable[[str], None]
CLEANED = "cleaned_of"
"""The fact of a saved model that names by marks whose posts it was trained with and rid of; retrained, it has none."""


@dataclass(frozen=True)
class Author:
    """Whose posts a proof counts: in one community, or in all."""

    user: str
    community: str | None = None

    def mark(self, store: Store) -> str:
        """What stands for the author among the facts of models."""
        return store.mark(self.user, self.community)

    def posts_in(self, model: Any) -> int:
        """How many of the author's posts a model remembers."""
        memory = getattr(model, "memory_", None)
        if memory is None or not len(memory):
            return 0
        pairs = zip(memory.users, memory.communities)
        return sum(one == self.user and self.community in (None, place) for one, place in pairs)


@dataclass(frozen=True)
class Community:
    """The community whose posts a proof counts."""

    name: str

    def mark(self, store: Store) -> str:
        """What stands for the community among the facts of models."""
        return store.community_mark(self.name)

    def posts_in(self, model: Any) -> int:
        """How many of its posts a model remembers; its tag space counts as one more."""
        memory = getattr(model, "memory_", None)
        posts = memory.communities.count(self.name) if memory is not None else 0
        return posts + (self.name in getattr(model, "spaces_", ()))


Whose = Author | Community


@dataclass(frozen=True)
class Gone:
    """What a model forgot: how many posts, and how many tag spaces of communities.

    ``marks`` are those of the posts' authors (``Store.mark``), anywhere and there, and of the deleted communities.
    """

    posts: int = 0
    spaces: int = 0
    marks: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.posts or self.spaces)

    def noted(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """A model's facts, and by whose posts its weights are taught though it remembers them no more.

        >>> Gone(1, marks=frozenset({"b"})).noted({"recipe": "loom", "cleaned_of": ["a"]})
        {'recipe': 'loom', 'cleaned_of': ['a', 'b']}
        """
        marks = sorted({*facts.get(CLEANED, ()), *self.marks})
        return dict(facts) | ({CLEANED: marks} if marks else {})


def forget_deleted(store: Store, model: Any) -> Gone:
    """Let a loaded model forget what the store has deleted."""
    if getattr(model, "memory_", None) is None:
        return Gone()
    rows = [row for row, is_gone in enumerate(deleted(store, model.memory_)) if is_gone]
    places = store.deleted_communities(learning.communities_of(model))
    if not rows and not places:
        return Gone()
    posts = model.memory_[rows]
    authors = {(user, place) for user, place in zip(posts.users, posts.communities) if user is not None}
    marks = {store.mark(user, place) for user, here in authors for place in (None, here)}
    marks |= set(map(store.community_mark, posts.communities))
    count = learning.forget(model, set(map(learning.pair_of, posts.communities, posts.ids)))
    _, spaces = learning.forget_communities(model, places)
    return Gone(count, spaces, frozenset(marks))


def renewed(store: Store, one: Model, model: Any, gone: Gone) -> Model:
    """The model as it is in memory now, saved and put in the place of the one it was loaded from."""
    with tempfile.TemporaryDirectory(prefix="hashloom-clean-") as place:
        folder = model.save(Path(place) / "model", **gone.noted(one.facts))
        return store.replace_model(one.name, one.digest, folder)


def taught_by(store: Store, author: Whose) -> list[str]:
    """The digests of kept models that an author's or community's posts trained and that remember them no more."""
    mark = author.mark(store)
    kept = store.models() if store.folder is not None else []
    return [one.digest for one in kept if mark in one.facts.get(CLEANED, ())]


def clean_models(store: Store, author: Whose | None = None, say: Say = print) -> list[dict[str, Any]]:
    """Rid all kept models of what was deleted; gives a row per model: what it held, and what is left there.

    ``author``: whose posts, or which community's, the rows count (None: all deleted ones), as ``removed`` and ``left``.
    """
    if store.folder is None:
        return []
    rows = [_clean(store, one, author, say) for one in store.models()]
    return rows + ([_stray(store, path, author) for path in store.strays()] if author else [])


def prune(store: Store, name: str, keep: int, say: Say = print) -> None:
    """Drop models that ``retrain`` made, but for the last ``keep`` of them and those that are published or in use."""
    made = [one for one in store.models(name) if "retrained" in one.facts]
    for one in made[keep:]:
        if not (one.published or one.previous or one.shadow):
            _dropped(store, one, say)


def clean_since(store: Store, say: Say = print) -> None:
    """The same for the models that are older than the last deletion; later ones were made without what was deleted."""
    last = store.last_deletion()
    if last is None:
        return
    for one in store.models():
        if one.added_at <= last:
            _clean(store, one, None, say)


def _clean(store: Store, one: Model, author: Whose | None, say: Say) -> dict[str, Any]:
    needed = one.published or one.previous or one.shadow
    row = {"name": one.name, "digest": one.digest, "published": one.published, "left": 0, "removed": 0}
    try:
        model = keeping.load(one.folder)
    except (keeping.DamagedModel, ImportError):
        if author is None:
            return row
        if needed:
            said = "could not be looked into; publish another in its place, then repeat"
            return row | {"left": 1, "note": said}
        return row | {"note": "could not be looked into"} | _dropped(store, one, say)
    held = author.posts_in(model) if author else 0
    gone = forget_deleted(store, model)
    row["removed"] = held if author else gone.posts
    if not gone:
        return row | {"left": held, "removed": 0}
    return row | (_saved_anew(store, one, model, gone, author, say) if needed else _dropped(store, one, say))


def _saved_anew(
    store: Store, one: Model, model: Any, gone: Gone, author: Whose | None, say: Say
) -> dict[str, Any]:  # fmt: skip
    made = renewed(store, one, model, gone)
    kept = keeping.load(made.folder)  # from the disk: what a proof says was looked at
    left = author.posts_in(kept) if author else sum(deleted(store, kept.memory_))
    use = "published" if one.published else "kept"
    say(f"{one.name} {one.digest[:12]}: {use} without what was deleted, as {made.digest[:12]}")
    return {"digest": made.digest, "replaces": one.digest, "left": left, "note": "saved anew without what was deleted"}


def _dropped(store: Store, one: Model, say: Say) -> dict[str, Any]:
    from hashloom.store import InUse, NotThere

    try:
        store.drop_model(one.name, one.digest)
    except NotThere:
        return {"note": "dropped by another meanwhile"}
    except InUse:
        return {"left": 1, "note": "came into use meanwhile; repeat"}
    say(f"{one.name} {one.digest[:12]}: dropped; it is none of the published one, the one before and the shadow")
    return {"note": "dropped, folder and all"}


def _stray(store: Store, path: Path, author: Whose) -> dict[str, Any]:
    """A folder among the models that no row names, perhaps since a copy was broken off."""
    row: dict[str, Any] = {"name": path.parent.name, "digest": path.name, "published": False, "left": 1, "removed": 0}
    try:
        row["left"] = author.posts_in(keeping.load(path))
    except (keeping.DamagedModel, ImportError):
        return row | {"note": "a half-made copy of a model; if nobody makes it now, remove the folder"}
    return row | ({"note": "a folder that the store knows nothing of; remove it"} if row["left"] else {})
