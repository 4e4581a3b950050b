"""What the verbs do with forecasters: the numbers learnt from are there and are numbers; posts in, forecasts out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom import progress
from hashloom.cli_answers import Answers, as_line, reasons
from hashloom.cli_files import (
    check_apart,
    counts,
    forecaster_in,
    given,
    opened,
    quiet,
    tell,
    write_json,
    write_text,
)
from hashloom.data.read import BadInput
from hashloom.data.target import USUAL, Target, choose
from hashloom.evaluate import forecasting
from hashloom.recommender import Recommender
from hashloom.types import POST_FIELDS, Posts

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashloom.data.split import How
    from hashloom.forecaster import Forecaster
    from hashloom.recommender import Forgotten
    from hashloom.types import Rankings

SAID = ("id", "forecast", "low", "high", "coverage", "formula", "reasons")
"""Fields of an answer; the number itself stands beside them under its own name."""


# ---------------------------------------------------------------- the numbers of posts


def learnable(path: Path, recipes: Sequence[Mapping[str, Any]]) -> Posts:
    """The posts of a file, with the numbers that the recipes' forecasters are to learn from.

    Raises ``BadInput``, which names the file, what is missing and which numbers there are instead.
    """
    from hashloom.catalogue import build

    targets = list(dict.fromkeys(build(recipe["model"]).target for recipe in recipes))
    for asked in targets:
        _check_name(asked)
    posts = given(path, some=True)
    for asked in targets:
        posts = stating(posts, asked, path)
    return posts


def _check_name(asked: str) -> None:
    """Refuse, before a post is read, what can be no target."""
    if asked == "auto":
        return
    number = Target.parse(asked).number
    if number in SAID:
        raise BadInput(f"--set target={asked}: answers have a field {number!r} of their own; rename the column")
    if number in set(POST_FIELDS) - _COUNTS:
        raise BadInput(f"--set target={asked}: {number!r} is no number of a post; name one such as likes or score")


_COUNTS = {"views", "likes", "comments", "popularity"}


def stating(posts: Posts, asked: str, path: Path) -> Posts:
    """The posts, a target's columns made numbers; refused where no post states it, told where some do not."""
    posts = numeric(posts, asked, path)
    try:
        target = choose(asked, posts)
    except ValueError as error:
        raise BadInput(f"{path}: {error}; {_instead(posts, 'name one of these with --set target=NAME')}") from None
    _tell_unknown(posts, target, path)
    return posts


def posts_for(model: Recommender | Forecaster, path: Path, *, strict: bool = False) -> Posts:
    """The posts of a file for a kept model; a forecaster's must state the number that it forecasts."""
    posts = given(path, strict=strict)
    if isinstance(model, Recommender):
        return posts
    posts, target = numeric(posts, model.target_, path), Target.parse(model.target_)
    if not np.isfinite(target.values(posts)).any():
        said = f"no post states {target}, which the model in use forecasts"
        raise BadInput(f"{path}: {said}; {_instead(posts, f'give posts that state {target}')}")
    _tell_unknown(posts, target, path)
    return posts


def _tell_unknown(posts: Posts, target: Target, path: Path) -> None:
    unknown = int((~np.isfinite(target.values(posts))).sum())
    if unknown:
        tell(f"{path}: {unknown:,} of {len(posts):,} posts do not state {target} and are left out")


def _instead(posts: Posts, remedy: str) -> str:
    import polars as pl

    frame = posts.frame
    numbers = [n for n, kind in frame.schema.items() if kind.is_numeric() and frame[n].is_finite().any()]
    texts = [n for n in frame.columns if n not in POST_FIELDS and frame.schema[n] == pl.String]
    numbers += [name for name in texts if frame[name].cast(pl.Float64, strict=False).is_not_null().any()]
    if not numbers:
        return "they state no numbers at all: add a column such as likes, views or score"
    return f"numbers that they state: {', '.join(numbers)}; {remedy}"


