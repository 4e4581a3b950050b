"""Tagging an archive: what it changes, goes on from, leaves alone and takes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hashloom.serve import bulk
from hashloom.serve.bulk import BadJournal, Bulk, Journal, Line, Wanted, undo
from hashloom.serve.drafts import Answer, Draft
from hashloom.serve.engine import Engine
from hashloom.serve.learnable import UNREVIEWED
from hashloom.store import Store
from hashloom.types import Post, Posts

OLD = 30


@pytest.fixture
def work(engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch) -> Bulk:
    """A store with untagged posts beside the tagged ones, worked on in small batches."""
    rows = [Post(f"old{i}", f"rye flour kneaded, loaf {i}", "even", f"u{i % 4 * 2}") for i in range(OLD)]
    store.put_posts(Posts.of(rows), source="import")
    monkeypatch.setattr(bulk, "BATCH", 7)
    return Bulk(engine, Wanted(k=1))


def tags(store: Store) -> list[tuple[str, ...]]:
    return [post.tags for post in store.get_posts("even", [f"old{i}" for i in range(OLD)])]


def everything(store: Store) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(p.community, p.id): p.tags for posts in store.posts() for p in posts}


def test_untagged_posts_are_tagged_the_others_stay(work: Bulk, tmp_path: Path) -> None:
    before = everything(work.store)
    done = work.run(tmp_path / "journal")
    assert (done.tagged, done.left) == (OLD, False)
    assert tags(work.store) == [("Rye",)] * OLD
    after = everything(work.store)
    assert {name for name in after if after[name] != before[name]} == {("even", f"old{i}") for i in range(OLD)}
    assert (tmp_path / "journal").stat().st_mode & 0o077 == 0


def test_nothing_is_learnt_from_what_was_tagged(work: Bulk, tmp_path: Path) -> None:
    work.run(tmp_path / "journal")
    pairs = [("even", f"old{i}") for i in range(OLD)]
    assert work.store.unreviewed(pairs) == set(pairs)


def test_a_dry_run_says_what_the_run_then_does(work: Bulk, tmp_path: Path) -> None:
    before = everything(work.store)
    planned = list(work.plan())
    assert everything(work.store) == before
    work.run(tmp_path / "journal")
    assert Journal.read(tmp_path / "journal").lines == planned
    assert planned[0].diff().startswith("even old0: +Rye")


def test_a_budget_ends_a_run_and_the_next_goes_on(work: Bulk, tmp_path: Path) -> None:
    done = work.run(tmp_path / "journal", posts=10)
    assert (done.tagged, done.left) == (10, True)
    assert work.run(tmp_path / "journal", seconds=0).tagged == 0
    done = work.run(tmp_path / "journal")
    assert (done.tagged, done.left) == (OLD - 10, False)
    assert len({line.id for line in Journal.read(tmp_path / "journal").lines}) == OLD


def test_undo_gives_the_archive_back_but_for_what_people_changed(work: Bulk, tmp_path: Path) -> None:
    before = everything(work.store)
    work.run(tmp_path / "journal")
    mine = work.store.get_posts("even", ["old3"])[0]
    work.store.put_posts(Posts.of([replace(mine, tags=("Rye", "MyOwn"))]))
    work.store.delete_posts("even", ["old4"])
    done = undo(work.store, tmp_path / "journal")
    assert (done.tagged, done.gone) == (OLD - 2, 2)
    after = everything(work.store)
    assert after.pop(("even", "old3")) == ("Rye", "MyOwn")
    assert after == {name: kept for name, kept in before.items() if name[1] not in ("old3", "old4")}
    assert not work.store.unreviewed([("even", f"old{i}") for i in range(OLD)])
    again = undo(work.store, tmp_path / "journal")
    assert again.gone == 2


def test_a_post_that_waited_for_review_waits_again_after_undo(work: Bulk, tmp_path: Path) -> None:
    work.store.put_posts(Posts.of([Post("w", "rye flour", "even", "u0")]), source=UNREVIEWED)
    work.run(tmp_path / "journal")
    undo(work.store, tmp_path / "journal")
    assert work.store.unreviewed([("even", "w"), ("even", "old0")]) == {("even", "w")}


def test_a_promise_that_was_not_kept_is_kept_by_the_next_run(work: Bulk, tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal", work.header())
    journal.add(islice_lines(work, 5))
    with (tmp_path / "journal").open("ab") as file:
        file.write(b'{"community": "even", "id": "ol')  # a power cut
    done = work.run(tmp_path / "journal")
    assert done.tagged == OLD
    assert tags(work.store) == [("Rye",)] * OLD


def islice_lines(work: Bulk, many: int) -> list[Line]:
    return list(work.plan(many))


def test_favourites_are_no_answer(work: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work.engine.current.running.peek, "recommend", None, raising=False)
    done = work.run(tmp_path / "journal")
    assert (done.tagged, done.failed) == (0, OLD)
    assert tags(work.store) == [()] * OLD
    monkeypatch.undo()
    assert work.run(tmp_path / "journal").tagged == OLD


def test_deleted_and_edited_meanwhile_are_left_alone(work: Bulk, tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal", work.header())
    journal.add(work.plan(3))
    first, second, _ = journal.lines
    work.store.delete_posts("even", [first.id])
    work.store.put_posts(Posts.of([replace(work.store.get_posts("even", [second.id])[0], tags=("MyOwn",))]))
    assert work.run(tmp_path / "journal").gone == 2
    assert work.store.get_posts("even", [second.id])[0].tags == ("MyOwn",)


def test_a_floor_wants_chances(work: Bulk, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="calibrated"):
        Bulk(work.engine, Wanted(floor=0.5)).run(tmp_path / "journal")


def test_a_floor_leaves_the_unsure_untagged(
    store: Store, publish: Callable[[str], str], engine_of: Callable[..., Engine], tmp_path: Path
) -> None:
    publish("calibrated")
    rows = [Post("sure", "rye flour kneaded", "even", "u0"), Post("unsure", "nothing of the kind", "even", "u0")]
    store.put_posts(Posts.of(rows))
    all_of_them = list(Bulk(engine_of(), Wanted(k=3)).plan())
    chances = sorted(c for line in all_of_them for c in line.chances)
    floor = chances[len(chances) // 2]
    for line in Bulk(engine_of(), Wanted(k=3, floor=floor)).plan():
        assert all(chance >= floor - 1e-4 for chance in line.chances)
        assert len(line.after) == len(line.chances)


def test_two_runs_of_a_journal_do_not_meet(work: Bulk, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    work.run(path, posts=5)
    before = everything(work.store)
    with bulk._alone(path), Journal.read(path).at_work_now():
        for again in (lambda: work.run(path), lambda: undo(work.store, path)):
            with pytest.raises(BadJournal, match=rf"process {os.getpid()} on .*wait until it has ended"):
                again()
    assert everything(work.store) == before
    assert work.run(path).tagged == OLD - 5
    with pytest.raises(FileNotFoundError):
        undo(work.store, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_run_after_a_sudden_end_says_so_and_one_after_an_orderly_end_does_not(work: Bulk, tmp_path: Path) -> None:
    said: list[str] = []
    work.say = said.append
    code = CHILD.replace("bulk.BATCH = 2", "bulk._change = lambda *_: __import__('os')._exit(9)")
    path = tmp_path / "journal"
    command = [sys.executable, "-c", code, str(work.store.folder), str(path)]
    ended = subprocess.run(command, stdout=subprocess.DEVNULL, env=dict(os.environ), check=False)
    assert ended.returncode == 9
    assert work.run(path).tagged == OLD
    assert len(said) == 1
    assert "did not end by itself" in said[0]
    work.run(path)
    assert len(said) == 1


@pytest.mark.parametrize("sees", [True, False])
def test_a_model_that_looks_at_pictures_is_shown_those_that_are_kept(
    work: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sees: bool
) -> None:
    name = work.store.put_picture(b"a picture", "image/png", "pics")
    work.store.put_posts(Posts.of([Post("shown", "rye", "pics", images=(name, "0" * 64, "/etc/hostname"))]))
    seen: list[list[bytes]] = []
    ask = work.engine.suggest_many

    def asked(drafts: list[Draft]) -> list[Answer]:
        seen.extend([Path(file).read_bytes() for file in draft.pictures] for draft in drafts)
        return ask([replace(draft, pictures=()) for draft in drafts])

    monkeypatch.setattr(work.engine, "suggest_many", asked)
    work.engine.current.sees = sees
    Bulk(work.engine, Wanted("pics", k=1)).run(tmp_path / "journal")
    assert seen == [[b"a picture"] if sees else []]
    assert not list(work.engine.spool.folder.glob("draft-*"))


def test_a_journal_of_another_run_is_refused(work: Bulk, tmp_path: Path) -> None:
    work.run(tmp_path / "journal", posts=1)
    with pytest.raises(BadJournal, match="begun with -k 1, not with -k 2; go on as it was begun"):
        Bulk(work.engine, Wanted(k=2)).run(tmp_path / "journal")
    with pytest.raises(BadJournal, match="begun without --community, not with --community even"):
        Bulk(work.engine, Wanted("even", k=1)).run(tmp_path / "journal")
    first, *rest = (tmp_path / "journal").read_text().splitlines(keepends=True)
    (tmp_path / "before").write_text("".join([json.dumps(json.loads(first) | {"model": "a" * 64}) + "\n", *rest]))
    with pytest.raises(BadJournal, match=r"begun with model aaaaaaaaaaaa, and [0-9a-f]{12} is in use now; name a"):
        work.run(tmp_path / "before")
    for text in ("", "{}\n", "[]\n", "x\n", '{"bulk": 99}\n', '{"bulk": 1}\n{"community": "x"}\n'):
        (tmp_path / "other").write_text(text)
        with pytest.raises(BadJournal, match="other"):
            undo(work.store, tmp_path / "other")


@pytest.mark.parametrize("many", [0, 1, 20])
def test_a_journal_that_ended_in_its_first_line_begins_anew(work: Bulk, tmp_path: Path, many: int) -> None:
    whole = json.dumps(work.header(), ensure_ascii=False).encode()
    (tmp_path / "journal").write_bytes(whole[:many])
    assert work.run(tmp_path / "journal").tagged == OLD
    (tmp_path / "diary").write_bytes(b"mine")
    with pytest.raises(BadJournal):
        work.run(tmp_path / "diary")
    assert (tmp_path / "diary").read_bytes() == b"mine"


CHILD = """
import sys
from hashloom.serve import bulk
from hashloom.serve.engine import Engine
from hashloom.store import Store
bulk.BATCH = 2
with Store.open(sys.argv[1]) as store, Engine(store) as engine:
    print("go", flush=True)
    bulk.Bulk(engine, bulk.Wanted(k=1)).run(__import__("pathlib").Path(sys.argv[2]))
"""


def test_killed_at_any_point_it_goes_on_and_can_be_undone(work: Bulk, tmp_path: Path) -> None:
    before = everything(work.store)
    folder, journal = str(work.store.folder), tmp_path / "journal"
    for wait in (0.0, 0.005, 0.02, 0.05):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, folder, str(journal)], stdout=subprocess.PIPE, env=dict(os.environ)
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"go\n"
        try:
            child.wait(wait)
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
        child.wait(20)
        child.stdout.close()
    work.engine.sync()
    work.run(journal)
    assert tags(work.store) == [("Rye",)] * OLD
    ids = [json.loads(row).get("id") for row in journal.read_text("utf-8").splitlines()]
    assert len([one for one in ids if one]) == OLD
    undo(work.store, journal)
    assert everything(work.store) == before
