"""Motifs of the kitchen and the fair: bread, cakes, tools, bunting, a cup."""

import math

from pen import INK, PALETTE, UNIT, WHITE, Pen, around, mix


def plate(pen: Pen, r: float = 42) -> None:
    """A plate on a cloth in the first colour, for the bakes to lie on."""
    pen.fill(mix(pen.a, WHITE, 0.72))
    pen.disc(50, 56, r, mix(pen.a, INK, 0.18))
    pen.disc(50, 54, r, mix(pen.a, WHITE, 0.3))


def loaf(pen: Pen) -> None:
    """A round loaf with three cuts."""
    plate(pen)
    wide, high = pen.about(30, 4), pen.about(21, 3)
    pen.disc(50, 54, wide, mix(pen.b, INK, 0.35), high)
    pen.disc(50, 52, wide - 2, pen.b, high - 2)
    for step in range(-1, 2):
        x = 50 + step * wide * 0.5
        pen.line([(x - 4, 60), (pen.about(x + 3, 2), 42)], mix(pen.b, WHITE, 0.6), 3)


def baguette(pen: Pen) -> None:
    """Three baguettes."""
    pen.fill(mix(pen.a, WHITE, 0.6))
    for row in range(3):
        y, lean = 26 + row * 25, pen.about(0, 5)
        pen.line([(14, y + lean), (86, y - lean)], mix(pen.b, INK, 0.3), 17)
        pen.disc(14, y + lean, 8.5, mix(pen.b, INK, 0.3))
        pen.disc(86, y - lean, 8.5, mix(pen.b, INK, 0.3))
        for cut in range(4):
            x = 22 + cut * 17
            pen.line([(x, y + 3), (x + 11, y - 4)], mix(pen.b, WHITE, 0.65), 3)


def bun(pen: Pen) -> None:
    """One crossed bun, or three."""
    plate(pen)
    count = pen.rng.choice([1, 3])
    for turn in range(count):
        x, y = (50, 54) if count == 1 else around(50, 54, 19, turn / count + 0.1)
        r = 25 if count == 1 else 14
        pen.disc(x, y, r, mix(pen.b, INK, 0.3))
        pen.disc(x, y - 1.5, r - 2, pen.b)
        pen.line([(x - r * 0.6, y), (x + r * 0.6, y)], pen.a, 3)
        pen.line([(x, y - r * 0.6), (x, y + r * 0.6)], pen.a, 3)


def bagel(pen: Pen) -> None:
    """Three bagels."""
    plate(pen, 45)
    for turn in range(3):
        x, y = around(50, 54, 21, turn / 3 + pen.about(0.1, 0.08))
        pen.disc(x, y, 17, mix(pen.b, INK, 0.4))
        pen.disc(x, y - 1, 15, mix(pen.b, INK, 0.1))
        pen.disc(x, y, 5, mix(pen.a, WHITE, 0.3))


def croissant(pen: Pen) -> None:
    """A croissant."""
    plate(pen)
    dark = mix(pen.b, INK, 0.35)
    for part in range(-3, 4):
        x, y = around(50, 76, 30, -0.25 + part * 0.072)
        pen.disc(x, y, 15 - abs(part) * 3, dark)
        pen.disc(x, y - 1, 13.4 - abs(part) * 3, mix(pen.b, WHITE, 0.12 if part % 2 else 0))


def pizza(pen: Pen) -> None:
    """A pizza in six pieces."""
    pen.fill(mix(pen.a, WHITE, 0.65))
    pen.disc(50, 50, 42, mix(PALETTE["tan"], INK, 0.2))
    pen.disc(50, 50, 36, PALETTE["yellow"])
    for _ in range(9):
        x, y = around(50, 50, pen.about(20, 10), pen.rng.random())
        pen.disc(x, y, 5, pen.rng.choice([PALETTE["red"], pen.b, PALETTE["green"]]))
    for turn in range(3):
        pen.line([around(50, 50, 42, turn / 6), around(50, 50, 42, turn / 6 + 0.5)], mix(PALETTE["tan"], INK, 0.2), 1)


def pie(pen: Pen) -> None:
    """A pie with a lattice."""
    plate(pen, 45)
    pen.disc(50, 54, 35, mix(pen.b, INK, 0.25))
    pen.disc(50, 54, 29, pen.a)
    for bar in (-18, -6, 6, 18):
        half = math.sqrt(29**2 - bar**2)
        pen.line([(50 + bar, 54 - half), (50 + bar, 54 + half)], pen.b, 5)
        pen.line([(50 - half, 54 + bar), (50 + half, 54 + bar)], mix(pen.b, WHITE, 0.15), 5)


def focaccia(pen: Pen) -> None:
    """A tray of focaccia."""
    pen.fill(mix(pen.a, WHITE, 0.6))
    pen.box(12, 22, 88, 80, mix(PALETTE["gold"], INK, 0.35), 6)
    pen.box(15, 25, 85, 77, mix(PALETTE["gold"], WHITE, 0.2), 5)
    for _ in range(16):
        x, y = pen.about(50, 30), pen.about(51, 21)
        pen.disc(x, y, 3.4, mix(PALETTE["gold"], INK, 0.2))
        pen.line([(x - 4, y - 5), (x + 2, y - 2)], pen.rng.choice([PALETTE["green"], pen.a, pen.b]), 2)


