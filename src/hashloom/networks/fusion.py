"""Text and picture into one vector: sum (MaCon, DESIGN), weighted (Yakovlev & Shapoval 2024; models §8), gate, concat.

Every fusion takes text and image (batch, width) and a stream, 0 for asked posts and 1 for earlier ones, and gives the
vector (batch, width) and how much the picture weighs, between 0 and 1, (batch, width) or (batch, 1).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Kind = Literal["sum", "weighted", "gate", "concat"]
Norm = Literal["batch", "layer"]
STREAMS = 2


class SumFusion(nn.Module):
    """p = t + v; both weigh the same (MaCon §4, DESIGN §7.1).

    >>> p, share = SumFusion()(torch.ones(2, 4), torch.ones(2, 4))
    >>> p[0].tolist(), share.tolist()
    ([2.0, 2.0, 2.0, 2.0], [[0.5], [0.5]])
    """

    def forward(self, text: Tensor, image: Tensor, stream: int = 0) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        return text + image, torch.full_like(text[:, :1], 0.5)


class StreamNorm(nn.Module):
    """Batch normalisation with statistics of its own for each stream, or layer normalisation (models §8).

    Earlier posts are drawn again and again, so their statistics are not those of asked posts. No scale and shift: the
    dense layer that follows holds them. A batch of one post has no statistics and takes the running ones.

    >>> StreamNorm(3, "batch")(torch.tensor([[1.0, 2.0, 3.0]])).shape
    torch.Size([1, 3])
    """

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        if norm not in ("batch", "layer"):
            raise ValueError(f"norm is 'batch' or 'layer', not {norm!r}")
        self.width = width
        self.batch = nn.ModuleList(nn.BatchNorm1d(width, affine=False) for _ in range(STREAMS * (norm == "batch")))

    def forward(self, rows: Tensor, stream: int = 0) -> Tensor:
        """Rows (batch, width), normalised."""
        if not len(self.batch):
            return functional.layer_norm(rows, (self.width,))
        norm = self.batch[stream]
        if self.training and len(rows) == 1:
            return functional.batch_norm(rows, norm.running_mean, norm.running_var, eps=norm.eps)
        return norm(rows)


class WeightedFusion(nn.Module):
    """p = (1 − w) ⊙ t + w ⊙ v with w = σ(Dense(BN(LeakyReLU(Dense(BN([t; v])))))) (Yakovlev & Shapoval, models §8).

    ``hidden``: the width between, ``width`` by default. Starts near w = ½, where p is half of the sum. Give rows of
    padding no part in a batch: they would enter its statistics (``norm="layer"`` has none).

    >>> p, share = WeightedFusion(4)(torch.zeros(3, 4), torch.ones(3, 4))
    >>> p.shape, bool((p == share).all())
    (torch.Size([3, 4]), True)
    """

    def __init__(self, width: int, hidden: int | None = None, norm: Norm = "batch", gates: int | None = None) -> None:
        super().__init__()
        hidden = hidden or width
        self.before = StreamNorm(2 * width, norm)
        self.inner = nn.Linear(2 * width, hidden)
        self.between = StreamNorm(hidden, norm)
        self.gate = nn.Linear(hidden, gates or width)
        nn.init.zeros_(self.gate.bias)

    def forward(self, text: Tensor, image: Tensor, stream: int = 0) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        both = self.before(torch.cat([text, image], 1), stream)  # (batch, 2 width)
        inner = self.between(functional.leaky_relu(self.inner(both), 0.1), stream)  # (batch, hidden)
        share = torch.sigmoid(self.gate(inner))  # (batch, width) or (batch, 1)
        return (1 - share) * text + share * image, share


class GateFusion(WeightedFusion):
    """One weight for the whole picture instead of one per feature; otherwise as ``WeightedFusion`` (ablation, §8).

    >>> GateFusion(4)(torch.zeros(3, 4), torch.ones(3, 4))[1].shape
    torch.Size([3, 1])
    """

    def __init__(self, width: int, hidden: int | None = None, norm: Norm = "batch") -> None:
        super().__init__(width, hidden, norm, gates=1)


class ConcatFusion(nn.Module):
    """Dense(LeakyReLU(Dense([t; v]))) back to the width (ablation, models §8).

    Here no weight is the picture's; the share is its part of the first layer's input, by norms.

    >>> p, share = ConcatFusion(4)(torch.zeros(3, 4), torch.ones(3, 4))
    >>> p.shape, share.squeeze(1).tolist()
    (torch.Size([3, 4]), [1.0, 1.0, 1.0])
    """

    def __init__(self, width: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = hidden or width
        self.text = nn.Linear(width, hidden)
        self.image = nn.Linear(width, hidden, bias=False)
        self.dense = nn.Linear(hidden, width)

    def forward(self, text: Tensor, image: Tensor, stream: int = 0) -> tuple[Tensor, Tensor]:
        """See the module's docstring."""
        of_text = functional.linear(text, self.text.weight)  # (batch, hidden)
        of_image = self.image(image)
        p = self.dense(functional.leaky_relu(of_text + of_image + self.text.bias, 0.1))  # (batch, width)
        with torch.no_grad():
            says_text, says_image = (part.square().sum(1, keepdim=True).sqrt() for part in (of_text, of_image))
            # Where neither says anything, nothing is known of the share: half.
            share = (says_image + 1e-9) / (says_text + says_image + 2e-9)  # (batch, 1)
        return p, share


def make_fusion(kind: Kind, width: int, norm: Norm = "batch") -> nn.Module:
    """The fusion of that name; ``norm`` is for those with a gate. Raises ``ValueError`` for another name.

    >>> type(make_fusion("gate", 4)).__name__
    'GateFusion'
    """
    if kind == "sum":
        return SumFusion()
    if kind == "concat":
        return ConcatFusion(width)
    if kind not in ("weighted", "gate"):
        raise ValueError(f"fusion is 'sum', 'weighted', 'gate' or 'concat', not {kind!r}")
    return (WeightedFusion if kind == "weighted" else GateFusion)(width, norm=norm)


class ModalityDropout(nn.Module):
    """In training, hides the words or the regions of some posts that have both, so that either alone suffices (§8).

    ``share`` of such posts lose one, a coin says which; no post loses both. Stands before ``Absent``.

    >>> words, regions = ModalityDropout(1.0)(torch.ones(5, 3, dtype=torch.bool), torch.ones(5, 9, dtype=torch.bool))
    >>> (words.any(1) ^ regions.any(1)).tolist()
    [True, True, True, True, True]
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share <= 1:
            raise ValueError(f"the share of posts that lose a modality is between 0 and 1, not {share}")
        self.share = share

    def forward(self, word_mask: Tensor, region_mask: Tensor) -> tuple[Tensor, Tensor]:
        """The masks (batch, words) and (batch, regions), in training with some rows made false."""
        if not self.training or not self.share:
            return word_mask, region_mask
        both = word_mask.any(1) & region_mask.any(1)  # (batch,)
        drawn = torch.rand(len(both), device=both.device)
        no_words = both & (drawn < self.share / 2)
        no_regions = both & (drawn >= self.share / 2) & (drawn < self.share)
        return word_mask & ~no_words.unsqueeze(1), region_mask & ~no_regions.unsqueeze(1)
