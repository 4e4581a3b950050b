"""One draft's way through a loaded model: asked within its budget, put through the gate, reasons told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hashloom.explain import heatmap
from hashloom.explain.gather import EARLIER, part_shown
from hashloom.serve.choosing import Gate, fitted
from hashloom.serve.drafts import Draft, Suggested, Told, told, unscoped
from hashloom.serve.learning import earlier_posts
from hashloom.serve.lookups import Lookups
from hashloom.serve.running import Joinable, NoAnswer
from hashloom.serve.shelf import Served
from hashloom.serve.verdicts import Verdicts
from hashloom.tags import key
from hashloom.types import Marks, Post, Posts, Ranking, Reason

SLACK = 10
"""So many tags more than needed are asked for, since some will not pass the gate."""
AGAIN = 200
"""Where too few passed, so many are asked for once more."""
SHOWN = 3
"""So many earlier posts are quoted per tag."""


@dataclass(frozen=True)
class Asked:
    """A draft with what decides about its answer; ``post`` carries no tags."""

    draft: Draft
    posts: Posts
    gate: Gate
    verdicts: Verdicts

    @property
    def wide(self) -> int:
        """How many tags to ask for, so that enough are left."""
        return min(AGAIN, self.draft.k + len(self.gate.taken) + SLACK)

    def question(self, k: int, explain: bool = False) -> Question:
        """What the draft asks of a model."""
        draft = self.draft
        if explain or draft.dials() or draft.pictures or draft.sensitive:
            return Question(self.posts, k, explain, draft.dials(), draft.sensitive)
        return PlainQuestion(self.posts, k)


@dataclass(frozen=True)
class Question:
    """What is asked of a model about posts: ``k`` tags for each, with reasons, dials turned, sensitive tags too."""

    posts: Posts
    k: int
    explain: bool = False
    dials: Mapping[str, float] = field(default_factory=dict)
    sensitive: bool = False

    def __call__(self, model: Any) -> Sequence[Ranking]:
        """A ranking for each post. Raises ``ValueError`` where a score is no number."""
        turned = model.turned(**self.dials) if self.dials and hasattr(model, "turned") else model
        wishes = {"explain": self.explain} | ({"sensitive": True} if self.sensitive else {})
        found = turned.recommend(self.posts, self.k, **wishes)
        if not np.isfinite(found.scores).all():
            raise ValueError("scores that are no numbers")
        return [found[i] for i in range(len(found))]


class PlainQuestion(Question, Joinable):
    """One post's tags and nothing else, which may be asked together with others' of this kind."""

    def joins(self, others: Sequence[Any]) -> bool:
        """Whether these ask alike: as many tags, since some models answer by that, for posts of other names."""
        return all(
            type(one) is type(self) and one.k == self.k and one.posts.ids[0] != self.posts.ids[0] for one in others
        )

    def together(self, others: Sequence[PlainQuestion], model: Any) -> list[Sequence[Ranking]]:
        """Rankings for each, as each would get them alone."""
        found = Question(Posts.concat([self.posts, *(one.posts for one in others)]), self.k)(model)
        return [[one] for one in found]


def chosen(asked: Asked, ranking: Ranking, served: Served) -> list[tuple[str, Suggested]]:
    """Key and suggestion of what passes the gate, in the order of model and verdicts."""
    sure = served.is_calibrated
    rows = [Suggested(s.tag, s.score, min(1.0, max(0.0, s.score)) if sure else None) for s in ranking.suggestions]
    passed = list(asked.gate.through(rows))
    keys = [tag for tag, _ in passed]
    chances = [one.score for _, one in passed] if sure else None
    order = asked.verdicts.reordered(asked.gate.community, keys, asked.gate.user, chances)
    return [passed[at] for at in order]


def answered(asked: Asked, ranking: Ranking, served: Served) -> list[Suggested]:
    """What is told of a ranking, without reasons."""
    return fitted([one for _, one in chosen(asked, ranking, served)], asked.draft)


def suggest(asked: Asked, served: Served, budget: float, lookups: Lookups) -> list[Suggested]:
    """A model's suggestions for a draft, with reasons where they were asked for. Raises ``NoAnswer``."""
    draft = asked.draft
    ranking = served.running.ask(asked.question(asked.wide, draft.explain), budget)[0]
    passed = chosen(asked, ranking, served)
    if len(passed) < draft.k and len(ranking.suggestions) >= asked.wide < AGAIN:
        ranking = served.running.ask(asked.question(AGAIN, draft.explain), budget)[0]
        passed = chosen(asked, ranking, served)
    found = fitted([one for _, one in passed], draft)
    if not draft.explain:
        return found
    why = {asked.gate.passes(s.tag): s.reasons for s in reversed(ranking.suggestions)}
    by_tag = {one.tag: tag for tag, one in passed} | {key(one.tag): tag for tag, one in passed}
    reasons = [why.get(by_tag.get(one.tag) or by_tag.get(key(one.tag)) or key(one.tag), ()) for one in found]
    return _explained(asked, served, found, reasons, budget, lookups)


