"""The command line: the forms that scripts rely on, and that what goes wrong is said with its place and remedy."""

import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from hashloom import cli, keeping
from hashloom.cli_errors import told
from hashloom.cli_files import opened

SAMPLES = Path(__file__).parent.parent / "samples" / "posts.jsonl"
HASHLOOM = str(Path(sys.executable).with_name("hashloom"))


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("posts") / "posts.jsonl"
    path.write_text("\n".join(SAMPLES.read_text(encoding="utf-8").splitlines()[:250]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(posts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    assert run("train", "popular", posts, "-o", folder) == 0
    return folder


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    """Puts lines on standard input."""

    def put(*lines: object) -> None:
        text = "".join(
            (line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)) + "\n" for line in lines
        )
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))

    return put


def answers(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


# ---------------------------------------------------------------- import, describe


@pytest.mark.parametrize("name", ["out.parquet", "out.jsonl"])
def test_import_writes_posts_that_describe_reads(tmp_path, capsys, name):
    source, out = tmp_path / "mine.csv", tmp_path / name
    source.write_text("id,text,date\n1,Rye loaf #Sourdough,2025-03-01 08:00\n2,Sun,2025-03-02 08:00\n")
    assert run("import", "csv", source, "-o", out, "--zone", "Asia/Tokyo") == 0
    assert "2 posts kept" in capsys.readouterr().err
    assert run("describe", out, "--html", tmp_path / "page.html") == 0
    assert "2025-02-28 23:00" in capsys.readouterr().out
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_import_refuses_times_without_zone_and_says_which(tmp_path, capsys):
    source = tmp_path / "mine.csv"
    source.write_text("id,text,date\n1,Rye,2025-03-01T08:00:00Z\n2,Sun,2025-03-02 08:00\n")
    assert run("import", "csv", source, "-o", tmp_path / "out.jsonl") == 0
    assert "mine.csv:3: " in capsys.readouterr().err
    assert run("import", "csv", source, "-o", tmp_path / "strict.jsonl", "--strict") == 2
    assert "mine.csv:3: " in capsys.readouterr().err
    assert not (tmp_path / "strict.jsonl").exists()


def test_import_refuses_other_endings_and_unknown_kinds(tmp_path, capsys):
    assert run("import", "csv", "x.csv", "-o", tmp_path / "out.txt") == 2
    assert ".parquet or .jsonl" in capsys.readouterr().err
    assert run("import", "friendster", "x", "-o", tmp_path / "out.jsonl") == 2
    assert "mastodon" in capsys.readouterr().err


# ---------------------------------------------------------------- train, evaluate, compare


def test_train_keeps_a_model_whose_settings_were_changed(posts, tmp_path, capsys):
    out = tmp_path / "model"
    changes = ["--set", "half_life_days=7", "--set", "prepare.min_tag_count=2"]
    assert run("train", "popular", posts, "-o", out, *changes, "--split", "none", "--seed", 3) == 0
    said = keeping.manifest(out)
    assert json.loads((out / "settings.json").read_text())["half_life_days"] == 7
    assert said["prepare"] == {"min_tag_count": 2}
    assert said["split"]["how"] == "none"
    assert said["split"]["seed"] == 3
    assert "250 training, 0 validation, 0 test posts" in capsys.readouterr().err


def test_a_recipe_may_be_a_file(posts, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('about = "mine"\n[model]\nmodel = "own_history"\n')
    assert run("train", recipe, posts, "-o", tmp_path / "model") == 0
    assert keeping.manifest(tmp_path / "model")["recipe"] == "mine"


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (["populr"], "did you mean 'popular'"),
        (["popular", "--set", "half_life=3"], "half_life_days"),
        (["popular", "--set", "half_life_days"], "field=value"),
        (["popular", "--set", "half_life_days=long"], "half_life_days"),
        (["popular", "--set", "prepare.rare=3"], "min_tag_count"),
        (["popular", "--set", "prepare.min_tag_count=x"], "prepare.min_tag_count must be a whole number"),
        (["popular", "--set", "prepare.min_tag_count=0"], "prepare.min_tag_count must be a whole number"),
        (["popular", "--set", "model.x=1"], "--set model.x=1: what stands before the last dot"),
        (["popular", "--split", "moon"], "community"),
        (["popular", "--spilt", "time"], "--split"),
        (["nowhere.toml"], "nowhere.toml"),
    ],
)
def test_train_refuses_what_it_does_not_know_and_says_what_there_is(posts, tmp_path, capsys, arguments, remedy):
    recipe, *rest = arguments
    assert run("train", recipe, posts, "-o", tmp_path / "model", *rest) == 2
    said = capsys.readouterr().err.splitlines()
    assert remedy in said[-1]
    assert said[-1].startswith("hashloom: ")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model = 'popular'", "model must be a table, [model]"),
        ("published = 3\n[model]\nmodel = 'popular'", "published must be a table"),
        ("name = 3\n[model]\nmodel = 'popular'", "name must be text in quotes"),
        ("[model]\nmodel = 'popular'\n[prepair]\nmin_tag_count = 3", "did you mean 'prepare'"),
        ("[model]\nmodel = 'popular'\n[prepare]\nmin_tag_cuont = 3", "did you mean 'min_tag_count'"),
        ("[model]\nencoder = 'tfidf'", "names no recommender"),
    ],
)
def test_a_recipe_with_a_mistake_is_refused_before_a_post_is_read(tmp_path, capsys, text, says):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    for verb in (["train", recipe, "not-there.jsonl"], ["compare", recipe, "--posts", "not-there.jsonl"]):
        assert run(*verb, "-o", tmp_path / "out") == 2
        assert says in capsys.readouterr().err


