"""Towers: words, token vectors and picture regions as rows of one width (MaCon §4.2, DESIGN §7.2, AMNN §5.3).

A tower knows nothing of the other modality. A part that a post does not have is a row without a true place in the
mask; ``Absent`` then puts a learnt vector there, so that attention never meets an empty row and never learns from
zeros. Padding stands at the end of a row.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hashloom.networks.attention import masked_softmax


class Absent(nn.Module):
    """A learnt vector at place 0 of every row without a true place; the others pass as they are.

    >>> values, mask = Absent(4)(torch.zeros(2, 3, 4), torch.tensor([[True, True, False], [False, False, False]]))
    >>> mask.tolist()
    [[True, True, False], [True, False, False]]
    >>> values[1, 0].abs().sum().item() > 0
    True
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.row = nn.Parameter(torch.randn(width) * 0.1)

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Values (batch, places, width) and mask (batch, places) with at least one true place in every row."""
        first = torch.arange(mask.shape[1], device=mask.device) == 0  # (places,)
        filled = ~mask.any(1, keepdim=True) & first  # (batch, places)
        return torch.where(filled.unsqueeze(2), self.row.to(values.dtype), values), mask | filled


class WordTower(nn.Module):
    """Word numbers into LSTM states (MaCon §4.2; ``both_ways``: two directions summed, AMNN §5.1).

    ``words`` counts the rows of the word table, of which row 0 is padding; ``table`` (words, any dim) may start it and
    is copied. At padding stands the last state of the row again, as in the released code of MaCon, where its unmasked
    attention meets it; masked attention never looks there.

    >>> tower = WordTower(words=10, width=4)
    >>> tower(torch.tensor([[3, 4, 0]]), torch.tensor([[True, True, False]])).shape
    torch.Size([1, 3, 4])
    """

    def __init__(self, words: int, width: int, table: Tensor | None = None, both_ways: bool = False) -> None:
        super().__init__()
        start = torch.randn(words, width) * 0.1 if table is None else table.detach().clone().float()
        if len(start) != words:
            raise ValueError(f"the word table has {len(start)} rows for {words} words; give one row each, 0 is padding")
        self.words = nn.Embedding.from_pretrained(start, freeze=False, padding_idx=0)
        # Two LSTMs, the second on mirrored words, instead of a bidirectional packed one: exports at any length.
        self.ahead = nn.LSTM(start.shape[1], width, batch_first=True)
        self.back = nn.LSTM(start.shape[1], width, batch_first=True) if both_ways else None

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Word numbers and mask, both (batch, words), into states (batch, words, width)."""
        vectors = self.words(ids)  # (batch, words, dim)
        at = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)  # (1, words)
        last = mask.sum(1, keepdim=True) - 1  # (batch, 1)
        states, _ = self.ahead(vectors)  # (batch, words, width)
        if self.back is not None:
            mirror = torch.where(mask, last - at, at)  # (batch, words)
            back, _ = self.back(_take(vectors, mirror))
            states = states + _take(back, mirror)
        return _take(states, torch.minimum(at, last.clamp(min=0)))


def _take(values: Tensor, places: Tensor) -> Tensor:
    """The rows of ``values`` (batch, n, width) at ``places`` (batch, n)."""
    return values.gather(1, places.unsqueeze(2).expand(-1, -1, values.shape[2]))


class VectorTower(nn.Module):
    """Token vectors into tanh(Dense) (DESIGN §7.2); ``top``, the trainable layers of an encoder, comes first if given.

    >>> VectorTower(dim=6, width=4)(torch.ones(2, 3, 6), torch.ones(2, 3, dtype=torch.bool)).shape
    torch.Size([2, 3, 4])
    """

    def __init__(self, dim: int, width: int, top: nn.Module | None = None) -> None:
        super().__init__()
        self.top = top
        self.dense = nn.Linear(dim, width)

    def forward(self, vectors: Tensor, mask: Tensor) -> Tensor:
        """Vectors (batch, words, dim) and mask (batch, words) into (batch, words, width), 0 at padding."""
        if self.top is not None:
            vectors = self.top(vectors, mask)  # (batch, words, dim)
        return torch.tanh(self.dense(vectors)).masked_fill(~mask.unsqueeze(2), 0.0)


class RegionTower(nn.Module):
    """Picture regions into tanh(Dense without bias), the image front end of MaCon, CoA and DESIGN (§2).

    >>> RegionTower(dim=6, width=4)(torch.ones(2, 9, 6), torch.ones(2, 9, dtype=torch.bool)).shape
    torch.Size([2, 9, 4])
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(dim, width, bias=False)

    def forward(self, regions: Tensor, mask: Tensor) -> Tensor:
        """Regions (batch, regions, dim) and mask (batch, regions) into (batch, regions, width), 0 at padding."""
        return torch.tanh(self.dense(regions)).masked_fill(~mask.unsqueeze(2), 0.0)


class WordAttention(nn.Module):
    """Word-level attention that keeps a sequence: u_i = n · α_i · x_i, n the number of words (DESIGN §7.2).

    Co-attention needs rows, so nothing is pooled here; the factor n keeps the scale, which α alone would shrink.

    >>> states, alpha = WordAttention(4)(torch.ones(1, 2, 4), torch.ones(1, 2, dtype=torch.bool))
    >>> torch.allclose(alpha, torch.full((1, 2), 0.5)), torch.allclose(states, torch.ones(1, 2, 4))
    (True, True)
    """

    def __init__(self, width: int, inner: int = 100) -> None:
        super().__init__()
        self.project = nn.Linear(width, inner)
        self.score = nn.Linear(inner, 1, bias=False)

    def forward(self, states: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """States (batch, words, width) and mask (batch, words) into weighed states and α (batch, words)."""
        energy = self.score(torch.tanh(self.project(states))).squeeze(-1)  # (batch, words)
        alpha = masked_softmax(energy, mask)
        weighed = alpha * mask.sum(1, keepdim=True)  # (batch, words)
        return states * weighed.to(states.dtype).unsqueeze(2), alpha
