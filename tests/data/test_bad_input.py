"""Bad files of every kind: a clear message with place and remedy, no traceback, the other rows kept."""

from __future__ import annotations

import gzip
import json
import lzma
import random
import time
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from data import sources

from hashloom.data import unpack
from hashloom.data.read import BadInput, Row, collect, import_posts, importers, read

GOOD = b'{"id": "good", "text": "sun"}\n'


def kept(tmp_path: Path, *lines: bytes) -> list[str]:
    """Reads the lines between two good ones and returns the problems."""
    path = tmp_path / "p.jsonl"
    path.write_bytes(GOOD + b"".join(line + b"\n" for line in lines) + GOOD.replace(b"good", b"last"))
    posts, report = read(path)
    assert {"good", "last"} <= set(posts.ids)
    return [str(problem) for problem in report.problems]


def refusal(kind: str, path: Path) -> str:
    """The message with which an import is refused, or nothing where posts came out of it."""
    try:
        import_posts(kind, [path])
    except BadInput as error:
        return str(error) or "refused without a word"
    return ""


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b'{"id": 1, "text": "x"', "broken JSON"),
        (b'{"id": 1, "text": "x"} trailing', "broken JSON"),
        (b"[1, 2]", "must be a JSON object, not list"),
        (b"null", "must be a JSON object"),
        (b'{"id": 1, "text": "\xff\xfe"}', "broken UTF-8 at byte 19"),
        (b'{"id": 1, "text": "\xc0\xaf"}', "broken UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"id": 1, "text": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", "nested too deeply"),
        (b'{"id": 1, "text": "x", "n": ' + b"9" * 10_000 + b"}", "broken JSON"),
        (b'{"id": 1, "text": 5}', "text must be a string, not 5"),
        (b'{"id": 1, "text": ["x"]}', "text must be a string"),
        (b'{"id": true, "text": "x"}', "id must be a string, not True"),
        (b'{"id": 1.5, "text": "x"}', "id must be a string, not 1.5"),
        (b'{"id": {}, "text": "x"}', "id must be a string"),
        (b'{"id": "  ", "text": "x"}', "no id"),
        (b'{"id": "' + b"i" * 2_000 + b'", "text": "x"}', "id has 2,000 characters"),
        (b'{"id": 1, "text": "x", "user": []}', "user must be a string"),
        (b'{"id": 1, "text": "x", "tags": 7}', "tags must be a list, not 7"),
        (b'{"id": 1, "text": "x", "tags": [{"a": 1}]}', "tags must hold strings"),
        (b'{"id": 1, "images": {"a": 1}}', "images must be a list"),
        (b'{"id": 1, "text": "x", "likes": "many"}', "likes must be a number, not 'many'"),
        (b'{"id": 1, "text": "x", "likes": 1e400}', "likes is not a finite number"),
        (b'{"id": 1, "text": "x", "likes": -Infinity}', "likes is not a finite number"),
        (b'{"id": 1, "text": "x", "likes": ' + b"9" * 400 + b"}", "likes must be a number"),
        (b'{"id": 1, "text": "x", "likes": true}', "likes must be a number"),
        (b'{"id": 1, "text": "x", "views": -1}', "views is -1, below zero"),
        (b'{"id": 1, "text": "x", "created_at": "2025-03-02T07:41:00"}', "--zone Europe/Berlin"),
        (b'{"id": 1, "text": "x", "created_at": 1e400}', "the number is no time"),
        (b'{"id": 1, "text": "x", "created_at": {"$date": 1}}', "is no time"),
    ],
)
def test_a_bad_line_costs_one_line(line: bytes, says: str, tmp_path: Path) -> None:
    problems = kept(tmp_path, line)
    assert len(problems) == 1
    assert problems[0].startswith("p.jsonl:2: ")
    assert says in problems[0]
    assert len(problems[0]) < 300


def test_lines_that_look_bad_and_are_not(tmp_path: Path) -> None:
    assert (
        kept(
            tmp_path,
            b"",
            b"   ",
            b'{"id": 1, "text": "x", "likes": NaN, "n": NaN}',
            b'{"id": 2, "id": 3, "text": "y"}\r',
        )
        == []
    )


