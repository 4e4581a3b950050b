"""Onnx: any ONNX file that gives regions of a picture, run by ONNX Runtime; e.g. MobileNetV2 with its 7 x 7 grid.

The file has an output ``regions`` (n, places, dim) and, where it can, ``pooled`` (n, dim); without, the mean of the
regions is taken. Its input is a batch of pictures (n, 3, side, side).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hashloom.encoders.image._base import PictureEncoder
from hashloom.types import Count, Positive, Share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image

    Floats = NDArray[np.float32]

SIDE = 224
"""Where neither the file nor the settings say."""


@dataclass
class Onnx(PictureEncoder):
    """Regions and pooled vectors from an ONNX file, which stays where it is: a model keeps its path and a hash of it.

    >>> Onnx(path="no/such.onnx").fit([])
    Traceback (most recent call last):
    ...
    FileNotFoundError: image encoder onnx: there is no file 'no/such.onnx'; set its path to an ONNX file with ...
    """

    path: str = "model.onnx"
    """The ONNX file."""
    size: int = 0
    """Pixels of the side that the network is given; 0: what the file says, or 224."""
    shown: Share = 0.875
    """Share of the picture's shorter side that is shown, cut from the middle."""
    mean: float = 128.0
    """Taken from each value of 0 to 255, …"""
    scale: Positive = 128.0
    """… which is then divided by this."""
    input: str = ""
    """Name of the input; empty: the first."""
    threads: Count = 1
    """Threads of ONNX Runtime."""

    def fit(self, pictures: Sequence[str]) -> Self:
        """Load the file and remember its hash; pictures teach it nothing."""
        for derived in ("_session", "_sizes"):
            self.__dict__.pop(derived, None)
        self.fingerprint_: str | None = None
        self.fingerprint_ = _fingerprint(self.path)
        _ = self._sizes
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of regions: square where their number is, else all in one row."""
        places = self._sizes[0]
        side = math.isqrt(places)
        return (side, side) if side * side == places else (1, places)

    @property
    def dim(self) -> int:
        """Length of a region's vector."""
        return self._sizes[1]

    @property
    def pooled_dim(self) -> int:
        """Length of the whole picture's vector."""
        return self._sizes[2]

    def identity(self) -> str:
        """The file's hash and all that is done to a picture before it is shown."""
        known = getattr(self, "fingerprint_", None) or self._session.fingerprint
        return f"onnx {known} {self._side} {self.shown:g} {self.mean:g} {self.scale:g} {self.input}"

    def _look(self, images: list[Image]) -> tuple[Floats, Floats]:
        pixels = np.stack([shown(image, self._side, self.shown) for image in images])
        return self._run((pixels.astype(np.float32) - np.float32(self.mean)) / np.float32(self.scale))

    def _run(self, values: Floats) -> tuple[Floats, Floats]:
        """Regions and pooled vectors of values (n, side, side, 3)."""
        session, name = self._session.session, self._session.input
        outputs = [o.name for o in session.get_outputs() if o.name in ("regions", "pooled")]
        given = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        # A file may have been made for one picture at a time.
        fixed = isinstance(self._session.shape[0], int)
        parts = [given[i : i + 1] for i in range(len(given))] if fixed else [given]
        found = [dict(zip(outputs, session.run(outputs, {name: part}), strict=True)) for part in parts]
        regions = np.concatenate([one["regions"] for one in found]).astype(np.float32)
        if regions.ndim != 3:
            raise ValueError(f"{self.path}: its output 'regions' has shape {regions.shape}; wanted (n, places, dim)")
        if "pooled" not in outputs:
            return regions, regions.mean(axis=1)
        return regions, np.concatenate([one["pooled"] for one in found]).astype(np.float32).reshape(len(regions), -1)

    @property
    def _side(self) -> int:
        side = self._session.shape[2]
        return self.size or (side if isinstance(side, int) else SIDE)

    @cached_property
    def _sizes(self) -> tuple[int, int, int]:
        """Places, dim and pooled dim, found by showing it a grey picture."""
        regions, pooled = self._run(np.zeros((1, self._side, self._side, 3), np.float32))
        return regions.shape[1], regions.shape[2], pooled.shape[1]

    @cached_property
    def _session(self) -> _Session:
        return _Session(self.path, self.input, self.threads, self.size, getattr(self, "fingerprint_", None))


class _Session:
    """An ONNX file at work; a copy, also one in another process, loads it anew."""

    def __init__(self, path: str, wanted: str, threads: int, size: int, fitted: str | None) -> None:
        self.given = (path, wanted, threads, size, fitted)
        self.fingerprint = _fingerprint(path)
        if fitted not in (None, self.fingerprint):
            raise ValueError(
                f"image encoder onnx: {path!r} is not the file this was fitted with (its hash is {self.fingerprint}, "
                f"not {fitted}); put that file back or train again"
            )
        self.session = _load(path, threads)
        inputs = {i.name: i.shape for i in self.session.get_inputs()}
        if wanted and wanted not in inputs:
            raise ValueError(f"{path}: has no input {wanted!r}; its inputs are {', '.join(inputs)}")
        self.input = wanted or next(iter(inputs))
        self.shape = inputs[self.input]
        if len(self.shape) != 4 or (isinstance(self.shape[1], int) and self.shape[1] != 3):
            raise ValueError(f"{path}: its input {self.input!r} takes {self.shape}; wanted is (n, 3, side, side)")
        if size and isinstance(self.shape[2], int) and size != self.shape[2]:
            raise ValueError(f"{path}: takes pictures of {self.shape[2]} pixels a side; set size to 0, not to {size}")

    def __reduce__(self) -> tuple[Any, ...]:
        return _Session, self.given


def shown(image: Image, side: int, share: float) -> NDArray[np.uint8]:
    """The middle of a picture, ``share`` of its shorter side, scaled to (side, side, 3).

    >>> from PIL import Image
    >>> shown(Image.new("RGB", (80, 40)), 7, 0.875).shape
    (7, 7, 3)
    """
    from PIL.Image import Resampling

    cut = max(1, round(min(image.size) * share))
    left, top = (image.width - cut) // 2, (image.height - cut) // 2
    middle = image.crop((left, top, left + cut, top + cut))
    return np.asarray(middle.resize((side, side), Resampling.BILINEAR, reducing_gap=2.0))


def _fingerprint(path: str) -> str:
    """Sixteen hexadecimal digits of a hash over a file."""
    if not Path(path).is_file():
        raise FileNotFoundError(
            f"image encoder onnx: there is no file {path!r}; set its path to an ONNX file with an output 'regions'"
        )
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()


def _load(path: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's errors share no base but this
        raise ValueError(f"{path}: cannot be read as an ONNX file ({str(error)[:200]})") from None
    outputs = [o.name for o in session.get_outputs()]
    if "regions" not in outputs:
        raise ValueError(f"{path}: has no output 'regions'; its outputs are {', '.join(outputs)}")
    return session
