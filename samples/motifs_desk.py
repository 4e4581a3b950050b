"""Motifs of photographs and of the desk: shadows, lenses, film, charts, calendars, maps."""

from pen import INK, PALETTE, WHITE, Pen, around, mix


def shadow(pen: Pen) -> None:
    """A wall, a row of slanting shadows, now and then a person's."""
    ground, dark = mix(pen.a, WHITE, 0.75), mix(pen.a, INK, 0.7)
    pen.fill(ground)
    pen.shape([(0, 0), (100, 0), (100, pen.about(24, 6)), (0, pen.about(24, 6))], mix(ground, INK, 0.12))
    lean, step = pen.rng.choice([-26, -18, 18, 26]), pen.rng.choice([10, 13, 17])
    for x in range(-20, 125, step):
        pen.line([(x, 24), (x + lean, 100)], dark, pen.about(3, 1))
    if pen.rng.random() < 0.6:
        pen.disc(58, 58, 8, dark)
        pen.shape([(50, 66), (66, 66), (70, 100), (44, 100)], dark)


def lens(pen: Pen) -> None:
    """A lens from the front, its blades half closed."""
    pen.fill(mix(pen.b, WHITE, 0.6))
    for r, colour in ((42, INK), (37, pen.a), (31, INK), (26, mix(pen.a, INK, 0.6)), (17, INK)):
        pen.disc(50, 50, r, colour)
    for blade in range(5):
        pen.line([around(50, 50, 25, blade / 5), around(50, 50, 9, blade / 5 + 0.18)], mix(pen.b, WHITE, 0.3), 1)
    pen.disc(pen.about(40, 3), 38, 6, mix(pen.b, WHITE, 0.7))


def camera(pen: Pen) -> None:
    """An old camera from the front."""
    pen.fill(mix(pen.b, WHITE, 0.5))
    pen.box(36, 20, 62, 40, pen.a, 4)
    pen.box(12, 32, 88, 80, INK, 6)
    pen.box(12, 32, 88, 43, pen.a, 4)
    pen.disc(50, 59, 18, mix(pen.a, WHITE, 0.4))
    pen.disc(50, 59, 14, INK)
    pen.disc(45, 54, 3.5, WHITE)
    pen.disc(79, 28, 4, PALETTE["red"])


def film(pen: Pen) -> None:
    """Two strips of film with three frames each."""
    pen.fill(pen.a)
    for row in range(2):
        top = 10 + row * 44
        pen.box(0, top, 100, top + 36, INK)
        for hole in range(12):
            pen.box(2 + hole * 8.4, top + 2, 6 + hole * 8.4, top + 5, pen.a, 0.6)
            pen.box(2 + hole * 8.4, top + 31, 6 + hole * 8.4, top + 34, pen.a, 0.6)
        for frame in range(3):
            x = 4 + frame * 32
            pen.box(x, top + 8, x + 28, top + 28, mix(pen.b, WHITE, pen.rng.random() * 0.7))
            pen.disc(x + pen.about(14, 8), top + 19, pen.about(5, 2), mix(pen.b, INK, 0.4))


def frames(pen: Pen) -> None:
    """Nine framed pictures on a wall."""
    pen.fill(mix(pen.b, WHITE, 0.5))
    for row in range(3):
        for column in range(3):
            x, y = 8 + column * 29, 8 + row * 29
            pen.box(x, y, x + 25, y + 25, mix(pen.a, INK, 0.5))
            pen.box(x + 3, y + 3, x + 22, y + 22, WHITE)
            pen.disc(x + 12.5, y + 15, pen.about(6, 1.5), pen.rng.choice([INK, pen.a, PALETTE["gold"]]))


def noren(pen: Pen) -> None:
    """A shop curtain in four strips."""
    pen.fill(mix(PALETTE["tan"], INK, 0.15))
    pen.box(10, 22, 90, 100, mix(PALETTE["yellow"], WHITE, 0.3))
    for strip in range(4):
        x = 11 + strip * 20
        pen.shape([(x, 20), (x + 18, 20), (x + 18, pen.about(62, 5)), (x, pen.about(62, 5))], pen.a)
    pen.ring(50, 40, 11, pen.b, 3.4)
    pen.box(4, 17, 96, 21, PALETTE["brown"], 2)


