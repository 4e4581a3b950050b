"""Settings: built, checked, changed from the command line; what is wrong is named with what would be right."""

import pytest

from hashloom import catalogue


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "linaer"}, "did you mean 'linear'"),
        ({"model": "linear", "cc": 1}, "did you mean 'c'"),
        ({"model": "linear", "c": "much"}, "field 'c' of 'linear' cannot be 'much'"),
        ({"model": "linear", "c": float("nan")}, "finite"),
        ({"model": "rerank", "depth": 0}, "greater than or equal to 1"),
        ({"model": "rerank", "slices": [2.0]}, "less than or equal to 1"),
        ({"model": "rerank", "makers": [1]}, "instance of Recommender"),
        ({"model": "rerank", "encoder": {"model": "popular"}}, "instance of Encoder"),
        ({"model": "nearest", "neighbours": -5}, "greater than or equal to 1"),
        ({"model": "popular", "half_life_days": -1}, "greater than 0"),
        ({"encoder": "floret", "model": "popular"}, "field"),
        ({"colour": "red"}, "must name a part"),
    ],
)
def test_wrong_settings_are_refused_by_name(given, said):
    with pytest.raises(catalogue.UnknownName, match=said):
        catalogue.build(given)


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("makers.9.depth=1", "0 to 0"),
        ("makers.-1.depth=1", "0 to 0"),
        ("makers.0=1", "name a field"),
        ("model.x=1", "has no fields"),
        ("nowhere.x=1", "there is nothing at 'nowhere'"),
        ("depth", "field=value"),
    ],
)
def test_a_wrong_path_says_what_there_is(assignment, said):
    with pytest.raises(catalogue.UnknownName, match=said):
        catalogue.override({"model": "rerank", "makers": [{"model": "popular"}]}, assignment)


def test_a_change_leaves_the_settings_given_alone():
    given = {"model": "rerank", "makers": [{"model": "nearest"}]}
    changed = catalogue.override(given, "makers.0.scope=own")
    assert changed["makers"][0] == {"model": "nearest", "scope": "own"}
    assert given["makers"] == [{"model": "nearest"}]


@pytest.mark.parametrize("name", catalogue.names("recipes"))
def test_every_recipe_builds_and_says_what_it_is(name):
    recipe = catalogue.recipe(name)
    assert recipe["about"]
    model = catalogue.build(recipe["model"])
    assert catalogue.build(model.settings()) == model
