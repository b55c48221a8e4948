"""One target policy judged by a log: four estimates, each with its interval, its weights and its verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evaluation.ope.intervals import bootstrap, effective_size, mean_weight
from evaluation.ope.records import Floats, Indices, Log
from evaluation.ope.sample import Sample, sample_of
from evaluation.ope.sequence import at_any_time
from evaluation.ope.single import Parts, estimate
from evaluation.ope.slates import contributions
from evaluation.ope.targets import LOGGED, logging_policy, policy_of
from evaluation.ope.verdict import Verdict, judge
from online_models.bandit import Policy

APPROXIMATE = (
    "from conditional propensities: the log names no policy that draws them again, or its slates are too many to "
    "list. Exact only for draws that do not depend on the slots above"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What one estimator says; ``value`` and the interval are None when it was refused."""

    estimator: str
    value: float | None
    low: float | None
    high: float | None
    effective_size: float
    mean_weight: float
    weight_error: float
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    note: str = ""
    any_time: tuple[float, float] | None = None


def evaluate(log: Log, target: str, *, logged_by: str | None = None, seed: int = 0) -> dict[str, Any]:
    """The report on a target policy, ready for JSON.

    Args:
        target: one of :data:`evaluation.ope.targets.KNOWN`.
        logged_by: one of :data:`evaluation.ope.targets.LOGGED`, where the log does not say.

    Raises:
        ValueError: there is no such policy.
    """
    policy = policy_of(target)
    drawn_by = _named(logged_by) if logged_by else None
    head = {"policy": target, "slates": len(log.slates), "clicks": log.clicks, "excluded": dict(log.excluded)}
    if not log.slates:
        reasons = ("no randomised slate that somebody saw: nothing was drawn that could be weighed",)
        return {**head, "verdict": Verdict.REFUSED, "reasons": reasons, "estimates": []}
    sample = sample_of(log.slates, policy, drawn_by)
    rows = _rows(sample, seed)
    return {
        **head,
        "users": int(sample.user.max()) + 1,
        "as_logged": float(sample.clicks.sum(axis=1).mean()),
        "unit": "clicks a slate, given these candidates",
        "verdict": worst([row.verdict for row in rows]),
        "estimates": [asdict(row) for row in rows],
    }


def row(
    name: str, parts: Parts, weights: Floats, clicks: Floats, user: Indices, *, outside: float = 0.0,
    note: str = "", seed: int = 0, sequence: bool = False,
) -> Estimate:  # fmt: skip
    """One estimator's row; a refused one shows no value. ``weights`` [n, K or 1] are of ``clicks`` [n, K].

    Args:
        sequence: the estimate is the mean of weights times clicks, so that an interval can be told that also holds for
            a log that was drawn by a policy which learnt meanwhile.
    """
    interval = bootstrap(*parts, user, seed=seed)
    mean, error = mean_weight(weights, user)
    size = effective_size(weights)
    carried = int(((weights != 0.0) * clicks).sum())
    judged = judge(
        clicks=int(clicks.sum()),
        carried=carried,
        effective=size,
        outside=outside,
        mean_weight=mean,
        weight_error=error,
    )
    shown = judged.verdict is not Verdict.REFUSED
    return Estimate(
        estimator=name, value=estimate(parts) if shown else None, low=interval.low if shown else None,
        high=interval.high if shown else None, effective_size=size, mean_weight=mean,
        weight_error=error, verdict=judged.verdict, reasons=judged.reasons, note=note,
        any_time=_any_time(weights, clicks) if shown and sequence else None,
    )  # fmt: skip


def _any_time(weights: Floats, clicks: Floats) -> tuple[float, float]:
    told = at_any_time(weights, clicks)
    return told.low, told.high


def worst(verdicts: list[Verdict]) -> Verdict:
    """The verdict on the whole: what holds for every row is the best that can be said.

    >>> worst([Verdict.OK, Verdict.REFUSED]).value
    'REFUSED'
    """
    return max(verdicts, key=list(Verdict).index)


def _named(spec: str) -> Policy:
    policy = logging_policy(spec)
    if policy is None:
        raise ValueError(f"no such logging policy: {spec!r}; known are {LOGGED}")
    return policy


def _rows(sample: Sample, seed: int) -> list[Estimate]:
    made = []
    for name, (numbers, weights) in contributions(sample, seed=seed).items():
        inexact = name in ("independence", "pseudo-inverse") and not sample.exact
        parts, note = (numbers, np.ones(len(numbers))), APPROXIMATE if inexact else ""
        weighed = name in ("independence", "reward interaction") and not inexact
        made.append(
            row(
                name, parts, weights, sample.clicks, sample.user, outside=sample.outside, note=note, seed=seed,
                sequence=weighed,
            )
        )  # fmt: skip
    return made
