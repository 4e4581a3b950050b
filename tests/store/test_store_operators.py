"""Tag spaces with their log, models with their way back, keys, and the log of changes."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from world import checkerboard

from hashloom.keeping import DamagedModel, manifest, save
from hashloom.recommenders.popular import Popular
from hashloom.store import NotThere, Store, StoreError
from hashloom.tag_space import TagSpace
from hashloom.types import Post, Posts

SPACE = TagSpace.of(
    ["Rye", "日本"], "bakers", closed=True, aliases={"Roggen": "Rye"}, denied=["spam"], sensitive=["日本"]
)

# ---------------------------------------------------------------- tag spaces


def test_a_space_comes_back_as_it_was_and_only_its_community_has_it(store: Store) -> None:
    store.put_space(SPACE, by="mo", why="first list")
    assert store.get_space("bakers") == SPACE
    assert store.get_space("Bakers") is None
    assert list(store.spaces()) == ["bakers"]
    (entry,) = store.space_log("bakers")
    assert (entry.by, entry.why, entry.version, entry.changed["closed"]) == ("mo", "first list", 1, [False, True])


def test_changes_are_noted_with_who_and_what_and_none_is_not(store: Store) -> None:
    store.put_space(SPACE, by="mo")
    store.put_space(SPACE, by="flo")
    store.change_space("bakers", lambda s: replace(s, tags=s.tags | {"oat": "Oat"}), by="flo", why="asked for")
    assert [(e.version, e.by, e.why) for e in store.space_log("bakers")] == [(1, "mo", ""), (2, "flo", "asked for")]
    assert store.space_log("bakers")[1].changed == {"tags": {"oat": [None, "Oat"]}}
    assert store.space_log("sailors") == []


def test_an_empty_space_is_one_too(store: Store) -> None:
    store.put_space(TagSpace("empty"), by="mo")
    assert store.get_space("empty") == TagSpace("empty")


def test_a_change_of_another_community_or_that_fails_changes_nothing(store: Store) -> None:
    store.put_space(SPACE, by="mo")
    with pytest.raises(StoreError, match="none of this community"):
        store.change_space("bakers", lambda s: replace(s, community="sailors"), by="mo")
    with pytest.raises(ZeroDivisionError):
        store.change_space("bakers", lambda s: TagSpace(str(1 // 0)), by="mo")
    with pytest.raises(StoreError, match="1,001"):
        store.put_space(TagSpace("x" * 1001), by="mo")
    with pytest.raises(StoreError, match="within a change"):
        store.change_space("bakers", lambda s: store.put_space(s, by="mo"), by="mo")  # type: ignore[func-returns-value,arg-type,return-value]
    assert store.get_space("bakers") == SPACE
    assert len(store.space_log("bakers")) == 1


def test_concurrent_changes_of_a_space_all_count(opened: Callable[..., Store]) -> None:
    stores = [opened(), opened()]

    def add(number: int) -> None:
        for i in range(5):
            tag = f"t{number}x{i}"
            stores[number % 2].change_space("c", lambda s, t=tag: replace(s, tags=s.tags | {t: t}), by=str(number))

    threads = [threading.Thread(target=add, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(stores[0].get_space("c").tags) == 20
    assert [entry.version for entry in stores[0].space_log("c")] == list(range(1, 21))


def test_malformed_text_in_a_space_is_replaced(store: Store) -> None:
    store.put_space(
        TagSpace("c\0", {"a": "A\ud800"}, describe={"a": "\0"}, denied=["x\0"], sensitive=["\0"]), by="\0", why="\ud800"
    )
    kept = store.get_space("c\0")
    assert (kept.community, kept.tags, kept.denied) == ("c\ufffd", {"a": "A\ufffd"}, ("x\ufffd",))
    assert kept.sensitive == ("\ufffd",)
    assert (store.space_log("c\ufffd")[0].by, store.space_log("c\ufffd")[0].why) == ("\ufffd", "\ufffd")


# ---------------------------------------------------------------- models


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three different small models."""
    posts, _ = checkerboard()
    home = tmp_path_factory.mktemp("saved")
    return [save(Popular().fit(posts[: 10 * (i + 1)]), home / str(i), recipe=f"r{i}") for i in range(3)]


