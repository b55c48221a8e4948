import numpy as np
from numpy.typing import NDArray

def ranked(scores: NDArray[np.float64], sunk: float) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Scores made finite, and each one's place in their order: 0 for the highest, of equals the first comes first.

    Args:
        sunk: what stands for scores that are not finite; also the least.
    """
