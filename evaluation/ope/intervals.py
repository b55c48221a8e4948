"""How sure an estimate is: the bootstrap by user, and what the weights say.

One user's slates are not independent of each other, so users are drawn, not slates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evaluation.ope.records import Floats, Indices

REPLICATES = 1_000


@dataclass(frozen=True, slots=True)
class Interval:
    """Holds the truth in a share ``level`` of repetitions."""

    low: float
    high: float
    level: float = 0.95


def bootstrap(
    above: Floats,
    below: Floats,
    user: Indices,
    *,
    level: float = 0.95,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Interval:
    """The percentile interval of ``sum above / sum below`` when users are drawn with replacement (Efron, 1979).

    >>> flat = bootstrap(np.ones(4), np.ones(4), np.arange(4))
    >>> flat.low, flat.high
    (1.0, 1.0)
    """
    users = int(user.max()) + 1
    num, den = np.bincount(user, above, users), np.bincount(user, below, users)
    drawn = np.random.default_rng(seed).multinomial(users, np.full(users, 1.0 / users), replicates)
    total = drawn @ den
    values = np.divide(drawn @ num, total, out=np.zeros(replicates), where=total != 0.0)
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(float(low), float(high), level)


def effective_size(weights: Floats) -> float:
    """As how many slates drawn by the target these count: ``(sum w)^2 / sum w^2``, the least over slots (Kish, 1965).

    >>> effective_size(np.array([[1.0], [1.0], [0.0]]))
    2.0
    """
    total, squares = weights.sum(axis=0), (weights**2).sum(axis=0)
    return float(np.divide(total**2, squares, out=np.zeros_like(total), where=squares > 0.0).min())


def mean_weight(weights: Floats, user: Indices) -> tuple[float, float]:
    """The mean weight, which is 1 when the log is what it says, and its standard error by user.

    >>> mean_weight(np.array([[2.0], [0.0]]), np.array([0, 1]))
    (1.0, 0.7071067811865476)
    """
    each = weights.mean(axis=1)
    users = int(user.max()) + 1
    mean = float(each.mean())
    residual = np.bincount(user, each - mean, users)
    return mean, float(np.sqrt((residual**2).sum())) / len(each)
