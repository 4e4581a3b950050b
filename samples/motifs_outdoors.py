"""Motifs of the road, the weather, the garden and the town."""

from pen import INK, PALETTE, UNIT, WHITE, Pen, around, mix


def wheel(pen: Pen) -> None:
    """A spoked wheel."""
    pen.fill(mix(pen.b, WHITE, 0.6))
    pen.ring(50, 50, 44, INK, 5)
    pen.ring(50, 50, 39, pen.a, 3)
    spokes, shift = pen.rng.choice([16, 20, 24]), pen.rng.random()
    for spoke in range(spokes):
        cross = 0.09 if spoke % 2 else -0.09
        start = around(50, 50, 6, spoke / spokes + shift + cross)
        pen.line([start, around(50, 50, 38, spoke / spokes + shift)], mix(pen.b, INK, 0.55), 0.8)
    pen.disc(50, 50, 7, pen.a)
    pen.disc(50, 50, 3, INK)


def bicycle(pen: Pen) -> None:
    """A bicycle from the side."""
    pen.fill(mix(pen.b, WHITE, 0.35))
    pen.box(0, 80, 100, 100, mix(pen.b, INK, 0.25))
    for x in (25, 75):
        pen.ring(x, 64, 19, INK, 2.4)
        pen.disc(x, 64, 2.4, INK)
    crank, seat, head = (47, 64), (41, 38), (67, 38)
    for tube in ([(25, 64), crank, head, seat, crank], [(25, 64), seat], [(75, 64), (65, 31), (73, 28)]):
        pen.line(tube, pen.a, 3.2)
    pen.line([seat, (39, 31)], pen.a, 3)
    pen.line([(33, 30), (46, 30)], INK, 4)
    pen.ring(*crank, 5, INK, 1.6)


def wrench(pen: Pen) -> None:
    """A spanner."""
    ground = mix(pen.b, WHITE, 0.55)
    pen.fill(ground)
    pen.line([(26, 74), (72, 28)], pen.a, 11)
    for x, y, dx in ((24, 76, -7), (75, 25, 7)):
        pen.disc(x, y, 14, pen.a)
        pen.disc(x + dx, y - dx, 8, ground)
    pen.line([(34, 66), (64, 36)], mix(pen.a, WHITE, 0.4), 2)


def tent(pen: Pen) -> None:
    """A tent before hills, at night if the first colour is navy."""
    night = pen.a == PALETTE["navy"]
    pen.fill(pen.a if night else mix(PALETTE["blue"], WHITE, 0.6))
    pen.disc(pen.about(70, 14), 20, 7, PALETTE["cream"])
    pen.shape([(0, 66), (22, 40), (48, 62), (74, 36), (100, 60), (100, 72), (0, 72)], mix(pen.b, INK, 0.45))
    pen.box(0, 68, 100, 100, mix(PALETTE["green"], INK, 0.5 if night else 0.15))
    pen.shape([(50, 38), (14, 86), (86, 86)], pen.b if night else pen.a)
    pen.shape([(50, 44), (40, 86), (60, 86)], mix(pen.b, INK, 0.6))


def mountain(pen: Pen) -> None:
    """Two peaks with snow."""
    pen.fill(mix(pen.b, WHITE, 0.45))
    pen.disc(pen.about(50, 34), 20, 8, mix(PALETTE["yellow"], WHITE, 0.4))
    for x, top, half, shade in ((pen.about(28, 6), 34, 42, 0.25), (pen.about(68, 8), pen.about(24, 5), 48, 0)):
        colour = mix(pen.a, WHITE, shade)
        pen.shape([(x, top), (x - half, 90), (x + half, 90)], colour)
        cap = [(x, top), (x - 9, top + 14), (x - 3, top + 11), (x + 2, top + 16), (x + 10, top + 14)]
        pen.shape(cap, WHITE)
    pen.box(0, 84, 100, 100, mix(pen.a, INK, 0.4))


def sun(pen: Pen) -> None:
    """A low sun behind a ridge."""
    for band in range(10):
        pen.box(0, band * 7, 100, band * 7 + 8, mix(pen.b, pen.a, band / 9))
    x = pen.about(50, 20)
    pen.disc(x, 62, 15, mix(PALETTE["yellow"], WHITE, 0.35))
    pen.shape([(0, 70), (30, pen.about(60, 5)), (62, 72), (100, pen.about(62, 5)), (100, 100), (0, 100)], INK)


def moon(pen: Pen) -> None:
    """A full moon over the sea."""
    pen.fill(mix(PALETTE["navy"], INK, 0.4))
    for _ in range(26):
        pen.disc(pen.about(50, 49), pen.about(50, 49), pen.about(0.8, 0.4), WHITE)
    colour = pen.a if pen.a != PALETTE["navy"] else pen.b
    pen.disc(52, 44, 24, colour)
    for _ in range(4):
        pen.disc(pen.about(52, 12), pen.about(44, 12), pen.about(3.5, 1.5), mix(colour, INK, 0.15))
    pen.box(0, 88, 100, 100, INK)


