"""Posts in Hashloom's own shape: read, check, report, write."""

from __future__ import annotations

import gzip
import io
import json
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashloom import tags
from hashloom.data.moments import moment, zone_of
from hashloom.data.read import BadInput, Report, Row, collect, import_posts, importers, read, write
from hashloom.types import Post, Posts

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def jsonl(path: Path, *rows: dict[str, Any] | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_a_post_comes_in_whole(tmp_path: Path) -> None:
    row = {
        "id": "a",
        "community": "bakers",
        "user": "marta",
        "created_at": "2025-03-02T08:41:00+01:00",
        "text": "Day two #Rye\nand oats",
        "images": ["images/a.png"],
        "tags": ["Sourdough"],
        "language": "en",
        "views": 412,
        "likes": 37,
        "comments": None,
        "popularity": -1.5,
        "dup_group": "g1",
    }
    posts, report = read(jsonl(tmp_path / "p.jsonl", row))
    assert posts[0] == Post(
        "a",
        "Day two\nand oats",
        "bakers",
        "marta",
        datetime(2025, 3, 2, 7, 41, tzinfo=UTC),
        (str(tmp_path / "images/a.png"),),
        ("Sourdough", "Rye"),
        "en",
        412,
        37,
        None,
        -1.5,
    )
    assert posts.frame["dup_group"].to_list() == ["g1"]
    assert (report.read, report.kept, report.refused) == (1, 1, 0)


def test_only_id_and_text_or_images_are_needed(tmp_path: Path) -> None:
    rows = [{"id": 1, "text": "sun"}, {"id": 2, "images": []}, {"id": 3, "text": ""}, {"id": 4}, {"text": "x"}]
    posts, report = read(jsonl(tmp_path / "p.jsonl", *rows))
    assert posts.ids == ["1", "2", "3"]
    assert [str(p) for p in report.problems] == [
        "p.jsonl:4: neither text nor images; a post needs one of them",
        "p.jsonl:5: no id; every post needs one",
    ]


def test_the_last_of_an_id_wins_and_is_counted(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "p.jsonl", {"id": "a", "text": "1"}, {"id": "b", "text": "2"}, {"id": "a", "text": "3"})
    posts, report = read(path)
    assert (posts.ids, posts.texts, report.duplicates, report.kept) == (["b", "a"], ["2", "3"], 1, 2)
    twice, report = import_posts("jsonl", [path, path])
    assert twice.frame.equals(posts.frame)
    assert report.duplicates == 4


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2025-03-02T07:41:00Z", "2025-03-02T07:41:00"),
        ("2025-03-02 07:41:00 UTC", "2025-03-02T07:41:00"),
        ("2025-03-02T07:41:00.123456789+09:00", "2025-03-01T22:41:00.123456"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59"),
        (1740901260, "2025-03-02T07:41:00"),
        (1740901260.5, "2025-03-02T07:41:00.500000"),
        ("1740901260", "2025-03-02T07:41:00"),
        (1740901260000, "2025-03-02T07:41:00"),
        (1740901260000000, "2025-03-02T07:41:00"),
        (1740901260000000000, "2025-03-02T07:41:00"),
        ("2038-01-19T03:14:08Z", "2038-01-19T03:14:08"),
        (None, None),
        ("", None),
        (float("nan"), None),
    ],
)
def test_times(given: Any, expected: str | None) -> None:
    found = moment(given)
    assert (found and found.replace(tzinfo=None).isoformat()) == expected


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("2025-03-02T07:41:00", "--zone Europe/Berlin"),
        ("2025-03-02", "no time zone"),
        ("last Tuesday", "ISO 8601"),
        ("1970-01-01T00:00:00Z", "outside the years"),
        ("9999-12-31T23:59:59-14:00", "outside the years"),
        ("0001-01-01T00:00:00+14:00", "outside the years"),
        (0, "outside the years"),
        (1e300, "no time"),
        (float("inf"), "no time"),
        (10**400, "no time"),
        (True, "no time"),
        ([2025], "no time"),
    ],
)
def test_times_that_are_refused(given: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        moment(given)


def test_a_zone_holds_only_for_times_that_state_none() -> None:
    berlin = zone_of("Europe/Berlin")
    assert moment("2025-07-01T12:00:00", berlin) == datetime(2025, 7, 1, 10, tzinfo=UTC)
    assert moment("2025-07-01T12:00:00Z", berlin) == datetime(2025, 7, 1, 12, tzinfo=UTC)
    # Clocks set back: 02:30 comes twice, the first (summer time) is taken. Set forward: 02:30 never comes.
    assert moment("2025-10-26T02:30:00", berlin) == datetime(2025, 10, 26, 0, 30, tzinfo=UTC)
    with pytest.raises(ValueError, match="does not exist"):
        moment("2025-03-30T02:30:00", berlin)


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../../etc/passwd", "", "+99:99", "Europe"])
def test_unknown_zones_are_refused(zone: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no time zone"):
        read(jsonl(tmp_path / "p.jsonl", {"id": 1, "text": "x"}), zone=zone)


def test_mixed_zones_cost_only_the_rows_without_one(tmp_path: Path) -> None:
    rows = [
        {"id": i, "text": "x", "created_at": t} for i, t in enumerate(["2025-01-01T00:00:00Z", "2025-01-01T00:00:00"])
    ]
    posts, report = read(jsonl(tmp_path / "p.jsonl", *rows))
    assert posts.ids == ["0"]
    assert str(report.problems[0]).startswith("p.jsonl:2: created_at: 2025-01-01T00:00:00 has no time zone")
    posts, report = read(tmp_path / "p.jsonl", zone="+01:00")
    assert posts[1].created_at == datetime(2024, 12, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (["Rye", "#rye", " Oven ", None, ""], ["Rye", "Oven"]),
        ("Rye, Day Two, #oven", ["Rye", "Day Two", "oven"]),
        ("Rye oven", ["Rye", "oven"]),
        ("パン、ライ麦", ["パン", "ライ麦"]),
        ('["Rye", "oven"]', ["Rye", "oven"]),
        ("['Rye', 'oven']", ["Rye", "oven"]),
        ("", []),
        (None, []),
        ([2024], ["2024"]),
    ],
)
def test_tags_as_lists_or_strings(written: Any, expected: list[str]) -> None:
    posts, _ = collect([Row("a:1", {"id": 1, "text": "x", "tags": written})])
    assert posts.tags == [expected]


def test_strict_raises_at_the_first_problem(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"p\.jsonl:2: no id"):
        read(jsonl(tmp_path / "p.jsonl", {"id": 1, "text": "x"}, {"text": "y"}), strict=True)
    pl.DataFrame({"id": ["a", None], "text": ["x", "y"]}).write_parquet(tmp_path / "p.parquet")
    with pytest.raises(BadInput, match=r"p\.parquet:2: no id"):
        read(tmp_path / "p.parquet", strict=True)


def test_further_columns_are_carried_if_they_are_scalars(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "text": "x", "n": 1, "f": 1, "b": True, "s": "t", "mixed": 1, "big": 10**30, "list": [1]},
        {"id": 2, "text": "y", "n": None, "f": 0.5, "b": False, "s": None, "mixed": "a", "big": 1, "list": None},
    ]
    posts, report = read(jsonl(tmp_path / "p.jsonl", *rows))
    frame = posts.frame
    assert [frame[c].to_list() for c in "nfbs"] == [[1, None], [1.0, 0.5], [True, False], ["t", None]]
    assert frame["mixed"].to_list() == ["1", "a"]
    assert frame["big"].to_list() == [1e30, 1.0]
    assert report.left_out == ["list"]
    assert "columns left out" in report.summary()


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"id": 1, "text": "x"}\n{"id"\n')))
    posts, report = read("-")
    assert posts.ids == ["1"]
    assert str(report.problems[0]).startswith("standard input:2: broken JSON")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert len(read("-")[0]) == 0


def test_gzip_and_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf{"id": 1, "text": "x"}\n'))
    assert read(path)[0].texts == ["x"]


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
def test_what_is_written_is_read_back(ending: str, tmp_path: Path) -> None:
    when = datetime(2025, 3, 2, 7, 41, 0, 500000, tzinfo=UTC)
    picture = str(tmp_path / "pics" / "a.png")
    link = "https://example.org/b.png"
    text = 'Zeile\n"zwei" \ufffd é 🍞'
    posts = Posts.of(
        [
            Post("a", text, "c", "u", when, (picture, link), ("Rye", "パン"), "de", 1, 2, 3, 0.25),
            Post("b", text="", community="c"),
        ]
    )
    posts = Posts(posts.frame.with_columns(pl.Series("score", [3, None])))
    path = tmp_path / "out" / f"p.{ending}"
    path.parent.mkdir()
    write(posts, path)
    back, report = read(path)
    assert report.refused == 0
    assert back.frame.equals(posts.frame)
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    images = (pl.read_parquet if ending == "parquet" else pl.read_ndjson)(path)["images"][0].to_list()
    assert images == ["../pics/a.png", link]


def test_writing_refuses_other_endings_and_leaves_no_half_file(tmp_path: Path) -> None:
    posts = Posts.of([Post("a", "x")])
    with pytest.raises(BadInput, match=r"\.parquet or \.jsonl"):
        write(posts, tmp_path / "p.xlsx")
    with pytest.raises(BadInput, match="cannot be written"):
        write(posts, tmp_path / "nowhere" / "p.jsonl")
    (tmp_path / "p.jsonl").write_text("old")
    broken = Posts(posts.frame.with_columns(pl.Series("o", [object()], dtype=pl.Object)))
    with pytest.raises(pl.exceptions.PolarsError):
        write(broken, tmp_path / "p.jsonl")
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("p.jsonl", "old")]


