"""Writing on the composer in a real browser: keyboard, compositions, pictures, dials, and that nothing is lost."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from browsing import BREAD, SAMPLES, browser, composed, in_a_browser, opened, place, tags

import hashloom.serve
from hashloom.store import Store

__all__ = ["browser", "opened", "place"]
"""Fixtures."""

PICTURE = (SAMPLES / "images" / "s0004.png").read_bytes()
FILE = """([content, name]) => {
    const bytes = Uint8Array.from(atob(content), sign => sign.charCodeAt(0)), data = new DataTransfer();
    data.items.add(new File([bytes], name, { type: "image/png" }));
    return data;
}"""
PASTE = """data => document.querySelector('#text').dispatchEvent(
    new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))"""
SHOWN = "[...document.querySelectorAll('#suggestions li')].map(row => row.dataset.tag)"
FOCUSED = "document.activeElement.closest('li')?.dataset.tag ?? document.activeElement.id"


def file_of(made: Any, content: bytes = PICTURE, name: str = "s.png") -> Any:
    return made.evaluate_handle(FILE, [base64.b64encode(content).decode(), name])


@in_a_browser
def test_every_word_is_there_in_both_languages_and_is_used(opened: Any) -> None:
    words = opened().evaluate("""async () => {
        const { WORDS } = await import("/page/words.js");
        return Object.fromEntries(Object.entries(WORDS).map(([name, forms]) => [name, forms.map(form => {
            const seen = new Set(), values = new Proxy({}, { get: (_, key) => { seen.add(key); return 2; } });
            const text = typeof form === "function" ? form(values) : form;
            for (const [, key] of text.matchAll(/\\{(\\w+)\\}/g)) seen.add(key);
            return [text, [...seen].sort()];
        })]));
    }""")
    assert len(words) > 200
    foreign = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
    for name, forms in words.items():
        (english, put_in), (japanese, also) = forms
        assert put_in == also, name
        assert not foreign.search(english), name
        assert foreign.search(japanese) or not re.search("[a-z]{3}", re.sub(r"\{\w+\}", "", japanese)), name
    folder = Path(hashloom.serve.__file__ or "").parent / "page"
    others = "".join(path.read_text("utf-8") for path in folder.iterdir() if path.name not in ("words.js", "widget.js"))
    said = set(re.findall(r'(?:data-say(?:-[a-z-]+)?|data-title)="([^"]+)"|\bsay\("([^"]+)"', others))
    assert {one or other for one, other in said} <= words.keys()
    built = {f"dial {name}{more}" for name in ("popularity", "diversity", "novelty") for more in ("", " costs")}
    built |= {"previous model", "favourites"}  # ways of an answer
    assert {name for name in words if f'"{name}"' not in others and not re.search(rf"\b{name}:", others)} <= built


# ---------------------------------------------------------------- keyboard, focus, compositions


@in_a_browser
def test_everything_is_reached_and_done_by_keyboard(opened: Any) -> None:
    made = composed(opened())
    made.focus("#text")
    made.keyboard.press("Control+Enter")
    first, second = tags(made)[:2]
    assert made.evaluate(FOCUSED) == first
    for key, at in (("End", -1), ("Home", 0), ("ArrowUp", -1), ("ArrowDown", 0)):
        made.keyboard.press(key)
        assert made.evaluate(FOCUSED) == tags(made)[at], key
    with made.expect_response("**/v1/suggest"):
        made.keyboard.press("Enter")
    assert tags(made, "chosen") == [first]
    assert made.evaluate(FOCUSED) == second
    made.keyboard.press("Escape")
    assert made.evaluate(FOCUSED) == "text"
    made.focus("#chosen button")
    with made.expect_response("**/v1/suggest"):
        made.keyboard.press("Delete")
    assert tags(made, "chosen") == []
    assert made.evaluate(FOCUSED) == "typed"
    reached: set[str] = set()
    for _ in range(60):
        made.keyboard.press("Tab")
        reached.add(made.evaluate("document.activeElement.id || document.activeElement.closest('[id]')?.id"))
    assert reached >= {
        "author", "platform", "community", "text", "add-picture", "typed", "suggestions", "adjust", "shortcuts",
        "forget", "copy", "anew",
    }  # fmt: skip
    made.click("#shortcuts summary")
    assert made.locator("#shortcuts kbd:visible").count() >= 8


@in_a_browser
def test_tags_in_the_text_are_shown_where_they_are_counted(opened: Any) -> None:
    """A count of one above "None yet" would be a riddle."""
    made = composed(opened(), "First loaf #Rye")
    assert made.inner_text("#counter") == "1 tag"
    assert made.inner_text("#chosen") == "In the text: #Rye"
    with made.expect_response("**/v1/suggest"):
        made.click(".take >> nth=0")
    assert made.inner_text("#counter") == "2 tags"
    assert made.inner_text("#chosen").endswith("In the text: #Rye")
    made.fill("#text", "First loaf")
    assert made.inner_text("#counter") == "1 tag"
    assert "In the text" not in made.inner_text("#chosen")
    made.click("#chosen button")
    assert made.inner_text("#chosen") == "None yet"


@in_a_browser
def test_the_focus_stays_when_suggestions_are_drawn_anew(opened: Any) -> None:
    made = composed(opened())
    made.focus("#text")
    made.keyboard.press("Control+Enter")
    made.keyboard.press("ArrowDown")
    second = tags(made)[1]
    with made.expect_response("**/v1/suggest"):
        made.evaluate("dispatchEvent(new Event('online'))")
    made.wait_for_selector("#suggestions[aria-busy=false]")
    assert made.evaluate(FOCUSED) == second
    # What has the focus is not in the next answer: the focus goes to its place, not to the top of the page.
    made.route("**/v1/suggest", lambda route: _without(route, second))
    with made.expect_response("**/v1/suggest"):
        made.evaluate("dispatchEvent(new Event('online'))")
    made.wait_for_function(f"tag => !{SHOWN}.includes(tag)", arg=second)
    assert made.evaluate(FOCUSED) == tags(made)[1]


def _without(route: Any, tag: str) -> None:
    answer = route.fetch()
    said = answer.json()
    said["suggestions"] = [one for one in said["suggestions"] if one["tag"] != tag]
    route.fulfill(response=answer, json=said)


@in_a_browser
def test_nothing_is_asked_while_a_word_is_composed(opened: Any) -> None:
    made = composed(opened(), "パン", "tsunagu-forum")
    made.wait_for_selector(".expected")  # the forecast, which comes last
    asked: list[str] = []
    made.on("request", lambda one: asked.append(one.post_data or "") if "/v1/" in one.url else None)
    made.focus("#text")
    session = made.context.new_cdp_session(made)
    for part in ("し", "しん", "しんき", "しんきのう"):
        session.send("Input.imeSetComposition", {"text": part, "selectionStart": len(part), "selectionEnd": len(part)})
        made.wait_for_timeout(120)
    made.wait_for_timeout(500)
    assert made.input_value("#text").endswith("しんきのう")
    assert asked == []
    with made.expect_response("**/v1/suggest"):
        session.send("Input.insertText", {"text": "新機能"})
    assert made.input_value("#text").endswith("新機能")
    assert "しんきのう" not in "".join(asked)


@in_a_browser
def test_a_screen_reader_hears_the_outcome_and_not_every_step(opened: Any) -> None:
    made = opened()
    made.clock.install()
    made.reload()
    made.wait_for_selector("#community option", state="attached")
    made.select_option("#community", "crumb-club")
    made.clock.pause_at(datetime.now(UTC) + timedelta(minutes=1))  # time goes on where the test says so
    made.evaluate("""() => {
        window.heard = [];
        const place = document.querySelector('#aloud');
        new MutationObserver(() => heard.push(place.textContent)).observe(place, { childList: true });
    }""")
    for end in range(5, len(BREAD) + 5, 15):
        made.evaluate(
            """text => {
            document.querySelector("#text").value = text;
            document.querySelector("#text").dispatchEvent(new Event("input", { bubbles: true }));
        }""",
            BREAD[:end],
        )
        with made.expect_response("**/v1/suggest"):
            made.clock.run_for(300)
        made.wait_for_selector("#suggestions[aria-busy=false]")
    assert made.evaluate("heard") == []
    made.clock.run_for(3_000)
    heard = made.evaluate("heard")
    assert len(heard) == 1
    assert heard[0].startswith("10 suggestions: ")
    assert made.get_attribute("#suggestions", "aria-live") is None


# ---------------------------------------------------------------- pictures


@in_a_browser
def test_pictures_are_dropped_and_pasted(opened: Any) -> None:
    made = composed(opened())
    dropped = file_of(made)
    made.dispatch_event("#drop", "dragover", {"dataTransfer": dropped})
    assert "over" in made.evaluate("document.querySelector('#drop').className")
    with made.expect_response("**/v1/suggest/pictures"):
        made.dispatch_event("#text", "drop", {"dataTransfer": dropped})
    assert "over" not in made.evaluate("document.querySelector('#drop').className")
    with made.expect_response("**/v1/suggest/pictures"):
        made.evaluate(PASTE, file_of(made))
    assert made.locator("#pictures img").count() == 2
    # One that misses the field is taken all the same: the page, with what was written, stays.
    made.dispatch_event("footer", "drop", {"dataTransfer": file_of(made, b"none", "bad.png")})
    made.wait_for_selector("#picture-says:not([hidden])")
    assert "bad.png" in made.inner_text("#picture-says")
    assert made.input_value("#text") == BREAD
    assert made.said == []


@in_a_browser
def test_a_map_covers_what_the_model_sees_alone(opened: Any) -> None:
    import io

    from PIL import Image

    made = composed(opened())
    wide, buffer = Image.new("RGB", (240, 120), "white"), io.BytesIO()
    wide.save(buffer, "PNG")

    def middle(route: Any) -> None:
        answer = route.fetch()
        said = answer.json()
        for one in said["suggestions"]:
            one["marks"] = {"kind": "attention", "words": [], "regions": [[0.7, 0.3]], "box": [0.25, 0, 0.75, 1]}
        route.fulfill(response=answer, json=said)

    made.route("**/v1/suggest/pictures", middle)
    with made.expect_response("**/v1/suggest/pictures"):
        made.set_input_files("#file", {"name": "w.png", "mimeType": "image/png", "buffer": buffer.getvalue()})
    made.click(".ask >> nth=0")
    made.wait_for_function("() => document.querySelector('#why canvas')?.width === 240")
    outside, left, right = made.evaluate("""() => {
        const { data } = document.querySelector('#why canvas').getContext('2d').getImageData(0, 0, 240, 120);
        return [30, 80, 160].map(x => [...data.slice(4 * (60 * 240 + x), 4 * (60 * 240 + x) + 3)]);
    }""")
    assert outside == [255, 255, 255]
    assert left[2] < 200 < left[0]  # yellow
    assert right[0] < right[2]  # dark blue
    assert "the marked middle alone" in made.inner_text("#why figcaption")


# ---------------------------------------------------------------- dials


@in_a_browser
def test_dials_are_sent_once_they_are_turned_and_taken_back(opened: Any) -> None:
    made = composed(opened())
    sent: list[dict[str, Any]] = []
    made.on("request", lambda one: sent.append(json.loads(one.post_data)) if one.url.endswith("suggest") else None)
    before = tags(made)
    made.click("#adjust summary")
    assert made.inner_text("label[for=dial-popularity] + output") == "as published"
    with made.expect_response("**/v1/suggest"):
        made.focus("#dial-popularity")
        made.keyboard.press("End")
    assert sent[-1]["popularity"] == 1
    assert not {"diversity", "novelty", "adaptive"} & sent[-1].keys()
    made.wait_for_function(f"old => {SHOWN}.join() !== old", arg=",".join(before))
    assert made.evaluate("document.activeElement.id") == "dial-popularity"
    with made.expect_response("**/v1/suggest"):
        made.check("#adaptive")
    made.wait_for_function("() => document.querySelectorAll('#suggestions li').length < 10")
    assert sent[-1]["adaptive"] is True
    with made.expect_response("**/v1/suggest"):
        made.click("#dials-reset")
    made.wait_for_selector("#suggestions[aria-busy=false]")
    assert tags(made) == before
    assert made.said == []


# ---------------------------------------------------------------- nothing lost


@in_a_browser
def test_a_draft_outlives_a_reload_and_a_new_one_can_be_taken_back(opened: Any, place: tuple[str, Store]) -> None:
    made = opened()
    made.fill("#author", "mo")
    made.select_option("#platform", "mastodon")
    composed(made)
    first = tags(made)[0]
    with made.expect_response("**/v1/suggest"):
        made.click(".take >> nth=0")
    made.wait_for_selector("#suggestions[aria-busy=false]")
    # What was taken may have moved the others.
    second = tags(made)[0]
    made.focus(".take >> nth=0")
    with made.expect_response("**/v1/suggest"):
        made.keyboard.press("Delete")
    with made.expect_response("**/v1/suggest"):
        made.reload()
    assert (made.input_value("#text"), made.input_value("#author")) == (BREAD, "mo")
    assert made.input_value("#platform") == "mastodon"
    assert tags(made, "chosen") == [first]
    made.wait_for_selector(f"[aria-label='Allow {second} again']")
    made.click("#anew")
    assert (made.input_value("#text"), tags(made, "chosen")) == ("", [])
    assert made.evaluate("document.activeElement.id") == "text"
    made.click("#anew")
    assert (made.input_value("#text"), tags(made, "chosen")) == (BREAD, [first])
    assert made.eval_on_selector_all("#authors option", "all => all.map(one => one.value)") == ["mo"]
    made.click("#forget")
    assert made.evaluate("[localStorage.getItem('hashloom authors'), sessionStorage.getItem('hashloom draft')]") == [
        None, None,
    ]  # fmt: skip
    assert made.said == []


@in_a_browser
def test_feedback_waits_while_the_service_is_away(opened: Any, place: tuple[str, Store]) -> None:
    from browsing import events

    made = composed(opened(), "A plum tart for the fair", "crumb-club")
    first = tags(made)[0]
    made.route("**/v1/**", lambda route: route.abort())
    made.click(".take >> nth=0")
    made.wait_for_selector("#offline:not([hidden])")
    assert tags(made, "chosen") == [first]
    before = len(events(place[1]))
    made.unroute("**/v1/**")
    made.wait_for_selector("#offline", state="hidden")
    made.wait_for_function("() => document.querySelector('#suggestions').getAttribute('aria-busy') === 'false'")
    for _ in range(1_200):
        if len(events(place[1])) > before:
            break
        made.wait_for_timeout(50)
    assert (first.lower(), "accepted") in {(tag.lower(), event) for tag, event in events(place[1])[before:]}


# ---------------------------------------------------------------- how it looks


@in_a_browser
def test_zoomed_to_200_percent_nothing_is_cut(opened: Any) -> None:
    made = composed(opened(width=640, device_scale_factor=2), "W" * 300 + " rye")  # 1280 pixels at 200 %
    made.click("#adjust summary")
    made.click("#shortcuts summary")
    made.click(".ask >> nth=0")
    made.wait_for_selector("#why .because")
    assert made.evaluate("document.documentElement.scrollWidth") <= 640
    cut = made.evaluate("""() => [...document.querySelectorAll('main button, main label, main p')].filter(one => {
        const { right, left, width } = one.getBoundingClientRect();
        return width > 1 && !one.closest('.sr') && !one.matches('.sr') && (right > 641 || left < -1);
    }).map(one => one.outerHTML.slice(0, 80))""")
    assert cut == []


@in_a_browser
def test_who_wants_less_motion_gets_none(opened: Any) -> None:
    made = composed(opened(reduced_motion="reduce"))
    moving = made.evaluate("""() => [...document.querySelectorAll('*')].filter(one => {
        const style = getComputedStyle(one);
        one.classList.contains('busy') && one.classList.add('on');
        return style.animationName !== 'none' || style.transitionDuration !== '0s';
    }).map(one => one.id || one.className)""")
    assert moving == []
