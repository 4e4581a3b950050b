"""Draws the pictures of the sample posts: one motif and two colours each, always the same for the same post id.

    python samples/draw.py

`pictures.json` names the motif and the colours of every post that has a picture; the post id seeds the composition.
Needs Pillow.
"""

import inspect
import json
import random
from collections.abc import Callable
from pathlib import Path

import motifs_desk
import motifs_kitchen
import motifs_outdoors
from pen import OVERSAMPLE, PALETTE, SIZE, Pen
from PIL import Image, ImageDraw

HERE = Path(__file__).parent


def motifs() -> dict[str, Callable[[Pen], None]]:
    """Every motif by its name: the functions of the motif files that take the pen alone."""
    found: dict[str, Callable[[Pen], None]] = {}
    for room in (motifs_desk, motifs_kitchen, motifs_outdoors):
        for name, function in inspect.getmembers(room, inspect.isfunction):
            if function.__module__ == room.__name__ and list(inspect.signature(function).parameters) == ["pen"]:
                found[name] = function
    return found


def picture(post_id: str, motif: str, colours: list[str]) -> Image.Image:
    """The picture of one post, `SIZE` pixels wide and high; the same arguments always give the same picture."""
    large = Image.new("RGB", (SIZE * OVERSAMPLE, SIZE * OVERSAMPLE))
    first, second = (PALETTE[name] for name in colours)
    motifs()[motif](Pen(ImageDraw.Draw(large), first, second, random.Random(post_id)))
    return large.resize((SIZE, SIZE), Image.Resampling.LANCZOS).quantize(48, dither=Image.Dither.NONE)


def main() -> None:
    """Draw every picture that `posts.jsonl` names."""
    pictures = json.loads((HERE / "pictures.json").read_text(encoding="utf-8"))
    for text in (HERE / "posts.jsonl").read_text(encoding="utf-8").splitlines():
        post = json.loads(text)
        for name in post["images"]:
            (HERE / name).parent.mkdir(exist_ok=True)
            picture(post["id"], **pictures[post["id"]]).save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