def cookies(pen: Pen) -> None:
    """Nine cookies."""
    pen.fill(mix(pen.b, WHITE, 0.5))
    for row in range(3):
        for column in range(3):
            x, y, r = pen.about(21 + column * 29, 3), pen.about(21 + row * 29, 3), pen.about(12, 1.5)
            pen.disc(x, y, r, mix(pen.a, INK, 0.15))
            for _ in range(5):
                pen.disc(pen.about(x, 6), pen.about(y, 6), 1.8, INK)


def cake(pen: Pen) -> None:
    """A cake of one to three tiers."""
    pen.fill(mix(pen.a, WHITE, 0.7))
    tiers = pen.rng.choice([1, 2, 3])
    for tier in range(tiers):
        half, top = 34 - tier * 8, 62 - tier * 19
        pen.box(50 - half, top, 50 + half, top + 20, mix(pen.b, WHITE, 0.35), 2)
        pen.box(50 - half, top, 50 + half, top + 7, pen.a, 3)
        for drip in range(5):
            pen.disc(50 - half + 4 + drip * (half - 4) / 2, top + pen.about(8, 2), 3.6, pen.a)
    pen.disc(50, 58 - (tiers - 1) * 19, 5, PALETTE["red"])
    pen.box(8, 82, 92, 86, mix(pen.b, INK, 0.3), 2)


def cupcake(pen: Pen) -> None:
    """A cupcake with a swirl."""
    pen.fill(mix(pen.a, WHITE, 0.75))
    pen.shape([(28, 56), (72, 56), (65, 88), (35, 88)], pen.b)
    for stripe in range(4):
        pen.line([(34 + stripe * 11, 57), (38 + stripe * 8.4, 87)], mix(pen.b, INK, 0.2), 1.4)
    for tier, (half, y) in enumerate([(26, 52), (20, 41), (13, 31), (6, 23)]):
        pen.disc(50, y, half, mix(pen.a, WHITE if tier % 2 else INK, 0.12), 8)
    for _ in range(12):
        pen.disc(pen.about(50, 18), pen.about(44, 11), 1.3, pen.rng.choice([WHITE, pen.b, PALETTE["gold"]]))


def jar(pen: Pen) -> None:
    """A starter in a jar, a rubber band at its mark."""
    pen.fill(mix(pen.a, PALETTE["tan"], 0.45))
    pen.box(28, 22, 72, 88, mix(WHITE, PALETTE["blue"], 0.15), 8)
    top = pen.about(46, 8)
    pen.box(31, top, 69, 85, mix(pen.b, PALETTE["cream"], 0.6), 6)
    for _ in range(14):
        pen.disc(pen.about(50, 15), pen.about((top + 84) / 2, (74 - top) / 2), pen.about(2, 1), mix(pen.b, WHITE, 0.8))
    pen.box(26, 15, 74, 25, mix(pen.b, INK, 0.3), 3)
    pen.box(26, 62, 74, 65, PALETTE["red"])


def oven(pen: Pen) -> None:
    """An oven with four knobs."""
    pen.fill(mix(pen.a, WHITE, 0.6))
    pen.box(14, 14, 86, 90, mix(pen.a, INK, 0.3), 5)
    for knob in range(4):
        pen.disc(26 + knob * 16, 24, 4, WHITE)
    pen.box(20, 34, 80, 82, INK, 4)
    pen.box(25, 42, 75, 77, pen.b, 3)
    pen.line([(26, 60), (74, 60)], INK, 1.5)
    pen.box(24, 36, 76, 39, WHITE, 1)


def whisk(pen: Pen) -> None:
    """A whisk."""
    pen.fill(pen.b)
    for half in (6, 12, 18):
        pen.draw.ellipse([(50 - half) * UNIT, 10 * UNIT, (50 + half) * UNIT, 60 * UNIT], None, pen.a, round(1.6 * UNIT))
    pen.box(46, 56, 54, 92, pen.a, 4)
    for _ in range(8):
        pen.disc(pen.about(50, 45), pen.about(50, 45), 1.5, mix(pen.a, WHITE, 0.5))


def bunting(pen: Pen) -> None:
    """Three strings of flags."""
    pen.fill(mix(PALETTE["blue"], WHITE, 0.72))
    for row in range(3):
        lean, y = pen.about(0, 6), 16 + row * 26
        pen.line([(0, y + lean), (100, y - lean)], INK, 1)
        for flag in range(6):
            x = 3 + flag * 16
            at = y + lean - 2 * lean * (x + 6) / 100
            pen.shape([(x, at), (x + 12, at), (x + 6, at + 15)], [pen.a, pen.b, WHITE][(flag + row) % 3])


def cup(pen: Pen) -> None:
    """A steaming cup."""
    pen.fill(mix(pen.b, WHITE, 0.55))
    pen.disc(47, 84, 36, mix(pen.a, INK, 0.25), 7)
    pen.ring(75, 56, 13, pen.a, 4)
    pen.box(22, 38, 72, 82, pen.a, 12)
    pen.disc(47, 40, 25, mix(pen.a, INK, 0.15), 6)
    pen.disc(47, 41, 21, PALETTE["brown"], 4)
    for x in (36, 47, 58):
        pen.line([(x, 30), (pen.about(x, 4), 22), (pen.about(x, 3), 12)], WHITE, 2)
