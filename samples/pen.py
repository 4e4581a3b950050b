"""The pen, the colours and the small geometry that the motifs of the sample pictures share.

Coordinates run from 0 to 100, whatever the size of the picture.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

SIZE = 160
OVERSAMPLE = 4
UNIT = SIZE * OVERSAMPLE / 100

Colour = tuple[int, int, int]
Point = tuple[float, float]

PALETTE: dict[str, Colour] = {
    "blue": (72, 126, 190),
    "brown": (112, 66, 38),
    "cream": (250, 239, 214),
    "gold": (224, 164, 54),
    "green": (78, 142, 74),
    "grey": (134, 138, 146),
    "mint": (142, 210, 180),
    "navy": (28, 38, 76),
    "orange": (226, 120, 44),
    "pink": (238, 150, 174),
    "purple": (122, 78, 142),
    "red": (196, 58, 52),
    "sage": (152, 174, 134),
    "tan": (204, 158, 106),
    "teal": (38, 128, 132),
    "white": (252, 252, 250),
    "yellow": (248, 214, 92),
}
WHITE, INK = PALETTE["white"], (44, 40, 40)


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """The colour that is `share` of `other` and the rest of `one`.

    >>> mix((0, 0, 0), (100, 200, 50), 0.5)
    (50, 100, 25)
    """
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


@dataclass
class Pen:
    """What a motif draws with: the two colours of the post, its own random numbers, and shapes in 0..100."""

    draw: ImageDraw.ImageDraw
    a: Colour
    b: Colour
    rng: random.Random

    def fill(self, colour: Colour) -> None:
        """Paint the whole picture."""
        self.box(0, 0, 100, 100, colour)

    def box(self, x0: float, y0: float, x1: float, y1: float, colour: Colour, round_by: float = 0) -> None:
        """A rectangle from its upper left to its lower right corner, with round corners where asked."""
        self.draw.rounded_rectangle([x0 * UNIT, y0 * UNIT, x1 * UNIT, y1 * UNIT], round_by * UNIT, colour)

    def disc(self, x: float, y: float, rx: float, colour: Colour, ry: float | None = None) -> None:
        """A filled circle, or an ellipse where `ry` is given."""
        ry = rx if ry is None else ry
        self.draw.ellipse([(x - rx) * UNIT, (y - ry) * UNIT, (x + rx) * UNIT, (y + ry) * UNIT], colour)

    def ring(self, x: float, y: float, r: float, colour: Colour, width: float = 3) -> None:
        """A circle's outline."""
        box = [(x - r) * UNIT, (y - r) * UNIT, (x + r) * UNIT, (y + r) * UNIT]
        self.draw.ellipse(box, None, colour, round(width * UNIT))

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon([(x * UNIT, y * UNIT) for x, y in points], colour)

    def line(self, points: Sequence[Point], colour: Colour, width: float = 2) -> None:
        """A line through the points, its corners rounded."""
        self.draw.line([(x * UNIT, y * UNIT) for x, y in points], colour, round(width * UNIT), "curve")

    def about(self, middle: float, spread: float) -> float:
        """A random number within `spread` of `middle`."""
        return middle + self.rng.uniform(-spread, spread)


def around(x: float, y: float, r: float, turn: float) -> Point:
    """The point at distance `r` from (x, y); `turn` counts full turns, clockwise from the right."""
    return x + r * math.cos(2 * math.pi * turn), y + r * math.sin(2 * math.pi * turn)
