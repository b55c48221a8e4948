"""What a policy that shows one item would earn: four estimators for one action an impression.

Each gives a numerator and a denominator for every impression; the estimate is the ratio of their sums.
"""

from __future__ import annotations

import numpy as np

from evaluation.ope.records import Floats

Parts = tuple[Floats, Floats]


def inverse_propensity(weight: Floats, reward: Floats) -> Parts:
    """IPS: the mean of ``w r``, ``w = pi(a | x) / mu(a | x)`` (Horvitz and Thompson, 1952). Unbiased with support.

    >>> estimate(inverse_propensity(np.array([2.0, 0.0]), np.array([1.0, 1.0])))
    1.0
    """
    return weight * reward, np.ones_like(reward)


def self_normalised(weight: Floats, reward: Floats) -> Parts:
    """SNIPS: ``sum w r / sum w`` (Swaminathan and Joachims, NIPS 2015). Within the rewards' range; biased by ``1/n``.

    >>> estimate(self_normalised(np.array([2.0, 1.0]), np.array([1.0, 0.0]))).__round__(3)
    0.667
    """
    return weight * reward, weight


def direct(looked: Floats) -> Parts:
    """Direct method: the model's mean under the target. As biased as the model."""
    return looked, np.ones_like(looked)


def doubly_robust(weight: Floats, reward: Floats, drawn: Floats, looked: Floats) -> Parts:
    """Doubly robust: the mean of ``E_pi q + w (r - q(a))`` (Dudik, Langford and Li, ICML 2011).

    Unbiased whatever the model, when it was not fitted on these impressions.

    >>> one = np.ones(2)
    >>> estimate(doubly_robust(one, np.array([1.0, 0.0]), 0.2 * one, 0.2 * one))
    0.5
    """
    return looked + weight * (reward - drawn), np.ones_like(reward)


def estimate(parts: Parts) -> float:
    """The ratio of the sums, 0 where there is nothing."""
    above, below = float(parts[0].sum()), float(parts[1].sum())
    return above / below if below else 0.0
