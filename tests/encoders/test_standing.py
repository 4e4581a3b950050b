"""Folded words are found where they stand, in every script."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashloom.encoders._standing import gathered, plain, spans
from hashloom.encoders.tokens import Tokens
from hashloom.recommenders._contributions import bare
from hashloom.recommenders.linear import character_grams


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ライ麦パンを焼いた、ﾊﾟﾝ", ["ライ", "麦", "パン", "を", "焼い", "た", "ﾊﾟﾝ"]),
        ("خبز الجاودار لذيذ جدًا", ["خبز", "الجاودار", "لذيذ", "جدًا"]),
        ("Straße: Ｎｏｄｅ.js, don’t!", ["Straße", "Ｎｏｄｅ.js", "don’t"]),
        ("ﬁne cafe\u0301 İstanbul 🍞", ["ﬁne", "cafe\u0301", "İstanbul", "🍞"]),
        ("https://www.example.com/a?b=1 rye", ["example.com", "rye"]),
    ],
)
def test_words_are_found_as_they_were_written(text, words):
    read = Tokens().split(text)
    assert [word for word, _ in gathered(text, spans(text, read), [1.0] * len(read))] == words


def test_parts_stand_inside_and_repeats_one_after_the_other():
    text = "Rye rye Open-Source ye"
    found = spans(text, ["rye", "rye", "open-source", "open", "source", "ye", "gone"])
    assert found == [(0, 3), (4, 7), (8, 19), (8, 12), (13, 19), (20, 22), None]


def test_a_word_within_another_is_not_taken_for_its_part():
    assert spans("number umb", ["number", "umb"]) == [(0, 6), (7, 10)]


@given(st.text(max_size=60))
def test_folding_in_pieces_is_folding_the_whole(text):
    folded, starts, ends = plain(text, lambda part: unicodedata.normalize("NFKC", part).casefold())
    assert folded == unicodedata.normalize("NFKC", text).casefold()
    assert len(starts) == len(ends) == len(folded)
    assert all(0 <= a < b <= len(text) for a, b in zip(starts, ends))


@given(st.text(alphabet="aB ß_-!ｶﾞé\u0301パ½\n", max_size=30))
def test_ngrams_are_made_of_the_same_characters(text):
    codes, starts, _ = bare(text)
    from hashloom.recommenders._contributions import hashed_grams

    made = [h for _, _, hashes in hashed_grams(codes, 2, 5) for h in hashes.tolist()]
    assert made == character_grams(text, 2, 5).tolist()
    assert [chr(code) for code, start in zip(codes.tolist(), starts.tolist()) if start < 0] == [" "] * sum(starts < 0)
