"""What is acted on most, by forward decay over time, at several half-lives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids, Interaction, Query, Scores
from online_models.kernels import gather
from online_models.scratch import best
from online_models.sources.family import Matrix, Places

HOUR, DAY = 3_600_000, 86_400_000
HALF_LIVES: Mapping[str, int] = {
    "popular_hour": HOUR, "popular_day": DAY, "popular_week": 7 * DAY, "popular_year": 365 * DAY
}  # fmt: skip
_EXPONENT = 500.0
_START = 256


class Popularity:
    """Decayed action counts of all items at each half-life, and short lists of the highest.

    A list is made from all items once in ``refresh`` interactions and takes in every item acted on in between, so that
    a request never looks at all items.

    Args:
        half_lives: name of the source -> ms, each at least 1.
        proposed: items each half-life proposes.
        refresh: in interactions.

    >>> popular = Popularity({"popular": 1_000})
    >>> for item, ts in [(1, 0), (1, 0), (2, 3_000)]:
    ...     popular.learn_one(Interaction(user=0, item=item, ts=ts))
    >>> popular.top("popular", 5, now=3_000)[0].tolist()
    [2, 1]
    """

    def __init__(
        self, half_lives: Mapping[str, int] = HALF_LIVES, *, proposed: int = 150, refresh: int = 100
    ) -> None:
        if not half_lives or min(half_lives.values()) < 1 or proposed < 1 or refresh < 1:
            raise ValueError("half_lives, proposed and refresh must be at least 1")
        self.names = tuple(half_lives)
        self.half_lives = np.array(list(half_lives.values()), dtype=np.float64)
        self.proposed, self.refresh = proposed, refresh
        self.sums = np.zeros((_START, len(self.names)))
        self.origin = np.full(len(self.names), -1.0)  # ms; sums are as of here; below 0 before the first
        self.newest = 0  # ms, of all interactions folded in
        self._short = np.zeros(0, dtype=np.int32)
        self._since: dict[int, None] = {}
        self._count = 0
        self._dropped = True  # whether others may have moved up, so that all must be looked at

    def learn_one(self, x: Interaction) -> None:
        """Fold one interaction in."""
        if self.origin[0] < 0:
            self.origin[:] = x.ts
        self.newest = max(self.newest, x.ts)
        exponent = (x.ts - self.origin) / self.half_lives
        if exponent.max() > _EXPONENT:  # a new origin, once in hundreds of half-lives
            self._move(exponent > _EXPONENT, exponent, x.ts)
        self._room(x.item)
        self.sums[x.item] += x.weight * 2.0 ** np.maximum(exponent, -_EXPONENT)
        self._since[x.item] = None
        self._count += 1
        if self._count >= self.refresh:
            self._shorten()

    def _move(self, far: NDArray[np.bool_], exponent: NDArray[np.float64], ts: int) -> None:
        self.sums[:, far] *= 2.0 ** -np.minimum(exponent[far], 1_074.0)
        self.origin[far], exponent[far] = ts, 0.0

    def _shorten(self) -> None:
        """Fading keeps the order of all items, so only those acted on can have joined the highest."""
        size = len(self.sums)
        pool = np.arange(size, dtype=np.int32) if self._dropped else np.unique(self._lately())
        kept = min(self.proposed, len(pool))
        highest = np.argpartition(self.sums[pool], -kept, axis=0)[-kept:]
        top = pool[np.unique(highest)]
        self._short = top[self.sums[top].max(axis=1) > 0]
        self._dropped = False
        self._since.clear()
        self._count = 0

    def _room(self, item: int) -> None:
        size = len(self.sums)
        if item >= size:
            more = max(2 * size, item + 1) - size
            self.sums = np.concatenate([self.sums, np.zeros((more, len(self.names)))])

    def _lately(self) -> Ids:
        """Every item that may be among the highest; some stand twice."""
        return np.concatenate([self._short, np.fromiter(self._since, np.int32, len(self._since))])

    def top(self, name: str, n: int, now: int) -> tuple[Ids, Scores]:
        """The ``n`` highest at one half-life, best first; the scores are counts as of ``now``."""
        k = self.names.index(name)
        ids = np.unique(self._lately())
        if n > self.proposed:
            ids = np.arange(len(self.sums), dtype=np.int32)
        age = max(now, self.newest) - self.origin[k]  # a query may be of before the newest interaction
        return best(ids, self.sums[ids, k] * 2.0 ** max(-1_000.0, -age / self.half_lives[k]), n)

    def touch(self, query: Query) -> PopularityTouch:
        """The highest at each half-life."""
        return PopularityTouch(self, self._lately())

    def score(self, union: Ids, out: Matrix) -> None:
        """Counts relative to the highest of the union, float32[half-lives, len(union)]."""
        gather.relative(self.sums, union, out)

    def drop(self, item: int) -> None:
        """Forget a retired item."""
        if item < len(self.sums):
            self.sums[item] = 0.0
            self._dropped = True

    def arrays(self) -> Arrays:
        """Everything, as arrays."""
        return {
            "sums": self.sums.T.copy(),
            "origin": self.origin.copy(),
            "short": self._short.copy(),
            "since": np.fromiter(self._since, dtype=np.int32, count=len(self._since)),
            "clock": np.array([self.newest, self._count], dtype=np.int64),
        }

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        self.sums, self.origin = arrays["sums"].T.copy(), arrays["origin"].copy()
        self._short = arrays["short"].copy()
        self._since = dict.fromkeys(arrays["since"].tolist())
        self.newest, self._count = (int(v) for v in arrays["clock"])
        self._dropped = True


@dataclass(frozen=True, slots=True)
class PopularityTouch:
    """The highest items."""

    family: Popularity
    ids: Ids

    def score(self, at: Places, union: Ids, out: Matrix) -> None:
        """See :class:`online_models.sources.family.Touch`."""
        self.family.score(union, out)
