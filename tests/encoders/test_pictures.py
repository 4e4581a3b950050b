"""Pictures: every kind that is read comes as 8-bit RGB, upright; a bad one is named, bounded, and costs only itself."""

import copy
import logging
import os
import pickle
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from encoders.pictures import drawn, encoded, endless_scans, forge, gif_frames
from PIL import Image

from hashloom.encoders.image import _base, _pictures
from hashloom.encoders.image._base import PictureEncoder
from hashloom.encoders.image._pictures import BadPicture, Limits, decode, open_picture


@dataclass
class Corners(PictureEncoder):
    """Colours of a picture's four quarters, and how often it was asked."""

    factor: float = 1.0

    grid, dim, pooled_dim = (2, 2), 3, 1

    def identity(self) -> str:
        return f"corners {self.factor}"

    def _look(self, images):
        self.asked = [*getattr(self, "asked", []), len(images)]
        small = np.stack([np.asarray(image.resize((2, 2), Image.Resampling.BOX)) for image in images])
        return small.reshape(-1, 4, 3) / 255 * self.factor, np.full((len(images), 1), 1e9)


@pytest.fixture
def three(tmp_path: Path) -> list[str]:
    for i in range(3):
        drawn(seed=i).save(tmp_path / f"{i}.png")
    return [str(tmp_path / f"{i}.png") for i in range(3)]


# ---------------------------------------------------------------- kinds


def near(image: Image.Image, wanted: Image.Image) -> bool:
    assert (image.mode, image.size) == ("RGB", wanted.size)
    quarter = [np.asarray(i.resize((2, 2), Image.Resampling.BOX), int)[:, 0] for i in (image, wanted)]
    return np.abs(quarter[0] - quarter[1]).max() < 16


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "AVIF"])
def test_every_format_is_read_whatever_its_name(kind, tmp_path):
    (tmp_path / "wrong.txt").write_bytes(encoded(drawn(), kind))
    assert near(open_picture(tmp_path / "wrong.txt"), drawn())


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("CMYK", "JPEG"), ("L", "JPEG"), ("P", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("RGBA", "WEBP"), ("I;16", "PNG")],
)
def test_every_mode_becomes_rgb(mode, kind):
    grey = mode in ("L", "LA", "1", "I;16")
    plain = Image.fromarray(np.repeat(np.repeat(np.array([[0, 255], [255, 0]], np.uint8), 20, 0), 20, 1))
    given = plain if grey else drawn()
    wide = Image.fromarray(np.asarray(plain).astype(np.uint16) * 257)
    assert near(decode(encoded(wide if mode == "I;16" else given.convert(mode), kind)), given.convert("RGB"))


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA"])
def test_what_is_transparent_becomes_white(mode):
    clear = Image.new("RGBA", (20, 20), (9, 9, 9, 0))
    data = encoded(clear.convert("P" if mode == "P" else mode), "PNG", **({"transparency": 0} if mode == "P" else {}))
    assert decode(data).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_picture_is_set_upright(turn):
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what undoes each orientation
    image = drawn(40).crop((0, 0, 40, 24))
    lying = image.transpose(Image.Transpose(back[turn])) if turn in back else image
    notes = Image.Exif()
    notes[_pictures.ORIENTATION] = turn
    assert near(decode(encoded(lying, "JPEG", exif=notes, quality=95)), image)


def test_damaged_notes_do_not_lose_the_picture():
    data = encoded(drawn(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff garbage")
    assert near(decode(data), drawn())


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_moving_pictures_the_first_frame_is_read(kind):
    frames = [drawn().convert("RGB"), Image.new("RGB", (64, 64), "blue")]
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:] * 3, duration=100)
    assert near(decode(data), drawn())


def test_a_hundred_thousand_frames_cost_one():
    data = gif_frames(100_000)
    start = time.perf_counter()
    assert decode(data).size == (32, 32)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_large_picture_is_made_smaller_on_the_way(kind):
    data = encoded(drawn(1200), kind)
    small = decode(data, near=224)
    assert 224 <= min(small.size) < 448
    assert near(small, drawn(1200).resize(small.size))


# ---------------------------------------------------------------- bad pictures


def test_each_bad_picture_is_named_and_costs_only_itself(tmp_path, three, caplog):
    bad = forge(tmp_path)
    encoder = Corners()
    with caplog.at_level(logging.WARNING):
        found = encoder.features([three[0], *bad, "", three[1]])
        encoder.features(list(bad))
    assert found.mask.any(axis=1).tolist() == [True] + [False] * (len(bad) + 1) + [True]
    assert not found.values[1:-1].any()
    assert not found.pooled[1:-1].any()
    assert dict(encoder.problems).keys() == bad.keys()
    for path, reason in encoder.problems:
        assert bad[path] in reason, path
        assert reason.count("\n") == 0
    assert len(caplog.records) == len(encoder.problems) == len(bad)
    assert not Path("/tmp/owned").exists()


def test_bad_pictures_are_bounded_in_time_and_memory(tmp_path):
    forge(tmp_path)
    (tmp_path / "frames.gif").write_bytes(gif_frames(100_000))
    code = """
import resource, sys, time
from hashloom.encoders.image import _pictures
from PIL import Image; Image.init()
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
before, worst = peak(), 0
for path in sys.argv[1:]:
    start = time.process_time()
    try: _pictures.open_picture(path, near=224)
    except _pictures.BadPicture: pass
    worst = max(worst, time.process_time() - start)
print(worst, peak() - before)
"""
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, timeout=300)
    seconds, megabytes = map(float, done.stdout.split())
    assert seconds < 8, done.stdout
    assert megabytes < 400, done.stdout


