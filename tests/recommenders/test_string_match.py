import time

import pytest

from hashloom.mentions import Index
from hashloom.recommender import load
from hashloom.recommenders.string_match import StringMatch
from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.types import Post, Posts

TAGS = [
    "open-source",
    "SourdoughBread",
    "rye",
    "C++",
    "authentication",
    "新機能",
    "パン",
    "ブラウザ",
    "ไทย",
    "3d-printing",
]


@pytest.mark.parametrize(
    ("text", "tag", "kind", "words"),
    [
        ("all of it open source", "open-source", 0, "open source"),
        ("OpenSource rocks", "open-source", 0, "OpenSource"),
        ("two sourdough breads", "sourdoughbread", 0, "sourdough breads"),
        ("title\nsome Rye here", "rye", 1, "Rye"),
        ("the source is open", "open-source", 2, "source"),
        ("unsafe C++ code", "c++", 0, "C++"),
        ("an autentication error", "authentication", 4, "autentication"),
        ("authentications", "authentication", 0, "authentications"),
        ("authenticationless", "authentication", 3, "authenticationless"),
        ("React 18の新機能です", "新機能", 0, "新機能"),
        ("Chromeのブラウザ更新", "ブラウザ", 0, "ブラウザ"),
        ("ภาษาไทยง่าย", "ไทย", 0, "ไทย"),
        ("３D Printing at home", "3d-printing", 0, "３D Printing"),
    ],
)
def test_how_a_tag_is_found(text, tag, kind, words):
    find = Index.of(TagSpace.of(TAGS), []).find(text)[tag]
    assert (find.kind, text[find.start : find.end]) == (kind, words)


@pytest.mark.parametrize("text", ["", "ryegrass", "パンツを買った", "cat", "\ud800 \x00", "open sauce"])
def test_nothing_is_found_where_nothing_stands(text):
    assert Index.of(TagSpace.of(TAGS), []).find(text) == {}


def test_works_on_the_first_day():
    """Listed tags that no post uses, in a community that training never saw."""
    spaces = TagSpaces([TagSpace.of(["skate", "ramp"], "new"), TagSpace.of(["rye"], "c")])
    model = StringMatch().fit(Posts.of([Post("1", "rye", "c", tags=("rye",))]), spaces=spaces)
    found = model.recommend(Posts.of([Post("q", "a new Ramp, and rye", "new")]), 3, explain=True)[0]
    assert found.tags == ["ramp"]
    assert found.suggestions[0].reasons[0].where == "6:10"


def test_aliases_are_read_too():
    spaces = TagSpaces([TagSpace.of(["sourdough"], "c", aliases={"levain": "sourdough"})])
    model = StringMatch().fit(Posts.of([Post("1", "x", "c", tags=("sourdough",))]), spaces=spaces)
    assert model.recommend(Posts.of([Post("q", "my levain", "c")]), 1)[0].tags == ["sourdough"]


def test_learns_what_a_find_is_worth():
    said = [Post(f"n{i}", "the water is cold", "c", tags=("swim",)) for i in range(20)]
    meant = [Post(f"y{i}", "the salt is fine", "c", tags=("salt",)) for i in range(20)]
    spare = [Post("w", "rain", "c", tags=("water",))]
    model = StringMatch().fit(Posts.of([*said, *meant, *spare]))
    scores = {s.tag: s.score for s in model.recommend(Posts.of([Post("q", "water and salt", "c")]), 2)[0].suggestions}
    assert scores["salt"] > 0.8
    assert scores["water"] < 0.2


def test_the_first_line_says_more():
    rows = [Post(f"a{i}", f"tea{i}\nsalt and rye", "c", tags=("rye", "salt")) for i in range(2)]
    rows += [Post(f"b{i}", "salt", "c", tags=("salt",)) for i in range(20)]
    rows += [Post(f"d{i}", "plain\nsalt", "c", tags=("rye",)) for i in range(20)]
    model = StringMatch().fit(Posts.of(rows))
    above, below = model.recommend(Posts.of([Post("1", "salt\nx", "c"), Post("2", "x\nsalt", "c")]), 1)
    assert above.tags[0] == "salt"
    assert above.suggestions[0].score > 0.8
    assert all(s.score < 0.5 for s in below.suggestions if s.tag == "salt")


def test_long_texts_take_little_time():
    model = StringMatch().fit(Posts.of([Post("1", "x", "c", tags=tuple(TAGS))]))
    started = time.process_time()
    model.recommend(Posts.of([Post("q", "open " * 200_000, "c"), Post("r", "新" * 1_000_000, "c")]), 5)
    assert time.process_time() - started < 5


def test_kept_and_read_back(tmp_path):
    model = StringMatch().fit(Posts.of([Post("1", "rye and salt", "c", tags=("rye", "salt"))]))
    asked = Posts.of([Post("q", "salted rye", "c")])
    assert load(model.save(tmp_path / "model")).recommend(asked, 5)[0] == model.recommend(asked, 5)[0]
