"""Several seeds as one row, rows that several processes share, and authors first met when asking."""

import json
import threading
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from world import checkerboard

from hashloom import catalogue
from hashloom.evaluate import answers, protocol, rows
from hashloom.evaluate.report import markdown, report, table
from hashloom.recommender import Recommender
from hashloom.recommenders.popular import Popular
from hashloom.types import Posts, Rankings

POSTS = Posts.of(
    replace(post, text=f"{post.user} says: {post.text}") for part in checkerboard(users=16) for post in part
).in_order()
POPULAR, OWN = catalogue.recipe("popular"), catalogue.recipe("own-frequency")


@dataclass
class Drawn(Recommender):
    """Ranks the known tags as the seed would have it."""

    seeded: ClassVar[bool] = True
    seed: int = 0

    def settings(self):
        return {"model": "drawn", "seed": self.seed}

    def _fit(self, posts):
        self.tags_ = sorted({tag for tags in posts.tags for tag in tags})

    def _rank(self, posts, k, history, explain):
        order = np.random.default_rng(self.seed).permutation(self.tags_)
        return Rankings.of(posts.ids, [[(str(tag), float(-i)) for i, tag in enumerate(order)][:k]] * len(posts))


@pytest.fixture
def trained(monkeypatch):
    """``popular`` stands for a network: the list of (row, seed) that were trained."""
    real, made = protocol._fit, []

    def fit(recipe, parts, seed, spaces=None):
        made.append((recipe["name"], seed))
        if recipe["name"] != "popular":
            return real(recipe, parts, seed, spaces)
        return protocol.Trained(Drawn(seed).fit(parts.train), parts, float(seed), {})

    monkeypatch.setattr(Popular, "seeded", True)
    monkeypatch.setattr(protocol, "_fit", fit)
    monkeypatch.setattr(rows, "PAUSE", 0.01)
    return made


def test_what_chance_decides_is_trained_once_a_seed_and_counting_once(trained):
    found = protocol.compare([POPULAR, OWN], POSTS, seeds=(0, 1, 2))
    assert trained == [("popular", 0), ("popular", 1), ("popular", 2), ("own-frequency", 0)]
    at = found.names.index("popular")
    assert [len(result.each) for result in found.results] == ([3, 1] if at == 0 else [1, 3])
    alone = [protocol.compare([POPULAR], POSTS, seeds=(seed,)).intervals["ndcg@10"][0].value for seed in range(3)]
    assert len(set(alone)) == 3
    assert found.intervals["ndcg@10"][at].value == pytest.approx(np.mean(alone))
    assert found.deviations[at] == pytest.approx(np.std(alone, ddof=1))
    assert np.isnan(found.deviations[1 - at])
    assert found.results[at].train_seconds == 1.0
    assert found.curves["ndcg"][at][9] == pytest.approx(np.mean(alone))


def test_a_model_that_holds_a_seeded_one_is_seeded(monkeypatch):
    held = catalogue.build({"model": "rerank", "makers": [{"model": "own_history"}, {"model": "popular"}]})
    assert not held.is_seeded()
    monkeypatch.setattr(Popular, "seeded", True)
    assert held.is_seeded()


def test_a_seed_reaches_the_parts_that_settings_leave_to_their_defaults():
    whole = protocol.seeded(
        {"model": "rerank", "makers": [{"model": "multilabel"}, {"model": "multilabel", "seed": 3}]}, 7
    )
    assert [whole["seed"], *(maker["seed"] for maker in whole["makers"])] == [7, 7, 3]
    held = protocol.seeded({"model": "macon"}, 7)
    assert (held["seed"], held["selection"]["seed"]) == (7, 7)


def test_every_table_says_how_far_seeds_are_apart(trained):
    found = protocol.compare([POPULAR, OWN], POSTS, seeds=(0, 1, 2))
    said = f"±{found.deviations[found.names.index('popular')]:.4f} (3)"
    for text in (markdown(found), table(found), report(found)):
        assert "between seeds" in text
        assert said in text
    row = next(r for r in json.loads(json.dumps(found.as_json()))["methods"] if r["name"] == "popular")
    assert row["seeds"] == 3
    assert row["between_seeds"] > 0
    alone = protocol.compare([OWN], POSTS)
    assert "between seeds" not in markdown(alone) + report(alone)


