"""RIGHT: what is retrieved is earlier and another post, S(h) by hand, new tags pass and known ones keep their form."""

from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np
import pytest
from world import START, checkerboard, undated

from hashloom import catalogue, keeping
from hashloom.data.history import NOW
from hashloom.encoders.tfidf import Tfidf
from hashloom.generators import part
from hashloom.generators.compact import Compact
from hashloom.recommenders._retrieving import Index, first, marks, moments, once
from hashloom.recommenders._right_training import triplets
from hashloom.recommenders._selecting import corrupt, mainstream, nearest_words
from hashloom.recommenders.right import Right
from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.types import Post, Posts

TRAIN, HELD = checkerboard()
RETRIEVERS = ["bm25", "dense", "tuned", "random", "none"]


@dataclass
class Parrot:
    """A stand-in for a generator: remembers what it was given and says what it is told to."""

    says: list = field(default_factory=list)

    def fit(self, sources, targets):
        self.given = list(zip(sources, targets, strict=True))
        return self

    def generate(self, sources, count):
        self.asked = list(sources)
        return [self.says[:count] for _ in sources]


def right(says=(), **settings):
    parts = {"encoder": Tfidf(dim=8, min_posts=1), "generator": Parrot(list(says))}
    return Right(**parts | {"max_share": 1.0} | settings)


def post(name, text, *tags, hours=0.0, community="c", user="u"):
    return Post(name, text, community, user, START + timedelta(hours=hours), tags=tags)


def given(model):
    """Text → the tags that its source held in training."""
    return {part(source)[0]: part(source)[1] for source, _ in model.generator.given}


# ---- the selector


def test_the_selector_by_hand():
    likeness = {"x": [0.9, 0.8], "y": [0.9], "z": [0.7]}
    assert mainstream(likeness) == pytest.approx({"x": 1.7, "y": 0.9, "z": 0.7})
    cosines = {"x": 0.2, "y": 0.6, "z": 0.5}
    assert mainstream(likeness, cosines) == pytest.approx({"x": 1.155, "y": 1.5, "z": 1.2})


def test_corruption_changes_every_tag_in_the_shares_of_the_paper():
    draw = np.random.default_rng(0)
    made = [corrupt("open source", {"open": "free", "source": "origin"}, ["the"], draw) for _ in range(2000)]
    assert "open source" not in made
    kinds = {
        "replaced": sum(m in ("free source", "open origin") for m in made),
        "cut": sum(m in ("open", "source") for m in made),
        "swapped": sum(m == "source open" for m in made),
        "put in": sum(len(m.split()) == 3 for m in made),
    }
    assert sum(kinds.values()) == 2000
    # A swap of a word with itself changes nothing and is drawn anew.
    assert kinds["replaced"] / 2000 == pytest.approx(0.7 / 0.95, abs=0.03)
    assert kinds["cut"] / 2000 == pytest.approx(0.1 / 0.95, abs=0.02)
    assert kinds["swapped"] / 2000 == pytest.approx(0.05 / 0.95, abs=0.02)


def test_a_tag_without_a_synonym_gets_a_filler():
    assert corrupt("rye", {}, ["the"], np.random.default_rng(0)) == "rye the"


def test_the_nearest_other_word_stands_for_a_synonym():
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1]], np.float32)
    assert nearest_words(["a", "b"], vectors[:2], ["a", "b", "c"], vectors) == {"a": "b", "b": "a"}


# ---- the retriever


def index(posts, kind="bm25"):
    words = [text.split() for text in posts.texts]
    vectors = np.eye(len(posts), 4, dtype=np.float32) + 0.1
    return Index.of(posts, words if kind == "bm25" else None, vectors if kind == "dense" else None, 1.0)


@pytest.mark.parametrize("kind", ["bm25", "dense", "random"])
def test_only_earlier_posts_and_never_itself_are_found(kind):
    posts = Posts.of([post(str(i), "rye bread", f"t{i}", hours=i) for i in range(6)])
    made = index(posts, kind)
    words, vectors = [["rye"]] * 6, np.full((6, 4), 0.5, np.float32)
    if kind == "random":
        found = made.drawn(posts, moments(posts), 10, 0)
    else:
        found = made.near(posts, moments(posts), 10, words if kind == "bm25" else None, vectors)
    assert [sorted(at for at, _ in row) for row in found] == [list(range(i)) for i in range(6)]


