"""Texts, names and tags of any kind through the whole service: data, never more; and the store stays readable."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import TestClient, asked
from seen import fine, named, place, tags_of

from hashloom.serve.engine import Engine
from hashloom.store import Feedback, Store
from hashloom.tags import key
from hashloom.types import Post, Posts

RYE = {"text": "rye flour kneaded", "community": "even"}
PUT = "\ufffd"
"""What stands for characters that no store can hold."""


@pytest.fixture
def client(engine: Engine) -> Iterator[TestClient]:
    with asked(engine) as made:
        yield made


# ---------------------------------------------------------------- 1: texts without words


EMPTY = {
    "nothing": "", "spaces": " \t\n\u3000\u00a0", "emoji": "🥖🥐🍞", "address": "https://example.org/a?b=c#d",
    "mention": "@mo @di", "zero width": "\u200b\u200d\ufeff", "marks": "\u0301\u0302", "signs": "#＃﹟ # #",
}  # fmt: skip


@pytest.mark.parametrize("name", EMPTY)
def test_texts_without_words_are_answered_from_history_or_favourites(client: TestClient, name: str) -> None:
    text = EMPTY[name]
    alone = client.post("/v1/suggest", json={"text": text, "community": "even", "user": "u0", "explain": True})
    assert (alone.status_code, alone.json()["way"]) == (200, "model")
    assert {"Rye", "Oat"} <= set(tags_of(alone.json()["suggestions"]))
    nobody = client.post("/v1/suggest", json={"text": text, "community": "nowhere"})
    assert (nobody.status_code, nobody.json()["suggestions"]) == (200, [])
    many = client.post("/v1/suggest/many", json={"drafts": [{"text": text, "community": "even", "user": "u0"}] * 3})
    assert [tags_of(one["suggestions"]) for one in many.json()["answers"]] == 3 * [tags_of(alone.json()["suggestions"])]
    assert client.post("/v1/forecast", json={"text": text, "community": "even"}).status_code == 200


# ---------------------------------------------------------------- 2, 6: long and hard to read


LONG = {
    "signs": "#", "tags": "#tag ", "chain": "#t", "marks": "a\u0301", "family": "👨\u200d👩\u200d👧", "letters": "a",
    "dots": "a.", "brackets": "([{", "addresses": "http://a.b/", "turned": "\u202e", "wide": "ﷺ", "thai": "กำ",
    "quotes": '\\"', "spaces": " \u3000", "kana": "ﾊﾟ", "mail": "a@", "digits": "#1", "lines": "\n\r\u2028",
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_the_longest_text_takes_bounded_time_on_every_route(client: TestClient, name: str) -> None:
    text = (LONG[name] * 100_000)[:100_000]
    draft = {"text": text[:20_000], "community": "even"}
    asks: list[Callable[[], Any]] = [
        lambda: client.post("/v1/suggest", json=draft | {"explain": True}),
        lambda: client.put("/v1/posts/even/long", json={"text": text, "tags": [text[:200]]}),
        lambda: client.get("/v1/autocomplete/even", params={"q": text[:200]}),
        lambda: client.post("/v1/suggest", json=RYE | {"chosen": [text[:200]] * 100}),
    ]
    for ask in asks:
        began = time.monotonic()
        answer = ask()
        assert answer.status_code == 200 or (answer.status_code, "address" in answer.text) == (414, True), answer.text
        assert time.monotonic() - began < 8, name


# ---------------------------------------------------------------- 4: what no file can hold


ODD = {
    "nul": ("\x00", PUT), "escape": ("\x1b", "\x1b"), "bell": ("\x07", "\x07"), "c1": ("\x9b", "\x9b"),
    "delete": ("\x7f", "\x7f"), "no character": ("\ufffe", "\ufffe"), "nor this": ("\uffff", "\uffff"),
    "last": ("\U0010ffff", "\U0010ffff"), "unassigned": ("\u0378", "\u0378"), "private": ("\ue000", "\ue000"),
    "order mark": ("\ufeff", "\ufeff"), "line": ("\u2028", "\u2028"),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_an_odd_character_is_the_same_everywhere(client: TestClient, store: Store, name: str) -> None:
    """In ids, authors, communities, texts and tags: kept, or replaced by U+FFFD, alike on every way in and out."""
    given, kept = (f"a{one}b" for one in ODD[name])
    put = {"text": given, "user": given, "tags": [given, "Fine"], "language": given[:30]}
    address = f"/v1/posts/{place(given)}/{named(given)}"
    assert client.put(address, json=put).json()["status"] == "new"
    row = put | {"id": given, "community": given}
    many = client.post("/v1/posts", json={"posts": [row]})
    assert (many.json()["new"], many.json()["same"]) == (0, 1), many.text
    said = client.get(address).json()
    assert [said[field] for field in ("id", "community", "user", "text")] == [kept] * 4
    assert key(said["tags"][0]) == key(kept)
    event = {"token": given, "community": given, "post_id": given, "tag": given, "event": "rejected", "user": given}
    assert client.post("/v1/feedback", json={"events": [event]}).json()["new"] == 1
    assert client.post("/v1/feedback", json={"events": [event]}).json()["repeated"] == 1
    assert store.rejected(kept, kept) == {key(kept)}
    held = client.get(f"/v1/authors/{named(given)}").json()
    assert len(held["posts"]) == len(held["feedback"]) == 1
    assert client.get("/v1/communities").json()["communities"][kept] == 1
    for path in (f"/v1/autocomplete/{place(given)}?q={named(given)}", f"/v1/trends/{place(given)}",
                 f"/v1/spaces/{place(given)}", f"/v1/quality/{place(given)}"):  # fmt: skip
        assert client.get(path).status_code == 200, path
    readable(store)
    assert client.delete(address).json()["deleted"] == 1


def readable(store: Store) -> None:
    """Every row of the store can be read, and written as UTF-8."""
    for posts in store.posts():
        posts.frame.write_ndjson().encode("utf-8")
    for place_ in store.communities():
        json.dumps([one.tag for one in store.feedback(place_)]).encode("utf-8")
        store.get_space(place_)


@pytest.mark.parametrize("wrong", ["%ff", "%c0%af", "%ed%a0%bd", "%f8%88%80%80%80"])
def test_bytes_that_are_no_text_are_replaced_in_addresses(client: TestClient, wrong: str) -> None:
    assert client.put(f"/v1/posts/even/{wrong}", json={"text": "x"}).json()["status"] == "new"
    said = client.get(f"/v1/posts/even/{wrong}").json()["id"]
    assert set(said) == {PUT}
    assert client.get(f"/v1/autocomplete/even?q={wrong}").status_code == 200


# ---------------------------------------------------------------- 5: what is seen of tags


LOOKS = [
    ("Baking", "Bаking", "Ｂａｋｉｎｇ", "B\u200baking", "ba-king", "baking\u202e"),
    ("👨\u200d👩\u200d👧", "👨👩👧"), ("👍🏽", "👍"), ("#️⃣", "#\u20e3"), ("🏳\ufe0f\u200d🌈", "🏳\u200d🌈"), ("1️⃣", "1"),
    ("\u202egnikab",), ("\u2066x\u2069",), ("\u3164", "\u2800", "\u200b", "\u115f"), ("e\u0301" * 300,),
    ("a" + "\u0301" * 5_000,),
]  # fmt: skip


@pytest.mark.parametrize("forms", LOOKS, ids=[str(at) for at in range(len(LOOKS))])
def test_of_tags_that_look_the_same_one_is_listed_and_none_is_unseen(
    engine: Engine, client: TestClient, store: Store, forms: tuple[str, ...]
) -> None:
    rows = [Post(f"{f}-{u}", "rye flour kneaded", "even", f"n{u}", tags=(form, "Rye"))
            for f, form in enumerate(forms) for u in range(3)]  # fmt: skip
    store.put_posts(Posts.of(rows))
    engine.sync()
    asks = [RYE | {"k": 50}, RYE | {"k": 50, "platform": "instagram"}, {"text": "x", "community": "even", "k": 50}]
    for body in asks:
        found = tags_of(client.post("/v1/suggest", json=body).json()["suggestions"])
        fine(found)
        assert "Rye" in found
    for path in ("/v1/autocomplete/even?k=50", "/v1/autocomplete/even?q=b&k=50"):
        fine(tags_of(client.get(path).json()["tags"]))
    fine(tags_of(client.get("/v1/trends/even?k=50").json()["trends"]))


def test_the_same_text_gets_the_same_answer(client: TestClient) -> None:
    for text in [*EMPTY.values(), "rye oat flour", "👨\u200d👩\u200d👧 rye", "\u202eeyr"]:
        answers = [client.post("/v1/suggest", json={"text": text, "community": "even"}).json() for _ in range(3)]
        assert len({str(one["suggestions"]) for one in answers}) == 1


# ---------------------------------------------------------------- 7: names are data


NAMES = [
    "../../etc/passwd", "..", ".", "~", "~~", "a/b", "a\\b", "%", "_", "a%", "a_b", "*", "'", '"', "`",
    "'; DROP TABLE posts;--", "' OR '1'='1", "\" OR 1=1 --", "`MATCH (n) DETACH DELETE n`", "$where", "{$ne: 1}",
    "__proto__", "constructor", "prototype", "toString", "{{7*7}}", "${7*7}", "<%= 7*7 %>", "#{7*7}", "{0.__class__}",
    "%s%n", "$(id)", "`id`", "|id", "&&id", "; ls", "null", "None", "true", "NaN", "-1", "0", "1e400", "6:bakers:p1",
    "a?b=c", "a#b", "a;b", "a&b", "a b", "a+b", "CON", "nul", "a\r\nX-Evil: 1", "a\tb", "é", "e\u0301", "İ", "ß",
    "\u202eabc", "😀", "漢" * 100,
]  # fmt: skip


def test_names_are_data_on_every_route(engine: Engine, client: TestClient, store: Store) -> None:
    """Each name as community, author, id, tag and token: found again under itself, and under no other."""
    for at, name in enumerate(NAMES):
        body = {"text": f"loaf {at}", "user": name, "tags": [name, "Fine"]}
        said = client.put(f"/v1/posts/{place(name)}/{named(name)}", json=body)
        assert said.json().get("status") == "new", (name, said.text)
    events = [{"token": name, "community": name, "post_id": name, "tag": "Fine", "event": "rejected", "user": name}
              for name in NAMES]  # fmt: skip
    assert client.post("/v1/feedback", json={"events": events}).json()["new"] == len(NAMES)
    engine.sync()
    assert set(store.communities()) == {*NAMES, "even", "odd"}
    for at, name in enumerate(NAMES):
        said = client.get(f"/v1/posts/{place(name)}/{named(name)}")
        assert (said.json()["id"], said.json()["community"], said.json()["text"]) == (name, name, f"loaf {at}")
        assert [row["text"] for row in client.get(f"/v1/authors/{named(name)}").json()["posts"]] == [f"loaf {at}"]
        draft = {"text": "loaf", "community": name, "user": name, "post_id": name, "explain": True}
        found = client.post("/v1/suggest", json=draft)
        assert (found.status_code, "Fine" in tags_of(found.json()["suggestions"])) == (200, False), name
        again = client.post("/v1/suggest", json=draft | {"post_id": "another"}).json()
        assert "Fine" in tags_of(again["suggestions"]), name
        assert "x-evil" not in found.headers
        for start in ("%", "_"):
            begun = client.get(f"/v1/autocomplete/{place(name)}", params={"q": start, "user": name}).json()["tags"]
            assert tags_of(begun) in ([], [name])
            assert all(start in tag for tag in tags_of(begun))
    assert client.get("/v1/authors/u0").json()["posts"]
    readable(store)


def test_wildcards_complete_nothing(client: TestClient) -> None:
    for start in ("%", "_", "*", "R%", "R_e", ".*", "[a-z]", "' OR 1=1"):
        assert client.get("/v1/autocomplete/even", params={"q": start}).json()["tags"] == []
    assert tags_of(client.get("/v1/autocomplete/even", params={"q": "ＲY"}).json()["tags"]) == ["Rye"]


def test_a_tag_space_holds_any_name(client: TestClient, store: Store, tmp_path: Path) -> None:
    for name in NAMES:
        if not key(name):
            continue
        address = f"/v1/spaces/{place(name)}"
        put = {"tags": {key(name): name}, "aliases": {"__proto__x": name}, "describe": {key(name): name}, "why": name}
        put |= {"sensitive": [name]}
        assert client.put(address, json=put).status_code == 200, name
        said = client.get(address).json()
        assert (said["community"], list(said["tags"])) == (name, [key(name)])
        back = {field: said[field] for field in ("tags", "closed", "aliases", "denied", "sensitive", "describe")}
        again = client.put(address, json=back).json()
        assert {field: again[field] for field in back} == back
    store.backup(tmp_path / "kept.zip")
    with Store.open(tmp_path / "again") as other:
        other.restore(tmp_path / "kept.zip")
        assert {one for one in NAMES if key(one)} <= set(other.spaces())


def test_feedback_of_any_name_is_kept_apart(store: Store) -> None:
    events = [Feedback(name, "even", name, "Rye", "rejected", user=name) for name in NAMES]
    assert store.put_feedback(events).new == len(NAMES)
    assert store.put_feedback(events).repeated == len(NAMES)
    assert all(store.rejected("even", name) == {"rye"} for name in NAMES)
    assert store.rejected("even", "aXb") == set()
