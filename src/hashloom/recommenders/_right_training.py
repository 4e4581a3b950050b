"""How ``right`` learns: heads tuned by triplets, cross-fitted inputs, then the generator (models §9.2, §9.3, §9.7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hashloom import tags as naming
from hashloom.networks import bi_encoder
from hashloom.recommenders._retrieving import Index, moments, once
from hashloom.recommenders._selecting import corrupt, nearest_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashloom.recommenders.right import Right
    from hashloom.types import Posts

    Floats = NDArray[np.float32]
    Ints = NDArray[np.int64]

POOL = 20_000
"""So many posts, the latest, are anchors and positives of triplets."""
TAGS, WORDS = 5_000, 5_000
"""So many of the most used tags, and of their words, have their neighbours sought as synonyms."""
BATCH = 128
FILLERS = 30
"""So many of the most frequent words of the posts stand for the paper's stop-words."""


def learn(model: Right, posts: Posts) -> None:
    """Set all that ``model`` learns; posts come in order of time, their tags are keys."""
    posts = once(posts)
    for derived in ("_indices", "_known", "_heard", "_skeletons", "_tag_vectors", "_listed_in"):
        model.__dict__.pop(derived, None)
    looks = _read(model, posts)
    names = _Names.of(model, posts) if _tunes(model) else None
    selected = _inputs(model, posts, looks, names)
    model.heads_ = _heads(model, posts, looks, names, np.arange(len(posts)))
    model.corpus_ = _corpora(model, posts, looks, model.heads_)
    rows = zip(posts.communities, posts.texts, selected, posts.ids)
    sources = [model._source(community, text, tags, post) for community, text, tags, post in rows]
    show = {community: model.spaces_[community].show for community in set(posts.communities)}
    model.generator.fit(sources, [[show[c](tag) for tag in tags] for c, tags in zip(posts.communities, posts.tags)])


def _read(model: Right, posts: Posts) -> Floats:
    """Vectors of all posts, (posts, dim), where any are needed; the encoder learns first."""
    if not model.reads_vectors():
        return np.zeros((len(posts), 0), np.float32)
    tags = sorted({tag for row in posts.tags for tag in row})
    phrases = [naming.words(tag) for tag in tags]
    model.encoder.fit(posts.texts, phrases)
    found = model.encoder.encode(posts.texts), model.encoder.encode_tags(phrases)
    model.centre_ = np.stack([_mean(vectors) for vectors in found])
    return model._centred(found[0], 0)


def _mean(vectors: Floats) -> Floats:
    """The mean of the vectors that are not zero; a single one is no mean of anything."""
    real = vectors[vectors.any(axis=1)]
    return real.mean(axis=0) if len(np.unique(real, axis=0)) > 1 else np.zeros(vectors.shape[1], np.float32)


# ---- inputs of the generator


def _tunes(model: Right) -> bool:
    return model.retriever == "tuned" or (model.selector and model.retriever != "none")


def _inputs(model: Right, posts: Posts, looks: Floats, names: _Names | None) -> list[list[tuple[str, float]]]:
    """The tags selected for each post, by heads that were tuned without it."""
    selected: list[list[tuple[str, float]]] = [[] for _ in posts.ids]
    if model.retriever == "none":
        return selected
    folds = min(model.folds, len(posts)) if names else 1
    part = np.random.default_rng(model.seed).permutation(len(posts)) % folds
    asked = moments(posts)
    corpora: dict[str, Index] = {}
    for fold in range(folds):
        rows = np.flatnonzero(part == fold)
        heads = _heads(model, posts, looks, names, rows if folds == 1 else np.flatnonzero(part != fold))
        if not corpora or "retrieve" in heads:
            corpora = {name: Index(kept) for name, kept in _corpora(model, posts, looks, heads).items()}
        for community, index in corpora.items():
            some = rows[[posts.communities[row] == community for row in rows]]
            if not len(some):
                continue
            found = model._retrieve(index, posts[some], asked[some], looks[some], heads)
            for row, near in zip(some.tolist(), found):
                selected[row] = model._selected(index, near, looks[row], heads, posts.ids[row])
    return selected


def _corpora(model: Right, posts: Posts, looks: Floats, heads: Mapping[str, Floats]) -> dict[str, dict[str, Any]]:
    """What is kept of each community's index."""
    if model.retriever == "none":
        # Nothing is retrieved, but which tags a community knows is asked all the same.
        words, vectors = None, None
    else:
        words, vectors = model._forms_of(posts, looks, heads)
    made = {}
    for community in dict.fromkeys(posts.communities):
        rows = [i for i, name in enumerate(posts.communities) if name == community]
        its = [words[i] for i in rows] if words is not None else None
        made[community] = Index.of(
            posts[np.array(rows)], its, None if vectors is None else vectors[rows], model.max_share
        ).kept
    return made


# ---- heads


