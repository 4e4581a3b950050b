"""What the forecasters that are networks must show (models §15, checks 1 to 6; traps of §11.11)."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from world import gallery

from hashloom import catalogue, keeping
from hashloom.types import Post, Posts

QUICK = {"width": 16, "head": 32, "directions": 16, "rate": 0.01, "epochs": 2, "batch": 32, "dropout": 0.0}
MODELS = {
    "uhan": {"forecaster": "uhan"},
    "no-intra": {"forecaster": "uhan", "intra": False},
    "no-inter": {"forecaster": "uhan", "inter": "mean"},
    "concat": {"forecaster": "uhan", "inter": "concat"},
    "user-intra": {"forecaster": "uhan", "user": "intra", "residual": False},
    "user-inter": {"forecaster": "uhan", "user": "inter", "residual": False},
    "no-residual": {"forecaster": "uhan", "residual": False},
    "no-user": {"forecaster": "uhan", "user": "none", "residual": False},
    "text": {"forecaster": "uhan", "reads": "text"},
    "picture": {"forecaster": "uhan", "reads": "picture"},
    "dual-attention": {"forecaster": "dual_attention"},
    "dmf": {"forecaster": "dmf"},
}
READ_BOTH = [name for name in MODELS if name not in ("text", "picture")]
STRANGE = ["no-user", "dual-attention", "dmf"]
"""Those that do not know authors."""
GRAIN = {"Rye": 1.0, "Oat": 0.0, "Spelt": -1.0}
COLOUR = {"Red": 1.5, "Green": 0.0, "Blue": -1.5}
FITTED: dict[str, object] = {}


def with_column(posts, name, values):
    kind = posts.frame.schema.get(name, pl.Float64)
    return Posts(posts.frame.with_columns(pl.Series(name, values, dtype=kind)))


def turned(posts, name, by):
    """The posts with one column handed on to another post."""
    values = posts.frame[name].to_list()
    return with_column(posts, name, values[by:] + values[:by])


def priced(posts, author=1.0):
    """Popularity that follows from a word, the picture's colour and the author, in equal measure."""
    values = [5 + GRAIN[a] + COLOUR[b] + author * (int(c[-1]) - 2.5) for a, b, c in posts.tags]
    return with_column(posts, "popularity", values)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return tuple(map(priced, gallery(tmp_path_factory.mktemp("gallery"))))


def built(name, **changed):
    return catalogue.build(MODELS[name] | QUICK | changed)


def fitted(name, world):
    if name not in FITTED:
        FITTED[name] = built(name, held=0.0, epochs=5 if name in ("uhan", "no-user") else 1).fit(world[0])
    return FITTED[name]


def missed(model, posts):
    """The mean squared error."""
    return float(np.mean((model.forecast(posts).values - posts.frame["popularity"].to_numpy()) ** 2))


@pytest.mark.parametrize("name", ["uhan", "user-intra", "text", "picture", "dual-attention", "dmf"])
def test_sixty_four_posts_are_learnt_by_heart(name, world):
    posts = world[0][:64]
    # What a variant does not read has no part in what it is asked to learn.
    author = float(name not in STRANGE)
    tags = [[a if name != "picture" else "Oat", b if name != "text" else "Green", c] for a, b, c in posts.tags]
    posts = priced(with_column(posts, "tags", tags), author)
    # An author who guides attention and does nothing else is learnt slowly.
    epochs = 24 if name == "user-intra" else 9
    model = built(name, held=0.0, epochs=epochs, strangers=0.0).fit(posts)
    assert missed(model, posts) / posts.frame["popularity"].to_numpy().var() < 0.01


def test_words_pictures_and_authors_are_read(world):
    model, held = fitted("uhan", world), world[1]
    assert missed(model, held) < 0.5
    for column, by in (("text", 1), ("images", 3), ("user", 1)):
        assert missed(model, turned(held, column, by)) > missed(model, held) + 0.3, column


def test_shuffled_authors_cost_most_of_what_knowing_them_gains(world):
    train, held = world
    mixed = with_column(train, "user", np.random.default_rng(0).permutation(train.users).tolist())
    known, without = missed(fitted("uhan", world), held), missed(fitted("no-user", world), held)
    shuffled = missed(built("uhan", held=0.0, epochs=5).fit(mixed), held)
    assert without - known > 1.0, "there is something to gain"
    assert shuffled - known > 0.8 * (without - known)


