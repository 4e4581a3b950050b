"""The engine without HTTP: answers, the chain they fall back along, what is left out, and what follows the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking import soon

from hashloom.recommenders.linear import Linear
from hashloom.serve.drafts import Draft
from hashloom.serve.engine import Engine
from hashloom.serve.learnable import UNREVIEWED
from hashloom.serve.shelf import Refused
from hashloom.store import Feedback, NotThere, Store
from hashloom.tag_space import TagSpace
from hashloom.types import Post, Posts

RYE = Draft("rye flour kneaded", "even")
New = Callable[..., Engine]
Publish = Callable[[str], str]


def breaks(monkeypatch: pytest.MonkeyPatch, how: Callable[..., object]) -> None:
    monkeypatch.setattr(Linear, "_rank", how)


def fails(*_: object) -> object:
    raise RuntimeError("weights of /secret/place are gone")


# ---- answers


def test_an_answer_names_its_model(engine: Engine) -> None:
    answer = engine.suggest(RYE)
    assert answer.tags[0] == "Rye"
    assert (answer.way, answer.why, answer.model) == ("model", "", engine.store.published("recommender").digest)


def test_only_calibrated_scores_are_probabilities(engine_of: New, publish: Publish) -> None:
    publish("linear")
    engine = engine_of()
    assert engine.suggest(RYE).suggestions[0].probability is None
    publish("calibrated")
    engine.sync()
    assert 0 < engine.suggest(RYE).suggestions[0].probability <= 1
    assert not engine.suggest(replace(RYE, popularity=1.0)).notes


def test_dials_of_a_model_without_any_are_noted(engine: Engine) -> None:
    assert "dials" in engine.suggest(replace(RYE, novelty=0.5)).notes[0]


def test_many_are_answered_as_each_alone(engine: Engine) -> None:
    drafts = [Draft(text, "even", k=k) for text in ("rye flour", "oat flakes", "") for k in (1, 3)] * 5
    both = engine.suggest_many(drafts), [engine.suggest(draft) for draft in drafts]
    assert [a.tags for a in both[0]] == [a.tags for a in both[1]]
    assert {a.model for a in both[0]} == {engine.current.digest}


@pytest.mark.parametrize("text", ["", " \n", "🍞", "https://example.org/", "@mo", "#", "\x00\ud83d\u202e", "́" * 5000])
def test_empty_and_odd_texts_are_answered(engine: Engine, text: str) -> None:
    assert engine.suggest(Draft(text, "even")).way == "model"


def test_a_community_nobody_knows_gets_nothing(engine: Engine) -> None:
    answer = engine.suggest(Draft("rye flour", "nowhere"))
    assert (answer.tags, answer.way) == ([], "model")


# ---- what is left out


def test_chosen_unwanted_written_and_rejected_tags_are_left_out(engine_of: New, publish: Publish, store: Store) -> None:
    publish("linear")
    engine = engine_of(least_authors=1)
    full = engine.suggest(replace(RYE, k=50)).tags
    store.put_feedback([Feedback("t", "even", "d1", full[3], "rejected", user="x")])
    draft = Draft(f"rye flour #{full[0]}", "even", chosen=(full[1].upper(),), unwanted=(f"＃{full[2]}",), post_id="d1")
    again = engine.suggest(replace(draft, k=50)).tags
    assert sorted(again) == sorted(full[4:])


def test_aliases_of_a_chosen_tag_are_left_out(engine: Engine, store: Store) -> None:
    store.put_space(TagSpace("even", aliases={"Roggen": "Rye"}), by="op")
    engine.sync()
    assert "Rye" not in engine.suggest(replace(RYE, chosen=("roggen",))).tags


def test_as_many_as_asked_are_given_where_there_are_so_many(engine_of: New, publish: Publish) -> None:
    publish("linear")
    engine = engine_of(least_authors=1)
    full = engine.suggest(replace(RYE, k=50)).tags
    assert len(engine.suggest(replace(RYE, k=len(full) - 2, unwanted=tuple(full[:2]))).tags) == len(full) - 2


def test_a_platform_sets_limit_and_form(engine: Engine) -> None:
    assert len(engine.suggest(replace(RYE, platform="threads")).tags) == 1
    assert engine.suggest(replace(RYE, platform="threads", chosen=("x",))).tags == []


def test_denied_tags_are_given_on_no_path(engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put_space(TagSpace("even", denied=["rye"]), by="op")
    engine.sync()
    assert "Rye" not in engine.suggest(RYE).tags
    assert not engine.complete("even", "ry")
    assert "rye" not in [trend.tag for _, trend in engine.trends("even")]
    breaks(monkeypatch, fails)
    answer = engine.suggest(RYE)
    assert (answer.way, "Rye" in answer.tags) == ("favourites", False)


def test_a_closed_list_is_the_operators_and_opens_again(engine: Engine, store: Store) -> None:
    before = engine.suggest(replace(RYE, k=50)).tags
    store.put_space(TagSpace.of(["Oat"], "even", closed=True), by="op")
    engine.sync()
    assert engine.suggest(replace(RYE, k=50)).tags == ["Oat"]
    store.put_space(TagSpace("even"), by="op")
    engine.sync()
    assert sorted(engine.suggest(replace(RYE, k=50)).tags) == sorted(before)


# ---- the floor of authors


def test_a_tag_of_one_author_is_told_to_nobody_else(engine_of: New, store: Store, publish: Publish) -> None:
    publish("linear")
    engine = engine_of()
    store.put_posts(Posts.of([Post(f"s{i}", "secret rye surgery", "even", "mo", tags=("Surgery",)) for i in range(9)]))
    engine.sync()
    draft = Draft("secret rye surgery", "even", "al", k=50)
    assert "Surgery" not in engine.suggest(draft).tags
    assert "Surgery" in engine.suggest(replace(draft, user="mo")).tags
    assert not engine.complete("even", "surg")
    store.put_posts(Posts.of([Post("s9", "rye surgery", "even", "di", tags=("Surgery",))]))
    engine.sync()
    assert "Surgery" in engine.suggest(draft).tags
    assert "Surgery" in engine_of(least_authors=1).suggest(draft).tags


def test_the_floor_knows_the_models_own_memory(engine_of: New, publish: Publish, store: Store) -> None:
    publish("linear")
    habits = [tag for tag in engine_of().suggest(Draft("rye", "even", "u0", k=50)).tags if tag.startswith("Habit")]
    assert habits == ["Habit0"]
    assert "Habit2" in engine_of(least_authors=1).suggest(Draft("rye", "even", "u0", k=50)).tags


# ---- the chain


def test_the_chain_is_followed_and_named(engine_of: New, publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    popular = publish("popular")
    engine = engine_of()
    publish("linear")
    engine.sync()
    breaks(monkeypatch, fails)
    answer = engine.suggest(RYE)
    assert (answer.way, answer.model, answer.kind) == ("previous model", popular, "failed")
    assert answer.why == "model: the model failed: RuntimeError"
    assert set(answer.tags) >= {"Rye", "Oat"}
    engine.previous = None
    answer = engine.suggest(RYE)
    assert (answer.way, answer.model) == ("favourites", None)
    assert set(answer.tags) == {"Rye", "Oat"}
    assert engine.suggest(Draft("x", "nowhere")).way == "none"


def test_a_slow_model_is_cut_off_and_nobody_waits_for_a_stuck_one(
    engine_of: New, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish("linear")
    engine, sound, go = engine_of(budget=0.5), Linear._rank, threading.Event()
    breaks(monkeypatch, lambda *args: (go.wait(120), sound(*args))[1])
    began = time.monotonic()
    assert engine.suggest(RYE).kind == "slow"
    assert engine.suggest(RYE).kind in ("slow", "stuck")
    time.sleep(0.6)
    answers = [engine.suggest(RYE) for _ in range(20)]
    assert {answer.kind for answer in answers} == {"stuck"}  # they were told so before they would have waited
    assert time.monotonic() - began < 60  # the model is held for twice as long
    assert all(set(answer.tags) == {"Rye", "Oat"} for answer in answers)
    go.set()
    soon(lambda: engine.suggest(RYE).way == "model", "the model coming back")


def test_without_any_model_the_favourites_answer(engine_of: New) -> None:
    answer = engine_of().suggest(RYE)
    assert (answer.way, answer.kind, set(answer.tags)) == ("favourites", "no model", {"Rye", "Oat"})


# ---- reasons


def test_reasons_are_told_and_name_no_other_community(engine: Engine) -> None:
    answer = engine.suggest(replace(RYE, explain=True, user="u0"))
    assert answer.suggestions[0].reasons
    assert all(reason.sentence for one in answer.suggestions for reason in one.reasons)
    assert "odd" not in str(answer)
    assert engine.suggest(RYE).suggestions[0].reasons == ()


# ---- following the store


def test_a_post_is_learnt_edited_and_forgotten(engine: Engine, store: Store) -> None:
    draft = Draft("buckwheat groats", "even", k=50)
    new = [Post(f"b{i}", "buckwheat groats", "even", f"n{i}", tags=("Buckwheat",)) for i in range(3)]
    store.put_posts(Posts.of(new))
    engine.sync()
    assert "Buckwheat" in engine.suggest(draft).tags
    store.put_posts(Posts.of([replace(post, tags=("Groats",)) for post in new]))
    engine.sync()
    assert "Groats" in (tags := engine.suggest(draft).tags)
    assert "Buckwheat" not in tags
    store.delete_posts("even", [post.id for post in new])
    engine.sync()
    assert not {"Groats", "Buckwheat"} & set(engine.suggest(draft).tags)
    assert store.put_posts(Posts.of(new)).refused
    engine.sync()
    assert "Buckwheat" not in engine.suggest(draft).tags


def test_what_nobody_reviewed_is_not_learnt(engine_of: New, publish: Publish, store: Store) -> None:
    publish("linear")
    engine = engine_of()
    new = [Post(f"b{i}", "buckwheat groats", "even", f"n{i}", tags=("Buckwheat",)) for i in range(3)]
    store.put_posts(Posts.of(new), source=UNREVIEWED)
    engine.sync()
    for one in (engine, engine_of()):
        assert "Buckwheat" not in one.suggest(Draft("buckwheat groats", "even", k=50)).tags


def test_an_author_is_forgotten_also_where_the_store_never_had_the_posts(
    engine_of: New, tmp_path: Path, known: Posts, models: dict[str, Path]
) -> None:
    with Store.open(tmp_path / "empty") as store:
        with Engine(store, model=models["linear"]) as engine:
            assert "u0" in engine.current.running.peek.memory_.frame["user"]
            store.delete_author("u0")
            engine.sync()
            assert "u0" not in engine.current.running.peek.memory_.frame["user"]
        with Engine(store, model=models["linear"]) as engine:
            assert "u0" not in engine.current.running.peek.memory_.frame["user"]
            assert "u2" in engine.current.running.peek.memory_.frame["user"]


def test_an_author_deleted_in_one_community_stays_in_another(engine: Engine, store: Store) -> None:
    store.put_posts(Posts.of([Post("z", "surf board", "odd", "u0", tags=("Surf",))]))
    engine.sync()
    store.delete_author("u0", community="even")
    engine.sync()
    rows = engine.current.running.peek.memory_.frame.filter(user="u0")
    assert rows["community"].to_list() == ["odd"]


def test_equal_ids_of_two_communities_are_two_posts(engine: Engine, store: Store) -> None:
    for side, tag in (("even", "Spelt"), ("odd", "Swim")):
        store.put_posts(Posts.of([Post(f"same{i}", "quite new", side, f"n{i}", tags=(tag,)) for i in range(2)]))
    engine.sync()
    store.delete_posts("odd", ["same0", "same1"])
    engine.sync()
    assert "Spelt" in engine.suggest(Draft("quite new", "even", k=50)).tags
    assert "Swim" not in engine.suggest(Draft("quite new", "odd", k=50)).tags


def test_the_background_thread_follows_within_seconds(engine: Engine, store: Store) -> None:
    engine.start()
    store.put_posts(Posts.of([Post(f"b{i}", "buckwheat", "even", f"n{i}", tags=("Buckwheat",)) for i in range(2)]))
    soon(lambda: "Buckwheat" in engine.suggest(Draft("buckwheat", "even", k=50)).tags, "a post")


def test_a_trimmed_log_makes_it_read_everything_anew(engine: Engine, store: Store) -> None:
    from datetime import UTC, datetime

    store.put_posts(Posts.of([Post(f"b{i}", "buckwheat", "even", f"n{i}", tags=("Buckwheat",)) for i in range(2)]))
    store.trim_changes(datetime.now(UTC))
    engine.sync()
    assert "Buckwheat" in engine.suggest(Draft("buckwheat", "even", k=50)).tags


def test_feedback_moves_a_tag_and_rejected_ones_do_not_come_back(engine: Engine, store: Store) -> None:
    first, second = engine.suggest(replace(RYE, user="zz")).tags[:2]
    events = [Feedback(f"r{i}", "even", f"p{i}", first, "rejected", user=f"r{i}") for i in range(40)]
    events += [Feedback(f"a{i}", "even", f"p{i}", second, "accepted", user=f"r{i}") for i in range(40)]
    store.put_feedback(events)
    engine.sync()
    assert engine.suggest(replace(RYE, user="zz")).tags[:2] == [second, first]
    assert first not in engine.suggest(replace(RYE, post_id="p1")).tags
    store.put_feedback([Feedback(f"x{i}", "odd", f"p{i}", "Surf", "rejected", user="one") for i in range(100)])
    engine.sync()
    assert engine.suggest(Draft("surf board waxed", "odd", "another")).tags[0] == "Surf"


# ---- swapping


def test_a_published_model_takes_over_and_rolls_back(engine: Engine, store: Store, models: dict[str, Path]) -> None:
    before = engine.suggest(RYE).model
    made = store.add_model("recommender", models["popular"])
    engine.publish("recommender", made.digest)
    assert engine.suggest(RYE).model == made.digest
    assert engine.roll_back("recommender") == before
    assert engine.suggest(RYE).model == before
    with pytest.raises(NotThere):
        engine.publish("recommender", "0" * 64)


def test_a_broken_model_is_refused_and_the_old_one_stays(
    engine: Engine, store: Store, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = engine.suggest(RYE).model
    made = store.add_model("recommender", models["popular"])
    path = made.folder / "learnt.json"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Refused, match="damaged"):
        engine.publish("recommender", made.digest)
    assert (engine.suggest(RYE).model, store.published("recommender").digest) == (before, before)
    assert made.digest in engine.health().refused


def test_a_model_that_fails_when_warmed_is_refused(
    engine: Engine, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hashloom.recommenders.popular import Popular

    before = engine.suggest(RYE).model
    monkeypatch.setattr(Popular, "_rank", fails)
    digest = publish("popular")  # by another process, which does not check
    engine.sync()
    assert engine.suggest(RYE).model == before
    assert "failed" in engine.health().refused[digest]
    assert "/secret" not in str(engine.health())


def test_what_happens_while_a_model_is_loaded_reaches_it(
    engine: Engine, publish: Publish, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hashloom.serve.shelf import Shelf

    warm, late = Shelf._warm, [Post(f"b{i}", "buckwheat", "even", f"n{i}", tags=("Buckwheat",)) for i in range(2)]

    def put_meanwhile(self: Shelf, *args: object) -> None:
        store.put_posts(Posts.of(late))
        store.delete_author("u0")
        warm(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Shelf, "_warm", put_meanwhile)
    digest = publish("popular")
    engine.sync()
    assert engine.suggest(RYE).model == digest
    assert "Buckwheat" in engine.suggest(Draft("buckwheat", "even", k=50)).tags
    assert "u0" not in engine.current.running.peek.memory_.frame["user"]


def test_a_candidate_answers_unseen(engine: Engine, store: Store, models: dict[str, Path]) -> None:
    made = store.add_model("recommender", models["popular"])
    engine.set_shadow("recommender", made.digest)

    def compared() -> bool:
        assert engine.suggest(RYE).model != made.digest
        return engine.shadow.report()["drafts"] >= 5

    soon(compared, "five comparisons")
    report = engine.health().shadow
    assert report["digest"] == made.digest
    assert (report["failed"], 0 < report["agreement"] <= 1) == (0, True)
    engine.set_shadow("recommender", None)
    assert engine.health().shadow is None


def test_swaps_and_rollbacks_under_load_leave_no_request_without_its_model(
    engine: Engine, store: Store, models: dict[str, Path]
) -> None:
    other = store.add_model("recommender", models["popular"]).digest
    digests, stop, seen, wrong = {engine.current.digest, other}, threading.Event(), set(), []

    def ask() -> None:
        while not stop.is_set():
            answer = engine.suggest(RYE)
            seen.add(answer.model)
            if answer.way != "model" or answer.model not in digests:
                wrong.append(answer)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(6):
        engine.publish("recommender", other)
        engine.roll_back("recommender")
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert seen == digests


def test_threads_end_with_the_engine(engine_of: New, publish: Publish) -> None:
    before = threading.active_count()
    publish("linear")
    engine = engine_of().start()
    engine.suggest(RYE)
    engine.close()
    soon(lambda: threading.active_count() <= before, "the end of its threads")
    assert not engine.spool.folder.exists()


def test_what_could_not_be_loaded_while_the_store_was_away_is_tried_again(
    engine: Engine, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = engine.store.published

    def away(name: str) -> None:
        raise OSError("the database is away")

    digest = publish("popular")
    monkeypatch.setattr(engine.store, "published", away)
    engine.sync()
    assert engine.current is not None
    assert engine.current.digest != digest
    monkeypatch.setattr(engine.store, "published", asked)
    engine.sync()
    assert engine.current.digest == digest


def test_a_sync_waits_for_a_model_that_another_thread_is_loading(
    engine: Engine, publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    load, begun, go = engine.shelf.load, threading.Event(), threading.Event()

    def slow(*given: Any) -> Any:
        begun.set()
        assert go.wait(60)
        return load(*given)

    digest = publish("popular")
    monkeypatch.setattr(engine.shelf, "load", slow)
    engine.sync(beside=True)
    assert begun.wait(60)
    assert engine.current is not None
    assert engine.current.digest != digest
    threading.Timer(0.3, go.set).start()
    engine.sync()
    assert engine.current.digest == digest


def test_a_forecaster_is_warmed_without_pictures_that_are_no_files(
    store: Store, engine_of: New, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from world import town

    from hashloom.forecasters.author_mean import AuthorMean

    store.put_posts(Posts.of([Post("seen", "rye", "even", "u0", images=("0" * 64,), tags=("Rye",))]))
    folder = AuthorMean().fit(town()[0]).save(tmp_path / "f")
    store.publish("forecaster", store.add_model("forecaster", folder).digest)
    engine = engine_of()
    assert engine.forecaster is not None
    assert not [
        image for posts in engine._warming("forecaster") for images in posts.frame["images"] for image in images
    ]
    assert "no such file" not in caplog.text
