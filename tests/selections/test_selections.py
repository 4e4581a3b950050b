"""Which earlier posts are read: every rule against cases worked out by hand, then what all rules promise."""

import math
from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest

from hashloom import catalogue
from hashloom.selections._selection import Asked, Memory, Selection, standard
from hashloom.selections.community import Community
from hashloom.selections.diverse import Diverse
from hashloom.selections.everything import Everything
from hashloom.selections.fixed import Fixed
from hashloom.selections.recent import Recent
from hashloom.selections.redrawn import Redrawn
from hashloom.selections.similar import Similar
from hashloom.selections.similar_recent import SimilarRecent
from hashloom.selections.tag_memory import TagMemory

RULES = catalogue.names("selections")


def one(likeness, ages, tags=(), others=(), alike=None, first=10):
    """One post ``q`` by mo with a past of rows 10, 11, …, oldest first."""
    rows = np.arange(first, first + len(likeness))
    far = [np.array(column) for column in zip(*others)] or [np.zeros(0, int), np.zeros(0), np.zeros(0)]
    return Asked(
        ids=["q"],
        past=[rows],
        ages=[np.array(ages, float)],
        likeness=lambda i, at: np.array(likeness)[at - first],
        alike=lambda at: np.array(alike)[np.ix_(at - first, at - first)],
        tags=lambda row: tags[row - first],
        others=lambda i, n: (far[0][:n], far[1][:n], far[2][:n]),
        users=["mo"],
    )


