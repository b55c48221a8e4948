"""Intervals for logs of policies that learn while they log, and that may be read at any time.

The bootstrap takes users for independent draws of one policy. Where weights move between draws because of what was
clicked, slates are not independent of each other, but each is still an unbiased draw given all before it: a martingale.
An empirical-Bernstein confidence sequence needs no more (Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro,
"Anytime-valid off-policy inference for contextual bandits", ACM/IMS J. Data Science 2024, after Howard et al., Annals
of Statistics 2021). With ``x_t`` in ``[0, inf)`` of mean ``v`` given the past, bets ``l_t`` in ``(0, 1)`` and guesses
``g_t`` in ``[0, 1]`` made before ``x_t`` is seen,

    sum l_t x_t / sum l_t  -  (ln(1 / alpha) + sum (x_t - g_t)^2 (-ln(1 - l_t) - l_t)) / sum l_t

is below ``v`` at all times with probability ``1 - alpha``: weights are bounded by nothing, only from below. From above
the same of ``w (1 - r)``, whose mean is ``1 - v``. Where the value itself moves, the interval holds its mean over time,
weighted by the bets.
"""

from __future__ import annotations

import math

import numpy as np

from evaluation.ope.intervals import Interval
from evaluation.ope.records import Floats

MOST_BET = 0.5


def at_any_time(weights: Floats, clicks: Floats, *, level: float = 0.95) -> Interval:
    """Clicks a slate under the target, after the last slate of the log.

    Args:
        weights: of each slot, float64[n, K], at least 0 and each of mean 1 given all slates before; in order of time.
        clicks: 0 or 1, float64[n, K].

    Raises:
        ValueError: a weight is below 0, or the level not within (0, 1).

    >>> told = at_any_time(np.ones((5_000, 1)), np.tile([[0.0], [1.0]], (2_500, 1)))
    >>> told.low < 0.5 < told.high, told.high - told.low < 0.1
    (True, True)
    """
    if not 0.0 < level < 1.0 or (weights < 0.0).any():
        raise ValueError("weights must be at least 0 and level within (0, 1)")
    slots, alpha = clicks.shape[1], (1.0 - level) / 2.0
    above = lower_bound((weights * clicks).mean(axis=1), alpha)
    below = lower_bound((weights * (1.0 - clicks)).mean(axis=1), alpha)
    low, high = max(above, 0.0), 1.0 - max(below, 0.0)
    return Interval(slots * low, slots * max(high, low), level)


def lower_bound(x: Floats, alpha: float) -> float:
    """What the mean of ``x``, at least 0, exceeds with probability ``1 - alpha``, at whatever moment it is asked.

    >>> lower_bound(np.zeros(0), 0.05), lower_bound(np.full(10_000, 0.3), 0.05).__round__(2)
    (-inf, 0.3)
    """
    if not len(x):
        return -math.inf
    guess, variance = _before(x)
    t = np.arange(1.0, len(x) + 1.0)
    bet = np.minimum(np.sqrt(2.0 * math.log(1.0 / alpha) / (variance * t * np.log1p(t))), MOST_BET)
    paid = math.log(1.0 / alpha) + float((np.square(x - guess) * (-np.log1p(-bet) - bet)).sum())
    return float((float(bet @ x) - paid) / bet.sum())


def _before(x: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of what came before each value, as guessed at first: a half and a quarter."""
    t = np.arange(1.0, len(x) + 1.0)
    means = np.minimum((0.5 + np.cumsum(x)) / (t + 1.0), 1.0)
    guess = np.concatenate([[0.5], means[:-1]])
    squares = np.cumsum(np.square(x - means))
    variance = np.concatenate([[0.25], ((0.25 + squares) / (t + 1.0))[:-1]])
    return guess, np.maximum(variance, 1e-9)
