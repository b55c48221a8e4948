"""What is acted on most, by forward decay over time, at a half-life of one's own choice."""

from __future__ import annotations

import numpy as np

from online_models.base import Arrays, Ids, Interaction, Query, Scores
from online_models.scratch import best

_EXPONENT = 500.0


class Popularity:
    """Decayed action counts of all items, and a short list of the highest.

    The list is refreshed from all items once in ``refresh`` interactions and holds every item acted on in between, so
    that a request never looks at all items.

    Args:
        half_life_ms: at least 1.
        width: length of the list, at least 1.

    >>> popular = Popularity("popular", half_life_ms=1_000)
    >>> for item, ts in [(1, 0), (1, 0), (2, 3_000)]:
    ...     popular.learn_one(Interaction(user=0, item=item, ts=ts))
    >>> popular.retrieve(Query(0, (), (), now=3_000), 5)[0].tolist()
    [2, 1]
    """

    def __init__(self, name: str, half_life_ms: int, *, width: int = 500, refresh: int = 2_000) -> None:
        if half_life_ms < 1 or width < 1 or refresh < 1:
            raise ValueError("half_life_ms, width and refresh must be at least 1")
        self.name, self.half_life_ms, self.width, self.refresh = name, half_life_ms, width, refresh
        self.sums = np.zeros(256)
        self.origin = -1  # ms; sums are as of here; below 0 before the first
        self.newest = 0  # ms, of all interactions folded in
        self._short: dict[int, None] = {}
        self._since = 0

    def learn_one(self, x: Interaction) -> None:
        """Fold one interaction in."""
        if self.origin < 0:
            self.origin = x.ts
        self.newest = max(self.newest, x.ts)
        exponent = (x.ts - self.origin) / self.half_life_ms
        if exponent > _EXPONENT:  # a new origin, once in hundreds of half-lives
            self.sums *= 2.0**-exponent
            self.origin, exponent = x.ts, 0.0
        self._room(x.item)
        self.sums[x.item] += x.weight * 2.0 ** max(exponent, -_EXPONENT)
        self._short[x.item] = None
        self._since += 1
        if self._since >= self.refresh:
            self._shorten()

    def _shorten(self) -> None:
        ids, _ = best(np.arange(len(self.sums), dtype=np.int32), self.sums / self.sums.max(), self.width)
        self._short = dict.fromkeys(ids.tolist())
        self._since = 0

    def _room(self, item: int) -> None:
        if item >= len(self.sums):
            more = max(2 * len(self.sums), item + 1) - len(self.sums)
            self.sums = np.concatenate([self.sums, np.zeros(more)])

    def retrieve(self, query: Query, n: int) -> tuple[Ids, Scores]:
        """At most ``n`` items, best first; the scores are counts as of the query."""
        ids = np.fromiter(self._short, dtype=np.int32, count=len(self._short))
        since = max(query.now, self.newest) - self.origin  # a query may be of before the newest interaction
        fade = 2.0 ** max(-1_000.0, -since / self.half_life_ms)
        return best(ids, self.sums[ids] * fade, n)

    def drop(self, item: int) -> None:
        """Forget a retired item."""
        if item < len(self.sums):
            self.sums[item] = 0.0
        self._short.pop(item, None)

    def arrays(self) -> Arrays:
        """Everything, as arrays."""
        short = np.array(list(self._short), dtype=np.int32)
        return {
            "sums": self.sums.copy(),
            "short": short,
            "clock": np.array([self.origin, self._since, self.newest], dtype=np.int64),
        }

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        self.sums = arrays["sums"].copy()
        self._short = dict.fromkeys(arrays["short"].tolist())
        self.origin, self._since, self.newest = (int(v) for v in arrays["clock"])
