"""Draws the page, the operators' view and the widget, as they are, from a service over the samples: docs/page-*.png.

    python tools/screenshots.py                  # the pictures of docs/page.md, into docs/
    python tools/screenshots.py --all there      # every view, light and dark, desktop and phone, into a folder

Needs playwright and a Chromium; Japanese is drawn where the machine has a font for it. Models are trained on the spot,
which takes about a minute.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests" / "serve"))
BREAD = "First rye loaf from my starter, baked for the spring fair. Crumb is tight but the crust sings."
JAPANESE = "新機能の説明会に参加しました。通知の設定がわかりやすくなって、運営の仕事も楽になりそうです。"
MAP = "First loaf out of the new oven. Look at the bloom."
LARGEST = 150_000
"""Bytes of a picture that is shown in a document."""


@dataclass(frozen=True)
class Shot:
    """A view by name: where it is, what is done before it is drawn, and how wide the window is."""

    name: str
    path: str
    act: Callable[[Any], object]
    width: int = 1240
    height: int = 900
    scheme: str = "light"
    in_document: bool = False
    store: str = "bread"


def composed(page: Any, text: str = BREAD, community: str = "crumb-club") -> None:
    """Write a text and wait for its suggestions and its forecast."""
    page.wait_for_selector(f"#community option[value='{community}']", state="attached")
    page.select_option("#community", community)
    page.fill("#text", text)
    page.wait_for_selector("#suggestions .take")
    page.wait_for_selector(".expected")
    page.wait_for_selector("#suggestions[aria-busy=false]")


def with_choice(page: Any) -> None:
    """Some tags taken, one refused."""
    composed(page)
    for at in (0, 0, 2):
        page.click(f".take >> nth={at}")
        page.wait_for_timeout(400)
    page.click(".other:not(.ask) >> nth=1")
    page.wait_for_timeout(700)


def with_reasons(page: Any) -> None:
    """Why the first tag."""
    composed(page)
    page.click(".ask >> nth=0")
    page.wait_for_selector("#why .because")
    page.click("#forecast-why")
    page.wait_for_selector("#forecast .because")


def with_map(page: Any) -> None:
    """A picture, and what in it speaks for a tag."""
    page.wait_for_selector("#community option", state="attached")
    page.select_option("#community", "crumb-club")
    page.set_input_files("#file", str(ROOT / "samples" / "images" / "s0603.png"))
    page.fill("#text", MAP)
    page.wait_for_selector("#suggestions .take")
    page.wait_for_timeout(900)
    page.click(".ask >> nth=0")
    page.wait_for_selector("#why canvas")
    page.wait_for_timeout(900)


def at_the_limit(page: Any) -> None:
    """A platform that takes one tag, which is there."""
    composed(page)
    page.select_option("#platform", "threads")
    page.wait_for_function("() => document.querySelectorAll('#suggestions li').length === 1")
    page.click(".take")
    page.wait_for_timeout(900)


def in_japanese(page: Any) -> None:
    """The same in Japanese."""
    page.click("[data-language=ja]")
    composed(page, JAPANESE, "tsunagu-forum")
    page.click(".ask >> nth=0")
    page.wait_for_selector("#why .because")


def adjusted(page: Any) -> None:
    """The dials and the list of keys open."""
    composed(page)
    page.click("#adjust summary")
    page.click("#shortcuts summary")
    page.fill("#dial-novelty", "0.4")
    page.wait_for_timeout(700)


def away(page: Any) -> None:
    """The service is not there."""
    composed(page)
    page.route("**/v1/**", lambda route: route.abort())
    page.fill("#text", f"{BREAD} More")
    page.wait_for_selector("#offline:not([hidden])")


def operating(page: Any) -> None:
    """A view of the operators'."""
    page.wait_for_selector("#view h2")
    page.select_option("#community", "crumb-club")
    page.wait_for_selector("#view h2")
    page.wait_for_timeout(400)


def meant_alike(page: Any) -> None:
    """Duplicates by meaning."""
    operating(page)
    page.click("#look")
    page.wait_for_selector("#meant-head ~ div .plain")


def facts_open(page: Any) -> None:
    """Models, and what one was measured at."""
    operating(page)
    page.click(".block summary >> nth=0")


def sure(page: Any) -> None:
    """The question before something is done."""
    operating(page)
    page.click("#toggle-closed")


def in_a_field(page: Any) -> None:
    """The widget under a field."""
    page.evaluate("document.querySelector('#post').dataset.hashloomCommunity = 'crumb-club'")
    page.type("#post", BREAD)
    page.wait_for_selector(".take")
    page.focus(".take >> nth=1")


def empty(page: Any) -> None:
    """Nothing written yet."""
    page.wait_for_selector("#community option", state="attached")


