"""Habit memory: which of a user's earlier posts resemble this one, and what tags those bore (MaCon, models §4.2–4.6).

Beside the earlier posts stands a learnt null slot, always there: users without history have it alone, and a post
unlike all earlier ones can turn to it.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from hashloom.networks.attention import masked_softmax

AGE, OTHERS = 1, 3
"""Columns of the facts: 0 likeness, 1 ln(age in days + 1), 2 ln(1 + uses), 3 one where another user wrote the post."""
STARTS = (1.0, -0.5, 1.0, 0.0)
"""Where the weights of the facts start in a memory of tags: alike, recent and often used, as base-level learning."""


class TagSummary(nn.Module):
    """The tags of an earlier post as one vector: softmax over the tags of w · tanh(W t + b) (MaCon, models §4.2).

    ``mask_bug``: as the released code, which adds 10,000 at padding where it meant to take it off: all weight falls on
    padding and no real tag is seen (models §4.4).

    >>> summary, weights = TagSummary(4, 3)(torch.tensor([[[2, 5, 0]]]), torch.randn(6, 4))
    >>> summary.shape, weights[0, 0, 2].item()
    (torch.Size([1, 1, 4]), 0.0)
    """

    def __init__(self, width: int, inner: int = 200, mask_bug: bool = False) -> None:
        super().__init__()
        self.mask_bug = mask_bug
        self.project = nn.Linear(width, inner)
        self.score = nn.Linear(inner, 1, bias=False)

    def forward(self, tags: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
        """Tag codes (batch, posts, tags), 0 = padding, into (batch, posts, width) and weights (batch, posts, tags).

        ``table``: (codes, width), the vectors of the tags; row 0 is padding.
        """
        if self.mask_bug:
            # The released code has 48 places for tags, so that nearly every post has padding.
            tags = functional.pad(tags, (0, 1))
        if torch.onnx.is_in_onnx_export():
            rows, which = table, tags  # constant, so that the energies are worked out when it is loaded
        else:
            codes, which = tags.unique(return_inverse=True)  # each tag of the batch is worked out once
            rows = functional.embedding(codes, table)  # (codes, width)
        energy = self.score(torch.tanh(self.project(rows))).squeeze(-1)[which]  # (batch, posts, tags)
        real = tags != 0
        if self.mask_bug:
            weights = torch.softmax(energy.float() + 10_000.0 * ~real, -1)
            return _sum(rows, which, weights.to(rows.dtype)), weights[:, :, :-1]
        weights = masked_softmax(energy, real)
        return _sum(rows, which, weights.to(rows.dtype)), weights


def _sum(rows: Tensor, which: Tensor, weights: Tensor) -> Tensor:
    """Rows (codes, width) at ``which`` (batch, posts, tags), summed over the tags by weights: (batch, posts, width)."""
    if torch.onnx.is_in_onnx_export():
        return (weights.unsqueeze(2) @ rows[which]).squeeze(2)
    # One bag per post: (batch, posts, tags, width) is never laid out.
    flat, many = which.flatten(0, 1), weights.flatten(0, 1)
    return functional.embedding_bag(flat, rows, per_sample_weights=many, mode="sum").unflatten(0, which.shape[:2])


class HabitMemory(nn.Module):
    """What the user's earlier posts say about the tags of this one (Zhang et al. 2019, MaCon; models §4.2, §4.5, §4.6).

    ``memory="posts"``: entries are posts, weighed by w · (p ⊙ past); values are their tag summaries. ``variant="code"``
    is the released code: z = [p ⊙ past; tag summary], weighed by tanh(w · z + b), and a dense layer over the sum of z.
    ``memory="tags"``: entries are tags (rule S7), weighed by a linear layer over their facts; values are their vectors.
    ``recency``: logits lose d_h · ln(age + 1), d_h learnt (S6). Values of other users' posts get a source vector (S8).
    ``table`` (tags + 1, width) holds the tags' vectors, row 0 is padding; a decoder may share it.

    >>> memory = HabitMemory(width=4, tags=6)
    >>> past, tags, facts = torch.randn(1, 2, 4), torch.tensor([[[1, 3], [6, 0]]]), torch.zeros(1, 2, 4)
    >>> influence, weights = memory(torch.randn(1, 4), past, tags, torch.tensor([[True, False]]), facts)
    >>> influence.shape, weights.shape, weights[0, 1].item()
    (torch.Size([1, 4]), torch.Size([1, 3]), 0.0)
    """

    def __init__(
        self,
        width: int,
        tags: int,
        inner: int = 200,
        variant: Literal["paper", "code"] = "paper",
        mask_bug: bool = False,
        memory: Literal["posts", "tags"] = "posts",
        recency: bool = False,
        facts: int = 4,
    ) -> None:
        super().__init__()
        _check(variant, memory, mask_bug, recency, facts)
        self.variant, self.memory = variant, memory
        self.table = nn.Embedding(tags + 1, width)
        nn.init.normal_(self.table.weight, std=0.1)
        self.summary = TagSummary(width, inner, mask_bug) if memory == "posts" else None
        size = facts if memory == "tags" else width * (1 + (variant == "code"))
        # A bias only inside the tanh of the released code; elsewhere the null slot's logit is its opposite.
        self.score = nn.Linear(size, 1, bias=variant == "code")
        if memory == "tags":
            start = torch.tensor((STARTS + (0.0,) * facts)[:facts])
            self.score.weight.data.copy_(start)
        self.out = nn.Linear(2 * width, width) if variant == "code" else None
        self.null_past = nn.Parameter(torch.randn(width if memory == "posts" else 0) * 0.1)
        self.null_value = nn.Parameter(torch.randn(width) * 0.1)
        self.null_logit = nn.Parameter(torch.zeros(()))
        self.decay = nn.Parameter(torch.tensor(0.5)) if recency else None
        self.source = nn.Parameter(torch.randn(width) * 0.1) if facts > OTHERS else None

    def forward(self, p: Tensor, past: Tensor, tags: Tensor, present: Tensor, facts: Tensor) -> tuple[Tensor, Tensor]:
        """Influence (batch, width) and weights (batch, entries + 1), the last that of the null slot.

        ``p``: (batch, width), the asked post; ``past``: (batch, entries, width), not read in a memory of tags;
        ``tags``: (batch, entries, tags) codes, tag number + 1, 0 = padding; ``present``: (batch, entries) bool;
        ``facts``: (batch, entries, facts), see ``AGE``.
        """
        values = self._values(tags, facts)  # (batch, entries + 1, width)
        if self.memory == "tags":
            slots, logits = values, self.score(facts).squeeze(-1)
            null = torch.zeros_like(p[:, :1])
        else:
            slots, energies = self._meet(p, past.masked_fill(~present.unsqueeze(2), 0.0), values)
            logits, null = energies[:, :-1], energies[:, -1:]  # (batch, entries), (batch, 1)
        if self.decay is not None:
            logits = logits - self.decay * facts[..., AGE]
        there = torch.cat([present, torch.ones_like(p[:, :1], dtype=torch.bool)], 1)
        weights = masked_softmax(torch.cat([logits, null + self.null_logit], 1), there)  # (batch, entries + 1)
        influence = (weights.to(slots.dtype).unsqueeze(1) @ slots).squeeze(1)  # (batch, width)
        return (influence if self.out is None else self.out(influence)), weights

    def _values(self, tags: Tensor, facts: Tensor) -> Tensor:
        """What each entry and the null slot say of tags; (batch, entries + 1, width)."""
        values = self.table(tags[..., 0]) if self.summary is None else self.summary(tags, self.table.weight)[0]
        if self.source is not None:
            values = values + facts[..., OTHERS, None].to(values.dtype) * self.source
        null = self.null_value.to(values.dtype).expand(tags.shape[0], 1, -1)
        return torch.cat([values, null], 1)

    def _meet(self, p: Tensor, past: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """What is summed (batch, entries + 1, width or 2 width) and how it scores (batch, entries + 1)."""
        null = self.null_past.expand(p.shape[0], 1, -1).to(past.dtype)
        likeness = p.unsqueeze(1) * torch.cat([past, null], 1)  # (batch, entries + 1, width)
        if self.variant == "paper":
            return values, self.score(likeness).squeeze(-1)
        both = torch.cat([likeness, values], 2)  # (batch, entries + 1, 2 width)
        return both, torch.tanh(self.score(both)).squeeze(-1)


def _check(variant: str, memory: str, mask_bug: bool, recency: bool, facts: int) -> None:
    if variant not in ("paper", "code"):
        raise ValueError(f"variant is 'paper' or 'code', not {variant!r}")
    if memory not in ("posts", "tags"):
        raise ValueError(f"memory is 'posts' or 'tags', not {memory!r}")
    if memory == "tags" and (variant == "code" or mask_bug):
        raise ValueError("variant='code' and mask_bug are of a memory of posts; leave them out with memory='tags'")
    if facts < (AGE + 1 if recency else 1):
        raise ValueError(f"{facts} facts are too few; recency needs the age, the second of them")
