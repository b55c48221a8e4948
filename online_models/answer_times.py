"""How long answers took: a histogram that adds up over workers, and quantiles of it that hold at all times.

Howard and Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification"
(Bernoulli, 2022): with probability ``1 - alpha`` the p-quantile of independent answers lies, after every one of them,
between the sample quantiles at ``p -+ f(t)``,

    f(t) = 1.5 sqrt(p (1 - p) l(t)) + 0.8 l(t),   l(t) = (1.4 ln ln(2.1 t) + ln(10 / alpha)) / t

whatever the distribution. Answers to one user are alike, so the bounds are a little narrow; who compares two of them
leaves room between.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
FIRST_MS = 0.1
STEPS = 4
"""Buckets to a doubling: an answer is known within a fifth of its time."""
BUCKETS = 80
"""Up to 100 s; the last one holds all that is longer."""


def none() -> Counts:
    """A histogram of no answers."""
    return np.zeros(BUCKETS, dtype=np.int64)


def bucket(ms: float) -> int:
    """Where an answer of so many ms is counted.

    >>> bucket(0.0), bucket(0.1), bucket(0.21), bucket(1e9)
    (0, 0, 4, 79)
    """
    return 0 if ms <= FIRST_MS else min(int(STEPS * math.log2(ms / FIRST_MS)), BUCKETS - 1)


def quantile(counts: Counts, share: float) -> float:
    """The ms below which a share of the answers lies, interpolated within its bucket.

    Args:
        share: up to 0 is 0 ms, above 1 is infinite: that quantile cannot be told yet.

    >>> counts = none()
    >>> counts[bucket(1.0)] = 10
    >>> 0.8 < quantile(counts, 0.5) < 1.2, quantile(counts, 0.0), quantile(counts, 1.1)
    (True, 0.0, inf)
    """
    if share <= 0.0:
        return 0.0
    if share > 1.0:
        return math.inf
    sums = np.cumsum(counts)
    wanted = share * float(sums[-1])
    k = int(np.searchsorted(sums, wanted))
    inside = (wanted - float(sums[k] - counts[k])) / float(counts[k])
    return float(FIRST_MS * 2.0 ** ((k + inside) / STEPS))


def bounds(counts: Counts, p: float, alpha: float) -> tuple[float, float]:
    """Between what, ms, the p-quantile lies at all times with probability ``1 - alpha``.

    >>> counts = none()
    >>> counts[bucket(1.0)] = 3
    >>> bounds(counts, 0.5, 0.01)
    (0.0, inf)
    """
    t = int(counts.sum())
    if t < 1:
        return 0.0, math.inf
    level = (1.4 * math.log(max(math.log(2.1 * t), 1.0)) + math.log(10.0 / alpha)) / t
    wide = 1.5 * math.sqrt(p * (1.0 - p) * level) + 0.8 * level
    return quantile(counts, p - wide), quantile(counts, p + wide)


def told(counts: Counts) -> dict[str, int]:
    """As plain values: how many by bucket, those with none left out."""
    return {str(k): int(counts[k]) for k in np.flatnonzero(counts)}


def read(said: dict[str, int]) -> Counts:
    """What :func:`told` wrote; ValueError when it is something else.

    >>> told(read({"3": 2}))
    {'3': 2}
    """
    counts = none()
    for place, count in said.items():
        if not 0 <= int(place) < BUCKETS or int(count) < 0:
            raise ValueError(f"no bucket {place} with {count} answers")
        counts[int(place)] = int(count)
    return counts
