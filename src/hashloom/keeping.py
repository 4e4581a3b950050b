"""How anything learnt is kept: a folder that a person can read, checked when read, published as one unit.

A part is kept as ``settings.json`` (its fields), ``learnt.json`` (a tree of what its ``…_`` attributes hold) and,
beside them, arrays as npz, trees as LightGBM text, frames as Parquet; parts held inside have folders of their own.
``manifest.json`` lists every file with its SHA-256. Nothing is ever unpickled.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from hashloom import catalogue
from hashloom.tag_space import TagSpaces
from hashloom.types import Posts

FORMAT = 1
OWN = ("digest", "format", "hashloom", "part", "created_at", "files")
"""What every manifest says."""
SHARED = ("spaces_", "memory_", "favourites_", "seen_", "forgotten_")
"""Learnt once by the outermost part and handed to the parts inside, so kept once."""


_REPLACED = 9
"""How often a model may be replaced while it is read."""


class DamagedModel(ValueError):
    """A folder that is not a whole, unaltered model of ours; the message names the file and the remedy."""


def save(part: Any, folder: Path | str, **facts: Any) -> Path:
    """Keep a fitted part under ``folder``; ``facts`` (fingerprint, metrics, …) go into the manifest.

    Written beside, fsynced, then put in place in one step: a reader sees the old model or the new one.
    """
    # A link to the model in use keeps pointing there: what it names is replaced, not the link.
    folder = Path(folder).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.parent / f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        _write_part(part, beside, outermost=True)
        _write_manifest(beside, part, facts)
        _publish(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return folder


def load(folder: Path | str) -> Any:
    """The part kept in ``folder``, as fitted; a damaged, incomplete or foreign folder is refused.

    Where the model is replaced while it is read, the new one is read instead: never a mix of the two.
    """
    folder = Path(folder)
    for _ in range(_REPLACED):
        before = _identity(folder)
        try:
            part = _read_whole(folder)
        except DamagedModel:
            if _identity(folder) == before:
                raise
        else:
            if _identity(folder) == before:
                return part
    raise DamagedModel(f"{folder}: replaced {_REPLACED} times while it was read; try again when training has ended")


def _identity(folder: Path) -> tuple[object, ...]:
    # The file too, not its content alone: the same model saved twice in a second says the same of itself, and another
    # may have stood there in between.
    path = folder / "manifest.json"
    if not path.is_file():  # nor is a pipe read, which would wait for ever
        return ()
    found = path.stat()
    return found.st_ino, found.st_mtime_ns, path.read_bytes()


def _read_whole(folder: Path) -> Any:
    check(folder)
    try:
        part = _read_inner(folder)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # checksums hold, so it is of another version or forged, and may fail in any way
        said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise DamagedModel(f"{folder}: cannot be read as a model of this version ({said}); train again") from error
    share = getattr(part, "share", None)
    if share:
        share()
    return part


def manifest(folder: Path | str) -> dict[str, Any]:
    """What is said of a kept model: format, version, settings digest, data fingerprint, metrics, checksums."""
    path = Path(folder) / "manifest.json"
    if not path.is_file():
        raise DamagedModel(f"{folder} is no Hashloom model: manifest.json is missing; train one with `hashloom train`")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise DamagedModel(f"{path}: damaged; restore the folder from a copy or train again") from None
    if not isinstance(found, dict) or not isinstance(found.get("files"), dict):
        raise DamagedModel(f"{path}: not a manifest of ours")
    if found.get("format") != FORMAT:
        said = f"format {found.get('format')!r}, this Hashloom reads format {FORMAT}"
        raise DamagedModel(f"{path}: {said}; train again, or use the version that wrote it")
    if found.get("digest") != _digest(found):
        raise DamagedModel(f"{path}: altered (its digest differs); restore it from a copy or train again")
    return found


def facts(folder: Path | str) -> dict[str, Any]:
    """What was said of a kept model when it was made (recipe, fingerprint, split, …), to be said of it again."""
    return {name: value for name, value in manifest(folder).items() if name not in OWN}


def _digest(said: Mapping[str, Any]) -> str:
    """A hash over the rest of a manifest, so that no change of it goes unnoticed."""
    rest = {name: value for name, value in said.items() if name != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def check(folder: Path | str) -> dict[str, Any]:
    """Refuse a folder with a missing, altered, linked or unknown file; gives the manifest back."""
    folder = Path(folder)
    said = manifest(folder)
    inside = (p for p in folder.rglob("*") if p.is_symlink() or not p.is_dir())
    there = {str(p.relative_to(folder)): p for p in inside if p.name[0] != "."}
    if there.pop("manifest.json").is_symlink():
        raise DamagedModel(f"{folder / 'manifest.json'}: is a link; put the file itself there")
    for name in sorted(said["files"].keys() | there.keys()):
        path = there.get(name)
        if path is None:
            raise DamagedModel(f"{folder / name}: missing; restore the folder from a copy or train again")
        if name not in said["files"] or path.is_symlink() or not path.is_file():
            raise DamagedModel(f"{path}: not part of this model; take it out of the folder")
        if _sha256(path) != said["files"][name]:
            raise DamagedModel(f"{path}: damaged (its checksum differs); restore it from a copy or train again")
    return said


def _write_part(part: Any, folder: Path, outermost: bool = False) -> None:
    folder.mkdir(parents=True)
    _write_json(folder / "settings.json", catalogue.settings(part))
    arrays: dict[str, Any] = {}
    learnt = {n: v for n, v in vars(part).items() if n.endswith("_") and not n.startswith("_")}
    if not outermost:
        learnt = {n: v for n, v in learnt.items() if n not in SHARED}
    tree = {name: _put(value, name, folder, arrays) for name, value in learnt.items()}
    for f in fields(part):
        for at, held in _held(getattr(part, f.name)):
            _write_part(held, folder / f"{f.name}{at}")
    if arrays:
        np.savez(folder / "arrays.npz", **arrays)
    _write_json(folder / "learnt.json", tree)


def _read_part(part: Any, folder: Path) -> None:
    tree = json.loads((folder / "learnt.json").read_text(encoding="utf-8"))
    path = folder / "arrays.npz"
    arrays = dict(np.load(path, allow_pickle=False)) if path.exists() else {}
    for name, value in tree.items():
        if name.startswith("_") or not name.endswith("_"):
            raise DamagedModel(f"{folder / 'learnt.json'}: {name!r} is nothing that a model learns")
        setattr(part, name, _take(value, folder, arrays))
    for f in fields(part):
        for at, held in _held(getattr(part, f.name)):
            _read_part(held, folder / f"{f.name}{at}")


def _held(value: Any) -> list[tuple[str, Any]]:
    if catalogue.is_part(value):
        return [("", value)]
    if isinstance(value, list):
        return [(f".{i}", v) for i, v in enumerate(value) if catalogue.is_part(v)]
    return []


def _put(value: Any, name: str, folder: Path, arrays: dict[str, Any]) -> Any:
    """A learnt value as JSON; what JSON cannot hold goes beside it and is pointed to."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple):
        if all(v is None or isinstance(v, bool | int | float | str) for v in value):
            return list(value)
        return [_put(v, f"{name}.{i}", folder, arrays) for i, v in enumerate(value)]
    if isinstance(value, dict):
        return {"$dict": [[str(k), _put(v, f"{name}.{i}", folder, arrays)] for i, (k, v) in enumerate(value.items())]}
    return _put_beside(value, name, folder, arrays)


