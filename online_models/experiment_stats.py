"""What an experiment says: was the split right, how far apart are the variants, how sure is that.

Users are what is randomised, so users are what is counted: a user's slates are not independent of each other, and a
click rate is a ratio of two random sums. Arrays hold one number a user along the last axis; further axes in front are
as many experiments at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

MISMATCH_BELOW = 0.001
"""The split is called wrong below this p-value: checked often, it must hardly ever be wrong itself."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether users are split as declared. On a mismatch nothing else about the experiment is to be believed."""

    p_value: float

    @property
    def mismatch(self) -> bool:
        """Whether the split is too far off for chance."""
        return self.p_value < MISMATCH_BELOW


def sample_ratio(users: Sequence[int], shares: Sequence[float]) -> SampleRatio:
    """Chi-square test of users per variant against the declared shares (Fabijan et al., KDD 2019).

    >>> sample_ratio([5_000, 5_060], [0.5, 0.5]).mismatch, sample_ratio([5_000, 5_400], [0.5, 0.5]).mismatch
    (False, True)
    """
    total, whole = sum(users), sum(shares)
    if not total or min(shares) <= 0:
        raise ValueError(f"there must be users and every share must be above 0, not {users} and {shares}")
    return SampleRatio(float(stats.chisquare(users, [total * share / whole for share in shares]).pvalue))


@dataclass(frozen=True, slots=True)
class Ratio:
    """A ratio of sums over users, ``sum x / sum y``, as the six sums from which its variance follows.

    Sums can be kept as users act (:meth:`moved`), and partial ones of several workers added (:meth:`merged`).

    >>> clicks, impressions = np.array([1.0, 0.0, 2.0]), np.array([10.0, 10.0, 20.0])
    >>> rate = Ratio.of(clicks, impressions)
    >>> float(rate.value), round(float(rate.error), 4)
    (0.075, 0.0286)
    """

    users: float | Floats = 0.0
    x: float | Floats = 0.0
    y: float | Floats = 0.0
    xx: float | Floats = 0.0
    xy: float | Floats = 0.0
    yy: float | Floats = 0.0

    @classmethod
    def of(cls, x: Floats, y: Floats) -> Ratio:
        """From every user's totals."""
        return cls(
            float(x.shape[-1]), x.sum(-1), y.sum(-1), (x * x).sum(-1), (x * y).sum(-1), (y * y).sum(-1)
        )

    def moved(self, before: tuple[float, float] | None, after: tuple[float, float]) -> Ratio:
        """One user's totals (x, y) went from one pair to another; ``None`` is a user not seen before."""
        (a, b), (c, d) = before or (0.0, 0.0), after
        return Ratio(
            self.users + (before is None), self.x + c - a, self.y + d - b, self.xx + c * c - a * a,
            self.xy + c * d - a * b, self.yy + d * d - b * b,
        )  # fmt: skip

    def merged(self, other: Ratio) -> Ratio:
        """The ratio over the users of both; no user may be in both."""
        return Ratio(
            self.users + other.users, self.x + other.x, self.y + other.y, self.xx + other.xx,
            self.xy + other.xy, self.yy + other.yy,
        )  # fmt: skip

    @property
    def value(self) -> Floats:
        """The ratio, 0 where ``y`` is."""
        return _over(self.x, self.y)

    @property
    def variance(self) -> Floats:
        """Of the ratio, by the delta method over users (Deng, Knoblich and Lu, KDD 2018).

        ``n / (n - 1) * sum_u (x_u - R y_u)^2 / (sum y)^2``
        """
        rate = self.value
        squares = self.xx - 2.0 * rate * self.xy + rate * rate * self.yy
        few = np.maximum(self.users, 2.0)
        return np.maximum(_over(squares, np.square(self.y)), 0.0) * few / (few - 1.0)

    @property
    def error(self) -> Floats:
        """Its standard error."""
        return np.sqrt(self.variance)

    @property
    def design_effect(self) -> Floats:
        """Its variance over that of as many independent trials: what the power calculator asks for."""
        return _over(self.variance, _over(self.value * (1.0 - self.value), self.y))


@dataclass(frozen=True, slots=True)
class Difference:
    """Treatment minus control, with the interval and p-value of ONE look at the end; ``lift`` is relative."""

    value: float
    error: float
    low: float
    high: float
    p_value: float
    lift: float
    lift_low: float
    lift_high: float


def difference(control: Ratio, treatment: Ratio, *, level: float = 0.95) -> Difference:
    """The difference of two ratios, normal; the interval of the lift by the delta method on its logarithm.

    Whoever looks more than once wants :mod:`online_models.sequential` instead.

    >>> a = Ratio.of(np.array([1.0, 0.0] * 500), np.full(1_000, 10.0))
    >>> b = Ratio.of(np.array([1.0, 0.2] * 500), np.full(1_000, 10.0))
    >>> told = difference(a, b)
    >>> round(told.value, 3), round(told.low, 4), told.p_value < 0.001, round(told.lift, 2)
    (0.01, 0.006, True, 0.2)
    """
    rate, other = float(control.value), float(treatment.value)
    gap, error = other - rate, float(np.sqrt(control.variance + treatment.variance))
    z = float(stats.norm.ppf(0.5 + level / 2.0))
    p = 2.0 * float(stats.norm.sf(abs(gap) / error)) if error else 1.0
    lift = other / rate - 1.0 if rate else np.nan
    spread = float(np.sqrt(_over(control.variance, rate**2) + _over(treatment.variance, other**2)))
    low, high = ((1.0 + lift) * np.exp(sign * z * spread) - 1.0 for sign in (-1.0, 1.0))
    return Difference(gap, error, gap - z * error, gap + z * error, p, lift, float(low), float(high))


def linearised(x: Floats, y: Floats, rate: float) -> Floats:
    """A ratio metric as one number a user, ``(x - R y) / mean y + R``: its mean and variance are the ratio's.

    With it CUPED works on click rates (Budylin et al., WSDM 2018). ``rate`` is the control's.

    >>> linearised(np.array([1.0, 1.0]), np.array([10.0, 10.0]), 0.1).tolist()
    [0.1, 0.1]
    """
    out: Floats = (x - rate * y) / y.mean() + rate
    return out


def cuped(values: Floats, before: Floats) -> Floats:
    """Values with what was known before taken out: ``v - theta (b - mean b)``, ``theta = cov(v, b) / var(b)``.

    CUPED (Deng, Xu, Kohavi and Walker, WSDM 2013). Give the users of all variants at once; ``before`` is from before
    the start, 0 for who was not there yet. The mean stays, the variance falls by the squared correlation.

    >>> cuped(np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0])).tolist()
    [2.0, 2.0, 2.0]
    """
    centred = before - before.mean()
    spread = float(centred @ centred)
    theta = float(centred @ values) / spread if spread else 0.0
    out: Floats = values - theta * centred
    return out


def _over(above: float | Floats, below: float | Floats) -> Floats:
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    out: Floats = np.divide(above, below, out=np.zeros_like(above), where=below != 0.0)
    return out
