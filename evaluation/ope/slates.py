"""What a slate policy would earn: four estimators, each with its assumption.

Every function gives one number a logged slate; their mean estimates the clicks a slate under the target. All need the
target's draws to lie among what the logging policy could draw.
"""

from __future__ import annotations

import numpy as np

from evaluation.ope.model import cross_fitted
from evaluation.ope.records import Floats
from evaluation.ope.sample import Sample


def independent(marginal: Floats, clicks: Floats) -> Floats:
    """Per-slot inverse propensity scoring: ``sum_k pi(a at k) / mu(a at k) * r_k``.

    Assumes that a click in a slot depends on its item and slot alone (Li et al., KDD 2018). The probabilities are
    *marginal*.

    >>> independent(np.array([[2.0, 0.5]]), np.array([[1.0, 1.0]])).tolist()
    [2.5]
    """
    out: Floats = (marginal * clicks).sum(axis=1)
    return out


def reward_interaction(ratio: Floats, clicks: Floats) -> Floats:
    """Inverse propensity scoring with prefix weights: ``sum_k prod_{j<=k} pi_j / mu_j * r_k``.

    Assumes that a click depends on the slots above it and its own, not on those below (McInerney et al., KDD 2020).

    >>> reward_interaction(np.array([[2.0, 0.5]]), np.array([[0.0, 1.0]])).tolist()
    [1.0]
    """
    out: Floats = (prefix_weights(ratio) * clicks).sum(axis=1)
    return out


def cascade_doubly_robust(ratio: Floats, clicks: Floats, drawn: Floats, looked: Floats) -> Floats:
    """Cascade doubly robust: ``sum_k w_k (r_k - Q_k(a_k)) + w_{k-1} E_{a~pi} Q_k(a)``, ``w_k`` the prefix weights.

    The same assumption as :func:`reward_interaction`, less variance (Kiyohara et al., WSDM 2022). ``Q_k`` may be any
    guess of the clicks from slot k down that was not fitted on these slates: it cannot bias.

    Args:
        drawn: float64[n, K], ``Q_k`` of what stood there.
        looked: float64[n, K], its mean under the target given the slots above.

    >>> one = np.ones((1, 2))
    >>> cascade_doubly_robust(one, one, 0.3 * one, 0.3 * one).tolist()
    [2.0]
    """
    after = prefix_weights(ratio)
    before = np.concatenate([np.ones((len(ratio), 1)), after[:, :-1]], axis=1)
    out: Floats = (after * (clicks - drawn) + before * looked).sum(axis=1)
    return out


def pseudo_inverse(slate: Floats, clicks: Floats) -> Floats:
    """Pseudo-inverse: ``1_pi' E_mu[1_s 1_s']^+ 1_s * sum_k r_k`` (Swaminathan et al., NIPS 2017).

    Assumes that the clicks of a slate are a sum over its slots; which slot was clicked is not needed. Of draws that do
    not depend on each other the weight is ``1 + sum_k (pi_k / mu_k - 1)``.

    >>> pseudo_inverse(np.array([1.5]), np.array([[1.0, 1.0]])).tolist()
    [3.0]
    """
    out: Floats = slate * clicks.sum(axis=1)
    return out


def prefix_weights(ratio: Floats) -> Floats:
    """``prod_{j<=k} ratio_j`` for every slot k."""
    out: Floats = np.cumprod(ratio, axis=1, dtype=np.float64)
    return out


def contributions(sample: Sample, *, seed: int = 0) -> dict[str, tuple[Floats, Floats]]:
    """Every estimator's numbers and the weights [n, K or 1] it used, by name."""
    prefix = prefix_weights(sample.ratio)
    drawn, looked = cross_fitted(sample, seed=seed)
    return {
        "independence": (independent(sample.marginal, sample.clicks), sample.marginal),
        "reward interaction": (reward_interaction(sample.ratio, sample.clicks), prefix),
        "cascade doubly robust": (
            cascade_doubly_robust(sample.ratio, sample.clicks, drawn, looked),
            prefix,
        ),
        "pseudo-inverse": (pseudo_inverse(sample.slate, sample.clicks), sample.slate[:, None]),
    }
