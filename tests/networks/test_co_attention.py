"""Co-attention: values worked out by hand, weights that sum to 1 with none on padding, and what guides what."""

import pytest
import torch

from hashloom.networks.co_attention import (
    AlternatingCoAttention,
    GuidedAttention,
    OwnAttention,
    ParallelCoAttention,
)
from hashloom.networks.export import to_onnx
from hashloom.networks.training import seeded

VECTORS = {
    "paper": ([0.437096, 0.562904], [0.308405, 0.322847, 0.368747], [1.458605, 0.613773]),
    "code": ([0.435778, 0.564222], [0.307995, 0.322874, 0.369131], [1.459237, 0.615171]),
}


def true(*shape):
    return torch.ones(*shape, dtype=torch.bool)


@pytest.mark.parametrize("variant", ["paper", "code"])
def test_parallel_by_hand(variant):
    network = ParallelCoAttention(2, 2, variant).double()
    network.affinity.weight.data = torch.tensor([[0.1, 0.2], [0.3, -0.1]]).double().T
    network.words.weight.data = torch.tensor([[0.2, -0.1], [0.4, 0.3]]).double().T
    network.regions.weight.data = torch.tensor([[0.5, 0.1], [-0.2, 0.3]]).double().T
    network.score_words.weight.data = torch.tensor([[0.7, -0.4]]).double()
    network.score_regions.weight.data = torch.tensor([[0.3, 0.6]]).double()
    words = torch.tensor([[[1.0, 0], [0, 1], [1, 1]]]).double()
    regions = torch.tensor([[[0.5, -0.5], [1, 0.25]]]).double()
    text, image, of_words, of_regions = network(words, true(1, 3), regions, true(1, 2))
    for found, wanted in zip((of_regions, of_words, text + image), VECTORS[variant]):
        assert torch.allclose(found[0].double(), torch.tensor(wanted).double(), atol=1e-6)


def test_alternating_by_hand():
    """All maps the identity, all scores one, one feature: softmax of the sums of tanh."""
    network = AlternatingCoAttention(1, 1, join="sum")
    for parameter in network.parameters():
        parameter.data.fill_(1.0)
    words, regions = torch.tensor([[[1.0], [3.0], [99.0]]]), torch.tensor([[[0.5], [-1.0]]])
    mask = torch.tensor([[True, True, False]])
    text, image, of_words, of_regions = network(words, mask, regions, true(1, 2))
    looked = torch.softmax(torch.tanh(torch.tensor([0.5 + 2.0, -1.0 + 2.0])), 0)
    seen = (looked * torch.tensor([0.5, -1.0])).sum()
    read = torch.softmax(torch.tanh(torch.tensor([1.0, 3.0]) + seen), 0)
    assert torch.allclose(of_regions[0], looked, atol=1e-6)
    assert torch.allclose(of_words[0, :2], read, atol=1e-6)
    assert image.item() == pytest.approx(seen.item(), abs=1e-6)
    assert text.item() == pytest.approx((read * torch.tensor([1.0, 3.0])).sum().item(), abs=1e-6)


MAKERS = {
    "parallel": lambda: ParallelCoAttention(6, 5),
    "alternating": lambda: AlternatingCoAttention(6, 5),
    "two steps": lambda: AlternatingCoAttention(6, 5, 2, "sum"),
    "product": lambda: AlternatingCoAttention(6, 5, 1, "product"),
    "own": lambda: OwnAttention(6, 5),
}
networks = pytest.mark.parametrize("name", MAKERS)


def made(name):
    with seeded(0):
        return MAKERS[name]()


def posts(seed=0):
    """Three posts: full; three words and four regions; one word and one region."""
    with seeded(seed):
        words, regions = torch.randn(3, 7, 6), torch.randn(3, 9, 6)
    return (
        words, torch.arange(7) < torch.tensor([[7], [3], [1]]),
        regions, torch.arange(9) < torch.tensor([[9], [4], [1]]),
    )  # fmt: skip


@networks
def test_weights_sum_to_one_with_none_on_padding(name):
    words, word_mask, regions, region_mask = posts()
    text, image, of_words, of_regions = made(name)(words * 20, word_mask, regions * 20, region_mask)
    for weights, mask in ((of_words, word_mask), (of_regions, region_mask)):
        assert torch.allclose(weights.sum(1), torch.ones(3), atol=1e-6)
        assert weights[~mask].abs().max() < 1e-6
    assert torch.allclose(text[2], words[2, 0] * 20, atol=1e-4)
    assert torch.allclose(image[2], regions[2, 0] * 20, atol=1e-4)


