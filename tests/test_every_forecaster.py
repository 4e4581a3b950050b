"""The contract: each file in forecasters/ passes all of this, a new one from its first minute."""

from datetime import timedelta

import numpy as np
import pytest
from world import START, town, undated

from hashloom import catalogue, keeping
from hashloom.data.target import Target
from hashloom.types import Post, Posts

TRAIN, HELD = town()
NAMES = catalogue.names("forecasters")
FITTED: dict[str, object] = {}
LATER = START + timedelta(days=900)


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


def made(name):
    return catalogue.find("forecasters", name)()


def fitted(name):
    """The forecaster with its default settings, fitted once for all tests."""
    if name not in FITTED:
        FITTED[name] = made(name).fit(TRAIN)
    return FITTED[name]


def same(one, other):
    pairs = [(one.values, other.values), (one.low, other.low), (one.high, other.high)]
    return list(one.ids) == list(other.ids) and all(np.allclose(a, b, atol=1e-5) for a, b in pairs)


def missed(found, posts):
    return float(np.mean((found.values - Target.parse("popularity").values(posts)) ** 2))


def test_one_forecast_per_post_in_the_order_given(name):
    back = HELD[::-1]
    found = fitted(name).forecast(back)
    assert list(found.ids) == back.ids
    assert same(found, type(found).concat([fitted(name).forecast(HELD[i : i + 1]) for i in range(len(HELD))[::-1]]))


def test_finite_and_inside_its_interval(name):
    found = fitted(name).forecast(HELD)
    assert np.isfinite([found.values, found.low, found.high]).all()
    assert (found.low <= found.values).all()
    assert (found.values <= found.high).all()
    assert (found.low < found.high).any()


def test_names_its_formula_and_coverage(name):
    found = fitted(name).forecast(HELD[:1])
    assert (found.formula, found.coverage) == ("popularity as given", 0.9)
    assert found[0].formula == found.formula


def test_no_posts_no_forecasts(name):
    assert len(fitted(name).forecast(HELD[:0])) == 0


def test_is_better_than_the_mean_of_the_training_posts(name):
    mean = float(np.mean(Target.parse("popularity").values(TRAIN)))
    floor = float(np.mean((Target.parse("popularity").values(HELD) - mean) ** 2))
    # The mean itself is one of the forecasters; no other may be worse than it.
    assert missed(fitted(name).forecast(HELD), HELD) < floor * (1.001 if name == "mean" else 0.9)


def test_unknown_authors_and_communities_and_empty_posts_are_answered(name):
    odd = Posts.of(
        [
            Post("x", "the eclipse", "harbour", "nobody"),
            Post("y"),
            Post("z", "🌊", "nowhere", None, LATER),
            Post("w", ""),
        ]
    )
    found = fitted(name).forecast(odd, explain=True)
    known = Target.parse("popularity").values(TRAIN)
    assert np.isfinite(found.values).all()
    assert (found.values > known.min() - 3).all()
    assert (found.values < known.max() + 3).all()


def test_the_future_and_the_posts_own_number_are_not_read(name):
    asked = Posts.of(HELD.frame.with_columns(popularity=99.0))
    author, community = HELD[0].user, HELD[0].community
    later = Posts.of([Post("later", "eclipse", community, author, LATER, tags=("Sky",), popularity=99.0)])
    plain = fitted(name).forecast(HELD)
    assert same(fitted(name).forecast(asked), plain)
    assert same(fitted(name).forecast(HELD, history=later), plain)
    assert same(fitted(name).forecast(asked, history=asked), fitted(name).forecast(HELD, history=asked))


def test_averages_that_know_the_future_are_not_read(name):
    """The challenge's column ``avgview`` is a mean over all posts of a user, later ones too."""
    import polars as pl

    asked = Posts.of(HELD.frame.with_columns(avgview=pl.lit(99.0), user_mean=pl.lit(99.0)))
    assert same(fitted(name).forecast(asked), fitted(name).forecast(HELD))


def test_settings_and_forecasts_survive_save_and_load(name, tmp_path):
    again = keeping.load(fitted(name).save(tmp_path / "model"))
    assert again == catalogue.build(fitted(name).settings()) == fitted(name)
    assert same(again.forecast(HELD), fitted(name).forecast(HELD))


