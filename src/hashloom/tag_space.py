"""Tag spaces: which tags each community may be given, under which name, which with care, and which never.

A space is applied after every path to a tag: closed list, aliases, denied and sensitive tags and all that looks like
them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from hashloom.tags import display, key, skeleton, skeletons, unique

if TYPE_CHECKING:
    from hashloom.types import Posts


@dataclass
class TagSpace:
    """The tags of one community: which keys it may be given, under which name, and which never.

    Keys and aliases may be given in any form; ``TagSpace.of`` takes plain names.

    >>> space = TagSpace.of(["SourdoughBread", "Rye"], "bakers", closed=True, aliases={"levain": "SourdoughBread"})
    >>> space.resolve("levain"), space.show("sourdoughbread"), space.resolve("skateboard")
    ('sourdoughbread', 'SourdoughBread', None)
    """

    community: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    """Key → display form."""
    closed: bool = False
    """True: only ``tags`` may be given. False: also what the community's own posts use, and generated tags."""
    aliases: dict[str, str] = field(default_factory=dict)
    """Key → key that it stands for."""
    denied: Collection[str] = ()
    """Never given, nor anything that has the same key or looks the same."""
    describe: dict[str, str] = field(default_factory=dict)
    """Key → a sentence about the tag."""
    sensitive: Collection[str] = ()
    """Given, with all that looks like them, only where a post's own text names them; see ``hashloom.sensitive``."""

    def __post_init__(self) -> None:
        self.tags = {key(k): shown for k, shown in self.tags.items() if key(k)}
        self.aliases = {key(a): key(b) for a, b in self.aliases.items() if key(a) and key(b)}
        self.describe = {key(k): text for k, text in self.describe.items() if key(k)}
        self.denied = tuple(self.denied)
        self.sensitive = tuple(self.sensitive)

    @classmethod
    def of(cls, tags: Iterable[str], community: str = "", **settings: Any) -> Self:
        """From names in the form in which they are to be shown; the first of two with one key wins."""
        return cls(community, {key(tag): display(tag) for tag in unique(tags)}, **settings)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said: open, no tag listed, renamed, denied, sensitive or described.

        >>> TagSpace("bakers").is_empty, TagSpace("bakers", closed=True).is_empty
        (True, False)
        """
        return not (self.closed or self.tags or self.aliases or self.denied or self.describe or self.sensitive)

    def resolve(self, tag: str) -> str | None:
        """The key that may be given for ``tag``; None where it is denied, empty, or not in a closed list."""
        end = self.stands_for(tag)
        if not end or (self.closed and end not in self.tags):
            return None
        return None if self.denied and self._denies(end) else end

    def stands_for(self, tag: str) -> str:
        """The key that a tag is an alias of, else its own; whether it may be given is not looked at.

        >>> TagSpace(aliases={"levain": "Sourdough"}).stands_for("#Levain")
        'sourdough'
        """
        at = key(tag)
        seen = [at]
        while (at := self.aliases.get(at, at)) not in seen:
            seen.append(at)
        # In a ring of aliases all members agree on its first by alphabet.
        return min(seen[seen.index(at) :])

    def _denies(self, tag: str) -> bool:
        keys, looks = self._denial()
        return tag in keys or not looks.isdisjoint(skeletons(tag))

    def _denial(self) -> tuple[frozenset[str], frozenset[str]]:
        # Kept until ``denied`` is set anew; compared by identity, since a long list is costly to hash on each call.
        made_from, keys, looks = self.__dict__.get("_denied_forms", (None, frozenset(), frozenset()))
        if made_from is not self.denied:
            keys = frozenset(map(key, self.denied)) - {""}
            looks = frozenset(look for tag in keys for look in skeletons(tag)) - {""}
            self.__dict__["_denied_forms"] = (self.denied, keys, looks)
        return keys, looks

    def show(self, tag: str) -> str:
        """The display form of a key; the key itself where the space has none."""
        k = key(tag)
        return self.tags.get(k, k)

    def duplicates(self) -> list[tuple[str, str]]:
        """Keys that look like an earlier one (by alphabet), each with that one; a warning, nothing is changed.

        >>> TagSpace.of(["open-source", "OpenSource", "oven"]).duplicates()
        [('open-source', 'opensource')]
        """
        first: dict[str, str] = {}
        pairs = ((first.setdefault(skeleton(k), k), k) for k in sorted(self.tags))
        return [(a, b) for a, b in pairs if a != b]

    def to_json(self) -> dict[str, Any]:
        """Plain types only; ``from_json`` reads it back."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {
            "denied": list(self.denied), "sensitive": list(self.sensitive),
        }  # fmt: skip

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> Self:
        """From what ``to_json`` wrote; unknown fields are refused by name."""
        names = [f.name for f in fields(cls)]
        if unknown := sorted(set(settings) - set(names)):
            raise ValueError(f"tag space: unknown field {unknown[0]!r}; use {', '.join(names)}")
        if isinstance(settings.get("tags"), list):
            return cls.of(settings["tags"], **{k: v for k, v in settings.items() if k != "tags"})
        return cls(**settings)


