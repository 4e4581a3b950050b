"""Forecasts measured: known vectors, other libraries' figures, honest splits, leak traps, kept forecasts, the page."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pytest

from hashloom import catalogue
from hashloom.evaluate import answers, forecast_charts, forecast_rows, forecasting
from hashloom.evaluate.forecast_findings import ForecastExperiment, ForecastFindings, ForecastResult
from hashloom.evaluate.forecast_metrics import METRICS, above_own, draws, per_post, ranks, spearman, spearman_drawn
from hashloom.forecaster import Forecaster, Guess
from hashloom.forecasters.author_mean import AuthorMean
from hashloom.keeping import load, manifest
from hashloom.types import Forecasts, Post, Posts

START = datetime(2025, 1, 1, tzinfo=UTC)
LOBSTERS = Path(__file__).parents[3] / "shared" / "data" / "lobsters" / "posts.parquet"
FLOORS = [catalogue.recipe(name) for name in ("mean", "hisave", "author-mean")]


def world(authors: int = 30, each: int = 20, seed: int = 0) -> Posts:
    """Each author has a level; posts differ from it a little. Every third post has a picture."""
    random = np.random.default_rng(seed)
    level = random.normal(5, 2, authors)
    rows = []
    for i in range(authors * each):
        a = i % authors
        popularity = float(level[a] + random.normal(0, 0.5))
        when = START + timedelta(hours=i)
        images = ("p.png",) if i % 3 == 0 else ()
        rows.append(Post(f"p{i}", f"number {i}", "c", f"u{a}", when, images, popularity=popularity))
    return Posts.of(rows)


def changed(posts: Posts, **columns: Any) -> Posts:
    return Posts(posts.frame.with_columns(**{n: pl.Series(v) for n, v in columns.items()}))


def made_of(values: Sequence[float], half: float = 1.0) -> Forecasts:
    at = np.asarray(values, dtype=np.float64)
    return Forecasts([f"p{i}" for i in range(len(at))], at, at - half, at + half, "popularity as given", 0.9)


def findings(truth: Sequence[float], *values: Sequence[float], users: Sequence[str | None] = ()) -> ForecastFindings:
    named = users or [None] * len(truth)
    test = Posts.of([Post(f"p{i}", "x", user=u) for i, u in enumerate(named)])
    numbers = np.asarray(truth, dtype=np.float64)
    experiment = ForecastExperiment("tiny", test, numbers, "popularity as given", 2.0, test[:0], test[:0])
    results = [ForecastResult(f"m{i}", {"forecaster": "x"}, made_of(v)) for i, v in enumerate(values)]
    return ForecastFindings(results, experiment)


# metrics


def test_figures_worked_by_hand() -> None:
    found = findings([1, 2, 4, 3], [2, 2, 3, 5])
    assert found.value(0, "mse") == 1.5  # (1 + 0 + 1 + 4) / 4
    assert found.value(0, "mae") == 1.0
    assert found.value(0, "bias") == 0.5  # (1 + 0 - 1 + 2) / 4
    assert found.value(0, "coverage") == 0.75
    assert found.value(0, "width") == 2.0
    assert found.value(0, "r2") == pytest.approx(0.0)  # 1 - 6 / 6, the training mean being 2
    # ranks 1 2 4 3 and 1.5 1.5 3 4: sum of products of deviations 3.5, of squares 5 and 4.5
    assert found.value(0, "spearman") == pytest.approx(3.5 / np.sqrt(5 * 4.5))


def test_within_authors_worked_by_hand() -> None:
    # Between authors the forecasts are perfect, within them upside down; the lone post of c does not count.
    found = findings([1, 2, 11, 12, 40], [2, 1, 12, 11, 40], users=["a", "a", "b", "b", "c"])
    assert found.value(0, "spearman") == pytest.approx(0.8)
    assert found.value(0, "within") == pytest.approx(-1.0)


def test_one_forecast_per_author_says_nothing_within_authors() -> None:
    third = [(0.1 + 0.2) / 3, 0.3 / 3]  # the same number but for the error of a sum
    found = findings([1, 2, 3, 4], [third[0], third[1], 5.1, 5.1], users=["a", "a", "b", "b"])
    assert np.isnan(found.value(0, "within"))


@pytest.mark.parametrize("ties", [False, True])
def test_as_scipy_and_sklearn_measure(ties: bool) -> None:
    from scipy.stats import spearmanr
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    random = np.random.default_rng(1)
    truth, said = random.normal(size=200), random.normal(size=200)
    if ties:
        truth, said = truth.round(0), said.round(1)
    found = findings(truth.tolist(), said.tolist())
    assert found.value(0, "mse") == pytest.approx(mean_squared_error(truth, said))
    assert found.value(0, "mae") == pytest.approx(mean_absolute_error(truth, said))
    assert found.value(0, "spearman") == pytest.approx(spearmanr(truth, said).statistic)
    own_mean = per_post(truth, made_of(said.tolist()), float(truth.mean()))
    assert 1 - own_mean["mse"].mean() / own_mean["usual"].mean() == pytest.approx(r2_score(truth, said))


def test_ranks_of_copies_are_those_of_the_repeated_posts() -> None:
    from scipy.stats import rankdata, spearmanr

    random = np.random.default_rng(2)
    truth, said = random.normal(size=40).round(1), random.normal(size=40).round(1)
    copies = random.integers(0, 4, (5, 40)).astype(float)
    drawn = spearman(truth, said, copies)
    for row, rho in zip(copies.astype(int), drawn):
        again = np.repeat(truth, row), np.repeat(said, row)
        assert rho == pytest.approx(spearmanr(*again).statistic)
        assert ranks(truth, row[None].astype(float))[0].repeat(row) == pytest.approx(rankdata(again[0]))


def test_resamples_draw_authors_whole_and_are_the_same_for_all_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    group = np.array([0, 0, 1, 2, 2])
    drawn = np.concatenate(list(draws(group, 50, seed=3)))
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 3] == drawn[:, 4]).all()
    assert (drawn[:, 0] + drawn[:, 2] + drawn[:, 3] == 3).all()
    truth, one, other = np.arange(5.0), np.array([0.0, 2, 1, 4, 3]), np.array([1.0, 0, 3, 2, 4])
    both = spearman_drawn(truth, [one, other], group, 50, seed=3)
    assert both[1] == pytest.approx(spearman_drawn(truth, [other], group, 50, seed=3)[0], nan_ok=True)
    monkeypatch.setattr("hashloom.evaluate.forecast_metrics.CELLS", 35)  # in pieces of seven resamples
    assert len(list(draws(group, 50, seed=3))) == 8
    assert spearman_drawn(truth, [one, other], group, 50, seed=3) == pytest.approx(both, nan_ok=True)


def test_spearman_is_of_all_posts_and_no_mean_over_batches() -> None:
    # Right within each batch, upside down between them: a mean over batches would be 1.
    truth = np.arange(512.0)
    said = np.concatenate([truth[:256] + 1000, truth[256:]])
    batches = [spearman(truth[i : i + 256], said[i : i + 256])[0] for i in (0, 256)]
    assert np.mean(batches) == pytest.approx(1.0)
    assert findings(truth.tolist(), said.tolist()).value(0, "spearman") < -0.4


def test_an_author_with_one_post_is_not_ranked_within() -> None:
    assert np.isnan(above_own(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 0]))).tolist() == [False, True, False]


def test_intervals_hold_the_figure_and_are_wider_over_few_authors() -> None:
    random = np.random.default_rng(4)
    users = [f"u{i % 25}" for i in range(500)]
    shift = random.normal(0, 1, 25)[np.arange(500) % 25]  # an author's errors go together
    truth = random.normal(size=500)
    over_users = findings(truth.tolist(), (truth + shift).tolist(), users=users)
    over_posts = findings(truth.tolist(), (truth + shift).tolist())
    for metric in METRICS:
        one = over_users.intervals[metric][0]
        assert one.low <= one.value <= one.high
    wide, narrow = over_users.intervals["mse"][0], over_posts.intervals["mse"][0]
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_differences_are_paired_and_told_in_words() -> None:
    random = np.random.default_rng(5)
    truth = random.normal(size=400)
    far = truth + random.normal(0, 1, 400)
    near = truth + (far - truth) * 0.9
    found = findings(truth.tolist(), far.tolist(), near.tolist())
    gap = found.apart(found.names.index("m1"), found.names.index("m0"))
    assert gap.difference.high < 0
    assert gap.clear
    assert gap.ratio.value == pytest.approx(0.81)
    assert gap.chance == 1 / 2000
    assert found.apart(found.names.index("m0"), found.names.index("m1")).chance == 1
    spread = found.intervals["mse"][0]
    assert gap.difference.high - gap.difference.low < (spread.high - spread.low) / 2


def test_other_posts_and_other_formulas_are_refused() -> None:
    found = findings([1, 2], [1, 2])
    other = replace(made_of([1, 2]), formula="log2(max(score, 0) + 1)")
    with pytest.raises(ValueError, match=r"two scales cannot be compared"):
        ForecastFindings([ForecastResult("m", {}, other)], found.experiment)
    half = [ForecastResult("m", {}, replace(made_of([1, 2]), coverage=share)) for share in (0.5, 0.9)]
    with pytest.raises(ValueError, match=r"different coverage \(0.5, 0.9\)"):
        ForecastFindings(half, found.experiment)
    assert "stated: 50.0" in ForecastFindings(half[:1], found.experiment).html()
    with pytest.raises(ValueError, match=r"not those of the test posts"):
        ForecastFindings([ForecastResult("m", {}, made_of([1]))], found.experiment)
    with pytest.raises(ValueError, match=r"nothing to report"):
        ForecastFindings([], found.experiment)


# the honest run


def test_a_comparison_orders_methods_by_error_and_clears_the_mean() -> None:
    found = forecasting.compare(FLOORS, world(), say=lambda _: None)
    assert found.names[-1] == "mean"
    assert found.value(0, "r2") > 0.8
    assert found.value(found.names.index("mean"), "r2") <= 0
    assert {result.forecasts.formula for result in found.results} == {"popularity as given"}
    assert len(found.experiment.test) == 120
    assert found.experiment.history.times.max() < found.experiment.test.times.min()


def test_later_copies_of_a_text_are_not_drawn_into_the_training_part() -> None:
    posts = changed(world(), text=["the very same words of all posts"] * 600)
    made = forecasting.prepared(FLOORS, posts).split
    assert (len(made.train), len(made.validation), len(made.test)) == (420, 60, 120)
    assert made.train.times.max() < made.validation.times.min() < made.test.times.min()


def test_posts_without_the_number_are_left_out_and_counted() -> None:
    posts = world()
    numbers = [None if i % 10 == 0 else v for i, v in enumerate(posts.frame["popularity"])]
    parts = forecasting.prepared(FLOORS, changed(posts, popularity=numbers))
    assert parts.left_out == {"without popularity": 60}
    assert sum(map(len, (parts.split.train, parts.split.validation, parts.split.test))) == 540


def test_unripe_posts_are_left_out_and_counted() -> None:
    until = START + timedelta(hours=500)
    parts = forecasting.prepared(FLOORS, world(), until=until)
    assert parts.left_out == {f"not created before {until.isoformat()}": 100}
    assert parts.split.test.times.max() < until.timestamp() * 1e6
    with pytest.raises(ValueError, match="has no zone"):
        forecasting.prepared(FLOORS, world(), until=datetime(2025, 1, 9))


def test_the_most_active_authors_are_those_of_the_training_part() -> None:
    posts = world(authors=10, each=30)
    early = [f"early{i % 2}" if i < 90 and i % 3 else u for i, u in enumerate(posts.users)]
    late = [f"late{i % 2}" if i >= 250 else u for i, u in enumerate(early)]
    parts = forecasting.prepared(FLOORS, changed(posts, user=late), users=2)
    assert set(parts.split.train.users) == {"early0", "early1"}
    assert len(parts.split.test) == 0
    assert parts.left_out == {"not of the 2 authors with most training posts": 240}


def test_recipes_of_different_numbers_are_refused() -> None:
    posts = changed(world(), likes=np.arange(600.0))
    other = FLOORS[1] | {"model": FLOORS[1]["model"] | {"target": "likes"}}
    with pytest.raises(ValueError, match=r"different numbers.*'mean' popularity; 'hisave' likes"):
        forecasting.compare([FLOORS[0], other], posts)
    with pytest.raises(catalogue.UnknownName, match="forecasts nothing"):
        forecasting.train(catalogue.recipe("popular"), posts)
    with pytest.raises(catalogue.UnknownName, match="for recommenders"):
        forecasting.train(FLOORS[0] | {"prepare": {"min_tag_count": 2}}, posts)
    with pytest.raises(ValueError, match="no post states"):
        forecasting.train(FLOORS[0], Posts.of([Post("a", "rye")]))


def test_an_empty_part_is_refused() -> None:
    with pytest.raises(ValueError, match="holds none that states popularity"):
        forecasting.train(FLOORS[0], changed(world(), user=pl.Series([None] * 600, dtype=pl.String)), users=5)
    with pytest.raises(ValueError, match="has no post that states"):
        forecasting.compare(FLOORS, world()[:2])
    with pytest.raises(ValueError, match="needs a test part"):
        forecasting.compare(FLOORS, world(), how="none")


def test_tuning_does_not_touch_the_test_part() -> None:
    posts = world()
    made = forecasting.prepared(FLOORS, posts).split
    found = forecasting.compare(FLOORS, posts, part="validation", say=lambda _: None)
    assert found.experiment.test.ids == made.validation.ids
    assert "420 training, 60 validation posts" in found.text()
    test = set(made.test.ids)
    wild = [1e6 if i in test else v for i, v in zip(posts.ids, posts.frame["popularity"])]
    again = forecasting.compare(FLOORS, changed(posts, popularity=wild), part="validation", say=lambda _: None)
    assert [one.value for one in again.intervals["mse"]] == [one.value for one in found.intervals["mse"]]


def test_a_split_by_author_scores_strangers_with_their_own_past() -> None:
    found = forecasting.compare(FLOORS, world(), how="user", say=lambda _: None)
    assert not set(found.experiment.test.users) & set(found.experiment.train.users)
    assert found.names[0] == "author-mean"
    assert found.value(0, "r2") > 0.5


# traps of models §11.11


def forecasts_of(posts: Posts, name: str) -> Forecasts:
    found = forecasting.compare([catalogue.recipe(name)], posts, say=lambda _: None)
    return found.results[0].forecasts


@pytest.mark.parametrize("name", ["mean", "hisave", "author-mean"])
def test_an_average_over_all_of_an_authors_posts_is_not_used(name: str) -> None:
    posts = world()
    usual = posts.frame.select(pl.col("popularity").mean().over("user")).to_series().to_list()
    with_average = changed(posts, avgview=usual, user_average=usual)
    assert np.array_equal(forecasts_of(posts, name).values, forecasts_of(with_average, name).values)


@pytest.mark.parametrize("name", ["mean", "hisave", "author-mean"])
def test_numbers_of_asked_and_later_posts_change_nothing(name: str) -> None:
    posts = world()
    test = set(forecasting.prepared(FLOORS, posts).split.test.ids)
    wild = [v + 1e4 if i in test else v for i, v in zip(posts.ids, posts.frame["popularity"])]
    here, there = forecasts_of(posts, name), forecasts_of(changed(posts, popularity=wild), name)
    for column in ("values", "low", "high"):
        assert np.array_equal(getattr(here, column), getattr(there, column))


@pytest.mark.parametrize("name", ["hisave", "author-mean"])
def test_a_later_post_planted_in_the_history_changes_nothing(name: str) -> None:
    posts = world()
    trained = forecasting.train(catalogue.recipe(name), posts)
    asked = trained.split.test[:10]
    when = asked[-1].created_at
    planted = Posts.of([Post(f"late {u}", "", "c", u, when, popularity=1e4) for u in set(asked.users)])
    last = trained.split.validation
    here = trained.model.forecast(asked[:-1], history=last)
    there = trained.model.forecast(asked[:-1], history=Posts.concat([last, planted]))
    assert np.array_equal(here.values, there.values)


def test_several_pictures_of_a_post_are_one_unit() -> None:
    posts = world()
    several = changed(posts, images=[["p.png", "q.png", "r.png"]] * len(posts))
    found = forecasting.compare([FLOORS[0]], several, say=lambda _: None)
    assert len(found.experiment.test) == 120
    assert len(found.columns[0]["mse"]) == 120


# train, publish, evaluate


def test_a_published_forecaster_is_scored_on_its_own_test_part(tmp_path: Path) -> None:
    posts = world()
    trained = forecasting.train(FLOORS[2], posts, users=20, until=START + timedelta(hours=580))
    forecasting.publish(trained, tmp_path / "m")
    said = manifest(tmp_path / "m")
    assert said["formula"] == "popularity as given"
    assert said["learnt_from"]["posts"] == len(trained.split.train)
    found = forecasting.evaluate(load(tmp_path / "m"), posts, said=said)
    compared = forecasting.compare(FLOORS[2:], posts, users=20, until=START + timedelta(hours=580), say=lambda _: None)
    assert found.experiment.test.ids == trained.split.test.ids == compared.experiment.test.ids
    for metric in METRICS:
        assert found.value(0, metric) == pytest.approx(compared.value(0, metric), nan_ok=True)
    assert found.experiment.left_out == compared.experiment.left_out


def test_other_posts_are_scored_less_those_learnt_from() -> None:
    posts = world()
    trained = forecasting.train(FLOORS[2], posts[:400], how="none")
    found = forecasting.evaluate(trained.model, posts[390:420], said=trained.facts)
    assert len(found.experiment.test) == 20
    assert found.experiment.left_out == {"learnt from": 10}
    with pytest.raises(ValueError, match="learnt from every post"):
        forecasting.evaluate(trained.model, posts[:400], said=trained.facts)
    with pytest.raises(ValueError, match="none states popularity"):
        forecasting.evaluate(trained.model, Posts.of([Post("new", "rye")]), said=trained.facts)


def test_history_given_tells_more() -> None:
    posts = world()
    trained = forecasting.train(FLOORS[2], posts[:100], how="none")
    alone = forecasting.evaluate(trained.model, posts[500:], said=trained.facts)
    told = forecasting.evaluate(trained.model, posts[500:], said=trained.facts, history=posts[100:500])
    assert told.value(0, "mse") < alone.value(0, "mse")


# rows: seeds, kept forecasts


@dataclass
class Noisy(AuthorMean):
    """An author's mean with noise that the seed decides."""

    seeded: ClassVar[bool] = True
    seed: int = 0

    def _guess(self, posts: Posts, record: object, explain: bool) -> Guess:
        made = super()._guess(posts, record, explain)  # type: ignore[arg-type]
        return Guess(made.values + np.random.default_rng(self.seed).normal(size=len(posts)))


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    build, settings = catalogue.build, catalogue.settings

    def built(given: dict[str, object]) -> Forecaster:
        return Noisy(seed=given.get("seed", 0)) if given.get("forecaster") == "noisy" else build(given)  # type: ignore

    def told(part: object) -> dict[str, object]:
        return {"forecaster": "noisy", "seed": part.seed} if isinstance(part, Noisy) else settings(part)

    monkeypatch.setattr(catalogue, "build", built)
    monkeypatch.setattr(catalogue, "settings", told)
    return {"name": "noisy", "about": "", "prepare": {}, "model": {"forecaster": "noisy"}}


