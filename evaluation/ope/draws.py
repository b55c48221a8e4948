"""One slate under another policy: how likely its draws would have been, slot by slot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluation.ope.marginals import listable, pseudo_inverse_weights, space_of
from evaluation.ope.records import Floats, LoggedSlate
from online_models.bandit import Policy

_SAME = 1e-3  # scores are logged to five places
BY_ROWS = frozenset({"thompson", "linucb"})
"""Policies that draw by several rows of scores."""


@dataclass(frozen=True, slots=True)
class Draws:
    """``ratio`` [K] of the conditional probabilities; ``chances``, the target's distribution in each slot.

    ``outside`` is the target's mass on what the logging policy could not draw; ``known`` says whether every slate
    that could have been drawn can be listed, with the propensities that were logged.
    """

    ratio: Floats
    chances: tuple[Floats, ...]
    outside: float
    known: bool


def redrawn(slate: LoggedSlate, target: Policy, logged_by: Policy | None) -> Draws:
    """The draws of a slate under a target policy; ``logged_by`` is checked against the logged propensities."""
    chances = _chances(slate, target)
    at = [int(np.flatnonzero(able == k)[0]) for able, k in zip(slate.eligible, slate.chosen, strict=True)]
    ratio = np.array([p[k] for p, k in zip(chances, at, strict=True)]) / np.array(slate.propensities)
    if logged_by is None or (logged_by.name in BY_ROWS and slate.rows is None):
        return Draws(ratio, chances, 0.0, False)
    logged = _chances(slate, logged_by)
    again = np.array([mu[k] for mu, k in zip(logged, at, strict=True)])
    if not np.allclose(again, slate.propensities, rtol=_SAME, atol=0.0):
        return Draws(ratio, chances, 0.0, False)
    lost = np.mean([p[mu <= 0.0].sum() for p, mu in zip(chances, logged, strict=True)])
    known = slate.free and listable(len(slate.candidates), len(slate.chosen))
    return Draws(ratio, chances, float(lost), known)


def _chances(slate: LoggedSlate, policy: Policy) -> tuple[Floats, ...]:
    return tuple(
        policy.probabilities(_scores(slate, policy, slot), able) for slot, able in enumerate(slate.eligible)
    )


def _scores(slate: LoggedSlate, policy: Policy, slot: int) -> Floats:
    if policy.name not in BY_ROWS:
        return slate.scores_at(slot)
    return slate.rows_at(slot, 1 if policy.name == "linucb" else None)


class Marginals:
    """Marginal ratios and pseudo-inverse weights; slates drawn from the same scores are listed once."""

    def __init__(self, target: Policy) -> None:
        self._target = target
        self._known: dict[tuple[bytes, int, int], tuple[Floats, dict[tuple[int, ...], float]]] = {}

    def of(self, slate: LoggedSlate, logged_by: Policy) -> tuple[Floats, float]:
        """The ratio of marginal probabilities in each slot, and the pseudo-inverse weight of the slate."""
        ratio, whole = self._table(slate.scores, len(slate.chosen), logged_by)
        return ratio[np.arange(len(slate.chosen)), list(slate.chosen)], whole[slate.chosen]

    def _table(
        self, scores: Floats, slots: int, logged_by: Policy
    ) -> tuple[Floats, dict[tuple[int, ...], float]]:
        key = (scores.tobytes(), slots, id(logged_by))
        if key not in self._known:
            self._known[key] = self._listed(scores, slots, logged_by)
        return self._known[key]

    def _listed(
        self, scores: Floats, slots: int, logged_by: Policy
    ) -> tuple[Floats, dict[tuple[int, ...], float]]:
        logged = space_of(logged_by, scores, slots)
        wanted = space_of(self._target, scores, slots).marginals(len(scores))
        had = logged.marginals(len(scores))
        ratio = np.divide(wanted, had, out=np.zeros_like(wanted), where=had > 0.0)
        slates: Sequence[tuple[int, ...]] = [tuple(slate) for slate in logged.slates.tolist()]
        return ratio, dict(zip(slates, pseudo_inverse_weights(logged, wanted).tolist(), strict=True))
