from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest
from PIL import Image

from hashloom.encoders.floret import Floret
from hashloom.encoders.image.descriptor import Descriptor
from hashloom.encoders.tfidf import Tfidf
from hashloom.recommender import load
from hashloom.recommenders._bm25 import K1, B
from hashloom.recommenders.nearest import Nearest
from hashloom.types import Post, Posts

SMALL = Floret(dim=16, epochs=2, buckets=500, min_count=1)


def post(name: str, text: str, *tags: str, community: str = "c", user: str | None = None, day: int = 1) -> Post:
    return Post(name, text, community, user, datetime(2024, 1, day, tzinfo=UTC), tags=tags)


def world() -> Posts:
    return Posts.of(
        [
            post("p1", "rye bread from the oven", "baking", user="mo", day=1),
            post("p2", "wheat bread and butter", "baking", "food", user="jo", day=2),
            post("p3", "a high wave at the beach", "surf", user="mo", day=3),
            post("p4", "my board and the wave", "surf", "sea", user="jo", day=4),
            post("d1", "rye bread from the oven", "canary", community="d", day=5),
        ]
    )


@pytest.mark.parametrize("by", ["bm25", "vectors"])
def test_neighbours_give_their_tags(by):
    found = Nearest(by=by, encoder=SMALL).fit(world()).recommend(Posts.of([post("q", "bread and butter", day=9)]), 3)
    assert found[0].tags[0] == "baking"
    assert "canary" not in found[0].tags
    assert found[0].suggestions[0].score <= 1


def test_bm25_scores_follow_the_formula():
    posts = Posts.of([post("1", "rye rye oats", "a"), post("2", "oats", "b"), post("3", "wheat bran", "a")])
    index = Nearest().fit(posts)._index("c")
    idf = np.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    expected = idf * 2 * (K1 + 1) / (2 + K1 * (1 - B + B * 3 / 2))
    assert index.scores([Counter(["rye"])])[0] == pytest.approx([expected, 0, 0])


def test_scores_are_shares_of_the_neighbours_weight():
    posts = Posts.of([post("1", "rye", "a", "b"), post("2", "rye", "a"), post("3", "oats", "c")])
    found = Nearest(power=1).fit(posts).recommend(Posts.of([post("q", "rye", day=9)]), 2)[0]
    assert [(s.tag, round(s.score, 6)) for s in found.suggestions] == [("a", 1.0), ("b", 0.5)]


def test_only_so_many_neighbours_are_heard():
    posts = Posts.of([post("1", "rye rye", "a"), post("2", "rye and a long tail of words", "b")])
    found = Nearest(neighbours=1).fit(posts).recommend(Posts.of([post("q", "rye", day=9)]), 1, explain=True)[0]
    assert found.tags == ["a"]
    assert [r.where for r in found.suggestions[0].reasons] == ["1"]


def test_a_post_is_no_neighbour_of_itself():
    model = Nearest().fit(world())
    found = model.recommend(world()[:1], 2, explain=True)[0]
    assert all(r.where != "p1" for s in found.suggestions for r in s.reasons)


def test_all_hears_other_communities_but_gives_own_tags_only():
    posts = Posts.concat([world(), Posts.of([post("d2", "a stone", "Baking", community="d", day=6)])])
    asked = Posts.of([post("q", "wheat and butter", community="d", day=9)])
    found = Nearest(scope="all").fit(posts).recommend(asked, 5, explain=True)[0]
    assert found.tags[0] == "Baking"
    assert found.suggestions[0].reasons[0].where == "p2"
    assert set(found.tags) == {"Baking", "canary"}


@pytest.mark.parametrize("by", ["bm25", "vectors"])
def test_own_sees_the_users_strictly_earlier_posts_only(by):
    model = Nearest(scope="own", by=by, encoder=SMALL).fit(world())
    early = model.recommend(Posts.of([post("q", "bread wave", user="mo", day=2)]), 5, explain=True)[0]
    late = model.recommend(Posts.of([post("q", "bread wave", user="mo", day=9)]), 5, explain=True)[0]
    near = [
        {r.where for s in found.suggestions for r in s.reasons if r.source == "neighbour"} for found in (early, late)
    ]
    assert near == [{"p1"}, {"p1", "p3"}]


