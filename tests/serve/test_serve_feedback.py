"""What verdicts do to the next answers, how little one person can do with them, and what teaches nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hashloom.serve.drafts import Draft
from hashloom.serve.engine import Engine
from hashloom.serve.learnable import UNREVIEWED
from hashloom.serve.verdicts import LATEST, MOST, OWN_POSTS, Verdicts
from hashloom.store import Feedback, Store
from hashloom.types import Post, Posts

New = Callable[..., Engine]
Publish = Callable[[str], str]
LOAF = Draft("rye flour kneaded and oat flakes toasted", "even", "zz", k=10)


def said(
    tag: str, event: Any, *, user: str | None = "zz", times: int = 1, first: int = 0, **more: Any
) -> list[Feedback]:
    """Verdicts on a tag for posts of their own."""
    return [
        Feedback(f"{user} {tag} {event} {at}", "even", f"{user} {at}", tag, event, user=user, **more)
        for at in range(first, first + times)
    ]


def many(tag: str, event: Any, people: int, **more: Any) -> list[Feedback]:
    """One verdict each of several people."""
    return [one for at in range(people) for one in said(tag, event, user=f"p{at}", **more)]


def verdicts(*parts: list[Feedback]) -> Verdicts:
    made = Verdicts()
    for part in parts:
        made.put(part)
    return made


def factor(made: Verdicts, tag: str, user: str | None = "zz") -> float:
    return made.factor("even", tag, user)


USUAL = many("bread", "typed", 60)
"""What the community uses otherwise, so that one author's habit stands out."""


def heard(engine: Engine, events: list[Feedback]) -> None:
    put = engine.store.put_feedback(events)
    assert (put.new, put.refused) == (len(events), [])
    assert engine.sync()


# ---- an author's own verdicts


def test_what_an_author_accepts_and_types_rises_for_the_author_alone(engine: Engine) -> None:
    first, second = engine.suggest(LOAF).tags[:2]
    accepted = said(second, "accepted", times=5, rank=1, score=0.3)
    heard(engine, USUAL + accepted + said(second, "typed", times=5, first=5))
    assert engine.suggest(LOAF).tags[:2] == [second, first]
    assert engine.suggest(replace(LOAF, user="other")).tags[:2] == [first, second]
    assert 1 < factor(engine.follower.verdicts, second.lower()) <= MOST


def test_an_accepted_tag_says_the_less_the_surer_the_model_was() -> None:
    def after(chance: float) -> float:
        return factor(verdicts(USUAL, said("rye", "accepted", times=5, score=chance)), "rye")

    assert after(0.1) > after(0.5) > after(0.95) >= 1


def test_one_rejection_is_about_its_post_and_several_are_about_the_tag(engine: Engine) -> None:
    first, second = engine.suggest(LOAF).tags[:2]
    heard(engine, said(first, "rejected", rank=0, score=0.5))
    assert engine.suggest(LOAF).tags[:2] == [first, second]
    heard(engine, said(first, "rejected", times=8, first=1, rank=0, score=0.5))
    assert engine.suggest(LOAF).tags[:2] == [second, first]
    assert engine.suggest(replace(LOAF, user="other")).tags[:2] == [first, second]
    assert 1 / MOST <= factor(engine.follower.verdicts, first.lower()) < 1


def test_the_bounds_hold_whatever_is_sent() -> None:
    for event, shift in (("rejected", 1 / MOST), ("typed", MOST)):
        assert factor(verdicts(many("bread", "typed", 1_000), said("rye", event, times=500)), "rye") == pytest.approx(
            shift
        )
    usual = many("bread", "accepted", 300, score=0.99)
    both = verdicts(usual, many("rye", "rejected", 200, score=0.99), said("rye", "rejected", times=500))
    assert factor(both, "rye") == pytest.approx(1 / MOST**2)
    assert factor(both, "rye", "other") == pytest.approx(1 / MOST)


def test_a_change_of_mind_counts_by_the_latest_word() -> None:
    changed = verdicts(USUAL, said("rye", "rejected", times=9), said("rye", "accepted", times=9, score=0.1))
    assert factor(changed, "rye") > 1
    assert factor(verdicts(said("rye", "accepted", times=9, score=0.1), said("rye", "rejected", times=9)), "rye") < 1


def test_an_authors_old_posts_are_left_behind() -> None:
    old, new = said("oat", "typed", times=OWN_POSTS), said("rye", "typed", times=OWN_POSTS, first=OWN_POSTS)
    assert factor(verdicts(USUAL, old), "oat") > 1
    assert factor(verdicts(USUAL, old, new), "oat") == 1
    assert factor(verdicts(USUAL, old, new), "rye") == factor(verdicts(USUAL, new), "rye")


