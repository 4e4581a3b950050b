"""A sensitive tag is given where the text names it and on no other path: one test for each way it could come."""

from dataclasses import replace
from datetime import timedelta

import pytest
from chat_server import serving
from test_denied import Parrot
from world import START

from hashloom import catalogue, keeping
from hashloom.explain.occlusion import occluded
from hashloom.sensitive import CHARACTERS, Withheld
from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.tags import key, skeleton
from hashloom.types import Post, Posts

LOOKS = ["Depression", "#DEPRESSION", "dеpressiоn", "ｄepression", "de\u200bpression", "de_pression", "depressi0n"]
"""The tag, cased, with Cyrillic letters, in full width, with an invisible character, parted, with a digit."""
SPACE = TagSpace.of(["Rye", "Oat", "Depression"], "c", sensitive=["depression"])


def post(name, text="a walk with rye bread", *tags, user="mo", day=0):
    return Post(name, text, "c", user, START + timedelta(days=day), tags=tags)


KNOWN = Posts.of([post(f"p{i}", f"rye bread, a walk, number {i}", "Depression", "Rye", day=i) for i in range(8)])
SILENT = Posts.of([post("q", day=99)])
NAMING = Posts.of([post("n", "a walk with rye bread and my depression", day=99)])


def told(model, posts=SILENT, **given):
    """Whether the tag or what looks like it is suggested; something is in any case."""
    rows = [row.tags for row in model.recommend(posts, 50, **given)]
    assert all(rows)
    return any(skeleton(key(tag)) == "depression" for tags in rows for tag in tags)


def fitted(posts=KNOWN, space=SPACE, **settings):
    return catalogue.build(settings).fit(posts, spaces=TagSpaces([space]))


# ---------------------------------------------------------------- by recommenders


@pytest.mark.parametrize("tag", LOOKS)
@pytest.mark.parametrize("model", ["popular", "nearest", "own_history", "trending", "linear", "string_match"])
def test_the_community_neighbours_and_habits_do_not_bring_it(model, tag):
    posts = Posts.of([replace(one, tags=(tag, "Rye")) for one in KNOWN])
    made = fitted(posts, replace(SPACE, tags={"rye": "Rye"}), model=model)
    assert not told(made)
    assert told(made, NAMING)
    assert told(made, sensitive=True) or model == "string_match"  # which seeks nothing but words


@pytest.mark.parametrize("model", ["rerank", "calibrated"])
def test_what_holds_other_models_does_not_bring_it(model):
    posts = Posts.of([post(f"k{i}", f"rye bread, a walk, number {i}", "Depression", "Rye", day=i) for i in range(60)])
    parts = {
        "rerank": {"makers": [{"model": "popular"}, {"model": "string_match"}]},
        "calibrated": {"held": {"model": "popular"}},
    }
    made = fitted(posts, model=model, **parts[model])
    assert not told(made)
    assert told(made, NAMING)
    assert told(made, sensitive=True)


def test_a_habit_given_when_asked_does_not_bring_it():
    given = Posts.of([post("h", "a walk", "Depression", "Oat", day=50)])
    for settings in ({"model": "nearest", "scope": "own"}, {"model": "own_history"}):
        made = fitted(Posts.of([post("o", "rye", "Rye")]), **settings)
        assert not told(made, history=given)
        assert told(made, NAMING, history=given)


def test_an_update_does_not_bring_it():
    made = fitted(Posts.of([post("o", "rye", "Rye")]), replace(SPACE, tags={"rye": "Rye"}), model="nearest")
    assert not told(made.update(KNOWN))
    assert told(made, NAMING)


@pytest.mark.parametrize("tag", LOOKS)
def test_a_generator_does_not_bring_it(tag):
    model = catalogue.build({"model": "right", "selector": False})
    model.generator = Parrot(tag)
    many = Posts.of([post(f"k{i}", f"rye bread {i}", "Rye", "Oat", day=i) for i in range(30)])
    model.fit(many, spaces=TagSpaces([SPACE]))
    assert not told(model)
    assert told(model, NAMING)


