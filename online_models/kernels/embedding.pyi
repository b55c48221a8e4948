from collections.abc import Sequence

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

def faded(
    recent: Sequence[int],
    slot: NDArray[np.int32],
    inner: NDArray[np.float32],
    fades: NDArray[np.float32],
    norms: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The rows of some items added up, each distinct one once and fading, float32[d]; zeros where there is none.

    Args:
        recent: items, the newest first, at most as many as there are fades.
        slot: the row of each item in ``inner``, float32[rows, d]; -1 for none, as for items beyond its end.
        fades: of the k-th row in proportion to each other; ``norms``: the first's when there are k + 1 rows.
    """
