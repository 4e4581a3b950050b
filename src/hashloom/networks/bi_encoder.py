"""Two heads over frozen vectors, tuned so that what belongs together is near (SimCSE: Gao et al. 2021; models §9.2).

RIGHT tunes a whole sentence encoder with triplets; here the encoder stays as it is and a linear map of its vectors,
which starts as no change at all, learns from the same triplets by the same loss. That takes seconds on one core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hashloom.networks import training

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]


class BiEncoder(nn.Module):
    """A head for each side, or one for both (``shared``).

    >>> BiEncoder(4)(torch.eye(4), torch.eye(4)).diagonal().tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    def __init__(self, dim: int, shared: bool = False) -> None:
        super().__init__()
        self.one = nn.Linear(dim, dim, bias=False)
        self.other = self.one if shared else nn.Linear(dim, dim, bias=False)
        for head in (self.one, self.other):
            nn.init.eye_(head.weight)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """Cosines (left, right) of vectors (left, dim) with others (right, dim)."""
        return functional.normalize(self.one(one), dim=1) @ functional.normalize(self.other(other), dim=1).T


def info_nce(cosines: Tensor, clash: Tensor, temperature: float) -> Tensor:
    """Minus the mean log-share that each row's own column has; a scalar.

    ``cosines``: (pairs, columns), the first ``pairs`` columns being the rows' own partners, the others hard negatives.
    ``clash``: (pairs, pairs), true where another row's partner would be right too; such columns do not compete.

    >>> info_nce(torch.tensor([[1.0, 1.0]]), torch.zeros(1, 1, dtype=torch.bool), 0.05).item()
    0.6931471824645996
    """
    pairs = len(cosines)
    own = torch.arange(pairs, device=cosines.device)
    barred = torch.zeros_like(cosines, dtype=torch.bool)
    barred[:, :pairs] = clash
    barred[own, own] = False
    return functional.cross_entropy((cosines / temperature).masked_fill(barred, -1e30), own)


@dataclass
class Triplets:
    """Rows of vectors that belong together and rows that do not: anchor, positive, hard negative, all (triplets,).

    ``left`` (left, dim) holds the anchors' vectors, ``right`` (right, dim) the others'. ``clash(rows)`` says of some
    triplets which others' positives would be right for them too: (rows, rows).
    """

    left: Floats
    right: Floats
    anchor: Ints
    positive: Ints
    negative: Ints
    clash: Callable[[Ints], NDArray[np.bool_]]


def learn(
    data: Triplets, *, shared: bool, temperature: float, rate: float, batch: int, epochs: int, seed: int
) -> tuple[Floats, Floats]:
    """The two heads after training, each (dim, dim): vectors times them are compared by cosine."""
    place = training.device()
    network = BiEncoder(data.left.shape[1], shared).to(place)
    left, right = (torch.from_numpy(np.asarray(part, np.float32)).to(place) for part in (data.left, data.right))
    rows = np.arange(len(data.anchor))

    def batches(epoch: int) -> list[Any]:
        order = np.random.default_rng(seed * 10_007 + epoch).permutation(rows)
        return [order[at : at + batch] for at in range(0, len(order), batch)]

    def loss(cut: Ints) -> Tensor:
        columns = np.concatenate([data.positive[cut], data.negative[cut]])
        cosines = network(left[data.anchor[cut]], right[columns])
        return info_nce(cosines, torch.from_numpy(data.clash(cut)).to(place), temperature)

    if len(rows):
        with training.threads(1):
            training.train(network, batches, loss, training.Course(epochs=epochs, rate=rate, seed=seed))
    heads = (head.weight.detach().cpu().numpy().T.copy() for head in (network.one, network.other))
    one, other = heads
    return one, other
