"""The two heads at work: the ordering head puts candidates in order, the click head says how likely a click is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models import bandit, click_features
from online_models.bandit import Policy
from online_models.candidates import Candidates
from online_models.features import Rows
from online_models.heads import Heads
from online_models.history import UserRecord
from online_models.kernels.ranks import ranked
from online_models.learner import Learner
from online_models.objective_value import Valued
from online_models.objective_weights import CLICKS, Weights
from serving.types import SurfacePolicy

Floats = NDArray[np.float64]
_SUNK = -1e9


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates with their scores; ``place`` is 0 for the best, ties by the lower item id.

    ``extra`` is what the click head reads beside the ordering head's features, float32[n, 8]; ``worth`` is None where
    the order is for clicks alone.
    """

    candidates: Candidates
    scores: Floats
    place: NDArray[np.intp]
    extra: Rows
    heads: Heads
    worth: Valued | None = None

    def served(self, rows: NDArray[np.intp]) -> tuple[NDArray[np.float16], int]:
        """The click head's features of some candidates, as logged and later learnt from, and how many were missing."""
        return click_features.join(rows, self.candidates.features, self.extra)


class Ranking:
    """Scores candidates, and computes the features they are served with.

    ``score = ordering head + weight * log-odds of a click``. The ordering head learns from what was acted on among the
    candidates, the click head from every slot seen, so it soon knows what a young ordering head cannot; its weight
    grows with the clicks it has learnt (:attr:`online_models.heads.Heads.click_weight`).
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def heads(self, version: str = "") -> Heads:
        """The heads of a version; those of the live one for none, or one that is not held here."""
        of = self._learner.heads
        return of.get(version) or of[self._learner.live]

    def order(
        self,
        c: Candidates,
        record: UserRecord | None,
        surface: str,
        now: int,
        version: str = "",
        weights: Weights = CLICKS,
    ) -> Ranked:
        """All candidates scored by the heads of a version, by default the live one; a score not finite sinks.

        With weights that name more than clicks, what that makes is the click's part of what each is worth.
        """
        heads = self.heads(version)
        scores, place = ranked(heads.ordering.order(c), _SUNK)
        extra = click_features.beside(
            c.ids, scores, place, self._learner.counters, record, surface=surface, now=now
        )
        weight = heads.click_weight
        if weight and len(scores):
            ranker = heads.ranker
            logits = click_features.product(
                c.features, extra, ranker.optimizer.weights[: len(ranker.features)]
            )
            scores, place = ranked(scores + weight * (logits + ranker.constant(surface)), _SUNK)
        by_clicks = Ranked(c, scores, place, extra, heads)
        return by_clicks if weights.clicks_alone else self._valued(by_clicks, weights, surface, now)

    def _valued(self, by_clicks: Ranked, weights: Weights, surface: str, now: int) -> Ranked:
        """The same candidates by what showing them is worth, all actions together."""
        c, heads, objectives = by_clicks.candidates, by_clicks.heads, self._learner.objectives
        rows = by_clicks.served(np.arange(len(c.ids)))[0].astype(np.float32)
        clicks = heads.calibration.predict(heads.ranker.logits(rows, 0, surface), surface)
        said = objectives.predict(dict(weights.of), rows, c.ids, now, surface)
        worth = Valued.of(weights, by_clicks.scores, clicks, heads.click_weight, said, objectives.after_click)
        return Ranked(c, *ranked(worth.scores, _SUNK), by_clicks.extra, heads, worth)

    def probabilities(
        self,
        features: NDArray[np.float16],
        positions: NDArray[np.int_],
        surface: str,
        heads: Heads | None = None,
    ) -> Floats:
        """Calibrated P(click) of rows at their positions, float64[n]; by the live version where none is given."""
        heads = heads or self.heads()
        logits = heads.ranker.logits(features.astype(np.float32), positions, surface)
        return heads.calibration.predict(logits, surface, positions)

    def scores_for(self, policy: str, ranked: Ranked, seed: int) -> Floats:
        """What a policy draws by: the scores of the order, or for those that need them the click head's.

        With weights these are the value by the same.
        """
        if policy not in ("squarecb", "thompson", "linucb"):
            return ranked.scores
        rows = ranked.served(np.arange(len(ranked.scores)))[0].astype(np.float32)
        ranker, worth = ranked.heads.ranker, ranked.worth
        if policy == "squarecb":
            return ranker.predict_many(rows) if worth is None else worth.between(worth.clicks)
        if policy == "thompson":
            logits = ranker.head_logits(rows, seed=seed)
            return logits if worth is None else worth.by_head(logits, worth.clicks)
        errors = ranker.logit_errors(rows)
        if worth is not None:
            return worth.with_width(worth.clicks, errors)
        return np.stack([ranker.logits(rows), errors])


def policy_of(surface: SurfacePolicy) -> Policy:
    """The policy that a surface's randomised requests are drawn by; every one has a uniform floor."""
    floor = surface.uniform_floor
    match surface.policy:
        case "squarecb":
            return bandit.SquareCB(floor=floor)
        case "epsilon_greedy":
            return bandit.EpsilonGreedy(floor)
        case "thompson":
            return bandit.Thompson(floor)
        case "linucb":
            return bandit.LinUCB(floor=max(floor, 0.01))
        case _:
            return bandit.PlackettLuce(surface.temperature, floor)
