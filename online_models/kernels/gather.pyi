import numpy as np
from numpy.typing import NDArray

def fit(
    ids: NDArray[np.int32],
    tags: NDArray[np.int32],
    scale: NDArray[np.float32],
    weights: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The sum of the weights of each item's tags times the item's scale, float32[n]; 0 for one without tags.

    Args:
        tags: of each item, int32[items, t], -1 from the first free place on; ``scale``: float32[items].
    """

def dots(
    table: NDArray[np.float32],
    known: NDArray[np.uint8],
    ids: NDArray[np.int32],
    vector: NDArray[np.float32],
    unknown: float,
) -> NDArray[np.float32]:
    """The product of each item's row, float32[items, d], with a vector, float32[n]; ``unknown`` where there is none."""

def unit_rows(
    table: NDArray[np.float32], known: NDArray[np.uint8], ids: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Each item's row at length 1, float32[n, d]; zeros where there is none."""

def relative(sums: NDArray[np.float64], ids: NDArray[np.int32]) -> NDArray[np.float32]:
    """Each row of sums, float64[rows, items], over its highest among some items, float32[rows, n]; 0 beyond its end."""

def since(seen: NDArray[np.int64], ids: NDArray[np.int32], now: int) -> NDArray[np.int64]:
    """``now`` less when each item was seen, int64[rows, n]; -1 for never (below 0 in ``seen``, or beyond its end)."""