def test_unusable_characters_are_replaced(tmp_path: Path) -> None:
    posts, report = collect(
        [Row("a:1", {"id": "i\x00", "text": "\ud83d a\x00b", "tags": ["r\ud800ye"], "user": "\udfff"})]
    )
    post = posts[0]
    assert (post.id, post.text, post.user) == ("i\ufffd", "\ufffd a\ufffdb", "\ufffd")
    assert post.tags == ("r\ufffdye",)
    assert report.refused == 0
    path = tmp_path / "p.jsonl"
    path.write_bytes(rb'{"id": 1, "text": "\ud83d x \u0000", "\ud800": 1}' + b"\n")
    posts, _ = read(path)
    assert posts.texts == ["\ufffd x \ufffd"]
    posts.frame.write_parquet(tmp_path / "p.parquet")
    assert read(tmp_path / "p.parquet")[0].texts == posts.texts


def test_columns_named_as_ours_are_left_out_and_said(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": ["a"], "text": ["x"], "hashloom: row": [5], "hashloom: lost": [True], "mood": ["fine"]})
    frame.write_parquet(tmp_path / "p.parquet")
    posts, report = read(tmp_path / "p.parquet")
    assert posts.ids == ["a"]
    assert posts.frame["mood"].to_list() == ["fine"]
    assert report.left_out == ["hashloom: row", "hashloom: lost"]


@pytest.mark.parametrize(("name", "says"), [("none", "no such file"), ("folder", "is a folder"), ("void", "is empty")])
def test_a_file_that_gives_nothing_is_said_once(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "void.jsonl").touch()
    with pytest.raises(BadInput) as caught:
        read(tmp_path / f"{name}.jsonl")
    assert str(caught.value).startswith(f"{tmp_path / name}.jsonl: {says}")


def test_control_characters_reach_no_terminal(tmp_path: Path) -> None:
    problem = kept(tmp_path, b'{"id": 1, "text": "x", "likes": "\\u001b[31mred"}')[0]
    assert "\x1b" not in problem


def test_a_megabyte_of_text_is_cut_and_counted() -> None:
    start = time.process_time()
    texts = ["word " * 200_000, "x" * 10**6, "#tag " * 200_000, "#" * 10**6, "#a" * 500_000, "é" * 10**6]
    posts, report = collect([Row(f"a:{i}", {"id": i, "text": text}) for i, text in enumerate(texts)])
    assert (len(posts), report.cut) == (6, 6)
    assert max(map(len, posts.texts)) == 100_000
    assert posts.texts[0].endswith("word")
    assert time.process_time() - start < 20


def test_a_hundred_thousand_hashtags_in_a_post() -> None:
    start = time.process_time()
    many = [f"t{i}" for i in range(100_000)]
    rows = [{"id": 1, "text": " ".join(f"#{t}" for t in many)}, {"id": 2, "text": "x", "tags": many}]
    posts, report = collect([Row(f"a:{i}", row) for i, row in enumerate(rows)])
    assert [len(tags) for tags in posts.tags] == [500, 500]
    assert posts.tags[0] == posts.tags[1] == many[:500]
    assert (posts.texts[0], report.cut) == ("", 2)
    assert time.process_time() - start < 20


def test_a_million_keys_do_not_become_a_million_columns(tmp_path: Path) -> None:
    row = {"id": 1, "text": "x"} | {f"k{i}": i for i in range(20_000)}
    (tmp_path / "p.jsonl").write_text(json.dumps(row))
    posts, report = read(tmp_path / "p.jsonl")
    assert len(posts.frame.columns) < 250
    assert report.left_out


@pytest.mark.parametrize("name", ["p.jsonl", "p.csv", "p.parquet", "p.jsonl.gz"])
def test_files_that_are_none(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(BadInput, match=r"no such file; check the path"):
        read(path)
    path.write_bytes(b"")
    with pytest.raises(BadInput, match="is empty"):
        read(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(BadInput, match="is a folder"):
        read(path)


@pytest.mark.parametrize("kind", sorted(importers()))
@pytest.mark.parametrize("content", [b"", b"\x00\xff" * 500, b"PK\x03\x04 no zip", b"[]", b"{}", b"hello\nworld\n"])
@pytest.mark.parametrize("ending", ["json", "zip", "7z", "xml", "js", "tar.gz", "csv"])
def test_any_importer_given_anything_says_what_is_wrong(kind: str, content: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"file.{ending}"
    path.write_bytes(content)
    says = refusal(kind, path)
    assert says == "" or path.name in says
    for target in (tmp_path / "nowhere", tmp_path / "a\x00b"):
        with pytest.raises(BadInput):
            import_posts(kind, [target])
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput):
        import_posts(kind, [tmp_path / "folder"])


def test_a_wrong_ending_is_told_by_the_content(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a"], "text": ["x"]}).write_parquet(tmp_path / "p.jsonl")
    with pytest.raises(BadInput, match="holds Parquet"):
        read(tmp_path / "p.jsonl")
    (tmp_path / "p.csv").write_text("id,text\n1,x\n", encoding="utf-16")
    with pytest.raises(BadInput, match="is UTF-16; save it as UTF-8"):
        read(tmp_path / "p.csv")
    (tmp_path / "p.txt").write_text("x")
    with pytest.raises(BadInput, match="hashloom import KIND"):
        read(tmp_path / "p.txt")
    (tmp_path / "a.jsonl").write_text('[{"id": 1, "text": "x"}]')
    with pytest.raises(BadInput, match=r"jq -c"):
        read(tmp_path / "a.jsonl")


def test_csv_problems(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b'id,text\n1,sun\n2,a,b\n3,\xff\n4,"never closed\n5,rain\n6,"x"y\n7,snow\n')
    posts, report = read(path)
    assert posts.ids == ["1", "5", "7"]
    assert [(p.line, p.reason[:12]) for p in report.problems] == [
        (3, "3 cells wher"),
        (4, "broken UTF-8"),
        (5, "broken CSV ("),
        (7, "broken CSV ("),
    ]


def test_csv_without_the_columns_needed_lists_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("name,colour\na,b\n")
    with pytest.raises(BadInput, match=r"p\.csv:1: .*found 'name, colour'.*caption"):
        read(tmp_path / "p.csv")


def test_parquet_with_other_columns_or_types(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pl.DataFrame({"name": ["a"]}).write_parquet(path)
    with pytest.raises(BadInput, match="no column 'id'; found name"):
        read(path)
    frame = pl.DataFrame({"id": [1, 2], "text": ["x", None], "tags": ["a, b", None], "likes": ["3", "many"]})
    frame.with_columns(created_at=pl.Series([1740901260, None])).write_parquet(path)
    posts, report = read(path)
    assert (posts.ids, posts.tags, posts[0].likes) == (["1"], [["a", "b"]], 3.0)
    assert str(report.problems[0]) == "p.parquet:2: neither text nor images; a post needs one of them"


@pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.9, 0.999])
def test_truncated_files(part: float, tmp_path: Path) -> None:
    text = "".join(json.dumps({"id": i, "text": f"post {random.Random(i).random()}"}) + "\n" for i in range(3_000))
    pl.read_ndjson(text.encode()).write_parquet(tmp_path / "p.parquet")
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "x.jsonl").write_bytes(lzma.compress(text.encode()))
    for path in list(tmp_path.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[: max(int(len(whole) * part), 8)])
        with pytest.raises(BadInput, match="truncated or damaged"):
            read(path)
    for name in ("stackexchange_7z", "x_archive_zip", "mastodon_zip", "mastodon_tar"):
        kind, build = sources.SOURCES[name]
        path = build(tmp_path)
        whole = path.read_bytes()
        path.write_bytes(whole[: max(int(len(whole) * part), 8)])
        with pytest.raises(BadInput, match=f"{path.name}.*(truncated|holds no outbox)"):
            import_posts(kind, [path])


def test_flipped_bytes_never_end_in_a_traceback(tmp_path: Path) -> None:
    dice = random.Random(0)
    builds = {"parquet": sources.parquet, "stackexchange": sources.stackexchange_7z, "x_archive": sources.x_archive_zip}
    for kind, build in builds.items():
        path = build(tmp_path)
        whole = path.read_bytes()
        for _ in range(60):
            broken = bytearray(whole)
            for _ in range(3):
                broken[dice.randrange(len(broken))] ^= 1 << dice.randrange(8)
            path.write_bytes(broken)
            assert "without a word" not in refusal(kind, path)


def test_a_truncated_dump_keeps_its_rows_and_says_so(tmp_path: Path) -> None:
    whole = sources.posts_xml(*(sources.question(Id=str(i)) for i in range(9)))
    (tmp_path / "Posts.xml").write_text(whole[: int(len(whole) * 0.6)], encoding="utf-8")
    posts, report = import_posts("stackexchange", [tmp_path / "Posts.xml"])
    assert 3 <= len(posts) < 9
    assert "truncated" in report.problems[-1].reason


def test_a_dump_with_entities_is_refused(tmp_path: Path) -> None:
    laughs = '<!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'
    whole = sources.posts_xml(sources.question(Title="&b;")).replace("<posts>", f"{laughs}<posts>")
    (tmp_path / "Posts.xml").write_text(whole, encoding="utf-8")
    with pytest.raises(BadInput, match="document type or entities"):
        import_posts("stackexchange", [tmp_path / "Posts.xml"])


def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "FREE_BYTES", 1 << 20)
    zeros = b" " * (8 << 20)
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(zeros))
    with pytest.raises(BadInput, match="zip bombs"):
        read(tmp_path / "p.jsonl.gz")
    with zipfile.ZipFile(tmp_path / "t.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data/tweets.js", zeros)
    with pytest.raises(BadInput, match="zip bombs"):
        import_posts("x_archive", [tmp_path / "t.zip"])
    (tmp_path / "p.json.xz").write_bytes(lzma.compress(zeros))
    with pytest.raises(BadInput, match="zip bombs"):
        import_posts("instaloader", [tmp_path / "p.json.xz"])
    import py7zr

    with py7zr.SevenZipFile(tmp_path / "s.7z", "w") as packed:
        packed.writestr(zeros, "Posts.xml")
    with pytest.raises(BadInput, match="zip bombs"):
        import_posts("stackexchange", [tmp_path / "s.7z"])
    monkeypatch.setattr(unpack, "MAX_BYTES", 4 << 20)
    monkeypatch.setattr(unpack, "MAX_RATIO", 10**9)
    with pytest.raises(BadInput, match="unpacks to more than"):
        read(tmp_path / "p.jsonl.gz")