def _explained(
    asked: Asked, served: Served, found: list[Suggested], reasons: list[tuple[Reason, ...]], budget: float,
    lookups: Lookups,
) -> list[Suggested]:  # fmt: skip
    tags = [one.tag for one in found]
    try:
        marks, places = served.running.ask(lambda model: _looked(model, asked.posts, tags, reasons), budget)
    except NoAnswer:  # the suggestions stand without
        marks, places = {}, {}
    marks = located(marks, asked.posts, part_shown(served.running.peek))
    kept = [own_reasons(row, asked.gate.community, places) for row in reasons]
    earlier = quoted(lookups, asked.gate.community, kept)
    text, language = asked.posts.texts[0], asked.draft.language
    return [
        replace(one, reasons=told(row, text, language, earlier), marks=marks.get(one.tag))
        for one, row in zip(found, kept)
    ]


def _looked(
    model: Any, posts: Posts, tags: list[str], reasons: list[tuple[Reason, ...]]
) -> tuple[dict[str, Marks], dict[str, str]]:
    """Marks per tag as far as the model has them, and the communities of the posts that reasons name."""
    made = model.marks(Posts.concat([posts] * len(tags)), tags) if tags else []
    names = {one.where for row in reasons for one in row if one.source in EARLIER}
    return {tag: one for tag, one in zip(tags, made) if one is not None}, earlier_posts(model, names)


def located(marks: dict[str, Marks], posts: Posts, part: float) -> dict[str, Marks]:
    """Marks with the part of the first picture that their regions cover; an encoder sees ``part`` of its middle."""
    pictures = posts[0].images
    if not pictures or all(one.regions is None for one in marks.values()):
        return marks
    box = heatmap.covered(pictures[0], part)
    return {
        tag: replace(one, box=heatmap.WHOLE if one.kind == "occlusion" else box) if one.regions is not None else one
        for tag, one in marks.items()
    }


def own_reasons(reasons: Sequence[Reason], community: str, places: Mapping[str, str]) -> list[Reason]:
    """The reasons without those that name a post of another community; posts by their own ids.

    >>> own_reasons([Reason("habit", "1:a:p1", 1.0), Reason("neighbour", "1:b:p2", 1.0)], "a", {})
    [Reason(source='habit', where='p1', weight=1.0)]
    """
    kept, earlier = [], 0
    for one in reasons:
        if one.source in EARLIER:
            found = unscoped(one.where)
            if (found and found[0] != community) or (not found and places.get(one.where, community) != community):
                continue
            earlier += found is not None or one.where in places
            if earlier > SHOWN:
                continue
            one = replace(one, where=found[1]) if found else one
        kept.append(one)
    return kept


def quoted(lookups: Lookups, community: str, reasons: Sequence[Sequence[Reason]]) -> dict[str, Post]:
    """The posts that reasons name, as far as the store has them and answers in time."""
    wanted = {one.where for row in reasons for one in row if one.source in EARLIER}
    try:
        found = lookups.ask(lambda store: store.get_posts(community, wanted)) if wanted else ()
    except NoAnswer:
        found = ()
    return {post.id: post for post in found}


def in_words(reasons: Sequence[Told], draft: Draft) -> tuple[Told, ...]:
    """The reasons of favourites in words."""
    made = [Reason(one.source, one.where, one.weight) for one in reasons]  # type: ignore[arg-type]
    return told(made, draft.text, draft.language, {}) if draft.explain else ()
