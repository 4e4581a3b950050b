"""Masked binary cross-entropy, softmax loss and NDCG against values worked out by hand."""

import math

import pytest
import torch

from hashloom.networks.losses import masked_bce, ndcg, softmax_loss


@pytest.mark.parametrize("padding", [-1e4, 0.0, 7.0, math.inf])
def test_the_loss_is_ln_2_whatever_the_padding(padding):
    mask = torch.tensor([[True, True, False]])
    loss = masked_bce(torch.tensor([[0.0, 0.0, padding]]), torch.tensor([[1.0, 0.0, 0.0]]), mask)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)


def test_padding_gets_no_gradient():
    logits = torch.tensor([[1.0, -1.0, 3.0]], requires_grad=True)
    masked_bce(logits, torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[True, True, False]])).sum().backward()
    assert logits.grad[0, 2] == 0
    assert logits.grad[0, 0] != 0


def test_many_tags_weigh_no_more_than_few():
    targets, logits = torch.zeros(2, 4), torch.zeros(2, 4)
    losses = masked_bce(logits, targets, torch.tensor([[True] * 4, [True, False, False, False]]))
    assert losses[0].item() == pytest.approx(losses[1].item())


def test_ndcg_by_hand():
    logits = torch.tensor([[4.0, 3.0, 2.0, 9.0]])
    targets = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    mask = torch.tensor([[True, True, True, False]])
    wanted = (1 / math.log2(3) + 1 / 2) / (1 + 1 / math.log2(3))
    assert ndcg(logits, targets, mask, 10).item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("padding", [-1e4, 0.0, 50.0, math.inf, math.nan])
def test_the_softmax_loss_by_hand_whatever_the_padding(padding):
    logits = torch.tensor([[1.0, 2.0, 3.0, padding]])
    targets, mask = torch.tensor([[1.0, 0.0, 1.0, 0.0]]), torch.tensor([[True, True, True, False]])
    norm = math.log(sum(math.exp(x) for x in (1, 2, 3)))
    total = (norm - 1) + (norm - 3)
    assert softmax_loss(logits, targets, mask, "sum").item() == pytest.approx(total, abs=1e-6)
    assert softmax_loss(logits, targets, mask).item() == pytest.approx(total / 2, abs=1e-6)


def test_the_softmax_loss_of_nothing_is_0_and_outside_tags_do_not_count():
    logits = torch.randn(3, 3, requires_grad=True)
    targets = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, True], [True, True, False], [False, False, False]])
    loss = softmax_loss(logits, targets, mask)
    assert loss.tolist() == [0.0, 0.0, 0.0]
    loss.sum().backward()
    assert logits.grad.abs().max() == 0


def test_softmax_padding_gets_no_gradient_and_large_logits_stay_finite():
    logits = torch.tensor([[1000.0, -1000.0, 5.0]], requires_grad=True)
    loss = softmax_loss(logits, torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([[True, True, False]]))
    loss.sum().backward()
    assert loss.item() == pytest.approx(2000)
    assert logits.grad.tolist() == [[1.0, -1.0, 0.0]]


def test_the_softmax_loss_refuses_another_kind():
    with pytest.raises(ValueError, match="'mean' or 'sum'"):
        softmax_loss(torch.zeros(1, 2), torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool), "max")
