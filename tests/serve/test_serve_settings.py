"""``hashloom serve --set``: every setting by name, read by its type; what cannot be is refused with the remedy."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from hashloom.cli_serve import _settings
from hashloom.data.read import BadInput
from hashloom.serve.settings import FIXED, MAY_BE_0, ServeSettings


def written(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value).lower()


@pytest.mark.parametrize("name", [f.name for f in fields(ServeSettings)])
def test_every_setting_is_set_by_its_name(name: str) -> None:
    there = getattr(ServeSettings(), name)
    values = {bool: not there, int: 3, float: 0.125, str: "one", tuple: ("https://a.example", "https://b.example")}
    made = ServeSettings().changed([f"{name} = {written(values[type(there)])}"])
    assert getattr(made, name) == values[type(there)]
    assert type(getattr(made, name)) is type(there)
    assert {f.name for f in fields(made) if getattr(made, f.name) != getattr(ServeSettings(), f.name)} == {name}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("max_kk=3", "no setting 'max_kk'; did you mean 'max_k'?"),
        ("zzz=3", "no setting 'zzz'. All: docs/settings.md"),
        ("max_k", "write it as FIELD=VALUE"),
        ("max_k=2.5", "max_k is a whole number, not '2.5'"),
        ("budget=soon", "budget is a number, not 'soon'"),
        ("budget=nan", "budget must be above 0"),
        ("threads=0", "threads must be above 0"),
        ("warm=-1", "warm must be 0 or more"),
        ("learn=yes", "learn is true or false, not 'yes'"),
        ("anonymous=all", "anonymous is each or one, not 'all'"),
        ("recommender=", "recommender is a name, not ''"),
        ("max_k=51", "max_k may be set lower than the 50 that the API takes"),
        ("origins=*", "*"),
    ],
)
def test_what_cannot_be_is_refused(given: str, said: str) -> None:
    with pytest.raises(BadInput) as told:
        _settings([given], [])
    assert str(told.value).startswith("--set")
    assert said in str(told.value)


def test_limits_at_their_ends() -> None:
    for name in FIXED:
        most = getattr(ServeSettings(), name)
        assert getattr(ServeSettings().changed([f"{name}={most}"]), name) == most
        with pytest.raises(ValueError, match="not higher"):
            ServeSettings().changed([f"{name}={most + 1}"])
    for name in MAY_BE_0:
        assert getattr(ServeSettings().changed([f"{name}=0"]), name) == 0


def test_origins_come_from_both_options() -> None:
    made = _settings(["origins=https://a.example, https://b.example"], ["https://b.example", "https://c.example"])
    assert made.origins == ("https://a.example", "https://b.example", "https://c.example")


def test_the_document_names_every_setting() -> None:
    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text("utf-8").split("## Service")[1]
    assert [f.name for f in fields(ServeSettings) if f"| `{f.name}` |" not in text] == []
