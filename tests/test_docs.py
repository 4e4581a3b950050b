"""The documents are true: their commands and examples run, their tables match the code, their links lead somewhere."""

import doctest
import importlib
import inspect
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from hashloom import catalogue, forecasters, recommenders
from hashloom.data.read import read
from hashloom.evaluate.formulas import COUNTS
from hashloom.evaluate.metrics import metrics
from hashloom.tag_space import TagSpace
from hashloom.types import POST_FIELDS

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = sorted(p for p in (ROOT / "src/hashloom").rglob("*.py") if ">>>" in p.read_text("utf-8"))
RUN = ("tutorial", "posts", "evaluation", "forecasting", "models-on-disk", "pictures-and-habit", "new-words")
ROOMS = ("recommenders", "forecasters", "encoders", "encoders.image", "selections", "generators")
PARTS = [n for room in ROOMS for n in catalogue.names(room)]
BLOCK = re.compile(r"^```(\w+) ?(\S*)\n(.*?)^```$", re.S | re.M)
SIGNS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def blocks(document):
    """Language, file name and text of each code block."""
    return BLOCK.findall(document.read_text("utf-8"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, with the samples beside, as in the folder of the project."""
    (tmp_path / "samples").symlink_to(SAMPLES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(command):
    """What a command says and its exit code, with this environment's ``hashloom``."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, shell=True, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=600
    )
    return done.stdout, done.returncode


def run_console(text):
    """Run each ``$`` line; what stands below it must be what it says. Only decimals may differ."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command, _, wanted = part.partition("\n")
        said, code = shell(command)
        assert (code == 0) != bool(re.search("^hashloom: ", wanted, re.M)), f"{command}\n{said}"
        if wanted:
            rough = [re.sub(r"\d+\.\d+", "0.0", s) for s in (wanted, said)]
            assert doctest.OutputChecker().check_output(*rough, SIGNS), f"{command}\nsays\n{said}\nand not\n{wanted}"


def run(document):
    space = {"__name__": document.stem}
    for language, _, text in blocks(document):
        if language == "python":
            exec(compile(text, str(document), "exec"), space)
        elif language == "console":
            run_console(text)


@pytest.mark.parametrize("name", RUN)
def test_the_examples_run_as_shown(name, folder):
    run(ROOT / "docs" / f"{name}.md")


def test_the_first_session_of_the_readme_runs(folder):
    posts = read("samples/posts.jsonl")[0][:120].frame
    posts.select("id", "community", "user", "created_at", "text").with_columns(
        posts["created_at"].dt.strftime("%Y-%m-%d %H:%M"), posts["tags"].list.join(",")
    ).write_csv("my-posts.csv")
    run(ROOT / "README.md")
    assert "<svg" in (folder / "report.html").read_text("utf-8")


def test_every_runnable_document_is_run():
    shown = {d.stem for d in DOCUMENTS for language, name, _ in blocks(d) if language == "console"}
    assert (
        shown
        == {"README", "tutorial", "evaluation", "forecasting", "pictures-and-habit", "new-words"}
        <= {"README", *RUN}
    )


@pytest.fixture
def weekday(folder, monkeypatch):
    """The recommender of the guide, put in place as the guide says."""
    yield from put_in_place("weekday", "adding-a-recommender", recommenders, folder, monkeypatch)


@pytest.fixture
def hourly(folder, monkeypatch):
    """The forecaster of the guide, put in place as the guide says."""
    yield from put_in_place("hourly", "adding-a-forecaster", forecasters, folder, monkeypatch)


def put_in_place(name, guide, room, folder, monkeypatch):
    for file, text in ((file, text) for _, file, text in blocks(ROOT / f"docs/{guide}.md") if file):
        (folder / file).write_text(text, "utf-8")
    monkeypatch.setattr(room, "__path__", [*room.__path__, str(folder)])
    yield name
    sys.modules.pop(f"{room.__name__}.{name}", None)
    catalogue.find.cache_clear()


def keep(contract, name, folder):
    """How many tests of a contract a part was given to."""
    kept = 0
    for test, check in vars(contract).items():
        wants = {"name": name, "tmp_path": folder / test}
        if test.startswith("test_") and set(inspect.signature(check).parameters) <= wants.keys():
            (folder / test).mkdir()
            check(**{n: wants[n] for n in inspect.signature(check).parameters})
            kept += 1
    contract.FITTED.pop(name, None)
    return kept


def test_the_guides_recommender_keeps_the_contract(weekday, folder):
    assert keep(importlib.import_module("test_every_recommender"), weekday, folder) >= 15


def test_the_guides_forecaster_keeps_the_contract(hourly, folder):
    assert keep(importlib.import_module("test_every_forecaster"), hourly, folder) >= 10


def test_the_guides_forecaster_learns_from_the_samples(hourly):
    posts = read("samples/posts.jsonl")[0]
    model = catalogue.build(catalogue.recipe("hourly.toml")["model"]).fit(posts[:500])
    assert model.prior == 50
    found = model.forecast(posts[500:], history=posts, explain=True)
    assert found.formula == "log2(max(views, 0) + 1)"
    assert np.allclose([sum(r.weight for r in row.reasons) for row in found], found.values)


def test_the_guides_recipe_learns_from_the_samples(weekday):
    recipe = catalogue.recipe("weekday.toml")
    posts = read("samples/posts.jsonl")[0]
    model = catalogue.build(recipe["model"]).fit(posts)
    assert model.smoothing == 0.2
    friday = model.recommend(posts[:1], 3, explain=True)[0].suggestions[0]
    assert friday.reasons[0].where == f"weekday {posts[0].created_at.isoweekday()}"


def test_the_tables_match_the_code():
    done = subprocess.run([sys.executable, ROOT / "tools/generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}\nremedy: python tools/generate.py"


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ("README.md", PARTS),
        ("docs/settings.md", PARTS),
        ("docs/pictures-and-habit.md", catalogue.names("encoders.image") + catalogue.names("selections")),
        ("docs/posts.md", catalogue.names("importers")),
        ("docs/posts.md", [*POST_FIELDS, *(f.name for f in fields(TagSpace) if f.name != "community")]),
        ("docs/evaluation.md", sorted(metrics().keys() - {f.__name__ for f in COUNTS})),
        ("docs/recipes/README.md", catalogue.names("recipes")),
    ],
)
def test_everything_there_is_stands_in_its_document(document, names):
    text = (ROOT / document).read_text("utf-8")
    assert names
    assert [n for n in names if f"`{n}`" not in text and f"[{n}]" not in text] == []


def test_each_recipe_has_a_page_and_each_page_a_recipe():
    pages = {p.stem for p in (ROOT / "docs/recipes").glob("*.md")} - {"README"}
    assert pages == set(catalogue.names("recipes"))


@pytest.mark.parametrize("name", catalogue.names("recipes"))
def test_each_recipe_can_be_built_and_names_its_source(name):
    recipe = catalogue.recipe(name)
    assert recipe["about"].endswith(".")
    catalogue.build(recipe["model"])
    if recipe["published"]:
        figures = {k: v for k, v in recipe["published"].items() if k != "source"}
        assert recipe["published"]["source"]
        assert figures
        assert all(0 < value < 1 for value in figures.values())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_lead_somewhere(document):
    text = BLOCK.sub("", document.read_text("utf-8"))
    lost = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link and not leads(document, link)]
    assert not lost


def leads(document, link):
    path, _, anchor = link.partition("#")
    target = (document.parent / path).resolve() if path else document
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(document):
    heads = re.findall(r"^#+ (.+)$", BLOCK.sub("", document.read_text("utf-8")), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_the_places_that_contributing_names_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    places = [p for p in re.findall(r"`((?:src|tests|samples|benchmarks|tools)/[\w./]*)`", text) if "weekday" not in p]
    assert len(places) > 10
    assert [p for p in places if not (ROOT / p).exists()] == []


def test_the_readme_counts_the_samples_right():
    said = re.search(r"(\d+) posts in samples/", (ROOT / "README.md").read_text("utf-8"))
    assert said
    assert int(said[1]) == len((SAMPLES / "posts.jsonl").read_text("utf-8").splitlines())


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT / "src/hashloom")))
def test_the_examples_in_the_code_run(path):
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts).removesuffix(".__init__")
    done = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert done.attempted
    assert not done.failed
