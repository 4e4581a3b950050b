"""Token states: padding and company change nothing, nothing is read twice, the top layers are the model's own."""

import copy
import logging
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from hashloom.encoders.transformer import Transformer, _Network
from hashloom.networks.export import to_onnx
from hashloom.networks.pretrained import TopLayers

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "rye", "bread", "oven", "salt", "##s"]
TEXTS = ["rye bread", "", "oven", "rye bread oven salt rye bread ovens", "rye bread"]
LAYERS = 3


def save_tiny(path: Path, seed: int = 0) -> Path:
    """A tiny BERT with random weights, saved as any model is."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    torch.manual_seed(seed)
    size: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": LAYERS, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(WORDS), max_position_embeddings=32, intermediate_size=32, **size)
    model = BertModel(config)
    for weights in model.parameters():  # larger than a fresh model's, so that layers and padding matter
        weights.data += 0.2 * torch.randn_like(weights)
    model.save_pretrained(path)
    BertTokenizerFast(str(path / "vocab.txt"), model_max_length=32).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("model") / "bert")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Transformer:
    return Transformer(weights=str(folder)).fit([])


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts each run of the network was given."""
    given: list[int] = []
    run = _Network.run

    def counted(self: _Network, ids: Any, mask: Any) -> Any:
        given.append(len(ids))
        return run(self, ids, mask)

    monkeypatch.setattr(_Network, "run", counted)
    return given


def test_each_token_has_a_place_and_an_empty_text_has_none(encoder: Transformer) -> None:
    found = encoder.features(TEXTS)
    assert found.mask.sum(axis=1).tolist() == [4, 0, 3, 10, 4]
    assert found.values.shape == (5, 10, 16)
    assert found.values.dtype == np.float32
    assert not found.values[~found.mask].any()
    assert np.array_equal(found.values[0], found.values[4])
    assert encoder.features([]).values.shape == (0, 1, 16)
    assert encoder.features(["", " "]).mask.tolist() == [[False], [False]]


def test_the_states_are_the_models_own(encoder: Transformer, folder: Path) -> None:
    given = BertTokenizerFast.from_pretrained(folder)([TEXTS[3]], return_tensors="pt")
    with torch.no_grad():
        want = BertModel.from_pretrained(folder).eval()(**given).last_hidden_state[0].numpy()
    np.testing.assert_allclose(encoder.features([TEXTS[3]]).values[0], want, atol=4e-3)


def test_company_and_padding_change_nothing(encoder: Transformer, folder: Path) -> None:
    together, alone = encoder.features(TEXTS), [encoder.features([text]) for text in TEXTS]
    small = Transformer(weights=str(folder), batch=1).fit([]).features(TEXTS)
    np.testing.assert_allclose(small.values, together.values, atol=4e-3)
    for row, one in enumerate(alone):
        length = one.mask.sum()
        assert together.mask[row].sum() == length
        np.testing.assert_allclose(together.values[row, :length], one.values[0, :length], atol=4e-3)


def test_two_fits_give_the_same(encoder: Transformer, folder: Path) -> None:
    other = Transformer(weights=str(folder)).fit(["anything"], ["at all"])
    assert np.array_equal(other.features(TEXTS).values, encoder.features(TEXTS).values)


def test_long_texts_are_cut(folder: Path) -> None:
    short = Transformer(weights=str(folder), max_tokens=5).fit([])
    assert short.features(TEXTS).mask.sum(axis=1).tolist() == [4, 0, 3, 5, 4]


def test_pieces_say_where_in_the_text_a_place_stands(encoder: Transformer) -> None:
    text = "rye  ovens"
    spans = encoder.pieces([text, ""])
    assert [text[start:end] for start, end in spans[0]] == ["", "rye", "oven", "s", ""]
    assert spans[1] == []


def test_vectors_of_texts_are_the_mean_of_their_tokens(encoder: Transformer) -> None:
    found, vectors = encoder.features(TEXTS), encoder.encode(TEXTS)
    np.testing.assert_allclose(vectors[0], found.values[0, :4].mean(axis=0), atol=1e-6)
    assert not vectors[1].any()
    assert np.array_equal(encoder.encode_tags(TEXTS), vectors)
    assert encoder.encode([]).shape == (0, 16)


