"""PostgreSQL for tests: a cluster of their own in a temporary folder, on a socket there, gone when they end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

MISSING = "PostgreSQL is not installed (Debian: apt-get install postgresql); HASHLOOM_REQUIRE_POSTGRES=1 demands it"


def postgresql_tools() -> Path | None:
    """The folder of PostgreSQL's programs: Debian's newest, else that of the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    found = versions[-1] if versions else shutil.which("postgres")
    return Path(found).parent if found else None


def in_memory() -> str | None:
    """A folder in memory, where there is one with a gigabyte free: thousands of small files are made and removed."""
    shm = Path("/dev/shm")
    return str(shm) if shm.is_dir() and shutil.disk_usage(shm).free > 2**30 else None


def as_nobody(*command: str) -> list[str]:
    """The command as an unprivileged user, ended with its parent: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return ["setpriv", "--pdeathsig", "INT", *command]
    name = next(name for name in ("postgres", "nobody") if name in {user.pw_name for user in pwd.getpwall()})
    user = pwd.getpwnam(name)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--pdeathsig", "INT",
            *command]  # fmt: skip


@pytest.fixture(scope="session")
def cluster() -> Iterator[Callable[[str], str]]:
    """Gives URLs of a server that listens on a socket in a temporary folder alone; ``cluster(schema)``."""
    tools = postgresql_tools()
    if tools is None:
        if os.environ.get("HASHLOOM_REQUIRE_POSTGRES") == "1":
            pytest.fail(MISSING)
        pytest.skip(MISSING)
    home = Path(tempfile.mkdtemp(prefix="hashloom-pg-", dir=in_memory()))
    home.chmod(0o777)
    say = {"cwd": home, "check": True, "capture_output": True}
    init = ["-D", str(home / "data"), "-U", "hashloom", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]
    subprocess.run(as_nobody(str(tools / "initdb"), *init), **say)
    settings = ["-D", str(home / "data"), "-k", str(home), "-c", "listen_addresses=", "-c", "max_connections=60"]
    server = subprocess.Popen(
        as_nobody(str(tools / "postgres"), *settings), cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until_ready(tools, home, server)
        yield lambda schema: f"postgresql+psycopg://hashloom@/postgres?host={home}&options=-csearch_path%3D{schema}"
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        server.wait(60)
        shutil.rmtree(home, ignore_errors=True)


def wait_until_ready(tools: Path, home: Path, server: subprocess.Popen[bytes]) -> None:
    ready = [str(tools / "pg_isready"), "-q", "-h", str(home)]
    until = time.monotonic() + 120
    while subprocess.run(ready, check=False).returncode != 0:
        assert server.poll() is None, "PostgreSQL ended at once"
        assert time.monotonic() < until, "PostgreSQL did not start within 120 s"
        time.sleep(0.05)


def new_schema(cluster: Callable[[str], str]) -> str:
    """The URL of a schema that nothing is in yet."""
    import sqlalchemy as sa

    name = f"t{uuid.uuid4().hex[:12]}"
    engine = sa.create_engine(cluster(name))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {name}")
    engine.dispose()
    return cluster(name)


@pytest.fixture
def server(cluster: Callable[[str], str]) -> Callable[[], str]:
    """Gives the URL of a further empty schema on PostgreSQL."""
    return lambda: new_schema(cluster)
