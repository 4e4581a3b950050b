"""Made-up explanations that the tests of pages draw: every kind of marks, two languages of user text, attacks."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from hashloom.explain.gather import About, Explained
from hashloom.explain.with_tags import TagEffect
from hashloom.types import Forecast, Marks, Post, Ranking, Reason, Suggestion

LOG = "log2(max(views, 0) + 1)"
ATTACK = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'&"
DAY = datetime(2025, 9, 7, 18, 20, tzinfo=UTC)


def picture(folder: Path) -> str:
    from PIL import Image

    path = folder / "moon.png"
    Image.linear_gradient("L").resize((160, 120)).convert("RGB").save(path)
    return str(path)


def regions(row: int, column: int) -> np.ndarray:
    made = np.full((7, 7), 0.01)
    made[row, column] = 0.52
    return made


def explained(folder: Path | None = None, **changes: object) -> Explained:
    """A post with everything; ``changes`` are fields of the post."""
    given = {"text": "Night ride: 45 km, 12 riders, two owls.", "community": "spoke-and-rain", "user": "ottoline",
             "created_at": DAY, "tags": ("RideReport",), "images": (picture(folder),) if folder else ()}  # fmt: skip
    post = Post(**{"id": "p1", **given, **changes})
    words = [(word, weight) for word, weight in zip(post.text.split(), (0.4, 0.3, 0.2, 0.05, 0.05))]
    signed = [(word, weight - 0.2) for word, weight in words]
    tags = {
        "NightRide": Marks("attention", words, regions(0, 0) if folder else None, (0.6, 0.4)),
        "Owls": Marks("contribution", signed),
        "Moon": Marks("occlusion", signed, regions(6, 6) - 0.2 if folder else None),
    }
    why = (Reason("text", "0:5", 0.4), Reason("habit", "old", 0.2), Reason("image", "row 1, column 1", 0.1))
    row = tuple(Suggestion(tag, 0.9 - i / 5, why) for i, tag in enumerate(tags))
    uhan = (
        Reason("text", "Night", 0.2),
        Reason("image", "row 1, column 1", 0.3),
        Reason("author", "8 earlier posts", 0.4),
    )
    boosted = (
        Reason("community", "community_level", 8.0),
        Reason("time", "hour", 0.5),
        Reason("tag", "nightride", -0.3),
    )
    return Explained(
        post,
        Ranking(post.id, row),
        tags,
        {
            "uhan": Forecast(post.id, 8.8, 7.5, 10.0, LOG, uhan),
            "boosted": Forecast(post.id, 8.2, 7.0, 9.0, LOG, boosted),
        },
        {"uhan": Marks("attention", words, regions(3, 3) if folder else None, (0.3, 0.7))},
        [TagEffect("NightRide", 0.1, 0.3, 0.1, 0.5, 40, 12), TagEffect("Owls", 0.0, 0.0, -0.8, 0.8, 2, 1)],
        {"old": Post("old", "Rain, again")},
        About("macon", "d" * 64, "2025-09-08T00:00:00+00:00"),
        {"uhan": About("uhan", "e" * 64, "2025-09-08", coverage=0.9), "boosted": About("boosted", adds_up=True)},
    )
