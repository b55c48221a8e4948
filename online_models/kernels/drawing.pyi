import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

def softmax(scores: Floats, eligible: NDArray[np.intp], temperature: float, floor: float) -> Floats:
    """``(1 - floor) * softmax(score / temperature) + floor / m`` of those eligible; scores that are not finite sink."""

def stepped(nearest: Floats, steps: float) -> tuple[Floats, NDArray[np.uint8]]:
    """Likeness within 0 and 1 rounded to so many steps, float64[n], and the steps of each, uint8[n]."""
