"""Two towers: tags without a post are ranked by their words, at once when they are born, and answers need no torch."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import torch

from hashloom.networks import two_tower as network
from hashloom.recommender import load
from hashloom.recommenders import _two_tower_training as training
from hashloom.recommenders.two_tower import START, TwoTower, spelling, spelt_in
from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.types import Post, Posts

NOW = datetime(2025, 6, 1, tzinfo=UTC)
SAID = {
    "rye": "rye flour kneaded",
    "oat": "oat flakes toasted",
    "spelt": "spelt dough rested",
    "corn": "corn meal boiled",
}


def world(each: int = 8) -> Posts:
    rows = [
        Post(f"{tag}{i}", f"{said}, number {i}", "c", f"u-{tag}", NOW - timedelta(days=each - i), tags=(tag,))
        for i in range(each)
        for tag, said in SAID.items()
    ]
    return Posts.of(rows).in_order()


def small(**settings) -> TwoTower:
    return TwoTower(**{"width": 16, "hidden": 32, "epochs": 15, "validation": 0.0} | settings)


def ask(model: TwoTower, text: str, community: str = "c", k: int = 3, **more) -> list[str]:
    return model.recommend(Posts.of([Post("q", text, community, **more)]), k)[0].tags


@pytest.fixture(scope="module")
def fitted():
    listed = [*SAID, "Hazelnut", "sourdough-starter"]
    spaces = [TagSpace.of(listed, "c"), TagSpace.of(["Oat", "Sailing", "Kneading"], "new")]
    return small().fit(world(), spaces=TagSpaces(spaces))


def test_words_of_training_find_their_tags(fitted):
    for tag, said in SAID.items():
        assert ask(fitted, said)[0] == tag


def test_listed_tags_without_a_post_are_found_by_their_words(fitted):
    assert ask(fitted, "a hazelnut filling")[0] == "Hazelnut"
    assert ask(fitted, "hazelnuts, chopped")[0] == "Hazelnut", "letters count where no encoder knows the word"
    assert ask(fitted, "feeding my sourdough starter")[0] == "sourdough-starter"


def test_a_community_that_is_only_listed_is_answered_from_its_list(fitted):
    assert ask(fitted, "oat flakes", "new")[0] == "Oat"
    assert ask(fitted, "we went sailing", "new")[0] == "Sailing"
    assert set(ask(fitted, "rye", "new", 10)) == {"Oat", "Sailing", "Kneading"}


def test_what_the_space_says_of_a_tag_is_read():
    space = TagSpace.of([*SAID, "misc"], "c", describe={"misc": "chanterelle and other mushrooms"})
    model = small().fit(world(), spaces=TagSpaces([space]))
    assert "misc" not in ask(
        small().fit(world(), spaces=TagSpaces([TagSpace.of([*SAID, "misc"], "c")])), "x chanterelle", k=1
    )
    assert ask(model, "a chanterelle and other mushrooms")[0] == "misc"


def test_a_tag_born_now_is_suggested_at_once():
    model = small().fit(world())
    assert "amaranth" not in ask(model, "popped amaranth", k=10)
    model.update(Posts.of([Post("n", "the first", "c", created_at=NOW, tags=("Amaranth",))]))
    assert ask(model, "popped amaranth")[0] == "Amaranth"
    assert ask(model, SAID["rye"])[0] == "rye", "and the others stay"
    model.update(Posts.of([Post("m", "hello", "newborn", created_at=NOW, tags=("Welcome",))]))
    assert ask(model, "hello", "newborn") == ["Welcome"]


def test_an_update_counts_uses():
    model = small().fit(world())
    before = model.labels("c").level.copy()
    model.update(Posts.of([Post(f"n{i}", "x", "c", created_at=NOW, tags=("rye",)) for i in range(50)]))
    after = model.labels("c")
    assert model.counts_["c"]["rye"] == 58
    assert after.level[after.names.index("rye")] > before[after.names.index("rye")]


def test_forgotten_tags_leave_and_the_others_keep_their_vectors(tmp_path):
    model = small().fit(world())
    wanted = {tag: model.own_[model._trained["c"][tag]] for tag in ("oat", "rye", "spelt")}
    model.forget(tags=["corn"])
    assert "corn" not in ask(model, SAID["corn"], k=10)
    assert model.tags_ == ["oat", "rye", "spelt"]
    assert all(np.array_equal(model.own_[model._trained["c"][tag]], row) for tag, row in wanted.items())
    model.forget(users=["u-oat"])
    assert "oat" not in ask(model, SAID["oat"], k=10)
    assert ask(load(model.save(tmp_path / "model")), SAID["rye"], k=10) == ask(model, SAID["rye"], k=10)


def test_kept_after_an_update_it_says_the_same(tmp_path):
    model = small().fit(world())
    model.update(Posts.of([Post("n", "the first", "c", created_at=NOW, tags=("Amaranth",))]))
    asked = Posts.of([Post("q", "amaranth and rye", "c", "u-rye")])
    one, other = model.recommend(asked)[0], load(model.save(tmp_path / "model")).recommend(asked)[0]
    assert one.tags == other.tags
    assert [s.score for s in one.suggestions] == pytest.approx([s.score for s in other.suggestions])


def test_the_authors_earlier_tags_count_and_later_ones_do_not(fitted):
    posts = Posts.of([Post("q", "again", "c", f"u-{tag}", NOW + timedelta(1)) for tag in SAID])
    assert [r.tags[0] for r in fitted.recommend(posts)] == list(SAID)
    early = Posts.of([Post("q", "again", "c", "u-rye", NOW - timedelta(30)), Post("s", "again", "c", None, NOW)])
    first, stranger = fitted.recommend(early)
    assert first.tags == stranger.tags


def test_answers_are_the_networks(fitted):
    labels = fitted.labels("c")
    tower = network.TwoTower(900, 300, len(fitted.tags_), list(START), network.Sizes(32, 16, 0.0)).eval()
    names = {"dense.weight": "dense", "dense.bias": "dense bias", "out.weight": "out", "out.bias": "out bias"}
    state = {
        key: torch.from_numpy(fitted.towers_[name]) for key, name in (names | {"project.weight": "project"}).items()
    }
    own = torch.from_numpy(fitted.own_.astype(np.float32))
    tower.load_state_dict(state | {"own": own, "alike": torch.from_numpy(fitted.alike_)})
    texts = ["rye and corn", "hazelnut", ""]
    habits = labels.habits([[["rye"]], [], [["oat", "corn"]]])
    found = fitted._score(labels, texts, habits)
    asked = np.concatenate([fitted.unit_texts(texts), habits, np.tile(labels.place, (3, 1))], axis=1)
    posts = fitted.posts_["c"]
    trained = np.flatnonzero(~labels.unknown)
    common = np.full(len(labels.names), np.nan, np.float32)
    counts = np.array([fitted.counts_["c"][labels.names[at]] for at in trained], np.float32)
    common[trained] = training.commonness(counts, posts)
    rows = torch.zeros(len(labels.names), 17)
    rows[trained] = own[: len(trained)]
    spelt = spelt_in(texts, labels.spelt).toarray()
    given = (torch.from_numpy(part) for part in (asked, labels.words))
    with torch.no_grad():
        wanted = tower.logits(*given, rows, torch.from_numpy(spelt), torch.from_numpy(common)).numpy()
    assert np.allclose(found, wanted, atol=1e-3)


def test_it_answers_without_torch(fitted, tmp_path):
    folder = fitted.save(tmp_path / "model")
    script = (
        "import sys; sys.modules['torch'] = None\n"
        "from hashloom.recommender import load\nfrom hashloom.types import Post, Posts\n"
        f"model = load({str(folder)!r})\n"
        "print(model.recommend(Posts.of([Post('q', 'rye flour', 'c')]), 1, explain=True)[0].tags)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "['rye']"


def test_reasons_name_the_words_that_count_and_the_habit(fitted):
    asked = Posts.of([Post("q", "toasted oat, once more", "c", "u-oat", NOW + timedelta(1))])
    why = fitted.recommend(asked, 1, explain=True)[0].suggestions[0].reasons
    assert "8:11" in [r.where for r in why if r.source == "text"]
    assert any(r.source == "habit" for r in why)
    assert all(r.weight > 0 for r in why)


def test_many_tags_are_learnt_against_drawn_and_hard_ones():
    model = small(whole=2, drawn=2, hard=1, epochs=30).fit(world(12))
    assert [ask(model, said)[0] for said in SAID.values()] == list(SAID)


def test_the_chances_of_candidates_are_how_often_they_come():
    posts = Posts.of([Post(f"{t}-{i}", "x", "c", tags=(f"t{t}",)) for t in range(12) for i in range(t + 1)])
    model = small(whole=1, drawn=4, hard=2, epochs=1).fit(posts)
    place = training._set(model, posts).places[0]
    draw, times = np.random.default_rng(0), 4000
    came, told = np.zeros(12), np.zeros(12)
    for _ in range(times):
        at = draw.choice(len(posts), 3)
        tags, chances = training._candidates(model, place, at, draw)
        came[tags] += 1
        told[tags] = chances[0]
    assert came / times == pytest.approx(told, abs=0.04)
    place.hard[:] = [0, 1]
    tags, chances = training._candidates(model, place, np.array([40, 50]), draw)
    assert (chances[:, np.isin(tags, [0, 1])] == 1).all()


def test_hard_tags_are_the_best_wrong_ones():
    posts = world()
    model = small(whole=1, hard=2).fit(posts)
    data = training._set(model, posts)
    tower = network.TwoTower(900, 300, 4, list(START), network.Sizes(32, 16, 0.0))
    training._seek(tower, data)
    place = data.places[0]
    assert place.hard.shape == (len(posts), 2)
    assert not any(place.true[i, tag] for i, row in enumerate(place.hard) for tag in row)


def test_a_community_with_many_posts_does_not_decide_for_another():
    rows = [Post(f"o{i}", "oat", "other", tags=("sail",)) for i in range(4)]
    model = small().fit(Posts.concat([world(), Posts.of(rows)]))
    assert ask(model, "oat", "other", 10) == ["sail"]


def test_spelling_is_the_share_of_a_tags_letters():
    spelt = spelling(["open source", "rust", ""])
    found = spelt_in(["an opensource thing", "open source", "rusty", "Rust!", ""], spelt).toarray()
    assert found.shape == (5, 3)
    assert found[1, 0] == pytest.approx(1, abs=1e-5)
    assert found[3, 1] == pytest.approx(1, abs=1e-5)
    assert 0.02 < found[2, 1] < 1
    assert 0 < found[0, 0] < 1
    assert not found[:, 2].any()
    assert not found[4].any()


def test_the_same_seed_gives_the_same_model():
    one, other, third = (small(seed=seed, epochs=2).fit(world()) for seed in (0, 0, 1))
    assert np.array_equal(one.own_, other.own_)
    assert not np.array_equal(one.own_, third.own_)
