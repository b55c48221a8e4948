"""From conditional to marginal: how often an item stands in a slot, over all slates a policy could have drawn.

The log holds the propensity of a draw *given the slots above*. Two estimators need what it is without knowing them.
Where every slate can be listed, it is exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evaluation.ope.records import Floats, Indices
from online_models.bandit import Policy

MOST_SLATES = 5_000


@dataclass(frozen=True, slots=True)
class Space:
    """All slates of some candidates: ``slates`` [S, K], and ``chance`` [S] of each under a policy."""

    slates: Indices
    chance: Floats

    def marginals(self, candidates: int) -> Floats:
        """float64[K, candidates]: how often each candidate stands in each slot; rows sum to 1.

        >>> from evaluation.ope.targets import policy_of
        >>> space_of(policy_of("uniform"), np.zeros(4), 2).marginals(4).tolist()[1]
        [0.25, 0.25, 0.25, 0.25]
        """
        slots = self.slates.shape[1]
        rows = [np.bincount(self.slates[:, k], self.chance, candidates) for k in range(slots)]
        return np.array(rows, np.float64)


def listable(candidates: int, slots: int) -> bool:
    """Whether there are at most 5,000 slates."""
    return slots <= candidates and math.perm(candidates, slots) <= MOST_SLATES


def space_of(policy: Policy, scores: Floats, slots: int) -> Space:
    """Every slate of ``slots`` different candidates, and its chance under a policy that draws slot by slot."""
    prefixes = np.zeros((1, 0), np.intp)
    chance = np.ones(1)
    everyone = np.arange(len(scores))
    for _ in range(slots):
        able = np.array([np.setdiff1d(everyone, prefix) for prefix in prefixes])
        odds = np.array([policy.probabilities(scores, row) for row in able])
        prefixes = np.column_stack([np.repeat(prefixes, able.shape[1], axis=0), able.ravel()])
        chance = (chance[:, None] * odds).ravel()
    return Space(prefixes, chance)


def pseudo_inverse_weights(logged: Space, target: Floats) -> Floats:
    """The pseudo-inverse weight of every slate, float64[S] (Swaminathan et al., NIPS 2017).

    ``w(s) = 1_pi' G+ 1_s`` with ``G = E_mu[1_s 1_s']``: ``1_s`` marks which item stands in which slot, ``1_pi`` is its
    mean under the target, ``target`` float64[K, candidates].
    """
    slots, candidates = target.shape
    marks = np.zeros((len(logged.slates), slots, candidates))
    marks[np.arange(len(marks))[:, None], np.arange(slots), logged.slates] = 1.0
    flat = marks.reshape(len(marks), -1)
    gram = flat.T @ (logged.chance[:, None] * flat)
    out: Floats = flat @ (np.linalg.pinv(gram, hermitian=True) @ target.ravel())
    return out
