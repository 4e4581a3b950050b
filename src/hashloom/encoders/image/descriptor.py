"""Descriptor: colour, gradient and texture statistics on a grid; no download, and no network to run.

Hue weighted by chroma (van de Weijer and Schmid, ECCV 2006), oriented gradients (Dalal and Triggs, CVPR 2005), local
binary patterns (Ojala et al., PAMI 2002). Histograms are square roots of shares (Arandjelović and Zisserman, CVPR
2012) and all else lies about between -1 and 1, so that a network can learn from it as it comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from annotated_types import Ge, Le

from hashloom.encoders.image._base import PictureEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

CELL = 16
"""Pixels of a cell's side; the picture is scaled to the grid, with its sides at another ratio where they must be."""
TURNS = 8
"""Bins of hue, and of the direction of edges."""
GREYS = 4
FINE = (16, 2, 2, 8)
"""Bins of the whole picture's colours: hue by depth by brightness, and grey."""
BANDS = 3
"""The whole picture is also read in so many bands across and down."""
COLOURED = 0.2
"""A pixel of this chroma counts for its hue alone, one of none for its grey alone."""
FAINT = 0.02
"""Differences of brightness (of 1) below this are noise of the file: no texture, and edges that hardly count."""
AROUND = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))
AT_ONCE = 4
"""Pictures described together: more no longer fit a processor's cache, and take longer."""
OPPONENT: Floats = (np.array([[1, -1, 0], [1, 1, -2], [1, 1, 1]]) / np.sqrt([[2], [6], [3]])).astype(np.float32)
"""Red against green, yellow against blue, brightness."""


@dataclass
class Descriptor(PictureEncoder):
    """Statistics of each cell of a grid over a picture, and of the whole; nothing is learnt.

    >>> from PIL import Image
    >>> encoder = Descriptor()
    >>> regions, pooled = encoder._look([Image.new("RGB", (42, 42), "teal")])
    >>> regions.shape == (1, 49, encoder.dim), pooled.shape == (1, encoder.pooled_dim)
    (True, True)
    """

    rows: Annotated[int, Ge(1), Le(14)] = 7
    """Rows of the grid, and columns."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of regions."""
        return self.rows, self.rows

    @property
    def dim(self) -> int:
        """Length of a region's vector."""
        return _sizes(self.rows)[0]

    @property
    def pooled_dim(self) -> int:
        """Length of the whole picture's vector."""
        return _sizes(self.rows)[1]

    def identity(self) -> str:
        """The last number changes with what is measured."""
        return f"descriptor {self.rows} 1"

    def _look(self, images: list[Image]) -> tuple[Floats, Floats]:
        side = self.rows * CELL
        pixels = np.stack([np.asarray(image.resize((side, side), reducing_gap=2.0)) for image in images])
        aspect = np.array([np.log(image.width / image.height) / 2 for image in images], np.float32)
        steps = range(0, len(images), AT_ONCE)
        made = [describe(pixels[i : i + AT_ONCE], aspect[i : i + AT_ONCE], self.rows) for i in steps]
        return np.concatenate([cells for cells, _ in made]), np.concatenate([pooled for _, pooled in made])


def describe(pixels: NDArray[np.uint8], aspect: Floats, rows: int) -> tuple[Floats, Floats]:
    """Regions (n, rows * rows, dim) and pooled vectors (n, pooled dim).

    ``pixels`` (n, side, side, 3) with side = 16 * rows; ``aspect`` (n,): half the logarithm of width over height.
    """
    n = len(pixels)
    colour: Floats = pixels.astype(np.float32) @ (OPPONENT.T / np.float32(255))  # (n, side, side, 3)
    grey: Floats = colour[..., 2] / np.float32(np.sqrt(3))
    hue = np.arctan2(colour[..., 1], colour[..., 0])
    chroma = np.hypot(colour[..., 0], colour[..., 1])
    pattern = _patterns(grey)
    edges = [_edges(grey, rows), _edges(_halved(grey), rows)]
    means, spreads = _moments(colour, rows)
    kinds = _counted(_table(True)[pattern], None, 10, rows)
    parts = [_colours(hue, chroma, grey, rows), means, 2 * spreads, *map(_directions, edges), _root(kinds)]
    cells = np.concatenate([part.reshape(n, rows * rows, -1) for part in parts], axis=2)
    pooled = [
        _fine_colours(hue, chroma, grey),
        _banded(means, rows, "mean"),
        *(_directions(_banded(edge, rows, "sum").reshape(n, -1, TURNS + 1)) for edge in edges[:1]),
        _directions(edges[1].sum(axis=(1, 2))),
        _root(_counted(_table(False)[pattern], None, 59, 1)),
        _overall(colour, grey, chroma, pixels),
        np.clip(aspect, -1, 1)[:, None],
    ]
    return cells, np.concatenate([part.reshape(n, -1) for part in pooled], axis=1).astype(np.float32)


