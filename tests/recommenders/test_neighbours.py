"""Edges come from the most alike of strictly earlier posts of the community; the convolution is torch's."""

import numpy as np
import pytest
import torch

from hashloom.encoders._vectors import unit
from hashloom.networks.graph import AggregatedGraphConvolution
from hashloom.recommenders._neighbours import Edges, Nodes, convolve, edges, gather

N, K = 40, 5


def nodes():
    """Posts of two communities in order of time, each third without a look."""
    draw = np.random.default_rng(0)
    looks = unit(draw.normal(size=(N, 6)).astype(np.float32))
    looks[::3] = 0
    return Nodes(looks, np.arange(N), [("even", "odd")[i % 2] for i in range(N)])


def test_edges_are_those_of_a_plain_search():
    posts = nodes()
    found = edges(posts, posts, K)
    for i in range(N):
        may = [j for j in range(i) if j % 2 == i % 2 and posts.looks[j].any() and posts.looks[i].any()]
        wanted = sorted(may, key=lambda j: -float(posts.looks[i] @ posts.looks[j]))[:K]
        assert found.near[i][found.shares[i] > 0].tolist() == wanted
        weights = np.exp(np.array([1.0, *(posts.looks[i] @ posts.looks[j] for j in wanted)]) * 10)
        assert np.allclose(np.append(found.own[i], found.shares[i, : len(wanted)]), weights / weights.sum(), atol=1e-5)


def test_shares_are_one_together_and_who_has_no_look_keeps_to_itself():
    posts = nodes()
    found = edges(posts, posts, K)
    assert np.allclose(found.shares.sum(axis=1) + found.own[:, 0], 1, atol=1e-6)
    assert (found.own[::3] == 1).all()
    assert (found.own[0::3, 0] == 1).all()
    assert (found.own[10:, 0] < 1).mean() > 0.6


def test_a_post_of_the_same_moment_or_later_is_no_neighbour():
    posts = nodes()
    early = Nodes(posts.looks, np.zeros(N, np.int64), posts.communities)
    assert (edges(early, posts, K).own == 1).all()


def test_more_neighbours_than_there_are_posts():
    posts = nodes()
    found = edges(posts, posts, 3 * N)
    assert found.near.shape == (N, 3 * N)
    assert np.allclose(found.shares.sum(axis=1) + found.own[:, 0], 1, atol=1e-6)


def test_nothing_known_or_nothing_asked():
    posts = nodes()
    none = Nodes(posts.looks[:0], posts.moments[:0], [])
    assert (edges(posts, none, K).own == 1).all()
    assert len(edges(none, posts, K).near) == 0


@pytest.mark.parametrize("layers", [1, 2])
def test_the_convolution_is_that_of_torch(layers):
    torch.manual_seed(0)
    made, posts = AggregatedGraphConvolution(4, layers), nodes()
    found, states = edges(posts, posts, K), torch.randn(N, 4)
    parts = [torch.from_numpy(x) for x in (found.near, found.shares, found.own)]
    tables, sums = made.spread(states, *parts)
    gathered = gather(tables.numpy(), found)
    assert np.allclose(gathered, sums.numpy(), atol=1e-5)
    with torch.no_grad():
        wanted = made(states, sums, parts[2]).numpy()
    answered = convolve(**made.arrays(), states=states.numpy(), sums=gathered, own=found.own)
    assert np.allclose(answered, wanted, atol=1e-5)


def test_without_neighbours_there_is_nothing_to_gather():
    assert gather(np.ones((0, 2, 2, 4), np.float16), Edges.none(3, 0)).shape == (3, 2, 2, 4)
    assert gather(np.ones((1, 2, 2, 4), np.float16), Edges.none(3, 2)).max() == 0