def _put_beside(value: Any, name: str, folder: Path, arrays: dict[str, Any]) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            raise TypeError(f"{name}: an object array cannot be kept without pickle")
        arrays[name] = value
        return {"$array": name}
    if isinstance(value, bytes):
        (folder / f"{name}.bin").write_bytes(value)
        return {"$bytes": f"{name}.bin"}
    if isinstance(value, TagSpaces):
        _write_json(folder / f"{name}.json", value.to_json())
        return {"$spaces": f"{name}.json"}
    if isinstance(value, Posts):
        value.frame.write_parquet(folder / f"{name}.parquet", compression="zstd")
        return {"$posts": f"{name}.parquet"}
    if catalogue.is_part(value):
        _write_part(value, folder / name)
        return {"$part": name}
    return _put_foreign(value, name, folder, arrays)


def _put_foreign(value: Any, name: str, folder: Path, arrays: dict[str, Any]) -> Any:
    kind = type(value).__module__.split(".")[0]
    if kind == "scipy":
        csr = value.tocsr()
        for piece in ("data", "indices", "indptr"):
            arrays[f"{name}.{piece}"] = getattr(csr, piece)
        return {"$csr": name, "shape": list(csr.shape)}
    if kind == "polars":
        value.write_parquet(folder / f"{name}.parquet", compression="zstd")
        return {"$frame": f"{name}.parquet"}
    if kind == "lightgbm":
        (folder / f"{name}.trees.txt").write_text(value.model_to_string(), encoding="utf-8")
        return {"$trees": f"{name}.trees.txt"}
    raise TypeError(f"{name}: a {type(value).__name__} cannot be kept; keep arrays, JSON, bytes or a part")


