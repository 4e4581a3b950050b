"""Weights of regions drawn over a picture (models §11.10): bilinear, min–max per picture, half transparent; and said.

Attention is drawn from dark blue to yellow, in colours of rising lightness that colour-blind readers tell apart; signed
weights in two hues, orange against and blue for. What the map shows is said in words too, for who cannot see it.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hashloom.explain.amounts import Language, share, signed
from hashloom.explain.wording import say

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    Floats = NDArray[np.float64]
    Box = tuple[float, float, float, float]

LONGEST = 448
"""Pixels of a drawn picture's longer side."""
EVEN = 0.98
"""From this share of the greatest entropy on, a map is called nearly even."""
RISING = ("00224e", "123570", "3b496c", "575d6d", "707173", "8a8678", "a59c74", "c3b369", "e1cc55", "fee838")
"""The colours of cividis (Nuñez et al., PLOS ONE 2018), in ten steps."""
TWO_HUES = ("b35806", "e08214", "fdb863", "f7f7f7", "9ecae1", "4292c6", "08519c")
"""Orange for weights below 0, blue for those above."""
WHOLE: Box = (0.0, 0.0, 1.0, 1.0)

_ROWS = (("upper", "middle", "lower"), ("上", "中央", "下"))
_COLUMNS = (("left", "centre", "right"), ("左", "中央", "右"))


def coloured(values: Floats, table: Sequence[str]) -> NDArray[np.uint8]:
    """Colours (…, 3) of values in [0, 1], between the entries of a table.

    >>> coloured(np.array([0.0, 1.0]), ("000000", "ffffff")).tolist()
    [[0, 0, 0], [255, 255, 255]]
    """
    stops = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in table], dtype=np.float64)
    places = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(values, places, stops[:, c]) for c in range(3)], axis=-1).round().astype(np.uint8)


def scaled(weights: Floats, is_signed: bool) -> Floats:
    """Weights in [0, 1]: from least to most, or, where signed, with 0 in the middle; flat ones become the middle.

    >>> scaled(np.array([1.0, 3.0]), False).tolist(), scaled(np.array([-1.0, 2.0]), True).tolist()
    ([0.0, 1.0], [0.25, 1.0])
    """
    low, high = float(weights.min()), float(weights.max())
    if is_signed:
        most = max(abs(low), abs(high))
        return np.asarray(0.5 + weights / (2 * most)) if most > 0 else np.full(weights.shape, 0.5)
    return (weights - low) / (high - low) if high > low else np.full(weights.shape, 0.5)


def overlay(picture: Image, weights: Floats, *, is_signed: bool, box: Box = WHOLE) -> Image:
    """The picture, at most 448 pixels a side, with the map of weights (rows, columns) over it at one half.

    ``box`` is the part that the weights cover (left, top, right, bottom, in shares): what a model does not see has no
    colour.

    >>> from PIL import Image
    >>> made = overlay(Image.new("RGB", (64, 32), "white"), np.array([[0.0, 1.0]]), is_signed=False)
    >>> made.size, made.getpixel((0, 0)), made.getpixel((63, 0))
    ((64, 32), (127, 144, 166), (254, 243, 155))
    """
    from PIL import Image

    shown = picture.convert("RGB")
    shown.thumbnail((LONGEST, LONGEST))
    left, top, right, bottom = (round(s * n) for s, n in zip(box, (shown.width, shown.height) * 2, strict=True))
    size = (max(right - left, 1), max(bottom - top, 1))
    smooth = Image.fromarray(np.asarray(weights, np.float32)).resize(size, Image.Resampling.BILINEAR)
    table = TWO_HUES if is_signed else RISING
    drawn = Image.fromarray(coloured(scaled(np.asarray(smooth, np.float64), is_signed), table))
    part = shown.crop((left, top, left + size[0], top + size[1]))
    shown.paste(Image.blend(part, drawn, 0.5), (left, top))
    return shown


def data_uri(picture: Image) -> str:
    """A picture as a PNG inside a page, in at most 256 colours.

    >>> from PIL import Image
    >>> data_uri(Image.new("RGB", (8, 8))).startswith("data:image/png;base64,iVBOR")
    True
    """
    shown = picture.convert("RGB")
    shown.thumbnail((LONGEST, LONGEST))
    buffer = io.BytesIO()
    shown.quantize(256).save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def middle(size: tuple[int, int], part: float) -> Box:
    """The square in the middle of a picture whose side is ``part`` of the shorter side.

    >>> middle((200, 100), 0.5)
    (0.375, 0.25, 0.625, 0.75)
    """
    cut = part * min(size)
    wide, high = cut / size[0], cut / size[1]
    return (0.5 - wide / 2, 0.5 - high / 2, 0.5 + wide / 2, 0.5 + high / 2)


