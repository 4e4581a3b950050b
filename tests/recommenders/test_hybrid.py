from dataclasses import dataclass, replace

import numpy as np
import pytest
from world import checkerboard

from hashloom.data.split import split
from hashloom.evaluate.beyond import truths
from hashloom.evaluate.metrics import measure, summarise
from hashloom.evaluate.protocol import train
from hashloom.recommender import Recommender, load
from hashloom.recommenders import _combine, hybrid
from hashloom.recommenders._combine import Choice, Pair
from hashloom.recommenders.hybrid import Hybrid
from hashloom.recommenders.linear import Linear
from hashloom.recommenders.own_history import OwnHistory
from hashloom.recommenders.popular import Popular
from hashloom.recommenders.string_match import StringMatch
from hashloom.types import Post, Posts, Rankings

POSTS = checkerboard(users=8, each=25)[0]


@dataclass
class Told(Recommender):
    """Says tags in a fixed order and writes down what it was taught and asked."""

    says: tuple[str, ...] = ()

    def _fit(self, posts):
        self.__dict__.setdefault("taught", []).append(posts)

    def _rank(self, posts, k, history, explain):
        self.__dict__.setdefault("asked", []).append(posts)
        return Rankings.of(posts.ids, [[(t, 1 / (i + 1)) for i, t in enumerate(self.says[:k])] for _ in posts.ids])


def album(posts: int = 100) -> Posts:
    """Each post is tagged a, b and x; p and q are used too."""
    rows = [Post(str(i), "words", "c", "u", tags=("a", "b", "x", *("pq" if i == 0 else ()))) for i in range(posts)]
    return Posts.of(rows)


def told(**settings) -> Hybrid:
    return Hybrid(Told(("a", "b", "p", "q")), Told(("x", "q", "p")), **settings)


def test_shares_are_found_and_frozen():
    model = told(size=3).fit(album())
    assert (model.s1_, model.s2_, model.eta_) == (2, 1, 0.0)
    assert model.recommend(album(1), 5)[0].tags == ["a", "b", "x", "p", "q"]


def test_free_sizes_and_reciprocal_ranks():
    free = told(way="free").fit(album())
    assert (free.s1_, free.s2_) == (2, 1)
    fused = Hybrid(Told(("a", "b", "p", "q")), Told(("x", "y")), size=3, way="reciprocal").fit(album())
    assert fused.eta_ == 1.0
    assert set(fused.recommend(album(1), 3)[0].tags) == {"a", "b", "x"}


def test_both_learn_from_the_past_then_from_everything():
    posts = album()
    for refit in (True, False):
        model = told(refit=refit).fit(posts)
        for part in model.inside():
            assert [p.ids for p in part.taught] == [posts.ids[:90], posts.ids][: 1 + refit]
            assert [i for p in part.asked for i in p.ids] == posts.ids[90:]


def test_parts_are_not_shown_the_tags_that_are_searched_for():
    model = told().fit(album())
    assert not any(tags for part in model.inside() for posts in part.asked for tags in posts.tags)


def test_the_latest_posts_of_each_community_are_searched_on():
    posts = Posts.concat([album(50), Posts.of([replace(p, id="d" + p.id, community="d") for p in album(20)])])
    model = told().fit(posts)
    assert [i for p in model.classifier.asked for i in p.ids] == [*posts.ids[45:50], "d18", "d19"]
    assert model.searched_["posts"] == 7


def test_too_few_posts_to_search_on_leave_the_classifier_first():
    for model in (told(), told(validation=0.0), told(validation=1.0)):
        model.fit(album(5))
        assert (model.s1_, model.s2_, model.searched_) == (7, 0, {})
        assert len(model.classifier.taught) == 1
        assert model.recommend(album(1), 3)[0].tags == ["a", "b", "p"]


def recipe(way: str) -> dict:
    model = Hybrid(Linear(), OwnHistory(), size=2, way=way).settings()
    return {"name": "hybrid", "model": model, "prepare": {}, "expected": {}, "published": {}}


