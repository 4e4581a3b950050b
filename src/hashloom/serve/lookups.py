"""Short questions to the store that an answer can do without: asked with a deadline, so that no store holds up a draft.

A database that is away says so at once; one that is silent (stopped, or behind a broken network) says nothing for
minutes, and whoever asks it waits as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from hashloom.serve.running import NoAnswer, Running

if TYPE_CHECKING:
    from hashloom.store import Store

T = TypeVar("T")
SECONDS = 0.5
"""In which the store must have answered."""
PAUSE = 3.0
"""So many seconds after it was silent nobody asks it, so that not every draft waits."""
LINES = 4
"""So many questions are asked at a time."""


class Lookups:
    """The store, asked by threads of its own that may get stuck without anybody waiting for them.

    >>> from hashloom.store import Store
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
    ...     lookups = Lookups(store)
    ...     lookups.ask(lambda store: store.count(), most=60.0), lookups.close()
    (0, None)
    """

    def __init__(self, store: Store) -> None:
        self._lines = [Running("store", store, kind="lookup") for _ in range(LINES)]
        self._quiet_until = 0.0

    def ask(self, work: Callable[[Store], T], budget: float = math.inf, *, most: float | None = None) -> T:
        """What ``work`` finds in the store. Raises ``NoAnswer`` where the store fails or is silent, or was just now.

        It is waited for ``budget`` seconds, and for ``most`` (``SECONDS``) in any case.
        """
        if monotonic() < self._quiet_until:
            raise NoAnswer("the store was silent a moment ago", "stuck")
        line = next((one for one in self._lines if one.idle()), self._lines[0])
        try:
            return line.ask(work, min(SECONDS if most is None else most, budget))
        except NoAnswer as error:
            if error.kind in ("slow", "stuck"):
                self._quiet_until = monotonic() + PAUSE
            raise

    def close(self) -> None:
        """End the threads when what they wait for is there."""
        for line in self._lines:
            line.close()
