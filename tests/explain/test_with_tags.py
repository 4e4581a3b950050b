"""Tags and attention: worlds whose true effects are known, floods and fame that must not count, and the dial."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from hashloom.data.history import History
from hashloom.data.record import Record
from hashloom.explain.with_tags import LEAST, Associations, associations, dialled, earlier, effects
from hashloom.forecaster import Forecaster, Guess
from hashloom.forecasters.author_mean import AuthorMean
from hashloom.types import Post, Posts, Rankings, Reason

START = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass
class Counting(Forecaster):
    """A model that reads tags: each tag adds 2, ``rye`` another 1."""

    def _fit(self, posts, values, late):
        return self._guess(posts[late], self._record, False)

    def _guess(self, posts, record, explain):
        return Guess(np.array([2.0 * len(row) + ("rye" in row) for row in posts.tags]))


def world(use, effect, *, authors=40, each=25, fame=None, drift=0.0, seed=0, community="c"):
    """Posts in turn of ``authors``; ``use(author, draw)`` gives the tags, ``effect`` what each tag adds."""
    draw, rows = np.random.default_rng(seed), []
    for i in range(each):
        for a in range(authors):
            tags = use(a, draw)
            value = (fame(a) if fame else 0.0) + drift * i + sum(effect.get(t, 0) for t in tags) + draw.normal()
            when = START + timedelta(minutes=i * authors + a)
            rows.append(Post(f"{community}{a}-{i}", "", community, f"u{a}", when, tags=tuple(tags), popularity=value))
    return rows


def fitted(rows):
    return AuthorMean(prior=4).fit(Posts.of(rows))


def learnt(rows, tag, community="c"):
    return associations(fitted(rows)).of(community, tag)


def some(share, **tags):
    """Uses each named tag with its own chance, ``filler`` with ``share``."""
    return lambda a, draw: [t for t, p in {"filler": share, **tags}.items() if draw.random() < p]


# ---------------------------------------------------------------- what is learnt


def test_a_tag_that_adds_one_is_found_and_one_that_adds_nothing_is_not():
    use = some(0.3, up=0.3, down=0.3, none=0.3)
    known = associations(fitted(world(use, {"up": 1.0, "down": -1.0})))
    assert known.of("c", "up").value == pytest.approx(1, abs=0.2)
    assert known.of("c", "up").low > 0.5
    assert known.of("c", "down").value == pytest.approx(-1, abs=0.2)
    assert known.of("c", "down").high < -0.5
    assert known.of("c", "none").low < 0 < known.of("c", "none").high


@pytest.mark.parametrize("always", [0, 6])
def test_the_fame_of_authors_is_not_credited_to_their_tag(always):
    """Tag +1, famous author +3, only famous authors use it, ``always`` of them on every post of theirs."""

    def use(a, draw):
        return ["mine"] * (a < 20 and (a < always or draw.random() < 0.4)) + ["filler"] * (draw.random() < 0.3)

    worlds = [world(use, {"mine": 1.0}, fame=lambda a: 3.0 * (a < 20), seed=seed) for seed in range(6)]
    naive = np.mean([p.popularity for p in worlds[0] if "mine" in p.tags])
    naive -= np.mean([p.popularity for p in worlds[0] if "mine" not in p.tags])
    found = [learnt(rows, "mine") for rows in worlds]
    assert naive > 2.5
    assert np.mean([f.value for f in found]) == pytest.approx(1, abs=0.12)
    assert sum(f.low < 1 < f.high for f in found) >= 5


def test_a_rising_community_is_not_credited_to_the_tag_that_came_late():
    """Numbers rise by 5 over the time; a tag without any effect comes up in the last third."""
    found = []
    for seed in range(6):
        rows = world(some(0.3), {}, each=60, drift=5 / 60, seed=seed)
        found.append(learnt([p if i < 40 * 40 or i % 3 else _with(p, "late") for i, p in enumerate(rows)], "late"))
    assert abs(np.mean([f.value for f in found])) < 0.1
    assert sum(f.low < 0 < f.high for f in found) >= 4


def _with(post, tag):
    return Post(
        post.id, community=post.community, user=post.user, created_at=post.created_at, tags=(*post.tags, tag),
        popularity=post.popularity,
    )  # fmt: skip


def test_intervals_hold_the_truth_as_often_as_they_say():
    """95 % intervals over tags whose true effects differ, with authors who react differently."""
    held = []
    for seed in range(8):
        draw = np.random.default_rng(seed)
        truth = {f"t{i}": draw.normal(0, 0.5) for i in range(25)}
        share = {t: draw.uniform(0.01, 0.2) for t in truth}
        rows = world(some(0.1, **share), truth, each=20, seed=seed, fame=lambda a: a % 5 - 2)
        known = associations(fitted(rows))
        held += [known.of("c", t).low <= truth[t] <= known.of("c", t).high for t in truth]
    assert 0.90 <= np.mean(held) <= 0.99


def test_tags_are_drawn_to_nothing_where_none_matters_and_left_where_they_do():
    names = {f"t{i}": 0.1 for i in range(30)}
    idle = associations(fitted(world(some(0.1, **names), {})))
    busy = associations(fitted(world(some(0.1, **names), {t: (-1) ** i for i, t in enumerate(names)})))
    assert max(abs(idle.of("c", t).value) for t in names) < 0.12
    assert np.mean([abs(busy.of("c", t).value) for t in names]) > 0.75
    assert all(busy.of("c", t).value * (-1) ** i > 0.3 for i, t in enumerate(names))


def test_communities_are_apart():
    rows = world(some(0.3, rye=0.3), {"rye": 1.0}) + world(some(0.3, rye=0.3), {"rye": -1.0}, community="d")
    known = associations(fitted(rows))
    assert known.of("c", "rye").low > 0 > known.of("d", "rye").high


def test_little_evidence_gives_no_value_and_the_widest_interval_of_the_community():
    rows = world(some(0.3, up=0.3), {"up": 1.0})
    rows += [_with(p, "rare") for p in world(some(0.3), {"filler": 9.0}, authors=LEAST - 1, each=3, seed=5)]
    rows = [Post(f"{i}", "", p.community, p.user, p.created_at, tags=p.tags, popularity=p.popularity)
            for i, p in enumerate(rows)]  # fmt: skip
    known = associations(fitted(rows))
    rare, unseen, sure = (known.of("c", t) for t in ("rare", "unseen", "up"))
    assert (rare.value, rare.authors, rare.posts) == (0, LEAST - 1, 3 * (LEAST - 1))
    assert (unseen.value, unseen.authors, unseen.posts) == (0, 0, 0)
    assert rare.high - rare.low == unseen.high - unseen.low > sure.high - sure.low
    elsewhere = known.of("never seen", "up")
    assert elsewhere.value == 0
    assert elsewhere.low < 0 < elsewhere.high


def test_the_sums_of_earlier_posts_are_those_of_the_record():
    draw = np.random.default_rng(0)
    group, value = draw.integers(0, 5, 300), draw.normal(size=300)
    when = np.sort(draw.integers(0, 80, 300))
    rows = [
        Post(str(i), community="c", user=f"u{g}", created_at=START + timedelta(hours=int(h)))
        for i, (g, h) in enumerate(zip(group, when))
    ]
    posts = Posts.of(Posts.of(rows).frame.with_columns(value=pl.Series(value)))
    record = Record(History(posts))
    said = record.of(posts)
    count, total = earlier(group, record.history.moments, np.ones(300), value)
    assert np.array_equal(count, said.count)
    assert np.allclose(total, said.total)


@pytest.mark.parametrize(
    "rows",
    [
        [Post("a", popularity=1.0)],
        [Post("a", tags=("rye",), popularity=1.0)],
        [Post(str(i), tags=("rye",), popularity=2.0) for i in range(20)],
        [Post(str(i), user=f"u{i}", tags=("rye",), popularity=float(i)) for i in range(20)],
        [Post(str(i), tags=("rye",) * (i % 2), popularity=float(i % 3)) for i in range(60)],
    ],
    ids=["one post", "one tagged post", "all alike", "on every post", "no authors, no times"],
)
def test_small_and_odd_memories_give_finite_answers(rows):
    found = learnt(rows, "rye", "")
    assert np.isfinite([found.value, found.low, found.high]).all()
    assert found.low <= found.value <= found.high


def test_nothing_is_known_once_all_is_forgotten():
    model = fitted(world(some(0.3, up=0.3), {"up": 1.0}))
    model.forget(users=[f"u{a}" for a in range(40)])
    assert associations(model).of("c", "up").authors == 0


def test_learnt_once_and_again_when_the_memory_is_another():
    model = fitted(world(some(0.3, up=0.3), {"up": 1.0}, each=5))
    first = associations(model)
    assert associations(model) is first
    model.update(Posts.of([Post("new", "", "c", "stranger", START + timedelta(days=9), tags=("up",), popularity=0.0)]))
    assert associations(model) is not first
    assert associations(model).of("c", "up").authors == first.of("c", "up").authors + 1


def drawn(rows):
    draw = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "id": [str(i) for i in range(rows)],
            "community": "c",
            "user": [f"u{u}" for u in draw.zipf(1.3, rows) % 5000],
            "tags": [[f"t{t}" for t in pair] for pair in draw.zipf(1.5, (rows, 2)) % 400],
            "value": draw.normal(size=rows),
        }
    )
    return Posts.of(frame)


def test_ten_times_as_many_posts_take_about_ten_times_as_long():
    """80,000 took 0.14 s."""
    taken = {8_000: [], 80_000: []}
    posts = {rows: drawn(rows) for rows in taken}
    for _ in range(5):
        for rows, times in taken.items():
            start = time.process_time()
            Associations(posts[rows])
            times.append(time.process_time() - start)
    assert min(taken[80_000]) < 40 * min(taken[8_000])


# ---------------------------------------------------------------- abuse


def test_a_flood_of_huge_numbers_by_one_author_moves_nobodys_dial():
    """One author sends a thousand posts with #scam, and with everybody's tags beside it, and huge numbers."""
    names = {f"t{i}": 0.15 for i in range(12)}
    truth = {f"t{i}": (i - 5.5) / 6 for i in range(12)}
    honest = world(some(0.1, **names), truth)
    end = START + timedelta(minutes=500)
    flood = [
        Post(f"x{i}", "", "c", "spammer", end + timedelta(seconds=i), popularity=1e6 if i % 2 else -1e6,
             tags=("scam", *([f"t{i % 12}"] if i % 2 else [])))
        for i in range(1000)
    ]  # fmt: skip
    before, after = associations(fitted(honest)), associations(fitted(honest + flood))
    scam = after.of("c", "scam")
    assert scam.value == 0
    assert scam.posts == 1000
    assert scam.authors == 1
    assert scam.low <= min(after.of("c", t).low for t in truth if after.of("c", t).value > -0.3)
    moved = [after.of("c", t).low - before.of("c", t).low for t in truth]
    assert np.abs(moved).max() < 0.3
    asked = Posts.of([Post("q", "", "c")])
    given = Rankings.of(["q"], [[(t, 1.0) for t in ("t0", "scam", "t4", "t8", "t11")]])
    one, other = (dialled(given, asked, fitted(rows), 1.0)[0].tags for rows in (honest, honest + flood))
    assert one == other
    assert one.index("scam") >= 3


