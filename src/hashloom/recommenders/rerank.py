"""Two stages: candidate makers, then a LightGBM ranker over what they say (Commune two-stage paper §3).

As in the document: ``rows="sampled"``, ``evidence=False``, ``objective="binary"`` over the vectors of post and tag.
As ours: ``rows="out_of_fold"``: makers learn from the past, their candidates for later posts teach the ranker, and
then they learn again from everything, so that the ranker never trusts a score that a maker gave to a known post.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from annotated_types import Ge

from hashloom import tags as naming
from hashloom.data.history import History
from hashloom.encoders._vectors import unit
from hashloom.encoders.tokens import each_once
from hashloom.recommender import Gone, Recommender, best
from hashloom.recommenders._counts import Counts
from hashloom.recommenders._evidence import Candidates, features, names_of_features
from hashloom.recommenders._moved import Facts, kinds, labels, moved, reasons_of
from hashloom.types import Count, Encoder, Positive, Posts, Rankings, Reason, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

LEAST = 40
"""With fewer teaching posts than this no ranker is learnt and the makers' rankings are fused instead."""
SHARED = 2000
"""With fewer candidates than this one thread is as quick as several, which wait for each other."""
FEW = 128
"""Posts whose candidates' coordinates are in memory at once."""
LOG = logging.getLogger(__name__)


def _makers() -> list[Recommender]:
    from hashloom.recommenders.linear import Linear
    from hashloom.recommenders.nearest import Nearest
    from hashloom.recommenders.own_history import OwnHistory
    from hashloom.recommenders.popular import Popular
    from hashloom.recommenders.string_match import StringMatch

    return [Linear(), Nearest(), OwnHistory(), Popular(), StringMatch()]


