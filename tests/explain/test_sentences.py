"""Every reason that a model gives becomes a sentence in both languages, and none of them promises anything."""

from typing import get_args

import numpy as np
import pytest
from world import checkerboard

from hashloom import catalogue
from hashloom.explain.amounts import LANGUAGES, level, moved, natural, number, on_scale
from hashloom.explain.sentences import is_level, sentence
from hashloom.forecasters._features import FEATURES
from hashloom.forecasters.author_mean import AuthorMean
from hashloom.forecasters.boosted import Boosted
from hashloom.types import Post, Posts, Reason, Source

LOG = "log2(max(score, 0) + 1)"
FORMULAS = (LOG, "log2((max(likes, 0) + 1) / max(user_followers, 1))", "log2(max(views, 1) / max(days, 1)) + 1",
            "popularity as given")  # fmt: skip
EARLIER = {"p7": Post("p7", "Rye loaf,\nday two"), "p8": Post("p8", images=("a.png",))}
WHERE = {
    "text": ["4:7", "4:7 rye", "rye", "edit distance", "the text", "no text", "other words", "900:903", ""],
    "image": ["row 1, column 3", "picture", "no picture"],
    "history": ["p7", "p8", "gone"],
    "habit": ["p7", "earlier tags"],
    "community": ["bakers", "", "frequency"],
    "trend": ["5 authors in 7 days", "1 authors in 1 days", "1 of the latest 20 posts", "bakers", ""],
    "neighbour": ["p7", "gone", "", "no earlier post"],
    "generator": ["chance", "compact"],
    "model": ["linear #1", "nearest", "no answer of gpt: linear", "constant", "usual", "the mean of all posts", "base",
              "evidence: habit", "evidence: linear"],
    "author": ["0 earlier posts", "1 earlier posts", "12 earlier posts"],
    "time": ["weekday", "hour"],
    "tag": ["rye", "rye oat", "no tags"],
}  # fmt: skip
LEFT_OVER = ("{", "}", "None", "  ", "“”", "「」", "nan", " .", "。。")
PROMISES = ("will get", "will bring", "because of", "increases", "boosts", "guarantee", "増えます", "伸びます", "必ず")


def told(reason, language, formula=""):
    return sentence(reason, language, formula=formula, text="Warm rye loaf", earlier=EARLIER)


def test_the_list_of_places_holds_every_source():
    assert WHERE.keys() == set(get_args(Source))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("formula", ["", *FORMULAS])
@pytest.mark.parametrize("source", get_args(Source))
def test_every_source_is_a_whole_sentence(source, formula, language):
    for where in WHERE[source]:
        for weight in (0.0, 1.0, 12.0, 0.34, -2.5):
            said = told(Reason(source, where, weight), language, formula)
            assert said.endswith("." if language == "en" else "。"), said
            assert not any(mark in said for mark in LEFT_OVER), said
            assert "_" not in said.replace("user_followers", ""), said
            assert not any(promise in said for promise in PROMISES), said
            assert said[0] == said[0].upper() or language == "ja", said
            japanese = any("぀" <= c <= "ヿ" for c in said)
            assert japanese == (language == "ja"), said


@pytest.mark.parametrize("name", FEATURES)
def test_features_of_the_trees_are_said_in_words(name):
    group, en, ja = FEATURES[name]
    level = is_level(Reason(group, name, 0.5))
    assert level == (name == "community_level")
    assert (
        level or told(Reason(group, name, 0.5), "en", LOG) == f"{en[0].upper()}{en[1:]} goes with ×1.41 of the usual."
    )
    assert level or told(Reason(group, name, 0.5), "ja", LOG) == f"{ja}は通常の約1.41倍に相当します。"


def test_a_vectors_entry_is_said_as_its_feature():
    assert told(Reason("text", "text_vector 3", 1.0), "en", LOG) == "What the text is about goes with ×2 of the usual."


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (Reason("author", "1 earlier posts", 1.0), "What the author's 1 earlier post got goes with ×2 of the usual."),
        (Reason("author", "2 earlier posts", 1.0), "What the author's 2 earlier posts got goes with ×2 of the usual."),
        (Reason("tag", "rye", 0.4), "That it carries #rye goes with ×1.32 of the usual."),
        (Reason("community", "bakers", 3.0), "Posts in bakers usually get about 7 (score)."),
        (Reason("community", "all posts", 3.0), "Posts usually get about 7 (score)."),
        (
            Reason("neighbour", "p7", -1.0),
            "What similar earlier posts such as “Rye loaf, day two” got goes with ×0.5 of the usual.",
        ),
        (
            Reason("neighbour", "no earlier post", 1.0),
            "That no similar earlier post is known goes with ×2 of the usual.",
        ),
        (Reason("author", "0 earlier posts", 0.0), "No earlier post of the author is known: the usual stands."),
        (
            Reason("author", "0 earlier posts", 1.0),
            "That no earlier post of the author is known goes with ×2 of the usual.",
        ),
        (Reason("text", "text", 1.0), "The text as a whole goes with ×2 of the usual."),
    ],
)
def test_forecasts_speak_of_factors_where_the_scale_is_a_logarithm(reason, said):
    assert told(reason, "en", LOG) == said


