"""Published weights: found by hub name or local path, known by a fingerprint, run by torch or by ONNX Runtime."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

log = logging.getLogger(__name__)


def check_place(who: str, weights: str, wanted: str) -> None:
    """Refuse what can only be a path and is not there, before anybody asks the hub for it.

    >>> check_place("text encoder", "./nowhere", "a folder with config.json")
    Traceback (most recent call last):
    ...
    FileNotFoundError: text encoder: there is no folder './nowhere'; give a folder with config.json, or a hub name
    """
    # A hub name has at most one slash; anything else is meant as a path and must not send us to the hub.
    if not Path(weights).exists() and (weights.count("/") > 1 or weights.startswith((".", "~", "/"))):
        raise FileNotFoundError(f"{who}: there is no folder {weights!r}; give {wanted}, or a hub name")


def not_had(who: str, weights: str, error: Exception, remedy: str = "") -> OSError:
    """The error to raise where weights cannot be loaded: which, why, and what to do."""
    if Path(weights).exists():
        return OSError(
            f"{who}: {weights!r} cannot be loaded ({_first(error)}); it must be a folder as save_pretrained writes it, "
            f"with config.json and model.safetensors{remedy}"
        )
    return OSError(
        f"{who}: the model {weights!r} cannot be had ({_first(error)}); connect to the hub once to fetch it, or set "
        f"weights to a local folder{remedy}"
    )


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


FOLDER = "a folder with config.json and model.safetensors"


def load_config(who: str, weights: str, kinds: tuple[str, ...] = ()) -> Any:
    """The configuration of transformers weights; other kinds of network than ``kinds`` are refused by name."""
    check_place(who, weights, FOLDER)
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(weights)
    except (OSError, ValueError) as error:
        raise not_had(who, weights, error) from error
    if kinds and config.model_type not in kinds:
        raise ValueError(f"{who}: {weights!r} holds a {config.model_type!r} network; wanted is {' or '.join(kinds)}")
    return config


def load_model(who: str, kind: Any, weights: str, may_lack: tuple[str, ...] = (), **given: Any) -> tuple[Any, set[str]]:
    """A transformers network at rest, and which of its weights the place lacks (only such as ``may_lack`` begins).

    Whatever else is lacking would be drawn at random without a word, so it is refused.
    """
    try:
        with _quiet():
            network, info = kind.from_pretrained(weights, output_loading_info=True, **given)
    except (OSError, ValueError, RuntimeError) as error:
        raise not_had(who, weights, error) from error
    lacking = set(info["missing_keys"])
    wrong = sorted(name for name in lacking if not name.startswith(may_lack)) if may_lack else sorted(lacking)
    if wrong:
        raise ValueError(
            f"{who}: {weights!r} lacks {len(wrong)} weights of this network, {wrong[0]!r} among them; give weights "
            "that were saved from such a network"
        )
    return network.eval().requires_grad_(False), lacking


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the bars and tables that transformers prints; what matters of them is checked and said by us."""
    from transformers.utils import logging as said

    level, bars = said.get_verbosity(), said.is_progress_bar_enabled()
    said.set_verbosity_error()
    said.disable_progress_bar()
    try:
        yield
    finally:
        said.set_verbosity(level)
        if bars:
            said.enable_progress_bar()


def find_file(who: str, weights: str, name: str) -> Path:
    """A file itself, a file in a local folder, or one that the hub has; ``OSError`` where there is none."""
    check_place(who, weights, f"a file, a folder with {name}")
    place = Path(weights)
    if place.exists():
        found = place / name if place.is_dir() else place
        if not found.is_file():
            raise FileNotFoundError(f"{who}: there is no {name} in {weights!r}; put it there, or name the file itself")
        return found
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(weights, name))
    except (OSError, ValueError) as error:
        raise not_had(who, weights, error, f" or file with {name}") from error


def fingerprint(tensors: Mapping[str, Any]) -> str:
    """Sixteen hexadecimal digits of a hash over the names and weights of a network (torch tensors by name)."""
    digest = hashlib.blake2b(digest_size=8)
    for name, weights in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(weights.float().cpu().numpy()).data)
    return digest.hexdigest()


def check_same(who: str, weights: str, found: str, fitted: str | None) -> None:
    """Refuse weights whose fingerprint is not the one that was fitted."""
    if fitted is not None and found != fitted:
        raise ValueError(f"{who}: {weights!r} is not the model this was fitted with; fit again")


# ---------------------------------------------------------------- ONNX Runtime


def exported(folder: str, stem: str, make: Callable[[], bytes], threads: int) -> Any:
    """An ONNX Runtime session of what ``make`` exports: made once, kept in ``folder`` where one is named.

    The file's name ends in a hash of its content, so a damaged one is known; it is made anew. ``threads`` 0: all.
    """
    if not folder:
        return session(make(), threads)
    for path in sorted(Path(folder).glob(f"{stem}-*.onnx")):
        data = path.read_bytes()
        if path.name == _named(stem, data):
            return session(data, threads)
        log.warning("%s: damaged; exported anew", path)
        path.unlink(missing_ok=True)
    data = make()
    _write(Path(folder) / _named(stem, data), data)
    return session(data, threads)


def session(data: bytes, threads: int) -> Any:
    """An ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _named(stem: str, data: bytes) -> str:
    return f"{stem}-{hashlib.blake2b(data, digest_size=8).hexdigest()}.onnx"


def _write(path: Path, data: bytes) -> None:
    """As the cache: a folder that cannot be written is reported, and work goes on."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(f".{os.getpid()}.tmp")
        beside.write_bytes(data)
        beside.replace(path)
    except OSError as error:
        log.warning("%s: the export cannot be kept (%s); it is made anew each time", path, error)
