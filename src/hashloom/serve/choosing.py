"""From what a model ranks, or the community's favourites, to what one author is told: the last gate of every path."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from hashloom.sensitive import Withheld
from hashloom.serve.drafts import Draft, Suggested
from hashloom.serve.learning import Authors
from hashloom.serve.ledger import Ledger
from hashloom.tag_space import TagSpace
from hashloom.tags import key, skeleton
from hashloom.types import Post


@dataclass(frozen=True)
class Gate:
    """What may be told about one draft: the community's tag space, decisions already made, and the floor of authors."""

    community: str
    user: str | None
    space: TagSpace
    ledger: Ledger
    known: Authors
    taken: frozenset[str]
    floor: int
    withheld: Withheld

    @classmethod
    def of(
        cls,
        draft: Draft,
        post: Post,
        space: TagSpace,
        ledger: Ledger,
        known: Authors,
        rejected: Iterable[str],
        floor: int,
    ) -> Gate:
        """The gate for a draft; what is chosen, unwanted, rejected or in the text already is taken, under any name."""
        given = {key(tag) for tag in (*draft.chosen, *post.tags, *draft.unwanted, *rejected)}
        under = {end for tag in given if (end := space.resolve(tag)) is not None}
        withheld = Withheld(space, post.text, wanted=draft.sensitive)
        return cls(post.community, post.user, space, ledger, known, frozenset(given | under), floor, withheld)

    def passes(self, tag: str) -> str | None:
        """The key under which a tag may be told, None where it may not."""
        end = self.space.resolve(tag)
        if end is None or end in self.taken or key(tag) in self.taken:
            return None
        return end if self.is_common(end) and not self.withheld.holds(end) else None

    def is_common(self, tag: str) -> bool:
        """Whether enough authors used a tag, or operators listed it, or the asking author is the one who did.

        A tag that nobody used (a generator's) gives nobody away.
        """
        ages = self.ledger.tells_newcomers
        if tag in self.space.tags or (self.floor <= 1 and not ages):
            return True
        in_model = self.known.get(self.community, {}).get(tag, ())
        if not ages and len(in_model) >= self.floor:
            return True
        if ages and self.ledger.at_least(self.community, tag, self.floor):
            return True
        by = self.ledger.authors(self.community, tag)
        named = by.union(name for name in in_model if name != "\0")
        unnamed = max(0, in_model.count("\0") - sum(name.startswith("\0") for name in by))
        if not (named or unnamed) or self.user in named:
            return True
        return self.ledger.at_least(self.community, tag, self.floor - unnamed, named - by)

    def shown(self, tag: str, said: str) -> str:
        """A key in the community's form, else in the model's, else as it is written most."""
        if tag in self.space.tags:
            return self.space.show(tag)
        return said if said != tag and key(said) == tag else self.ledger.shown(self.community, tag)

    def through(self, found: Iterable[Suggested]) -> Iterator[tuple[str, Suggested]]:
        """Key and suggestion of what passes, each key and each look once."""
        seen: set[str] = set()
        for one in found:
            tag = self.passes(one.tag)
            if tag is None or tag in seen or (look := skeleton(tag)) in seen:
                continue
            seen |= {tag, look}
            # Not by ``replace``, which takes six times as long, for twenty tags of each answer.
            yield tag, Suggested(self.shown(tag, one.tag), one.score, one.probability, one.reasons, one.marks)


def looks(tags: Iterable[str], most: int) -> list[str]:
    """The first tags (keys), without those that look like an earlier one.

    >>> looks(["rye", "r\u0443e", "oat"], 5)
    ['rye', 'oat']
    """
    made: dict[str, str] = {}
    for tag in tags:
        made.setdefault(skeleton(tag) or tag, tag)
        if len(made) >= most:
            break
    return list(made.values())


def favourites(gate: Gate, ranked: Iterable[tuple[str, int]]) -> list[Suggested]:
    """Suggestions from tags (keys) with the number of their authors, most first."""
    from hashloom.serve.drafts import Told

    rows = list(ranked)
    most = max((count for _, count in rows), default=0) + 1
    return [Suggested(tag, n / most, reasons=(Told("community", gate.community, float(n)),)) for tag, n in rows]


def fitted(found: list[Suggested], draft: Draft) -> list[Suggested]:
    """In the form that the platform takes, no more than it takes beside the chosen ones; at most ``draft.k``."""
    if draft.platform is None:
        return found[: draft.k]
    from hashloom.platforms import fit_platform, platforms

    limit = platforms()[draft.platform].limit
    room = draft.k if limit is None else max(0, min(draft.k, limit - len(set(map(key, draft.chosen)))))
    made: dict[str, Suggested] = {}
    for one in found:
        for shaped in fit_platform([one.tag], draft.platform):
            made.setdefault(key(shaped), replace(one, tag=shaped))
    return list(made.values())[:room]