def stars(pen: Pen) -> None:
    """The Milky Way over a ridge."""
    pen.fill(pen.a)
    for _ in range(170):
        along = pen.rng.random()
        pen.disc(pen.rng.gauss(15 + 70 * along, 9), pen.rng.gauss(85 * along, 7), pen.about(0.7, 0.4), pen.b)
    pen.shape([(0, 100), (0, 84), (28, 70), (50, 86), (78, 74), (100, 90), (100, 100)], INK)


def rain(pen: Pen) -> None:
    """Rain and an umbrella."""
    pen.fill(mix(pen.a, WHITE, 0.35))
    for _ in range(46):
        x, y = pen.rng.uniform(-5, 100), pen.rng.uniform(-5, 95)
        pen.line([(x, y), (x - 2.4, y + 8)], mix(pen.a, INK, 0.35), 1)
    x = pen.about(50, 12)
    pen.line([(x, 40), (x, 82)], INK, 2)
    pen.draw.pieslice([(x - 27) * UNIT, 28 * UNIT, (x + 27) * UNIT, 82 * UNIT], 180, 360, pen.b)
    pen.line([(x, 80), (x + 4, 85), (x + 8, 81)], INK, 2)


def puddle(pen: Pen) -> None:
    """A puddle with the sky in it."""
    pen.fill(mix(pen.a, INK, 0.55))
    pen.disc(50, 56, 40, pen.a, 27)
    pen.disc(48, 56, 32, mix(pen.a, WHITE, 0.45), 20)
    for x in (36, 56):
        pen.disc(pen.about(x, 4), pen.about(55, 5), 10, WHITE, 4)
    pen.disc(66, 50, 5, pen.b)
    for _ in range(4):
        pen.ring(pen.about(50, 30), pen.about(58, 15), pen.about(5, 2), WHITE, 0.8)


def flower(pen: Pen) -> None:
    """One flower with 5 to 12 petals."""
    pen.fill(mix(pen.b, WHITE, 0.5))
    pen.line([(50, 50), (pen.about(50, 6), 100)], PALETTE["green"], 4)
    pen.disc(62, 84, 12, PALETTE["green"], 5)
    petals, shift = pen.rng.choice([5, 6, 8, 12]), pen.rng.random()
    for petal in range(petals):
        pen.disc(*around(50, 44, 19, petal / petals + shift), 62 / petals + 5, mix(pen.a, WHITE, 0.18 * (petal % 2)))
    pen.disc(50, 44, 9, PALETTE["yellow"] if pen.a != PALETTE["gold"] else PALETTE["brown"])


def cherry(pen: Pen) -> None:
    """A branch of cherry blossom."""
    pen.fill(pen.a)
    pen.line([(0, 22), (38, 40), (70, 36), (100, 58)], PALETTE["brown"], 5)
    pen.line([(38, 40), (56, 70), (78, 84)], PALETTE["brown"], 3)
    for x, y in ((18.0, 24), (40.0, 40), (58.0, 32), (80.0, 44), (50.0, 64), (74.0, 80), (28.0, 46)):
        x, turn = pen.about(x, 4), pen.rng.random()
        for petal in range(5):
            pen.disc(*around(x, y, 6, petal / 5 + turn), 4.6, mix(PALETTE["pink"], WHITE, 0.4))
        pen.disc(x, y, 2.4, PALETTE["red"])


def sprout(pen: Pen) -> None:
    """Three seedlings in pots."""
    pen.fill(mix(pen.b, WHITE, 0.65))
    for x in (22, 50, 78):
        top = pen.about(36, 8)
        pen.line([(x, 70), (x, top)], PALETTE["green"], 2.6)
        pen.disc(x - 8, top, 8, pen.a, 4.5)
        pen.disc(x + 8, top - 3, 8, PALETTE["green"], 4.5)
        pen.shape([(x - 12, 66), (x + 12, 66), (x + 8, 90), (x - 8, 90)], mix(PALETTE["red"], PALETTE["tan"], 0.5))


def tomato(pen: Pen) -> None:
    """Three tomatoes."""
    pen.fill(mix(pen.b, WHITE, 0.4))
    for x, y in ((30.0, 60), (68.0, 66), (52.0, 36)):
        x, r = pen.about(x, 4), pen.about(17, 2)
        pen.disc(x, y, r, pen.a, r * 0.9)
        pen.disc(x - r * 0.4, y - r * 0.3, r * 0.2, mix(pen.a, WHITE, 0.6))
        for leaf in range(5):
            pen.line([(x, y - r * 0.8), around(x, y - r * 0.8, 7, leaf / 5)], PALETTE["green"], 2.4)