@pytest.mark.parametrize(("name", "column"), [("text", "images"), ("picture", "text")])
def test_what_is_not_read_changes_nothing(name, column, world):
    model, held = fitted(name, world), world[1]
    other = turned(held, column, 3)
    assert np.array_equal(model.forecast(held).values, model.forecast(other).values)
    assert model.marks(held)[0].regions is None if name == "text" else not model.marks(held)[0].words


@pytest.mark.parametrize("name", STRANGE)
def test_what_does_not_know_authors_keeps_none(name, world):
    model, held = fitted(name, world), world[1]
    assert model.authors_ == []
    assert np.array_equal(model.forecast(held).values, model.forecast(turned(held, "user", 1)).values)


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_the_same(name, world, tmp_path):
    model, held = fitted(name, world), world[1]
    again = keeping.load(model.save(tmp_path / "model"))
    one, other = model.forecast(held, explain=True), again.forecast(held, explain=True)
    assert np.array_equal(one.values, other.values)
    assert list(one.reasons) == list(other.reasons)


def test_the_same_seed_gives_the_same_weights_and_another_others(world):
    short = [built("uhan", epochs=1, seed=seed).fit(world[0]) for seed in (3, 3, 4)]
    first, again, other = (hashlib.sha256(model.network_).hexdigest() for model in short)
    assert first == again != other


def test_training_and_answering_see_the_same(world, monkeypatch):
    """The network that was trained says in torch what the kept one says of the same posts (half precision aside)."""
    from hashloom.forecasters import _network_training as learning

    made = {}
    keep = learning.Work.keep

    def noting(work, network, course):
        rows = np.arange(len(work.targets))
        keep(work, network, course)
        made["said"] = network(**work.inputs(rows))[0].detach().numpy()

    monkeypatch.setattr(learning.Work, "keep", noting)
    model = built("uhan", epochs=2, held=0.0).fit(world[0])
    said = model.scale_[0] + model.scale_[1] * made["said"]
    assert np.allclose(said, model.forecast(world[0]).values, atol=0.01)


@pytest.mark.parametrize("name", MODELS)
def test_what_a_post_lacks_is_answered(name, world, tmp_path):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8 no picture")
    picture, text = world[1][0].images, world[1][0].text
    odd = Posts.of(
        [
            Post("none"),
            Post("words", text, "shop", "u1"),
            Post("picture", "", "shop", "u1", images=picture),
            Post("broken", text, "shop", "u1", images=(str(broken),)),
            Post("unknown words", "zzz qqq", "shop", "u1", images=picture),
            Post("nobody", text, "shop", images=picture),
        ]
    )
    found = fitted(name, world).forecast(odd, explain=True)
    values = found.values
    assert np.isfinite(values).all()
    assert np.all(np.abs(values - 5) < 8)
    assert values[1] == values[3], "a picture that cannot be read is no picture"
    assert all(found.reasons)
    marks = fitted(name, world).marks(odd)
    if marks[0] is not None:
        assert (not marks[0].words, marks[0].regions, marks[0].sides) == (True, None, None)


def test_a_stranger_is_met_with_the_strangers_vector(world):
    model, held = fitted("uhan", world), world[1]
    strange = [with_column(held, "user", [who] * len(held)) for who in ("nobody", "another", None)]
    values = [model.forecast(posts).values for posts in strange]
    assert np.array_equal(values[0], values[1])
    assert np.array_equal(values[0], values[2])
    elsewhere = with_column(with_column(held, "user", ["u5"] * len(held)), "community", ["elsewhere"] * len(held))
    assert np.array_equal(model.forecast(elsewhere).values, values[0]), "the same name elsewhere is another author"
    # Trained on posts of all authors shown as a stranger's, it expects about what all of them got.
    usual = [5 + GRAIN[a] + COLOUR[b] for a, b, _ in held.tags]
    assert np.mean((values[0] - np.array(usual)) ** 2) < 1.0


def test_authors_of_few_posts_are_strangers(world):
    once = Posts.of([Post("once", "rye flour", "shop", "hapax", world[0][0].created_at)])
    train = Posts.concat([world[0], with_column(once, "popularity", [3.0])])
    known = {user for _, user in built("uhan", epochs=1, held=0.0).fit(train).authors_}
    assert known == set(world[0].users)
    assert "hapax" in {user for _, user in built("uhan", epochs=1, held=0.0, least_posts=1).fit(train).authors_}


