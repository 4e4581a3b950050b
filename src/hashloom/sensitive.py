"""Sensitive tags (health, faith, who one loves): given only where a draft's own text names them.

What a picture, habits, neighbours or a community suggest would tell its author, and whoever looks over their shoulder,
what the author has not said. Aliases and look-alikes of a sensitive tag are held back as it is.
"""

from __future__ import annotations

import unicodedata
from functools import cached_property

from hashloom.mentions import KINDS, Index
from hashloom.tag_space import TagSpace
from hashloom.tags import key, skeletons, words

NAMING = frozenset(map(KINDS.index, ("title", "text", "scattered")))
"""A longer word that begins so (Islamabad), or one that is a letter off, names nothing."""
CHARACTERS = 20_000
"""Only so many characters of a text are read; what is named below is held back."""
TYPED = 3
"""So many characters of a sensitive tag must have been typed before it is completed."""


class Withheld:
    """The sensitive tags that one draft is not given: all that its text does not name.

    ``wanted``: its author asks for such tags, so that none is held back. ``typed``: what a tag was begun with; those
    that begin so are not held back either.

    >>> space = TagSpace.of(["Depression", "Rye"], "c", sensitive=["depression"], aliases={"the blues": "depression"})
    >>> [Withheld(space, text).holds("depression") for text in ("A hard winter", "My depression", "Got the blues")]
    [True, False, False]
    """

    def __init__(self, space: TagSpace, text: str = "", *, wanted: bool = False, typed: str = "") -> None:
        self.text = text
        self.typed = key(typed)
        self._sensitive = None if wanted or not space.sensitive else _of(space)

    def holds(self, tag: str) -> bool:
        """Whether a tag (a key that stands for no other) is held back."""
        held = self._sensitive
        if held is None or not held.has(tag) or (len(self.typed) >= TYPED and tag.startswith(self.typed)):
            return False
        keys, looks = self._named
        return tag not in keys and looks.isdisjoint(skeletons(tag))

    @cached_property
    def _named(self) -> tuple[frozenset[str], frozenset[str]]:
        # Found out where the first sensitive tag is met: most drafts meet none.
        keys = self._sensitive.named(self.text[:CHARACTERS]) if self._sensitive else frozenset[str]()
        return keys, frozenset(look for tag in keys for look in skeletons(tag)) - {""}


class _Sensitive:
    """A space's sensitive tags (keys) with their looks, and what finds them in a text."""

    def __init__(self, space: TagSpace) -> None:
        self.made_from = (space.sensitive, space.aliases)
        self.keys = frozenset(space.stands_for(tag) for tag in space.sensitive) - {""}
        self.looks = frozenset(look for tag in self.keys for look in skeletons(tag)) - {""}
        self._names = [(space.show(tag), tag) for tag in self.keys]
        self._names += [(name, tag) for name in (*space.sensitive, *space.aliases) if (tag := space.stands_for(name))]

    def __deepcopy__(self, memo: object) -> _Sensitive:
        return self  # nothing of it changes

    def has(self, tag: str) -> bool:
        return tag in self.keys or not self.looks.isdisjoint(skeletons(tag))

    def named(self, text: str) -> frozenset[str]:
        """Those that a text names."""
        index, unsought = self._finder
        found = {tag for tag, find in index.find(text).items() if find.kind in NAMING}
        # A tag's key has no variation selectors, which emoji in a text may have.
        plain = unicodedata.normalize("NFKC", text).casefold().replace("\ufe0f", "") if unsought else ""
        return frozenset(found | {tag for tag in unsought if tag in plain})

    @cached_property
    def _finder(self) -> tuple[Index, frozenset[str]]:
        """What seeks words, and the tags that have none for it: emoji, single characters, whole sentences."""
        index = Index()
        for name, tag in self._names:
            if tag in self.keys:
                index.enter(words(name), tag)
        sought = {tag for found in (index.whole, index.unspaced) for tags in found.values() for tag in tags}
        return index, self.keys - sought


def _of(space: TagSpace) -> _Sensitive:
    """Made once for a space, and again where its marks or aliases are others."""
    made: _Sensitive | None = space.__dict__.get("_sensitive_tags")
    marks, aliases = made.made_from if made else ((), {})
    # A copy of a space has the same marks, and aliases that are equal.
    if made is None or marks is not space.sensitive or (aliases is not space.aliases and aliases != space.aliases):
        made = space.__dict__["_sensitive_tags"] = _Sensitive(space)
    return made