def test_a_decoder_that_takes_too_long_is_stopped():
    data = endless_scans()
    start = time.process_time()
    with pytest.raises(BadPicture, match=r"takes longer than 0\.2 s"):
        decode(data, Limits(seconds=0.2))
    assert time.process_time() - start < 15  # one where nothing else runs, minutes where it goes on to the end


def test_too_many_bytes_are_not_read(tmp_path):
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(BadPicture, match="1,000,000,000,000 bytes"):
        open_picture(tmp_path / "large.png")


def test_a_link_inside_its_folder_and_a_linked_folder_are_read(tmp_path, three):
    (tmp_path / "same.png").symlink_to(three[0])
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "all").symlink_to(tmp_path)
    assert open_picture(tmp_path / "same.png").size == (64, 64)
    assert open_picture(tmp_path / "elsewhere/all/0.png").size == (64, 64)


@pytest.mark.parametrize("path", ["a\0b.png", "x" * 5000, "http://127.0.0.1/a.png", "\ud800.png", "../../nothing.png"])
def test_no_name_does_harm(path, caplog):
    encoder = Corners()
    assert not encoder.features([path]).mask.any()
    assert encoder.problems[0][0] == path


def test_a_name_cannot_write_lines_of_its_own(caplog):
    Corners().features(["a\nERROR all is lost\x1b[2J.png"])
    assert "\n" not in caplog.records[0].getMessage()
    assert "\x1b" not in caplog.records[0].getMessage()


def test_a_stream_of_bad_pictures_does_not_fill_memory_or_log(monkeypatch, caplog):
    monkeypatch.setattr(_base, "TOLD", 5)
    encoder = Corners()
    encoder.features([f"{i}.png" for i in range(50)])
    assert len(encoder.problems) == 5
    assert len(caplog.records) == 6


# ---------------------------------------------------------------- features and what is kept


def test_features_come_in_order_and_in_batches(three):
    encoder = Corners(batch=2)
    found = encoder.features([three[2], "", *three])
    assert encoder.asked == [2, 1]
    assert found.values.shape == (5, 4, 3)
    assert found.mask.all(axis=1).tolist() == [True, False, True, True, True]
    assert np.array_equal(found.values[0], found.values[4])
    assert np.allclose(found.values[2][0], np.array([220, 20, 20]) / 255, atol=1e-3)
    assert np.isfinite(found.pooled).all()
    assert found.values.dtype == found.pooled.dtype == np.float32


def test_no_pictures_at_all():
    assert Corners().features([]).values.shape == (0, 4, 3)
    assert Corners().features(["", ""]).pooled.shape == (2, 1)


def test_the_same_content_is_encoded_once_and_kept(three, tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "copy.png").write_bytes(Path(three[0]).read_bytes())
    encoder = Corners(cache=str(tmp_path / "kept"))
    first = encoder.features([three[0], str(folder / "copy.png"), three[1]])
    assert encoder.asked == [2]
    again = Corners(cache=str(tmp_path / "kept"))
    assert np.array_equal(again.features([str(folder / "copy.png"), three[0], three[1]]).values, first.values)
    assert not hasattr(again, "asked")
    assert np.array_equal(Corners().features([three[0]]).values[0], first.values[0])


def test_other_settings_meet_nothing_old(three, tmp_path):
    Corners(cache=str(tmp_path)).features(three)
    other = Corners(cache=str(tmp_path), factor=0.5)
    assert np.isclose(other.features(three).values[0, 0, 0], 110 / 255, atol=1e-3)
    other.factor = 1.0
    assert np.isclose(other.features(three).values[0, 0, 0], 220 / 255, atol=1e-3)


def test_recent_pictures_are_neither_read_nor_decoded_again(three, monkeypatch):
    encoder = Corners()
    first = encoder.features(three)
    monkeypatch.setattr(_pictures, "read", None)
    assert np.array_equal(encoder.features(three).values, first.values)
    assert encoder.asked == [3]


def test_a_changed_picture_is_read_again(three):
    encoder = Corners()
    encoder.features(three)
    Image.new("RGB", (64, 64), "blue").save(three[0])
    os.utime(three[0], ns=(1, 1))
    assert encoder.features(three[:1]).values[0, 0].tolist() == [0, 0, 1]


def test_memory_of_recent_pictures_is_bounded(three, monkeypatch):
    monkeypatch.setattr(_base, "REMEMBERED", 1100)
    encoder = Corners()
    encoder.features(three)
    assert len(encoder._recent.kept) == 2
    assert encoder._recent.used <= 1100


def test_a_copy_and_a_pickle_of_an_encoder_work(three):
    encoder = Corners()
    first = encoder.features(three)
    for other in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert np.array_equal(other.features(three).values, first.values)


def test_bytes_of_pictures_in_memory_are_bounded(three, monkeypatch):
    monkeypatch.setattr(_base, "HELD", 100)
    encoder = Corners()
    assert encoder.features(three).mask.all()
    assert encoder.asked == [1, 1, 1]