@pytest.mark.parametrize("way", ["cut", "free", "reciprocal"])
def test_test_labels_change_nothing(way, monkeypatch):
    """The whole run, with other tags planted on the test posts: the same shares and the same answers."""
    monkeypatch.delattr(_combine, "oracle")
    asked = set(split(POSTS).test.ids)
    planted = Posts.of([replace(p, tags=("Rye", "Planted")) if p.id in asked else p for p in POSTS])
    clean, dirty = (train(recipe(way), posts) for posts in (POSTS, planted))
    assert set(dirty.split.test.ids) == asked
    assert all("Planted" in row for row in dirty.split.test.tags)
    one, other = clean.model, dirty.model
    assert (one.s1_, one.s2_, one.eta_) == (other.s1_, other.s2_, other.eta_)
    assert np.array_equal(one.searched_["scores"], other.searched_["scores"])
    answers = [
        model.recommend(run.split.test, 5, history=run.split.validation)
        for model, run in ((one, clean), (other, dirty))
    ]
    assert [r.suggestions for r in answers[0]] == [r.suggestions for r in answers[1]]


@pytest.mark.parametrize("size", [2, 3])
def test_the_chosen_share_stays_under_the_ceiling_on_test_posts(size):
    made = split(POSTS)
    model = Hybrid(Linear(), OwnHistory(), size=size).fit(made.train)
    past = model._past_with(made.validation)
    asked = model._keyed(made.test)
    code: dict[str, int] = {}
    pair = Pair.of(*(part._rank(asked, 30, past, False) for part in model.inside()), 30, code)
    true = [[code.get(tag, -1) for tag in row] for row in asked.tags]
    chosen = _combine.score(pair, true, Choice("cut", model.s1_, model.s2_), size)
    assert chosen <= _combine.oracle(pair, true, size)
    given = measure(model.recommend(made.test, size, history=made.validation), truths(made.test), [f"f1_means@{size}"])
    assert summarise(given, f"f1_means@{size}") == pytest.approx(chosen)


def test_words_and_habit_together_know_the_checkerboard():
    """The words tell one tag of each post, its author the other: two of one part miss what one of each find."""
    made = split(POSTS)
    reached = {}
    for name, model in {"hybrid": Hybrid(Linear(), OwnHistory(), size=2), "habit": OwnHistory()}.items():
        found = model.fit(made.train).recommend(made.test, 2, history=made.validation)
        reached[name] = summarise(measure(found, truths(made.test), ["r@2"]), "r@2")
    assert reached["hybrid"] > reached["habit"]
    assert reached["hybrid"] > 0.95


def test_history_is_read_where_a_part_reads_it():
    assert not Hybrid(Linear(), StringMatch()).uses_history()
    assert Hybrid(Linear(), OwnHistory()).uses_history()


def test_reasons_name_the_part_the_place_and_what_it_saw():
    posts = Posts.of([Post(str(i), "rye bread", "c", tags=("rye", "oat")) for i in range(9)])
    model = Hybrid(Popular(), StringMatch(), size=2).fit(posts)
    asked = Posts.of([Post("new", "my rye", "c")])
    found = {s.tag: s.reasons for s in model.recommend(asked, 2, explain=True)[0].suggestions}
    named = [reason.where for reason in found["rye"] if reason.source == "model"]
    assert [where.split(" #")[0] for where in named] == ["popular", "string_match"]
    assert named[1] == "string_match #1"
    assert "3:6" in [reason.where for reason in found["rye"] if reason.source == "text"]
    assert [reason.where.split(" #")[0] for reason in found["oat"] if reason.source == "model"] == ["popular"]


def test_a_tag_that_the_generator_coins_is_given():
    class Coining(Told):
        def _coins(self, tag):
            return tag == "fresh"

    for kind, expected in ((Told, ["a", "b"]), (Coining, ["fresh", "a"])):
        model = Hybrid(Told(("a", "b")), kind(("fresh",)), validation=0.0, size=2).fit(album())
        model.s1_, model.s2_ = 0, 1
        assert model.recommend(album(1), 2)[0].tags == expected


def test_many_posts_are_searched_in_batches(monkeypatch):
    monkeypatch.setattr(hybrid, "BATCH", 3)
    model = told(size=3).fit(album())
    assert [len(posts) for posts in model.classifier.asked] == [3, 3, 3, 1]
    assert (model.s1_, model.searched_["posts"]) == (2, 10)


def test_kept_and_read_back(tmp_path):
    made = split(POSTS)
    model = Hybrid(Linear(), OwnHistory(), size=2, way="reciprocal").fit(made.train)
    read = load(model.save(tmp_path / "model"))
    assert (read.s1_, read.s2_, read.eta_) == (model.s1_, model.s2_, model.eta_)
    assert np.array_equal(read.searched_["scores"], model.searched_["scores"])
    assert [r.suggestions for r in read.recommend(made.test)] == [r.suggestions for r in model.recommend(made.test)]
