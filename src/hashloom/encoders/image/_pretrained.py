"""What the encoders with published weights share: loading, the fingerprint, preparing pixels, and the two runtimes.

The whole picture is scaled to the network's square, as the papers here do it, so that the regions cover all of it;
pixels are brought to 0…1, less ``image_mean``, by ``image_std`` of the weights' own ``preprocessor_config.json``, or
of the encoder where there is none.
"""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from annotated_types import Ge

from hashloom.encoders import _weights
from hashloom.encoders.image._base import PictureEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    Floats = NDArray[np.float32]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of red, green and blue over ImageNet's training pictures."""
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
BILINEAR, BICUBIC = 2, 3


@dataclass
class Pretrained(PictureEncoder):
    """An encoder writes ``_load``; what is learnt is which weights they were, how pixels are prepared, and sizes."""

    weights: str = ""
    """Hub name or local folder."""
    runtime: Literal["torch", "onnx"] = "torch"
    """onnx: exported once (kept in the cache folder where there is one) and run by ONNX Runtime."""
    threads: Annotated[int, Ge(0)] = 0
    """Threads of ONNX Runtime; 0: all there are."""

    near: ClassVar[int] = 224

    def fit(self, pictures: Sequence[str]) -> Self:
        """Load the weights and remember their fingerprint; pictures teach it nothing."""
        for derived in ("_loaded", "_session", "_known", "_recent"):
            self.__dict__.pop(derived, None)
        self.fingerprint_: str | None = None
        self.fingerprint_, self.facts_ = self._loaded.fingerprint, self._loaded.facts()
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of regions."""
        side = math.isqrt(self._known["places"])
        return side, side

    @property
    def dim(self) -> int:
        """Length of a region's vector."""
        return int(self._known["dim"])

    @property
    def pooled_dim(self) -> int:
        """Length of the whole picture's vector."""
        return int(self._known["pooled_dim"])

    def identity(self) -> str:
        """The weights' fingerprint and how pixels are prepared; both runtimes give the same, as the export proves."""
        facts = self._known
        known = getattr(self, "fingerprint_", None) or self._loaded.fingerprint
        return f"{self._name} {known} {facts['side']} {facts['mean']} {facts['std']} {facts['resample']} 1"

    @abstractmethod
    def _load(self) -> Network:
        """The network, ready to run."""

    @property
    def _name(self) -> str:
        return type(self).__module__.rsplit(".", 1)[-1]

    @property
    def _who(self) -> str:
        return f"image encoder {self._name}"

    @cached_property
    def _known(self) -> dict[str, Any]:
        return getattr(self, "facts_", None) or self._loaded.facts()

    @cached_property
    def _loaded(self) -> Network:
        network = self._load()
        _weights.check_same(self._who, self.weights, network.fingerprint, getattr(self, "fingerprint_", None))
        return network

    @cached_property
    def _session(self) -> Any:
        facts = self._known
        known = getattr(self, "fingerprint_", None) or self._loaded.fingerprint
        stem = f"{self._name}-{known}-{facts['side']}"
        return _weights.exported(self.cache, stem, lambda: self._loaded.export(), self.threads)

    def _look(self, images: list[Image]) -> tuple[Floats, Floats]:
        pixels = np.stack([prepare(image, self._known) for image in images])
        if self.runtime == "torch":
            return self._loaded.run(pixels)
        regions, pooled = self._session.run(["regions", "pooled"], {"pixels": pixels})
        return regions, pooled

    def __getstate__(self) -> dict[str, Any]:
        # A copy, also one in another process, loads the network when it needs it.
        return {name: value for name, value in vars(self).items() if name not in ("_loaded", "_session")}


@dataclass
class Network:
    """A torch module from pixels (n, 3, side, side) to regions and pooled, and what must be known to feed it."""

    module: Any
    fingerprint: str
    side: int
    mean: Sequence[float]
    std: Sequence[float]
    resample: int

    def __post_init__(self) -> None:
        import torch

        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.module = self.module.eval().requires_grad_(False).to(self.device)

    def run(self, pixels: Floats) -> tuple[Floats, Floats]:
        """Regions (n, places, dim) and pooled (n, pooled dim) of prepared pixels (n, 3, side, side)."""
        import torch

        with torch.inference_mode():
            regions, pooled = self.module(torch.from_numpy(pixels).to(self.device))
        return regions.cpu().numpy(), pooled.cpu().numpy()

    def facts(self) -> dict[str, Any]:
        """How pixels are prepared, and the sizes of what comes out, found by showing it a blank picture."""
        regions, pooled = self.run(np.zeros((1, 3, self.side, self.side), np.float32))
        sizes = {"places": regions.shape[1], "dim": regions.shape[2], "pooled_dim": pooled.shape[1]}
        prepared = {"side": self.side, "mean": list(self.mean), "std": list(self.std), "resample": self.resample}
        return prepared | sizes

    def export(self) -> bytes:
        """As ONNX, proved against torch with one, two and three pictures."""
        import torch

        from hashloom.networks.export import to_onnx

        draw = torch.Generator().manual_seed(0)
        examples = [(torch.randn(n, 3, self.side, self.side, generator=draw),) for n in (2, 1, 3)]
        try:
            return to_onnx(self.module, examples, {"pixels": {0: "pictures"}}, ["regions", "pooled"])
        finally:
            self.module.to(self.device)


def prepare(image: Image, facts: dict[str, Any]) -> Floats:
    """The whole picture as a network takes it: (3, side, side).

    >>> from PIL import Image
    >>> facts = {"side": 2, "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "resample": BILINEAR}
    >>> prepare(Image.new("RGB", (9, 5), (255, 0, 255)), facts).tolist()
    [[[1.0, 1.0], [1.0, 1.0]], [[-1.0, -1.0], [-1.0, -1.0]], [[1.0, 1.0], [1.0, 1.0]]]
    """
    side = facts["side"]
    pixels = np.asarray(image.resize((side, side), facts["resample"], reducing_gap=3.0), np.float32) / 255
    scaled = (pixels - np.array(facts["mean"], np.float32)) / np.array(facts["std"], np.float32)  # (side, side, 3)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


def preparation(who: str, weights: str) -> dict[str, Any]:
    """``mean``, ``std`` and ``resample`` that the weights' own preprocessor_config.json names; {} where there is none.

    Asked for only after the weights themselves were had, so that what is absent is absent.
    """
    place = Path(weights) / "preprocessor_config.json"
    if Path(weights).exists():
        path: Path | None = place if place.is_file() else None
    else:
        path = _from_hub(weights, place.name)
    if path is None:
        return {}
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{who}: {path} is no JSON ({error}); put the published file there") from error
    names = {"mean": "image_mean", "std": "image_std", "resample": "resample"}
    return {ours: said[theirs] for ours, theirs in names.items() if said.get(theirs) is not None}


def _from_hub(weights: str, name: str) -> Path | None:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    try:
        return Path(hf_hub_download(weights, name))
    except EntryNotFoundError:
        return None
