"""Everything that is known of why: a post's suggestions and forecasts with their reasons, marks and associations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hashloom.types import Forecast, Marks, Post, Posts, Ranking, Reason

if TYPE_CHECKING:
    from hashloom.explain.with_tags import TagEffect
    from hashloom.forecaster import Forecaster
    from hashloom.recommender import Recommender

EARLIER = ("history", "habit", "neighbour")
"""Sources whose ``where`` may be the id of an earlier post."""


@dataclass(frozen=True)
class About:
    """A model as a page names it.

    ``digest`` and ``date`` are those of the folder it is kept in. ``shown`` is the part of a picture's shorter side
    that the model sees, cut from the middle. ``coverage`` and ``numbers`` are a forecaster's: the share of posts that
    the interval is to hold, and value, low and high as the number itself, where the exposure is known.
    """

    name: str
    digest: str = ""
    date: str = ""
    adds_up: bool = False
    shown: float = 1.0
    coverage: float = 0.0
    number: str = ""
    numbers: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Explained:
    """One post and why its answers are what they are.

    ``marks`` are by suggested tag, ``forecasts`` and ``forecast_marks`` by the forecaster's name; ``effects`` are the
    first forecaster's; ``earlier`` holds the posts that reasons name, as far as their texts are known.
    """

    post: Post
    ranking: Ranking | None = None
    marks: Mapping[str, Marks] = field(default_factory=dict)
    forecasts: Mapping[str, Forecast] = field(default_factory=dict)
    forecast_marks: Mapping[str, Marks] = field(default_factory=dict)
    effects: Sequence[TagEffect] = ()
    earlier: Mapping[str, Post] = field(default_factory=dict)
    recommender: About | None = None
    forecasters: Mapping[str, About] = field(default_factory=dict)


def explain(
    post: Post | Posts,
    *,
    recommender: Recommender | None = None,
    forecasters: Mapping[str, Forecaster] | None = None,
    k: int = 5,
    history: Posts | None = None,
    occlude: bool = True,
    texts: Posts | None = None,
    kept: Mapping[str, Mapping[str, Any]] | None = None,
) -> Explained:
    """Ask a recommender and forecasters about one post, and everything about why they answer so.

    ``post`` may be one row of ``Posts``, which keeps further columns such as an exposure. Without ``occlude`` only
    models that mark words and regions by themselves do so, which is quick. ``texts`` holds posts that reasons may name,
    to quote them; they teach nothing. ``kept`` are manifests by model name
    (``""``: the recommender's), from which digest and date are taken.

    >>> from hashloom.recommenders.popular import Popular
    >>> known = Posts.of([Post("a", "rye", "bakers", "mo", tags=("Rye",))])
    >>> found = explain(Post("b", "oat", "bakers"), recommender=Popular().fit(known), occlude=False)
    >>> found.ranking.tags, found.marks
    (['Rye'], {})
    """
    posts = post if isinstance(post, Posts) else Posts.of([post])
    if len(posts) != 1:
        raise ValueError(f"explain takes one post, not {len(posts)}; ask for each by itself")
    made, facts = forecasters or {}, kept or {}
    ranking = recommender.recommend(posts, k, history=history, explain=True)[0] if recommender else None
    forecasts = {name: model.forecast(posts, history=history, explain=True) for name, model in made.items()}
    told = {name: one[0] for name, one in forecasts.items()}
    reasons = [r for s in (ranking.suggestions if ranking else ()) for r in s.reasons]
    reasons += [r for one in told.values() for r in one.reasons]
    return Explained(
        post=posts[0],
        ranking=ranking,
        marks=_of_tags(recommender, posts, ranking, history, occlude),
        forecasts=told,
        forecast_marks=_of_forecasts(made, posts, history, occlude),
        effects=_effects(made, posts[0], ranking, history),
        earlier=_earlier(reasons, [texts, history, *_memories(recommender)]),
        recommender=_about(recommender, facts.get("", {})) if recommender else None,
        forecasters={n: _told(made[n], posts, forecasts[n], facts.get(n, {})) for n in made},
    )


def _of_tags(
    model: Recommender | None, posts: Posts, ranking: Ranking | None, history: Posts | None, occlude: bool
) -> dict[str, Marks]:
    """Marks per suggested tag, where there are any; asked in one batch."""
    from hashloom.explain.marks import marks

    if model is None or ranking is None or not ranking.tags:
        return {}
    asked = Posts.concat([posts] * len(ranking.tags))
    found = marks(model, asked, ranking.tags, history=history, occlude=occlude)
    return {tag: one for tag, one in zip(ranking.tags, found, strict=True) if one is not None}


def _of_forecasts(
    models: Mapping[str, Forecaster], posts: Posts, history: Posts | None, occlude: bool
) -> dict[str, Marks]:
    from hashloom.explain.marks import marks

    found = {name: marks(model, posts, history=history, occlude=occlude)[0] for name, model in models.items()}
    return {name: one for name, one in found.items() if one is not None}


def _effects(
    models: Mapping[str, Forecaster], post: Post, ranking: Ranking | None, history: Posts | None
) -> list[TagEffect]:
    """How the first forecaster's number goes with each suggested tag, else with the post's own."""
    from hashloom.explain.with_tags import effects

    tags = ranking.tags if ranking else list(post.tags)
    model = next(iter(models.values()), None)
    return effects(model, post, tags, history=history) if model is not None and tags else []


def _memories(model: Recommender | None) -> list[Posts]:
    """What a recommender and those inside it remember; a maker whose holder remembers for it keeps nothing."""
    if model is None:
        return []
    own = [model.memory_] if hasattr(model, "memory_") else []
    return [*own, *(posts for part in model.inside() for posts in _memories(part))]


def _earlier(reasons: Iterable[Reason], sources: Iterable[Posts | None]) -> dict[str, Post]:
    """The posts that reasons name, from the first source that has their text."""
    import polars as pl

    wanted = {r.where for r in reasons if r.source in EARLIER}
    found: dict[str, Post] = {}
    for posts in sources:
        if posts is None or not wanted:
            continue
        frame = posts.frame
        rows = Posts(frame.filter(frame["id"].is_in(list(wanted)) & (pl.col("text") != "")))
        found |= {post.id: post for post in rows}
        wanted -= found.keys()
    return found


def _about(model: Any, manifest: Mapping[str, Any]) -> About:
    return About(
        name=model.name,
        digest=str(manifest.get("digest", "")),
        date=str(manifest.get("created_at", "")),
        adds_up=getattr(model, "adds_up", False),
        shown=part_shown(model),
    )


def part_shown(model: Any) -> float:
    """The part of a picture that the model's encoder sees, that of the first inside it which has one."""
    encoder = getattr(model, "image", None)
    if encoder is not None:
        return float(getattr(encoder, "shown", 1.0))
    return next((part for inside in model.inside() if (part := part_shown(inside)) != 1.0), 1.0)


def _told(model: Forecaster, posts: Posts, made: Any, manifest: Mapping[str, Any]) -> About:
    import math
    from dataclasses import replace

    import numpy as np

    from hashloom.data.target import Target

    target = Target.parse(model.target_)
    numbers = [float(target.natural(np.asarray(v), posts)[0]) for v in (made.values, made.low, made.high)]
    known = (numbers[0], numbers[1], numbers[2]) if all(map(math.isfinite, numbers)) else None
    return replace(_about(model, manifest), coverage=made.coverage, number=target.number, numbers=known)