# ---------------------------------------------------------------- colour


def _colours(hue: Floats, chroma: Floats, grey: Floats, rows: int) -> Floats:
    """(n, rows, rows, TURNS + GREYS): hue where there is colour, brightness where there is none."""
    coloured = np.minimum(chroma / COLOURED, 1)
    low, share = _between(hue / (2 * np.pi) * TURNS)
    hues = _counted(low % TURNS, coloured * (1 - share), TURNS, rows)
    hues += _counted((low + 1) % TURNS, coloured * share, TURNS, rows)
    greys = _counted(_binned(grey, GREYS), 1 - coloured, GREYS, rows)
    return _root(np.concatenate([hues, greys], axis=3))


def _fine_colours(hue: Floats, chroma: Floats, grey: Floats) -> Floats:
    """(n, hue * depth * brightness + grey) of the whole picture."""
    hues, depths, lights, greys = FINE
    coloured = np.minimum(chroma / COLOURED, 1)
    turn = np.floor(hue / (2 * np.pi) * hues).astype(np.int64) % hues
    joint = (turn * depths + _binned(chroma / (2 * COLOURED), depths)) * lights + _binned(grey, lights)
    parts = [
        _counted(joint, coloured, hues * depths * lights, 1),
        _counted(_binned(grey, greys), 1 - coloured, greys, 1),
    ]
    return _root(np.concatenate(parts, axis=3))


