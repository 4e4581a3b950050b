"""Posts, pictures, feedback, authors, tag spaces and models over HTTP: what is sent is kept, learnt and forgotten."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asking import asked

from hashloom.data.history import History
from hashloom.recommenders.own_history import OwnHistory
from hashloom.serve.drafts import with_scoped_ids
from hashloom.serve.engine import Engine
from hashloom.store import Store
from hashloom.types import Post, Posts

DRAFT = {"text": "buckwheat groats", "community": "even", "k": 50}
LOAF = {"text": "buckwheat groats", "tags": ["Buckwheat"]}


def tags(client: Any, **draft: Any) -> list[str]:
    answer = client.post("/v1/suggest", json=DRAFT | draft)
    assert answer.status_code == 200, answer.text
    return [one["tag"] for one in answer.json()["suggestions"]]


def png(size: int = 32) -> bytes:
    from PIL import Image

    made = io.BytesIO()
    Image.new("RGB", (size, size), "red").save(made, "PNG")
    return made.getvalue()


def test_posts_are_idempotent_learnt_deleted_and_stay_so(engine: Engine) -> None:
    with asked(engine) as client:
        for i in range(2):
            put = [client.put(f"/v1/posts/even/b/{i}", json=LOAF | {"user": f"n{i}"}).json() for _ in range(2)]
            assert [one["status"] for one in put] == ["new", "same"]
        engine.sync()
        assert "Buckwheat" in tags(client)
        assert client.get("/v1/posts/even/b/1").json()["tags"] == ["Buckwheat"]
        assert client.patch("/v1/posts/even/b/1", json={"likes": 3}).json()["status"] == "changed"
        kept = client.get("/v1/posts/even/b/1").json()
        assert (kept["likes"], kept["tags"], kept["user"]) == (3, ["Buckwheat"], "n1")
        for i in range(2):
            assert client.delete(f"/v1/posts/even/b/{i}").json()["deleted"] == 1
            assert client.delete(f"/v1/posts/even/b/{i}").json()["deleted"] == 0
        assert "Buckwheat" not in tags(client)
        assert client.put("/v1/posts/even/b/0", json=LOAF).status_code == 410
        many = client.post("/v1/posts", json={"posts": [LOAF | {"id": "b/0", "community": "even"}]}).json()
        assert (many["new"], many["refused"][0]["at"]) == (0, 0)
        assert client.patch("/v1/posts/even/b/0", json={"likes": 1}).status_code == 404
        assert "Buckwheat" not in tags(client)


def test_many_posts_are_taken_or_refused_each(engine: Engine) -> None:
    rows = [LOAF | {"id": f"m{i}", "community": "even", "user": f"n{i}"} for i in range(3)]
    with asked(engine) as client:
        made = client.post("/v1/posts", json={"posts": [rows[0], rows[1], rows[1], LOAF | {"id": "\u0000 "}]}).json()
        assert (made["new"], made["same"], len(made["refused"])) == (3, 1, 0)
        made = client.post("/v1/posts", json={"posts": [*rows, rows[0] | {"text": "edited"}]}).json()
        assert (made["new"], made["same"], made["changed"]) == (1, 2, 1)
        wrong = client.post("/v1/posts", json={"posts": [rows[0] | {"created_at": "2025-01-01T00:00:00"}]})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "posts.0.created_at")


def test_what_nobody_reviewed_is_kept_and_not_learnt(engine: Engine) -> None:
    with asked(engine) as client:
        for i in range(3):
            client.put(f"/v1/posts/even/r{i}", json=LOAF | {"user": f"n{i}", "reviewed": False})
        engine.sync()
        assert "Buckwheat" not in tags(client)
        assert client.get("/v1/posts/even/r0").json()["tags"] == ["Buckwheat"]


def test_wrong_content_of_a_post_is_refused(engine: Engine) -> None:
    with asked(engine) as client:
        for wrong in ({"popularity": []}, {"language": 5}, {"images": ["0" * 64] * 5}, {"likes": -1}, {"views": "3"}):
            assert client.put("/v1/posts/even/x", json=LOAF | wrong).status_code == 422, wrong
            assert client.patch("/v1/posts/even/0-0", json=wrong).status_code == 422, wrong
        for when in ("2025-01-01", 5, "1889-01-01T00:00:00Z", "2025-01-01T00:00:00", "x"):
            assert client.put("/v1/posts/even/x", json=LOAF | {"created_at": when}).status_code == 422, when
        (said,) = client.get("/v1/trends/even", params={"kk": 3}).json()["errors"]
        assert said == {"field": "kk", "message": "is not known here; there are: k"}
        naive = client.put("/v1/posts/even/x", json=LOAF | {"created_at": "2025-01-01T00:00:00", "txt": "Rye"})
        said = {one["field"]: one["message"] for one in naive.json()["errors"]}
        assert said["created_at"].startswith("has no time zone; write e.g. 20")
        assert said["txt"] == "is not known here"
        named = client.post("/v1/suggest", json={"text": "Rye", "platform": "mastodn"}).json()["errors"][0]["message"]
        assert named.startswith("use one of instagram, ")
        assert client.get("/v1/posts/even/x").status_code == 404


@pytest.mark.parametrize("id", ["a/b", "../x", "%_", "'; DROP TABLE posts;--", "__proto__", "{{7*7}}", "é\u202e", "P1"])
def test_ids_are_data(engine: Engine, id: str) -> None:
    from urllib.parse import quote

    with asked(engine) as client:
        address = f"/v1/posts/even/{quote(id, safe='')}"
        assert client.put(address, json=LOAF).json()["status"] == "new"
        assert client.get(address).json()["id"] == id
        assert client.get("/v1/posts/even/p1").status_code == 404
        assert client.delete(address).json()["deleted"] == 1


def test_an_author_is_exported_and_forgotten(engine: Engine, store: Store) -> None:
    with asked(engine) as client:
        client.put("/v1/posts/even/a1", json=LOAF | {"user": "mo/ri"})
        client.put("/v1/posts/even/a2", json=LOAF | {"user": "al"})
        engine.sync()
        assert "Buckwheat" in tags(client)
        held = client.get("/v1/authors/mo%2Fri").json()
        assert [post["id"] for post in held["posts"]] == ["a1"]
        gone = client.delete("/v1/authors/mo%2Fri").json()
        assert (gone["where"]["posts"], set(gone["left"].values()), gone["models"]) == (1, {0}, True)
        assert "Buckwheat" not in tags(client)  # one author is left who used it
        assert client.put("/v1/posts/even/a3", json=LOAF | {"user": "mo/ri"}).status_code == 410
        assert client.get("/v1/authors/mo%2Fri").json()["posts"] == []


def test_rejected_tags_are_not_repeated_and_replays_count_once(engine: Engine) -> None:
    with asked(engine) as client:
        first = tags(client, text="rye flour", post_id="d9")[0]
        event = {"token": "t1", "community": "even", "post_id": "d9", "tag": first, "event": "rejected", "user": "me"}
        made = [client.post("/v1/feedback", json={"events": [event]}).json() for _ in range(2)]
        assert [(one["new"], one["repeated"]) for one in made] == [(1, 0), (0, 1)]
        assert first not in tags(client, text="rye flour", post_id="d9")
        assert first in tags(client, text="rye flour", post_id="d8")
        days = client.get("/v1/quality/even").json()["days"]
        assert days[-1]["rejected"] == 1
        assert client.post("/v1/feedback", json={"events": [event | {"token": "t2", "tag": "#"}]}).json()["refused"]


def test_pictures_are_checked_by_content(engine: Engine, store: Store) -> None:
    with asked(engine) as client:
        kept = client.post("/v1/pictures/even", files={"picture": ("x.gif", png(), "text/html")}).json()
        assert kept["kind"] == "image/png"
        assert store.get_picture(kept["sha256"], "even") == png()
        put = client.put("/v1/posts/even/pic", json=LOAF | {"images": [kept["sha256"]]})
        assert put.json()["status"] == "new"
        for bad in (b"%PDF-1.7", b"<svg/>", b"", png()[:40], b"\x89PNG\r\n\x1a\n" + b"\0" * 64):
            assert client.post("/v1/pictures/even", files={"picture": ("x.png", bad)}).status_code == 422
            sent = {"draft": '{"text": "rye flour", "community": "even"}'}
            answer = client.post("/v1/suggest/pictures", data=sent, files={"picture": ("x.png", bad)}).json()
            assert answer["suggestions"]
            assert answer["notes"][0].startswith("picture 0: ")
        for path in ("/etc/passwd", "file:///etc/passwd", "0" * 63):
            assert client.put("/v1/posts/even/pic", json=LOAF | {"images": [path]}).status_code == 422
        answer = client.post("/v1/suggest", json=DRAFT | {"picture_urls": ["http://169.254.169.254/"]}).json()
        assert answer["notes"] == ["picture 0: this service fetches no pictures; send it"]
    assert not list(engine.spool.folder.iterdir())


def test_a_tag_space_is_read_changed_logged_and_put_back(engine: Engine) -> None:
    with asked(engine) as client:
        assert client.patch("/v1/spaces/even", json={"add": ["Rye", "Oats"], "closed": True}).json()["closed"]
        assert tags(client, text="rye flour") == ["Rye"] or set(tags(client, text="rye flour")) <= {"Rye", "Oats"}
        client.patch("/v1/spaces/even/aliases", json={"aliases": {"roggen": "rye"}})
        made = client.post("/v1/spaces/even/merge", json={"tags": ["oats"], "into": "Oat"}).json()
        assert (made["tags"], made["aliases"]) == ({"rye": "Rye", "oat": "Oat"}, {"roggen": "rye", "oats": "oat"})
        client.patch("/v1/spaces/even/describe", json={"describe": {"rye": "A grain"}})
        client.patch("/v1/spaces/even/denied", json={"add": ["rye"], "why": "season"})
        assert "Rye" not in tags(client, text="rye flour")
        whole = client.get("/v1/spaces/even").json()
        assert (whole["describe"], whole["denied"]) == ({"rye": "A grain"}, ["rye"])
        client.put("/v1/spaces/even", json={})
        assert client.get("/v1/spaces/even").json()["tags"] == {}
        assert "Rye" in tags(client, text="rye flour")
        sent = {name: whole[name] for name in ("tags", "closed", "aliases", "denied", "sensitive", "describe")}
        client.put("/v1/spaces/even", json=sent)
        assert {n: v for n, v in client.get("/v1/spaces/even").json().items() if n in sent} == sent
        assert [one["why"] for one in client.get("/v1/spaces/even/log").json()["changes"]][4] == "season"
        assert client.post("/v1/spaces/even/merge", json={"tags": ["x"], "into": "x"}).status_code == 409
        client.patch("/v1/spaces/even", json={"add": ["open-source", "OpenSource"]})
        assert ["open-source", "opensource"] in client.get("/v1/spaces/even/duplicates").json()["pairs"]


def test_models_are_published_rolled_back_and_compared_over_http(
    engine: Engine, store: Store, models: dict[str, Path]
) -> None:
    first, other = engine.current.digest, store.add_model("recommender", models["popular"])
    with asked(engine) as client:
        assert client.post("/v1/models/recommender/publish", json={"digest": "0" * 64}).status_code == 404
        assert client.post("/v1/models/recommender/rollback").status_code == 409
        shadow = client.post("/v1/models/recommender/shadow", json={"digest": other.digest}).json()
        assert shadow["serving"]["shadow"] == other.digest
        made = client.post("/v1/models/recommender/publish", json={"digest": other.digest}).json()
        assert (made["published"], made["serving"]["recommender"]) == (other.digest, other.digest)
        assert client.post("/v1/suggest", json=DRAFT).json()["model"] == other.digest
        assert client.post("/v1/models/recommender/rollback").json()["serving"]["recommender"] == first
        path = other.folder / "learnt.json"
        path.write_bytes(path.read_bytes()[:-9])
        engine.previous = None
        refused = client.post("/v1/models/recommender/publish", json={"digest": other.digest})
        assert (refused.status_code, str(store.folder) in refused.text) == (409, False)
        listed = client.get("/v1/models").json()
        assert {one["digest"]: one["published"] for one in listed["models"]} == {first: True, other.digest: False}
        assert other.digest in listed["refused"]
        assert client.post("/v1/suggest", json=DRAFT).json()["model"] == first


def test_swaps_under_load_give_no_error_and_no_mixed_answer(
    engine: Engine, store: Store, models: dict[str, Path]
) -> None:
    other = store.add_model("recommender", models["popular"]).digest
    digests, stop, wrong, seen = {engine.current.digest, other}, threading.Event(), [], set()
    with asked(engine) as client:

        def ask() -> None:
            while not stop.is_set():
                answer = client.post("/v1/suggest/many", json={"drafts": [DRAFT | {"text": "rye"}] * 20})
                found = {one["model"] for one in answer.json()["answers"]} if answer.status_code == 200 else {None}
                seen.update(found)
                if not found <= digests:
                    wrong.append(answer.text)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(4):
            assert client.post("/v1/models/recommender/publish", json={"digest": other}).status_code == 200
            assert client.post("/v1/models/recommender/rollback").status_code == 200
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert seen


def test_a_forecast_has_its_interval(engine: Engine, store: Store, tmp_path: Path) -> None:
    from world import town

    from hashloom.forecasters.author_mean import AuthorMean
    from hashloom.serve.drafts import with_scoped_ids

    folder = AuthorMean().fit(with_scoped_ids(town()[0])).save(tmp_path / "f")
    with asked(engine) as client:
        assert client.post("/v1/forecast", json={"text": "x"}).json()["why"] == "no forecaster is published"
        store.publish("forecaster", store.add_model("forecaster", folder).digest)
        engine.sync()
        said = client.post("/v1/forecast", json={"text": "eclipse", "user": "u0", "community": "harbour"}).json()
        one = said["forecast"]
        assert one["low"] <= one["value"] <= one["high"]
        assert said["model"] == store.published("forecaster").digest


def test_the_review_queue_begins_with_the_most_doubtful(engine: Engine) -> None:
    with asked(engine) as client:
        assert client.get("/v1/review/even").json()["posts"] == []
        for id, tag in (("right", ["Rye"]), ("wrong", ["Surfing"]), ("bare", [])):
            body = {"text": "rye flour kneaded", "tags": tag, "user": "u0", "reviewed": False}
            client.put(f"/v1/posts/even/{id}", json=body)
        found = client.get("/v1/review/even").json()["posts"]
        assert [(one["id"], one["doubt"]) for one in found] == [("wrong", 1.0), ("bare", 0.5), ("right", 0.0)]
        assert found[0]["suggested"][0] == "Rye"


# ---------------------------------------------------------------- posts without a time


def test_a_post_sent_without_a_time_is_of_the_moment_it_came(engine: Engine, store: Store) -> None:
    with asked(engine) as client:

        def held(id: str) -> Any:
            return client.get(f"/v1/posts/even/{id}").json()["created_at"]

        before = datetime.now(UTC)
        assert client.put("/v1/posts/even/n1", json=LOAF).json()["status"] == "new"
        first = held("n1")
        assert before <= datetime.fromisoformat(first) <= datetime.now(UTC)
        assert client.put("/v1/posts/even/n1", json=LOAF).json()["status"] == "same"
        assert client.put("/v1/posts/even/n1", json=LOAF | {"text": "edited"}).json()["status"] == "changed"
        assert held("n1") == first
        said = "2025-03-02T08:41:00Z"
        client.put("/v1/posts/even/n1", json=LOAF | {"created_at": said})
        assert client.put("/v1/posts/even/n1", json=LOAF | {"created_at": said}).json()["status"] == "same"
        assert client.put("/v1/posts/even/n1", json=LOAF).json()["status"] == "same"
        assert held("n1") == said
        twice = [LOAF | {"id": "n2", "community": "even"}, LOAF | {"id": "n2", "community": "even", "text": "x"}]
        made = client.post("/v1/posts", json={"posts": [*twice, twice[1]]}).json()
        assert (made["new"], made["changed"], made["same"]) == (1, 1, 1)
        assert first < held("n2")
    # What is put from files keeps its place before all that has a time, also when it is sent again.
    old = Posts.of([Post("old", "x", "even", tags=("Rye",))])
    assert store.put_posts(old).new == 1
    assert store.get_posts("even", ["old"])[0].created_at is None
    assert store.put_posts(old, live=True).same == 1
    assert store.recent("even").ids[0] == "old"


def test_later_posts_have_later_moments_whoever_writes_first(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The moment is taken while it is one's turn to write, not when the post was sent."""
    from hashloom.store import posts as module

    order, inner = [], module.now
    monkeypatch.setattr(module, "now", lambda: (order.append(store._turn.locked()), inner())[1])
    store.put_posts(Posts.of([Post(str(i), "x", "even") for i in range(3)]), live=True)
    assert order == [True]


