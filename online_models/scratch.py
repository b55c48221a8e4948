"""Adding up scores by item in time proportional to what is added, not to how many items there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids, Scores

_NO_IDS = np.zeros(0, dtype=np.int32)
_NO_SCORES = np.zeros(0, dtype=np.float32)


class Scratch:
    """Dense working memory that is never cleared as a whole.

    >>> ids, sums = Scratch().sum(np.array([4, 2, 4], dtype=np.int32), np.array([1.0, 2.0, 3.0]))
    >>> dict(zip(ids.tolist(), sums.tolist()))
    {4: 4.0, 2: 2.0}
    """

    def __init__(self) -> None:
        self._sums = np.zeros(1_024)
        self._mark = np.zeros(1_024, dtype=np.int64)

    def sum(self, ids: Ids, values: NDArray[np.float64]) -> tuple[Ids, NDArray[np.float64]]:
        """Each distinct id (at least 0) once, in order of first appearance, with the sum of its values."""
        if not len(ids):
            return _NO_IDS, np.zeros(0)
        self._room(int(ids.max()))
        self._sums[ids] = 0.0
        np.add.at(self._sums, ids, values)
        order = np.arange(len(ids))
        self._mark[ids[::-1]] = order[::-1]  # the last write wins: the first appearance
        first = ids[self._mark[ids] == order]
        return first, self._sums[first]

    def _room(self, largest: int) -> None:
        if largest >= len(self._sums):
            size = max(2 * len(self._sums), largest + 1)
            self._sums, self._mark = np.zeros(size), np.zeros(size, dtype=np.int64)


def best(ids: Ids, scores: NDArray[np.floating], n: int) -> tuple[Ids, Scores]:
    """The ``n`` best, best first, ties by the lower id; scores that are not finite or not above 0 are left out.

    >>> best(np.array([9, 3, 5]), np.array([1.0, 1.0, 0.0]), 5)[0].tolist()
    [3, 9]
    """
    keep = np.isfinite(scores) & (scores > 0)
    ids, scores = ids[keep], scores[keep]
    if not len(ids):
        return _NO_IDS, _NO_SCORES
    if len(ids) > 4 * n:
        cut = np.partition(scores, len(scores) - n)[len(scores) - n]
        keep = scores >= cut
        ids, scores = ids[keep], scores[keep]
    order = np.lexsort((ids, -scores))[:n]
    return ids[order].astype(np.int32), scores[order].astype(np.float32)
