"""The wall clock of a process, which a step of the machine's clock does not mislead."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

log = logging.getLogger(__name__)

STEP_MS = 1_000
"""A wall clock that goes on by so much more or less than the monotonic one has been set, not slewed."""


def wall_ms() -> int:
    """The machine's wall clock, ms."""
    return time.time_ns() // 1_000_000


class Clock:
    """Time in ms, by the wall clock as long as it goes on evenly.

    When it steps (an operator, a virtual machine that was paused, a time server gone mad) there are two times: the
    wall's, and the one carried on by the monotonic clock. The nearer to the log's is believed: the broker stamps each
    record, so the newest stamp heard, carried on, is a time this machine has not set. A process that has heard none
    follows its wall clock.

    >>> wall, passed = [10_000], [0.0]
    >>> clock = Clock(wall=lambda: wall[0], monotonic=lambda: passed[0])
    >>> clock.heard(9_990)
    >>> wall[0], passed[0] = 3_610_500, 0.5
    >>> clock.now_ms(), clock.stats["clock_steps"]
    (10500, 1)
    """

    def __init__(
        self, *, wall: Callable[[], int] = wall_ms, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.stats: Counter[str] = Counter()
        self._wall, self._monotonic = wall, monotonic
        self._ahead = wall() - 1_000 * monotonic()  # of the monotonic clock, ms
        self._log_ahead: float | None = None  # the same of the broker's clock, at least
        self._apart = False

    def heard(self, appended: int) -> None:
        """The log holds a record of that time, as stamped by its broker, ms."""
        ahead = appended - 1_000 * self._monotonic()
        if self._log_ahead is None or ahead > self._log_ahead:
            self._log_ahead = ahead

    def now_ms(self) -> int:
        """The time now, ms."""
        monotonic = 1_000 * self._monotonic()
        ahead = self._wall() - monotonic
        if abs(ahead - self._ahead) <= STEP_MS:
            self._ahead, self._apart = ahead, False
        else:
            self._step(ahead)
        return int(self._ahead + monotonic)

    def _step(self, ahead: float) -> None:
        by_s = (ahead - self._ahead) / 1_000
        follows = self._log_ahead is None or abs(ahead - self._log_ahead) < abs(self._ahead - self._log_ahead)
        if not self._apart:
            self.stats["clock_steps"] += 1
            verdict = "followed" if follows else "not followed: the log's time says otherwise"
            log.error("the machine's clock has stepped by %.1f s; %s", by_s, verdict)
        self._apart = not follows
        if follows:
            self._ahead = ahead
