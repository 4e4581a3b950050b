"""Habit memory: what is remembered, what is not (padding, absent posts), the null slot, time, and the mask error."""

import numpy as np
import pytest
import torch

from hashloom.networks.export import to_onnx
from hashloom.networks.habit import HabitMemory, TagSummary
from hashloom.networks.training import seeded


def asked(posts=2, entries=3, tags=4, width=6, kinds=10):
    """Every post has one entry less than the one before it, every entry one tag less."""
    with seeded(1):
        present = torch.arange(entries) < (entries - torch.arange(posts)).unsqueeze(1)
        codes = torch.randint(1, kinds + 1, (posts, entries, tags))
        codes *= torch.arange(tags) < (tags - torch.arange(entries)).clamp(min=1).unsqueeze(1)
        facts = torch.rand(posts, entries, 4)
        facts[..., 3] = 0
        return [
            torch.randn(posts, width), torch.randn(posts, entries, width), codes * present.unsqueeze(2), present, facts
        ]  # fmt: skip


def memory(**settings):
    with seeded(0):
        return HabitMemory(6, 10, 5, **settings)


def test_a_summary_by_hand():
    summary, table, codes = TagSummary(6, 5), torch.randn(11, 6), torch.tensor([[[3, 7, 0], [4, 0, 0]]])
    found, weights = summary(codes, table)
    energy = summary.score(torch.tanh(summary.project(table[[3, 7]]))).squeeze(1)
    wanted = torch.softmax(energy, 0)
    assert torch.allclose(weights[0, 0], torch.cat([wanted, torch.zeros(1)]), atol=1e-6)
    assert torch.allclose(found[0, 0], wanted @ table[[3, 7]], atol=1e-6)
    assert torch.allclose(found[0, 1], table[4], atol=1e-6)


def test_a_summary_of_no_tags_is_zero():
    found, weights = TagSummary(6, 5)(torch.zeros(1, 1, 3, dtype=torch.long), torch.randn(11, 6))
    assert found.abs().max() == 0
    assert weights.abs().max() == 0


def test_the_mask_error_gives_real_tags_no_mass():
    summary, table = TagSummary(6, 5, mask_bug=True), torch.randn(11, 6)
    found, weights = summary(torch.tensor([[[3, 7, 0], [4, 5, 6]]]), table)
    assert weights[0, 0].tolist() == [0.0, 0.0, 0.5]  # the other half falls on padding that is always added
    assert torch.allclose(found[0, 0], table[0])
    assert torch.allclose(found[0, 1], table[0]), "as among the 48 places of the released code, padding is always there"


@pytest.mark.parametrize("mask_bug", [False, True])
def test_only_with_the_mask_error_tags_have_no_influence(mask_bug):
    network, (p, past, codes, present, facts) = memory(mask_bug=mask_bug), asked()
    codes[..., -1] = 0
    other = torch.where(codes > 0, codes % 10 + 1, 0)
    same = torch.allclose(network(p, past, codes, present, facts)[0], network(p, past, other, present, facts)[0])
    assert same == mask_bug


@pytest.mark.parametrize("settings", [{}, {"variant": "code"}, {"recency": True}, {"memory": "tags"}], ids=str)
def test_weights_sum_to_one_with_none_on_absent_entries(settings):
    network, (p, past, codes, present, facts) = memory(**settings), asked()
    influence, weights = network(p * 9, past * 9, codes, present, facts)
    assert influence.shape == (2, 6)
    assert torch.allclose(weights.sum(1), torch.ones(2), atol=1e-6)
    assert weights[:, :-1][~present].abs().max() < 1e-6
    assert weights[0, :-1].std() > 1e-4
    past[~present], codes[~present], facts[~present] = float("nan"), 3, 9.0
    assert torch.allclose(network(p * 9, past * 9, codes, present, facts)[0], influence, atol=1e-5)


@pytest.mark.parametrize("settings", [{}, {"variant": "code"}, {"memory": "tags"}], ids=str)
def test_more_padding_changes_nothing(settings):
    network, short, long = memory(**settings), asked(), asked(entries=5, tags=7)
    for i in (1, 2, 3, 4):
        part = torch.zeros_like(long[i])
        part[tuple(slice(n) for n in short[i].shape)] = short[i]
        long[i] = part
    for found, wanted in zip(network(short[0], *long[1:]), network(*short)):
        assert torch.allclose(found[:, 0], wanted[:, 0], atol=1e-6)
        assert torch.allclose(found[:, -1], wanted[:, -1], atol=1e-6)


@pytest.mark.parametrize("settings", [{}, {"variant": "code"}, {"memory": "tags"}], ids=str)
@pytest.mark.parametrize("entries", [0, 3])
def test_without_history_only_the_null_slot_speaks(settings, entries):
    network, (p, past, codes, _, facts) = memory(**settings), asked(entries=entries)
    influence, weights = network(p, past, codes, torch.zeros(2, entries, dtype=torch.bool), facts)
    assert weights[:, -1].tolist() == [1.0, 1.0]
    if settings.get("variant") != "code":
        assert torch.allclose(influence, network.null_value.expand(2, 6), atol=1e-6)
    influence.square().sum().backward()
    assert network.null_value.grad.abs().sum() > 0
    assert all(torch.isfinite(part.grad).all() for part in network.parameters() if part.grad is not None)


