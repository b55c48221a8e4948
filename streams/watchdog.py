"""Ends a process whose event loop has stalled, so that its supervisor starts it anew.

The consumer heartbeats from its own tasks, and a Faust consumer is known to die silently (faust-streaming #175): a
worker that looks alive and does nothing is worse than one that ends.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable

log = logging.getLogger(__name__)

EXIT_CODE = 70


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