def test_a_model_is_added_published_and_rolled_back(store: Store, saved: list[Path]) -> None:
    one, two, three = (store.add_model("loom", folder).digest for folder in saved)
    assert store.published("loom") is None
    for digest in (one, two, three):
        store.publish("loom", digest)
    store.publish("loom", three)  # once more: nothing new to go back from
    assert store.published("loom").digest == three
    assert store.roll_back("loom") == two
    assert store.published("loom").digest == two
    store.publish("loom", three)
    assert [store.roll_back("loom"), store.roll_back("loom")] == [two, one]
    with pytest.raises(NotThere, match="no earlier"):
        store.roll_back("loom")
    model = store.published("loom")
    assert (model.digest, model.facts) == (one, {"recipe": "r0"})
    assert manifest(model.folder)["digest"] == one
    assert [(m.digest, m.published) for m in store.models("loom")] == [(three, False), (two, False), (one, True)]


def test_a_shadow_stands_beside(store: Store, saved: list[Path]) -> None:
    one, two = (store.add_model("loom", folder).digest for folder in saved[:2])
    store.publish("loom", one)
    store.shadow("loom", two)
    assert {m.digest: (m.published, m.shadow) for m in store.models()} == {one: (True, False), two: (False, True)}
    store.shadow("loom", None)
    assert not any(m.shadow for m in store.models())
    with pytest.raises(NotThere):
        store.shadow("loom", "0" * 64)


def test_a_damaged_or_wrong_model_is_not_added(store: Store, saved: list[Path], tmp_path: Path) -> None:
    broken = Path(shutil.copytree(saved[0], tmp_path / "broken"))
    (broken / "learnt.json").write_text("{}")
    with pytest.raises(DamagedModel):
        store.add_model("loom", broken)
    with pytest.raises(StoreError, match="not 0000"):
        store.add_model("loom", saved[0], digest="0" * 64)
    for name in ("", "../x", "a/b", ".hidden", "x" * 101, "a\0"):
        with pytest.raises(StoreError, match="cannot name"):
            store.add_model(name, saved[0])
    assert store.models() == []


def test_a_model_that_lost_its_folder_is_not_published_and_can_be_added_again(store: Store, saved: list[Path]) -> None:
    model = store.add_model("loom", saved[0])
    (model.folder / "learnt.json").write_text("{}")
    with pytest.raises(NotThere, match="not whole"):
        store.publish("loom", model.digest)
    store.add_model("loom", saved[0])
    assert store.publish("loom", model.digest).published
    other = store.add_model("loom", saved[1])
    store.publish("loom", other.digest)
    shutil.rmtree(model.folder)
    with pytest.raises(NotThere, match="not whole"):
        store.roll_back("loom")
    assert store.published("loom").digest == other.digest
    assert [path for path in model.folder.parent.iterdir() if path.name.startswith(".")] == []


def test_models_without_a_folder_are_refused(server: Callable[[], str], saved: list[Path]) -> None:
    with Store.open(server()) as store, pytest.raises(StoreError, match="folder="):
        store.add_model("loom", saved[0])


@pytest.mark.parametrize("name", ["\0", "\ud800", "%", "loom' OR '1'='1", "x" * 5_000])
def test_a_name_that_no_model_has_is_not_there(store: Store, saved: list[Path], name: str) -> None:
    digest = store.add_model("loom", saved[0]).digest
    store.publish("loom", digest)
    assert (store.published(name), store.models(name)) == (None, [])
    for wrong in ((name, digest), ("loom", name)):
        with pytest.raises(StoreError):
            store.publish(*wrong)
        with pytest.raises(NotThere):
            store.shadow(*wrong)
    with pytest.raises(NotThere):
        store.roll_back(name)


