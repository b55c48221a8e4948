"""What each item was shown and clicked, hour by hour: for the console, in memory, since this process began.

An hour keeps only the items that were shown or clicked in it, twelve bytes each.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from online_models.counters import ItemCounters

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour: items in ascending order, int32, and how often each was shown and clicked, int32."""

    begin: int  # ms since the epoch
    items: NDArray[np.int32]
    shown: NDArray[np.int32]
    clicked: NDArray[np.int32]


class ItemHistory:
    """The last hours of every item.

    Args:
        hours: kept, at least 1.
        most: rows of all hours together; the oldest hours go first, at least 1.

    >>> counters = ItemCounters(86_400_000)
    >>> history = ItemHistory(counters)
    >>> history.tick(0)
    >>> counters.add_count("impression", 7, 10); counters.add_count("click", 7, 2)
    >>> history.tick(HOUR_MS)
    >>> history.of(7, now=HOUR_MS)
    [{'ts': 0, 'shown': 10, 'clicked': 2}, {'ts': 3600000, 'shown': 0, 'clicked': 0}]
    """

    def __init__(self, counters: ItemCounters, *, hours: int = 24, most: int = 2_000_000) -> None:
        if hours < 1 or most < 1:
            raise ValueError("hours and most must be at least 1")
        self._counters, self.hours, self.most = counters, hours, most
        self._past: deque[Hour] = deque()
        self._begin: int | None = None
        self._before = self._totals()

    def __len__(self) -> int:
        return sum(len(hour.items) for hour in self._past)

    def tick(self, now: int) -> None:
        """Time goes on, ms since the epoch: an hour that is over is put away."""
        hour = now // HOUR_MS * HOUR_MS
        if self._begin is None:
            self._begin, self._before = hour, self._totals()
        elif hour > self._begin:
            self._past.append(self._since(self._begin))
            self._begin, self._before = hour, self._totals()
            while self._past and (self._past[0].begin < hour - self.hours * HOUR_MS or len(self) > self.most):
                self._past.popleft()

    def of(self, item: int, now: int) -> list[dict[str, Any]]:
        """An item's hours, the oldest first, the one under way last."""
        self.tick(now)
        under_way = self._since(now // HOUR_MS * HOUR_MS)
        return [_row(hour, item) for hour in (*self._past, under_way)]

    def _since(self, begin: int) -> Hour:
        now = self._totals()
        grown = now.copy()
        grown[:, : self._before.shape[1]] -= self._before
        items = np.flatnonzero((grown > 0).any(axis=0)).astype(np.int32)
        shown, clicked = np.maximum(grown[:, items], 0).astype(np.int32)
        return Hour(begin, items, shown, clicked)

    def _totals(self) -> NDArray[np.int64]:
        """Impressions and clicks of all items so far, int64[2, items]."""
        held = [
            self._counters.counts.get(action, np.zeros(0, np.int64)) for action in ("impression", "click")
        ]
        out = np.zeros((2, max(len(row) for row in held)), dtype=np.int64)
        for k, row in enumerate(held):
            out[k, : len(row)] = row
        return out


def _row(hour: Hour, item: int) -> dict[str, Any]:
    at = int(np.searchsorted(hour.items, item))
    is_there = at < len(hour.items) and int(hour.items[at]) == item
    shown, clicked = (int(hour.shown[at]), int(hour.clicked[at])) if is_there else (0, 0)
    return {"ts": hour.begin, "shown": shown, "clicked": clicked}