def test_training_on_nothing_says_so(tmp_path, capsys):
    blank = tmp_path / "blank.jsonl"
    blank.write_text("\n\n")
    assert run("train", "popular", blank, "-o", tmp_path / "model") == 2
    assert "blank.jsonl: holds no posts" in capsys.readouterr().err


def test_a_report_is_not_written_into_a_model(model, posts, capsys):
    assert run("compare", "popular", "--posts", posts, "-o", model) == 2
    assert "holds a model" in capsys.readouterr().err
    keeping.check(model)


def test_train_refuses_a_taken_place_before_it_reads_a_post(tmp_path, capsys):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "diary.txt").write_text("mine")
    assert run("train", "popular", tmp_path / "not-there.jsonl", "-o", tmp_path / "precious") == 2
    assert "precious" in capsys.readouterr().err
    assert (tmp_path / "precious" / "diary.txt").read_text() == "mine"


def test_evaluate_scores_the_part_that_was_held_back(model, posts, tmp_path, capsys):
    figures, page = tmp_path / "figures.json", tmp_path / "report.html"
    assert run("evaluate", model, posts, "-k", 3, "-k", 10, "--json", figures, "--html", page) == 0
    shown, found = capsys.readouterr().out, json.loads(figures.read_text())
    assert "NDCG@3" in shown
    assert {"ndcg@3", "ndcg@10"} <= set(found["methods"][0]["metrics"])
    assert found["posts"] <= 50
    assert "<html" in page.read_text(encoding="utf-8")


def test_evaluate_refuses_posts_that_the_model_has_learnt(posts, tmp_path, capsys):
    assert run("train", "popular", posts, "-o", tmp_path / "all", "--split", "none") == 0
    assert run("evaluate", tmp_path / "all", posts) == 2
    assert "give other posts" in capsys.readouterr().err


def test_compare_writes_the_report_and_its_tables(posts, tmp_path, capsys):
    out = tmp_path / "a" / "report"
    assert run("compare", "popular", "own-recency", "--posts", posts, "-o", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["answers", "report.html", "results.json", "table.md"]
    assert {m["name"] for m in json.loads((out / "results.json").read_text())["methods"]} == {"popular", "own-recency"}
    assert "own-recency" in capsys.readouterr().out
    assert run("compare", "popular", "--posts", posts, "-o", posts) == 2
    assert "folder" in capsys.readouterr().err


def test_train_keeps_to_given_tag_spaces(posts, tmp_path, capsys):
    given = tmp_path / "spaces.json"
    given.write_text('{"crumb-club": {"tags": ["Sourdough", "Rye"], "closed": true}}')
    assert run("train", "popular", posts, "-o", tmp_path / "model", "--spaces", given) == 0
    assert run("recommend", tmp_path / "model", posts, "-o", tmp_path / "out.jsonl") == 0
    asked = {row["id"]: row["community"] for row in map(json.loads, posts.read_text().splitlines())}
    for row in answers((tmp_path / "out.jsonl").read_text(encoding="utf-8")):
        if asked[row["id"]] == "crumb-club":
            assert {s["tag"] for s in row["suggestions"]} <= {"Sourdough", "Rye"}
    given.write_text("[]")
    assert run("train", "popular", posts, "-o", tmp_path / "model", "--spaces", given) == 2
    assert str(given) in capsys.readouterr().err


# ---------------------------------------------------------------- recommend


def test_recommend_answers_each_post_in_order(model, posts, tmp_path, capsysbinary):
    out = tmp_path / "answers.jsonl"
    assert run("recommend", model, posts, "-k", 3, "-o", out) == 0
    found = answers(out.read_text(encoding="utf-8"))
    assert [row["id"] for row in found] == [json.loads(line)["id"] for line in posts.read_text().splitlines()]
    assert all(len(row["suggestions"]) == 3 for row in found)
    assert all(s["reasons"] == [] for row in found for s in row["suggestions"])
    capsysbinary.readouterr()
    assert run("recommend", model, posts, "-k", 3) == 0
    assert capsysbinary.readouterr().out == out.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]