def many(sizes, users=None, seed=0):
    """Posts with pasts of these sizes, rows of their own each, and vectors that say how alike posts are."""
    random = np.random.default_rng(seed)
    ends = np.cumsum(sizes)
    past = [np.arange(end - size, end) for size, end in zip(sizes, ends)]
    rows = int(ends[-1]) + 50
    vectors = random.normal(size=(rows, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tags = [sorted(random.choice(30, random.integers(0, 6), replace=False).tolist()) for _ in range(rows)]
    asked = random.normal(size=(len(sizes), 8))
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)

    def others(i, n):
        at = np.arange(rows - 50, rows - 50 + i % 4)
        order = np.argsort(-(vectors[at] @ asked[i]))[:n]
        return at[order], vectors[at[order]] @ asked[i], np.ones(len(order))

    return Asked(
        ids=[f"p{i}" for i in range(len(sizes))],
        past=past,
        ages=[np.sort(random.exponential(30, size))[::-1] for size in sizes],
        likeness=lambda i, at: vectors[at] @ asked[i],
        alike=lambda at: vectors[at] @ vectors[at].T,
        tags=lambda row: tags[row],
        others=others,
        users=users or [f"u{i}" for i in range(len(sizes))],
    )


def part(asked, order):
    """The same posts in another order, or some of them."""
    return Asked(
        ids=[asked.ids[i] for i in order],
        past=[asked.past[i] for i in order],
        ages=[asked.ages[i] for i in order],
        likeness=lambda i, at: asked.likeness(order[i], at),
        alike=asked.alike,
        tags=asked.tags,
        others=lambda i, n: asked.others(order[i], n),
        users=[asked.users[i] for i in order],
    )


def chosen(rule, asked, epoch=-1):
    return rule.choose(asked, epoch).rows[0].tolist()


def same(one: Memory, other: Memory):
    tags = (one.tags is None and other.tags is None) or np.array_equal(one.tags, other.tags)
    return tags and np.array_equal(one.rows, other.rows) and np.array_equal(one.facts, other.facts)


# ---- one rule after the other


def test_fixed_draws_once_per_user():
    asked = many([40] * 30, users=["mo"] * 15 + ["jo"] * 15)
    places = Fixed(3).choose(asked).rows - np.array([rows[0] for rows in asked.past])[:, None]
    assert (places[:15] == places[0]).all()
    assert (places[15:] == places[15]).all()
    assert set(places[0]) != set(places[15])
    assert chosen(Fixed(3), asked, 0) == chosen(Fixed(3), asked, 5) == chosen(Fixed(3), asked)
    assert set(chosen(Fixed(3, seed=1), asked)) != set(chosen(Fixed(3), asked))


def test_fixed_keeps_its_choice_until_a_new_post_draws_a_higher_lot():
    sizes = range(1, 200)
    found = [set(chosen(Fixed(2), one([0] * n, range(n, 0, -1)))) for n in sizes]
    for size, before, after in zip(range(2, 200), found, found[1:]):
        assert after == before or 10 + size - 1 in after - before
    assert sum(before != after for before, after in pairwise(found)) < 30


def test_fixed_draws_evenly():
    asked = many([10] * 3000)
    places = Fixed(2).choose(asked).rows - np.array([rows[0] for rows in asked.past])[:, None]
    assert np.bincount(places.ravel(), minlength=10) == pytest.approx([600] * 10, rel=0.2)


def test_fixed_says_that_it_needs_users():
    asked = Asked(["q"], [np.arange(3)], [np.ones(3)], lambda i, at: at * 0.0, None, None, None)
    with pytest.raises(ValueError, match="users"):
        Fixed().choose(asked)


def test_redrawn_differs_from_epoch_to_epoch_and_is_steady_when_answering():
    asked = many([40] * 10)
    epochs = [Redrawn().choose(asked, epoch).rows for epoch in (0, 1, -1)]
    assert all((a != b).any(axis=1).sum() >= 8 for a, b in [epochs[:2], epochs[1:], epochs[::2]])
    assert np.array_equal(Redrawn().choose(asked, 1).rows, epochs[1])
    assert np.array_equal(Redrawn().choose(asked).rows, epochs[2])
    assert not np.array_equal(Redrawn(seed=1).choose(asked).rows, epochs[2])


def test_recent_by_hand():
    memory = Recent(2).choose(one([0.5, -0.25, 0.75], [9, 4, 1]))
    assert memory.rows.tolist() == [[12, 11]]
    wanted = [[0.75, math.log(2), 0, 0], [-0.25, math.log(5), 0, 0]]
    assert memory.facts[0] == pytest.approx(np.array(wanted), abs=1e-6)


def test_similar_by_hand_ties_to_the_later():
    assert chosen(Similar(3), one([0.5, 0.9, 0.5, 0.1], [4, 3, 2, 1])) == [11, 12, 10]


def test_similar_recent_by_hand():
    # ln(age + 1) is 2, 1, 0, so its z is 1.22, 0, -1.22; the likenesses have mean .6
    ages = [math.e**2 - 1, math.e - 1, 0]
    asked = one([0.9, 0.8, 0.1], ages)
    z = (np.array([0.9, 0.8, 0.1]) - 0.6) / math.sqrt((0.09 + 0.04 + 0.25) / 3)
    late = np.array([-1, 0, 1]) * math.sqrt(1.5)
    for alpha, decay in [(0.5, 1), (0.3, 1), (0.7, 0.3), (0.5, 1.7)]:
        scores = alpha * z + (1 - alpha) * decay * late
        wanted = (10 + np.argsort(-scores)).tolist()
        assert chosen(SimilarRecent(3, alpha, decay), asked) == wanted
    assert chosen(SimilarRecent(1, 0.5), asked) == [11]
    assert chosen(SimilarRecent(1, 0.5, decay=3.0), asked) == [12]


def test_similar_recent_ends_in_similar_and_in_recent():
    asked = many([0, 1, 2, 7, 60] * 4)
    assert same(SimilarRecent(5, alpha=1).choose(asked), Similar(5).choose(asked))
    assert same(SimilarRecent(5, alpha=0).choose(asked), Recent(5).choose(asked))


def test_equal_values_have_no_z():
    assert standard(np.array([0.1] * 3)).tolist() == [0, 0, 0]
    assert standard(np.array([0.0, 5e-324])).tolist() == [0, 0]
    assert standard(np.zeros(0)).tolist() == []
    assert chosen(SimilarRecent(2), one([0.1] * 3, [5.0] * 3)) == [12, 11]


def test_diverse_by_hand():
    alike = [[1, 0.2, 0.9], [0.2, 1, 0.1], [0.9, 0.1, 1]]
    asked = one([0.6, 0.4, 0.7], [1, 1, 1], alike=alike)
    # z = 0.267, -1.336, 1.069: after row 12, row 10 is worth .7 * .267 - .3 * .9, row 11 .7 * -1.336 - .3 * .1
    assert chosen(Diverse(2, alpha=1), asked) == [12, 10]
    # at mu .3: row 10 .08 - .63 = -.55, row 11 -.401 - .07 = -.47
    assert chosen(Diverse(2, alpha=1, mu=0.3), asked) == [12, 11]
    assert chosen(Diverse(3, alpha=1, mu=0.3), asked) == [12, 11, 10]


def test_diverse_heeds_the_nearest_of_all_chosen():
    alike = [[1, 0, 0.5, 0.9], [0, 1, 0.4, 0.1], [0.5, 0.4, 1, 0.3], [0.9, 0.1, 0.3, 1]]
    # equal scores: first the latest, row 13; row 11 (.1) is least like it; then row 10 is at .9, row 12 at .4
    assert chosen(Diverse(4), one([0.5] * 4, [1] * 4, alike=alike)) == [13, 11, 12, 10]


def test_diverse_is_similar_recent_where_the_score_alone_counts():
    asked = many([0, 1, 5, 100])
    assert same(Diverse(70, mu=1).choose(asked), SimilarRecent(70).choose(asked))


def test_diverse_compares_only_the_best_64():
    asked = many([300])
    seen = []
    Diverse(4).choose(replace(asked, alike=lambda at: seen.append(len(at)) or asked.alike(at)))
    assert seen == [64]


def test_everything_is_all_up_to_the_size():
    asked = one([0.1, 0.2, 0.3], [3, 2, 1])
    assert chosen(Everything(5), asked) == [12, 11, 10, -1, -1]
    assert chosen(Everything(2), asked) == [12, 11]
    assert Everything.recency


def test_tag_memory_by_hand():
    asked = one([0.9, 0.2, 0.5], [9, 4, 1], tags=[[7, 3], [3], [5, 3]])
    memory = TagMemory(4).choose(asked)
    # activations: 3: .316 + .447 + .707, 5: .707, 7: .316
    assert memory.tags.tolist() == [[3, 5, 7, -1]]
    assert memory.rows.tolist() == [[10, 12, 10, -1]]
    wanted = [
        [0.9, math.log(2), math.log(4), 0],
        [0.5, math.log(2), math.log(2), 0],
        [0.9, math.log(10), math.log(2), 0],
        [0, 0, 0, 0],
    ]
    assert memory.facts[0] == pytest.approx(np.array(wanted), abs=1e-6)
    assert TagMemory(2).choose(asked).tags.tolist() == [[3, 5]]


def test_tag_memory_weighs_uses_by_their_age():
    # tag 1 twice long ago, tag 2 once just now: at decay .1 counting wins, at 1.7 the late one
    asked = one([0, 0, 0], [99, 98, 0], tags=[[1], [1], [2]])
    assert TagMemory(1, decay=0.1).choose(asked).tags.tolist() == [[1]]
    assert TagMemory(1, decay=1.7).choose(asked).tags.tolist() == [[2]]


def test_tag_memory_counts_a_tag_once_in_a_post_and_copes_with_untagged_ones():
    memory = TagMemory(3).choose(one([0.1, 0.4], [2, 1], tags=[[6, 6], []]))
    assert memory.tags.tolist() == [[6, -1, -1]]
    assert memory.facts[0, 0] == pytest.approx([0.1, math.log(3), math.log(2), 0], abs=1e-6)


def test_community_adds_the_nearest_of_others_and_says_so():
    others = [(3, 0.8, 0.0), (1, 0.6, 1.0), (2, 0.4, 2.0)]
    asked = one([0.1, 0.9], [2, 1], others=others)
    memory = Community(size=1, neighbours=2).choose(asked)
    assert memory.rows.tolist() == [[11, 3, 1]]
    assert memory.facts[0, :, 3].tolist() == [0, 1, 1]
    assert memory.facts[0, 1:, :2] == pytest.approx(np.array([[0.8, 0], [0.6, math.log(2)]]), abs=1e-6)
    own = Community(size=4, neighbours=3).choose(many([0, 1, 2, 9]))
    assert np.array_equal(own.rows[:3, 0] >= 0, [False, True, True])
    assert own.facts[3, :, 3].tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_a_stranger_gets_others_alone():
    memory = Community(size=2, neighbours=2).choose(one([], [], others=[(4, 0.5, 1.0)]))
    assert memory.rows.tolist() == [[4, -1, -1, -1]]
    assert memory.facts[0, :, 3].tolist() == [1, 0, 0, 0]


# ---- what all promise


def rule_of(name, **said) -> Selection:
    return catalogue.find("selections", name)(**said)


def test_the_room_holds_nine_rules():
    assert len(RULES) == 9


@pytest.mark.parametrize("name", RULES)
def test_shapes_padding_and_nothing_from_outside(name):
    asked = many([0, 1, 2, 3, 10, 64, 65, 100, 500])
    for size in (1, 2, 8, 64):
        rule = rule_of(name, size=size)
        memory = rule.choose(asked)
        assert memory.rows.shape == (9, rule.width)
        assert memory.facts.shape == (9, rule.width, 4)
        assert memory.rows.dtype == np.int64
        assert memory.facts.dtype == np.float32
        assert np.isfinite(memory.facts).all()
        there = memory.rows >= 0
        assert (np.diff(there.astype(int), axis=1) <= 0).all(), "padding stands at the end"
        assert (memory.facts[~there] == 0).all()
        assert (memory.rows[~there] == -1).all()
        assert (memory.tags is not None) == (rule.kind == "tags")
        for i, (rows, facts) in enumerate(zip(memory.rows, memory.facts)):
            held = rows[rows >= 0]
            own = held[facts[: len(held), 3] == 0]
            entries = held if memory.tags is None else memory.tags[i][rows >= 0]
            assert len(set(entries.tolist())) == len(entries), "nothing comes twice"
            assert set(own.tolist()) <= set(asked.past[i].tolist())
            assert rule.others or len(own) == len(held)
            if rule.kind == "posts":
                assert len(own) == min(size, len(asked.past[i]))
                ages = dict(zip(asked.past[i].tolist(), asked.ages[i].tolist()))
                assert facts[: len(own), 1] == pytest.approx(np.log1p([ages[r] for r in own]), rel=1e-5)
                assert facts[: len(own), 0] == pytest.approx(asked.likeness(i, own), abs=1e-6)
                assert (facts[:, 2] == 0).all()


@pytest.mark.parametrize("name", RULES)
def test_the_choice_depends_on_the_post_alone(name):
    asked, rule = many([5, 0, 80, 12, 3, 40]), rule_of(name)
    for epoch in (-1, 0, 3):
        whole = rule.choose(asked, epoch)
        assert same(rule.choose(asked, epoch), whole)
        order = [4, 2, 0, 5, 1, 3]
        turned = rule.choose(part(asked, order), epoch)
        alone = [rule.choose(part(asked, [i]), epoch) for i in order]
        assert np.array_equal(turned.rows, whole.rows[order])
        assert np.array_equal(turned.facts, whole.facts[order])
        assert np.array_equal(np.concatenate([m.rows for m in alone]), whole.rows[order])
        assert np.array_equal(np.concatenate([m.facts for m in alone]), whole.facts[order])


@pytest.mark.parametrize("name", RULES)
def test_only_what_says_so_changes_with_the_epoch(name):
    asked, rule = many([50] * 10), rule_of(name)
    assert same(rule.choose(asked, 0), rule.choose(asked, 1)) != rule.redrawn


@pytest.mark.parametrize("name", RULES)
def test_a_smaller_memory_is_the_beginning_of_a_larger_one(name):
    asked = many([5, 0, 80, 12])
    held = [0, 2, 3]
    few, more = (rule_of(name, size=size).choose(asked).rows[held, :2] for size in (2, 4))
    assert np.array_equal(few, more)


@pytest.mark.parametrize("name", RULES)
def test_no_post_asked_and_no_past(name):
    nobody = part(many([1]), [])
    assert rule_of(name).choose(nobody).rows.shape == (0, rule_of(name).width)
    strangers = many([0, 0])
    assert (rule_of(name).choose(part(strangers, [0])).rows == -1).all()


@pytest.mark.parametrize("name", RULES)
def test_likeness_is_not_asked_of_nothing(name):
    def never(i, at):
        assert len(at)
        return np.zeros(len(at))

    none = (np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
    asked = Asked(["q"], [none[0]], [none[1]], never, never, never, lambda i, n: none, ["mo"])
    assert (rule_of(name).choose(asked).rows == -1).all()


@pytest.mark.parametrize("name", [n for n in RULES if rule_of(n).kind == "posts"])
def test_posts_are_chosen_without_a_look_at_their_tags(name):
    asked = many([5, 0, 80])

    def forbidden(row):
        raise AssertionError("tags were read")

    assert same(rule_of(name).choose(replace(asked, tags=forbidden)), rule_of(name).choose(asked))


@pytest.mark.parametrize("name", RULES)
def test_every_field_has_a_default_and_a_line(name):
    part = catalogue.find("selections", name)
    assert all(setting.about for setting in catalogue.listing(part))
    assert {"size"} <= {f.name for f in fields(part)}
    assert catalogue.about("selections", name)


def test_lists_of_unlike_lengths_are_refused():
    with pytest.raises(ValueError, match="equally many"):
        Asked(["a", "b"], [np.arange(1)], [np.ones(1)], None, None, None, None)
