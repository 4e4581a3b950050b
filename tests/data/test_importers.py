"""Every importer, on a source of its kind that the tests write themselves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from data import sources

from hashloom import tags
from hashloom.data.markup import plain
from hashloom.data.read import import_posts, importers, read, write

WHEN = datetime(2025, 3, 2, 7, 41, tzinfo=UTC)
SPOKEN = "Day two of the loaf\n, and #1 in taste"


def test_every_importer_is_tested() -> None:
    assert {kind for kind, _ in sources.SOURCES.values()} == set(importers())


@pytest.mark.parametrize("name", sources.SOURCES)
def test_no_true_tag_is_left_in_the_text_with_its_sign(name: str, tmp_path: Path) -> None:
    kind, build = sources.SOURCES[name]
    posts, report = import_posts(kind, [build(tmp_path)])
    assert len(posts) >= 1
    assert report.refused == 0
    for post in posts:
        assert tags.find(post.text) == []
        assert not any(sign + tag.lower() in post.text.lower() for sign in "#＃" for tag in post.tags)
    if kind != "stackexchange":
        assert {tags.key(tag) for tag in posts[0].tags} >= sources.TAGS
        assert "loaf" in posts[0].text


@pytest.mark.parametrize("name", sources.SOURCES)
def test_what_was_imported_is_written_and_read_back_unchanged(name: str, tmp_path: Path) -> None:
    kind, build = sources.SOURCES[name]
    posts, _ = import_posts(kind, [build(tmp_path)])
    (tmp_path / "out").mkdir()
    for ending in ("parquet", "jsonl"):
        write(posts, tmp_path / "out" / f"posts.{ending}")
        back, report = read(tmp_path / "out" / f"posts.{ending}")
        assert report.refused == 0
        assert back.fingerprint == posts.fingerprint
        assert [p.images for p in back] == [p.images for p in posts]


def test_csv_by_other_names_and_signs(tmp_path: Path) -> None:
    path = tmp_path / "posts.csv"
    path.write_text(
        "ID\tAuthor\tTimestamp\tBody\tTags\tLikes\tWeather\tHouse\n"
        'a\tmarta\t1740901260\t"two\nlines, ""quoted"""\trye, Day Two\t37\train\t7\n'
        "b\t\t\tsun\t\t\t\t\n",
        encoding="utf-8",
    )
    posts, report = read(path)
    first, second = posts
    assert (first.user, first.created_at, first.text) == ("marta", WHEN, 'two\nlines, "quoted"')
    assert (first.tags, first.likes) == (("rye", "Day Two"), 37.0)
    assert (second.user, second.created_at, second.tags, second.likes) == (None, None, (), None)
    assert posts.frame["Weather"].to_list() == ["rain", None]
    assert posts.frame["House"].to_list() == [7, None]
    assert report.refused == 0


def test_stackexchange_questions(tmp_path: Path) -> None:
    posts, report = import_posts("stackexchange", [sources.stackexchange(tmp_path)])
    post = posts[0]
    assert (len(posts), report.read) == (1, 1)
    assert (post.id, post.community, post.user) == ("baking:11", "baking", "7")
    assert post.created_at == WHEN.replace(microsecond=123000)
    # Program code is no hashtag: its sign goes, the word stays, and it becomes no tag.
    assert post.text == "Why is my loaf flat?\nI use include <yeast.h> &:\ndefine WATER 80"
    assert post.tags == ("rye", "sourdough")
    assert (post.views, post.comments) == (412, 2)
    assert posts.frame["score"].to_list() == [-3]
    assert posts.frame["title"].to_list() == ["Why is my #rye loaf flat?"]


def test_stackexchange_7z_is_read_as_the_folder_is(tmp_path: Path) -> None:
    posts, _ = import_posts("stackexchange", [sources.stackexchange_7z(tmp_path)])
    assert posts.ids == ["baking:11", "baking:13"]
    assert posts.tags == [["rye", "sourdough"], ["rye"]]
    folder, _ = import_posts("stackexchange", [sources.stackexchange(tmp_path)])
    assert folder[0] == posts[0]


def test_one_broken_row_of_a_dump_costs_one_row(tmp_path: Path) -> None:
    rows = [sources.question(Id=str(i)) for i in range(5)]
    rows[1] = rows[1].replace('Score="-3"', 'Score="-3')
    rows[3] = rows[3].replace("flat", "&#0; flat")
    (tmp_path / "Posts.xml").write_text(sources.posts_xml(*rows), encoding="utf-8")
    posts, report = import_posts("stackexchange", [tmp_path / "Posts.xml"])
    assert [p.split(":")[1] for p in posts.ids] == ["0", "2", "4"]
    assert [p.line for p in report.problems] == [4, 6]
    assert all("broken XML" in p.reason for p in report.problems)


