"""The one training loop: Adam, a falling rate, early stopping by a judge, seeds, progress, resumable checkpoints."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

EPSILON = 1e-12
"""Adam's guard against division by 0. The usual 1e-8 is as large as the gradients of a mean over hundreds of tags."""


@dataclass
class Course:
    """How a training is to run, and in ``best``/``scores``, after it, how it went."""

    epochs: int = 30
    """Passes over the training posts at most."""
    patience: int = 3
    """So many epochs without a better judgement end the training."""
    rate: float = 1e-3
    """Adam's rate at the beginning (sparse tables' too)."""
    final: float = 1.0
    """The rate at the end as a share of ``rate``, reached in a straight line over ``steps``; 1: constant."""
    steps: int = 0
    """Updates that the fall of the rate is spread over; 0: no fall."""
    clip: float = 0.0
    """Gradients of dense weights longer than this are shortened to it; 0: never."""
    seed: int = 0
    """The same seed, data and device kind give the same weights."""
    half: bool = False
    """Run the passes in bfloat16 where that is safe; weights stay in float32."""
    folder: str = ""
    """Where the state is left after each epoch, and taken up again; empty: nowhere."""
    label: str = ""
    """What is trained on what; a state left under another label is refused."""
    best: int = 0
    scores: list[float] = field(default_factory=list)


def device() -> torch.device:
    """CUDA where there is a working one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def half_pays() -> bool:
    """Whether bfloat16 is faster than float32 on this machine."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """A context in which torch computes on ``count`` threads; small tensors are faster on one."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(count, before))
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """A context in which torch draws from ``seed``; the numbers outside go on as if nothing had been drawn.

    >>> with seeded(1):
    ...     first = torch.rand(1)
    >>> with seeded(1):
    ...     bool(torch.rand(1) == first)
    True
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def latest(communities: NDArray[np.int64], share: float) -> NDArray[np.int64]:
    """Rows of the latest ``share`` of each community's posts; posts come in order of time."""
    rows = [np.flatnonzero(communities == c) for c in np.unique(communities)]
    return np.sort(np.concatenate([of[len(of) - int(len(of) * share) :] for of in rows]))


def cuts(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], size: int, seed: int | None = None, spread: float = 8.0
) -> list[NDArray[np.int64]]:
    """``rows`` in batches of posts of like length (rows,), so that there is little padding.

    With a seed, which ones meet (lengths count up to ``spread`` more) and in which order are random.
    """
    if seed is None:
        order = np.argsort(lengths, kind="stable")
        return [rows[order[i : i + size]] for i in range(0, len(rows), size)]
    draw = np.random.default_rng(seed)
    order = np.argsort(lengths + draw.uniform(0, spread, len(rows)), kind="stable")
    made = [rows[order[i : i + size]] for i in range(0, len(rows), size)]
    return [made[i] for i in draw.permutation(len(made))]


def train(
    network: nn.Module,
    batches: Callable[[int], Sequence[Any]],
    loss: Callable[[Any], Tensor],
    course: Course,
    judge: Callable[[], float] | None = None,
    groups: Sequence[dict[str, Any]] | None = None,
) -> Course:
    """Train ``network`` in place and leave it with the weights of the best epoch (the last, without a ``judge``).

    ``batches(epoch)`` gives an epoch's batches in an order drawn from the epoch's number; ``loss(batch)`` a scalar;
    ``judge()`` a number of which more is better. ``groups`` are Adam's parameter groups where they differ. Ctrl-C
    leaves the state of the last whole epoch in ``course.folder``; the same call then goes on from there.
    """
    optimisers = _optimisers(network, course, groups)
    best: dict[str, Tensor] = {}
    step, course.best, course.scores = 0, 0, []
    with seeded(course.seed):
        state = _State(network, optimisers, course)
        step, best = state.take_up()
        for epoch in range(len(course.scores), course.epochs):
            if course.scores and epoch - course.best >= course.patience and judge:
                break
            # Seeded per epoch, so that a training taken up again draws what it would have drawn.
            torch.manual_seed(course.seed * 1_000_003 + epoch)
            network.train()
            for batch in _shown(batches(epoch), f"epoch {epoch + 1}/{course.epochs}", course.scores):
                _step(network, optimisers, loss, batch, course, step)
                step += 1
            score = _judged(network, judge, course)
            course.scores.append(score)
            if judge is None or score >= max(course.scores):
                course.best = epoch + 1
                best = {name: value.clone() for name, value in network.state_dict().items()} if judge else {}
            state.leave(step, best)
    if best:
        network.load_state_dict(best)
    network.eval()
    return course


