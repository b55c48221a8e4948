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
    """Candidates with their scores and the click head's features of each, float16[n, F].

    ``place`` is 0 for the best, ties by the lower item id.
    """

    candidates: Candidates
    scores: Floats
    place: NDArray[np.intp]
    features: NDArray[np.float16]

    def take(self, rows: NDArray[np.intp]) -> Ranked:
        """Some of the candidates, rows ascending."""
        return Ranked(self.candidates.take(rows), self.scores[rows], self.place[rows], self.features[rows])


class Ranking:
    """Scores candidates, and computes the features they are served with.

    ``score = ordering head + weight * log-odds of a click``. The ordering head learns from what was acted on among the
    candidates, the click head from every slot seen, so it soon knows what a young ordering head cannot; its weight
    grows with the clicks it has learnt (:attr:`online_models.learner.Learner.click_weight`).
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self.features_missing = 0

    def order(self, c: Candidates, record: UserRecord | None, surface: str, now: int) -> Ranked:
        """All candidates scored; a score that is not finite sinks."""
        scores = _finite(self._learner.model.order(c))
        features = self._features(c, scores, record, surface, now)
        weight = self._learner.click_weight
        if weight and len(scores):
            logits = self._learner.ranker.logits(features.astype(np.float32), 0, surface)
            scores = _finite(scores + weight * logits)
        return Ranked(c, scores, _places(scores), features)

    def _features(
        self, c: Candidates, scores: Floats, record: UserRecord | None, surface: str, now: int
    ) -> NDArray[np.float16]:
        """The click head's features of all candidates: what is served and later learnt from."""
        behind = scores - scores.max(initial=0.0 if not len(scores) else -np.inf)
        out, missing = click_features.compute(
            c.features,
            c.ids,
            behind,
            _places(scores),
            self._learner.counters,
            record,
            surface=surface,
            now=now,
        )
        self.features_missing += missing
        return out

    def probabilities(
        self, features: NDArray[np.float16], positions: NDArray[np.int_], surface: str
    ) -> Floats:
        """Calibrated P(click) of rows at their positions, float64[n]."""
        logits = self._learner.ranker.logits(features.astype(np.float32), positions, surface)
        return self._learner.calibration.predict(logits, surface)

    def scores_for(self, policy: str, ranked: Ranked, seed: int) -> Floats:
        """What a policy draws by: the scores of both heads, or for those that need them the click head's."""
        rows = ranked.features.astype(np.float32)
        ranker = self._learner.ranker
        if policy == "squarecb":
            return ranker.predict_many(rows)
        if policy == "thompson":
            return ranker.head_logits(rows, seed=seed)
        if policy == "linucb":
            return np.stack([ranker.logits(rows), ranker.logit_errors(rows)])
        return ranked.scores


def _finite(scores: Floats) -> Floats:
    out: Floats = np.maximum(np.nan_to_num(scores, nan=-np.inf, posinf=-np.inf, neginf=-np.inf), -1e9)
    return out


def _places(scores: Floats) -> NDArray[np.intp]:
    place = np.empty(len(scores), dtype=np.intp)
    place[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return place


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
