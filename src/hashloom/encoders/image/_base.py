"""What all picture encoders share: pictures are read safely, encoded in batches, and none is encoded twice.

A picture is known by a hash of its content together with the encoder's ``identity()``. What was made is kept in a
folder where ``cache`` names one, and the latest in memory. Values are rounded to 16 bits whether kept or not, so that
no answer hangs on what was kept.
"""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from hashloom.encoders._cache import Cache
from hashloom.encoders.image import _pictures
from hashloom.encoders.image._pictures import LIMITS, BadPicture, Limits
from hashloom.types import Count, Features

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    Halves = NDArray[np.float16]

log = logging.getLogger(__name__)

HELD = 64_000_000
"""Bytes of undecoded pictures in memory at once."""
REMEMBERED = 64_000_000
"""Bytes of features of the latest pictures kept in memory."""
TOLD = 1000
"""So many bad pictures are reported and listed."""
LARGEST = float(np.finfo(np.float16).max)


@dataclass
class PictureEncoder(ABC):
    """Pictures into regions and a pooled vector. An encoder writes ``_look``, the sizes and its ``identity``."""

    batch: Count = 16
    """Pictures encoded at once."""
    cache: str = ""
    """Folder where features are kept by the picture's content, so that no picture is encoded twice; empty: none."""

    near: ClassVar[int] = 224
    """Pictures may be decoded smaller than they are, down to this shorter side."""
    limits: ClassVar[Limits] = LIMITS

    @property
    @abstractmethod
    def grid(self) -> tuple[int, int]:
        """Rows and columns of regions; they come row by row."""

    @property
    @abstractmethod
    def dim(self) -> int:
        """Length of a region's vector."""

    @property
    @abstractmethod
    def pooled_dim(self) -> int:
        """Length of the vector of the whole picture."""

    @abstractmethod
    def identity(self) -> str:
        """All that features depend on but the picture: the encoder, settings that matter, a hash of its weights."""

    @abstractmethod
    def _look(self, images: list[Image]) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
        """Regions (images, places, dim) and pooled vectors (images, pooled dim) of upright 8-bit RGB pictures."""

    def fit(self, pictures: Sequence[str]) -> Self:
        """Pictures teach it nothing; an encoder with weights loads them and remembers which they were."""
        return self

    def features(self, pictures: Sequence[str]) -> Features:
        """Regions and pooled vectors of pictures given by their paths, one row each, in order.

        ``values`` (pictures, places, dim), ``mask`` (pictures, places), ``pooled`` (pictures, pooled dim). An empty
        path is no picture. A bad picture is absent too: reported once, and listed in ``problems``.
        """
        rows, columns = self.grid
        places = rows * columns
        flat = np.zeros((len(pictures), places * self.dim + self.pooled_dim), np.float32)
        mask = np.zeros((len(pictures), places), bool)
        for at, made in self._made(pictures):
            flat[at], mask[at] = made, True
        edge = places * self.dim
        return Features(flat[:, :edge].reshape(len(pictures), places, self.dim), mask, flat[:, edge:])

    @cached_property
    def problems(self) -> list[tuple[str, str]]:
        """Path and reason of pictures that could not be used, the first thousand."""
        return []

    # ------------------------------------------------------------ one picture after the other

    def _made(self, pictures: Sequence[str]) -> Iterator[tuple[list[int], Halves]]:
        """Rows that show a picture, and its features (places * dim + pooled dim,), for each that is sound."""
        rows: dict[str, list[int]] = {}
        for row, path in enumerate(pictures):
            if path:
                rows.setdefault(path, []).append(row)
        for some in self._read(rows):
            self._fill(some)
            for one in some:
                if one.made is not None:
                    yield rows[one.path], one.made

    def _read(self, paths: dict[str, Any]) -> Iterator[list[_Asked]]:
        """Pictures with their bytes, unless remembered, so many at a time as memory may hold."""
        some: list[_Asked] = []
        for path in paths:
            some.append(self._asked(path))
            if len(some) >= 4 * self.batch or sum(len(one.data) for one in some) > HELD:
                yield some
                some = []
        yield some

    def _asked(self, path: str) -> _Asked:
        asked = _Asked(path)
        try:
            place = _pictures.locate(path)
            asked.known_by = (place[0], place[1].st_size, place[1].st_mtime_ns, self.identity())
            known = self._recent.get(asked.known_by)
            if isinstance(known, str):
                raise BadPicture(known)
            asked.made = known
            asked.data = b"" if known is not None else _pictures.read(place, self.limits)
        except BadPicture as bad:
            self._report(asked, bad)
        return asked

    def _fill(self, some: list[_Asked]) -> None:
        """Make what is not known yet; the same content under two paths is encoded once."""
        wanted: dict[bytes, list[_Asked]] = {}
        for one in some:
            if one.data:
                wanted.setdefault(_key(self.identity(), one.data), []).append(one)
        known = self._kept.try_get(list(wanted)) if self._kept else {}
        width = self.grid[0] * self.grid[1] * self.dim + self.pooled_dim
        known = {key: made for key, made in known.items() if len(made) == width}
        new = self._encoded({key: same for key, same in wanted.items() if key not in known})
        if self._kept and new:
            self._kept.try_put(new)
        for key, made in (known | new).items():
            for one in wanted[key]:
                one.made, one.data = made, b""
                self._recent.put(one.known_by, made)

    def _encoded(self, wanted: dict[bytes, list[_Asked]]) -> dict[bytes, Halves]:
        images: dict[bytes, Image] = {}
        for key, same in wanted.items():
            try:
                images[key] = _pictures.decode(same[0].data, self.limits, self.near)
            except BadPicture as bad:
                for one in same:
                    self._report(one, bad)
        keys, new = list(images), dict[bytes, Any]()
        for at in range(0, len(keys), self.batch):
            step = keys[at : at + self.batch]
            regions, pooled = self._look([images[key] for key in step])
            flat = np.concatenate([regions.reshape(len(step), -1), pooled.reshape(len(step), -1)], axis=1)
            new |= dict(zip(step, np.clip(flat, -LARGEST, LARGEST).astype(np.float16), strict=True))
        return new

    def _report(self, asked: _Asked, bad: BadPicture) -> None:
        asked.data = b""
        if asked.known_by:
            self._recent.put(asked.known_by, str(bad))
        said = (asked.path, str(bad))
        if said in self.problems or len(self.problems) >= TOLD:
            return
        self.problems.append(said)
        # As a literal: a name may hold line breaks and signs that steer a terminal.
        log.warning("picture %r: %s", *said)
        if len(self.problems) == TOLD:
            log.warning("%d pictures could not be used; further ones are left out without a word", TOLD)

    @cached_property
    def _recent(self) -> _Recent:
        return _Recent(REMEMBERED)

    @property
    def _kept(self) -> Cache | None:
        if not self.cache:
            return None
        name = type(self).__module__.rsplit(".", 1)[-1]
        return Cache(self.cache, megabytes=8000, file=f"{name}.sqlite", kind="float16")


