"""Transformer: token states of multilingual BERT (Devlin et al., NAACL 2019), for networks that read word by word.

DESIGN reads text so: the last layer, 64 tokens, frozen. A token's vector depends only on its text, so that states are
kept by content; with ``trainable_layers`` they are those below the top layers, which a network then trains itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from annotated_types import Ge

from hashloom.encoders import _weights
from hashloom.encoders._cache import Cache, key
from hashloom.types import Count, Features

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

WHO = "text encoder transformer"
LARGEST = float(np.finfo(np.float16).max)
STEP = 2000
"""So many texts are encoded before they are kept, so that stopped work loses little."""


@dataclass
class Transformer:
    """A vector per token; what is learnt is which model it was, so that no other takes its place.

    Values are rounded to 16 bits whether kept or not, so that no answer hangs on what was kept.

    >>> Transformer(weights="./nowhere").fit([])
    Traceback (most recent call last):
    ...
    FileNotFoundError: text encoder transformer: there is no folder './nowhere'; give a folder with config.json ...
    """

    weights: str = "bert-base-multilingual-cased"
    """Hub name or local folder of a text network with its tokenizer, as transformers keeps it."""
    max_tokens: Annotated[int, Ge(3)] = 64
    """Only so many tokens of a text are read, the signs of beginning and end among them."""
    trainable_layers: Annotated[int, Ge(0)] = 0
    """Vectors are the states below so many top layers, and the network that reads them trains these; 0: the last."""
    batch: Count = 32
    """Texts encoded at once."""
    cache: str = ""
    """Folder where states are kept by content, so that no text is encoded twice; empty: none."""
    runtime: Literal["torch", "onnx"] = "torch"
    """onnx: exported once (kept in the cache folder where there is one) and run by ONNX Runtime."""
    threads: Annotated[int, Ge(0)] = 0
    """Threads of ONNX Runtime; 0: all there are."""

    def fit(self, texts: Sequence[str], tags: Sequence[str] = ()) -> Self:
        """Load the model and remember its fingerprint; texts and tags teach it nothing."""
        for derived in ("_loaded", "_tokenizer", "_session"):
            self.__dict__.pop(derived, None)
        self.fingerprint_: str | None = None
        self.dim_ = 0
        self.fingerprint_, self.dim_ = self._loaded.fingerprint, self._loaded.dim
        return self

    @property
    def dim(self) -> int:
        """Length of a token's vector."""
        return int(getattr(self, "dim_", 0) or self._loaded.dim)

    def features(self, texts: Sequence[str]) -> Features:
        """States of the tokens of texts: ``values`` (texts, tokens, dim) and ``mask`` (texts, tokens).

        As many places as the longest of these texts has tokens, one at least. An empty text has none: it is absent.
        """
        states = self._states([text for text in dict.fromkeys(texts) if text.strip()])
        places = max((len(state) for state in states.values()), default=1)
        values = np.zeros((len(texts), places, self.dim), np.float32)
        mask = np.zeros((len(texts), places), bool)
        for row, text in enumerate(texts):
            if text in states:
                values[row, : len(states[text])], mask[row, : len(states[text])] = states[text], True
        return Features(values, mask)

    def pieces(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Where in its text each token of ``features`` stands: start and end; (0, 0) for signs that are no word.

        What is said of a place (how much a network looked at it) is said of this part of the text.
        """
        return [self._cut([text])["offset_mapping"][0] if text.strip() else [] for text in texts]

    def encode(self, texts: Sequence[str]) -> Floats:
        """The mean of each text's token states; shape (texts, dim), zero for an empty text."""
        means = np.zeros((len(texts), self.dim), np.float32)
        for at in range(0, len(texts), STEP):
            found = self.features(texts[at : at + STEP])
            counts = np.maximum(found.mask.sum(axis=1, keepdims=True), 1)
            means[at : at + STEP] = found.values.sum(axis=1) / counts
        return means

    def encode_tags(self, tags: Sequence[str]) -> Floats:
        """Vectors of tags, given as words, in the same space; shape (tags, dim)."""
        return self.encode(tags)

    def top(self) -> Any:
        """A fresh copy of the top ``trainable_layers`` as a torch module, or None where that is 0.

        Its forward takes states (batch, tokens, dim) and mask (batch, tokens), and gives such states.
        """
        if not self.trainable_layers:
            return None
        from hashloom.networks.pretrained import TopLayers

        return TopLayers(self._whole(), self.trainable_layers)

    # ------------------------------------------------------------ states by content

    def _states(self, texts: list[str]) -> dict[str, NDArray[np.float16]]:
        """(tokens, dim) of each text."""
        keys = {text: key(self._identity, text) for text in texts} if self.cache else {}
        known = self._kept.try_get(list(keys.values())) if keys else {}
        states = {text: known[k].reshape(-1, self.dim) for text, k in keys.items() if k in known}
        missing = [text for text in texts if text not in states]
        for at in range(0, len(missing), STEP):
            new = self._made(missing[at : at + STEP])
            if self.cache:
                self._kept.try_put({keys[text]: state.ravel() for text, state in new.items()})
            states |= new
        return states

    def _made(self, texts: list[str]) -> dict[str, NDArray[np.float16]]:
        """Texts of about one length are encoded together, so that little is padding."""
        tokens = dict(zip(texts, self._cut(texts)["input_ids"], strict=True))
        order = sorted(texts, key=lambda text: len(tokens[text]))
        made: dict[str, NDArray[np.float16]] = {}
        for at in range(0, len(order), self.batch):
            some = order[at : at + self.batch]
            lengths = [len(tokens[text]) for text in some]
            mask = np.arange(lengths[-1]) < np.array(lengths)[:, None]  # (texts, tokens)
            ids = np.full(mask.shape, self._tokenizer.pad_token_id or 0, np.int64)
            ids[mask] = np.concatenate([tokens[text] for text in some])
            states = np.clip(self._run(ids, mask), -LARGEST, LARGEST).astype(np.float16)
            made |= {text: states[row, : lengths[row]] for row, text in enumerate(some)}
        return made

    def _run(self, ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> Floats:
        if self.runtime == "torch":
            return self._loaded.run(ids, mask)
        return np.asarray(self._session.run(["states"], {"ids": ids, "mask": mask})[0])

    def _cut(self, texts: list[str]) -> Any:
        fast = self._tokenizer.is_fast
        return self._tokenizer(texts, truncation=True, max_length=self.max_tokens, return_offsets_mapping=fast)

    # ------------------------------------------------------------ the network

    @property
    def _identity(self) -> str:
        """All that states depend on but the text; both runtimes give the same, as the export proves."""
        fitted = getattr(self, "fingerprint_", None) or self._loaded.fingerprint
        return f"transformer {fitted} {self.max_tokens} {self.trainable_layers} 1"

    @property
    def _kept(self) -> Cache:
        return Cache(self.cache, megabytes=8000, file="transformer.sqlite", kind="float16")

    @cached_property
    def _loaded(self) -> _Network:
        return _Network(self._whole(), self.trainable_layers)

    @cached_property
    def _session(self) -> Any:
        fitted = getattr(self, "fingerprint_", None) or self._loaded.fingerprint
        stem = f"transformer-{fitted}-{self.trainable_layers}"
        return _weights.exported(self.cache, stem, lambda: self._loaded.export(), self.threads)

    @cached_property
    def _tokenizer(self) -> Any:
        _weights.check_place(WHO, self.weights, "a folder with config.json, model.safetensors and a tokenizer")
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(self.weights)
        except (OSError, ValueError) as error:
            raise _weights.not_had(WHO, self.weights, error, " and its tokenizer") from error

    def _whole(self) -> Any:
        """All layers; only these weights and no others."""
        config = _weights.load_config(WHO, self.weights)
        if self.trainable_layers > config.num_hidden_layers:
            raise ValueError(
                f"{WHO}: trainable_layers is {self.trainable_layers}, but {self.weights!r} has only "
                f"{config.num_hidden_layers} layers"
            )
        from transformers import AutoModel

        model, _ = _weights.load_model(WHO, AutoModel, self.weights, may_lack=("pooler.",))
        model.pooler = None
        found = _weights.fingerprint(model.state_dict())
        _weights.check_same(WHO, self.weights, found, getattr(self, "fingerprint_", None))
        model.fingerprint = found
        return model

    def __getstate__(self) -> dict[str, Any]:
        # A copy, also one in another process, loads the network when it needs it.
        return {name: value for name, value in vars(self).items() if name not in ("_loaded", "_session", "_tokenizer")}


class _Network:
    """The frozen layers, where the machine runs them best."""

    def __init__(self, model: Any, top: int) -> None:
        import torch

        from hashloom.networks.pretrained import TokenStates

        self.fingerprint, self.dim = model.fingerprint, model.config.hidden_size
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.module = TokenStates(model, top).eval().to(self.device)

    def run(self, ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> Floats:
        """States (texts, tokens, dim) of token numbers (texts, tokens) and their mask."""
        import torch

        with torch.inference_mode():
            given = (torch.from_numpy(part).to(self.device) for part in (ids, mask))
            return self.module(*given)[0].cpu().numpy()

    def export(self) -> bytes:
        """As ONNX, proved against torch at three shapes with padding and one without."""
        import torch

        from hashloom.networks.export import to_onnx

        examples = []
        for texts, tokens in ((2, 5), (1, 3), (3, 9), (4, 7)):
            ids = torch.arange(texts * tokens).reshape(texts, tokens) % self.module.model.config.vocab_size
            ends = torch.arange(tokens, 0, -1)[:texts] if texts > 1 else torch.tensor([tokens])
            examples.append((ids, torch.arange(tokens) < ends[:, None]))
        axes = {0: "texts", 1: "tokens"}
        try:
            return to_onnx(self.module, examples, {"ids": axes, "mask": axes}, ["states"])
        finally:
            self.module.to(self.device)
