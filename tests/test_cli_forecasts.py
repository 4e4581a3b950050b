"""Forecasts on the command line: the forms that scripts rely on, and what is said of missing and wrong numbers."""

import io
import json
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from hashloom import build, cli, keeping, read
from hashloom.data.target import Target

SAMPLES = Path(__file__).parent.parent / "samples" / "posts.jsonl"
HASHLOOM = str(Path(sys.executable).with_name("hashloom"))
RYE = {"community": "crumb-club", "user": "marta", "text": "Rye"}


def run(*arguments: object) -> int:
    return cli.run([str(a) for a in arguments])


def answers(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def posts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("posts") / "posts.jsonl"
    path.write_text("\n".join(SAMPLES.read_text(encoding="utf-8").splitlines()[:250]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def model(posts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "forecaster"
    assert run("train", "author-mean", posts, "-o", folder) == 0
    return folder


@pytest.fixture(scope="module")
def recommender(posts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "recommender"
    assert run("train", "popular", posts, "-o", folder) == 0
    return folder


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Likes per follower, as a CSV has them: every further column is text."""
    path = tmp_path_factory.mktemp("shares") / "posts.csv"
    rows = [f"{i},text {i},mo,{i % 7},{100 + i}" for i in range(40)]
    path.write_text("\n".join(["id,text,user,likes,user_followers", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch):
    """Puts lines on standard input."""

    def put(*lines: object) -> None:
        text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))

    return put


# ---------------------------------------------------------------- train


def test_train_keeps_a_forecaster_and_names_its_formula(model, posts, tmp_path, capsys):
    said = keeping.manifest(model)
    assert (said["part"], said["recipe"], said["split"]["how"]) == ("author_mean", "author-mean", "time")
    out = tmp_path / "likes"
    assert run("train", "author-mean", posts, "-o", out, "--set", "target=likes", "--split", "none") == 0
    told = capsys.readouterr().err
    assert "what it forecasts: log2(max(likes, 0) + 1)" in told
    assert ", 0 validation, 0 test posts" in told
    assert keeping.load(out).target_ == "likes"


def test_posts_without_the_number_are_counted_and_left_out(posts, tmp_path, capsys):
    lacking = sum(row["views"] is None for row in map(json.loads, posts.read_text(encoding="utf-8").splitlines()))
    assert lacking
    assert run("train", "mean", posts, "-o", tmp_path / "model", "--split", "none") == 0
    assert f"{lacking} of 250 posts do not state views and are left out" in capsys.readouterr().err
    assert len(keeping.load(tmp_path / "model").seen_) == 250 - lacking


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("target=scoore", "no post states scoore; numbers that they state: views, likes, comments; name one of these"),
        ("target=likes/fans", "no post states likes and fans"),
        ("target=likes/user", "column 'user' holds String, not numbers"),
        ("target=text", "'text' is no number of a post"),
        ("target=low", "answers have a field 'low' of their own"),
        ("target=/", "name a number, or number/exposure"),
        ("targt=likes", "did you mean 'target'"),
        ("prior=-1", "prior"),
        ("prepare.min_tag_count=3", "[prepare] counts tags and is for recommenders"),
    ],
)
def test_a_number_that_is_not_there_is_refused_with_those_that_are(posts, tmp_path, capsys, change, says):
    assert run("train", "author-mean", posts, "-o", tmp_path / "model", "--set", change) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_posts_without_any_number_name_the_file_and_the_remedy(tmp_path, capsys):
    bare = tmp_path / "bare.jsonl"
    bare.write_text('{"id": "1", "text": "rye"}\n')
    assert run("train", "author-mean", bare, "-o", tmp_path / "model") == 2
    said = capsys.readouterr().err
    assert f"{bare}: nothing to learn" in said
    assert "add a column such as likes" in said
    bare.write_text("\n")
    assert run("train", "author-mean", bare, "-o", tmp_path / "model") == 2
    assert "bare.jsonl: holds no posts" in capsys.readouterr().err


def test_a_column_of_a_csv_may_be_the_exposure_and_one_wrong_row_costs_only_itself(shares, tmp_path, capsys):
    wrong = tmp_path / "wrong.csv"
    wrong.write_text(shares.read_text() + "x,text,mo,3,many\n")
    out = tmp_path / "model"
    assert run("train", "author-mean", wrong, "-o", out, "--set", "target=likes/user_followers", "--split", "none") == 0
    said = capsys.readouterr().err
    assert "wrong.csv: post 'x': user_followers: 'many' is no number" in said
    assert "1 of 41 posts do not state likes/user_followers" in said
    assert len(keeping.load(out).seen_) == 40


def test_tag_spaces_are_refused(posts, tmp_path, capsys):
    assert run("train", "author-mean", posts, "-o", tmp_path / "model", "--spaces", tmp_path / "spaces.json") == 2
    assert "--spaces" in capsys.readouterr().err


# ---------------------------------------------------------------- forecast


def test_forecast_answers_each_post_in_order(model, posts, tmp_path, capsysbinary):
    out = tmp_path / "answers.jsonl"
    assert run("forecast", model, posts, "-o", out) == 0
    found = answers(out.read_text(encoding="utf-8"))
    assert [row["id"] for row in found] == [json.loads(line)["id"] for line in posts.read_text().splitlines()]
    wanted = keeping.load(model).forecast(read(posts)[0])
    assert np.allclose([row["forecast"] for row in found], wanted.values)
    assert all(row["low"] <= row["forecast"] <= row["high"] for row in found)
    assert all(row["reasons"] == [] for row in found)
    capsysbinary.readouterr()
    assert run("forecast", model, posts) == 0
    assert capsysbinary.readouterr().out == out.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["answers.jsonl"]


def test_an_answer_has_the_formula_and_the_number_itself(model, typed, capsys):
    typed({"id": "1"} | RYE)
    assert run("forecast", model, "-") == 0
    (found,) = answers(capsys.readouterr().out)
    fixed = ["id", "forecast", "low", "high", "coverage", "formula", "views", "views_low", "views_high", "reasons"]
    assert list(found) == fixed
    assert found["formula"] == Target.parse("views").formula
    assert found["coverage"] == 0.9
    assert found["views"] == pytest.approx(2 ** found["forecast"] - 1)
    assert found["views_low"] <= found["views"] <= found["views_high"]


def test_reasons_come_when_asked_and_add_up(model, typed, capsys):
    typed({"id": "1"} | RYE)
    assert run("forecast", model, "-", "--explain") == 0
    (found,) = answers(capsys.readouterr().out)
    assert set(found["reasons"][0]) == {"source", "where", "weight"}
    assert sum(reason["weight"] for reason in found["reasons"]) == pytest.approx(found["forecast"])


def test_without_the_exposure_the_number_is_left_out_and_it_is_said_why(shares, tmp_path, typed, capsys):
    out = tmp_path / "model"
    assert run("train", "mean", shares, "-o", out, "--set", "target=likes/user_followers", "--split", "none") == 0
    capsys.readouterr()
    post = {"text": "rye", "user": "mo"}
    typed(
        {"id": "known", "user_followers": 100} | post,
        {"id": "unknown"} | post,
        {"id": "wrong", "user_followers": "lots"} | post,
    )
    assert run("forecast", out, "-") == 0
    said = capsys.readouterr()
    assert [(row["id"], "likes" in row) for row in answers(said.out)] == [
        ("known", True),
        ("unknown", False),
        ("wrong", False),
    ]
    assert "standard input: post 'wrong': user_followers: 'lots' is no number" in said.err
    assert "posts whose user_followers is unknown: 2" in said.err


def test_wrong_rows_are_told_and_the_others_answered(model, typed, tmp_path, capsys):
    typed({"id": "a"} | RYE, "{broken", {"text": "no id"}, {"id": "b"} | RYE)
    assert run("forecast", model, "-") == 0
    said = capsys.readouterr()
    assert [row["id"] for row in answers(said.out)] == ["a", "b"]
    assert "standard input:2: broken JSON" in said.err
    assert "rows refused: 2" in said.err
    typed({"id": "a"} | RYE, "{broken")
    assert run("forecast", model, "-", "--strict", "-o", tmp_path / "out.jsonl") == 2
    assert not list(tmp_path.iterdir())
    typed("junk")
    assert run("forecast", model, "-") == 2
    assert "no post could be read" in capsys.readouterr().err


def test_history_counts_only_where_it_is_earlier(model, typed, tmp_path, capsys):
    past = {"community": "crumb-club", "user": "newcomer", "text": "", "views": 1_000_000}
    history = tmp_path / "history.jsonl"
    made = []
    for day in ("2026-05-01", "2026-05-03"):
        history.write_text(json.dumps({"id": "h", "created_at": f"{day}T00:00:00Z"} | past) + "\n")
        typed({"id": "q", "created_at": "2026-05-02T00:00:00Z"} | past | {"views": None, "text": "Rye"})
        assert run("forecast", model, "-", "--history", history) == 0
        made.append(answers(capsys.readouterr().out)[0]["forecast"])
    typed({"id": "q", "created_at": "2026-05-02T00:00:00Z"} | past | {"views": None, "text": "Rye"})
    assert run("forecast", model, "-") == 0
    alone = answers(capsys.readouterr().out)[0]["forecast"]
    assert made[0] > alone + 0.5
    assert made[1] == alone


def test_history_without_the_number_teaches_nothing_and_is_refused(model, typed, tmp_path, capsys):
    history = tmp_path / "history.jsonl"
    history.write_text('{"id": "h", "text": "rye", "likes": 3}\n')
    typed({"id": "q"} | RYE)
    assert run("forecast", model, "-", "--history", history) == 2
    said = capsys.readouterr().err
    assert f"{history}: " in said
    assert "no post states views" in said
    assert "numbers that they state: likes" in said


def test_one_input_and_one_output_are_kept_apart(model, posts, tmp_path, capsys):
    assert run("forecast", model, "-", "--history", "-") == 2
    assert "standard input" in capsys.readouterr().err
    mine = tmp_path / "mine.jsonl"
    mine.write_bytes(posts.read_bytes())
    assert run("forecast", model, mine, "-o", mine) == 2
    assert mine.read_bytes() == posts.read_bytes()


def test_forecasts_come_while_posts_still_come(model):
    process = subprocess.Popen([HASHLOOM, "forecast", model, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    guard = threading.Timer(120, process.kill)
    guard.start()
    for i in ("one", "two"):
        process.stdin.write(json.dumps({"id": i} | RYE).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == i
    process.stdin.close()
    assert process.wait(120) == 0
    guard.cancel()
    process.stdout.close()


# ---------------------------------------------------------------- the right verb for a model


def test_a_model_of_the_other_kind_is_refused_with_the_verb_that_fits(model, recommender, posts, capsys):
    assert run("recommend", model, posts) == 2
    assert "holds a forecaster (author_mean), which suggests no tags; use: hashloom forecast" in capsys.readouterr().err
    assert run("forecast", recommender, posts) == 2
    assert "holds a recommender (popular), which forecasts nothing; use: hashloom recommend" in capsys.readouterr().err


def test_options_of_recommenders_are_refused(model, posts, tmp_path, capsys):
    for option in (["-k", 5], ["--metrics", "ndcg@10"]):
        assert run("evaluate", model, posts, *option) == 2
        assert f"{option[0]} is for models that suggest tags" in capsys.readouterr().err
    assert run("forget", model, "--tag", "Rye") == 2
    assert "--tag is for models that suggest tags" in capsys.readouterr().err
    assert run("compare", "mean", "--posts", posts, "-o", tmp_path / "report", "--spreads") == 2
    assert "--spreads is for models that suggest tags" in capsys.readouterr().err


def test_dial_and_forecaster_go_together(recommender, model, posts, capsys):
    for alone in (["--dial", 0.5], ["--forecaster", model]):
        assert run("recommend", recommender, posts, *alone) == 2
        assert "--forecaster and --dial go together" in capsys.readouterr().err
    assert run("recommend", recommender, posts, "--dial", 0.5, "--forecaster", recommender) == 2
    assert "forecasts nothing" in capsys.readouterr().err


def test_the_dial_reorders_and_neither_adds_nor_drops(recommender, model, posts, tmp_path):
    made = {}
    for name, options in {"off": [], "on": ["--dial", 1, "--forecaster", model]}.items():
        assert run("recommend", recommender, posts, "-k", 5, "-o", tmp_path / name, *options) == 0
        rows = answers((tmp_path / name).read_text(encoding="utf-8"))
        made[name] = [[s["tag"] for s in row["suggestions"]] for row in rows]
    assert made["off"] != made["on"]
    assert [sorted(row) for row in made["off"]] == [sorted(row) for row in made["on"]]


# ---------------------------------------------------------------- evaluate, compare


def test_evaluate_scores_the_part_that_was_held_back(model, posts, tmp_path, capsys):
    figures, page = tmp_path / "figures.json", tmp_path / "report.html"
    assert run("evaluate", model, posts, "--json", figures, "--html", page) == 0
    shown, found = capsys.readouterr().out, json.loads(figures.read_text())
    assert "test part (time split)" in shown
    assert found["formula"] in shown
    assert found["posts"] <= 50
    assert {"mse", "mae", "spearman", "coverage"} <= set(found["methods"][0]["metrics"])
    assert "<html" in page.read_text(encoding="utf-8")


def test_evaluate_refuses_posts_that_the_model_has_learnt_and_such_as_state_no_number(posts, tmp_path, capsys):
    assert run("train", "mean", posts, "-o", tmp_path / "all", "--split", "none") == 0
    assert run("evaluate", tmp_path / "all", posts) == 2
    assert "give other posts" in capsys.readouterr().err
    (tmp_path / "bare.jsonl").write_text('{"id": "1", "text": "rye"}\n')
    assert run("evaluate", tmp_path / "all", tmp_path / "bare.jsonl") == 2
    assert "bare.jsonl: no post states views, which the model" in capsys.readouterr().err


def test_compare_writes_the_report_and_its_tables(posts, tmp_path, capsys):
    out = tmp_path / "report"
    assert run("compare", "mean", "author-mean", "--posts", posts, "-o", out) == 0
    assert sorted(path.name for path in out.iterdir()) == ["answers", "report.html", "results.json", "table.md"]
    assert {m["name"] for m in json.loads((out / "results.json").read_text())["methods"]} == {"mean", "author-mean"}
    assert "author-mean" in capsys.readouterr().out


def test_recipes_of_two_kinds_are_not_compared(posts, tmp_path, capsys):
    assert run("compare", "popular", "author-mean", "--posts", posts, "-o", tmp_path / "report") == 2
    assert "author-mean forecasts and popular suggests tags" in capsys.readouterr().err


# ---------------------------------------------------------------- update, forget


def test_what_a_post_got_is_known_after_an_update_and_unknown_after_forgetting(posts, tmp_path, typed, capsys):
    model = tmp_path / "model"
    assert run("train", "author-mean", posts, "-o", model, "--split", "none", "--set", "target=likes") == 0
    more = tmp_path / "more.jsonl"
    rows = [{"id": f"n{i}", "user": "newcomer", "likes": 5000, "community": "crumb-club", "text": ""} for i in range(9)]
    more.write_text("\n".join(map(json.dumps, rows)) + "\n")

    def newcomer() -> float:
        typed({"id": "q", "community": "crumb-club", "user": "newcomer", "text": "Rye"})
        assert run("forecast", model, "-") == 0
        return answers(capsys.readouterr().out)[0]["likes"]

    capsys.readouterr()
    before = newcomer()
    assert run("update", model, more) == 0
    assert "9 of 9 posts were new" in capsys.readouterr().err
    assert newcomer() > 2 * before
    assert run("forget", model, "--user", "newcomer") == 0
    assert "9 posts forgotten" in capsys.readouterr().err
    assert newcomer() == pytest.approx(before)


# ---------------------------------------------------------------- list, help


def test_list_has_forecasters_and_their_recipes(capsys):
    assert run("list", "forecasters") == 0
    rows = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert {"author_mean", "mean"} <= {row[0] for row in rows}
    assert all(len(row) == 2 for row in rows)
    assert run("list", "forecasters", "author_mean") == 0
    assert "expanding" in capsys.readouterr().out
    assert run("list", "recipes") == 0
    assert "author-mean" in capsys.readouterr().out


def test_help_names_the_verb_and_the_target(capsys):
    assert run("forecast", "--help") == 0
    assert capsys.readouterr().out.count("hashloom forecast") >= 2
    assert run("train", "--help") == 0
    assert "--set target=likes/user_followers" in " ".join(capsys.readouterr().out.split())


def test_every_number_stays_finite_in_a_model_that_learnt_one_post(tmp_path, typed, capsys):
    (tmp_path / "one.jsonl").write_text('{"id": "1", "text": "rye", "popularity": 2.5}\n')
    assert run("train", "author-mean", tmp_path / "one.jsonl", "-o", tmp_path / "model", "--split", "none") == 0
    typed({"id": "q", "text": "oat"})
    capsys.readouterr()
    assert run("forecast", tmp_path / "model", "-") == 0
    (found,) = answers(capsys.readouterr().out)
    assert (found["forecast"], found["popularity"], found["formula"]) == (2.5, 2.5, "popularity as given")


def test_the_library_says_the_same_as_the_command_line(model, posts):
    made = build({"forecaster": "author_mean"})
    assert made.settings() == json.loads((model / "settings.json").read_text())


def test_a_column_of_words_is_no_number_that_auto_would_try(tmp_path, capsys):
    (tmp_path / "one.jsonl").write_text('{"id": "1", "text": "rye", "likes": 3, "score": "high"}\n')
    assert run("train", "mean", tmp_path / "one.jsonl", "-o", tmp_path / "model", "--split", "none") == 0
    assert "score" not in capsys.readouterr().err
    assert keeping.load(tmp_path / "model").target_ == "likes"


def test_explain_draws_a_page_with_the_forecast_beside_the_tags(recommender, model, posts, tmp_path):
    page = tmp_path / "why.html"
    assert run("explain", recommender, posts, "--forecaster", model, "-o", page) == 0
    assert Target.parse("views").formula in page.read_text(encoding="utf-8")