class _Names:
    """Tags as phrases and as vectors, and the words that stand for synonyms and for stop-words."""

    def __init__(self, tags: list[str], phrases: list[str], looks: Floats) -> None:
        self.tags, self.phrases, self.looks = tags, phrases, looks
        self.number = {tag: at for at, tag in enumerate(tags)}
        self.synonym: dict[str, str] = {}
        self.fillers: list[str] = []

    @classmethod
    def of(cls, model: Right, posts: Posts) -> _Names:
        uses = Counter(tag for row in posts.tags for tag in row)
        tags = sorted(uses, key=lambda tag: (-uses[tag], tag))
        names = cls(tags, [naming.words(tag).lower() for tag in tags], model._tag_looks(tags))
        if not model.selector:
            return names
        counts = Counter(word for words in model.tokens.split_all(posts.texts) for word in words)
        frequent = sorted(counts, key=lambda word: (-counts[word], word))
        names.fillers = frequent[:FILLERS]
        own = list(dict.fromkeys(word for phrase in names.phrases[:TAGS] for word in phrase.split()))[:WORDS]
        among = list(dict.fromkeys([*own, *frequent[FILLERS:WORDS]]))
        vectors = model._centred(model.encoder.encode_tags(among), 1)
        names.synonym = nearest_words(own, vectors[: len(own)], among, vectors)
        return names


def _heads(model: Right, posts: Posts, looks: Floats, names: _Names | None, rows: Ints) -> dict[str, Floats]:
    """The tuned retriever's head and the selector's two, learnt from some of the posts."""
    heads: dict[str, Floats] = {}
    if names is None:
        return heads
    rows = rows[-POOL:]
    if model.retriever == "tuned":
        heads["retrieve"] = _tuned(model, posts, looks, names, rows)
    if model.selector:
        heads["text"], heads["tag"] = _selector(model, posts, looks, names, rows)
    return heads


def _learnt(model: Right, data: bi_encoder.Triplets, shared: bool) -> tuple[Floats, Floats]:
    given = {"temperature": model.temperature, "rate": model.rate, "epochs": model.passes, "seed": model.seed}
    return bi_encoder.learn(data, shared=shared, batch=BATCH, **given)  # type: ignore[arg-type]


def _selector(model: Right, posts: Posts, looks: Floats, names: _Names, rows: Ints) -> tuple[Floats, Floats]:
    """From (text, true tag, the tag corrupted)."""
    draw = np.random.default_rng(model.seed + 1)
    anchor = np.repeat(rows, [len(posts.tags[row]) for row in rows])
    positive = np.array([names.number[tag] for row in rows for tag in posts.tags[row]], np.int64)
    wrong = [corrupt(names.phrases[tag], names.synonym, names.fillers, draw) for tag in positive]
    phrases = list(dict.fromkeys(wrong))
    place = {phrase: len(names.tags) + at for at, phrase in enumerate(phrases)}
    right = np.concatenate([names.looks, model._centred(model.encoder.encode_tags(phrases), 1)])
    truth, said = _truth(posts, names), positive

    def clash(cut: Ints) -> NDArray[np.bool_]:
        return np.asarray(truth[anchor[cut]][:, said[cut]].todense() > 0)

    negative = np.array([place[phrase] for phrase in wrong], np.int64)
    return _learnt(model, bi_encoder.Triplets(looks, right, anchor, positive, negative, clash), shared=False)


def _tuned(model: Right, posts: Posts, looks: Floats, names: _Names, rows: Ints) -> Floats:
    """From (post, the post with most tags in common, of the ten most alike the one with least)."""
    truth = _truth(posts, names)
    positive, negative = triplets(truth[rows], looks[rows], np.array(posts.communities)[rows], 10, model.seed)

    def clash(cut: Ints) -> NDArray[np.bool_]:
        return np.asarray((truth[rows[cut]] @ truth[rows[positive[cut]]].T).todense() > 0)

    data = bi_encoder.Triplets(looks, looks, rows, rows[positive], rows[negative], clash)
    return _learnt(model, data, shared=True)[0]


def _truth(posts: Posts, names: _Names) -> Any:
    """Which post carries which tag, sparse: (posts, tags)."""
    from scipy.sparse import csr_matrix

    columns = [names.number[tag] for row in posts.tags for tag in row]
    starts = np.cumsum([0, *map(len, posts.tags)])
    return csr_matrix((np.ones(len(columns), np.float32), columns, starts), shape=(len(posts), len(names.tags)))


def triplets(truth: Any, looks: Floats, communities: NDArray[Any], near: int, seed: int) -> tuple[Ints, Ints]:
    """Of each post the positive's and the hard negative's row; both (posts,).

    The positive has the largest recall + F1 of tags, ties by precision, then by chance. The hard negative is, of the
    ``near`` most alike, the one with the smallest; the next where that is the positive. ``truth``: (posts, tags).
    Where nothing is like a post but itself, it stands for the missing other.
    """
    count = len(looks)
    sizes = np.asarray(truth.sum(axis=1)).ravel()
    draw = np.random.default_rng(seed)
    positive, negative = np.arange(count), np.arange(count)
    for at in range(0, count, 256):
        rows = np.arange(at, min(at + 256, count))
        common = np.asarray((truth[rows] @ truth.T).todense())
        mine = sizes[rows][:, None]
        overlap = common / mine + 2 * common / (mine + sizes)
        away = (communities[rows][:, None] != communities) | (rows[:, None] == np.arange(count))
        order = np.where(away, -1, overlap + 1e-3 * common / sizes + 1e-6 * draw.random(common.shape))
        best = order.argmax(axis=1)
        cosines = np.where(away, -2, looks[rows] @ looks.T)
        top = np.argsort(-cosines, axis=1, kind="stable")[:, :near] if count > 1 else rows[:, None]
        for i, row in enumerate(rows.tolist()):
            positive[row] = best[i] if order[i, best[i]] >= 0 else row
            others = [j for j in top[i].tolist() if cosines[i, j] > -2 and j != positive[row]]
            negative[row] = min(others, key=lambda j: overlap[i, j]) if others else row
    return positive, negative