@pytest.mark.parametrize("top", [1, 2, LAYERS])
def test_the_top_layers_are_the_models_own(encoder: Transformer, folder: Path, top: int) -> None:
    lower = Transformer(weights=str(folder), trainable_layers=top).fit([])
    below, want = lower.features(TEXTS), encoder.features(TEXTS)
    module = lower.top()
    assert sum(weights.numel() for weights in module.parameters()) > 0
    assert all(weights.requires_grad for weights in module.parameters())
    with torch.no_grad():
        found = module.eval()(torch.from_numpy(below.values), torch.from_numpy(below.mask)).numpy()
    assert not np.allclose(below.values[want.mask], want.values[want.mask], atol=0.1)
    np.testing.assert_allclose(found[want.mask], want.values[want.mask], atol=2e-2)


def test_each_top_is_a_copy_that_trains_by_itself(folder: Path) -> None:
    encoder = Transformer(weights=str(folder), trainable_layers=1).fit([])
    below, one, other = encoder.features(TEXTS), encoder.top(), encoder.top()
    states, mask = torch.from_numpy(below.values), torch.from_numpy(below.mask)
    one(states, mask)[mask].square().sum().backward()
    assert all(weights.grad is not None for weights in one.parameters())
    with torch.no_grad():
        for weights in one.parameters():
            weights.zero_()
    assert np.array_equal(encoder.features(TEXTS).values, below.values)
    assert any(weights.any() for weights in other.parameters())
    assert Transformer(weights=str(folder)).fit([]).top() is None


def test_the_top_layers_export(folder: Path) -> None:
    class Alone(torch.nn.Module):
        def __init__(self, top: torch.nn.Module) -> None:
            super().__init__()
            self.top = top

        def forward(self, states: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor]:
            return (self.top(states, mask),)

    module = Alone(Transformer(weights=str(folder), trainable_layers=2).fit([]).top())
    draw = torch.Generator().manual_seed(0)
    examples = []
    for posts, tokens in ((2, 5), (1, 1), (3, 9), (4, 2)):
        mask = torch.arange(tokens) < torch.arange(1, posts + 1)[:, None]
        examples.append((torch.randn(posts, tokens, 16, generator=draw), mask))
    axes = {0: "posts", 1: "tokens"}
    assert len(to_onnx(module, examples, {"states": axes, "mask": axes}, ["found"])) > 1000


def test_layers_of_another_build_are_refused() -> None:
    from transformers import DistilBertConfig, DistilBertModel

    model = DistilBertModel(DistilBertConfig(vocab_size=9, dim=4, hidden_dim=4, n_heads=2, n_layers=1))
    with pytest.raises(ValueError, match="DistilBertModel cannot be trained apart; set trainable_layers to 0"):
        TopLayers(model, 1)


@pytest.mark.parametrize("top", [0, 1])
def test_onnx_runtime_gives_the_same(folder: Path, tmp_path: Path, top: int) -> None:
    want = Transformer(weights=str(folder), trainable_layers=top).fit([]).features(TEXTS)
    given: dict[str, Any] = {"weights": str(folder), "trainable_layers": top, "runtime": "onnx", "cache": str(tmp_path)}
    found = Transformer(**given).fit([]).features(TEXTS)
    assert np.array_equal(found.mask, want.mask)
    np.testing.assert_allclose(found.values, want.values, atol=4e-3)