SHOTS = [
    Shot("empty", "", empty),
    Shot("composer", "", with_choice, in_document=True),
    Shot("reasons", "", with_reasons, height=1100),
    Shot("map", "", with_map, store="pictures", in_document=True, height=1000),
    Shot("limit", "", at_the_limit),
    Shot("japanese", "", in_japanese, in_document=True),
    Shot("adjust", "", adjusted, in_document=True, height=1100),
    Shot("away", "", away),
    Shot("space", "operator", meant_alike, in_document=True),
    Shot("sure", "operator", sure),
    Shot("models", "operator#models", facts_open),
    Shot("quality", "operator#quality", operating, in_document=True),
    *(Shot(name, f"operator#{name}", operating) for name in ("trends", "review")),
    Shot("widget", "page/widget-demo.html", in_a_field, in_document=True, width=760, height=460),
]  # fmt: skip
PHONE = [replace(one, name=f"{one.name}-phone", width=390, height=844, in_document=False) for one in SHOTS]
DARK = [replace(one, name=f"{one.name}-dark", scheme="dark", in_document=one.name == "reasons") for one in SHOTS]


@contextmanager
def served(kind: str, home: Path) -> Iterator[str]:
    """The address of a service over the samples, with a model that tells the chances, or one that sees pictures."""
    from browsing import serving

    from hashloom import catalogue
    from hashloom.data.read import read
    from hashloom.recommenders.linear import Linear
    from hashloom.recommenders.macon import Macon
    from hashloom.serve.drafts import with_scoped_ids
    from hashloom.serve.engine import Engine
    from hashloom.serve.settings import ServeSettings
    from hashloom.serve.upkeep import retrain
    from hashloom.store import Store

    posts, _ = read(ROOT / "samples" / "posts.jsonl")
    scoped = with_scoped_ids(posts)
    with Store.open(home / kind) as store:
        store.put_posts(posts)
        store.add_model("recommender", Linear().fit(scoped).save(home / f"{kind} other"))
        if kind == "bread":
            for recipe in ("calibrated", "boosted"):
                retrain(store, catalogue.recipe(recipe))
        else:
            seeing = Macon(epochs=12, width=48).fit(scoped).save(home / kind / "seeing")
            store.publish("recommender", store.add_model("recommender", seeing).digest)
            retrain(store, catalogue.recipe("boosted"))
        lived(store)
        with Engine(store, settings=ServeSettings(budget=20.0)) as engine:
            yield from serving(engine)


def lived(store: Any) -> None:
    """Some weeks of feedback made up, a listed space, and posts that nobody has looked at."""
    from hashloom.serve.learnable import UNREVIEWED
    from hashloom.store import Feedback
    from hashloom.types import Post, Posts

    now, events = datetime.now(UTC), []
    for day in range(24):
        counts = {"shown": 40 + day * 3 % 17, "accepted": 9 + day // 2 + day % 4, "rejected": 6 - day // 6, "typed": 3}
        for kind, n in counts.items() if day % 7 != 5 else ():
            for i in range(n):
                at = now - timedelta(days=24 - day)
                events.append(
                    Feedback(f"{day} {kind} {i}", "crumb-club", f"p{i}", "Sourdough", kind, rank=i % 10, at=at)
                )
    store.put_feedback(events)
    looks = ["Bulk fermented overnight, and the crumb opened up at last.", "Is this grey skin on my starter safe?"]
    store.put_posts(
        Posts.of([Post(f"look-{i}", t, "crumb-club", "mo", tags=("Rye",)) for i, t in enumerate(looks)]),
        source=UNREVIEWED,
    )
    store.change_space("crumb-club", _listed, by="3f9a1c20be77", why="first list")


def _listed(space: Any) -> Any:
    tags = {"sourdough": "Sourdough", "ryebread": "RyeBread", "sundaybake": "SundayBake", "crumb-shot": "Crumb-Shot"}
    return replace(space, tags=tags | {"crumbshot": "CrumbShot"}, aliases={"levain": "sourdough"}, denied=("Giveaway",),
                   describe={"sourdough": "Bread raised by wild yeast"})  # fmt: skip


def drawn(page: Any) -> bytes:
    """The window as a PNG in at most 256 colours."""
    from PIL import Image

    image = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    buffer = io.BytesIO()
    image.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def take(shots: list[Shot], folder: Path) -> None:
    """Take the shots, each in a fresh window."""
    from browsing import CHROMIUM, QUIET
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=list(QUIET))
        for kind in dict.fromkeys(one.store for one in shots):
            with served(kind, Path(home)) as address:
                for one in [shot for shot in shots if shot.store == kind]:
                    size = {"width": one.width, "height": one.height}
                    window = browser.new_context(color_scheme=one.scheme, viewport=size, locale="en-GB")
                    page = window.new_page()
                    page.goto(address + one.path)
                    one.act(page)
                    content = drawn(page)
                    if one.in_document and len(content) > LARGEST:
                        raise SystemExit(f"{one.name}: {len(content):,} bytes, more than {LARGEST:,}; show less of it")
                    (folder / f"page-{one.name}.png").write_bytes(content)
                    print(f"page-{one.name}.png {len(content):,}", flush=True)
                    window.close()
        browser.close()


def main() -> None:
    """Take them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--all", metavar="FOLDER", type=Path, help="every view, into this folder")
    parser.add_argument("--only", metavar="NAME", action="append", help="with --all: these alone")
    given = parser.parse_args()
    every = [*SHOTS, *PHONE, *DARK]
    if given.all:
        take([one for one in every if not given.only or one.name in given.only], given.all)
    else:
        take([one for one in every if one.in_document], ROOT / "docs")


if __name__ == "__main__":
    main()
