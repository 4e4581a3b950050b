"""Pictures a second: decoding, the built-in descriptor, an ONNX network, features kept; one run on one thread.

    python benchmarks/pictures.py [--json FILE] [--repeat N] [--onnx FILE]

Pictures are drawn here: 224-pixel JPEGs as platforms show them, 42-pixel thumbnails, and 12-megapixel photos as
telephones take them. The network is MobileNetV2 where ../shared/data/encoders/mobilenet_v2 is there, or any file given
with --onnx; without either its row says so. Ratios are against decoding alone.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hashloom.encoders.image._base import PictureEncoder
from hashloom.encoders.image._pictures import open_picture
from hashloom.encoders.image.descriptor import Descriptor
from hashloom.encoders.image.onnx import Onnx

NETWORK = Path(__file__).resolve().parents[2] / "shared/data/encoders/mobilenet_v2/model.onnx"
KINDS = {"224 px": ((224, 224), 64), "42 px": ((42, 42), 64), "12 megapixels": ((4000, 3000), 4)}


def draw(folder: Path, size: tuple[int, int], count: int) -> list[str]:
    """JPEGs with as much detail as photos have: noise that is coarse and fine."""
    from PIL import Image

    folder.mkdir()
    chance = np.random.default_rng(0)
    for i in range(count):
        coarse = Image.fromarray(chance.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize(size)
        fine = Image.fromarray(chance.integers(0, 256, (size[1] // 4, size[0] // 4, 3), dtype=np.uint8)).resize(size)
        Image.blend(coarse, fine, 0.3).save(folder / f"{i}.jpg", quality=85)
    return [str(path) for path in sorted(folder.iterdir())]


def milliseconds(work: Callable[[], object], count: int, repeat: int) -> float:
    """Milliseconds per picture after a warm-up; the best repeat, since other work only adds."""
    work()
    took = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        took.append((time.perf_counter() - start) / count * 1000)
    return min(took)


def encoders(network: Path) -> dict[str, PictureEncoder | str]:
    """By name; a string says why one is left out."""
    if not network.is_file():
        return {"descriptor": Descriptor(), "onnx": f"skipped: {network.name} is not there; give a file with --onnx"}
    return {"descriptor": Descriptor(), "onnx": Onnx(path=str(network)).fit([])}


def measure(paths: list[str], known: dict[str, PictureEncoder | str], folder: Path, repeat: int) -> dict[str, object]:
    count, rows = len(paths), {}
    rows["decode"] = milliseconds(lambda: [open_picture(path, near=224) for path in paths], count, repeat)
    for name, encoder in known.items():
        rows[name] = encoder if isinstance(encoder, str) else encoded(encoder, paths, repeat)
    images = [open_picture(path, near=224) for path in paths]
    descriptor = Descriptor()
    rows["descriptor, decoded already"] = milliseconds(lambda: descriptor._look(images), count, repeat)
    for name, encoder in known.items():
        if not isinstance(encoder, str):
            rows |= kept(name, encoder, paths, folder, repeat)
    return rows


def encoded(encoder: PictureEncoder, paths: list[str], repeat: int) -> float:
    def work() -> None:
        encoder.__dict__.pop("_recent", None)
        encoder.features(paths)

    return milliseconds(work, len(paths), repeat)


def kept(name: str, encoder: PictureEncoder, paths: list[str], folder: Path, repeat: int) -> dict[str, float]:
    """The cost of features that are known already: in memory, and in the folder of the cache."""
    encoder.features(paths)
    rows = {f"{name}, in memory": milliseconds(lambda: encoder.features(paths), len(paths), repeat)}
    encoder.cache = str(folder)
    rows[f"{name}, in the cache"] = encoded(encoder, paths, repeat)
    encoder.cache = ""
    return rows


def show(kind: str, rows: dict[str, object]) -> None:
    base = rows["decode"]
    print(f"\n{kind}\n{'':30}{'ms a picture':>14}{'pictures/s':>12}{'x decode':>10}")
    for name, ms in rows.items():
        said = ms if isinstance(ms, str) else f"{ms:14.3f}{1000 / ms:12.0f}{ms / base:10.2f}"  # type: ignore[operator]
        print(f"{name:30}{said}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", help="write the figures to this file too")
    parser.add_argument("--repeat", type=int, default=5, help="repeats; the best one counts")
    parser.add_argument("--onnx", type=Path, default=NETWORK, help="an ONNX file with an output regions")
    args = parser.parse_args()
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

    results = {}
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(1):
        for kind, (size, count) in KINDS.items():
            place = Path(folder) / kind
            results[kind] = measure(draw(place, size, count), encoders(args.onnx), place / "kept", args.repeat)
            show(kind, results[kind])
    if args.json:
        machine = {"python": platform.python_version(), "machine": platform.machine(), "network": args.onnx.name}
        Path(args.json).write_text(json.dumps({"ms_per_picture": results, "machine": machine}, indent=2) + "\n")


if __name__ == "__main__":
    main()