def test_many_posts_by_one_author_are_one_vote():
    """Thirty authors get nothing from a tag; one, who uses it on two thousand posts, gets 3 from it."""
    rows = world(some(0.3, loud=0.3), {}, authors=30)
    draw = np.random.default_rng(1)
    for i in range(4000):
        tags = ("loud",) * (i % 2)
        when = START + timedelta(seconds=10 * i)
        rows.append(Post(f"x{i}", "", "c", "x", when, tags=tags, popularity=3.0 * (i % 2) + draw.normal()))
    assert learnt(rows, "loud").value < 0.25


def test_posts_without_an_author_are_one_vote_where_others_have_one():
    end = START + timedelta(days=1)
    hidden = [Post(f"h{i}", "", "c", None, end, tags=("scam",) * (i % 2), popularity=5.0 * (i % 2)) for i in range(400)]
    found = learnt(world(some(0.3), {}) + hidden, "scam")
    assert (found.value, found.posts, found.authors) == (0, 200, 1)


def test_where_no_post_has_an_author_each_is_a_vote():
    draw = np.random.default_rng(0)
    rows = [Post(str(i), tags=("up",) * (i % 3 == 0), popularity=(i % 3 == 0) + draw.normal()) for i in range(900)]
    found = learnt(rows, "up", "")
    assert found.authors == found.posts == 300
    assert found.value == pytest.approx(1, abs=0.2)


