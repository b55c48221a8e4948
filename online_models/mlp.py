"""A small hidden layer that adds to the ordering head's score what a weighted sum of features cannot say.

``f(x) = v . relu(A (x - m) + b)``, ``m`` the mean of the candidates' features, with ``v`` zero at the start, so that
before anything is learnt it adds nothing. What is the same for all candidates cannot order them: taken from the mean, a
source that is silent on a stream is 0 for every unit rather than a constant that each has to learn to ignore.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Flat = NDArray[np.float32]


class Layer:
    """Views of one flat array as the layer's parameters; whoever changes the array changes the layer.

    Args:
        flat: float32[size(features, hidden)].

    >>> layer = Layer(initial(3, 2, seed=0), 3, 2)
    >>> layer.hidden.shape, layer.offset.shape, layer.out.tolist()
    ((3, 2), (2,), [0.0, 0.0])
    """

    def __init__(self, flat: Flat, features: int, hidden: int) -> None:
        split = features * hidden
        self.hidden = flat[:split].reshape(features, hidden)
        self.offset = flat[split : split + hidden]
        self.out = flat[split + hidden :]

    def forward(self, x: Matrix) -> tuple[Matrix, Matrix]:
        """What is added to each row's score, float32[n], and the hidden layer, float32[n, hidden].

        Args:
            x: all candidates of a request, float32[n, features]; a few of them alone would have another mean.
        """
        hidden: Matrix = x @ self.hidden
        hidden += self.offset - _mean(hidden)  # of the products, which is the product of the mean
        np.maximum(hidden, 0.0, out=hidden)
        added: Matrix = hidden @ self.out
        return added, hidden

    def gradient(self, x: Matrix, hidden: Matrix, error: Matrix) -> Flat:
        """The flat gradient of the loss, from its derivative by each row's score (``error``)."""
        back = error[:, None] * self.out
        back *= hidden > 0
        out = np.empty(x.shape[1] * back.shape[1] + 2 * back.shape[1], dtype=np.float32)
        parts = Layer(out, x.shape[1], back.shape[1])
        back.sum(axis=0, out=parts.offset)
        np.matmul(x.T, back, out=parts.hidden)
        parts.hidden -= np.multiply.outer(_mean(x), parts.offset)
        np.matmul(error, hidden, out=parts.out)
        return out


def size(features: int, hidden: int) -> int:
    """Length of the flat array."""
    return hidden * (features + 2)


def initial(features: int, hidden: int, seed: int) -> Flat:
    """Parameters before the first example, flat; those of the output are zero."""
    rng = np.random.Generator(np.random.PCG64(seed))
    flat = np.zeros(size(features, hidden), dtype=np.float32)
    flat[: features * hidden] = rng.normal(0.0, 1.0 / np.sqrt(features), features * hidden)
    return flat


def _mean(x: Matrix) -> Flat:
    """The mean row; as a product it costs a quarter of ``x.mean(axis=0)``."""
    out: Flat = _even(len(x)) @ x
    return out


@lru_cache(maxsize=64)
def _even(n: int) -> Flat:
    return np.full(n, 1.0 / max(n, 1), dtype=np.float32)
