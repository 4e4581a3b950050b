"""docs/reliability.md says of every fault what happens: it leaves none out, and each test that it names exists."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
FAULTS = range(1, 37)
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


@cache
def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("number", FAULTS)
def test_every_fault_has_its_row(number):
    rows = [line for line in PAGE.splitlines() if re.match(rf"\| {number}[a-z]? \|", line)]
    assert rows, f"fault {number} is not on the page"
    assert all("`tests/" in row or "does not apply" in row or "not covered" in row for row in rows)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=lambda part: part)
def test_the_tests_it_names_exist(path, name):
    assert (ROOT / path).is_file()
    assert not name or name in functions_of(path)
