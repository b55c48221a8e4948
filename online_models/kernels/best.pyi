import numpy as np
from numpy.typing import NDArray

def best(
    ids: NDArray[np.int32], scores: NDArray[np.float32] | NDArray[np.float64], n: int
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The ``n`` items of highest score, best first, ties by the lower id; only finite scores above 0 count."""
