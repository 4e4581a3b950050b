"""The pretrained generator, with a tiny random T5 made here: it learns, is kept whole, says what is wrong."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from hashloom import catalogue, keeping
from hashloom.generators import join
from hashloom.generators.pretrained import Pretrained, _cut
from hashloom.networks import finetuning
from hashloom.recommenders.popular import Popular
from hashloom.recommenders.right import Right
from hashloom.types import Generator, Post, Posts

WORDS = ["rye", "oat", "surf", "sail", "warm", "loaf", "bread", "sea"]
SIGNS = ["<extra_id_0>", "<extra_id_1>"]


def save_tiny(path: Path, signs: list[str] = SIGNS) -> Path:
    """A tiny T5 with random weights and a vocabulary of words, saved as any model is."""
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *signs, "|", ";", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    extra = {"additional_special_tokens": signs} if signs else {}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", **extra
    ).save_pretrained(path)
    torch.manual_seed(0)
    size = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 4}
    config = T5Config(vocab_size=len(vocabulary), decoder_start_token_id=0, dropout_rate=0.0, **size)
    T5ForConditionalGeneration(config).save_pretrained(path)
    return path


SOURCES = [join(f"warm {word} loaf", [word]) for _ in range(8) for word in WORDS[:4]]
TARGETS = [[word, "bread" if word in ("rye", "oat") else "sea"] for _ in range(8) for word in WORDS[:4]]
TINY = {"rate": 0.02, "epochs": 20, "batch": 8, "source": 16, "target": 8, "validation": 0.2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "t5")


@pytest.fixture(scope="module")
def made(folder: Path) -> Pretrained:
    return Pretrained(weights=str(folder), **TINY).fit(SOURCES, TARGETS)


def test_it_is_a_generator_with_explained_settings(made: Pretrained) -> None:
    assert isinstance(made, Generator)
    assert all(s.about for s in catalogue.listing(Pretrained))
    assert catalogue.build(catalogue.settings(made)) == made


@pytest.mark.parametrize("beam", [1, 4])
def test_it_learns_the_tags_of_a_text(made: Pretrained, beam: int) -> None:
    made = copy.copy(made)
    made.beam = beam
    for row, word in zip(made.generate(SOURCES[:4], 2), WORDS[:4], strict=True):
        assert {tag for tag, _ in row} == {word, "bread" if word in ("rye", "oat") else "sea"}


def test_chances_are_sound_and_each_tag_comes_once(made: Pretrained) -> None:
    for row in made.generate([*SOURCES[:5], "unheard of", ""], 10):
        chances = [chance for _, chance in row]
        assert chances == sorted(chances, reverse=True)
        assert all(0 < chance <= 1 for chance in chances)
        assert len({tag for tag, _ in row}) == len(row) <= 10


def test_company_and_order_change_nothing(made: Pretrained) -> None:
    asked = [SOURCES[0], "warm", SOURCES[2]]
    together = made.generate(asked, 5)
    alone = [made.generate([source], 5)[0] for source in asked]
    assert [[tag for tag, _ in row] for row in together] == [[tag for tag, _ in row] for row in alone]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose([c for _, c in one], [c for _, c in other], rtol=1e-3)


def test_kept_it_needs_the_published_weights_no_more(tmp_path: Path) -> None:
    place = save_tiny(tmp_path / "t5")
    made = Pretrained(weights=str(place), **TINY | {"epochs": 2}).fit(SOURCES, TARGETS)
    want = made.generate(SOURCES[:3], 4)
    holder = Popular().fit(Posts.of([Post("1", "a", "c", tags=("Rye",))]))
    holder.generator_ = made
    holder.save(tmp_path / "m")
    for file in place.iterdir():
        file.unlink()
    again = keeping.load(tmp_path / "m").generator_
    assert again.generate(SOURCES[:3], 4) == want


def test_the_best_epoch_is_kept_and_not_the_last(folder: Path) -> None:
    late = [["sea"]] * 8
    made = Pretrained(weights=str(folder), **TINY | {"epochs": 4}).fit([*SOURCES, *SOURCES[:8]], [*TARGETS, *late])
    scores = made.course_["scores"]
    assert made.course_["best"] == int(np.argmax(scores)) + 1
    model, tokens = made._loaded, made._tokenizer
    held = int(40 * 0.2)
    read, said = made._read([*SOURCES, *SOURCES[:8]]), made._said([*TARGETS, *late])
    found = finetuning._judged(model, read, said, np.arange(40 - held, 40), tokens.pad_token_id, torch.device("cpu"))
    assert found == pytest.approx(max(scores), abs=1e-4)


def test_right_answers_with_it_and_is_kept_with_it(folder: Path, tmp_path: Path) -> None:
    rows = [
        Post(f"{i}", f"warm {word} loaf", "c", tags=(word.title(), tags[1]))
        for i, (word, tags) in enumerate(zip(WORDS[:4] * 8, TARGETS, strict=True))
    ]
    model = Right(generator=Pretrained(weights=str(folder), **TINY), selector=False, max_share=1.0).fit(Posts.of(rows))
    asked = Posts.of([Post("q", "warm sail loaf", "c")])
    found = model.recommend(asked, 3)[0].tags
    assert {"Sail", "sea"} <= set(found)
    model.save(tmp_path / "m")
    assert keeping.load(tmp_path / "m").recommend(asked, 3)[0].tags == found


def test_signs_that_a_tokenizer_lacks_are_replaced(tmp_path: Path) -> None:
    made = Pretrained(weights=str(save_tiny(tmp_path / "plain", [])), **TINY).fit(SOURCES, TARGETS)
    assert made._tokenizer.decode(made._read([join("warm", ["rye", "oat"])])[0]).startswith("warm | rye | oat")
    assert made._tokenizer.decode(made._said([["rye", "bread"]])[0]).startswith("rye ; bread")
    assert {tag for tag, _ in made.generate(SOURCES[:1], 2)[0]} == {"rye", "bread"}


def test_a_long_source_loses_text_and_then_tags(made: Pretrained) -> None:
    numbers = made._read([join("warm " * 50, ["rye"] * 50)])[0]
    text = made._tokenizer.decode(numbers)
    assert len(numbers) == 16
    assert text.count("rye") == 4
    assert text.endswith("</s>")


def test_a_tag_ends_at_the_sign_and_the_sequence_at_its_end() -> None:
    assert _cut([9, 5, 6, 9, 9, 7], [0.0, -1.0, -2.0, -3.0, 0.0, -4.0], 9, 1) == [([5, 6], -2.0), ([7], -4.0)]
    assert _cut([5, 1, 6], [-1.0, -1.0, -9.0], 9, 1) == [([5], -1.0)]


def test_the_rate_rises_and_falls() -> None:
    rates = [finetuning.warm(step, 50, 0.06) for step in range(51)]
    assert rates[0] == 0
    assert rates[3] == 1
    assert rates[50] == 0
    assert max(rates) == 1


@pytest.mark.parametrize("place", ["./nowhere", "/nowhere/at/all"])
def test_a_missing_folder_is_named(place: str) -> None:
    with pytest.raises(FileNotFoundError, match=f"there is no folder '{place}'"):
        Pretrained(weights=place).fit(["a"], [["b"]])


def test_another_kind_of_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    with pytest.raises((OSError, ValueError), match="generator pretrained"):
        Pretrained(weights=str(tmp_path)).fit(["a"], [["b"]])
