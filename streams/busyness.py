"""How busy a process has been of late, as a share of one CPU."""

from __future__ import annotations

from dataclasses import dataclass

SPAN_S = 0.1
"""Time after which another reading counts, for half of what is told."""


@dataclass(slots=True)
class Busyness:
    """A fading mean of the CPU time used.

    >>> busy = Busyness()
    >>> busy.of_late(now=0.0, cpu=0.0), busy.of_late(now=1.0, cpu=0.5), busy.of_late(now=2.0, cpu=1.0)
    (0.0, 0.25, 0.375)
    """

    share: float = 0.0
    _since: float | None = None
    _cpu: float = 0.0

    def of_late(self, now: float, cpu: float) -> float:
        """The share now.

        Args:
            now: monotonic, s.
            cpu: CPU time of the process so far, s.
        """
        if self._since is None:
            self._since, self._cpu = now, cpu
        span = now - self._since
        if span >= SPAN_S:
            self.share += 0.5 * ((cpu - self._cpu) / span - self.share)
            self._since, self._cpu = now, cpu
        return self.share
