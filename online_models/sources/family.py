"""What every group of sources keeps to: one touch of memory answers for several sources, over one set of items.

A request first asks each family which items it can say something about (``touch``), unites them, and then asks each
for its sources' scores of all of them. So a source costs a few microseconds more, not a search and a merge of its own.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays, Ids, Interaction, Query

Places = NDArray[np.intp]
Matrix = NDArray[np.float32]

NOBODY = np.zeros(0, dtype=np.int32)


class Touch(Protocol):
    """What a family found for one query."""

    @property
    def ids(self) -> Ids:
        """Proposed items, may repeat; -1 stands for none."""

    def score(self, at: Places, union: Ids, out: Matrix) -> None:
        """Write the scores, at least 0, into rows of zeros.

        Args:
            at: the place in ``union`` of each of ``ids``; ``len(union)`` where it is not wanted.
            union: distinct items, ascending.
            out: float32[sources, len(union)], zeros; a source that has nothing to say leaves its row alone.
        """


class Family(Protocol):
    """Several sources over one memory."""

    @property
    def names(self) -> tuple[str, ...]:
        """The sources, in order of the rows of their scores."""

    def learn_one(self, x: Interaction) -> None:
        """Fold one interaction in."""

    def touch(self, query: Query) -> Touch:
        """What there is for a query. Never changes state."""

    def drop(self, item: int) -> None:
        """Forget a retired item."""

    def arrays(self) -> Arrays:
        """Everything needed to restore this family, as arrays."""

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave."""


def scores(family: Family, touch: Touch, at: Places, union: Ids) -> Matrix:
    """What a touch says in an array of its own, float32[sources, len(union)]; see :meth:`Touch.score`."""
    out = np.zeros((len(family.names), len(union)), dtype=np.float32)
    touch.score(at, union, out)
    return out