@pytest.mark.parametrize("name", ["posts.parquet", "posts.csv"])
def test_other_files_give_the_same_answers(model, posts, tmp_path, capsys, name):
    rows = [json.loads(line) for line in posts.read_text(encoding="utf-8").splitlines()]
    if name.endswith("csv"):
        text = "id,community,user,text\n" + "".join(f"{r['id']},{r['community']},{r['user']},x\n" for r in rows)
        (tmp_path / name).write_text(text, encoding="utf-8")
    else:
        assert run("import", "jsonl", posts, "-o", tmp_path / name) == 0
    for given, out in ((posts, "a"), (tmp_path / name, "b")):
        assert run("recommend", model, given, "-o", tmp_path / out) == 0
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()


def test_recommend_gives_reasons_when_asked(model, typed, capsys):
    typed({"id": "1", "community": "crumb-club", "text": "Rye"})
    assert run("recommend", model, "-", "-k", 2, "--explain") == 0
    (found,) = answers(capsys.readouterr().out)
    for suggestion in found["suggestions"]:
        assert suggestion["reasons"]
        assert set(suggestion["reasons"][0]) == {"source", "where", "weight"}


@pytest.mark.parametrize(
    ("text", "option", "is_told"),
    [("A loaf", [], False), ("My sourdough", [], True), ("A loaf", ["--sensitive"], True)],
)
def test_sensitive_tags_are_given_where_the_text_names_them_or_when_asked(
    posts, typed, tmp_path, capsys, text, option, is_told
):
    (tmp_path / "spaces.json").write_text('{"crumb-club": {"sensitive": ["sourdough"]}}', encoding="utf-8")
    model = tmp_path / "model"
    assert run("train", "popular", posts, "-o", model, "--spaces", tmp_path / "spaces.json") == 0
    typed({"id": "1", "community": "crumb-club", "text": text})
    capsys.readouterr()
    assert run("recommend", model, "-", "-k", 50, *option) == 0
    (found,) = answers(capsys.readouterr().out)
    assert ("sourdough" in [s["tag"].lower() for s in found["suggestions"]]) == is_told


def test_recommend_tells_of_wrong_rows_and_answers_the_others(model, typed, capsys):
    good = [{"id": i, "community": "crumb-club", "text": "rye"} for i in "abc"]
    typed(good[0], "{broken", good[1], {"text": "no id"}, "", good[2])
    assert run("recommend", model, "-") == 0
    said = capsys.readouterr()
    assert [row["id"] for row in answers(said.out)] == ["a", "b", "c"]
    assert "standard input:2: broken JSON" in said.err
    assert "standard input:4: no id" in said.err
    assert "rows refused: 2" in said.err


def test_strict_stops_at_the_first_wrong_row(model, typed, tmp_path, capsys):
    typed({"id": "a", "text": "rye"}, {"id": "b"})
    assert run("recommend", model, "-", "--strict", "-o", tmp_path / "out.jsonl") == 2
    assert "standard input:2: " in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_nothing_readable_is_an_error(model, typed, capsys):
    typed("junk", "more junk")
    assert run("recommend", model, "-") == 2
    assert "no post could be read" in capsys.readouterr().err


def test_an_id_that_comes_twice_is_answered_twice(model, typed, capsys):
    typed({"id": "a", "text": "rye"}, {"id": "a", "text": "rye"})
    assert run("recommend", model, "-") == 0
    assert [row["id"] for row in answers(capsys.readouterr().out)] == ["a", "a"]


def test_a_community_that_nobody_knows_gets_nothing_and_one_note(model, typed, capsys):
    typed(*[{"id": str(i), "community": "no-such-club", "text": "rye"} for i in range(3)])
    assert run("recommend", model, "-") == 0
    said = capsys.readouterr()
    assert [row["suggestions"] for row in answers(said.out)] == [[], [], []]
    (note,) = said.err.splitlines()
    assert "'no-such-club'" in note
    assert "--history" in note


