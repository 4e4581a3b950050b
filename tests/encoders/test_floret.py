import copy
import random
from collections import Counter
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from hashloom.encoders.floret import Floret
from hashloom.encoders.tokens import Tokens

WORDS = ["sourdough", "rye", "oven", "starter", "新機能", "パン", "c++", "naïve", "🍞", "internationalisation-of-all"]


def make_texts(count: int = 300) -> list[str]:
    draw = random.Random(5)
    return [" ".join(draw.choices(WORDS, k=12)) for _ in range(count)]


@pytest.fixture(scope="module")
def encoder() -> Floret:
    return Floret(dim=24, epochs=2, buckets=2000).fit(make_texts(), ["Sourdough Bread", "開発者"])


def same(part: Floret) -> Floret:
    """A fresh object with the settings and the learnt attributes, as a model's folder gives them back."""
    other = Floret(**{f.name: getattr(part, f.name) for f in fields(part)})
    for name, value in vars(part).items():
        if name.endswith("_"):
            setattr(other, name, copy.deepcopy(value))
    return other


@pytest.mark.parametrize(("shortest", "longest", "hashes"), [(2, 5, 2), (3, 6, 4), (1, 4, 1)])
def test_hashed_vectors_equal_the_librarys(tmp_path: Path, shortest: int, longest: int, hashes: int) -> None:
    encoder = Floret(dim=16, buckets=500, shortest=shortest, longest=longest, hashes=hashes, min_count=1)
    (tmp_path / "posts.txt").write_text("\n".join(make_texts()), encoding="utf-8")
    model = encoder._train(tmp_path / "posts.txt", Counter(WORDS * 1000))
    encoder.words_ = ["rye"]
    encoder._keep(model)
    encoder.buckets_ = model.get_input_matrix()[len(model.get_words()) :]  # unrounded
    # The library adds one row of its own to the most frequent word, which its exported vectors lack too.
    trained = [word for word in WORDS if word != model.get_words()[0]]
    for word in [*trained, "unheard", "é", "x", "新", "🍞🍞", "a" * 64, "開発者向け情報"]:
        np.testing.assert_allclose(encoder._hashed(word), model.get_word_vector(word), atol=1e-6)


def test_text_is_the_mean_of_unit_word_vectors(encoder: Floret) -> None:
    words = ["rye", "oven", "rye", "unseen-word", "unseen", "word"]
    vectors = encoder.vectors(words)
    want = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).mean(axis=0)
    np.testing.assert_allclose(encoder.encode(["rye oven rye unseen-word"])[0], want, atol=1e-6)


def test_table_and_hashing_agree(encoder: Floret) -> None:
    for word in ["rye", "新", "パン", "開発"]:
        np.testing.assert_allclose(encoder.vectors([word])[0], encoder._hashed(word), atol=2e-3)


def test_same_posts_give_the_same_vectors(encoder: Floret) -> None:
    again = Floret(dim=24, epochs=2, buckets=2000).fit(make_texts(), ["Sourdough Bread", "開発者"])
    assert np.array_equal(encoder.encode(make_texts(20)), again.encode(make_texts(20)))


def test_order_and_batch_do_not_change_a_vector(encoder: Floret) -> None:
    texts = ["rye oven", "", "パンの新機能", "unseen words here", "rye oven"]
    together = encoder.encode(texts)
    assert together.dtype == np.float32
    assert np.array_equal(together, np.concatenate([encoder.encode([text]) for text in texts]))
    assert not together[1].any()
    assert encoder.encode([]).shape == (0, 24)


def test_tags_share_the_space_and_the_table(encoder: Floret) -> None:
    assert {"bread", "開発"} <= set(encoder.words_)
    assert np.array_equal(encoder.encode_tags(["rye oven"]), encoder.encode(["rye oven"]))


def test_words_used_together_lie_closer() -> None:
    draw = random.Random(3)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=7)) for _ in range(120)]
    themes = [words[:60], words[60:]]
    texts = [" ".join(draw.choices(draw.choice(themes), k=12)) for _ in range(1500)]
    encoder = Floret(dim=32, buckets=5000).fit(texts)
    baking, music = encoder.encode(themes[0]), encoder.encode(themes[1])
    assert (baking @ baking.T).mean() > (baking @ music.T).mean() + 0.2


@pytest.mark.parametrize("texts", [[], [""], ["!!!"], ["one"], ["one two"]])
def test_hardly_any_text_still_gives_vectors(texts: list[str]) -> None:
    encoder = Floret(dim=8, epochs=1, buckets=100).fit(texts)
    vectors = encoder.encode(["one three", "", "\ud800"])
    assert vectors.shape == (3, 8)
    assert np.isfinite(vectors).all()


def test_only_so_many_words_have_rows() -> None:
    encoder = Floret(dim=8, epochs=1, buckets=100, words=3).fit(make_texts(20), ["baguette"])
    assert len(encoder.words_) == 4
    assert encoder.table_.shape == (4, 8)


def test_fitting_again_forgets_the_earlier_posts(encoder: Floret) -> None:
    other = same(encoder)
    other.encode(["rye"])
    other.fit(["drum guitar drum guitar"])
    assert np.array_equal(other.encode(["drum"])[0], other._unit_table[other.words_.index("drum")])


def test_fields_and_learnt_attributes_are_the_whole_encoder(encoder: Floret) -> None:
    encoder.encode(["unseen"])
    other = same(encoder)
    texts = [*make_texts(10), "unseen", ""]
    assert np.array_equal(other.encode(texts), encoder.encode(texts))
    assert np.array_equal(other.vectors(["rye", "zzz"]), encoder.vectors(["rye", "zzz"]))


def test_tokens_are_a_setting() -> None:
    tokens = Tokens(japanese="sudachi_c")
    encoder = Floret(dim=8, epochs=1, buckets=100, min_count=1, tokens=tokens).fit(["新機能を試す"])
    assert "新機能" in encoder.words_


@pytest.mark.parametrize("rate", [0.8, 50.0])
def test_training_that_runs_away_is_refused_with_the_remedy(rate: float) -> None:
    with pytest.raises(ValueError, match="set a lower one"):
        Floret(dim=16, buckets=200, learning_rate=rate).fit(make_texts())
