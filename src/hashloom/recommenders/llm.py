"""A language model behind any OpenAI-compatible endpoint, shown like posts and known tags; zero-shot without them.

Retrieval before asking follows RIGHT (Fan et al., ECIR 2024), which found that retrieved tags help such models. What
the model says is read as tags only, goes through the tag space like every other tag, and is topped up by a local
recommender, which answers alone where the endpoint does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hashloom.data.history import History
from hashloom.recommender import Gone, Recommender
from hashloom.recommenders._chat import Chat
from hashloom.recommenders._endpoint import Endpoint, NoAnswer
from hashloom.recommenders._prompting import Forms, Prompt, plain, prompt, read
from hashloom.recommenders.nearest import Nearest, _Found, _vote
from hashloom.types import Count, Positive, Posts, Rankings, Reason

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

NEVER = 2**63 - 1
"""The moment of a learnt post that the history does not hold: later than all, so never shown."""
_Row = list[tuple[str, float, tuple[Reason, ...]]]


class Asked(NamedTuple):
    """A post's prompt, and the neighbours that it was made from."""

    prompt: Prompt
    near: list[_Found]


@dataclass
class Llm(Recommender):
    """Tags that a language model gives, then those of a local recommender; that one alone where no answer comes.

    Examples are the most alike strictly earlier posts of the community; candidates are their tags and then the
    community's most used. A tag's score falls with its place. ``spent`` counts what was asked and what it cost.

    >>> from hashloom.types import Post
    >>> posts = Posts.of([Post("1", "rye bread", "c", tags=("baking",)), Post("2", "high wave", "c", tags=("surf",))])
    >>> nobody = Llm(url="http://127.0.0.1:9/v1", llm="any").fit(posts)
    >>> nobody.recommend(Posts.of([Post("3", "more bread", "c")]), 1)[0].tags, nobody.spent["failed"]
    (['baking'], 1)
    """

    url: str = "http://localhost:11434/v1"
    """The endpoint, up to and without /chat/completions; http or https."""
    llm: str = ""
    """The model's name there."""
    key_from: str = "OPENAI_API_KEY"
    """The environment variable that holds the key, sent to url where it is set; empty: no key is sent."""
    examples: int = 5
    """So many of the most alike earlier posts are shown with their tags."""
    candidates: int = 30
    """So many tags in use are listed: those of alike posts, then the community's; with examples=0 too: zero-shot."""
    count: Count = 10
    """So many tags are asked for."""
    novel: bool = True
    """Whether tags may be given that nobody in the community has used; lists that are closed never get any."""
    words: Count = 200
    """So many words are sent of the post and of each example."""
    timeout: Positive = 30.0
    """Seconds for a whole answer."""
    retries: int = 2
    """How often a request is repeated where that may help: timeouts, lost connections, 429, 5xx."""
    at_once: Count = 4
    """Requests at the same time."""
    temperature: float = 0.0
    """0: the likeliest words, as far as the server keeps to it."""
    most_tokens: Count = 300
    """Tokens of an answer at most; models that think aloud need thousands."""
    cache: str = ""
    """Folder where answers are kept, so that nothing is asked twice; empty: none."""
    prices: tuple[float, float] = (0.0, 0.0)
    """What a million tokens cost, those sent and those received, for spent."""
    retriever: Recommender = field(default_factory=Nearest)
    """A nearest by community: finds the examples and candidates."""
    fallback: Recommender | None = field(default_factory=Nearest)
    """Answers where the endpoint does not, and tops up; with the retriever's settings it is the retriever. none: an
    error where the endpoint does not answer."""

    def __post_init__(self) -> None:
        Endpoint.of(self.url)
        if not isinstance(self.retriever, Nearest) or self.retriever.scope != "community":
            raise ValueError('llm: retriever must be {model="nearest"} with scope="community"')
        for name in ("examples", "candidates", "retries", "temperature"):
            if getattr(self, name) < 0:
                raise ValueError(f"llm: {name} must be 0 or more, not {getattr(self, name)}")
        if min(self.prices) < 0:
            raise ValueError(f"llm: prices must be 0 or more, not {self.prices}")

    @property
    def spent(self) -> dict[str, float]:
        """What was used since it was made, learnt or loaded.

        requests; tokens_in and tokens_out, as the server counts them; cost of these by prices; cached, answers that
        were kept from before; failed, posts to which no answer came that could be read.
        """
        counts = self._chat.spent
        cost = sum(price * counts[of] for price, of in zip(self.prices, ("tokens_in", "tokens_out"))) / 1_000_000
        return counts | {"cost": cost}

    def inside(self) -> Iterator[Recommender]:
        """The retriever and the fallback, as far as they are used; one where they are the same."""
        same = self.fallback == self.retriever
        if self._retrieves or same:
            yield self.retriever
        if self.fallback is not None and not same:
            yield self.fallback

    def uses_history(self) -> bool:
        """Texts and times of earlier posts are needed to show them."""
        return self._retrieves or super().uses_history()

    @property
    def _retrieves(self) -> bool:
        return self.examples > 0 or self.candidates > 0

    @property
    def _local(self) -> Recommender | None:
        return self.retriever if self.fallback == self.retriever else self.fallback

    @cached_property
    def _chat(self) -> Chat:
        return Chat(
            Endpoint.of(self.url), self.llm, self.key_from, self.timeout, self.retries, self.at_once, self.temperature,
            self.most_tokens, self.cache, instead=self._local.name if self._local else "",
        )  # fmt: skip

    def _fit(self, posts: Posts) -> None:
        self.communities_ = sorted(set(posts.communities))
        for part in self.inside():
            part._learn(posts, self.spaces_)

    # ---- asking

    def _rank(self, posts: Posts, k: int, history: History, explain: bool) -> Rankings:
        local = self._local._rank(posts, k + self.count, history, explain) if self._local else None
        asked = self._asked(posts, history)
        prompts = [one.prompt for one in asked if one]
        said = iter(self._chat.ask(prompts, lambda text: read(text, self.count), strict=self._local is None))
        rows = []
        for i, (community, one) in enumerate(zip(posts.communities, asked)):
            rest = self._allowed(local, i, community, history) if local else []
            answer = next(said) if one else []
            rows.append(self._joined(community, one, answer, rest, explain))
        lists = [[(tag, score) for tag, score, _ in row] for row in rows]
        return Rankings.of(posts.ids, lists, [[why for *_, why in row] for row in rows] if explain else None)

    def _joined(
        self, community: str, one: Asked | None, answer: list[str] | NoAnswer, rest: _Row, explain: bool
    ) -> _Row:
        """The model's tags, then the others; these alone where there is no answer."""
        if isinstance(answer, NoAnswer):
            why = Reason("model", f"no answer of {self._called}: {self._local.name if self._local else ''}", 1.0)
            return [(tag, score, (why, *reasons)) for tag, score, reasons in rest]
        given = list(self._forms(community).keyed(answer, self.novel)) if answer else []
        if not given:
            return rest
        why_of = {tag: reasons for tag, _, reasons in rest}
        order = given + [tag for tag in why_of if tag not in set(given)]
        row: _Row = []
        for place, tag in enumerate(order):
            score = 1 / (1 + place)
            reasons = self._reasons(tag, score, one) if explain and place < len(given) else why_of.get(tag, ())
            row.append((tag, score, reasons))
        return row

    def _reasons(self, tag: str, score: float, one: Asked | None) -> tuple[Reason, ...]:
        """The model, and the three nearest of the posts shown to it that carry the tag."""
        bearers = [Reason("neighbour", post, w) for post, tags, w in (one.near if one else []) if tag in tags]
        return (Reason("model", self._called, score), *bearers[:3])

    def _allowed(self, local: Rankings, i: int, community: str, history: History) -> _Row:
        """The local recommender's tags that it may give by itself: ``_coins`` lets the model's new ones pass later."""
        space, heard = self.spaces_[community], history.tags_in(community)
        row: dict[str, tuple[float, tuple[Reason, ...]]] = {}
        for at in range(int(local.starts[i]), int(local.starts[i + 1])):
            tag = space.resolve(local.tags[at])
            if tag and (tag in space.tags or tag in heard or (self._local and self._local._coins(tag))):
                row.setdefault(tag, (float(local.scores[at]), local.reasons[at] if local.reasons else ()))
        return [(tag, score, reasons) for tag, (score, reasons) in row.items()]

    def _coins(self, tag: str) -> bool:
        return self.novel or bool(self._local and self._local._coins(tag))

    # ---- prompts

    @property
    def _called(self) -> str:
        """The model's name, else the address without what may be secret in it."""
        return self.llm or Endpoint.of(self.url).name

    def _asked(self, posts: Posts, history: History) -> list[Asked | None]:
        """What is asked about each post; None of a community that nothing is known of."""
        near = self._neighbours(posts, history) if self._retrieves else [[] for _ in posts.ids]
        known = self._known(posts, history)
        rows, texts = (self._window(history).rows, history.posts.texts) if self._retrieves else ({}, [])
        made: list[Asked | None] = []
        for i, (text, community) in enumerate(zip(posts.texts, posts.communities)):
            space = self.spaces_[community]
            shown = [
                (texts[rows[post]], plain(space.show(t) for t in map(space.resolve, tags) if t))
                for post, tags, _ in near[i][: self.examples]
            ]
            listed = plain(map(space.show, self._candidates(near[i], community)))
            one = prompt(
                text, community, count=self.count, limit=self.words, examples=shown, candidates=listed,
                closed=space.closed or not self.novel,
            )  # fmt: skip
            made.append(Asked(one, near[i]) if known[i] else None)
        return made

    def _known(self, posts: Posts, history: History) -> list[bool]:
        """Whether a post's community is learnt, has a tag space, or was heard before the post."""
        learnt = set(self.communities_) | set(self.spaces_)
        known = [community in learnt for community in posts.communities]
        strange = [i for i, is_known in enumerate(known) if not is_known]
        for i, rows in zip(strange, history.before(posts[strange], by="community") if strange else []):
            known[i] = len(rows) > 0
        return known

    def _candidates(self, near: Sequence[_Found], community: str) -> list[str]:
        """Tags in use, those of the neighbours by their weight first, that the community may be given."""
        if not self.candidates:
            return []
        space = self.spaces_[community]
        voted = [tag for tag, _ in _vote(near, None, self.candidates, False)[0]]
        tags = [*voted, *self._counts(community), *(sorted(space.tags) if space.closed else ())]
        return list(dict.fromkeys(t for t in map(space.resolve, dict.fromkeys(tags)) if t))[: self.candidates]

    def _neighbours(self, posts: Posts, history: History) -> list[list[_Found]]:
        """The nearest learnt posts of the community that are strictly earlier, best first."""
        nearest, window = self.retriever, self._window(history)
        assert isinstance(nearest, Nearest)
        moments = history.moments_of(posts)
        found: list[list[_Found]] = [[] for _ in posts.ids]
        for name in dict.fromkeys(posts.communities):
            if name not in nearest.groups_:
                continue
            there = window.moments(name, nearest.groups_[name]["ids"])
            rows = [i for i, community in enumerate(posts.communities) if community == name]
            for some in (rows[at : at + 128] for at in range(0, len(rows), 128)):
                scores = nearest._similar(posts[np.array(some)], name)
                scores[there[None] >= moments[some, None]] = -1
                for i, row in zip(some, scores):
                    found[i] = nearest._nearest(row, name, posts.ids[i])
        return found

    def _window(self, history: History) -> Window:
        made = self.__dict__.get("_seen")
        if made is None or made.history is not history:
            made = self.__dict__["_seen"] = Window(history)
        return made

    # ---- what is known of a community, made when first needed

    def _update(self, posts: Posts) -> None:
        self._made_anew()
        self.communities_ = sorted({*self.communities_, *posts.communities})
        super()._update(posts)

    def _forget(self, gone: Gone) -> None:
        self._made_anew()
        super()._forget(gone)

    def _made_anew(self) -> None:
        for derived in ("_seen", "_spoken", "_used"):
            self.__dict__.pop(derived, None)

    def _forms(self, community: str) -> Forms:
        space, made = self.spaces_[community], self._spoken.get(community)
        if made is None or made.space is not space:
            made = self._spoken[community] = Forms.of(space, self._counts(community))
        return made

    def _counts(self, community: str) -> dict[str, int]:
        """How many posts of the retriever carry each tag of a community, most used first."""
        if community not in self._used:
            group = getattr(self.retriever, "groups_", {}).get(community, {"tags": []})
            uses = Counter(tag for row in group["tags"] for tag in row)
            self._used[community] = dict(sorted(uses.items(), key=lambda x: (-x[1], x[0])))
        return self._used[community]

    @cached_property
    def _spoken(self) -> dict[str, Forms]:
        return {}

    @cached_property
    def _used(self) -> dict[str, dict[str, int]]:
        return {}


class Window:
    """When each learnt post was written, and where its text is, as one history has it."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.rows = {post: row for row, post in enumerate(history.posts.ids)}
        self._moments: dict[str, Ints] = {}

    def moments(self, name: str, ids: list[str]) -> Ints:
        """The moments of a community's learnt posts; shape (ids,)."""
        if name not in self._moments:
            rows = np.array([self.rows.get(post, -1) for post in ids], np.int64)
            self._moments[name] = np.append(self.history.moments, NEVER)[rows]
        return self._moments[name]
