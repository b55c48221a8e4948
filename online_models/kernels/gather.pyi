import numpy as np
from numpy.typing import NDArray

def dots(
    table: NDArray[np.float32],
    known: NDArray[np.uint8],
    slot: NDArray[np.int32],
    ids: NDArray[np.int32],
    vector: NDArray[np.float32],
    unknown: float,
) -> NDArray[np.float32]:
    """The product of each item's row, float32[rows, d], with a vector, float32[n]; ``unknown`` where there is none.

    Args:
        known: by row; ``slot``: the row of each item, -1 for none.
    """

def unit_rows(
    table: NDArray[np.float32], known: NDArray[np.uint8], slot: NDArray[np.int32], ids: NDArray[np.int32]
) -> NDArray[np.float32]:
    """Each item's row at length 1, float32[n, d]; zeros where there is none."""

def relative(sums: NDArray[np.float64], ids: NDArray[np.int32], out: NDArray[np.float32]) -> None:
    """Each column of sums, float64[items, rows], over its highest among some items: into float32[rows, n], zeros."""

def put(at: NDArray[np.intp], said: NDArray[np.float32], out: NDArray[np.float32]) -> None:
    """What is said, float32[rows, m], written to places of the rows of ``out``; those beyond its end are left out."""

def add_scaled(
    total: NDArray[np.float64], table: NDArray[np.float64], ids: NDArray[np.int32], factor: float
) -> None:
    """Add to each of ``total`` its item's entry of the table times a factor; nothing for one that it does not hold."""
