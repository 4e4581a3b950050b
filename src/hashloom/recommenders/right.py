"""RIGHT: retrieve like posts, select among their tags, generate tags from both (Fan et al., ECIR 2024; models §9).

The retriever finds earlier posts of the community, the selector chooses among their tags, the generator says tags of
the text and of what was chosen. These may be new: tags that no post of the community has carried. As choices beyond
the paper: a compact generator that needs no download; heads over frozen vectors in place of a tuned sentence encoder;
and the inputs that the generator learns from are made as answers are, of earlier posts alone, by a retriever and a
selector that have not seen the post.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from hashloom import tags as naming
from hashloom.data.history import History
from hashloom.encoders._vectors import unit
from hashloom.encoders.tfidf import Tfidf
from hashloom.encoders.tokens import Tokens
from hashloom.generators import join
from hashloom.generators.compact import Compact
from hashloom.recommender import Gone, Recommender
from hashloom.recommenders._retrieving import Found, Index, chance, first
from hashloom.recommenders._selecting import bearers, mainstream, ranked
from hashloom.types import Count, Encoder, Generator, Positive, Posts, Rankings, Reason, Share

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

REMEMBERED = 50_000
"""Tags whose vectors are remembered."""

FEW = 20
"""In a community with fewer posts no tag is coined: of so few nobody learns how tags are made there."""

Row = list[tuple[str, float]]


def _tfidf() -> Tfidf:
    # On 2,000 posts its vectors find far better neighbours than Floret's, and are learnt in a tenth of the time.
    return Tfidf(dim=200)


class _Learnt:
    """What is learnt, beside the parts inside."""

    corpus_: dict[str, dict[str, Any]]
    """Community → its ``Index``."""
    heads_: dict[str, Floats]
    """(dim, dim) each: ``retrieve`` where tuned; ``text`` and ``tag`` of the selector."""
    centre_: Floats
    """(2, dim): the means of the vectors of texts and of tags."""


class Context(NamedTuple):
    """What was retrieved for a post: the index it was found in, its rows there, and the tags selected, best first."""

    where: Index | None
    found: Found
    tags: Row


@dataclass
class Right(_Learnt, Recommender):
    """Generated tags by their chance, then the retrieved ones by the selector's score.

    >>> from hashloom.types import Post
    >>> rows = [Post(f"{t}{i}", f"warm {t} loaf", "bakers", tags=(t,)) for i in range(8) for t in ("rye", "oat")]
    >>> model = Right(generator=Compact(width=16, updates=150, rate=0.01), selector=False).fit(Posts.of(rows))
    >>> model.recommend(Posts.of([Post("new", "rye bread", "bakers")]), k=1)[0].tags
    ['rye']
    """

    seeded: ClassVar[bool] = True

    retriever: Literal["bm25", "dense", "tuned", "random", "none"] = "bm25"
    """How posts are retrieved: by shared words; by the encoder's vectors; by these through a head that is tuned so that
    posts with the same tags are near; by chance (of which the first tags count); not at all."""
    encoder: Encoder = field(default_factory=_tfidf)
    """dense, tuned, and the selector: what turns texts and tags into vectors."""
    tokens: Tokens = field(default_factory=Tokens)
    """bm25: how texts are split into words."""
    max_share: Share = 0.25
    """bm25: words in a larger share of the posts say nothing and are left out."""
    retrieved: Count = 10
    """So many posts are retrieved."""
    selector: bool = True
    """Whether tags are scored by how well their wording suits the text and by how many posts carry them; without, by
    the summed likeness of these posts."""
    kept: Annotated[int, Ge(0)] = 9
    """So many of the retrieved tags, the best, are passed to the generator; 0: all."""
    order: Literal["ranked", "random"] = "ranked"
    """The order in which they are passed."""
    generator: Generator = field(default_factory=Compact)
    """What says tags of the text and of those passed."""
    novel: Share = 0.05
    """A tag that the community does not know is given only with this chance or more."""
    sure: Share = 0.05
    """Generated tags with a smaller chance stand behind the retrieved ones."""
    backs: bool = True
    """Whether retrieved tags follow the generated ones."""
    temperature: Positive = 0.05
    """Of the contrastive loss by which selector and retriever are tuned."""
    rate: Positive = 0.001
    """Adam's rate there."""
    passes: Count = 5
    """Passes over the posts there."""
    folds: Annotated[int, Ge(1)] = 5
    """The generator's inputs come from a retriever and a selector tuned without the post, in so many parts; 1: tuned
    on all posts, so that inputs are better in training than later."""
    seed: int = 0
    """The same seed and posts give the same model."""

    def _fit(self, posts: Posts) -> None:
        _training().learn(self, posts)

    def reads_vectors(self) -> bool:
        """Whether the encoder is needed."""
        return self.retriever in ("dense", "tuned") or (self.selector and self.retriever != "none")

    # ---- answering

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        contexts = self._contexts(posts, history.moments_of(posts))
        asked = [i for i, (text, context) in enumerate(zip(posts.texts, contexts)) if self._speaks(posts, i, context)]
        sources = [self._source(posts.communities[i], posts.texts[i], contexts[i].tags, posts.ids[i]) for i in asked]
        said = dict(zip(asked, self.generator.generate(sources, k) if asked else []))
        lists, why = [], []
        for i, context in enumerate(contexts):
            generated = self._named(posts.communities[i], said.get(i, []))
            row = self._joined(generated, context.tags)[:k]
            lists.append(row)
            why.append([_reasons(tag, generated, context) for tag, _ in row] if explain else [])
        return Rankings.of(posts.ids, lists, why if explain else None)

    def _speaks(self, posts: Posts, i: int, context: Context) -> bool:
        """Nothing is generated of nothing, nor for a community that neither training nor a tag space knows."""
        community = posts.communities[i]
        told = bool(posts.texts[i].strip()) or bool(context.tags)
        return told and (community in self.corpus_ or community in self.spaces_)

    def _named(self, community: str, said: Row) -> dict[str, float]:
        """What was said as tag keys: known ones by their own key, also where only the form differs; new ones if sure.

        A tag that only other communities know is not given: nothing crosses from one to another.
        """
        if not said:
            return {}
        space, known, forms = self.spaces_[community], self._known.get(community, {}), self._forms(community)
        named: dict[str, float] = {}
        for phrase, share in said:
            tag = naming.key(phrase)
            tag = (tag in space.aliases and space.resolve(tag)) or tag
            if tag not in known and tag not in space.tags:
                tag = forms.get(naming.skeleton(tag), tag)
                coined = tag not in known and tag not in space.tags
                if coined and (share < self.novel or self._withheld(community, tag)):
                    continue
            if tag:
                named[tag] = min(1.0, named.get(tag, 0.0) + share)
        return dict(ranked(named))

    def _withheld(self, community: str, tag: str) -> bool:
        """Whether a tag that is new here may not be given: other communities know it, in any form, or ``FEW``."""
        index = self._indices.get(community)
        return index is None or len(index) < FEW or naming.skeleton(tag) in self._looks_taken()

    def _joined(self, generated: Mapping[str, float], selected: Row) -> Row:
        """Sure generated tags, then the selected ones, then the other generated ones; scores fall throughout."""
        backs = [(tag, score) for tag, score in selected if generated.get(tag, 0.0) < self.sure] if self.backs else []
        backed = {tag for tag, _ in backs}
        sure = [(tag, share) for tag, share in generated.items() if share >= self.sure]
        rest = [(tag, share) for tag, share in generated.items() if share < self.sure and tag not in backed]
        row: Row = []
        for part in (sure, backs, rest):
            row.extend(_under(row, part))
        return row

    def _coins(self, tag: str) -> bool:
        """Generated tags need no post that carried them; ``_named`` lets only those through that may be given."""
        return True

    # ---- retrieving and selecting

    def _contexts(self, posts: Posts, moments: Ints) -> list[Context]:
        """What is retrieved for each post, earlier than its moment, and selected of it."""
        contexts = [Context(None, [], [])] * len(posts)
        if self.retriever == "none":
            return contexts
        looks = self._looks(posts.texts) if self.reads_vectors() else _none(posts)
        groups: dict[str, list[int]] = {}
        for i, community in enumerate(posts.communities):
            groups.setdefault(community, []).append(i)
        for community, rows in groups.items():
            index = self._indices.get(community)
            if index is not None:
                some = np.array(rows)
                found = self._retrieve(index, posts[some], moments[some], looks[some], self.heads_)
                for i, near in zip(rows, found):
                    contexts[i] = Context(index, near, self._selected(index, near, looks[i], self.heads_, posts.ids[i]))
        return contexts

    def _retrieve(
        self, index: Index, posts: Posts, moments: Ints, looks: Floats, heads: Mapping[str, Floats]
    ) -> list[Found]:
        if self.retriever == "random":
            return index.drawn(posts, moments, self.retrieved, self.seed)
        words, vectors = self._forms_of(posts, looks, heads)
        return index.near(posts, moments, self.retrieved, words, vectors)

    def _forms_of(
        self, posts: Posts, looks: Floats, heads: Mapping[str, Floats]
    ) -> tuple[list[list[str]] | None, Floats | None]:
        """What the retriever compares: words, or vectors (posts, dim) of unit length; neither where it draws."""
        if self.retriever == "bm25":
            return self.tokens.split_all(posts.texts), None
        if self.retriever in ("dense", "tuned"):
            return None, unit(looks @ heads["retrieve"]) if "retrieve" in heads else looks
        return None, None

    def _selected(self, index: Index, found: Found, look: Floats, heads: Mapping[str, Floats], post: str) -> Row:
        """The retrieved tags that are passed on, with S(h), best first."""
        likeness = bearers(found, index.tags, first=self.retriever == "random")
        cosines = None
        if self.selector and likeness:
            mine = unit((look @ heads["text"])[None])[0]
            tags = unit(self._tag_looks(list(likeness)) @ heads["tag"])
            cosines = dict(zip(likeness, (tags @ mine).tolist()))
        row = ranked(mainstream(likeness, cosines))
        return row[: self.kept] if self.kept else row

    def _source(self, community: str, text: str, selected: Row, post: str) -> str:
        """What the generator reads."""
        space = self.spaces_[community]
        shown = [space.show(tag) for tag, _ in selected]
        if self.order == "random":
            shown = [shown[at] for at in chance(self.seed + 1, post).permutation(len(shown))]
        return join(text, shown)

    def _looks(self, texts: Sequence[str]) -> Floats:
        """Vectors of texts about their mean, of unit length or zero; (texts, dim)."""
        return self._centred(self.encoder.encode(texts), 0)

    def _tag_looks(self, tags: Sequence[str]) -> Floats:
        """Vectors of tags' words about their mean, of unit length or zero; (tags, dim)."""
        known = self._tag_vectors
        new = [tag for tag in tags if tag not in known]
        if new:
            if len(known) + len(new) > REMEMBERED:
                known.clear()
                new = list(tags)
            vectors = self._centred(self.encoder.encode_tags([naming.words(tag) for tag in new]), 1)
            known.update(zip(new, vectors))
        return np.stack([known[tag] for tag in tags])

    def _centred(self, vectors: Floats, which: int) -> Floats:
        """Vectors of a small set share one large direction, in which all are alike: it is taken out."""
        return unit((vectors - self.centre_[which]) * vectors.any(axis=1, keepdims=True))

    # ---- learning without retraining

    def _update(self, posts: Posts) -> None:
        """Further posts may be retrieved at once; retriever, selector and generator stay as trained."""
        looks = self._looks(posts.texts) if self.retriever in ("dense", "tuned") else _none(posts)
        words, vectors = self._forms_of(posts, looks, self.heads_)
        for community in dict.fromkeys(posts.communities):
            rows = [i for i, name in enumerate(posts.communities) if name == community]
            index = self._indices.get(community)
            rows = [rows[i] for i in (first(posts[rows]) if index is None else index.new(posts[rows]))]
            its = [words[i] for i in rows] if words is not None else None
            looked = None if vectors is None else vectors[rows]
            if index is not None:
                index.add(posts[rows], its, looked)
            else:
                index = self._indices[community] = Index.of(posts[rows], its, looked, self.max_share)
                self.corpus_[community] = index.kept
        self._note(posts)

    def _forget(self, gone: Gone) -> None:
        """Posts and tags are no longer retrieved; what the generator learnt of them it keeps until the next ``fit``."""
        ids = set(gone.posts.ids)
        for index in self._indices.values():
            index.remove(ids, gone.tags)
        for derived in ("_known", "_taken", "_skeletons", "_listed_in"):
            self.__dict__.pop(derived, None)

    def _note(self, posts: Posts) -> None:
        """Tags that further posts carry are known from now on."""
        for community, tags in zip(posts.communities, posts.tags):
            known = self._known.setdefault(community, {})
            for tag in tags:
                if tag not in known:
                    known[tag] = None
                    forms, look = self._forms(community), naming.skeleton(tag)
                    forms[look] = min(tag, forms.get(look, tag))
                    self._taken.add(look)

    # ---- what is derived

    @cached_property
    def _indices(self) -> dict[str, Index]:
        return {community: Index(kept) for community, kept in self.corpus_.items()}

    @cached_property
    def _known(self) -> dict[str, dict[str, None]]:
        """Community → tags of the posts learnt from, in order of the alphabet."""
        used = {c: {tag for tags in kept["tags"] for tag in tags} for c, kept in self.corpus_.items()}
        return {c: dict.fromkeys(sorted(tags)) for c, tags in used.items()}

    @cached_property
    def _taken(self) -> set[str]:
        """Skeletons of the tags that any community's posts carry."""
        return {naming.skeleton(tag) for tags in self._known.values() for tag in tags}

    def _looks_taken(self) -> set[str]:
        """These and those of the tags that any space lists; read anew where the spaces are others."""
        if self.__dict__.get("_listed_in") is not self.spaces_:
            listed = {naming.skeleton(tag) for community in self.spaces_ for tag in self.spaces_[community].tags}
            self.__dict__["_listed_in"] = self.spaces_
            self._taken.update(listed)
        return self._taken

    def _forms(self, community: str) -> dict[str, str]:
        """Skeleton → the tag that the community has in this form, the first by alphabet."""
        made = self._skeletons.get(community)
        if made is None or made[0] is not self.spaces_:
            tags: Iterable[str] = sorted({*self._known.get(community, {}), *self.spaces_[community].tags}, reverse=True)
            made = self._skeletons[community] = (self.spaces_, {naming.skeleton(tag): tag for tag in tags})
        return made[1]

    @cached_property
    def _skeletons(self) -> dict[str, Any]:
        return {}

    @cached_property
    def _tag_vectors(self) -> dict[str, Floats]:
        return {}


