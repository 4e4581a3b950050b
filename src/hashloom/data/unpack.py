"""Opens what may be packed (gz, xz, zip, tar, 7z) within bounds: a bomb or a truncated archive is refused."""

from __future__ import annotations

import io
import json
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any, BinaryIO

from hashloom.data.rows import BadInput, Problem

MAX_BYTES = 8 << 30
MAX_RATIO = 200
FREE_BYTES = 64 << 20
MAX_LINE = 64 << 20
MAX_JSON = 2 << 30

_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, RuntimeError)
_KINDS = {b"PK\x03\x04": "a zip archive", b"PAR1": "Parquet", b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"%PDF": "a PDF"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class _Bounded(io.RawIOBase):
    """What an unpacker gives, counted: too much in all, or out of proportion to what is packed, is refused."""

    def __init__(self, inner: Any, file: str, packed: int) -> None:
        self.inner, self.file, self.packed, self.given = inner, file, max(packed, 1), 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self.inner.read(len(buffer))
        except _DAMAGE as error:
            raise damaged(self.file, error) from error
        self.given += len(data)
        guard(self.file, self.given, self.packed)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.inner.close()
        super().close()


def guard(file: str, size: int, packed: int) -> None:
    """Refuse ``size`` unpacked bytes that are too many in all, or too many for ``packed`` bytes."""
    if size > MAX_BYTES:
        raise BadInput(
            f"{file}: unpacks to more than {MAX_BYTES >> 30} GB; unpack it yourself and import the part needed"
        )
    if size > FREE_BYTES and size > MAX_RATIO * packed:
        raise BadInput(
            f"{file}: unpacks to over {MAX_RATIO} times its size, as zip bombs do; unpack it and look inside"
        )


def damaged(file: str, error: Exception) -> BadInput:
    """The error for an archive that is truncated, damaged or locked."""
    if "password" in str(error).lower() or "encrypted" in str(error).lower():
        return BadInput(f"{file}: is encrypted; unpack it with its password first")
    return BadInput(f"{file}: is truncated or damaged ({str(error)[:80] or type(error).__name__}); fetch it again")


def must_be_file(path: Path) -> Path:
    """The path, if it is a file that holds something."""
    try:
        if path.is_dir():
            raise BadInput(f"{path}: is a folder; name a file in it")
        if not path.exists():
            raise BadInput(f"{path}: no such file; check the path")
        if path.is_file() and path.stat().st_size == 0:
            raise BadInput(f"{path}: is empty; nothing to read")
    except BadInput:
        raise
    except (OSError, ValueError) as error:
        raise BadInput(f"{str(path)[:200]!r}: cannot be opened ({error})") from error
    return path


def open_bytes(path: Path) -> BinaryIO:
    """The bytes of a file, unpacked where it is gz or xz (told by its content, whatever its name says)."""
    must_be_file(path)
    try:
        raw = path.open("rb")
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror})") from error
    return unpacked(raw, path.name, path.stat().st_size)


def unpacked(stream: io.BufferedReader, file: str, packed: int) -> BinaryIO:
    """The stream itself, or what it holds where that is gz or xz."""
    head = stream.peek(6)[:6]
    if head[:2] == b"\x1f\x8b":
        import gzip

        return io.BufferedReader(_Bounded(gzip.GzipFile(fileobj=stream), file, packed))
    if head == b"\xfd7zXZ\x00":
        return io.BufferedReader(_Bounded(lzma.LZMAFile(stream), file, packed))
    return stream


def lines(stream: BinaryIO, file: str) -> Iterator[tuple[int, bytes] | Problem]:
    """Numbered lines without their ends and without a byte-order mark; a line over 64 MB is a problem."""
    number = 0
    while line := stream.readline(MAX_LINE):
        number += 1
        if number == 1:
            refuse_foreign(line, file)
            line = line.removeprefix(b"\xef\xbb\xbf")
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            while (rest := stream.readline(1 << 20)) and not rest.endswith(b"\n"):
                pass
            yield Problem(file, number, f"line of more than {MAX_LINE >> 20} MB; is this one post a line?")
            continue
        yield number, line.rstrip(b"\r\n")


def refuse_foreign(head: bytes, file: str) -> None:
    """Raise BadInput where the first bytes say that this is no UTF-8 text at all."""
    if head.startswith(_UTF16):
        raise BadInput(f"{file}: is UTF-16; save it as UTF-8")
    for magic, kind in _KINDS.items():
        if head.startswith(magic):
            raise BadInput(f"{file}: holds {kind}, not text; give it its right ending, or import it as what it is")


