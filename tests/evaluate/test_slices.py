"""Slices: every edge on its right side, and history strictly earlier."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hashloom.evaluate.slices import earlier_posts, slices, word_counts
from hashloom.types import Post, Posts

NOON = datetime(2025, 3, 2, 12, tzinfo=UTC)


def labels(masks):
    """The label of each post; fails where a post has none or two."""
    table = np.stack(list(masks.values()))
    assert (table.sum(axis=0) == 1).all()
    return [list(masks)[i] for i in table.argmax(axis=0)]


def test_community_size_edges():
    sizes = {"a": 0, "b": 30, "c": 31, "d": 100, "e": 101, "f": 1000, "g": 1001}
    train = Posts.of([Post(f"{name}{i}", community=name) for name, n in sizes.items() for i in range(n)])
    test = Posts.of([Post(name, community=name) for name in sizes])
    small, middle, large, huge = "≤30 posts", "31–100 posts", "101–1000 posts", ">1000 posts"
    assert labels(slices(test, train)["community size"]) == [small, small, middle, middle, large, large, huge]


@pytest.mark.parametrize(
    ("text", "words", "label"),
    [
        ("", 0, "no words"),
        ("  \n ", 0, "no words"),
        ("rye", 1, "1–5 words"),
        ("a b c d e", 5, "1–5 words"),
        ("a b c d e f", 6, "6–20 words"),
        ("w " * 20, 20, "6–20 words"),
        ("w " * 21, 21, ">20 words"),
        ("雨", 0.5, "1–5 words"),
        ("新機能リリース説明", 4.5, "1–5 words"),
        ("新機能を解説する Zoom ウェビナー", 7.5, "6–20 words"),
    ],
)
def test_caption_length(text, words, label):
    test = Posts.of([Post("a", text=text)])
    assert word_counts(test).tolist() == [words]
    assert labels(slices(test, test)["caption length"]) == [label]


def test_history_is_strictly_earlier_and_the_users_own():
    def at(hours, user="ann", name="h"):
        return Post(f"{name}{hours}{user}", user=user, created_at=NOON + timedelta(hours=hours))

    history = Posts.of([at(-2), at(-1), at(0), at(1), at(-1, "bo")])
    test = Posts.of([at(0, name="t"), at(0, "new"), Post("t", user="ann"), Post("t2")])
    assert earlier_posts(test, history)[:3].tolist() == [2, 0, 4]
    assert np.isnan(earlier_posts(test, history)[3])


def test_history_edges():
    counts = [0, 1, 4, 5, 19, 20]
    train = Posts.of([Post(f"{n}-{i}", user=f"u{n}") for n in counts for i in range(n)])
    found = slices(Posts.of([Post(str(n), user=f"u{n}") for n in counts]), train)["user history"]
    none, few, some, many = "no earlier posts", "1–4 posts", "5–19 posts", "≥20 posts"
    assert labels(found) == [none, few, few, some, some, many]


def test_posts_without_users_have_no_history_slice():
    posts = Posts.of([Post("a", text="x", tags=("t",))])
    assert "user history" not in slices(posts, posts)


def test_tag_frequency_is_that_of_the_posts_own_community():
    train = [Post(f"a{i}", community="a", tags=("rye",)) for i in range(100)]
    train += [Post(f"b{i}", community="b", tags=("Rye",)) for i in range(10)] + [Post("b", community="b", tags=("x",))]
    tagged = [("a", "RYE"), ("b", "rye"), ("b", "x"), ("c", "rye")]
    test = Posts.of([Post(str(i), community=place, tags=(tag,)) for i, (place, tag) in enumerate(tagged)])
    assert labels(slices(test, Posts.of(train))["tag frequency"]) == ["≥100", "10–99", "1–9", "unseen"]


def test_tag_frequency_takes_the_mean_and_leaves_untagged_posts_out():
    train = Posts.of([Post(str(i), tags=("rye",)) for i in range(19)])
    test = Posts.of([Post("a", tags=("rye", "new")), Post("b")])
    assert {label: mask.tolist() for label, mask in slices(test, train)["tag frequency"].items()} == {
        "1–9": [True, False]
    }


def test_scripts():
    texts = ["Rye bread", "新機能のお知らせ", "面包", "хлеб rye", "빵", "خبز", "12 🎉", ""]
    found = slices(Posts.of([Post(str(i), text=t) for i, t in enumerate(texts)]), Posts.of([]))["script"]
    expected = ["Latin", "Japanese", "Chinese", "Cyrillic", "Hangul", "Arabic", "no letters", "no letters"]
    assert labels(found) == expected


def test_no_posts():
    assert slices(Posts.of([]), Posts.of([])) == {}