def test_locked_archives_are_named(tmp_path: Path) -> None:
    import py7zr

    with py7zr.SevenZipFile(tmp_path / "s.7z", "w", password="rye") as packed:
        packed.writestr("<posts/>", "Posts.xml")
    with pytest.raises(BadInput, match="is encrypted"):
        import_posts("stackexchange", [tmp_path / "s.7z"])


def test_one_bad_file_of_a_folder_costs_one_file(tmp_path: Path) -> None:
    folder = sources.instaloader(tmp_path)
    (folder / "2025-01-02_00-00-00_UTC.json.xz").write_bytes(lzma.compress(b"{}" * 99)[:40])
    (folder / "2025-01-03_00-00-00_UTC.json").write_text("[" * 100_000)
    (folder / "2025-01-04_00-00-00_UTC.json").write_text('{"node": {"shortcode": "D", "owner": 5, "date": "x"}}')
    posts, report = import_posts("instaloader", [folder])
    assert posts.ids == ["Cxyz"]
    assert [p.file for p in report.problems] == [
        f"2025-01-0{day}_00-00-00_UTC.json{'.xz' * (day == 2)}" for day in (2, 3, 4)
    ]


def junk(dice: random.Random, value: Any) -> Any:
    """The value with some part of it replaced by something of another type."""
    if isinstance(value, dict) and value and dice.random() < 0.8:
        name = dice.choice(list(value))
        return value | {name: junk(dice, value[name])}
    if isinstance(value, list) and value and dice.random() < 0.8:
        at = dice.randrange(len(value))
        return [*value[:at], junk(dice, value[at]), *value[at + 1 :]]
    return dice.choice(
        [None, True, -1, 10**30, 1.5, "", "x", "\ud800", [], [None], {}, {"a": [1]}, [[1]], float("nan")]
    )


