"""Vgg16: VGG-16's last pooling map (Simonyan and Zisserman, ICLR 2015), the picture encoder of CoA, MaCon and DESIGN.

7 x 7 regions of 512 at 224 pixels a side, 14 x 14 at 448. The published weights are torchvision's, trained on pixels
of 0…1 less ImageNet's mean (.485, .456, .406) and by its deviation (.229, .224, .225); one published code of MaCon
gives them raw pixels of 0…255 instead, which is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le

from hashloom.encoders import _weights
from hashloom.encoders.image._pretrained import BILINEAR, IMAGENET, Network, Pretrained


@dataclass
class Vgg16(Pretrained):
    """Regions are the map after the thirteenth convolution's pooling; pooled is their mean.

    >>> Vgg16(weights="./nowhere").fit([])
    Traceback (most recent call last):
    ...
    FileNotFoundError: image encoder vgg16: there is no folder './nowhere'; give a file, a folder with model...
    """

    weights: str = "timm/vgg16.tv_in1k"
    """Hub name, local folder with model.safetensors, or a safetensors file with torchvision's names of weights."""
    size: Annotated[int, Ge(32), Le(1024)] = 224
    """Pixels of the side that the network is given, e.g. 224 or 448; a region is 32 of them wide."""

    near: ClassVar[int] = 448

    def _load(self) -> Network:
        from hashloom.networks.pretrained import VggRegions

        path = _weights.find_file(self._who, self.weights, "model.safetensors")
        tensors = _read(self._who, str(path))
        try:
            module = VggRegions(tensors)
        except ValueError as error:
            raise ValueError(
                f"{self._who}: {path}: {error}; give VGG-16 without batch normalisation, as timm/vgg16.tv_in1k has it"
            ) from None
        mean, std = IMAGENET
        return Network(module, _weights.fingerprint(tensors), self.size, mean, std, BILINEAR)


def _read(who: str, path: str) -> dict[str, Any]:
    """The convolutions' tensors; the far larger head is left where it is."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys() if name.startswith("features.")}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(
            f"{who}: {path} is no safetensors file ({error}); convert it with safetensors.torch.save_file"
        ) from error
