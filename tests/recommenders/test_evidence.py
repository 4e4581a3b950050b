"""What a ranker reads of candidates, against the same written plainly, post by post and tag by tag."""

from __future__ import annotations

from math import log

import numpy as np
import pytest

from hashloom.data.history import History
from hashloom.recommenders._counts import Counts
from hashloom.recommenders._evidence import ANCHORS, NAMES_OF_COUNTS, Candidates, features
from hashloom.types import Post, Posts, Rankings

TAGS = [f"t{i}" for i in range(12)]


def world(seed: int) -> tuple[Posts, Posts, list[Rankings], list[list[str]]]:
    """Past posts, asked posts, what two makers propose for these (new tags among it), and tags listed for each."""
    draw = np.random.default_rng(seed)
    past = [
        Post(f"p{i}", "w", "c", tags=tuple(draw.choice(TAGS, draw.integers(1, 5), replace=False))) for i in range(60)
    ]
    asked = Posts.of([Post(f"a{i}", "some words", "c") for i in range(5)])
    names = [*TAGS, "new", "newer"]
    made = []
    for _ in range(2):
        rows = [list(draw.choice(names, draw.integers(0, 10), replace=False)) for _ in range(5)]
        scores = [sorted(draw.random(len(row)), reverse=True) for row in rows]
        made.append(Rankings.of(asked.ids, [list(zip(map(str, row), of)) for row, of in zip(rows, scores)]))
    listed = [sorted(map(str, draw.choice(TAGS, 2, replace=False))) for _ in range(5)]
    return Posts.of(past), asked, made, listed


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("with_listed", [False, True])
def test_candidates_are_what_makers_propose_and_what_is_listed(seed: int, with_listed: bool) -> None:
    past, _, made, listed = world(seed)
    counts = Counts.learn(past)
    codes = [np.array([counts.code[tag] for tag in row]) for row in listed] if with_listed else None
    found = Candidates.of(made, counts.tags, counts.code, codes)
    told = {}
    for at, (post, tag) in enumerate(zip(found.post.tolist(), found.tag.tolist())):
        told[post, found.names[tag]] = (found.scores[at].tolist(), found.ranks[at].tolist())
    wanted = {(i, tag) for ranking in made for i in range(5) for tag in ranking.row(i)[0]}
    assert told.keys() == wanted | ({(i, tag) for i, row in enumerate(listed) for tag in row} if with_listed else set())
    for (post, tag), (scores, ranks) in told.items():
        for maker, ranking in enumerate(made):
            tags, given = ranking.row(post)
            if tag in tags:
                at = list(tags).index(tag)
                assert (scores[maker], ranks[maker]) == (np.float32(given[at]), at + 1)
            else:
                assert np.isnan([scores[maker], ranks[maker]]).all()


@pytest.mark.parametrize("seed", range(6))
def test_company_is_counted_with_the_likeliest_candidates_of_the_post(seed: int) -> None:
    past, asked, made, _ = world(seed)
    counts = Counts.learn(past)
    found = Candidates.of(made, counts.tags, counts.code)
    columns = features(found, counts, asked, History(past))[:, 3 * len(made) :]
    told = dict(zip(NAMES_OF_COUNTS, columns.T))
    alone = {tag: sum(tag in p.tags for p in past) for tag in TAGS}
    fused = found.fused()
    for at, (post, code) in enumerate(zip(found.post, found.tag)):
        tag = found.names[code]
        mine = np.flatnonzero(found.post == post)
        first = np.where(np.isnan(found.ranks[mine, 0]), np.inf, found.ranks[mine, 0])
        order = mine[np.lexsort((-fused[mine], first))]
        chance, lift, most, summed, squared = np.nan, np.nan, 0.0, 0.0, 0.0
        for place, anchor in enumerate(order[:ANCHORS].tolist()):
            other = found.names[found.tag[anchor]]
            if other == tag or other not in alone or tag not in alone:
                continue
            both = sum(tag in p.tags and other in p.tags for p in past)
            share, weight = both / max(alone[other], 1), np.clip(np.nan_to_num(found.scores[anchor, 0]), 0, 1)
            if place == 0:
                chance = share
                lift = log((both + 0.5) * sum(alone.values()) / ((alone[other] + 1) * (alone[tag] + 1)))
            most, summed, squared = max(most, share), summed + weight * share, squared + weight**2 * share
        said = [told[name][at] for name in NAMES_OF_COUNTS if name.startswith("company")]
        np.testing.assert_allclose(said, [chance, lift, most, summed, squared], rtol=1e-5, atol=1e-6)