ODD = ["day #Rye", " x ", "a\x00b", "＃パン", ""]
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(ODD)
TIMES = ["2025-03-02 07:41:00+01:00", "2025-03-02T07:41:00", "x", "1740901260", "", "2025-03-02T07:41Z"]
TIMES += ["1969-01-01T00:00:00Z", "2025-03-02T07:41:00.5z", "2025-03-02T07:41:00.1234567Z"]
TIMES += ["2016-12-31T23:59:60Z", "2025-02-30T00:00:00Z", "2025-03-02T07:41:00+25:00", "2025-03-02T07:41:00-1130"]
TIMES += [" 2025-03-02T07:41:00Z", "2025-03-02  07:41:00Z", "2025-03-02T7:41:00Z", "2101-01-01T00:00:00+14:00"]
TIMES += ["2025-03-02T24:00:00Z", "+12025-03-02T07:41:00Z", "2025-03-02T07:41:00.Z"]
IDS = [f"post {i}" for i in range(9)]


def mostly(good: Any, *odd: Any) -> st.SearchStrategy[Any]:
    """A value that is usually fine, so that fine and odd rows stand side by side."""
    return st.integers(0, 9).flatmap(lambda n: st.sampled_from([None, *odd]) if n == 0 else good)


ROWS = st.fixed_dictionaries(
    {
        "id": mostly(st.sampled_from(IDS), " c", "d\x00", ""),
        "text": mostly(TEXTS),
        "community": mostly(st.just("bakers"), *ODD),
        "user": mostly(st.just("marta"), *ODD),
        "language": mostly(st.just("en"), "", " ja"),
        "created_at": st.sampled_from(["2025-03-02T07:41:00Z", *TIMES]),
        "images": mostly(st.just(["a.png"]), [], [None], [" b.png"], [""]),
        "tags": mostly(
            st.lists(st.sampled_from(["Rye", "Oven"]), unique=True), ["Rye", "#rye"], [None], ["＃パン", "x"]
        ),
        "likes": mostly(st.just(1.0), -1.0, float("nan"), float("inf"), 2.5),
        "popularity": mostly(st.just(-1.0), float("inf")),
        "score": st.none() | st.integers(0, 9),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ROWS, max_size=8))
