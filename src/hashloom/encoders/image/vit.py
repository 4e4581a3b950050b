"""Vit: patch states of a vision transformer (Dosovitskiy et al., ICLR 2021); ViT-Base gives 14 x 14 regions of 768."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hashloom.encoders import _weights
from hashloom.encoders.image._pretrained import BILINEAR, HALVES, Network, Pretrained, preparation


@dataclass
class Vit(Pretrained):
    """Regions are the patches' last states without the CLS state, which is given as pooled.

    >>> Vit(weights="./nowhere").fit([])
    Traceback (most recent call last):
    ...
    FileNotFoundError: image encoder vit: there is no folder './nowhere'; give a folder with config.json ...
    """

    weights: str = "google/vit-base-patch16-224"
    """Hub name or local folder of a ViT, as transformers keeps it; the size of pictures is what it was trained for."""

    near: ClassVar[int] = 384

    def _load(self) -> Network:
        config = _weights.load_config(self._who, self.weights, ("vit",))
        from transformers import ViTModel

        from hashloom.networks.pretrained import VitRegions

        model, _ = _weights.load_model(self._who, ViTModel, self.weights, add_pooling_layer=False)
        own: dict[str, Any] = {"mean": HALVES[0], "std": HALVES[1], "resample": BILINEAR} | preparation(
            self._who, self.weights
        )
        return Network(VitRegions(model), _weights.fingerprint(model.state_dict()), config.image_size, **own)