def test_without_a_logarithm_a_difference_is_said():
    reason = Reason("tag", "rye", 0.4)
    assert told(reason, "en", "popularity as given") == "That it carries #rye goes with +0.4 against the usual."
    assert told(reason, "ja", "popularity as given") == "#ryeが付いていることは通常より+0.4に相当します。"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_neighbour_is_not_the_name_of_one(language):
    for formula in FORMULAS:
        assert "post no earlier" not in told(Reason("neighbour", "no earlier post", 0.3), language, formula)
        assert language == "en" or "no earlier" not in told(Reason("neighbour", "no earlier post", 0.3), "ja", formula)


def test_a_word_called_text_is_still_a_word():
    said = sentence(Reason("text", "text", 1.0), "en", formula=LOG, text="a text of mine")
    assert said == "“text” in the text goes with ×2 of the usual."


def test_what_moved_a_ranker_is_said_on_its_own_scale():
    """A score is between 0 and 1 and is not what trees add up to."""
    reason = Reason("model", "evidence: string_match", 3.28)
    assert told(reason, "en") == "What “string_match” says of it moved it by +3.28 on the ranker's scale."
    assert told(reason, "ja") == "手法「string_match」の評価による変化は、順位付けの尺度で+3.28です。"


def test_reasons_of_a_maker_claim_no_more_than_that_it_went_by_them():
    said = sentence(Reason("text", "5:8", 0.3), "en", text="Warm rye loaf", inner=True)
    assert said == "It went by “rye” in the text (weight 0.3)."
    assert sentence(Reason("image", "row 1, column 2", 0.3), "en", inner=True).startswith(
        "It went by the picture at row 1"
    )
    assert sentence(Reason("text", "rye", 0.3), "ja", inner=True) == "本文の「rye」を手がかりにしました(重み0.3)。"


def test_numbers_are_singular_and_plural():
    assert told(Reason("community", "bakers", 1.0), "en") == "It was used before in bakers (counted once)."
    assert told(Reason("community", "bakers", 1200.0), "en") == "It was used before in bakers (counted 1,200 times)."
    assert told(Reason("trend", "1 authors in 1 days", 2.0), "en").startswith("1 author used it in the last day")
    assert told(Reason("trend", "3 authors in 7 days", 2.0), "en").startswith("3 authors used it in the last 7 days")


def test_attention_is_said_as_looking():
    reason = Reason("text", "rye", 0.31)
    said = sentence(reason, "en", formula=LOG, looked=True)
    assert said == "The model looked at “rye” in the text (31\u202f% of its attention)."
    assert "usual" in sentence(reason, "en", formula=LOG)


def test_words_are_quoted_from_the_text_and_posts_from_what_is_known():
    assert "“rye”" in told(Reason("text", "5:8", 1.0), "en")
    assert "“Rye loaf, day two”" in told(Reason("habit", "p7", 1.0), "en")
    assert "in post p8" in told(Reason("habit", "p8", 1.0), "en")
    assert told(Reason("neighbour", "p9", 1.0), "en") == "The similar post p9 carries it (weight 1)."


def test_text_of_others_turns_nothing_around():
    said = sentence(Reason("text", "خبز", 1.0), "en")
    assert "\u2068خبز\u2069" in said
    assert "\u202e" not in sentence(Reason("text", "a\u202eb", 1.0), "en")


@pytest.mark.parametrize("formula", FORMULAS)
def test_levels_and_numbers_go_both_ways(formula):
    for value in (0.5, 3.0, 9.25):
        assert on_scale(natural(value, formula), formula) == pytest.approx(value)
    assert level(3.0, formula, "en") != level(3.0, formula, "ja") or formula == "popularity as given"
    assert number(natural(3.0, formula)) in level(3.0, formula, "en")


def test_extreme_weights_are_said_without_failing():
    for weight in (1e9, -1e9, float("nan"), float("inf")):
        for formula in FORMULAS:
            assert moved(weight, formula)
            assert level(weight, formula)


def _all_reasons(name):
    posts, held = checkerboard()
    model = catalogue.build({"model": name}).fit(posts)
    return [r for ranking in model.recommend(held, 5, explain=True) for s in ranking.suggestions for r in s.reasons]


@pytest.mark.parametrize("name", ["popular", "trending", "own_history", "nearest", "linear", "string_match", "simple"])
def test_what_recommenders_say_is_told_in_both_languages(name):
    reasons = _all_reasons(name)
    assert reasons
    for reason in reasons:
        assert told(reason, "en") != told(reason, "ja")


@pytest.mark.parametrize("kind", [AuthorMean, Boosted])
def test_what_forecasters_say_is_told_and_levels_are_known(kind):
    posts, held = checkerboard(each=9)
    numbers = np.arange(len(posts), dtype=float)
    model = kind(target="score").fit(Posts(posts.frame.with_columns(score=numbers)))
    for one in model.forecast(held, explain=True):
        assert sum(is_level(reason) for reason in one.reasons) >= 1
        for reason in one.reasons:
            assert told(reason, "en", model.formula) != told(reason, "ja", model.formula)
