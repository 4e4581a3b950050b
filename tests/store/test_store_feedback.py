"""Feedback in the store: counted once, answered per post and per day, refused where it cannot be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from world import START

from hashloom.store import Day, Feedback, Store
from hashloom.types import Post, Posts


def said(token: str, event: str = "accepted", tag: str = "Rye", post: str = "p1", community: str = "bakers",
         user: str | None = "mo", at: datetime | None = START, **more: object) -> Feedback:  # fmt: skip
    return Feedback(token, community, post, tag, event, user, at=at, **more)  # type: ignore[arg-type]


def test_feedback_comes_back_as_it_was_with_its_tag_as_a_key(store: Store) -> None:
    event = said("t1", tag="#RyeBread", rank=2, score=0.25, model="ab12")
    assert store.put_feedback([event]).new == 1
    (kept,) = store.feedback()
    assert (kept.token, kept.community, kept.post_id, kept.user, kept.event) == ("t1", "bakers", "p1", "mo", "accepted")
    assert (kept.tag, kept.rank, kept.score, kept.model, kept.at) == ("ryebread", 2, 0.25, "ab12", START)


def test_a_repeated_token_counts_once_and_only_within_its_community(store: Store) -> None:
    done = store.put_feedback([said("t"), said("t", "rejected"), said("t", community="Bakers")])
    assert (done.new, done.repeated, done.refused) == (2, 1, [])
    assert store.put_feedback([said("t")]).repeated == 1
    assert [(e.community, e.event) for e in store.feedback()] == [("bakers", "accepted"), ("Bakers", "accepted")]


def test_rejected_tags_are_the_last_word_on_each_tag_of_a_post(store: Store) -> None:
    hour = timedelta(hours=1)
    store.put_feedback([
        said("1", "rejected", "Rye"), said("2", "rejected", "OAT"), said("3", "accepted", "oat", at=START + hour),
        said("4", "accepted", "Spelt"), said("5", "rejected", "spelt", at=START + hour),
        said("6", "typed", "Late", at=START + hour), said("7", "rejected", "late"),
        said("8", "rejected", "Other", post="p2"), said("9", "rejected", "Theirs", community="Bakers"),
        said("10", "shown", "Rye", at=START + hour),
    ])  # fmt: skip
    assert store.rejected("bakers", "p1") == {"rye", "spelt"}
    assert store.rejected("bakers", "p2") == {"other"}
    assert store.rejected("Bakers", "p1") == {"theirs"}
    assert store.rejected("sailors", "p1") == set()


@pytest.mark.parametrize(("event", "reason"), [
    (said(""), "token"),
    (said("t", post=""), "post_id"),
    (said("t", tag="#"), "tag"),
    (said("t", tag="\u200b"), "tag"),
    (said("t", "liked"), "liked"),
    (said("t", rank=-1), "rank"),
    (said("t", rank=2**70), "rank"),
    (said("t", score=float("nan")), "score"),
    (said("t", at=datetime(2025, 1, 1)), "time zone"),
    (said("x" * 1001), "token"),
    (said("t", user="x" * 1001), "user"),
])  # fmt: skip
def test_what_cannot_be_used_is_refused_and_the_rest_kept(store: Store, event: Feedback, reason: str) -> None:
    done = store.put_feedback([event, said("fine", model="d" * 1000)])
    assert (done.new, len(done.refused)) == (1, 1)
    assert reason in done.refused[0][1]


def test_malformed_text_is_replaced(store: Store) -> None:
    store.put_feedback([said("t\0", "rejected", "ry\0e", post="p\ud800", community="c\0", user="u\udfff", model="\0")])
    (kept,) = store.feedback("c\0")
    assert (kept.token, kept.post_id, kept.user, kept.model) == ("t\ufffd", "p\ufffd", "u\ufffd", "\ufffd")
    assert store.rejected("c\ufffd", "p\ufffd") == {kept.tag} != {""}
    assert store.put_feedback([said("t\ufffd", community="c\ud800")]).repeated == 1


def test_feedback_of_one_community_since_a_moment_in_pages(store: Store) -> None:
    store.put_feedback(said(f"{i}", community="ab"[i % 2], at=START + timedelta(days=i)) for i in range(20))
    some = store.feedback("a", START + timedelta(days=10), batch=2)
    assert [event.token for event in some] == ["10", "12", "14", "16", "18"]
    assert len(list(store.feedback(batch=3))) == 20


def test_quality_has_every_day_and_only_what_the_community_did(store: Store) -> None:
    now = datetime.now(UTC)
    ago = [now - timedelta(days=days) for days in (0, 1, 1, 1, 2, 3)]
    events = ("shown", "shown", "accepted", "rejected", "typed", "accepted")
    store.put_feedback(said(str(i), event, at=at) for i, (event, at) in enumerate(zip(events, ago)))
    store.put_feedback([said("b", "shown", community="b", at=now), said("later", at=now + timedelta(days=2))])
    days = [(now - timedelta(days=d)).date() for d in (2, 1, 0)]
    made = [Day(days[0], typed=1), Day(days[1], shown=1, accepted=1, rejected=1), Day(days[2], shown=1)]
    assert store.quality("bakers", 3) == made
    assert store.quality(None, 1) == [Day(days[2], shown=2)]


def test_feedback_on_what_was_deleted_is_refused(store: Store) -> None:
    store.put_posts(Posts.of([Post("p1", "x", "bakers", "mo")]))
    store.delete_posts("bakers", ["p1"])
    store.delete_author("flo")
    done = store.put_feedback([said("1"), said("2", post="p2", user="flo"), said("3", post="p2")])
    assert (done.new, [token for token, _ in done.refused]) == (1, ["1", "2"])
