"""The ordering head: a softmax over the candidates of a request, learnt from which of them was acted on.

``P(i | candidates) = exp(x_i . w) / sum_j exp(x_j . w)`` with ``w`` the sum of shared weights, weights of the time-gap
bucket and weights of the history-length bucket (conditional logit, McFadden 1974). Adagrad with decaying sums, so that
it never stops adapting. It starts at weight 1 on one source, the floor, and so is never much worse than that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from online_models.base import Arrays
from online_models.candidates import Candidates
from online_models.features import BOUND, GAPS_MS, LENGTHS, FeatureSchema

_ROWS = 1 + len(GAPS_MS) + 1 + len(LENGTHS) + 1
_MOST = 10_000_000


class OrderingHead:
    """Scores candidates by learnt weights.

    Args:
        floor: the feature that begins at weight 1.
        rate: of Adagrad, above 0.
        half_life: of Adagrad's sums, in examples; how soon old gradients stop holding the step back.

    >>> head = OrderingHead(FeatureSchema.of(["popular"]), floor="popular.score")
    >>> head.weights[0, 0]
    np.float64(1.0)
    """

    def __init__(
        self, schema: FeatureSchema, *, floor: str, rate: float = 0.02, half_life: float = 200_000.0
    ) -> None:
        if floor not in schema.names:
            raise ValueError(f"floor must be one of the features, not {floor!r}")
        if rate <= 0 or half_life <= 0:
            raise ValueError("rate and half_life must be above 0")
        self.schema, self.rate = schema, rate
        width = len(schema.names)
        self.weights = np.zeros((_ROWS, width))
        self.weights[0, schema.names.index(floor)] = 1.0
        self.squares = np.full((_ROWS, width), 1.0)
        self._fade = 2.0 ** (-1.0 / half_life)
        self.examples = self.refused = 0
        self._forget()

    def _forget(self) -> None:
        self._sum = np.zeros_like(self.weights)
        self._sum_squares = np.zeros_like(self.weights)
        self._since = 0

    def _rows(self, c: Candidates) -> tuple[int, int, int]:
        return 0, 1 + c.gap, 2 + len(GAPS_MS) + c.length

    def order(self, c: Candidates) -> NDArray[np.float64]:
        """Scores of the candidates, float64[n]; greater is better."""
        out: NDArray[np.float64] = c.features @ self.weights[list(self._rows(c))].sum(axis=0)
        return out

    def learn(self, c: Candidates, target: int) -> bool:
        """One of the candidates, ``target`` (an item), was acted on; False when it is not among them."""
        at = c.place(target)
        if at is None or len(c.ids) < 2:
            return False
        scores = self.order(c)
        p = np.exp(scores - scores.max())
        p /= p.sum()
        p[at] -= 1.0
        gradient = p @ c.features
        if not np.isfinite(gradient).all():
            self.refused += 1
            return False
        self._step(list(self._rows(c)), gradient)
        return True

    def _step(self, rows: list[int], gradient: NDArray[np.float64]) -> None:
        square = gradient * gradient
        self.squares[rows] = (self.squares[rows] - 1.0) * self._fade + 1.0 + square
        self.weights[rows] -= self.rate * gradient / np.sqrt(self.squares[rows])
        self._sum[rows] += gradient
        self._sum_squares[rows] += square
        self.examples += 1
        self._since += 1

    def contributions(self, c: Candidates, row: int) -> dict[str, float]:
        """What each feature adds to a candidate's score, the largest first."""
        weights = self.weights[list(self._rows(c))].sum(axis=0)
        parts = zip(self.schema.names, (c.features[row] * weights).tolist(), strict=True)
        return dict(sorted(parts, key=lambda part: (-abs(part[1]), part[0])))

    # ------------------------------------------------------------------ exchange and snapshots

    def take_delta(self) -> Arrays:
        """Gradient sums since the last call; empty when nothing was learnt."""
        if not self._since:
            return {}
        delta = {
            "gradient": self._sum,
            "squares": self._sum_squares,
            "examples": np.array([self._since], dtype=np.int64),
        }
        self._forget()
        return delta

    def merge(self, delta: Arrays) -> bool:
        """Take in another head's :meth:`take_delta`; False (and counted) when it would do harm.

        Squares are added first and the step follows from their sum: adding weights of several heads inflates them.
        """
        try:
            gradient, squares, n = delta["gradient"], delta["squares"], int(delta["examples"][0])
        except (KeyError, IndexError, ValueError):
            self.refused += 1
            return False
        fits = gradient.shape == self.weights.shape == squares.shape and 0 < n <= _MOST
        if not fits or not self._harmless(gradient, squares, n):
            self.refused += 1
            return False
        self.squares += squares
        self.weights -= self.rate * gradient / np.sqrt(self.squares)
        return True

    @staticmethod
    def _harmless(gradient: NDArray[np.float64], squares: NDArray[np.float64], n: int) -> bool:
        if not (np.isfinite(gradient).all() and np.isfinite(squares).all() and (squares >= 0).all()):
            return False
        return bool(np.abs(gradient).max() <= 2 * BOUND * n)  # each feature lies within +-BOUND

    def arrays(self) -> Arrays:
        """Everything, as arrays."""
        return {
            "weights": self.weights.copy(),
            "squares": self.squares.copy(),
            "sum": self._sum.copy(),
            "sum_squares": self._sum_squares.copy(),
            "counts": np.array([self.examples, self._since], dtype=np.int64),
        }

    def load(self, arrays: Arrays) -> None:
        """Restore what :meth:`arrays` gave.

        Raises:
            ValueError: the arrays are of another schema.
        """
        if arrays["weights"].shape != self.weights.shape:
            raise ValueError(
                f"weights of shape {arrays['weights'].shape}, the schema needs {self.weights.shape}"
            )
        self.weights, self.squares = arrays["weights"].copy(), arrays["squares"].copy()
        self._sum, self._sum_squares = arrays["sum"].copy(), arrays["sum_squares"].copy()
        self.examples, self._since = (int(v) for v in arrays["counts"])