# ---------------------------------------------------------------- keys


def test_a_key_is_found_by_its_secret_alone_until_it_is_revoked(store: Store) -> None:
    id, secret = store.new_key("writer", "bakers", rate=2.5, note="the shop's page")
    other, _ = store.new_key("operator")
    found = store.find_key(secret)
    assert (found.id, found.role, found.community, found.rate) == (id, "writer", "bakers", 2.5)
    for wrong in ("", secret[:-1], secret + "a", secret.swapcase(), id, f"hl_{id}_", f"hl_{other}{secret[15:]}", "%",
                  "\0", "\ud800", "hl_%", secret.replace("hl_", "HL_"), "hl_" + "x" * 10_000):  # fmt: skip
        assert store.find_key(wrong) is None
    assert store.revoke(id)
    assert not store.revoke(id)
    assert store.find_key(secret) is None
    listed = store.keys()
    assert {key.id: key.revoked_at is None for key in listed} == {id: False, other: True}
    with pytest.raises(NotThere):
        store.revoke("nobody")


def test_no_secret_is_kept(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        _, secret = store.new_key("reader")
        assert not [p for p in tmp_path.rglob("*") if p.is_file() and secret[15:].encode() in p.read_bytes()]


@pytest.mark.parametrize("given", [{"role": ""}, {"role": "r" * 101}, *({"role": "r", "rate": rate} for rate in (
    0, -1, float("nan"), float("inf"))), {"role": "r", "community": "x" * 1001}])  # fmt: skip
def test_a_key_that_makes_no_sense_is_refused(store: Store, given: dict[str, object]) -> None:
    with pytest.raises(StoreError):
        store.new_key(**given)  # type: ignore[arg-type]
    assert store.keys() == []


# ---------------------------------------------------------------- changes


def put(store: Store, *ids: str) -> None:
    store.put_posts(Posts.of([Post(i, "x", "c") for i in ids]))


def test_each_change_is_told_once_in_order(store: Store) -> None:
    put(store, "1", "2")
    put(store, "1")  # the same again
    store.put_space(SPACE, by="mo")
    told = store.changes()
    assert [(c.kind, c.community, c.ref) for c in told] == [
        ("post", "c", "1"), ("post", "c", "2"), ("space", "bakers", "1")]  # fmt: skip
    assert store.changes(told[0].seq, limit=1) == told[1:2]
    assert store.changes(store.last_change()) == []
    assert store.last_change() == told[-1].seq


def test_numbers_are_never_given_twice(opened: Callable[..., Store]) -> None:
    store = opened()
    put(store, "1", "2")
    last = store.last_change()
    store.trim_changes(datetime.now(UTC) + timedelta(days=1))
    assert store.last_change() == last
    store.close()
    store = opened()
    put(store, "3")
    assert [c.ref for c in store.changes(last)] == ["3"]
    with pytest.raises(StoreError, match="trimmed"):
        store.changes(last - 1)
    assert store.trim_changes(datetime(2000, 1, 1, tzinfo=UTC)) == 0


def test_a_reader_misses_nothing_while_many_write(opened: Callable[..., Store]) -> None:
    stores = [opened() for _ in range(3)]
    done = threading.Event()
    seen: list[int] = []
    told: list[str] = []

    def read() -> None:
        last = 0
        while True:
            ended = done.is_set()
            for change in stores[0].changes(last):
                last = change.seq
                seen.append(last)
                told.append(change.ref)
            if ended:
                return

    def write(number: int) -> None:
        for i in range(20):
            put(stores[number % 3], *(f"{number}-{i}-{j}" for j in range(3)))

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
    for thread in [reader, *writers]:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert seen == sorted(set(seen))
    assert sorted(told) == sorted(f"{n}-{i}-{j}" for n in range(3) for i in range(20) for j in range(3))
