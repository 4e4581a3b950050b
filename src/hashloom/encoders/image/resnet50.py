"""Resnet50: the last map of ResNet-50 (He et al., CVPR 2016), 7 x 7 regions of 2048 at 224 pixels a side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge, Le

from hashloom.encoders import _weights
from hashloom.encoders.image._pretrained import BICUBIC, IMAGENET, Network, Pretrained, preparation


@dataclass
class Resnet50(Pretrained):
    """Regions are the last map; pooled is their mean.

    >>> Resnet50(weights="./nowhere").fit([])
    Traceback (most recent call last):
    ...
    FileNotFoundError: image encoder resnet50: there is no folder './nowhere'; give a folder with config.json ...
    """

    weights: str = "microsoft/resnet-50"
    """Hub name or local folder of a ResNet, as transformers keeps it."""
    size: Annotated[int, Ge(32), Le(1024)] = 224
    """Pixels of the side that the network is given; a region is 32 of them wide."""

    near: ClassVar[int] = 448

    def _load(self) -> Network:
        _weights.load_config(self._who, self.weights, ("resnet",))
        from transformers import ResNetModel

        from hashloom.networks.pretrained import ResnetRegions

        model, _ = _weights.load_model(self._who, ResNetModel, self.weights)
        own: dict[str, Any] = {"mean": IMAGENET[0], "std": IMAGENET[1], "resample": BICUBIC} | preparation(
            self._who, self.weights
        )
        return Network(ResnetRegions(model), _weights.fingerprint(model.state_dict()), self.size, **own)
