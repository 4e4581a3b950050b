"""Recipes reach the band that they expect of themselves, on the samples and, where they are at hand, on real posts."""

from pathlib import Path

import numpy as np
import pytest

from hashloom import catalogue
from hashloom.data.read import read
from hashloom.evaluate.protocol import compare

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared" / "data" / "stackexchange" / "posts.parquet"
EXPECTING = [name for name in catalogue.names("recipes") if catalogue.recipe(name)["expected"]]


def test_the_main_recipe_expects_something():
    assert {"loom", "two-stage", "popular", "own-recency"} <= set(EXPECTING)


@pytest.fixture(scope="module")
def samples():
    return read(ROOT / "samples" / "posts.jsonl")[0]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where answers are kept, so that no recipe is trained twice."""
    return tmp_path_factory.mktemp("answers")


@pytest.mark.parametrize("name", EXPECTING)
def test_a_recipe_reaches_its_band_on_the_samples(name, samples, kept):
    recipe = catalogue.recipe(name)
    found = compare([recipe], samples, folder=kept)
    for metric, (low, high) in recipe["expected"]["samples"].items():
        assert low <= found.value(0, metric) <= high


@pytest.mark.parametrize("name", ["two-stage", "loom"])
def test_two_stages_beat_counting_on_the_samples(name, samples, kept):
    recipes = [catalogue.recipe(each) for each in (name, "own-recency", "popular")]
    assert compare(recipes, samples, folder=kept).names[0] == name


@pytest.fixture(scope="module")
def robotics():
    if not REAL.is_file():
        pytest.skip(f"the real posts are not at {REAL.relative_to(ROOT.parent)}")
    posts, report = read(REAL)
    assert not report.refused
    return posts[np.array(posts.communities) == "robotics"]


def test_linear_and_nearest_reach_their_band_on_real_posts(robotics):
    found = compare([catalogue.recipe(name) for name in ("linear", "nearest", "popular")], robotics)
    reached = {name: found.intervals["ndcg@10"][i].value for i, name in enumerate(found.names)}
    assert found.names == ["linear", "nearest", "popular"]
    assert 0.62 <= reached["linear"] <= 0.76
