"""Gradient-boosted trees (LightGBM) over the author's record, community, time, text, picture, tags and alike posts.

The stack of models §14.3. Trees cannot follow a drift, so they learn what a post gets beyond its community's level of
late. Reasons are exact contributions (TreeSHAP: Lundberg et al., Nature Machine Intelligence 2020).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from hashloom.data.record import Record
from hashloom.data.target import Target
from hashloom.encoders._reading import LOOK, directions, looked, sample, shown, whole
from hashloom.encoders._vectors import unit
from hashloom.encoders.image.descriptor import Descriptor
from hashloom.encoders.tfidf import Tfidf
from hashloom.forecaster import Forecaster, Guess
from hashloom.forecasters._alike import Near, near, own
from hashloom.forecasters._features import GROUPS, check_groups, group_of
from hashloom.forecasters._past import Past, shrinkage, times
from hashloom.forecasters._words import Words, out_of_fold
from hashloom.recommender import Forgotten
from hashloom.types import Count, ImageEncoder, Posts, Reason, Share

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Looks = NDArray[np.float32]

PATIENCE = 50
"""Trees without a gain on the latest posts after which no more are added."""
UNCHECKED = 100
"""So many trees where there are too few posts to check by."""
OUTER = (0.05, 0.95)
"""The quantiles whose distance says how uncertain a forecast is."""
SPREAD_TREES = 120
FEW = 64
"""Fewer asked posts than this are answered on one thread, since sharing them out takes longer."""


@dataclass
class Boosted(Forecaster):
    """Gradient-boosted trees over everything that is known of a post before it is out.

    >>> from hashloom.types import Post
    >>> known = [Post(str(i), user=("mo", "li")[i % 2], likes=float((3, 63)[i % 2])) for i in range(200)]
    >>> round(Boosted().fit(Posts.of(known)).forecast(Posts.of([Post("new", user="mo")]))[0].value, 1)
    2.0
    """

    adds_up: ClassVar[bool] = True

    without: list[str] = field(default_factory=list)
    """Groups of features to leave out: author, community, time, text, image, tag, neighbour."""
    image: ImageEncoder | None = field(default_factory=Descriptor)
    """What reads pictures; none: they are not read."""
    likeness: Tfidf = field(default_factory=lambda: Tfidf(dim=64))
    """What turns texts into vectors, which are features and find alike posts."""
    picture: Share = 0.5
    """The picture's share of the likeness of two posts; the rest is the text's."""
    neighbours: Count = 20
    """So many of the most alike earlier posts of the community are heard, and a quarter of that of the author's own."""
    among: Count = 20_000
    """They are looked for among so many latest posts of the community."""
    window: Count = 300
    """The community's level is the mean of so many posts before a post."""
    words: Count = 30_000
    """So many words, those in most posts, are weighed by what posts with them got."""
    ridge: Annotated[float, Gt(0)] = 5.0
    """How much the weights of words are held down."""
    trees: Count = 2000
    """At most so many trees; the latest posts tell how many."""
    rate: Annotated[float, Gt(0), Le(1)] = 0.03
    """Step size of a tree."""
    leaves: Annotated[int, Ge(2)] = 31
    """Leaves of a tree."""
    least_in_leaf: Count = 30
    """Posts in a leaf; of few posts fewer."""
    threads: Count = 2
    """Threads of training."""
    seed: int = 0
    """Which features and posts a tree sees."""

    def __post_init__(self) -> None:
        check_groups(self.without)

    # ---- learning

    def _fit(self, posts: Posts, values: Floats, late: Ints) -> Guess:
        early = np.arange(len(posts) - len(late))
        names: list[object] = [None if u is None else (c, u) for c, u in zip(posts.communities, posts.users)]
        shrink = shrinkage(values[early], [names[i] for i in early.tolist()])
        self.usual_ = [float(values[early].mean()), float(values[early].std()), shrink]
        self.likeness.fit(posts.texts)
        self._learn_pictures(posts)
        self.looks_ = self._looks(posts)
        seen = self._past(self._record).seen(posts, self.among)
        levels = self._past(self._record).levels(seen)
        said = self._learn_words(posts, values - levels, len(late))
        columns, _ = self._columns(posts, self._record, self.looks_, seen, said)
        self.features_ = [name for name in columns if group_of(name) not in self.without]
        x = self._stacked(columns)
        return self._grow(x, values - levels, levels, self._past(self._record).unrest(seen), late)

    def _learn_pictures(self, posts: Posts) -> None:
        """The principal directions of the pictures, which are features and find alike posts."""
        self.centre_, self.axes_ = np.zeros(0, np.float32), np.zeros((0, LOOK), np.float32)
        if self.image is None or "image" in self.without:
            return
        pictures = [of_post[0] for of_post in posts.frame["images"].to_list() if of_post]
        self.image.fit(pictures)
        found = self.image.features(sample(pictures))
        if found.mask.any():
            self.centre_, self.axes_ = directions(whole(found)[found.mask.any(axis=1)], LOOK)

    def _learn_words(self, posts: Posts, beyond: Floats, late: int) -> Floats:
        """What the words of each post foretell, learnt from earlier posts alone; (posts,)."""
        known = Words.learn(posts.texts, self.likeness.tokens, 2, self.words if "text" not in self.without else 0)
        said, weights = out_of_fold(known.matrix(posts.texts), beyond, self.ridge, late)
        self.words_, self.idf_, self.weights_ = known.words, known.idf, weights
        return said

    def _grow(self, x: Floats, y: Floats, levels: Floats, unrest: Floats, late: Ints) -> Guess:
        """Trees of how many the latest posts tell; then as many from all posts. The spread stays as it was judged."""
        import lightgbm

        early = np.arange(len(x) - len(late))
        learn = lightgbm.Dataset(x[early], y[early], free_raw_data=False)
        check = [lightgbm.Dataset(x[late], y[late], reference=learn)] if len(late) else []
        stop = [lightgbm.early_stopping(PATIENCE, verbose=False)] if len(late) else []
        rounds = self.trees if len(late) else min(self.trees, UNCHECKED)
        settings = self._settings(len(early))
        first = lightgbm.train(settings, learn, rounds, valid_sets=check, callbacks=stop)
        outer = settings | {"objective": "quantile", "metric": "quantile", "num_leaves": 15, "learning_rate": 0.08}
        quantiles = [outer | {"alpha": alpha} for alpha in OUTER]
        self.outer_ = [lightgbm.train(s, learn, min(self.trees, SPREAD_TREES)) for s in quantiles]
        self.rounds_ = max(1, first.best_iteration if len(late) else rounds)
        self.trees_ = first
        before = Guess(levels[late] + self._raised(x[late]), self._spread(x[late], unrest[late]))
        if len(late):
            self.trees_ = lightgbm.train(self._settings(len(x)), lightgbm.Dataset(x, y), self.rounds_)
        return before

    def _settings(self, posts: int) -> dict[str, Any]:
        return {
            "objective": "regression",
            "metric": "l2",
            "learning_rate": self.rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": max(1, min(self.least_in_leaf, posts // 20)),
            "min_data_in_bin": 1 if posts < 1000 else 3,
            "feature_fraction": 0.4,
            "bagging_fraction": 0.7 if posts >= 100 else 1.0,
            "bagging_freq": 1,
            "lambda_l2": 1.0,
            "seed": self.seed,
            "deterministic": True,
            "force_col_wise": True,
            "num_threads": self.threads,
            "verbosity": -1,
        }

    # ---- features

    def _past(self, record: Record) -> Past:
        """The past as the record has it, made once for each of the last two records."""
        made = self._pasts.get(id(record))
        if made is None or made.record is not record:
            for old in list(self._pasts)[:-1]:  # another thread may have taken it away
                self._pasts.pop(old, None)
            usual, spread, shrink = self.usual_
            made = self._pasts[id(record)] = Past(record, usual, spread, shrink, self.window)
        return made

    @cached_property
    def _pasts(self) -> dict[int, Past]:
        return {}

    @cached_property
    def _known(self) -> Words:
        return Words(self.likeness.tokens, self.words_, self.idf_)

    def _looks(self, posts: Posts) -> Looks:
        """Vectors of text and picture, each of length one or zero; (posts, text dims + picture dims)."""
        texts = unit(self.likeness.encode(posts.texts))
        if "text" in self.without:
            texts[:] = 0
        looks = np.zeros((len(posts), LOOK if len(self.centre_) else 0), np.float32)
        if self.image is not None and len(self.centre_):
            for rows, found in shown(self.image, posts.frame["images"].to_list()):
                looks[rows] = looked(found, self.centre_, self.axes_)
        return np.concatenate([texts, looks], axis=1)

    def _weighed(self, looks: Looks) -> Looks:
        """The same so that products are likenesses: each part by its share."""
        if looks.shape[1] == self.likeness.dim:
            return looks
        shares = np.sqrt([1 - self.picture, self.picture]).astype(np.float32)
        return looks * np.repeat(shares, [self.likeness.dim, looks.shape[1] - self.likeness.dim])

    def _columns(
        self, posts: Posts, record: Record, looks: Looks, seen: list[Ints], said: Floats
    ) -> tuple[dict[str, Floats], list[str]]:
        """Every feature of posts (posts,), NaN where unknown, and for each post the id of the most alike one."""
        past = self._past(record)
        columns = past.author(posts) | past.community(posts, seen, past.levels(seen)) | times(posts)
        columns |= past.tags(posts, seen) | self._of_content(posts, looks, said)
        target = Target.parse(self.target_)
        if target.exposure:
            columns["exposure"] = np.log2(np.maximum(target.exposures(posts), 1))
        alike, nearest = self._of_neighbours(posts, record, looks, seen)
        return columns | alike, nearest

    def _stacked(self, columns: dict[str, Floats]) -> Floats:
        """Those features that the trees look at, (posts, features)."""
        return np.stack([columns[name] for name in self.features_], axis=1)

    def _of_content(self, posts: Posts, looks: Looks, said: Floats) -> dict[str, Floats]:
        dim = self.likeness.dim
        shows = np.where(looks[:, dim:].any(axis=1, keepdims=True), looks[:, dim:], np.nan)
        pictures = np.array([float(len(row)) for row in posts.frame["images"].to_list()])
        columns = {
            "text_length": np.array([float(len(text)) for text in posts.texts]),
            "text_words": np.array([float(len(text.split())) for text in posts.texts]),
            "text_says": said,
            "pictures": pictures,
        }
        columns |= {f"text_vector {i}": looks[:, i].astype(np.float64) for i in range(dim)}
        return columns | {f"picture_vector {i}": column.astype(np.float64) for i, column in enumerate(shows.T)}

    def _of_neighbours(
        self, posts: Posts, record: Record, looks: Looks, seen: list[Ints]
    ) -> tuple[dict[str, Floats], list[str]]:
        none = ["no earlier post"] * len(posts)
        if "neighbour" in self.without:
            return {}, none
        held, asked, beyond = self._index(record), self._weighed(looks), self._past(record).beyond
        found = near(posts, asked, record, held, self.neighbours, [rows[-self.among :] for rows in seen])
        columns = {
            "neighbour_mean": found.mean(beyond),
            "neighbour_first": found.first(beyond),
            "neighbour_likeness": found.nearest,
        }
        if "author" not in self.without:
            mine = own(posts, asked, record, held, max(1, self.neighbours // 4))
            columns |= {"own_mean": mine.mean(beyond), "own_likeness": mine.nearest}
        return columns, self._named(found, record, none)

    def _named(self, found: Near, record: Record, none: list[str]) -> list[str]:
        ids = record.history.posts.ids
        return [ids[row] if row >= 0 else otherwise for row, otherwise in zip(found.rows[:, 0].tolist(), none)]

    # ---- the posts that may be neighbours

    def _index(self, record: Record) -> Looks:
        """Vectors of the record's posts, weighed; (record's posts, dim)."""
        if record is self._record:
            return self._remembered
        made = self.__dict__.get("_further")
        if made is None or made[0] is not record:
            made = self.__dict__["_further"] = (record, self._looks_of(record))
        return made[1]

    @cached_property
    def _remembered(self) -> Looks:
        return np.ascontiguousarray(self._weighed(self.looks_))

    def _looks_of(self, record: Record) -> Looks:
        """Those of the posts learnt from, and of the further ones that the history gives."""
        given = record.given
        assert given is not None
        memory, known = self.memory_.ids, set(self.memory_.ids)
        fresh = given[np.array([post not in known for post in given.ids], bool)]
        stacked = np.concatenate([self._remembered, self._weighed(self._looks(fresh))])
        place = dict(zip([*fresh.ids, *memory], [*range(len(memory), len(stacked)), *range(len(memory))]))
        return stacked[[place[post] for post in record.history.posts.ids]]

    def _update(self, posts: Posts, values: Floats) -> None:
        stacked = np.concatenate([self.looks_, self._looks(posts)])
        moments = np.concatenate([self.memory_.times, posts.times])
        self.looks_ = stacked[np.argsort(moments, kind="stable")]
        self.__dict__.pop("_further", None)

    def forget(self, *, posts: Collection[str] = (), users: Collection[str] = ()) -> Forgotten:
        """As every forecaster does; the vectors of what is forgotten go too."""
        ids = self.memory_.ids if hasattr(self, "memory_") else []
        gone = super().forget(posts=posts, users=users)
        if len(self.memory_) < len(ids):
            stay = set(self.memory_.ids)
            self.looks_ = self.looks_[np.array([post in stay for post in ids], bool)]
            self.__dict__.pop("_further", None)
        return gone

    # ---- answers

    def _guess(self, posts: Posts, record: Record, explain: bool) -> Guess:
        seen = self._past(record).seen(posts, self.among)
        levels, said = self._past(record).levels(seen), self._known.dot(posts.texts, self.weights_)
        columns, nearest = self._columns(posts, record, self._looks(posts), seen, said)
        x = self._stacked(columns)
        why = self._reasons(posts, x, levels, nearest) if explain else None
        return Guess(levels + self._raised(x), self._spread(x, self._past(record).unrest(seen)), why)

    def _ask(self, trees: Any, x: Floats, **more: Any) -> Floats:
        return np.asarray(trees.predict(x, num_threads=1 if len(x) < FEW else self.threads, **more))

    def _raised(self, x: Floats) -> Floats:
        """What posts are expected to get beyond their level, (posts,)."""
        return self._ask(self.trees_, x, num_iteration=self.rounds_) if len(x) else np.zeros(0)

    def _spread(self, x: Floats, unrest: Floats) -> Floats:
        """Half the distance of the outer quantiles, wider where the community's numbers vary more of late; (posts,).

        Trees know no unrest beyond what they learnt from; with the factor intervals keep their coverage as it grows.
        """
        if not len(x):
            return np.zeros(0)
        low, high = (self._ask(trees, x) for trees in self.outer_)
        return np.maximum((high - low) / 2, 0.02 * self.usual_[1]) * unrest

    def _reasons(self, posts: Posts, x: Floats, levels: Floats, nearest: Sequence[str]) -> list[tuple[Reason, ...]]:
        shares = self._ask(self.trees_, x, num_iteration=self.rounds_, pred_contrib=True)
        columns = {g: [i for i, name in enumerate(self.features_) if group_of(name) == g] for g in GROUPS}
        made = []
        for i, share in enumerate(shares):
            said = {g: float(share[at].sum()) for g, at in columns.items() if at}
            said["community"] = said.get("community", 0.0) + float(levels[i])
            where = self._places(posts, i, share, columns, nearest[i])
            if "author_posts" in self.features_ and not x[i, self.features_.index("author_posts")]:
                where["author"] = "0 earlier posts"
            why = [Reason(g, where[g], said[g]) for g in GROUPS if g in said]
            why.sort(key=lambda reason: -abs(reason.weight))
            made.append((*why, Reason("model", "usual", float(share[-1]))))
        return made

    def _places(
        self, posts: Posts, i: int, share: Floats, columns: dict[Any, list[int]], nearest: str
    ) -> dict[Any, str]:
        """What was looked at in each group: of author, community and time the feature that weighs most."""
        most = {g: self.features_[max(at, key=lambda j: abs(share[j]))] for g, at in columns.items() if at}
        most["community"] = "community_level"
        tags, text = posts.tags[i], posts.texts[i]
        most |= {"tag": " ".join(tags) or "no tags", "text": "the text" if text else "no text"}
        pictures = posts.frame["images"].to_list()[i]
        return most | {"image": "picture" if len(pictures) else "no picture", "neighbour": nearest}
