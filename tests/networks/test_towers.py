"""Towers: padding never has an influence, a missing part becomes a learnt row, the exports are the networks."""

import numpy as np
import pytest
import torch
from torch import nn

from hashloom.networks.co_attention import ParallelCoAttention
from hashloom.networks.export import to_onnx
from hashloom.networks.fusion import ModalityDropout, WeightedFusion
from hashloom.networks.towers import Absent, RegionTower, VectorTower, WordAttention, WordTower
from hashloom.networks.training import seeded


def masks(lengths, places):
    return torch.arange(places) < torch.tensor(lengths).unsqueeze(1)


@pytest.mark.parametrize("both_ways", [False, True])
def test_padding_and_company_change_no_word_state(both_ways):
    with seeded(0):
        tower = WordTower(20, 6, both_ways=both_ways)
    ids = torch.tensor([[3, 4, 5, 0, 0], [6, 7, 8, 9, 10]])
    together, alone = tower(ids, masks([3, 5], 5)), tower(ids[:1, :3], masks([3], 3))
    assert torch.allclose(together[0, :3], alone[0], atol=1e-6)
    assert torch.equal(together[0, 3], together[0, 2]), "padding repeats the last state"
    ids[0, 3:] = 11
    assert torch.equal(together[0], tower(ids, masks([3, 5], 5))[0])


def test_both_ways_reads_the_words_that_follow():
    with seeded(0):
        ahead, both = WordTower(20, 6), WordTower(20, 6, both_ways=True)
    one, other, mask = torch.tensor([[3, 4]]), torch.tensor([[3, 5]]), masks([2], 2)
    assert torch.equal(ahead(one, mask)[0, 0], ahead(other, mask)[0, 0])
    assert not torch.allclose(both(one, mask)[0, 0], both(other, mask)[0, 0], atol=1e-3)


def test_both_ways_sums_the_directions():
    with seeded(0):
        tower = WordTower(20, 6, both_ways=True)
    ids = torch.tensor([[3, 4, 5]])
    ahead, _ = tower.ahead(tower.words(ids))
    back, _ = tower.back(tower.words(ids.flip(1)))
    assert torch.allclose(tower(ids, masks([3], 3)), ahead + back.flip(1), atol=1e-6)


def test_a_table_starts_the_words_and_is_left_alone():
    table = torch.randn(9, 5)
    kept, tower = table.clone(), WordTower(9, 6, table)
    tower(torch.tensor([[1, 2, 0]]), masks([2], 3)).sum().backward()
    assert tower.words.weight.grad[1].abs().sum() > 0
    assert tower.words.weight.grad[0].abs().sum() == 0
    tower.words.weight.data.zero_()
    assert torch.equal(table, kept)
    with pytest.raises(ValueError, match="9 rows for 8 words"):
        WordTower(8, 6, table)


