"""The import map of the design, executed: imports run downhill only, heavy libraries wait until they are needed."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hashloom

SOURCE = Path(hashloom.__file__).parent
DOWNHILL = (
    ("types", "progress"),
    ("tags",),
    ("tag_space", "platforms"),
    ("mentions",),
    ("sensitive",),
    ("catalogue",),
    ("keeping",),
    ("data",),
    ("networks",),
    ("encoders", "selections"),
    ("generators",),
    ("recommender",),
    ("forecaster",),
    ("recommenders", "forecasters"),
    ("evaluate",),
    ("explain",),
    ("store",),
    ("client_things", "client_sending"),
    ("client",),
    ("serve",),
    ("cli_answers", "cli_errors", "cli_files", "cli_list"),
    ("cli_forecasts", "cli_explain", "cli_serve"),
    ("cli_upkeep",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(DOWNHILL) for room in rooms}
LATE = {
    "torch",
    "sklearn",
    "transformers",
    "sentence_transformers",
    "lightgbm",
    "matplotlib",
    "onnxruntime",
    "PIL",
    "rich",
    "py7zr",
}
"""Libraries that are imported where they are used, never when a file of ours is; networks, and the training of a
recommender or forecaster (``…_training.py``), are torch throughout."""

FILES = sorted(SOURCE.rglob("*.py"))


def room_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imported(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file, ``from hashloom import x`` read as ``hashloom.x``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            if node.module == "hashloom":
                yield from (f"hashloom.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""


def at_once(tree: ast.Module) -> Iterator[str]:
    """What is imported as soon as the file is."""
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_downhill(path: Path) -> None:
    room, tree = room_of(path), ast.parse(path.read_text(encoding="utf-8"))
    if room == "__init__":
        return  # the public face stands over all rooms; it loads each name when it is used
    assert room in LEVEL, f"{room} is a new room: give it its place in DOWNHILL"
    for module in imported(tree):
        if not module.startswith("hashloom.") or module == "hashloom.__version__":
            continue
        other = module.split(".")[1]
        assert LEVEL[other] <= LEVEL[room], f"{path.name} imports {module}, uphill"
        assert other == room or LEVEL[other] < LEVEL[room], f"{path.name} imports {module}, beside it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_heavy_libraries_wait_until_they_are_used(path: Path) -> None:
    trains = room_of(path) in ("recommenders", "forecasters") and path.name.endswith("_training.py")
    allowed = {"torch"} if trains or room_of(path) == "networks" else set()
    found = {module.split(".")[0] for module in at_once(ast.parse(path.read_text(encoding="utf-8")))}
    assert not (found & LATE) - allowed


def test_every_file_says_what_it_is_in_its_first_line() -> None:
    first = {
        path: (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0] for path in FILES
    }
    assert not [path for path, line in first.items() if len(line) < 20]
