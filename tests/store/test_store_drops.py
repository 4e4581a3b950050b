"""Models that leave the store: which may, what is left of them, and what a sudden end or another process changes."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from world import checkerboard

from hashloom.keeping import save
from hashloom.recommenders.popular import Popular
from hashloom.store import InUse, NotThere, Store, StoreError, drops
from hashloom.types import Post, Posts


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four different small models."""
    posts, _ = checkerboard()
    home = tmp_path_factory.mktemp("saved")
    return [save(Popular().fit(posts[: 10 * (i + 1)]), home / str(i), recipe=f"r{i}") for i in range(4)]


@pytest.fixture
def added(store: Store, saved: list[Path]) -> list[str]:
    """The digests of the four, added, and the first three published one after another."""
    digests = [store.add_model("loom", folder).digest for folder in saved]
    for digest in digests[:3]:
        store.publish("loom", digest)
    return digests


def folders(store: Store) -> set[str]:
    return {path.name for path in (store.folder / "models" / "loom").iterdir()}


def test_an_old_model_goes_and_the_way_back_passes_it_over(store: Store, added: list[str]) -> None:
    flags = {one.digest: (one.published, one.previous, one.shadow) for one in store.models("loom")}
    none = (False, False, False)
    assert flags == dict(zip(added, [none, (False, True, False), (True, False, False), none]))
    before = store.last_change()
    store.drop_model("loom", added[0])
    assert [change.kind for change in store.changes(before)] == ["model"]
    assert folders(store) == set(added[1:])
    assert {one.digest for one in store.models()} == set(added[1:])
    assert store.roll_back("loom") == added[1]
    with pytest.raises(NotThere, match="no earlier publication"):
        store.roll_back("loom")


def test_what_is_in_use_is_dropped_by_force_alone(store: Store, added: list[str]) -> None:
    store.shadow("loom", added[3])
    for digest, use in zip(added[1:], ("roll back", "published", "the shadow")):
        with pytest.raises(InUse, match=use):
            store.drop_model("loom", digest)
    assert folders(store) == set(added)
    store.drop_model("loom", added[3], force=True)
    store.drop_model("loom", added[2], force=True)
    assert store.published("loom").digest == added[1]
    assert not any(one.shadow for one in store.models())
    for gone in (added[2], "0" * 64):
        with pytest.raises(NotThere):
            store.drop_model("loom", gone)


def test_rolling_back_never_leads_to_the_same_model(store: Store, added: list[str]) -> None:
    one, two, three, _ = added
    store.publish("loom", two)  # stands: one, two, three, two
    store.drop_model("loom", three, force=True)
    assert store.published("loom").digest == two
    assert store.roll_back("loom") == one


def test_a_model_takes_the_place_of_another_in_all_its_uses(store: Store, added: list[str], saved: list[Path]) -> None:
    store.shadow("loom", added[1])
    store.drop_model("loom", added[3])
    made = store.replace_model("loom", added[1], saved[3])
    assert (made.digest, made.shadow, made.previous) == (added[3], True, True)
    assert folders(store) == {added[0], *added[2:]}
    assert store.replace_model("loom", added[3], saved[3]).digest == added[3]
    assert store.roll_back("loom") == added[3]
    with pytest.raises(NotThere):
        store.replace_model("loom", added[1], saved[0])
    assert added[0] in folders(store)


def test_a_dropped_model_can_be_added_again(store: Store, added: list[str], saved: list[Path]) -> None:
    store.drop_model("loom", added[3])
    assert store.add_model("loom", saved[3]).digest == added[3]
    assert store.publish("loom", added[3]).published


@pytest.mark.parametrize("at", ["before", "between", "during"])
def test_a_sudden_end_while_dropping_is_made_good_at_the_next_opening(
    opened: Callable[..., Store], store: Store, added: list[str], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object, **__: object) -> None:
        raise Killed

    where = {"before": (store, "finish_drops"), "between": (Path, "rename"), "during": (drops, "_remove")}[at]
    monkeypatch.setattr(*where, killed)
    with pytest.raises(Killed):
        store.drop_model("loom", added[0])
    monkeypatch.undo()
    assert len(folders(store)) == 4
    assert len(store.models()) == 3
    again = opened()
    assert folders(again) == set(added[1:])
    assert again.finish_drops() == 0


