"""What the models miss when a worker dies: it learnt from commits of which nobody was told.

Counters and users lose nothing, since a commit holds them. What was learnt after it is told to the others within a mix
interval, with the commits it covers; so whoever takes a partition over sees by its number of commits how many were not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""How long a worker that lets a partition go in good order may take to tell the rest."""


class ModelTail:
    """Counts commits that no worker told the learning of; at most so many are missing from the models.

    Args:
        told: by partition, the last commit whose learning was told; a partition nobody told of is passed over.
        clock: monotonic, s.

    >>> told, now = {3: 40}, [0.0]
    >>> tail = ModelTail(told, lambda: now[0])
    >>> tail.adopted(3, seq=42)
    >>> tail.lost()
    0
    >>> now[0] = 6.0
    >>> tail.lost(), tail.lost()
    (2, 0)
    """

    def __init__(self, told: Mapping[int, int], clock: Callable[[], float]) -> None:
        self._told, self._clock = told, clock
        self._adopted: dict[int, tuple[int, float]] = {}  # partition -> commits so far, when to look

    def adopted(self, partition: int, seq: int) -> None:
        """A partition was taken over after so many commits."""
        self._adopted[partition] = (seq, self._clock() + PATIENCE_S)

    def lost(self) -> int:
        """Commits found untold since last asked."""
        now, lost = self._clock(), 0
        for partition in [p for p, (_, at) in self._adopted.items() if at <= now]:
            seq, _ = self._adopted.pop(partition)
            untold = max(0, seq - self._told.get(partition, seq))
            if untold:
                log.warning("partition %d: the models miss what %d commits taught", partition, untold)
            lost += untold
        return lost