@dataclass
class Rerank(Recommender):
    """Candidates of several recommenders, put in order by boosted trees.

    Where there are fewer than 40 posts to teach the ranker, the makers' rankings are fused by reciprocal rank.

    >>> from hashloom.types import Post
    >>> loaf, wave = Post("1", "rye bread", "c", tags=("baking",)), Post("2", "high wave", "c", tags=("surf",))
    >>> Rerank().fit(Posts.of([loaf, wave])).recommend(Posts.of([Post("3", "more bread", "c")]), 1)[0].tags
    ['baking']
    """

    makers: list[Recommender] = field(default_factory=_makers)
    """The recommenders whose candidates are ranked; the first should be the best one. None: all the community's tags
    are candidates."""
    depth: Count = 30
    """Candidates of each maker."""
    objective: Literal["lambdarank", "binary"] = "lambdarank"
    """Rank a post's candidates against each other, or classify each by itself."""
    rows: Literal["out_of_fold", "sampled"] = "out_of_fold"
    """What teaches the ranker: candidates for later posts of makers that have not seen them, or the true tags of all
    posts with as many random other ones."""
    evidence: bool = True
    """Whether the ranker reads the makers' scores and ranks, counts, habit and company."""
    encoder: Encoder | None = None
    """Vectors of post and tag for the ranker; none: it reads no vectors."""
    vectors: Literal["likeness", "coordinates"] = "likeness"
    """What the ranker reads of them: their cosine, or all their coordinates."""
    slices: list[Share] = field(default_factory=lambda: [0.5, 0.7, 0.85])
    """out_of_fold: shares of the posts, in order, after which makers learn afresh and the next slice is asked."""
    teachers: Count = 20_000
    """The latest so many posts teach the ranker, which bounds the time on large sets."""
    rounds: Count = 400
    """Most trees; fewer where the last tenth of the teaching posts stops gaining."""
    rate: Positive = 0.05
    """Learning rate of the trees."""
    leaves: Annotated[int, Ge(2)] = 31
    """Leaves of a tree."""
    least_in_leaf: Count = 40
    """Fewest candidates in a leaf."""
    seed: int = 0
    """For drawn negatives and the trees' draws of columns."""
    threads: Count = 2
    """Threads for learning; answers use one."""

    def _fit(self, posts: Posts) -> None:
        if self.encoder is not None:
            self.encoder.fit(posts.texts, [naming.words(t) for t in sorted({t for row in posts.tags for t in row})])
        teaching = list(self._sampled(posts) if self.rows == "sampled" else self._out_of_fold(posts))
        for maker in self.makers:
            LOG.info("learning %s from %d posts", maker.name, len(posts))
            maker._learn(posts, self.spaces_)
        self.counts_ = Counts.learn(posts).state()
        self.trees_ = self._teach(teaching)

    # ---- posts that come and go

    def _update(self, posts: Posts) -> None:
        """Makers and counts grow; the ranker's trees stay."""
        super()._update(posts)
        self._counts.add(posts)
        self.counts_ = self._counts.state()

    def _forget(self, gone: Gone) -> None:
        super()._forget(gone)
        self._counts.remove(gone.posts)
        self._counts.drop(gone.tags)
        self.counts_ = self._counts.state()

    # ---- what the ranker learns from

    def _out_of_fold(self, posts: Posts) -> Iterator[_Rows]:
        """For each slice: makers learn from all before it, and their candidates for it are the rows."""
        place = _places_in_community(posts)
        bounds = [*self.slices, 1.0]
        for maker in self.makers:
            maker._pretrain(posts)
        for low, high in pairwise(bounds):
            past, asked = posts[place < low], posts[(place >= low) & (place < high)]
            if not len(past) or len(asked) < LEAST / len(self.slices):
                continue
            for maker in self.makers:
                LOG.info("slice %.2f to %.2f: %s learns from %d posts", low, high, maker.name, len(past))
                maker._learn(past, self.spaces_)
            counts = Counts.learn(past)
            yield from self._taught(asked, counts, History(posts))

    def _taught(self, asked: Posts, counts: Counts, history: History) -> Iterator[_Rows]:
        for at in range(0, len(asked), 1024):
            part = asked[at : at + 1024]
            made = self._candidates(part, counts, history)
            yield _rows(made, self._features(made, part, counts, history), part)

    def _sampled(self, posts: Posts) -> Iterator[_Rows]:
        """The true tags of each post, and as many others of its community, drawn at random."""
        random = np.random.default_rng(self.seed)
        counts, history = Counts.learn(posts), History(posts)
        listed = {c: counts.codes_in(c) for c in counts.communities}
        for at in range(0, len(posts), 1024):
            part = posts[at : at + 1024]
            rows = []
            for community, tags in zip(part.communities, part.tags):
                true = np.array([counts.code[t] for t in tags], dtype=np.int64)
                others = np.setdiff1d(listed[community], true)
                drawn = random.choice(others, min(len(true), len(others)), replace=False)
                rows.append(np.concatenate([true, drawn]))
            made = Candidates.of([], counts.tags, counts.code, rows)
            yield _rows(made, self._features(made, part, counts, history), part)

    def _teach(self, teaching: Sequence[_Rows]) -> Any:
        """Boosted trees; None where there is too little to learn from."""
        useful = [r.useful() for r in teaching]
        sizes = np.concatenate([r.sizes for r in useful] or [np.zeros(0, dtype=np.int64)])[-self.teachers :]
        if len(sizes) < LEAST:
            LOG.info("only %d posts could teach a ranker; the makers' rankings are fused instead", len(sizes))
            return None
        import lightgbm

        x = np.concatenate([r.features for r in useful])[-int(sizes.sum()) :]
        y = np.concatenate([r.true for r in useful])[-int(sizes.sum()) :]
        cut = int(len(sizes) * 0.9)
        edge = int(sizes[:cut].sum())
        grouped = self.objective == "lambdarank"
        learn = lightgbm.Dataset(x[:edge], y[:edge], group=sizes[:cut] if grouped else None, free_raw_data=False)
        check = lightgbm.Dataset(x[edge:], y[edge:], group=sizes[cut:] if grouped else None, reference=learn)
        stop = lightgbm.early_stopping(30, verbose=False)
        LOG.info("learning to rank from %d candidates of %d posts", len(y), len(sizes))
        return lightgbm.train(self._parameters(), learn, self.rounds, valid_sets=[check], callbacks=[stop])

    def _parameters(self) -> dict[str, Any]:
        metric = {"metric": "ndcg", "eval_at": [10]} if self.objective == "lambdarank" else {"metric": "binary_logloss"}
        return metric | {
            "objective": self.objective,
            "learning_rate": self.rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.least_in_leaf,
            "lambdarank_truncation_level": 12,
            "feature_fraction": 0.7 if self.evidence else 0.3,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "lambda_l2": 1.0,
            "seed": self.seed,
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": self.threads,
            "verbosity": -1,
        }

    # ---- answers

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        if self.vectors == "coordinates" and len(posts) > FEW:
            parts = [posts[i : i + FEW] for i in range(0, len(posts), FEW)]
            return Rankings.concat([self._rank(part, k, history, explain) for part in parts])
        found = self._proposed(posts, history, explain)
        made = self._candidates(posts, self._counts, history, found)
        learnt = self.trees_ is not None and len(made.post) > 0
        x = self._features(made, posts, self._counts, history) if learnt else None
        scores = made.fused() if x is None else self._scores(x)
        starts = made.starts(len(posts))
        lists, rows = [], []
        for i in range(len(posts)):
            at = slice(int(starts[i]), int(starts[i + 1]))
            rows.append(at.start + best(scores[at], made.tag[at], k))
            tags = [made.names[t] for t in made.tag[rows[-1]].tolist()]
            lists.append(list(zip(tags, scores[rows[-1]].tolist())))
        if not explain:
            return Rankings.of(posts.ids, lists)
        shown = None if x is None else x[np.concatenate(rows)]
        return Rankings.of(posts.ids, lists, self._why(posts, history, lists, found, shown))

    @cached_property
    def _counts(self) -> Counts:
        return Counts.of(self.counts_)

    def _proposed(self, posts: Posts, history: History, explain: bool) -> list[Rankings]:
        """What each maker says."""
        with each_once():  # most makers read the words
            each = [(maker, maker._rank(posts, self.depth, history, explain)) for maker in self.makers]
        return [self._known_to(maker, found, posts.communities, history) for maker, found in each]

    def _coins(self, tag: str) -> bool:
        return any(maker._coins(tag) for maker in self.makers)

    def _candidates(
        self, posts: Posts, counts: Counts, history: History, found: Sequence[Rankings] | None = None
    ) -> Candidates:
        if found is None:
            found = self._proposed(posts, history, explain=False)
        listed = None if self.makers else [counts.codes_in(c) for c in posts.communities]
        return Candidates.of(found, counts.tags, counts.code, listed)

    def _scores(self, x: Floats) -> Floats:
        """Between 0 and 1; comparable within a post. (candidates,)"""
        raw = self.trees_.predict(x, num_threads=1 if len(x) < SHARED else self.threads)
        return raw if self.objective == "binary" else 1 / (1 + np.exp(-raw))

    def _features(self, made: Candidates, posts: Posts, counts: Counts, history: History) -> Floats:
        parts = [features(made, counts, posts, history)] if self.evidence else []
        if self.encoder is not None:
            parts.append(self._vectors(self.encoder, made, posts))
        return np.concatenate(parts, axis=1)

    def _vectors(self, encoder: Any, made: Candidates, posts: Posts) -> Floats:
        """The cosine of post and tag, or their coordinates side by side (one text of both where unified)."""
        words = [naming.words(made.names[t]) for t in range(len(made.names))]
        if getattr(encoder, "way", "") == "unified":
            texts = [posts.texts[p] for p in made.post.tolist()]
            return np.asarray(encoder.encode_pairs(texts, [words[t] for t in made.tag.tolist()]))
        used, at = np.unique(made.tag, return_inverse=True)
        of_tags, of_posts = self._tag_vectors(encoder, [words[t] for t in used.tolist()]), encoder.encode(posts.texts)
        if self.vectors == "coordinates":
            return np.concatenate([of_posts[made.post], of_tags[at]], axis=1)
        return np.einsum("ij,ij->i", unit(of_posts)[made.post], unit(of_tags)[at])[:, None]

    @cached_property
    def _known_vectors(self) -> dict[str, Floats]:
        return {}

    def _tag_vectors(self, encoder: Encoder, words: list[str]) -> Floats:
        """Vectors of tag words, each encoded once. (words, dim)"""
        known = self._known_vectors
        fresh = [w for w in words if w not in known]
        if fresh:
            known.update(zip(fresh, encoder.encode_tags(fresh)))
        return np.stack([known[w] for w in words]) if words else np.zeros((0, 0), dtype=np.float32)

    def _why(
        self,
        posts: Posts,
        history: History,
        lists: list[list[tuple[str, float]]],
        found: Sequence[Rankings],
        x: Floats | None,
    ) -> list[list[tuple[Reason, ...]]]:
        """For each tag: its makers and their reasons, what moved it, and the counts that the ranker read.

        ``x``: what it read of the tags listed, of one post after the other; none where nothing ranks.
        """
        names: list[str] = []
        added = np.zeros((sum(map(len, lists)), 0))
        if x is not None:
            names, added = moved(self.trees_, x, kinds([m.name for m in self.makers], x.shape[1], self.evidence))
        why: list[list[tuple[Reason, ...]]] = []
        rows = iter(added)
        for i, row in enumerate(lists):
            facts = Facts(self._counts, posts[i : i + 1], history) if self.evidence and x is not None else None
            why.append([])
            for said, (tag, _) in zip(self._reasons(i, row, found), row):
                why[-1].append(_once([*said, *reasons_of(names, next(rows)), *(facts.reasons(tag) if facts else ())]))
        return why

    def _reasons(self, i: int, row: list[tuple[str, float]], found: Sequence[Rankings]) -> list[list[Reason]]:
        """For each tag: which makers found it at which place, and their own reasons."""
        why: dict[str, list[Reason]] = {tag: [] for tag, _ in row}
        for maker, ranking in zip(labels([m.name for m in self.makers]), found):
            low = int(ranking.starts[i])
            for j in range(low, int(ranking.starts[i + 1])):
                said = why.get(ranking.tags[j])
                if said is not None:
                    said.append(Reason("model", f"{maker} #{j - low + 1}", float(ranking.scores[j])))
                    said.extend(ranking.reasons[j] if ranking.reasons else ())
        return [why[tag] for tag, _ in row]

    def importances(self) -> dict[str, float]:
        """How much each thing that the ranker reads adds to its trees' gain, as shares; empty without a ranker."""
        if self.trees_ is None:
            return {}
        gain = self.trees_.feature_importance("gain")
        names = names_of_features([m.name for m in self.makers]) if self.evidence else []
        names += [f"vector {i}" for i in range(len(gain) - len(names))]
        return dict(sorted(zip(names, (gain / max(gain.sum(), 1e-9)).tolist()), key=lambda x: -x[1]))


