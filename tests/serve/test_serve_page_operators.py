"""The operators' view, the widget, keys and axe-core in a real browser, over the real service."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from asking import asked, bearer
from browsing import BREAD, SAMPLES, WORST, browser, composed, events, followed, in_a_browser, opened, place

from hashloom.data.read import read
from hashloom.recommenders.linear import Linear
from hashloom.recommenders.popular import Popular
from hashloom.serve.drafts import with_scoped_ids
from hashloom.serve.engine import Engine
from hashloom.store import Store
from hashloom.types import Post, Posts

__all__ = ["browser", "opened", "place"]
"""Fixtures."""

VIEWS = ("trends", "models", "quality", "review")

# ---------------------------------------------------------------- operators


@in_a_browser
def test_operators_change_the_tag_space(opened: Any, place: tuple[str, Store]) -> None:
    made, store = opened("operator"), place[1]
    made.wait_for_selector("#view h2")
    made.select_option("#community", "spoke-and-rain")
    made.wait_for_selector("#view h2")
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
    made.fill("#sensitive-tag", "Crash, #Grief")
    made.keyboard.press("Enter")
    made.click("[aria-label='Crash is sensitive no more']")
    made.wait_for_selector("[aria-label='Crash is sensitive no more']", state="detached")
    assert made.inner_text("section[aria-labelledby=log-head]").count("−Crash") == 1
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
    assert held.sensitive == ("Grief",)
    assert held.aliases == {"pebbles": "gravel", "wetfeet": "gravel"}
    assert {one.why for one in store.space_log("spoke-and-rain")} == {"spring cleaning"}
    assert made.said == []


@in_a_browser
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_log_goes_back_to_its_beginning(opened: Any, place: tuple[str, Store], language: str) -> None:
    name, store = f"long log {language}", place[1]
    for i in range(120):
        tags = [f"Tag{i}"]
        store.change_space(name, lambda space, tags=tags: replace(space, denied=(*space.denied, *tags)), by="mo")
    made = opened(f"operator?lang={language}")
    entries = "section[aria-labelledby=log-head] > ol > li"
    made.wait_for_selector(f"#community option[value='{name}']", state="attached")
    made.select_option("#community", name)
    made.wait_for_selector(f"{entries}:has-text('Tag119')")
    assert made.locator(entries).count() == 50
    assert made.inner_text("#earlier") == {"en": "Earlier changes", "ja": "以前の変更"}[language]
    made.route("**/log?last=50&before=71", lambda route: route.abort())
    made.focus("#earlier")
    made.keyboard.press("Enter")
    made.wait_for_selector("section[aria-labelledby=log-head] [role=alert]:not([hidden])")
    made.unroute("**/log?last=50&before=71")
    assert made.evaluate("document.activeElement.id") == "earlier"  # and may be tried again
    for count, first in ((100, "Tag69"), (120, "Tag19")):
        made.focus("#earlier")
        made.keyboard.press("Enter")
        made.wait_for_function("([all, n]) => document.querySelectorAll(all).length === n", arg=[entries, count])
        # The focus is on the first of those that came, so that one reads on from there.
        assert made.evaluate("document.activeElement.textContent").endswith(f"+{first}")
    assert not made.is_visible("#earlier")
    assert not made.is_visible("section[aria-labelledby=log-head] [role=alert]")
    shown = [text.rpartition("+")[2] for text in made.locator(entries).all_inner_texts()]
    assert shown == [f"Tag{i}" for i in reversed(range(120))]
    assert len(made.said) == 1  # the request that was cut off


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
    assert made.is_disabled("text=Roll back recommender")  # to what?
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
def test_a_model_that_is_not_in_use_is_dropped(opened: Any, place: tuple[str, Store], tmp_path: Path) -> None:
    store = place[1]
    posts = read(SAMPLES / "posts.jsonl")[0][:40]
    other = store.add_model("recommender", Popular().fit(with_scoped_ids(posts)).save(tmp_path / "other"))
    made = opened("operator#models")
    drop = f"[aria-label='Drop {other.digest[:12]}']"
    made.wait_for_selector(drop)
    in_use = {one.digest[:12] for one in store.models() if one.published or one.previous or one.shadow}
    offered = {one.get_attribute("aria-label").split()[-1] for one in made.query_selector_all("[aria-label^='Drop ']")}
    assert in_use
    assert offered == {one.digest[:12] for one in store.models()} - in_use
    made.click(drop)
    made.click("#sure [value=no]")
    assert other.digest in {one.digest for one in store.models()}
    made.click(drop)
    made.click("#sure [value=yes]")
    made.wait_for_selector(drop, state="detached")
    assert other.digest not in {one.digest for one in store.models()}
    assert not other.folder.exists()
    assert made.said == []


@in_a_browser
def test_a_community_without_posts_gets_its_tags(opened: Any, place: tuple[str, Store]) -> None:
    name, store = "not yet here", place[1]
    made = opened("operator#trends")
    made.wait_for_selector("#view h2")
    made.fill("#new-community", f"  {name} ")
    made.keyboard.press("Enter")
    made.wait_for_selector("#list-tag")
    assert made.inner_text("#offline").startswith(f"{name} has no posts yet")
    assert made.evaluate("location.hash") == "#space"
    made.fill("#reason", "opening soon")
    made.fill("#list-tag", "First, Second")
    made.click("section[aria-labelledby=space-head] button[type=submit] >> nth=0")
    made.wait_for_selector("th[scope=row]:has-text('Second')")
    held = store.get_space(name)
    assert held is not None
    assert held.tags == {"first": "First", "second": "Second"}
    made.reload()
    made.wait_for_selector("th[scope=row]:has-text('Second')")
    assert made.input_value("#community") == name
    assert made.inner_text(f"#community option[value='{name}']") == f"{name} (0)"
    assert made.said == []


@in_a_browser
def test_operators_review_posts_and_see_the_quality(opened: Any, place: tuple[str, Store]) -> None:
    from hashloom.serve.learnable import UNREVIEWED

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
def test_tags_alike_by_meaning_are_found_and_joined(opened: Any, place: tuple[str, Store]) -> None:
    store, community = place[1], "slow cookers"
    said = [
        ("slow cooker stew overnight", "SlowCooking"), ("overnight stew in the slow cooker", "Crockpot"),
        ("hot pan for the steak", "Grilling"), ("thin slices of onion", "Knives"), ("rye bread", "Rye"),
    ] * 4  # fmt: skip
    store.put_posts(Posts.of([Post(f"s{i}", t, community, f"u{i}", tags=(tag,)) for i, (t, tag) in enumerate(said)]))
    made = opened("operator")
    followed(made, place[0], community)
    made.wait_for_selector(f"#community option[value='{community}']", state="attached")
    made.select_option("#community", community)
    made.fill("#deny-tag", "typed, not sent")
    made.click("#look")
    made.click("[aria-label='Keep SlowCooking; Crockpot becomes its alias']")
    made.wait_for_selector("[aria-label='End the alias crockpot']")
    made.wait_for_selector("text=No two tags are used alike in the latest 20 posts.")
    assert made.input_value("#deny-tag") == "typed, not sent"
    held = store.get_space(community)
    assert held is not None
    assert held.aliases == {"crockpot": "slowcooking"}
    assert made.said == []


@in_a_browser
def test_what_stands_there_of_another_community_goes_at_once(opened: Any, place: tuple[str, Store]) -> None:
    made = opened("operator")
    made.wait_for_selector("#deny-tag")
    made.route("**/v1/spaces/**", lambda route: None)  # never answered
    made.select_option("#community", "sanpo-photo")
    assert made.inner_text("#view") == "Loading …"


@in_a_browser
def test_the_service_is_away_and_comes_back(opened: Any) -> None:
    made = opened("operator#trends")
    made.wait_for_selector("#view h2")
    made.route("**/v1/**", lambda route: route.abort())
    made.click("text=Quality")
    made.wait_for_selector("#offline:not([hidden])")
    made.unroute("**/v1/**")
    made.click("#again")
    made.wait_for_selector("#quality-head")
    assert made.locator("#offline").is_hidden()


@in_a_browser
def test_trends_tell_what_several_authors_use(opened: Any, place: tuple[str, Store]) -> None:
    from datetime import UTC, datetime, timedelta

    now, store = datetime.now(UTC), place[1]
    uses = [
        ("Fresh", "a"),
        ("Fresh", "b"),
        ("Fresh", "c"),
        ("Fresh", "c"),
        ("Older", "a"),
        ("Older", "b"),
        ("Mine", "a"),
    ]
    rows = [
        Post(
            f"t{i}",
            "x",
            "now here",
            user,
            tags=(tag,),
            created_at=now - timedelta(days=3 * (tag == "Older"), seconds=9),
        )
        for i, (tag, user) in enumerate(uses)
    ]
    store.put_posts(Posts.of(rows))
    made = opened("operator#trends")
    followed(made, place[0], "now here")
    made.wait_for_selector("#community option[value='now here']", state="attached")
    made.select_option("#community", "now here")
    made.wait_for_selector("tr:has-text('Fresh')")
    said = [row.split() for row in made.locator("#view tbody tr").all_inner_texts()]
    assert said == [["Fresh", "3", "4"], ["Older", "2", "2"]]  # one author's tag is no trend


def state_of(made: Any, path: str) -> None:
    """Bring a page into the state in which most of it is seen."""
    if path.startswith("operator"):
        made.wait_for_selector("#view h2")
        made.select_option("#community", "crumb-club")
        made.wait_for_selector("#view h2")
        if "#" not in path:
            made.click("#look")
            made.wait_for_selector("#meant-head ~ div .fine")
        if path.endswith("models"):
            made.click("[aria-label^=Publish] >> nth=0")
    elif path:
        made.evaluate("document.querySelector('#post').dataset.hashloomCommunity = 'crumb-club'")
        made.fill("#post", BREAD)
        made.wait_for_selector(".take")
    else:
        composed(made)
        made.click(".take >> nth=0")
        made.click("#adjust summary")
        made.click("#shortcuts summary")
        made.click(".ask >> nth=0")
        made.wait_for_selector("#why .because")


@in_a_browser
@pytest.mark.parametrize("path", ["", "operator", *(f"operator#{view}" for view in VIEWS), "page/widget-demo.html"])
def test_axe_finds_nothing_serious(opened: Any, place: tuple[str, Store], path: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    lived(place[1])
    made = opened(path)
    # The page's own policy forbids scripts of others, as it should: axe is put in from outside of it.
    made.context.new_cdp_session(made).send("Page.setBypassCSP", {"enabled": True})
    made.reload()
    state_of(made, path)
    assert (Path(sys.modules["axe_playwright_python"].__file__ or "").parent / "axe.min.js").exists()
    bad = []
    for width in (1200, 390):
        made.set_viewport_size({"width": width, "height": 900})
        for scheme in ("light", "dark"):
            made.emulate_media(color_scheme=scheme)
            found = axe.Axe().run(made).response["violations"]
            bad += [(width, scheme, v["id"], [n["html"][:160] for n in v["nodes"][:3]])
                    for v in found if v["impact"] in WORST]  # fmt: skip
    assert bad == []


def lived(store: Store) -> None:
    """Something to see in every view: feedback, a post to be looked at, a model that does not answer."""
    from hashloom.serve.learnable import UNREVIEWED
    from hashloom.store import Feedback

    kinds = ("shown", "accepted", "rejected", "typed")
    store.put_feedback([Feedback(f"lived {kind}", "crumb-club", "p", "Rye", kind) for kind in kinds])
    store.put_posts(Posts.of([Post("lived", BREAD, "crumb-club", "mo", tags=("Odd",))]), source=UNREVIEWED)
    if len(store.models("recommender")) < 2:
        with TemporaryDirectory() as folder:
            posts = read(SAMPLES / "posts.jsonl")[0][:60]
            store.add_model("recommender", Popular().fit(with_scoped_ids(posts)).save(Path(folder) / "other"))


@in_a_browser
@pytest.mark.parametrize("path", ["", "operator", *(f"operator#{view}" for view in VIEWS), "page/widget-demo.html"])
def test_no_page_is_wider_than_its_window(opened: Any, place: tuple[str, Store], path: str) -> None:
    lived(place[1])
    made = opened(path)
    if path:
        state_of(made, path)
    else:
        composed(made, "W" * 300 + " rye")
        made.click("#adjust summary")
        made.click("#shortcuts summary")
    for width in (320, 360, 768, 1600):
        made.set_viewport_size({"width": width, "height": 900})
        assert made.evaluate("document.documentElement.scrollWidth") <= width, width


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
def test_a_widget_that_may_not_send_feedback_stops_sending_it(opened: Any) -> None:
    made, sent = opened("page/widget-demo.html"), []
    refused = {"status": 403, "content_type": "application/json", "body": '{"detail": "This needs the role writer."}'}

    def forbid(route: Any) -> None:
        sent.append(route.request.url)
        route.fulfill(**refused)

    made.route("**/v1/feedback", forbid)
    made.evaluate("document.querySelector('#post').dataset.hashloomCommunity = 'crumb-club'")
    made.type("#post", BREAD)
    made.wait_for_selector(".take")
    with made.expect_console_message(lambda one: "needs the role writer" in one.text):
        made.click(".take >> nth=0")
    for _ in range(2):
        with made.expect_response("**/v1/suggest"):
            made.click(".take >> nth=0")
    assert len(sent) == 1
    assert made.input_value("#post").count("#") == 3


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
