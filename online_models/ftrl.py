"""FTRL-Proximal for River's linear models, with accumulators that fade, so that learning never stops.

Without an L1 term the FTRL-Proximal update of McMahan et al. (2013) has a closed form: with
``n`` the sum of squared gradients of a coordinate,

    w <- w - alpha * g / (beta + sqrt(n) + alpha * l2)

The sum grows for ever and the step dies; here it is forward-decayed (:mod:`online_models.decay`), so the step settles
at what the last ``half_life_ms`` of events warrant. The weights themselves do not fade. River's own ``FTRLProximal``
moves a weight one example late (it refreshes it when the feature is next seen); here it moves at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from river import optim
from river.utils import VectorDict

from online_models.decay import keep_newest, landmark, scale, weight

Vector = NDArray[np.float64]


class DecayedFTRL(optim.base.Optimizer):  # type: ignore[misc]  # River carries no types
    """The optimiser behind the click head; holds weights and accumulators as dense vectors.

    Args:
        names: the coordinates, in order; only these are ever learnt.
        alpha: the step, above 0.
        beta: keeps the first steps small, above 0.
        l2: FTRL's ridge term, not below 0.
        half_life_ms: of the squared gradients; ``None`` lets them grow for ever, as plain FTRL does.
    """

    def __init__(
        self,
        names: tuple[str, ...],
        alpha: float = 0.05,
        beta: float = 1.0,
        l2: float = 0.0,
        half_life_ms: int | None = None,
    ) -> None:
        if not (alpha > 0 and beta > 0 and l2 >= 0):
            raise ValueError(f"alpha and beta must be above 0, l2 not below: {alpha}, {beta}, {l2}")
        if half_life_ms is not None and half_life_ms < 1:
            raise ValueError(f"half_life_ms must be at least 1 or None, not {half_life_ms}")
        super().__init__(alpha)
        self.names = names
        self.alpha, self.beta, self.l2, self.half_life_ms = alpha, beta, l2, half_life_ms
        self.weights: Vector = np.zeros(len(names))
        self.squares: dict[int, Vector] = {}  # landmark -> forward-decayed sum of squared gradients
        self.ts = 0  # event time of the example at hand, ms
        self.now = 0  # the newest event time, ms
        self.gradient: Vector = np.zeros(len(names))  # learnt here since the last delta
        self.fresh_squares: dict[int, Vector] = {}

    def _step_with_vector(self, w: VectorDict, g: VectorDict) -> VectorDict:
        """River's hook: one example's gradient in, the weights of its features moved."""
        self.learn(g.to_numpy(self.names), self.ts)
        w.update(dict(zip(self.names, self.weights.tolist(), strict=True)))
        return w

    def learn(self, gradient: Vector, ts: int) -> None:
        """One example's gradient, float64[d], at its event time, ms."""
        mark, factor = self._place(ts)
        squared = gradient * gradient
        squared *= factor
        self._add(self.squares, mark, squared)
        self._add(self.fresh_squares, mark, squared)
        self.gradient += gradient
        self.now = max(self.now, ts)
        self._move(gradient)

    def merge(self, gradient: Vector, squares: dict[int, Vector], now: int) -> None:
        """Take in gradient sums that another learner made since its last delta."""
        for mark, sums in squares.items():
            self._add(self.squares, mark, sums)
        self.now = max(self.now, now)
        self._move(gradient)

    def total(self) -> Vector:
        """The squared gradients as of now, float64[d]."""
        total = np.zeros(len(self.names))
        for mark, sums in self.squares.items():
            half_life = self.half_life_ms
            total += sums if half_life is None else sums * scale(mark, self.now, half_life)
        return total

    def _move(self, gradient: Vector) -> None:
        denominator = np.sqrt(self.total())
        denominator += self.beta + self.alpha * self.l2
        self.weights -= self.alpha * gradient / denominator

    def _place(self, ts: int) -> tuple[int, float]:
        if self.half_life_ms is None:
            return 0, 1.0
        mark = landmark(ts, self.half_life_ms)
        return mark, weight(ts, mark, self.half_life_ms)

    def _add(self, windows: dict[int, Vector], mark: int, sums: Vector) -> None:
        if mark in windows:
            windows[mark] += sums
            return
        windows[mark] = sums.copy()
        if self.half_life_ms is not None:
            keep_newest(windows, self.half_life_ms)
