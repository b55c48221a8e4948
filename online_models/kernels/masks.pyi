from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

def by_state(
    states: NDArray[np.int8], ids: NDArray[np.int32], passes: NDArray[np.uint8]
) -> NDArray[np.bool_]:
    """Whether the state of each item passes, bool[n]; items beyond the table are in state 0.

    Args:
        passes: by state.
    """

def among(ids: NDArray[np.int32], some: Iterable[int]) -> NDArray[np.bool_]:
    """Which of some ascending ids are among others, in whatever order, bool[n]."""
