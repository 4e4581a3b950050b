"""Siglip: patch states and the embedding of SigLIP (Zhai et al., ICCV 2023) or CLIP (Radford et al., ICML 2021).

Which of the two it is the weights say. Only the picture's half of such a model is loaded. SigLIP's embedding is its
attention pooling, CLIP's the projected CLS state: what each compares with texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hashloom.encoders import _weights
from hashloom.encoders.image._pretrained import BICUBIC, HALVES, Network, Pretrained, preparation

KINDS = ("siglip", "siglip_vision_model", "clip", "clip_vision_model")
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
"""Mean and deviation of CLIP's training pictures (its published code)."""
PROJECTION = "visual_projection."


@dataclass
class Siglip(Pretrained):
    """Regions are the patches' last states; pooled is the picture's embedding.

    >>> Siglip(weights="./nowhere").fit([])
    Traceback (most recent call last):
    ...
    FileNotFoundError: image encoder siglip: there is no folder './nowhere'; give a folder with config.json ...
    """

    weights: str = "google/siglip-base-patch16-224"
    """Hub name or local folder of a SigLIP or CLIP, e.g. openai/clip-vit-base-patch32."""

    near: ClassVar[int] = 384

    def _load(self) -> Network:
        config = _weights.load_config(self._who, self.weights, KINDS)
        clip = config.model_type.startswith("clip")
        sight = getattr(config, "vision_config", config)
        model, module = self._clip(config, sight) if clip else self._siglip()
        mean, std = CLIP if clip else HALVES
        own: dict[str, Any] = {"mean": mean, "std": std, "resample": BICUBIC} | preparation(self._who, self.weights)
        return Network(module, _weights.fingerprint(model.state_dict()), sight.image_size, **own)

    def _siglip(self) -> tuple[Any, Any]:
        from transformers import SiglipVisionModel

        from hashloom.networks.pretrained import SiglipRegions

        model, _ = _weights.load_model(self._who, SiglipVisionModel, self.weights)
        module = SiglipRegions(model)
        return module, module

    def _clip(self, config: Any, sight: Any) -> tuple[Any, Any]:
        """A CLIP kept without its projection gives the CLS state itself."""
        from transformers import CLIPVisionModelWithProjection

        from hashloom.networks.pretrained import ClipRegions

        sight.projection_dim = config.projection_dim  # what the whole model says of it counts
        model, lacking = _weights.load_model(
            self._who, CLIPVisionModelWithProjection, self.weights, may_lack=(PROJECTION,), config=sight
        )
        if lacking:
            model.visual_projection = None
        return model, ClipRegions(model, projected=not lacking)
