"""A tiny world whose right answers are known without any model."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from hashloom.types import Post, Posts

START = datetime(2025, 1, 1, tzinfo=UTC)
SIDES = {"even": ("Rye", "Oat"), "odd": ("Surf", "Sail")}
WORDS = {
    "Rye": "rye flour kneaded",
    "Oat": "oat flakes toasted",
    "Surf": "surf board waxed",
    "Sail": "sail rope mended",
}


def checkerboard(users: int = 8, each: int = 7) -> tuple[Posts, Posts]:
    """Even users write of bread in ``even``, odd ones of the sea in ``odd``; each user's last post is held out.

    The first tag follows from the words; ``Habit0`` … follow from the author alone.
    """
    rows, held = [], []
    for u in range(users):
        side = ("even", "odd")[u % 2]
        for i in range(each):
            tag = SIDES[side][(i + u // 2) % 2]
            post = Post(
                f"{u}-{i}", f"{WORDS[tag]} today, number {i}", side, f"u{u}", START + timedelta(hours=i * users + u),
                tags=(tag, f"Habit{u}"),
            )  # fmt: skip
            (held if i == each - 1 else rows).append(post)
    return Posts.of(rows).in_order(), Posts.of(held)


def undated(posts: Posts) -> Posts:
    """The same posts, their times unknown."""
    import polars as pl

    return Posts.of(posts.frame.with_columns(pl.lit(None, dtype=pl.Datetime("us", "UTC")).alias("created_at")))


COLOURS = {"Red": (200, 30, 30), "Green": (30, 170, 40), "Blue": (30, 40, 200)}
GRAIN = {"Rye": "rye flour kneaded", "Oat": "oat flakes toasted", "Spelt": "spelt dough rested"}


def gallery(folder: Path, users: int = 6, each: int = 16, held: int = 4) -> tuple[Posts, Posts]:
    """Posts whose first tag follows from the words, the second from the picture alone, the third from the author.

    Pictures are drawn into ``folder``; each user's last ``held`` posts are held out.
    """
    from PIL import Image

    rows, last = [], []
    for u in range(users):
        for i in range(each):
            word, colour = list(GRAIN)[(i + u) % 3], list(COLOURS)[(i // 3 + u) % 3]
            path = folder / f"{u}-{i}.png"
            shade = tuple(min(255, c + (7 * i) % 40) for c in COLOURS[colour])
            Image.new("RGB", (48, 40), shade).save(path)
            post = Post(
                f"{u}-{i}", f"{GRAIN[word]} again", "shop", f"u{u}", START + timedelta(hours=i * users + u),
                (str(path),), (word, colour, f"Habit{u}"),
            )  # fmt: skip
            (last if i >= each - held else rows).append(post)
    return Posts.of(rows).in_order(), Posts.of(last)


PULL = {"eclipse": 1.5, "comet": 0.5, "rain": -1.0, "fog": -1.5}


def town(users: int = 6, each: int = 40, held: int = 5) -> tuple[Posts, Posts]:
    """Posts whose popularity follows from the author (``u0`` … by halves from 2), a word (``PULL``) and small noise.

    Even authors write in ``harbour``, odd ones in ``market``; each author's last ``held`` posts are held out.
    """
    rows, last = [], []
    for u in range(users):
        for i in range(each):
            word = list(PULL)[(i * 7 + u * 3 + i // 4) % 4]
            noise = ((i * 37 + u * 11) % 10 - 4.5) / 30
            post = Post(
                f"{u}-{i}", f"the {word} over town on day {i}", ("harbour", "market")[u % 2], f"citizen-{u}",
                START + timedelta(hours=i * users + u), tags=(word.title(), "Sky"),
                popularity=4 + u / 2 + PULL[word] + noise,
            )  # fmt: skip
            (last if i >= each - held else rows).append(post)
    return Posts.of(rows).in_order(), Posts.of(last)
