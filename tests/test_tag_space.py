"""Tag spaces: aliases, denials and their look-alikes, closed lists, learning, JSON."""

import json

import pytest

from hashloom.tag_space import TagSpace, TagSpaces
from hashloom.types import Post, Posts


def test_a_space_resolves_aliases_denials_and_its_list() -> None:
    aliases = {"Levain": "sourdough", "starter": "levain", "a": "b", "b": "a", "ban": "scam"}
    space = TagSpace.of(["Sourdough", "Rye", "Scam"], "bakers", aliases=aliases, denied=["Scam", "nazi"])
    assert space.resolve("#STARTER") == "sourdough"
    assert space.resolve("a") == space.resolve("b") == "a"
    assert [space.resolve(tag) for tag in ("scam", "ban", "5c4m", "ΝΑΖΙ", "n4z1", "")] == [None] * 6
    assert space.resolve("oven") == "oven"
    assert space.show("sourdough") == "Sourdough"
    assert space.show("oven") == "oven"
    closed = TagSpace.of(["Rye"], closed=True)
    assert (closed.resolve("rye"), closed.resolve("oat")) == ("rye", None)
    space.denied = ["rye"]
    assert (space.resolve("rye"), space.resolve("scam")) == (None, "scam")


def test_denied_look_alikes_of_an_ambiguous_digit() -> None:
    space = TagSpace(denied=["bitch", "kill"])
    assert [space.resolve(tag) for tag in ("b1tch", "k1ll", "ki11")] == [None] * 3
    assert space.resolve("batch") == "batch"


def test_duplicates_are_told() -> None:
    assert TagSpace.of(["Open-Source", "opensource", "open_source", "oven"]).duplicates() == [
        ("open-source", "open_source"),
        ("open-source", "opensource"),
    ]


def test_spaces_are_learnt_with_their_most_used_casing() -> None:
    rows = [
        ("a", ["SourdoughBread", "#sourdoughbread"]),
        ("a", ["sourdoughbread"]),
        ("a", ["rye", "RYE", ""]),
        ("b", []),
    ]
    rows += [("a", ["SourdoughBread"]), ("a", ["Openoven"]), ("a", ["OpenOven"]), ("a", ["openOven"])]
    posts = Posts.of([Post(str(i), community=c, tags=tuple(t)) for i, (c, t) in enumerate(rows)])
    spaces = TagSpaces.learn(posts)
    assert spaces["a"].tags == {"openoven": "OpenOven", "rye": "rye", "sourdoughbread": "SourdoughBread"}
    assert spaces["b"].tags == {}
    assert not spaces["a"].closed
    assert "c" not in spaces
    assert spaces["c"].resolve("anything") == "anything"
    assert list(TagSpaces.learn(posts, min_count=2)["a"].tags) == ["openoven", "sourdoughbread"]


def test_spaces_survive_json() -> None:
    space = TagSpace.of(
        ["Rye", "パン"], "a", closed=True, aliases={"x": "rye"}, denied=["scam"], describe={"rye": "A cereal."},
        sensitive=["パン"],
    )  # fmt: skip
    spaces = TagSpaces([space, TagSpace("b")])
    assert TagSpaces.from_json(json.loads(json.dumps(spaces.to_json()))) == spaces
    with pytest.raises(ValueError, match="unknown field 'tagz'"):
        TagSpace.from_json({"tagz": {}})
