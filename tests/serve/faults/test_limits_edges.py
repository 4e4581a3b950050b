"""Every limit at one less, itself and one more: those of the API's own description, and every ``max_`` setting.

The cases are made from the description and the settings, so that a limit that is added is tested or makes this fail.
Lists of 50,000 tags are slow to keep: but for one of them, only what is beyond is sent, unless ``HASHLOOM_EDGES=all``.
"""

from __future__ import annotations

import copy
import io
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from asking import asked, bearer
from test_serve_access import ROUTES, pattern_of

from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import Store

BOUNDS = {"maxLength", "minLength", "maximum", "minimum", "maxItems", "maxProperties", "pattern"}
UNUSED = {"minItems", "minProperties", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "uniqueItems"}
"""Kinds of bounds that no case is made for, since the API has none of them."""
ALL = os.environ.get("HASHLOOM_EDGES") == "all"
TAKEN = {200, 201, 404, 409, 410}
"""The request was let in, whatever there is of that name."""
PATTERNS: dict[str, list[tuple[Any, bool]]] = {
    r"\S": [(" ", False), ("a", True), (" a", True)],
    "^[0-9a-f]{64}$": [("0" * 63, False), ("0" * 64, True), ("0" * 65, False)],
    "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$": [("m" * 99, True), ("m" * 100, True), ("m" * 101, False)],
    "^(199[0-9]|20[0-9]{2}|2100)-": [
        ("1989-12-31T23:59:59Z", False), ("1990-01-01T00:00:00Z", True), ("2100-12-31T23:59:59Z", True),
        ("2101-01-01T00:00:00Z", False),
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Edge:
    """One bound of one route: where in the request, which kind, and how much."""

    place: tuple[str, ...]
    kind: str
    bound: Any
    whole: bool = False

    def values(self) -> list[tuple[Any, bool]]:
        """Values about the bound, each with whether it is to be taken."""
        if self.kind == "pattern":
            return PATTERNS[self.bound]
        n = int(self.bound) if self.kind not in ("minimum", "maximum") else self.bound
        if self.kind in ("minimum", "maximum"):
            step = 1 if self.whole or abs(n) > 1e6 else 0.001
            low, high = (self.kind == "maximum"), (self.kind == "minimum")
            made = [(n - step, low), (n, True), (n + step, high)]
            return [(int(v) if self.whole else float(v), taken) for v, taken in made]
        sizes = [(n - 1, self.kind[:3] == "max"), (n, True), (n + 1, self.kind[:3] == "min")]
        return [(self._of(size), taken) for size, taken in sizes]

    def _of(self, size: int) -> Any:
        if self.kind == "maxItems":
            pictures = "images" in self.place
            return [f"{i:064x}" if pictures else f"t{i}" for i in range(size)]
        if self.kind == "maxProperties":
            return {f"t{i}": f"t{i}" for i in range(size)}
        return "a" * size


def edges(schema: dict[str, Any], schemas: dict[str, Any], place: tuple[str, ...]) -> Iterator[Edge]:
    """All bounds within a schema."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rpartition("/")[2]]
    assert not UNUSED & schema.keys(), f"{place}: no case is made for {UNUSED & schema.keys()}"
    for kind in sorted(BOUNDS & schema.keys()):
        yield Edge(place, kind, schema[kind], schema.get("type") == "integer")
    inner = [((*place, name), held) for name, held in schema.get("properties", {}).items()]
    inner += [(place, one) for one in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ()))]
    for name, step in (("items", "[]"), ("additionalProperties", "{}"), ("propertyNames", "{k}")):
        if isinstance(schema.get(name), dict):
            inner.append(((*place, step), schema[name]))
    for where, held in inner:
        yield from edges(held, schemas, where)


def of_route(described: dict[str, Any], method: str, path: str) -> list[Edge]:
    schemas = described["components"]["schemas"]
    said = described["paths"][path][method.lower()]
    found = [
        edge for one in said.get("parameters", ()) for edge in edges(one["schema"], schemas, (one["in"], one["name"]))
    ]
    body = said.get("requestBody", {}).get("content", {}).get("application/json")
    return found + (list(edges(body["schema"], schemas, ("body",))) if body else [])


def put_in(held: Any, place: tuple[str, ...], value: Any) -> Any:
    """A body with a value at a place; what is missing on the way is made."""
    if not place:
        return many(held, value)
    step, rest = place[0], place[1:]
    if step == "[]":
        return [put_in(held[0] if held else {}, rest, value)]
    if step in ("{}", "{k}"):
        return {"t": put_in(None, rest, value)} if step == "{}" else {value: "a"}
    return {**(held or {}), step: put_in((held or {}).get(step), rest, value)}


def many(held: Any, value: Any) -> Any:
    """A list of whole things where a list of things is bounded: copies of the first, told apart by their ids."""
    if not isinstance(value, list) or not held or not isinstance(held, list) or not isinstance(held[0], dict):
        return value
    made = [copy.copy(held[0]) for _ in value]
    for one, name in zip(made, value):
        for field in ("id", "token"):
            one |= {field: name} if field in one else {}
    return made


def ask(client: Any, method: str, path: str, sent: dict[str, Any], edge: Edge, value: Any) -> Any:
    kind, *place = edge.place
    if kind == "body":
        return client.request(method, path, json=put_in(sent.get("json"), tuple(place), value))
    if kind == "query":
        return client.request(method, path, params={place[0]: value}, **sent)
    head, _, last = path.rpartition("/")
    if place[0] == "name":
        head, last = path.split("/recommender")
        return client.request(method, f"{head}/{quote(str(value), safe='')}{last}", **sent)
    return client.request(method, f"{head}/{quote(str(value), safe='')}", **sent)


@pytest.mark.parametrize(("method", "path"), sorted(ROUTES))
def test_every_bound_of_the_description_holds_at_itself_and_not_beyond(engine: Engine, method: str, path: str) -> None:
    _, _, sent = ROUTES[method, path]
    with asked(engine) as client:
        client.app.state.service.keys.are_there = lambda: False  # a key that is made would close the open door
        described = client.get("/v1/openapi.json").json()
        described["paths"] = {p.replace(":path", ""): held for p, held in described["paths"].items()}
        for edge in of_route(described, method, pattern_of(path)):
            for value, taken in edge.values():
                if "/spaces/" in path and edge.kind in ("maxItems", "maxProperties"):
                    if taken and not (ALL or (method == "PATCH" and edge.place[-1] == "add" and "denied" in path)):
                        continue
                    client.put("/v1/spaces/even", json={})
                answer = ask(client, method, path, sent, edge, value)
                assert answer.status_code in (TAKEN if taken else {422}), (edge, str(value)[:40], answer.text[:300])


def test_every_route_of_the_description_has_an_example_here(engine: Engine) -> None:
    with asked(engine) as client:
        described = client.get("/v1/openapi.json").json()
        for path, methods in described["paths"].items():
            for method in methods:
                if of_route(described, method, path):
                    known = {(m, pattern_of(p)) for m, p in ROUTES}
                    assert (method.upper(), path.replace(":path", "")) in known


# ---------------------------------------------------------------- settings


def png(width: int = 8, height: int = 8) -> bytes:
    from PIL import Image

    made = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(made, "PNG")
    return made.getvalue()


def draft(**values: Any) -> Callable[[Any], Any]:
    return lambda client: client.post("/v1/suggest", json={"community": "even"} | values)


def form(size: int) -> Callable[[Any], Any]:
    """A form of exactly so many bytes."""
    edge = "b" * 8
    head = f'--{edge}\r\nContent-Disposition: form-data; name="draft"\r\n\r\n'
    file = f'\r\n--{edge}\r\nContent-Disposition: form-data; name="picture"; filename="a.png"\r\n\r\n'
    body = head.encode() + b'{"text": "rye"' + b"%s}" + file.encode() + png() + f"\r\n--{edge}--\r\n".encode()
    body = body.replace(b"%s", b" " * (size - len(body) + 2))
    assert len(body) == size
    headers = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    return lambda client: client.post("/v1/suggest/pictures", content=body, headers=headers)


def picture(content: bytes) -> Callable[[Any], Any]:
    return lambda client: client.post("/v1/pictures/even", files={"picture": ("a.png", content)})


def posts(count: int) -> Callable[[Any], Any]:
    rows = [{"id": f"x{i}", "community": "even", "text": "x"} for i in range(count)]
    return lambda client: client.post("/v1/posts", json={"posts": rows})


def events(count: int) -> Callable[[Any], Any]:
    rows = [
        {"token": f"{i}", "community": "even", "post_id": "p", "tag": "Rye", "event": "shown"} for i in range(count)
    ]
    return lambda client: client.post("/v1/feedback", json={"events": rows})


def listed(count: int) -> Callable[[Any], Any]:
    return lambda client: client.put("/v1/spaces/even", json={"denied": [f"t{i}" for i in range(count)]})


def pictures(count: int) -> Callable[[Any], Any]:
    files = [("picture", ("a.png", png())) for _ in range(count)]
    return lambda client: client.post("/v1/suggest/pictures", data={"draft": "{}"}, files=files)


def padded(size: int) -> Callable[[Any], Any]:
    content, headers = b'{"text": "rye"}'.ljust(size), {"Content-Type": "application/json"}
    return lambda client: client.post("/v1/suggest", content=content, headers=headers)


def address(size: int) -> Callable[[Any], Any]:
    path = "/v1/autocomplete/even?q="
    return lambda client: client.get(path + "a" * (size - len(path) + 1))


def put(**values: Any) -> Callable[[Any], Any]:
    return lambda client: client.put("/v1/posts/even/x", json={"text": "x"} | values)


def deep(size: int) -> Callable[[Any], Any]:
    """A body so deep; it has a field that is not known, so that one that is read is refused for that."""
    content, headers = b'{"x": ' + b"[" * (size - 1) + b"]" * (size - 1) + b"}", {"Content-Type": "application/json"}
    return lambda client: client.post("/v1/suggest", content=content, headers=headers)


Cases = tuple[int, int, list[Callable[[int], Callable[[Any], Any]]]]
SETTINGS: dict[str, Cases] = {
    "max_text": (10, 422, [lambda n: draft(text="a" * n)]),
    "max_post_text": (10, 422, [lambda n: put(text="a" * n)]),
    "max_name": (20, 422, [
        lambda n: draft(user="u" * n), lambda n: draft(post_id="p" * n), lambda n: draft(community="c" * n),
        lambda n: put(user="u" * n), lambda n: lambda client: client.put(f"/v1/posts/even/{'i' * n}", json={}),
        lambda n: lambda client: client.put(f"/v1/posts/{'c' * n}/x", json={}),
        lambda n: lambda client: client.get(f"/v1/trends/{'c' * n}"),
        lambda n: lambda client: client.patch(f"/v1/spaces/{'c' * n}", json={"add": ["Rye"]}),
    ]),
    "max_tag": (10, 422, [
        lambda n: draft(chosen=["t" * n]), lambda n: draft(unwanted=["t" * n]), lambda n: put(tags=["t" * n]),
    ]),
    "max_tags": (5, 422, [
        lambda n: draft(chosen=[f"t{i}" for i in range(n)]), lambda n: draft(unwanted=[f"t{i}" for i in range(n)]),
        lambda n: put(tags=[f"t{i}" for i in range(n)]),
    ]),
    "max_k": (5, 422, [lambda n: draft(k=n)]),
    "max_drafts": (
        3, 422, [lambda n: lambda client: client.post("/v1/suggest/many", json={"drafts": [{"text": "rye"}] * n})]
    ),
    "max_posts": (5, 422, [posts]),
    "max_events": (5, 422, [events]),
    "max_space": (5, 409, [listed]),
    "max_pictures": (2, 422, [pictures, lambda n: put(images=[f"{i:064x}" for i in range(n)])]),
    "max_picture": (1_000, 422, [lambda n: picture(png().ljust(n, b"\0"))]),
    "max_pixels": (153, 422, [lambda n: picture(png(*{152: (19, 8), 153: (17, 9), 154: (14, 11)}[n]))]),
    "max_body": (2_000, 413, [padded]),
    "max_upload": (2_000, 413, [form]),
    "max_buffered": (2_000, 503, [padded, form]),
    "max_address": (200, 414, [address]),
    "max_depth": (5, 400, [deep]),
}  # fmt: skip
"""Limit → what it is set to, the status beyond it, and requests of a given size."""


def test_every_limit_of_the_settings_has_a_case() -> None:
    assert SETTINGS.keys() == ServeSettings().limits().keys()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_limit_that_is_set_lower_holds_at_itself_and_not_beyond(engine: Engine, name: str) -> None:
    most, beyond, makers = SETTINGS[name]
    with asked(engine, **{name: most}) as client:
        assert client.get("/v1/me").json()["limits"][name] == most
        for at, make in enumerate(makers):
            within = 422 if name == "max_depth" else 200
            for size, status in ((most - 1, within), (most, within), (most + 1, beyond)):
                answer = make(size)(client)
                assert answer.status_code == status, f"case {at} of {size}: {answer.text[:300]}"
            assert answer.headers["content-type"] == "application/problem+json"
        assert client.post("/v1/suggest", json={"text": "rye", "k": 1}).status_code == 200


# ---------------------------------------------------------------- rates and moments


def test_a_key_may_ask_twice_its_rate_at_once_and_no_more(
    engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rate in (2, 3):
        secret = store.new_key("reader", rate=rate * 1e-3)[1]  # so slow that none comes back within the test
        with asked(engine, near=False) as client:
            assert client.get("/v1/me", headers=bearer(secret)).status_code == 200
            assert client.get("/v1/me", headers=bearer(secret)).status_code == 429
    from hashloom.serve.limits import Buckets

    monkeypatch.setattr("hashloom.serve.limits.monotonic", lambda: 1_000.0)
    for rate in (1.0, 2.0, 50.0):
        buckets, most = Buckets(), int(2 * rate)
        waits = [buckets.take("k", rate) for _ in range(most + 1)]
        assert not any(waits[:most])
        assert waits[most] == pytest.approx(1 / rate)


def test_wrong_keys_are_told_to_wait_from_one_more_than_ten_on(
    engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = store.new_key("reader")[1]
    with asked(engine, near=False, failures=0.001) as client:
        assert client.get("/v1/me", headers=bearer("hl_wrong")).status_code == 401
        assert client.get("/v1/me", headers=bearer("hl_wrong")).status_code == 429
        assert client.get("/v1/me", headers=bearer(right)).status_code == 200
    monkeypatch.setattr("hashloom.serve.limits.monotonic", lambda: 1_000.0)  # no token comes back meanwhile
    with asked(engine, near=False) as client:
        statuses = [client.get("/v1/me", headers=bearer(f"hl_{i}")).status_code for i in range(12)]
        assert statuses == [401] * 10 + [429] * 2


def test_a_key_revoked_elsewhere_is_refused_when_its_time_is_over(engine: Engine, store: Store) -> None:
    id, secret = store.new_key("reader")
    with asked(engine, near=False, key_seconds=0.3) as client:
        assert client.get("/v1/me", headers=bearer(secret)).status_code == 200
        with Store.open(store.folder) as other:
            other.revoke(id)
        time.sleep(0.35)
        assert client.get("/v1/me", headers=bearer(secret)).status_code == 401