def test_seeded_models_are_trained_once_per_seed_and_scores_are_means(noisy: dict[str, object]) -> None:
    said: list[str] = []
    found = forecasting.compare([noisy, FLOORS[0]], world(), seeds=[0, 1, 2], say=said.append)
    assert sum("learning" in line for line in said) == 4
    at = found.names.index("noisy")
    each = [found.experiment.truth - one.forecasts.values for one in found.results[at].each]
    assert len(each) == 3
    assert len({float(row[0]) for row in each}) == 3
    assert found.value(at, "mse") == pytest.approx(np.mean([np.mean(row**2) for row in each]))
    rho = [spearman(found.experiment.truth, one.forecasts.values)[0] for one in found.results[at].each]
    assert found.value(at, "spearman") == pytest.approx(np.mean(rho))
    assert found.deviations[at] > 0
    assert np.isnan(found.deviations[found.names.index("mean")])
    assert "between seeds" in found.markdown()
    assert "±" in found.html()


def test_kept_forecasts_are_read_and_say_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posts = world()
    first = forecasting.compare(FLOORS, posts, folder=tmp_path, say=lambda _: None)

    def never(self: Forecaster, posts: Posts) -> Forecaster:
        raise AssertionError("learnt again")

    monkeypatch.setattr(Forecaster, "fit", never)
    again = forecasting.compare(FLOORS, posts, folder=tmp_path, say=lambda _: None)
    assert again.json() == first.json()
    only = forecasting.compare(FLOORS, posts, folder=tmp_path, only=["mean"], say=lambda _: None)
    assert only.names == ["mean"]
    crawled_later = changed(posts, popularity=posts.frame["popularity"] + 1)
    for other, users in ((posts, 5), (crawled_later, 0)):
        with pytest.raises(AssertionError, match="learnt again"):
            forecasting.compare(FLOORS, other, users=users, folder=tmp_path, say=lambda _: None)


