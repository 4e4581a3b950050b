"""What there is and how it is built from settings: the file name is the name, and being there registers it.

>>> "popular" in names("recommenders")
True
>>> settings(build({"model": "popular", "half_life_days": 7}))["half_life_days"]
7.0
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

ROOMS = {
    "recommenders": "model",
    "forecasters": "forecaster",
    "encoders": "encoder",
    "encoders.image": "image",
    "selections": "selection",
    "generators": "generator",
}
"""Room → the word that names one of its parts in settings. The first of these words in settings is what they name, so
that a recommender may have a field ``encoder``, ``image`` or ``selection``."""


class UnknownName(ValueError):
    """A name or field that does not exist; the message lists those that do."""


@dataclass(frozen=True)
class Setting:
    """One field of a part, as the listing, the config check and the model table show it."""

    name: str
    kind: str
    default: Any
    about: str


def names(room: str) -> list[str]:
    """Every part of a room by name; reading the list imports none of them.

    A file without a part of its own (the cache of encoders) starts with an underscore; a room inside a room
    (``encoders.image``) is asked for by itself.
    """
    if room == "recipes":
        return sorted(path.stem for path in _recipes().glob("*.toml"))
    try:
        package = _package(room)
    except ModuleNotFoundError:
        return []
    files = (m.name for m in pkgutil.iter_modules(package.__path__) if not m.ispkg)
    return sorted(name for name in files if not name.startswith("_"))


def _package(room: str) -> ModuleType:
    return importlib.import_module("hashloom.data.importers" if room == "importers" else f"hashloom.{room}")


@lru_cache(maxsize=256)
def find(room: str, name: str) -> type:
    """The dataclass that the file of this name holds."""
    if name not in names(room):
        raise UnknownName(no_such(one_of(room), name, names(room)))
    module = importlib.import_module(f"hashloom.{room}.{name}")
    own = (x for x in vars(module).values() if isinstance(x, type) and x.__module__ == module.__name__)
    named = [x for x in own if is_dataclass(x) and x.__name__.lower() == name.replace("_", "")]
    if len(named) != 1:
        raise UnknownName(f"hashloom/{room.replace('.', '/')}/{name}.py must hold one dataclass named like the file")
    return named[0]


def one_of(room: str) -> str:
    """What one thing of a room is called.

    >>> one_of("recommenders"), one_of("encoders.image")
    ('recommender', 'image encoder')
    """
    return "image encoder" if room == "encoders.image" else room.rpartition(".")[2].removesuffix("s")


def about(room: str, name: str) -> str:
    """The first line of what a part says of itself, read without importing it."""
    if room == "recipes":
        return str(recipe(name)["about"])
    package = _package(room)
    tree = ast.parse((Path(package.__path__[0]) / f"{name}.py").read_text(encoding="utf-8"))
    return (ast.get_docstring(tree) or "").split("\n")[0]


def listing(part: type) -> list[Setting]:
    """The fields of a part with type, default and the line that explains each."""
    notes = {name: note for kind in reversed(part.__mro__) if is_dataclass(kind) for name, note in _notes(kind).items()}
    hints = get_type_hints(part)
    rows = []
    for f in fields(part):
        default = (
            f.default if f.default is not MISSING else f.default_factory() if callable(f.default_factory) else None
        )
        kind = getattr(hints[f.name], "__name__", str(hints[f.name]).replace("typing.", ""))
        rows.append(Setting(f.name, kind, plain(default), notes.get(f.name, "")))
    return rows


def _notes(part: type) -> dict[str, str]:
    """Field → the text below it, of the fields that the class itself writes down."""
    body = ast.parse(inspect.cleandoc(inspect.getsource(part))).body[0]
    assert isinstance(body, ast.ClassDef)
    notes = {}
    for here, after in zip(body.body, body.body[1:], strict=False):
        said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name) and said:
            notes[here.target.id] = " ".join(str(after.value.value).split())  # type: ignore[attr-defined]
    return notes


def room_of(part: type) -> str:
    """The room that a part's class stands in: ``encoders.image`` of ``hashloom.encoders.image.vit``."""
    return ".".join(part.__module__.split(".")[1:-1])


def is_part(value: object) -> bool:
    """Whether a value is a recommender, encoder or forecaster (something that settings can name)."""
    kind = type(value)
    return is_dataclass(kind) and kind.__module__.startswith("hashloom.") and room_of(kind) in ROOMS


def settings(part: Any) -> dict[str, Any]:
    """The fields as JSON, parts held inside included: ``build(settings(x))`` equals ``x``."""
    kind = ROOMS[room_of(type(part))]
    held = {f.name: plain(getattr(part, f.name)) for f in fields(part)}
    return {kind: type(part).__module__.rsplit(".", 1)[-1]} | held