def test_any_part_of_a_wrong_type_is_a_problem_and_no_traceback(tmp_path: Path) -> None:
    dice = random.Random(7)
    ids = {"Uid": "1", "Pid": 2}
    files: dict[str, tuple[str, Any]] = {
        "tweets.js": ("window.YTD.tweets.part0 = ", [{"tweet": sources.tweet()}]),
        "account.js": ("window.YTD.account.part0 = ", [{"account": {"username": "m"}}]),
        "outbox.json": ("", json.loads(sources.outbox(sources.create()))),
        "post.json": ("", {"node": sources.node()}),
        "train_text.json": ("", [ids | {"Title": "x", "Alltags": "a"}]),
        "train_category.json": ("", [ids | {"Category": "x"}]),
    }
    asked = {"x_archive": "tweets.js", "mastodon": "outbox.json", "instaloader": "post.json", "smp": ""}
    answers = set()
    for _ in range(400):
        for name, (head, content) in files.items():
            (tmp_path / name).write_text(head + json.dumps(junk(dice, content)))
        answers |= {bool(refusal(kind, tmp_path / name)) for kind, name in asked.items()}
    assert answers == {True, False}


def test_the_summary_shows_five_problems_and_counts_all(tmp_path: Path) -> None:
    problems = kept(tmp_path, *[b"x"] * 2_000)
    assert len(problems) == 1_000
    summary = read(tmp_path / "p.jsonl")[1].summary().splitlines()
    assert len(summary) == 7
    assert summary[5] == "… and 1,995 more problems"
    assert summary[6] == "2,002 rows read, 2 posts kept, 2,000 refused"