def test_what_another_process_makes_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posts = world()
    said: list[str] = []
    todo = forecast_rows.jobs(FLOORS[:1], [0], "x", tmp_path)
    asked = posts[:3]
    made = ForecastResult("mean", {}, replace(made_of([1, 2, 3]), ids=asked.ids))
    path = todo[0].path
    assert path is not None
    lock = answers.taken(path)
    assert lock.__enter__()

    def other_ends(_: float) -> None:
        forecast_rows.save(made, path)
        lock.__exit__(None, None, None)

    monkeypatch.setattr("hashloom.evaluate.rows.time.sleep", other_ends)
    found = forecast_rows.run(todo, lambda job: pytest.fail("made twice"), asked.ids, said.append)
    assert found[0].forecasts.values.tolist() == [1, 2, 3]
    assert said[0] == "waiting for mean, seed 0"
    with pytest.raises(ValueError, match="forecasts of other posts"):
        forecast_rows.run(todo, lambda job: made, ["other"], said.append)


# tables and page


@pytest.fixture(scope="module")
def compared() -> ForecastFindings:
    pairs = [("author-mean", "hisave"), ("author-mean", "not there")]
    return forecasting.compare(FLOORS, world(), pairs=pairs, say=lambda _: None)


def test_every_output_names_the_formula(compared: ForecastFindings) -> None:
    for text in (compared.text(), compared.markdown(), compared.html(), json.dumps(compared.json())):
        assert "popularity as given" in text
        assert compared.experiment.fingerprint in text
    assert "author-mean (floor)" in compared.text()
    assert "farther" in compared.markdown()


