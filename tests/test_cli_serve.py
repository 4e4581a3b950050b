"""The verbs around a running service: what they do to a store, what they refuse, and that they end as told."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from hashloom import cli, cli_serve, keeping
from hashloom.client import Client, NotAllowed
from hashloom.store import Store
from hashloom.types import Post, Posts

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "samples" / "posts.jsonl"


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first posts of the samples, without pictures."""
    path = tmp_path_factory.mktemp("posts") / "posts.jsonl"
    rows = [json.loads(line) | {"images": []} for line in SAMPLES.read_text(encoding="utf-8").splitlines()[:250]]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(posts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "linear"
    assert run("train", "linear", posts, "-o", folder) == 0
    return folder


@pytest.fixture
def store(posts: Path, tmp_path: Path) -> Path:
    """A store with the posts."""
    folder = tmp_path / "store"
    with Store.open(folder) as made:
        from hashloom.data.read import read

        made.put_posts(read(posts)[0])
    return folder


@contextmanager
def served(*arguments: object) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """``hashloom serve`` as a process of its own, patient with a busy machine; gives its address."""
    code = "from hashloom.cli import main; main()"
    patient = ("--set", "budget=60", "--set", "batch_budget=300")
    command = [sys.executable, "-c", code, "serve", "--port", "0", *patient, *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUTF8": "1"})
    assert process.stderr is not None
    try:
        said = ""
        while "answers at" not in said:
            said = process.stderr.readline()
            assert said, f"it ended with {process.wait(20)}"
        yield re.findall(r"http://\S+", said)[0], process
    finally:
        process.kill()
        process.wait(60)
        process.stderr.close()


# ---------------------------------------------------------------- serve


def test_serve_answers_with_a_given_model_and_ends_when_told(store: Path, model: Path) -> None:
    with served("--store", store, "--model", model) as (address, process):
        answer = Client(address).suggest("First rye loaf from my starter", community="crumb-club", k=3)
        assert answer.model == keeping.manifest(model)["digest"]
        assert len(answer.tags) == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_request_under_way_is_answered_before_the_end(store: Path) -> None:
    with served("--store", store) as (address, process):
        host, port = address.removeprefix("http://").split(":")
        body = json.dumps({"text": "rye"}).encode()
        head = f"POST /v1/suggest HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        with socket.create_connection((host, int(port)), 60) as line:
            line.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body[:4])
            for _ in range(2):  # what it has answered came after what it has begun
                assert Client(address).status()
            process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            assert process.poll() is None
            line.sendall(body[4:])
            assert line.recv(100).startswith(b"HTTP/1.1 200")
        assert process.wait(60) == 0


def test_the_socket_names_its_protocol_so_that_small_answers_go_out_at_once() -> None:
    """asyncio turns Nagle's algorithm off on such sockets alone; with it each answer waits 40 ms."""
    with cli_serve._bound("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_beyond_this_machine_keys_are_needed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("serve", "--store", store, "--host", "0.0.0.0", "--port", 0) == 2
    assert "hashloom keys new" in capsys.readouterr().err
    assert run("keys", "new", "--store", store, "--role", "reader", "--community", "crumb-club") == 0
    secret = capsys.readouterr().out.strip()
    with served("--store", store, "--host", "0.0.0.0") as (address, _):
        near = address.replace("0.0.0.0", "127.0.0.1")
        assert Client(near, secret).suggest("rye").way == "favourites"
        with pytest.raises(NotAllowed):
            Client(near, secret).suggest("rye", community="spoke-and-rain")
        with pytest.raises(NotAllowed):
            Client(near).suggest("rye")


def test_serve_refuses_what_cannot_be_and_says_the_remedy(
    store: Path, posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert run("serve", "--store", store, "--port", taken.getsockname()[1]) == 2
    assert "--port 0" in capsys.readouterr().err
    assert run("serve", "--store", store, "--port", 0, "--model", tmp_path / "none") == 2
    assert "--model" in capsys.readouterr().err
    assert run("serve", "--store", posts, "--port", 0) == 1
    assert "a store is a folder" in capsys.readouterr().err
    assert run("serve", "--store", "mysql://x", "--port", 0) == 2
    assert "postgresql+psycopg://" in capsys.readouterr().err


def test_a_model_of_the_other_kind_is_told_where_it_belongs(
    store: Path, model: Path, posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    views = tmp_path / "views"
    assert run("train", "author-mean", posts, "-o", views) == 0
    for option, folder, said in (
        ("--model", views, f"{views}: is a forecaster; give it as --forecaster"),
        ("--forecaster", model, f"{model}: is a recommender; give it as --model"),
    ):
        capsys.readouterr()
        assert run("serve", "--store", store, "--port", 0, option, folder) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    assert run("bulk", tmp_path / "journal", "--store", store, "--model", views) == 2
    assert "is a forecaster, which suggests no tags" in " ".join(capsys.readouterr().err.split())


def test_a_store_that_was_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["serve", "--store", tmp_path / "typo", "--port", 0, "--check"]
    said = f"hashloom: {tmp_path / 'typo'}: a new, empty store was made"
    assert run(*command) == 0
    assert said in capsys.readouterr().err
    assert run(*command) == 0
    assert said not in capsys.readouterr().err


def test_check_asks_and_leaves(store: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(threading.enumerate())
    assert run("serve", "--store", store, "--model", model, "--port", 0, "--check") == 0
    said = capsys.readouterr().err
    assert "checked: ready; the page at /" in said
    assert "by the way 'model'" in said
    ending = [t for t in set(threading.enumerate()) - before if t.name.startswith("hashloom")]
    for thread in ending:
        thread.join(60)
    assert not any(thread.is_alive() for thread in ending)


def test_check_ends_with_one_where_the_model_fails(
    store: Path, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hashloom.serve import answering

    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(answering, "suggest", broken)
    assert run("serve", "--store", store, "--model", model, "--port", 0, "--check") == 1
    assert "the check failed: the model did not answer" in capsys.readouterr().err


# ---------------------------------------------------------------- keys, posts


def test_keys_are_made_listed_and_revoked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    assert run("keys", "new", "--store", store, "--role", "writer", "--rate", 5, "--note", "a\tforum\nserver") == 0
    told = capsys.readouterr()
    secret = told.out.strip()
    with Store.open(store) as held:
        key = held.find_key(secret)
    assert key is not None
    assert (key.role, key.community, key.rate) == ("writer", None, 5)
    assert secret not in told.err
    assert run("keys", "list", "--store", store) == 0
    told = capsys.readouterr()
    (row,) = told.out.splitlines()
    assert told.err.splitlines()[-1].split("\t") == ["id", "role", "community", "rate", "made", "state", "note"]
    assert row.split("\t")[:4] == [key.id, "writer", "all", "5/s"]
    assert row.endswith("in use\ta forum server")
    assert run("keys", "revoke", key.id, "--store", store) == 0
    with Store.open(store) as held:
        assert held.find_key(secret) is None
    assert run("keys", "revoke", "none", "--store", store) == 2
    assert "there is no key 'none'; `hashloom keys list` shows them" in capsys.readouterr().err
    assert run("keys", "new", "--store", store, "--role", "king") == 2
    assert run("keys", "list", "--store", tmp_path / "nowhere") == 2
    assert "hashloom posts put" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def test_posts_are_put_once_with_their_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8), (9, 9, 9)).save(tmp_path / "grey.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    rows = [{"id": str(i), "text": "x", "images": [str(tmp_path / name)]}
            for i, name in enumerate(["grey.png", "broken.png", "missing.png"])]  # fmt: skip
    (tmp_path / "posts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    store = tmp_path / "store"
    assert run("posts", "put", tmp_path / "posts.jsonl", "--store", store) == 0
    said = capsys.readouterr().err
    assert "3 posts new" in said
    assert f"left out: 2, the first {tmp_path / 'broken.png'}; put the files" in said
    assert run("posts", "put", tmp_path / "posts.jsonl", "--store", store) == 0
    assert "0 posts new, 0 changed, 3 as they were" in capsys.readouterr().err
    with Store.open(store) as held:
        (name,) = held.get_posts("", ["0"])[0].images
        assert held.get_picture(name, "") == (tmp_path / "grey.png").read_bytes()
        held.delete_posts("", ["0"])
    assert run("posts", "put", tmp_path / "posts.jsonl", "--store", store) == 0
    assert "refused: 0: deleted" in capsys.readouterr().err


def test_a_password_in_an_address_is_not_shown(capsys: pytest.CaptureFixture[str], posts: Path) -> None:
    address = "postgresql+psycopg://me:s3cret@127.0.0.1:9/none"
    for verb in (["posts", "put", posts], ["keys", "list"], ["backup", "b.zip"], ["serve", "--port", 0]):
        assert run(*verb, "--store", address) == 1
        told = capsys.readouterr()
        assert "cannot be opened" in told.err
        assert "s3cret" not in told.err + told.out


# ---------------------------------------------------------------- models


def test_train_publishes_in_a_store(
    store: Path, posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "popular", posts, "-o", tmp_path / "model", "--publish"]
    assert run(*arguments) == 2
    assert "--store" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()
    assert run(*arguments, "--store", store) == 0
    with Store.open(store) as held:
        assert held.published("recommender").digest == keeping.manifest(tmp_path / "model")["digest"]
    assert run("train", "author-mean", posts, "-o", tmp_path / "views", "--publish", "--store", store) == 0
    with Store.open(store) as held:
        assert held.published("forecaster").digest == keeping.manifest(tmp_path / "views")["digest"]


def test_train_offers_a_candidate_that_is_compared_unseen(
    store: Path, posts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("train", "popular", posts, "-o", tmp_path / "old", "--publish", "--store", store) == 0
    candidate = ["train", "own-recency", posts, "-o", tmp_path / "new", "--shadow"]
    for wrong in ([], ["--store", store, "--publish"]):
        assert run(*candidate, *wrong) == 2
    assert run("train", "author-mean", posts, "-o", tmp_path / "new", "--shadow", "--store", store) == 2
    assert "only recommenders" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    with served("--store", store) as (address, _):
        assert run(*candidate, "--store", store) == 0
        offered = keeping.manifest(tmp_path / "new")["digest"]
        client, until = Client(address, timeout=60), time.monotonic() + 60
        while client.status()["shadow"] is None or client.status()["shadow"]["digest"] != offered:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert client.suggest("rye loaf", community="crumb-club").model == keeping.manifest(tmp_path / "old")["digest"]
        assert client.publish("recommender", offered) == offered
        assert client.suggest("rye loaf", community="crumb-club").model == offered


def test_retrain_publishes_once_per_change(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("retrain", "--store", store, "--recipe", "popular") == 0
    assert "popular of 250 posts published, NDCG@10 " in capsys.readouterr().err
    assert run("retrain", "--store", store) == 0
    assert "nothing to do" in capsys.readouterr().err
    with Store.open(store) as held:
        first = held.published("recommender").digest
        held.put_posts(Posts.of([Post("new", "rye", "crumb-club", "me", tags=("Sourdough",))]))
    assert run("retrain", "--store", store) == 0
    with Store.open(store) as held:
        assert held.published("recommender").digest != first
        assert held.roll_back("recommender") == first


@pytest.mark.parametrize("away", [True, False])
def test_retrain_puts_a_model_in_the_place_of_a_damaged_one(
    store: Path, capsys: pytest.CaptureFixture[str], away: bool
) -> None:
    """Also where the same was learnt from the very same posts."""
    assert run("retrain", "--store", store, "--recipe", "popular") == 0
    with Store.open(store) as held:
        folder = held.published("recommender").folder
    shutil.rmtree(folder) if away else next(folder.glob("*.json")).write_text("{")
    assert run("retrain", "--store", store) == 2
    assert "is damaged or away; say what to train in its place: hashloom retrain --recipe popular" in (
        capsys.readouterr().err
    )
    assert run("retrain", "--store", store, "--recipe", "popular") == 0
    with Store.open(store) as held:
        keeping.load(held.published("recommender").folder)
    assert run("retrain", "--store", store) == 0
    assert "nothing to do" in capsys.readouterr().err


def test_retrain_leaves_unreviewed_and_deleted_posts_out(store: Path) -> None:
    with Store.open(store) as held:
        held.put_posts(Posts.of([Post("bot", "rye", "crumb-club", "me", tags=("FromTheBot",))]), source="unreviewed")
        held.delete_author("fixie_fred")
    assert run("retrain", "--store", store, "--recipe", "linear") == 0
    with Store.open(store) as held:
        published = keeping.load(held.published("recommender").folder)
    assert "fromthebot" not in published.spaces_["crumb-club"].tags
    assert "fixie_fred" not in published.memory_.users


def test_a_worse_model_is_not_published(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hashloom.serve import upkeep

    assert run("retrain", "--store", store, "--recipe", "popular") == 0
    with Store.open(store) as held:
        first = held.published("recommender").digest
        held.put_posts(Posts.of([Post("new", "rye", "crumb-club", "me", tags=("Sourdough",))]))
    monkeypatch.setattr(upkeep, "_measured", lambda *_: 0.01)
    assert run("retrain", "--store", store, "--recipe", "popular") == 2
    assert "--drop 1" in capsys.readouterr().err
    with Store.open(store) as held:
        assert held.published("recommender").digest == first
    assert run("retrain", "--store", store, "--recipe", "popular", "--drop", 1) == 0


def test_two_trainings_of_a_store_do_not_meet(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hashloom.serve import upkeep

    with Store.open(store) as held, upkeep._alone(held, "recommender"):
        assert run("retrain", "--store", store, "--recipe", "popular") == 2
        assert "another training" in capsys.readouterr().err
    assert run("retrain", "--store", store, "--recipe", "popular") == 0


def test_a_schedule_goes_on_after_a_round_that_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[float] = []

    def sleep(seconds: float) -> None:
        rounds.append(seconds)
        if len(rounds) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    with Store.open(tmp_path / "store"):
        pass
    assert run("retrain", "--store", tmp_path / "store", "--recipe", "popular", "--every", "2h") == 130
    assert rounds == [7200, 7200]
    assert capsys.readouterr().err.count("this round failed: ") == 2
    assert run("retrain", "--store", tmp_path / "store", "--every", "soon") == 2
    for wrong in (["--set", "smoothing=1"], ["--recipe", "populer"]):  # not night after night: nobody reads that
        assert run("retrain", "--store", tmp_path / "store", "--every", "2h", *wrong) == 2
    assert rounds == [7200, 7200]


# ---------------------------------------------------------------- backup, restore, forget, bulk


def test_backup_and_restore(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "b.zip"
    assert run("retrain", "--store", store, "--recipe", "popular") == 0
    assert run("backup", file, "--store", store) == 0
    said = capsys.readouterr().err
    assert f"{file}: 250 posts, 1 models\n" in said
    assert run("restore", file, "--store", store) == 2
    assert "--yes" in capsys.readouterr().err
    with Store.open(store) as held:
        held.delete_author("fixie_fred")
        left = held.count()
    assert run("restore", file, "--store", store, "--yes") == 0
    assert "kept out, as deleted since: " in capsys.readouterr().err
    assert run("restore", file, "--store", tmp_path / "new") == 0
    with Store.open(store) as held, Store.open(tmp_path / "new") as new:
        assert (held.count(), new.count()) == (left, 250)
        assert new.published("recommender") is not None
    file.write_bytes(file.read_bytes()[:1000])
    assert run("restore", file, "--store", tmp_path / "third") == 2
    assert "damaged" in capsys.readouterr().err
    assert not (tmp_path / "third").exists()
    assert run("restore", tmp_path / "none.zip", "--store", store) == 2
    assert run("backup", tmp_path / "none" / "b.zip", "--store", store) == 2
    with Store.open(store) as held:
        shutil.rmtree(held.published("recommender").folder)
    assert run("backup", tmp_path / "c.zip", "--store", store) == 2
    assert "--no-models" in capsys.readouterr().err
    assert run("backup", tmp_path / "c.zip", "--store", store, "--no-models") == 0


def test_forget_proves_where_it_looked(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("retrain", "--store", store, "--recipe", "linear") == 0
    assert run("backup", tmp_path / "b.zip", "--store", store) == 0
    capsys.readouterr()
    file = ["--backup", tmp_path / "b.zip"]
    assert run("forget", "--store", store, "--author", "fixie_fred", "--proof", *file) == 1
    told = capsys.readouterr()
    proof = json.loads(told.out)
    assert "left in b.zip; weights and vocabularies that were trained stay until: hashloom retrain" in told.err
    assert proof["trained_with_the_posts"] == [proof["models"][0]["digest"]]
    assert "fixie_fred" not in json.dumps(proof)
    assert proof["store"]["removed"]["posts"] == proof["backups"][0]["posts"] > 0
    assert proof["store"]["left"] == {"posts": 0, "feedback": 0}
    assert [one["left"] for one in proof["models"] if one["published"]] == [0]
    assert proof["kept_out_from_now_on"]
    # The backup alone still holds the posts: the proof says so, and without it all is done.
    assert [one["left"] for one in proof["models"]] == [0]
    assert proof["complete"] is False
    assert proof["store_and_published_models_clean"] is True
    assert run("forget", "--store", store, "--author", "fixie_fred", "--proof") == 0
    assert json.loads(capsys.readouterr().out)["complete"] is True
    with Store.open(store) as held:
        published = keeping.load(held.published("recommender").folder)
        assert "fixie_fred" not in published.memory_.users
        assert len(held.put_posts(Posts.of([Post("again", "x", "c", "fixie_fred")])).refused) == 1


def proof_of(store: Path, user: str, capsys: pytest.CaptureFixture[str], *more: object) -> dict[str, Any]:
    capsys.readouterr()
    assert run("forget", "--store", store, "--author", user, "--proof", *more) == 0
    return json.loads(capsys.readouterr().out)


def test_a_proof_says_the_same_when_it_is_asked_for_again(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def published() -> str:
        with Store.open(store) as held:
            return held.published("recommender").digest

    assert run("retrain", "--store", store, "--recipe", "popular") == 0
    for _ in range(2):
        proof = proof_of(store, "fixie_fred", capsys)
        assert proof["trained_with_the_posts"] == [published()]
    elsewhere = proof_of(store, "fixie_fred", capsys, "--community", "nowhere")
    assert elsewhere["trained_with_the_posts"] == []
    assert proof_of(store, "nobody", capsys)["trained_with_the_posts"] == []
    # Trained anew, the published model has not seen the posts; the one before it has.
    before = published()
    assert run("retrain", "--store", store, "--drop", 1) == 0
    assert proof_of(store, "fixie_fred", capsys)["trained_with_the_posts"] == [before]
    assert published() != before


def test_a_proof_knows_of_deletions_that_others_made(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("retrain", "--store", store, "--recipe", "popular") == 0
    assert run("backup", tmp_path / "b.zip", "--store", store) == 0
    with Store.open(store) as held:
        community = next(post.community for some in held.posts() for post in some if post.user == "fixie_fred")
        held.delete_author("fixie_fred")  # as DELETE /v1/authors/fixie_fred does
    # A restore cleans the models on its own, without knowing whose proof will be asked for.
    assert run("restore", tmp_path / "b.zip", "--store", store, "--yes") == 0
    with Store.open(store) as held:
        digest = held.published("recommender").digest
    for more in ([], ["--community", community]):
        proof = proof_of(store, "fixie_fred", capsys, *more)
        assert (proof["store"]["removed"]["posts"], proof["trained_with_the_posts"]) == (0, [digest])


def test_forget_looks_into_backups_before_it_deletes(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    assert run("backup", good, "--store", store) == 0
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(tmp_path / "flipped.zip", "w") as new:
        for name in old.namelist():
            said = old.read(name)
            new.writestr(name, said[:-1] + bytes([said[-1] ^ 1]) if name.startswith("posts/") else said)
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as archive:
        archive.writestr("letter.txt", "dear all")
    bad.write_bytes(good.read_bytes()[:500])
    for wrong in (bad, tmp_path / "flipped.zip", tmp_path / "foreign.zip"):
        capsys.readouterr()
        assert run("forget", "--store", store, "--author", "fixie_fred", "--backup", good, "--backup", wrong) == 2
        said = f"{wrong}: is no backup, or a damaged one; nothing was deleted. Leave it out or name another copy"
        assert said in " ".join(capsys.readouterr().err.split())
    with Store.open(store) as held:
        assert held.count() == 250
        assert held.last_deletion() is None


def test_forget_says_that_nobody_of_this_name_is_there(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("retrain", "--store", store, "--recipe", "popular") == 0
    capsys.readouterr()
    assert run("forget", "--store", store, "--author", "fixie_freed", "--author", "fixie_fred") == 0
    typo, right = capsys.readouterr().err.splitlines()[-2:]
    said = "no post or feedback of 'fixie_freed' was found; check the spelling."
    assert typo == f"{said} The name is refused from now on; --readmit ends that"
    assert right.startswith("fixie_fred: ")
    assert "nothing is left where we looked" in right


def remembered(store: Path, user: str) -> dict[str, int]:
    """How many posts of an author each folder of a model holds on the disk."""
    folders = (store / "models" / "recommender").iterdir()
    return {folder.name: keeping.load(folder).memory_.users.count(user) for folder in folders}


def five_models(store: Path) -> list[str]:
    """Models of growing stores, each published, but for the last, which is the shadow; the first one first."""
    made = []
    for i in range(5):
        with Store.open(store) as held:
            held.put_posts(Posts.of([Post(f"n{i}", "rye", "crumb-club", f"u{i}", tags=("Rye",))]))
        assert run("retrain", "--store", store, "--recipe", "popular", "--drop", 1) == 0
        with Store.open(store) as held:
            made.append(held.published("recommender").digest)
    with Store.open(store) as held:
        held.roll_back("recommender")
        held.shadow("recommender", made[4])
    return made


def test_forget_cleans_every_kept_model(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = five_models(store)
    assert all(remembered(store, "fixie_fred").values())
    capsys.readouterr()
    assert run("forget", "--store", store, "--author", "fixie_fred", "--proof") == 0
    told = capsys.readouterr()
    proof = json.loads(told.out)
    assert proof["complete"] is True
    # Older than the published one and the one before: dropped. Those two, and the shadow: without the author.
    notes = {one.get("replaces", one["digest"]): one["note"] for one in proof["models"]}
    assert [notes[digest].split()[0] for digest in made] == ["dropped,", "dropped,", "saved", "saved", "saved"]
    assert told.err.count(": dropped; it is none of") == 2
    assert list(remembered(store, "fixie_fred").values()) == [0, 0, 0]
    with Store.open(store) as held:
        flags = [(one.published, one.previous, one.shadow) for one in held.models()]
        assert sorted(flags) == [(False, False, True), (False, True, False), (True, False, False)]
        before = next(one.digest for one in held.models() if one.previous)
        assert held.roll_back("recommender") == before


def test_retrain_keeps_the_last_models_that_it_made(store: Path, model: Path) -> None:
    with Store.open(store) as held:
        foreign = held.add_model("recommender", model).digest
    made = five_models(store)  # the fourth is published, the fifth is the shadow
    with Store.open(store) as held:
        held.put_posts(Posts.of([Post("new", "rye", "crumb-club", "me", tags=("Rye",))]))
    assert run("retrain", "--store", store, "--keep", 3, "--drop", 1) == 0
    with Store.open(store) as held:
        published = held.published("recommender").digest
        assert {one.digest for one in held.models()} == {foreign, published, made[4], made[3]}
    assert run("retrain", "--store", store, "--keep", 0) == 2


def test_retrain_rids_older_models_of_what_was_deleted(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = five_models(store)
    with Store.open(store) as held:
        held.delete_author("fixie_fred")
    capsys.readouterr()
    assert run("retrain", "--store", store, "--drop", 1) == 0
    told = capsys.readouterr().err
    with Store.open(store) as held:
        kept = {one.digest: (one.published, one.previous, one.shadow) for one in held.models()}
    # The published one, the one before and the shadow were saved anew first; then one more was published.
    assert sorted(kept.values()) == [
        (False, False, False), (False, False, True), (False, True, False), (True, False, False)
    ]  # fmt: skip
    assert not set(kept) & set(made)
    assert told.count("without what was deleted") == 3
    assert list(remembered(store, "fixie_fred").values()) == [0, 0, 0, 0]


def test_forget_ends_with_one_where_something_is_left(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = five_models(store)
    home = store / "models" / "recommender"
    shutil.copytree(home / made[0], home / ("f" * 64))
    shutil.copytree(home / made[0], home / ".half.12345678.tmp", ignore=shutil.ignore_patterns("manifest.json"))
    (home / made[2] / "settings.json").write_text("{}")
    (home / made[0] / "settings.json").write_text("{}")
    capsys.readouterr()
    assert run("forget", "--store", store, "--author", "fixie_fred", "--proof") == 1
    told = capsys.readouterr()
    proof = json.loads(told.out)
    left = {one["digest"]: one["note"] for one in proof["models"] if one["left"]}
    assert set(left) == {made[2], "f" * 64, ".half.12345678.tmp"}
    assert "publish another in its place" in left[made[2]]
    assert "half-made copy" in left[".half.12345678.tmp"]
    assert "left in recommender" in told.err
    assert not (home / made[0]).exists()
    for name in (made[2], "f" * 64, ".half.12345678.tmp"):
        shutil.rmtree(home / name)
    with Store.open(store) as held:
        held.drop_model("recommender", made[2], force=True)
    assert run("forget", "--store", store, "--author", "fixie_fred", "--proof") == 0


def test_what_was_deleted_is_not_published_again(store: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hashloom.serve import upkeep

    user = next(user for user in keeping.load(model).memory_.users if user and user != "fixie_fred")
    known = []
    with Store.open(store) as held:
        held.delete_author("fixie_fred")
        known.append(set(keeping.load(upkeep.publish(held, model).folder).memory_.users))
        # Deleted while a model is published, after it was looked through: who deletes cannot see it yet.
        add = held.add_model
        monkeypatch.setattr(held, "add_model", lambda *a: (held.delete_author(user), add(*a))[1])
        known.append(set(keeping.load(upkeep.publish(held, model).folder).memory_.users))
        assert user not in keeping.load(held.published("recommender").folder).memory_.users
    assert [("fixie_fred" in users, user in users) for users in known] == [(False, True), (False, False)]


def test_a_restored_model_forgets_what_was_deleted_since(store: Path, tmp_path: Path) -> None:
    assert run("retrain", "--store", store, "--recipe", "popular") == 0
    assert run("backup", tmp_path / "b.zip", "--store", store) == 0
    assert run("forget", "--store", store, "--author", "fixie_fred") == 0
    assert run("restore", tmp_path / "b.zip", "--store", store, "--yes") == 0
    with Store.open(store) as held:
        published = held.published("recommender")
    assert remembered(store, "fixie_fred")[published.digest] == 0


def test_a_schedule_remembers_settings_that_were_changed(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def half_life() -> object:
        with Store.open(store) as held:
            return json.loads((held.published("recommender").folder / "settings.json").read_text())["half_life_days"]

    def put(name: str) -> None:
        with Store.open(store) as held:
            held.put_posts(Posts.of([Post(name, "rye", "crumb-club", "me", tags=("Sourdough",))]))

    command = ["retrain", "--store", store]
    assert run(*command, "--set", "half_life_days=9") == 2
    assert "--recipe" in capsys.readouterr().err
    assert run(*command, "--recipe", "popular", "--set", "half_life_days=9", "--set", "prepare.min_tag_count=2") == 0
    assert half_life() == 9
    assert run(*command) == 0
    assert "nothing to do" in capsys.readouterr().err
    put("new")
    assert run(*command) == 0
    assert half_life() == 9
    with Store.open(store) as held:
        assert held.published("recommender").facts["prepare"] == {"min_tag_count": 2}
    (tmp_path / "mine.toml").write_text('[model]\nmodel = "popular"\nhalf_life_days = 5\n')
    assert run(*command, "--recipe", tmp_path / "mine.toml") == 0
    put("newer")
    assert run(*command) == 0
    assert half_life() == 5


def test_forget_within_one_community_leaves_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store.open(tmp_path / "store") as held:
        held.put_posts(Posts.of([Post(c, "x", c, "mo", tags=("Rye",)) for c in ("bakers", "sailors")]))
    arguments = ["--store", tmp_path / "store", "--author", "mo", "--community", "bakers", "--proof"]
    assert run("forget", *arguments) == 0
    assert json.loads(capsys.readouterr().out)["complete"] is True
    with Store.open(tmp_path / "store") as held:
        assert held.communities() == {"sailors": 1}


def test_forget_a_whole_community_with_proof(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "crumb-club"
    five_models(store)
    assert run("backup", tmp_path / "b.zip", "--store", store) == 0
    capsys.readouterr()
    arguments = ["forget", "--store", store, "--community", name, "--proof"]
    assert run(*arguments) == 2  # who left --author out must not lose a community
    assert "say --yes" in capsys.readouterr().err
    assert run(*arguments, "--yes", "--backup", tmp_path / "b.zip") == 1
    told = capsys.readouterr()
    proof = json.loads(told.out)
    assert name not in told.out
    assert proof["store"]["removed"]["posts"] == proof["backups"][0]["posts"] > 0
    assert set(proof["store"]["left"].values()) == {0}
    assert [one["left"] for one in proof["models"]] == [0] * 5
    assert (proof["store_and_published_models_clean"], proof["complete"]) == (True, False)
    assert "left in b.zip" in told.err
    assert run(*arguments) == 0  # nothing is there to be meant
    again = json.loads(capsys.readouterr().out)
    assert (again["complete"], again["community"]) == (True, proof["community"])
    with Store.open(store) as held:
        assert name not in held.communities()
        kept = [keeping.load(one.folder) for one in held.models()]
        assert {one.digest for one in held.models()} == set(again["trained_with_the_posts"])
    for model in kept:
        assert name not in {*model.memory_.communities, *model.spaces_, *model.favourites_}
    assert not [path for path in store.rglob("*") if path.is_file() and name.encode() in path.read_bytes()]
    assert run("retrain", "--store", store, "--drop", 1) == 0
    assert run("forget", "--store", store, "--community", name, "--readmit") == 0
    assert run("forget", "--store", store, "--author", "nobody", "--readmit") == 0
    said = capsys.readouterr().err
    assert f"{name}: new posts are taken again; what was deleted stays out" in said
    assert "nobody: was not deleted here" in said
    with Store.open(store) as held:
        assert not held.put_posts(Posts.of([Post("again", "x", name)])).refused


def test_retrain_ends_the_deletion_of_a_community_that_was_cut_off(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, Store.open(store) as held:
        patched.setattr(held, "_empty", cut)
        with pytest.raises(KeyboardInterrupt):
            held.delete_community("crumb-club")
        assert "crumb-club" in held.communities()
    assert run("retrain", "--store", store, "--recipe", "popular") == 0
    assert "is ended now" in capsys.readouterr().err
    with Store.open(store) as held:
        assert not {"crumb-club"} & {*held.communities(), *held.leaving()}
        assert "crumb-club" not in keeping.load(held.published("recommender").folder).spaces_


def test_forget_refuses_half_a_request(store: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in (
        (["--store", store], "--author"), ([], "MODEL folder"), ([model, "--author", "x"], "--user"),
        (["--store", store, "--author", "x", "--backup", "none.zip"], "none.zip"),
        (["--store", store, "--author", " "], "empty"),
        ([model, "--user", "x", "--yes"], "--yes"), (["--store", store, "--readmit"], "whom"),
    ):  # fmt: skip
        assert run("forget", *arguments) == 2
        assert said in capsys.readouterr().err


def test_bulk_shows_tags_goes_on_and_undoes(
    store: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Store.open(store) as held:
        held.put_posts(Posts.of([Post(f"old{i}", "rye starter loaf", "crumb-club") for i in range(5)]))
        untagged = sum(not p.tags for some in held.posts() for p in some)
    command = ["bulk", tmp_path / "journal", "--store", store, "--model", model, "-k", 2]
    assert run(*command, "--dry-run") == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == untagged
    assert "nothing was changed" in told.err
    assert not (tmp_path / "journal").exists()
    assert run(*command, "--budget", 2) == 0
    assert "the same command goes on" in capsys.readouterr().err
    assert run(*command) == 0
    with Store.open(store) as held:
        assert len(held.get_posts("crumb-club", ["old0"])[0].tags) == 2
    assert run("bulk", tmp_path / "journal", "--store", store, "--undo") == 0
    with Store.open(store) as held:
        assert sum(not p.tags for some in held.posts() for p in some) == untagged
    assert run("bulk", tmp_path / "none", "--store", store, "--undo") == 2
    assert run(*command, "--floor", 0.5) == 2
    assert "calibrated" in capsys.readouterr().err
    assert run("bulk", tmp_path / "other", "--store", store, "--model", model, "--community", "crump-club") == 2
    assert "--community crump-club: the store has no posts of it; communities with posts: crumb-club, " in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "other").exists()


# ---------------------------------------------------------------- what is deployed


def test_deployed_files_call_verbs_and_options_that_there_are() -> None:
    import typer

    group = typer.main.get_command(cli.app)
    texts = [path.read_text("utf-8") for path in sorted((ROOT / "deploy").iterdir())]
    texts.append((ROOT / "docs" / "operating.md").read_text("utf-8"))
    calls = [
        line for text in texts for line in re.findall(r"(?:/bin/|^|\s|`)hashloom ((?:[a-z]+ )?[^`\n&|]*)", text, re.M)
    ]
    checked = 0
    for call in calls:
        words = call.split()
        command = group.commands.get(words[0]) if words else None  # type: ignore[attr-defined]
        if command is None:
            continue
        inner = getattr(command, "commands", {}).get(words[1]) if len(words) > 1 else None
        known = {name for option in (inner or command).params for name in (*option.opts, *option.secondary_opts)}
        for option in re.findall(r"(?<!\S)--[a-z-]+", call):
            assert option in known, f"{call}: {option}"
            checked += 1
    assert checked > 20


def test_compose_is_yaml_with_a_password_that_must_be_given() -> None:
    import yaml

    said = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text("utf-8"))
    assert set(said["services"]) == {"hashloom", "retrain", "db"}
    assert said["services"]["hashloom"]["ports"] == ["127.0.0.1:8000:8000"]
    assert "HASHLOOM_DB_PASSWORD:?" in said["services"]["db"]["environment"]["POSTGRES_PASSWORD"]


def test_units_share_a_user_whom_other_verbs_can_be_run_as() -> None:
    units = {path.name: path.read_text("utf-8") for path in (ROOT / "deploy").glob("*.service")}
    assert set(units) == {"hashloom.service", "hashloom-retrain.service"}
    for said in units.values():
        assert {"User=hashloom", "StateDirectory=hashloom", "NoNewPrivileges=yes"} <= set(said.splitlines())
        assert "DynamicUser" not in said
    assert "#   useradd --system --home-dir /var/lib/hashloom hashloom\n" in units["hashloom.service"]
    assert "bin/hashloom retrain --every 24h\n" in units["hashloom-retrain.service"]
