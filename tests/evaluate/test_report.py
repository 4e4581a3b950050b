"""Findings and the three ways to show them: the page, the Markdown table and the terminal table."""

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from hashloom.evaluate import svg
from hashloom.evaluate.beyond import truths
from hashloom.evaluate.examples import pick, shorten
from hashloom.evaluate.metrics import measure, summarise
from hashloom.evaluate.panels import peak
from hashloom.evaluate.report import Experiment, Findings, Result, markdown, report, table
from hashloom.types import Post, Posts, Rankings

TAGS = [f"tag{i}" for i in range(30)]
SHAPES = {"line", "circle", "rect", "polyline", "path"}


def world(posts=120, places=("bakers", "riders", "knitters"), users=True, seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(posts):
        tags = tuple(rng.choice(TAGS, rng.integers(1, 5), replace=False).tolist())
        user = f"user{rng.integers(30)}" if users else None
        place = places[int(rng.integers(len(places)))]
        rows.append(Post(f"p{i}", text=f"post about {tags[0]} number {i}", community=place, user=user, tags=tags))
    return Posts.of(rows)


def answers(test, skill, seed=1):
    """Rankings of 15 tags in which each true tag comes first with a chance of ``skill``."""
    rng = np.random.default_rng(seed)
    lists = []
    for tags in test.tags:
        first = [tag for tag in tags if rng.random() < skill]
        rest = [str(tag) for tag in rng.permutation(TAGS) if tag not in first]
        lists.append([(tag, 20.0 - j) for j, tag in enumerate((first + rest)[:15])])
    return Rankings.of(test.ids, lists)


def results(test):
    made = [
        Result("weak", {"model": "weak"}, answers(test, 0.3), train_seconds=0.5, recommend_seconds=0.2),
        Result(
            "strong", {"model": "strong"}, answers(test, 0.8), notes="ours", published={"ndcg@10": 0.5292}, source="S"
        ),
        Result("random", {}, answers(test, 0.0), floor=True),
    ]
    return made


def found(users=True, **settings):
    train, test = world(200, users=users, seed=5), world(users=users)
    return Findings(results(test), Experiment("a tiny world", train, test, resamples=200, **settings))


class Page(HTMLParser):
    """Checks that tags nest, and collects ids, links and the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.links, self.outside, self.text = [], [], [], [], ""
        self.feed(html)
        assert self.open == []

    def handle_startendtag(self, tag, attrs):
        assert tag in SHAPES

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.ids += [values["id"]] if "id" in values else []
        self.links += [values["href"]] if tag == "a" else []
        self.outside += [v for name, v in attrs if name in ("src", "href", "srcset") and not v.startswith("#")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_page_is_whole_and_asks_for_nothing_outside():
    html = report(found())
    page = Page(html)
    assert page.outside == []
    assert not re.search(r"<script|@import|url\(|https?://", html)
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    for words in ("strong", "weak", "95\u202f%", "Against K", "perfect answers", "By user history", "Worst answers"):
        assert words in page.text, words


def test_every_table_has_a_caption_and_every_chart_is_described():
    html = report(found())
    outside_cards = re.sub(r"<article>.*?</article>", "", html, flags=re.S)
    assert outside_cards.count("<table") == outside_cards.count("<caption>") > 8
    charts = re.findall(r"<svg[^>]*>", html)
    assert all('aria-label="' in chart or 'aria-hidden="true"' in chart for chart in charts)
    assert len([c for c in charts if 'role="img"' in c]) == 7


def test_hostile_text_is_escaped_everywhere():
    evil = '<script>alert("x")</script>'
    test = Posts.of(
        [Post(str(i), text=evil, community=evil + str(i % 2), user=evil, tags=(evil, "b")) for i in range(6)]
    )
    rankings = Rankings.of(test.ids, [[(evil, 1.0)]] * 6)
    made = Result(
        evil, {"note": evil}, rankings, notes=evil, published={"p@10": 0.1}, source=evil, makers={evil: rankings}
    )
    html = report(Findings([made], Experiment(evil, test, test, split=evil, about=evil, resamples=20, date=evil)))
    assert "<script" not in html
    Page(html)


def test_methods_come_best_first_whatever_the_order_given():
    test = world()
    made = Experiment("x", test, test, resamples=50)
    forth, back = Findings(results(test), made), Findings(results(test)[::-1], made)
    assert forth.names == back.names == ["strong", "weak", "random"]
    assert markdown(forth) == markdown(back)


def test_figures_are_those_of_measure():
    made = found()
    scores = measure(made.results[0].rankings, truths(made.experiment.test), ["ndcg@10", "p@10", "r@10", "f1_means@10"])
    for metric in scores.values:
        assert made.intervals[metric][0].value == summarise(scores, metric)
    assert made.intervals["f1_means@10"][0].value == summarise(scores, "f1_means@10")
    assert made.curves["p"][0][9] == summarise(scores, "p@10")
    one = made.intervals["ndcg@10"][0]
    assert one.low < one.value < one.high < made.ceilings["ndcg@10"] == 1.0


def test_scores_measured_before_are_used_as_they_are():
    test = world(30)
    rankings = answers(test, 0.5)
    scores = measure(rankings, truths(test), ["p@10"])
    scores.values["p@10"][:] = 0.25
    made = Findings(
        [Result("a", {}, rankings, scores)], Experiment("x", test, test, metrics=("p@10", "r@10"), resamples=20)
    )
    assert made.intervals["p@10"][0].value == 0.25
    assert made.intervals["r@10"][0].value > 0


def test_differences_are_paired_and_put_in_words():
    made = found()
    assert [name for name, _ in made.differences] == ["weak", "random"]
    assert all(apart.difference.low > 0 for _, apart in made.differences)
    assert "chance does not explain" in report(made)
    test = world()
    same = [Result(name, {}, answers(test, 0.5)) for name in "ab"]
    assert "too close to tell" in report(Findings(same, Experiment("x", test, test, resamples=50)))


def test_a_model_that_loses_to_counting_is_reported_as_losing():
    test = world()
    made = [Result("model", {}, answers(test, 0.1)), Result("popular", {}, answers(test, 0.9), floor=True)]
    assert "Below the floor popular: model." in report(Findings(made, Experiment("x", test, test, resamples=50)))
    assert "Below the floor" not in report(found())


def test_f1_peaks_where_it_is_highest():
    assert peak([0.1, 0.4, 0.4, 0.2]) == 1
    assert peak([float("nan"), 0.2]) == 1
    made = found()
    best = int(np.argmax(made.curves["f1_posts"][0])) + 1
    assert f"F1, of each post: K = {best}" in report(made)


def test_one_method_one_community_no_users_no_curves_beyond_what_there_is():
    test = world(10, places=("only",), users=False)
    short = Rankings.of(test.ids, [[(tags[0], 1.0)] for tags in test.tags])
    made = Findings([Result("one", {}, short)], Experiment("small", test, test, metrics=("p@5",), resamples=20))
    page = Page(report(made))
    assert "differences" not in page.ids
    assert "communities" not in page.ids
    assert "By user history" not in page.text
    assert made.over_users is None


def test_a_handful_of_users_is_too_few_to_draw_over():
    test = Posts.of([Post(post.id, post.text, user=f"u{i % 19}", tags=post.tags) for i, post in enumerate(world())])
    made = Findings(results(test), Experiment("x", test, test, resamples=20))
    assert (made.users, made.user_count) == (None, 19)
    assert "posts (fewer than 20 users)" in report(made)
    assert found().users is not None


@pytest.mark.parametrize("rows", [[], [[("tag1", 1.0)]]])
def test_nothing_right_and_nothing_said(rows):
    test = Posts.of([Post("a", text="", tags=("x",)), Post("b", tags=())])
    rankings = Rankings.of(["a", "b"], [rows[0] if rows else [], []])
    made = Findings([Result("none", {}, rankings)], Experiment("x", Posts.of([]), test, resamples=20))
    Page(report(made))
    assert made.scored_posts == 1
    assert made.intervals["ndcg@10"][0].value == 0


def test_rankings_of_other_posts_are_refused():
    test = world(10)
    with pytest.raises(ValueError, match="'a' are not those of the test posts"):
        Findings([Result("a", {}, answers(test[::-1], 1.0))], Experiment("x", test, test))
    with pytest.raises(ValueError, match="at least one result"):
        Findings([], Experiment("x", test, test))


def test_the_same_findings_make_the_same_page():
    assert report(found(date="2025-03-02")) == report(found(date="2025-03-02"))


def test_markdown_has_every_method_with_intervals_and_the_ceilings():
    text = markdown(found())
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in lines}) == 1
    assert re.search(r"\| strong \| \*\*0\.\d{3}\*\* \[0\.\d{3}, 0\.\d{3}\]", text)
    assert "| random (floor) |" in text
    assert "| *perfect answers* | 1.000 |" in text


def test_the_terminal_table_is_aligned():
    head, *rows = table(found()).splitlines()[2:]
    assert [row.split()[0] for row in rows] == ["strong", "weak", "random", "perfect"]
    end = head.index("NDCG@10") + len("NDCG@10")
    assert all(re.fullmatch(r"[01]\.\d{3}", row[:end].split()[-1]) for row in rows)
    assert all(row[end : end + 1] in (" ", "") for row in rows)


def test_as_json_is_plain_and_without_nan():
    text = json.dumps(found().as_json(), allow_nan=False)
    assert json.loads(text)["methods"][0]["name"] == "strong"


def test_examples_do_not_depend_on_the_order_of_posts():
    test = world(200)
    values = np.round(np.random.default_rng(2).random(200), 1)
    chosen = {(one.kind, test.ids[one.row]) for one in pick(values, test, truths(test))}
    turned = test[::-1]
    assert {(one.kind, turned.ids[one.row]) for one in pick(values[::-1], turned, truths(turned))} == chosen
    assert len(chosen) == 12
    scores = {
        kind: [one.score for one in pick(values, test, truths(test)) if one.kind == kind] for kind in ("best", "worst")
    }
    assert min(scores["best"]) > max(scores["worst"])


def test_examples_come_from_different_communities():
    test = world(200)
    best = [one for one in pick(np.ones(200), test, truths(test), each=3) if one.kind == "best"]
    assert len({test.communities[one.row] for one in best}) == 3


def test_few_posts_are_shown_once():
    test = world(3)
    assert sorted(one.row for one in pick(np.array([0.0, 0.5, 1.0]), test, [{"a", "b"}] * 3)) == [0, 1, 2]
    assert pick(np.full(3, np.nan), test, truths(test)) == []


def test_shortening_keeps_words_and_unspaced_text():
    assert shorten("a b") == "a b"
    assert shorten("word " * 100, 20) == "word word word …"
    assert len(shorten("新" * 500, 280)) <= 282


@pytest.mark.parametrize("top", [1e-6, 0.02, 0.3, 0.5, 0.999, 1.0, 7, 1234])
def test_ticks_reach_the_top_in_few_steps(top):
    made = svg.ticks(top)
    assert made[0] == 0
    assert made[-1] >= top
    assert 3 <= len(made) <= 7


def test_charts_stay_inside_their_frame():
    chart = svg.lines([svg.Series("a", [(k, 1 / k) for k in range(1, 16)], "s1", ring=0)], "x", "K", 340, 236)
    places = re.findall(r"([\d.]+),([\d.]+)", re.search(r'points="([^"]+)"', chart)[1])
    assert all(svg.LEFT <= float(x) <= 340 and 0 <= float(y) <= 236 for x, y in places)
    dots = svg.scatter([svg.Dot(0, 0.0, "none"), svg.Dot(123456, 1.0, "many")], "x", "posts")
    assert "nan" not in dots
    assert dots.count("<circle") == 2


def test_a_single_post_shows_no_interval_and_no_nan():
    test = Posts.of([Post("a", "rye", tags=("tag1",))])
    html = report(Findings(results(test), Experiment("x", test, test, resamples=20)))
    assert "nan" not in html.lower().replace("finan", "")
    assert "no clear difference" in html


def test_methods_that_say_chances_are_held_to_them():
    test = world()
    half = Rankings.of(test.ids, [[(tags[0], 0.5), ("never", 0.5)] for tags in test.tags])
    vain = Rankings.of(test.ids, [[("never", 0.9)] for _ in test.tags])
    told = [Result("half", {}, half, chances=True), Result("vain", {}, vain, chances=True), *results(test)]
    page = report(Findings(told, Experiment("chances", world(200, seed=5), test, resamples=50)))
    block = page.split('id="chances"')[1].split("</section>")[0]
    Page(page)
    rows = {row.split("</span></th>")[0].split(">")[-1]: row for row in block.split("<tr")[2:]}
    assert {name: re.findall(r"<td>([^<]*)</td>", row)[:5] for name, row in rows.items()} == {
        "half": ["0.000", "0.500", "0.250", "0.500", "50\u202f%"],
        "vain": ["0.900", "0.900", "0.810", "0.900", "0\u202f%"],
    }
    assert block.count("<svg") == 2


def test_a_report_without_chances_has_no_section_on_them():
    assert 'id="chances"' not in report(found())


def test_the_calibrated_recipe_says_chances_in_comparisons():
    from hashloom import catalogue
    from hashloom.evaluate.rows import Job

    assert Job(catalogue.recipe("calibrated"), 0).empty().chances
    assert not Job(catalogue.recipe("loom"), 0).empty().chances