def test_the_same_posts_give_the_same_model(name):
    assert same(made(name).fit(TRAIN).forecast(HELD), fitted(name).forecast(HELD))


def test_explained_forecasts_are_the_same_and_carry_reasons(name):
    found = fitted(name).forecast(HELD, explain=True)
    assert same(found, fitted(name).forecast(HELD))
    assert all(forecast.reasons for forecast in found)
    assert fitted(name).forecast(HELD).reasons is None
    if fitted(name).adds_up:
        sums = [sum(reason.weight for reason in forecast.reasons) for forecast in found]
        assert np.allclose(sums, found.values, atol=1e-4)


def test_of_strangers_no_earlier_posts_are_told_and_unknown_communities_are_not_named(name):
    asked = Posts.of([Post("x", "the eclipse", "nowhere", "nobody")])
    for reason in fitted(name).forecast(asked, explain=True)[0].reasons:
        assert reason.source != "author" or reason.where == "0 earlier posts"
        assert reason.where != "nowhere"


def test_update_is_known_at_once_and_only_once(name):
    model = made(name).fit(TRAIN)
    more = Posts.of([Post("new", "fog", "harbour", "newcomer", LATER, tags=("Sky",), popularity=9.0)])
    model.update(more)
    assert len(model.memory_) == len(TRAIN) + 1
    model.update(more)
    assert len(model.memory_) == len(TRAIN) + 1
    asked = Posts.of([Post("next", "fog", "harbour", "newcomer", LATER + timedelta(days=1))])
    assert np.isfinite(model.forecast(asked).values).all()


def test_what_is_forgotten_is_not_kept(name, tmp_path):
    model = made(name).fit(TRAIN)
    gone = model.forget(users=["citizen-1"], posts=["0-3"])
    assert gone.posts == sum(user == "citizen-1" for user in TRAIN.users) + 1
    assert "citizen-1" not in model.memory_.users
    assert "0-3" not in model.memory_.ids
    assert np.isfinite(model.forecast(HELD, explain=True).values).all()
    folder = model.save(tmp_path / "model")
    assert not [path for path in folder.rglob("*") if path.is_file() and "citizen-1" in unpacked(path)]
    assert any("citizen-2" in unpacked(path) for path in folder.rglob("*.parquet")), "what stays is found"
    with pytest.raises(TypeError, match="not one string"):
        model.forget(users="citizen-2")


def unpacked(path):
    """All that a file of a kept model says, compressed or wide as it may stand there."""
    import polars as pl

    if path.suffix == ".parquet":
        return repr(pl.read_parquet(path).rows())
    if path.suffix == ".npz":
        with np.load(path) as held:
            return repr([(name, held[name].tolist()) for name in held if held[name].dtype.kind in "US"])
    return path.read_bytes().decode("latin-1")


def test_posts_without_a_number_are_left_out_and_none_at_all_is_an_error(name):
    import polars as pl

    half = pl.when(pl.int_range(pl.len()) % 2 == 0).then(pl.col("popularity"))
    some = Posts.of(TRAIN.frame.with_columns(popularity=half))
    assert len(made(name).fit(some).memory_) == (len(TRAIN) + 1) // 2
    with pytest.raises(ValueError, match="no post states"):
        made(name).fit(Posts.of(TRAIN.frame.drop("popularity")))


@pytest.mark.parametrize("few", [1, 2, 5])
def test_few_posts_and_constant_numbers(name, few):
    import polars as pl

    posts = Posts.of(TRAIN[:few].frame.with_columns(popularity=pl.lit(2.0)))
    found = made(name).fit(posts).forecast(HELD, explain=True)
    assert np.isfinite([found.values, found.low, found.high]).all()
    assert np.allclose(found.values, 2.0, atol=0.5)


def test_undated_posts(name):
    found = made(name).fit(undated(TRAIN)).forecast(undated(HELD))
    assert np.isfinite(found.values).all()


def test_asked_too_early(name):
    with pytest.raises(RuntimeError, match="learnt nothing yet"):
        made(name).forecast(HELD)


def test_a_target_that_is_not_there_is_named(name):
    with pytest.raises(ValueError, match="no post states likes and user_followers"):
        catalogue.build({"forecaster": name, "target": "likes/user_followers"}).fit(TRAIN)
