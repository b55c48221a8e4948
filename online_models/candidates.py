"""The items a request may choose from: a bounded set with a row of features each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models.base import Ids
from online_models.features import Buckets, Rows


@dataclass(frozen=True, slots=True)
class Candidates:
    """Items to choose from, with their features as of the query.

    ``source[i]`` is the source that speaks loudest for item ``i``; the buckets are what the ordering head's weights are
    crossed with; ``failed`` names sources that gave no answer.
    """

    ids: Ids  # int32[n], ascending
    features: Rows  # float32[n, F]
    source: NDArray[np.int8]  # int8[n]
    buckets: Buckets
    failed: tuple[str, ...] = ()

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> Candidates:
        """Some of the candidates; rows given by number must ascend."""
        return Candidates(self.ids[rows], self.features[rows], self.source[rows], self.buckets, self.failed)

    def place(self, item: int) -> int | None:
        """The row of an item, if it is among them."""
        at = int(np.searchsorted(self.ids, item))
        return at if at < len(self.ids) and self.ids[at] == item else None
