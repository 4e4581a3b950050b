"""Encoders with published weights, proved on small random networks that are saved as any model is."""

import copy
import json
import logging
import pickle
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from hashloom import catalogue
from hashloom.encoders.image._pretrained import BICUBIC, BILINEAR, IMAGENET, Network, Pretrained, prepare
from hashloom.encoders.image.resnet50 import Resnet50
from hashloom.encoders.image.siglip import CLIP, Siglip
from hashloom.encoders.image.vgg16 import Vgg16
from hashloom.encoders.image.vit import Vit
from hashloom.networks.pretrained import POOLED, VGG16, SiglipRegions, VggRegions
from hashloom.types import Features

VISION: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
VISION |= {"image_size": 32, "patch_size": 8}
WIDTHS = (4, 4, 6, 6, 8, 8, 8, 8, 8, 8, 8, 8, 8)


def stirred(network: nn.Module, seed: int) -> Any:
    """A fresh network's weights are near zero; larger ones make every part of it matter."""
    draw = torch.Generator().manual_seed(seed)
    for weights in network.parameters():
        drawn = 0.2 * torch.randn(weights.shape, generator=draw)
        weights.data = drawn if weights.ndim > 1 else weights.data + drawn
    return network.eval()


def vgg_tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    draw, tensors, width = torch.Generator().manual_seed(seed), {}, 3
    for place, wide in zip(VGG16, WIDTHS, strict=True):
        tensors[f"features.{place}.weight"] = torch.randn(wide, width, 3, 3, generator=draw) / (2 * width**0.5)
        tensors[f"features.{place}.bias"] = torch.randn(wide, generator=draw) / 4
        width = wide
    return tensors


def save_vgg(path: Path, seed: int = 0) -> None:
    from safetensors.torch import save_file

    path.mkdir(parents=True)
    save_file(vgg_tensors(seed) | {"head.fc.weight": torch.zeros(2, 2)}, path / "model.safetensors")


def save_resnet(path: Path, seed: int = 0) -> None:
    from transformers import ResNetConfig, ResNetModel

    sizes = {"embedding_size": 4, "hidden_sizes": [4, 8, 8, 16], "depths": [1, 1, 1, 1]}
    model = stirred(ResNetModel(ResNetConfig(**sizes)), seed)
    model.save_pretrained(path)


def save_vit(path: Path, seed: int = 0) -> None:
    from transformers import ViTConfig, ViTForImageClassification

    stirred(ViTForImageClassification(ViTConfig(**VISION)), seed).save_pretrained(path)


def save_siglip(path: Path, seed: int = 0) -> None:
    from transformers import SiglipVisionConfig, SiglipVisionModel

    stirred(SiglipVisionModel(SiglipVisionConfig(**VISION)), seed).save_pretrained(path)


def save_clip(path: Path, seed: int = 0) -> None:
    from transformers import CLIPConfig, CLIPModel

    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    config = CLIPConfig(vision_config=VISION, text_config=text | {"vocab_size": 9}, projection_dim=10)
    stirred(CLIPModel(config), seed).save_pretrained(path)


