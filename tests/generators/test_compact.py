"""The compact generator learns, copies what it has never been told, and says each tag once with a sound chance."""

import copy
import pickle
import sys
from dataclasses import fields

import numpy as np
import pytest

from hashloom import catalogue, keeping
from hashloom.generators import _beam, _pieces, join, part
from hashloom.generators.compact import Compact
from hashloom.recommenders.popular import Popular
from hashloom.types import Generator, Post, Posts

WORDS = ["rye", "oat", "surf", "sail", "knit", "clay", "jazz", "moss"]
SOURCES = [join(f"warm {word} number {i}", [word] if i % 2 else []) for i in range(6) for word in WORDS]
TARGETS = [[word, "daily"] for _ in range(6) for word in WORDS]
TINY = {"width": 32, "updates": 250, "rate": 0.01, "pieces": 400, "dropout": 0.1}


@pytest.fixture(scope="module")
def made() -> Compact:
    return Compact(**TINY).fit(SOURCES, TARGETS)


def test_it_is_a_generator_with_explained_settings(made):
    assert isinstance(made, Generator)
    assert all(s.about for s in catalogue.listing(Compact))
    assert catalogue.build(catalogue.settings(made)) == made
    assert catalogue.settings(made)["generator"] == "compact"


def test_it_learns_the_tags_of_a_text(made):
    for row, word in zip(made.generate([f"warm {word} number 7" for word in WORDS], 2), WORDS, strict=True):
        assert {tag for tag, _ in row} == {word, "daily"}


def test_chances_are_a_share_of_one_best_first_and_each_tag_once(made):
    for row in made.generate([*SOURCES[:9], "", "unheard 新機能 🌊"], 10):
        chances = [chance for _, chance in row]
        assert chances == sorted(chances, reverse=True)
        assert all(0 < chance <= 1 for chance in chances)
        assert sum(chances) <= 1 + 1e-4
        assert len({tag for tag, _ in row}) == len(row) <= 10
        assert all(tag == tag.strip() and tag for tag, _ in row)


def test_company_and_order_change_nothing(made):
    together = made.generate(SOURCES[:12], 5)
    alone = [made.generate([source], 5)[0] for source in SOURCES[:12]]
    for one, other in zip(together, alone, strict=True):
        assert [tag for tag, _ in one] == [tag for tag, _ in other]
        np.testing.assert_allclose([c for _, c in one], [c for _, c in other], rtol=1e-3)
    assert made.generate([], 5) == []


def test_a_longer_list_begins_with_the_shorter(made):
    assert [row[:2] for row in made.generate(SOURCES[:5], 8)] == made.generate(SOURCES[:5], 2)


def test_the_same_seed_gives_the_same_generator(made):
    assert Compact(**TINY).fit(SOURCES, TARGETS).generate(SOURCES[:8], 3) == made.generate(SOURCES[:8], 3)


def test_it_copies_tags_that_it_was_never_told():
    draw = np.random.default_rng(0)
    names = ["".join(draw.choice(list("bdfgklmnprstv"), 2)) for _ in range(169)]
    names = list(dict.fromkeys(names))
    sources = [join("a post about", [name]) for name in names[:-10]]
    # As many subwords as letters: every name is spelt, none is a piece of its own.
    made = Compact(width=48, pieces=300, updates=500, rate=0.01, dropout=0.0, validation=0).fit(
        sources, [[name] for name in names[:-10]]
    )
    found = made.generate([join("a post about", [name]) for name in names[-10:]], 1)
    assert sum(row[0][0] == name for row, name in zip(found, names[-10:], strict=True)) >= 7


def test_kept_and_loaded_it_says_the_same(made, tmp_path):
    holder = Popular().fit(Posts.of([Post("1", "a", "c", tags=("Rye",))]))
    holder.generator_ = made
    holder.save(tmp_path / "m")
    again = keeping.load(tmp_path / "m").generator_
    assert [f.name for f in fields(again)] == [f.name for f in fields(made)]
    assert again.generate(SOURCES[:8], 3) == made.generate(SOURCES[:8], 3)
    for other in (copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other.generate(SOURCES[:3], 3) == made.generate(SOURCES[:3], 3)


def test_answers_need_no_torch(made, monkeypatch):
    other = copy.deepcopy(made)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "hashloom.networks.seq2seq", None)
    assert other.generate(SOURCES[:3], 3) == made.generate(SOURCES[:3], 3)


def test_tags_that_cannot_be_spelt_are_refused():
    with pytest.raises(ValueError, match="raise longest"):
        Compact(longest=1, pieces=300).fit(["a b"], [["something long"]])


def test_retrieved_tags_never_take_more_than_half_the_places(made):
    read = made._read([join("word " * 500, ["rye"] * 500)])[0]
    assert len(read) == made.most
    assert read.count(_pieces.MARK) > 0
    assert _pieces.MARK not in read[: made.most // 2]


def test_a_text_cannot_spell_the_signs(made):
    assert part(join("rye <extra_id_1> loaf <extra_id_<extra_id_0>1>", ["a<extra_id_0>b"]))[1] == ["a b"]
    assert not set(made._spelling.numbers(["<end><pad><mark><0x41>"])[0]) & {0, 1, 2}


@pytest.mark.parametrize(
    "text", ["React 18の新機能", "ไทย", "العربية", "日本語タグ", "naïve", "𝒳🌊", "c++", "a-b_c", "\ud800x"]
)
def test_every_script_is_spelt_and_read_back(made, text):
    spelt = made._spelling.numbers([text])[0]
    back = made._spelling.text(spelt)
    assert back.replace(" ", "") == _pieces.normal(text).replace(" ", "")


def test_half_a_character_is_no_tag(made):
    wave = made._spelling.numbers(["🌊"])[0]
    assert made._spelling.text(wave) == "🌊"
    assert made._spelling.text(wave[:-1]) == ""


def test_what_is_spelt_in_two_ways_has_both_chances():
    said = [((5, 6), np.log(0.4)), ((7,), np.log(0.35)), ((8,), np.log(0.3))]
    assert _beam.distinct(said, ["oat", "rye", "rye"], 5) == [("rye", pytest.approx(0.65)), ("oat", pytest.approx(0.4))]


def test_half_a_word_is_no_tag_but_a_word_of_the_source_or_of_known_tags_is():
    whole = _pieces.Whole("Node.js 18 and C++", frozenset(["release", "note"]))
    tags = ["c++", "node.js", "release note", "nod", "js notes", "🌊"]
    assert [whole(tag) for tag in tags] == ["c++", "node.js", "release note", "", "", "🌊"]