@networks
def test_weights_differ_between_places(name):
    _, _, of_words, of_regions = made(name)(*posts())
    assert of_words[0].std() > 1e-3
    assert of_regions[0].std() > 1e-3


@networks
@pytest.mark.parametrize("padding", [0.0, 1e4, float("nan")])
def test_padding_does_not_change_the_result(name, padding):
    network, (words, word_mask, regions, region_mask) = made(name), posts()
    short = network(words[1:2, :3], word_mask[1:2, :3], regions[1:2, :4], region_mask[1:2, :4])
    words[~word_mask], regions[~region_mask] = padding, padding
    long = network(words, word_mask, regions, region_mask)
    for found, wanted in zip(long, short):
        assert torch.allclose(found[1, : wanted.shape[1]], wanted[0], atol=1e-5)


@networks
def test_a_row_of_nothing_but_padding_gives_zeros_and_finite_gradients(name):
    network, (words, word_mask, regions, region_mask) = made(name), posts()
    word_mask[0], region_mask[1] = False, False
    found = network(words.requires_grad_(), word_mask, regions, region_mask)
    assert found[0][0].abs().max() == 0
    assert found[1][1].abs().max() == 0
    sum(part.square().sum() for part in found).backward()
    assert torch.isfinite(words.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_the_released_code_lets_padding_take_part():
    words, word_mask, regions, region_mask = posts()
    with seeded(0):
        network = ParallelCoAttention(6, 5, "code")
    text, _, of_words, of_regions = network(words, word_mask, regions, region_mask)
    assert of_words[2, 1:].min() > 1e-4
    assert of_regions[~region_mask].abs().max() < 1e-6
    words[2, 1:] += 3
    assert not torch.allclose(text[2], network(words, word_mask, regions, region_mask)[0][2], atol=1e-2)


@pytest.mark.parametrize(("join", "guided"), [("concat", False), ("sum", True), ("product", True)])
def test_a_concatenated_query_guides_nothing(join, guided):
    with seeded(0):
        attend, rows, one, other = GuidedAttention(6, 5, join), torch.randn(2, 9, 6), *torch.randn(2, 2, 6)
    weights = [attend(rows, true(2, 9), query)[1] for query in (one, other)]
    assert torch.allclose(*weights, atol=1e-6) != guided


def test_words_and_regions_guide_each_other_in_parallel():
    network, (words, word_mask, regions, region_mask), other = made("parallel"), posts(), posts(1)
    before = network(words, word_mask, regions, region_mask)
    assert not torch.allclose(before[3][0], network(other[0], word_mask, regions, region_mask)[3][0], atol=1e-3)
    assert not torch.allclose(before[2][0], network(words, word_mask, other[2], region_mask)[2][0], atol=1e-3)


def test_each_alone_sees_nothing_of_the_other():
    network, (words, word_mask, regions, region_mask) = made("own"), posts()
    before = network(words, word_mask, regions, region_mask)
    assert torch.equal(before[1], network(-words, word_mask, regions, region_mask)[1])


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="variant is"):
        ParallelCoAttention(4, variant="codes")
    with pytest.raises(ValueError, match="join is"):
        AlternatingCoAttention(4, join="mean")
    with pytest.raises(ValueError, match="one step or more"):
        AlternatingCoAttention(4, steps=0)


@pytest.mark.parametrize("name", [*MAKERS, "code"])
def test_export(name):
    network = ParallelCoAttention(6, 5, "code") if name == "code" else made(name)
    examples = []
    for n, words, regions in ((2, 5, 9), (1, 1, 1), (4, 8, 2), (3, 2, 49)):
        word_mask = torch.arange(words) < torch.arange(n).unsqueeze(1)
        examples.append((torch.randn(n, words, 6), word_mask, torch.randn(n, regions, 6), true(n, regions)))
    of_words, of_regions = {0: "posts", 1: "words"}, {0: "posts", 1: "regions"}
    inputs = {"words": of_words, "word_mask": of_words, "regions": of_regions, "region_mask": of_regions}
    assert to_onnx(network, examples, inputs, ["text", "image", "of_words", "of_regions"])
