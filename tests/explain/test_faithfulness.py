"""Deleting what is marked moves an answer more than chance does, where the marks are true; made-up marks do not."""

import numpy as np
import pytest
from test_every_recommender import HELD, fitted
from world import gallery

from hashloom import catalogue
from hashloom.explain.faithfulness import Falls, faithfulness
from hashloom.forecasters.author_mean import AuthorMean
from hashloom.recommenders.linear import Linear
from hashloom.types import Marks, Post, Posts

LONG = "we were here and saw {} again with the whole lot of you all"
"""Fifteen words, one of which decides."""
RIVER = Posts.of(
    [Post(f"{n}-{w}", LONG.format(w), "c", tags=(w.title(),)) for n in range(6) for w in ("rye", "surf", "sail")]
)
ASKED = Posts.of([Post(f"q{n}-{w}", LONG.format(w), "c") for n in range(4) for w in ("rye", "surf", "sail")])


@pytest.fixture(scope="module")
def linear():
    return Linear(characters=0, pairs=False, title_weight=0.01).fit(RIVER)


class Blind(Linear):
    """Says of each text that its first word decides."""

    def marks(self, posts, tags, *, history=None):
        """Made up."""
        made = []
        for text in posts.texts:
            words = text.split()
            made.append(Marks("attention", [(word, float(i == 0)) for i, word in enumerate(words)]))
        return made


@pytest.mark.parametrize("kind", ["contribution", "occlusion"])
def test_the_deciding_word_counts_for_more_than_chance(linear, kind):
    posts = ASKED
    tags = [r.tags[0] for r in linear.recommend(posts, 1)]
    assert {t.lower() for t in tags} <= {"rye", "surf", "sail"}
    found = faithfulness(linear, posts, kind=kind).of("words", kind)
    assert found.ids == tuple(posts.ids)
    assert (found.marked > 0).all()
    assert found.difference().low > 0
    assert found.wins > 0.9
    assert found.random.mean() < found.marked.mean() / 2


def test_made_up_marks_do_no_better_than_chance(linear):
    model = Blind(characters=0, pairs=False, title_weight=0.01).fit(RIVER)
    found = faithfulness(model, ASKED).of("words")
    assert found.kind == "attention"
    true = faithfulness(linear, ASKED).of("words")
    assert found.difference().low <= 0
    assert found.difference().value < true.difference().low
    assert found.wins < true.wins


def test_the_same_seed_draws_alike_whatever_the_company(linear):
    whole = faithfulness(linear, ASKED, seed=3).of("words")
    again = faithfulness(linear, ASKED[::-1], seed=3).of("words")
    assert np.allclose(whole.random, again.random[::-1])
    assert not np.allclose(whole.random, faithfulness(linear, ASKED, seed=4).of("words").random)
    assert whole.difference() == whole.difference()


def test_regions_are_deleted_too(tmp_path):
    """A picture whose left column alone is coloured: its cells are what is marked."""
    from PIL import Image

    train, _ = gallery(tmp_path)
    model = catalogue.build(
        {"model": "nearest", "by": "vectors", "picture": 0.9, "neighbours": 5, "image": {"image": "descriptor"}}
    ).fit(train)
    posts = []
    for i, colour in enumerate([(200, 30, 30), (30, 170, 40), (30, 40, 200)] * 3):
        picture = Image.new("RGB", (140, 140), (128, 128, 128))
        picture.paste(colour, (0, 20 * (i % 6), 20, 20 * (i % 6) + 20))
        picture.save(tmp_path / f"q{i}.png")
        posts.append(Post(f"q{i}", "", "shop", images=(str(tmp_path / f"q{i}.png"),)))
    found = faithfulness(model, Posts.of(posts), kind="occlusion", share=0.05, draws=3)
    assert found.of("words") is None
    regions = found.of("regions")
    assert len(regions.ids) >= 5
    assert regions.marked.mean() > regions.random.mean()
    assert regions.difference().low > 0


def test_nothing_to_choose_from_is_passed_over():
    none = faithfulness(fitted("linear"), Posts.of([Post("a", "rye", "even"), Post("b", "", "even"), Post("c", "x")]))
    assert none.falls == ()
    assert faithfulness(fitted("macon"), HELD[:2], kind="contribution").falls == ()
    assert faithfulness(fitted("linear"), HELD[:0]).falls == ()


def test_a_forecast_is_watched_either_way():
    import polars as pl

    train = Posts.of(RIVER.frame.with_columns(pl.Series("popularity", np.arange(len(RIVER), dtype=float))))
    found = faithfulness(AuthorMean().fit(train), ASKED[:4]).of("words")
    assert found.kind == "occlusion"
    assert (found.marked == 0).all()
    assert (found.random == 0).all()
    assert found.wins == 0


def test_a_post_wins_against_each_draw_and_ties_win_nothing():
    falls = Falls("occlusion", "words", ("a", "b"), np.array([1.0, 0.0]), np.array([[0.0, 2.0], [0.0, 0.0]]))
    assert falls.random.tolist() == [1.0, 0.0]
    assert falls.wins == 0.25
    assert falls.difference().value == 0