class Top(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(5, 5)

    def forward(self, states, mask):
        return states + self.dense(states) * mask.unsqueeze(2)


@pytest.mark.parametrize("tower", [VectorTower(5, 4), VectorTower(5, 4, Top()), RegionTower(5, 4)])
def test_padding_rows_are_zero_and_have_no_influence(tower):
    values, mask = torch.randn(2, 6, 5), masks([6, 2], 6)
    found = tower(values, mask)
    assert found[1, 2:].abs().max() == 0
    assert torch.allclose(found[1, :2], tower(values[1:, :2], mask[1:, :2])[0], atol=1e-6)
    assert found.abs().max() < 1


def test_top_is_trained():
    tower = VectorTower(5, 4, Top())
    tower(torch.randn(2, 3, 5), masks([3, 1], 3)).sum().backward()
    assert tower.top.dense.weight.grad.abs().sum() > 0


def test_an_absent_part_becomes_the_learnt_row_and_only_that():
    absent, values, mask = Absent(4), torch.randn(3, 2, 4), masks([2, 0, 1], 2)
    found, there = absent(values, mask)
    assert there.tolist() == [[True, True], [True, False], [True, False]]
    assert torch.equal(found[1, 0], absent.row)
    assert torch.equal(found[[0, 2]], values[[0, 2]])
    found[there].sum().backward()
    assert absent.row.grad.tolist() == [1.0] * 4


def test_word_attention_keeps_the_scale_and_leaves_padding_out():
    with seeded(0):
        attend, states, mask = WordAttention(4, 3), torch.randn(2, 6, 4), masks([6, 3], 6)
    weighed, alpha = attend(states, mask)
    assert torch.allclose(alpha.sum(1), torch.ones(2), atol=1e-6)
    assert alpha[~mask].abs().max() < 1e-6
    assert alpha[0].std() > 1e-4
    assert torch.allclose(weighed[1], 3 * alpha[1].unsqueeze(1) * states[1], atol=1e-6)
    assert torch.allclose(weighed[1, :3], attend(states[1:, :3], mask[1:, :3])[0][0], atol=1e-6)
    assert attend(states, torch.zeros_like(mask))[0].abs().max() == 0


SHAPES = ((2, 5), (1, 1), (4, 9), (3, 2))
AXES = {0: "posts", 1: "places"}


def mask_of(posts, places):
    return masks([1 + i % places for i in range(posts)], places)


class Alone(nn.Module):
    """A network of one output, as the export wants it."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, values, mask):
        found = self.network(values, mask)
        return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("both_ways", [False, True])
def test_export_of_words(both_ways):
    examples = [(torch.randint(1, 20, s), mask_of(*s)) for s in SHAPES]
    assert to_onnx(Alone(WordTower(20, 6, both_ways=both_ways)), examples, {"ids": AXES, "mask": AXES}, ["states"])


@pytest.mark.parametrize("network", [VectorTower(6, 4, None), RegionTower(6, 4), WordAttention(6, 4)])
def test_export_of_vectors(network):
    examples = [(torch.randn(*s, 6), mask_of(*s)) for s in SHAPES]
    outputs = ["states", "alpha"] if isinstance(network, WordAttention) else ["states"]
    assert to_onnx(Alone(network), examples, {"vectors": AXES, "mask": AXES}, outputs)


class Whole(nn.Module):
    """Everything from words and regions to one vector."""

    def __init__(self):
        super().__init__()
        self.words, self.regions, self.attend = WordTower(20, 6), RegionTower(7, 6), WordAttention(6)
        self.no_words, self.no_regions, self.blank = Absent(6), Absent(6), ModalityDropout(0.5)
        self.meet, self.fuse = ParallelCoAttention(6, 4), WeightedFusion(6)

    def forward(self, ids, word_mask, regions, region_mask):
        words, regions = self.words(ids, word_mask), self.regions(regions, region_mask)
        word_mask, region_mask = self.blank(word_mask, region_mask)
        words, word_mask = self.no_words(words, word_mask)
        regions, region_mask = self.no_regions(regions, region_mask)
        words, _ = self.attend(words, word_mask)
        text, image, of_words, of_regions = self.meet(words, word_mask, regions, region_mask)
        return (*self.fuse(text, image), of_words, of_regions)


def example(posts, words, regions):
    """Posts of which the last has no text and the first no picture."""
    seen, looked = mask_of(posts, words), mask_of(posts, regions)
    seen[-1], looked[0] = False, False
    return torch.randint(1, 20, (posts, words)), seen, torch.randn(posts, regions, 7), looked


def test_export_of_the_whole_with_missing_parts():
    import onnxruntime

    with seeded(0):
        network = Whole()
        examples = [example(*s) for s in ((3, 5, 9), (1, 1, 1), (4, 8, 2))]
        new = example(5, 13, 49)
    inputs = {"ids": AXES, "word_mask": AXES, "regions": {0: "posts", 1: "regions"}}
    inputs["region_mask"] = inputs["regions"]
    exported = to_onnx(network, examples, inputs, ["p", "share", "words", "regions_"])
    session = onnxruntime.InferenceSession(exported)
    found = session.run(None, dict(zip(inputs, (part.numpy() for part in new))))
    with torch.no_grad():
        wanted = network(*new)
    assert all(np.allclose(f, w.numpy(), atol=1e-5) for f, w in zip(found, wanted))


def test_training_with_missing_parts_gives_finite_gradients():
    with seeded(0):
        network = Whole().train()
        network(*example(6, 5, 9))[0].square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)
    assert network.no_words.row.grad.abs().sum() > 0
    assert network.no_regions.row.grad.abs().sum() > 0