def _under(above: Row, part: Row) -> Row:
    """Scores of a part moved under those above it, their order and ratios kept where they are positive."""
    if not part:
        return []
    high, low = max(score for _, score in part), min(score for _, score in part)
    if low <= 0:
        part = [(tag, score - low + 0.1 * (high - low) + 1e-9) for tag, score in part]
        high = max(score for _, score in part)
    last = above[-1][1] if above else 1.0
    scale = 1.0 if not above and high <= 1 else min(1.0, 0.99 * last / high)
    return [(tag, score * scale) for tag, score in part]


def _reasons(tag: str, generated: Mapping[str, float], context: Context) -> tuple[Reason, ...]:
    """The generator's chance, and the three nearest posts that carry the tag."""
    why = [Reason("generator", "chance", generated[tag])] if tag in generated else []
    if context.where is not None:
        tags, ids = context.where.tags, context.where.ids
        why += [Reason("neighbour", ids[row], score) for row, score in context.found if tag in tags[row]][:3]
    return tuple(why)


def _none(posts: Posts) -> Floats:
    """Vectors where none are needed."""
    return np.zeros((len(posts), 0), np.float32)


def _training() -> Any:
    """The part that needs torch, imported where it is used."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return importlib.import_module("hashloom.recommenders._right_training")
