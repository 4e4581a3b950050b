"""What there is, as text: the lines of ``hashloom list``, all taken from the code itself."""

from __future__ import annotations

import json
from typing import Any

from hashloom import catalogue


def lines(room: str) -> str:
    """One line each: the name and what it is.

    >>> lines("importers").splitlines()[0].split()[0]
    'csv'
    """
    rows = [(name, _about(room, name)) for name in _names(room)]
    wide = max((len(name) for name, _ in rows), default=0)
    return "\n".join(f"{name.ljust(wide)}  {about}".rstrip() for name, about in rows)


def details(room: str, names: list[str] | None = None) -> str:
    """Everything about each of the names, or about all: fields with type, default and explanation, or definitions.

    >>> print(details("metrics", ["hit"]).splitlines()[0].split(":")[0])
    hit
    """
    known = _names(room)
    for name in names or []:
        if name not in known:
            raise catalogue.UnknownName(catalogue.no_such(catalogue.one_of(_package(room)), name, known))
    return "\n\n".join(f"{name}: {_about(room, name)}\n{_detail(room, name)}".rstrip() for name in names or known)


def _names(room: str) -> list[str]:
    if room == "metrics":
        from hashloom.evaluate.metrics import metrics

        return list(metrics())
    return catalogue.names(_package(room))


def _package(room: str) -> str:
    return {"importers": "data.importers", "images": "encoders.image"}.get(room, room)


def _about(room: str, name: str) -> str:
    if room == "metrics":
        from hashloom.evaluate.metrics import metrics

        return metrics()[name].about
    return catalogue.recipe(name)["about"] if room == "recipes" else catalogue.about(_package(room), name)


def _detail(room: str, name: str) -> str:
    if room == "metrics":
        from hashloom.evaluate.metrics import metrics

        one = metrics()[name]
        return f"  formula  {one.formula}\n  range    {one.range}\n  used by  {one.source}"
    if room == "recipes":
        said = {k: v for k, v in catalogue.recipe(name).items() if k not in ("name", "about") and v}
        return "\n".join(f"  [{k}] {json.dumps(v, ensure_ascii=False)}" for k, v in said.items())
    return "" if room == "importers" else _fields(catalogue.find(_package(room), name))


def _fields(part: type) -> str:
    rows = [(s.name, s.kind, _short(s.default), s.about) for s in catalogue.listing(part)]
    wide = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    return "\n".join("  " + "  ".join(c.ljust(w) for c, w in zip(row, [*wide, 0])).rstrip() for row in rows)


def _short(default: Any) -> str:
    """A default as it would be written in settings; parts held inside by their names alone."""
    if isinstance(default, list):
        return "[" + ", ".join(map(_short, default)) + "]"
    if isinstance(default, dict):
        return next((default[word] for word in catalogue.ROOMS.values() if word in default), json.dumps(default))
    return json.dumps(default, ensure_ascii=False)
