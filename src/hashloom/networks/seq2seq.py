"""A reader and a speaker of subwords that may also copy what they read (See et al. 2017; Meng et al., ACL 2017).

The reader is a GRU in both directions, the speaker a GRU that attends to what was read. The chance of a next subword
is a mix: of all subwords, and of those read, by attention. Each tag is one sequence, so that what is learnt is a
distribution over tags in which their order plays no part. Answers are made without torch: the reader through ONNX, the
speaker by ``generators/_beam.py`` from ``Speaker.arrays``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hashloom.networks import training
from hashloom.networks.attention import masked_softmax
from hashloom.networks.export import to_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

PAD, END, MARK = 0, 1, 2
RANKS = 16
"""Places among the retrieved tags that are told apart."""
LEAST = 20
"""Fewer validation posts than this judge by chance; then none are held out."""


class Reader(nn.Module):
    """States of the subwords of a source, and where the speaker starts.

    >>> states, start = Reader(30, 8)(torch.ones(2, 5, dtype=torch.long), torch.tensor([5, 3]))
    >>> states.shape, start.shape
    (torch.Size([2, 5, 16]), torch.Size([2, 8]))
    """

    def __init__(self, pieces: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.table = nn.Embedding(pieces, width)
        self.ranks = nn.Embedding(RANKS, width)
        nn.init.normal_(self.table.weight, std=width**-0.5)
        nn.init.normal_(self.ranks.weight, std=0.1 * width**-0.5)
        # Two GRUs, the second on reversed subwords: no packing, and the export holds for any length.
        self.ahead = nn.GRU(width, width, batch_first=True)
        self.back = nn.GRU(width, width, batch_first=True)
        self.start = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, pieces: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """States (batch, places, 2 width) and start (batch, width) from numbers (batch, places), lengths (batch,)."""
        at = torch.arange(pieces.shape[1], device=pieces.device).unsqueeze(0)  # (1, places)
        mask = at < lengths.unsqueeze(1)  # (batch, places)
        mirror = torch.where(mask, lengths.unsqueeze(1) - 1 - at, at).unsqueeze(2)  # (batch, places, 1)
        rank = torch.cumsum((pieces == MARK).long(), 1).clamp(max=RANKS - 1)
        read = self.dropout(self.table(pieces) + self.ranks(rank))  # (batch, places, width)
        ahead, _ = self.ahead(read)
        back, _ = self.back(read.gather(1, mirror.expand(-1, -1, read.shape[2])))
        back = back.gather(1, mirror.expand(-1, -1, back.shape[2]))
        states = torch.cat([ahead, back], 2)  # (batch, places, 2 width)
        told = mask.unsqueeze(2)
        mean = (states * told).sum(1) / lengths.unsqueeze(1)
        most = states.masked_fill(~told, -1.0).amax(1)  # a GRU's states are above -1
        return states, torch.tanh(self.start(torch.cat([mean, most], 1)))


class Speaker(nn.Module):
    """What comes next in tags, from what was read; ``table`` is the reader's."""

    def __init__(self, table: nn.Embedding, dropout: float = 0.0) -> None:
        super().__init__()
        self.table = table
        width = table.embedding_dim
        self.gru = nn.GRU(width, width, batch_first=True)
        self.ask = nn.Linear(width, 2 * width, bias=False)
        self.mix = nn.Linear(3 * width, width)
        self.bias = nn.Parameter(torch.zeros(table.num_embeddings))
        self.copy = nn.Linear(4 * width, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, start: Tensor, pieces: Tensor, lengths: Tensor, said: Tensor) -> Tensor:
        """Log-probabilities (tags, steps) of ``said`` (tags, steps), each tag closed by ``END``, then padding.

        The others stand once per tag: states (tags, places, 2 width), start (tags, width), pieces (tags, places),
        lengths (tags,). Padding steps count 0.
        """
        before = functional.pad(said[:, :-1], (1, 0), value=END)
        embedded = self.dropout(self.table(before))  # (tags, steps, width)
        hidden, _ = self.gru(embedded, start.unsqueeze(0))
        energy = self.ask(hidden) @ states.transpose(1, 2)  # (tags, steps, places)
        real = torch.arange(pieces.shape[1], device=pieces.device) < lengths.unsqueeze(1)
        weights = masked_softmax(energy, real.unsqueeze(1).expand_as(energy))
        context = weights.to(states.dtype) @ states  # (tags, steps, 2 width)
        mixed = self.dropout(torch.tanh(self.mix(torch.cat([hidden, context], 2))))
        logits = (mixed @ self.table.weight.T + self.bias).float()  # (tags, steps, pieces)
        generated = logits.log_softmax(2).gather(2, said.unsqueeze(2)).squeeze(2)
        gate = self.copy(torch.cat([hidden, context, embedded], 2)).squeeze(2).float()
        same = pieces.unsqueeze(1) == said.unsqueeze(2)  # (tags, steps, places)
        copied = (weights * same).sum(2).clamp(min=1e-20).log()
        mixture = torch.logaddexp(functional.logsigmoid(-gate) + generated, functional.logsigmoid(gate) + copied)
        return mixture * (said != PAD)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """All weights in float32, for the beam."""
        gru = self.gru
        parts = {
            "table": self.table.weight, "bias": self.bias, "ask": self.ask.weight,
            "input": gru.weight_ih_l0, "input_bias": gru.bias_ih_l0,
            "hidden": gru.weight_hh_l0, "hidden_bias": gru.bias_hh_l0,
            "mix": self.mix.weight, "mix_bias": self.mix.bias, "copy": self.copy.weight, "copy_bias": self.copy.bias,
        }  # fmt: skip
        return {name: piece.detach().cpu().float().numpy().copy() for name, piece in parts.items()}