def test_columns_and_rows_are_checked_alike(rows: list[dict[str, Any]]) -> None:
    """The quick check of whole columns must decide as the check of single rows does."""
    from hashloom.data.columns import checked
    from hashloom.data.read import _last_of_each

    names = list(rows[0]) if rows else ["id", "score"]
    kinds = {"images": pl.List(pl.String), "tags": pl.List(pl.String), "score": pl.Int64}
    kinds |= {"likes": pl.Float64, "popularity": pl.Float64}
    frame = pl.DataFrame(rows, schema={name: kinds.get(name, pl.String) for name in names})
    quick, slow = Report(), Report()
    by_columns = _last_of_each(Posts.of(checked(frame, "p", None, quick, False)), quick)
    by_rows, slow = collect([Row(f"p:{i}", row) for i, row in enumerate(rows, 1)])
    names = by_rows.frame.columns
    assert by_columns.frame.select(names).equals(by_rows.frame)
    assert [str(p) for p in quick.problems] == [str(p) for p in slow.problems]
    assert (quick.read, quick.kept, quick.duplicates) == (slow.read, slow.kept, slow.duplicates)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.sampled_from("ab #＃é_1\n.c+パン"), max_size=30), max_size=5), st.booleans())
def test_no_true_tag_is_left_in_the_text_with_its_sign(texts: list[str], hashtags: bool) -> None:
    rows = [Row(f"p:{i}", {"id": i, "text": t, "tags": ["ab", "c++"]}, hashtags) for i, t in enumerate(texts)]
    for post in collect(rows)[0]:
        assert tags.find(post.text) == []
        # A longer word that begins like a tag ("1#ab1") is another word.
        signed = (rf"[#＃]{re.escape(tag.lower())}(?!\w)" for tag in post.tags)
        assert not any(re.search(each, post.text.lower()) for each in signed)


