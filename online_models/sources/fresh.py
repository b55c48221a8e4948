"""What has just arrived: so that a new item is seen at all before anybody has acted on it."""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass

import numpy as np

from online_models.base import Arrays, Ids, Interaction, Query
from online_models.kernels import gather
from online_models.sources.family import Matrix, Places


class Fresh:
    """The newest items, by when they entered the catalogue or were first acted on.

    Args:
        kept: newest items remembered, at least 1.
        proposed: of these, how many are proposed to a request.

    >>> fresh = Fresh(kept=2)
    >>> for item, ts in [(1, 10), (2, 30), (3, 20)]:
    ...     fresh.note(item, ts)
    >>> fresh.newest(5).tolist()
    [2, 3]
    """

    names = ("fresh",)

    def __init__(self, *, kept: int = 1_000, proposed: int = 20) -> None:
        if kept < 1 or proposed < 1:
            raise ValueError("kept and proposed must be at least 1")
        self.kept, self.proposed = kept, proposed
        self._since: dict[int, int] = {}  # item -> ms, in order of noting
        self._order: list[tuple[int, int]] = []  # (ms, -item), the newest last, of equals the lowest id
        self._touch: FreshTouch | None = None  # as of the last change

    def note(self, item: int, ts: int) -> None:
        """An item is there since ``ts``; the first word on it stands."""
        if item in self._since:
            return
        self._since[item], self._touch = ts, None
        insort(self._order, (ts, -item))
        if len(self._order) > self.kept:
            oldest = self._order[0][0]
            _, gone = self._order.pop(bisect_left(self._order, (oldest + 1,)) - 1)  # of equals the lowest id
            del self._since[-gone]

    def newest(self, n: int) -> Ids:
        """The ``n`` newest items, the newest first."""
        return np.array([-item for _, item in self._order[: -n - 1 : -1]], dtype=np.int32)

    def learn_one(self, x: Interaction) -> None:
        """Nothing: the model notes items."""

    def touch(self, query: Query) -> FreshTouch:
        """The newest items."""
        if self._touch is None:
            ids = self.newest(self.proposed)
            self._touch = FreshTouch(ids, (1.0 / np.arange(1.0, len(ids) + 1.0))[None].astype(np.float32))
        return self._touch

    def drop(self, item: int) -> None:
        """Forget a retired item."""
        since = self._since.pop(item, None)
        if since is not None:
            del self._order[bisect_left(self._order, (since, -item))]
            self._touch = None

    def arrays(self) -> Arrays:
        """Everything, as arrays."""
        return {
            "items": np.fromiter(self._since, dtype=np.int32, count=len(self._since)),
            "since": np.fromiter(self._since.values(), dtype=np.int64, count=len(self._since)),
        }

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        self._since = dict(zip(arrays["items"].tolist(), arrays["since"].tolist(), strict=True))
        self._order = sorted((ts, -item) for item, ts in self._since.items())
        self._touch = None


@dataclass(frozen=True, slots=True)
class FreshTouch:
    """The newest items, the newest first."""

    ids: Ids
    said: Matrix  # float32[1, n]

    def score(self, at: Places, union: Ids, out: Matrix) -> None:
        """See :class:`online_models.sources.family.Touch`."""
        gather.put(at, self.said, out)
