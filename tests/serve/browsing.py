"""A running service over the samples, and a browser that opens its pages and keeps what they complain about."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from hashloom.data.read import read
from hashloom.recommenders.calibrated import Calibrated
from hashloom.recommenders.linear import Linear
from hashloom.serve.drafts import with_scoped_ids
from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.store import Store

CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SAMPLES = Path(__file__).parents[2] / "samples"
WORST = {"serious", "critical"}
BREAD = "First rye loaf from my starter, baked for the spring fair."
in_a_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs a browser at {CHROMIUM}")


# ---------------------------------------------------------------- a running service


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """The address of a service over the samples, and its store."""
    from hashloom.forecasters.author_mean import AuthorMean

    home = tmp_path_factory.mktemp("page")
    posts, _ = read(SAMPLES / "posts.jsonl")
    scoped = with_scoped_ids(posts)
    with Store.open(home / "store") as store:
        store.put_posts(posts)
        made = {"recommender": Calibrated(held=Linear()), "forecaster": AuthorMean()}
        for name, model in made.items():
            held = store.add_model(name, model.fit(scoped).save(home / name))  # type: ignore[attr-defined]
            store.publish(name, held.digest)
        with Engine(store, settings=ServeSettings(budget=60.0, sync_seconds=0.1)) as running:
            for address in serving(running):
                yield address, store


def serving(engine: Engine, settings: ServeSettings | None = None) -> Iterator[str]:
    """The address of a service over an engine, as long as one asks no more of this."""
    import uvicorn

    from hashloom.serve.api import make_app

    app = make_app(engine, engine.store, settings)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive(), "the server ended at once"
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(60)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        yield made
        made.close()


@pytest.fixture
def opened(browser: Any, place: tuple[str, Store]) -> Iterator[Any]:
    """Opens a page of the service; complaints are kept in ``page.said``. Asking any other place fails the test."""
    contexts, elsewhere = [], []

    def open_page(path: str = "", scheme: str = "light", width: int = 1200, **more: Any) -> Any:
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900}, **more)
        contexts.append(context)
        context.set_default_timeout(60_000)
        made = context.new_page()
        made.said = []
        made.on("console", lambda m: made.said.append(m.text) if m.type in ("error", "warning") else None)
        made.on("pageerror", lambda error: made.said.append(f"error {error}"))
        own = (place[0], f"blob:{place[0]}", "data:")
        context.on("request", lambda one: None if one.url.startswith(own) else elsewhere.append(one.url))
        made.goto(place[0] + path)
        return made

    yield open_page
    for context in contexts:
        context.close()
    assert elsewhere == []


def composed(made: Any, text: str = BREAD, community: str = "crumb-club") -> Any:
    """The composer with a text, once it has suggestions."""
    made.wait_for_selector("#community option", state="attached")
    made.select_option("#community", community)
    with made.expect_response("**/v1/suggest"):
        made.fill("#text", text)
    made.wait_for_selector("#suggestions .take")
    made.wait_for_selector("#suggestions[aria-busy=false]")
    return made


def tags(made: Any, place: str = "suggestions") -> list[str]:
    found = made.eval_on_selector_all(f"#{place} li[data-tag]", "rows => rows.map(row => row.dataset.tag)")
    return list(found)


def events(store: Store, community: str = "crumb-club") -> list[tuple[str, str]]:
    return [(one.tag, one.event) for one in store.feedback(community)]


def followed(made: Any, address: str, community: str) -> None:
    """Wait until the service has taken in a community's new posts."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if made.request.get(f"{address}v1/autocomplete/{quote(community)}").json()["tags"]:
            return
        time.sleep(0.05)
    raise AssertionError(f"the posts of {community} did not reach the service")
