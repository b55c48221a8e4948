"""A sparse matrix of item-to-item weights that keeps only the best N of each row, for ever bounded.

A pair has several weights (channels), each fading at a half-life of its own, counted in interactions so that a busy
and a quiet deployment forget alike. Forward decay makes that a growing increment: nothing is swept, save once in sixty
half-lives. Rows are fixed arrays, so that the many updates of an event are a few numpy calls, not loops.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays
from online_models.kernels import covisits as kernel
from online_models.tables import sparse

_START = 256
_RESCALE = 2.0**60
_NOTHING = np.float32(1e-30)  # below it a weight is no weight, and slow to compute with

Places = NDArray[np.intp]
Weights = NDArray[np.float32]


class TopLists:
    """Rows of at most ``width`` neighbours with additive, fading weights.

    A new neighbour that does not fit replaces the row's weakest, whose weight is then forgotten: what pruning costs in
    Recall is measured (docs/quality.md), not hoped for.

    Args:
        width: neighbours kept per item, at least 1.
        half_lives: of each channel, in interactions, above 0.

    >>> lists = TopLists(width=2, half_lives=[100.0])
    >>> for item, weight in [(5, 1.0), (6, 3.0), (7, 2.0)]:
    ...     lists.link(0, np.array([item]), np.float32([[0.0]]), np.float32([[weight]]))
    >>> sorted(lists.row(0))
    [6, 7]
    """

    def __init__(self, width: int, half_lives: Sequence[float]) -> None:
        if width < 1 or not half_lives or min(half_lives) <= 0:
            raise ValueError("width must be at least 1, half_lives at least one, each above 0")
        self.width, self.channels = width, len(half_lives)
        self.growth = 2.0 ** (1.0 / np.array(half_lives, dtype=np.float64))
        self._quickest = int(self.growth.argmax())
        self.unit = np.ones(self.channels)  # what one pair weighs now
        self._ids = np.zeros((_START, width), dtype=np.int32)  # id + 1; 0 is free
        self.weights = np.zeros((_START, width, self.channels), dtype=np.float32)  # a pair's side by side
        self.visits = np.zeros((_START, self.channels))  # fading counts of the items themselves
        self.used = np.zeros(_START, dtype=np.int32)  # places of each row that hold a neighbour

    def __len__(self) -> int:
        return len(self.used)

    def visit(self, item: int, weight: float = 1.0) -> None:
        """One interaction with ``item``: time moves on by one and the item counts ``weight`` more."""
        self.unit *= self.growth
        if self.unit[self._quickest] > _RESCALE:  # none is above it: all begin at 1 together
            self._rescale()
        self.room(item)
        self.visits[item] += weight * self.unit

    def _rescale(self) -> None:
        for c in np.flatnonzero(self.unit > 1.0).tolist():
            weights = self.weights[:, :, c]
            weights /= np.float32(self.unit[c])
            weights[weights < _NOTHING] = 0.0
            self.visits[:, c] /= self.unit[c]
            self.unit[c] = 1.0

    def room(self, item: int) -> None:
        """Make sure there is a row for ``item``."""
        size = len(self.used)
        if item < size:
            return
        more = max(2 * size, item + 1) - size
        ids = sparse((size + more, self.width), np.int32)
        weights = sparse((size + more, self.width, self.channels), np.float32)
        kernel.carry(self._ids, self.weights, self.used, ids, weights)
        self._ids, self.weights = ids, weights
        self.used = np.concatenate([self.used, np.zeros(more, dtype=np.int32)])
        self.visits = np.concatenate([self.visits, np.zeros((more, self.channels))])

    def link(self, item: int, others: Places, onward: Weights, back: Weights) -> None:
        """Add ``onward[k]`` to ``item`` in the row of ``others[k]``, ``back[k]`` to the reverse pair.

        Args:
            others: distinct items, not ``item``, all known; beyond ``width`` they are left out.
            onward, back: float32[len(others), channels].
        """
        kernel.link(item, others, onward, back, self._ids, self.weights, self.used, self.unit)

    def row(self, item: int) -> dict[int, tuple[float, ...]]:
        """The neighbours of an item with their weights as of now; empty for one unknown."""
        if not 0 <= item < len(self.used):
            return {}
        n = int(self.used[item])
        now = (self.weights[item, :n] / self.unit).tolist()
        ids = (self._ids[item, :n] - 1).tolist()
        return {i: tuple(weights) for i, weights in zip(ids, now, strict=True)}

    def neighbours(self, rows: Places) -> NDArray[np.int32]:
        """The neighbours of some known items, those of the first, then those of the second, and so on."""
        return kernel.listed(rows, self._ids, self.used)

    def drop(self, item: int) -> None:
        """Forget an item's row; where it stands in others it fades."""
        if item < len(self.used):
            self._ids[item] = 0
            self.weights[item] = 0.0
            self.visits[item] = 0.0
            self.used[item] = 0

    def arrays(self) -> Arrays:
        """Everything, as arrays."""
        return {
            "ids": self._ids.copy(),
            "weights": self.weights.copy(),
            "visits": self.visits.T.copy(),
            "used": self.used.copy(),
            "unit": self.unit.copy(),
        }

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave.

        Raises:
            ValueError: the arrays have another width or number of channels.
        """
        shape = arrays["weights"].shape
        if shape[1:] != (self.width, self.channels):
            raise ValueError(f"lists of {shape[1:]}, this build has {(self.width, self.channels)}")
        self._ids, self.weights = arrays["ids"].copy(), arrays["weights"].copy()
        self.visits, self.used = arrays["visits"].T.copy(), arrays["used"].copy()
        self.unit = arrays["unit"].copy()
