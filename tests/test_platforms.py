"""Platforms: each preset's limits, and that every one is dated and sourced."""

from datetime import date

import pytest

from hashloom.platforms import fit_platform, platforms


def test_platform_limits() -> None:
    many = [f"Tag{c}" for c in "abcdefghijkl"]
    counts = {name: len(fit_platform(many, name)) for name in platforms()}
    assert counts == {"instagram": 5, "tiktok": 5, "threads": 1, "bluesky": 8, "mastodon": 12, "x": 12}
    assert fit_platform(["open source", "#open-source", "C++", "2024", "製パン", "Open Source"], "x") == [
        "OpenSource",
        "製パン",
    ]
    assert fit_platform(["open source", "bread"], "threads") == ["open source"]
    with pytest.raises(ValueError, match="unknown platform 'orkut'; known: instagram"):
        fit_platform([], "orkut")


def test_bluesky_counts_graphemes_and_bytes() -> None:
    family = "👨\u200d👩\u200d👧"
    assert fit_platform(["é" * 64], "bluesky") == ["é" * 64]
    assert fit_platform(["é" * 65, family * 36], "bluesky") == []
    assert fit_platform([family * 35], "bluesky") == [family * 35]


def test_platforms_are_dated_and_sourced() -> None:
    for platform in platforms().values():
        assert date.fromisoformat(platform.checked) >= date(2025, 1, 1)
        assert platform.source