def test_slices_count_the_authors_earlier_posts(compared: ForecastFindings) -> None:
    assert list(compared.masks) == ["picture"]  # all authors are known alike, so that the slice would say nothing
    posts = world()
    strangers = changed(posts, user=[f"new{i}" if i > 500 and i % 2 else u for i, u in enumerate(posts.users)])
    found = forecasting.compare(FLOORS, strangers, say=lambda _: None)
    masks = found.masks["user history"]
    assert int(masks["no earlier posts"].sum()) == 50
    at = found.names.index("author-mean")
    assert found.part(at, "mse", masks["no earlier posts"]) > 4 * found.part(at, "mse", ~masks["no earlier posts"])
    whole = sum(found.part(at, "coverage", m) * m.sum() for m in masks.values()) / len(found.experiment.test)
    assert whole == pytest.approx(found.value(at, "coverage"))


def test_the_json_has_no_nan(compared: ForecastFindings) -> None:
    made = json.loads(json.dumps(compared.json(), allow_nan=False))
    mean = next(row for row in made["methods"] if row["name"] == "mean")
    assert mean["metrics"]["spearman"] == {"value": None, "low": None, "high": None}
    assert made["against"] == compared.names[0]
    assert made["posts"] == 120


class _Checked(HTMLParser):
    """Every tag closed, every link inside the page known."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self.ids |= {known["id"] or ""} if "id" in known else set()
        for name in ("href", "src"):
            link = known.get(name) or ""
            self.links |= {link[1:]} if link.startswith("#") else set()
            self.outside += [link] if "//" in link else []
        if tag not in ("meta", "br", "line", "circle", "rect", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "circle", "rect", "path"):
            assert self.open.pop() == tag


def test_the_page_stands_alone_and_is_whole(compared: ForecastFindings) -> None:
    page = compared.html()
    checked = _Checked()
    checked.feed(page)
    assert not checked.open
    assert checked.links <= checked.ids
    assert not checked.outside
    assert "Pair by pair" in page
    assert "not there" not in page
    assert "<script" not in page


def test_the_page_escapes_names() -> None:
    found = findings([1, 2, 3], [1, 2, 2])
    sly = replace(found.results[0], name="<script>x</script>", notes='"><script>')
    page = ForecastFindings([sly], replace(found.experiment, about="<b>", date="2025-01-01")).html()
    assert "<script" not in page
    assert "<b></p>" not in page


def test_bins_keep_equal_forecasts_together_and_count_all_posts() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=1000)
    assert [one.posts for one in forecast_charts.bins(truth, np.full(1000, 3.0))] == [1000]
    cut = forecast_charts.bins(truth, truth)
    assert len(cut) == 10
    assert all(one.posts == 100 for one in cut)
    assert all(one.forecast == one.got for one in cut)


@pytest.mark.skipif(not LOBSTERS.is_file(), reason="the real posts are not here")
def test_on_real_posts_the_authors_past_clears_the_mean() -> None:
    from hashloom.data.read import read

    posts = read(LOBSTERS)[0].in_order()[-6000:]
    found = forecasting.compare(FLOORS, posts, say=lambda _: None)
    assert found.experiment.formula == "log2(max(score, 0) + 1)"
    gap = found.apart(found.names.index("author-mean"), found.names.index("mean"))
    assert gap.difference.high < 0