def test_own_reads_history_given_when_asked():
    model = Nearest(scope="own").fit(world())
    more = Posts.of(
        [post("h", "a zither solo", "surf", user="new", day=6), post("late", "zither", "sea", user="new", day=9)]
    )
    found = model.recommend(Posts.of([post("q", "zither wave", user="new", day=8)]), 1, history=more, explain=True)[0]
    assert found.tags == ["surf"]


@pytest.mark.parametrize("by", ["bm25", "vectors"])
@pytest.mark.parametrize("scope", ["community", "own", "all"])
def test_strangers_and_empty_posts_are_answered(by, scope):
    asked = Posts.of(
        [post("q1", "", day=9), post("q2", "bread", community="nowhere", day=9), post("q3", "?", user="x")]
    )
    found = Nearest(by=by, scope=scope, encoder=SMALL).fit(world()).recommend(asked, 2)
    assert [len(ranking.tags) for ranking in found] == [2, 0, 2]


@pytest.mark.parametrize(("by", "scope"), [("bm25", "community"), ("vectors", "all"), ("bm25", "own")])
def test_kept_and_read_back(tmp_path, by, scope):
    asked = Posts.of([post("q", "bread wave", user="mo", day=9)])
    model = Nearest(by=by, scope=scope, encoder=SMALL).fit(world())
    read = load(model.save(tmp_path / "model"))
    assert read.recommend(asked, 5)[0] == model.recommend(asked, 5)[0]


@pytest.fixture
def painted(tmp_path):
    """Two red and two blue pictures, written where the test can name them."""
    made = {}
    for name, colour in {"r1": (220, 20, 20), "r2": (200, 40, 30), "b1": (20, 20, 220), "b2": (40, 30, 200)}.items():
        made[name] = str(tmp_path / f"{name}.png")
        Image.new("RGB", (32, 32), colour).save(made[name])
    return made


def pictured(name: str, picture: str, text: str, *tags: str, user: str | None = None, day: int = 1) -> Post:
    when = datetime(2024, 1, day, tzinfo=UTC)
    return Post(name, text, "c", user, when, images=(picture,) if picture else (), tags=tags)


@pytest.mark.parametrize("scope", ["community", "own"])
def test_neighbours_by_their_pictures(painted, scope):
    known = [
        pictured("1", painted["r1"], "a", "sunset", user="mo"),
        pictured("2", painted["b1"], "a", "sea", user="mo"),
    ]
    asked = Posts.of(
        [
            pictured("q", painted["r2"], "a", user="mo", day=9),
            pictured("s", painted["b2"], "a", user="mo", day=9),
            pictured("t", "", "a", user="mo", day=9),
        ]
    )
    model = Nearest(by="vectors", scope=scope, encoder=SMALL, image=Descriptor(), picture=0.5).fit(Posts.of(known))
    found = model.recommend(asked, 2)
    assert [row.tags[0] for row in found][:2] == ["sunset", "sea"]
    assert found[0].suggestions[0].score > 0.9
    assert found[2].suggestions[0].score == pytest.approx(0.5)  # no picture: both are alike by their text


def test_the_share_of_the_picture_weighs_it_against_the_text(painted):
    # Each text twice: words met once say nothing.
    known = Posts.of(
        [pictured(f"{i}", painted["r1"], "rye bread", "red") for i in "12"]
        + [pictured(f"{i}", painted["b1"], "high wave", "wave") for i in "34"]
    )
    asked = Posts.of([pictured("q", painted["r2"], "high wave", day=9)])
    for share, tag in ((0.0, "wave"), (1.0, "red")):
        model = Nearest(by="vectors", encoder=Tfidf(dim=4), image=Descriptor(), picture=share).fit(known)
        assert model.recommend(asked, 1)[0].tags == [tag]
