"""The tagger: padding and company change nothing, each community has its own rows, the export is the network."""

import numpy as np
import pytest
import torch
from torch import nn

from hashloom.networks.bilstm_tagger import BilstmTagger, Sizes
from hashloom.networks.export import to_onnx
from hashloom.networks.training import seeded


def tagger(match=False):
    with seeded(0):
        words, tags = torch.randn(20, 6), torch.randn(5, 6)
        return BilstmTagger(words, tags, torch.tensor([0, 3, 5]), torch.zeros(5), Sizes(4, 2, 7, 0.0, match)).eval()


def test_padding_and_company_change_nothing():
    network = tagger()
    words = torch.tensor([[3, 4, 5, 0, 0], [6, 7, 8, 9, 10]])
    together, weights = network.hidden(words, torch.tensor([3, 5]), torch.tensor([0, 1]))
    alone, _ = network.hidden(words[:1, :3], torch.tensor([3]), torch.tensor([0]))
    assert torch.allclose(together[0], alone[0], atol=1e-6)
    assert weights[0, 3:].abs().max() < 1e-6


def test_both_directions_are_read():
    network = tagger()
    one, _ = network.hidden(torch.tensor([[3, 4, 5]]), torch.tensor([3]), torch.tensor([0]))
    other, _ = network.hidden(torch.tensor([[5, 4, 3]]), torch.tensor([3]), torch.tensor([0]))
    assert not torch.allclose(one, other, atol=1e-3)


def test_logits_equal_separate_heads():
    network = tagger()
    hidden, communities = torch.randn(3, 7), torch.tensor([1, 0, 1])
    logits, mask = network.logits(hidden, communities)
    rows = network.tags @ network.project.weight.T + network.own
    for i, (start, end) in enumerate(((3, 5), (0, 3), (3, 5))):
        assert torch.allclose(logits[i, : end - start], hidden[i] @ rows[start:end].T, atol=1e-5)
        assert mask[i].sum() == end - start


EXAMPLES = [(torch.randn(n, m, 6), torch.full((n,), m), torch.randn(n, 2)) for n, m in ((2, 5), (1, 1), (4, 9))]
INPUTS = {"vectors": {0: "posts", 1: "words"}, "lengths": {0: "posts"}, "place": {0: "posts"}}


def test_words_that_look_like_a_tag_score_it():
    network = tagger(match=True)
    network.own.data.zero_()
    network.project.weight.data.zero_()
    network.words.weight.data[7] = network.tags[4]
    hidden, _ = network.hidden(torch.tensor([[7]]), torch.tensor([1]), torch.tensor([1]))
    logits, _ = network.logits(hidden, torch.tensor([1]))
    assert logits[0, 1] > logits[0, 0]
    assert logits[0, 1].item() == pytest.approx(network.sharpness.item() * network.tags[4].norm().item(), rel=1e-4)


@pytest.mark.parametrize("match", [False, True])
def test_the_export_answers_as_torch_at_shapes_it_has_not_seen(match):
    import onnxruntime

    network = tagger(match)
    session = onnxruntime.InferenceSession(to_onnx(network, EXAMPLES, INPUTS, ["hidden", "attention"]))
    vectors, lengths, place = torch.randn(3, 17, 6), torch.tensor([17, 2, 9]), torch.randn(3, 2)
    found = session.run(None, {"vectors": vectors.numpy(), "lengths": lengths.numpy(), "place": place.numpy()})
    with torch.no_grad():
        wanted = network(vectors, lengths, place)
    assert all(np.allclose(f, w.numpy(), atol=1e-5) for f, w in zip(found, wanted, strict=True))


class Fixed(nn.Module):
    """Its export is frozen at the first example's length, as a faulty exporter's would be."""

    def forward(self, x):
        return ((x.mean(1) if torch.onnx.is_in_onnx_export() else x.sum(1)) * 2,)


def test_a_wrong_export_is_refused():
    shapes = [(torch.randn(2, n),) for n in (3, 4, 5)]
    with pytest.raises(ValueError, match="differs from torch"):
        to_onnx(Fixed(), shapes, {"x": {0: "posts", 1: "words"}}, ["y"])
    with pytest.raises(ValueError, match="three different shapes"):
        to_onnx(Fixed(), shapes[:2], {"x": {0: "posts", 1: "words"}}, ["y"])
