"""Draws where models look on real posts: UHAN beside DualAtt on Instagram, MaCon on MVSA (models §11.10).

    python tools/attention.py instagram      # writes .cache/attention/instagram.png and prints what it shows
    python tools/attention.py mvsa

Each model learns from the training part by time (MVSA: at random, near-duplicates together) and is asked about fourteen
posts of the test part, drawn evenly. Pictures and texts are real people's: the sheets stay in the cache and are no part
of this repository; docs/explanations.md says what was seen. Entropies are in bits, of log2(49) = 5.61 where even.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from result_tables import DATA, PICTURES, ROOT, set_where_known

from hashloom import catalogue
from hashloom.data.read import read
from hashloom.data.split import split
from hashloom.explain.heatmap import entropy, middle, overlay
from hashloom.types import Marks, Posts

OUT = ROOT / ".cache" / "attention"
COUNT = 14
SIDE = 200
EYE = 0.875
"""The part of a picture's shorter side that MobileNetV2 is shown."""


@dataclass(frozen=True)
class Sheet:
    """Posts, and the recipes whose attention is drawn side by side."""

    file: str
    how: Any
    recipes: tuple[str, ...]
    target: str = ""
    until: datetime | None = None


SHEETS = {
    "instagram": Sheet(
        "instagram_2019/posts.jsonl",
        "time",
        ("uhan", "dual-attention"),
        "likes/user_followers",
        datetime(2019, 4, 16, tzinfo=UTC),
    ),
    "mvsa": Sheet("mvsa/posts.jsonl", "random", ("macon",)),
}


def learnt(name: str, sheet: Sheet, posts: Posts) -> Any:
    """A recipe's model with the pictures' encoder, fitted."""
    made = dict(catalogue.recipe(name)["model"])
    for path, value in PICTURES:
        made = set_where_known(made, path, value)
    made = catalogue.override(made, f'target="{sheet.target}"') if sheet.target else made
    return catalogue.build(made).fit(posts)


def asked(posts: Posts) -> Posts:
    """Posts with words and a picture that can be read, drawn evenly."""
    rows = [i for i, post in enumerate(posts) if len(post.text.split()) >= 5 and post.images and readable(post.images)]
    return posts[[rows[i] for i in np.linspace(0, len(rows) - 1, COUNT).astype(int)]]


def readable(images: tuple[str, ...]) -> bool:
    """Whether the first picture can be opened."""
    try:
        with Image.open(images[0]) as picture:
            picture.load()
    except OSError:
        return False
    return True


def said(marks: Marks) -> str:
    """Entropy, sides and the five words with most attention."""
    words = sorted(marks.words, key=lambda pair: -pair[1])[:5]
    sides = f"text {marks.sides[0]:.2f}, picture {marks.sides[1]:.2f}; " if marks.sides else ""
    regions = f"{entropy(marks.regions):.2f} bits; " if marks.regions is not None else ""
    return sides + regions + " ".join(f"{word} {weight:.2f}" for word, weight in words)


def draw(posts: Posts, marks: dict[str, list[Marks | None]]) -> Image.Image:
    """One row a post: the picture, then each model's map over it, with what it says below."""
    font, tall = ImageFont.load_default(13), SIDE + 40
    sheet = Image.new("RGB", (2 * (SIDE + 10) * (len(marks) + 1), tall * ((len(posts) + 1) // 2)), "white")
    pen = ImageDraw.Draw(sheet)
    for i, post in enumerate(posts):
        left, top = (i % 2) * (SIDE + 10) * (len(marks) + 1), (i // 2) * tall
        picture = Image.open(post.images[0]).convert("RGB")
        sheet.paste(picture.resize((SIDE, SIDE)), (left, top))
        pen.text((left, top + SIDE + 2), " ".join(post.text.split())[:34], "black", font)
        for at, (name, found) in enumerate(marks.items(), 1):
            mark = found[i]
            if mark is None or mark.regions is None:
                continue
            shown = overlay(picture, mark.regions, is_signed=False, box=middle(picture.size, EYE))
            sheet.paste(shown.convert("RGB").resize((SIDE, SIDE)), (left + at * (SIDE + 10), top))
            pen.text((left + at * (SIDE + 10), top + SIDE + 2), f"{name}: {said(mark)[:30]}", "black", font)
    return sheet


def main() -> None:
    """Read the command line, draw a sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheet", choices=sorted(SHEETS))
    name = parser.parse_args().sheet
    sheet = SHEETS[name]
    posts = read(DATA / sheet.file)[0].in_order()
    if sheet.until:
        posts = posts[posts.times < int(sheet.until.timestamp() * 1e6)]
    parts = split(posts, sheet.how, seed=0)
    chosen, marks = asked(parts.test), {}
    for recipe in sheet.recipes:
        model = learnt(recipe, sheet, parts.train if sheet.target else parts.train.tagged())
        if sheet.target:
            marks[recipe] = model.marks(chosen)
        else:
            tags = [ranking.tags[0] for ranking in model.recommend(chosen, 1)]
            marks[recipe] = model.marks(chosen, tags)
        for post, mark in zip(chosen.ids, marks[recipe]):
            print(f"{recipe} {post}: {said(mark) if mark else 'looks at nothing'}", flush=True)
    OUT.mkdir(parents=True, exist_ok=True)
    draw(chosen, marks).save(OUT / f"{name}.png")
    print(OUT / f"{name}.png")


if __name__ == "__main__":
    main()
