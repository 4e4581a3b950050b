"""Learning without retraining: what ``update`` adds counts at once, what ``forget`` takes leaves no trace."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hashloom import catalogue
from hashloom.data.flood import Floods
from hashloom.data.history import History
from hashloom.recommender import hashed, load
from hashloom.recommenders._counts import Counts
from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.types import Post, Posts

DAY = datetime(2025, 1, 1, tzinfo=UTC)
COUNTING = {
    "popular": {"model": "popular"},
    "popular-lately": {"model": "popular", "half_life_days": 3},
    "own_history": {"model": "own_history"},
    "nearest": {"model": "nearest"},
    "nearest-own": {"model": "nearest", "scope": "own"},
}
"""Models whose update is as good as learning anew."""


def post(name, text="", *tags, community="c", user=None, day=0):
    return Post(name, text, community, user, DAY + timedelta(days=day), tags=tags)


def days(count, start=0):
    """Posts of three authors about two things, one a day."""
    said = [("rye bread and butter", "Baking"), ("a high wave at sea", "Surf"), ("the bread rises", "Baking")]
    made = []
    for day in range(start, start + count):
        text, tag = said[day % 3]
        more = ("Rye",) if day % 2 else ()
        made.append(post(f"p{day}", f"{text} {day % 7}", tag, *more, user=f"u{day % 3}", day=day))
    return Posts.of(made)


ASKED = Posts.of(
    [post("q1", "fresh bread", user="u1", day=99), post("q2", "the wave", user="u2", day=99), post("q3", day=99)]
)


def told(model, posts=ASKED, **given):
    return [[(s.tag, round(s.score, 5)) for s in row.suggestions] for row in model.recommend(posts, 5, **given)]


@pytest.mark.parametrize("name", COUNTING)
@pytest.mark.parametrize("steps", [1, 7])
def test_update_is_as_good_as_learning_anew(name, steps):
    whole = days(40)
    model = catalogue.build(COUNTING[name]).fit(whole[:20])
    for at in range(20, 40, steps):
        model.update(whole[at : min(at + steps, 40)])
    anew = catalogue.build(COUNTING[name]).fit(whole)
    if name == "nearest-own":  # how rare a word is stays as it was in training
        assert [[t for t, _ in row] for row in told(model)] == [[t for t, _ in row] for row in told(anew)]
    elif name == "nearest":  # the mean length of a post stays too
        for one, other in zip(told(model), told(anew), strict=True):
            assert [t for t, _ in one] == [t for t, _ in other]
            assert [s for _, s in one] == pytest.approx([s for _, s in other], abs=0.03)
    else:
        assert told(model) == told(anew)


@pytest.mark.parametrize("name", COUNTING)
def test_forgetting_posts_is_as_good_as_never_having_seen_them(name):
    whole = days(30)
    model = catalogue.build(COUNTING[name]).fit(whole)
    anew = catalogue.build(COUNTING[name]).fit(whole[:20])
    assert model.forget(posts=whole.ids[20:]).posts == 10
    if name == "popular-lately":  # weights are relative, shares are the same
        assert told(model) == told(anew)
    else:
        assert [[t for t, _ in row] for row in told(model)] == [[t for t, _ in row] for row in told(anew)]


def test_a_tag_born_a_minute_ago_is_suggested():
    model = catalogue.build(catalogue.recipe("two-stage")["model"])
    model.makers = [m for m in model.makers if m.name != "multilabel"]
    model.fit(days(60))
    news = [post(f"n{i}", "solar eclipse over the bay", "Eclipse", user=f"n{i}", day=61) for i in range(3)]
    model.update(Posts.of(news))
    found = model.recommend(Posts.of([post("q", "what an eclipse", user="stranger", day=62)]), 3)[0]
    assert "Eclipse" in found.tags


def test_posts_known_already_are_passed_over():
    model = catalogue.build({"model": "popular"}).fit(days(10))
    before = told(model)
    assert told(model.update(days(10))) == before
    assert told(model.update(Posts.concat([days(10), days(10)]))) == before


def test_an_update_keeps_closed_lists_and_denied_tags():
    spaces = TagSpaces([TagSpace.of(["Baking"], "c", closed=True), TagSpace.of(["Jib"], "d", denied=["spam"])])
    model = catalogue.build({"model": "popular"}).fit(
        Posts.of([post("1", "a", "Baking"), post("2", "b", "Jib", community="d")]), spaces=spaces
    )
    model.update(Posts.of([post("3", "c", "Scam", day=1), post("4", "c", "SPAM", "Sail", community="d", day=1)]))
    asked = Posts.of([post("q", "x", day=2), post("r", "x", community="d", day=2)])
    assert [row.tags for row in model.recommend(asked, 5)] == [["Baking"], ["Jib", "Sail"]]


def test_a_community_may_come_by_update_and_stays_apart():
    model = catalogue.build({"model": "nearest"}).fit(days(10))
    model.update(Posts.of([post("n", "rye bread", "Loaf", community="new", day=50)]))
    assert model.recommend(Posts.of([post("q", "rye bread", community="new", day=51)]), 5)[0].tags == ["Loaf"]
    assert "Loaf" not in model.recommend(Posts.of([post("q", "rye bread", day=51)]), 10)[0].tags


@pytest.mark.parametrize("name", COUNTING)
def test_forgotten_users_and_tags_leave_no_trace(name, tmp_path):
    model = catalogue.build(COUNTING[name]).fit(days(30))
    secret = Posts.of(
        [
            post("s1", "a secret den", "Hideout", user="spy", day=31),
            post("s2", "den", "Hideout", "Surf", user="u1", day=32),
        ]
    )
    model.update(secret)
    assert model.forget(users=["spy"]).posts == 1
    done = model.forget(tags=["#hideout"])
    assert (done.posts, done.uses) == (0, 1)
    asked = Posts.of([post("q", "a secret den", user=user, day=99) for user in ("spy", "u1", "u2")])
    assert all("Hideout" not in row.tags for row in model.recommend(asked, 10))
    model.save(tmp_path / "m")
    for file in (tmp_path / "m").rglob("*"):
        held = file.read_bytes() if file.is_file() else b""
        assert b"spy" not in held
        assert b"hideout" not in held.lower()
    assert told(load(tmp_path / "m")) == told(model)
    # Used anew, it comes back where the list is open.
    model.update(Posts.of([post("s3", "a secret den", "Hideout", user="u2", day=40)]))
    assert "Hideout" in model.recommend(asked, 10)[2].tags


@pytest.mark.parametrize("name", COUNTING)
def test_updates_are_kept(name, tmp_path):
    model = catalogue.build(COUNTING[name]).fit(days(20)).update(days(10, start=20))
    model.save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert told(again) == told(model)
    assert told(again.update(days(5, start=30))) == told(model.update(days(5, start=30)))


def test_counts_grow_as_if_learnt_at_once():
    whole = days(50)
    grown = Counts.learn(whole[:20])
    grown.add(whole[20:])
    anew = Counts.learn(whole)
    for community in anew.communities:
        place, other = grown.place[community], anew.place[community]
        assert grown.size[place] == anew.size[other]
        mine = {grown.tags[t]: n for t, n in zip(grown.codes_in(community), _uses(grown, community), strict=True)}
        assert mine == {anew.tags[t]: n for t, n in zip(anew.codes_in(community), _uses(anew, community), strict=True)}
        assert [[grown.tags[t] for t in row[1:]] for row in grown.window[place]] == [
            [anew.tags[t] for t in row[1:]] for row in anew.window[other]
        ]
    again = Counts.of(grown.state())
    assert np.array_equal(again.alone, grown.alone)


def test_counts_shrink_as_if_never_learnt():
    whole = days(50)
    counts, anew = Counts.learn(whole), Counts.learn(whole[:48])
    counts.remove(whole[48:])
    assert _uses(counts, "c") == _uses(anew, "c")
    assert counts.size.tolist() == anew.size.tolist()
    assert np.array_equal(counts.alone, anew.alone)
    pairs = np.add.outer(np.arange(3) << 32, np.arange(3)).ravel()
    assert counts.company.of(pairs).tolist() == anew.company.of(pairs).tolist()
    # Of five recent posts two have left; what stays is what is left of them.
    assert len(counts.window[0]) == 3
    assert counts.recent.of(pairs[:3]).sum() == sum(len(row) - 1 for row in counts.window[0])
    code = counts.code["Rye"]
    counts.drop(["Rye"])
    assert counts.uses.of(np.array([code])).tolist() == [0]
    assert not counts.company.of(pairs[(pairs >> 32 == code) | (pairs & 0xFFFFFFFF == code)]).any()


def _uses(counts, community):
    place = counts.place[community]
    return counts.uses.of((place << 32) + counts.codes_in(community)).tolist()


def test_a_history_grows_without_being_read_anew():
    first = History(Posts(days(10).frame))
    asked = ASKED
    first.before(asked), first.before(asked, by="community"), first.moments_of(asked), first.tags_in("c")
    grown, anew = first.followed_by(days(5, start=10)), History(days(15))
    for by in ("user", "community"):
        assert [r.tolist() for r in grown.before(asked, by=by)] == [r.tolist() for r in anew.before(asked, by=by)]
    assert grown.posts.ids == anew.posts.ids
    assert grown.posts.frame.equals(anew.posts.frame)
    assert grown.tags_in("c") == anew.tags_in("c")
    # An earlier post that comes late takes its place in time.
    late = grown.followed_by(Posts.of([post("old", "x", "Old", user="u1", day=3.5)]))
    assert late.posts.ids[4] == "old"


def test_hashes_of_known_posts_stay_sorted():
    model = catalogue.build({"model": "popular"}).fit(days(5)).update(days(5, start=5))
    assert np.array_equal(model.seen_, np.sort(hashed(days(10).ids)))


def test_a_new_community_may_come_after_asking():
    model = catalogue.build({"model": "nearest"}).fit(days(10))
    told(model)
    model.update(Posts.of([post("n", "rye bread", "Loaf", community="new", day=50)]))
    assert model.recommend(Posts.of([post("q", "rye bread", community="new", day=51)]), 5)[0].tags == ["Loaf"]


def test_texts_of_users_go_also_after_their_only_tag_went(tmp_path):
    model = catalogue.build({"model": "nearest"}).fit(days(10))
    model.update(Posts.of([post("s1", "a zanzibar den", "Hideout", user="spy", day=31)]))
    model.forget(tags=["Hideout"])
    assert model.forget(users=["spy"]).posts == 1
    model.save(tmp_path / "m")
    assert not any(b"zanzibar" in file.read_bytes() for file in (tmp_path / "m").rglob("*") if file.is_file())


def test_the_callers_spaces_are_left_alone():
    spaces = TagSpaces([TagSpace.of(["Baking"], "c")])
    catalogue.build({"model": "popular"}).fit(days(10), spaces=spaces).forget(tags=["Baking"])
    assert spaces["c"].tags == {"baking": "Baking"}


def test_a_closed_list_stays_what_the_community_made_it():
    spaces = TagSpaces([TagSpace.of(["Baking", "Surf"], "c", closed=True)])
    model = catalogue.build({"model": "popular"}).fit(days(10), spaces=spaces)
    model.forget(tags=["Surf"])
    assert list(model.spaces_["c"].tags) == ["baking", "surf"]


def test_a_tag_that_comes_slowly_becomes_a_favourite():
    known = [post(f"k{i}", "x", f"Old{i % 100}", user=f"u{i}", day=i / 100) for i in range(300)]
    model = catalogue.build({"model": "own_history"}).fit(Posts.of(known))
    for i in range(9):
        model.update(Posts.of([post(f"n{i}", "x", "Slow", user=f"v{i}", day=10 + i)]))
    assert model.recommend(Posts.of([post("q", "x", user="stranger", day=99)]), 1)[0].tags == ["Slow"]


def test_one_string_is_not_taken_for_its_letters():
    model = catalogue.build({"model": "popular"}).fit(days(10))
    with pytest.raises(TypeError, match="several"):
        model.forget(users="u1")


@pytest.mark.parametrize("name", ["macon", "tagnet"])
def test_networks_remember_no_vector_of_forgotten_posts(name):
    quick = {"width": 8, "inner": 4, "epochs": 1, "image": None}
    model = catalogue.build({"model": name, **quick}).fit(days(24))
    kept = model.shelf_
    assert len(kept["ids"]) == 24
    assert model.forget(users=["u1"]).posts == 8
    assert len(model.shelf_["ids"]) == len(model.shelf_["vectors"]) == len(model.shelf_["looks"]) == 16
    assert not np.isin(hashed([f"p{i}" for i in range(1, 24, 3)]), model.shelf_["ids"]).any()
    told(model)


@pytest.mark.parametrize("name", ["hybrid", "rerank"])
def test_what_is_forgotten_does_not_come_back_through_a_part(name):
    linear, right = {"model": "linear"}, {"model": "right", "selector": False, "generator": QUICK}
    parts = {"classifier": linear, "generator": right} if name == "hybrid" else {"makers": [linear, right]}
    model = catalogue.build({"model": name, **parts}).fit(days(60))
    model.forget(tags=["Surf"])
    for row in model.recommend(ASKED, 20):
        assert "surf" not in [tag.casefold() for tag in row.tags]


QUICK = {"generator": "compact", "width": 16, "updates": 60, "rate": 0.01, "pieces": 300}


def test_an_authors_days_are_the_authors_own():
    floods = Floods()
    assert floods.admit(Posts.of([post(f"f{i}", "x", "Scam", user="mo", day=900) for i in range(4)])).sum() == 3
    assert floods.admit(Posts.of([post(f"g{i}", "x", "Scam", user="jo", day=1) for i in range(4)])).sum() == 3
    # Dated back by years, an author's further posts count as of the author's oldest day held.
    assert floods.admit(Posts.of([post(f"h{i}", "x", "Scam", user="mo", day=i) for i in range(9)])).sum() == 3


def test_popular_counts_on_after_very_many_half_lives():
    model = catalogue.build({"model": "popular", "half_life_days": 0.25}).fit(days(3))
    for i, tag in enumerate(("Early", "Late")):
        model.update(Posts.of([post(f"n{i}", "x", tag, user=f"n{i}", day=400 + 30 * i)]))
    found = model.recommend(Posts.of([post("q", "x", day=500)]), 2)[0]
    assert found.tags == ["Late", "Early"]
    assert all(np.isfinite(s.score) for s in found.suggestions)
