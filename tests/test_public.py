"""The public face: sorted, whole, typed as it is loaded, and light."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import hashloom

HEAVY = {
    "numpy",
    "polars",
    "sklearn",
    "scipy",
    "torch",
    "transformers",
    "lightgbm",
    "matplotlib",
    "rich",
    "typer",
    "pydantic",
}


def test_it_is_sorted_and_of_a_size_that_a_person_can_keep_in_mind():
    assert hashloom.__all__ == sorted(set(hashloom.__all__))
    assert 20 <= len(hashloom.__all__) <= 30
    assert set(dir(hashloom)) == {*hashloom.__all__, "__version__"}


@pytest.mark.parametrize("name", hashloom.__all__)
def test_every_name_is_what_its_home_holds(name):
    home = next(home for home, names in hashloom._HOMES.items() if name in names)
    assert getattr(hashloom, name) is getattr(import_module(f"hashloom.{home}"), name)


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(hashloom.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {(node.module, alias.name) for node in block.body for alias in node.names}
    assert seen == {(f"hashloom.{home}", name) for home, names in hashloom._HOMES.items() for name in names}
    assert {name for _, name in seen} == set(hashloom.__all__)


def test_a_name_that_is_not_there_is_refused_by_name():
    with pytest.raises(AttributeError, match="nonsense"):
        hashloom.nonsense  # noqa: B018


def test_importing_it_and_its_command_line_loads_nothing_heavy():
    light = HEAVY - {"typer"}
    code = "import sys, hashloom; a = set(sys.modules); import hashloom.cli; print(*a); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    package, command_line = (set(line.split()) for line in done.stdout.splitlines())
    assert not package & HEAVY
    assert not command_line & light