def _once(reasons: Sequence[Reason]) -> tuple[Reason, ...]:
    """Each earlier post, community, … as the first says it that names it."""
    first: dict[tuple[str, str], Reason] = {}
    for reason in reasons:
        first.setdefault((reason.source, reason.where), reason)
    return tuple(first.values())


@dataclass
class _Rows:
    """Rows that teach the ranker: features, whether the tag is true, candidates of each post."""

    features: Floats
    true: NDArray[np.int8]
    sizes: NDArray[np.int64]

    def useful(self) -> _Rows:
        """Only the posts that have both a true and another candidate."""
        post = np.repeat(np.arange(len(self.sizes)), self.sizes)
        hits = np.bincount(post, self.true, minlength=len(self.sizes))
        keep = (hits > 0) & (hits < self.sizes)
        rows = keep[post]
        return _Rows(self.features[rows], self.true[rows], self.sizes[keep])


def _rows(made: Candidates, x: Floats, posts: Posts) -> _Rows:
    true = [set(tags) for tags in posts.tags]
    pairs = zip(made.post.tolist(), made.tag.tolist())
    hits = np.array([made.names[t] in true[p] for p, t in pairs], dtype=np.int8)
    return _Rows(x, hits, np.diff(made.starts(len(posts))))


def _places_in_community(posts: Posts) -> NDArray[np.float64]:
    """The place of each post in its community's order, from 0 to under 1, so that all communities teach."""
    communities = np.array(posts.communities, dtype=object)
    place = np.zeros(len(posts))
    for community in dict.fromkeys(posts.communities):
        rows = np.flatnonzero(communities == community)
        place[rows] = np.arange(len(rows)) / len(rows)
    return place
