"""TAGNet hears neighbours, earlier ones alone, and learns nothing from a post's own tags."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
import torch
from world import START, gallery

from hashloom import keeping
from hashloom.encoders._reading import Reader
from hashloom.networks.tagger import Plan
from hashloom.recommenders import _multimodal_training as shared
from hashloom.recommenders import _tagnet_training as learning
from hashloom.recommenders.tagnet import Tagnet
from hashloom.types import Post, Posts

QUICK = {"width": 16, "inner": 8, "directions": 8, "rate": 0.01, "epochs": 3, "validation": 0.0, "neighbours": 3}
KINDS = {
    "whole": {},
    "text graph": {"graph": "text"},
    "no graph": {"graph": "none"},
    "no triplet": {"triplet": False},
    "no habit": {"selection": None},
    "neither": {"selection": None, "graph": "none"},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return gallery(tmp_path_factory.mktemp("gallery"), each=10)


@pytest.fixture(scope="module")
def model(world):
    return Tagnet(**QUICK).fit(world[0])


def ranked(model, posts):
    return list(model.recommend(posts, 12))


def same(one, other):
    return all(
        a.tags == b.tags and np.allclose([s.score for s in a.suggestions], [s.score for s in b.suggestions], atol=1e-5)
        for a, b in zip(one, other, strict=True)
    )


def started(world, posts=None, **changed):
    """A training about to begin, and its network."""
    posts = world[0] if posts is None else posts
    model = Tagnet(**(QUICK | changed))
    reader = Reader.learn(model, posts)
    data = shared.numbered(model, reader, posts)
    work = learning.GraphWork(model, Plan(**model._plan()), reader, data, posts)
    with learning.training.seeded(0):
        tagger = work.network(np.arange(len(posts))).eval()
    work.remember(-1)
    work.refresh(tagger)
    return work, tagger


@pytest.mark.parametrize("kind", KINDS)
def test_training_and_answering_see_the_same(world, kind):
    posts = world[0]
    work, tagger = started(world, **KINDS[kind])
    learning.keep(work.model, work, tagger)
    rows = np.arange(len(posts))
    with torch.no_grad():
        trained = work.asked(tagger, rows)[0].cpu().numpy()
    model = work.model
    answered, _ = model._ask(posts, model._mine(model._reader.read(posts)), work.data.history)
    assert np.abs(trained - answered).max() < 0.02 * np.abs(trained).max()


@pytest.mark.parametrize("kind", KINDS)
def test_kept_and_loaded_each_kind_says_the_same(world, kind, tmp_path):
    model = Tagnet(**(QUICK | KINDS[kind])).fit(world[0])
    model.save(tmp_path / "model")
    assert same(ranked(keeping.load(tmp_path / "model"), world[1]), ranked(model, world[1]))


@pytest.mark.parametrize("kind", ["whole", "no graph"])
def test_neighbours_are_heard_where_there_is_a_graph(world, kind):
    model, held = Tagnet(**(QUICK | KINDS[kind])).fit(world[0]), world[1]
    bare = Posts.of([replace(p, images=()) for p in held])
    before, before_bare = ranked(model, held), ranked(model, bare)
    model.graph_["tables"] = model.graph_["tables"] + np.float16(1)
    assert same(before, ranked(model, held)) == (kind == "no graph")
    assert same(before_bare, ranked(model, bare)), "who shows no picture has no neighbours"


def test_what_a_training_post_is_asked_with_does_not_hang_on_its_own_tags(world):
    """A neighbour that came later would bring them, in its author's habit."""
    posts = world[0]
    rows = list(posts)
    work, tagger = started(world)
    at = 12
    changed = Posts.of([replace(p, tags=posts.tags[at + 1]) if i == at else p for i, p in enumerate(rows)])
    other, _ = started(world, changed)
    other.refresh(tagger)
    everyone = np.arange(len(posts))
    with torch.no_grad():
        one, two = (w.asked(tagger, everyone)[0] for w in (work, other))
    assert work.model.tags_ == other.model.tags_
    assert torch.equal(one[: at + 1], two[: at + 1])
    assert not torch.allclose(one[at + 1 :], two[at + 1 :]), "later posts do see them"


def test_no_neighbour_is_later_or_the_post_itself(world):
    work, _ = started(world)
    moments, near = work.data.history.moments, work.edges.near
    heard = work.edges.shares > 0
    assert heard.sum() > 100
    assert (moments[near] < moments[:, None])[heard].all()


def test_a_post_older_than_all_hears_itself_alone(model, world):
    held = world[1]
    old = Posts.of([replace(p, created_at=START - timedelta(days=1)) for p in held])
    for posts, alone in ((old, True), (held, False)):
        found, _ = model._near(posts, model._reader.read(posts), model._past)
        assert (found.own == 1).all() == alone


def test_neighbours_given_as_reasons_are_posts_with_like_pictures(model, world):
    past, held = world
    colour = {p.id: p.tags[1].casefold() for p in past}
    hits = []
    for post, ranking in zip(held, model.recommend(held, 1, explain=True), strict=True):
        heard = [r for r in ranking.suggestions[0].reasons if r.source == "neighbour"]
        assert len(heard) == 3
        hits += [colour[r.where] == post.tags[1].casefold() for r in heard]
    assert np.mean(hits) > 0.9


def test_so_many_neighbours_as_asked_for(world):
    for k in (1, 7):
        work, _ = started(world, neighbours=k)
        assert (work.edges.shares > 0).sum(axis=1).max() == k


def test_a_picture_nobody_can_read_has_no_neighbours(model):
    asked = Posts.of([Post("new", "rye", "shop", "u1", images=("/no/such/picture.png",))])
    found, _ = model._near(asked, model._reader.read(asked), model._past)
    assert (found.own == 1).all()