@dataclass
class _Asked:
    """One picture on its way: its bytes until it is encoded, then its features, or neither where it is bad."""

    path: str
    data: bytes = b""
    made: Halves | None = None
    known_by: tuple[Any, ...] = ()


@dataclass
class _Recent:
    """The latest pictures by path, size and time of change; features, or why there are none."""

    room: int
    used: int = 0
    kept: dict[tuple[Any, ...], Halves | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, also one sent to another process, starts empty.
        return _Recent, (self.room,)

    def get(self, key: tuple[Any, ...]) -> Halves | str | None:
        with self.lock:
            found = self.kept.pop(key, None)
            if found is not None:
                self.kept[key] = found
            return found

    def put(self, key: tuple[Any, ...], value: Halves | str) -> None:
        with self.lock:
            self.used += _size(value) - (_size(self.kept.pop(key)) if key in self.kept else 0)
            self.kept[key] = value
            while self.used > self.room:
                self.used -= _size(self.kept.pop(next(iter(self.kept))))


def _size(value: Halves | str) -> int:
    return 500 + (len(value) if isinstance(value, str) else value.nbytes)


def _key(identity: str, data: bytes) -> bytes:
    """Sixteen bytes that stand for a picture as one encoder sees it."""
    maker = hashlib.blake2b(identity.encode(), digest_size=32).digest()
    return hashlib.blake2b(data, key=maker, digest_size=16).digest()
