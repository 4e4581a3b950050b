"""Files of the command line: recipes, checked whole before a post is read; results, there when all of them is."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

TABLES = ("model", "prepare", "evaluate", "expected", "published")
WORDS = ("name", "about", "notes")


@contextmanager
def opened(path: Path | None) -> Iterator[BinaryIO]:
    """A file that is there only when all of it is (standard output for None and -)."""
    if path is None or str(path) == "-":
        yield sys.stdout.buffer
        return
    path = path.resolve()
    if path.exists() and not path.is_file():
        with path.open("wb") as file:
            yield file
        return
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {path.parent}; make it first")
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _named(path):
            file = beside.open("wb")
        with file:
            yield file
            with _named(path):
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors name the file that was asked for, not the one beside it."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error


def check_place(path: Path) -> None:
    """Refuse before the work what could not be written after it: no folder there, or not to be written in."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    above = path.absolute().parent
    if not above.is_dir():
        raise FileNotFoundError(f"{path}: there is no folder {above}; make it first")
    if not os.access(path if path.exists() else above, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def write_text(path: Path, text: str) -> None:
    """Write a whole file or none."""
    with opened(path) as file:
        file.write(text.encode("utf-8", "replace"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a whole file of JSON or none."""
    import json

    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


# ---------------------------------------------------------------- recipes


def recipe_of(name: str, assignments: list[str] | None = None) -> dict[str, Any]:
    """The recipe of this name or file with its settings changed; what is wrong in it is refused by its place.

    >>> recipe_of("popular", ["half_life_days=7"])["model"]["half_life_days"]
    7
    """
    from hashloom import catalogue
    from hashloom.data.prepare import Preparation
    from hashloom.recommender import Recommender

    recipe = changed(_shaped(catalogue.recipe(name), name), assignments or [])
    try:
        Preparation(**recipe["prepare"])
    except TypeError:
        wrong = next(iter(recipe["prepare"].keys() - vars(Preparation()).keys()), "")
        raise catalogue.UnknownName(catalogue.no_such("field of [prepare]", wrong, [*vars(Preparation())])) from None
    if not isinstance(catalogue.build(recipe["model"]), Recommender):
        raise catalogue.UnknownName(f"{name}: [model] names no recommender; see hashloom list recommenders")
    return recipe


def _shaped(recipe: dict[str, Any], name: str) -> dict[str, Any]:
    """The recipe, if it holds tables where it must, and no word that would go unheard."""
    from hashloom import catalogue

    for word, value in recipe.items():
        if word in TABLES and not isinstance(value, dict):
            raise catalogue.UnknownName(f"{name}: {word} must be a table, [{word}], not {value!r}")
        if word in WORDS and not isinstance(value, str):
            raise catalogue.UnknownName(f"{name}: {word} must be text in quotes, not {value!r}")
        if word not in TABLES + WORDS:
            raise catalogue.UnknownName(f"{name}: {catalogue.no_such('part of a recipe', word, [*TABLES, *WORDS])}")
    return recipe


def changed(recipe: dict[str, Any], assignments: list[str]) -> dict[str, Any]:
    """The recipe with its ``[model]`` settings changed, or those of ``[prepare]`` where the name says so.

    >>> changed({"model": {"model": "nearest"}, "prepare": {}}, ["neighbours=9", "prepare.min_tag_count=3"])
    {'model': {'model': 'nearest', 'neighbours': 9}, 'prepare': {'min_tag_count': 3}}
    """
    from hashloom.catalogue import override

    for assignment in assignments:
        if assignment.startswith("prepare."):
            recipe = override(recipe, assignment)
        else:
            recipe = recipe | {"model": override(recipe["model"], assignment)}
    return recipe