Save = Callable[..., None]
ENCODERS: dict[str, tuple[type[Pretrained], Save, dict[str, Any], tuple[int, int, int]]] = {
    "vgg16": (Vgg16, save_vgg, {"size": 64}, (2, 8, 8)),
    "resnet50": (Resnet50, save_resnet, {"size": 64}, (2, 16, 16)),
    "vit": (Vit, save_vit, {}, (4, 16, 16)),
    "siglip": (Siglip, save_siglip, {}, (4, 16, 16)),
    "clip": (Siglip, save_clip, {}, (4, 16, 10)),
}
"""Name → class, how its weights are saved, fields, and (side of the grid, dim, pooled dim)."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights for each name."""
    shelf = tmp_path_factory.mktemp("weights")
    for name, (_, save, _, _) in ENCODERS.items():
        save(shelf / name)
    return shelf


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder, draw = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    paths = []
    for at, shape in enumerate([(40, 60), (64, 64), (90, 50)]):
        coarse = Image.fromarray(draw.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        coarse.resize(shape, BICUBIC).save(folder / f"{at}.png")
        paths.append(str(folder / f"{at}.png"))
    return paths


def made(name: str, shelf: Path, **given: Any) -> Pretrained:
    kind, _, own, _ = ENCODERS[name]
    return kind(**({"weights": str(shelf / name)} | own | given)).fit([])


def whole(found: Features) -> Any:
    """The pooled vectors, which these encoders always give."""
    assert found.pooled is not None
    return found.pooled


every = pytest.mark.parametrize("name", ENCODERS)


@every
def test_regions_lie_on_a_grid(name: str, shelf: Path, pictures: list[str]) -> None:
    side, dim, pooled_dim = ENCODERS[name][3]
    encoder = made(name, shelf)
    found = encoder.features([pictures[0], "", pictures[1]])
    assert encoder.grid == (side, side)
    assert (encoder.dim, encoder.pooled_dim) == (dim, pooled_dim)
    assert found.values.shape == (3, side * side, dim)
    assert whole(found).shape == (3, pooled_dim)
    assert found.mask.all(axis=1).tolist() == [True, False, True]
    assert not found.values[1].any()
    assert np.ptp(found.values[0], axis=0).max() > 0.01
    assert not np.allclose(whole(found)[0], whole(found)[2], atol=1e-2)


@every
def test_company_and_repetition_change_nothing(name: str, shelf: Path, pictures: list[str]) -> None:
    want = made(name, shelf).features(pictures)
    assert np.array_equal(made(name, shelf).features(pictures).values, want.values)
    alone = made(name, shelf, batch=1)
    for row, picture in enumerate(pictures):
        found = alone.features([picture])
        np.testing.assert_allclose(found.values[0], want.values[row], rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(whole(found)[0], whole(want)[row], rtol=2e-3, atol=2e-3)


@every
def test_onnx_runtime_gives_the_same(name: str, shelf: Path, pictures: list[str], tmp_path: Path) -> None:
    want = made(name, shelf).features(pictures)
    encoder = made(name, shelf, runtime="onnx", cache=str(tmp_path))
    found = encoder.features(pictures)
    np.testing.assert_allclose(found.values, want.values, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(whole(found), whole(want), rtol=2e-3, atol=2e-3)
    for kept in tmp_path.glob("*.sqlite"):
        kept.unlink()
    copied = pickle.loads(pickle.dumps(encoder))
    copied.__dict__.pop("_recent", None)
    assert np.array_equal(copied.features(pictures).values, found.values)
    assert "_loaded" not in vars(copied), "the kept export needs no torch"


@every
def test_what_is_kept_is_what_was_made(name: str, shelf: Path, pictures: list[str], tmp_path: Path) -> None:
    encoder = made(name, shelf, cache=str(tmp_path))
    want = encoder.features(pictures)
    other = type(encoder)(weights="./nowhere", cache=str(tmp_path))
    for field in fields(encoder):
        if field.name not in ("weights", "cache"):
            setattr(other, field.name, getattr(encoder, field.name))
    other.fingerprint_, other.facts_ = encoder.fingerprint_, copy.deepcopy(encoder.facts_)
    found = other.features(pictures)
    assert np.array_equal(found.values, want.values)
    assert np.array_equal(whole(found), whole(want))
    assert other.problems == []


@every
def test_what_is_learnt_can_be_kept_as_json(name: str, shelf: Path) -> None:
    encoder = made(name, shelf)
    learnt = {key: value for key, value in vars(encoder).items() if key.endswith("_")}
    assert json.loads(json.dumps(learnt)) == learnt
    assert catalogue.build(catalogue.settings(encoder)) == encoder


@every
def test_other_weights_in_the_same_place_are_refused(
    name: str, shelf: Path, pictures: list[str], tmp_path: Path
) -> None:
    fitted = made(name, shelf)
    ENCODERS[name][1](tmp_path / "other", seed=1)
    other = copy.deepcopy(fitted)
    other.weights = str(tmp_path / "other")
    other.__dict__.pop("_recent", None)
    with pytest.raises(ValueError, match="is not the model this was fitted with; fit again"):
        other.features(pictures)
    assert other.fit([]).fingerprint_ != fitted.fingerprint_
    assert other.identity() != fitted.identity()


@every
def test_a_place_without_weights_is_named_with_the_remedy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub
    from transformers import AutoConfig

    kind = ENCODERS[name][0]
    with pytest.raises(FileNotFoundError, match=r"there is no folder '\./nowhere'; give a .* or a hub name"):
        kind(weights="./nowhere").fit([])
    with pytest.raises(OSError, match=r"image encoder .*(model.safetensors)"):
        kind(weights=str(tmp_path)).fit([])

    def offline(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect\nmore")

    monkeypatch.setattr(AutoConfig, "from_pretrained", offline)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(OSError, match=r"'some/model' cannot be had \(We couldn't connect\); connect to the hub once"):
        kind(weights="some/model").fit([])


@pytest.mark.parametrize(("name", "other"), [("vit", "clip"), ("resnet50", "vit"), ("siglip", "vit")])
def test_weights_of_another_kind_of_network_are_refused(name: str, other: str, shelf: Path) -> None:
    with pytest.raises(ValueError, match=r"holds a '\w+' network; wanted is"):
        ENCODERS[name][0](weights=str(shelf / other)).fit([])


def test_weights_that_lack_a_layer_are_refused(shelf: Path, tmp_path: Path) -> None:
    save_vit(tmp_path / "vit")
    path = tmp_path / "vit" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"lacks 16 weights of this network"):
        Vit(weights=str(tmp_path / "vit")).fit([])


# ---------------------------------------------------------------- each by itself


def test_vgg_is_thirteen_convolutions_in_five_blocks() -> None:
    tensors = vgg_tensors()
    layers: list[nn.Module] = []
    for place in VGG16:
        weight = tensors[f"features.{place}.weight"]
        layers += [nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if place in POOLED else []
    # As published, each layer's number is its place in one row of all layers.
    row = nn.Sequential(*layers)
    row.load_state_dict({name.removeprefix("features."): tensor for name, tensor in tensors.items()})
    pixels = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    regions, pooled = VggRegions(tensors).eval()(pixels)
    want = row(pixels)
    torch.testing.assert_close(regions[:, 4], want[:, :, 1, 1])
    torch.testing.assert_close(pooled, want.mean((2, 3)))


@pytest.mark.parametrize(("size", "side"), [(224, 7), (448, 14)])
def test_vgg_gives_the_published_grids(size: int, side: int, shelf: Path, pictures: list[str]) -> None:
    encoder = made("vgg16", shelf, size=size)
    assert encoder.grid == (side, side)
    assert encoder.features(pictures[:1]).values.shape == (1, side * side, 8)


def test_vgg_reads_a_file_by_itself(shelf: Path, pictures: list[str], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file(vgg_tensors(), tmp_path / "mine.safetensors")
    found = Vgg16(weights=str(tmp_path / "mine.safetensors"), size=64).fit([])
    assert found.fingerprint_ == made("vgg16", shelf).fingerprint_


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("features.28.bias"), r"features.28.weight or features.28.bias is absent"),
        (lambda t: t.update({"features.5.weight": torch.zeros(6, 5, 3, 3)}), r"features.5.weight has shape \(6, 5, 3"),
    ],
)
def test_vgg_weights_that_do_not_fit_are_named(change: Callable[[Any], Any], said: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    tensors = vgg_tensors()
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=said):
        Vgg16(weights=str(tmp_path)).fit([])


def test_vgg_weights_that_are_no_safetensors_are_named(tmp_path: Path) -> None:
    (tmp_path / "vgg16.pth").write_bytes(b"\x80\x02 not read")
    with pytest.raises(ValueError, match=r"vgg16.pth is no safetensors file .* convert it"):
        Vgg16(weights=str(tmp_path / "vgg16.pth")).fit([])


def test_resnet_gives_the_models_own_map_and_pooling(shelf: Path, pictures: list[str]) -> None:
    from transformers import ResNetModel

    encoder = made("resnet50", shelf)
    pixels = torch.from_numpy(prepare(Image.open(pictures[0]), encoder.facts_))[None]
    with torch.no_grad():
        want = ResNetModel.from_pretrained(shelf / "resnet50").eval()(pixels)
    found = encoder.features(pictures[:1])
    np.testing.assert_allclose(found.values[0, 1], want.last_hidden_state[0, :, 0, 1], rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(whole(found)[0], want.pooler_output[0, :, 0, 0], rtol=2e-3, atol=2e-3)


def test_vit_drops_the_cls_state_from_regions(shelf: Path, pictures: list[str]) -> None:
    from transformers import ViTModel

    encoder = made("vit", shelf)
    pixels = torch.from_numpy(prepare(Image.open(pictures[0]), encoder.facts_))[None]
    with torch.no_grad():
        want = ViTModel.from_pretrained(shelf / "vit", add_pooling_layer=False).eval()(pixels).last_hidden_state[0]
    found = encoder.features(pictures[:1])
    np.testing.assert_allclose(found.values[0], want[1:], rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(whole(found)[0], want[0], rtol=2e-3, atol=2e-3)


def test_siglip_pools_as_its_own_attention_does(shelf: Path) -> None:
    from transformers import SiglipVisionModel

    model = SiglipVisionModel.from_pretrained(shelf / "siglip").eval()
    pixels = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        want = model(pixels)
        regions, pooled = SiglipRegions(model)(pixels)
    torch.testing.assert_close(regions, want.last_hidden_state)
    torch.testing.assert_close(pooled, want.pooler_output)


def test_siglip_is_found_in_a_whole_model(shelf: Path, tmp_path: Path) -> None:
    from transformers import SiglipConfig, SiglipModel, SiglipVisionModel

    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    whole = SiglipModel(SiglipConfig(vision_config=VISION, text_config=text | {"vocab_size": 9}))
    own = SiglipVisionModel.from_pretrained(shelf / "siglip")
    whole.vision_model.load_state_dict(own.state_dict())
    whole.save_pretrained(tmp_path)
    assert Siglip(weights=str(tmp_path)).fit([]).fingerprint_ == made("siglip", shelf).fingerprint_


def test_clip_gives_the_embedding_that_texts_share(shelf: Path, pictures: list[str], tmp_path: Path) -> None:
    from transformers import CLIPModel, CLIPVisionModel

    encoder, model = made("clip", shelf), CLIPModel.from_pretrained(shelf / "clip").eval()
    pixels = torch.from_numpy(prepare(Image.open(pictures[0]), encoder.facts_))[None]
    with torch.no_grad():
        seen = model.vision_model(pixels)
        want = model.visual_projection(seen.pooler_output)[0]
    found = encoder.features(pictures[:1])
    np.testing.assert_allclose(whole(found)[0], want, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(found.values[0], seen.last_hidden_state[0, 1:], rtol=2e-3, atol=2e-3)
    half = CLIPVisionModel(model.config.vision_config)
    half.load_state_dict(model.vision_model.state_dict())
    half.save_pretrained(tmp_path)
    bare = Siglip(weights=str(tmp_path)).fit([]).features(pictures[:1])
    np.testing.assert_allclose(whole(bare)[0], seen.pooler_output[0], rtol=2e-3, atol=2e-3)


# ---------------------------------------------------------------- pixels


def test_pixels_are_brought_to_the_weights_own_mean_and_deviation() -> None:
    mean, std = IMAGENET
    facts = {"side": 4, "mean": mean, "std": std, "resample": BILINEAR}
    pixels = prepare(Image.new("RGB", (30, 20), (255, 128, 0)), facts)
    assert pixels.shape == (3, 4, 4)
    want = [(1 - 0.485) / 0.229, (128 / 255 - 0.456) / 0.224, -0.406 / 0.225]
    np.testing.assert_allclose(pixels[:, 2, 1], want, rtol=1e-5)


def test_the_whole_picture_is_shown() -> None:
    wide = Image.new("RGB", (80, 20), "black")
    wide.paste("white", (60, 0, 80, 20))
    facts = {"side": 4, "mean": (0, 0, 0), "std": (1, 1, 1), "resample": BILINEAR}
    columns = prepare(wide, facts)[0].mean(axis=0)
    assert columns[0] < 0.1 < 0.8 < columns[3]


def test_the_weights_own_preparation_comes_before_the_encoders(shelf: Path, tmp_path: Path) -> None:
    assert made("vit", shelf).facts_["mean"] == [0.5, 0.5, 0.5]
    assert made("clip", shelf).facts_["mean"] == list(CLIP[0])
    assert made("vgg16", shelf).facts_["mean"] == list(IMAGENET[0])
    save_vit(tmp_path / "vit")
    said = {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 3], "resample": 3}
    (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(said))
    other = Vit(weights=str(tmp_path / "vit")).fit([])
    assert (other.facts_["mean"], other.facts_["std"], other.facts_["resample"]) == ([0.1, 0.2, 0.3], [1, 2, 3], 3)
    assert other.fingerprint_ == made("vit", shelf).fingerprint_
    assert other.identity() != made("vit", shelf).identity()


def test_a_damaged_export_is_made_anew(
    shelf: Path, pictures: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = made("vit", shelf, runtime="onnx", cache=str(tmp_path))
    want = encoder.features(pictures).values
    (file,) = tmp_path.glob("vit-*.onnx")
    file.write_bytes(file.read_bytes()[:1000])
    (tmp_path / "vit.sqlite").unlink()
    with caplog.at_level(logging.WARNING):
        found = made("vit", shelf, runtime="onnx", cache=str(tmp_path)).features(pictures).values
    assert np.array_equal(found, want)
    assert "damaged; exported anew" in caplog.text


def test_a_bad_picture_costs_only_itself(shelf: Path, pictures: list[str], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(b"%PDF-1.7")
    encoder = made("vit", shelf)
    found = encoder.features([pictures[0], str(tmp_path / "bad.png")])
    assert found.mask.all(axis=1).tolist() == [True, False]
    assert encoder.problems[0][0].endswith("bad.png")


def test_a_network_runs_in_batches(shelf: Path, pictures: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, run = made("vit", shelf, batch=2), Network.run
    given: list[int] = []

    def counted(self: Network, pixels: Any) -> Any:
        given.append(len(pixels))
        return run(self, pixels)

    monkeypatch.setattr(Network, "run", counted)
    encoder.features([*pictures, *pictures])
    assert given == [2, 1]
