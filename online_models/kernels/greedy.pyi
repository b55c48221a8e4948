import numpy as np
from numpy.typing import NDArray

def greedy_slate(
    scores: NDArray[np.float64],
    vectors: NDArray[np.float32],
    penalty: float,
    slots: int,
    tags: NDArray[np.int32],
    tags_known: int,
    most: int,
    wanted_slot: int,
    wanted: NDArray[np.uint8],
) -> list[int]:
    """Maximal marginal relevance: each next the best less ``penalty`` times its likeness.

    Args:
        scores: float64[n]; not finite sinks. Ties go to the lower place.
        vectors: normalised, float32[n, d]; unused when ``penalty`` is 0.
        slots: at most; fewer candidates make a shorter slate.
        tags: int32[n, t], numbers below ``tags_known``, -1 for none; no tag stands in more than ``most`` slots while
            anything else is left (0: no such rule).
        wanted_slot: this slot goes to one of ``wanted`` (uint8[n]) while any may be shown; -1 for none.

    Returns:
        Places, best first.
    """
