"""Triplet attention and graph convolution against their formulas; posts without neighbours keep to themselves."""

import pytest
import torch

from hashloom.networks.export import to_onnx
from hashloom.networks.graph import AggregatedGraphConvolution, TripletAttention
from hashloom.networks.training import seeded

WIDTH, NODES, K = 4, 7, 3


def graph(layers=2, hops=2):
    """A graph whose edges come from earlier nodes; the first and the fifth have none. Also Â, dense."""
    with seeded(0):
        made, states = AggregatedGraphConvolution(WIDTH, layers, hops), torch.randn(NODES, WIDTH)
        near = torch.stack([torch.randint(0, max(1, i), (K,)) for i in range(NODES)])
        parts = torch.softmax(torch.randn(NODES, K + 1), 1)
    parts[[0, 4]] = torch.tensor([1.0] + [0.0] * K)
    own, shares = parts[:, :1], parts[:, 1:]
    dense = torch.diag(own[:, 0])
    for i in range(NODES):
        for j, share in zip(near[i], shares[i], strict=True):
            dense[i, j] += share
    return made, states, near, shares, own, dense


@pytest.mark.parametrize(("layers", "hops"), [(2, 2), (1, 1), (3, 2)])
def test_the_convolution_is_the_matrix_formula(layers, hops):
    made, states, near, shares, own, dense = graph(layers, hops)
    assert torch.allclose(dense.sum(1), torch.ones(NODES))
    _, sums = made.spread(states, near, shares, own)
    wanted = [states]
    for layer in range(layers):
        total = made.dense[layer].bias.expand(NODES, WIDTH)
        for hop in range(hops + 1):
            weight = made.dense[layer].weight[:, hop * WIDTH : (hop + 1) * WIDTH]
            total = total + torch.linalg.matrix_power(dense, hop) @ wanted[-1] @ weight.T
        wanted.append(torch.relu(total))
    assert torch.allclose(made(states, sums, own), torch.cat(wanted, 1), atol=1e-5)


def test_a_new_node_reads_the_tables_as_a_known_one_does():
    made, states, near, shares, own, _ = graph()
    tables, sums = made.spread(states, near, shares, own)
    again = (tables[near] * shares[:, :, None, None, None]).sum(1)  # (nodes, layers, hops, width)
    assert torch.allclose(again, sums, atol=1e-6)


def test_a_post_without_neighbours_reads_itself_alone():
    made, states, near, shares, own, _ = graph()
    _, sums = made.spread(states, near, shares, own)
    assert sums[4].abs().max() == 0
    _, others = made.spread(states.clone().index_fill_(0, torch.tensor([0, 1, 2, 3]), 9.0), near, shares, own)
    before, after = made(states, sums, own), made(states, others, own)
    assert torch.equal(before[4], after[4])
    assert not torch.allclose(before[6], after[6], atol=1e-3)


def test_neighbours_get_no_gradient_and_the_post_does():
    made, states, near, shares, own, _ = graph()
    states.requires_grad_()
    _, sums = made.spread(states, near, shares, own)
    made(states[6:], sums[6:], own[6:]).sum().backward()
    assert states.grad[:6].abs().max() == 0
    assert states.grad[6].abs().max() > 0


def test_attention_rows_sum_to_one_and_differ():
    torch.manual_seed(0)
    weights = TripletAttention(WIDTH).weights(torch.randn(5, 3, WIDTH) * 3)
    assert weights.shape == (5, 3, 3)
    assert torch.allclose(weights.sum(2), torch.ones(5, 3))
    assert weights.std(2).min() > 1e-3


def test_each_of_the_three_hears_the_others_only_with_attention():
    torch.manual_seed(0)
    for attend in (True, False):
        made = TripletAttention(WIDTH, attend)
        made.out.weight.data.zero_()
        made.out.weight.data[:, :WIDTH] = torch.eye(WIDTH)  # only the picture's part goes out
        image, text, user = torch.randn(3, 5, WIDTH)
        with torch.no_grad():
            gap = (made(image, text, user) - made(image, text, user + 1)).abs().max()
        assert (gap > 1e-3) == attend


def test_a_post_without_a_user_has_a_learnt_one():
    made = TripletAttention(WIDTH)
    image, text = torch.randn(2, 5, WIDTH)
    made(image, text, None).sum().backward()
    assert made.absent.grad.abs().max() > 0
    assert torch.equal(made(image, text, None), made(image, text, made.absent.expand(5, WIDTH)))


def test_the_triplet_is_exported():
    examples = [tuple(torch.randn(3, n, WIDTH)) for n in (2, 1, 5)]
    inputs = {name: {0: "posts"} for name in ("image", "text", "user")}

    class Tuple(TripletAttention):
        def forward(self, *three):
            return (super().forward(*three),)

    assert to_onnx(Tuple(WIDTH), examples, inputs, ["node"])
