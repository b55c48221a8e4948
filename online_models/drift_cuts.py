"""Two windows of one series: where they part, by how much, and whether that is enough."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

MAX_LOG_LOSS = 7.0
"""Log-loss is clipped here and divided by it, since ADWIN takes values between 0 and 1."""
FIRST_DAY = 1.5
"""As long as no past day is known, a mean must have moved by this factor."""


def scaled_log_loss(clicked: NDArray[np.bool_], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-loss per example, clipped and scaled to between 0 and 1.

    >>> scaled_log_loss(np.array([True, False]), np.array([1.0, 1.0])).tolist()
    [0.0, 1.0]
    """
    of_truth = np.where(clicked, probability, 1.0 - probability)
    loss: NDArray[np.float64] = -np.log(np.maximum(of_truth, math.exp(-MAX_LOG_LOSS))) / MAX_LOG_LOSS
    return np.abs(loss)


def cut_bound(variance: float, older: float, newer: float, delta: float) -> float:
    """By how much two windows' means may differ before ADWIN cuts (its equation for epsilon)."""
    harmonic = 1.0 / (1.0 / max(older, 1.0) + 1.0 / max(newer, 1.0))
    log = math.log(2.0 * math.log(max(older + newer, 3.0)) / delta)
    return math.sqrt(2.0 / harmonic * variance * log) + 2.0 / (3.0 * harmonic) * log


def best_cut(values: NDArray[np.float64]) -> int:
    """Where two windows differ most, in standard errors: how many values belong to the older one.

    >>> best_cut(np.array([0.0] * 50 + [1.0] * 30))
    50
    """
    n = len(values)
    older = np.arange(1, n)
    sums = np.cumsum(values)
    difference = np.abs((sums[-1] - sums[:-1]) / (n - older) - sums[:-1] / older)
    score = difference * np.sqrt(older * (n - older) / n)
    edge = min(5, (n - 1) // 2)  # ADWIN's own least window
    return int(edge + np.argmax(score[edge : n - 1 - edge])) + 1 if n > 2 * edge + 1 else max(n // 2, 1)


def shapes(
    older: NDArray[np.float64], newer: NDArray[np.float64], bins: int = 10
) -> dict[str, tuple[float, ...]]:
    """Both windows as histograms over the same edges; nothing for values that are only 0 or 1.

    >>> told = shapes(np.array([0.0, 0.1, 0.2]), np.array([0.9, 1.0]), bins=2)
    >>> told["edges"], told["older"], told["newer"]
    ((0.0, 0.5, 1.0), (1.0, 0.0), (0.0, 1.0))
    """
    both = np.concatenate([older, newer])
    if not len(older) or not len(newer) or np.isin(both, (0.0, 1.0)).all():
        return {}
    edges = np.linspace(both.min(), both.max(), bins + 1)
    counts = (np.histogram(part, edges)[0] / len(part) for part in (older, newer))
    older_share, newer_share = (tuple(share.round(4).tolist()) for share in counts)
    return {"edges": tuple(edges.round(6).tolist()), "older": older_share, "newer": newer_share}


def far_apart(values: NDArray[np.float64], cut: int) -> bool:
    """Whether two windows' means differ by :data:`FIRST_DAY`, each read over enough to say so.

    >>> far_apart(np.array([0.0, 1.0] * 50 + [1.0] * 100), cut=100)
    True
    """
    least = min(int(20.0 / max(float(values.mean()), 1e-6)), len(values) // 2)
    older, newer = values[: max(cut, least)], values[min(cut, len(values) - least) :]
    return not 1 / FIRST_DAY < float(newer.mean()) / max(float(older.mean()), 1e-12) < FIRST_DAY
