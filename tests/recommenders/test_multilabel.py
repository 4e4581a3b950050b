"""Multilabel on a tiny world: it learns, answers without torch as it trained, and scores tags without a post."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from hashloom.encoders.floret import Floret
from hashloom.evaluate.beyond import truths
from hashloom.networks import training
from hashloom.recommenders import _multilabel_training as how
from hashloom.recommenders.multilabel import Multilabel
from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.types import Post, Posts

WORLD = {
    "bakers": {"Rye": "rye loaf crumb", "Sourdough": "sourdough starter levain", "Cake": "cake sugar frosting"},
    "sailors": {"Knots": "knots rope bowline", "Storm": "storm wind wave", "Harbour": "harbour quay mooring"},
}


def world(count=60):
    draw = np.random.default_rng(0)
    rows = []
    for i in range(count):
        community = list(WORLD)[i % 2]
        tag = list(WORLD[community])[i // 2 % 3]
        words = [*WORLD[community][tag].split(), *draw.choice(["today", "nice", "again", "friends", "morning"], 2)]
        rows.append(Post(f"p{i}", " ".join(draw.permutation(words)), community, tags=(tag,)))
    return Posts.of(rows)


def small(**settings):
    given = {"encoder": Floret(dim=24, epochs=20, min_count=1, buckets=2000), "rate": 0.01, "epochs": 30}
    sizes = {"states": 24, "hidden": 48, "community": 4, "batch": 16, "half": False}
    return Multilabel(**given | sizes | settings)


@pytest.fixture(scope="module")
def fitted():
    return small().fit(world())


def tags_of(model, *posts, k=3):
    return [ranking.tags for ranking in model.recommend(Posts.of(posts), k=k)]


def test_it_ranks_the_communitys_own_tags(fitted):
    storm, loaf = tags_of(
        fitted, Post("a", "wind and wave", "sailors"), Post("b", "what a fine loaf and its crumb", "bakers")
    )
    assert storm[0] == "Storm"
    assert set(storm) == set(WORLD["sailors"])
    assert loaf[0] == "Rye"
    assert set(loaf) == set(WORLD["bakers"])


def test_it_overfits_64_posts_without_dropout():
    draw = np.random.default_rng(1)
    names = [f"tag{i}" for i in range(8)]
    rows = [
        Post(str(i), " ".join(f"word{w}" for w in draw.integers(0, 90, 12)), "c", tags=(names[draw.integers(8)],))
        for i in range(64)
    ]
    posts = Posts.of(rows)
    model = small(dropout=0.0, alone=0.0, decay=0.0, validation=0.0, epochs=40, rate=0.02).fit(posts)
    first = [set(ranking.tags) for ranking in model.recommend(posts, k=1)]
    assert np.mean([f <= t for f, t in zip(first, truths(posts), strict=True)]) > 0.95


def test_answers_are_what_was_trained(monkeypatch):
    kept = {}
    keep = how._keep

    def spy(model, network, vocabulary, counts):
        kept["network"], kept["number"] = network, {word: at for at, word in enumerate(vocabulary, 1)}
        keep(model, network, vocabulary, counts)

    monkeypatch.setattr(how, "_keep", spy)
    posts = world()
    model = small().fit(posts)
    words = model.split(posts.texts)
    hidden, weights = model._read(words, posts.communities)
    network = kept["network"]
    network.words.weight.data[1 : len(model.table_)] = torch.from_numpy(model.table_[1:].astype(np.float32))
    for i in (0, 1, 7):
        numbers = torch.tensor([[kept["number"][word] for word in words[i]]])
        community = torch.tensor([model.communities_.index(posts.communities[i])])
        with torch.no_grad():
            wanted, attention = network.hidden(numbers, torch.tensor([len(words[i])]), community)
        assert np.allclose(hidden[i], wanted[0].numpy(), atol=1e-5)
        assert np.allclose(weights[i], attention[0].numpy(), atol=1e-5)


def test_company_does_not_change_an_answer(fitted):
    posts = world(150)
    together = fitted.recommend(posts, k=3)
    for i in (0, 77, 149):
        alone = fitted.recommend(posts[i : i + 1], k=3)
        assert alone[0].tags == together[i].tags
        assert np.allclose(alone.scores, together.row(i)[1], atol=1e-5)


def test_the_same_seed_gives_the_same_model(fitted):
    again, other = small().fit(world()), small(seed=1).fit(world())
    assert again.network_ == fitted.network_
    assert np.array_equal(again.rows_, fitted.rows_)
    assert not np.array_equal(other.rows_, fitted.rows_)


def test_a_community_without_a_post_gets_its_own_tags_by_their_words():
    spaces = TagSpaces.learn(world())
    spaces.spaces["newcomers"] = TagSpace.of(["Storm", "Bowline", "Frosting"], "newcomers", closed=True)
    model = small().fit(world(), spaces=spaces)
    asked = [Post("a", "storm wind wave", "newcomers"), Post("b", "cake sugar frosting", "newcomers")]
    asked.append(Post("c", "knots rope bowline", "newcomers"))
    found = tags_of(model, *asked)
    assert [row[0] for row in found] == ["Storm", "Frosting", "Bowline"]
    assert all(set(row) == {"Storm", "Bowline", "Frosting"} for row in found)


def test_an_unused_tag_of_an_old_community_can_be_suggested():
    spaces = TagSpaces.learn(world())
    spaces.spaces["bakers"].tags["levain"] = "Levain"
    model = small().fit(world(), spaces=spaces)
    post = Post("a", "levain sourdough starter", "bakers")
    assert "Levain" in tags_of(model, post, k=2)[0]
    assert tags_of(model, Post("b", "cake sugar frosting", "bakers"), k=1) == [["Cake"]]


def test_a_tag_listed_after_training_is_scored(fitted):
    again = small()
    again.__dict__.update({n: v for n, v in vars(fitted).items() if n.endswith("_")})
    again.encoder = fitted.encoder
    again.spaces_ = TagSpaces.from_json(fitted.spaces_.to_json())
    before = tags_of(again, Post("a", "levain", "bakers"), k=9)[0]
    again.spaces_.spaces["bakers"].tags["levain"] = "Levain"
    assert "Levain" not in before
    assert "Levain" in tags_of(again, Post("a", "levain", "bakers"), k=9)[0]


def test_balance_weighs_small_communities_up():
    posts = world(60)
    few = posts[np.array([c == "bakers" or i < 11 for i, c in enumerate(posts.communities)])]
    model = small(balance=1.0)
    how._name_tags(model, few)
    vocabulary = sorted({w for t in model.split(few.texts) for w in t})
    data = how._numbered(model, few, model.split(few.texts), vocabulary)
    totals = np.bincount(data.communities, data.weights)
    assert np.allclose(totals, totals.mean())
    assert data.weights.mean() == pytest.approx(1.0)


def test_validation_posts_are_the_latest_of_each_community():
    assert training.latest(np.array([0, 1, 0, 0, 1, 0, 1, 1]), 0.25).tolist() == [5, 7]


def test_early_stopping_refit_and_resuming(tmp_path):
    model = small(epochs=4, refit=True, checkpoint=str(tmp_path)).fit(world(240))
    assert 1 <= model.course_["best"] <= 4
    assert len(model.course_["scores"]) <= 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "refit"]
    again = small(epochs=4, refit=True, checkpoint=str(tmp_path)).fit(world(240))
    assert np.array_equal(again.rows_, model.rows_)


def test_reasons_are_words_of_the_text(fitted):
    text = "A storm; wind, wave."
    reasons = fitted.recommend(Posts.of([Post("a", text, "sailors")]), k=1, explain=True)[0].suggestions[0].reasons
    assert len(reasons) == 3
    for reason in reasons:
        place, word = reason.where.split(" ")
        start, end = map(int, place.split(":"))
        assert text[start:end].lower() == word
        assert 0 < reason.weight <= 1


def test_odd_posts(fitted):
    odd = [
        Post("a", "", "bakers"),
        Post("b", "zzz qqq ☃", "sailors"),
        Post("c", "rye", "nobody"),
        Post("d", "x" * 9999),
    ]
    found = tags_of(fitted, *odd)
    assert [len(row) for row in found] == [3, 3, 0, 0]


def test_without_an_encoder():
    model = small(encoder=None).fit(world())
    assert tags_of(model, Post("a", "wind and wave", "sailors"), k=1) == [["Storm"]]


def test_kept_and_answered_without_torch(fitted, tmp_path):
    fitted.save(tmp_path / "model")
    code = (
        "import sys; from hashloom.recommender import load; from hashloom.types import Post, Posts\n"
        "model = load(sys.argv[1])\n"
        "found = model.recommend(Posts.of([Post('a', 'wind and an unheard-of wave', 'sailors')]), k=3)[0].suggestions\n"
        "print([(s.tag, round(s.score, 5)) for s in found])\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "model"], capture_output=True, text=True, check=False)
    here = fitted.recommend(Posts.of([Post("a", "wind and an unheard-of wave", "sailors")]), k=3)[0].suggestions
    wanted = str([(s.tag, round(s.score, 5)) for s in here])
    assert (done.stdout.strip(), done.returncode) == (wanted, 0), done.stderr
