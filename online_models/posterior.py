"""Posteriors of a linear head, for policies that explore what it is unsure of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.chance import generator

Scores = NDArray[np.float64]


def posterior_heads(
    weights: Scores, precision: Scores, *, heads: int = 64, seed: int = 0, prior: float = 1.0
) -> Scores:
    """Draws from the Laplace approximation of a linear head's posterior, float64[heads, d].

    ``precision`` is the diagonal Fisher information, for which the summed squared gradients stand
    (:meth:`online_models.ftrl.DecayedFTRL.total`); ``prior`` is added to it.

    >>> posterior_heads(np.zeros(2), np.array([0.0, 1e9]), heads=3).shape
    (3, 2)
    """
    if heads < 1 or not prior > 0:
        raise ValueError(f"heads must be at least 1 and prior above 0, not {heads} and {prior}")
    noise = generator(seed).standard_normal((heads, len(weights)))
    out: Scores = weights + noise / np.sqrt(prior + precision)
    return out


def standard_errors(inputs: Scores, precision: Scores, prior: float = 1.0) -> Scores:
    """The posterior standard error of each row's logit, float64[n], for inputs float64[n, d].

    >>> standard_errors(np.array([[3.0, 4.0]]), np.array([0.0, 0.0])).tolist()
    [5.0]
    """
    out: Scores = np.sqrt((inputs * inputs) @ (1.0 / (prior + precision)))
    return out