def _moments(colour: Floats, rows: int) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each channel in each cell, both (n, rows, rows, 3)."""
    tiles = _tiles(colour, rows)
    # One axis at a time, the outer first: several times as fast as both at once.
    means = tiles.mean(axis=2).mean(axis=3)
    spreads = np.sqrt(np.maximum((tiles * tiles).mean(axis=2).mean(axis=3) - means**2, 0))
    return means * np.float32(1.2) - np.array([0, 0, 1], np.float32), spreads


def _overall(colour: Floats, grey: Floats, chroma: Floats, pixels: NDArray[np.uint8]) -> Floats:
    """(n, 14): moments of each channel; white, black, coloured and busy shares; how many colours there are."""
    mean = colour.mean(axis=1).mean(axis=1)  # (n, 3)
    off = colour - mean[:, None, None]
    square = off * off
    spread, skew = np.sqrt(square.mean(axis=1).mean(axis=1)), np.cbrt((square * off).mean(axis=1).mean(axis=1))
    busy = np.abs(np.diff(grey, axis=2)) > 0.1
    shares = [(grey > 0.95), (grey < 0.05), (chroma > COLOURED), busy]
    steps = (pixels >> 5).astype(np.uint16)  # eight steps a channel
    coarse = steps[..., 0] * 64 + steps[..., 1] * 8 + steps[..., 2]
    many = [np.log1p(np.count_nonzero(np.bincount(one.ravel(), minlength=512))) / np.log(513) for one in coarse]
    said = [share.mean(axis=(1, 2), dtype=np.float64) for share in shares]
    return np.concatenate([mean, 2 * spread, 2 * skew, np.stack([*said, np.array(many)], axis=1)], axis=1)


# ---------------------------------------------------------------- edges and texture


def _edges(grey: Floats, rows: int) -> Floats:
    """(n, rows, rows, TURNS + 1): strength of edges by direction, and what is too faint to have one."""
    down, across = np.zeros_like(grey), np.zeros_like(grey)
    down[:, 1:-1] = (grey[:, 2:] - grey[:, :-2]) / 2
    across[:, :, 1:-1] = (grey[:, :, 2:] - grey[:, :, :-2]) / 2
    strength = np.hypot(down, across)
    low, share = _between(np.arctan2(down, across) / np.pi * TURNS)
    turns = _counted(low % TURNS, strength * (1 - share), TURNS, rows)
    turns += _counted((low + 1) % TURNS, strength * share, TURNS, rows)
    room = (grey.shape[1] // rows) ** 2
    return np.concatenate([turns, np.full((*turns.shape[:3], 1), FAINT * room, np.float32)], axis=3)


def _directions(edges: Floats) -> Floats:
    """Square roots of shares by direction (…, TURNS); what is faint takes its share and says nothing else."""
    return np.concatenate([_root(edges)[..., :-1], np.sqrt(_strength(edges))], axis=-1)


def _strength(edges: Floats) -> Floats:
    """Mean strength of edges, (…, 1); the faint part tells how many pixels there are."""
    return edges[..., :-1].sum(axis=-1, keepdims=True) / (edges[..., -1:] / FAINT)


def _halved(grey: Floats) -> Floats:
    n, high, wide = grey.shape
    return grey.reshape(n, high // 2, 2, wide // 2, 2).mean(axis=(2, 4))


def _patterns(grey: Floats) -> NDArray[np.uint8]:
    """Eight bits a pixel: which of the pixels around are brighter than it, beyond noise."""
    _, high, wide = grey.shape
    wider = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
    bound, found = grey + np.float32(FAINT), np.zeros(grey.shape, np.uint8)
    for bit, (down, right) in enumerate(AROUND):
        near = wider[:, 1 + down : 1 + down + high, 1 + right : 1 + right + wide]
        found |= (near > bound).astype(np.uint8) << np.uint8(bit)
    return found


@cache
def _table(turned_alike: bool) -> Ints:
    """(256,) kind of each pattern: 10 kinds by brighter pixels, or 59 where the direction counts too."""
    codes = np.arange(256)
    bits = (codes[:, None] >> np.arange(8)) & 1  # (256, 8)
    plain = (bits != np.roll(bits, 1, axis=1)).sum(axis=1) <= 2
    if turned_alike:
        return np.where(plain, bits.sum(axis=1), 9)
    return np.where(plain, np.cumsum(plain) - 1, 58)


# ---------------------------------------------------------------- counting in cells


def _tiles(values: Floats, rows: int) -> Floats:
    """(n, rows, cell, rows, cell, …) of (n, side, side, …)."""
    n, side = values.shape[:2]
    return values.reshape(n, rows, side // rows, rows, side // rows, *values.shape[3:])


def _counted(bins: Ints, weights: Floats | None, count: int, rows: int) -> Floats:
    """Histograms of each cell (n, rows, rows, count) of pixels' bins (n, side, side), by weight."""
    n, side = bins.shape[:2]
    at = np.arange(side) * rows // side
    place = (np.arange(n)[:, None, None] * rows + at[:, None]) * rows + at  # (n, side, side)
    flat = None if weights is None else weights.ravel()
    found = np.bincount((place * count + bins).ravel(), flat, minlength=n * rows * rows * count)
    return found.reshape(n, rows, rows, count).astype(np.float32)


def _banded(cells: Floats, rows: int, how: str) -> Floats:
    """(n, bands, bands, …) of (n, rows, rows, …), each band of as many rows as can be."""
    bands = min(BANDS, rows)
    starts = np.arange(bands) * rows // bands
    summed = np.add.reduceat(np.add.reduceat(cells, starts, axis=1), starts, axis=2)
    if how == "sum":
        return summed
    sizes = np.diff([*starts, rows])
    return np.asarray(summed / np.outer(sizes, sizes)[:, :, None], np.float32)


def _between(turns: NDArray[Any]) -> tuple[Ints, Floats]:
    """The bin below, and how far it is on the way to the next."""
    low = np.floor(turns)
    return low.astype(np.int64), turns - low


def _binned(values: Floats, count: int) -> Ints:
    """Values of 0 to 1 as bins."""
    return np.clip(values * count, 0, count - 1).astype(np.int64)


def _root(counts: Floats) -> Floats:
    """Square roots of shares along the last axis; zeros where nothing was counted."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.sqrt(np.divide(counts, total, out=np.zeros_like(counts), where=total > 0))


@cache
def _sizes(rows: int) -> tuple[int, int]:
    side = rows * CELL
    cells, pooled = describe(np.zeros((1, side, side, 3), np.uint8), np.zeros(1, np.float32), rows)
    return cells.shape[2], pooled.shape[1]
