"""A small hidden layer that adds to the ordering head's score what a weighted sum of features cannot say.

``f(x) = v . relu(A x + b)``, with ``v`` zero at the start, so that before anything is learnt it adds nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Parameters = dict[str, NDArray[np.float64]]


def initial(features: int, hidden: int, seed: int) -> Parameters:
    """Parameters before the first example.

    >>> sorted((name, array.shape) for name, array in initial(3, 2, seed=0).items())
    [('hidden', (3, 2)), ('offset', (2,)), ('out', (2,))]
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    return {
        "hidden": rng.normal(0.0, 1.0 / np.sqrt(features), (features, hidden)),
        "offset": np.zeros(hidden),
        "out": np.zeros(hidden),
    }


def forward(p: Parameters, x: Matrix) -> tuple[Matrix, Matrix]:
    """What is added to each row's score, float32[n], and the hidden layer, float32[n, hidden]."""
    hidden = x @ p["hidden"].astype(np.float32)
    hidden += p["offset"].astype(np.float32)
    np.maximum(hidden, 0.0, out=hidden)
    return hidden @ p["out"].astype(np.float32), hidden


def gradient(p: Parameters, x: Matrix, hidden: Matrix, error: NDArray[np.float32]) -> Parameters:
    """Gradients of the loss, from its derivative by each row's score (``error``)."""
    back = np.outer(error, p["out"].astype(np.float32))
    back *= hidden > 0
    return {
        "hidden": (x.T @ back).astype(np.float64),
        "offset": back.sum(axis=0, dtype=np.float64),
        "out": (error @ hidden).astype(np.float64),
    }
