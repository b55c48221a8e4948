import numpy as np
from numpy.typing import NDArray

def learn(
    held: NDArray[np.intp],
    fades: NDArray[np.float32],
    targets: NDArray[np.intp],
    inner: NDArray[np.float32],
    outer: NDArray[np.float32],
    sums: NDArray[np.float32],
    keep: float,
    rate: float,
) -> None:
    """One interaction, in place.

    Args:
        held: distinct items of the history, at least one, newest first; ``fades``: the weight of each.
        targets: items drawn, and last the one acted on.
        inner, outer: vectors, float32[items, dims]; ``sums``: Adagrad's, float32[2, items], of inner and outer.
        keep: what is left of a sum at each step; ``rate``: of Adagrad.
    """