def numeric(posts: Posts, asked: str, path: Path | str, say: Callable[[str], None] = tell) -> Posts:
    """The posts with the target's columns as numbers: CSV has them as text, and so has a column with one wrong row.

    What is no number becomes unknown and is said with its post, so that one row costs only itself.

    >>> import polars as pl
    >>> posts = Posts.of(pl.DataFrame({"id": ["a", "b"], "fans": ["12", "many"]}))
    >>> numeric(posts, "likes/fans", "mine.csv", print).frame["fans"].to_list()
    mine.csv: post 'b': fans: 'many' is no number and counts as unknown; correct it or leave it empty
    [12.0, None]
    """
    import polars as pl

    frame = posts.frame
    for name in _columns(asked):
        if name in frame.columns and frame.schema[name] == pl.String and name not in POST_FIELDS:
            made = frame[name].str.strip_chars().cast(pl.Float64, strict=False)
            if asked == "auto" and made.null_count() == len(made):
                continue  # words that nobody meant to be the number
            wrong = frame.filter(made.is_null() & frame[name].is_not_null() & (frame[name].str.strip_chars() != ""))
            _tell_wrong(wrong, name, path, say)
            frame = frame.with_columns(made.alias(name))
    return posts if frame is posts.frame else Posts(frame)


def _tell_wrong(wrong: Any, name: str, path: Path | str, say: Callable[[str], None]) -> None:
    for post, value in wrong[["id", name]].head(5).iter_rows():
        said = f"{value[:40]!r} is no number and counts as unknown; correct it or leave it empty"
        say(f"{path}: post {post!r}: {name}: {said}")
    if wrong.height > 5:
        say(f"{path}: … and {wrong.height - 5:,} more posts whose {name} is no number")


def _columns(asked: str) -> list[str]:
    """The columns that a target, or ``auto`` which tries the usual ones, may read."""
    texts = USUAL if asked == "auto" else (asked,)
    parsed = [Target.parse(text) for text in texts]
    return list(dict.fromkeys(name for t in parsed for name in (t.number, t.exposure) if name))


# ---------------------------------------------------------------- hashloom forecast


@dataclass(kw_only=True)
class Foretold(Answers):
    """A forecast for each post, with the number itself where its exposure is known."""

    model: Forecaster
    place: Path | str
    hidden: int = 0

    def lines(self, posts: Posts) -> Iterable[bytes]:
        """The forecast of each of the posts, as a line."""
        target = Target.parse(self.model.target_)
        posts = numeric(posts, str(target), self.place, self.say)
        found = self.model.forecast(posts, history=self.history, explain=self.explain)
        ends = np.array([target.natural(column, posts) for column in (found.values, found.low, found.high)])
        for one, numbers in zip(found, ends.T, strict=True):
            answer: dict[str, Any] = {"id": one.id, "forecast": one.value, "low": one.low, "high": one.high}
            answer |= {"coverage": found.coverage, "formula": one.formula}
            if np.isfinite(numbers).all():
                answer |= {f"{target.number}{end}": n for end, n in zip(("", "_low", "_high"), numbers.tolist())}
            else:
                self.hidden += 1
            yield as_line(answer | {"reasons": reasons(one.reasons)})

    def notes(self) -> list[str]:
        """How many forecasts stay on the scale of the formula."""
        target = Target.parse(self.model.target_)
        if not self.hidden:
            return []
        if not target.exposure:
            return [f"posts whose {target.number} is too large to be written as a number: {self.hidden:,}"]
        return [
            f"posts whose {target.exposure} is unknown: {self.hidden:,}; they are forecast as {self.model.formula} "
            f"alone; state {target.exposure} to be told {target.number} too"
        ]


def forecast(
    folder: Path, posts: Path, out: Path | None, history: Path | None, *, explain: bool, strict: bool
) -> list[str]:
    """Forecast the posts of a file, a line for each; gives what a person should know at the end."""
    check_apart(posts, history, out)
    model = forecaster_in(folder)
    earlier = posts_for(model, history) if history else None
    place = "standard input" if str(posts) == "-" else posts
    with opened(out) as file:
        answers = Foretold(
            out=file, explain=explain, history=earlier, strict=strict, say=tell, model=model, place=place
        )
        with progress.stage("forecasting") if out else quiet():
            answers.written(posts)
    return answers.summary()


