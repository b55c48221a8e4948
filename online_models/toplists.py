"""A sparse matrix of item-to-item weights that keeps only the best N of each row, for ever bounded.

Rows are fixed arrays, so that the twenty updates of an event and the twenty reads of a request are a few numpy calls,
not loops. An entry that does not fit replaces the row's weakest (its weight is then forgotten): the loss of Recall by
pruning is measured, not hoped for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids

FREE = -1


class TopLists:
    """Rows of at most ``width`` neighbours with additive weights.

    Args:
        width: neighbours kept per item, at least 1.

    >>> lists = TopLists(width=2)
    >>> lists.add(np.array([0, 0, 0]), np.array([5, 6, 7]), np.array([1.0, 3.0, 2.0]))
    >>> sorted(lists.row(0).items())
    [(6, 3.0), (7, 2.0)]
    """

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ValueError(f"width must be at least 1, not {width}")
        self.width = width
        self.ids = np.full((256, width), FREE, dtype=np.int32)
        self.weights = np.zeros((256, width), dtype=np.float64)

    def __len__(self) -> int:
        return len(self.ids)

    def room(self, item: int) -> None:
        """Make sure there is a row for ``item``."""
        size = len(self.ids)
        if item < size:
            return
        more = max(2 * size, item + 1) - size
        self.ids = np.concatenate([self.ids, np.full((more, self.width), FREE, dtype=np.int32)])
        self.weights = np.concatenate([self.weights, np.zeros((more, self.width))])

    def add(self, rows: NDArray[np.int_], columns: NDArray[np.int_], weights: NDArray[np.float64]) -> None:
        """Add a weight to each (row, column); pairs must be distinct.

        Pairs of distinct rows go in one step; several of the same row one after another, in the order given.
        """
        if not len(rows):
            return
        self.room(int(rows.max()))
        held = self.ids[rows] == columns[:, None]
        found = held.any(axis=1)
        if found.any():
            self.weights[rows[found], held[found].argmax(axis=1)] += weights[found]
        new = np.flatnonzero(~found)
        if not len(new):
            return
        fresh_rows = rows[new]
        if len(np.unique(fresh_rows)) == len(new):
            self._place(fresh_rows, columns[new], weights[new])
        else:
            for k in new.tolist():
                self._place(rows[k : k + 1], columns[k : k + 1], weights[k : k + 1])

    def _place(self, rows: NDArray[np.int_], columns: NDArray[np.int_], weights: NDArray[np.float64]) -> None:
        weakest = self.weights[rows].argmin(axis=1)
        better = weights >= self.weights[rows, weakest]
        rows, columns, weights, weakest = rows[better], columns[better], weights[better], weakest[better]
        self.ids[rows, weakest] = columns
        self.weights[rows, weakest] = weights

    def row(self, item: int) -> dict[int, float]:
        """The neighbours of an item; empty for one unknown."""
        if not 0 <= item < len(self.ids):
            return {}
        held = self.ids[item] != FREE
        return dict(zip(self.ids[item][held].tolist(), self.weights[item][held].tolist(), strict=True))

    def rows(self, items: Ids) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Neighbours and weights of several known items, [n, width] each; free places hold -1 and 0."""
        return self.ids[items], self.weights[items]

    def scale(self, factor: float) -> None:
        """Multiply every weight (forward decay starts a new landmark)."""
        self.weights *= factor

    def drop(self, item: int) -> None:
        """Forget an item's row; where it stands in others it fades."""
        if item < len(self.ids):
            self.ids[item] = FREE
            self.weights[item] = 0.0

    def arrays(self) -> Arrays:
        """Everything, as arrays."""
        return {"ids": self.ids.copy(), "weights": self.weights.copy()}

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""
        self.ids, self.weights = arrays["ids"].copy(), arrays["weights"].copy()
        self.width = self.ids.shape[1]
