import numpy as np
import pytest

from hashloom.encoders.tokens import Tokens
from hashloom.recommender import load
from hashloom.recommenders.linear import Linear, character_grams, locate, solve
from hashloom.types import Post, Posts

BAKING = ["rye bread in the oven", "wheat bread and salt", "a bread of oats", "the oven is hot for bread"]
SURFING = ["a high wave at the beach", "the wave broke my board", "no wave but wind", "a board for every wave"]


def world(community: str = "c") -> Posts:
    made = [Post(f"{community}b{i}", text, community, tags=("baking",)) for i, text in enumerate(BAKING)]
    made += [Post(f"{community}s{i}", text, community, tags=("surf", "sea")) for i, text in enumerate(SURFING)]
    return Posts.of(made)


def asked(*texts: str, community: str = "c") -> Posts:
    return Posts.of([Post(f"a{i}", text, community) for i, text in enumerate(texts)])


def test_tells_topics_apart_by_their_words():
    found = Linear().fit(world()).recommend(asked("fresh bread", "what a wave"), 3)
    assert found[0].tags[0] == "baking"
    assert set(found[1].tags[:2]) == {"surf", "sea"}
    assert all(0 < s.score < 1 for ranking in found for s in ranking.suggestions)


def test_an_unseen_form_of_a_word_is_read_by_its_characters():
    assert Linear().fit(world()).recommend(asked("breadmaking"), 1)[0].tags == ["baking"]


def test_solver_separates_and_matches_the_reference_machine():
    svm = pytest.importorskip("sklearn.svm")
    from scipy.sparse import csr_matrix

    random = np.random.default_rng(0)
    x = random.normal(size=(80, 6)).astype(np.float32)
    x[:, -1] = 1
    true = (x[:, :2] + random.normal(scale=0.3, size=(80, 2))) > 0.2
    mine = solve(csr_matrix(x), true, c=0.25, epochs=300)
    for tag in range(2):
        machine = svm.LinearSVC(C=0.25, fit_intercept=False, tol=1e-6, max_iter=100_000).fit(x, true[:, tag])
        assert np.abs(mine[:, tag] - machine.coef_[0]).max() < 0.05


def test_the_same_weights_in_blocks_of_tags(monkeypatch):
    whole = Linear().fit(world()).communities_["c"]["weights"].toarray()
    monkeypatch.setattr("hashloom.recommenders.linear.BLOCK", 1)
    assert np.allclose(whole, Linear().fit(world()).communities_["c"]["weights"].toarray())


def test_communities_know_nothing_of_each_other():
    both = Posts.concat([world("c"), Posts.of([Post("d1", "bread", "d", tags=("canary",))])])
    found = Linear().fit(both).recommend(Posts.concat([asked("bread"), asked("wave", community="d")]), 10)
    assert "canary" not in found[0].tags
    assert found[1].tags == ["canary"]


def test_reasons_are_spans_of_the_words():
    text = "Today: BREAD from the oven"
    best = Linear().fit(world()).recommend(asked(text), 1, explain=True)[0].suggestions[0]
    spans = [tuple(map(int, r.where.split(":"))) for r in best.reasons]
    assert "BREAD" in [text[a:b] for a, b in spans]
    assert all(r.source == "text" and r.weight > 0 for r in best.reasons)


def test_a_text_without_known_words_gets_the_favourites():
    found = Linear().fit(world()).recommend(asked("", "゛"), 2)
    assert [len(ranking.tags) for ranking in found] == [2, 2]


def test_one_post_alone_is_scored_as_in_a_batch():
    model = Linear().fit(world())
    posts = asked("bread and a board", "hot wind", "salt")
    together = model.recommend(posts, 3)
    for i in range(3):
        alone = model.recommend(posts[i : i + 1], 3)[0]
        assert alone.tags == together[i].tags
        assert np.allclose([s.score for s in alone.suggestions], [s.score for s in together[i].suggestions])


def test_kept_and_read_back(tmp_path):
    model = Linear(tokens=Tokens(parts=False)).fit(world())
    read = load(model.save(tmp_path / "model"))
    assert read.recommend(asked("bread wave"), 3)[0] == model.recommend(asked("bread wave"), 3)[0]


def test_ngrams_stay_inside_words():
    assert len(character_grams("ab", 2, 5)) == len([" a", "ab", "b ", " ab", "ab ", " ab "])
    assert set(character_grams("ab cd", 2, 5)) == set(character_grams("ab", 2, 5)) | set(character_grams("cd", 2, 5))
    assert np.array_equal(character_grams("ＡＢ", 2, 3), character_grams("ab", 2, 3))
    assert len(character_grams(" \n", 2, 5)) == 0


def test_locate_prefers_whole_words():
    assert locate("breadth of bread", "bread") == "11:16"
    assert locate("salt, and pepper", "salt and") == "0:9"
    assert locate("nothing", "bread") is None