def test_only_the_early_posts_are_learnt_from_before_the_late_are_judged(world):
    """Numbers of the latest posts choose when to stop and nothing else; no vocabulary comes from them either."""
    train = world[0]
    late = int(len(train) * 0.15)
    texts = train.texts[:-late] + ["latecomer latecomer"] * late
    model = built("uhan", epochs=1).fit(with_column(train, "text", texts))
    assert "latecomer" not in model.reader_["words"]
    plain = built("uhan", epochs=1, every=40).fit(train)  # judged once
    shifted = train.frame["popularity"].to_numpy().copy()
    shifted[-late:] += 50
    other = built("uhan", epochs=1, every=40).fit(with_column(train, "popularity", shifted))
    assert other.network_ == plain.network_
    assert other.scale_ == plain.scale_
    again = built("uhan", epochs=1, refit=True).fit(with_column(train, "text", texts))
    assert "latecomer" in again.reader_["words"]
    assert again.intervals_ == model.intervals_, "the intervals come from before"


def test_the_best_judgement_is_kept_and_training_can_be_taken_up(world, tmp_path):
    settings = {"epochs": 1, "every": 10, "patience": 99, "held": 0.2}
    model = built("uhan", **settings).fit(world[0])
    scores = model.course_["scores"]
    assert scores[model.course_["best"] - 1] == max(scores)
    late = world[0][len(world[0]) - int(len(world[0]) * 0.2) :]
    assert missed(model, late) / model.scale_[1] ** 2 == pytest.approx(-max(scores), abs=0.01)
    folder = str(tmp_path / "state")
    first = built("uhan", **settings, checkpoint=folder).fit(world[0])
    assert first.network_ == built("uhan", **settings, checkpoint=folder).fit(world[0]).network_


def test_training_for_other_numbers_is_not_taken_up(world, tmp_path):
    posts, settings = world[0][:24], {"epochs": 1, "reads": "text", "checkpoint": str(tmp_path / "state")}
    built("uhan", **settings).fit(posts)
    numbers = posts.frame["popularity"].to_list()
    with pytest.raises(ValueError, match="left by another training"):
        built("uhan", **settings).fit(with_column(posts, "popularity", numbers[::-1]))


def test_marks_are_shares_of_words_as_written_and_of_regions(world):
    model, posts = (
        fitted("uhan", world),
        with_column(world[1], "text", ["Oat, unheardof FLAKES: toasted"] * len(world[1])),
    )
    first = model.marks(posts)[0]
    assert first.kind == "attention"
    assert [word for word, _ in first.words] == ["Oat", "FLAKES", "toasted"]
    assert sum(weight for _, weight in first.words) == pytest.approx(1, abs=1e-5)
    assert first.regions.shape == (7, 7)
    assert first.regions.sum() == pytest.approx(1, abs=1e-5)
    assert sum(first.sides) == pytest.approx(1, abs=1e-5)
    assert model.marks(posts[:0]) == []


def test_beyond_the_authors_mean_later_posts_of_an_author_count(world):
    train, held = world
    model = built("uhan", beyond="author", held=0.2).fit(train)
    assert missed(model, held) < 1.5
    later = Posts.of([Post("new", "rye flour", "shop", "newcomer", train[0].created_at)] * 1)
    later = with_column(later, "popularity", [15.0])
    asked = with_column(held, "user", ["newcomer"] * len(held))
    plain, known = model.forecast(asked).values, model.forecast(asked, history=later, explain=True)
    assert np.all(known.values > plain + 1)
    said = {reason.source: reason for reason in known[0].reasons}["author"]
    assert said.where == "1 earlier posts"
    # The community's mean, which rises a little as well, is not the author's part.
    assert 0.8 < said.weight / (known.values[0] - plain[0]) < 1


def test_a_side_that_no_post_has_is_left_out(world):
    train, held = world
    bare = with_column(train, "images", [[]] * len(train))
    model = built("uhan", epochs=1).fit(bare)
    found, again = model.forecast(held, explain=True), model.forecast(turned(held, "images", 1))
    assert np.array_equal(found.values, again.values)
    assert {reason.source for reasons in found.reasons for reason in reasons} == {"text", "author"}
    assert model.marks(held)[0].regions is None
    silent = built("uhan", epochs=1).fit(with_column(train, "text", [""] * len(train)))
    assert {reason.source for reasons in silent.forecast(held, explain=True).reasons for reason in reasons} == {
        "image",
        "author",
    }


