"""A published encoder–decoder, fine-tuned to say tags: T5, mT5 or any other of transformers (RIGHT, models §9.4).

Source and target as in RIGHT: the text, then each retrieved tag behind ``<extra_id_1>``; the tags with ``<extra_id_0>``
between them. Where a tokenizer lacks these signs, `` | `` and `` ; `` take their place. The weights that are kept are
the best by the validation posts; the authors evaluate those of the last epoch. Training and answering need torch.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
from annotated_types import Ge

from hashloom.encoders import _weights
from hashloom.generators import BETWEEN, RETRIEVED, part
from hashloom.types import Count, Positive, Share

WHO = "generator pretrained"
LESS = {RETRIEVED: "|", BETWEEN: ";"}
"""What stands for the signs where a tokenizer has none."""


@dataclass
class Pretrained:
    """Tags in the order in which a fine-tuned network says them, from the ``beam`` best sequences.

    A tag's chance is the mean probability of its subwords (length-normalised), shared among the sequences by theirs.

    >>> Pretrained(weights="./nowhere").fit(["rye loaf"], [["rye"]])
    Traceback (most recent call last):
    ...
    FileNotFoundError: generator pretrained: there is no folder './nowhere'; ...
    """

    weights: str = "google/mt5-small"
    """Hub name or local folder of a sequence-to-sequence network with its tokenizer, as transformers keeps it."""
    source: Annotated[int, Ge(4)] = 180
    """Subwords of a source at most; the retrieved tags are kept and the text is cut."""
    target: Annotated[int, Ge(2)] = 100
    """Subwords of a post's tags together at most."""
    rate: Positive = 3e-4
    """AdamW's rate after the warm-up; it falls in a straight line to 0."""
    decay: float = 1e-5
    """Weight decay."""
    warmup: Share = 0.06
    """Share of the updates in which the rate rises."""
    clip: Positive = 1.0
    """Gradients longer than this are shortened to it."""
    epochs: Count = 10
    """Passes over the posts."""
    batch: Count = 16
    """Posts per update."""
    validation: Share = 0.1
    """Share of the posts, the latest, by which the best epoch is chosen; 0: the last is kept."""
    beam: Count = 5
    """Sequences followed, whose tags are all given; 1: greedy, one sequence."""
    seed: int = 0
    """The same seed, posts and machine give the same generator."""

    def fit(self, sources: Sequence[str], targets: Sequence[Sequence[str]]) -> Self:
        """Fine-tune the published weights; sources come in order of time."""
        for derived in ("_loaded", "_tokenizer"):
            self.__dict__.pop(derived, None)
        self.files_ = {}
        _weights.check_place(WHO, self.weights, "a folder with config.json, model.safetensors and a tokenizer")
        tokenizer, model = self._open(self.weights)
        self.__dict__["_tokenizer"] = tokenizer
        model.requires_grad_(True)
        self.course_ = self._tune(model, self._read(sources), self._said(targets))
        self.files_ = _files(tokenizer, model)
        self.__dict__["_loaded"] = model
        return self

    def generate(self, sources: Sequence[str], count: int) -> list[list[tuple[str, float]]]:
        """For each source at most ``count`` tags, best first, each once, with a chance in (0, 1]."""
        import torch

        read = self._read(sources)
        order = np.argsort([len(row) for row in read], kind="stable").tolist()
        found: list[list[tuple[str, float]]] = [[] for _ in sources]
        with torch.inference_mode():
            for at in range(0, len(order), 32):
                some = order[at : at + 32]
                for i, tags in zip(some, self._answer([read[i] for i in some])):
                    found[i] = tags[:count]
        return found

    # ---- text and numbers

    def _signs(self) -> dict[str, str]:
        """RETRIEVED and BETWEEN as this tokenizer has them."""
        vocabulary = self._tokenizer.get_vocab()
        return {sign: sign if sign in vocabulary else LESS[sign] for sign in (RETRIEVED, BETWEEN)}

    def _read(self, sources: Sequence[str]) -> list[list[int]]:
        """Numbers of sources: of a long one the text is cut, and of the tags as many stay as half the room holds."""
        sign, end = self._signs()[RETRIEVED], self._tokenizer.eos_token_id
        rows = []
        for text, tags in map(part, sources):
            tail: list[int] = []
            for tag in tags:
                spelt = self._numbers(f"{sign} {tag}")
                if len(tail) + len(spelt) > self.source // 2:
                    break
                tail += spelt
            head = self._numbers(text)[: self.source - 1 - len(tail)]
            rows.append([*head, *tail, *([end] if end is not None else [])] or [self._tokenizer.pad_token_id or 0])
        return rows

    def _said(self, targets: Sequence[Sequence[str]]) -> list[list[int]]:
        """Numbers of each post's tags in a row, closed; as many tags as there is room for, the first one cut."""
        sign, end = self._signs()[BETWEEN], self._tokenizer.eos_token_id
        rows = []
        for tags in targets:
            row: list[int] = []
            for tag in tags:
                spelt = self._numbers(f"{sign} {tag}" if row else tag)
                if row and len(row) + len(spelt) > self.target - 1:
                    break
                row += spelt
            rows.append([*row[: self.target - 1], *([end] if end is not None else [])])
        return rows

    def _numbers(self, text: str) -> list[int]:
        return self._tokenizer(text, add_special_tokens=False)["input_ids"]

    # ---- the network

    def _tune(self, model: Any, read: list[list[int]], said: list[list[int]]) -> dict[str, Any]:
        from hashloom.networks import finetuning

        fields = ("rate", "decay", "warmup", "clip", "epochs", "batch", "validation", "seed")
        plan = finetuning.Plan(**{name: getattr(self, name) for name in fields})
        return finetuning.tune(model, read, said, self._tokenizer.pad_token_id or 0, plan)

    def _answer(self, read: list[list[int]]) -> list[list[tuple[str, float]]]:
        """Tags of some sources."""
        from hashloom.networks import finetuning

        given = {"beam": self.beam, "most": self.target, "pad": self._tokenizer.pad_token_id or 0}
        said = finetuning.say(self._loaded, read, **given)
        return [self._tags(sequences) for sequences in said]

    def _tags(self, sequences: Sequence[tuple[list[int], list[float], float]]) -> list[tuple[str, float]]:
        """Tags of the sequences said for one source; each sequence as numbers, their log-probabilities and its share.

        The tag's own mean log-probability per subword, the sign that closes it included, as a chance; times the
        sequence's share.
        """
        sign = self._numbers(self._signs()[BETWEEN])[-1]
        chances: dict[str, float] = {}
        for numbers, scores, share in sequences:
            seen = set()
            for piece, mean in _cut(numbers, scores, sign, self._tokenizer.eos_token_id):
                tag = " ".join(self._tokenizer.decode(piece, skip_special_tokens=True).split())
                if tag and tag not in seen:
                    seen.add(tag)
                    chances[tag] = chances.get(tag, 0.0) + share * float(np.exp(mean))
        return sorted(((t, min(1.0, max(c, 1e-12))) for t, c in chances.items()), key=lambda pair: (-pair[1], pair[0]))

    @cached_property
    def _tokenizer(self) -> Any:
        return self._kept()[0]

    @cached_property
    def _loaded(self) -> Any:
        return self._kept()[1]

    def _kept(self) -> tuple[Any, Any]:
        """What was fine-tuned, from the files that are kept with it."""
        with tempfile.TemporaryDirectory(prefix="hashloom-") as folder:
            for name, data in self.files_.items():
                (Path(folder) / name).write_bytes(data)
            tokenizer, model = self._open(folder)
        self.__dict__ |= {"_tokenizer": tokenizer, "_loaded": model}
        return tokenizer, model

    def _open(self, place: str) -> tuple[Any, Any]:
        try:
            import torch  # noqa: F401
            from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
        except ImportError as error:
            raise ImportError(f"{WHO} needs torch and transformers; run: pip install torch transformers") from error
        _weights.load_config(WHO, place)
        try:
            tokenizer = AutoTokenizer.from_pretrained(place)
        except (OSError, ValueError) as error:
            raise _weights.not_had(WHO, place, error, " and its tokenizer") from error
        model, _ = _weights.load_model(WHO, AutoModelForSeq2SeqLM, place)
        return tokenizer, model

    def __getstate__(self) -> dict[str, Any]:
        # A copy, also one in another process, opens the network when it needs it.
        return {name: value for name, value in vars(self).items() if name not in ("_loaded", "_tokenizer")}


def _files(tokenizer: Any, model: Any) -> dict[str, bytes]:
    """Network and tokenizer as the files that transformers reads."""
    with tempfile.TemporaryDirectory(prefix="hashloom-") as folder:
        model.cpu().save_pretrained(folder, max_shard_size="100GB")
        tokenizer.save_pretrained(folder)
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}


def _cut(numbers: Sequence[int], scores: Sequence[float], sign: int, end: int | None) -> list[tuple[list[int], float]]:
    """Numbers between signs, each with the mean score of its numbers and of the sign or end behind them.

    >>> _cut([5, 9, 6, 1], [-1.0, -3.0, -2.0, -4.0], sign=9, end=1)
    [([5], -2.0), ([6], -3.0)]
    """
    made, piece, sums = [], list[int](), list[float]()
    for number, score in [*zip(numbers, scores), (sign, None)]:
        if number not in (sign, end):
            piece.append(number)
            sums.append(score)  # type: ignore[arg-type]
            continue
        if piece:
            # A sequence cut short has no sign behind its last tag.
            made.append((piece, float(np.mean(sums if score is None else [*sums, score]))))
        piece, sums = [], []
        if number == end:
            break
    return made