# ---------------------------------------------------------------- effects


def test_change_is_the_models_forecast_with_the_tag_less_that_without():
    model = Counting(target="popularity").fit(Posts.of(world(some(0.3, rye=0.3), {"rye": 1.0})))
    post = Post("q", "", "c", "u1", tags=("Oat",))
    found = effects(model, post, ["#Rye", "Oat", "rye", "unseen"])
    assert [e.tag for e in found] == ["#Rye", "Oat", "rye", "unseen"]
    assert [e.change for e in found] == [3, 2, 3, 2]
    assert found[0].association == found[2].association > 0.5
    assert found[0].low < found[0].association < found[0].high
    assert not found[0].thin
    assert found[3].thin
    assert found[3].authors == 0


def test_a_tag_that_the_post_has_already_in_another_form_is_taken_off_for_the_comparison():
    model = Counting(target="popularity").fit(Posts.of(world(some(0.3, rye=0.3), {"rye": 1.0})))
    found = effects(model, Post("q", "", "c", "u1", tags=("RYE", "Oat")), ["#Rye", "oat"])
    assert [e.change for e in found] == [3, 2]


def test_a_model_that_reads_no_tags_changes_nothing_and_still_has_associations():
    model = fitted(world(some(0.3, rye=0.3), {"rye": 1.0}))
    (found,) = effects(model, Post("q", "", "c", "u1"), ["Rye"])
    assert found.change == 0
    assert found.low > 0.5
    assert found.authors == 40