def _optimisers(network: nn.Module, course: Course, groups: Sequence[dict[str, Any]] | None) -> list[Any]:
    tables = [
        m.weight for m in network.modules() if isinstance(m, nn.Embedding) and m.sparse and m.weight.requires_grad
    ]
    held = {id(table) for table in tables}
    given = groups or [{"params": [p for p in network.parameters() if p.requires_grad]}]
    dense = [group | {"params": [p for p in group["params"] if id(p) not in held]} for group in given]
    # AdamW: weight decay, where a group asks for any, apart from the gradient's scale.
    made: list[Any] = [torch.optim.AdamW(dense, lr=course.rate, weight_decay=0.0, eps=EPSILON)]
    return made + ([torch.optim.SparseAdam(tables, lr=course.rate, eps=EPSILON)] if tables else [])


def _step(
    network: nn.Module, optimisers: list[Any], loss: Callable[[Any], Tensor], batch: Any, course: Course, step: int
) -> None:
    done = min(1.0, step / course.steps) if course.steps else 0.0
    rate = course.rate * (1 + (course.final - 1) * done)
    for optimiser in optimisers:
        optimiser.zero_grad(set_to_none=True)
        for group in optimiser.param_groups:
            group["lr"] = rate
    with _passes(network, course):
        cost = loss(batch)
    if not torch.isfinite(cost):
        raise FloatingPointError(f"the loss is {cost.item()} at update {step + 1}; lower the rate (now {course.rate})")
    cost.backward()
    if course.clip:
        dense = (p for group in optimisers[0].param_groups for p in group["params"])
        nn.utils.clip_grad_norm_(dense, course.clip)
    for optimiser in optimisers:
        optimiser.step()


def _passes(network: nn.Module, course: Course) -> torch.autocast:
    kind = next(network.parameters()).device.type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=course.half)


def _judged(network: nn.Module, judge: Callable[[], float] | None, course: Course) -> float:
    if judge is None:
        return 0.0
    network.eval()
    with torch.no_grad(), _passes(network, course):
        return judge()


def _shown(batches: Sequence[Any], title: str, scores: list[float]) -> Iterable[Any]:
    if not sys.stderr.isatty():
        return batches
    from tqdm import tqdm

    said = f"{title}, last judged {scores[-1]:.4f}" if scores else title
    return tqdm(batches, desc=said, leave=False)


@dataclass
class _State:
    """The state between two epochs, on disk: tensors as safetensors, the rest as JSON in their header."""

    network: nn.Module
    optimisers: list[Any]
    course: Course

    @property
    def path(self) -> Path:
        return Path(self.course.folder) / "training.safetensors"

    def leave(self, step: int, best: dict[str, Tensor]) -> None:
        if not self.course.folder:
            return
        from safetensors.torch import save_file

        tensors = {f"now/{n}": v for n, v in self.network.state_dict().items()} | {
            f"best/{n}": v for n, v in best.items()
        }
        for i, optimiser in enumerate(self.optimisers):
            for at, kept in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser/{i}/{at}/{n}": torch.as_tensor(v) for n, v in kept.items()}
        said = {"step": step, "best": self.course.best, "scores": self.course.scores, "label": self.course.label}
        beside = self.path.with_suffix(".tmp")
        beside.parent.mkdir(parents=True, exist_ok=True)
        save_file({n: v.contiguous() for n, v in tensors.items()}, beside, metadata={"training": json.dumps(said)})
        os.replace(beside, self.path)

    def take_up(self) -> tuple[int, dict[str, Tensor]]:
        """The number of updates done and the best weights so far; network and optimisers are set."""
        if not self.course.folder or not self.path.is_file():
            return 0, {}
        from safetensors import safe_open

        with safe_open(self.path, framework="pt") as file:
            said = json.loads((file.metadata() or {}).get("training", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if said.get("label") != self.course.label:
            raise ValueError(f"{self.path}: left by another training; name another folder or take this file away")
        self.network.load_state_dict(_under("now/", tensors))
        for i, optimiser in enumerate(self.optimisers):
            self._restore(optimiser, _under(f"optimiser/{i}/", tensors))
        self.course.best, self.course.scores = said["best"], said["scores"]
        return said["step"], _under("best/", tensors)

    @staticmethod
    def _restore(optimiser: Any, kept: dict[str, Tensor]) -> None:
        whole = optimiser.state_dict()
        for name, value in kept.items():
            at, key = name.split("/")
            # SparseAdam counts its updates in a plain int.
            plain = value.item() if key == "step" and isinstance(optimiser, torch.optim.SparseAdam) else value
            whole["state"].setdefault(int(at), {})[key] = plain
        optimiser.load_state_dict(whole)


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
