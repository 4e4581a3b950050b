"""The tables of forecasts in docs/results.md: which rows and posts they have, and the page that is written."""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hashloom import catalogue
from hashloom.data.read import write
from hashloom.types import Post, Posts

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import forecast_tables
import results
from forecast_tables import FORECASTS, ForecastTable

START = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", FORECASTS)
def test_the_rows_of_every_table_can_be_built_and_forecast_its_number(name):
    table = FORECASTS[name]
    rows = table.rows()
    assert [row["name"] for row in rows] == list(table.recipes)
    assert len({str(row["model"]) for row in rows}) == len(rows)
    for row in rows:
        assert catalogue.build(row["model"]).target == table.target


def test_pictures_are_looked_at_only_where_there_are_some():
    lobsters, instagram = (FORECASTS[f"forecast-{name}"] for name in ("lobsters", "instagram"))
    assert "image" not in lobsters.row("uhan")["model"] or lobsters.row("uhan")["model"]["image"] == "none"
    assert instagram.row("uhan")["model"]["image"]["cache"] == ".cache/pictures"


def test_pairs_name_rows_of_the_table():
    table = ForecastTable("t", "x", "likes", ["mean"], pairs=[("mean", "uhan")])
    with pytest.raises(ValueError, match="'uhan' is no row"):
        table.rows()
    assert ("uhan", "uhan-no-user") in FORECASTS["forecast-instagram"].pairs


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    rows = [
        Post(f"p{i}", f"number {i}", "c", f"u{i % 25}", START + timedelta(hours=i), likes=float(2 ** (i % 25 % 7)))
        for i in range(500)
    ]
    write(Posts.of(rows), tmp_path / "posts.parquet")
    monkeypatch.setattr(forecast_tables, "DATA", tmp_path)
    for name in ("OUT", "KEPT"):
        monkeypatch.setattr(results, name, tmp_path / name.lower())
    table = ForecastTable("Tiny", "posts.parquet", "likes", ["mean", "hisave"], users=20, about="Likes.")
    monkeypatch.setitem(FORECASTS, "tiny", table)
    return tmp_path


def test_a_table_is_written_with_its_formula_and_what_was_left_out(tiny, capsys):
    results.run("tiny")
    page = (tiny / "out" / "tiny.md").read_text(encoding="utf-8")
    assert page.startswith("## Tiny\n\nLikes.\n\n`python tools/results.py run tiny`")
    assert "Forecast is log2(max(likes, 0) + 1)." in page
    assert "100 not of the 20 authors with most training posts" in page
    assert (tiny / "kept" / "tiny.html").is_file()
    results.run("tiny", only=["mean"])
    assert "found in mean-" in capsys.readouterr().out
    results.run("tiny", only=["mean"], again=True)
    assert "found in mean-" not in capsys.readouterr().out


def test_an_unknown_row_is_refused(tiny):
    with pytest.raises(SystemExit, match="there are: mean; hisave"):
        results.run("tiny", only=["uhan"])


def test_the_page_shows_tables_of_forecasts(tiny, monkeypatch):
    monkeypatch.setattr(results, "ROOT", tiny)
    (tiny / "docs").mkdir()
    (tiny / "out").mkdir()
    (tiny / "out" / "introduction.md").write_text("# Results\n", encoding="utf-8")
    (tiny / "out" / "forecast-lobsters.md").write_text("## Forecasts here\n", encoding="utf-8")
    results.page()
    assert "## Forecasts here" in (tiny / "docs" / "results.md").read_text(encoding="utf-8")
