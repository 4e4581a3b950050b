"""Losses and judges over padded rows of tags: binary cross-entropy (Commune §3.1.1), softmax (MaCon §4.2), NDCG."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional


def masked_bce(logits: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy of each post, a mean over its own community's tags; shape (batch,).

    All arguments have shape (batch, most tags of a community in the batch). Cells where ``mask`` is false are
    padding and have no influence; a post without a true cell costs 0. The mean per post keeps communities with many
    tags from dominating.

    >>> one = torch.tensor([[True, True, False]])
    >>> round(masked_bce(torch.tensor([[0.0, 0.0, 7.0]]), torch.tensor([[1.0, 0.0, 0.0]]), one).item(), 6)
    0.693147
    """
    cells = functional.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
    # where, not a product: a padding logit of infinity times 0 would be NaN.
    cells = torch.where(mask, cells, torch.zeros_like(cells))
    return cells.sum(1) / mask.sum(1).clamp(min=1)


def softmax_loss(logits: Tensor, targets: Tensor, mask: Tensor, kind: Literal["mean", "sum"] = "mean") -> Tensor:
    """−log softmax over the true tags of each post, their mean or (MaCon's paper) their sum; shape (batch,).

    All arguments have shape (batch, tags); the softmax runs over the tags where ``mask`` is true, and true tags
    elsewhere do not count. A post without a true tag costs 0. The sum lets posts with many tags dominate.

    >>> half = torch.tensor([[0.0, 0.0, 7.0]]), torch.tensor([[1.0, 1.0, 0.0]]), torch.tensor([[True, True, False]])
    >>> round(softmax_loss(*half).item(), 6), round(softmax_loss(*half, kind="sum").item(), 6)
    (0.693147, 1.386294)
    """
    if kind not in ("mean", "sum"):
        raise ValueError(f"kind is 'mean' or 'sum', not {kind!r}")
    costs = -torch.log_softmax(logits.float().masked_fill(~mask, -1e30), 1)  # (batch, tags)
    true = (targets > 0) & mask
    total = torch.where(true, costs, torch.zeros_like(costs)).sum(1)
    return total if kind == "sum" else total / true.sum(1).clamp(min=1)


def ndcg(logits: Tensor, targets: Tensor, mask: Tensor, k: int = 10) -> Tensor:
    """NDCG@k of each post with binary gains; shape (batch,), 0 for a post without a true tag.

    >>> ndcg(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1, 3, dtype=torch.bool))
    tensor([1.])
    """
    k = min(k, logits.shape[1])
    top = logits.float().masked_fill(~mask, -torch.inf).topk(k, dim=1).indices
    discounts = 1 / torch.log2(torch.arange(2, k + 2, device=logits.device, dtype=torch.float32))  # (k,)
    gained = (targets.gather(1, top) * discounts).sum(1)
    truths = (targets * mask).sum(1).long().clamp(max=k)
    ideal = torch.cat([discounts.new_zeros(1), discounts.cumsum(0)])[truths]
    return torch.where(ideal > 0, gained / ideal.clamp(min=1e-9), torch.zeros_like(ideal))
