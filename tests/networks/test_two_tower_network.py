"""Two towers: unknown tags are scored by their words alone, and drawn candidates stand for all."""

import numpy as np
import pytest
import torch

from hashloom.networks.losses import softmax_loss
from hashloom.networks.training import seeded
from hashloom.networks.two_tower import Sizes, TwoTower, corrected_softmax

START = [4.0, 1.0, 3.0, 0.5, -2.0, 1.0, 2.0]


def made(tags: int = 5, dropout: float = 0.0) -> tuple[TwoTower, dict[str, torch.Tensor]]:
    with seeded(0):
        network = TwoTower(12, 4, tags, START, Sizes(8, 6, dropout))
        parts = {
            "asked": torch.randn(3, 12),
            "words": torch.randn(tags, 4),
            "own": torch.randn(tags, 7),
            "spelt": torch.rand(3, tags),
            "common": torch.randn(tags),
        }
    return network.eval(), parts


def test_a_tags_own_vector_starts_at_zero():
    network, parts = made()
    assert network.own.shape == (5, 7)
    assert not network.own.any()
    rows = network.rows(parts["words"], network.own)
    assert torch.allclose(rows[:, :-1], parts["words"] @ network.project.weight.T)
    assert not rows[:, -1].any()


def test_the_logits_are_the_sum_of_their_parts():
    network, parts = made()
    found = network.logits(**parts)
    asked, words = parts["asked"], parts["words"]
    wanted = network.query(asked) @ network.rows(words, parts["own"]).T
    wanted = wanted + 4 * asked[:, :4] @ words.T + asked[:, 4:8] @ words.T + 3 * parts["spelt"] + 0.5 * parts["common"]
    assert torch.allclose(found, wanted, atol=1e-5)


def test_an_unknown_tag_has_neither_own_vector_nor_count():
    network, parts = made()
    common = parts["common"].clone()
    common[2] = torch.nan
    found = network.logits(**parts | {"common": common})
    others = network.logits(
        **parts | {"common": common, "own": torch.where(torch.isnan(common)[:, None], 9.0, parts["own"])}
    )
    assert torch.equal(found, others)
    query, row = network.query(parts["asked"]), network.rows(parts["words"], torch.zeros(5, 7))[2]
    meaning = parts["asked"][:, :4] @ parts["words"][2]
    habit = parts["asked"][:, 4:8] @ parts["words"][2]
    assert torch.allclose(found[:, 2], query @ row + 5 * meaning + habit + 5 * parts["spelt"][:, 2] - 2, atol=1e-5)
    known = [0, 1, 3, 4]
    assert torch.allclose(found[:, known], network.logits(**parts)[:, known], atol=1e-6)


def test_tags_left_alone_teach_only_what_words_say():
    network, parts = made()
    own = torch.nn.Parameter(parts["own"])
    logits = network.logits(**parts | {"own": own, "common": torch.full((5,), torch.nan)})
    softmax_loss(logits, torch.eye(5)[:3], torch.ones(3, 5, dtype=torch.bool)).mean().backward()
    assert not own.grad.any()
    assert network.project.weight.grad.any()


def test_company_changes_no_score():
    network, parts = made()
    alone = network.logits(**parts | {"asked": parts["asked"][1:2], "spelt": parts["spelt"][1:2]})
    assert torch.allclose(alone[0], network.logits(**parts)[1], atol=1e-6)


def test_drawn_candidates_stand_for_all_tags():
    draw = np.random.default_rng(0)
    logits = torch.from_numpy(draw.normal(size=(1, 40)).astype(np.float32))
    share = np.exp(draw.normal(size=40))
    share /= share.sum()
    chances = 1 - (1 - share) ** 12
    targets = torch.zeros(1, 40)
    targets[0, 7] = 1
    sums = []
    for _ in range(4000):
        there = np.zeros(40, bool)
        there[draw.choice(40, 12, p=share)] = True
        cost = corrected_softmax(
            logits, targets, torch.from_numpy(np.where(there, chances, 0).astype(np.float32))[None]
        )
        sums.append(float(torch.exp(cost + logits[0, 7])))
    whole = float(torch.exp(logits).sum())
    assert np.mean(sums) == pytest.approx(whole, rel=0.05)
    uncorrected = corrected_softmax(logits, targets, torch.from_numpy(there.astype(np.float32))[None])
    assert float(torch.exp(uncorrected + logits[0, 7])) < 0.8 * whole


def test_certain_candidates_make_the_plain_softmax():
    logits, targets = torch.randn(2, 6), torch.eye(6)[:2] + torch.eye(6)[3:5]
    plain = softmax_loss(logits, targets, torch.ones(2, 6, dtype=torch.bool))
    assert torch.allclose(corrected_softmax(logits, targets, torch.ones(2, 6)), plain, atol=1e-6)


def test_candidates_that_a_post_is_not_asked_about_cost_nothing():
    logits = torch.tensor([[0.0, 1.0, 50.0]], requires_grad=True)
    cost = corrected_softmax(logits, torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[1.0, 1.0, 0.0]]))
    cost.sum().backward()
    assert torch.isfinite(cost).all()
    assert logits.grad[0, 2] == 0
