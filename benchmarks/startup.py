"""How long ``hashloom --help`` takes, cold interpreter to prompt: the first thing a person waits for (at most .4 s)."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

LIMIT = 0.4
TIMES = 15


def seconds(*command: str) -> float:
    """Median wall time of a command over some runs, after one that warms the file cache."""
    taken = []
    for _ in range(TIMES + 1):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def main() -> int:
    """Print a small table; fails where the limit is missed."""
    bare = seconds(sys.executable, "-c", "pass")
    shown = seconds(str(Path(sys.executable).with_name("hashloom")), "--help")
    imported = seconds(sys.executable, "-c", "import hashloom")
    print("| what | median of 15, s |\n|---|--:|")
    rows = {"python -c pass": bare, "import hashloom": imported, "hashloom --help": shown}
    print("\n".join(f"| {name} | {value:.3f} |" for name, value in rows.items()))
    print(f"\nlimit of hashloom --help: {LIMIT} s, {'kept' if shown <= LIMIT else f'missed by {shown - LIMIT:.3f} s'}")
    return int(shown > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