def test_history_teaches_a_new_community_but_only_from_earlier_posts(model, typed, tmp_path, capsys):
    history = tmp_path / "history.jsonl"
    early = {"id": "h1", "community": "sky", "text": "", "tags": ["Comet"], "created_at": "2025-05-01T00:00:00Z"}
    late = early | {"id": "h2", "tags": ["Eclipse"], "created_at": "2025-05-03T00:00:00Z"}
    history.write_text(json.dumps(early) + "\n" + json.dumps(late) + "\n")
    asked = {"id": "q", "community": "sky", "text": "look up", "created_at": "2025-05-02T00:00:00Z"}
    typed(asked)
    assert run("recommend", model, "-", "--history", history) == 0
    (found,) = answers(capsys.readouterr().out)
    assert [s["tag"].lower() for s in found["suggestions"]] == ["comet"]


def test_standard_input_cannot_be_two_things(model, capsys):
    assert run("recommend", model, "-", "--history", "-") == 2
    assert "standard input" in capsys.readouterr().err


def test_the_posts_are_not_overwritten_by_their_answers(model, posts, tmp_path, capsys):
    mine = tmp_path / "mine.jsonl"
    mine.write_bytes(posts.read_bytes())
    assert run("recommend", model, mine, "-o", mine) == 2
    assert mine.read_bytes() == posts.read_bytes()


def test_answers_come_while_posts_still_come(model):
    process = subprocess.Popen([HASHLOOM, "recommend", model, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    guard = threading.Timer(120, process.kill)
    guard.start()
    for i in ("one", "two"):
        process.stdin.write(json.dumps({"id": i, "community": "crumb-club", "text": "rye"}).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == i
    process.stdin.close()
    assert process.wait(120) == 0
    guard.cancel()
    process.stdout.close()


def test_a_reader_that_goes_away_is_no_failure_to_talk_about(model, posts):
    line = f"'{HASHLOOM}' recommend '{model}' '{posts}' -k 100 | head -1 | wc -l"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=300)
    assert (done.stdout.strip(), done.stderr) == ("1", "")


def test_a_damaged_model_is_refused_by_the_name_of_the_file(model, posts, tmp_path, capsys):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    (copy / "learnt.json").write_text("{}")
    assert run("recommend", copy, posts) == 2
    said = capsys.readouterr().err
    assert "learnt.json" in said
    assert "train again" in said


@pytest.mark.parametrize("place", ["nowhere", "posts.jsonl"])
def test_what_is_no_model_is_refused(posts, tmp_path, capsys, place):
    assert run("recommend", tmp_path / place, posts) == 2
    assert "no Hashloom model" in capsys.readouterr().err


# ---------------------------------------------------------------- list, help


@pytest.mark.parametrize(
    ("room", "names"),
    [
        ("recommenders", {"popular", "own_history", "nearest", "linear"}),
        ("recipes", {"popular"}),
        ("encoders", {"tfidf", "floret"}),
        ("metrics", {"ndcg", "p", "r"}),
        ("importers", {"csv", "mastodon", "stackexchange"}),
    ],
)
def test_list_has_a_line_for_each(capsys, room, names):
    assert run("list", room) == 0
    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert names <= {row[0] for row in rows}
    assert all(len(row) == 2 for row in rows)


def test_list_shows_the_fields_of_one_and_of_all(capsys):
    assert run("list", "recommenders", "popular") == 0
    one = capsys.readouterr().out
    assert "half_life_days" in one
    assert run("list", "recommenders", "--fields") == 0
    assert one.strip() in capsys.readouterr().out
    assert run("list", "recommenders", "populr") == 2
    assert "did you mean 'popular'" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["import", "describe", "train", "recommend", "evaluate", "compare", "list"])
def test_each_verb_teaches_by_example(capsys, verb):
    assert run(verb, "--help") == 0
    assert capsys.readouterr().out.count("hashloom " + verb) >= 2


def test_help_comes_at_once():
    """It loads the library that it is written with and little else; ``benchmarks/startup.py`` has the seconds."""
    bare = "import sys, typer.main, typer.rich_utils, rich.table, rich.markdown; print(*sys.modules)"
    there = set(subprocess.run([sys.executable, "-c", bare], capture_output=True, text=True, check=True).stdout.split())
    ours = "import sys; from hashloom.cli import main\ntry: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", ours, "--help"], capture_output=True, text=True, check=True)
    assert "recommend" in done.stdout
    more = {name for name in set(done.stderr.split()) - there if name.split(".")[0] not in sys.stdlib_module_names}
    assert "hashloom.cli" in more
    assert len(more) < 60, sorted(more)
    assert not {"numpy", "polars", "torch", "sqlalchemy", "fastapi"} & more


