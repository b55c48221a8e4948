"""The two heads at work: the ordering head puts candidates in order, the click head says how likely a click is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from online_models import bandit, click_features
from online_models.bandit import Policy
from online_models.candidates import Candidates
from online_models.history import UserRecord
from online_models.learner import Learner
from serving.types import SurfacePolicy

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates with their scores; ``place`` is 0 for the best, ties by the lower item id."""

    candidates: Candidates
    scores: Floats
    place: NDArray[np.intp]


class Ranking:
    """Scores candidates, and computes the features they are served with."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.features_missing = 0

    def order(self, c: Candidates) -> Ranked:
        """All candidates scored by the ordering head; a score that is not finite sinks."""
        scores = np.nan_to_num(self._learner.model.order(c), nan=-np.inf, posinf=-np.inf, neginf=-np.inf)
        scores = np.maximum(scores, -1e9)
        place = np.empty(len(scores), dtype=np.intp)
        place[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
        return Ranked(c, scores, place)

    def features(
        self, ranked: Ranked, rows: NDArray[np.intp], record: UserRecord | None, surface: str, now: int
    ) -> NDArray[np.float16]:
        """The click head's features of some candidates, float16[n, F]: what is served and later learnt from."""
        c = ranked.candidates
        behind = ranked.scores[rows] - ranked.scores.max(initial=0.0 if not len(ranked.scores) else -np.inf)
        out, missing = click_features.compute(
            c.features[rows], c.ids[rows], behind, ranked.place[rows], self._learner.counters, record,
            surface=surface, now=now,
        )  # fmt: skip
        self.features_missing += missing
        return out

    def probabilities(
        self, features: NDArray[np.float16], positions: NDArray[np.int_], surface: str
    ) -> Floats:
        """Calibrated P(click) of rows at their positions, float64[n]."""
        logits = self._learner.ranker.logits(features.astype(np.float32), positions, surface)
        return self._learner.calibration.predict(logits, surface)

    def scores_for(self, policy: str, ranked: Ranked, features: NDArray[np.float16], seed: int) -> Floats:
        """What a policy draws by: the ordering head's scores, or for those that need them the click head's."""
        rows = features.astype(np.float32)
        ranker = self._learner.ranker
        if policy == "squarecb":
            return ranker.predict_many(rows)
        if policy == "thompson":
            return ranker.head_logits(rows, seed=seed)
        if policy == "linucb":
            return np.stack([ranker.logits(rows), ranker.logit_errors(rows)])
        return ranked.scores


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
