import copy
import random
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from hashloom.encoders.tfidf import Tfidf
from hashloom.encoders.tokens import Tokens

WORDS = ["rye", "oven", "starter", "salt", "crust", "guitar", "drum", "stage", "amp", "chord", "新機能"]


def make_texts(count: int = 60) -> list[str]:
    draw = random.Random(5)
    return [" ".join(draw.choices(WORDS, k=9)) for _ in range(count)]


def test_equals_scikit_learn() -> None:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = make_texts()
    theirs = TfidfVectorizer(analyzer=Tokens().split, sublinear_tf=True, min_df=2)
    matrix = theirs.fit_transform(texts)
    encoder = Tfidf(dim=4).fit(texts)
    rows = [encoder._row_of[word] for word in theirs.get_feature_names_out()]
    ours = encoder._matrix([Counter(encoder.tokens.split(text)) for text in texts]).toarray()[:, rows]
    np.testing.assert_allclose(ours, matrix.toarray(), atol=1e-6)
    lengths = np.linalg.norm(TruncatedSVD(4, random_state=1).fit_transform(matrix), axis=1)
    np.testing.assert_allclose(np.linalg.norm(encoder.encode(texts), axis=1), lengths, atol=1e-3)


def test_words_of_the_same_posts_lie_closer() -> None:
    draw = random.Random(3)
    themes = [WORDS[:5], WORDS[5:10]]
    encoder = Tfidf(dim=2).fit([" ".join(draw.choices(draw.choice(themes), k=8)) for _ in range(100)])
    rye, oven, drum = encoder.encode(["rye", "oven", "drum"])
    assert rye @ oven > rye @ drum + 0.1


def test_order_and_batch_do_not_change_a_vector() -> None:
    encoder = Tfidf(dim=4).fit(make_texts())
    texts = ["rye oven", "", "新機能", "unseen", "rye oven"]
    together = encoder.encode(texts)
    assert together.dtype == np.float32
    assert np.array_equal(together, np.concatenate([encoder.encode([text]) for text in texts]))
    assert not together[[1, 3]].any()
    assert encoder.encode([]).shape == (0, 4)
    assert np.array_equal(encoder.encode_tags(["rye oven"])[0], together[0])


@pytest.mark.parametrize("texts", [[], [""], ["one"], ["one", "one"], ["a b", "a b", "b a"]])
def test_hardly_any_text_still_gives_vectors(texts: list[str]) -> None:
    vectors = Tfidf(dim=8).fit(texts).encode(["one a", ""])
    assert vectors.shape == (2, 8)
    assert np.isfinite(vectors).all()


def test_rare_words_and_words_past_the_limit_are_left_out() -> None:
    encoder = Tfidf(dim=2, words=2).fit(["rye oven salt once", "rye oven salt", "rye oven"])
    assert encoder.words_ == ["oven", "rye"]


def test_fields_and_learnt_attributes_are_the_whole_encoder() -> None:
    encoder = Tfidf(dim=4).fit(make_texts())
    other = Tfidf(**{f.name: getattr(encoder, f.name) for f in fields(encoder)})
    for name, value in vars(encoder).items():
        if name.endswith("_"):
            setattr(other, name, copy.deepcopy(value))
    assert np.array_equal(other.encode(make_texts()), encoder.encode(make_texts()))


def test_fitting_again_forgets_the_earlier_posts() -> None:
    encoder = Tfidf(dim=2).fit(make_texts())
    encoder.encode(["rye"])
    encoder.fit(["flute harp", "harp flute"])
    assert not encoder.encode(["rye"]).any()
    assert encoder.encode(["harp"]).any()