def test_paper_and_code_by_the_formulas():
    p, past, codes, present, facts = asked(posts=1, entries=2)
    paper, code = memory(), memory(variant="code")
    keys = p.unsqueeze(1) * torch.cat([past, paper.null_past.expand(1, 1, 6)], 1)
    values = torch.cat([paper.summary(codes, paper.table.weight)[0], paper.null_value.expand(1, 1, 6)], 1)
    weights = torch.softmax(paper.score(keys).squeeze(-1), 1)
    influence, found = paper(p, past, codes, present, facts)
    assert torch.allclose(found, weights, atol=1e-6)
    assert torch.allclose(influence, (weights.unsqueeze(2) * values).sum(1), atol=1e-6)
    keys = p.unsqueeze(1) * torch.cat([past, code.null_past.expand(1, 1, 6)], 1)
    values = torch.cat([code.summary(codes, code.table.weight)[0], code.null_value.expand(1, 1, 6)], 1)
    both = torch.cat([keys, values], 2)
    weights = torch.softmax(torch.tanh(code.score(both)).squeeze(-1), 1)
    influence, found = code(p, past, codes, present, facts)
    assert torch.allclose(found, weights, atol=1e-6)
    assert torch.allclose(influence, code.out((weights.unsqueeze(2) * both).sum(1)), atol=1e-5)


def test_older_entries_weigh_less_by_a_learnt_power_of_time():
    network, (p, past, codes, present, facts) = memory(recency=True), asked(posts=1)
    past[:], facts[..., 1] = past[:, :1], torch.log(torch.tensor([1.0, 4.0, 16.0]))
    influence, weights = network(p, past, codes, present, facts)
    ratios = weights[0, 1:3] / weights[0, :2]
    assert torch.allclose(ratios, torch.full((2,), 4.0 ** -network.decay.item()), atol=1e-5)
    influence.sum().backward()
    assert network.decay.grad.abs() > 0
    equal = memory()(p, past, codes, present, facts)[1]
    assert torch.allclose(equal[0, 0], equal[0, 2]), "without recency age is not looked at"


def test_others_posts_bear_the_source():
    network, (p, past, codes, present, facts) = memory(), asked(posts=1, entries=1)
    own, weights = network(p, past, codes, present, facts)
    facts[..., 3] = 1
    theirs, _ = network(p, past, codes, present, facts)
    assert torch.allclose(theirs - own, weights[:, :1] * network.source, atol=1e-6)
    assert memory(facts=3).source is None


def test_a_memory_of_tags_weighs_facts_and_mixes_tag_vectors():
    network, (p, past, codes, present, facts) = memory(memory="tags"), asked(posts=1, tags=1)
    influence, weights = network(p, past, codes, present, facts)
    logits = torch.cat([facts[0] @ torch.tensor([1.0, -0.5, 1.0, 0.0]), torch.zeros(1)])
    assert torch.allclose(weights[0], torch.softmax(logits, 0), atol=1e-6)
    values = torch.cat([network.table(codes[0, :, 0]), network.null_value.unsqueeze(0)])
    assert torch.allclose(influence[0], weights[0] @ values, atol=1e-6)
    facts[0, 1, 2] += 2
    assert network(p, past, codes, present, facts)[1][0, 1] > weights[0, 1], "used more often, weighs more"


def test_every_parameter_is_kept_once():
    state = memory(variant="code", recency=True).state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) == len(state)


def test_wrong_settings_are_refused():
    for settings, message in (
        ({"variant": "codes"}, "variant is"),
        ({"memory": "words"}, "memory is"),
        ({"memory": "tags", "mask_bug": True}, "leave them out"),
        ({"recency": True, "facts": 1}, "too few"),
    ):
        with pytest.raises(ValueError, match=message):
            memory(**settings)


def test_it_learns_whose_tags_to_repeat():
    """The wanted tag is that of the earlier post that is like the asked one."""
    with seeded(0):
        network, head = HabitMemory(8, 5, 8), torch.nn.Linear(8, 6)
        optimizer = torch.optim.Adam([*network.parameters(), *head.parameters()], 0.02)
        for _ in range(300):
            past = torch.randn(64, 2, 8).sign()
            codes, like = torch.randint(1, 6, (64, 2, 1)), torch.randint(0, 2, (64,))
            p, wanted = past[torch.arange(64), like], codes[torch.arange(64), like, 0]
            influence, _ = network(p, past, codes, torch.ones(64, 2, dtype=torch.bool), torch.zeros(64, 2, 4))
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(head(influence), wanted).backward()
            optimizer.step()
    assert (head(influence).argmax(1) == wanted).float().mean() > 0.9


class WithoutPast(torch.nn.Module):
    """A memory of tags reads no past; the exporter leaves out what is not read."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, p, tags, present, facts):
        return self.network(p, p.unsqueeze(1), tags, present, facts)


@pytest.mark.parametrize(
    "settings", [{}, {"variant": "code"}, {"mask_bug": True}, {"recency": True}, {"memory": "tags"}], ids=str
)
def test_export(settings):
    import onnxruntime

    network = memory(**settings)
    of_entries = {0: "posts", 1: "entries"}
    inputs = {
        "p": {0: "posts"}, "past": of_entries, "tags": {**of_entries, 2: "tags"},
        "present": of_entries, "facts": of_entries,
    }  # fmt: skip
    examples = [tuple(asked(*shape)) for shape in ((2, 3, 4), (1, 1, 1), (4, 64, 2), (5, 2, 48))]
    new = tuple(asked(3, 7, 5))
    if network.memory == "tags":
        network = WithoutPast(network)
        inputs.pop("past")
        *examples, new = (example[:1] + example[2:] for example in (*examples, new))
    session = onnxruntime.InferenceSession(to_onnx(network, examples, inputs, ["influence", "weights"]))
    found = session.run(None, {name: part.numpy() for name, part in zip(inputs, new)})
    with torch.no_grad():
        assert all(np.allclose(f, w.numpy(), atol=1e-5) for f, w in zip(found, network(*new)))
