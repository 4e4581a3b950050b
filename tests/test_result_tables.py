"""The script that makes docs/results.md: which posts and rows its tables have, and the page and figure it writes."""

import sys
from pathlib import Path

import pytest
from world import checkerboard

from hashloom import catalogue
from hashloom.data.read import write
from hashloom.types import Post, Posts

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))

import result_tables
import results
from result_tables import TABLES, Table, set_where_known


@pytest.mark.parametrize("name", TABLES)
def test_the_rows_of_every_table_can_be_built(name):
    table = TABLES[name]
    rows = table.rows()
    assert [row["name"] for row in rows] == list(table.recipes)
    assert len({str(row["model"]) + str(row["prepare"]) for row in rows}) == len(rows)
    for row in rows:
        catalogue.build(row["model"])


def table(**fields):
    return Table("t", "posts.parquet", **{"recipes": ["popular", "own-frequency"]} | fields)


@pytest.fixture
def data(tmp_path, monkeypatch):
    posts = Posts.concat(checkerboard(users=24)).in_order()
    rows = [Post(p.id, f"{p.user}: {p.text}", p.community, p.user, p.created_at, tags=p.tags) for p in posts]
    rows += [Post(f"bare{i}", f"bare {i}", "even", created_at=rows[-1].created_at) for i in range(9)]
    write(Posts.of(rows), tmp_path / "posts.parquet")
    for module, name in ((result_tables, "DATA"), (results, "OUT"), (results, "KEPT")):
        monkeypatch.setattr(module, name, tmp_path if name == "DATA" else tmp_path / name.lower())
    return tmp_path


def test_the_latest_and_the_tagged_posts(data):
    whole = table().posts()
    assert len(whole) == 24 * 7 + 9
    assert table(latest=20).posts().ids == whole.ids[-20:]
    assert table(tagged_only=True, latest=20).posts().ids == [p.id for p in whole if p.tags][-20:]


def test_rare_tags_leave_the_vocabulary_of_the_rows_that_are_not_excepted():
    rows = table(min_tag_count=5, all_tags=["own-frequency"]).rows()
    assert [row["prepare"].get("min_tag_count", 1) for row in rows] == [5, 1]


def test_settings_reach_every_part_that_has_the_field():
    rows = table(recipes=["popular", "two-stage"], settings=[("neighbours", "7")]).rows()
    assert rows[0]["model"] == catalogue.recipe("popular")["model"]
    found = [maker.get("neighbours") for maker in rows[1]["model"]["makers"]]
    assert found.count(7) == sum(maker["model"] == "nearest" for maker in rows[1]["model"]["makers"]) > 0


def test_dots_go_inside_a_part_that_a_setting_names():
    held = {"model": "linear", "tokens": {"encoder": "tokens", "japanese": "unidic"}}
    assert set_where_known(held, "tokens.japanese", "ipadic")["tokens"]["japanese"] == "ipadic"


@pytest.mark.parametrize(
    "wrong", [{"pairs": [("popular", "x")]}, {"all_tags": ["x"]}, {"changes": {"x": [("decay", "1")]}}]
)
def test_what_is_no_row_is_refused(wrong):
    with pytest.raises(ValueError, match="'x' is no row"):
        table(**wrong).rows()


def test_a_run_writes_page_figure_and_report(data, monkeypatch):
    pairs = [("own-frequency", "popular")]
    monkeypatch.setitem(TABLES, "tiny", table(tagged_only=True, pairs=pairs, split="user", about="Of the sea."))
    results.run("tiny")
    said = (data / "out" / "tiny.md").read_text()
    for words in (
        "Of the sea.",
        "](tiny-curves.svg)",
        "best K",
        "own-frequency − popular",
        "split by user-",
        "F1 at each",
    ):
        assert words in said, words
    assert (data / "out" / "tiny-curves.svg").read_text().startswith("<svg")
    assert "Pair by pair" in (data / "kept" / "tiny.html").read_text()


def test_a_single_row_is_kept_for_the_run_that_puts_the_table_together(data, monkeypatch, capsys):
    monkeypatch.setitem(TABLES, "tiny", table(pairs=[("own-frequency", "popular")]))
    results.run("tiny", only=["popular"])
    assert not (data / "out").exists()
    (kept,) = (data / "kept").glob("*.parquet")
    before = kept.stat().st_mtime_ns
    results.run("tiny")
    assert kept.stat().st_mtime_ns == before
    assert len(list((data / "kept").glob("*.parquet"))) == 2
    assert capsys.readouterr().out.count("popular, seed 0: learning") == 1


def test_again_forgets_the_answers_of_this_row_alone(data, monkeypatch, capsys):
    monkeypatch.setitem(TABLES, "tiny", table(recipes=["popular", "popular-recent"]))
    results.run("tiny")
    results.run("tiny", only=["popular"], again=True)
    said = capsys.readouterr().out
    assert said.count("popular, seed 0: learning") == 2
    assert said.count("popular-recent, seed 0: learning") == 1
    assert len(list((data / "kept").glob("*.parquet"))) == 2


def test_an_unknown_row_is_refused(data):
    with pytest.raises(SystemExit, match="no row 'x'"):
        results.run("lobsters", only=["x"])


def test_links_to_figures_hold_in_the_page_of_all_tables(data, monkeypatch):
    monkeypatch.setattr(results, "ROOT", data)
    (data / "docs").mkdir()
    (data / "out").mkdir()
    (data / "out" / "introduction.md").write_text("# Results, see [evaluation](../evaluation.md)\n")
    (data / "out" / "mvsa.md").write_text("![Curves](mvsa-curves.svg)\n")
    results.page()
    said = (data / "docs" / "results.md").read_text()
    assert "](evaluation.md)" in said
    assert "](results/mvsa-curves.svg)" in said