def test_no_verb_shows_help_and_a_wrong_one_what_was_meant(capsys):
    assert run() == 0
    assert "recommend" in capsys.readouterr().out
    assert run("recomend") == 2
    assert "'recommend'" in capsys.readouterr().err


# ---------------------------------------------------------------- what goes wrong


def test_an_inner_failure_is_said_in_two_lines_and_debugged_on_request(posts, tmp_path, monkeypatch, capsys):
    def broken(*args: object, **settings: object) -> None:
        raise KeyError("gone")

    monkeypatch.setattr("hashloom.evaluate.protocol.train", broken)
    assert run("train", "popular", posts, "-o", tmp_path / "model") == 1
    said = capsys.readouterr().err
    assert "inner failure: KeyError: 'gone'" in said
    assert "Traceback" not in said
    monkeypatch.setenv("HASHLOOM_DEBUG", "1")
    assert run("train", "popular", posts, "-o", tmp_path / "model") == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_refusal_of_ours_is_bad_input_and_an_accident_is_not():
    def refused() -> None:
        cli.check_model_place(SAMPLES)

    def happened() -> None:
        keeping.json.loads("{")

    def code(work) -> int:
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            work()
        return told(caught.value)[0]

    assert (code(refused), code(happened)) == (2, 1)


def test_a_place_that_is_not_there_is_named(model, posts, tmp_path, capsys):
    assert run("recommend", model, posts, "-o", tmp_path / "no" / "such" / "answers.jsonl") == 2
    said = capsys.readouterr().err
    assert "answers.jsonl: there is no folder" in said
    assert run("describe", tmp_path) == 2


def test_places_that_cannot_be_written_are_refused_before_the_work(posts, tmp_path, capsys):
    for option in ("--json", "--html"):
        assert run("evaluate", "no-model-yet", posts, option, tmp_path) == 2
        assert "Is a directory" in capsys.readouterr().err
    assert run("train", "popular", posts, "-o", tmp_path / ("x" * 300)) == 2
    assert "the name is too long" in capsys.readouterr().err


def test_a_wrong_option_is_told_in_one_line_of_whole_sentences(posts, capsys):
    assert run("recommend", "model", posts, "-k", "0") == 2
    assert capsys.readouterr().err.endswith("greater than or equal to 1. See: hashloom recommend --help\n")
    assert run("list") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_errors_name_the_file_asked_for_and_not_the_one_beside_it(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, opened(Path("/proc/answers.jsonl")):
        pass
    assert told(caught.value)[1].startswith("/proc/answers.jsonl: ")
    full = OSError(errno.ENOSPC, "No space left on device", "a.jsonl")
    assert told(full) == (1, "a.jsonl: no space left on the device; make room, or write elsewhere")


def test_posts_that_were_cut_are_told_of(model, typed, capsys):
    typed({"id": "1", "community": "crumb-club", "text": "rye " * 300_000})
    assert run("recommend", model, "-") == 0
    assert "posts cut to the limits before they were answered: 1" in capsys.readouterr().err


def test_ctrl_c_while_a_model_is_written_leaves_nothing(posts, tmp_path, monkeypatch, capsys):
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(keeping, "_write_manifest", interrupted)
    assert run("train", "popular", posts, "-o", tmp_path / "model") == 130
    assert "stopped" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_during_training_leave_nothing(posts, tmp_path, number, code):
    slow = tmp_path / "slow.toml"
    endless = "epochs = 100000\npatience = 100000\nreads = 1000000000000\nthreads = 1\n"
    slow.write_text(f'[model]\nmodel = "multilabel"\n{endless}encoder = {{encoder = "floret", dim = 8, epochs = 1}}\n')
    place = tmp_path / "models"
    place.mkdir()
    process = subprocess.Popen(
        [HASHLOOM, "train", slow, posts, "-o", place / "model"],
        stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stderr.readline().startswith(b"training slow")
    time.sleep(2)
    assert process.poll() is None
    process.send_signal(number)
    rest = process.stderr.read().decode()
    assert process.wait(300) == code
    process.stderr.close()
    assert "Traceback" not in rest
    assert not list(place.iterdir())
