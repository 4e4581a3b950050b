"""A recommender that holds another: chances that hold on later posts, short lists, floors, dials."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hashloom.evaluate.beyond import truths
from hashloom.evaluate.calibration import Judged, best_fixed, ece, f1_given
from hashloom.recommender import load
from hashloom.recommenders.calibrated import Calibrated
from hashloom.recommenders.linear import Linear
from hashloom.recommenders.nearest import Nearest
from hashloom.recommenders.popular import Popular
from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.types import Post, Posts

DAY = datetime(2025, 1, 1, tzinfo=UTC)
GRAINS = ["rye", "oat", "spelt", "millet", "barley", "wheat"]


def bakery(count=900, seed=0):
    """Posts that name a grain, which is a tag for certain, and a tool, which is a tag in half of the posts."""
    random = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        grain, tool = random.choice(GRAINS), random.choice(["oven", "mixer", "tin"])
        tags = (grain, tool) if random.random() < 0.5 else (grain,)
        rows.append(
            Post(
                f"p{i}",
                f"{grain} with the {tool} number {i}",
                "bakers",
                f"u{i % 9}",
                DAY + timedelta(hours=i),
                tags=tags,
            )
        )
    return Posts.of(rows)


POSTS = bakery()
TRAIN, TEST = POSTS[:700], POSTS[700:]
MODEL = Calibrated(Linear()).fit(TRAIN)


def test_scores_are_chances_that_hold_on_later_posts():
    found = MODEL.recommend(TEST)
    judged = Judged.of(found, truths(TEST))
    assert MODEL.chances_["way"] in ("isotonic", "logistic")
    assert ((judged.chances >= 0) & (judged.chances <= 1)).all()
    assert ece(judged.chances, judged.true) < 0.03
    raw = Judged.of(Linear().fit(TRAIN).recommend(TEST), truths(TEST))
    assert ece(judged.chances, judged.true) < ece(np.clip(raw.chances, 0, 1), raw.true)


def test_the_order_is_that_of_the_held_model():
    model = Calibrated(Linear(), refit=True).fit(TRAIN)
    assert [row.tags for row in model.recommend(TEST, 5)] == [
        row.tags for row in Linear().fit(TRAIN).recommend(TEST, 5)
    ]


def test_the_map_is_learnt_from_later_posts_than_the_held_model():
    seen = []

    @dataclass
    class Watching(Popular):
        def _fit(self, posts):
            seen.append(len(posts))
            super()._fit(posts)

        def _rank(self, posts, k, history, explain):
            seen.append([len(posts), any(posts.tags)])
            return super()._rank(posts, k, history, explain)

    Calibrated(Watching(), validation=0.2).fit(TRAIN)
    assert seen == [560, [140, False]]
    seen.clear()
    Calibrated(Watching(), validation=0.2, refit=True).fit(TRAIN)
    assert seen == [560, [140, False], 700]


def test_without_learning_again_later_posts_are_counted_all_the_same():
    late = Posts.of([Post("late", "x", "bakers", "u0", DAY + timedelta(days=99), tags=("Brioche",))])
    model = Calibrated(Popular()).fit(Posts.concat([TRAIN, late]))
    assert model.held.counts_ == Popular().fit(Posts.concat([TRAIN, late])).counts_


def test_only_the_latest_teachers_are_asked():
    model = Calibrated(Popular(), validation=0.5, teachers=60).fit(TRAIN)
    assert model.chances_["posts"] == 60


def test_adaptive_lists_beat_the_best_fixed_length():
    adaptive = f1_given(MODEL.turned(adaptive=True).recommend(TEST), truths(TEST))
    fixed = MODEL.recommend(TEST)
    chosen = best_fixed(MODEL.recommend(TRAIN[600:]), truths(TRAIN[600:]))
    assert adaptive.mean() >= f1_given(fixed, truths(TEST), chosen).mean() - 0.01
    assert set(MODEL.turned(adaptive=True).recommend(TEST).lengths) <= {1, 2, 3}


def test_k_is_the_most_that_an_adaptive_list_has():
    assert MODEL.turned(adaptive=True).recommend(TEST, 1).lengths.max() == 1


def test_below_the_floor_nothing_is_suggested():
    for floor in (0.3, 0.8):
        assert (MODEL.turned(floor=floor).recommend(TEST).scores >= floor).all()
    assert MODEL.turned(floor=1.0).recommend(TEST).lengths.max() == 0
    strange = Posts.of([Post("q", "nothing that anybody wrote", "bakers")])
    assert MODEL.turned(floor=0.9).recommend(strange)[0].tags == []
    assert MODEL.recommend(strange)[0].tags


def test_favourites_are_scored_by_their_share_of_posts():
    few = Posts.of([Post(str(i), "x", "c", tags=("Rye",) if i else ("Oat",)) for i in range(4)])
    found = Calibrated(Nearest()).fit(few).recommend(Posts.of([Post("q", "", "c")]))[0]
    assert [(s.tag, round(s.score, 2)) for s in found.suggestions] == [("Rye", 0.6), ("Oat", 0.2)]


def test_a_denied_tag_is_replaced_before_the_cut():
    spaces = TagSpaces([TagSpace("bakers", denied=["rye"])])
    model = Calibrated(Linear(), adaptive=True).fit(TRAIN, spaces=spaces)
    found = model.recommend(TEST)
    assert "rye" not in found.tags
    assert found.lengths.min() >= 1


def test_turning_leaves_the_model_as_it_was_and_checks_what_it_is_given():
    turned = MODEL.turned(floor=0.5, diversity=1.0)
    assert (MODEL.floor, MODEL.diversity) == (0.0, 0.0)
    assert turned.chances_ is MODEL.chances_
    with pytest.raises(ValueError, match="held"):
        MODEL.turned(held=0.5)
    with pytest.raises(ValueError, match="from 0 to 1"):
        MODEL.turned(floor=1.5)


def test_reasons_of_the_held_model_are_kept():
    plain = Linear().fit(TRAIN).recommend(TEST[:5], explain=True)
    found = Calibrated(Linear(), refit=True).fit(TRAIN).recommend(TEST[:5], explain=True)
    for ours, theirs in zip(found, plain, strict=True):
        for one, other in zip(ours.suggestions, theirs.suggestions, strict=True):
            if other.reasons and other.reasons[0].source != "community":
                assert one.reasons[0].where.startswith("linear #")
                assert one.reasons[1:] == other.reasons


def test_reasons_follow_their_tags_when_a_dial_is_turned():
    turned = MODEL.turned(popularity=1.0)
    plain = {s.tag: s.reasons for s in MODEL.recommend(TEST[:1], 10, explain=True)[0].suggestions}
    for s in turned.recommend(TEST[:1], 10, explain=True)[0].suggestions:
        assert s.reasons == plain[s.tag]


def test_kept_and_loaded_it_has_the_same_map(tmp_path):
    MODEL.save(tmp_path / "model")
    again = load(tmp_path / "model").turned(adaptive=True, floor=0.1, novelty=0.5)
    wanted = MODEL.turned(adaptive=True, floor=0.1, novelty=0.5).recommend(TEST)
    assert again.recommend(TEST).scores.tolist() == pytest.approx(wanted.scores.tolist())


# ---- dials


def test_dials_change_the_order_and_no_chance():
    plain = MODEL.recommend(TEST[:20], 9)
    for dial in ("popularity", "diversity", "novelty"):
        turned = MODEL.turned(**{dial: 0.7}).recommend(TEST[:20], 9)
        for one, other in zip(plain, turned, strict=True):
            assert {(s.tag, round(s.score, 9)) for s in one.suggestions} == {
                (s.tag, round(s.score, 9)) for s in other.suggestions
            }


def kitchen():
    """Rye (with Flour always) is used much, Oat seldom; a late tag, Teff, is young."""
    rows = [Post(f"a{i}", "grain", "c", "ann", DAY + timedelta(days=i), tags=("Rye", "Flour")) for i in range(60)]
    rows += [Post(f"b{i}", "grain", "c", "bo", DAY + timedelta(days=i, hours=1), tags=("Oat",)) for i in range(20)]
    rows += [Post("t", "grain", "c", "bo", DAY + timedelta(days=59, hours=2), tags=("Teff",))]
    return Posts.of(rows).in_order()


ASKED = Posts.of([Post("q", "grain", "c", "ann", DAY + timedelta(days=61))])


def told(**dials):
    return Calibrated(Popular(), **dials).fit(kitchen()).recommend(ASKED)[0].tags


def test_each_dial_does_what_it_says():
    assert told()[:2] == ["Flour", "Rye"]
    assert told(popularity=1.0)[0] != "Flour"
    assert told(diversity=0.6)[1] == "Oat"
    assert told(novelty=1.0).index("Teff") < told().index("Teff")


def test_what_the_author_has_used_is_not_new_to_them():
    model = Calibrated(Popular(), novelty=1.0).fit(kitchen())
    asked = Posts.of([Post(name, "grain", "c", name, DAY + timedelta(days=200)) for name in ("ann", "bo")])
    ann, bo = (row.tags for row in model.recommend(asked))
    assert ann.index("Oat") < ann.index("Rye")
    assert bo.index("Rye") < bo.index("Oat")


def test_a_tag_is_young_for_thirty_days_and_forgotten_with_its_posts():
    model = Calibrated(Popular()).fit(kitchen())
    moment = int(ASKED.times[0])
    assert model._young("c", "teff", moment)
    assert not model._young("c", "rye", moment)
    assert not model._young("c", "teff", moment + int(40 * 86_400e6))
    model.forget(users=["bo"])
    assert "teff" not in model.first_["c"]
    assert model._counts.code.get("oat") is None


def test_an_update_is_counted():
    model = Calibrated(Popular()).fit(kitchen())
    late = Posts.of([Post("n", "grain", "c", "cy", DAY + timedelta(days=70), tags=("Spelt",))])
    model.update(late)
    assert model.latest_ == int(late.times[0])
    assert "Spelt" in model.recommend(ASKED, 20)[0].tags


def test_posts_that_taught_the_map_are_forgotten_too(tmp_path):
    own = [
        Post(f"own{i}", "rye again", "bakers", "cy", DAY + timedelta(days=90, hours=i), tags=("Brioche", "rye"))
        for i in range(5)
    ]
    model = Calibrated(Nearest()).fit(Posts.concat([TRAIN, Posts.of(own)]))
    asked = Posts.of([Post("q", "rye again", "bakers", "cy", DAY + timedelta(days=99))])
    assert model.chances_["posts"] >= 60
    assert "Brioche" in model.recommend(asked)[0].tags
    model.forget(users=["cy"])
    model.save(tmp_path / "model")
    for each in (model, load(tmp_path / "model")):
        assert "Brioche" not in each.recommend(asked, 20)[0].tags
        assert "brioche" not in each.first_["bakers"]
    assert not any(b"rioche" in path.read_bytes() for path in (tmp_path / "model").rglob("*") if path.is_file())
