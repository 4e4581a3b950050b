"""Asking the application over HTTP within the test's process, as this machine or as somebody from afar."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hashloom.serve.api import make_app
from hashloom.serve.engine import Engine

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


@contextmanager
def asked(engine: Engine, *, near: bool = True, host: str = "localhost", **settings: Any) -> Iterator[TestClient]:
    """A client of the service over an engine; ``near``: from this machine."""
    from dataclasses import replace

    app = make_app(engine, engine.store, replace(engine.settings, **settings))
    client = ("127.0.0.1" if near else "203.0.113.9", 50_000)
    with TestClient(app, base_url=f"http://{host}", client=client, raise_server_exceptions=False) as made:
        yield made


def soon(is_so: Callable[[], bool], what: str = "what is waited for", seconds: float = 60.0) -> None:
    """Wait until something is so; the limit is there to end a test that would wait for ever."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, f"{what}: not within {seconds:g} s"
        time.sleep(0.02)


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}
