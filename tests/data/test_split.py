"""Splits by user: authors stay whole, and what is known of the test part's authors comes through history alone."""

import pytest

from hashloom.data.split import split
from hashloom.types import Post, Posts

POSTS = Posts.of([Post(f"{u}-{i}", f"post {i} of author {u}", "c", f"u{u}") for i in range(5) for u in range(40)])


def sides(made):
    return [set(part.users) for part in (made.train, made.validation, made.test)]


def test_authors_stand_whole_in_one_part():
    train, validation, test = sides(split(POSTS, "user"))
    assert (len(train), len(validation), len(test)) == (28, 4, 8)
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_which_authors_depends_on_the_seed_and_the_id_names_it():
    one, again, other = (split(POSTS, "user", seed=seed) for seed in (1, 1, 2))
    assert one.test.ids == again.test.ids != other.test.ids
    assert one.id.endswith("-seed1")
    assert other.id.endswith("-seed2")


def test_posts_without_an_author_are_drawn_one_by_one_and_copies_together():
    alone = Posts.of([Post(f"p{i}", f"a text of its own, {i:03}", "c") for i in range(90)])
    copies = Posts.of([Post(f"c{i}", f"The very same text{'!' * i}", "c") for i in range(10)])
    made = split(Posts.concat([alone, copies]), "user")
    parts = [set(part.ids) for part in (made.train, made.validation, made.test)]
    assert sum(map(len, parts)) == 100
    assert sorted(len(part & set(copies.ids)) for part in parts) == [0, 0, 10]
    assert all(len(part & set(alone.ids)) for part in parts)


@pytest.mark.parametrize("seed", range(5))
def test_no_author_of_an_earlier_part_wrote_a_copy_of_a_later_parts_post(seed):
    rows = [Post(f"{u}-{i}", f"post {i} of author {u}", "c", f"u{u}") for u in range(20) for i in range(3)]
    rows += [Post(f"{u}-copy", "all of us repeat this sentence", "c", f"u{u}") for u in range(20)]
    made = split(Posts.of(rows), "user", seed=seed)
    assert [sum("copy" in i for i in part.ids) for part in (made.train, made.validation, made.test)] == [0, 0, 4]
    assert len(made.train) + len(made.validation) + len(made.test) == 64
    whole = split(Posts.of(rows), "user", seed=seed, grouped=False)
    assert [len(part) for part in (whole.train, whole.validation, whole.test)] == [56, 8, 16]
