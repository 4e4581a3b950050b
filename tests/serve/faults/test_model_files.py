"""Models on the disk that are damaged, incomplete, foreign or forged are refused, and the service goes on (item 17)."""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import asked

from hashloom import keeping
from hashloom.forecasters.author_mean import AuthorMean
from hashloom.recommenders.linear import Linear
from hashloom.serve.drafts import Draft, with_scoped_ids
from hashloom.serve.engine import Engine
from hashloom.serve.settings import ServeSettings
from hashloom.serve.shelf import Refused
from hashloom.store import Model, NotThere, Store
from hashloom.types import Post, Posts

BLOCK = 4096
RYE = Draft("rye flour kneaded", "even")
PATIENT = ServeSettings(budget=60.0)
New = Callable[..., Engine]
Publish = Callable[[str], str]


@pytest.fixture(scope="session")
def large(known: Posts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose weights and memory are many blocks long."""
    chance = random.Random(17)
    words = ["".join(chance.choices("aeioukstnmr", k=7)) for _ in range(300)]
    more = [
        Post(f"w{i}", " ".join(chance.sample(words, 6)), ("even", "odd")[i % 2], f"u{i % 8}", tags=(f"W{i % 5}",))
        for i in range(60)
    ]
    folder = tmp_path_factory.mktemp("large") / "model"
    return Linear().fit(with_scoped_ids(Posts.concat([known, Posts.of(more)]))).save(folder)


@pytest.fixture
def candidate(store: Store, large: Path) -> Model:
    return store.add_model("recommender", large)


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def damages(path: Path) -> Iterator[bytes]:
    """The file with a bit flipped in each block of 4 KiB, and cut off at the start of each and before its end."""
    content, chance = path.read_bytes(), random.Random(path.name)
    for start in range(0, len(content), BLOCK):
        flipped = bytearray(content)
        flipped[chance.randrange(start, min(start + BLOCK, len(content)))] ^= 1 << chance.randrange(8)
        yield bytes(flipped)
        yield content[:start]
    yield content[:-1]


def still_answers(engine: Engine, digest: str) -> None:
    answer = engine.suggest(RYE)
    assert (answer.way, answer.model, answer.tags[0], answer.why) == ("model", digest, "Rye", "")
    assert engine.store.published("recommender").digest == digest


def sealed(folder: Path, name: str, content: bytes | None) -> Path:
    """Puts a file in place with checksums that fit, as a forger or another version would; None: takes it out."""
    path = folder / "manifest.json"
    said = json.loads(path.read_text("utf-8"))
    if content is None:
        (folder / name).unlink()
        del said["files"][name]
    else:
        (folder / name).write_bytes(content)
        said["files"][name] = keeping._sha256(folder / name)
    path.write_text(json.dumps(said | {"digest": keeping._digest(said)}), "utf-8")
    return folder


# ---- damage


def test_damage_in_any_block_of_any_file_is_refused_when_published(engine: Engine, candidate: Model) -> None:
    before, tried = engine.current.digest, 0
    assert sum(path.stat().st_size // BLOCK for path in files_of(candidate.folder)) > 20
    for path in files_of(candidate.folder):
        content = path.read_bytes()
        for damaged in damages(path):
            path.write_bytes(damaged)
            with pytest.raises(Refused, match="damaged or not of this version"):
                engine.publish("recommender", candidate.digest)
            assert "damaged" in engine.health().refused[candidate.digest]
            tried += 1
            if tried % 10 == 0:
                still_answers(engine, before)
        path.write_bytes(content)
    assert tried > 60
    still_answers(engine, before)
    engine.publish("recommender", candidate.digest)
    still_answers(engine, candidate.digest)
    assert engine.health().refused == {}


def test_damage_in_any_block_is_refused_when_another_process_published_it(
    engine: Engine, store: Store, candidate: Model
) -> None:
    """The damage comes after the publication: a service that reloads keeps its model and takes the mended one."""
    before = engine.current.digest
    store.publish("recommender", candidate.digest)
    for path in files_of(candidate.folder):
        content = path.read_bytes()
        for damaged in damages(path):
            path.write_bytes(damaged)
            assert "damaged" in engine.reload()[candidate.digest]
            assert engine.current.digest == before
        path.write_bytes(content)
    answer = engine.suggest(RYE)
    assert (answer.model, answer.tags[0]) == (before, "Rye")
    assert engine.reload() == {}
    still_answers(engine, candidate.digest)


def test_a_damaged_model_that_is_added_again_is_whole_and_taken_up(
    engine: Engine, store: Store, candidate: Model, large: Path
) -> None:
    before = engine.current.digest
    store.publish("recommender", candidate.digest)
    (candidate.folder / "arrays.npz").write_bytes(b"")
    engine.sync()
    assert engine.suggest(RYE).model == before
    store.add_model("recommender", large)
    engine.sync()
    still_answers(engine, candidate.digest)


@pytest.mark.parametrize("harm", ["missing", "extra", "link", "of another model", "empty folder", "gone"])
def test_what_is_not_the_models_own_is_refused(
    engine: Engine, store: Store, candidate: Model, models: dict[str, Path], harm: str
) -> None:
    before, home = engine.current.digest, candidate.folder
    for name in ("arrays.npz", "manifest.json", "spaces_.json"):
        path, content = home / name, (home / name).read_bytes()
        if harm == "missing":
            path.unlink()
        elif harm == "extra":
            (path := home / f"{name}.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
        elif harm == "link":
            path.unlink()
            path.symlink_to("/etc/hostname")
        elif harm == "of another model":
            path.write_bytes((models["popular"] / name).read_bytes())
        else:
            shutil.rmtree(home)
            if harm == "empty folder":
                home.mkdir()
        with pytest.raises(Refused, match=r"damaged or not of this version|holds another model"):
            engine.publish("recommender", candidate.digest)
        still_answers(engine, before)
        path.unlink(missing_ok=True)
        if harm in ("empty folder", "gone"):
            return
        if harm != "extra":
            path.write_bytes(content)
    engine.publish("recommender", candidate.digest)


def test_a_whole_model_in_the_place_of_another_is_refused(
    engine: Engine, store: Store, candidate: Model, models: dict[str, Path]
) -> None:
    before = engine.current.digest
    shutil.rmtree(candidate.folder)
    shutil.copytree(models["popular"], candidate.folder)
    with pytest.raises(Refused, match="its folder holds another model"):
        engine.publish("recommender", candidate.digest)
    still_answers(engine, before)


def test_a_forecaster_under_the_recommenders_name_is_refused(engine: Engine, store: Store, tmp_path: Path) -> None:
    posts = Posts.of([Post(f"p{i}", "x", "even", f"u{i % 3}", likes=float(i)) for i in range(9)])
    made = store.add_model("recommender", AuthorMean().fit(posts).save(tmp_path / "mean"))
    before = engine.current.digest
    with pytest.raises(Refused, match="publish it under its own name"):
        engine.publish("recommender", made.digest)
    still_answers(engine, before)


# ---- forged: the checksums fit


def arrays(folder: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    np.savez(file, **change(dict(np.load(folder / "arrays.npz"))))
    return file.getvalue()


def weights(change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Changes all real numbers that the model has learnt."""
    return lambda held: {name: change(a) if a.dtype.kind == "f" else a for name, a in held.items()}


FORGED: dict[str, Callable[[Path], tuple[str, bytes | None]]] = {
    "weights that are no numbers": lambda f: ("arrays.npz", arrays(f, weights(lambda a: a * np.nan))),
    "weights without end": lambda f: ("arrays.npz", arrays(f, weights(lambda a: a * 0 + np.inf))),
    "too few weights": lambda f: ("arrays.npz", arrays(f, weights(lambda a: a[:-1]))),
    "no weights": lambda f: ("arrays.npz", arrays(f, lambda _: {})),
    "a pickle among the weights": lambda f: (
        "arrays.npz", arrays(f, weights(lambda a: np.array([{"an": "object"}], dtype=object))),
    ),
    "weights taken out": lambda _: ("arrays.npz", None),
    "a way out of the folder": lambda _: ("learnt.json", b'{"a_": {"$bytes": "../../../hashloom.sqlite"}}'),
    "an absolute way": lambda _: ("learnt.json", b'{"a_": {"$bytes": "/etc/hostname"}}'),
    "an unknown part": lambda _: ("settings.json", b'{"model": "of tomorrow"}'),
    "unknown settings": lambda _: ("settings.json", b'{"model": "linear", "warp": 9}'),
    "lists without end": lambda _: ("settings.json", b"[" * 100_000),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORGED)
@pytest.mark.parametrize("asked_before", [True, False])
def test_what_is_forged_is_refused_and_never_run(
    store: Store, engine_of: New, publish: Publish, large: Path, tmp_path: Path, kind: str, asked_before: bool
) -> None:
    before = publish("linear")
    engine = engine_of()
    if asked_before:
        still_answers(engine, before)
    folder = Path(shutil.copytree(large, tmp_path / "forged"))
    made = store.add_model("recommender", sealed(folder, *FORGED[kind](folder)))
    with pytest.raises(Refused):
        engine.publish("recommender", made.digest)
    still_answers(engine, before)
    store.publish("recommender", made.digest)
    assert made.digest in engine.reload()
    assert engine.suggest(RYE).model == before


def test_weights_that_are_no_numbers_are_refused_by_an_empty_store_too(
    large: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(large, tmp_path / "forged"))
    sealed(folder, "arrays.npz", arrays(folder, weights(lambda a: a * np.nan)))
    with Store.open(tmp_path / "nothing") as store:
        good, bad = (store.add_model("recommender", one).digest for one in (models["linear"], folder))
        store.publish("recommender", good)
        with Engine(store, settings=PATIENT) as engine:
            with pytest.raises(Refused, match="no number"):
                engine.publish("recommender", bad)
            assert engine.current.digest == good


@pytest.mark.parametrize(("format", "said"), [(0, "format 0"), (2, "format 2"), ("1", "format '1'"), (None, "None")])
def test_another_format_is_refused(
    engine: Engine, candidate: Model, format: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    before, path = engine.current.digest, candidate.folder / "manifest.json"
    changed = json.loads(path.read_text("utf-8")) | {"format": format}
    path.write_text(json.dumps(changed | {"digest": keeping._digest(changed)}), "utf-8")
    with pytest.raises(Refused, match="not of this version"):
        engine.publish("recommender", candidate.digest)
    assert f"{said}, this Hashloom reads format 1" in caplog.text
    still_answers(engine, before)


def test_arrays_of_the_other_byte_order_mean_the_same(
    store: Store, engine_of: New, large: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(large, tmp_path / "swapped"))
    sealed(
        folder,
        "arrays.npz",
        arrays(folder, lambda held: {n: a.astype(a.dtype.newbyteorder()) for n, a in held.items()}),
    )
    digests = [store.add_model("recommender", one).digest for one in (large, folder)]
    engine, answers = engine_of(), []
    for digest in digests:
        engine.publish("recommender", digest)
        answers.append([(one.tag, one.score) for one in engine.suggest(RYE).suggestions])
    assert answers[0] == answers[1]


# ---- at the start, over HTTP


def test_a_service_that_starts_over_a_damaged_model_answers_with_the_one_before(
    store: Store, engine_of: New, publish: Publish, candidate: Model, large: Path
) -> None:
    before = publish("linear")
    store.publish("recommender", candidate.digest)
    (candidate.folder / "learnt.json").write_bytes(b"{}")
    engine = engine_of()
    answer = engine.suggest(RYE)
    assert (answer.way, answer.model, answer.tags[0]) == ("previous model", before, "Rye")
    assert answer.why == "the published model was refused"
    store.put_posts(Posts.of([Post(f"b{i}", "buckwheat", "even", f"n{i}", tags=("Groats",)) for i in range(3)]))
    engine.sync()
    assert "Groats" in engine.suggest(Draft("buckwheat", "even")).tags
    store.add_model("recommender", large)
    engine.sync()
    still_answers(engine, candidate.digest)


def test_a_service_that_starts_with_a_damaged_model_alone_answers_with_favourites(
    store: Store, engine_of: New, candidate: Model
) -> None:
    store.publish("recommender", candidate.digest)
    (candidate.folder / "learnt.json").write_bytes(b"{}")
    answer = engine_of().suggest(RYE)
    assert (answer.way, answer.why, set(answer.tags)) == (
        "favourites", "the published model was refused", {"Rye", "Oat"},
    )  # fmt: skip


def test_an_operator_is_told_why_without_a_path(engine: Engine, candidate: Model) -> None:
    before = engine.current.digest
    (candidate.folder / "learnt.json").write_bytes(b"{}")
    with asked(engine) as client:
        answer = client.post("/v1/models/recommender/publish", json={"digest": candidate.digest})
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:hashloom:problem:conflict")
        assert "add it to the store again" in answer.json()["detail"]
        assert str(engine.store.folder) not in answer.text + client.get("/v1/models").text
        assert client.get("/v1/models").json()["refused"].keys() == {candidate.digest}
        assert client.post("/v1/models/recommender/publish", json={"digest": "0" * 64}).status_code == 404
        assert client.post("/v1/models/recommender/rollback").status_code == 409
        said = client.post("/v1/suggest", json={"text": RYE.text, "community": "even"}).json()
        assert (said["way"], said["model"]) == ("model", before)


def test_a_model_to_go_back_to_that_is_damaged_meanwhile_stays_away(
    engine: Engine, store: Store, candidate: Model
) -> None:
    before = engine.current.digest
    engine.publish("recommender", candidate.digest)
    engine.previous = None  # as after a restart
    path = next(one for one in store.models("recommender") if one.digest == before).folder / "arrays.npz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(NotThere, match="not whole any more"):
        engine.roll_back("recommender")
    still_answers(engine, candidate.digest)
