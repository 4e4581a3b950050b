"""All figures of forecasters on one set of posts, made when first read: what tables, page and JSON show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.evaluate.compare import Difference, Interval, _percentiles, _ratio, groups, resample
from hashloom.evaluate.findings import FEWEST_USERS, _number, _plain
from hashloom.evaluate.forecast_metrics import METRICS, RANKED, above_own, per_post, spearman, spearman_drawn
from hashloom.evaluate.slices import slices
from hashloom.types import Forecasts, Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FLOORS = ("mean", "author_mean")
"""Forecasters that know no more than what was got before: one that comes no nearer is said to lose."""
SLICES = ("user history", "picture", "caption length", "community size")


@dataclass(frozen=True)
class ForecastResult:
    """One method's forecasts of the test posts, in their order, and what they cost in seconds, all posts together.

    ``runs``: the same method trained with further seeds; its scores are then means over the seeds.
    """

    name: str
    settings: Mapping[str, Any]
    forecasts: Forecasts
    train_seconds: float = float("nan")
    forecast_seconds: float = float("nan")
    notes: str = ""
    runs: Sequence[ForecastResult] = ()

    @property
    def each(self) -> list[ForecastResult]:
        """This result and those of further seeds."""
        return [self, *self.runs]

    @property
    def floor(self) -> bool:
        """Whether others have to clear this method."""
        return self.settings.get("forecaster") in FLOORS


@dataclass(frozen=True)
class ForecastExperiment:
    """What was measured: the test posts, their numbers ``truth`` (posts,) by ``formula``, and whence they were split.

    ``mean``: that of the training numbers. ``history``: posts whose numbers could be known (training posts too).
    ``left_out``: why posts were left out, and how many. ``pairs``: methods to be told apart by name.
    ``rank_resamples``: fewer, since ranks are made anew in each.
    """

    name: str
    test: Posts
    truth: NDArray[np.float64]
    formula: str
    mean: float
    train: Posts
    history: Posts
    split: str = "given"
    part: str = "test"
    validation: int = 0
    fingerprint: str = ""
    seeds: tuple[int, ...] = (0,)
    left_out: Mapping[str, int] = field(default_factory=dict)
    pairs: tuple[tuple[str, str], ...] = ()
    resamples: int = 2000
    rank_resamples: int = 200
    date: str = ""
    about: str = ""


class ForecastFindings:
    """The figures of several forecasters on the same posts, the smallest squared error first.

    ``coverage`` is what the intervals state. Raises ``ValueError`` where forecasts are of other posts, follow another
    formula or state another coverage: those are never mixed.

    >>> from hashloom.types import Post
    >>> test = Posts.of([Post("a", "rye", popularity=2.0), Post("b", "sun", popularity=4.0)])
    >>> made = Forecasts(["a", "b"], np.array([3.0, 3.0]), np.array([1.0, 1.0]), np.array([5.0, 5.0]), "y", 0.9)
    >>> experiment = ForecastExperiment("tiny", test, np.array([2.0, 4.0]), "y", 2.0, test[:0], test[:0])
    >>> found = ForecastFindings([ForecastResult("threes", {}, made)], experiment)
    >>> found.value(0, "mse"), found.value(0, "r2"), found.value(0, "coverage")
    (1.0, 0.5, 1.0)
    """

    def __init__(self, results: Sequence[ForecastResult], experiment: ForecastExperiment) -> None:
        if not results:
            raise ValueError("there is nothing to report: give at least one result")
        for one in (one for result in results for one in result.each):
            if list(one.forecasts.ids) != experiment.test.ids:
                raise ValueError(f"the forecasts of '{one.name}' are not those of the test posts, in their order")
            if one.forecasts.formula != experiment.formula:
                raise ValueError(
                    f"{one.name!r} forecasts {one.forecasts.formula}, the others {experiment.formula}: "
                    "errors on two scales cannot be compared; give all of them the same target"
                )
        stated = sorted({one.forecasts.coverage for one in results})
        if len(stated) > 1:
            said = ", ".join(f"{share:g}" for share in stated)
            raise ValueError(f"intervals of different coverage ({said}) cannot be compared; set one coverage for all")
        self.coverage = stated[0]
        self.experiment = experiment
        made = [(result, self._measured(result)) for result in results]
        # The order is by error, and by name where errors are equal, so that it does not depend on the order given.
        made.sort(key=lambda row: (float(row[1]["mse"].mean()), row[0].name))
        self.results = [row[0] for row in made]
        self.columns = [row[1] for row in made]

    def _measured(self, result: ForecastResult) -> dict[str, Floats]:
        made = self.experiment
        each = [per_post(made.truth, one.forecasts, made.mean) for one in result.each]
        return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}

    @property
    def names(self) -> list[str]:
        """The methods, the smallest squared error first."""
        return [result.name for result in self.results]

    @cached_property
    def user_count(self) -> int:
        """How many users the test posts name."""
        return len({user for user in self.experiment.test.users if user is not None})

    @cached_property
    def by_user(self) -> bool:
        """Whether users are drawn for the intervals; where they are too few, posts are."""
        return self.user_count >= FEWEST_USERS

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """What is drawn together, numbered from 0; (posts,)."""
        return groups(self.experiment.test.users if self.by_user else None, len(self.experiment.test))

    @cached_property
    def authors(self) -> NDArray[np.int64]:
        """The author of each test post within its community, numbered from 0; (posts,)."""
        pairs = zip(self.experiment.test.communities, self.experiment.test.users)
        return groups([None if u is None else f"{c}\0{u}" for c, u in pairs], len(self.experiment.test))

    @property
    def seed(self) -> int:
        """What the resamples are drawn with."""
        return self.experiment.seeds[0] if self.experiment.seeds else 0

    @cached_property
    def _drawn(self) -> dict[str, Floats]:
        """Column → its mean in each resample; (resamples, methods)."""
        names = list(self.columns[0])
        table = np.stack([column[name] for column in self.columns for name in names], axis=1)
        made = resample(table, self.groups, self.experiment.resamples, self.seed)
        made = made.reshape(self.experiment.resamples, len(self.columns), len(names))
        return {name: made[:, :, i] for i, name in enumerate(names)}

    def _sides(self, metric: str) -> tuple[Floats, list[list[Floats]]]:
        """What is ranked: the truth, and for each method the forecasts of each seed; all (posts,)."""
        values = [[one.forecasts.values for one in result.each] for result in self.results]
        if metric == "spearman":
            return self.experiment.truth, values
        own = [[above_own(one, self.authors) for one in each] for each in values]
        return above_own(self.experiment.truth, self.authors), own

    @cached_property
    def _ranked(self) -> dict[str, tuple[list[float], Floats]]:
        """Metric of ranks → each method's value, and its values in the resamples (methods, resamples)."""
        made, found = self.experiment, {}
        for metric in RANKED:
            truth, sides = self._sides(metric)
            known = ~np.isnan(truth)
            values = [float(np.mean([spearman(truth[known], one[known])[0] for one in each])) for each in sides]
            flat = [one for each in sides for one in each]
            drawn = spearman_drawn(truth, flat, self.groups, made.rank_resamples, self.seed)
            ends = np.cumsum([len(each) for each in sides])
            means = np.stack([part.mean(axis=0) for part in np.split(drawn, ends[:-1])])
            found[metric] = values, means
        return found

    def value(self, method: int, metric: str) -> float:
        """A metric of one method on all test posts."""
        if metric in RANKED:
            return self._ranked[metric][0][method]
        column = self.columns[method]
        if metric == "r2":
            usual = float(column["usual"].mean())
            return 1 - float(column["mse"].mean()) / usual if usual else float("nan")
        return float(column[metric].mean())

    def drawn(self, method: int, metric: str) -> Floats:
        """A metric of one method in each resample; (resamples,)."""
        if metric in RANKED:
            return self._ranked[metric][1][method]
        if metric == "r2":
            usual = self._drawn["usual"][:, method]
            mse = self._drawn["mse"][:, method]
            return np.asarray(1 - np.divide(mse, usual, out=np.full_like(mse, np.nan), where=usual > 0))
        return self._drawn[metric][:, method]

    @cached_property
    def intervals(self) -> dict[str, list[Interval]]:
        """Metric → one interval per method, 95 %."""
        methods = range(len(self.results))
        return {m: [_percentiles(self.value(i, m), self.drawn(i, m), 0.95) for i in methods] for m in METRICS}

    @cached_property
    def against(self) -> int:
        """The best floor, or the best method where no floor is among them."""
        return next((i for i, result in enumerate(self.results) if result.floor), 0)

    @cached_property
    def differences(self) -> list[tuple[int, Difference]]:
        """Each other method's MSE minus that of ``against``, on the same posts: below 0 it comes nearer."""
        rest = [i for i in range(len(self.results)) if i != self.against]
        return [(i, self.apart(i, self.against)) for i in rest]

    @cached_property
    def pairs(self) -> list[tuple[int, int, Difference]]:
        """The named pairs that both stand here: the MSE of the first minus that of the second."""
        at = {name: i for i, name in enumerate(self.names)}
        named = [(at[a], at[b]) for a, b in self.experiment.pairs if a in at and b in at]
        return [(a, b, self.apart(a, b)) for a, b in named]

    def apart(self, a: int, b: int, metric: str = "mse") -> Difference:
        """A metric of method ``a`` minus that of ``b``; ``chance``: share of resamples in which ``a`` is not lower."""
        here, there = self.value(a, metric), self.value(b, metric)
        first, second = self.drawn(a, metric), self.drawn(b, metric)
        known = ~np.isnan(first - second)
        chance = max(float(np.mean(first[known] >= second[known])), 1 / len(first)) if known.any() else float("nan")
        gap = _percentiles(here - there, first - second, 0.95)
        return Difference(gap, _ratio(here, there, first, second, 0.95), chance)

    @cached_property
    def deviations(self) -> list[float]:
        """The standard deviation of the MSE between seeds, by method; NaN where there is one seed."""
        return [self._deviation(result) for result in self.results]

    def _deviation(self, result: ForecastResult) -> float:
        each = [float(np.mean((one.forecasts.values - self.experiment.truth) ** 2)) for one in result.each]
        return float(np.std(each, ddof=1)) if len(each) > 1 else float("nan")

    @cached_property
    def masks(self) -> dict[str, dict[str, NDArray[np.bool_]]]:
        """Slice → label → which test posts; slices with one label are left out."""
        made = self.experiment
        found = slices(made.test, made.train, made.history)
        return {name: found[name] for name in SLICES if len(found.get(name, ())) > 1}

    def part(self, method: int, metric: str, mask: NDArray[np.bool_]) -> float:
        """A metric that is a mean over posts, or R², of one method on some of the posts."""
        column = self.columns[method]
        if metric == "r2":
            usual = float(column["usual"][mask].mean())
            return 1 - float(column["mse"][mask].mean()) / usual if usual else float("nan")
        return float(column[metric][mask].mean())

    def json(self) -> dict[str, Any]:
        """The figures as plain values; NaN as None."""
        made = self.experiment
        head = {"data": made.name, "formula": made.formula, "split": made.split, "part": made.part}
        head["fingerprint"] = made.fingerprint
        counts = {"posts": len(made.test), "users": self.user_count, "left_out": dict(made.left_out), "date": made.date}
        rows = [self._row(i) for i in range(len(self.results))]
        return head | counts | {"coverage": self.coverage, "against": self.names[self.against], "methods": rows}

    def _row(self, i: int) -> dict[str, Any]:
        result = self.results[i]
        gaps = {at: gap for at, gap in self.differences}
        return {
            "name": result.name,
            "floor": result.floor,
            "metrics": {m: _plain(self.intervals[m][i]) for m in METRICS},
            "mse_difference": _plain(gaps[i].difference) if i in gaps else None,
            "slices": {
                name: {label: self._slice(i, mask) for label, mask in masks.items()}
                for name, masks in self.masks.items()
            },
            "seeds": len(result.each),
            "between_seeds": _number(self.deviations[i]),
            "train_seconds": _number(result.train_seconds),
            "forecast_seconds": _number(result.forecast_seconds),
        }

    def _slice(self, i: int, mask: NDArray[np.bool_]) -> dict[str, float | int]:
        return {"posts": int(mask.sum()), **{m: self.part(i, m, mask) for m in ("mse", "mae", "bias", "coverage")}}

    def text(self) -> str:
        """The table for a terminal."""
        from hashloom.evaluate.forecast_tables import table

        return table(self)

    def markdown(self) -> str:
        """The tables for documents."""
        from hashloom.evaluate.forecast_tables import markdown

        return markdown(self)

    def html(self) -> str:
        """The report: one page by itself."""
        from hashloom.evaluate.forecast_report import report

        return report(self)