def test_effects_of_no_tags_and_of_one_string():
    model = fitted(world(some(0.3), {}, each=2))
    assert effects(model, Post("q"), []) == []
    with pytest.raises(TypeError, match="several"):
        effects(model, Post("q"), "rye")
    with pytest.raises(RuntimeError, match="fit"):
        effects(AuthorMean(), Post("q"), ["rye"])


# ---------------------------------------------------------------- the dial

WORTH = {"best": 1.0, "good": 0.5, "even": 0.0, "poor": -1.0}


@pytest.fixture(scope="module")
def model():
    return fitted(world(some(0.1, **dict.fromkeys(WORTH, 0.2)), WORTH))


@pytest.fixture
def asked():
    posts = Posts.of([Post("a", "", "c"), Post("b", "", "c"), Post("none", "", "c"), Post("d", "", "elsewhere")])
    lists = [[("Poor", 0.9), ("Even", 0.5), ("Good", 0.3), ("Best", 0.1)], [("Even", 3.0), ("new", 2.0)], [],
             [("Poor", 2.0), ("Best", 1.0)]]  # fmt: skip
    reasons = [[(Reason("model", tag, score),) for tag, score in row] for row in lists]
    return posts, Rankings.of(posts.ids, lists, reasons)


def test_off_by_default_the_rankings_come_back_as_they_are(model, asked):
    posts, rankings = asked
    assert dialled(rankings, posts, model, 0) is rankings


@pytest.mark.parametrize("dial", [0.001, 0.3, 0.7, 1.0])
def test_no_tag_is_added_or_dropped_and_reasons_stay_with_their_tag(model, asked, dial):
    posts, rankings = asked
    turned = dialled(rankings, posts, model, dial)
    for before, after in zip(rankings, turned, strict=True):
        assert before.id == after.id
        assert sorted(before.tags) == sorted(after.tags)
        assert all(s.reasons[0].where == s.tag for s in after.suggestions)
        scores = [s.score for s in after.suggestions]
        assert scores == sorted(scores, reverse=True)


def test_the_dial_goes_from_relevance_to_attention(model, asked):
    posts, rankings = asked
    assert dialled(rankings, posts, model, 0.001)[0].tags == ["Poor", "Even", "Good", "Best"]
    assert dialled(rankings, posts, model, 1)[0].tags == ["Best", "Good", "Even", "Poor"]
    assert dialled(rankings, posts, model, 1)[1].tags == ["Even", "new"]
    means = [np.mean([WORTH[t.lower()] * (4 - i) for i, t in enumerate(dialled(rankings, posts, model, d)[0].tags)])
             for d in np.linspace(0, 1, 11)]  # fmt: skip
    assert means == sorted(means)
    assert means[0] < means[-1]


def test_nothing_known_of_a_community_leaves_its_order(model, asked):
    posts, rankings = asked
    assert dialled(rankings, posts, model, 1)[3].tags == ["Poor", "Best"]


def test_answers_do_not_depend_on_the_batch(model, asked):
    posts, rankings = asked
    whole = dialled(rankings, posts, model, 0.6)
    alone = [dialled(Rankings.of([r.id], [[(s.tag, s.score) for s in r.suggestions]]), posts[[i]], model, 0.6)[0].tags
             for i, r in enumerate(rankings)]  # fmt: skip
    assert [r.tags for r in whole] == alone


@pytest.mark.parametrize("dial", [-0.1, 1.1, float("nan")])
def test_a_dial_outside_its_range_is_refused(model, asked, dial):
    posts, rankings = asked
    with pytest.raises(ValueError, match="between 0"):
        dialled(rankings, posts, model, dial)


def test_rankings_of_other_posts_are_refused(model, asked):
    posts, rankings = asked
    with pytest.raises(ValueError, match="same posts"):
        dialled(rankings, posts[::-1], model, 0.5)
