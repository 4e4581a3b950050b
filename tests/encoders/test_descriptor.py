"""The descriptor: what it says follows colour, edges and texture, place by place, and always is the same."""

import numpy as np
import pytest
from encoders.pictures import drawn
from PIL import Image

from hashloom import catalogue, keeping
from hashloom.encoders.image.descriptor import Descriptor, _table
from hashloom.types import ImageEncoder

ENCODER = Descriptor()


def look(*images: Image.Image, rows: int = 7):
    return Descriptor(rows=rows)._look(list(images))


def striped(down: bool, side: int = 112) -> Image.Image:
    line = ((np.arange(side) // 4) % 2 * 255).astype(np.uint8)
    values = np.tile(line[:, None] if down else line[None], (1, side) if down else (side, 1))
    return Image.fromarray(values).convert("RGB")


def test_it_is_an_image_encoder_that_settings_build(tmp_path):
    built = catalogue.build({"image": "descriptor", "rows": 5})
    assert isinstance(built, ImageEncoder)
    assert built.grid == (5, 5)
    keeping.save(built.fit([]), tmp_path / "kept")
    assert keeping.load(tmp_path / "kept") == built


@pytest.mark.parametrize("rows", [1, 2, 7, 14])
def test_shapes_follow_the_grid(rows, tmp_path):
    drawn(90).save(tmp_path / "a.png")
    encoder = Descriptor(rows=rows)
    found = encoder.features([str(tmp_path / "a.png"), ""])
    assert found.values.shape == (2, rows * rows, encoder.dim)
    assert found.pooled.shape == (2, encoder.pooled_dim)


def test_sizes_are_as_planned():
    assert (ENCODER.grid, ENCODER.dim, ENCODER.pooled_dim) == ((7, 7), 46, 263)


@pytest.mark.parametrize(
    "image",
    [drawn(42), drawn(8), drawn(500), Image.new("RGB", (42, 42)), Image.new("RGB", (900, 30), "white"), striped(True)],
)
def test_values_are_finite_and_of_one_size(image):
    regions, pooled = look(image)
    for part in (regions, pooled):
        assert part.dtype == np.float32
        assert np.isfinite(part).all()
        assert np.abs(part).max() <= 2


def test_the_answer_is_always_the_same_and_hangs_on_no_neighbour():
    images = [drawn(60, seed) for seed in range(9)]
    alone = [look(image) for image in images]
    together = look(*images)
    assert np.array_equal(np.concatenate([regions for regions, _ in alone]), together[0])
    assert np.array_equal(np.concatenate([pooled for _, pooled in alone]), together[1])


def test_a_region_says_what_is_in_its_place():
    plain = Image.new("RGB", (112, 112), "gray")
    spotted = plain.copy()
    spotted.paste("red", (80, 16, 96, 32))  # row 2, column 6
    changed = np.abs(look(spotted)[0][0] - look(plain)[0][0]).sum(axis=1).reshape(7, 7)
    assert np.unravel_index(changed.argmax(), (7, 7)) == (1, 5)
    assert (changed > 0).sum() <= 9
    assert changed[4:].sum() == 0


def test_like_pictures_are_nearer_than_unlike_ones():
    red, wine, sea = (Image.new("RGB", (64, 64), c) for c in ("#d01010", "#b01818", "#1040c0"))
    pooled = look(red, wine, sea)[1]
    assert np.linalg.norm(pooled[0] - pooled[1]) < np.linalg.norm(pooled[0] - pooled[2]) / 2


def test_directions_of_edges_are_told_apart():
    down, across = look(striped(True))[0][0], look(striped(False))[0][0]
    turned = look(striped(True).rotate(90))[0][0]
    assert np.linalg.norm(down - across, axis=1).min() > 0.5
    assert np.allclose(turned, across, atol=0.2)


def test_texture_is_told_from_a_plain_ground():
    draw = np.random.default_rng(0)
    rough = Image.fromarray(draw.integers(90, 160, (112, 112, 3), dtype=np.uint8))
    plain = Image.new("RGB", (112, 112), (125, 125, 125))
    assert np.linalg.norm(look(rough)[0] - look(plain)[0], axis=2).min() > 0.5


def test_histograms_are_roots_of_shares():
    regions = look(drawn(112))[0][0]
    assert np.allclose((regions[:, :12] ** 2).sum(axis=1), 1, atol=1e-4)  # colours
    assert np.allclose((regions[:, -10:] ** 2).sum(axis=1), 1, atol=1e-4)  # patterns


def test_noise_of_the_file_has_no_direction():
    draw = np.random.default_rng(1)
    nearly = Image.fromarray((125 + draw.integers(0, 2, (112, 112, 1))).astype(np.uint8).repeat(3, axis=2))
    edges = look(nearly)[0][0][:, 18:26]
    assert (edges**2).sum(axis=1).max() < 0.2


def test_patterns_have_as_many_kinds_as_published():
    assert [len(set(_table(alike).tolist())) for alike in (True, False)] == [10, 59]


def test_a_small_thumbnail_is_described_much_as_the_picture_it_is_of():
    large = drawn(224).resize((224, 224))
    small, other = large.resize((42, 42)), drawn(224, seed=5).transpose(Image.Transpose.ROTATE_180)
    pooled = look(large, small, other)[1]
    assert np.linalg.norm(pooled[0] - pooled[1]) < np.linalg.norm(pooled[0] - pooled[2])
