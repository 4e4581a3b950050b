"""The page says everything without colour, script or network, in two languages, and lets nothing in from users."""

import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from sample_pages import ATTACK, LOG, explained, regions
from world import checkerboard, gallery

from hashloom import build, keeping
from hashloom.cli_explain import explain as command
from hashloom.data.read import BadInput, write
from hashloom.explain import heatmap, words
from hashloom.explain.gather import Explained, explain
from hashloom.explain.page import index, page
from hashloom.forecasters.author_mean import AuthorMean
from hashloom.recommenders.linear import Linear
from hashloom.recommenders.own_history import OwnHistory
from hashloom.types import Forecast, Marks, Post, Posts, Ranking, Reason, Suggestion

MAKERS = {"model": "rerank", "makers": [{"model": "linear"}, {"model": "own_history"}]}
VOID = {"meta", "img", "input", "br", "link"}
SVG = {"rect", "line", "circle", "path"}


class Seen(HTMLParser):
    """Tags with attributes in order; refuses what is not nested as it should be."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open, f"{tag} was not open"
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_page_is_whole_and_in_its_language(tmp_path, language):
    seen = Seen(page(explained(tmp_path), language))
    assert seen.all("html") == [{"lang": language}]
    assert len(seen.all("h1")) == len(seen.all("main")) == 1
    ids = [a["id"] for _, a in seen.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in seen.all("a")} <= set(ids)
    text = " ".join(seen.text)
    assert ("予測" in text) == (language == "ja")
    assert "{" not in re.sub(r"<style>.*?</style>", "", page(explained(tmp_path), language), flags=re.S)


def test_headings_come_in_order(tmp_path):
    levels = [int(tag[1]) for tag, _ in Seen(page(explained(tmp_path))).tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_nothing_comes_from_elsewhere(tmp_path):
    made = page(explained(tmp_path))
    seen = Seen(made)
    assert not seen.all("script", "link", "iframe", "object", "base")
    assert not re.search(r"(src|href)=\"(?!data:image/png|#)", made)
    assert not re.search(r"url\(|@import|https?:", made)
    policy = next(a["content"] for a in seen.all("meta") if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert not any("style" in attributes or any(n.startswith("on") for n in attributes) for _, attributes in seen.tags)


def test_what_users_write_is_never_markup(tmp_path):
    post = explained(tmp_path, text=ATTACK, id=ATTACK, community=ATTACK, user=ATTACK, tags=(ATTACK,), language=ATTACK)
    rows = tuple(Suggestion(ATTACK, 1.0, s.reasons) for s in post.ranking.suggestions[:1])
    marks = Marks("attention", [(ATTACK, 0.5), (ATTACK[:9], 0.5)])
    post = Explained(
        post.post, Ranking(ATTACK, rows), {ATTACK: marks}, {ATTACK: post.forecasts["uhan"]}, {ATTACK: marks},
        [], {"old": Post("old", ATTACK)},
    )  # fmt: skip
    for language in ("en", "ja"):
        seen = Seen(page(post, language))
        assert not seen.all("script")
        assert all(a["src"].startswith("data:image/png;base64,") for a in seen.all("img"))
        assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)
    assert not Seen(index([("a.html", post)])).all("script", "img")


def test_user_text_has_its_own_direction_and_language():
    seen = Seen(page(explained(text="خبز الجاودار طازج اليوم", language="ar", user="منى")))
    said = [a for a in seen.all("div") if a.get("class") == "said"]
    assert said
    assert all(a["dir"] == "auto" and a["lang"] == "ar" for a in said)
    assert len(seen.all("bdi")) > 5


def test_marks_carry_their_number_and_a_second_sign():
    seen = Seen(page(explained()))
    marks = [a for a in seen.all("mark") if "title" in a]
    assert {a["class"].split()[0] for a in marks} == {"for", "against"}
    assert all(re.fullmatch(r"[+−]?[\d.]+(\u202f%)?", a["title"]) for a in marks)


def test_each_tag_has_a_button_and_a_panel(tmp_path):
    made = page(explained(tmp_path))
    buttons = [a for a in Seen(made).all("input")]
    assert [a["type"] for a in buttons] == ["radio"] * 3
    assert sum("checked" in a for a in buttons) == 1
    assert all(f"body:has(#choose-{i}:checked) #panel-{i}{{display:block}}" in made for i in range(3))


def test_the_map_is_told_in_words(tmp_path):
    alts = [a["alt"] for a in Seen(page(explained(tmp_path))).all("img")]
    assert any("upper left (52\u202f%)" in alt for alt in alts)
    assert any("lower right" in alt for alt in alts)
    assert any("左上" in a["alt"] for a in Seen(page(explained(tmp_path), "ja")).all("img"))


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize(
    "post",
    [Post("a", "only words"), Post("b", images=("no/such.png",)), Post("c", "", tags=("x",)), Post("d", " \n")],
)
def test_pages_of_little(post, language):
    Seen(page(Explained(post), language))
    assert "no/such" not in page(Explained(post), language) or post.id == "b"
    some = Explained(post, Ranking(post.id), {}, {"mean": Forecast(post.id, 2.0, 2.0, 2.0, "popularity as given")})
    assert Seen(page(some, language)).all("svg")


def test_a_picture_that_cannot_be_read_is_said(tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("<svg onload=alert(1)>")
    post = explained(tmp_path, images=(str(bad), "other.png"))
    made = page(post)
    assert "The picture cannot be shown" in made
    assert "<svg onload" not in made
    assert "upper left (52\u202f%)" in made  # the numbers are there all the same


def test_what_is_nearly_even_is_called_so(tmp_path):
    weights = np.full((7, 7), 1 / 49)
    weights[0, 0] += 1e-3
    post = explained(tmp_path).post
    even = Marks("attention", [(word, 0.2) for word in post.text.split()[:5]], weights)
    made = page(Explained(post, Ranking("p1"), {"Owls": even}))
    assert "The weight is nearly even" in made
    assert "none stands out" in made
    assert "nearly" not in page(explained(tmp_path))


@pytest.mark.parametrize("kind", ["contribution", "occlusion"])
def test_only_attention_is_said_to_look_once(kind):
    post = Post("a", "rye loaf")
    marks = {tag: Marks(kind, [("rye", 0.5), ("loaf", 0.0)]) for tag in ("Rye", "Bread")}
    assert "looks at a post once" not in page(Explained(post, Ranking("a"), marks))
    looked = {tag: Marks("attention", [("rye", 0.5), ("loaf", 0.5)]) for tag in marks}
    assert "looks at a post once" in page(Explained(post, Ranking("a"), looked))


def test_where_nothing_in_the_post_decides_it_is_said_once():
    marks = {tag: Marks("occlusion", [("rye", 0.0)]) for tag in ("Rye", "Bread")}
    made = page(Explained(Post("a", "rye"), Ranking("a"), marks))
    assert made.count("Neither the words nor the picture change") == 1
    assert not Seen(made).all("input")


def test_the_reasons_of_a_maker_stand_under_it():
    why = (
        Reason("model", "linear #2", 0.4), Reason("text", "0:3", 0.3), Reason("model", "own_history #1", 0.9),
        Reason("habit", "old", 0.9), Reason("model", "evidence: linear", 1.5), Reason("community", "bakers", 4.0),
    )  # fmt: skip
    rows = (Suggestion("Rye", 0.9, why), Suggestion("Oat", 0.8, why))
    made = page(Explained(Post("a", "rye", "bakers"), Ranking("a", rows)))
    order = ["moved it by +1.5", "used before in bakers", "“linear” puts it", "went by “rye”", "“own_history” puts it"]
    places = [made.index(said) for said in order]
    assert places == sorted(places)
    assert made.count("went by “rye”") == 2  # what makers share is not taken out from under them
    assert re.search(r"<li>The method “linear”[^<]*<ul class=\"why\"><li>It went by “rye”[^<]*</li></ul></li>", made)


def test_an_axis_per_exposure_says_so():
    formula = "log2((max(likes, 0) + 1) / max(fans, 1))"
    one = Explained(Post("a", "rye"), None, {}, {"mean": Forecast("a", -3.0, -4.0, -2.0, formula)})
    assert "The axis counts likes per fans." in page(one)
    assert "軸の単位:fansあたりのlikes。" in page(one, "ja")
    assert "The axis" not in page(Explained(Post("a", "rye"), None, {}, {"mean": Forecast("a", 3.0, 2.0, 4.0, LOG)}))


def test_the_formula_and_the_models_are_named(tmp_path):
    made = page(explained(tmp_path))
    assert made.count(f"<code>{LOG}</code>") == 4
    assert "dddddddddddddddd" in made
    assert "A map alone is not evidence" in made


def test_tags_are_shown_as_association(tmp_path):
    text = " ".join(Seen(page(explained(tmp_path))).text)
    assert "Association, not promise" in text
    assert "×1.23 of the usual" in text
    assert "too few authors to say" in text


def test_the_overlay_is_half_transparent_and_covers_what_was_seen():
    from PIL import Image

    grey = Image.new("RGB", (100, 50), (100, 100, 100))
    made = heatmap.overlay(grey, regions(0, 0), is_signed=False, box=heatmap.middle((100, 50), 0.8))
    assert made.getpixel((2, 2)) == (100, 100, 100)
    bright, dark = made.getpixel((31, 6)), made.getpixel((65, 40))
    assert np.abs(np.array(bright) - (np.array([254, 232, 56]) + 100) / 2).max() <= 3
    assert np.abs(np.array(dark) - (np.array([0, 34, 78]) + 100) / 2).max() <= 3


def test_signed_maps_have_two_hues_with_nothing_at_zero():
    values = heatmap.scaled(np.array([-0.5, 0.0, 1.0]), True)
    low, none, high = heatmap.coloured(values, heatmap.TWO_HUES).astype(int)
    assert low[0] > low[2]
    assert high[2] > high[0]
    assert np.ptp(none) == 0


def test_colours_of_attention_rise_in_lightness():
    light = heatmap.coloured(np.linspace(0, 1, 50), heatmap.RISING).astype(float) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()


@pytest.mark.parametrize("text", ["ライ麦パンを焼いた。ライ麦です", "خبز الجاودار خبز", "ＲＹＥ rye Rye"])
def test_words_are_found_in_every_script(text):
    for word in ("ライ麦", "خبز", "rye"):
        if word in text:
            spans, lost = words.placed(text, [(word, 0.5), (word, 0.2), ("nowhere", 1.0)])
            assert [text[a:b].casefold() for a, b, _ in spans] == [word, word]
            assert lost == ["nowhere"]


# ---------------------------------------------------------------- gathered from real models


@pytest.fixture(scope="module")
def models():
    posts, held = checkerboard()
    numbers = np.arange(len(posts), dtype=float)
    known = Posts(posts.frame.with_columns(score=numbers))
    return Linear().fit(posts), AuthorMean(target="score").fit(known), posts, held


def test_everything_is_gathered(models):
    recommender, forecaster, posts, held = models
    found = explain(held[0], recommender=recommender, forecasters={"author": forecaster}, k=3, texts=posts)
    assert len(found.ranking.tags) == len(found.marks) == len(found.effects) == 3
    assert found.forecasts["author"].reasons
    assert found.forecasters["author"].numbers
    Seen(page(found))


def test_posts_that_reasons_name_are_quoted(models):
    *_, posts, held = models
    found = explain(held[0], recommender=OwnHistory().fit(posts), texts=posts, occlude=False)
    assert {
        r.where for s in found.ranking.suggestions for r in s.reasons if r.source == "habit"
    } == found.earlier.keys()
    assert "today, number" in page(found)


def test_a_model_that_holds_others_is_explained_after_saving_too(models, tmp_path):
    """Makers of a kept model remember nothing by themselves: their holder does."""
    *_, posts, held = models
    made = keeping.load(keeping.save(build(MAKERS).fit(posts), tmp_path / "held"))
    found = explain(held[0], recommender=made, occlude=False)
    assert found.earlier
    Seen(page(found))


def test_one_post_at_a_time(models):
    with pytest.raises(ValueError, match="one post, not 8"):
        explain(models[3], recommender=models[0])


def test_a_map_of_a_real_picture_is_drawn(tmp_path):
    posts, held = gallery(tmp_path, each=8, held=2)
    found = explain(held[0], recommender=Linear().fit(posts), k=1)
    assert Seen(page(found)).all("img")


# ---------------------------------------------------------------- the command


@pytest.fixture
def kept(models, tmp_path):
    recommender, forecaster, _, held = models
    keeping.save(recommender, tmp_path / "tags")
    keeping.save(forecaster, tmp_path / "numbers")
    write(held, tmp_path / "posts.jsonl")
    return tmp_path


def test_the_command_draws_one_page(kept):
    command(kept / "tags", [kept / "posts.jsonl"], kept / "page.html", [kept / "numbers"], None, None, "ja", 2, False)
    made = (kept / "page.html").read_text("utf-8")
    assert '<html lang="ja">' in made
    assert keeping.manifest(kept / "numbers")["digest"][:16] in made


def test_the_command_draws_a_folder(kept):
    command(kept / "numbers", [kept / "posts.jsonl"], kept / "pages", None, None, None, "en", 2, False)
    names = {p.name for p in (kept / "pages").iterdir()}
    linked = {a["href"] for a in Seen((kept / "pages/index.html").read_text("utf-8")).all("a")} - {"#main"}
    assert len(linked) == 8
    assert linked == names - {"index.html"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": ["nobody"]}, "no post with id 'nobody'"),
        ({"out": "tags"}, "holds a model"),
        ({"out": "posts.jsonl"}, "is a file and no .html"),
        ({"out": "no/where"}, "no folder"),
        ({"forecaster": ["tags"]}, "no forecaster"),
        ({"id": ["0-6", "1-6"]}, "do not fit into one page"),
    ],
)
def test_what_cannot_be_done_is_said(kept, change, said):
    given = {"model": "tags", "posts": ["posts.jsonl"], "out": "page.html", "forecaster": []} | change
    with pytest.raises(BadInput, match=said):
        command(
            kept / given["model"], [kept / p for p in given["posts"]], kept / given["out"],
            [kept / f for f in given["forecaster"]], None, given.get("id"), "en", 2, False,
        )  # fmt: skip
