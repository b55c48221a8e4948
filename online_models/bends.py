"""What a straight line of log-odds cannot mend: corrections by height of the log-odds and by position.

Two parameters (:mod:`online_models.calibration`) move and stretch all log-odds alike. A head that is too sure of its
lowest ones only, or wrong about one slot, stays so. Here each of some knots, one a unit of log-odds, and each position
has two fading sums, clicks and expected clicks, and adds

    ln((clicks + prior) / (expected + prior))

to the log-odds; between two knots in proportion. What little was seen of hardly moves, and sums of several learners add
up. What is expected by a knot already holds what its position adds, and the other way round (backfitting: Breiman and
Friedman, 1985).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from online_models.kernels import calibrating as kernel

Floats = NDArray[np.float64]
LOWEST, KNOTS, POSITIONS = -7.0, 11, 20
WIDTH = KNOTS + POSITIONS
"""Knots lie at -7, -6, ... 3; positions deeper than the last are as it."""


class Bends:
    """The sums of one surface.

    Args:
        half_life: of the sums, in examples, above 0; a line moves far sooner.
        prior: clicks at which a knot or position has half its say, above 0.

    >>> bends = Bends(prior=10.0)
    >>> for k in range(4_000):
    ...     bends.update(-5.0, None, clicked=k % 50 == 0)
    >>> round(-5.0 + float(bends.of(np.array([-5.0]))[0]), 1)  # log-odds of a fiftieth: -3.9
    -4.1
    """

    def __init__(self, half_life: float = 20_000.0, prior: float = 3.0) -> None:
        if half_life <= 0 or prior <= 0:
            raise ValueError(f"half_life and prior must be above 0, not {half_life} and {prior}")
        self.prior = prior
        self._keep = 2.0 ** (-1.0 / half_life)
        self._sums = np.zeros((WIDTH, 2))  # clicks, and clicks expected

    def update(self, logit: float, position: int | None, clicked: bool) -> None:
        """Take in one closed impression with the log-odds it had before; no position tells nothing of positions."""
        at, share = _between(logit)
        knots = (1.0 - share) * self._factor(at) + share * self._factor(at + 1)
        where = None if position is None else KNOTS + min(position, POSITIONS - 1)
        place = 0.0 if where is None else self._factor(where)
        self._sums *= self._keep
        told = np.array((clicked, _sigmoid(logit + place)))  # a knot is judged by what is expected without it
        self._sums[at] += (1.0 - share) * told
        self._sums[at + 1] += share * told
        if where is not None:
            self._sums[where] += (clicked, _sigmoid(logit + knots))

    def of(self, logits: Floats, positions: int | NDArray[np.int_] | None = None) -> Floats:
        """What is to be added to log-odds float64[n] at their positions, if those are told; float64[n]."""
        if isinstance(positions, int):
            positions = np.full(len(logits), positions)
        return kernel.bends(logits, positions, self._sums, self.prior, LOWEST, KNOTS)

    def _factor(self, k: int) -> float:
        clicks, expected = self._sums[k].tolist()
        return math.log((clicks + self.prior) / (expected + self.prior))

    def array(self) -> Floats:
        """The sums, float64[31, 2]."""
        return self._sums.copy()

    def load(self, sums: Floats) -> None:
        """Restore what :meth:`array` gave, or the sum of several."""
        self._sums = sums.astype(np.float64)


def _between(logit: float) -> tuple[int, float]:
    """The knot below and the share of the one above."""
    x = min(max(logit - LOWEST, 0.0), KNOTS - 1.0)
    at = min(int(x), KNOTS - 2)
    return at, x - at


def _sigmoid(logit: float) -> float:
    return 1.0 / (1.0 + math.exp(-max(-30.0, min(30.0, logit))))
