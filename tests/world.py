"""A tiny world whose right answers are known without any model."""

from datetime import UTC, datetime, timedelta

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
