"""The composer in a real browser, over the real service with models trained on the samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from asking import asked
from browsing import BREAD, SAMPLES, browser, composed, events, in_a_browser, opened, place, tags

from hashloom.serve.engine import Engine
from hashloom.serve.pages import names
from hashloom.store import Store
from hashloom.types import Post, Posts

__all__ = ["browser", "opened", "place"]
"""Fixtures."""


def test_the_files_are_served_with_a_policy_and_nothing_else_is(engine: Engine) -> None:
    with asked(engine, near=False) as client:
        for path in ("/", "/operator", "/widget.js", *(f"/page/{name}" for name in sorted(names()))):
            answer = client.get(path)
            assert answer.status_code == 200, path
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        for path in ("/page/", "/page/..%2fapi.py", "/page/%2e%2e/api.py", "/page/none.js", "/pages.py"):
            assert client.get(path).status_code == 404, path
        assert client.post("/").status_code == 405
        assert "/" not in client.get("/v1/openapi.json").json()["paths"]


def test_no_file_puts_data_in_as_markup_or_asks_elsewhere() -> None:
    import hashloom.serve

    folder = Path(hashloom.serve.__file__ or "").parent / "page"
    for path in sorted(folder.iterdir()):
        text = path.read_text("utf-8")
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", " style=", "onclick="):
            assert word not in text, f"{path.name}: {word}"
        outside = [part for part in text.split("https://")[1:] if not part.startswith("tags.example/")]
        assert outside == [], path.name


# ---------------------------------------------------------------- the composer


@in_a_browser
def test_tags_are_suggested_while_one_types(opened: Any) -> None:
    made = composed(opened())
    assert len(tags(made)) == 10
    assert "%" in made.inner_text(".sure >> nth=0")
    assert made.locator("#way").is_hidden()
    made.wait_for_selector(".expected")
    assert made.locator("svg.interval").get_attribute("aria-label").startswith("Forecast")
    assert made.said == []


@in_a_browser
def test_the_keyboard_takes_and_refuses_and_the_service_hears(opened: Any, place: tuple[str, Store]) -> None:
    made = composed(opened())
    first, second, third = tags(made)[:3]
    made.focus(".take >> nth=0")
    made.keyboard.press("ArrowDown")
    assert made.evaluate("document.activeElement.closest('li').dataset.tag") == second
    with made.expect_response("**/v1/feedback"), made.expect_response("**/v1/suggest"):
        made.keyboard.press("Delete")
    assert second not in tags(made)
    assert made.evaluate("document.activeElement.closest('li').dataset.tag") in tags(made)
    made.keyboard.press("Home")
    with made.expect_response("**/v1/feedback"), made.expect_response("**/v1/suggest"):
        made.keyboard.press("Enter")
    assert tags(made, "chosen") == [first]
    made.wait_for_function("tag => ![...document.querySelectorAll('#suggestions li')].some(r => r.dataset.tag === tag)",
                           arg=first)  # fmt: skip
    assert second not in tags(made)
    told = events(place[1])
    assert {(first.lower(), "accepted"), (second.lower(), "rejected"), (third.lower(), "shown")} <= {
        (tag.lower(), event) for tag, event in told
    }
    made.keyboard.press("Escape")
    assert made.evaluate("document.activeElement.id") == "text"


@in_a_browser
def test_reasons_are_told_on_demand(opened: Any) -> None:
    made = composed(opened())
    made.focus(".take >> nth=0")
    made.keyboard.press("?")
    made.wait_for_selector("#why .because")
    assert made.evaluate("document.activeElement.id") == "why"
    assert made.locator("#why mark").count() > 1
    assert made.inner_text("#why .said") == BREAD
    made.keyboard.press("Escape")
    assert made.locator("#why").is_hidden()
    assert "take" in made.evaluate("document.activeElement.className")


@in_a_browser
def test_a_picture_is_sent_and_a_map_drawn_over_it(opened: Any) -> None:
    made = opened()
    made.wait_for_selector("#community option", state="attached")
    made.select_option("#community", "crumb-club")
    made.fill("#text", BREAD)
    with made.expect_response("**/v1/suggest/pictures"):
        made.set_input_files("#file", str(SAMPLES / "images" / "s0004.png"))
    made.wait_for_selector("#suggestions .take")
    assert made.locator("#pictures img").get_attribute("alt") == "Picture 1: s0004.png"

    def with_regions(route: Any) -> None:
        # The linear model looks at no picture: what one that does would answer is put in.
        answer = route.fetch()
        said = answer.json()
        for one in said["suggestions"]:
            one["marks"] = {"kind": "attention", "words": [], "regions": [[0.7, 0.1], [0.1, 0.1]]}
        route.fulfill(response=answer, json=said)

    made.route("**/v1/suggest/pictures", with_regions)
    made.click(".ask >> nth=0")
    made.wait_for_selector("#why canvas")
    assert made.locator("#why canvas").get_attribute("aria-label") == (
        "Most weight: upper left (70%), upper right (10%), lower left (10%)."
    )
    made.wait_for_function("() => document.querySelector('#why canvas').width === 160")
    corner, other = made.evaluate("""() => {
        const { data } = document.querySelector('#why canvas').getContext('2d').getImageData(0, 0, 160, 160);
        return [2 * 160 + 2, 157 * 160 + 157].map(at => [...data.slice(4 * at, 4 * at + 4)]);
    }""")
    assert corner[0] > other[0] + 50  # yellow there, dark blue here
    made.unroute("**/v1/suggest/pictures")
    made.click("#pictures button")
    assert made.locator("#pictures img").count() == 0
    made.set_input_files("#file", {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"})
    made.wait_for_selector("#picture-says:not([hidden])")
    assert made.said == []


@in_a_browser
def test_a_platform_limits_the_tags_and_the_counter_says_so(opened: Any) -> None:
    made = composed(opened())
    made.select_option("#platform", "threads")
    assert "1 tag at most, as known on 20" in made.inner_text("#platform-says")
    made.wait_for_function("() => document.querySelectorAll('#suggestions li').length === 1")
    with made.expect_response("**/v1/suggest"):
        made.click(".take")
    assert made.inner_text("#counter") == "1 of 1: full"
    made.wait_for_function(
        "() => document.querySelector('#empty').textContent.startsWith('The platform takes no more')"
    )
    made.fill("#typed", "second")
    made.keyboard.press("Enter")
    assert made.inner_text("#counter") == "2 of 1: take some away"


@in_a_browser
def test_tags_are_copied_as_they_are_written(opened: Any, place: tuple[str, Store]) -> None:
    made = composed(opened(permissions=["clipboard-read", "clipboard-write"]))
    for tag in ("CamelCase", "open source", "#新機能"):
        made.fill("#typed", tag)
        made.keyboard.press("Enter")
    made.click("#copy")
    made.wait_for_function("() => document.querySelector('#copy').textContent === 'Copied.'")
    text = made.evaluate("navigator.clipboard.readText()")
    assert text == f"{BREAD}\n\n#CamelCase #OpenSource #新機能"
    assert ("camelcase", "typed") in {(tag.lower(), event) for tag, event in events(place[1])}


@in_a_browser
def test_typing_goes_on_while_the_service_is_slow_or_away(opened: Any) -> None:
    made = composed(opened())
    asked_for: list[str] = []
    made.route("**/v1/suggest", lambda route: (asked_for.append(route.request.post_data), route.abort()))
    made.fill("#text", "")
    made.type("#text", "rye bread", delay=20)
    made.wait_for_selector("#offline:not([hidden])")
    assert made.input_value("#text") == "rye bread"
    assert len(asked_for) <= 3  # not one for each of the nine signs
    made.unroute("**/v1/suggest")
    made.wait_for_selector("#offline", state="hidden")
    assert tags(made)


@in_a_browser
def test_an_answer_that_was_overtaken_is_not_shown(opened: Any) -> None:
    made = composed(opened())

    def late(route: Any) -> None:
        if "slow" in (route.request.post_data or ""):
            return  # never answered
        route.continue_()

    made.route("**/v1/suggest", late)
    with made.expect_request("**/v1/suggest"):
        made.fill("#text", "slow")
    with made.expect_event("requestfailed"):
        made.fill("#text", BREAD)
    made.wait_for_selector("#suggestions[aria-busy=false]")
    assert tags(made)


@in_a_browser
def test_another_way_is_named(opened: Any) -> None:
    made = composed(opened())

    def fallen(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"way": "favourites", "why": "model: too slow <b>"})

    made.route("**/v1/suggest", fallen)
    made.fill("#text", "another loaf")
    made.wait_for_selector("#way:not([hidden])")
    assert made.inner_text("#way").startswith("These are the community's favourites")
    assert made.inner_text("#way").endswith("model: too slow <b>")


@in_a_browser
def test_the_language_changes_at_once_and_stays(opened: Any) -> None:
    made = composed(opened(), "新機能の説明会に参加しました。", "tsunagu-forum")
    made.click("[data-language=ja]")
    assert made.evaluate("document.documentElement.lang") == "ja"
    assert made.inner_text("#suggested-head") == "タグの候補"
    made.click(".ask >> nth=0")
    made.wait_for_selector("#why .because")
    assert "本文" in made.inner_text("#why")
    made.reload()
    assert made.inner_text("h1") == "投稿を書く"
    assert made.said == []


@in_a_browser
def test_what_others_wrote_stays_text(opened: Any, place: tuple[str, Store]) -> None:
    bad = "<img src=x onerror=alert(1)>"
    place[1].put_posts(Posts.of([Post(f"bad{i}", bad, "odd <b>", f"u{i}", tags=(bad, "Fine")) for i in range(3)]))
    made = composed(opened(), f"loaf {bad}", "odd <b>")
    made.click(".ask >> nth=0")
    made.wait_for_selector("#why h2")
    assert made.locator("main img").count() == 0
    made.goto(place[0] + "operator#review")
    made.wait_for_selector("#view h2")
    assert made.locator("main img").count() == 0
    assert made.said == []


@in_a_browser
def test_text_from_right_to_left_runs_so(opened: Any) -> None:
    made = opened()
    made.fill("#text", "خبز الجاودار طازج اليوم")
    assert made.evaluate("getComputedStyle(document.querySelector('#text')).direction") == "rtl"
    assert made.evaluate("getComputedStyle(document.querySelector('main')).direction") == "ltr"
