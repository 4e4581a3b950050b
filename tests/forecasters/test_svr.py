"""Posts whose numbers follow from their words and the colour of their picture."""

import numpy as np
import pytest
from world import COLOURS, START

from hashloom import catalogue, keeping
from hashloom.encoders.floret import Floret
from hashloom.forecasters._words import Words
from hashloom.forecasters.svr import SVR, found
from hashloom.types import Post, Posts

WORDS = {"rye": 0.0, "oat": 2.0, "spelt": 4.0}
SHADES = {"Red": 0.0, "Green": 1.5, "Blue": 3.0}


def shop(folder, posts=240, seed=0):
    draw, rows = np.random.default_rng(seed), []
    for i in range(posts):
        word, shade = (str(draw.choice(list(d))) for d in (WORDS, SHADES))
        got = 5 + WORDS[word] + SHADES[shade] + draw.normal(0, 0.1)
        rows.append(Post(f"{seed}-{i}", f"Fresh {word.title()} now", "shop", None, START,
                         (str(folder / f"{shade}.png"),), popularity=float(got)))  # fmt: skip
    return Posts.of(rows)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from PIL import Image

    made = tmp_path_factory.mktemp("shades")
    for shade in SHADES:
        Image.new("RGB", (32, 32), COLOURS[shade]).save(made / f"{shade}.png")
    return made


def quick(**settings):
    return SVR(vectors=Floret(dim=12, epochs=1, least_words=20_000, buckets=500), **settings)


@pytest.fixture(scope="module")
def known(folder):
    return shop(folder)


@pytest.fixture(scope="module")
def asked(folder):
    return shop(folder, 60, seed=1)


@pytest.fixture(scope="module")
def best(known):
    return quick().fit(known)


def missed(model, posts):
    return float(np.mean((model.forecast(posts).values - posts.frame["popularity"].to_numpy()) ** 2))


def test_words_and_pictures_together_are_found_best(best, asked):
    assert "picture" in best.chosen_
    assert {"tfidf", "vectors"} & set(best.chosen_)
    assert missed(best, asked) < 0.1 * float(np.var(asked.frame["popularity"].to_numpy()))


@pytest.mark.parametrize(("features", "share"), [("picture", 0.75), ("tfidf", 0.5), ("vectors", 0.6), ("all", 0.1)])
def test_a_combination_can_be_forced(known, asked, features, share):
    made = quick(features=features).fit(known)
    assert made.chosen_ == (["picture", "tfidf", "vectors"] if features == "all" else [features])
    assert missed(made, asked) < share * float(np.var(asked.frame["popularity"].to_numpy()))


@pytest.mark.parametrize("features", ["tfidf", "vectors", "all", "picture+tfidf"])
def test_reasons_add_up_and_name_the_word(known, asked, features):
    made = quick(features=features).fit(known)
    answers = made.forecast(asked, explain=True)
    for post, answer in zip(asked, answers):
        assert sum(r.weight for r in answer.reasons) == pytest.approx(answer.value, abs=1e-6)
        told = {r.where: r.weight for r in answer.reasons if r.source == "text"}
        assert told.keys() <= {*post.text.split(), "other words"}
    weights = {w: np.mean([r.weight for a in answers for r in a.reasons if r.where == w.title()]) for w in WORDS}
    assert weights["rye"] < weights["oat"] < weights["spelt"]


def test_the_picture_is_a_reason_of_its_own(known, asked):
    answers = quick(features="all").fit(known).forecast(asked, explain=True)
    said = [r.weight for a in answers for r in a.reasons if r.source == "image"]
    truth = [SHADES[row[0].split("/")[-1][:-4]] for row in asked.frame["images"].to_list()]
    assert np.corrcoef(said, truth)[0, 1] > 0.9


def test_marks_say_what_each_word_adds(known):
    made = quick(features="tfidf").fit(known)
    marked = made.marks(Posts.of([Post("a", "Fresh Spelt, and rye"), Post("b")]))
    assert marked[0].kind == "contribution"
    assert [word for word, _ in marked[0].words] == ["Fresh", "Spelt", "rye"]
    weights = dict(marked[0].words)
    assert weights["Spelt"] > 0 > weights["rye"]
    assert list(marked[1].words) == []


def test_a_cost_can_be_forced_and_the_absolute_loss_taken(known, asked):
    made = quick(features="tfidf", cost=0.5, loss="absolute").fit(known)
    assert made.cost_ == 0.5
    assert missed(made, asked) < missed(catalogue.build({"forecaster": "mean"}).fit(known), asked)


def test_is_kept_without_pickle(best, asked, tmp_path):
    again = keeping.load(best.save(tmp_path / "model"))
    assert np.allclose(again.forecast(asked).values, best.forecast(asked).values)
    assert not [path for path in (tmp_path / "model").rglob("*") if path.suffix in (".pkl", ".joblib")]


def test_posts_without_text_or_picture(best):
    odd = Posts.of([Post("a"), Post("b", "Oat"), Post("c", images=("gone.png",)), Post("d", "never heard 雨")])
    answers = best.forecast(odd, explain=True)
    assert np.isfinite([answers.values, answers.low, answers.high]).all()
    assert np.allclose([sum(r.weight for r in a.reasons) for a in answers], answers.values)


def test_without_pictures_at_all(known):
    made = quick(image=None).fit(known)
    assert "picture" not in made.chosen_
    bare = Posts.of(known.frame.drop("images"))
    assert np.isfinite(quick().fit(bare).forecast(bare).values).all()
    with pytest.raises(ValueError, match="image"):
        quick(image=None, features="picture").fit(known)


def test_one_post_and_constant_numbers(known):
    import polars as pl

    one = quick().fit(known[:1])
    assert one.forecast(known[:1]).values[0] == pytest.approx(known[0].popularity)
    flat = Posts.of(known.frame.with_columns(popularity=pl.lit(3.0)))
    assert np.allclose(quick(features="tfidf").fit(flat).forecast(known).values, 3.0)


def test_words_as_rows_of_unit_length():
    words = Words.learn(["a b", "a c", "a a"], quick().vectors.tokens, 1, 2)
    assert words.words == ["a", "b"]
    at, weights = words.row("b a a zebra")
    assert [words.words[i] for i in at] == ["b", "a"]
    assert weights @ weights == pytest.approx(1)
    assert words.dot(["a", ""], np.array([2.0, 0])).tolist() == [2.0, 0.0]
    assert found("no such", "rye") == "rye"
