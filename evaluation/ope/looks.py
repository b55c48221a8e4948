"""Where a target policy would look: its conditional distribution over what could stand in each logged slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.ope.records import Floats, Indices

Places = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Looks:
    """One distribution a logged slot, end to end: those of slot ``row[j]`` begin at ``start[j]``.

    ``row`` is ``slate * slots + slot``; ``item`` and ``chance`` are aligned, in half the usual width: there are as many
    as slates times slots times candidates.
    """

    shape: tuple[int, int]
    row: Indices
    start: Indices
    item: Places
    chance: NDArray[np.float32]

    def mean(self, value: Floats) -> Floats:
        """The mean of ``value`` [slots, items] under the target, per slate and slot, float64[slates, slots].

        >>> looks = Looks.of((1, 1), [0], [np.array([0, 1])], [np.array([0.25, 0.75])])
        >>> looks.mean(np.array([[4.0, 8.0]])).tolist()
        [[7.0]]
        """
        lengths = np.diff(self.start, append=len(self.item))
        slot = np.repeat((self.row % self.shape[1]).astype(np.int32), lengths)
        out = np.zeros(self.shape[0] * self.shape[1])
        out[self.row] = np.add.reduceat(self.chance * value[slot, self.item], self.start)
        return out.reshape(self.shape)

    @classmethod
    def of(
        cls, shape: tuple[int, int], rows: Sequence[int], items: Sequence[Indices], chances: Sequence[Floats]
    ) -> Looks:
        """From one array of items and one of probabilities for each row; none is empty."""
        lengths = [len(p) for p in chances]
        start = np.concatenate([[0], np.cumsum(lengths[:-1])]).astype(np.intp)
        joined = np.concatenate(items).astype(np.int32), np.concatenate(chances).astype(np.float32)
        return cls(shape, np.array(rows, np.intp), start, *joined)
