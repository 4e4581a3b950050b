"""A classifier's and a generator's tags in one list, shares searched on later posts (DESIGN, Bansal et al. 2022).

Selector, combiner and evaluator as in the paper, for any two recommenders; the union of any two sizes and
reciprocal-rank fusion beside the cut. The search sees the latest training posts alone.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from hashloom.data.history import History
from hashloom.data.prepare import with_tags
from hashloom.recommender import Gone, Recommender, hashed
from hashloom.recommenders import _combine
from hashloom.recommenders._combine import Choice, Found, Measure, Pair, Way
from hashloom.recommenders.linear import Linear
from hashloom.recommenders.rerank import _places_in_community
from hashloom.recommenders.string_match import StringMatch
from hashloom.types import Count, Positive, Posts, Rankings, Reason, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 1024
LOG = logging.getLogger(__name__)


@dataclass
class Hybrid(Recommender):
    """Some tags of a classifier, then some of a generator: how many of each is learnt from later posts.

    Both learn from the past, are asked about the latest posts of each community, where the shares are searched, and
    then learn again from everything. Where there is no later post to search on, the classifier's tags come first.

    Learnt: ``s1_`` and ``s2_`` (cut, free), ``eta_`` (reciprocal: what the generator weighs) and ``searched_``, what
    the search saw: its posts, each choice tried (s1, s2, eta) with its score, and the nested score of choosing itself.

    >>> from hashloom.types import Post
    >>> loaf, wave = Post("1", "rye bread", "c", tags=("baking",)), Post("2", "high wave", "c", tags=("surf",))
    >>> Hybrid().fit(Posts.of([loaf, wave])).recommend(Posts.of([Post("3", "more bread", "c")]), 1)[0].tags
    ['baking']
    """

    classifier: Recommender = field(default_factory=Linear)
    """The recommender whose tags come first and fill the list."""
    generator: Recommender = field(default_factory=StringMatch)
    """The recommender whose tags are mixed in."""
    size: Count = 7
    """The length of the list that the shares are searched for; a longer one goes on with the classifier's tags."""
    way: Way = "cut"
    """cut: s1 tags of the one and size - s1 of the other. free: the first s1 and the first s2 tags together, any of
    both up to 15. reciprocal: 1/(constant + rank) of both added, the generator's times eta."""
    validation: Share = 0.1
    """The latest share of each community's posts, on which the shares are searched."""
    metric: Measure = "f1_means"
    """What the search looks at: F1 of mean precision and mean recall, or the mean of each post's F1."""
    refit: bool = True
    """Whether both learn again from all posts once the shares are chosen."""
    depth: Count = 30
    """Tags asked of each."""
    constant: Positive = 60.0
    """reciprocal: what is added to each rank."""

    def _fit(self, posts: Posts) -> None:
        later = _places_in_community(posts) >= 1 - self.validation
        searched = bool(later.any() and not later.all())
        choice = Choice(self.way, self.size, 0, 0.0, self.constant)
        self.searched_: dict[str, object] = {}
        if searched:
            for part in self.inside():
                part._pretrain(posts)
            self._learn_parts(posts[~later])
            found = self._search(posts[later], History(posts))
            choice, self.searched_ = found.choice, _report(found)
        else:
            LOG.info("no later posts to search shares on: the classifier's tags come first")
        self.s1_, self.s2_, self.eta_ = choice.s1, choice.s2, choice.eta
        self.held_ = np.sort(hashed(posts[later].ids)) if searched and not self.refit else np.zeros(0, np.uint64)
        if self.refit or not searched:
            self._learn_parts(posts)

    def _learn_parts(self, posts: Posts) -> None:
        for part in self.inside():
            LOG.info("learning %s from %d posts", part.name, len(posts))
            part._learn(posts, self.spaces_)

    def _search(self, asked: Posts, history: History) -> Found:
        """The best shares on posts that neither part has learnt from; neither is shown their tags."""
        bare = with_tags(asked, [[] for _ in asked.ids])
        parts = [bare[i : i + BATCH] for i in range(0, len(bare), BATCH)]
        first, second = (
            Rankings.concat([part._rank(some, self.depth, history, False) for some in parts])
            for part in (self.classifier, self.generator)
        )
        code: dict[str, int] = {}
        pair = Pair.of(first, second, self.depth, code)
        truths = [[code.get(tag, -1) for tag in tags] for tags in asked.tags]
        found = _combine.search(pair, truths, self.size, self.way, metric=self.metric, constant=self.constant)
        LOG.info("chosen on %d posts: %s, %s %.4f", found.posts, found.choice, self.metric, found.score)
        return found

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        depth = max(self.depth, k)
        answers = [
            self._known_to(part, part._rank(posts, depth, history, explain), posts.communities, history)
            for part in (self.classifier, self.generator)
        ]
        code: dict[str, int] = {}
        pair = Pair.of(answers[0], answers[1], depth, code)
        choice = Choice(self.way, self.s1_, self.s2_, self.eta_, self.constant)
        columns, scores = choice.order(pair, k)
        names = list(code)
        given = _combine.codes(pair, columns)
        lists = [
            [(names[tag], worth) for tag, worth in zip(tags, worths) if tag >= 0]
            for tags, worths in zip(given.tolist(), scores.tolist())
        ]
        why = [self._reasons(i, row, answers) for i, row in enumerate(lists)] if explain else None
        return Rankings.of(posts.ids, lists, why)

    def _reasons(self, i: int, row: list[tuple[str, float]], answers: list[Rankings]) -> list[tuple[Reason, ...]]:
        """For each tag: which part has it at which place, and that part's own reasons."""
        why: dict[str, list[Reason]] = {tag: [] for tag, _ in row}
        for part, ranking in zip((self.classifier, self.generator), answers):
            low, high = ranking.starts[i : i + 2].tolist()
            for at in range(low, high):
                said = why.get(ranking.tags[at])
                if said is not None:
                    said.append(Reason("model", f"{part.name} #{at - low + 1}", float(ranking.scores[at])))
                    said.extend(ranking.reasons[at] if ranking.reasons else ())
        return [tuple(why[tag]) for tag, _ in row]

    def _forget(self, gone: Gone) -> None:
        if len(self.held_):  # posts that shares were searched on and that neither part has learnt from
            learnt, left = (posts[~np.isin(hashed(posts.ids), self.held_)] for posts in (gone.posts, gone.left))
            gone = replace(gone, posts=learnt, left=left)
        super()._forget(gone)

    def _coins(self, tag: str) -> bool:
        return any(part._coins(tag) for part in self.inside())


def _report(found: Found) -> dict[str, object]:
    """What the search saw, as it is kept."""
    tried: NDArray[np.float64] = np.array([(c.s1, c.s2, c.eta) for c in found.tried])
    return {
        "posts": found.posts,
        "score": found.score,
        "nested": found.nested,
        "tried": tried,
        "scores": found.scores,
    }
