"""Picture, text and user look at each other, and posts at posts like them (TAGNet, Chen et al., TCSVT 2021; models §6).

The paper's equations are not public; this is the reconstruction of models §6. Posts are nodes, edges come from earlier
posts only, so a new post is a node like any other once it is asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TripletAttention(nn.Module):
    """One vector from picture, text and user, each with what the other two say to it (models §6).

    x'_m = LN(x_m + Σ_n softmax_n(q_m · k_n / √d) v_n), then [x'_image; x'_text; x'_user] W. Without ``attend`` the
    three are only put side by side before W (ablation). Where there is no user vector a learnt one stands.

    >>> TripletAttention(4)(torch.ones(2, 4), torch.ones(2, 4), None).shape
    torch.Size([2, 4])
    """

    def __init__(self, width: int, attend: bool = True) -> None:
        super().__init__()
        self.attend = attend
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.absent = nn.Parameter(torch.randn(width) * 0.1)
        self.out = nn.Linear(3 * width, width)

    def forward(self, image: Tensor, text: Tensor, user: Tensor | None) -> Tensor:
        """Three times (batch, width) into (batch, width)."""
        user = self.absent.expand_as(image) if user is None else user
        three = torch.stack([image, text, user], 1)  # (batch, 3, width)
        if self.attend:
            three = self.norm(three + self.weights(three).to(three.dtype) @ self.value(three))
        return self.out(three.flatten(1))

    def weights(self, three: Tensor) -> Tensor:
        """How much each of the three (rows) looks at each (columns); (batch, 3, width) into (batch, 3, 3)."""
        energy = self.query(three) @ self.key(three).transpose(1, 2)  # (batch, 3, 3)
        return torch.softmax(energy.float() / three.shape[2] ** 0.5, 2)


class AggregatedGraphConvolution(nn.Module):
    """h_{l+1} = ReLU(Σ_r Â^r h_l W_r), then all layers side by side: [h_0; h_1; h_2] (models §6).

    Row i of Â has ``own[i]`` at i and ``shares[i]`` at the k neighbours ``near[i]``; together they are 1. Neighbours
    are read from tables that ``spread`` makes of all posts now and then, so that a training step costs no more than its
    own posts; no gradient flows to them.

    >>> graph, states = AggregatedGraphConvolution(4), torch.ones(3, 4)
    >>> near, shares, own = torch.zeros(3, 1, dtype=torch.long), torch.full((3, 1), 0.25), torch.full((3, 1), 0.75)
    >>> tables, sums = graph.spread(states, near, shares, own)
    >>> graph(states, sums, own).shape
    torch.Size([3, 12])
    """

    def __init__(self, width: int, layers: int = 2, hops: int = 2) -> None:
        super().__init__()
        self.width, self.layers, self.hops = width, layers, hops
        self.dense = nn.ModuleList(nn.Linear((hops + 1) * width, width) for _ in range(layers))

    def forward(self, states: Tensor, sums: Tensor, own: Tensor) -> Tensor:
        """Nodes (batch, width) into (batch, (layers + 1) width).

        ``sums``: (batch, layers, hops, width), the tables' rows of each post's neighbours by their shares; ``own``:
        (batch, 1), the share of the post itself.
        """
        found = [states]
        for layer in range(self.layers):
            found.append(self._layer(layer, found[-1], sums[:, layer], own)[0])
        return torch.cat(found, 1)

    def _layer(self, layer: int, states: Tensor, sums: Tensor, own: Tensor) -> tuple[Tensor, list[Tensor]]:
        """States one layer up, and Â^r h for each r."""
        hops = [states]
        for hop in range(self.hops):
            hops.append(own * hops[-1] + sums[:, hop])  # (batch, width)
        return functional.relu(self.dense[layer](torch.cat(hops, 1))), hops

    @torch.no_grad()
    def spread(self, states: Tensor, near: Tensor, shares: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Tables for ``gather`` and every node's own ``sums``, both (nodes, layers, hops, width).

        ``states``: (nodes, width); ``near``: (nodes, k) rows of them; ``shares``: (nodes, k), 0 where there is no
        neighbour; ``own``: (nodes, 1).
        """
        tables = states.new_zeros(len(states), self.layers, self.hops, self.width)
        sums = torch.zeros_like(tables)
        for layer in range(self.layers):
            hop_states = states
            for hop in range(self.hops):
                tables[:, layer, hop] = hop_states
                sums[:, layer, hop] = gather(hop_states, near, shares)
                hop_states = own * hop_states + sums[:, layer, hop]
            states, _ = self._layer(layer, states, sums[:, layer], own)
        return tables, sums

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Weights (layers, width, (hops + 1) width) and biases (layers, width), for ``_neighbours.convolve``."""
        weights = torch.stack([part.weight.detach() for part in self.dense])
        biases = torch.stack([part.bias.detach() for part in self.dense])
        return {"weights": weights.cpu().float().numpy(), "biases": biases.cpu().float().numpy()}


def gather(rows: Tensor, near: Tensor, shares: Tensor) -> Tensor:
    """The ``rows`` (nodes, width) of neighbours ``near`` (posts, k), summed by their ``shares``; (posts, width).

    >>> gather(torch.eye(2), torch.tensor([[0, 1]]), torch.tensor([[0.25, 0.5]])).tolist()
    [[0.25, 0.5]]
    """
    return functional.embedding_bag(near, rows, per_sample_weights=shares.to(rows.dtype), mode="sum")
