import pytest

from hashloom.encoders.floret import Floret
from hashloom.recommender import load
from hashloom.recommenders.simple import Simple
from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.types import Post, Posts

SMALL = Floret(dim=16, epochs=2, buckets=500, min_count=1)


def world() -> Posts:
    rows = [
        ("rye bread", "baking"),
        ("wheat bread", "baking"),
        ("a wave", "surf"),
        ("the oven", "Baking"),
        ("oats", "food"),
    ]
    return Posts.of([Post(str(i), text, "c", tags=(tag,)) for i, (text, tag) in enumerate(rows)])


def ask(model: Simple, text: str, k: int = 3):
    return model.recommend(Posts.of([Post("q", text, "c")]), k, explain=True)[0]


def test_the_three_lists_are_fused_by_reciprocal_rank():
    model = Simple(encoder=SMALL).fit(world())
    best = ask(model, "surf the wave", 3)
    found = {s.tag: s for s in best.suggestions}
    assert "edit distance" in [r.where for r in found["surf"].reasons]
    assert "edit distance" not in [r.where for r in found["food"].reasons]
    weights = {r.where: r.weight for r in found["baking"].reasons}
    assert weights["frequency"] == pytest.approx(1 / 61)
    for suggestion in best.suggestions:
        assert suggestion.score == pytest.approx(sum(r.weight for r in suggestion.reasons))


def test_nearly_spelt_words_count():
    model = Simple(encoder=SMALL).fit(world())
    assert "edit distance" in [r.where for r in ask(model, "we were bakin", 1).suggestions[0].reasons]
    assert ask(model, "we were bakin", 1).tags == ["baking"]


def test_lists_are_as_long_as_neighbours_says():
    model = Simple(encoder=SMALL, neighbours=1).fit(world())
    ranking = ask(model, "", 3)
    frequent = [s.tag for s in ranking.suggestions if "frequency" in [r.where for r in s.reasons]]
    assert frequent == ["baking"]


def test_listed_tags_that_no_post_uses_are_found():
    spaces = TagSpaces([TagSpace.of(["baking", "surf", "food", "Zither"], "c")])
    model = Simple(encoder=SMALL).fit(world(), spaces=spaces)
    assert "Zither" in ask(model, "my zither", 2).tags


def test_kept_and_read_back(tmp_path):
    model = Simple(encoder=SMALL).fit(world())
    read = load(model.save(tmp_path / "model"))
    assert ask(read, "bread on a wave") == ask(model, "bread on a wave")
