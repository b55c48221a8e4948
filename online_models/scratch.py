"""Small numpy steps that several parts share: uniting items, and the best of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids, Scores
from online_models.kernels import unite as kernel
from online_models.kernels.best import best as kernels_best
from online_models.kernels.sifting import kept

_NO_IDS = np.zeros(0, dtype=np.int32)
_ALL = np.zeros(0, dtype=np.bool_)


class Uniter:
    """The union of lists of items and their places in it, without sorting.

    Working memory of a little over four bytes an item; it holds nothing between calls.

    >>> union, places = Uniter().unite([np.array([4, 2, -1]), np.array([7, 4])], exclude=np.array([7]))
    >>> union.tolist(), [at.tolist() for at in places]
    ([2, 4], [[1, 0, 2], [2, 1]])
    """

    def __init__(self) -> None:
        self._marked, self._place = np.zeros(16, dtype=np.uint64), np.zeros(1_024, dtype=np.int32)

    def unite(
        self, lists: Sequence[Ids], exclude: Ids = _NO_IDS, allowed: NDArray[np.bool_] = _ALL
    ) -> tuple[Ids, list[NDArray[np.intp]]]:
        """Distinct items ascending, and for each list the place of each of its items in them.

        Args:
            lists: item ids; -1 stands for none.
            exclude: item ids to leave out; may hold ids that are in no list.
            allowed: by item id; items beyond its end are allowed.

        Returns:
            The union, and places; ``len(union)`` is the place of what was left out.
        """
        flat = np.concatenate([_NO_IDS, *lists]).astype(np.int32, copy=False)
        without, free = exclude.astype(np.int32, copy=False), allowed.view(np.uint8)
        united = kernel.unite(flat, without, free, self._marked, self._place)
        if united is None:
            self._room(int(flat.max()))
            return self.unite(lists, exclude, allowed)
        union, places = united
        out, at = [], 0
        for ids in lists:
            out.append(places[at : at + len(ids)])
            at += len(ids)
        return union, out

    def _room(self, largest: int) -> None:
        if largest >= len(self._place):
            words = largest // 32 + 1  # twice as many as needed
            self._marked, self._place = np.zeros(words, dtype=np.uint64), np.zeros(64 * words, dtype=np.int32)


def located(ids: Ids, wanted: NDArray[np.integer]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Places of those wanted that are among ``ids``, and which they are, bool[len(wanted)].

    Args:
        ids: ascending, each once.

    >>> places, found = located(np.array([2, 5, 9], dtype=np.int32), np.array([9, 4]))
    >>> places.tolist(), found.tolist()
    ([2], [True, False])
    """
    if not len(ids):
        return np.zeros(0, dtype=np.intp), np.zeros(len(wanted), dtype=np.bool_)
    at = np.minimum(ids.searchsorted(wanted), len(ids) - 1)
    found: NDArray[np.bool_] = ids[at] == wanted
    return at[found], found


def best(ids: Ids, scores: NDArray[np.float32] | NDArray[np.float64], n: int) -> tuple[Ids, Scores]:
    """The ``n`` best, best first, ties by the lower id; scores that are not finite or not above 0 are left out.

    >>> best(np.array([9, 3, 5]), np.array([1.0, 1.0, 0.0]), 5)[0].tolist()
    [3, 9]
    """
    return kernels_best(ids.astype(np.int32, copy=False), scores, n)


def highest(values: NDArray[np.float32], n: int) -> NDArray[np.intp]:
    """Places of the ``n`` highest values, ascending; among equals the first.

    >>> highest(np.array([1.0, 3.0, 1.0, 2.0], dtype=np.float32), 3).tolist()
    [0, 1, 3]
    """
    at = len(values) - n
    if at <= 0:
        return np.arange(len(values))
    cut = values.copy()
    cut.partition(at)
    return kept(values, cut[at], n)
