"""The honest run: nothing of the test part is learnt, nobody is scored on what was learnt, a stopped run goes on."""

import numpy as np
import pytest
from world import checkerboard, undated

from hashloom import catalogue, keeping
from hashloom.data.split import near_duplicates, split
from hashloom.evaluate import answers, protocol
from hashloom.types import Post, Posts

POSTS = Posts.concat(checkerboard()).in_order()
POPULAR = catalogue.recipe("popular")
OWN = catalogue.recipe("own-frequency")


def test_time_split_puts_later_posts_later():
    made = split(POSTS, grouped=False)
    assert (len(made.train), len(made.validation), len(made.test)) == (39, 6, 11)
    assert made.train.times.max() < made.validation.times.min() <= made.validation.times.max() < made.test.times.min()


def test_undated_posts_are_cut_in_each_community():
    made = split(undated(POSTS), grouped=False)
    for community in ("even", "odd"):
        assert [p.communities.count(community) for p in (made.train, made.validation, made.test)] == [20, 2, 6]


def test_random_split_depends_on_the_seed_alone():
    assert split(POSTS, "random", seed=1).test.ids == split(POSTS, "random", seed=1).test.ids
    assert split(POSTS, "random", seed=1).test.ids != split(POSTS, "random", seed=2).test.ids


def test_copies_stand_on_one_side():
    copies = [Post(f"c{i}", f"The very same text{'!' * i}", "even") for i in range(20)]
    made = split(Posts.of([*copies, *(Post(f"x{i}", f"own text {i:03}", "even") for i in range(20))]), "random")
    sides = [set(p.ids) & {c.id for c in copies} for p in (made.train, made.validation, made.test)]
    assert sorted(map(len, sides)) == [0, 0, 20]


def test_short_texts_are_no_copies():
    assert len(set(near_duplicates(Posts.of([Post("a", "wow"), Post("b", "wow")])).tolist())) == 2


def test_training_reads_the_training_part_alone():
    trained = protocol.train(POPULAR, POSTS)
    assert np.array_equal(trained.model.seen_, protocol.hashed(trained.split.train.ids)[trained_order(trained)])
    known = {tag for community in ("even", "odd") for tag in trained.model.spaces_[community].tags}
    assert known == {tag.lower() for tags in trained.split.train.tags for tag in tags}


def trained_order(trained):
    return np.argsort(protocol.hashed(trained.split.train.ids))


def test_evaluate_scores_the_part_that_was_held_back(tmp_path):
    protocol.publish(protocol.train(POPULAR, POSTS), tmp_path / "m")
    said = keeping.manifest(tmp_path / "m")
    found = protocol.evaluate(keeping.load(tmp_path / "m"), POSTS, said=said)
    assert found.experiment.test.ids == split(POSTS).test.ids


def test_evaluate_never_scores_a_post_that_was_learnt(tmp_path):
    trained = protocol.train(POPULAR, POSTS)
    protocol.publish(trained, tmp_path / "m")
    said, model = keeping.manifest(tmp_path / "m"), keeping.load(tmp_path / "m")
    found = protocol.evaluate(model, POSTS[10:], said=said)
    assert not set(found.experiment.test.ids) & set(trained.split.train.ids)
    with pytest.raises(ValueError, match="learnt from every tagged post"):
        protocol.evaluate(model, trained.split.train, said=said)


def test_history_given_counts_only_where_it_is_earlier(tmp_path):
    protocol.publish(protocol.train(OWN, POSTS), tmp_path / "m")
    said, model = keeping.manifest(tmp_path / "m"), keeping.load(tmp_path / "m")
    test = split(POSTS).test
    with_itself = protocol.evaluate(model, test, said=said, history=test[-1:])
    without = protocol.evaluate(model, test, said=said)
    assert with_itself.as_json()["methods"][0]["metrics"] == without.as_json()["methods"][0]["metrics"]


def test_a_stopped_comparison_goes_on(tmp_path, monkeypatch):
    whole = protocol.compare([POPULAR, OWN], POSTS, folder=tmp_path)
    monkeypatch.setattr(protocol, "_fit", lambda *_: pytest.fail("was learnt again"))
    again = protocol.compare([POPULAR, OWN], POSTS, folder=tmp_path)
    assert again.as_json() == whole.as_json()


def test_other_settings_are_other_answers(tmp_path):
    changed = POPULAR | {"model": catalogue.override(POPULAR["model"], "half_life_days=3")}
    assert answers.place(tmp_path, POPULAR, "s", 0) != answers.place(tmp_path, changed, "s", 0)


def test_rows_of_makers_are_those_of_the_fitted_recipe():
    recipe = catalogue.recipe("two-stage")
    recipe = recipe | {"model": recipe["model"] | {"makers": [{"model": "popular"}, {"model": "string_match"}]}}
    found = protocol.compare([recipe], POSTS, makers=True)
    assert set(found.names) == {"two-stage", "two-stage › popular", "two-stage › string_match"}


def test_preparation_is_learnt_on_the_training_part():
    recipe = POPULAR | {"prepare": {"min_tag_count": 6}}
    trained = protocol.train(recipe, POSTS)
    used = [tag for tags in trained.split.train.tags for tag in tags]
    kept = {tag for community in ("even", "odd") for tag in trained.model.spaces_[community].tags}
    assert kept == {tag.lower() for tag in used if used.count(tag) >= 6}
    assert {t for tags in trained.split.test.tags for t in tags} > {t for t in used if used.count(t) >= 6}


def test_a_seed_reaches_every_part_that_draws():
    trained = protocol.train(catalogue.recipe("multilabel") | {"model": {"model": "rerank"}}, POSTS, seed=7)
    assert trained.model.seed == 7
