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


def test_a_room_inside_a_room_is_a_room_of_its_own():
    assert "descriptor" in catalogue.names("encoders.image")
    assert "image" not in catalogue.names("encoders")
    encoder = catalogue.build({"image": "descriptor", "rows": 3})
    assert catalogue.room_of(type(encoder)) == "encoders.image"
    assert catalogue.settings(encoder)["image"] == "descriptor"
    with pytest.raises(catalogue.UnknownName, match="no image encoder 'descripter'; did you mean 'descriptor'"):
        catalogue.build({"image": "descripter"})


def test_a_recommender_may_have_fields_named_like_the_words_of_rooms():
    assert catalogue.build({"encoder": {"encoder": "tfidf"}, "model": "nearest"}).name == "nearest"


@pytest.mark.parametrize(
    ("room", "name"),
    [(room, name) for room in ("encoders.image", "selections", "generators") for name in catalogue.names(room)],
)
def test_every_field_is_explained_also_inherited_ones_and_settings_build_again(room, name):
    part = catalogue.find(room, name)
    assert [s.name for s in catalogue.listing(part) if not s.about] == []
    assert catalogue.build(catalogue.settings(part())) == part()


@pytest.mark.parametrize("room", ["images", "selections", "generators"])
def test_rooms_are_listed(room, capsys):
    from hashloom.cli_list import details, lines

    name = lines(room).split()[0]
    assert details(room, [name]).startswith(f"{name}: ")


def test_dots_lead_into_parts_that_stand_by_default():
    changed = catalogue.override({"model": "macon"}, "likeness.dim=50")
    assert catalogue.build(changed).likeness.dim == 50
    assert catalogue.build(catalogue.override({"model": "macon"}, "selection=none")).selection is None


def test_another_part_does_not_inherit_settings():
    changed = catalogue.override({"model": "macon", "image": {"image": "descriptor", "rows": 4}}, "image.image=vit")
    assert changed["image"] == {"image": "vit"}
    assert catalogue.build(catalogue.override({"model": "macon"}, "image.image=vit")).image.weights
