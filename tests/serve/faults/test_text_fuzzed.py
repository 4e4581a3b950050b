"""Any text, name, tag and id through suggest, posts, feedback and completion: no 5xx, and lists that can be read.

``HASHLOOM_FUZZ=500`` tries so many of each.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import TestClient, asked
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from seen import fine, named, place, tags_of

from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import Store
from hashloom.tags import key, skeleton
from hashloom.types import Posts

TRIED = int(os.environ.get("HASHLOOM_FUZZ", "40"))
HARD = (
    "aеＡ#＃﹟_-.·' \t\n\u200b\u200d\u200c\u202e\u2066\ufeff\ufe0f\u20e3\u0301\u0345\u3099\u1160\u3164\u2800\x00\x1b"
    '\x9b\ufffeéßİıſﬁǅςΣكกำｶﾞガ漢👨👩👧🏽🇯🇵🏴\U000e0067\U000e007f\ue000\u0378\U0010ffff%~/\\<>&"{}[]$'
)
"""Characters that change others, hide, turn, fold or fall apart."""
ANY = st.characters(codec="utf-8")
PIECES = ["rye", "flour", "#Rye", "＃oat", "@mo", "https://a.b/#c", "👨\u200d👩\u200d👧", "1️⃣", "\n", "#\u200b"]
TEXTS = (
    st.text(ANY, max_size=200)
    | st.text(st.sampled_from(HARD), max_size=60)
    | st.lists(st.sampled_from(PIECES), max_size=9).map(" ".join)
)
NAMES = st.text(ANY, min_size=1, max_size=30) | st.text(st.sampled_from(HARD), min_size=1, max_size=12)
tried = settings(
    max_examples=TRIED, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory, known: Posts, models: dict[str, Path]) -> Iterator[Engine]:
    """An engine with the linear model, kept for the whole file, so that what was put stays and is learnt."""
    with Store.open(tmp_path_factory.mktemp("fuzzed")) as store:
        store.put_posts(known)
        store.publish("recommender", store.add_model("recommender", models["linear"]).digest)
        with Engine(store, settings=ServeSettings(budget=20, least_authors=1, sync_seconds=3600)) as engine:
            yield engine


@pytest.fixture(scope="module")
def client(fuzzed: Engine) -> Iterator[TestClient]:
    with asked(fuzzed) as made:
        yield made


def answered(client: TestClient, method: str, path: str, **sent: Any) -> dict[str, Any]:
    """The answer, which is either one or a problem that names what is wrong; never a failure."""
    answer = client.request(method, path, **sent)
    assert answer.status_code in (200, 404, 410, 414, 422), (answer.status_code, answer.text)
    said = json.loads(answer.content.decode("utf-8"))
    assert (answer.status_code == 200) == ("type" not in said)
    assert answer.status_code == 200 or said["detail"]
    return dict(said) | {"ok": answer.status_code == 200}


@tried
@given(
    text=TEXTS,
    user=st.none() | NAMES,
    community=NAMES | st.sampled_from(["even", "odd", ""]),
    chosen=st.lists(NAMES, max_size=3),
    k=st.integers(1, 50),
    platform=st.sampled_from([None, "instagram", "threads"]),
)
@example("#️⃣ \u202e rye", "\x00", "even", ["\u200b"], 50, None)
def test_any_draft_gets_a_list_that_can_be_read(
    client: TestClient, text: str, user: str | None, community: str, chosen: list[str], k: int, platform: str | None
) -> None:
    body = {"text": text, "user": user, "community": community, "chosen": chosen, "k": k, "platform": platform}
    said = [
        answered(client, "POST", "/v1/suggest", json=body | {"explain": explain}) for explain in (True, False, False)
    ]
    assert all(one["ok"] for one in said)
    lists = [tags_of(one["suggestions"]) for one in said]
    assert lists[0] == lists[1] == lists[2]
    assert [one["way"] for one in said] == ["model"] * 3
    fine(lists[0])
    assert len(lists[0]) <= k
    assert not {key(tag) for tag in chosen} & {key(tag) for tag in lists[0]}
    together = answered(client, "POST", "/v1/suggest/many", json={"drafts": [body, body]})
    assert [tags_of(one["suggestions"]) for one in together["answers"]] == [lists[0]] * 2


@tried
@given(id=NAMES, community=NAMES | st.just("even"), user=NAMES, text=TEXTS, tags=st.lists(NAMES, max_size=4))
@example("a\nb", "a\x00", "\ufeff", "#\u200b x", ["\u3164", "#", "\u202e"])
@example("..", "..", "..", "..", ["..", "~"])
def test_any_post_is_kept_as_it_was_learnt_and_deleted(
    client: TestClient, fuzzed: Engine, id: str, community: str, user: str, text: str, tags: list[str]
) -> None:
    address = f"/v1/posts/{place(community)}/{named(id)}"
    put = answered(client, "PUT", address, json={"text": text, "user": user, "tags": tags})
    if not put["ok"]:
        assert not id.strip() or "deleted" in put["detail"] or put["errors"][0]["field"], put
        return
    assert put["status"] in ("new", "changed", "same")
    held = answered(client, "GET", address)
    assert answered(client, "PUT", address, json={"text": text, "user": user, "tags": tags})["status"] == "same"
    fine(list({skeleton(tag): tag for tag in held["tags"]}.values()))
    again = {field: held[field] for field in ("text", "user", "tags")}
    assert answered(client, "PUT", address, json=again)["status"] == "same"
    fuzzed.sync()
    suggested = answered(
        client, "POST", "/v1/suggest", json={"text": text, "community": community, "user": user, "k": 50}
    )
    fine(tags_of(suggested["suggestions"]))
    fine(tags_of(answered(client, "GET", f"/v1/trends/{place(community)}")["trends"]))
    if len(id) % 2:
        assert answered(client, "DELETE", address)["deleted"] == 1
        assert not answered(client, "GET", address)["ok"]
    readable(fuzzed.store, held["community"])


def readable(store: Store, community: str) -> None:
    for posts in store.posts(community):
        posts.frame.write_ndjson().encode("utf-8")
    assert store.communities()["even"]


@tried
@given(token=NAMES, post=NAMES, tag=NAMES, user=st.none() | NAMES, event=st.sampled_from(["rejected", "accepted"]))
@example("\x00", "\x00", "\x00", "\x00", "rejected")
@example("t", "p", "\u200b", None, "rejected")
def test_any_feedback_is_kept_once_and_a_rejected_tag_does_not_come_back(
    client: TestClient, fuzzed: Engine, token: str, post: str, tag: str, user: str | None, event: str
) -> None:
    body = {"token": token, "community": "even", "post_id": post, "tag": tag, "event": event, "user": user}
    first = answered(client, "POST", "/v1/feedback", json={"events": [body]})
    again = answered(client, "POST", "/v1/feedback", json={"events": [body]})
    if not first["ok"]:
        assert not post.strip() or not token.strip(), first
        return
    assert first["new"] + first["repeated"] + len(first["refused"]) == 1
    assert (again["new"], again["repeated"]) == (0, 1 - len(again["refused"]))
    if event == "rejected" and first["new"]:
        said = answered(
            client, "POST", "/v1/suggest", json={"text": tag, "community": "even", "post_id": post, "k": 50}
        )
        assert key(tag) not in {key(one) for one in tags_of(said["suggestions"])}
    assert sum(one.token is not None for one in fuzzed.store.feedback("even")) > 0


@tried
@given(start=st.text(ANY, max_size=20) | st.text(st.sampled_from(HARD), max_size=8), community=NAMES | st.just("even"))
@example("\x00", "even")
@example("", "..")
def test_any_beginning_is_completed(client: TestClient, start: str, community: str) -> None:
    said = answered(client, "GET", f"/v1/autocomplete/{place(community)}", params={"q": start, "k": 50})
    assert said["ok"], said
    fine(tags_of(said["tags"]))
    begun = key(start)
    assert all(begun in key(tag) or begun in skeleton(tag) for tag in tags_of(said["tags"]))


@tried
@given(tag=NAMES, other=NAMES, sentence=TEXTS)
def test_any_name_in_a_tag_space_is_taken_or_refused(client: TestClient, tag: str, other: str, sentence: str) -> None:
    body = {"tags": {tag: tag}, "aliases": {other: tag}, "denied": [other[::-1]], "describe": {tag: sentence}}
    body |= {"sensitive": [tag, other]}
    said = answered(client, "PUT", "/v1/spaces/fuzzed", json=body | {"why": sentence})
    held = answered(client, "GET", "/v1/spaces/fuzzed")
    if said["ok"]:
        back = {field: held[field] for field in (*body, "closed")}
        again = answered(client, "PUT", "/v1/spaces/fuzzed", json=back)
        assert again["ok"], (back, again)
        assert {field: again[field] for field in back} == back
        fine(list(held["tags"].values()))
