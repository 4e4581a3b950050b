"""The page in a real browser: no request, no error, keyboard alone, contrast, and axe-core finds nothing serious."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sample_pages import explained

from hashloom.explain.page import page

playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"needs a browser at {CHROMIUM}")

ARABIC = {"text": "خبز الجاودار طازج اليوم", "language": "ar", "user": "منى", "community": "الخبازون"}
JAPANESE = {"text": "皆既月食。2時半に全部かくれて、赤銅色の月。", "language": "ja", "user": "みなとの灯"}
WORST = {"serious", "critical"}

CONTRAST = """() => {
  const linear = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b);
  const read = s => (s.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const over = (top, under) => under.map((v, i) => top[i] * (top[3] ?? 1) + v * (1 - (top[3] ?? 1)));
  const ground = e => {
    const layers = [];
    for (let n = e; n; n = n.parentElement) layers.unshift(read(getComputedStyle(n).backgroundColor));
    return layers.reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const speaks = e => e.offsetParent && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll('main *, header *, nav *, footer *')].filter(speaks).map(e => {
    const pair = [light(over(read(getComputedStyle(e).color), ground(e))), light(ground(e))].map(v => v + .05);
    return [Math.max(...pair) / Math.min(...pair), e.tagName + ' ' + e.textContent.slice(0, 30)];
  });
}"""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """One browser for all tests."""
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        yield made
        made.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens a made-up page from a file; what it asks for and complains about is kept in ``page.said``."""
    contexts = []

    def open_page(language: Any = "en", /, scheme: str = "light", width: int = 1200, **post: object) -> Any:
        path = tmp_path / "page.html"
        path.write_text(page(explained(tmp_path, **post), language), "utf-8")
        context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        contexts.append(context)
        made = context.new_page()
        made.said = []
        made.on("console", lambda message: made.said.append(f"console {message.text}"))
        made.on("pageerror", lambda error: made.said.append(f"error {error}"))
        made.on(
            "request", lambda asked: made.said.append(asked.url) if asked.url[:5] not in ("file:", "data:") else None
        )
        made.goto(path.as_uri())
        return made

    yield open_page
    for context in contexts:
        context.close()


def shown(made: Any) -> list[str]:
    """The panels that can be seen."""
    return [p.get_attribute("id") for p in made.query_selector_all(".panel") if p.is_visible()]


@pytest.mark.parametrize("post", [{}, ARABIC, JAPANESE], ids=["english", "arabic", "japanese"])
def test_it_opens_from_a_file_without_errors_or_requests(opened: Any, post: dict[str, str]) -> None:
    made = opened("ja" if post is JAPANESE else "en", **post)
    assert made.said == []
    assert made.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert made.evaluate("document.styleSheets.length && getComputedStyle(document.body).margin") == "0px"


def test_the_policy_stops_what_would_get_in(opened: Any) -> None:
    made, stopped = opened(), []
    made.on("requestfailed", lambda asked: stopped.append((asked.url, asked.failure)))
    with made.expect_event("requestfailed"):
        made.evaluate("""() => { const s = document.createElement('script'); s.textContent = 'window.got = 1';
                     document.body.append(s); const i = new Image(); i.src = 'https://127.0.0.1/x.png';
                     document.body.append(i); }""")
    assert made.evaluate("window.got") is None
    assert any("Content Security Policy" in said for said in made.said)
    assert stopped == [("https://127.0.0.1/x.png", "csp")]


def test_the_keyboard_reaches_the_tags_and_changes_the_map(opened: Any) -> None:
    made = opened()
    assert shown(made) == ["panel-0"]
    for _ in range(30):
        made.keyboard.press("Tab")
        if made.evaluate("document.activeElement.id") == "choose-0":
            break
    assert made.evaluate("document.activeElement.id") == "choose-0"
    assert made.evaluate("getComputedStyle(document.activeElement.closest('label')).outlineStyle") == "solid"
    first = made.evaluate("document.querySelector('#panel-0 img').alt")
    made.keyboard.press("ArrowRight")
    made.keyboard.press("ArrowRight")
    assert shown(made) == ["panel-2"]
    assert made.evaluate("document.querySelector('#panel-2 img').alt") != first


