"""Fusions: what they compute, how much the picture weighs, two streams of statistics, and hiding one modality."""

import pytest
import torch
from torch.nn import functional

from hashloom.networks.export import to_onnx
from hashloom.networks.fusion import ConcatFusion, GateFusion, ModalityDropout, SumFusion, WeightedFusion, make_fusion
from hashloom.networks.training import seeded

KINDS = ("sum", "weighted", "gate", "concat")


def pair(posts=5, width=4):
    with seeded(1):
        return torch.randn(posts, width), torch.randn(posts, width)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("posts", [1, 5])
def test_every_kind_gives_a_vector_and_a_share(kind, posts):
    with seeded(0):
        network = make_fusion(kind, 4)
    for training in (True, False):
        p, share = network.train(training)(*pair(posts), stream=1)
        assert p.shape == (posts, 4)
        assert share.shape == (posts, 4 if kind == "weighted" else 1)
        assert torch.isfinite(p).all()
        assert (share >= 0).all()
        assert (share <= 1).all()


def test_sum():
    text, image = pair()
    assert torch.equal(SumFusion()(text, image)[0], text + image)


@pytest.mark.parametrize("maker", [WeightedFusion, GateFusion])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_weighted_by_the_formula(maker, norm):
    with seeded(0):
        network, (text, image) = maker(4, 6, norm), pair()

    def normal(rows):
        axis = 0 if norm == "batch" else 1
        return (rows - rows.mean(axis, keepdim=True)) / (rows.var(axis, correction=0, keepdim=True) + 1e-5).sqrt()

    p, share = network(text, image)
    inner = functional.leaky_relu(network.inner(normal(torch.cat([text, image], 1))), 0.1)
    wanted = torch.sigmoid(network.gate(normal(inner)))
    assert torch.allclose(share, wanted, atol=1e-5)
    assert torch.allclose(p, (1 - wanted) * text + wanted * image, atol=1e-5)


def test_weighted_starts_at_half_of_the_sum_where_the_gate_says_nothing():
    network, (text, image) = WeightedFusion(4), pair()
    assert network.gate.bias.abs().max() == 0
    network.gate.weight.data.zero_()
    assert torch.allclose(network(text, image)[0], (text + image) / 2)


def test_the_gate_learns_to_trust_the_picture():
    with seeded(0):
        network, (text, image) = WeightedFusion(4), pair(64)
        optimizer = torch.optim.Adam(network.parameters(), 0.05)
        for _ in range(60):
            optimizer.zero_grad()
            (network(text, image)[0] - image).square().mean().backward()
            optimizer.step()
    assert network(text, image)[1].mean() > 0.8


def test_streams_keep_statistics_of_their_own():
    network, (text, image) = WeightedFusion(4).train(), pair()
    asked = [norm.running_mean.clone() for norm in (network.before.batch[0], network.between.batch[0])]
    network(text + 5, image, stream=1)
    assert torch.equal(network.before.batch[0].running_mean, asked[0])
    assert torch.equal(network.between.batch[0].running_mean, asked[1])
    assert network.before.batch[1].running_mean.abs().max() > 0.1
    network.eval()
    assert not torch.allclose(network(text, image, stream=0)[1], network(text, image, stream=1)[1], atol=1e-4)


def test_a_batch_of_one_leaves_the_statistics_alone():
    network, (text, image) = WeightedFusion(4).train(), pair(1)
    found, _ = network(text, image)
    assert network.before.batch[0].running_mean.abs().max() == 0
    assert torch.allclose(found, network.eval()(text, image)[0], atol=1e-6)


def test_layer_norm_answers_a_post_as_it_does_in_company():
    network, (text, image) = WeightedFusion(4, norm="layer").train(), pair()
    assert torch.allclose(network(text, image)[0][:1], network(text[:1], image[:1])[0], atol=1e-6)


def test_the_share_of_a_concatenation_follows_the_input():
    network, (text, image) = ConcatFusion(4), pair()
    assert (network(text, image * 0)[1] < 1e-6).all()
    assert (network(text * 0, image * 0)[1] == 0.5).all()
    assert (network(text, image * 9)[1] > network(text, image)[1]).all()


def masks(posts=400):
    words, regions = torch.ones(posts, 3, dtype=torch.bool), torch.ones(posts, 5, dtype=torch.bool)
    words[:50], regions[50:100] = False, False
    words[:, 2] = False
    return words, regions


def test_modality_dropout_hides_one_of_two_and_never_both():
    with seeded(0):
        (words, regions), before = ModalityDropout(0.5)(*masks()), masks()
    assert (words.any(1) | regions.any(1)).all()
    assert torch.equal(words[:100], before[0][:100])
    assert torch.equal(regions[:100], before[1][:100])
    no_words, no_regions = ~words[100:].any(1), ~regions[100:].any(1)
    assert 45 < no_words.sum() < 105
    assert 45 < no_regions.sum() < 105
    assert torch.equal(words[100:][~no_words], before[0][100:][~no_words])


def test_modality_dropout_is_for_training():
    words, regions = masks()
    assert ModalityDropout(1.0).eval()(words, regions) == (words, regions)
    assert ModalityDropout(0.0)(words, regions) == (words, regions)
    with pytest.raises(ValueError, match="between 0 and 1"):
        ModalityDropout(1.5)


def test_wrong_names_are_refused():
    with pytest.raises(ValueError, match="fusion is"):
        make_fusion("mean", 4)
    with pytest.raises(ValueError, match="norm is"):
        make_fusion("gate", 4, norm="group")


@pytest.mark.parametrize("norm", ["batch", "layer"])
@pytest.mark.parametrize("kind", KINDS)
def test_export(kind, norm):
    network = make_fusion(kind, 4, norm)
    network(*pair())
    axes = {0: "posts"}
    assert to_onnx(network, [pair(n) for n in (2, 1, 7)], {"text": axes, "image": axes}, ["p", "share"])
