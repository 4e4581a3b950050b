"""A denied tag never returns: one test for each way by which it could."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from chat_server import serving
from world import START

from hashloom import catalogue
from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.tags import key, skeleton
from hashloom.types import Post, Posts

DENIED = "Scam"
LOOKS = ["scam", "SCAM", "#Scam", "ѕсаm", "ｓｃａｍ", "S\u200bcam", "s_c_a_m", "5cam"]
"""The tag, cased, with Cyrillic letters, in full width, with an invisible character, parted, with a digit."""


def spaces(**more):
    return TagSpaces([TagSpace.of(["Rye", "Oat", "Gift"], "c", denied=[DENIED], **more)])


def post(name, text="win a gift of rye", *tags, user="mo", day=0):
    return Post(name, text, "c", user, START + timedelta(days=day), tags=tags)


KNOWN = Posts.of([post(f"p{i}", f"rye bread, number {i}", "Rye", day=i) for i in range(8)])
ASKED = Posts.of([post("q", day=99)])


def clean(model, posts=ASKED, **given):
    """Whether no suggestion is the tag or looks like it; and whether there are suggestions at all."""
    rows = [row.tags for row in model.recommend(posts, 50, **given)]
    assert all(rows)
    return not any(skeleton(key(tag)) in {skeleton(key(look)) for look in LOOKS} for tags in rows for tag in tags)


@pytest.mark.parametrize("tag", LOOKS)
@pytest.mark.parametrize("model", ["popular", "nearest", "string_match"])
def test_through_posts_that_carry_it_or_its_look(model, tag):
    posts = Posts.concat([KNOWN, Posts.of([post("s", "win a gift of rye scam", tag, "Rye", day=9)])])
    assert clean(catalogue.build({"model": model}).fit(posts, spaces=spaces()))


def test_through_an_alias():
    listed = spaces(aliases={"gift": "scam", "present": "gift"})
    posts = Posts.concat([KNOWN, Posts.of([post("s", "a gift", "Gift", "Present", "Rye", day=9)])])
    model = catalogue.build({"model": "popular"}).fit(posts, spaces=listed)
    assert clean(model)
    assert "Gift" not in model.recommend(ASKED, 50)[0].tags  # it stands for what is denied


@pytest.mark.parametrize("tag", LOOKS)
def test_through_a_neighbour_or_a_habit_given_when_asked(tag):
    for settings in ({"model": "nearest", "scope": "own"}, {"model": "own_history"}):
        model = catalogue.build(settings).fit(KNOWN, spaces=spaces())
        assert clean(model, history=Posts.of([post("h", "win a gift of rye", tag, day=50)]))


@pytest.mark.parametrize("tag", LOOKS)
def test_through_an_update(tag):
    model = catalogue.build({"model": "nearest"}).fit(KNOWN, spaces=spaces())
    assert clean(model.update(Posts.of([post("n", "win a gift of rye", tag, "Rye", day=50)])))


@dataclass
class Parrot:
    """A generator that says what it is told to."""

    says: str = ""

    def fit(self, sources, targets):
        return self

    def generate(self, sources, count):
        return [[(self.says, 0.9), ("Rye", 0.5)] for _ in sources]


@pytest.mark.parametrize("tag", LOOKS)
def test_through_a_generator(tag):
    model = catalogue.build({"model": "right", "selector": False})
    model.generator = Parrot(tag)
    many = Posts.of([post(f"k{i}", f"rye bread {i}", "Rye", "Oat", day=i) for i in range(30)])
    model.fit(many, spaces=spaces())
    assert clean(model)
    model.generator.says = "Harmless"
    assert "harmless" in model.recommend(ASKED, 50)[0].tags  # what is not denied does pass this way


@pytest.mark.parametrize("tag", LOOKS)
def test_through_a_language_model(tag):
    with serving("good") as server:
        server.content = f'{{"tags": ["{tag}", "Rye", "Harmless"]}}'
        model = catalogue.build({"model": "llm", "url": server.url, "llm": "test", "fallback": None})
        model.fit(KNOWN, spaces=spaces())
        assert clean(model)
        assert "harmless" in model.recommend(ASKED, 50)[0].tags