def covered(path: str, part: float) -> Box:
    """The square in the middle of a picture in a file, as it stands upright; ``part`` 1 or more: the whole picture.

    Raises ``OSError`` where the file is no picture.
    """
    from PIL import Image

    from hashloom.encoders.image._pictures import is_turned

    if part >= 1:
        return WHOLE
    with Image.open(path) as image:
        wide, high = image.size
        return middle((high, wide) if is_turned(image) else (wide, high), part)


def entropy(weights: Floats) -> float:
    """The entropy in bits of weights taken as shares: 0 where all lies in one place, log2(places) where it is even.

    >>> entropy(np.ones((2, 2))), entropy(np.array([1.0, 0.0]))
    (2.0, 0.0)
    """
    total = float(np.abs(weights).sum())
    if not total > 0:
        return 0.0
    p = np.abs(weights).ravel() / total
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum()) + 0.0


def place(row: int, column: int, grid: tuple[int, int], language: Language = "en") -> str:
    """Where a cell of a grid lies, in words.

    >>> place(0, 0, (7, 7)), place(3, 3, (7, 7)), place(6, 3, (7, 7), "ja")
    ('upper left', 'centre', '中央下')
    """
    r = min(int(3 * (row + 0.5) / grid[0]), 2)
    c = min(int(3 * (column + 0.5) / grid[1]), 2)
    if r == c == 1:
        return "centre" if language == "en" else "中央"
    if language == "en":
        return f"{_ROWS[0][r]} {_COLUMNS[0][c]}"
    return _COLUMNS[1][c] + ("" if r == 1 else _ROWS[1][r])


def strongest(weights: Floats, count: int = 3) -> list[tuple[int, int, float]]:
    """Row, column and weight of the cells that weigh most, either way; flat maps have none.

    >>> strongest(np.array([[0.1, 0.7], [0.2, 0.0]]), 2)
    [(0, 1, 0.7), (1, 0, 0.2)]
    """
    if float(weights.max()) == float(weights.min()):
        return []
    order = np.argsort(-np.abs(weights), axis=None, kind="stable")[:count]
    rows, columns = np.unravel_index(order, weights.shape)
    return [(int(r), int(c), float(weights[r, c])) for r, c in zip(rows, columns) if weights[r, c] != 0]


def said(weights: Floats, *, is_signed: bool, language: Language = "en") -> str:
    r"""The map in words: where the cells lie that weigh most, and how much.

    >>> said(np.array([[0.7, 0.1], [0.1, 0.1]]), is_signed=False).replace("\u202f", " ")
    'Most weight lies: upper left (70 %), upper right (10 %), lower left (10 %). Entropy 1.36 of 2 bits.'
    >>> said(np.ones((2, 2)), is_signed=False, language="ja")
    '重みは画像全体に均等です。'
    """
    cells = strongest(weights)
    if not cells:
        return "The weight is even over the picture." if language == "en" else "重みは画像全体に均等です。"
    tell = signed if is_signed else share
    even = "" if is_signed or entropy(weights) < EVEN * np.log2(weights.size) else say("nearly even", language)
    parts = [f"{place(r, c, (weights.shape[0], weights.shape[1]), language)} ({tell(w)})" for r, c, w in cells]
    if language == "ja":
        end = "" if is_signed else f"エントロピーは{_bits(weights)}のうち{entropy(weights):.2f}ビットです。"
        return f"重みが大きいのは、{'、'.join(parts)}です。{end}{even}"
    end = "" if is_signed else f" Entropy {entropy(weights):.2f} of {_bits(weights)} bits."
    return f"Most weight lies: {', '.join(parts)}.{end} {even}".rstrip()


def _bits(weights: Floats) -> str:
    """The entropy that an even map of this size has."""
    return f"{np.log2(weights.size):.2f}".rstrip("0").rstrip(".")


def legend(is_signed: bool) -> str:
    """The colours of the map from least to most, as a PNG of 120 × 10 pixels."""
    from PIL import Image

    line = np.tile(np.linspace(0, 1, 120), (10, 1))
    # The map lies half over the picture, so that its colours look paler there than here.
    return data_uri(Image.fromarray(coloured(line, TWO_HUES if is_signed else RISING)))
