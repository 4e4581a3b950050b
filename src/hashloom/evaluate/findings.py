"""All figures of an evaluation, computed once: what the page, the Markdown table and the terminal table show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom.evaluate.beyond import Some, Spread, ceiling, known_share, posted, spread, tag_counts, vocabularies
from hashloom.evaluate.compare import Bootstrap, Difference, Interval, over_users
from hashloom.evaluate.hits import Hits
from hashloom.evaluate.metrics import columns, parse, score, score_seeds, summarise
from hashloom.evaluate.novelty import among
from hashloom.evaluate.pairs import Pair, pair
from hashloom.evaluate.peaks import Peaks
from hashloom.evaluate.slices import slices
from hashloom.types import Posts, Rankings, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRICS = ("ndcg@10", "p@10", "r@10", "map@10", "mrr@10", "hit@10", "f1_posts@10", "f1_means@10")
CURVES = {
    "p": "Precision",
    "r": "Recall",
    "hit": "Hit",
    "f1_posts": "F1, of each post",
    "f1_means": "F1, of the averages",
    "ndcg": "NDCG",
}
DEPTH = 15
FEWEST_USERS = 20
"""With fewer users an interval over users would be far too narrow; it is then drawn over posts."""


@dataclass(frozen=True)
class Result:
    """One method's answers to the test posts, in their order, and what they cost.

    ``rankings`` should hold 15 suggestions per post for the curves against K; fewer where a method has no more to
    say. ``scores`` where measured already; what they lack is measured here. ``floor`` marks counting baselines,
    ``chances`` methods whose scores are the chances that tags are true.
    ``makers``: a two-stage method's candidates by maker, for the examples. ``published``: figures by metric id, with
    their ``source``. Times in seconds, for all posts together.

    ``runs``: the same method trained with further seeds; a post's score is then the mean over the seeds. ``tuning``:
    answers to the validation posts, on which K is chosen: the method's own under "", those of makers by name.
    """

    name: str
    settings: Mapping[str, Any]
    rankings: Rankings
    scores: Scores | None = None
    train_seconds: float = float("nan")
    recommend_seconds: float = float("nan")
    notes: str = ""
    floor: bool = False
    chances: bool = False
    makers: Mapping[str, Rankings] = field(default_factory=dict)
    published: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    runs: Sequence[Result] = ()
    tuning: Mapping[str, Rankings] = field(default_factory=dict)

    @property
    def each(self) -> list[Result]:
        """This result and those of further seeds."""
        return [self, *self.runs]


@dataclass(frozen=True)
class Experiment:
    """What the results were measured on: data, split, metrics. ``history``: posts that habits could be learnt from.

    The first of ``metrics`` is the headline: it orders the table and decides which method is best. ``tuning``: the
    validation posts on which the K of the best F1 is chosen. ``pairs``: methods to be told apart by name. ``spreads``:
    whether the tables show how evenly the methods suggest (``spread``).
    """

    name: str
    train: Posts
    test: Posts
    split: str = "time"
    validation: int = 0
    fingerprint: str = ""
    history: Posts | None = None
    metrics: tuple[str, ...] = METRICS
    seeds: tuple[int, ...] = (0,)
    resamples: int = 2000
    date: str = ""
    about: str = ""
    tuning: Posts | None = None
    pairs: tuple[tuple[str, str], ...] = ()
    spreads: bool = False

    @property
    def everything(self) -> Posts:
        """All posts that are known of, in which a tag could have been used before."""
        parts = (self.train, self.history, self.tuning, self.test)
        return Posts.concat(part for part in parts if part is not None)


class Findings:
    """The figures of several results on one experiment, best first by the headline metric; made when first read.

    >>> from hashloom.evaluate.beyond import truths
    >>> from hashloom.evaluate.metrics import measure
    >>> from hashloom.types import Post
    >>> test = Posts.of([Post("a", "rye", tags=("Rye",)), Post("b", "sun", tags=("Sun",))])
    >>> answers = Rankings.of(["a", "b"], [[("Rye", 1.0)], [("Rye", 1.0)]])
    >>> always = Result("always-rye", {}, answers, measure(answers, truths(test), ["hit@1"]))
    >>> found = Findings([always], Experiment("tiny", test, test, metrics=("hit@1",)))
    >>> found.intervals["hit@1"][0].value, found.ceilings["hit@1"]
    (0.5, 1.0)
    """

    def __init__(self, results: Sequence[Result], experiment: Experiment) -> None:
        if not results:
            raise ValueError("there is nothing to report: give at least one result")
        for one in (one for result in results for one in result.each):
            if list(one.rankings.ids) != experiment.test.ids:
                raise ValueError(f"the rankings of '{one.name}' are not those of the test posts, in their order")
        self.experiment = experiment
        self.headline = experiment.metrics[0]
        self.k = parse(self.headline)[1]
        self.posted = posted(experiment.test)
        self.truths = [set(row) for row in self.posted]
        made = [(result, *self._measured(result)) for result in results]
        # The order is by score, and by name where scores are equal, so that it does not depend on the order given.
        made.sort(key=lambda row: (-np.nan_to_num(summarise(row[2], self.headline)), row[0].name))
        self.results = [row[0] for row in made]
        self.hits = [row[1] for row in made]
        self.scores = [row[2] for row in made]

    def _measured(self, result: Result) -> tuple[list[Hits], Scores]:
        depth = max([DEPTH, *(parse(name)[1] for name in self.experiment.metrics)])
        hits = [Hits.of(one.rankings, self.posted, depth, self.among) for one in result.each]
        known = {} if result.scores is None else result.scores.values
        missing = [m for m in self.experiment.metrics if any(column not in known for column in columns(m))]
        made = score_seeds(hits, result.rankings.ids, missing)
        return hits, Scores(made.ids, {**made.values, **known})

    @cached_property
    def among(self) -> Some:
        """Which true tags are novel and which are young, for the metrics of these alone."""
        return among(self.experiment.test, self.experiment.train, self.experiment.everything)

    @property
    def names(self) -> list[str]:
        """The methods, best first."""
        return [result.name for result in self.results]

    @property
    def ids(self) -> list[str]:
        """The test posts, by id."""
        return self.experiment.test.ids

    @cached_property
    def user_count(self) -> int:
        """How many users the test posts name."""
        return len({user for user in self.experiment.test.users if user is not None})

    @cached_property
    def users(self) -> list[str | None] | None:
        """The test posts' users, over whom intervals are drawn; None where they are too few to be drawn."""
        return self.experiment.test.users if self.user_count >= FEWEST_USERS else None

    @cached_property
    def scored_posts(self) -> int:
        """Test posts with at least one true tag."""
        return sum(map(bool, self.truths))

    @cached_property
    def tags_per_post(self) -> float:
        """Mean number of true tags of the scored posts."""
        return sum(map(len, self.truths)) / max(self.scored_posts, 1)

    @cached_property
    def drawn(self) -> Bootstrap:
        """The one drawing from which every interval and difference comes."""
        return Bootstrap(self.scores, self.experiment.metrics, self.users, self.experiment.resamples, self.seed)

    @property
    def seed(self) -> int:
        """What the resamples are drawn with."""
        return self.experiment.seeds[0] if self.experiment.seeds else 0

    @cached_property
    def intervals(self) -> dict[str, list[Interval]]:
        """Metric → one interval per method."""
        methods = range(len(self.results))
        return {name: [self.drawn.interval(i, name) for i in methods] for name in self.experiment.metrics}

    @cached_property
    def differences(self) -> list[tuple[str, Difference]]:
        """The best method against each other, by the headline metric."""
        rest = range(1, len(self.results))
        return [(self.names[i], self.drawn.paired(0, i, self.headline)) for i in rest]

    @cached_property
    def deviations(self) -> list[float]:
        """The standard deviation of the headline between seeds, by method; NaN where there is one seed."""
        return [self._deviation(hits) for hits in self.hits]

    def _deviation(self, hits: Sequence[Hits]) -> float:
        each = [summarise(score(one, self.ids, [self.headline]), self.headline) for one in hits]
        return float(np.std(each, ddof=1)) if len(each) > 1 else float("nan")

    @cached_property
    def peaks(self) -> Peaks:
        """The K at which each method's F1 is best, chosen on the validation posts, and F1 there."""
        return Peaks(self)

    @cached_property
    def pairs(self) -> list[Pair]:
        """The pairs that the experiment names: how far they are apart, overall and by caption length."""
        return [pair(self, *names) for names in self.experiment.pairs]

    @cached_property
    def over_users(self) -> list[float] | None:
        """The headline as a mean over users of each user's mean; None without users."""
        users = self.users
        return None if users is None else [over_users(one, self.headline, users) for one in self.scores]

    @cached_property
    def known(self) -> list[set[str]]:
        """For each test post, the tags that its community's training posts carry."""
        return vocabularies(self.experiment.train, self.experiment.test.communities)

    @cached_property
    def known_share(self) -> float:
        """The share of true tags that the training posts of the community carry."""
        return known_share(self.truths, self.known)

    @cached_property
    def ceilings(self) -> dict[str, float]:
        """What perfect answers would score, by metric."""
        return self._ceiling(None)

    @cached_property
    def known_ceilings(self) -> dict[str, float]:
        """What perfect answers made of the training tags of the community would score."""
        return self._ceiling(self.known)

    def _ceiling(self, known: Sequence[set[str]] | None) -> dict[str, float]:
        parsed = {name: parse(name) for name in self.experiment.metrics}
        cuts = {k: [m.name for m, cut in parsed.values() if cut == k] for _, k in parsed.values()}
        tops = {k: ceiling(self.posted, k, known, self.among, names) for k, names in cuts.items()}
        return {name: tops[k][f"{metric.name}@{k}"] for name, (metric, k) in parsed.items()}

    @cached_property
    def curves(self) -> dict[str, list[list[float]]]:
        """Metric → method → its value at K = 1 … 15."""
        ids = {name: [f"{name}@{k}" for k in range(1, DEPTH + 1)] for name in CURVES}
        every = [name for names in ids.values() for name in names]
        scores = [score_seeds(hits, self.ids, every) for hits in self.hits]
        return {name: [[summarise(one, metric) for metric in ids[name]] for one in scores] for name in CURVES}

    @cached_property
    def communities(self) -> list[tuple[str, int, int, list[float]]]:
        """Community, its training posts, its scored test posts, and the headline of each method there."""
        trained = {place: 0 for place in self.experiment.test.communities}
        for place in self.experiment.train.communities:
            trained[place] = trained.get(place, 0) + 1
        places = np.array(self.experiment.test.communities, dtype=object)
        scored = np.array([bool(row) for row in self.truths])
        rows = []
        for place in sorted(set(self.experiment.test.communities)):
            mask = (places == place) & scored
            if mask.any():
                rows.append((place, trained[place], int(mask.sum()), self._headline(mask)))
        return rows

    def _headline(self, mask: NDArray[np.bool_]) -> list[float]:
        return [summarise(one, self.headline, mask) for one in self.scores]

    @cached_property
    def slices(self) -> dict[str, dict[str, tuple[int, list[float]]]]:
        """Slice → label → scored posts and the headline of each method; slices with one label are left out."""
        return {
            name: {label: (int(mask.sum()), self._headline(mask)) for label, mask in masks.items()}
            for name, masks in self.masks.items()
            if len(masks) > 1
        }

    @cached_property
    def masks(self) -> dict[str, dict[str, NDArray[np.bool_]]]:
        """Slice → label → which posts; those without a true tag, and labels without posts, are left out."""
        scored = np.array([bool(row) for row in self.truths])
        made = slices(self.experiment.test, self.experiment.train, self.experiment.history)
        return {
            name: {label: mask & scored for label, mask in masks.items() if (mask & scored).any()}
            for name, masks in made.items()
        }

    @cached_property
    def spreads(self) -> list[Spread]:
        """How each method's suggestions (with its first seed) spread over the tags."""
        counts = tag_counts(self.experiment.train)
        places = self.experiment.test.communities
        return [spread(result.rankings, places, counts, self.k) for result in self.results]

    def column(self, method: int, part: str) -> NDArray[np.float64]:
        """A per-post column of one method, shape (posts,), also one that was not measured yet."""
        known = self.scores[method].values
        return known[part] if part in known else score_seeds(self.hits[method], self.ids, [part]).values[part]

    def value(self, method: int, metric: str) -> float:
        """Any metric of one method, also one that the experiment does not list."""
        return summarise(score_seeds(self.hits[method], self.ids, [metric]), metric)

    def as_json(self) -> dict[str, Any]:
        """The table as plain values: per method and metric value, low and high; NaN as None."""
        rows = [
            {
                "name": result.name,
                "floor": result.floor,
                "metrics": {m: _plain(self.intervals[m][i]) for m in self.experiment.metrics},
                "seeds": len(result.each),
                "between_seeds": _number(self.deviations[i]),
                "best_k": self.peaks.ks[i],
                "f1_at_best_k": _plain(self.peaks.intervals[i]),
                "spread": {name: _number(value) for name, value in asdict(self.spreads[i]).items()},
                "train_seconds": _number(result.train_seconds),
                "recommend_seconds": _number(result.recommend_seconds),
            }
            for i, result in enumerate(self.results)
        ]
        tops = {name: _number(value) for name, value in self.ceilings.items()}
        made = self.experiment
        head = {"data": made.name, "split": made.split, "fingerprint": made.fingerprint, "posts": self.scored_posts}
        return head | {"ceilings": tops, "methods": rows}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _plain(interval: Interval) -> dict[str, float | None]:
    return {name: _number(getattr(interval, name)) for name in ("value", "low", "high")}
