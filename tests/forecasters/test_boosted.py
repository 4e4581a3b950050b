"""A shop whose numbers are known: each author, word, tag and picture colour adds so much, and nothing else does."""

from collections import Counter
from datetime import timedelta

import numpy as np
import pytest
from world import COLOURS, START, undated

from hashloom import keeping
from hashloom.forecasters._alike import near
from hashloom.forecasters._features import FEATURES, GROUPS, group_of
from hashloom.forecasters._past import Past, shrinkage, times
from hashloom.forecasters._words import out_of_fold, ridge
from hashloom.forecasters.boosted import Boosted
from hashloom.types import Post, Posts

AUTHORS = {"ada": 0.0, "bo": 1.0, "cy": 2.0, "di": 3.0}
WORDS = {"rye": 0.0, "oat": 1.5}
TAGS = {"bread": 0.0, "feast": 1.5}
SHADES = {"Red": 1.5, "Blue": 0.0}
LATER = START + timedelta(days=900)


def shop(folder, posts=480, seed=0, first=0):
    """Posts an hour apart and what each adds up to."""
    draw, rows = np.random.default_rng(seed), []
    for i in range(first, first + posts):
        author, word, tag, shade = (str(draw.choice(list(d))) for d in (AUTHORS, WORDS, TAGS, SHADES))
        got = 5 + AUTHORS[author] + WORDS[word] + TAGS[tag] + SHADES[shade] + draw.normal(0, 0.2)
        rows.append(
            Post(
                f"p{i}", f"{word} today", "shop", author, START + timedelta(hours=i), (str(folder / f"{shade}.png"),),
                (tag,), popularity=float(got),
            )
        )  # fmt: skip
    return Posts.of(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from PIL import Image

    made = tmp_path_factory.mktemp("shades")
    for shade in SHADES:
        Image.new("RGB", (32, 32), COLOURS[shade]).save(made / f"{shade}.png")
    return made


@pytest.fixture(scope="module")
def known(folder):
    return shop(folder)


@pytest.fixture(scope="module")
def asked(folder):
    return shop(folder, 80, seed=1, first=480)


@pytest.fixture(scope="module")
def model(known):
    return Boosted().fit(known)


def numbers(posts):
    return posts.frame["popularity"].to_numpy()


def missed(model, posts, **more):
    return float(np.mean((model.forecast(posts, **more).values - numbers(posts)) ** 2))


def test_learns_what_author_word_tag_and_picture_add(model, asked):
    everything = float(np.var(numbers(asked)))
    # What is left is the noise of .2 and little more.
    assert missed(model, asked) < 0.1 * everything


@pytest.mark.parametrize("group", ["author", "text", "image", "tag"])
def test_without_a_group_what_it_adds_is_missed(model, known, asked, group):
    # Alike posts carry text and picture too.
    less = Boosted(without=[group, "neighbour"]).fit(known)
    assert missed(less, asked) > missed(model, asked) + 0.3
    assert group not in {group_of(name) for name in less.features_}


def test_reasons_add_up_and_name_the_group_that_matters(model, known, asked):
    found = model.forecast(asked, explain=True)
    assert np.allclose([sum(r.weight for r in f.reasons) for f in found], found.values, atol=1e-6)
    # Alike posts share text and picture, and would take a part of what these add.
    found = Boosted(without=["neighbour"]).fit(known).forecast(asked, explain=True)
    for truth, group in [
        ([AUTHORS[user] for user in asked.users], "author"),
        ([TAGS[row[0]] for row in asked.tags], "tag"),
        ([WORDS[text.split()[0]] for text in asked.texts], "text"),
        ([SHADES[row[0].split("/")[-1][:-4]] for row in asked.frame["images"].to_list()], "image"),
    ]:
        said = [sum(r.weight for r in f.reasons if r.source == group) for f in found]
        assert np.corrcoef(said, truth)[0, 1] > 0.9


def test_reasons_say_where(model, known, asked):
    why = {reason.source: reason for reason in model.forecast(asked[:1], explain=True)[0].reasons}
    assert set(why) == {*GROUPS, "model"}
    assert why["tag"].where == asked.tags[0][0]
    assert why["neighbour"].where in known.ids
    assert why["author"].where in FEATURES
    assert why["community"].where == "community_level"
    assert (why["text"].where, why["image"].where) == ("the text", "picture")


def test_the_nearest_post_is_alike(model, known, asked):
    where = [r.where for f in model.forecast(asked[:20], explain=True) for r in f.reasons if r.source == "neighbour"]
    of = {post.id: (post.text, post.images) for post in known}
    assert [of[i] for i in where] == [(post.text, post.images) for post in asked[:20]]


def test_posts_of_the_history_may_be_neighbours(model, asked):
    before = Posts.of([Post("twin", asked[0].text, "shop", "ada", asked[0].created_at - timedelta(minutes=5),
                            asked[0].images, popularity=6.0)])  # fmt: skip
    found = model.forecast(asked[:1], history=before, explain=True)[0]
    assert [r.where for r in found.reasons if r.source == "neighbour"] == ["twin"]


def test_a_later_post_changes_nothing(model, asked):
    later = Posts.of([Post("later", "rye today", "shop", "ada", LATER, tags=("bread",), popularity=99.0)])
    plain = model.forecast(asked)
    assert np.array_equal(model.forecast(asked, history=later).values, plain.values)
    again = keeping_a_copy(model).update(later)
    assert np.array_equal(again.forecast(asked).values, plain.values)


def keeping_a_copy(model):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return keeping.load(model.save(f"{folder}/model"))


def test_training_rows_see_strictly_earlier_posts_alone(known):
    """Features of the first posts do not change when the numbers of later ones do."""
    import polars as pl

    changed = Posts.of(known.frame.with_columns(
        popularity=pl.when(pl.int_range(pl.len()) < 200).then("popularity").otherwise(pl.col("popularity") * 7)
    ))  # fmt: skip
    rows = []
    for posts in (known, changed):
        made = Boosted(trees=2).fit(posts)
        made.usual_, made.weights_ = [5.0, 1.0, 2.0], np.zeros(len(made.words_))
        made._clear()
        part, record = posts[:200], made._record
        seen = made._past(record).seen(part, made.among)
        columns, _ = made._columns(part, record, made.looks_[:200], seen, np.zeros(200))
        rows.append(np.stack(list(columns.values()), axis=1))
    assert np.array_equal(rows[0], rows[1], equal_nan=True)


def test_an_update_moves_forecasts_and_forgetting_takes_it_back(model, known):
    copy = keeping_a_copy(model)
    day = known[-1].created_at
    asked = Posts.of([Post("next", "oat today", "shop", "eve", day + timedelta(days=2), tags=("bread",))])
    plain = copy.forecast(asked)[0].value
    more = [Post(f"e{i}", "oat today", "shop", "eve", day + timedelta(hours=i + 1), tags=("bread",), popularity=12.0)
            for i in range(9)]  # fmt: skip
    copy.update(Posts.of(more[::-1]))
    assert copy.forecast(asked)[0].value > plain + 1
    assert len(copy.looks_) == len(copy.memory_) == len(known) + 9
    copy.forget(users=["eve"], posts=["p3"])
    assert len(copy.looks_) == len(copy.memory_) == len(known) - 1
    assert abs(copy.forecast(asked)[0].value - plain) < 0.5
    assert np.allclose(copy.looks_, copy._looks(known[[i for i in range(len(known)) if i != 3]]), atol=1e-5)


def test_vectors_stay_in_step_where_updates_come_before_what_is_known(model, known):
    copy = keeping_a_copy(model)
    copy.update(Posts.of([Post("old", "oat sold out", "shop", "ada", START - timedelta(days=1), popularity=5.0)]))
    assert copy.memory_.ids[0] == "old"
    assert np.allclose(copy.looks_[0], copy._looks(Posts.of([Post("x", "oat sold out")]))[0], atol=1e-6)


def test_what_is_missing_is_answered(model, known):
    odd = Posts.of([Post("a"), Post("b", "oat", "elsewhere"), Post("c", images=("gone.png",), user="new"),
                    Post("d", "rye", "shop", "ada", LATER, tags=("unheard",))])  # fmt: skip
    found = model.forecast(odd, explain=True)
    assert np.isfinite([found.values, found.low, found.high]).all()
    where = {r.source: r.where for r in found[0].reasons}
    assert (where["text"], where["image"], where["tag"]) == ("no text", "no picture", "no tags")
    assert {r.source: r.where for r in found[1].reasons}["neighbour"] == "no earlier post"


def test_undated_posts_come_in_the_order_given(known, asked):
    made = Boosted().fit(undated(known))
    assert missed(made, undated(asked)) < 0.2 * float(np.var(numbers(asked)))


@pytest.mark.parametrize("few", [1, 3, 12])
def test_few_posts(known, few):
    found = Boosted().fit(known[:few]).forecast(known[:3], explain=True)
    assert np.isfinite([found.values, found.low, found.high]).all()


def test_constant_numbers_and_columns_of_nulls(known):
    import polars as pl

    bare = known.frame.with_columns(
        popularity=pl.lit(4.0), user=pl.lit(None, pl.String), text=pl.lit(None, pl.String),
        images=pl.lit([], pl.List(pl.String)), tags=pl.lit([], pl.List(pl.String)), followers=pl.lit(None, pl.Int64),
    )  # fmt: skip
    found = Boosted().fit(Posts.of(bare)).forecast(known, explain=True)
    assert np.allclose(found.values, 4.0)
    assert np.allclose([sum(r.weight for r in f.reasons) for f in found], 4.0)


def test_exposure_is_a_feature_where_the_target_has_one(known):
    import polars as pl

    frame = known.frame.with_columns(likes=2 ** pl.col("popularity"), user_followers=pl.lit(50.0))
    made = Boosted(target="likes/user_followers", trees=20).fit(Posts.of(frame))
    assert "exposure" in made.features_
    assert np.isfinite(made.forecast(known).values).all()


def test_an_unknown_group_is_refused():
    with pytest.raises(ValueError, match="no group of features 'weather'"):
        Boosted(without=["weather"])


def test_every_feature_has_its_words(model):
    assert {name.partition(" ")[0] for name in model.features_} <= FEATURES.keys()
    assert all(group in GROUPS and english and japanese for group, english, japanese in FEATURES.values())
    phrases = Counter(phrase for _, *both in FEATURES.values() for phrase in both)
    assert max(phrases.values()) == 1


def test_intervals_cover(model, folder):
    # New posts of the same shop, numbers with the same noise.
    fresh = shop(folder, 400, seed=2, first=480)
    found = model.forecast(fresh)
    inside = (found.low <= numbers(fresh)) & (numbers(fresh) <= found.high)
    assert 0.8 <= inside.mean() <= 1


def test_past_by_hand():
    import polars as pl

    from hashloom.data.history import History
    from hashloom.data.record import Record

    rows = [Post(str(i), "", "c", "mo", START + timedelta(days=i), tags=("t",)) for i in range(3)]
    frame = Posts.of(rows).frame.with_columns(value=pl.Series([10.0, 20.0, 30.0]))
    past = Past(Record(History(Posts(frame))), usual=10.0, spread=1.0, shrink=1.0, window=2)
    asked = Posts.of([Post("new", "", "c", "mo", START + timedelta(days=3), tags=("t",))])
    seen = past.seen(asked, 1)
    # Two latest, 20 and 30, and ten of the usual 10.
    assert past.levels(seen)[0] == pytest.approx((20 + 30 + 10 * 10) / 12)
    assert past.beyond.tolist() == pytest.approx([0.0, 10.0, 30 - 130 / 12])
    total = past.beyond.sum()
    assert past.author(asked)["author_mean"][0] == pytest.approx(total / (3 + 1.0))
    assert past.author(asked)["author_gap"][0] == pytest.approx(np.log1p(1))
    assert past.tags(asked, seen)["tag_mean"][0] == pytest.approx(total / (3 + 10.0))
    assert past.tags(Posts.of(rows[:1]), past.seen(Posts.of(rows[:1]), 1))["tag_mean"][0] == 0


def test_neighbours_by_hand():
    import polars as pl

    from hashloom.data.history import History
    from hashloom.data.record import Record

    rows = [Post(str(i), "", "cd"[i % 2], created_at=START + timedelta(days=i)) for i in range(6)]
    record = Record(History(Posts(Posts.of(rows).frame.with_columns(value=pl.Series(np.arange(6.0))))))
    looks = np.array([[1, 0], [0, 1], [0, 1], [1, 0], [1, 0], [0, 1]], np.float32)
    asked = Posts.of([rows[4], Post("x", "", "d"), Post("y", "", "e")])
    vectors = np.array([[1, 0], [1, 0], [1, 0]], np.float32)
    found = near(asked, vectors, record, looks, 2, record.rows(asked, "community"))
    # Of the four others that each may see, one is alike.
    assert found.rows.tolist() == [[0, -1], [3, -1], [-1, -1]]
    assert found.mean(record.values)[:2].tolist() == [0.0, 3.0]
    assert np.isnan(found.mean(record.values)[2])


def test_words_are_weighed_by_earlier_posts_alone():
    from scipy.sparse import csr_matrix

    draw = np.random.default_rng(0)
    x = csr_matrix((draw.random((400, 5)) < 0.4).astype(float))
    y = x @ np.array([1.0, -1, 0, 2, 0])
    said, weights = out_of_fold(x, y, 1.0, 60)
    assert np.isnan(said[:60]).all()
    assert np.corrcoef(said[60:], y[60:])[0, 1] > 0.99
    assert weights == pytest.approx([1, -1, 0, 2, 0], abs=0.1)
    again, _ = out_of_fold(x, np.concatenate([y[:340], y[340:] * -9]), 1.0, 60)
    assert np.array_equal(again, said, equal_nan=True)
    assert not ridge(x[:10], y[:10], 1.0).any()


def test_shrinkage_tells_alike_authors_from_unlike_ones():
    draw = np.random.default_rng(0)
    authors = [i % 20 for i in range(400)]
    noise = draw.normal(size=400)
    unlike = shrinkage(noise + 3 * np.array(authors), list(authors))
    assert unlike < 1 < 10 < shrinkage(noise, list(authors))
    assert np.isnan(times(Posts.of([Post("a")]))["hour"][0])


def test_intervals_widen_where_numbers_vary_more_of_late(model, known):
    day, draw = known[-1].created_at, np.random.default_rng(3)
    wild = Posts.of([Post(f"w{i}", "rye today", "shop", "zoe", day + timedelta(minutes=i + 1),
                          popularity=float(draw.choice([0.0, 20.0]))) for i in range(300)])  # fmt: skip
    asked = Posts.of([Post("next", "oat today", "shop", "ada", day + timedelta(days=2))])
    calm, unrest = model.forecast(asked)[0], model.forecast(asked, history=wild)[0]
    assert unrest.high - unrest.low > 2 * (calm.high - calm.low)


def test_histories_asked_in_turn_do_not_mix(model, asked):
    """As two threads do that answer with one model."""
    day = asked[0].created_at
    one, other = (
        Posts.of([Post(name, asked[0].text, "shop", "ada", day - timedelta(minutes=5), popularity=6.0)])
        for name in ("one", "other")
    )
    plain, copy = model.forecast(asked[:1], history=one).values, keeping_a_copy(model)
    record = copy._record_with(one)
    copy._record_with(other)
    assert np.array_equal(copy._guess(asked[:1], record, False).values, plain)
