"""Cache: vectors kept by content hash, so that nothing is encoded twice; one SQLite file, safe for many processes.

The key is a hash over whoever makes the vector (a model's fingerprint and its settings) and the text just as it is
read, so another model never meets an old vector. Each vector carries a checksum: a damaged one is reported, and made
anew.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sqlite3
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

log = logging.getLogger(__name__)

AT_ONCE = 500
"""Keys asked for in one query; SQLite takes 999 at least."""
STEP = 2000
"""So many vectors are made before they are kept, so that stopped work loses little."""


@dataclass
class Cache:
    """Vectors by key in ``folder/file``; one file for vectors of about one length.

    >>> import tempfile
    >>> cache = Cache(tempfile.mkdtemp())
    >>> cache.put({b"key": np.ones(2, dtype=np.float32)})
    >>> cache.get([b"key", b"other"])
    {b'key': array([1., 1.], dtype=float32)}
    """

    folder: str
    """Where the file lies; made if absent."""
    megabytes: int = 2000
    """The oldest vectors are dropped once all together are larger than this."""
    patience: float = 30.0
    """Seconds to wait for another process that is writing."""
    file: str = "vectors.sqlite"
    """Name of the file."""
    kind: Literal["float32", "float16"] = "float32"
    """How numbers are kept and given back."""

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.folder) / self.file

    def through(self, maker: str, texts: Sequence[str], make: Callable[[list[str]], Floats]) -> Floats:
        """The vectors that ``make`` gives to texts, shape (texts, dim); it is asked only for what is not known.

        ``maker`` names all that the vectors depend on but the text. At least one text is needed. A folder that cannot
        be read or written is reported, and all is made anew: a cache saves time, no answer hangs on it.

        >>> import tempfile
        >>> def lengths(texts: list[str]) -> Floats:
        ...     print("asked:", texts)
        ...     return np.array([[len(text)] for text in texts], dtype=np.float32)
        >>> cache = Cache(tempfile.mkdtemp())
        >>> once, again = (cache.through("lengths", ["rye", "oat", "rye"], lengths) for _ in range(2))
        asked: ['rye', 'oat']
        >>> again.ravel().tolist()
        [3.0, 3.0, 3.0]
        """
        keys = [key(maker, text) for text in texts]
        known = self.try_get(list(dict.fromkeys(keys)))
        missing = [(k, text) for k, text in dict(zip(keys, texts)).items() if k not in known]
        for at in range(0, len(missing), STEP):
            step = missing[at : at + STEP]
            made = dict(zip([k for k, _ in step], make([text for _, text in step]), strict=True))
            self.try_put(made)
            known |= made
        return np.stack([known[k] for k in keys])

    def try_get(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """As ``get``; where the folder cannot be read, this is reported and nothing is known."""
        return self._attempt(self.get, keys) or {}

    def try_put(self, vectors: Mapping[bytes, Any]) -> None:
        """As ``put``; where the folder cannot be written, this is reported and nothing is kept."""
        self._attempt(self.put, vectors)

    def get(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        """The vectors known among ``keys``; damaged ones are reported, dropped and left out."""
        rows = self._guarded(lambda db: _select(db, keys)) or []
        kind = np.dtype(self.kind)
        whole = (row for row in rows if _intact(row[1], row[2], kind.itemsize))
        good = {key: np.frombuffer(data, dtype=kind) for key, data, _ in whole}
        bad = [key for key, _, _ in rows if key not in good]
        if bad:
            log.warning("%s: %d damaged vectors dropped; they are encoded anew", self.path, len(bad))
            self._guarded(lambda db: db.executemany("DELETE FROM vectors WHERE key = ?", [(key,) for key in bad]))
        return good

    def put(self, vectors: Mapping[bytes, Any]) -> None:
        """Keep vectors by key; drops the oldest where they grow past the bound."""
        plain = {key: np.ascontiguousarray(vector, dtype=self.kind).tobytes() for key, vector in vectors.items()}
        rows = [(key, data, zlib.crc32(data)) for key, data in plain.items()]

        def write(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?)", rows)
            _drop_oldest(db, self.megabytes * 1_000_000)

        self._guarded(write)

    def _attempt(self, work: Callable[[Any], Any], given: Any) -> Any:
        try:
            return work(given)
        except OSError as error:
            log.warning("%s; going on without the cache", error)
            return None

    def _guarded(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do the work in one transaction; a file that is no database any more is set aside and begun anew."""
        try:
            return self._transact(work)
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path}: {error}; free the file or the disk, or give another cache folder") from error
        except sqlite3.DatabaseError as error:
            aside = self.path.with_suffix(".damaged")
            log.warning("%s: %s; set aside as %s and begun anew", self.path, error, aside.name)
            self.path.replace(aside)
            Path(f"{self.path}-journal").unlink(missing_ok=True)
            return self._transact(work)

    def _transact(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        # A connection per piece of work: a forked or threaded caller never shares one.
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(self.path, timeout=self.patience)) as db, db:
            db.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB UNIQUE, data BLOB, checksum INTEGER)")
            return work(db)


def key(maker: str, text: str) -> bytes:
    """Sixteen bytes that stand for a text as one maker of vectors reads it.

    >>> key("a", "rye") == key("a", "rye"), key("a", "rye") == key("b", "rye")
    (True, False)
    """
    data = json.dumps([maker, text]).encode()
    return hashlib.blake2b(data, digest_size=16).digest()


def _intact(data: Any, check: Any, width: int) -> bool:
    return isinstance(data, bytes) and len(data) % width == 0 and zlib.crc32(data) == check


def _select(db: sqlite3.Connection, keys: Sequence[bytes]) -> list[tuple[bytes, Any, Any]]:
    rows: list[tuple[bytes, Any, Any]] = []
    for at in range(0, len(keys), AT_ONCE):
        some = keys[at : at + AT_ONCE]
        marks = ", ".join("?" * len(some))
        rows += db.execute(f"SELECT key, data, checksum FROM vectors WHERE key IN ({marks})", some)
    return rows


def _drop_oldest(db: sqlite3.Connection, limit: int) -> None:
    """Rows are numbered as they come; a tenth is dropped at a time, so that this is rare."""
    first, last, width = db.execute(
        "SELECT min(rowid), max(rowid), (SELECT length(data) + 64 FROM vectors LIMIT 1) FROM vectors"
    ).fetchone()
    if last is not None and (last - first + 1) * width > limit:
        keep = int(limit * 0.9 // width)
        db.execute("DELETE FROM vectors WHERE rowid <= ?", (last - keep,))
