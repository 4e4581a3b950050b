"""Pictures made to hurt, sent with a draft: what is wrong is said, the text is answered, at bounded cost."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from asking import asked
from encoders.pictures import FORGED, chunk, drawn, encoded, endless_scans, gif_frames, png
from PIL import Image
from wire import Heard, Running, post

from hashloom.serve.engine import Engine

EDGE = "edge0f1c"
DRAFT = {"text": "rye flour kneaded", "community": "even"}
GROWN = 700.0
"""Megabytes that the largest picture may take while it is decoded."""


def sent(running: Running, *pictures: bytes, path: str = "/v1/suggest/pictures") -> Heard:
    parts = [b'Content-Disposition: form-data; name="draft"\r\n\r\n' + json.dumps(DRAFT).encode()]
    parts += [b'Content-Disposition: form-data; name="picture"; filename="a.png"\r\n\r\n' + one for one in pictures]
    body = b"".join(b"--%b\r\n%b\r\n" % (EDGE.encode(), part) for part in parts) + b"--%b--\r\n" % EDGE.encode()
    return post(running.port, body, path=path, kind=f"multipart/form-data; boundary={EDGE}")


def lying(kind: str, at: bytes, size: bytes) -> bytes:
    """A sound picture with other bytes behind a mark, where its size stands."""
    data = encoded(drawn(), kind)
    place = data.index(at) + len(at)
    return data[:place] + size + data[place + len(size) :]


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a", b"\0" * 10_000_000)
    return file.getvalue()


def noted(kind: bytes, size: int) -> bytes:
    """A PNG with a compressed chunk that becomes very large."""
    head = {b"iCCP": b"a\0\0", b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0"}[kind]
    return png(64, 64, more=chunk(kind, head + zlib.compress(b"\0" * size)))


TIFF = encoded(drawn(), "TIFF")
MORE: dict[str, tuple[Callable[[], bytes], str]] = {
    "bomb.avif": (lambda: lying("AVIF", b"ispe\0\0\0\0", b"\0\0\xff\xff\0\0\xff\xff"), ""),
    "bomb.tiff": (lambda: TIFF, "no picture of a known format"),
    "bomb.jp2": (lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + b"\xff" * 200, "no picture of a known format"),
    "lying.icns": (lambda: b"icns\xff\xff\xff\xffic10\xff\xff\xff\xff" + png(64, 64), "no picture of a known format"),
    "lying.ico": (lambda: b"\0\0\1\0\1\0\0\0\0\0\1\0\x20\0\xff\xff\xff\x7f\x16\0\0\0" + png(9, 9), "no picture"),
    "lying.blp": (lambda: b"BLP2\1\0\0\0" + b"\xff" * 200, "no picture of a known format"),
    "zip": (zipped, "no picture of a known format"),
    "gzip": (lambda: b"\x1f\x8b\x08" + b"\0" * 99, "no picture of a known format"),
    "icc.png": (lambda: noted(b"iCCP", 90_000_000), "damaged"),
    "words.png": (lambda: noted(b"iTXt", 90_000_000), "damaged"),
    "too many bytes": (lambda: encoded(drawn(), "PNG") + b"\0" * 10_000_000, "10,000,000 are read at most"),
    "svg": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', "SVG"),
    "laughs.svg": (lambda: b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "&b;&b;">]><svg>&a;</svg>', "SVG"),
    "polyglot of pdf": (lambda: b"%PDF-1.7\n" + encoded(drawn(), "PNG"), "PDF, not a picture"),
}  # fmt: skip
BAD = FORGED | MORE | {"zero.png": (bytes, "no picture of a known format")}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_leaves_the_tags_of_the_text(running: Running, name: str) -> None:
    make, said = BAD[name]
    content = make()
    before = running.memory()
    running.forget_peak()
    heard = sent(running, content)
    answer = json.loads(heard.body)
    assert (heard.status, answer["way"]) == (200, "model"), heard
    assert answer["suggestions"][0]["tag"] == "Rye"
    assert len(answer["notes"]) == 1
    assert answer["notes"][0].startswith("picture 0: ")
    assert said in answer["notes"][0]
    assert "/" not in answer["notes"][0].replace("application/", "")
    assert heard.seconds < 20
    assert running.peak() - before < GROWN
    assert sent(running, content, path="/v1/forecast/pictures").status == 200
    running.answers()


SOUND: dict[str, Callable[[], bytes]] = {
    "frames": lambda: gif_frames(100_000),
    "moving": lambda: encoded(drawn(), "WEBP", save_all=True, append_images=[drawn(seed=s) for s in range(99)]),
    "cmyk": lambda: encoded(drawn().convert("CMYK"), "JPEG"),
    "16 bit": lambda: encoded(Image.new("I;16", (64, 64)), "PNG"),
    "palette with alpha": lambda: encoded(drawn().convert("P"), "PNG", transparency=0),
    "exif of megabytes": lambda: encoded(drawn(), "WEBP", exif=b"Exif\0\0II*\0" + b"\xff" * 5_000_000),
    "icc of megabytes": lambda: encoded(drawn(), "WEBP", icc_profile=b"\xff" * 5_000_000),
    "xmp of megabytes": lambda: encoded(drawn(), "WEBP", xmp=b"<x>" * 1_500_000),
    "polyglot with a script": lambda: encoded(drawn(), "GIF") + b"<script>alert(1)</script>",
    "polyglot with a zip": lambda: encoded(drawn(), "PNG") + zipped(),
    "as many pixels as there may be": lambda: encoded(Image.new("RGB", (7_000, 7_000)), "PNG", compress_level=1),
}


@pytest.mark.parametrize("name", SOUND)
def test_an_odd_picture_that_is_one_is_taken_at_bounded_cost(running: Running, name: str) -> None:
    content = SOUND[name]()
    before = running.memory()
    running.forget_peak()
    heard = sent(running, content)
    assert (heard.status, json.loads(heard.body)["notes"]) == (200, [])
    assert heard.seconds < 20
    assert running.peak() - before < GROWN


def test_many_large_pictures_at_once_are_not_all_in_memory(running: Running) -> None:
    """Eight drafts with the largest picture there may be, at the same time; text is answered meanwhile."""
    content = encoded(Image.new("RGBA", (7_000, 7_000)), "PNG", compress_level=1)
    before = running.memory()
    running.forget_peak()
    heard: list[Heard] = []
    threads = [threading.Thread(target=lambda: heard.append(sent(running, content))) for _ in range(8)]
    for thread in threads:
        thread.start()
    running.answers()
    for thread in threads:
        thread.join()
    assert [one.status for one in heard] == [200] * 8
    assert all(json.loads(one.body)["suggestions"] for one in heard)
    assert running.peak() - before < 2 * GROWN


def test_a_decoder_that_does_not_end_is_stopped_and_holds_nobody_else(engine: Engine) -> None:
    """Looked at between blocks of 16 KiB; a decoder that dies takes the process, which its supervisor starts anew."""
    content, answers = endless_scans(), []
    files = {"picture": ("a.jpg", content)}
    with asked(engine, picture_seconds=0.3) as client:

        def ask() -> None:
            answers.append(client.post("/v1/suggest/pictures", data={"draft": json.dumps(DRAFT)}, files=files))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        began = time.monotonic()
        plain: Any = client.post("/v1/suggest", json=DRAFT)
        assert (plain.status_code, plain.json()["way"]) == (200, "model")
        assert time.monotonic() - began < 60  # each of the four would take minutes
        for thread in threads:
            thread.join(120)
    for answer in answers:
        assert answer.status_code == 200
        assert answer.json()["suggestions"][0]["tag"] == "Rye"
        assert any(why in answer.json()["notes"][0] for why in ("takes longer than 0.3 s", "too many pictures"))
    assert any("takes longer than 0.3 s" in answer.text for answer in answers)
    assert len(answers) == 4
    assert not list(engine.spool.folder.iterdir())
