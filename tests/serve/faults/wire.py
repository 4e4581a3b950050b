"""The service as a process of its own, and bytes on its sockets as no client library would send them."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 120.0
"""A test that waits for longer has failed."""
PATIENT = ("--set", "budget=60", "--set", "batch_budget=300", "--set", "picture_seconds=60")
"""Settings of a service that a busy machine makes say nothing else."""


@dataclass
class Heard:
    """What came back; ``status`` is 0 where the connection ended without an answer."""

    status: int = 0
    headers: str = ""
    body: bytes = b""
    seconds: float = 0.0
    sent: int = 0

    @property
    def problem(self) -> str:
        """The last word of the problem's type."""
        assert "application/problem+json" in self.headers, (self.status, self.headers, self.body[:200])
        return str(json.loads(self.body)["type"].rpartition(":")[2])


@dataclass
class Running:
    """A running service; ``said`` is what it wrote to standard error."""

    address: str
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def memory(self) -> float:
        """Resident megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1000

    def peak(self) -> float:
        """The most resident megabytes since ``forget_peak``."""
        status = Path(f"/proc/{self.process.pid}/status").read_text("ascii")
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1000

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5", "ascii")

    def files(self) -> int:
        """Open files and sockets."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def ask(self, body: dict[str, Any], path: str = "/v1/suggest") -> Heard:
        return post(self.port, json.dumps(body).encode(), path=path)

    def answers(self) -> None:
        """It answers with its model."""
        heard = self.ask({"text": "rye flour kneaded", "community": "even"})
        assert (heard.status, json.loads(heard.body)["way"]) == (200, "model"), heard


@contextmanager
def service(*arguments: object) -> Iterator[Running]:
    """``hashloom serve`` with some arguments at a free port."""
    command = [sys.executable, "-c", "from hashloom.cli import main; main()", "serve", "--port", "0"]
    environment = os.environ | {"PYTHONUTF8": "1"}
    process = subprocess.Popen([*command, *map(str, arguments)], stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    running = Running("", process)
    try:
        while "answers at" not in (line := process.stderr.readline()):
            assert line, f"it ended with {process.wait(20)}: {running.said}"
            running.said.append(line)
        running.address = re.findall(r"http://[^\s(]+", line)[0]
        reader = threading.Thread(target=lambda: running.said.extend(process.stderr or ()), daemon=True)
        reader.start()
        yield running
        process.terminate()
        process.wait(60)
        reader.join(10)
    finally:
        process.kill()
        process.wait(60)
        process.stderr.close()


def post(port: int, body: bytes, *, path: str = "/v1/suggest", kind: str = "application/json", **more: str) -> Heard:
    """A whole request with a body."""
    lines = {"Host": "localhost", "Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"} | more
    return send(port, [head("POST", path, lines), body])


def head(method: str, path: str, headers: dict[str, str]) -> bytes:
    """A request's first bytes, up to its body."""
    rows = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{rows}\r\n".encode("latin-1")


def send(port: int, parts: Iterable[bytes], patience: float = PATIENCE) -> Heard:
    """Send the parts as long as nothing comes back; what came until the other side closed."""
    heard, came, began = Heard(), b"", time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for part in parts:
                line.sendall(part)
                heard.sent += len(part)
        except OSError:  # it has heard enough
            pass
        try:
            while part := line.recv(65_536):
                came += part
                if _is_whole(came):
                    break
        except ConnectionResetError:
            pass
    heard.seconds = time.monotonic() - began
    start, _, heard.body = came.partition(b"\r\n\r\n")
    heard.headers = start.decode("latin-1").lower()
    heard.status = int(start.split(b" ")[1]) if start else 0
    return heard


def _is_whole(came: bytes) -> bool:
    start, gap, body = came.partition(b"\r\n\r\n")
    size = re.search(rb"content-length: (\d+)", start.lower())
    return bool(gap and size and len(body) >= int(size[1]))
