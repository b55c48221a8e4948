import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

def bends(
    logits: Floats, positions: NDArray[np.intp] | None, sums: Floats, prior: float, lowest: float, knots: int
) -> Floats:
    """What knots and positions add to log-odds, float64[n]: the logarithm of clicks over clicks expected.

    Args:
        positions: at least 0; None to leave them out.
        sums: clicks and expected ones of each knot, then of each position, float64[knots + positions, 2]; ``prior`` is
            added to each.
        lowest: where the first knot lies; the others one unit of log-odds apart.
    """

def sigmoids(logits: Floats, most: float) -> Floats:
    """Probabilities of log-odds, which count as within plus and minus ``most``, float64[n]."""