# ---------------------------------------------------------------- the other verbs


def train(settings: Mapping[str, Any], posts: Path, out: Path, *, how: How, seed: int, spaces: Path | None) -> str:
    """Learn to forecast and keep the model; gives what to say of it."""
    if spaces:
        raise BadInput(f"--spaces says which tags may be suggested; {settings['name']} forecasts, so leave it out")
    learnt = learnable(posts, [settings])
    tell(f"training {settings['name']} on {len(learnt):,} posts (split: {how})")
    with progress.stage(f"training {settings['name']}"):
        trained = forecasting.train(settings, learnt, how=how, seed=seed)
        forecasting.publish(trained, out)
    said = f"{out}: trained in {trained.seconds:.1f} s ({counts(trained.split)})"
    return f"{said}\nwhat it forecasts: {trained.model.formula}"


def evaluate(
    model: Forecaster,
    folder: Path,
    posts: Path,
    history: Path | None,
    json: Path | None,
    html: Path | None,
    refused: Mapping[str, object],
) -> None:
    """Measure a forecaster on posts that it has not learnt from; ``refused``: options of recommenders."""
    from hashloom import keeping

    _refuse(refused)
    asked = posts_for(model, posts)
    earlier = posts_for(model, history) if history else None
    with progress.stage("measuring"):
        found = forecasting.evaluate(model, asked, said=keeping.manifest(folder), history=earlier)
    print(found.text(), end="")
    if json:
        write_json(json, found.json())
    if html:
        write_text(html, found.html())


def compare(
    recipes: Sequence[Mapping[str, Any]],
    posts: Path,
    out: Path,
    *,
    how: How,
    seed: int,
    seeds: Sequence[int],
    refused: Mapping[str, object],
) -> None:
    """Train recipes of forecasters on the same posts, measure them on the same later ones, and report."""
    _refuse(refused)
    asked = learnable(posts, recipes)
    with progress.stage("comparing"):
        found = forecasting.compare(recipes, asked, how=how, seed=seed, seeds=seeds, say=tell, folder=out / "answers")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "results.json", found.json())
    write_text(out / "table.md", found.markdown())
    write_text(out / "report.html", found.html())
    print(found.text(), end="")
    tell(f"{out / 'report.html'}: the report")


def all_forecast(recipes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether recipes forecast; such cannot stand in one table with those that suggest tags."""
    kinds = [forecasting.is_forecast(recipe) for recipe in recipes]
    if any(kinds) and not all(kinds):
        other = {kind: next(r["name"] for r, k in zip(recipes, kinds) if k == kind) for kind in (True, False)}
        raise BadInput(f"{other[True]} forecasts and {other[False]} suggests tags; compare recipes of one kind")
    return any(kinds)


def _refuse(options: Mapping[str, object]) -> None:
    for name, value in options.items():
        if value:
            raise BadInput(f"{name} is for models that suggest tags, and this one forecasts; leave it out")


def forgotten(model: Recommender | Forecaster, posts: list[str], users: list[str], tags: list[str]) -> Forgotten:
    """What a kept model forgot of posts, users and, where it suggests any, tags."""
    if isinstance(model, Recommender):
        return model.forget(posts=posts, users=users, tags=tags)
    _refuse({"--tag": tags})
    return model.forget(posts=posts, users=users)


def reordering(folder: Path | None, dial: float | None) -> Callable[[Rankings, Posts], Rankings]:
    """Puts suggestions into an order between fit and the attention that posts with a tag got; as they are without.

    Raises ``BadInput`` where one of ``--forecaster`` and ``--dial`` is there without the other.
    """
    if folder is None and dial is None:
        return lambda rankings, posts: rankings
    if folder is None or dial is None:
        raise BadInput("--forecaster and --dial go together, such as --forecaster my-forecaster --dial 0.2")
    from hashloom.explain.with_tags import dialled

    model = forecaster_in(folder)
    return lambda rankings, posts: dialled(rankings, posts, model, dial)
