"""Sensitive tags in the service: one test for each path by which one could reach somebody who did not name it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asking import asked

from hashloom.recommenders.popular import Popular
from hashloom.serve.bulk import Bulk, Wanted
from hashloom.serve.drafts import Draft, with_scoped_ids
from hashloom.serve.engine import Engine
from hashloom.store import Store
from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.tags import key, skeleton
from hashloom.types import Post, Posts

LOOKS = ("Depression", "DEPRESSION", "dеpression", "de_pression")
SILENT = Draft("my walk in the rain", "even", "n1", k=50)
"""By an author who has used the tag, and whose neighbours in the text have."""
NAMING = replace(SILENT, text="my depression and my walk in the rain")


def told(tags: list[str]) -> bool:
    return any(skeleton(key(tag)) == "depression" for tag in tags)


def marked(client: Any, **change: Any) -> Any:
    answer = client.patch("/v1/spaces/even/sensitive", json={"add": ["Depression"]} | change)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture(params=["popular", "linear", "calibrated"])
def served(
    request: pytest.FixtureRequest, store: Store, engine_of: Callable[..., Engine], publish: Callable[[str], str]
) -> Engine:
    """An engine whose community uses the tag, in several spellings, and has marked it."""
    publish(request.param)
    rows = [Post(f"d{i}", f"my walk in the rain, {i}", "even", f"n{i % 4}", tags=(LOOKS[i % 4],)) for i in range(40)]
    store.put_posts(Posts.of(rows))
    engine = engine_of()
    assert told(engine.suggest(SILENT).tags)
    with asked(engine) as client:
        assert marked(client)["sensitive"] == ["Depression"]
    engine.sync()
    return engine


def test_a_model_tells_it_where_the_text_names_it_or_its_author_asks(served: Engine) -> None:
    for user in ("n1", "u2", None):
        silent = served.suggest(replace(SILENT, user=user))
        assert (silent.way, told(silent.tags), bool(silent.tags)) == ("model", False, True)
        assert told(served.suggest(replace(NAMING, user=user)).tags)
        assert told(served.suggest(replace(SILENT, user=user, sensitive=True)).tags)


def test_the_previous_model_and_the_favourites_tell_it_no_sooner(served: Engine) -> None:
    for current, previous in ((None, served.current), (None, None)):
        served.current, served.previous = current, previous
        silent = served.suggest(SILENT)
        assert silent.way == ("previous model" if previous else "favourites")
        assert silent.tags
        assert not told(silent.tags)
        assert told(served.suggest(NAMING).tags)
        assert told(served.suggest(replace(SILENT, sensitive=True)).tags)


def test_of_many_drafts_each_is_given_its_own(served: Engine) -> None:
    drafts = [SILENT, NAMING, replace(SILENT, user=None)] * 3
    assert [told(one.tags) for one in served.suggest_many(drafts)] == [False, True, False] * 3
    wanting = [SILENT, replace(SILENT, sensitive=True), NAMING]
    assert [told(one.tags) for one in served.suggest_many(wanting)] == [False, True, True]


def test_no_reason_and_no_word_of_an_answer_names_it(served: Engine) -> None:
    with asked(served) as client:
        body = {"text": SILENT.text, "community": "even", "user": "n1", "k": 50, "explain": True}
        silent = client.post("/v1/suggest", json=body)
        assert silent.json()["suggestions"][0]["reasons"]
        assert "epression" not in silent.text
        named = client.post("/v1/suggest", json=body | {"text": NAMING.text}).json()["suggestions"]
        assert next(one for one in named if told([one["tag"]]))["reasons"]
        assert told(
            [one["tag"] for one in client.post("/v1/suggest", json=body | {"sensitive": True}).json()["suggestions"]]
        )
        pictured = {"draft": '{"community": "even", "user": "n1", "k": 50}'}
        picture = {"picture": ("a.png", b"no picture", "image/png")}
        assert "epression" not in client.post("/v1/suggest/pictures", data=pictured, files=picture).text
        client.put("/v1/posts/even/untagged", json={"text": SILENT.text, "user": "n1"})
        (waiting,) = client.get("/v1/review/even").json()["posts"]
        assert waiting["suggested"]
        assert not told(waiting["suggested"])


def test_trends_never_tell_it(served: Engine) -> None:
    with asked(served) as client:
        assert "epression" not in client.get("/v1/trends/even").text
    at = max(post.created_at for post in served.store.recent("even") if post.created_at)
    dated = [Post(f"t{i}", "rain", "even", f"n{i}", at, tags=("Gloom", "Calm")) for i in range(4)]
    served.store.put_posts(Posts.of(dated))
    served.sync()
    assert {"Gloom", "Calm"} <= {shown for shown, _ in served.trends("even", 50)}
    with asked(served) as client:
        marked(client, add=["gloom"])
    shown = {shown for shown, _ in served.trends("even", 50)}
    assert "Calm" in shown
    assert "Gloom" not in shown


def test_it_is_completed_once_three_of_its_characters_were_typed(served: Engine) -> None:
    with asked(served) as client:
        for start, is_told in (
            ("", False),
            ("d", False),
            ("de", False),
            ("dep", True),
            ("#Depress", True),
            ("pression", False),
        ):
            found = client.get("/v1/autocomplete/even", params={"q": start, "k": 50, "user": "n1"}).json()["tags"]
            assert told([one["tag"] for one in found]) is is_told, start


def test_a_candidate_in_the_shadow_is_measured_by_what_would_be_told(
    served: Engine, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hashloom.serve.shadowing import Shadow

    finished: list[list[str]] = []
    compare = Shadow.compare

    def noted(self: Shadow, ask: Any, finish: Any, tags: Any, took_ms: float) -> None:
        def kept(ranking: Any) -> list[str]:
            finished.append(finish(ranking))
            return finished[-1]

        compare(self, ask, kept, tags, took_ms)

    monkeypatch.setattr(Shadow, "compare", noted)
    other = served.store.add_model("recommender", models["popular"])
    served.set_shadow("recommender", other.digest)
    for draft, is_told in ((SILENT, False), (NAMING, True), (replace(SILENT, sensitive=True), True)):
        served.suggest(draft)
        served.shadow.served.running.ask(lambda model: None, 10.0)  # type: ignore[union-attr]
        assert told(finished.pop()) is is_told


def test_an_archive_is_not_tagged_with_it(served: Engine, store: Store, tmp_path: Path) -> None:
    rows = [Post(f"old{i}", text, "even", "n1") for i, text in enumerate((SILENT.text, NAMING.text))]
    store.put_posts(Posts.of(rows), source="import")
    Bulk(served, Wanted(k=50)).run(tmp_path / "journal")
    assert [told(list(post.tags)) for post in store.get_posts("even", ["old0", "old1"])] == [False, True]


def test_aliases_and_merged_tags_are_as_what_they_stand_for(served: Engine) -> None:
    with asked(served) as client:
        marked(client, add=[], remove=["Depression"])
        walk = {"community": "even", "text": SILENT.text, "tags": ["Gloom"]}
        client.post("/v1/posts", json={"posts": [walk | {"id": f"g{i}", "user": f"n{i % 4}"} for i in range(40)]})
        marked(client, add=["gloom"])
        served.sync()
        assert "Gloom" not in served.suggest(SILENT).tags
        client.post("/v1/spaces/even/merge", json={"tags": ["Gloom"], "into": "LowMood"})
        served.sync()
        for draft, is_told in ((SILENT, False), (replace(SILENT, text="so much gloom"), True),
                               (replace(SILENT, text="a low mood"), True)):  # fmt: skip
            assert ("lowmood" in served.suggest(draft).tags) is is_told, draft.text


def test_marks_are_kept_exported_imported_ended_and_noted(served: Engine, store: Store) -> None:
    with asked(served) as client:
        marked(client, add=["#grief", "GRIEF"], why="asked for")
        whole = client.get("/v1/spaces/even").json()
        assert whole["sensitive"] == ["Depression", "GRIEF"]
        sent = {name: value for name, value in whole.items() if name not in ("community", "request_id")}
        assert client.put("/v1/spaces/even", json={}).json()["sensitive"] == []
        served.sync()
        assert told(served.suggest(SILENT).tags)
        assert client.put("/v1/spaces/even", json=sent).json()["sensitive"] == ["Depression", "GRIEF"]
        served.sync()
        assert not told(served.suggest(SILENT).tags)
        assert marked(client, add=[], remove=["depression"])["sensitive"] == ["GRIEF"]
        served.sync()
        assert told(served.suggest(SILENT).tags)
    entry = store.space_log("even")[1]
    assert (entry.why, entry.changed) == ("asked for", {"sensitive": [["Depression"], ["Depression", "GRIEF"]]})


def test_a_denied_tag_is_not_told_though_the_text_names_it(served: Engine) -> None:
    with asked(served) as client:
        client.patch("/v1/spaces/even/denied", json={"add": ["Depression"]})
    served.sync()
    assert not told(served.suggest(replace(NAMING, sensitive=True)).tags)


def test_the_marks_that_a_model_was_trained_with_hold_where_the_community_has_set_none(
    engine_of: Callable[..., Engine], store: Store, tmp_path: Path
) -> None:
    rows = with_scoped_ids(
        Posts.of([Post(f"w{i}", "a walk", "walkers", f"n{i}", tags=("Gloom", "Calm")) for i in range(6)])
    )
    space = TagSpaces([TagSpace.of(["Gloom", "Calm"], "walkers", sensitive=["gloom"])])
    model = store.add_model("recommender", Popular().fit(rows, spaces=space).save(tmp_path / "model"))
    store.publish("recommender", model.digest)
    engine, draft = engine_of(), Draft("a walk", "walkers", "n1")
    for current in (engine.current, None):
        engine.current, engine.previous = current, None if current else engine.current
        assert engine.suggest(draft).tags == ["Calm"]
        assert set(engine.suggest(replace(draft, sensitive=True)).tags) == {"Calm", "Gloom"}
        assert set(engine.suggest(replace(draft, text="all gloom")).tags) == {"Calm", "Gloom"}
