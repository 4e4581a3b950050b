"""Posts in the store: idempotent, edited, apart by community, read back as they were, in order of time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from world import START, checkerboard

from hashloom.data.rows import MAX_ID, MAX_TAG, MAX_TAGS, MAX_TEXT
from hashloom.store import Store
from hashloom.types import Post, Posts

WHOLE = Post(
    "p1", "rye loaf", "bakers", "mo", START, ("loaf.png",), ("Rye", "DayTwo"), "en", 10.0, 2.0, 1.0, 0.25
)  # fmt: skip


def put(store: Store, *rows: Post) -> tuple[int, int, int, int]:
    done = store.put_posts(Posts.of(rows))
    return done.new, done.changed, done.same, len(done.refused)


def test_a_post_comes_back_as_it_was(store: Store) -> None:
    bare = Post("p2")
    odd = Post(
        "p3", "x", created_at=datetime(1901, 1, 1, 0, 0, 0, 1, tzinfo=UTC), tags=("日本", "a#b"), popularity=-3.5
    )
    late = Post("p4", "y", created_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
    put(store, WHOLE, bare, odd, late)
    assert list(store.get_posts("bakers", ["p1"])) == [WHOLE]
    assert list(store.get_posts("", ["p4", "p2", "nobody", "p3", "p2"])) == [late, bare, odd]
    assert store.get_posts("bakers", ["p1"]).frame.schema == Posts.of([WHOLE]).frame.schema


def test_putting_twice_changes_nothing_and_an_edit_changes_one(store: Store) -> None:
    assert put(store, WHOLE) == (1, 0, 0, 0)
    assert put(store, WHOLE) == (0, 0, 1, 0)
    edited = Post("p1", "rye loaf, day three", "bakers", "mo", START, tags=("Rye",))
    assert put(store, edited) == (0, 1, 0, 0)
    assert list(store.get_posts("bakers", ["p1"])) == [edited]
    assert store.count() == 1


def test_of_one_id_twice_in_one_call_the_last_wins(store: Store) -> None:
    first, last = Post("p", "one"), Post("p", "two")
    assert put(store, first, last, last) == (1, 1, 1, 0)
    assert store.get_posts("", ["p"]).texts == ["two"]
    assert put(store, first, last) == (0, 2, 0, 0)
    assert store.get_posts("", ["p"]).texts == ["two"]


def test_an_edit_moves_a_post_to_its_new_author_and_time(store: Store) -> None:
    put(store, WHOLE)
    put(store, Post("p1", "rye", "bakers", "flo", START + timedelta(days=1)))
    assert len(store.history("bakers", "mo")) == 0
    assert store.history("bakers", "flo").ids == ["p1"]


NAMES = ["bakers", "Bakers", "bakers ", "b%kers", "b_kers", "ｂakers", "ba\u200bkers", "../bakers",
         "'; DROP TABLE x; --", "__proto__", "{{7*7}}", "\u202ebakers", "é", "e\u0301"]  # fmt: skip


def test_communities_users_and_ids_are_told_apart_to_the_letter(store: Store) -> None:
    put(store, *(Post("p", f"in {name}", name, "mo") for name in NAMES))
    put(store, *(Post(name, f"id {name}", "ids", name) for name in NAMES))
    for name in NAMES:
        assert store.get_posts(name, ["p", *(n for n in NAMES if n != name)]).texts == [f"in {name}"]
        assert store.history(name, "mo").texts == store.recent(name).texts == [f"in {name}"]
        assert [post.text for posts in store.posts(name) for post in posts] == [f"in {name}"]
        assert store.count(name) == 1
        assert store.history("ids", name).ids == [name]
    assert store.communities() == dict.fromkeys(NAMES, 1) | {"ids": len(NAMES)}
    assert store.delete_posts("bakers", ["p"]) == 1
    assert store.count() == 2 * len(NAMES) - 1
    assert store.count("Bakers") == 1


def test_digests_do_not_run_names_together(store: Store) -> None:
    put(store, Post("c", "1", "ab", "u"), Post("bc", "2", "a", "u"))
    assert store.get_posts("ab", ["c"]).texts == ["1"]
    assert store.get_posts("a", ["bc"]).texts == ["2"]


def test_history_is_strictly_earlier_and_oldest_first(store: Store) -> None:
    past, _ = checkerboard(users=4, each=6)
    store.put_posts(past[np.random.default_rng(0).permutation(len(past))])
    mine = [post for post in past if post.user == "u2"]
    assert list(store.history("even", "u2")) == mine
    assert list(store.history("even", "u2", last=2)) == mine[-2:]
    assert list(store.history("even", "u2", before=mine[2].created_at)) == mine[:2]
    assert list(store.history("odd", "u2")) == []
    assert list(store.recent("even", last=3)) == [post for post in past if post.community == "even"][-3:]
    with pytest.raises(ValueError, match="time zone"):
        store.history("even", "u2", before=datetime(2025, 1, 1))


def test_posts_without_a_time_stand_before_all_others(store: Store) -> None:
    dated = Post("d", "x", "c", "mo", datetime(1930, 1, 1, tzinfo=UTC))
    put(store, Post("b", "x", "c", "mo"), dated, Post("a", "x", "c", "mo"))
    assert store.history("c", "mo").ids == ["b", "a", "d"]
    assert store.history("c", "mo", last=1).ids == ["d"]
    assert store.history("c", "mo", before=dated.created_at).ids == ["b", "a"]


@pytest.mark.parametrize("batch", [1, 7, 48, 49])
def test_all_posts_come_once_in_order_of_time(store: Store, batch: int) -> None:
    past, _ = checkerboard()
    same = [Post(f"same{i}", "x", "even", created_at=START) for i in range(5)]
    put(store, *same)
    store.put_posts(past)
    everything = Posts.concat(store.posts(batch=batch))
    assert sorted(everything.ids) == sorted([*past.ids, *(post.id for post in same)])
    assert everything.times.tolist() == sorted(everything.times.tolist())
    end = START + timedelta(hours=9)
    some = Posts.concat(store.posts("even", since=START + timedelta(hours=2), until=end, batch=batch))
    assert some.ids == [
        p.id for p in past if p.community == "even" and START + timedelta(hours=2) <= p.created_at < end
    ]


def test_what_no_database_holds_is_replaced_alike(store: Store) -> None:
    put(store, Post("a\0b", "nul \0 here", "c\0", "u\0", tags=("t\0g",), images=("i\0",), language="e\0"))
    kept = store.get_posts("c\0", ["a\0b"])[0]
    assert (kept.id, kept.text, kept.community, kept.user) == ("a\ufffdb", "nul \ufffd here", "c\ufffd", "u\ufffd")
    assert (kept.tags, kept.images, kept.language) == (("t\ufffdg",), ("i\ufffd",), "e\ufffd")
    assert store.history("c\0", "u\0").ids == store.history("c\ud800", "u\udfff").ids == ["a\ufffdb"]
    assert store.delete_posts("c\ud800", ["a\ud800b"]) == 1


LONG = {
    "id": "x" * MAX_ID,
    "user": "ü" * MAX_ID,
    "community": "日" * MAX_ID,
    "language": "x" * MAX_ID,
    "text": "𝕏" * MAX_TEXT,
}


@pytest.mark.parametrize("name", LONG)
def test_the_longest_is_kept_and_one_longer_refused(store: Store, name: str) -> None:
    fields = {"id": "p", name: LONG[name]}
    assert put(store, Post(**fields)) == (1, 0, 0, 0)
    assert next(store.posts())[0] == Post(**fields)
    done = store.put_posts(Posts.of([Post(**fields | {name: LONG[name] + "x"}), Post("q", "fine")]))
    assert (done.new, [reason.split()[0] for _, reason in done.refused]) == (1, [name])


def test_other_limits(store: Store) -> None:
    most = tuple(f"t{i}" for i in range(MAX_TAGS))
    assert put(store, Post("a", tags=most), Post("b", tags=("x" * MAX_TAG,))) == (2, 0, 0, 0)
    wrong = [Post("c", tags=(*most, "one more")), Post("d", tags=("x" * (MAX_TAG + 1),)), Post("e", views=float("inf")),
             Post("")]  # fmt: skip
    done = store.put_posts(Posts.of(wrong))
    assert [i for i, _ in done.refused] == ["c", "d", "e", ""]
    assert done.new == 0
    put(store, Post("f", likes=float("nan")))
    assert store.get_posts("", ["f"])[0].likes is None


def test_none_at_all(store: Store) -> None:
    assert put(store) == (0, 0, 0, 0)
    assert list(store.posts()) == []
    assert len(store.get_posts("c", [])) == store.count() == 0


def test_more_than_one_transaction_holds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hashloom.store.posts.BATCH", 7)
    monkeypatch.setattr("hashloom.store._base.AT_ONCE", 3)
    past, _ = checkerboard()
    assert store.put_posts(past).new == store.put_posts(past).same == len(past)
    assert store.get_posts("even", past.ids).ids == [post.id for post in past if post.community == "even"]


def in_threads(count: int, work: Callable[[int], None]) -> None:
    failed: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed


def test_writers_of_several_processes_and_readers_go_on_at_once(opened: Callable[..., Store]) -> None:
    stores = [opened() for _ in range(3)]  # each with connections of its own, as processes have
    seen: list[int] = []

    def work(number: int) -> None:
        store = stores[number % 3]
        for i in range(15):
            if number < 3:
                put(store, Post(f"{number}-{i}", "x", "c", f"u{number}", START + timedelta(minutes=i)),
                    Post("shared", f"{number}-{i}", "c"))  # fmt: skip
            else:
                history = store.history("c", "u0")
                assert history.ids == [f"0-{j}" for j in range(len(history))]
                seen.append(len(history))

    in_threads(6, work)
    assert stores[0].count() == 3 * 15 + 1
    assert len(seen) == 3 * 15


def test_reading_goes_on_while_a_write_is_open_and_sees_the_past(opened: Callable[..., Store]) -> None:
    one, other = opened(), opened()
    put(one, WHOLE)
    pages = other.posts(batch=1)
    with one._writing() as to:
        to.exec_driver_sql("UPDATE hashloom_posts SET text = 'half'")
        assert next(pages).texts == ["rye loaf"]
        assert other.count() == 1
    assert other.get_posts("bakers", ["p1"]).texts == ["half"]


def test_a_failure_undoes_all_of_a_write(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, WHOLE)

    def fail(*_: object) -> None:
        raise RuntimeError("between rows and log")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_log", fail)
        with pytest.raises(RuntimeError, match="between"):
            put(store, Post("p2", "oat", "bakers"))
    assert store.count() == 1
    assert put(store, Post("p2", "oat", "bakers")) == (1, 0, 0, 0)


@pytest.mark.parametrize("others", [[], [Post("p2", "y", "c", created_at=datetime(2025, 1, 1, tzinfo=UTC))]])
def test_a_time_without_a_zone_is_no_moment(others: list[Post]) -> None:
    with pytest.raises(ValueError, match=r"`created_at` of post 'p1' has no time zone; say one"):
        Posts.of([*others, Post("p1", "x", "c", created_at=datetime(2025, 1, 1))])