@pytest.mark.parametrize("name", ["no-intra", "dmf"])
def test_means_mark_nothing(name, world):
    assert fitted(name, world).marks(world[1]) == [None] * len(world[1])


def test_reasons_are_what_was_looked_at_and_what_the_author_changes(world):
    model, held = fitted("uhan", world), world[1]
    plain = model.forecast(held).values
    strange = model.forecast(with_column(held, "user", [None] * len(held))).values
    for i, forecast in enumerate(model.forecast(held, explain=True)):
        by = {source: [r for r in forecast.reasons if r.source == source] for source in ("text", "image", "author")}
        assert [len(rows) for rows in by.values()] == [3, 3, 1]
        assert by["author"][0].where == "12 earlier posts"
        assert by["author"][0].weight == pytest.approx(plain[i] - strange[i], abs=1e-6)
        mark = model.marks(held[i : i + 1])[0]
        best = max(mark.words, key=lambda pair: pair[1])
        assert by["text"][0].where == best[0]
        assert by["text"][0].weight == pytest.approx(best[1] * mark.sides[0], abs=1e-6)


def test_a_model_without_attention_says_what_each_side_changes(world):
    model, held = fitted("dmf", world), world[1][:3]
    plain = model.forecast(held).values
    no_text = model.forecast(with_column(held, "text", [""] * 3)).values
    for i, forecast in enumerate(model.forecast(held, explain=True)):
        said = {reason.source: reason for reason in forecast.reasons}
        assert set(said) == {"text", "image"}
        assert said["text"].weight == pytest.approx(plain[i] - no_text[i], abs=1e-6)


def test_forgotten_authors_are_strangers_and_their_names_are_gone(world, tmp_path):
    held = world[1]
    model = keeping.load(fitted("uhan", world).save(tmp_path / "model"))
    before = model.forecast(held).values
    model.forget(users=["u5"])
    after = model.forecast(held).values
    mine = np.array(held.users) == "u5"
    assert np.array_equal(before[~mine], after[~mine])
    strange = model.forecast(with_column(held, "user", [None] * len(held))).values
    assert np.array_equal(after[mine], strange[mine])
    assert ["shop", "u5"] not in model.authors_
    assert keeping.load(model.save(tmp_path / "again")).authors_ == model.authors_


def test_an_author_whose_posts_are_all_forgotten_is_forgotten(world, tmp_path):
    model = keeping.load(fitted("uhan", world).save(tmp_path / "model"))
    mine = [post.id for post in world[0] if post.user == "u5"]
    model.forget(posts=mine[1:])
    assert ["shop", "u5"] in model.authors_
    model.forget(posts=mine[:1])
    assert ["shop", "u5"] not in model.authors_
    assert "u5" not in (model.save(tmp_path / "again") / "learnt.json").read_text()


def test_a_posts_several_pictures_are_one_unit(world):
    one = world[1][0]
    more = (*one.images, *world[1][1].images)
    posts = Posts.of([Post("a", one.text, one.community, one.user, images=pictures) for pictures in (one.images, more)])
    found = fitted("uhan", world).forecast(posts)
    assert len(found) == 2
    assert found.values[0] == found.values[1], "the first that can be read stands for the post"


def test_answers_need_no_torch(world, tmp_path):
    folder = fitted("uhan", world).save(tmp_path / "model")
    code = f"""
import sys
from hashloom import keeping
from hashloom.types import Post, Posts
model = keeping.load({str(folder)!r})
model.forecast(Posts.of([Post("a", "rye flour", "shop", "u1")]), explain=True)
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_recipes_of_the_network_build():
    names = [path.stem for path in (Path(catalogue.__file__).parent / "recipes").glob("uhan*.toml")]
    assert len(names) == 12
    for name in [*names, "dual-attention", "dmf"]:
        settings = catalogue.recipe(name)["model"]
        model = catalogue.build(settings)
        assert model.settings()["forecaster"] == settings["forecaster"]
    assert catalogue.recipe("uhan-paper")["model"]["width"] == 512
