"""Groups of test posts scored apart: community size, caption length, history, picture, tag frequency, script."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hashloom.data.history import History
from hashloom.evaluate.beyond import tag_counts, truths
from hashloom.types import Posts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Masks = dict[str, NDArray[np.bool_]]

# Scripts that write without spaces between words: their letters count as half a word each.
UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー]"
SCRIPTS = ("Latin", "Han", "Hangul", "Cyrillic", "Arabic", "Thai", "Devanagari", "Greek", "Hebrew")


def slices(test: Posts, train: Posts, history: Posts | None = None) -> dict[str, Masks]:
    """Name → label → mask over the test posts, shape (posts,); labels without posts are left out.

    ``history`` are the posts from which habits could be known (default: ``train``). A slice that needs what no post
    has (users) is left out as a whole.

    >>> from hashloom.types import Post
    >>> found = slices(Posts.of([Post("b", text="rye loaf", tags=("x",))]), Posts.of([Post("a", tags=("x",))]))
    >>> found["caption length"], found["tag frequency"]
    ({'1–5 words': array([ True])}, {'1–9': array([ True])})
    """
    found = {
        "community size": _community_size(test, train),
        "caption length": _caption_length(test),
        "user history": _user_history(test, train if history is None else history),
        "picture": _picture(test),
        "tag frequency": _tag_frequency(test, train),
        "script": _script(test),
    }
    return {name: masks for name, masks in found.items() if masks}


def _cut(values: NDArray[np.float64], edges: Sequence[float], labels: Sequence[str]) -> Masks:
    """Masks by upper edges, each belonging to the lower class; NaN values belong to none."""
    places = np.searchsorted(edges, values)
    masks = {label: (places == i) & ~np.isnan(values) for i, label in enumerate(labels)}
    return {label: mask for label, mask in masks.items() if mask.any()}


def _community_size(test: Posts, train: Posts) -> Masks:
    sizes = Counter(train.communities)
    posts = np.array([sizes[place] for place in test.communities], dtype=np.float64)
    return _cut(posts, (30, 100, 1000), ("≤30 posts", "31–100 posts", "101–1000 posts", ">1000 posts"))


def word_counts(posts: Posts) -> NDArray[np.float64]:
    """Words per text, shape (posts,): pieces between white space; letters of unspaced scripts count half a word.

    >>> from hashloom.types import Post
    >>> word_counts(Posts.of([Post("a", text="rye loaf"), Post("b", text="新機能")]))
    array([2. , 1.5])
    """
    text = posts.frame["text"]
    letters = text.str.count_matches(UNSPACED)
    pieces = text.str.replace_all(UNSPACED, " ").str.count_matches(r"\S+")
    return pieces.to_numpy().astype(np.float64) + letters.to_numpy() / 2


def _caption_length(test: Posts) -> Masks:
    # Half words of unspaced scripts are rounded up, so that one letter is not "no words".
    return _cut(np.ceil(word_counts(test)), (0, 5, 20), ("no words", "1–5 words", "6–20 words", ">20 words"))


def earlier_posts(test: Posts, history: Posts) -> NDArray[np.float64]:
    """How many strictly earlier posts of the same user ``history`` holds, shape (posts,); NaN without a user.

    >>> from hashloom.types import Post
    >>> earlier_posts(Posts.of([Post("b", user="mo"), Post("c")]), Posts.of([Post("a", user="mo")]))
    array([ 1., nan])
    """
    counts = np.array([len(rows) for rows in History(history).before(test)], dtype=np.float64)
    return np.where([user is None for user in test.users], np.nan, counts)


def _user_history(test: Posts, history: Posts) -> Masks:
    labels = ("no earlier posts", "1–4 posts", "5–19 posts", "≥20 posts")
    return _cut(earlier_posts(test, history), (0, 4, 19), labels)


def _picture(test: Posts) -> Masks:
    with_one = (test.frame["images"].list.len() > 0).to_numpy()
    masks = {"with a picture": with_one, "without a picture": ~with_one}
    # Where no post has a picture, the slice says nothing.
    return {label: mask for label, mask in masks.items() if mask.any()} if with_one.any() else {}


def _tag_frequency(test: Posts, train: Posts) -> Masks:
    """By the mean count of a post's true tags in its community's training posts; "unseen": none of them occurs."""
    counts = tag_counts(train)
    rows = [[counts[place, tag] for tag in tags] for place, tags in zip(test.communities, truths(test))]
    means = np.array([np.mean(row) if row else np.nan for row in rows])
    return _cut(means, (0, np.nextafter(10, 0), np.nextafter(100, 0)), ("unseen", "1–9", "10–99", "≥100"))


def _script(test: Posts) -> Masks:
    """By the script of most letters; kana makes a text Japanese, Han alone Chinese."""
    rules = [*(rf"\p{{{name}}}" for name in SCRIPTS), r"[\p{Hiragana}\p{Katakana}]"]
    counts = np.stack([test.frame["text"].str.count_matches(rule).to_numpy().astype(np.int64) for rule in rules])
    letters, kana = counts[:-1], counts[-1]
    letters[SCRIPTS.index("Han")] += kana
    most = letters.argmax(axis=0) if letters.size else np.zeros(0, dtype=np.int64)
    none = letters.sum(axis=0) == 0
    masks: Masks = {name: (most == i) & ~none for i, name in enumerate(SCRIPTS)}
    han = masks.pop("Han")
    masks |= {"Japanese": han & (kana > 0), "Chinese": han & (kana == 0), "no letters": none}
    return {label: mask for label, mask in masks.items() if mask.any()}
