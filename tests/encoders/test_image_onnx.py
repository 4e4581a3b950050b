"""Any ONNX file with regions: its own shapes and normalisation, and only the very file it was fitted with."""

import copy
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from encoders.pictures import drawn
from onnx import TensorProto, helper
from PIL import Image

from hashloom import catalogue, keeping
from hashloom.encoders.image.onnx import Onnx, shown
from hashloom.types import ImageEncoder

REAL = Path(__file__).resolve().parents[3] / "shared/data/encoders/mobilenet_v2"


def make(path, pooled=True, side=8, first="n", channels=3, output="regions"):
    """A network that gives the mean colour of each quarter; pooled: the brightest of them."""
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["grid"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Reshape", ["grid", "shape"], ["rows"]),
        helper.make_node("Transpose", ["rows"], [output], perm=[0, 2, 1]),
    ]
    outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, [first, None, channels])]
    if pooled:
        nodes.append(helper.make_node("ReduceMax", [output], ["pooled"], axes=[1], keepdims=0))
    name = "pooled" if pooled else "logits"
    if not pooled:
        nodes.append(helper.make_node("ReduceSum", [output], ["logits"], keepdims=0))
    outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    graph = helper.make_graph(
        nodes, "quarters",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [first, channels, side, side])],
        outputs, [helper.make_tensor("shape", TensorProto.INT64, [3], [0, channels, -1])],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9), path)
    return str(path)


@pytest.fixture
def picture(tmp_path):
    image = Image.new("RGB", (40, 40), "white")
    image.paste("red", (0, 0, 20, 20))
    image.save(tmp_path / "a.png")
    return str(tmp_path / "a.png")


def test_regions_and_pooled_are_the_networks_own(tmp_path, picture):
    encoder = Onnx(path=make(tmp_path / "a.onnx"), shown=1.0).fit([])
    assert isinstance(encoder, ImageEncoder)
    assert (encoder.grid, encoder.dim, encoder.pooled_dim) == ((2, 2), 3, 3)
    found = encoder.features([picture, ""])
    high = 127 / 128
    assert found.values[0, :, 1].tolist() == pytest.approx([-1, high, high, high], abs=0.15)
    assert found.values[0, 0].tolist() == pytest.approx([high, -1, -1], abs=0.15)
    assert found.pooled[0].tolist() == pytest.approx([high] * 3, abs=0.01)
    assert found.mask.tolist() == [[True] * 4, [False] * 4]


def test_without_pooled_it_is_the_mean_of_the_regions(tmp_path, picture):
    found = Onnx(path=make(tmp_path / "a.onnx", pooled=False)).fit([]).features([picture])
    assert found.pooled[0] == pytest.approx(found.values[0].mean(axis=0), abs=1e-3)


def test_mean_scale_and_size_are_settings(tmp_path, picture):
    path = make(tmp_path / "a.onnx", side="side")
    encoder = Onnx(path=path, size=16, mean=0, scale=255, shown=1.0).fit([])
    found = encoder.features([picture])
    assert encoder.grid == (4, 4)
    assert found.values[0, 0].tolist() == pytest.approx([1, 0, 0], abs=0.05)


def test_a_file_for_one_picture_at_a_time_takes_many(tmp_path, picture):
    drawn(30).save(tmp_path / "b.png")
    many = Onnx(path=make(tmp_path / "n.onnx")).fit([]).features([picture, str(tmp_path / "b.png")])
    single = Onnx(path=make(tmp_path / "1.onnx", first=1)).fit([]).features([picture, str(tmp_path / "b.png")])
    assert np.array_equal(many.values, single.values)


def test_the_middle_is_shown():
    image = Image.new("RGB", (100, 50), "blue")
    image.paste("red", (28, 3, 72, 47))
    assert (shown(image, 8, 0.875) == (255, 0, 0)).all()
    assert not (shown(image, 8, 1.0) == (255, 0, 0)).all()


def test_a_kept_encoder_holds_path_and_hash_not_the_network(tmp_path, picture):
    encoder = Onnx(path=make(tmp_path / "a.onnx")).fit([])
    keeping.save(encoder, tmp_path / "kept")
    assert not list((tmp_path / "kept").glob("*.bin"))
    assert json.loads((tmp_path / "kept/learnt.json").read_text()) == {"fingerprint_": encoder.fingerprint_}
    again = keeping.load(tmp_path / "kept")
    assert catalogue.settings(again) == catalogue.settings(encoder)
    assert np.array_equal(again.features([picture]).values, encoder.features([picture]).values)


def test_another_or_a_missing_file_is_named(tmp_path, picture):
    keeping.save(Onnx(path=make(tmp_path / "a.onnx")).fit([]), tmp_path / "kept")
    make(tmp_path / "a.onnx", pooled=False)
    with pytest.raises(ValueError, match=r"a\.onnx' is not the file this was fitted with"):
        keeping.load(tmp_path / "kept").features([picture])
    (tmp_path / "a.onnx").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file '.*a\.onnx'"):
        keeping.load(tmp_path / "kept").features([picture])


@pytest.mark.parametrize(
    ("how", "settings", "said"),
    [
        ({"output": "states"}, {}, "has no output 'regions'; its outputs are states"),
        ({"channels": 4}, {}, r"wanted is \(n, 3, side, side\)"),
        ({}, {"size": 32}, "takes pictures of 8 pixels"),
        ({}, {"input": "image"}, "has no input 'image'; its inputs are pixels"),
    ],
)
def test_a_file_of_another_kind_is_refused(how, settings, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        Onnx(path=make(tmp_path / "a.onnx", **how), **settings).fit([])


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no network at all")
    with pytest.raises(ValueError, match=r"a\.onnx: cannot be read as an ONNX file"):
        Onnx(path=str(tmp_path / "a.onnx")).fit([])


def test_features_are_kept_apart_by_file(tmp_path, picture):
    cache = str(tmp_path / "kept")
    one = Onnx(path=make(tmp_path / "a.onnx"), cache=cache).fit([]).features([picture])
    other = Onnx(path=make(tmp_path / "b.onnx", pooled=False), cache=cache).fit([]).features([picture])
    assert not np.array_equal(one.pooled, other.pooled)


def test_a_copy_works(tmp_path, picture):
    encoder = Onnx(path=make(tmp_path / "a.onnx")).fit([])
    first = encoder.features([picture])
    assert np.array_equal(copy.deepcopy(encoder).features([picture]).values, first.values)


@pytest.mark.skipif(not REAL.exists(), reason="../shared/data/encoders/mobilenet_v2 is not there")
def test_mobilenet_sees_what_is_drawn(tmp_path):
    encoder = Onnx(path=str(REAL / "model.onnx")).fit([])
    drawn(300).save(tmp_path / "a.png")
    found = encoder.features([str(tmp_path / "a.png")])
    assert (encoder.grid, encoder.dim, encoder.pooled_dim) == ((7, 7), 1280, 1280)
    assert 0 <= found.values.min() < found.values.max() <= 6.01  # its last activation is ReLU6
