"""Reasons as sentences in English and Japanese: what went with the answer, never what will come of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hashloom.explain.amounts import Language, apart, counted, level, moved, number, quoted, share, signed
from hashloom.explain.phrases import KINDS, NAMED, SAID
from hashloom.types import Post, Reason

_WHOLE = ("the text", "no text", "other words", "")
"""What is said of a text that is no word of it."""
EVIDENCE = "evidence: "
"""How ``where`` begins in reasons of a ranker."""
LEAST = 0.0005
"""A forecast that is moved by less stays as it is."""
_BASE = re.compile("base.*|mean|the mean of all posts")
_SPAN = re.compile(r"(\d+):(\d+)(?: (.*))?", re.S)
_PLACE = re.compile(r"row (\d+), column (\d+)")
_RANK = re.compile(r"(.+) #(\d+)", re.S)
_POSTS = re.compile(r"(\d+) earlier posts?")
_AUTHORS = re.compile(r"(\d+) authors? in ([\d.e+]+) days?")
_LATEST = re.compile(r"(\d+) of the latest (\d+) posts?")
_LOST = re.compile(r"no answer of (.*): (.*)", re.S)


def sentence(
    reason: Reason,
    language: Language,
    *,
    formula: str = "",
    text: str = "",
    earlier: Mapping[str, Post] | None = None,
    looked: bool = False,
    inner: bool = False,
) -> str:
    """One reason as a sentence, plain text. With ``formula`` it is the reason of a forecast on that scale.

    ``text`` is the post's, into which spans point; ``earlier`` holds the posts that ids name; ``looked``: weights of
    words and regions are shares of attention, which say where a model looked and not what that changed; ``inner``: it
    is a maker's own reason, whose weight may be either.

    >>> sentence(Reason("habit", "p1", 0.5), "en", earlier={"p1": Post("p1", "Rye, day two")})
    'The author used it before, in “Rye, day two” (weight 0.5).'
    >>> sentence(Reason("author", "1 earlier posts", 1.0), "en", formula="log2(max(score, 0) + 1)")
    "What the author's 1 earlier post got goes with ×2 of the usual."
    >>> sentence(Reason("author", "3 earlier posts", 1.0), "ja", formula="log2(max(score, 0) + 1)")
    '投稿者の以前の投稿3件の実績は通常の約2倍に相当します。'
    """
    telling = _Telling(reason, language, formula, text, earlier or {}, looked, inner)
    kind, values = telling.of_forecast() if formula else telling.of_tag()
    weight = float(reason.weight)
    values = {
        "w": number(weight),
        "s": signed(weight),
        "p": share(weight),
        "moved": telling.moved,
        "level": telling.level,
    } | values
    values["It"] = values.get("it", "")[:1].upper() + values.get("it", "")[1:]
    return SAID[kind][language == "ja"].format(**values)


def is_level(reason: Reason) -> bool:
    """Whether a forecast's reason is what it starts from, and not what moves it from there.

    >>> is_level(Reason("community", "bakers", 8.0)), is_level(Reason("community", "community_rate", 0.1))
    (True, False)
    """
    if reason.source == "community":
        return reason.where == "community_level" or _feature(reason.where, reason.source) is None
    return reason.source == "model" and (reason.where == "usual" or bool(_BASE.fullmatch(reason.where)))


def is_rank(where: str) -> bool:
    """Whether a model's reason says at which place a maker put the tag.

    >>> is_rank("linear #2"), is_rank("evidence: linear")
    (True, False)
    """
    return _RANK.fullmatch(where) is not None


def _feature(where: str, source: str) -> tuple[str, str] | None:
    """What a feature of the trees is called in both languages; ``text_vector 3`` is one entry of a vector."""
    from hashloom.forecasters._features import FEATURES

    found = FEATURES.get(re.sub(r" \d+$", "", where))
    # A word of the text or a tag may be called as a feature of another group is.
    return found[1:] if found and found[0] == source else None


@dataclass(frozen=True)
class _Telling:
    """A reason and what is needed to tell it: each method gives the name of a sentence and what goes into it."""

    reason: Reason
    language: Language
    formula: str
    text: str
    earlier: Mapping[str, Post]
    looked: bool
    inner: bool = False

    @property
    def where(self) -> str:
        return self.reason.where

    @property
    def moved(self) -> str:
        return moved(float(self.reason.weight), self.formula, self.language) if self.formula else ""

    @property
    def level(self) -> str:
        return level(float(self.reason.weight), self.formula, self.language) if self.formula else ""

    def of_tag(self) -> tuple[str, dict[str, str]]:
        made = getattr(self, f"_{self.reason.source}", None)
        return made() if made else ("other", {"it": self.named})

    def of_forecast(self) -> tuple[str, dict[str, str]]:
        made = getattr(self, f"_f_{self.reason.source}", None)
        return made() if made else ("f other", {"it": self.named})

    # ---- what is named

    @property
    def named(self) -> str:
        """A feature or part by its name in the language, else ``where`` as it is."""
        if feature := _feature(self.where, self.reason.source):
            return feature[self.language == "ja"]
        known = NAMED.get(self.where)
        return known[self.language == "ja"] if known else apart(self.where)

    @property
    def is_feature(self) -> bool:
        return _feature(self.where, self.reason.source) is not None

    @property
    def is_whole(self) -> bool:
        """Whether the text as such is meant; networks without attention call it so, which may be a word of it too."""
        return self.where in _WHOLE or (self.where == "text" and "text" not in self.text.casefold())

    @property
    def word(self) -> str:
        """What stands at a span, or the word itself, in quotes."""
        span = _SPAN.fullmatch(self.where)
        if span and int(span[1]) < int(span[2]) <= len(self.text):
            return quoted(self.text[int(span[1]) : int(span[2])], self.language)
        return quoted(span[3] if span and span[3] else self.where, self.language)

    @property
    def region(self) -> str:
        at = _PLACE.fullmatch(self.where)
        if not at:
            return self.named
        if self.language == "en":
            return f"the picture at row {at[1]}, column {at[2]}"
        return f"画像の{at[1]}行{at[2]}列目"

    @property
    def post(self) -> str:
        """An earlier post, after the word "post": by its words where they are known, else by its id."""
        post = self.earlier.get(self.where)
        if post and post.text.strip():
            return quoted(post.text, self.language)
        return apart(self.where) or ("of the past" if self.language == "en" else "(不明)")

    @property
    def a_post(self) -> str:
        """An earlier post where no such word comes before it."""
        known = self.where in self.earlier and self.earlier[self.where].text.strip()
        return self.post if known else f"{'post ' if self.language == 'en' else '投稿'}{self.post}"

    @property
    def place(self) -> str:
        """A community by its name."""
        nameless = "the community" if self.language == "en" else "コミュニティ"
        return apart(self.where) or nameless

    # ---- why a tag is suggested

    @property
    def _against(self) -> str:
        if self.inner or self.looked:
            return " inner" if self.inner else " looked"
        return " against" if self.reason.weight < 0 else ""

    def _text(self) -> tuple[str, dict[str, str]]:
        if self.where == "edit distance":
            return "text alike", {}
        if self.is_whole:
            return "other", {"it": self.named}
        return f"text{self._against}", {"it": self.word}

    def _image(self) -> tuple[str, dict[str, str]]:
        return f"image{self._against}", {"it": self.region}

    def _history(self) -> tuple[str, dict[str, str]]:
        return "history", {"it": self.post}

    def _habit(self) -> tuple[str, dict[str, str]]:
        return ("habit tags", {}) if self.where == "earlier tags" else ("habit", {"it": self.a_post})

    def _community(self) -> tuple[str, dict[str, str]]:
        return (
            ("community many", {}) if self.where == "frequency" else ("community", {"it": self.place, "n": self.uses})
        )

    @property
    def uses(self) -> str:
        """A count in words where the weight is one, else the weight."""
        weight = float(self.reason.weight)
        if weight != int(weight) or weight < 1:
            return f"weight {number(weight)}" if self.language == "en" else f"重み{number(weight)}"
        if self.language == "ja":
            return f"{int(weight):,}回"
        return "counted once" if weight == 1 else f"counted {int(weight):,} times"

    def _trend(self) -> tuple[str, dict[str, str]]:
        if latest := _LATEST.fullmatch(self.where):
            return "trend latest", {"n": f"{int(latest[1]):,}", "posts": f"{int(latest[2]):,}"}
        found = _AUTHORS.fullmatch(self.where)
        if not found:
            return "trend here", {"it": self.place}
        authors, days = int(found[1]), number(float(found[2]))
        if self.language == "ja":
            return "trend", {"n": f"{authors:,}人", "days": f"{days}日間"}
        return "trend", {"n": counted(authors, "author"), "days": "day" if days == "1" else f"{days} days"}

    def _neighbour(self) -> tuple[str, dict[str, str]]:
        return "neighbour", {"it": self.post}

    def _generator(self) -> tuple[str, dict[str, str]]:
        return ("generator", {}) if self.where == "chance" else ("generator named", {"it": apart(self.where)})

    def _model(self) -> tuple[str, dict[str, str]]:
        if found := _RANK.fullmatch(self.where):
            return "maker", {"it": found[1], "place": found[2]}
        if found := _LOST.fullmatch(self.where):
            other = found[2] or ("nothing else" if self.language == "en" else "ほかに何も")
            return "no answer", {"it": found[1], "other": other}
        if self.where.startswith(EVIDENCE):
            return self._evidence(self.where.removeprefix(EVIDENCE))
        return ("constant", {}) if self.where == "constant" else ("model", {"it": quoted(self.where, self.language)})

    def _evidence(self, kind: str) -> tuple[str, dict[str, str]]:
        known = KINDS.get(kind)
        return ("evidence", {"it": known[self.language == "ja"]}) if known else ("evidence of", {"it": apart(kind)})

    # ---- what moves a forecast

    def _f_text(self) -> tuple[str, dict[str, str]]:
        if self.is_whole or self.is_feature:
            return "f other", {"it": self.named}
        return ("text looked" if self.looked else "f text"), {"it": self.word}

    def _f_image(self) -> tuple[str, dict[str, str]]:
        return ("image looked" if self.looked else "f other"), {"it": self.region}

    def _f_author(self) -> tuple[str, dict[str, str]]:
        found = _POSTS.fullmatch(self.where)
        if not found:
            return "f other", {"it": self.named}
        n = int(found[1])
        if not n:
            return ("f new" if abs(self.reason.weight) >= LEAST else "f stranger"), {}
        return "f author", {"n": counted(n, "earlier post") if self.language == "en" else f"{n:,}件"}

    def _f_community(self) -> tuple[str, dict[str, str]]:
        if self.where == "community_level":
            return "f level", {}
        if self.where == "all posts":
            return "f everyone", {}
        return ("f other", {"it": self.named}) if self.is_feature else ("f community", {"it": self.place})

    def _f_tag(self) -> tuple[str, dict[str, str]]:
        if self.is_feature or self.where == "no tags":
            return "f other", {"it": self.named}
        return "f tag", {"it": " ".join(f"#{apart(tag)}" for tag in self.where.split())}

    def _f_neighbour(self) -> tuple[str, dict[str, str]]:
        named = self.is_feature or self.where in ("", "no earlier post")
        return (
            ("f other", {"it": self._alike if not self.where else self.named})
            if named
            else ("f neighbour", {"it": self.a_post})
        )

    @property
    def _alike(self) -> str:
        return "what similar earlier posts got" if self.language == "en" else "似た過去の投稿の実績"

    def _f_history(self) -> tuple[str, dict[str, str]]:
        return "f history", {"it": self.a_post}

    def _f_model(self) -> tuple[str, dict[str, str]]:
        if _BASE.fullmatch(self.where):
            return "f base", {}
        if self.where == "usual":
            return "f start", {}
        return "f other", {"it": self.named}