def test_undated_posts_find_all_but_themselves():
    posts = undated(Posts.of([post(str(i), "rye bread", f"t{i}") for i in range(3)]))
    made = index(posts)
    found = made.near(posts, moments(posts), 10, [["rye"]] * 3, None)
    assert [sorted(at for at, _ in row) for row in found] == [[1, 2], [0, 2], [0, 1]]


def test_a_learnt_post_asked_without_a_time_keeps_its_own():
    posts = Posts.of([post(str(i), "rye bread", f"t{i}", hours=i) for i in range(3)])
    found = index(posts).near(undated(posts)[1:2], np.array([NOW]), 10, [["rye"]], None)
    assert [at for at, _ in found[0]] == [0]


def test_bm25_is_relative_to_the_most_alike():
    posts = Posts.of([post("a", "rye bread", "x"), post("b", "rye", "y", hours=1), post("c", "sea", "z", hours=2)])
    ((first_, one), (second, other)) = index(posts).near(posts[2:], np.array([NOW]), 5, [["rye", "bread"]], None)[0]
    assert (first_, one, second) == (0, 1.0, 1)
    assert 0 < other < 1


def test_the_same_text_and_tags_stand_once():
    rows = [post("a", "rye bread", "x", "y"), post("b", "rye  bread", "y", "x", hours=1), post("c", "rye bread", "x")]
    assert once(Posts.of(rows)).ids == ["a", "c"]
    assert first(Posts.of([replace(rows[0], community="d"), rows[0]])) == [0, 1]
    assert len(set(marks(Posts.of(rows)).tolist())) == 2


def test_triplets_take_most_and_least_tags_in_common():
    from scipy.sparse import csr_matrix

    # 0 has tags a b; 1 a b; 2 a b c; 3 a; 4 d. All look alike, so that all are retrieved.
    truth = csr_matrix(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]], np.float32))
    looks, same = np.ones((5, 2), np.float32), np.array(["c"] * 5)
    positive, negative = triplets(truth, looks, same, 10, 0)
    assert positive[:3].tolist() == [1, 0, 0] or positive[:3].tolist() == [1, 0, 1]
    assert negative[:4].tolist() == [4] * 4
    apart = np.array(["c", "d", "c", "c", "c"])
    assert triplets(truth, looks, apart, 10, 0)[0][0] == 2
    assert triplets(truth[:1], looks[:1], same[:1], 10, 0)[0].tolist() == [0]


# ---- what the generator is given


@pytest.mark.parametrize("retriever", RETRIEVERS)
@pytest.mark.parametrize("selector", [True, False])
def test_inputs_come_from_earlier_posts_alone(retriever, selector):
    texts = [f"{('rye bread', 'high wave')[i % 2]} {i}" for i in range(12)]
    posts = Posts.of([post(f"p{i}", texts[i], f"Tag{i}", hours=i) for i in range(12)])
    model = right(retriever=retriever, selector=selector, passes=1, kept=0).fit(posts)
    seen = given(model)
    for i in range(12):
        assert set(seen[texts[i]]) <= {f"Tag{j}" for j in range(i)}
    if retriever == "none":
        assert not any(seen.values())
    elif retriever == "random":
        assert len(seen[texts[11]]) == 10
    else:
        # The alike ones, and no others by words.
        assert {"Tag1", "Tag3", "Tag5", "Tag7", "Tag9"} <= set(seen[texts[11]])
        assert retriever != "bm25" or len(seen[texts[11]]) == 5


def test_only_the_best_tags_are_passed_in_order_or_by_chance():
    posts = Posts.of([post(f"p{i}", "rye bread " * (i + 1), f"Tag{i}", hours=i) for i in range(12)])
    ranked, random = (right(order=order, kept=4).fit(posts) for order in ("ranked", "random"))
    last = posts.texts[-1].strip()
    assert len(given(ranked)[last]) == 4
    assert set(given(random)[last]) == set(given(ranked)[last])
    assert any(given(random)[text.strip()] != given(ranked)[text.strip()] for text in posts.texts)
    again = right(order="random", kept=4).fit(posts)
    assert given(again) == given(random)


def test_duplicates_teach_once_and_communities_stay_apart():
    rows = [post("a", "rye bread", "X"), post("b", "rye bread", "X", hours=1)]
    rows += [post("c", "rye loaf", "Y", hours=2, community="d"), post("d", "rye cake", "Z", hours=3)]
    model = right().fit(Posts.of(rows))
    assert len(model.generator.given) == 3
    assert given(model)["rye loaf"] == []
    assert given(model)["rye cake"] == ["X"]