def plain(value: Any) -> Any:
    """A field's value as JSON: parts become their settings."""
    if is_part(value):
        return settings(value)
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def build(given: Mapping[str, Any]) -> Any:
    """Settings, nested ones too, made into the parts that they name; unknown names and fields are refused."""
    kind = _kind(given)
    if kind is None:
        raise UnknownName(f"settings must name a part by one of {', '.join(map(repr, ROOMS.values()))}: {dict(given)}")
    room = next(r for r, word in ROOMS.items() if word == kind)
    part = find(room, str(given[kind]))
    known = [f.name for f in fields(part)]
    for field in given.keys() - {kind}:
        if field not in known:
            raise UnknownName(no_such(f"field of {given[kind]!r} called", field, known))
    return part(**{name: _value(part, name, value) for name, value in given.items() if name != kind})


def _value(part: type, name: str, value: Any) -> Any:
    if _kind(value):
        value = build(value)
    elif isinstance(value, list):
        value = [build(v) if _kind(v) else v for v in value]
    return _checked(part, name, value)


def _checked(part: type, name: str, value: Any) -> Any:
    from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

    hint = get_type_hints(part, include_extras=True)[name]
    if value == "none" and type(None) in get_args(hint) and str not in get_args(hint):
        return None  # TOML has no word for it
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))
    except PydanticUserError:
        adapter = TypeAdapter(hint)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        file = part.__module__.rsplit(".", 1)[-1]
        raise UnknownName(f"field {name!r} of {file!r} cannot be {value!r}: {reason}") from None


def _kind(value: Any) -> str | None:
    return next((word for word in ROOMS.values() if word in value), None) if isinstance(value, Mapping) else None


def override(given: dict[str, Any], assignment: str) -> dict[str, Any]:
    """Settings with one ``field=value`` changed; dots go into held parts: ``makers.1.neighbours=50``.

    A part that stands in a field by default is led into as well (``likeness.dim=50`` of MaCon); naming another part
    (``image.image=vit``) leaves the former one's settings behind.

    >>> override({"model": "rerank", "makers": [{"model": "nearest"}]}, "makers.0.neighbours=50")
    {'model': 'rerank', 'makers': [{'model': 'nearest', 'neighbours': 50}]}
    """
    path, equals, text = assignment.partition("=")
    if not equals:
        raise UnknownName(f"--set wants field=value, not {assignment!r}")
    *way, last = path.strip().split(".")
    copy = _deep(given)
    place: Any = copy
    for step in way:
        if isinstance(place, dict) and step not in place:
            place |= _standing(place, step)
        try:
            place = place[range(len(place))[int(step)]] if isinstance(place, list) and step.isdigit() else place[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise UnknownName(f"--set {assignment}: there is nothing at {step!r}; here are {_here(place)}") from None
    if not isinstance(place, dict):
        lacking = "what stands before the last dot has no fields"
        what = f"name a field after the number, e.g. {path}.field=value" if isinstance(place, list) else lacking
        raise UnknownName(f"--set {assignment}: {what}")
    value = _literal(text)
    if last == _kind(place) and place[last] != value:
        place.clear()  # another part has other settings
    place[last] = value
    return copy


def _standing(given: Mapping[str, Any], field: str) -> dict[str, Any]:
    """The part that stands in a field that settings do not write down, so that dots lead into it."""
    kind = _kind(given)
    if kind is None:
        return {}
    room = next(r for r, word in ROOMS.items() if word == kind)
    defaults = {s.name: s.default for s in listing(find(room, str(given[kind])))}
    return {field: defaults[field]} if isinstance(defaults.get(field), dict) else {}


def _here(place: Any) -> str:
    if isinstance(place, list):
        return f"0 to {len(place) - 1}"
    return ", ".join(map(str, place)) if isinstance(place, dict) else repr(place)


def _deep(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _deep(v) for k, v in value.items()}
    return [_deep(v) for v in value] if isinstance(value, list) else value


def _literal(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def recipe(name: str) -> dict[str, Any]:
    """A recipe by its name, or from a path that ends in ``.toml``."""
    path = Path(name) if name.endswith(".toml") else _recipes() / f"{name}.toml"
    if not path.is_file():
        raise UnknownName(no_such("recipe", name, names("recipes")))
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UnknownName(f"{path}: not a recipe: {error}") from None
    if "model" not in found:
        raise UnknownName(f"{path}: a recipe needs a table [model]")
    return {"name": path.stem, "about": "", "prepare": {}, "published": {}, "expected": {}} | found


def _recipes() -> Path:
    return Path(__file__).parent / "recipes"


def no_such(what: str, name: str, known: list[str]) -> str:
    """What to say of a name that does not exist: the nearest one that does, and all of them.

    >>> no_such("recipe", "populer", ["linear", "popular"])
    "no recipe 'populer'; did you mean 'popular'? There are: linear, popular"
    """
    near = get_close_matches(name, known, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"no {what} {name!r}{hint} There are: {', '.join(known) or 'none'}"
