"""Attention sums to one over words and puts nothing on padding."""

import torch

from hashloom.networks.attention import AttentionPooling, masked_softmax


def test_weights_sum_to_one_and_leave_padding_out():
    torch.manual_seed(0)
    mask = torch.arange(9) < torch.tensor([[9], [4], [1]])
    _, weights = AttentionPooling(6, 5)(torch.randn(3, 9, 6) * 30, mask)
    assert torch.allclose(weights.sum(1), torch.ones(3), atol=1e-6)
    assert weights[~mask].abs().max() < 1e-6


def test_weights_differ_between_words():
    torch.manual_seed(0)
    _, weights = AttentionPooling(6, 5)(torch.randn(2, 9, 6), torch.ones(2, 9, dtype=torch.bool))
    assert weights.std(1).min() > 1e-3


def test_padding_does_not_change_the_pooled_vector():
    torch.manual_seed(0)
    pool, states = AttentionPooling(6, 5), torch.randn(1, 9, 6)
    short, _ = pool(states[:, :4], torch.ones(1, 4, dtype=torch.bool))
    padded, _ = pool(states, (torch.arange(9) < 4).unsqueeze(0))
    assert torch.allclose(short, padded, atol=1e-6)


def test_a_row_without_words_has_no_attention():
    assert masked_softmax(torch.ones(1, 3), torch.zeros(1, 3, dtype=torch.bool)).tolist() == [[0.0, 0.0, 0.0]]
