"""One draft's way through a loaded forecaster."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from hashloom.serve.answering import own_reasons, quoted
from hashloom.serve.drafts import Draft, ForecastAnswer, Forecasted, told
from hashloom.serve.learning import earlier_posts
from hashloom.serve.lookups import Lookups
from hashloom.serve.running import NoAnswer
from hashloom.serve.shelf import Served
from hashloom.types import Posts


def forecast(draft: Draft, served: Served | None, budget: float, lookups: Lookups) -> ForecastAnswer:
    """The forecast of a draft with its chosen tags; where there is none, why."""
    post = draft.post()
    if served is None:
        return ForecastAnswer(why="no forecaster is published", kind="no model")
    posts = Posts.of([replace(post, tags=tuple(dict.fromkeys((*post.tags, *draft.chosen))))])
    try:
        made, numbers, number, places = served.running.ask(lambda m: _made(m, posts, draft.explain), budget)
    except NoAnswer as error:
        return ForecastAnswer(model=served.digest, why=f"model: {error}", kind=error.kind)
    one = made[0]
    kept = own_reasons(one.reasons, post.community, places)
    reasons = told(kept, post.text, draft.language, quoted(lookups, post.community, [kept]), one.formula)
    answer = Forecasted(one.value, one.low, one.high, one.formula, made.coverage, number, numbers, reasons)
    return ForecastAnswer(answer, served.digest, "model")


def _made(
    model: Any, posts: Posts, explain: bool
) -> tuple[Any, tuple[float, float, float] | None, str, dict[str, str]]:
    """The forecast, the same as the number itself where its exposure is known, and where the named posts are."""
    from hashloom.data.target import Target

    made = model.forecast(posts, explain=explain)
    target = Target.parse(model.target_)
    low, value, high = (float(target.natural(np.asarray(v), posts)[0]) for v in (made.low, made.values, made.high))
    numbers = (value, low, high) if all(map(math.isfinite, (low, value, high))) else None
    names = [one.where for one in made[0].reasons]
    return made, numbers, target.number, earlier_posts(model, names) if names else {}
