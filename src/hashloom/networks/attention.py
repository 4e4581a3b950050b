"""Attention pooling over words: softmax(w · tanh(W h)) with padding masked (Lin et al. 2017, one head)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def masked_softmax(energy: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis among the places where ``mask`` is true; exactly 0 elsewhere.

    ``energy`` and ``mask`` have shape (batch, places); a row without a true place gives zeros.

    >>> masked_softmax(torch.tensor([[1.0, 1.0, 9.0]]), torch.tensor([[True, True, False]])).tolist()
    [[0.5, 0.5, 0.0]]
    """
    energy = energy.float().masked_fill(~mask, -1e30)
    return torch.softmax(energy, dim=-1) * mask  # (batch, places)


class AttentionPooling(nn.Module):
    """One vector per post from the states of its words, and how much each word weighed.

    >>> pooled, weights = AttentionPooling(4, 3)(torch.ones(2, 5, 4), torch.ones(2, 5, dtype=torch.bool))
    >>> pooled.shape, weights.shape
    (torch.Size([2, 4]), torch.Size([2, 5]))
    """

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, inner, bias=False)
        self.score = nn.Linear(inner, 1, bias=False)

    def forward(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """States (batch, words, width) and mask (batch, words) into (batch, width) and weights (batch, words)."""
        energy = self.score(torch.tanh(self.project(states))).squeeze(-1)  # (batch, words)
        weights = masked_softmax(energy, mask)
        pooled = (weights.to(states.dtype).unsqueeze(1) @ states).squeeze(1)  # (batch, width)
        return pooled, weights