def test_the_keyboard_reaches_everything_that_can_be_used(opened: Any) -> None:
    made = opened()
    made.keyboard.press("Tab")
    assert made.evaluate("document.activeElement.className") == "skip"
    assert made.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    made.keyboard.press("Enter")
    assert made.url.endswith("#main")


def test_it_works_without_script(browser: Any, opened: Any, tmp_path: Path) -> None:
    opened()
    context = browser.new_context(java_script_enabled=False)
    made = context.new_page()
    made.goto((tmp_path / "page.html").as_uri())
    made.get_by_role("radio", name="#Owls").check()
    assert made.locator("#panel-1").is_visible()
    assert not made.locator("#panel-0").is_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out(opened: Any, scheme: str) -> None:
    found = opened(scheme=scheme).evaluate(CONTRAST)
    assert len(found) > 50
    assert [(round(ratio, 2), what) for ratio, what in found if ratio < 4.5] == []


def test_dark_is_dark(opened: Any) -> None:
    ground = {
        s: opened(scheme=s).evaluate("getComputedStyle(document.body).backgroundColor") for s in ("light", "dark")
    }
    assert ground["light"] == "rgb(250, 249, 246)"
    assert ground["dark"] == "rgb(20, 22, 29)"


@pytest.mark.parametrize("width", [320, 390, 1200])
@pytest.mark.parametrize("post", [{}, ARABIC, {"text": "W" * 400, "id": "x" * 200}], ids=["plain", "arabic", "long"])
def test_no_page_is_wider_than_its_window(opened: Any, width: int, post: dict[str, str]) -> None:
    assert opened(width=width, **post).evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("size", [(10, 2000), (2000, 10)], ids=["tall", "wide"])
def test_a_picture_fits_the_window_whatever_its_shape(opened: Any, tmp_path: Path, size: tuple[int, int]) -> None:
    from PIL import Image

    Image.new("RGB", size, "teal").save(tmp_path / "odd.png")
    made = opened(images=(str(tmp_path / "odd.png"),))
    heights = made.evaluate("[...document.images].map(i => i.getBoundingClientRect().height)")
    assert max(heights) <= 900
    assert max(heights) > 0


def test_text_from_right_to_left_runs_so_and_the_page_does_not(opened: Any) -> None:
    made = opened(**ARABIC)
    assert made.evaluate("getComputedStyle(document.querySelector('.said')).direction") == "rtl"
    assert made.evaluate("getComputedStyle(document.querySelector('main')).direction") == "ltr"
    left, right = made.evaluate("""() => { const marks = [...document.querySelectorAll('#panel-0 mark')].slice(0, 2);
                                   return marks.map(m => m.getBoundingClientRect().left); }""")
    assert left > right  # the first word stands to the right of the second


def test_screen_readers_find_their_way(opened: Any) -> None:
    made = opened()
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert made.get_by_role(role).count() == 1
    assert made.get_by_role("radiogroup").count() or made.get_by_role("group", name="Show the marks for").count() == 1
    assert made.get_by_role("img", name="Forecast 445").count() == 1
    assert made.get_by_role("columnheader", name="95").count() == 1


@pytest.mark.parametrize(
    ("language", "scheme", "post"), [("en", "light", {}), ("ja", "dark", JAPANESE), ("en", "dark", ARABIC)]
)
def test_axe_finds_nothing_serious(opened: Any, language: str, scheme: str, post: dict[str, str]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe-playwright-python")
    made = opened(language, scheme, 1200, **post)
    script = Path(sys.modules["axe_playwright_python"].__file__ or "").parent / "axe.min.js"
    # The page's own policy forbids scripts, as it should: axe is put in from outside of it.
    made.context.new_cdp_session(made).send("Page.setBypassCSP", {"enabled": True})
    made.reload()
    assert script.exists()
    found = axe.Axe().run(made).response["violations"]
    bad = [(v["id"], [n["html"][:120] for n in v["nodes"][:3]]) for v in found if v["impact"] in WORST]
    assert bad == []
    assert [v["id"] for v in found] == []


def test_paper_shows_the_chosen_tag(opened: Any) -> None:
    made = opened(scheme="dark")
    made.emulate_media(media="print")
    assert shown(made) == ["panel-0"]
    assert not made.locator("fieldset.choice").is_visible()
    assert not made.locator("nav").is_visible()
    assert [what for ratio, what in made.evaluate(CONTRAST) if ratio < 4.5] == []
