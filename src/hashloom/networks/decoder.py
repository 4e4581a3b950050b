"""A GRU that says tags one after the other (AMNN, Yang et al. 2020; DESIGN, Bansal et al. 2022; models §5.3, §7.2).

Codes are tag numbers + 1; 0 is the beginning where it is read and the end where it is said. Answers are made without
torch, by ``recommenders/_decoding.py``, from ``TagDecoder.arrays``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class TagDecoder(nn.Module):
    """What comes next after each of the tags said so far.

    The state starts at tanh(W_0 z). ``add_every_step``: W z is also added to the previous tag's vector at each step
    (AMNN); without, z is heard at the start alone (DESIGN). ``table`` (tags + 1, embed), if given, holds the tags'
    vectors and is shared; its row 0 is not read, since the beginning has a vector of its own.

    >>> decoder = TagDecoder(width=4, tags=6, state=8, embed=5)
    >>> decoder(torch.ones(2, 4), torch.tensor([[0, 3, 1], [0, 6, 0]])).shape
    torch.Size([2, 3, 7])
    """

    def __init__(
        self,
        width: int,
        tags: int,
        state: int = 256,
        embed: int = 128,
        dropout: float = 0.5,
        add_every_step: bool = False,
        table: nn.Embedding | None = None,
    ) -> None:
        super().__init__()
        if table is not None and table.num_embeddings != tags + 1:
            raise ValueError(f"a table for {tags} tags has {tags + 1} rows, not {table.num_embeddings}")
        self.table = _table(tags, embed) if table is None else table
        embed = self.table.embedding_dim
        self.begin = nn.Parameter(torch.randn(embed) * 0.1)
        self.start = nn.Linear(width, state)
        self.add = nn.Linear(width, embed, bias=False) if add_every_step else None
        self.gru = nn.GRU(embed, state, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(state, tags + 1)

    def forward(self, z: Tensor, previous: Tensor) -> Tensor:
        """Scores (batch, steps, tags + 1), column 0 for the end, from z (batch, width) and what was said before.

        ``previous``: (batch, steps) codes; column 0 is the beginning, so 0, and so is padding.
        """
        said = torch.where(previous.unsqueeze(2) == 0, self.begin, self.table(previous))  # (batch, steps, embed)
        said = self.dropout(said)
        if self.add is not None:
            said = said + self.add(z).unsqueeze(1)
        states, _ = self.gru(said, torch.tanh(self.start(z)).unsqueeze(0))  # (batch, steps, state)
        return self.out(self.dropout(states))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """All weights in float32, for ``decode``; ``add`` only where z is added at every step."""
        gru = self.gru
        parts = {
            "table": torch.cat([self.begin.unsqueeze(0), self.table.weight[1:]]),  # (tags + 1, embed)
            "start": self.start.weight, "start_bias": self.start.bias,
            "input": gru.weight_ih_l0, "input_bias": gru.bias_ih_l0,
            "hidden": gru.weight_hh_l0, "hidden_bias": gru.bias_hh_l0,
            "out": self.out.weight, "out_bias": self.out.bias,
        }  # fmt: skip
        if self.add is not None:
            parts["add"] = self.add.weight
        return {name: part.detach().cpu().float().numpy().copy() for name, part in parts.items()}


def _table(tags: int, embed: int) -> nn.Embedding:
    table = nn.Embedding(tags + 1, embed)
    nn.init.normal_(table.weight, std=0.1)
    return table


def sequence_loss(logits: Tensor, wanted: Tensor, lengths: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Cross-entropy of what should be said next, a mean over each post's steps, the end among them; shape (batch,).

    ``logits``: (batch, steps, tags + 1); ``wanted``: (batch, steps) codes, 0 for the end; ``lengths``: (batch,) steps
    with the end, at least 1; later steps are padding. ``allowed`` (batch, tags): the tags that the end and each other
    compete with; without it all do.

    >>> loss = sequence_loss(torch.zeros(1, 3, 4), torch.tensor([[2, 0, 0]]), torch.tensor([2]))
    >>> round(loss.item(), 4)  # ln 4
    1.3863
    """
    logits = logits.float()
    if allowed is not None:
        said = torch.cat([torch.ones_like(allowed[:, :1]), allowed], 1).unsqueeze(1)  # (batch, 1, tags + 1)
        logits = logits.masked_fill(~said, -1e30)
    cells = functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")  # (batch, steps)
    real = torch.arange(wanted.shape[1], device=wanted.device) < lengths.unsqueeze(1)
    return torch.where(real, cells, torch.zeros_like(cells)).sum(1) / lengths
