"""The operators' view, the widget, keys and axe-core in a real browser, over the real service."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from asking import asked, bearer
from browsing import BREAD, SAMPLES, WORST, browser, composed, events, in_a_browser, opened, place

from hashloom.data.read import read
from hashloom.recommenders.linear import Linear
from hashloom.serve.drafts import with_scoped_ids
from hashloom.serve.engine import Engine
from hashloom.store import Store
from hashloom.types import Post, Posts

__all__ = ["browser", "opened", "place"]
"""Fixtures."""

# ---------------------------------------------------------------- operators


@in_a_browser
def test_operators_change_the_tag_space(opened: Any, place: tuple[str, Store]) -> None:
    made, store = opened("operator"), place[1]
    made.wait_for_selector("#view h2")
    made.select_option("#community", "spoke-and-rain")
    made.fill("#reason", "spring cleaning")
    made.fill("#list-tag", "Gravel, WetFeet")
    made.click("section[aria-labelledby=space-head] button[type=submit] >> nth=0")
    made.wait_for_selector("th[scope=row]:has-text('WetFeet')")
    made.fill("#alias", "pebbles")
    made.fill("#alias-of", "gravel")
    made.keyboard.press("Enter")
    made.wait_for_selector("th:has-text('pebbles')")
    made.fill("#deny-tag", "Spam")
    made.keyboard.press("Enter")
    made.wait_for_selector("#sure[open]")
    assert made.evaluate("document.activeElement.value") == "no"
    made.click("#sure [value=yes]")
    made.wait_for_selector("[aria-label='Allow Spam again']")
    made.fill("#merge-from", "WetFeet")
    made.fill("#merge-into", "Gravel")
    made.keyboard.press("Enter")
    made.wait_for_selector("section[aria-labelledby=space-head] th:has-text('WetFeet')", state="detached")
    made.click("#toggle-closed")
    made.click("#sure [value=yes]")
    made.wait_for_selector("#toggle-closed:has-text('Open')")
    held = store.get_space("spoke-and-rain")
    assert held is not None
    assert (held.tags, held.closed, held.denied) == ({"gravel": "Gravel"}, True, ("Spam",))
    assert held.aliases == {"pebbles": "gravel", "wetfeet": "gravel"}
    assert {one.why for one in store.space_log("spoke-and-rain")} == {"spring cleaning"}
    assert made.said == []


@in_a_browser
def test_operators_see_models_and_compare_one(opened: Any, place: tuple[str, Store], tmp_path: Path) -> None:
    store = place[1]
    scoped = with_scoped_ids(read(SAMPLES / "posts.jsonl")[0])
    other = store.add_model("recommender", Linear().fit(scoped).save(tmp_path / "other"))
    made = opened("operator#models")
    made.wait_for_selector("#view h2")
    made.click(f"[aria-label='Compare {other.digest[:12]} unseen']")
    made.wait_for_selector("[aria-label='End the comparison']")
    assert [one.digest for one in store.models("recommender") if one.shadow] == [other.digest]
    before = store.published("recommender")
    made.click(f"[aria-label='Publish {other.digest[:12]}']")
    made.click("#sure [value=yes]")
    made.wait_for_selector(f"tr:has-text('{other.digest[:12]}') .badge:has-text('published')")
    made.click("text=Roll back recommender")
    made.click("#sure [value=yes]")
    made.wait_for_selector(f"[aria-label='Publish {other.digest[:12]}']")
    assert before is not None
    assert store.published("recommender").digest == before.digest  # type: ignore[union-attr]
    assert made.said == []


@in_a_browser
def test_operators_review_posts_and_see_the_quality(opened: Any, place: tuple[str, Store]) -> None:
    from hashloom.serve.held import UNREVIEWED

    store = place[1]
    store.put_posts(Posts.of([Post("look", BREAD, "midorino-garden", "mo", tags=("Odd",))]), source=UNREVIEWED)
    made = opened("operator#review")
    made.wait_for_selector("#view h2")
    made.select_option("#community", "midorino-garden")
    made.wait_for_selector("article[aria-label=look]")
    made.fill("article[aria-label=look] input:not([type=checkbox])", "RyeBread")
    made.click("article[aria-label=look] button")
    made.wait_for_selector("article[aria-label=look]", state="detached")
    assert store.get_posts("midorino-garden", ["look"])[0].tags == ("Odd", "RyeBread")
    composed(made.context.new_page() if made.goto(place[0]) is None else made, community="sanpo-photo")
    with made.expect_response("**/v1/feedback"):
        made.click(".take >> nth=0")
    made.goto(place[0] + "operator#quality")
    made.wait_for_selector("svg.chart rect.accepted")
    assert made.said == []


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["", "operator", "operator#trends", "operator#models", "operator#quality",
                                  "operator#review", "page/widget-demo.html"])  # fmt: skip
def test_axe_finds_nothing_serious(opened: Any, path: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    made = opened(path, scheme)
    # The page's own policy forbids scripts of others, as it should: axe is put in from outside of it.
    made.context.new_cdp_session(made).send("Page.setBypassCSP", {"enabled": True})
    made.reload()
    if path.startswith("operator"):
        made.wait_for_selector("#view h2")
    elif path:
        made.evaluate("document.querySelector('#post').dataset.hashloomCommunity = 'crumb-club'")
        made.fill("#post", BREAD)
        made.wait_for_selector(".take")
    else:
        composed(made)
        made.click(".take >> nth=0")
        made.click(".ask >> nth=0")
        made.wait_for_selector("#why .because")
    assert (Path(sys.modules["axe_playwright_python"].__file__ or "").parent / "axe.min.js").exists()
    found = axe.Axe().run(made).response["violations"]
    bad = [(v["id"], [n["html"][:160] for n in v["nodes"][:3]]) for v in found if v["impact"] in WORST]
    assert bad == []


@in_a_browser
@pytest.mark.parametrize("width", [320, 390, 1200])
def test_no_page_is_wider_than_its_window(opened: Any, width: int) -> None:
    made = composed(opened(width=width), "W" * 300 + " rye")
    assert made.evaluate("document.documentElement.scrollWidth") <= width
    for view in ("space", "models", "review", "quality", "trends"):
        other = opened(f"operator#{view}", width=width)
        other.wait_for_selector("#view h2")
        assert other.evaluate("document.documentElement.scrollWidth") <= width, view


# ---------------------------------------------------------------- keys, the widget


@in_a_browser
def test_the_widget_adds_suggestions_to_a_textarea(opened: Any, place: tuple[str, Store]) -> None:
    made = opened("page/widget-demo.html")
    made.evaluate("document.querySelector('#post').dataset.hashloomCommunity = 'crumb-club'")
    made.type("#post", BREAD)
    made.wait_for_selector(".take")
    assert made.locator("[data-hashloom-for]").count() == 1
    first, second = (made.inner_text(f".take >> nth={at}") for at in (0, 1))
    made.focus(".take >> nth=0")
    made.keyboard.press("ArrowRight")
    with made.expect_response("**/v1/feedback"):
        made.keyboard.press("Delete")
    with made.expect_response("**/v1/feedback"):
        made.click(".take >> nth=0")
    assert made.input_value("#post") == f"{BREAD} {first}"
    made.wait_for_function(
        """tags => {
        const list = document.querySelector('[data-hashloom-for]').shadowRoot;
        const now = [...list.querySelectorAll('.take')].map(one => one.textContent);
        return now.length && !tags.some(tag => now.includes(tag));
    }""",
        arg=[first, second],
    )
    told = {(tag.lower(), event) for tag, event in events(place[1])}
    assert (first[1:].lower(), "accepted") in told
    made.evaluate("document.querySelector('main').append(document.createElement('textarea'))")
    made.wait_for_function("() => document.querySelectorAll('[data-hashloom-for]').length === 2")
    assert made.said == []


@in_a_browser
def test_a_key_is_asked_for_where_one_is_needed(opened: Any, place: tuple[str, Store]) -> None:
    store = place[1]
    id, secret = store.new_key("reader", "crumb-club", None, "page")
    try:
        time.sleep(2.2)  # how long the service takes "no keys" as known
        made = opened()
        made.wait_for_selector("#door:not([hidden])")
        assert made.evaluate("document.activeElement.id") == "key"
        made.fill("#key", "hl_wrong")
        made.keyboard.press("Enter")
        made.wait_for_function(
            "() => document.querySelector('#door-why').textContent.startsWith('This key is not known')"
        )
        made.fill("#key", secret)
        made.keyboard.press("Enter")
        made.wait_for_selector("#door", state="hidden")
        composed(made)
        asked_for: list[str] = []
        made.on("request", lambda one: asked_for.append(one.url))
        with made.expect_response("**/v1/suggest"):
            made.click(".take >> nth=0")
        assert not any("feedback" in url for url in asked_for)  # a reader may send none
        made.goto(place[0] + "operator")
        made.wait_for_selector("#offline:not([hidden])")
        assert "role operator" in made.inner_text("#offline")
    finally:
        store.revoke(id)
        time.sleep(2.2)


def test_pages_need_no_key_and_the_api_does(engine: Engine, store: Store) -> None:
    _, secret = store.new_key("reader", None, None, "")
    with asked(engine, near=False) as client:
        assert client.get("/").status_code == 200
        assert client.get("/v1/me").status_code == 401
        assert client.get("/v1/me", headers=bearer(secret)).status_code == 200
