"""Every suggestion has a reason, and the marked word or region is the one that decides."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from test_every_recommender import HELD, NAMES, fitted
from world import START, WORDS, checkerboard, gallery

from hashloom import catalogue
from hashloom.explain.marks import marks
from hashloom.explain.occlusion import MOST, Canvas, occluded, stretches
from hashloom.forecasters.author_mean import AuthorMean
from hashloom.recommenders.linear import Linear
from hashloom.recommenders.nearest import Nearest
from hashloom.recommenders.rerank import Rerank
from hashloom.types import Post, Posts

TRAIN, _ = checkerboard()
ODD = Posts.of(
    [
        Post("empty", "", "even"),
        Post("stranger", "rye", "even", "nobody", START + timedelta(days=30)),
        Post("emoji", "🌊🌊", "odd"),
        Post("unknown", "zzz qqq", "odd", "u1", START + timedelta(days=30)),
    ]
)


def hearing(name):
    """The recommender; ``nearest`` with words that every other post has, which it would leave out."""
    return Nearest(max_share=1.0).fit(TRAIN) if name == "nearest" else fitted(name)


@pytest.mark.parametrize("name", NAMES)
def test_every_suggestion_has_a_reason(name):
    for ranking in fitted(name).recommend(Posts.concat([ODD, HELD]), 6, explain=True):
        assert ranking.suggestions
        assert all(suggestion.reasons for suggestion in ranking.suggestions)


@pytest.mark.parametrize("name", NAMES)
def test_reasons_change_no_answer(name):
    plain, said = (fitted(name).recommend(HELD, 6, explain=explain) for explain in (False, True))
    assert [r.tags for r in plain] == [r.tags for r in said]


def test_reasons_of_habit_and_neighbours_name_earlier_posts():
    ids = set(TRAIN.ids)
    for name in ("own_history", "nearest", "rerank", "macon", "design", "tagnet", "right"):
        found = hearing(name).recommend(HELD, 3, explain=True)
        said = [r for row in found for s in row.suggestions for r in s.reasons]
        earlier = [r.where for r in said if r.source in ("habit", "history", "neighbour")]
        assert set(earlier) <= ids, name
        # RIGHT says a sure tag of its generator alone.
        assert earlier or name == "right", name


@pytest.fixture(scope="module")
def ranked():
    """A ranker with trees: enough posts to teach it."""
    return Rerank(least_in_leaf=2, rounds=20).fit(checkerboard(8, 40)[0])


def test_a_ranker_names_makers_evidence_and_counts(ranked):
    assert ranked.trees_ is not None
    found = {s.tag: s for s in ranked.recommend(HELD[:1], 3, explain=True)[0].suggestions}
    first = found[HELD.tags[0][0]]
    where = [r.where for r in first.reasons if r.source == "model"]
    assert "linear #1" in where
    assert 1 <= len([name for name in where if name.startswith("evidence: ")]) <= 3
    assert {"community", "habit", "trend"} <= {r.source for r in first.reasons}
    named = [(r.source, r.where) for r in first.reasons]
    assert len(named) == len(set(named))


def test_the_evidence_sums_to_the_rankers_margin(ranked):
    from hashloom.recommenders._moved import kinds, moved

    x = np.random.default_rng(0).random((7, ranked.trees_.num_feature()))
    of = kinds([maker.name for maker in ranked.makers], x.shape[1], evidence=True)
    names, added = moved(ranked.trees_, x, of)
    constant = ranked.trees_.predict(x, pred_contrib=True)[:, -1]
    assert np.allclose(added.sum(axis=1) + constant, ranked.trees_.predict(x), atol=1e-6)
    assert {"linear", "community", "habit", "company"} <= set(names)


# ---- a model's own marks


def test_linear_contributions_sum_to_the_margin():
    model = Linear().fit(TRAIN)
    posts = Posts.of([replace(HELD[0], text="RYE flour\nrye-flour, oat? https://rye.example/today new")] * 2)
    learnt = model.communities_["even"]
    x = model._matrix([model._features(posts.texts[0])], learnt, model._indices["even"])
    margins = np.asarray((x @ learnt["weights"]).todense()).ravel()
    for tag, margin in zip(learnt["tags"], margins.tolist(), strict=True):
        found = model.marks(posts, [tag, "no such tag"])
        assert found[1] is None
        constant = learnt["weights"][-1, learnt["tags"].index(tag)]
        assert sum(weight for _, weight in found[0].words) + constant == pytest.approx(margin, abs=1e-5)
        assert [word for word, _ in found[0].words][:3] == ["RYE", "flour", "rye-flour"]


def most(found):
    return max(found.words, key=lambda pair: pair[1])[0]


@pytest.mark.parametrize("name", ["linear", "nearest", "string_match", "rerank", "two_tower"])
def test_the_marked_word_is_one_that_decides(name):
    for post in HELD:
        word = WORDS[post.tags[0]].split()[0]
        found = marks(hearing(name), Posts.of([replace(post, text=f"we were here, {word} again")]), [post.tags[0]])[0]
        assert most(found) == word


@pytest.mark.parametrize("name", ["macon", "multilabel", "coa", "design", "amnn", "tagnet"])
def test_attention_sums_to_one_over_words_as_they_were_written(name):
    text = "unheardof RYE flour, unheardof kneaded unheardof"
    found = fitted(name).marks(Posts.of([replace(HELD[0], text=text), replace(HELD[0], text="")]), ["Rye", "Rye"])
    assert found[0].kind == "attention"
    said = [word for word, _ in found[0].words]
    assert [word for word in said if word != "unheardof"] == ["RYE", "flour", "kneaded"]
    assert sum(weight for _, weight in found[0].words) == pytest.approx(1, abs=1e-4)
    assert list(found[1].words) == []
    assert found[1].regions is None


def test_reasons_of_a_network_name_the_word_that_was_looked_at():
    """Words that it does not know are no place of its attention."""
    asked = Posts.of([replace(HELD[0], text="unheardof unheardof rye flour kneaded")])
    said = fitted("macon").recommend(asked, 1, explain=True)[0].suggestions[0].reasons
    assert {r.where for r in said if r.source == "text"} == {"rye", "flour", "kneaded"}


def test_japanese_and_right_to_left_words_are_those_of_the_text():
    rows = [
        ("ライ麦パンを焼いた", "パン"),
        ("波が高い、海へ", "海"),
        ("خبز الجاودار لذيذ", "خبز"),
        ("موج البحر عال", "بحر"),
    ]
    known = [Post(f"{i}-{n}", text, "c", tags=(tag,)) for n in range(3) for i, (text, tag) in enumerate(rows)]
    model = Linear().fit(Posts.of(known))
    for text, tag in rows:
        for found in (marks(model, Posts.of([Post("q", text, "c")]))[0], occluded(model, Post("q", text, "c"), tag)):
            assert all(word in text for word, _ in found.words)
            assert len(found.words) >= 3
            assert max(weight for _, weight in found.words) > 0


# ---- occlusion


def test_a_recommender_needs_a_tag_and_a_forecaster_none():
    with pytest.raises(ValueError, match="tag"):
        occluded(fitted("popular"), HELD[0])


def test_what_reads_no_words_falls_without_none():
    assert all(fall == 0 for _, fall in occluded(fitted("popular"), HELD[0], "Rye").words)


def test_a_forecast_is_occluded_too():
    import polars as pl

    model = AuthorMean().fit(Posts.of(TRAIN.frame.with_columns(pl.lit(2.0).alias("popularity"))))
    found = marks(model, HELD[:2])
    assert [one.kind for one in found] == ["occlusion", "occlusion"]
    assert [fall for _, fall in found[0].words] == [0.0] * 6
    assert marks(model, HELD[:1], occlude=False) == [None]
    with pytest.raises(ValueError, match="no tags"):
        marks(model, HELD[:1], ["Rye"])


def test_no_text_no_suggestion_no_posts():
    model = fitted("linear")
    assert occluded(model, Post("x", "", "even"), "Rye").words == []
    assert marks(model, Posts.of([Post("x", "rye", "nowhere")])) == [None]
    assert marks(model, HELD[:0]) == []
    with pytest.raises(ValueError, match="one per post"):
        marks(model, HELD, ["Rye"])


def test_a_long_text_is_taken_out_in_stretches():
    text = " ".join(f"word{i}" for i in range(200)) + " rye"
    assert len(stretches(text)) == MOST
    found = occluded(fitted("string_match"), Post("x", text, "even"), "Rye")
    assert len(found.words) == MOST
    assert "rye" in most(found)
    assert all(word in text for word, _ in found.words)


@pytest.fixture(scope="module")
def spots(tmp_path_factory):
    """A model that knows pictures by colour, and one with a single coloured cell, in the second row, last column."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("spots")
    model = Nearest(by="vectors", image=catalogue.build({"image": "descriptor"}), picture=0.9, neighbours=5)
    model.fit(gallery(folder)[0])
    picture = Image.new("RGB", (140, 140), (128, 128, 128))
    picture.paste((205, 40, 40), (120, 20, 140, 40))
    picture.save(folder / "spot.png")
    return model, Post("spot", "again", "shop", images=(str(folder / "gone.png"), str(folder / "spot.png")))


def test_the_only_coloured_cell_decides(spots):
    model, post = spots
    first = model.recommend(Posts.of([replace(post, images=post.images[1:])]), 3)[0].tags
    assert "Red" in first
    found = occluded(model, post, "Red")
    assert found.regions.shape == (7, 7)
    assert np.unravel_index(np.abs(found.regions).argmax(), (7, 7)) == (1, 6)


def test_pictures_are_neither_kept_nor_left_behind(spots, tmp_path):
    model, post = spots
    model.image.cache = str(tmp_path)
    occluded(model, post, "Red", grid=(2, 2))
    assert model.image.cache == str(tmp_path)
    model.image.cache = ""
    assert not list(tmp_path.iterdir())


def test_what_reads_no_picture_has_no_regions(spots):
    _, post = spots
    assert occluded(fitted("linear"), replace(post, text="rye", community="even"), "Rye").regions is None
    assert Canvas.of(Posts.of([replace(post, images=("gone.png",))]), None) is None
