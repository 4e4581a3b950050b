"""A process that writes into a store and says what is acknowledged; the tests end it at random moments.

It reads lines ``WHERE<tab>FOLDER<tab>ROUND`` and forks a writer for each, whose process id it prints; a fork starts in
milliseconds where a new Python needs a second.
"""

from __future__ import annotations

import os
import sys

import alembic.config
import alembic.runtime.environment  # noqa: F401  (so that the forks need not)

from hashloom.store import Feedback, Store
from hashloom.types import Post, Posts


def write(where: str, folder: str, turn: str) -> None:
    store = Store.open(where, folder=folder)
    number = 0
    while True:
        number += 1
        name = f"{turn}-{number}"
        if number % 4 == 3:
            store.put_feedback([Feedback(name, "c", f"{turn}-{number - 1}", "rye", "accepted") for _ in range(2)])
            said = f"feedback {name}"
        elif number % 4 == 0:
            os.write(1, f"deleting {turn}-{number - 3}\n".encode())
            store.delete_posts("c", [f"{turn}-{number - 3}"])
            said = f"deleted {turn}-{number - 3}"
        else:
            store.put_posts(Posts.of([Post(name, "x" * 500, "c", f"u{number % 5}"), Post(f"{name}+", "twin", "c")]))
            said = f"post {name}"
        os.write(1, f"{said}\n".encode())


def main() -> None:
    for line in sys.stdin:
        where, folder, turn = line.rstrip("\n").split("\t")
        child = os.fork()
        if not child:
            try:
                write(where, folder, turn)
            finally:
                os._exit(3)
        os.write(1, f"pid {child}\n".encode())
        _, status = os.waitpid(child, 0)
        os.write(1, f"end {status}\n".encode())


if __name__ == "__main__":
    main()
