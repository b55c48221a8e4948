"""How long records gather at the broker: not at all while there is time, some milliseconds when there is little.

A batch costs nearly the same whether it holds one record or ten. So a process that keeps up by a narrow margin spends
its CPU on fetches and batches of one, and slates queue behind them. The busier it is, the longer records gather, and
the cheaper each becomes; one that is idle gets each record as it comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.busyness import Busyness

MOST_MS = 6
"""The longest that records gather."""
FREE, FULL = 0.5, 0.9
"""Share of one CPU up to which nothing is waited for, and from which on it is the longest."""
ENOUGH = 100
"""After a take of so many records nothing is waited for: more are there."""


@dataclass(slots=True)
class Pace:
    """Says how long to gather, from how busy the process was of late.

    Args:
        most_ms: the longest.
        free: share of one CPU up to which nothing is waited for.
        full: the share from which on it is the longest.

    >>> pace = Pace()
    >>> pace.gather_ms(now=0.0, cpu=0.0)
    0
    >>> pace.gather_ms(now=1.0, cpu=0.2)  # a fifth of a CPU
    0
    >>> pace.gather_ms(now=2.0, cpu=1.2), pace.gather_ms(now=3.0, cpu=2.2)  # all of it, of late
    (1, 4)
    >>> pace.took(500)  # behind: there is enough to do
    >>> pace.gather_ms(now=3.0, cpu=2.2)
    0
    """

    most_ms: int = MOST_MS
    free: float = FREE
    full: float = FULL
    busyness: Busyness = field(default_factory=Busyness)
    _records: int = 0

    def took(self, records: int) -> None:
        """So many records were taken."""
        self._records = records

    def gather_ms(self, now: float, cpu: float) -> int:
        """How long to let records gather before the next take, ms.

        Args:
            now: monotonic, s.
            cpu: CPU time of the process so far, s.
        """
        busy = self.busyness.of_late(now, cpu)
        if self._records >= ENOUGH:
            return 0
        return round(self.most_ms * min(1.0, max(0.0, (busy - self.free) / (self.full - self.free))))
