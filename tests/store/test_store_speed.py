"""What the store may cost, in what a machine's speed does not change: statements, steps of SQLite and calls in Python.

Seconds are measured by ``benchmarks/store.py``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from sqlite3 import ProgrammingError
from types import FrameType
from typing import Any

import pytest
import sqlalchemy as sa
from world import START

from hashloom.store import Feedback, Store
from hashloom.types import Post, Posts

FEW, MANY = 1_000, 10_000


def made(count: int) -> Posts:
    """Posts of authors who wrote 20 each, 25 authors to a community, however many there are."""
    users = count // 20
    return Posts.of(
        Post(f"p{i}", "word " * 60, f"c{i % (users // 25)}", f"u{i % users}", START + timedelta(minutes=i),
             tags=("Rye", "Oat"))
        for i in range(count)
    )  # fmt: skip


def shown(count: int) -> list[Feedback]:
    return [Feedback(f"{count}-{i}", "c1", f"p{i}", f"tag{i}", "shown", "u1") for i in range(count)]


@dataclass
class Work:
    """What was done: statements with their values, instructions of SQLite's machine, calls of Python functions."""

    asked: list[tuple[str, Any]] = field(default_factory=list)
    steps: int = 0
    calls: int = 0


def count(work: Callable[[], object]) -> Work:
    """What a piece of work does, the same each time."""
    with noting() as done:
        work()
    return done


@contextmanager
def noting() -> Iterator[Work]:
    done, seen = Work(), []

    def step() -> int:
        done.steps += 1
        return 0

    def call(frame: FrameType, what: str, _: object) -> None:
        done.calls += what == "call" and frame.f_code is not step.__code__

    def connected(to: sa.Connection) -> None:
        seen.append(to.connection.dbapi_connection)
        seen[-1].set_progress_handler(step, 1)

    def asked(_: object, __: object, text: str, values: object, *___: object) -> None:
        done.asked.append((text, values))

    sa.event.listen(sa.Engine, "engine_connect", connected)
    sa.event.listen(sa.Engine, "after_cursor_execute", asked)
    try:
        sys.setprofile(call)
        yield done
    finally:
        sys.setprofile(None)
        sa.event.remove(sa.Engine, "engine_connect", connected)
        sa.event.remove(sa.Engine, "after_cursor_execute", asked)
        for one in seen:
            with suppress(ProgrammingError):  # it was closed
                one.set_progress_handler(None, 1)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store]:
    """One with some posts, and one with ten times as many."""
    both = []
    for posts in (FEW, MANY):
        both.append(Store.open(tmp_path_factory.mktemp("full")))
        both[-1].put_posts(made(posts))
    return both[0], both[1]


READS: dict[str, Callable[[Store], object]] = {
    "history": lambda store: store.history("c1", "u1"),
    "history before": lambda store: store.history("c1", "u1", before=START + timedelta(days=30)),
    "recent": lambda store: store.recent("c1", last=100),
    "posts": lambda store: store.get_posts("c1", ["p1", "unknown"]),
    "rejected": lambda store: store.rejected("c1", "p1"),
    "key": lambda store: store.find_key("hl_unknown"),
    "published": lambda store: store.published("recommender"),
    "changes": lambda store: store.changes(900, 10),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_costs_no_more_among_ten_times_as_many_posts(stores: tuple[Store, Store], name: str) -> None:
    for store in stores:
        READS[name](store)  # what is made once is made
    few, many = (count(lambda: READS[name](store)) for store in stores)  # noqa: B023
    assert 2 <= len(many.asked) == len(few.asked) <= 3  # the transaction's beginning, and what is asked
    assert 0 < many.steps <= 1.1 * few.steps
    assert 0 < many.calls <= 1.1 * few.calls


def test_a_history_of_twenty_posts_stays_cheap(stores: tuple[Store, Store]) -> None:
    """462 steps and 1,932 calls were seen, in a millisecond (``benchmarks/store.py``)."""
    assert len(stores[1].history("c1", "u1")) == 20
    done = count(lambda: stores[1].history("c1", "u1"))
    assert done.steps <= 1_000
    assert done.calls <= 5_000


def test_feedback_costs_as_much_an_event_however_many_there_are(stores: tuple[Store, Store]) -> None:
    stores[1].put_feedback(shown(1))
    few, many = (count(lambda: stores[1].put_feedback(shown(events))) for events in (100, 1_000))  # noqa: B023
    assert len(many.asked) == len(few.asked) == 5
    for one, ten in ((few.steps, many.steps), (few.calls, many.calls)):
        assert 0 < ten <= 11 * one
    assert many.calls <= 100 * 1_000  # 34 each were seen


def test_putting_posts_costs_as_much_each_however_many_there_are(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        posts = made(2_500)
        store.put_posts(posts[:100])
        few, many = (count(lambda: store.put_posts(some)) for some in (posts[100:300], posts[300:2_300]))  # noqa: B023
    assert len(many.asked) <= len(few.asked) + 1
    for one, ten in ((few.steps, many.steps), (few.calls, many.calls)):
        assert 0 < ten <= 11 * one


def test_reads_go_by_an_index_and_sort_nothing(stores: tuple[Store, Store]) -> None:
    store = stores[1]
    with noting() as done:
        store.history("c3", "u3", before=START + timedelta(days=1))
        store.recent("c3")
        store.get_posts("c3", ["p3", "p23"])
        _ = [len(posts) for posts in store.posts("c3", since=START, batch=300)]
        _ = [len(posts) for posts in store.posts(batch=6_000)]
        store.rejected("c1", "p1")
        store.changes(9_990)
    with store._reading() as at:
        selects = [(text, values) for text, values in done.asked if text.startswith("SELECT hashloom")]
        plans = {t: at.exec_driver_sql(f"EXPLAIN QUERY PLAN {t}", v).all() for t, v in selects}
    assert len(plans) >= 7
    for text, plan in plans.items():
        steps = " / ".join(row[-1] for row in plan)
        # The rejected tags of one post are few and sorted; all others come in order from the index.
        assert "rejected" in text or "feedback" in text or "TEMP B-TREE" not in steps, (text, steps)
        assert "SEARCH" in steps or "USING INDEX hashloom_posts_time" in steps, (text, steps)


def test_a_store_that_is_up_to_date_is_opened_by_reading_alone(stores: tuple[Store, Store]) -> None:
    few, many = (count(lambda: Store.open(store.folder).close()) for store in stores)  # noqa: B023
    assert 0 < many.steps == few.steps <= 100
    assert not [text for text, _ in many.asked if not text.startswith(("BEGIN", "PRAGMA", "SELECT"))]
    assert len(many.asked) == len(few.asked) <= 8
