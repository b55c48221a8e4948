"""Shares of users who did something: each with its interval, and how far apart two are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True, slots=True)
class Conversion:
    """``converted`` of ``users``, each counted once; the interval is Wilson's (1927)."""

    converted: int
    users: int
    level: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.converted <= self.users or self.users < 1:
            raise ValueError(
                f"converted must be in 0..users, users at least 1, not {self.converted} of {self.users}"
            )

    @property
    def rate(self) -> float:
        """The share."""
        return self.converted / self.users

    @property
    def interval(self) -> tuple[float, float]:
        """Low and high.

        >>> low, high = Conversion(0, 100).interval
        >>> round(low, 3), round(high, 3)
        (0.0, 0.037)
        """
        of = stats.binomtest(self.converted, self.users).proportion_ci(self.level, method="wilson")
        return float(of.low), float(of.high)


@dataclass(frozen=True, slots=True)
class Gap:
    """Treatment minus control; the interval is Newcombe's, the p-value of Pearson's chi-square."""

    value: float
    low: float
    high: float
    p_value: float


def gap(control: Conversion, treatment: Conversion) -> Gap:
    """How far apart two shares are: Newcombe (1998), method 10; no event in either is no reason to fail.

    >>> told = gap(Conversion(50, 1_000), Conversion(80, 1_000))
    >>> round(told.value, 3), round(told.low, 4), round(told.high, 4), round(told.p_value, 4)
    (0.03, 0.0084, 0.052, 0.0065)
    """
    (low, high), (other_low, other_high) = control.interval, treatment.interval
    value = treatment.rate - control.rate
    below = math.hypot(treatment.rate - other_low, high - control.rate)
    above = math.hypot(other_high - treatment.rate, control.rate - low)
    return Gap(value, value - below, value + above, _p_value(control, treatment))


def preference(a: int, b: int) -> float:
    """The p-value of as many users having preferred a and b if both were as good: the sign test, ties left out.

    A user prefers the ranking with more clicks in the interleaved slates (:mod:`serving.interleaving`).

    >>> round(preference(60, 40), 3), preference(0, 0)
    (0.057, 1.0)
    """
    return float(stats.binomtest(a, a + b).pvalue) if a + b else 1.0


def _p_value(control: Conversion, treatment: Conversion) -> float:
    table = [
        [control.converted, treatment.converted],
        [control.users - control.converted, treatment.users - treatment.converted],
    ]
    if not sum(table[0]) or not sum(table[1]):
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)
