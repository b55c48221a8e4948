"""How fast an error budget burns, from counters that only grow.

An objective of 99.9 % leaves a budget of 0.1 % errors. The *burn rate* is the share of errors over that budget: at 1
the budget is used up just when its period ends, at 2 in half the time (Google's SRE workbook, chapter 5). It is read
over two windows at once: the long one says that it matters, the short one that it still goes on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

PAIRS = ((3_600.0, 300.0), (21_600.0, 1_800.0))
"""Long and short windows, s: those of the alerts that page."""
STEP_S = 5.0
"""Counts are kept so far apart."""
TOO_FAST = 2.0
LEAST_BAD = 5
"""Errors in the long window below which nothing is concluded: of few requests one error is a large share."""


@dataclass(frozen=True, slots=True)
class Burning:
    """A budget that burns too fast: the pair of windows, s, and the rates in them."""

    slo: str
    long_s: float
    short_s: float
    long_rate: float
    short_rate: float


class ErrorBudget:
    """One objective of one process.

    Args:
        slo: its name.
        budget: share of errors that is allowed, in (0, 1).

    >>> budget = ErrorBudget("availability", 0.001)
    >>> budget.observe(0.0, bad=0, total=0)
    >>> budget.observe(60.0, bad=10, total=1_000)
    >>> round(budget.rate(300.0), 6), budget.burning().slo
    (10.0, 'availability')
    """

    def __init__(self, slo: str, budget: float) -> None:
        if not 0.0 < budget < 1.0:
            raise ValueError(f"budget must be in (0, 1), not {budget}")
        self.slo, self.budget = slo, budget
        self._kept: deque[tuple[float, float, float]] = deque()
        self._now = (0.0, 0.0, 0.0)

    def observe(self, now_s: float, bad: float, total: float) -> None:
        """Counts since the process began, at a moment of a clock that only goes on."""
        self._now = (now_s, bad, total)
        if not self._kept or now_s - self._kept[-1][0] >= STEP_S:
            self._kept.append(self._now)
        longest = max(long for long, _ in PAIRS)
        while len(self._kept) > 1 and self._kept[1][0] <= now_s - longest:
            self._kept.popleft()

    def rate(self, window_s: float) -> float:
        """The burn rate over the last seconds, or since the process began; 0 without requests."""
        bad, total = self._since(window_s)
        return bad / total / self.budget if total > 0.0 else 0.0

    def burning(self, limit: float = TOO_FAST) -> Burning | None:
        """The first pair of windows in which the budget burns faster than the limit; None when in none."""
        for long_s, short_s in PAIRS:
            rates = self.rate(long_s), self.rate(short_s)
            if min(rates) > limit and self._since(long_s)[0] >= LEAST_BAD:
                return Burning(self.slo, long_s, short_s, *rates)
        return None

    def _since(self, window_s: float) -> tuple[float, float]:
        now_s, bad, total = self._now
        before = (0.0, 0.0)
        for at, bad_then, total_then in reversed(self._kept):
            before = (bad_then, total_then)
            if at <= now_s - window_s:
                break
        return bad - before[0], total - before[1]
