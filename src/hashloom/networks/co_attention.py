"""Attention between words and picture regions: parallel (MaCon, models §2), alternating (CoA §3), each alone (AMNN).

All three take words (batch, words, width), their mask, regions (batch, regions, width), their mask, and give the
summaries of text and picture (batch, width) and the weights (batch, words) and (batch, regions). Weights sum to 1 over
the true places of a row; a row without any gives zeros.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from hashloom.networks.attention import AttentionPooling, masked_softmax

Attended = tuple[Tensor, Tensor, Tensor, Tensor]
"""Text (batch, width), picture (batch, width), word weights (batch, words), region weights (batch, regions)."""


def _blank(rows: Tensor, mask: Tensor) -> Tensor:
    return rows.masked_fill(~mask.unsqueeze(2), 0.0)


def _mix(weights: Tensor, rows: Tensor) -> Tensor:
    """The sum of rows (batch, n, width) by weights (batch, n)."""
    return (weights.to(rows.dtype).unsqueeze(1) @ rows).squeeze(1)


class ParallelCoAttention(nn.Module):
    """Words and regions weigh each other at once through their affinities C (Zhang et al. 2019, MaCon; models §2).

    C = tanh(U W_b Vᵀ), H_v = tanh(V W_v + Cᵀ U W_u), H_u = tanh(U W_u + C V W_v), one softmax over each. No biases: in
    a softmax they change nothing. ``variant="code"`` is the released code: C without tanh, and padded words take part.
    ``mean`` divides C V W_v by the regions and Cᵀ U W_u by the words (ours): sums over 49 like regions drive tanh to
    its ends, where all words weigh the same and nothing more is learnt.

    >>> words, regions = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    >>> masks = torch.ones(2, 3, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    >>> text, image, of_words, of_regions = ParallelCoAttention(8)(words, masks[0], regions, masks[1])
    >>> text.shape, of_regions.shape
    (torch.Size([2, 8]), torch.Size([2, 5]))
    """

    def __init__(
        self, width: int, inner: int = 100, variant: Literal["paper", "code"] = "paper", mean: bool = False
    ) -> None:
        super().__init__()
        self.mean = mean
        if variant not in ("paper", "code"):
            raise ValueError(f"variant is 'paper' or 'code', not {variant!r}")
        self.variant = variant
        self.affinity = nn.Linear(width, width, bias=False)
        self.words = nn.Linear(width, inner, bias=False)
        self.regions = nn.Linear(width, inner, bias=False)
        self.score_words = nn.Linear(inner, 1, bias=False)
        self.score_regions = nn.Linear(inner, 1, bias=False)

    def forward(self, words: Tensor, word_mask: Tensor, regions: Tensor, region_mask: Tensor) -> Attended:
        """See the module's docstring."""
        if self.variant == "code":
            word_mask = torch.ones_like(word_mask)
        # A row of zeros makes its row of C zero too, so padding adds nothing to the other side's H.
        words, regions = _blank(words, word_mask), _blank(regions, region_mask)
        affinity = self.affinity(words) @ regions.transpose(1, 2)  # (batch, words, regions)
        if self.variant == "paper":
            affinity = torch.tanh(affinity)
        of_words, of_regions = self.words(words), self.regions(regions)  # (batch, words | regions, inner)
        from_regions, from_words = affinity @ of_regions, affinity.transpose(1, 2) @ of_words
        if self.mean:
            from_regions = from_regions / region_mask.sum(1).clamp(min=1).view(-1, 1, 1)
            from_words = from_words / word_mask.sum(1).clamp(min=1).view(-1, 1, 1)
        seen_words = torch.tanh(of_words + from_regions)  # (batch, words, inner)
        seen_regions = torch.tanh(of_regions + from_words)  # (batch, regions, inner)
        word_weights = masked_softmax(self.score_words(seen_words).squeeze(-1), word_mask)
        region_weights = masked_softmax(self.score_regions(seen_regions).squeeze(-1), region_mask)
        return _mix(word_weights, words), _mix(region_weights, regions), word_weights, region_weights


Join = Literal["concat", "sum", "product"]


class GuidedAttention(nn.Module):
    """A query weighs rows: softmax(w · tanh(join(W_1 row, W_2 query))), one step of CoA (models §3).

    ``join="concat"`` is the paper's. It splits into w_1 · tanh(W_1 row) + w_2 · tanh(W_2 query), whose second part is
    the same for all rows and falls out of the softmax: the query guides nothing. With "sum" (Lu et al. 2016) and
    "product" it does.

    >>> guided = GuidedAttention(4, 3, "sum")
    >>> mixed, weights = guided(torch.randn(2, 5, 4), torch.ones(2, 5, dtype=torch.bool), torch.randn(2, 4))
    >>> mixed.shape, weights.shape
    (torch.Size([2, 4]), torch.Size([2, 5]))
    """

    def __init__(self, width: int, inner: int, join: Join = "concat") -> None:
        super().__init__()
        if join not in ("concat", "sum", "product"):
            raise ValueError(f"join is 'concat', 'sum' or 'product', not {join!r}")
        self.join = join
        self.rows = nn.Linear(width, inner, bias=False)
        self.query = nn.Linear(width, inner, bias=False)
        self.score = nn.Linear(2 * inner if join == "concat" else inner, 1, bias=False)

    def forward(self, rows: Tensor, mask: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Rows (batch, n, width), mask (batch, n), query (batch, width) into (batch, width) and weights (batch, n)."""
        ours = self.rows(rows)  # (batch, n, inner)
        theirs = self.query(query).unsqueeze(1).expand_as(ours)
        if self.join == "concat":
            joined = torch.cat([ours, theirs], 2)  # (batch, n, 2 inner)
        else:
            joined = ours + theirs if self.join == "sum" else ours * theirs
        weights = masked_softmax(self.score(torch.tanh(joined)).squeeze(-1), mask)
        return _mix(weights, rows), weights


class AlternatingCoAttention(nn.Module):
    """The mean of the words looks at the regions, what it sees looks at the words (Zhang et al. 2017, CoA; models §3).

    With more ``steps``, each asks with what the last one found added to what that had asked with. ``join``: see
    ``GuidedAttention``; the paper's "concat" leaves the two sides without influence on each other.

    >>> words, regions = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    >>> masks = torch.ones(2, 3, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    >>> AlternatingCoAttention(8, steps=2)(words, masks[0], regions, masks[1])[0].shape
    torch.Size([2, 8])
    """

    def __init__(self, width: int, inner: int = 100, steps: int = 1, join: Join = "concat") -> None:
        super().__init__()
        if steps < 1:
            raise ValueError(f"alternating co-attention takes one step or more, not {steps}")
        self.look = nn.ModuleList(GuidedAttention(width, inner, join) for _ in range(steps))
        self.read = nn.ModuleList(GuidedAttention(width, inner, join) for _ in range(steps))

    def forward(self, words: Tensor, word_mask: Tensor, regions: Tensor, region_mask: Tensor) -> Attended:
        """See the module's docstring."""
        words, regions = _blank(words, word_mask), _blank(regions, region_mask)
        asked = words.sum(1) / word_mask.sum(1, keepdim=True).clamp(min=1)  # (batch, width)
        seen = torch.zeros_like(asked)
        for look, read in zip(self.look, self.read):
            image, region_weights = look(regions, region_mask, asked)
            seen = seen + image
            text, word_weights = read(words, word_mask, seen)
            asked = asked + text
        return text, image, word_weights, region_weights


class OwnAttention(nn.Module):
    """Words and regions each by themselves, the softmax over the places (AMNN §5.3; models of one modality).

    >>> words, regions = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    >>> masks = torch.ones(2, 3, dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    >>> OwnAttention(8)(words, masks[0], regions, masks[1])[1].shape
    torch.Size([2, 8])
    """

    def __init__(self, width: int, inner: int = 100) -> None:
        super().__init__()
        self.words = AttentionPooling(width, inner)
        self.regions = AttentionPooling(width, inner)

    def forward(self, words: Tensor, word_mask: Tensor, regions: Tensor, region_mask: Tensor) -> Attended:
        """See the module's docstring."""
        text, word_weights = self.words(_blank(words, word_mask), word_mask)
        image, region_weights = self.regions(_blank(regions, region_mask), region_mask)
        return text, image, word_weights, region_weights
