"""Pictures and texts per second of the encoders with published weights: torch (eager) against ONNX Runtime, one run.

    python benchmarks/encoders.py [--json FILE] [--count N] [--repeat N] [--threads N] [--only NAME ...]
                                  [--weights NAME=PLACE ...]

Without ``--weights`` the networks have random weights and the published sizes: they take as long and mean nothing.
``hit`` is what it costs to read an item's features from the cache folder instead; ``gap`` is the largest difference of
the two runtimes' features, which are rounded to 16 bits.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from hashloom.catalogue import build

LONG = 24
"""Words of a text."""


def save_vgg(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from hashloom.networks.pretrained import VGG16

    tensors, width = {}, 3
    for place, wide in zip(VGG16, (64, 64, 128, 128, 256, 256, 256, *[512] * 6), strict=True):
        tensors[f"features.{place}.weight"] = torch.randn(wide, width, 3, 3) * (2 / (9 * width)) ** 0.5
        tensors[f"features.{place}.bias"] = torch.zeros(wide)
        width = wide
    save_file(tensors, folder / "model.safetensors")


def save_network(folder: Path, config: str, model: str, **given: Any) -> None:
    """A transformers network with random weights; its configuration's defaults are the published sizes."""
    import transformers

    getattr(transformers, model)(getattr(transformers, config)(**given)).save_pretrained(folder)


def save_bert(folder: Path) -> None:
    from transformers import BertTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*special, *(f"w{number}" for number in range(119_547 - len(special)))]
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    save_network(folder, "BertConfig", "BertModel", vocab_size=len(words))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder)


@dataclass
class Kind:
    """One encoder of the table."""

    settings: dict[str, Any]
    save: Callable[[Path], None]
    what: str = "pictures"


KINDS = {
    "vgg16 224": Kind({"image": "vgg16"}, save_vgg),
    "resnet50": Kind({"image": "resnet50"}, partial(save_network, config="ResNetConfig", model="ResNetModel")),
    "vit": Kind({"image": "vit"}, partial(save_network, config="ViTConfig", model="ViTModel")),
    "siglip": Kind({"image": "siglip"}, partial(save_network, config="SiglipVisionConfig", model="SiglipVisionModel")),
    "clip b/32": Kind(
        {"image": "siglip"},
        partial(save_network, config="CLIPVisionConfig", model="CLIPVisionModelWithProjection"),
    ),
    "bert": Kind({"encoder": "transformer"}, save_bert, "texts"),
}


def made(kind: Kind, folder: Path, count: int) -> list[str]:
    """What is encoded: photographs of noise of 640 x 480, or texts of 24 words."""
    draw = np.random.default_rng(0)
    if kind.what == "texts":
        return [" ".join(f"w{number}" for number in draw.integers(0, 100_000, LONG)) for _ in range(count)]
    from PIL import Image

    paths = [folder / f"{at}.jpg" for at in range(count)]
    for path in paths:
        coarse = Image.fromarray(draw.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        coarse.resize((640, 480)).save(path, quality=90)
    return [str(path) for path in paths]


def per_second(encoder: Any, items: list[str], repeat: int) -> float:
    """The best of some repeats, since other work only adds; nothing is remembered between them."""
    took = []
    for _ in range(repeat + 1):
        vars(encoder).pop("_recent", None)
        start = time.perf_counter()
        encoder.features(items)
        took.append(time.perf_counter() - start)
    return len(items) / min(took[1:])


def hit(encoder: Any, items: list[str], folder: Path, repeat: int) -> float:
    """Milliseconds per item that the cache knows."""
    kept = copy.copy(encoder)
    kept.cache = str(folder)
    return 1000 / per_second(kept, items, repeat)


def measure(kind: Kind, place: str, args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as given:
        folder = Path(given)
        if not place:
            (folder / "weights").mkdir()
            kind.save(folder / "weights")
        settings = kind.settings | {"weights": place or str(folder / "weights"), "batch": args.batch}
        items = made(kind, folder, args.count)
        eager = build(settings).fit([])
        fast = build(settings | {"runtime": "onnx", "threads": args.threads})
        fast.fit([])
        found = {"torch": per_second(eager, items, args.repeat), "onnx": per_second(fast, items, args.repeat)}
        gap = float(np.abs(eager.features(items[:2]).values - fast.features(items[:2]).values).max())
        found |= {"hit_ms": hit(eager, items, folder / "kept", args.repeat), "gap": gap}
    return found | {"what": kind.what, "weights": place or "RANDOM"}


def show(name: str, row: dict[str, Any]) -> None:
    ratio = row["onnx"] / row["torch"]
    rates = f"{row['torch']:10.2f}{row['onnx']:10.2f}{ratio:10.2f}"
    print(f"{name:12}{row['what']:>10}{rates}{row['hit_ms']:10.2f}{row['gap']:10.1e}  {row['weights']}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="write the figures to this file too")
    parser.add_argument("--count", type=int, default=32, help="pictures, and texts, encoded at a time")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=3, help="repeats; the best one counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--weights", nargs="+", default=[], metavar="NAME=PLACE", help="real weights instead")
    args = parser.parse_args()
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    places = dict(one.split("=", 1) for one in args.weights)
    where = "CUDA" if torch.cuda.is_available() else "the CPU"
    print(f"per second, batches of {args.batch}, {args.threads} thread(s); torch on {where}, ONNX Runtime on the CPU")
    print("RANDOM: random weights of the published sizes, since the published ones were not given")
    print(f"{'':12}{'':>10}{'torch':>10}{'onnx':>10}{'ratio':>10}{'hit ms':>10}{'gap':>10}  weights")
    rows = {}
    for name in args.only:
        rows[name] = measure(KINDS[name], places.get(name, ""), args)
        show(name, rows[name])
    if args.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "torch on": where}
        Path(args.json).write_text(json.dumps({"rows": rows, "machine": machine, "threads": args.threads}, indent=2))


if __name__ == "__main__":
    main()