def test_cross_fitted_heads_have_not_seen_the_post(monkeypatch):
    from hashloom.recommenders import _right_training as training

    used, taught, asked = [], {}, []
    heads, selected = training._heads, Right._selected

    def tuned(model, posts, vectors, names, rows):
        made = heads(model, posts, vectors, names, rows)
        used.append(rows)
        taught[id(made)] = (made, {posts.ids[row] for row in rows})  # held, so that no other gets its id
        return made

    def selecting(self, index, found, look, by, name):
        asked.append((name, id(by)))
        return selected(self, index, found, look, by, name)

    monkeypatch.setattr(training, "_heads", tuned)
    monkeypatch.setattr(Right, "_selected", selecting)
    right(retriever="tuned", folds=3, passes=1).fit(TRAIN)
    assert {name for name, _ in asked} == set(TRAIN.ids)
    assert not any(name in taught[by][1] for name, by in asked)
    *parts, whole = [set(rows.tolist()) for rows in used]
    everything = set(range(len(TRAIN)))
    assert whole == everything
    assert [len(part_) for part_ in parts] == [32, 32, 32]
    assert set.union(*(everything - part_ for part_ in parts)) == everything


# ---- answers


ASKED = Posts.of([post("q", "rye flour today", hours=900, community="even")])


def test_generated_tags_first_then_the_retrieved_then_the_unsure():
    says = [("Habit6", 0.4), ("Oat", 0.3), ("Habit4", 0.001)]
    model = right(says, sure=0.05).fit(TRAIN)
    ranking = model.recommend(ASKED, 10)[0]
    assert ranking.tags[:2] == ["Habit6", "Oat"]
    assert ranking.tags[2:4] == ["Rye", "Habit4"] or ranking.tags[2] == "Rye"
    scores = [s.score for s in ranking.suggestions]
    assert scores == sorted(scores, reverse=True)
    assert len(set(ranking.tags)) == len(ranking.tags)
    model.backs = False
    assert model.recommend(ASKED, 2)[0].tags == ["Habit6", "Oat"]


def many(count=30):
    return Posts.of(
        [post(f"p{i}", f"rye bread {i}", ("Sourdough-Bread", "Oven")[i % 2], hours=i) for i in range(count)]
    )


def test_a_new_tag_is_given_if_it_is_sure_and_a_known_one_keeps_its_form():
    says = [("Brand New", 0.5), ("sourdough bread", 0.3), ("Hardly", 0.01)]
    model = right(says).fit(many())
    asked = Posts.of([post("q", "rye", hours=99)])
    ranking = model.recommend(asked, 5, explain=True)[0]
    assert ranking.tags[:2] == ["brand new", "Sourdough-Bread"]
    assert "hardly" not in ranking.tags
    assert ranking.suggestions[0].reasons[0].source == "generator"
    assert any(r.source == "neighbour" for r in ranking.suggestions[1].reasons)
    few = right(says).fit(many(10))
    assert "brand new" not in few.recommend(asked, 5)[0].tags


def test_closed_lists_and_denied_tags_hold_for_what_is_generated():
    says = [("Brand New", 0.5), ("𝖘𝖈𝖆𝖒", 0.4), ("sc4m", 0.3), ("oven", 0.2)]
    closed = TagSpaces([TagSpace.of(["Oven", "Sourdough-Bread"], "c", closed=True)])
    asked = Posts.of([post("q", "rye", hours=99)])
    assert set(right(says).fit(many(), spaces=closed).recommend(asked, 9)[0].tags) <= {"Oven", "Sourdough-Bread"}
    open_ = TagSpaces([TagSpace.of(["Oven", "Sourdough-Bread"], "c", denied=["scam"])])
    assert right(says).fit(many(), spaces=open_).recommend(asked, 9)[0].tags[0] == "brand new"
    tags = right(says).fit(many(), spaces=open_).recommend(asked, 9)[0].tags
    assert set(tags) <= {"brand new", "Oven", "Sourdough-Bread"}


def test_what_only_another_community_knows_is_no_coinage():
    rows = [*many(), post("x", "rye secret", "Project X", community="d")]
    model = right([("project x", 0.9)]).fit(Posts.of(rows).in_order())
    asked = [post("q", "rye secret", hours=99, community=name) for name in ("c", "d", "nowhere")]
    found = model.recommend(Posts.of(asked), 5)
    assert "Project X" not in found[0].tags
    assert "project x" not in found[0].tags
    assert found[1].tags[0] == "Project X"
    assert found[2].tags == []