def cat(pen: Pen) -> None:
    """A sitting cat."""
    pen.fill(mix(pen.b, WHITE, 0.3))
    x = pen.about(50, 8)
    pen.line([(x + 20, 88), (x + 36, 80), (x + 34, 62)], pen.a, 6)
    pen.disc(x, 84, 26, pen.a, 26)
    head(pen, x)
    for side in (-1, 1):
        pen.shape([(x + side * 20, 46), (x + side * 19, 18), (x + side * 4, 34)], pen.a)
        for tilt in (-3, 1, 5):
            pen.line([(x + side * 8, 56), (x + side * 28, 55 + tilt)], mix(pen.b, INK, 0.4), 0.7)


def goat(pen: Pen) -> None:
    """A goat."""
    pen.fill(mix(PALETTE["green"], WHITE, 0.5))
    pen.disc(50, 84, 26, pen.b, 24)
    for side in (-1, 1):
        pen.line([(50 + side * 7, 36), (50 + side * 12, 20), (50 + side * 22, 14)], PALETTE["brown"], 4)
        pen.disc(50 + side * 25, 48, 9, mix(pen.b, INK, 0.15), 4)
    head(Pen(pen.draw, pen.b, pen.a, pen.rng), 50)
    pen.shape([(45, 68), (55, 68), (50, 82)], WHITE)


def head(pen: Pen, x: float) -> None:
    """The face that the cat and the goat share."""
    eyes = PALETTE["gold"] if sum(pen.a) < 300 else INK
    pen.disc(x, 50, 22, pen.a, 19)
    for side in (-1, 1):
        pen.disc(x + side * 9, 47, 3.2, eyes)
    pen.shape([(x - 3, 55), (x + 3, 55), (x, 58.5)], PALETTE["pink"])


def train(pen: Pen) -> None:
    """A railcar on its track."""
    pen.fill(mix(pen.a, WHITE, 0.5) if pen.a != PALETTE["navy"] else pen.b)
    pen.box(0, 60, 100, 100, mix(pen.b, INK, 0.3))
    for sleeper in range(9):
        pen.box(sleeper * 12, 79, sleeper * 12 + 7, 82, PALETTE["brown"])
    pen.line([(0, 79), (100, 79)], INK, 1.4)
    left = pen.about(14, 8)
    pen.box(left, 38, left + 68, 74, PALETTE["cream"], 5)
    pen.box(left, 58, left + 68, 67, pen.a if pen.a != PALETTE["navy"] else PALETTE["red"])
    for window in range(5):
        pen.box(left + 5 + window * 12.4, 43, left + 14 + window * 12.4, 54, mix(PALETTE["blue"], INK, 0.3), 1)
    for wheel_at in (14, 54):
        pen.disc(left + wheel_at, 75, 4, INK)


def bridge(pen: Pen) -> None:
    """A bridge with lamps at night."""
    pen.fill(mix(pen.a, INK, 0.35))
    pen.box(0, 72, 100, 100, mix(pen.a, INK, 0.6))
    lamp = mix(pen.b, WHITE, 0.25)
    pen.box(0, 62, 100, 66, mix(pen.a, WHITE, 0.35))
    for x in (24, 76):
        pen.box(x - 2, 20, x + 2, 76, mix(pen.a, WHITE, 0.35))
        for step in range(-4, 5):
            pen.line([(x, 22), (x + step * 6, 62)], mix(pen.a, WHITE, 0.25), 0.7)
    for x in range(4, 100, 12):
        pen.disc(x, 60, 1.6, lamp)
        pen.box(x - 0.8, 74, x + 0.8, pen.about(90, 6), mix(pen.a, pen.b, 0.6))


def city(pen: Pen) -> None:
    """Lit windows at night."""
    pen.fill(pen.a)
    for block in range(7):
        left, top = block * 15 - 2, pen.about(44, 20)
        pen.box(left, top, left + 13, 86, INK)
        for x in range(3):
            for y in range(int(top) + 4, 82, 7):
                pen.box(left + 2 + x * 4, y, left + 4 + x * 4, y + 3, pen.b if pen.rng.random() < 0.6 else pen.a)


def fireworks(pen: Pen) -> None:
    """Three fireworks."""
    pen.fill(pen.a)
    for x, y, colour in ((34.0, 32.0, pen.b), (70.0, 46.0, PALETTE["gold"]), (46.0, 70.0, PALETTE["mint"])):
        x, y, r = pen.about(x, 6), pen.about(y, 5), pen.about(21, 4)
        for ray in range(22):
            tip = around(x, y, r, ray / 22)
            pen.line([around(x, y, 5, ray / 22), tip], mix(colour, WHITE, 0.2), 0.9)
            pen.disc(*tip, 1.3, WHITE)
    pen.box(0, 93, 100, 100, INK)