class Seq2Seq(nn.Module):
    """Reader and speaker."""

    def __init__(self, pieces: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.reader = Reader(pieces, width, dropout)
        self.speaker = Speaker(self.reader.table, dropout)

    def forward(self, pieces: Tensor, lengths: Tensor, said: Tensor, whose: Tensor) -> Tensor:
        """Log-probabilities (tags, steps) of what is said; ``whose`` (tags,): the row of ``pieces`` of each tag.

        ``pieces``: (batch, places); ``lengths``: (batch,), at least 1; ``said``: (tags, steps).
        """
        states, start = self.reader(pieces, lengths)
        return self.speaker(states[whose], start[whose], pieces[whose], lengths[whose], said)


@dataclass
class Plan:
    """How a network is made and trained."""

    width: int = 128
    dropout: float = 0.2
    rate: float = 0.002
    batch: int = 64
    epochs: int = 20
    updates: int = 300
    reads: int = 300_000
    patience: int = 2
    validation: float = 0.1
    seed: int = 0


def learn(
    sources: Sequence[Sequence[int]], targets: Sequence[Sequence[Sequence[int]]], pieces: int, plan: Plan
) -> tuple[bytes, dict[str, NDArray[np.float32]], training.Course]:
    """Train on sources and their tags, in order of time; the reader as ONNX, the speaker's arrays, and the course.

    Each tag counts as its post's share: a post with many tags weighs no more than one with a single tag.
    """
    late = int(len(sources) * plan.validation)
    late = late if late >= LEAST else 0
    rows, held = np.arange(len(sources) - late), np.arange(len(sources) - late, len(sources))
    lengths = np.array([len(source) for source in sources])
    size = int(np.clip(len(rows) // 4, 1, plan.batch))
    each = -(-len(rows) // size)
    planned = max(-(-plan.updates // each), min(plan.epochs, max(2, plan.reads // len(rows))))
    course = training.Course(planned, plan.patience, plan.rate, 0.05, planned * each, clip=5.0, seed=plan.seed)
    place = training.device()
    with training.seeded(plan.seed):
        network = Seq2Seq(pieces, plan.width, plan.dropout).to(place)

    def batches(epoch: int) -> list[Any]:
        return training.cuts(rows, lengths[rows], size, plan.seed * 10_007 + epoch)

    def cost(cut: Ints) -> Tensor:
        return _costs(network, sources, targets, cut, place).mean()

    def judge() -> float:
        parts = training.cuts(held, lengths[held], 128)
        return -float(sum(_costs(network, sources, targets, cut, place).sum() for cut in parts)) / len(held)

    with training.threads(1 if each * planned < 1000 else 1 << 10):
        training.train(network, batches, cost, course, judge if late else None)
    network = network.cpu()
    return exported(network.reader, pieces), network.speaker.arrays(), course


def _costs(
    network: Seq2Seq, sources: Sequence[Sequence[int]], targets: Sequence[Sequence[Sequence[int]]], cut: Ints,
    place: torch.device,
) -> Tensor:  # fmt: skip
    """Minus the mean log-probability of each post's tags; (posts,)."""
    said = [[*tag, END] for row in cut for tag in targets[row]]
    many = np.array([len(targets[row]) for row in cut])
    whose = np.repeat(np.arange(len(cut)), many)
    parts = (padded([sources[row] for row in cut]), np.array([len(sources[row]) for row in cut]), padded(said), whose)
    pieces, lengths, spoken, of = (torch.from_numpy(each).to(place) for each in parts)
    totals = network(pieces, lengths, spoken, of).sum(1)  # (tags,)
    sums = totals.new_zeros(len(cut)).index_add(0, of, totals)
    return -sums / torch.from_numpy(many).to(place)


def padded(rows: Sequence[Sequence[int]]) -> Ints:
    """Rows of numbers as one array; (rows, longest), one place at least."""
    made = np.full((len(rows), max(1, *map(len, rows)) if rows else 1), PAD, np.int64)
    for i, row in enumerate(rows):
        made[i, : len(row)] = row
    return made


def exported(reader: Reader, pieces: int) -> bytes:
    """The reader as ONNX, proved at four shapes."""
    draw = np.random.default_rng(0)
    examples = []
    for posts, longest in ((3, 7), (1, 20), (5, 2), (1, 1)):
        lengths = draw.integers(1, longest + 1, posts)
        lengths[0] = longest
        examples.append((torch.from_numpy(draw.integers(0, pieces, (posts, longest))), torch.from_numpy(lengths)))
    axes = {"pieces": {0: "posts", 1: "places"}, "lengths": {0: "posts"}}
    with training.threads(1):
        return to_onnx(reader, examples, axes, ["states", "start"])