def test_the_export_is_kept_and_a_damaged_one_made_anew(
    folder: Path, tmp_path: Path, runs: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    encoder = Transformer(weights=str(folder), runtime="onnx", cache=str(tmp_path)).fit([])
    want = encoder.features(TEXTS[:1]).values
    (file,) = tmp_path.glob("transformer-*.onnx")
    (tmp_path / "transformer.sqlite").unlink()
    other = copy.deepcopy(encoder)
    assert np.array_equal(other.features(TEXTS[:1]).values, want)
    assert "_loaded" not in vars(other)
    (tmp_path / "transformer.sqlite").unlink()
    file.write_bytes(file.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(copy.deepcopy(encoder).features(TEXTS[:1]).values, want)
    assert "damaged; exported anew" in caplog.text
    assert len(list(tmp_path.glob("transformer-*.onnx"))) == 1
    assert runs == []


def test_with_a_cache_no_text_is_encoded_twice(folder: Path, tmp_path: Path, runs: list[int]) -> None:
    want = Transformer(weights=str(folder)).fit([]).features(TEXTS).values
    assert sum(runs) == 3
    first = Transformer(weights=str(folder), cache=str(tmp_path)).fit([])
    assert np.array_equal(first.features(TEXTS).values, want)
    runs.clear()
    again = Transformer(weights=str(folder), cache=str(tmp_path)).fit([])
    assert np.array_equal(again.features(TEXTS).values, want)
    assert runs == []
    again.features([*TEXTS, "salt"])
    assert runs == [1]


@pytest.mark.parametrize("other", [{"max_tokens": 5}, {"trainable_layers": 1}])
def test_other_settings_meet_no_old_states(folder: Path, tmp_path: Path, other: dict[str, Any]) -> None:
    Transformer(weights=str(folder), cache=str(tmp_path)).fit([]).features(TEXTS)
    found = Transformer(weights=str(folder), cache=str(tmp_path), **other).fit([]).features(TEXTS)
    want = Transformer(weights=str(folder), **other).fit([]).features(TEXTS)
    assert np.array_equal(found.mask, want.mask)
    assert np.array_equal(found.values, want.values)


def test_known_texts_are_answered_without_the_network(folder: Path, tmp_path: Path) -> None:
    encoder = Transformer(weights=str(folder), cache=str(tmp_path)).fit([])
    want = encoder.features(TEXTS).values
    other = Transformer(weights="./nowhere", cache=str(tmp_path))
    other.fingerprint_, other.dim_ = encoder.fingerprint_, encoder.dim_
    assert np.array_equal(other.features(TEXTS).values, want)
    with pytest.raises(FileNotFoundError, match=r"no folder '\./nowhere'"):
        other.features(["salt"])


def test_fields_and_learnt_attributes_are_the_whole_encoder(encoder: Transformer) -> None:
    other = Transformer(**{f.name: getattr(encoder, f.name) for f in fields(encoder)})
    for name, value in vars(encoder).items():
        if name.endswith("_"):
            setattr(other, name, copy.deepcopy(value))
    assert np.array_equal(other.features(TEXTS).values, encoder.features(TEXTS).values)


def test_another_model_in_the_same_place_is_refused(encoder: Transformer, tmp_path: Path) -> None:
    other = Transformer(weights=str(save_tiny(tmp_path / "other", seed=1)))
    other.fingerprint_, other.dim_ = encoder.fingerprint_, encoder.dim_
    with pytest.raises(ValueError, match="is not the model this was fitted with; fit again"):
        other.features(["rye"])
    assert other.fit([]).features(["rye"]).mask.sum() == 3


def test_more_top_layers_than_there_are_are_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"trainable_layers is 4, but .* has only 3 layers"):
        Transformer(weights=str(folder), trainable_layers=4).fit([])


def test_what_cannot_be_had_is_named_with_the_remedy(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoConfig

    with pytest.raises(OSError, match=r"cannot be loaded .* with config.json and model.safetensors"):
        Transformer(weights=str(tmp_path)).fit([])
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(OSError, match=r"cannot be loaded .* with config.json and model.safetensors"):
        Transformer(weights=str(tmp_path)).fit([])

    def offline(*_: object, **__: object) -> None:
        raise OSError("We couldn't connect")

    monkeypatch.setattr(AutoConfig, "from_pretrained", offline)
    with pytest.raises(OSError, match=r"'some/model' cannot be had .* connect to the hub once .* local folder"):
        Transformer(weights="some/model").fit([])


def test_weights_that_lack_a_layer_are_refused(folder: Path, tmp_path: Path) -> None:
    import json

    save_tiny(tmp_path / "more")
    path = tmp_path / "more" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_hidden_layers": LAYERS + 1}))
    with pytest.raises(ValueError, match=r"lacks 16 weights of this network, 'encoder.layer.3"):
        Transformer(weights=str(tmp_path / "more")).fit([])