def test_nothing_is_generated_of_nothing():
    model = right([("Oven", 0.9)]).fit(many())
    model.recommend(Posts.of([post("q", "  ", hours=99)]))
    assert not hasattr(model.generator, "asked")


# ---- learning without retraining


@pytest.mark.parametrize("retriever", RETRIEVERS)
def test_an_update_is_retrieved_at_once_and_forgetting_takes_it_back(retriever, tmp_path):
    settings = {
        "encoder": Tfidf(dim=8, min_posts=1),
        "passes": 1,
        "max_share": 1.0,
        "generator": Compact(width=16, updates=5, pieces=300),
    }
    model = Right(retriever=retriever, **settings).fit(many())
    news = Posts.of([post(f"n{i}", "rye bread 3", "Eclipse", f"Tag{i}", hours=50 + i, user="spy") for i in range(3)])
    assert len(model.update(news)._indices["c"]) == 33
    model.update(Posts.of([post("again", "rye bread 3", "Eclipse", "Tag0", hours=60, user="spy")]))
    assert len(model._indices["c"]) == 33
    model.update(Posts.of([post("other", "rye", "Elsewhere", hours=60, community="new")]))
    asked = Posts.of([post("q", "rye bread 3", hours=99), post("r", "rye", hours=99, community="new")])
    found = model.recommend(asked, 9)
    assert "Elsewhere" in found[1].tags
    assert "Elsewhere" not in found[0].tags
    if retriever not in ("random", "none"):
        assert "Eclipse" in found[0].tags
    model.save(tmp_path / "m")
    again = keeping.load(tmp_path / "m")
    assert [row.tags for row in again.recommend(asked, 9)] == [row.tags for row in found]
    for each in (model, again):
        each.forget(users=["spy"])
        # Even if the generator had learnt it.
        each.generator = Parrot([("Eclipse", 0.9)])
        tags = each.recommend(asked, 9)[0].tags
        assert "eclipse" not in [tag.lower() for tag in tags]
        assert len(each._indices["c"]) == 30
        each.update(Posts.of([post("anew", "rye bread 5", "Eclipse", hours=70)]))
        assert "Eclipse" in each.recommend(asked, 9)[0].tags


def test_a_forgotten_tag_is_retrieved_no_more():
    model = right([("Oven", 0.9)]).fit(many())
    model.forget(tags=["oven"])
    tags = model.recommend(Posts.of([post("q", "rye bread 3", hours=99)]), 9)[0].tags
    assert "oven" not in [tag.lower() for tag in tags]
    assert len(model._indices["c"]) == 15


def test_an_index_that_grew_finds_what_one_learnt_at_once_finds():
    posts = many(40)
    words = [text.split() for text in posts.texts]
    grown, whole = index(posts[:20]), index(posts)
    for at in range(20, 40, 5):
        grown.add(posts[at : at + 5], words[at : at + 5], None)
    one, other = (made.near(posts, moments(posts), 5, words, None) for made in (grown, whole))
    assert [[at for at, _ in row] for row in one] == [[at for at, _ in row] for row in other]


# ---- the whole chain


def test_the_chain_learns_the_checkerboard():
    generator = Compact(width=32, updates=150, pieces=400, rate=0.01)
    model = Right(generator=generator, encoder=Tfidf(dim=8, min_posts=1), passes=2).fit(TRAIN)
    found = model.recommend(HELD, 2, explain=True)
    assert sum(held[0] in row.tags for held, row in zip(HELD.tags, found, strict=True)) >= 7


@pytest.mark.parametrize("name", [n for n in catalogue.names("recipes") if n.split("-")[0] == "right"])
def test_every_recipe_of_right_can_be_built(name):
    recipe = catalogue.recipe(name)
    model = catalogue.build(recipe["model"])
    assert isinstance(model, Right)
    assert catalogue.build(model.settings()) == model
    assert recipe["about"]


def test_the_recipes_are_the_ablations():
    made = {n: catalogue.build(catalogue.recipe(n)["model"]) for n in catalogue.names("recipes") if n[:5] == "right"}
    assert made["right"].selector
    assert not made["right-no-selector"].selector
    assert made["right-random-order"].order == "random"
    assert [made[f"right-{kind}"].retriever for kind in RETRIEVERS[1:]] == RETRIEVERS[1:]
    assert made["right-mt5"].generator.weights == "google/mt5-small"
