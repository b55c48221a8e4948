"""Ends a process that has stalled, so that its supervisor starts it anew: its loop stands, or nothing is folded.

The consumer heartbeats from its own tasks, and a Faust consumer is known to die silently (faust-streaming #175): a
worker that looks alive and does nothing is worse than one that ends.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping

log = logging.getLogger(__name__)

EXIT_CODE = 70


class Progress:
    """Whether a worker gets on with what it owns.

    >>> progress = Progress()
    >>> progress.made({0: 5}, {0}), progress.made({0: 5}, {0}), progress.made({0: 6}, {0})
    (True, False, True)
    >>> progress.made({0: 6}, None), progress.made({0: 6}, set())
    (True, True)
    """

    def __init__(self) -> None:
        self._before: dict[int, int] = {}

    def made(self, positions: Mapping[int, int], waiting: Collection[int] | None) -> bool:
        """Whether something was folded since last asked, or nothing waits.

        Args:
            positions: how far each partition owned is folded in.
            waiting: partitions of which something is to be folded; None while that cannot be known.
        """
        before, self._before = self._before, dict(positions)
        return not waiting or before != self._before


class Watchdog:
    """Ends the process when :meth:`beat` was not called for ``patience_s``.

    Args:
        patience_s: how long a silence may last, above 0.
        end: called instead of ending the process (tests).
    """

    def __init__(self, patience_s: float, end: Callable[[int], None] = os._exit) -> None:
        if patience_s <= 0:
            raise ValueError(f"patience_s must be above 0, not {patience_s}")
        self.patience_s = patience_s
        self._end = end
        self._last = time.monotonic()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="freshet-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch, from a thread of its own: a stalled loop could not watch itself."""
        self.beat()
        self._thread.start()

    def beat(self) -> None:
        """There is progress."""
        self._last = time.monotonic()

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()

    def _watch(self) -> None:
        slept = time.monotonic()
        while not self._stopped.wait(min(1.0, self.patience_s / 4)):
            now = time.monotonic()
            if now - slept > self.patience_s / 2:
                self.beat()  # the whole process was stopped (SIGSTOP, a sleeping laptop): that is no stall
            slept = now
            if now - self._last > self.patience_s:
                log.critical("no progress for %.0f s: ending, to be started anew", now - self._last)
                self._end(EXIT_CODE)
                return