def test_importers_are_named_after_their_files() -> None:
    assert importers() == ["csv", "instaloader", "jsonl", "mastodon", "parquet", "smp", "stackexchange", "x_archive"]
    with pytest.raises(BadInput, match="no importer 'rss'; there are csv"):
        import_posts("rss", ["x"])


def test_eighty_thousand_posts_of_parquet_take_under_two_seconds(tmp_path: Path) -> None:
    n = 80_000
    frame = pl.DataFrame(
        {
            "id": [f"p{i}" for i in range(n)],
            "community": ["c"] * n,
            "created_at": ["2025-03-02T07:41:00Z"] * n,
            "text": ["a text of usual length, with no tag in it" if i % 100 else "one #tag" for i in range(n)],
            "tags": [["Rye", f"t{i % 500}"] for i in range(n)],
        }
    )
    frame.write_parquet(tmp_path / "p.parquet")
    start = time.process_time()
    posts, _ = read(tmp_path / "p.parquet")
    assert len(posts) == n
    # Processor time of two threads at most; a loaded machine makes it no longer.
    assert time.process_time() - start < 8


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
@pytest.mark.parametrize("name", ["lobsters/posts.parquet", "jser_ja/posts.parquet", "mvsa/posts.jsonl"])
def test_real_sets_come_in_whole(name: str) -> None:
    posts, report = read(DATA / name)
    assert report.refused == 0
    assert report.kept == report.read == len(posts)
    assert all(not tags.find(text) for text in posts.texts)


def test_parquet_times_of_every_type(tmp_path: Path) -> None:
    noon = datetime(2025, 7, 1, 12)
    columns = {
        "naive": pl.Series([noon], dtype=pl.Datetime("ms")),
        "zoned": pl.Series([noon], dtype=pl.Datetime("ns")).dt.replace_time_zone("Europe/Berlin"),
        "day": pl.Series([noon.date()]),
        "epoch": pl.Series([1751364000]),
        "milliseconds": pl.Series([1751364000000.0]),
        "text": pl.Series(["2025-07-01T12:00:00+02:00"]),
        "null": pl.Series([None]),
    }
    found: dict[str, datetime | None] = {}
    for name, column in columns.items():
        pl.DataFrame({"id": ["a"], "text": ["x"], "created_at": column}).write_parquet(tmp_path / "p.parquet")
        found[name] = read(tmp_path / "p.parquet", zone="Europe/Berlin")[0][0].created_at
    ten = datetime(2025, 7, 1, 10, tzinfo=UTC)
    assert found.pop("day") == datetime(2025, 6, 30, 22, tzinfo=UTC)
    assert found.pop("null") is None
    assert set(found.values()) == {ten}
    pl.DataFrame({"id": ["a"], "text": ["x"], "created_at": columns["naive"]}).write_parquet(tmp_path / "p.parquet")
    with pytest.raises(BadInput, match="has no time zone"):
        read(tmp_path / "p.parquet")


def test_lists_and_objects_in_parquet_are_left_out_and_named(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"id": ["a", "b"], "text": ["x #tag", "y"], "n": [1, 2], "deep": [[1], [2]], "o": [{"k": 1}] * 2}
    )
    frame.write_parquet(tmp_path / "p.parquet")
    posts, report = read(tmp_path / "p.parquet")
    assert report.left_out == ["deep", "o"]
    assert posts.frame["n"].to_list() == [1, 2]
    assert posts.tags == [["tag"], []]
