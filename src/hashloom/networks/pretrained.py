"""Published networks as Hashloom reads them: pictures into regions and a pooled vector, tokens into states.

VGG-16 (Simonyan and Zisserman, ICLR 2015), ResNet (He et al., CVPR 2016), ViT (Dosovitskiy et al., ICLR 2021), CLIP
(Radford et al., ICML 2021), SigLIP (Zhai et al., ICCV 2023), BERT (Devlin et al., NAACL 2019). All export to ONNX.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
"""Places of the thirteen convolutions in the published weights, ``features.0.weight`` and so on."""
POOLED = (2, 7, 14, 21, 28)
"""After these the maximum of each 2 x 2 is taken."""


class VggRegions(nn.Module):
    """VGG-16 without its head: thirteen 3 x 3 convolutions, each with ReLU, in five blocks that end in pooling.

    ``tensors``: ``features.N.weight`` (out, in, 3, 3) and ``features.N.bias`` (out,); widths are what they are there.
    Raises ``ValueError`` naming the tensor that is absent or does not fit.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for place in VGG16:
            convolution = _convolution(tensors, f"features.{place}", width)
            width = convolution.out_channels
            layers += [convolution, nn.ReLU()] + [nn.MaxPool2d(2)] * (place in POOLED)
        self.layers = nn.Sequential(*layers)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (batch, 3, side, side) into regions (batch, side/32 squared, 512) and their mean (batch, 512)."""
        regions = self.layers(pixels).flatten(2).transpose(1, 2)  # (batch, places, 512)
        return regions, regions.mean(1)


def _convolution(tensors: Mapping[str, Tensor], name: str, width: int) -> nn.Conv2d:
    weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
    if weight is None or bias is None:
        raise ValueError(f"{name}.weight or {name}.bias is absent")
    if weight.ndim != 4 or tuple(weight.shape[1:]) != (width, 3, 3) or tuple(bias.shape) != (len(weight),):
        raise ValueError(f"{name}.weight has shape {tuple(weight.shape)}; wanted is (any, {width}, 3, 3) and its bias")
    convolution = nn.Conv2d(width, len(weight), 3, padding=1)
    convolution.load_state_dict({"weight": weight.float(), "bias": bias.float()})
    return convolution


class ResnetRegions(nn.Module):
    """A transformers ``ResNetModel``: its last map as regions, their mean as pooled."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (batch, 3, side, side) into regions (batch, places, 2048) and pooled (batch, 2048)."""
        regions = self.model(pixels).last_hidden_state.flatten(2).transpose(1, 2)  # (batch, places, 2048)
        return regions, regions.mean(1)


class VitRegions(nn.Module):
    """A transformers ``ViTModel`` without pooler: patch states as regions, the CLS state as pooled."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (batch, 3, side, side) into regions (batch, patches, width) and pooled (batch, width)."""
        states = self.model(pixels).last_hidden_state  # (batch, 1 + patches, width)
        return states[:, 1:], states[:, 0]


class ClipRegions(nn.Module):
    """A transformers ``CLIPVisionModelWithProjection``; ``projected``: pooled is the embedding that texts share."""

    def __init__(self, model: Any, projected: bool = True) -> None:
        super().__init__()
        self.model = model
        self.projected = projected

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (batch, 3, side, side) into regions (batch, patches, width) and pooled (batch, embedding)."""
        found = self.model.vision_model(pixels)
        pooled = found.pooler_output  # (batch, width)
        return found.last_hidden_state[:, 1:], self.model.visual_projection(pooled) if self.projected else pooled


class SiglipRegions(nn.Module):
    """A transformers ``SiglipVisionModel``: patch states as regions, its attention pooling as pooled."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.head, model.head, model.use_head = model.head, None, False

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (batch, 3, side, side) into regions (batch, patches, width) and pooled (batch, width)."""
        regions = self.model(pixels).last_hidden_state  # (batch, patches, width)
        pooled = self._attend(regions)
        return regions, pooled + self.head.mlp(self.head.layernorm(pooled))

    def _attend(self, regions: Tensor) -> Tensor:
        """What ``nn.MultiheadAttention`` gives to the one learnt query; that module does not export."""
        inner = self.head.attention
        heads = (inner.num_heads, inner.head_dim)
        of_query, of_key, of_value = inner.in_proj_weight.chunk(3)
        query_bias, key_bias, value_bias = inner.in_proj_bias.chunk(3)
        query = functional.linear(self.head.probe[0], of_query, query_bias).unflatten(1, heads).transpose(0, 1)
        key = functional.linear(regions, of_key, key_bias).unflatten(2, heads).transpose(1, 2)
        value = functional.linear(regions, of_value, value_bias).unflatten(2, heads).transpose(1, 2)
        energy = query @ key.transpose(2, 3) * inner.head_dim**-0.5  # (batch, heads, 1, patches)
        seen = (torch.softmax(energy, -1) @ value).transpose(1, 2).flatten(2)  # (batch, 1, width)
        return inner.out_proj(seen[:, 0])


class TokenStates(nn.Module):
    """A transformers text network up to ``top`` layers below its end."""

    def __init__(self, model: Any, top: int = 0) -> None:
        super().__init__()
        self.model = model
        if top:
            del layers_of(model)[-top:]

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor]:
        """Token numbers (batch, tokens) and mask (batch, tokens) into states (batch, tokens, width)."""
        return (self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state,)


class TopLayers(nn.Module):
    """Copies of the last ``count`` layers of a BERT-like network, for networks that train them.

    >>> from transformers import BertConfig, BertModel
    >>> sizes = dict(vocab_size=9, hidden_size=4, num_hidden_layers=2, num_attention_heads=2, intermediate_size=4)
    >>> top = TopLayers(BertModel(BertConfig(**sizes)), 1)
    >>> top(torch.ones(2, 3, 4), torch.ones(2, 3, dtype=torch.bool)).shape
    torch.Size([2, 3, 4])
    """

    def __init__(self, model: Any, count: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(copy.deepcopy(layer) for layer in layers_of(model)[-count:])
        self.requires_grad_(True)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States (batch, tokens, width) and mask (batch, tokens) into states (batch, tokens, width)."""
        hidden = torch.zeros_like(mask, dtype=states.dtype).masked_fill(~mask, -1e30)[:, None, None, :]
        for layer in self.layers:
            states = layer(states, hidden)
        return states


def layers_of(model: Any) -> nn.ModuleList:
    """The layers of a BERT-like network (BERT, RoBERTa, XLM-R, ELECTRA); ``ValueError`` where it is built otherwise."""
    layers = getattr(getattr(model, "encoder", None), "layer", None)
    if not isinstance(layers, nn.ModuleList):
        raise ValueError(
            f"the layers of {type(model).__name__} cannot be trained apart; set trainable_layers to 0, or give weights "
            "of BERT, RoBERTa, XLM-R or ELECTRA"
        )
    return layers
