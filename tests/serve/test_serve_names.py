"""Names in addresses: communities, ids and authors with slashes, dots, signs and letters of any kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asking import asked, bearer
from test_serve_client import running

from hashloom.client import Client, NotFound
from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import Store
from hashloom.types import Post, Posts

PATIENT = ServeSettings(budget=60.0)
NAMES = (
    "a/b", "/", "//x/", "a?b", "a#b", "a%b", "%", "%2F", "a%2Fb", ".", "..", "...", "~", "~~", "~..", "../~", "a.b",
    "log", "a/log", "even/log", "a b", "a+b&c=d;e", "\\", "ü/ß", "料理/パン", "'\"<>", "many", "x" * 400,
)  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Store]]:
    """A service over an empty store, and a client of it."""
    home = tmp_path_factory.mktemp("named") / "store"
    with Store.open(home) as store, Engine(store, settings=PATIENT) as engine, running(engine) as address:
        yield Client(address, timeout=60), store


@pytest.mark.parametrize("name", NAMES)
def test_a_community_of_any_name_is_reached_as_itself(service: tuple[Client, Store], name: str) -> None:
    client, store = service
    assert client.put_post(name, "p1", text="rye", user="mo", tags=["Rye"]) == "new"
    assert client.put_post(name, "p2", text="rye", user="al", tags=["Rye"]) == "new"
    assert store.communities()[name] == 2
    assert client.get_post(name, "p1")["community"] == name
    assert client.change_space(name, add=["Oat"]).community == name
    assert client.deny(name, ["Spam"]).denied == ("Spam",)
    assert client.merge(name, ["Oats"], "Oat").aliases == {"oats": "oat"}
    assert set(store.get_space(name).tags) == {"oat"}
    assert client.complete(name, "oa") == ["Oat"]
    assert client.delete_post(name, "p1")
    assert store.count(name) == 1


@pytest.mark.parametrize("name", NAMES)
def test_a_post_and_an_author_of_any_name_are_reached_as_themselves(service: tuple[Client, Store], name: str) -> None:
    client, store = service
    place = f"of {NAMES.index(name)}"
    client.put_post(place, name, text="rye", user=name)
    assert store.get_posts(place, [name]).ids == [name]
    assert client.change_post(place, name, language="en") == "changed"
    assert client.get_post(place, name)["language"] == "en"
    assert [post["id"] for post in client.export_author(name)["posts"]] == [name]
    assert client.forget_author(name)["where"]["posts"] == 1
    with pytest.raises(NotFound):
        client.get_post(place, name)
    assert store.count(place) == 0


def test_the_community_without_a_name_is_the_tilde(service: tuple[Client, Store]) -> None:
    client, store = service
    client.put_post("", "p", text="rye")
    assert store.get_posts("", ["p"]).ids == ["p"]


def test_a_slash_within_a_name_never_leads_elsewhere(engine: Engine, store: Store) -> None:
    store.put_posts(Posts.of([Post("p", "x", "even/odd")]))
    mine, other = store.new_key("operator", "even")[1], store.new_key("operator", "even/odd")[1]
    with asked(engine, near=False) as client:
        for path in ("posts/even%2Fodd/p", "posts/even%2fodd/p", "spaces/even%2Flog", "trends/even%2F"):
            assert client.get(f"/v1/{path}", headers=bearer(mine)).status_code == 403, path
        assert client.get("/v1/posts/even%2Fodd/p", headers=bearer(other)).json()["community"] == "even/odd"
        assert client.put("/v1/posts/even%2Fodd/q", json={"text": "x"}, headers=bearer(mine)).status_code == 403
        assert client.put("/v1/posts/even/odd/q", json={"text": "x"}, headers=bearer(mine)).json()["status"] == "new"
        assert store.get_posts("even", ["odd/q"]).ids == ["odd/q"]
        for path in ("/v1%2Fme", "/%2Fv1/me", "/v1/me%2F", "/page%2Fpage.css", "/page/..%2Fapi.py"):
            assert client.get(path, headers=bearer(mine)).status_code == 404, path
        assert client.get("/%76%31/me", headers=bearer(mine)).status_code == 200
        assert client.get("/%76%31/me").status_code == 401


def test_a_zero_byte_in_an_address_is_no_slash(engine: Engine, store: Store) -> None:
    with asked(engine) as client:
        assert client.put("/v1/posts/even/a%00b", json={"text": "x"}).json()["status"] == "new"
        assert store.get_posts("even", ["a\ufffdb"]).ids == ["a\ufffdb"]
        assert client.put("/v1/posts/e%00v/c", json={"text": "x"}).status_code == 200
        assert store.get_posts("e\ufffdv", ["c"]).ids == ["c"]
        assert client.get("/v1/posts/even/%FF%FE").status_code == 404
