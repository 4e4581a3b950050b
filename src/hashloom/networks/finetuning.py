"""Fine-tuning of a transformers sequence-to-sequence network: AdamW, warm-up, the best epoch (models §9.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from hashloom.networks import training

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

IGNORED = -100
"""Places that transformers' losses leave out."""
FEW = 8
"""Sequences whose chances are worked out at once: with mT5's 250,000 pieces more would not fit into memory.
"""
LEAST = 5
"""Fewer validation posts than this judge by chance; then none are held out."""


@dataclass
class Plan:
    """How a network is tuned."""

    rate: float = 3e-4
    decay: float = 1e-5
    warmup: float = 0.06
    clip: float = 1.0
    epochs: int = 10
    batch: int = 16
    validation: float = 0.1
    seed: int = 0


def warm(step: int, steps: int, warmup: float) -> float:
    """The share of the rate at an update: it rises over the share ``warmup`` of ``steps`` and falls to 0 at the end.

    >>> [warm(step, 100, 0.1) for step in (0, 5, 10, 55, 100)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    rise = max(1, round(warmup * steps))
    return step / rise if step < rise else max(0.0, (steps - step) / max(1, steps - rise))


def tune(
    model: Any, read: Sequence[Sequence[int]], said: Sequence[Sequence[int]], pad: int, plan: Plan
) -> dict[str, Any]:
    """Tune in place and leave the weights of the epoch with the best likelihood of the latest posts."""
    late = int(len(read) * plan.validation)
    late = late if late >= LEAST else 0
    rows, held = np.arange(len(read) - late), np.arange(len(read) - late, len(read))
    lengths = np.array([len(row) for row in read])
    place = training.device()
    model.to(place)
    optimiser = torch.optim.AdamW(model.parameters(), lr=plan.rate, eps=1e-8, weight_decay=plan.decay)
    steps = plan.epochs * -(-len(rows) // plan.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: warm(step + 1, steps, plan.warmup))
    scores: list[float] = []
    best: dict[str, Tensor] = {}
    with training.seeded(plan.seed):
        for epoch in range(plan.epochs):
            model.train()
            for cut in training.cuts(rows, lengths[rows], plan.batch, plan.seed * 10_007 + epoch):
                _step(model, optimiser, _cost(model, read, said, cut, pad, place), plan)
                schedule.step()
            scores.append(_judged(model, read, said, held, pad, place))
            if late and scores[-1] >= max(scores):
                best = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    if best:
        model.load_state_dict(best)
    model.eval().requires_grad_(False)
    return {"best": int(np.argmax(scores)) + 1 if late else plan.epochs, "scores": scores if late else []}


def _step(model: Any, optimiser: torch.optim.Optimizer, cost: Tensor, plan: Plan) -> None:
    if not torch.isfinite(cost):
        raise FloatingPointError(f"the loss is {cost.item()}; lower the rate (now {plan.rate})")
    optimiser.zero_grad(set_to_none=True)
    cost.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
    optimiser.step()


def _judged(
    model: Any, read: Sequence[Sequence[int]], said: Sequence[Sequence[int]], held: Ints, pad: int, place: torch.device
) -> float:
    """Minus the mean cost of posts that are not trained on; 0 where there are none."""
    if not len(held):
        return 0.0
    model.eval()
    with torch.inference_mode():
        cuts = [held[at : at + 32] for at in range(0, len(held), 32)]
        return -sum(float(_cost(model, read, said, cut, pad, place)) * len(cut) for cut in cuts) / len(held)


def _cost(
    model: Any, read: Sequence[Sequence[int]], said: Sequence[Sequence[int]], cut: Ints, pad: int, place: torch.device
) -> Tensor:
    """The network's own loss: the mean over the subwords of the targets; a scalar."""
    pieces, mask = padded([read[row] for row in cut], pad)
    labels, real = padded([said[row] for row in cut], pad)
    labels = labels.masked_fill(~real, IGNORED)
    given = {"input_ids": pieces, "attention_mask": mask.long(), "labels": labels}
    return model(**{name: part.to(place) for name, part in given.items()}).loss


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Rows of numbers as one tensor, and which places are theirs; both (rows, longest)."""
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(max(1, int(lengths.max()))) < lengths.unsqueeze(1)
    made = torch.full(mask.shape, pad)
    made[mask] = torch.tensor([number for row in rows for number in row], dtype=made.dtype)
    return made, mask


def say(
    model: Any, read: Sequence[Sequence[int]], beam: int, most: int, pad: int
) -> list[list[tuple[list[int], list[float], float]]]:
    """For each source ``beam`` sequences, the most probable first: numbers, their log-probabilities, and its share.

    Shares are a softmax over the sequences' mean log-probabilities.
    """
    place = next(model.parameters()).device
    pieces, mask = (part.to(place) for part in padded(read, pad))
    options = {"num_beams": beam, "num_return_sequences": beam, "max_new_tokens": most, "do_sample": False}
    found = model.generate(input_ids=pieces, attention_mask=mask.long(), **options)  # (sources · beam, steps + 1)
    said = found[:, 1:]
    whose = torch.arange(len(read), device=place).repeat_interleave(beam)
    scores = _scores(model, pieces[whose], mask[whose], found)  # (sources · beam, steps)
    real = _until_end(said, model.generation_config.eos_token_id)
    means = (scores * real).sum(1) / real.sum(1).clamp(min=1)
    shares = means.reshape(len(read), beam).softmax(1).flatten()
    rows = [
        (numbers[:length], logs[:length], share)
        for numbers, logs, length, share in zip(
            said.tolist(), scores.tolist(), real.sum(1).tolist(), shares.tolist(), strict=True
        )
    ]
    return [rows[at : at + beam] for at in range(0, len(rows), beam)]


def _scores(model: Any, pieces: Tensor, mask: Tensor, found: Tensor) -> Tensor:
    """Log-probability of each number of ``found`` (rows, steps + 1) given those before; (rows, steps)."""
    parts = []
    for at in range(0, len(found), FEW):
        cut = slice(at, at + FEW)
        given = {"input_ids": pieces[cut], "attention_mask": mask[cut].long(), "decoder_input_ids": found[cut, :-1]}
        logits = model(**given).logits.float()  # (FEW, steps, pieces), the largest thing here
        parts.append(logits.gather(2, found[cut, 1:].unsqueeze(2)).squeeze(2) - logits.logsumexp(2))
    return torch.cat(parts)


def _until_end(said: Tensor, end: Any) -> Tensor:
    """Which places stand up to the first end, it included; (rows, steps)."""
    ends = torch.tensor([] if end is None else [end] if isinstance(end, int) else list(end), device=said.device)
    closed = torch.isin(said, ends)
    return closed.cumsum(1) - closed.long() == 0