def test_what_a_post_taught_counts_no_second_time(engine: Engine, store: Store, engine_of: New) -> None:
    second = engine.suggest(LOAF).tags[1]
    tag = second.lower()
    heard(engine, USUAL + said(second, "typed", times=20))
    assert factor(engine.follower.verdicts, tag) > 1
    bare = [Post(f"zz {at}", "rye dough", "even", "zz") for at in range(20)]
    store.put_posts(Posts.of(bare))
    assert engine.sync()
    assert factor(engine.follower.verdicts, tag) > 1  # without tags they taught nothing
    store.put_posts(Posts.of([replace(post, tags=(second,)) for post in bare]))
    assert engine.sync()
    assert factor(engine.follower.verdicts, tag) == 1
    assert factor(engine_of().follower.verdicts, tag) == 1
    assert factor(engine_of(learn=False).follower.verdicts, tag) > 1
    heard(engine, said(second, "typed", times=20, first=20))
    assert factor(engine.follower.verdicts, tag) > 1
    store.delete_posts("even", [post.id for post in bare])
    assert engine.sync()
    assert factor(engine.follower.verdicts, tag) > 1


# ---- others' verdicts


def test_what_many_reject_falls_for_everybody_and_what_many_accept_rises() -> None:
    usual = [*many("bread", "accepted", 60, score=0.6), *many("cake", "rejected", 60, score=0.6)]
    made = verdicts(usual, many("rye", "rejected", 30, score=0.6), many("oat", "accepted", 30, score=0.6))
    assert 1 / MOST <= factor(made, "rye", "other") < 0.8
    assert 1.2 < factor(made, "oat", "other") <= MOST


def test_what_is_usual_for_such_suggestions_moves_nothing() -> None:
    made = Verdicts()
    for at in range(60):
        made.put(said(f"high{at % 3}", "accepted" if at % 10 else "rejected", user=f"p{at}", score=0.92))
        made.put(said(f"low{at % 3}", "rejected" if at % 10 else "accepted", user=f"p{at}", score=0.12))
    for at in range(3):
        assert factor(made, f"high{at}", "other") == pytest.approx(1, abs=0.1)
        assert factor(made, f"low{at}", "other") == pytest.approx(1, abs=0.1)


def test_without_scores_like_ranks_are_compared() -> None:
    made = Verdicts()
    for at in range(60):
        made.put(said(f"last{at % 3}", "rejected", user=f"p{at}", rank=9, score=-3.5))
        made.put(said("first", "accepted", user=f"p{at}", rank=0, score=7.0))
    made.put(many("odd", "rejected", 30, rank=0))
    assert factor(made, "last0", "other") == pytest.approx(1, abs=0.1)
    assert factor(made, "odd", "other") < 0.7


@pytest.mark.parametrize("user", ["flood", None])
def test_one_person_however_loud_moves_nobody_else(user: str | None) -> None:
    usual = [*many("rye", "accepted", 30, score=0.7), *many("oat", "rejected", 10, score=0.7)]
    before = verdicts(usual)
    for event in ("rejected", "accepted"):
        for score in (0.99, 0.7, 0.01, None):
            loud = verdicts(usual, said("rye", event, user=user, times=1_000, score=score))
            for tag in ("rye", "oat"):
                assert factor(loud, tag, "other") == pytest.approx(factor(before, tag, "other"), rel=0.25), (
                    event,
                    score,
                )
    assert LATEST < 1_000


def test_a_flood_over_the_service_suppresses_no_rivals_tag(engine: Engine) -> None:
    before = engine.suggest(replace(LOAF, user="other")).tags
    for tag in before[:2]:
        heard(engine, said(tag, "rejected", user="flood", times=300, rank=0, score=0.99))
    assert engine.suggest(replace(LOAF, user="other")).tags == before


def test_communities_stay_apart() -> None:
    made = verdicts(many("rye", "rejected", 40), said("rye", "typed", times=20))
    assert made.factor("odd", "rye", "zz") == 1


# ---- what teaches nothing


def test_what_was_shown_and_ignored_teaches_nothing(engine: Engine) -> None:
    before = [engine.suggest(replace(LOAF, user=user)) for user in ("zz", "p0", "other")]
    tags = before[0].tags
    heard(engine, [one for tag in tags for one in many(tag, "shown", 40, rank=0, score=0.9)])
    heard(engine, said(tags[0], "shown", times=40, score=0.9))
    after = [engine.suggest(replace(LOAF, user=user)) for user in ("zz", "p0", "other")]
    assert [one.suggestions for one in after] == [one.suggestions for one in before]


def test_the_models_own_output_teaches_nothing_until_a_person_looked(
    engine: Engine, store: Store, engine_of: New
) -> None:
    drafts = [replace(LOAF, text=text, user=user) for text in ("rye dough", "oat flakes") for user in ("zz", "u0")]
    before = [engine.suggest(draft).suggestions for draft in drafts]
    own = Posts.of([Post(f"own{i}", "rye dough", "even", f"n{i}", tags=("Groats",)) for i in range(20)])
    store.put_posts(own, source=UNREVIEWED)
    assert engine.sync()
    for one in (engine, engine_of()):
        assert [one.suggest(draft).suggestions for draft in drafts] == before
    store.put_posts(own)  # now somebody stands behind it
    assert engine.sync()
    assert all("Groats" in engine.suggest(draft).tags for draft in drafts)


