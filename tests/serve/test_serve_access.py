"""Who may do what: every route with every role, method and community; keys, rates, names, and what errors tell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from asking import asked, bearer

from hashloom.serve.auth import ROLES, check_binding
from hashloom.serve.engine import Engine
from hashloom.store import Store

PICTURE = {"files": {"picture": ("a.png", b"no picture", "image/png")}}
ROUTES: dict[tuple[str, str], tuple[str, bool, dict[str, Any]]] = {
    ("POST", "/v1/suggest"): ("reader", False, {"json": {"community": "even"}}),
    ("POST", "/v1/suggest/many"): ("reader", False, {"json": {"drafts": [{"community": "even"}]}}),
    ("POST", "/v1/suggest/pictures"): ("reader", False, PICTURE | {"data": {"draft": '{"community": "even"}'}}),
    ("POST", "/v1/forecast"): ("reader", False, {"json": {"community": "even"}}),
    ("POST", "/v1/forecast/pictures"): ("reader", False, PICTURE | {"data": {"draft": '{"community": "even"}'}}),
    ("GET", "/v1/autocomplete/even"): ("reader", False, {}),
    ("GET", "/v1/trends/even"): ("reader", False, {}),
    ("GET", "/v1/communities"): ("reader", False, {}),
    ("GET", "/v1/me"): ("reader", False, {}),
    ("GET", "/v1/platforms"): ("reader", False, {}),
    ("PUT", "/v1/posts/even/x1"): ("writer", False, {"json": {"text": "x"}}),
    ("PATCH", "/v1/posts/even/0-0"): ("writer", False, {"json": {"language": "en"}}),
    ("GET", "/v1/posts/even/0-0"): ("writer", False, {}),
    ("DELETE", "/v1/posts/even/x2"): ("writer", False, {}),
    ("POST", "/v1/posts"): ("writer", False, {"json": {"posts": [{"id": "x3", "community": "even", "text": "x"}]}}),
    ("POST", "/v1/pictures/even"): ("writer", False, PICTURE),
    ("POST", "/v1/feedback"): ("writer", False, {"json": {"events": [
        {"token": "t", "community": "even", "post_id": "p", "tag": "Rye", "event": "shown"}]}}),
    ("GET", "/v1/quality/even"): ("operator", False, {}),
    ("GET", "/v1/spaces/even"): ("operator", False, {}),
    ("PUT", "/v1/spaces/even"): ("operator", False, {"json": {}}),
    ("PATCH", "/v1/spaces/even"): ("operator", False, {"json": {"add": ["Rye"]}}),
    ("PATCH", "/v1/spaces/even/aliases"): ("operator", False, {"json": {"aliases": {"roggen": "rye"}}}),
    ("PATCH", "/v1/spaces/even/denied"): ("operator", False, {"json": {"add": ["spam"]}}),
    ("PATCH", "/v1/spaces/even/sensitive"): ("operator", False, {"json": {"add": ["grief"]}}),
    ("POST", "/v1/spaces/even/merge"): ("operator", False, {"json": {"tags": ["oats"], "into": "oat"}}),
    ("PATCH", "/v1/spaces/even/describe"): ("operator", False, {"json": {"describe": {"rye": "A grain"}}}),
    ("GET", "/v1/spaces/even/log"): ("operator", False, {}),
    ("GET", "/v1/spaces/even/duplicates"): ("operator", False, {}),
    ("GET", "/v1/spaces/even/alike"): ("operator", False, {}),
    ("GET", "/v1/review/even"): ("operator", False, {}),
    ("GET", "/v1/models"): ("operator", True, {}),
    ("GET", "/v1/status"): ("operator", True, {}),
    ("POST", "/v1/models/recommender/publish"): ("operator", True, {"json": {"digest": "0" * 64}}),
    ("POST", "/v1/models/recommender/rollback"): ("operator", True, {}),
    ("POST", "/v1/models/recommender/shadow"): ("operator", True, {"json": {"digest": None}}),
    ("POST", "/v1/models/recommender/drop"): ("operator", True, {"json": {"digest": "0" * 64}}),
    ("GET", "/v1/keys"): ("admin", False, {}),
    ("POST", "/v1/keys"): ("admin", False, {"json": {"role": "reader", "community": "even"}}),
    ("DELETE", "/v1/keys/000000000000"): ("admin", False, {}),
    ("GET", "/v1/authors/u0"): ("admin", False, {}),
    ("DELETE", "/v1/authors/nobody"): ("admin", False, {}),
    ("DELETE", "/v1/communities/gone"): ("admin", True, {}),
}  # fmt: skip
"""Method and address → the role that it needs, whether for all communities, and what is sent."""
OPEN = {("GET", "/health"), ("GET", "/ready"), ("GET", "/metrics"), ("GET", "/v1/openapi.json")}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")
PASSED = {200, 201, 404, 409, 422}
"""A picture that is none, a model or key that is not there, nothing to go back to: the request was let in."""


@pytest.fixture
def secrets(store: Store) -> dict[tuple[str, str | None], str]:
    """A key for each role and scope."""
    return {(role, scope): store.new_key(role, scope)[1] for role in ROLES for scope in (None, "even", "odd")}


def pattern_of(address: str) -> str:
    for name in ("even/0-0", "even/x1", "even/x2"):
        address = address.replace(name, "{community}/{id}")
    swaps = {
        "even": "{community}",
        "gone": "{community}",
        "recommender": "{name}",
        "000000000000": "{id}",
        "u0": "{user}",
        "nobody": "{user}",
    }
    return "/".join(swaps.get(part, part) for part in address.split("/"))


def test_every_route_role_method_and_community(engine: Engine, secrets: dict[tuple[str, str | None], str]) -> None:
    with asked(engine, near=False) as client:
        described = client.get("/v1/openapi.json").json()["paths"]
        known = {(m.upper(), p.replace(":path", "")) for p, found in described.items() for m in found}
        assert known == {(m, pattern_of(p)) for m, p in ROUTES} | (OPEN - {("GET", "/v1/openapi.json")})
        for (method, path), (role, whole, sent) in ROUTES.items():
            for (has, scope), secret in secrets.items():
                status = client.request(method, path, headers=bearer(secret), **sent).status_code
                place = f"{method} {path} as {has} of {scope}"
                named = "even" in path or "even" in str(sent)
                may = ROLES.index(has) >= ROLES.index(role) and not (whole and scope)
                may &= not (named and scope == "odd")
                if may:
                    assert status in PASSED, f"{place}: {status}"
                else:
                    assert status == 403, f"{place}: {status}"
            assert client.request(method, path, **sent).status_code == 401
            assert client.request(method, path, headers=bearer("hl_wrong"), **sent).status_code in (401, 429)
        for path in sorted({path for _, path in ROUTES}):
            taken = {method for method, other in ROUTES if pattern_of(other) == pattern_of(path)}
            for method in METHODS:
                if method not in taken:
                    headers = bearer(secrets["admin", None])
                    status = client.request(method, path, headers=headers).status_code
                    assert status == 405, f"{method} {path}: {status}"
                    assert client.request(method, path).status_code == 401


def test_a_scoped_key_means_its_own_community(engine: Engine, secrets: dict[tuple[str, str | None], str]) -> None:
    with asked(engine, near=False) as client:
        headers = bearer(secrets["reader", "even"])
        assert client.post("/v1/suggest", json={"text": "rye"}, headers=headers).json()["suggestions"]
        for other in ("odd", "EVEN", "even\u200b", "ｅｖｅｎ", "", "nowhere"):
            answer = client.post("/v1/suggest", json={"community": other}, headers=headers)
            assert (answer.status_code, answer.json()["detail"]) == (403, "This key is for another community.")
        assert client.post("/v1/suggest", json={"community": " even "}, headers=headers).status_code == 200
        assert client.get("/v1/trends/%20even", headers=headers).status_code == 200
        assert client.get("/v1/trends/~", headers=headers).status_code == 403
        assert client.get("/v1/communities", headers=headers).json()["communities"] == {"even": 24}


def test_an_admin_of_a_community_reaches_no_further(
    engine: Engine, store: Store, secrets: dict[tuple[str, str | None], str]
) -> None:
    with asked(engine, near=False) as client:
        headers = bearer(secrets["admin", "even"])
        keys = client.get("/v1/keys", headers=headers).json()["keys"]
        assert {key["community"] for key in keys} == {"even"}
        made = client.post("/v1/keys", json={"role": "admin", "community": "odd"}, headers=headers)
        assert made.status_code == 403
        made = client.post("/v1/keys", json={"role": "admin"}, headers=headers)
        assert store.find_key(made.json()["secret"]).community == "even"
        foreign = next(one.id for one in list(store.keys()) if one.community == "odd")
        assert client.delete(f"/v1/keys/{foreign}", headers=headers).status_code == 404
        assert client.get("/v1/authors/u1", headers=headers).json()["posts"] == []
        client.delete("/v1/authors/u1", headers=headers)
        assert len(store.history("odd", "u1"))


def test_a_revoked_key_ends_and_keys_are_never_logged(
    engine: Engine, secrets: dict[tuple[str, str | None], str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with asked(engine, near=False) as client:
        headers = bearer(secrets["admin", None])
        made = client.post("/v1/keys", json={"role": "reader"}, headers=headers).json()
        assert client.get("/v1/me", headers=bearer(made["secret"])).status_code == 200
        assert client.get("/v1/me", headers={"X-API-Key": made["secret"]}).status_code == 200
        assert client.delete(f"/v1/keys/{made['id']}", headers=headers).json()["revoked"]
        assert client.get("/v1/me", headers=bearer(made["secret"])).status_code == 401
        for wrong in (made["secret"], "hl_", "x" * 10_000, "é"):
            answer = client.get("/v1/me", headers={b"Authorization": f"Bearer {wrong}".encode()})
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    for secret in [made["secret"], *secrets.values()]:
        assert secret not in caplog.text


def test_this_machine_needs_no_key_until_there_is_one(engine: Engine, store: Store) -> None:
    with asked(engine) as client:
        assert client.get("/v1/me").json()["role"] == "admin"
        id, _ = store.new_key("reader")
        client.app.state.service.keys.forget()
        assert client.get("/v1/me").status_code == 401
        store.revoke(id)
    with asked(engine, near=False) as client:
        assert client.get("/v1/me").status_code == 401
        assert client.get("/metrics").status_code == 401
        assert client.get("/health").json() == {"status": "ok"}
    with asked(engine, near=False, public_metrics=True) as client:
        assert client.get("/metrics").status_code == 200


def test_a_page_elsewhere_cannot_use_the_open_door(engine: Engine) -> None:
    with asked(engine, host="evil.example") as client:
        assert client.get("/v1/me").status_code == 421
    with asked(engine) as client:
        assert client.get("/v1/me", headers={"Origin": "http://evil.example"}).status_code == 403
        assert client.get("/v1/me", headers={"Origin": "null"}).status_code == 403
        assert client.get("/v1/me", headers={"Origin": "http://localhost"}).status_code == 200
        assert "access-control-allow-origin" not in client.get("/v1/me").headers


def test_the_service_does_not_listen_afar_without_keys(store: Store) -> None:
    for near in ("127.0.0.1", "::1", "localhost", "127.8.8.8"):
        check_binding(near, store)
    for far in ("0.0.0.0", "::", "192.168.1.4", "example.org", ""):
        with pytest.raises(ValueError, match="without keys"):
            check_binding(far, store)
    store.new_key("reader")
    check_binding("0.0.0.0", store)


def test_a_key_has_its_rate(engine: Engine, store: Store) -> None:
    secret = store.new_key("reader", rate=1)[1]
    with asked(engine, near=False) as client:
        statuses = [client.get("/v1/me", headers=bearer(secret)) for _ in range(8)]
        assert [answer.status_code for answer in statuses[:2]] == [200, 200]
        assert statuses[-1].status_code == 429
        assert int(statuses[-1].headers["Retry-After"]) >= 1
        other = store.new_key("reader")[1]
        assert client.get("/v1/me", headers=bearer(other)).status_code == 200


def test_a_large_batch_is_paid_for(engine: Engine, store: Store) -> None:
    secret = store.new_key("reader", rate=5)[1]
    with asked(engine, near=False) as client:
        body = {"drafts": [{"community": "even"}] * 60}
        assert client.post("/v1/suggest/many", json=body, headers=bearer(secret)).status_code == 200
        assert client.get("/v1/me", headers=bearer(secret)).status_code == 429


@pytest.mark.parametrize("how", ["fails", "store"])
def test_inner_failures_tell_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    from hashloom.store import UnreachableStore

    def fail(*_: object, **__: object) -> None:
        error: Callable[[str], Exception] = RuntimeError if how == "fails" else UnreachableStore
        raise error("/var/lib/secret/hashloom.sqlite of odd: hl_000")

    with asked(engine) as client:
        monkeypatch.setattr(engine.store, "communities", fail)
        answer = client.get("/v1/communities", headers={"X-Request-ID": "mine-1"})
        assert answer.status_code == (500 if how == "fails" else 503)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["request_id"] == answer.headers["x-request-id"] == "mine-1"
        assert not [word for word in ("secret", "sqlite", "odd", "hl_", "Traceback") if word in answer.text]
        assert client.get("/v1/me", headers={"X-Request-ID": "a\tb{}"}).headers["x-request-id"] != "a\tb{}"
