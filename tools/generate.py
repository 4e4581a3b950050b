"""Make the tables of the documents from the code: ``python tools/generate.py [--check]``.

A table stands between ``<!-- made: MAKER WORD -->`` and ``<!-- /made -->``. A recipe without a page gets one.
"""

from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from hashloom import catalogue
from hashloom.evaluate.formulas import COUNTS
from hashloom.evaluate.metrics import ALIASES, metrics

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- made: (\w+) ?([\w.-]*) -->\n).*?(<!-- /made -->)", re.S)
PAGE = """# {name}

{about}

<!-- made: recipe {name} -->
<!-- /made -->
"""

Rows = Iterable[Iterable[Any]]


def table(head: str, rows: Rows) -> str:
    """A Markdown table; ``head`` names the columns, parted by bars."""
    heads = head.split("|")
    lines = ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    return "\n".join(["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads), *lines])


def cell(value: Any) -> str:
    """A value as it stands in a table: one line, bars escaped."""
    return re.sub(r"``?([^`]+)``?", r"`\1`", " ".join(str(value).split())).replace("|", "\\|")


def code(value: Any) -> str:
    """A setting's value as TOML and JSON write it; a part inside is named by its file."""
    if isinstance(value, dict):
        return next(f"`{value[word]}`" for word in catalogue.ROOMS.values() if word in value)
    if isinstance(value, list):
        return ", ".join(map(code, value)) or "none"
    return "none" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def recommenders() -> str:
    """Every recommender, linked to its settings, with the recipes that start from it."""
    return _models("recommenders")


def forecasters() -> str:
    """Every forecaster, linked to its settings, with the recipes that start from it."""
    return _models("forecasters")


def _models(room: str) -> str:
    started = {n: ", ".join(_started(catalogue.ROOMS[room], n)) for n in names(room)}
    return table("name|what it does|recipes", ([_to_settings(n), about(room, n), started[n]] for n in names(room)))


def parts(room: str) -> str:
    """Every part of a room, linked to its settings."""
    return table("name|what it does", ([_to_settings(n), about(room, n)] for n in names(room)))


def names(room: str) -> list[str]:
    """The names of a room, in order of the alphabet."""
    return catalogue.names(room)


def about(room: str, name: str) -> str:
    """The line that a part says of itself, without its own name."""
    return re.sub(r"^\w+: (\w)", lambda found: found[1].upper(), catalogue.about(room, name)).rstrip(".") + "."


def _to_settings(name: str) -> str:
    return f"[`{name}`](docs/settings.md#{name})"


def _started(word: str, name: str) -> Iterator[str]:
    for recipe in names("recipes"):
        if catalogue.recipe(recipe)["model"].get(word) == name:
            yield f"[{recipe}](docs/recipes/{recipe}.md)"


def fields(room: str) -> str:
    """Every setting of every part of a room, under a heading for each part."""
    return "\n\n".join(f"### `{n}`\n\n{about(room, n)}\n\n{_settings(room, n)}" for n in names(room))


def _settings(room: str, name: str) -> str:
    hints = get_type_hints(catalogue.find(room, name))
    rows = ([f"`{s.name}`", kind(hints[s.name]), code(s.default), s.about] for s in _listing(room, name))
    return table("setting|type|default|what it does", rows)


def kind(hint: Any) -> str:
    """A type as a reader knows it: the choices of a literal, the plain names of all else."""
    if get_origin(hint) is Literal:
        return ", ".join(map(code, get_args(hint)))
    return f"`{re.sub(r'hashloom[.a-z_]+[.]', '', str(hint) if get_args(hint) else hint.__name__)}`"


def _listing(room: str, name: str) -> list[catalogue.Setting]:
    return catalogue.listing(catalogue.find(room, name))


def service() -> str:
    """Every setting of the service."""
    from hashloom.serve.settings import ServeSettings

    hints = get_type_hints(ServeSettings)
    rows = ([f"`{s.name}`", kind(hints[s.name]), code(s.default), s.about] for s in catalogue.listing(ServeSettings))
    return table("setting|type|default|what it does", rows)


def importers() -> str:
    """Every source of posts."""
    return table("kind|what it reads", ([f"`{n}`", catalogue.about("importers", n)] for n in names("importers")))


def measures() -> str:
    """Every metric with its exact definition."""
    other = {name: alias for alias, name in ALIASES.items()}
    shown = (m for m in metrics().values() if m.name not in {f.__name__ for f in COUNTS})
    rows = ([f"`{m.name}`", f"`{other[m.name]}`" if m.name in other else "", m.about, m.formula] for m in shown)
    return table("id|also|what it says|formula", rows)


def recipes(kind: str) -> str:
    """Every recipe of a recommender (``model``) or ``forecaster``, with a link to its page."""
    found = {n: catalogue.recipe(n) for n in names("recipes")}
    of_kind = ([f"[{n}]({n}.md)", r["about"]] for n, r in found.items() if _word(r["model"]) == kind)
    return table("recipe|what it does", of_kind)


def _word(settings: dict[str, Any]) -> str:
    return next(word for word in catalogue.ROOMS.values() if word in settings)


def recipe(name: str) -> str:
    """A recipe's page below its prose: how to run it, its settings, the published figures."""
    found = catalogue.recipe(name)
    parts = [_run(name, found["model"]), _model(found["model"]), _prepare(found["prepare"])]
    parts += [_notes(found.get("notes", "")), _expected(found["expected"])]
    return "\n\n".join(part for part in [*parts, _published(found["published"])] if part)


def _run(name: str, model: dict[str, Any]) -> str:
    train = f"hashloom train {name} posts.parquet -o model"
    compare = f"hashloom compare {name} {_floor(name, model)} --posts posts.parquet -o report"
    return f"## Run it\n\n```sh\n{train}\n{compare}\n```"


def _floor(name: str, model: dict[str, Any]) -> str:
    if _word(model) == "model":
        return "popular"
    return "mean" if name == "author-mean" else "author-mean"


def _model(model: dict[str, Any]) -> str:
    note = "**Bold**: set in the recipe. All else stands at its default; [settings](../settings.md) has every part's."
    rows = list(_rows(model, ""))
    return f"## Settings\n\n{note}\n\n" + table("setting|value|what it does", rows)


def _rows(part: dict[str, Any], path: str) -> Iterator[list[str]]:
    """The outermost part's settings, then those that the recipe sets in the parts inside."""
    room, word = next((room, word) for room, word in catalogue.ROOMS.items() if word in part)
    yield [f"`{path}{word}`", f"**`{part[word]}`**", about(room, part[word])]
    for s in _listing(room, part[word]):
        if s.name in part:
            yield [f"`{path}{s.name}`", f"**{code(part[s.name])}**", s.about]
            for where, inner in _inside(part[s.name]):
                yield from _rows(inner, f"{path}{s.name}.{where}")
        elif not path:
            yield [f"`{s.name}`", code(s.default), s.about]


def _inside(value: Any) -> list[tuple[str, dict[str, Any]]]:
    many = value if isinstance(value, list) else [value]
    return [(f"{i}." if value is many else "", v) for i, v in enumerate(many) if isinstance(v, dict)]


def _prepare(settings: dict[str, Any]) -> str:
    from hashloom.data.prepare import Preparation

    notes = catalogue.listing(Preparation)
    rows = ([f"`{s.name}`", code(settings[s.name]), s.about] for s in notes if s.name in settings)
    return "## Preparation\n\n" + table("setting|value|what it does", rows) if settings else ""


def _notes(said: str) -> str:
    return f"## Notes\n\n{said}" if said else ""


def _expected(band: dict[str, Any]) -> str:
    if not band:
        return ""
    rows = ([f"`{name}`", _band(ends)] for name, ends in band.items())
    note = "On the posts in `samples/`, split by time; a test holds it there."
    return f"## Expected\n\n{note}\n\n" + table("metric|band", rows)


def _band(ends: Any) -> Any:
    return " to ".join(map(str, ends)) if isinstance(ends, list) else ends


def _published(figures: dict[str, Any]) -> str:
    where = "[docs/results.md](../results.md) has what was measured here"
    if not figures:
        return f"## Figures\n\nNo paper gives figures for exactly this. {where}."
    rows = ([f"`{name}`", f"{value:.4f}"] for name, value in figures.items() if isinstance(value, float))
    said = f"Source: {figures['source']}. Other posts than ours: compare the order of methods, not the level."
    return f"## Figures\n\n{said} {where}.\n\n" + table("metric|published", rows)


MAKERS: dict[str, Callable[..., str]] = {
    maker.__name__: maker
    for maker in (recommenders, forecasters, parts, fields, service, importers, measures, recipes, recipe)
}


def made(text: str) -> str:
    """The document with each of its tables made anew."""

    def fill(found: re.Match[str]) -> str:
        maker, word = MAKERS[found[2]], found[3]
        block = maker(word) if inspect.signature(maker).parameters else maker()
        return f"{found[1]}\n{block}\n\n{found[4]}"

    return BLOCK.sub(fill, text)


def documents() -> dict[Path, str]:
    """Every document that has tables, as it should be."""
    pages = {ROOT / "docs/recipes" / f"{name}.md": name for name in names("recipes")}
    there = {path: path.read_text("utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]}
    new = {
        path: PAGE.format(name=name, about=catalogue.recipe(name)["about"])
        for path, name in pages.items()
        if path not in there
    }
    return {path: made(text) for path, text in (there | new).items() if BLOCK.search(text)}


def main(check: bool) -> int:
    """Write what differs, or only name it; the number of documents that differ."""
    differ = {p: t for p, t in documents().items() if not p.exists() or p.read_text("utf-8") != t}
    for path, text in differ.items():
        print(("differs from the code: " if check else "made ") + str(path.relative_to(ROOT)))
        if not check:
            path.write_text(text, "utf-8")
    return len(differ) if check else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, only say what differs")
    sys.exit(1 if main(parser.parse_args().check) else 0)