@pytest.mark.parametrize("tag", LOOKS)
def test_a_language_model_does_not_bring_it(tag):
    with serving("good") as server:
        server.content = f'{{"tags": ["{tag}", "Rye"]}}'
        model = catalogue.build({"model": "llm", "url": server.url, "llm": "test", "fallback": None})
        model.fit(KNOWN, spaces=TagSpaces([SPACE]))
        assert not told(model)
        assert told(model, NAMING)


def test_a_kept_model_keeps_it_back_too(tmp_path):
    made = keeping.load(fitted(model="popular").save(tmp_path / "model"))
    assert not told(made)
    assert told(made, NAMING)


def test_marks_say_what_carries_its_score_as_of_any_other_tag():
    one = post("n", "a walk and my depression", day=99)
    marked, plain = (fitted(space=space, model="nearest") for space in (SPACE, replace(SPACE, sensitive=())))
    assert occluded(marked, one, "Depression") == occluded(plain, one, "Depression")


def test_as_many_are_given_as_there_are():
    posts = Posts.of([post(f"p{i}", "bread", f"grain{i}", f"ill{i}", day=i) for i in range(12)])
    made = fitted(posts, TagSpace("c", sensitive=[f"ill{i}" for i in range(12)]), model="popular")
    assert sorted(made.recommend(SILENT, 12)[0].tags) == sorted(f"grain{i}" for i in range(12))


# ---------------------------------------------------------------- what names a tag


def named(tag, text, **space):
    held = TagSpace("c", sensitive=[tag], **space)
    return not Withheld(held, text).holds(held.stands_for(tag))


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("EatingDisorder", "Eating disorders are no choice"), ("eating-disorder", "on EATING DISORDER"),
        ("breast cancer", "cancer of the breast"), ("うつ病", "昨年からうつ病です"), ("癌", "癌と診断された"),
        ("🏳️‍🌈", "out and proud 🏳️‍🌈"), ("HIV+", "living with HIV+"), ("Suicide", "on suicides in winter"),
        ("depression", "＿ｄｅｐｒｅｓｓｉｏｎ＿ "),
        ("does anyone here know what it is", "But does anyone here know what it is?"),
    ],
)  # fmt: skip
def test_its_words_in_the_text_name_it(tag, text):
    assert named(tag, text)


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        ("islam", "A week in Islamabad"), ("hearing", "healing takes time"), ("eating disorder", "eating bread"),
        ("パン", "新しいパンツ"), ("depression", ""), ("depression", "dеpression"), ("gay", "gayety"), ("癌", "岩"),
        ("depression", "x" * CHARACTERS + " depression"),
    ],
)  # fmt: skip
def test_other_words_do_not(tag, text):
    assert not named(tag, text)


def test_an_alias_names_its_tag_and_is_held_back_as_it_is():
    space = TagSpace("c", sensitive=["Depression"], aliases={"the blues": "depression", "gloom": "the blues"})
    for text, is_held in (("a hard winter", True), ("got the blues", False), ("full of gloom", False)):
        assert Withheld(space, text).holds(space.resolve("Gloom")) is is_held


def test_a_mark_on_an_alias_or_a_merged_tag_is_one_on_what_it_stands_for():
    space = TagSpace("c", sensitive=["the blues"], aliases={"the blues": "Depression"})
    assert Withheld(space, "a hard winter").holds("depression")
    assert not Withheld(space, "got the blues").holds("depression")
    ended = replace(space, aliases={})
    assert Withheld(ended, "").holds("the blues")
    assert not Withheld(ended, "").holds("depression")


def test_marks_set_anew_hold_at_once():
    space = TagSpace("c", sensitive=["depression"])
    assert Withheld(space).holds("depression")
    space.sensitive = ("grief",)
    assert [Withheld(space).holds(tag) for tag in ("depression", "grief")] == [False, True]


def test_it_is_no_longer_held_back_once_enough_of_it_is_typed():
    begun = [Withheld(SPACE, typed=start).holds("depression") for start in ("", "de", "dep", "#Depr", "press")]
    assert begun == [True, True, False, False, True]


def test_json_keeps_the_marks_and_one_without_them_has_none():
    assert TagSpace.from_json(SPACE.to_json()) == SPACE
    assert not TagSpace("c", sensitive=["x"]).is_empty
    assert TagSpace.from_json({"community": "c"}).sensitive == ()
