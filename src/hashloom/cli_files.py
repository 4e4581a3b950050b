"""What the verbs share: posts, models and recipes, checked before the work; results, there when all of them is."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hashloom import progress

if TYPE_CHECKING:
    from hashloom.data.read import Report
    from hashloom.data.split import Split
    from hashloom.forecaster import Forecaster
    from hashloom.recommender import Recommender
    from hashloom.tag_space import TagSpaces
    from hashloom.types import Posts

TABLES = ("model", "prepare", "evaluate", "expected", "published")
WORDS = ("name", "about", "notes")
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def tell(text: str) -> None:
    """Say something to the person: on standard error, so that answers stay clean."""
    print(plain(text), file=sys.stderr, flush=True)


def plain(text: str, keep: str = "\n\t") -> str:
    """A text whose control characters a terminal shows and does not obey; ``keep`` names those that stay.

    >>> print(plain("\\x1b[31mred"))
    \\x1b[31mred
    """
    return _OBEYED.sub(lambda c: c[0] if c[0] in keep else c[0].encode("unicode_escape").decode("ascii"), text)


@contextmanager
def quiet() -> Iterator[None]:
    """No progress: the answers themselves are on the screen."""
    yield


# ---------------------------------------------------------------- posts and models


def given(path: Path, *, some: bool = False, strict: bool = False) -> Posts:
    """The posts of a file (``some``: at least one); what was refused is told."""
    from hashloom.data.read import BadInput, read

    with progress.stage(f"reading {path}"):
        posts, report = read(path, strict=strict)
    if untidy(report):
        tell(report.summary())
    if some and not len(posts):
        raise BadInput(f"{path}: holds no posts; nothing to learn from")
    return posts


def untidy(report: Report) -> bool:
    """Whether there is something to tell of a file that was read."""
    return bool(report.refused or report.duplicates or report.cut)


def check_apart(posts: Path, history: Path | None, out: Path | None) -> None:
    """Refuse standard input for two things at once, and answers written over the posts that are asked about."""
    from hashloom.data.read import BadInput

    if str(posts) == str(history) == "-":
        raise BadInput("only one of POSTS and --history can be standard input (-); give the other as a file")
    if out and out.exists() and posts.exists() and out.samefile(posts):
        raise BadInput(f"{out}: is the file of the posts themselves; choose another place for the answers")


def kept(folder: Path) -> Recommender | Forecaster:
    """The recommender or forecaster kept in a folder."""
    from hashloom.data.read import BadInput
    from hashloom.forecaster import Forecaster
    from hashloom.recommender import Recommender, load

    with progress.stage(f"loading {folder}"):
        model = load(folder)
    if not isinstance(model, Recommender | Forecaster):
        raise BadInput(f"{folder}: holds {type(model).__name__}, a part of a model; give a folder of hashloom train")
    return model


def recommender_in(folder: Path) -> Recommender:
    """The recommender kept in a folder; a forecaster is refused with the verb that fits it."""
    from hashloom.data.read import BadInput
    from hashloom.forecaster import Forecaster

    model = kept(folder)
    if isinstance(model, Forecaster):
        raise BadInput(f"{folder}: holds a forecaster ({model.name}), which suggests no tags; use: hashloom forecast")
    return model


def forecaster_in(folder: Path) -> Forecaster:
    """The forecaster kept in a folder; a recommender is refused with the verb that fits it."""
    from hashloom.data.read import BadInput
    from hashloom.recommender import Recommender

    model = kept(folder)
    if isinstance(model, Recommender):
        raise BadInput(
            f"{folder}: holds a recommender ({model.name}), which forecasts nothing; use: hashloom recommend"
        )
    return model


def tag_spaces(path: Path) -> TagSpaces:
    """The tag spaces of a JSON file: community → its list, aliases, denied tags."""
    import json

    from hashloom.data.read import BadInput
    from hashloom.tag_space import TagSpaces

    try:
        return TagSpaces.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        form = '{"bakers": {"tags": ["Rye", "Oat"], "closed": true, "denied": [], "aliases": {}}}'
        raise BadInput(f"{path}: cannot be read as tag spaces ({error}); write e.g. {form}") from None


def numbers(text: str) -> list[int]:
    """Different whole numbers between commas.

    >>> numbers("0, 1,2")
    [0, 1, 2]
    """
    from hashloom.data.read import BadInput

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts) or len(set(map(int, parts))) < len(parts):
        raise BadInput(f"--seeds {text}: wants different whole numbers with commas between, such as 0,1,2")
    return [int(part) for part in parts]


def counts(parts: Split) -> str:
    """How many posts were learnt from and held back."""
    sizes = {"training": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)}
    return ", ".join(f"{size:,} {name}" for name, size in sizes.items()) + " posts"


# ---------------------------------------------------------------- places


def check_model_place(folder: Path) -> None:
    """Refuse before hours of training what could not be written after them."""
    from hashloom.data.read import BadInput

    if (folder / "manifest.json").is_file():
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder}: is there and is no Hashloom model; choose another name")
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise BadInput(f"{folder}: cannot be written, because {above} cannot; choose another place")


def check_report_place(folder: Path) -> None:
    """Refuse a place that holds something else: a file, or a model, which one more file would damage."""
    from hashloom.data.read import BadInput

    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder}: is a file; the report needs a folder")
    if (folder / "manifest.json").exists():
        raise BadInput(f"{folder}: holds a model; choose another folder for the report")
    check_place(folder / "report.html") if folder.is_dir() else check_model_place(folder)


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
    from hashloom.forecaster import Forecaster
    from hashloom.recommender import Recommender

    recipe = changed(_shaped(catalogue.recipe(name), name), assignments or [])
    try:
        Preparation(**recipe["prepare"])
    except TypeError:
        wrong = next(iter(recipe["prepare"].keys() - vars(Preparation()).keys()), "")
        said = catalogue.no_such("field of [prepare] called", wrong, [*vars(Preparation())])
        raise catalogue.UnknownName(said) from None
    model = catalogue.build(recipe["model"])
    if isinstance(model, Forecaster) and recipe["prepare"]:
        raise catalogue.UnknownName(f"{name}: [prepare] counts tags and is for recommenders; take it out")
    if not isinstance(model, Recommender | Forecaster):
        lists = "hashloom list recommenders, hashloom list forecasters"
        raise catalogue.UnknownName(f"{name}: [model] names no recommender or forecaster; see {lists}")
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
