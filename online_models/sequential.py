"""Results that may be looked at at any time: p-values and intervals that stay valid however often they are read.

An ordinary p-value holds for one look at a size fixed before. Read daily until it falls below 5 %, it does so in far
more than 5 % of experiments without any effect. The mixture sequential probability ratio test (Robbins, 1970; for
A/B tests Johari, Koomen, Pekelis and Walsh, "Peeking at A/B tests", KDD 2017) does not: with ``d`` the difference,
``V`` its variance and effects mixed as ``N(0, tau^2)``

    L = sqrt(V / (V + tau^2)) * exp(tau^2 d^2 / (2 V (V + tau^2)))

is, under no effect, a martingale of mean 1, and so exceeds ``1 / alpha`` at any time with probability at most alpha.
It is exact for normal differences of known variance; differences of sums over users come close when no look is made
before some hundred events.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

Floats = NDArray[np.float64]
Number = float | Floats


def always_valid_p(difference: Number, variance: Number, tau: float) -> Floats:
    """The p-value of one look, ``min(1, 1 / L)``; take the least of all looks so far (:class:`AlwaysValid`).

    Args:
        tau: the effect planned for, in the metric's unit: where power is greatest. Any value above 0 is valid.

    >>> float(always_valid_p(0.0, 1e-6, tau=0.01)), float(always_valid_p(0.01, 1e-6, tau=0.01).round(6))
    (1.0, 0.0)
    """
    v, square = np.asarray(variance, np.float64), _tau(tau) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        log = 0.5 * np.log(v / (v + square)) + square * np.square(difference) / (2.0 * v * (v + square))
    out: Floats = np.where(v > 0.0, np.exp(-np.maximum(log, 0.0)), 1.0)
    return out


def half_width(variance: Number, tau: float, *, alpha: float = 0.05) -> Floats:
    """Half the interval that holds the truth at all times with probability ``1 - alpha``.

    ``sqrt(V (V + tau^2) / tau^2 * (2 ln(1 / alpha) + ln((V + tau^2) / V)))``

    >>> wide = half_width(1e-4, tau=0.02)
    >>> float(always_valid_p(wide, 1e-4, tau=0.02).round(6))
    0.05
    """
    v, square = np.asarray(variance, np.float64), _tau(tau) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = 2.0 * math.log(1.0 / alpha) + np.log((v + square) / v)
        wide = np.sqrt(v * (v + square) / square * inner)
    out: Floats = np.where(v > 0.0, wide, np.inf)
    return out


class AlwaysValid:
    """The test of one experiment over time.

    Args:
        tau: as above.
        fewest: events in both variants together before the first look counts: sums of fewer are not normal yet.

    >>> test = AlwaysValid(tau=0.01)
    >>> test.update(0.004, 1e-5, events=400)
    >>> test.update(0.012, 4e-6, events=900)
    >>> test.update(0.002, 2e-6, events=2_000)
    >>> round(test.p_value, 5)
    0.0
    """

    def __init__(self, tau: float, *, fewest: int = 100) -> None:
        self.tau, self.fewest = _tau(tau), fewest
        self.p_value = 1.0
        self.low, self.high = -math.inf, math.inf

    def update(self, difference: float, variance: float, *, events: int) -> None:
        """One look: the difference so far, its variance, and the clicks behind it."""
        if events < self.fewest:
            return
        self.p_value = min(self.p_value, float(always_valid_p(difference, variance, self.tau)))
        wide = float(half_width(variance, self.tau))
        self.low, self.high = max(self.low, difference - wide), min(self.high, difference + wide)

    def told(self) -> list[float | None]:
        """All looks so far as plain values: tau, p-value, low, high; None for a side that is not bounded yet."""
        low, high = (value if math.isfinite(value) else None for value in (self.low, self.high))
        return [self.tau, self.p_value, low, high]

    def take(self, told: Sequence[float | None]) -> None:
        """Looks of another process at the same sums, as :meth:`told` has them; of a test with another tau nothing.

        Every look of every process holds at once, so the least p-value and the narrowest interval of all do.

        >>> one, other = AlwaysValid(tau=0.01), AlwaysValid(tau=0.01)
        >>> one.update(0.012, 4e-6, events=900)
        >>> other.take(one.told())
        >>> other.p_value == one.p_value, other.low == one.low
        (True, True)
        """
        tau, p, low, high = told
        if tau is None or p is None or not math.isclose(tau, self.tau) or not 0.0 <= p <= 1.0:
            return
        self.p_value = min(self.p_value, p)
        self.low = self.low if low is None else max(self.low, low)
        self.high = self.high if high is None else min(self.high, high)


def power_at(effect: float, variance: float, tau: float, *, alpha: float = 0.05) -> float:
    """The probability that the last look alone finds an effect; looks before it only add.

    >>> round(power_at(0.01, 1e-5, tau=0.01), 3)
    0.55
    """
    wide, error = float(half_width(variance, tau, alpha=alpha)), math.sqrt(variance)
    return float(stats.norm.sf((wide - effect) / error) + stats.norm.cdf((-wide - effect) / error))


def variance_for(effect: float, *, tau: float, alpha: float = 0.05, power: float = 0.8) -> float:
    """The variance of the difference at which an effect is found with this power at the last look.

    >>> found = variance_for(0.01, tau=0.01)
    >>> round(power_at(0.01, found, tau=0.01), 3)
    0.8
    """

    def lacking(log: float) -> float:
        return power_at(effect, math.exp(log), tau, alpha=alpha) - power

    near = 2.0 * math.log(abs(effect))
    return math.exp(float(optimize.brentq(lacking, near - 12.0, near)))


def _tau(tau: float) -> float:
    if not (tau > 0 and math.isfinite(tau)):
        raise ValueError(f"tau must be above 0 and finite, not {tau}")
    return tau
