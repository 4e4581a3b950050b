"""What `describe` says of a set, checked on a set counted by hand."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hashloom.data.describe import describe, gini, printable, table
from hashloom.data.read import read
from hashloom.types import Post, Posts

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def day(number: int, month: int = 3) -> datetime:
    return datetime(2025, month, number, tzinfo=UTC)


POSTS = Posts.of(
    [
        Post("1", "Rye loaf, day two", "bakers", "marta", day(1), ("a.png",), ("Sourdough", "Rye"), "en", likes=3),
        Post("2", "", "bakers", "tom", day(2), (), ("sourdough",)),
        Post("3", "Rain " * 25, "bikes", "tom", day(3, 5), (), ("Tour", "tour", "Rye")),
        Post("4", "新機能のお知らせ", "サービス", None, None, (), ()),
        Post("5", "Дождь", "bikes", "ann", day(4, 5), (), ("Sourdough", *(f"t{i}" for i in range(11)))),
    ]
)


def test_counts() -> None:
    about = describe(POSTS)
    assert (about.posts, about.users, len(about.communities)) == (5, 3, 3)
    assert (about.first, about.last) == (day(1), day(4, 5))
    assert about.months == {"2025-03": 2, "2025-05": 2}
    # A tag counts once per post, by key, and shows in its most used form.
    assert about.most_used[:3] == (("Sourdough", 3), ("Rye", 2), ("t0", 1))
    assert (about.tags, about.used_once, about.frequencies[:3]) == (14, 12, (3, 2, 1))
    assert about.tags_per_post == {0: 1, 1: 1, 2: 1, 3: 1, 12: 1}
    assert about.mean_tags == pytest.approx(18 / 5)
    assert about.word_classes == {"0": 1, "1–5": 3, "6–20": 0, ">20": 1}
    assert about.lengths["words"][0.5] == 4
    assert about.scripts == {"Latin": 2, "Cyrillic": 1, "Japanese": 1, "no letters of these scripts": 1}
    missing = about.missing
    assert (missing["text"], missing["images"], missing["tags"]) == (1, 4, 1)
    assert (missing["user"], missing["created_at"], missing["language"], missing["likes"]) == (1, 1, 4, 4)


def test_communities_are_listed_by_size() -> None:
    bakers, bikes, service = describe(POSTS).communities
    assert (bakers.name, bakers.posts, bakers.users, bakers.tags, bakers.tags_per_post) == ("bakers", 2, 2, 2, 1.5)
    assert bakers.favourites == ("Sourdough", "Rye")
    assert (bikes.name, bikes.users, bikes.tags) == ("bikes", 2, 14)
    assert (service.name, service.users, service.tags, service.favourites) == ("サービス", 0, 0, ())


def test_gini() -> None:
    assert gini(()) == 0.0
    assert gini((1, 1, 1, 1)) == 0.0
    assert gini((0, 0, 0, 8)) == pytest.approx(0.75)


def test_text_is_aligned_and_says_it_all() -> None:
    text = describe(POSTS).text()
    lines = text.splitlines()
    for title in (
        "The set",
        "Most used tags",
        "Tags per post",
        "Length of the text",
        "Missing",
        "Scripts",
        "Communities",
    ):
        assert title in lines
    assert any(line.split() == ["Sourdough", "3", "60.0%"] for line in lines)
    assert any(line.split() == [">10", "1", "20.0%"] for line in lines)
    rows = lines[lines.index("Communities") + 2 :]
    # サービス is eight columns wide in a terminal, so its row is four characters shorter up to the next cell.
    assert [row.index(count) for row, count in zip(rows[1:4], "221")] == [rows[1].index("2")] * 2 + [
        rows[1].index("2") - 4
    ]
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("posts", [Posts.of([]), Posts.of([Post("a")]), Posts.of([Post("a", "x", tags=("y",))])])
def test_nearly_nothing_can_be_described(posts: Posts) -> None:
    about = describe(posts)
    assert about.posts == len(posts)
    assert about.text().startswith("The set")
    assert about.html().startswith("<!doctype html>")


class Page(HTMLParser):
    """Notes what a browser would see: elements, and the text outside style."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone() -> None:
    page = describe(POSTS).html()
    seen = Page(page)
    assert seen.tags.count("svg") == 4
    assert not {"script", "link", "iframe", "img"} & set(seen.tags)
    assert all(link.startswith("#") for link in seen.links)
    assert "url(http" not in page
    for shown in ("5 posts in 3 communities", "Sourdough", "サービス", "Posts over time", "Uses of a tag by its rank"):
        assert shown in seen.text
    assert "prefers-color-scheme: dark" in page
    assert "currentColor" in page
    assert page == describe(POSTS).html()


def test_what_posts_say_is_escaped() -> None:
    evil = "<script>alert('x')</script>"
    posts = Posts.of([Post("a", evil, community=f"{evil}$\\frac{{1}}", user=evil, tags=(f"{evil}\x1b[31m\u202e",))])
    about = describe(posts)
    page = about.html()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", page)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", about.text())


def test_printable_and_table() -> None:
    assert printable("a\x1b[31m\nb\u202ec") == "a[31m bc"
    assert len(printable("x" * 500)) == 60
    assert table([("tag", "posts")], "Tags") == ""
    assert table([("tag", "posts"), ("rye", 1234)], "Tags") == "Tags\n────\ntag  posts\nrye  1,234"


@pytest.mark.skipif(not DATA.exists(), reason="needs ../shared/data")
def test_a_real_set_agrees_with_its_own_description() -> None:
    about = describe(read(DATA / "lobsters" / "posts.parquet")[0])
    assert (about.posts, about.users, len(about.communities)) == (80_885, 4_880, 1)
    assert about.mean_tags == pytest.approx(1.8, abs=0.05)
    assert (about.first and about.first.year, about.last and about.last.year) == (2012, 2021)