def parse_json(data: bytes | str, file: str) -> Any:
    """One JSON document; what is wrong with it is said with the line."""
    try:
        return json.loads(data)
    except RecursionError:
        raise BadInput(f"{file}: JSON nested too deeply to be posts") from None
    except json.JSONDecodeError as error:
        raise BadInput(f"{file}:{error.lineno}: broken JSON ({error.msg}); truncated? fetch it again") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: broken UTF-8 at byte {error.start:,}; save it as UTF-8") from None
    except ValueError as error:
        raise BadInput(f"{file}: broken JSON ({str(error)[:80]})") from None


def whole(stream: BinaryIO, file: str) -> bytes:
    """All bytes of a stream, up to 2 GB."""
    data = stream.read(MAX_JSON + 1)
    if len(data) > MAX_JSON:
        raise BadInput(f"{file}: more than {MAX_JSON >> 30} GB in one JSON document; split it")
    return data


def load_json(path: Path) -> Any:
    """One JSON document from a file that may be gz or xz."""
    with open_bytes(path) as stream:
        return parse_json(whole(stream, path.name), path.name)


@contextmanager
def zip_members(path: Path, wanted: Callable[[str], bool]) -> Iterator[dict[str, Callable[[], BinaryIO]]]:
    """The wanted members of a zip archive, by name, each as a function that opens it."""
    must_be_file(path)
    try:
        archive = zipfile.ZipFile(path)
    except (*_DAMAGE, ValueError) as error:
        raise damaged(path.name, error) from error

    def opener(info: zipfile.ZipInfo) -> Callable[[], BinaryIO]:
        file = f"{path.name}/{info.filename}"
        return lambda: io.BufferedReader(_Bounded(_opened(archive, info, file), file, info.compress_size))

    with archive:
        yield {info.filename: opener(info) for info in archive.infolist() if wanted(info.filename)}


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo, file: str) -> IO[bytes]:
    try:
        return archive.open(info)
    except (*_DAMAGE, NotImplementedError) as error:
        raise damaged(file, error) from error


def tar_member(path: Path, pattern: str) -> bytes | None:
    """The bytes of the first member of a tar(.gz, .xz) archive whose name fits; nothing is written to disk."""
    try:
        with open_bytes(path) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for info in archive:
                if info.isfile() and fnmatch(info.name, pattern) and (member := archive.extractfile(info)):
                    guard(path.name, info.size, MAX_BYTES)
                    return whole(member, f"{path.name}/{info.name}")  # type: ignore[arg-type]
    except _DAMAGE as error:
        raise damaged(path.name, error) from error
    return None


@contextmanager
def seven_zip_member(path: Path, pattern: str) -> Iterator[BinaryIO]:
    """The first member of a 7z archive whose name fits, unpacked into a nameless temporary file."""
    import py7zr

    must_be_file(path)
    with tempfile.TemporaryFile() as spool:
        try:
            with py7zr.SevenZipFile(path, "r") as archive:
                name = next((n for n in archive.getnames() if fnmatch(n, pattern)), None)
                if name is None:
                    raise BadInput(f"{path.name}: holds no {pattern.strip('*')}; is this the right dump?")
                archive.extract(targets=[name], factory=_spooling(spool, path))
        except BadInput:
            raise
        except Exception as error:  # py7zr raises nearly anything over damaged headers
            raise damaged(path.name, error) from error
        spool.seek(0)
        yield spool


def _spooling(spool: IO[bytes], path: Path) -> Any:
    from py7zr.io import Py7zIO, WriterFactory

    packed = path.stat().st_size

    class Spool(Py7zIO):
        """Writes one member into the temporary file, within the bounds."""

        def write(self, s: bytes | bytearray) -> int:
            guard(path.name, spool.tell() + len(s), packed)
            return spool.write(s)

        def read(self, size: int | None = None) -> bytes:
            return spool.read() if size is None else spool.read(size)

        def seek(self, offset: int, whence: int = 0) -> int:
            return spool.seek(offset, whence)

        def flush(self) -> None:
            spool.flush()

        def size(self) -> int:
            return spool.tell()

    class Factory(WriterFactory):
        """Hands the one spool to the one member."""

        def create(self, filename: str) -> Py7zIO:
            return Spool()

    return Factory()
