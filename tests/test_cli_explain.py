"""``hashloom explain`` and the dial on the command line, asked for odd things: what is drawn, and what is refused."""

import json
from pathlib import Path

import pytest
from world import checkerboard

from hashloom import build, cli, keeping
from hashloom.data.read import write
from hashloom.recommenders.linear import Linear


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recommender, forecasters of one name in folders of one name, and posts."""
    folder = tmp_path_factory.mktemp("kept")
    posts, held = checkerboard()
    keeping.save(Linear().fit(posts), folder / "tags")
    numbers = build({"forecaster": "mean", "target": "score"}).fit(
        type(posts)(posts.frame.with_row_index("score").with_columns(score="score"))
    )
    for place in ("a", "b", "c"):
        (folder / place).mkdir()
        keeping.save(numbers, folder / place / "mean")
    write(held, folder / "posts.jsonl")
    return folder


def test_a_minus_for_the_page_is_standard_output_as_everywhere(kept, capsysbinary, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run("explain", kept / "tags", kept / "posts.jsonl", "-o", "-", "--no-occlude") == 0
    said = capsysbinary.readouterr()
    assert said.out.startswith(b"<!doctype html>")
    assert said.out.rstrip().endswith(b"</html>")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["why.png", "why.PDF", "why.txt", "why.json"])
def test_a_folder_is_not_made_where_another_file_was_meant(kept, tmp_path, capsys, name):
    assert run("explain", kept / "tags", kept / "posts.jsonl", "-o", tmp_path / name) == 2
    assert "name a page (why.html) or a folder" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_post_named_twice_is_drawn_once(kept, tmp_path):
    twice = ["--id", "0-6", "--id", "0-6", "--no-occlude"]
    assert run("explain", kept / "tags", kept / "posts.jsonl", "-o", tmp_path / "page.html", *twice) == 0
    assert run("explain", kept / "tags", kept / "posts.jsonl", "-o", tmp_path / "pages", *twice) == 0
    assert len(list((tmp_path / "pages").glob("0*.html"))) == 1


def test_forecasters_of_one_name_stand_side_by_side(kept, tmp_path):
    page = tmp_path / "page.html"
    more = [part for place in ("b", "c") for part in ("--forecaster", kept / place / "mean")]
    assert run("explain", kept / "a" / "mean", kept / "posts.jsonl", "-o", page, *more, "--no-occlude") == 0
    assert page.read_text(encoding="utf-8").count('<p class="expected">') == 3


def test_another_site_is_not_written_over(kept, tmp_path, capsys):
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<h1>My bakery</h1>")
    asked = ["explain", kept / "tags", kept / "posts.jsonl", "-o", site, "--no-occlude"]
    assert run(*asked) == 2
    assert "index.html: is there and was not made by hashloom explain" in capsys.readouterr().err
    assert [path.name for path in site.iterdir()] == ["index.html"]
    (site / "index.html").unlink()
    assert run(*asked) == run(*asked) == 0


def test_an_unknown_community_is_named(kept, tmp_path, capsys):
    strange = tmp_path / "strange.jsonl"
    strange.write_text(json.dumps({"id": "s", "text": "rye", "community": "nowhere"}) + "\n")
    assert run("explain", kept / "tags", strange, "-o", tmp_path / "page.html") == 0
    assert "the model knows no community 'nowhere'" in capsys.readouterr().err
    assert run("explain", kept / "tags", kept / "posts.jsonl", "-o", tmp_path / "page.html") == 0
    assert "knows no community" not in capsys.readouterr().err


def test_a_dial_at_nothing_is_as_without_it(kept, capsys):
    made = []
    for dial in ([], ["--dial", 0, "--forecaster", kept / "a" / "mean"]):
        assert run("recommend", kept / "tags", kept / "posts.jsonl", "-k", 3, *dial) == 0
        made.append(capsys.readouterr().out)
    assert made[0] == made[1]
    assert run("recommend", kept / "tags", kept / "posts.jsonl", "--dial", 0) == 2
    assert "--forecaster and --dial go together" in capsys.readouterr().err