@pytest.mark.parametrize("live", [True, False])
def test_a_stream_of_posts_without_a_time_indexes_nothing_anew(
    store: Store, known: Posts, engine_of: Callable[..., Engine], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:  # fmt: skip
    """Counted, not timed. As files put them, without a moment, each would make the history be indexed anew."""
    folder = OwnHistory().fit(with_scoped_ids(known)).save(tmp_path / "own")
    store.publish("recommender", store.add_model("recommender", folder).digest)
    engine = engine_of()
    made: list[int] = []
    init = History.__init__
    with asked(engine) as client:

        def put(i: int) -> list[str]:
            body = LOAF | {"user": "fresh", "tags": [f"Mine{i}"]}
            if live:
                assert client.put(f"/v1/posts/even/s{i}", json=body).json()["status"] == "new"
            else:
                store.put_posts(Posts.of([Post(f"s{i}", "x", "even", "fresh", tags=(f"Mine{i}",))]))
            assert engine.sync()
            return tags(client, user="fresh")

        put(0)
        monkeypatch.setattr(History, "__init__", lambda self, posts: (made.append(len(posts)), init(self, posts))[1])
        for i in range(1, 9):
            assert f"Mine{i}" in put(i)  # and yet what was put a moment ago counts
    assert len(made) == (0 if live else 8)
