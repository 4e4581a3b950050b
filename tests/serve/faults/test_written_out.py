"""What strangers wrote, in places that obey: terminals, logs, headers, browsers. It is shown there, no more."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from asking import asked
from seen import place
from wire import Running, head, send

from hashloom import cli
from hashloom.cli_files import plain
from hashloom.serve.engine import Engine
from hashloom.store import Store
from hashloom.types import Post, Posts

RED = "\x1b[31mred\x1b]0;title\x07\x9b2J\u202egnp"
LINES = "p\r\n2026-01-01 00:00:00,000 ERROR hashloom: all is lost"
ROW = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING) [\w.]+: "
    r"([\w.-]{1,64} [A-Z]+ (/[\w/{}:.]*|other) \d+|Invalid HTTP request received\.)\n"
)


def test_no_request_writes_a_line_of_its_own_into_the_log(running: Running) -> None:
    """Line breaks in addresses, methods, headers, texts, ids and request ids; each request has one line, as ever."""
    evil = "%0d%0a2026-01-01%2000:00:00,000%20ERROR%20hashloom:%20all%20is%20lost%1b[31m"
    for path in (f"/{evil}", f"/v1/trends/{evil}", f"/v1/trends/even?{evil}=1", f"/v1/posts/even/{evil}"):
        heard = send(running.port, [head("GET", path, {"Host": "localhost", "Connection": "close"})])
        assert heard.status in (200, 404, 422)
    headers = {"Host": "localhost", "Content-Length": "0", "Connection": "close"}
    for name in ("X-Request-ID", "X-API-Key", "User-Agent", "Referer", "X-Forwarded-For"):
        for value in ("a b", "\x1b[31m", "a\tb", "all is lost", "x" * 2_000, "é"):
            heard = send(running.port, [head("POST", "/v1/suggest", headers | {name: value})])
            assert heard.status in (400, 401, 422), heard
    send(running.port, [b"EVIL\x1b[31m / HTTP/1.1\r\n\r\n"])
    running.ask({"text": LINES + RED, "community": LINES, "user": RED, "chosen": [LINES]})
    running.answers()
    running.process.terminate()
    running.process.wait(60)
    said = [line for line in running.said if not line.startswith("hashloom: ")]
    assert len(said) > 30
    assert [line for line in said if not ROW.fullmatch(line)] == []


def test_a_request_id_is_echoed_only_where_it_is_a_plain_word(engine: Engine) -> None:
    with asked(engine) as client:
        for given in ("a b", "x" * 65, "é", "<script>", "a;b", "\x1b[31m", ""):
            answer = client.get("/health", headers={"X-Request-ID": given.encode("latin-1")})
            assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])
        assert client.get("/health", headers={"X-Request-ID": "mine-1"}).headers["x-request-id"] == "mine-1"


def test_answers_are_no_page_and_errors_repeat_nothing(engine: Engine) -> None:
    """Markup comes back as JSON that no browser reads as a page; problems do not quote what was sent."""
    bad = "<script>alert(1)</script>"
    with asked(engine) as client:
        client.put("/v1/posts/even/x", json={"text": bad, "tags": [bad, "javascript:alert(1)", "=HYPERLINK(1)"]})
        asks = [
            client.get("/v1/posts/even/x"), client.get("/v1/authors/u0"), client.get("/v1/trends/even"),
            client.post("/v1/suggest", json={"text": bad, "community": "even", "explain": True}),
            client.get(f"/v1/trends/{place(bad)}"), client.get("/v1/openapi.json"),
        ]  # fmt: skip
        for answer in asks:
            assert answer.headers["content-type"].startswith("application/json")
            assert answer.headers["x-content-type-options"] == "nosniff"
        wrong = [
            client.get("/" + bad), client.post("/v1/suggest", json={bad: bad}), client.get(f"/v1/trends/even?{bad}=1"),
            client.post("/v1/suggest", json={"platform": bad}), client.get("/health", headers={"X-API-Key": bad}),
        ]  # fmt: skip
        for answer in wrong:
            assert answer.status_code in (401, 404, 422)
            assert answer.headers["content-type"] == "application/problem+json"
            assert "alert(1)</script>" not in answer.json()["detail"]
            assert answer.headers["x-content-type-options"] == "nosniff"


def test_commands_print_control_characters_as_what_they_are(
    tmp_path: Path, models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        rows = [Post(RED, "rye flour kneaded", "even", "u0"), Post(LINES, "oat flakes", "even", "u2")]
        store.put_posts(Posts.of(rows))
        store.new_key("reader", RED, None, f"note {RED}\n{LINES}")
    dry = ["bulk", tmp_path / "journal", "--store", folder, "--model", models["linear"], "--dry-run"]
    for command in (["keys", "list", "--store", folder], dry, ["keys", "new", "--store", folder, "--community", RED]):
        assert cli.run([str(part) for part in command]) == 0
        said = "".join(capsys.readouterr())
        assert "\\x1b[31mred" in said
        assert not set("\x1b\x07\x9b\u202e\r") & set(said)
        assert not [line for line in said.splitlines() if line.startswith("2026-01-01")]


def test_plain_text_stays_as_it_is() -> None:
    for text in ("Rye", "é漢字 ｶﾞ", "👨\u200d👩\u200d👧", "می\u200cخواهم", "a\tb\nc", "\u3000"):
        assert plain(text) == text
    assert plain("a\nb", keep="") == "a\\nb"
    assert plain("\x9b\u202e\u2028") == "\\x9b\\u202e\\u2028"
