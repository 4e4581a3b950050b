import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashloom.encoders import tokens
from hashloom.encoders.tokens import LONGEST, Tokens, each_once, looks_chinese

SPLITS = [
    ("", []),
    ("Rye  Bread", ["rye", "bread"]),
    ("C++, C# & F#!", ["c++", "c#", "f#"]),
    ("node.js", ["node.js", "node", "js"]),
    ("3d-printing", ["3d-printing", "3d", "printing"]),
    ("version 1.5", ["version", "1.5"]),
    ("don’t", ["don't"]),
    ("ＲＹＥ Ｃ＋＋", ["rye", "c++"]),
    ("Straße", ["strasse"]),
    ("Привет, мир", ["привет", "мир"]),
    ("สวัสดี ชาวโลก", ["สวัสดี", "ชาวโลก"]),
    ("안녕하세요", ["안녕하세요"]),
    ("loaf 🍞👍🏽", ["loaf", "🍞", "👍"]),
    ("see https://www.Example.com/a/b?c=1#d.", ["see", "example.com", "example", "com"]),
    ("我们学习node.js", ["我们", "学习", "node.js", "node", "js"]),
]


@pytest.mark.parametrize(("text", "words"), SPLITS)
def test_split(text: str, words: list[str]) -> None:
    assert Tokens().split(text) == words


@pytest.mark.parametrize(
    ("japanese", "feature", "airport"),
    [
        ("unidic", ["新", "機能"], ["関西", "国際", "空港"]),
        ("ipadic", ["新", "機能"], ["関西国際空港"]),
        ("sudachi_a", ["新", "機能"], ["関西", "国際", "空港"]),
        ("sudachi_b", ["新機能"], ["関西", "国際", "空港"]),
        ("sudachi_c", ["新機能"], ["関西国際空港"]),
    ],
)
def test_japanese_dictionaries_cut_differently(japanese: str, feature: list[str], airport: list[str]) -> None:
    tokens = Tokens(japanese=japanese)  # type: ignore[arg-type]
    assert tokens.split("新機能") == feature
    assert tokens.split("React 18の新機能") == ["react", "18", "の", *feature]
    assert tokens.split("関西国際空港") == airport


def test_han_without_kana_goes_by_setting() -> None:
    assert Tokens(han="japanese").split("新機能") == ["新", "機能"]
    assert Tokens(han="chinese").split("新機能") == ["新機", "能"]
    assert Tokens(han="chinese").split("新機能の") == ["新", "機能", "の"]


@pytest.mark.parametrize("text", ["我们今天", "你好", "東" * 24])
def test_chinese_by_its_characters(text: str) -> None:
    assert looks_chinese(text)


@pytest.mark.parametrize("text", ["髙島屋", "新機能", "東" * 23])
def test_short_japanese_nouns_are_not_chinese(text: str) -> None:
    assert not looks_chinese(text)


def test_case_may_be_kept() -> None:
    assert Tokens(lowercase=False).split("React Écran") == ["React", "Écran"]


def test_only_the_first_characters_are_read_and_words_are_capped() -> None:
    assert Tokens(characters=5).split("bread and salt") == ["bread"]
    assert Tokens().split("x" * 1_000_000) == ["x" * LONGEST]


def test_unknown_dictionary_is_refused_with_the_names() -> None:
    with pytest.raises(ValueError, match="there are unidic"):
        Tokens(japanese="mecab").split("パン")  # type: ignore[arg-type]


def test_threads_share_a_dictionary() -> None:
    tokens, text = Tokens(japanese="sudachi_c"), "関西国際空港の新機能を開発者が試した。" * 20
    want = tokens.split(text)
    got: list[bool] = []

    def work() -> None:
        got.extend(tokens.split(text) == want for _ in range(20))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [True] * 80


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80) | st.text(alphabet="新機能のパンを焼いた ー\u3000\n", max_size=40))
def test_any_text_splits_into_words_without_white_space(text: str) -> None:
    for word in Tokens().split(text):
        assert word
        assert not any(c.isspace() for c in word)


def test_within_an_answer_a_text_is_cut_once_and_nothing_is_kept_after(monkeypatch: pytest.MonkeyPatch) -> None:
    cut, sound = list[str](), Tokens._split

    def noted(self: Tokens, text: str) -> list[str]:
        cut.append(text)
        return sound(self, text)

    monkeypatch.setattr(Tokens, "_split", noted)
    with each_once():
        first = Tokens().split("Rye bread")
        first.append("changed by who asked")
        assert Tokens().split("Rye bread") == ["rye", "bread"]
        assert Tokens(lowercase=False).split("Rye bread") == ["Rye", "bread"]
        with each_once():
            assert Tokens().split("Rye bread") == ["rye", "bread"]
        assert Tokens().split("Rye bread") == ["rye", "bread"]
        with ThreadPoolExecutor(1) as other:
            assert other.submit(Tokens().split, "Rye bread").result() == ["rye", "bread"]
    assert cut == ["Rye bread"] * 3
    assert Tokens().split("Rye bread") == ["rye", "bread"]
    assert len(cut) == 4


def test_what_was_cut_is_forgotten_after_a_failure_too() -> None:
    with pytest.raises(TypeError), each_once():
        Tokens().split(Tokens().split("Rye bread"))  # type: ignore[arg-type]
    assert tokens._cut.held is None