class TagSpaces:
    """One tag space per community; a community that is not among them gets an empty open one.

    >>> spaces = TagSpaces([TagSpace.of(["Rye"], "bakers")])
    >>> spaces["bakers"].show("rye"), spaces["sailors"].tags, "sailors" in spaces
    ('Rye', {}, False)
    """

    def __init__(self, spaces: Iterable[TagSpace] = ()) -> None:
        self.spaces = {space.community: space for space in spaces}

    def __getitem__(self, community: str) -> TagSpace:
        return self.spaces.get(community) or TagSpace(community)

    def __contains__(self, community: object) -> bool:
        return community in self.spaces

    def __iter__(self) -> Iterator[str]:
        return iter(self.spaces)

    def __len__(self) -> int:
        return len(self.spaces)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TagSpaces) and self.spaces == other.spaces

    __hash__ = None  # type: ignore[assignment]

    def resolve(self, community: str, tags: Iterable[str]) -> list[str]:
        """The keys that a community may be given for these tags, each once, in their order.

        >>> TagSpaces([TagSpace("bakers", denied=["spam"])]).resolve("bakers", ["Rye", "#rye", "SPAM"])
        ['rye']
        """
        space = self[community]
        found = (space.resolve(tag) for tag in tags)
        return list(dict.fromkeys(k for k in found if k is not None))

    @property
    def spare(self) -> int:
        """How many candidates beyond K may be lost to denied and sensitive tags and aliases."""
        return max((len(s.denied) + len(s.sensitive) + len(s.aliases) for s in self.spaces.values()), default=0)

    @classmethod
    def learn(cls, posts: Posts, min_count: int = 1, closed: bool = False) -> Self:
        """The keys that at least ``min_count`` of a community's posts use, shown in their most used casing.

        Ties go to the form with most capitals inside (CamelCase reads aloud), then to the first by alphabet.
        """
        forms: dict[str, dict[str, Counter[str]]] = {name: {} for name in dict.fromkeys(posts.communities)}
        for community, tags in zip(posts.communities, posts.tags, strict=True):
            uses = forms[community]
            for tag in unique(tags):
                uses.setdefault(key(tag), Counter())[display(tag)] += 1
        return cls(
            TagSpace(name, {k: _shown(uses[k]) for k in sorted(uses) if uses[k].total() >= min_count}, closed)
            for name, uses in forms.items()
        )

    def grow(self, posts: Posts) -> None:
        """Enter tags that communities with an open list have not used before; a new community gets an open list.

        >>> from hashloom.types import Post, Posts
        >>> spaces = TagSpaces([TagSpace.of(["Rye"], "bakers"), TagSpace.of(["Jib"], "sailors", closed=True)])
        >>> spaces.grow(Posts.of([Post("1", community=c, tags=("Oat",)) for c in ("bakers", "sailors", "potters")]))
        >>> [spaces[c].show("oat") for c in ("bakers", "potters")], "oat" in spaces["sailors"].tags
        (['Oat', 'Oat'], False)
        """
        for name, made in TagSpaces.learn(posts).spaces.items():
            space = self.spaces.setdefault(name, TagSpace(name))
            for tag, shown in () if space.closed else made.tags.items():
                end = space.resolve(tag)
                if end is not None and end not in space.tags:
                    space.tags[end] = shown if end == tag else made.tags.get(end, end)

    def drop(self, tags: Collection[str]) -> None:
        """Take tags (keys) out of open lists, into which posts that use them later bring them back."""
        for space in self.spaces.values():
            for tag in () if space.closed else tags:
                space.tags.pop(tag, None)
                space.describe.pop(tag, None)

    def to_json(self) -> dict[str, Any]:
        """Community → its space in plain types."""
        return {name: space.to_json() for name, space in self.spaces.items()}

    @classmethod
    def from_json(cls, settings: Mapping[str, Any]) -> Self:
        """From what ``to_json`` wrote; the community's name is the key there."""
        return cls(TagSpace.from_json({**space, "community": name}) for name, space in settings.items())


def _shown(forms: Mapping[str, int]) -> str:
    return min(forms, key=lambda form: (-forms[form], -sum(c.isupper() for c in form[1:]), form))