def test_a_model_added_again_before_its_folder_went_stays(
    opened: Callable[..., Store], store: Store, added: list[str], saved: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "finish_drops", lambda: 0)
    store.drop_model("loom", added[3])
    store.add_model("loom", saved[3])
    again = opened()
    assert again.publish("loom", added[3]).published


def test_adding_and_dropping_at_once_leaves_rows_and_folders_in_step(
    opened: Callable[..., Store], saved: list[Path]
) -> None:
    stores, errors, digest = [opened(), opened()], [], opened().add_model("loom", saved[0]).digest

    def work(number: int) -> None:
        for _ in range(15):
            try:
                if number % 2:
                    stores[1].add_model("loom", saved[0])
                else:
                    stores[0].drop_model("loom", digest)
            except NotThere:
                pass
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    there = {one.digest for one in stores[0].models()}
    assert folders(stores[0]) == there
    assert all(stores[0].publish("loom", one).published for one in there)


def test_only_what_was_left_behind_long_ago_is_tidied_up(
    opened: Callable[..., Store], store: Store, added: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = store.folder / "models" / "loom"
    for name in (".abc.12345678.tmp", ".abc.12345678.old", "mine", "f" * 64):
        (home / name).mkdir()
    opened()
    left = {".abc.12345678.tmp", "mine", "f" * 64}
    assert folders(store) == {*added, *left}
    assert {path.name for path in store.strays()} == left
    later = time.time() + 2 * drops.ABANDONED
    monkeypatch.setattr(time, "time", lambda: later)
    opened()
    assert folders(store) == {*added, "mine", "f" * 64}


def test_a_folder_that_cannot_be_removed_is_told(
    opened: Callable[..., Store], store: Store, added: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    with pytest.raises(StoreError, match="cannot be removed"):
        store.drop_model("loom", added[0])
    assert len(store.models()) == len(opened().models()) == 3  # a store that cannot be tidied up opens all the same
    monkeypatch.undo()
    assert folders(opened()) == set(added[1:])


# ---------------------------------------------------------------- what the service asks of the store


def test_deleted_knows_posts_authors_and_members(store: Store) -> None:
    rows = [Post("1", "x", "bakers", "mo"), Post("2", "x", "sailors", "mo"), Post("3", "x", "bakers", "al"),
            Post("4", "x", "sailors", "al"), Post("5", "x", "bakers"), Post("1", "x", "sailors")]  # fmt: skip
    posts = Posts.of(rows)
    assert store.deleted(posts) == [False] * 6
    store.put_posts(posts)
    store.delete_author("mo")
    store.delete_author("al", community="sailors")
    store.delete_posts("bakers", ["5"])
    gone = {("bakers", "1"), ("sailors", "2"), ("sailors", "4"), ("bakers", "5")}
    assert store.deleted(posts) == [(p.community, p.id) in gone for p in posts]
    assert store.deleted(Posts.of([])) == []
    refused = {id for id, _ in store.put_posts(posts).refused}
    assert refused == {"1", "2", "4", "5"}


def test_unreviewed_knows_what_nobody_looked_at(store: Store) -> None:
    store.put_posts(Posts.of([Post("1", "x", "bakers"), Post("2", "x", "bakers")]), source="unreviewed")
    store.put_posts(Posts.of([Post("2", "y", "bakers"), Post("3", "x", "bakers")]))
    pairs = [("bakers", "1"), ("bakers", "2"), ("bakers", "3"), ("sailors", "1")]
    assert store.unreviewed(pairs) == {("bakers", "1")}


def test_the_last_deletion_has_its_moment(store: Store) -> None:
    assert store.last_deletion() is None
    before = datetime.now(UTC)
    store.delete_posts("bakers", ["1"])
    assert before <= store.last_deletion() <= datetime.now(UTC)