def calendar(pen: Pen) -> None:
    """A calendar leaf with one day marked."""
    pen.fill(mix(pen.a, WHITE, 0.45))
    pen.box(14, 18, 86, 88, WHITE, 5)
    pen.box(14, 18, 86, 36, pen.b, 5)
    for x in (32, 68):
        pen.box(x - 2, 11, x + 2, 25, INK, 2)
    chosen = pen.rng.randrange(5, 20)
    for day in range(24):
        x, y = 20 + day % 6 * 11, 42 + day // 6 * 11
        pen.box(x, y, x + 7, y + 7, pen.b if day == chosen else mix(pen.a, WHITE, 0.7), 1.5)


def bars(pen: Pen) -> None:
    """A bar chart."""
    pen.fill(mix(pen.b, WHITE, 0.85))
    count = pen.rng.choice([4, 5, 6, 7])
    step = 78 / count
    for bar in range(count):
        x, top = 14 + bar * step, pen.rng.uniform(18, 74)
        pen.box(x, top, x + step * 0.72, 86, pen.a if bar % 2 else mix(pen.a, pen.b, 0.45))
    pen.line([(10, 12), (10, 87), (94, 87)], INK, 1.8)


def line(pen: Pen) -> None:
    """A chart of two lines."""
    pen.fill(mix(pen.a, WHITE, 0.88))
    for colour, middle in ((pen.a, 40), (pen.b, 62)):
        points = [(14.0 + step * 13, pen.about(middle - step * 2, 11)) for step in range(7)]
        pen.line(points, colour, 2.6)
        for x, y in points:
            pen.disc(x, y, 2.4, colour)
    pen.line([(10, 12), (10, 87), (94, 87)], INK, 1.8)


def route(pen: Pen) -> None:
    """A map with a river, trees and a route from the black dot to the red one."""
    pen.fill(mix(pen.a, WHITE, 0.55))
    pen.line([(-5, pen.about(60, 20)), (40, pen.about(66, 10)), (105, pen.about(40, 20))], PALETTE["blue"], 7)
    for _ in range(10):
        x, y = pen.about(50, 46), pen.about(50, 46)
        pen.shape([(x, y - 5), (x - 4, y + 3), (x + 4, y + 3)], PALETTE["green"])
    points = [(12.0, 84.0), *((x, pen.about(50, 28)) for x in (28.0, 44.0, 60.0, 74.0)), (88.0, 18.0)]
    pen.line(points, pen.b, 3)
    pen.disc(12, 84, 4.5, INK)
    pen.disc(88, 18, 4.5, PALETTE["red"])


def phone(pen: Pen) -> None:
    """A phone with a few lines and a button."""
    pen.fill(mix(pen.a, WHITE, 0.6))
    pen.box(30, 10, 70, 92, INK, 6)
    pen.box(33, 16, 67, 84, mix(pen.b, WHITE, 0.5), 2)
    for row in range(4):
        pen.box(37, 22 + row * 11, pen.about(56, 6), 28 + row * 11, pen.a, 2)
    pen.box(41, 70, 59, 79, PALETTE["gold"], 3)


def page(pen: Pen) -> None:
    """A page of grey text over three marked lines."""
    pen.fill(mix(pen.a, WHITE, 0.4))
    pen.box(20, 12, 80, 90, WHITE, 3)
    for row in range(8):
        pen.box(28, 20 + row * 5, pen.about(66, 6), 22 + row * 5, mix(pen.a, WHITE, 0.7))
    for row in range(3):
        pen.disc(31, 68 + row * 7, 1.8, PALETTE["gold"])
        pen.box(36, 66.4 + row * 7, pen.about(66, 5), 69.6 + row * 7, pen.a, 1)


def rocket(pen: Pen) -> None:
    """A rocket among stars."""
    pen.fill(mix(pen.a, INK, 0.45))
    for _ in range(20):
        pen.disc(pen.about(50, 48), pen.about(50, 48), 0.8, WHITE)
    pen.shape([(42, 70), (58, 70), (50, pen.about(92, 3))], pen.b)
    pen.shape([(38, 56), (26, 74), (42, 70)], pen.a)
    pen.shape([(62, 56), (74, 74), (58, 70)], pen.a)
    pen.disc(50, 44, 13, WHITE, 28)
    pen.disc(50, 38, 6, pen.a)