def _take(value: Any, folder: Path, arrays: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_take(v, folder, arrays) if isinstance(v, list | dict) else v for v in value]
    if not isinstance(value, dict):
        return value
    kind, where = next(iter(value.items()))
    if kind == "$dict":
        return {k: _take(v, folder, arrays) for k, v in where}
    if kind == "$array":
        return arrays[where]
    if kind == "$csr":
        from scipy.sparse import csr_matrix

        pieces = tuple(arrays[f"{where}.{piece}"] for piece in ("data", "indices", "indptr"))
        return csr_matrix(pieces, shape=value["shape"])
    if "/" in where or "\\" in where or where.startswith("."):
        raise DamagedModel(f"{folder}: points outside of itself ({where!r})")
    return _READ[kind](folder / where)


def _read_posts(path: Path) -> Posts:
    import polars as pl

    return Posts.of(pl.read_parquet(path))


def _read_frame(path: Path) -> Any:
    import polars as pl

    return pl.read_parquet(path)


def _read_trees(path: Path) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))


def _read_inner(folder: Path) -> Any:
    part = catalogue.build(json.loads((folder / "settings.json").read_text(encoding="utf-8")))
    _read_part(part, folder)
    return part


def _read_spaces(path: Path) -> TagSpaces:
    return TagSpaces.from_json(json.loads(path.read_text(encoding="utf-8")))


_READ: dict[str, Callable[[Path], Any]] = {
    "$bytes": Path.read_bytes,
    "$spaces": _read_spaces,
    "$posts": _read_posts,
    "$frame": _read_frame,
    "$trees": _read_trees,
    "$part": _read_inner,
}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1), encoding="utf-8")


def _write_manifest(folder: Path, part: Any, facts: Mapping[str, Any]) -> None:
    from hashloom import __version__

    files = {str(p.relative_to(folder)): _sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    said = {
        "format": FORMAT,
        "hashloom": __version__,
        "part": type(part).__module__.rsplit(".", 1)[-1],
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
        "files": files,
    }
    said = json.loads(json.dumps(said))
    _write_json(folder / "manifest.json", {"digest": _digest(said)} | said)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _publish(beside: Path, folder: Path) -> None:
    """Sync everything, then exchange in one step; ``beside`` holds what was there before, if anything."""
    for path in [*beside.rglob("*"), beside]:
        _fsync(path)
    try:
        # An empty folder gives way; a full one, also one that another training put there just now, does not.
        beside.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise
        if not (folder / "manifest.json").is_file():
            raise FileExistsError(f"{folder} is there and is no Hashloom model; choose another name") from None
        _exchange(beside, folder)
    _fsync(folder.parent)


def _exchange(one: Path, other: Path) -> None:
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if sys.platform == "linux" else None
    if swap and swap(-100, os.fsencode(one.absolute()), -100, os.fsencode(other.absolute()), 2) == 0:
        return
    # File systems without an atomic exchange: two renames, with the old model never deleted before the new is there.
    aside = one.with_suffix(".old")
    other.rename(aside)
    one.rename(other)
    shutil.rmtree(aside, ignore_errors=True)


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