def test_instaloader_folder(tmp_path: Path) -> None:
    folder = sources.instaloader(tmp_path)
    posts, report = import_posts("instaloader", [folder])
    post = posts[0]
    assert (post.id, post.community, post.user, post.created_at) == ("Cxyz", "instagram", "marta", WHEN)
    assert (post.text, post.likes, post.comments) == (SPOKEN, 37, 5)
    assert [Path(image).name[-7:] for image in post.images] == ["C_1.jpg", "C_2.jpg", "_10.jpg"]
    assert posts.frame["user_followers"].to_list() == [90]
    assert report.skipped == {"Profile files": 1}


def test_instaloader_without_json_or_with_hidden_likes(tmp_path: Path) -> None:
    folder = tmp_path / "tom"
    folder.mkdir()
    (folder / "2025-03-02_07-41-00_UTC.txt").write_text("Rain #tour")
    (folder / "2025-03-02_07-41-00_UTC.jpg").write_bytes(b"\xff\xd8")
    hidden = sources.node(shortcode="B", edge_media_preview_like={"count": -1}, edge_media_to_caption={"edges": []})
    (folder / "x.json").write_text(json.dumps({"node": hidden, "instaloader": {"node_type": "Post"}}))
    posts, report = import_posts("instaloader", [folder])
    told, untold = sorted(posts, key=lambda post: len(post.id))
    assert (untold.id, untold.user, untold.created_at, untold.text) == (
        "tom/2025-03-02_07-41-00_UTC",
        "tom",
        WHEN,
        "Rain",
    )
    assert (untold.tags, len(untold.images)) == (("tour",), 1)
    assert (told.likes, told.text) == (None, "")
    assert report.refused == 0


def test_x_archive(tmp_path: Path) -> None:
    posts, report = import_posts("x_archive", [sources.x_archive(tmp_path)])
    post = posts[0]
    assert (post.id, post.community, post.user, post.created_at) == ("99", "x", "marta", WHEN)
    assert post.text == "Day two of the loaf\n, & #1 in taste https://example.org/loaf"
    assert (post.likes, post.language) == (37, "en")
    assert [Path(image).name for image in post.images] == ["99-m.jpg"]
    assert report.skipped == {"retweets": 1}
    assert "1 retweets skipped" in report.summary()
    zipped, _ = import_posts("x_archive", [sources.x_archive_zip(tmp_path)])
    assert zipped[0].user == "marta"
    assert zipped[0].images == ("https://example.org/m.jpg",)


def test_mastodon_outbox(tmp_path: Path) -> None:
    posts, report = import_posts("mastodon", [sources.mastodon(tmp_path)])
    post = posts[0]
    assert len(posts) == 1
    assert (post.id, post.community, post.user) == (f"{sources.ACTOR}/statuses/1", "bakers.example", "marta")
    assert (post.created_at, post.language, post.likes) == (WHEN, "en", 4)
    assert post.text == "Day two of the loaf, and #1 in taste"
    assert post.images == (str(tmp_path / "media_attachments/files/1.jpg"),)
    assert report.skipped == {"boosts": 1, "posts that are not public": 1}


def test_smp_files(tmp_path: Path) -> None:
    posts, _ = import_posts("smp", [sources.smp(tmp_path)])
    first, second = posts
    assert (first.id, first.user, first.created_at, first.popularity) == ("59@N75/1", "59@N75", WHEN, 7.25)
    assert first.tags[:2] == ("rye", "oven")
    assert first.images == (str(tmp_path / "train/59@N75/1.jpg"),)
    assert (second.text, second.tags, second.popularity) == ("", (), 3.5)
    assert posts.frame["category"].to_list() == ["Food", "Food"]
    assert posts.frame["concept"].to_list() == ["bread", None]


def test_smp_files_as_columns(tmp_path: Path) -> None:
    columns = {"Uid": {"0": "u", "1": "u"}, "Pid": {"0": 1, "1": 2}, "Title": {"0": "a", "1": "b"}}
    (tmp_path / "test_text.json").write_text(json.dumps(columns))
    posts, _ = import_posts("smp", [tmp_path])
    assert (posts.ids, posts.texts) == (["u/1", "u/2"], ["a", "b"])


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>a</p><p>b</p>", "a\nb"),
        ("a<br/>b<BR>c", "a\nb\nc"),
        ("<ul><li>a</li><li>b</li></ul>", "a\nb"),
        ("<script>alert('<p>')</script>a<style>p{}</style>", "a"),
        ("a<!-- <p>hidden</p> -->b", "a b"),
        ("1 < 2 &amp;&lt;b&gt; &#x1F35E;", "1 < 2 &<b> 🍞"),
        ("<span class='invisible'>https://</span>example.org", "https://example.org"),
        ("<!-- never closed", ""),
        ("", ""),
    ],
)
def test_markup_to_text(markup: str, text: str) -> None:
    assert plain(markup) == text