def test_a_stopped_run_goes_on_with_the_seed_where_it_was(trained, tmp_path):
    def stop(text):
        if "seed 2: learning" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        protocol.compare([POPULAR], POSTS, seeds=(0, 1, 2), folder=tmp_path, say=stop)
    again = protocol.compare([POPULAR], POSTS, seeds=(0, 1, 2), folder=tmp_path)
    assert trained == [("popular", 0), ("popular", 1), ("popular", 2)]
    assert again.as_json() == protocol.compare([POPULAR], POSTS, seeds=(0, 1, 2), folder=tmp_path).as_json()
    assert len(trained) == 3


def test_a_row_that_another_process_makes_is_left_to_it(trained, tmp_path):
    said = []
    protocol.compare([POPULAR], POSTS, folder=tmp_path)
    path = next(tmp_path.glob("popular-*.parquet"))
    kept = path.read_bytes()
    path.unlink()
    trained.clear()
    with answers.taken(path) as ours:
        assert ours
        made = []
        run = threading.Thread(
            target=lambda: made.append(protocol.compare([POPULAR, OWN], POSTS, folder=tmp_path, say=said.append))
        )
        run.start()
        while not any("waiting for popular, seed 0" in text for text in said):
            assert run.is_alive() or made
        path.write_bytes(kept)
    run.join(60)
    assert trained == [("own-frequency", 0)]
    assert set(made[0].names) == {"popular", "own-frequency"}


def test_a_row_that_another_process_gave_up_is_made(trained, tmp_path):
    protocol.compare([POPULAR], POSTS, folder=tmp_path)
    next(tmp_path.glob("popular-*.parquet")).unlink()
    protocol.compare([POPULAR], POSTS, folder=tmp_path)
    assert trained == [("popular", 0)] * 2


def test_rows_made_alone_are_those_of_the_whole_table(trained, tmp_path):
    strict = OWN | {"prepare": {"min_community_posts": 10}}
    protocol.compare([POPULAR, strict], POSTS, folder=tmp_path, only=["popular"])
    assert trained == [("popular", 0)]
    protocol.compare([POPULAR, strict], POSTS, folder=tmp_path)
    assert trained == [("popular", 0), ("own-frequency", 0)]


def test_authors_first_met_bring_their_earlier_posts():
    found = protocol.compare([OWN, POPULAR], POSTS, how="user")
    asked = found.experiment.test
    assert not set(asked.users) & set(found.experiment.train.users)
    own = found.results[found.names.index("own-frequency")].rankings
    seen: dict[str, set[str]] = {}
    for i, post in enumerate(asked):
        habit = f"Habit{post.user[1:]}"
        # Suggested where an earlier post carries it; what only later ones carry cannot be known.
        assert (habit.lower() in map(str.lower, own[i].tags)) == (habit in seen.get(post.user, set()))
        seen.setdefault(post.user, set()).update(post.tags)
    assert "user history" in found.slices


def test_a_kept_model_of_a_split_by_user_is_measured_in_the_same_way(tmp_path):
    from hashloom import keeping

    protocol.publish(protocol.train(OWN, POSTS, how="user"), tmp_path / "m")
    said = keeping.manifest(tmp_path / "m")
    found = protocol.evaluate(keeping.load(tmp_path / "m"), POSTS, said=said)
    whole = protocol.compare([OWN], POSTS, how="user")
    assert found.intervals["ndcg@10"][0].value == whole.intervals["ndcg@10"][0].value


def test_seeds_of_the_command_line_are_different_whole_numbers():
    from hashloom.cli import numbers
    from hashloom.data.read import BadInput

    assert numbers("0, 1,12") == [0, 1, 12]
    for wrong in ("", "0,", "0,0", "1,01", "-1", "a", "1.5", "²"):
        with pytest.raises(BadInput, match="different whole numbers"):
            numbers(wrong)