def test_switched_off_verdicts_move_nothing_and_still_hold_for_their_post(engine_of: New, publish: Publish) -> None:
    publish("calibrated")
    engine = engine_of(learn_from_feedback=False)
    before = engine.suggest(LOAF).tags
    heard(engine, many(before[0], "rejected", 60, score=0.9) + said(before[0], "rejected", times=9))
    assert engine.suggest(LOAF).tags == before
    assert before[0] not in engine.suggest(replace(LOAF, post_id="zz 3")).tags


# ---- the post itself


def test_a_rejected_tag_does_not_come_back_for_its_post_until_it_is_taken_after_all(engine: Engine) -> None:
    first = engine.suggest(LOAF).tags[0]
    heard(engine, said(first, "rejected"))
    again = replace(LOAF, post_id="zz 0", k=50)
    assert first not in engine.suggest(again).tags
    assert first not in engine.suggest_many([again, again])[1].tags
    assert first in engine.suggest(replace(LOAF, post_id="zz 1")).tags
    heard(engine, said(first, "typed"))
    assert first in engine.suggest(again).tags


# ---- order, reading, forgetting


def test_a_list_that_dials_turned_stays_turned() -> None:
    made = verdicts(many("d", "rejected", 30, score=0.6), many("a", "accepted", 30, score=0.6))
    tags, turned = ["a", "b", "c", "d"], ["d", "c", "b", "a"]
    assert made.reordered("even", tags, None, [0.4, 0.3, 0.2, 0.1]) == [0, 1, 2, 3]
    assert made.reordered("even", turned, None, [0.1, 0.2, 0.3, 0.9]) == [0, 1, 2, 3]
    assert made.reordered("even", turned, None, [0.3, 0.31, 0.32, 0.33]) == [3, 1, 2, 0]
    assert made.reordered("odd", turned, None, [0.3, 0.31, 0.32, 0.33]) == [0, 1, 2, 3]


def test_chances_are_told_as_the_model_made_them(engine_of: New, publish: Publish) -> None:
    publish("calibrated")
    engine = engine_of()
    before = {one.tag: one.probability for one in engine.suggest(LOAF).suggestions}
    first, second = before
    heard(engine, USUAL + said(second, "typed", times=40) + said(first, "rejected", times=9, first=40))
    after = {one.tag: one.probability for one in engine.suggest(LOAF).suggestions}
    assert (list(after), after) == ([second, first], before)


def test_what_is_read_twice_counts_once() -> None:
    events = many("rye", "rejected", 40, score=0.6) + said("rye", "typed", times=20) + many("oat", "accepted", 9)
    once, twice = verdicts(events), verdicts(events, events[10:], events)
    for tag in ("rye", "oat"):
        for user in ("zz", "p3", None):
            assert factor(once, tag, user) == factor(twice, tag, user)


def test_a_restart_knows_what_was_learnt_piece_by_piece(engine: Engine, engine_of: New) -> None:
    tags = engine.suggest(LOAF).tags
    heard(engine, USUAL)
    for at in range(4):
        heard(engine, said(tags[1], "typed", first=5 * at, times=5))
        heard(engine, [one for one in many(tags[0], "rejected", 8, score=0.7, first=at)])
    learnt, read = engine.follower.verdicts, engine_of().follower.verdicts
    for tag in tags:
        for user in ("zz", "p1", "other", None):
            assert factor(learnt, tag.lower(), user) == factor(read, tag.lower(), user)
    assert factor(read, tags[1].lower()) > 1


def test_the_verdicts_of_a_deleted_author_are_forgotten(engine: Engine, store: Store) -> None:
    tag = engine.suggest(LOAF).tags[1].lower()
    heard(engine, USUAL + said(tag, "typed", times=20) + many(tag, "accepted", 5, score=0.4))
    assert factor(engine.follower.verdicts, tag) > 1
    store.delete_author("zz")
    assert engine.sync()
    assert factor(engine.follower.verdicts, tag) == factor(verdicts(USUAL, many(tag, "accepted", 5, score=0.4)), tag)


# ---- quality over time


def test_quality_counts_each_event_on_its_day(engine: Engine, store: Store) -> None:
    from asking import asked

    now = datetime.now(UTC)
    yesterday: dict[str, Any] = {"at": now - timedelta(days=1)}
    events = said("rye", "shown", times=5) + said("rye", "accepted", times=2) + said("oat", "rejected", times=3)
    events += said("oat", "typed", times=1) + said("rye", "shown", user="old", times=4, **yesterday)
    events += said("rye", "accepted", user="old", times=1, **yesterday)
    store.put_feedback([*events, *events])
    store.put_feedback([Feedback("x", "odd", "p", "surf", "rejected")])
    with asked(engine) as client:
        days = client.get("/v1/quality/even").json()["days"]
        others = client.get("/v1/quality/odd").json()["days"]
    counts = [[day[name] for name in ("shown", "accepted", "rejected", "typed")] for day in days]
    assert counts[-2:] == [[4, 1, 0, 0], [5, 2, 3, 1]]
    assert not any(map(any, counts[:-2]))
    assert [days[-1]["day"], days[-2]["day"]] == [str(now.date()), str((now - timedelta(days=1)).date())]
    assert sum(day["rejected"] for day in others) == 1
