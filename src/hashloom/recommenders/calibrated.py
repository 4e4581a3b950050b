"""Another recommender's list with chances for scores, cut where the expected F1 is highest (Ye et al., ICML 2012).

The map from score and rank to the chance that a tag is true is learnt on the latest training posts, which the held
recommender has not seen then; afterwards they are added to what it counts and remembers, or it learns again from
everything. See ``_calibrating``, ``_lengths`` and ``_dials``.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from hashloom.data.history import History
from hashloom.data.prepare import with_tags
from hashloom.recommender import Gone, Recommender
from hashloom.recommenders import _dials
from hashloom.recommenders._calibrating import LEAST, Chances, Taught
from hashloom.recommenders._counts import Counts, joined
from hashloom.recommenders._lengths import best_lengths
from hashloom.recommenders.linear import Linear
from hashloom.recommenders.rerank import _places_in_community
from hashloom.types import UNDATED, Count, Marks, Posts, Rankings, Reason, Share

BATCH = 1024
YOUNG = 30 * 86_400e6
"""A tag is young for so long (in microseconds) after its first use in the community."""
AT_ONCE = ("floor", "adaptive", "popularity", "diversity", "novelty")
"""Settings that change nothing that is learnt."""
LOG = logging.getLogger(__name__)


@dataclass
class Calibrated(Recommender):
    """The held recommender's order, with chances for scores. Floor, cut and dials can be turned without learning anew.

    Floor and cut act on what is handed out, after the tag spaces. Where fewer than 40 later posts can teach the map,
    chances are guessed from the rank.

    Learnt: ``chances_`` (the map, its way and what each way lost on later posts), ``counts_``, ``first_`` and
    ``latest_`` (uses of tags, when each community used them first, the moment of the latest post).

    >>> from hashloom.types import Post
    >>> loaf, wave = Post("1", "rye bread", "c", tags=("baking",)), Post("2", "high wave", "c", tags=("surf",))
    >>> model = Calibrated().fit(Posts.of([loaf, wave]))
    >>> [(s.tag, s.score) for s in model.recommend(Posts.of([Post("3", "more bread", "c")]), 1)[0].suggestions]
    [('baking', 0.5)]
    >>> model.turned(floor=0.6).recommend(Posts.of([Post("3", "more bread", "c")]))[0].tags
    []
    """

    reads_history: ClassVar[bool] = True
    says_chances: ClassVar[bool] = True

    held: Recommender = field(default_factory=Linear)
    """The recommender whose tags and order are kept."""
    floor: Share = 0.0
    """Tags with a smaller chance than this are not suggested, even if that leaves none."""
    adaptive: bool = False
    """Whether a list ends where its expected F1 is highest, instead of at k."""
    popularity: Share = 0.0
    """How much tags that the community uses often are moved down."""
    diversity: Share = 0.0
    """How much tags that stand together with an earlier one of the list are moved down."""
    novelty: Share = 0.0
    """How much tags are moved up that are younger than 30 days in the community, or that the author has never used."""
    way: Literal["chosen", "isotonic", "logistic"] = "chosen"
    """What the map looks at: the score alone, or also rank, margins and rivals; chosen: what later posts prefer."""
    validation: Share = 0.1
    """The latest share of each community's posts, from which the map is learnt."""
    teachers: Count = 20_000
    """The latest so many of these, which bounds the time on large sets."""
    refit: bool = False
    """Whether the held recommender learns again from all posts once the map is known, instead of only adding the later
    ones to its counts and neighbours. The map then holds only where scores mean the same after each training: those of
    boosted rankers do not."""
    depth: Count = 30
    """Tags asked of the held recommender."""

    def _fit(self, posts: Posts) -> None:
        later = self._later(posts)
        taught = self._taught(posts, later) if later.any() else _NOTHING
        self.chances_ = Chances.learn(taught, self.depth, self.way).state()
        said = ", ".join(f"{way} {loss:.4f}" for way, loss in self.chances_["losses"].items())
        LOG.info("chances: %s, from %d posts; log loss %s", self.chances_["way"], self.chances_["posts"], said)
        if self.refit or not later.any():
            self.held._learn(posts, self.spaces_)
        else:
            self.held._update(posts[later])
        self.counts_ = Counts.learn(posts).state()
        self._begin(posts)

    def _later(self, posts: Posts) -> NDArray[np.bool_]:
        """The posts that teach the map; none where they are too few. (posts,)"""
        later = _places_in_community(posts) >= 1 - self.validation
        later[np.flatnonzero(later)[: -self.teachers]] = False
        if later.sum() < LEAST or later.all():
            LOG.info("%d later posts are too few to learn chances from; they are guessed from the rank", later.sum())
            later[:] = False
        return later

    def _taught(self, posts: Posts, later: NDArray[np.bool_]) -> Taught:
        """What the held recommender, which then knows the earlier posts alone, says of the later ones."""
        self.held._pretrain(posts)
        LOG.info("learning %s from %d of %d posts", self.held.name, int((~later).sum()), len(posts))
        self.held._learn(posts[~later], self.spaces_)
        asked, history = posts[later], History(posts)
        bare = with_tags(asked, [[] for _ in asked.ids])
        parts = [bare[i : i + BATCH] for i in range(0, len(bare), BATCH)]
        return _compared(Rankings.concat([self._held(part, self.depth, history) for part in parts]), asked)

    def _held(self, posts: Posts, k: int, history: History, explain: bool = False) -> Rankings:
        return self.held._rank(posts, k, history, explain)

    # ---- posts that come and go

    def _begin(self, posts: Posts) -> None:
        self.first_: dict[str, dict[str, int]] = {}
        self.latest_ = UNDATED
        self._enter(posts)

    def _enter(self, posts: Posts) -> None:
        """Note when tags are used first, and the moment of the latest post."""
        self.latest_ = max(self.latest_, int(posts.times.max(initial=UNDATED)))
        for community, moment, tags in zip(posts.communities, posts.times.tolist(), posts.tags):
            first = self.first_.setdefault(community, {})
            for tag in tags:
                first[tag] = min(moment, first.get(tag, moment))

    def _update(self, posts: Posts) -> None:
        """What is held and the counts grow; the map stays."""
        super()._update(posts)
        self._counts.add(posts)
        self.counts_ = self._counts.state()
        self._enter(posts)

    def _forget(self, gone: Gone) -> None:
        super()._forget(gone)
        self._counts.remove(gone.posts)
        self._counts.drop(gone.tags)
        self.counts_ = self._counts.state()
        self._begin(gone.left)

    @cached_property
    def _counts(self) -> Counts:
        return Counts.of(self.counts_)

    # ---- answers

    def turned(self, **settings: float | bool) -> Self:
        """The same model with another ``floor``, ``adaptive``, ``popularity``, ``diversity`` or ``novelty``.

        What is learnt is shared: made in microseconds for one answer, and not to be updated. Raises ``ValueError``
        for other settings and for numbers outside of 0 to 1.
        """
        for name, value in settings.items():
            if name not in AT_ONCE:
                raise ValueError(f"{name!r} cannot be turned without learning anew; these can: {', '.join(AT_ONCE)}")
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {value}")
        made = copy.copy(self)
        for name, value in settings.items():
            setattr(made, name, value)
        return made

    def marks(self, posts: Posts, tags: Sequence[str], *, history: Posts | None = None) -> list[Marks | None]:
        """Those of the held recommender."""
        return self.held.marks(posts, tags, history=history)

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        found = self._held(posts, max(k, self.depth), history, explain)
        chances = Chances(**self.chances_).of(found.starts, found.scores, posts.communities)
        order = self._order(found, chances, posts, history)
        why = self._why(found, order) if explain else None
        return Rankings(found.ids, found.starts, found.tags[order], chances[order], why)

    def _why(self, found: Rankings, order: NDArray[np.int64]) -> list[tuple[Reason, ...]]:
        """For each tag: what the held recommender said, at which place, and its own reasons."""
        place = order - np.repeat(found.starts[:-1], found.lengths) + 1
        said = [
            Reason("model", f"{self.held.name} #{at}", float(found.scores[j])) for at, j in zip(place, order.tolist())
        ]
        return [(one, *(found.reasons[j] if found.reasons else ())) for one, j in zip(said, order.tolist())]

    def _order(
        self, found: Rankings, chances: NDArray[np.float64], posts: Posts, history: History
    ) -> NDArray[np.int64]:
        """Rows of ``found`` in the order in which they are shown."""
        order = np.arange(len(chances))
        if not (self.popularity or self.diversity or self.novelty):
            return order
        own = history.before(posts) if self.novelty else [order[:0]] * len(posts)
        moments = np.where(posts.times == UNDATED, self.latest_, posts.times).tolist()
        for i, community in enumerate(posts.communities):
            low, high = int(found.starts[i]), int(found.starts[i + 1])
            if high - low < 2:
                continue
            tags = found.tags[low:high].tolist()
            used = {tag for row in own[i].tolist() for tag in history.posts.tags[row]}
            new = np.array([self._young(community, tag, moments[i]) + (tag not in used) for tag in tags])
            order[low:high] = low + self._turned_order(community, tags, chances[low:high], new)
        return order

    def _turned_order(
        self, community: str, tags: list[str], chances: NDArray[np.float64], new: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        counts = self._counts
        code = np.array([counts.code.get(tag, len(counts.tags)) for tag in tags], dtype=np.int64)
        uses = counts.uses.of(joined(counts.place.get(community, len(counts.communities)), code))
        value = _dials.worth(chances, uses, new, self.popularity, self.novelty)
        if not self.diversity:
            return np.argsort(-value, kind="stable")
        company = counts.company.of(joined(code[:, None], code[None, :]).ravel()).reshape(len(code), -1)
        alone = np.append(counts.alone, 0)[code]
        return _dials.diverse(value, _dials.alike(company, alone), self.diversity)

    def _young(self, community: str, tag: str, moment: int) -> bool:
        """Whether the community had not used the tag 30 days before; of a tag without times, never."""
        first = self.first_.get(community, {}).get(tag, moment)
        return first != UNDATED and moment - first < YOUNG

    # ---- what is handed out

    def _deliver(
        self, found: Rankings, posts: Posts, k: int, past: History, explain: bool, sensitive: bool = False
    ) -> Rankings:
        """As all do, then less what is below the floor, then cut."""
        # All candidates are looked at: how many true tags lie behind a cut decides on it.
        given = super()._deliver(found, posts, max(k, self.depth) if self.adaptive else k, past, explain, sensitive)
        stay = given.scores >= self.floor
        if self.adaptive:
            lengths = best_lengths(given.starts, given.scores, k, float(self.chances_["missed"]))
            rank = np.arange(len(given.scores)) - np.repeat(given.starts[:-1], given.lengths)
            stay &= rank < np.repeat(lengths, given.lengths)
        return given if stay.all() else _picked(given, stay)

    def _fill(
        self, community: str, row: dict[str, float], past: History, post: Posts
    ) -> Iterator[tuple[str, float, Reason]]:
        """The community's favourites with the share of its posts that carry them, at most the row's last chance."""
        size = self._size(community) or len(past.before(post, by="community")[0])
        low = min(row.values(), default=1.0)
        for tag, _, reason in super()._fill(community, row, past, post):
            yield tag, min(low, reason.weight / (size + 1)), reason

    def _size(self, community: str) -> int:
        place = self._counts.place.get(community)
        return 0 if place is None else int(self._counts.size[place])

    def _coins(self, tag: str) -> bool:
        return self.held._coins(tag)


_NOTHING = Taught(np.zeros(1, np.int64), np.zeros(0), np.zeros(0, bool), [], np.zeros(0, np.int64))


def _compared(found: Rankings, asked: Posts) -> Taught:
    """Rankings beside the true tags, both keys."""
    truths = [set(tags) for tags in asked.tags]
    post = np.repeat(np.arange(len(found)), found.lengths)
    true = np.array([tag in truths[p] for p, tag in zip(post.tolist(), found.tags.tolist())], dtype=bool)
    hits = np.bincount(post, true, minlength=len(found)).astype(np.int64)
    return Taught(found.starts, found.scores, true, asked.communities, np.array([*map(len, truths)]) - hits)


def _picked(found: Rankings, stay: NDArray[np.bool_]) -> Rankings:
    """Only the entries that stay."""
    ends = np.concatenate([[0], np.cumsum(stay)])[found.starts]
    why = None if found.reasons is None else [found.reasons[j] for j in np.flatnonzero(stay).tolist()]
    return Rankings(found.ids, ends.astype(np.int64), found.tags[stay], found.scores[stay], why)
