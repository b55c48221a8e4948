"""What a report on an experiment says, from the sums of its variants: the split, the figures, and an honest verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from online_models.answer_times import quantile
from online_models.conversions import Conversion
from online_models.experiment_stats import Ratio, difference, sample_ratio
from online_models.sequential import AlwaysValid
from online_models.user_sums import CLICKS, IMPRESSIONS, LOSS, PREDICTED, UserSums, cuped_difference
from serving.experiment_guardrails import guarded

ALPHA = 0.05
FEWEST_CLICKS = 100
_TIMES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
EFFECT = 0.005
"""The effect planned for, in clicks an impression, where an experiment declares none."""


class Verdict(StrEnum):
    """What may be concluded now; it holds however often it is asked."""

    INVALID = "INVALID"
    INSUFFICIENT = "INSUFFICIENT"
    UNDECIDED = "UNDECIDED"
    BETTER = "BETTER"
    WORSE = "WORSE"
    NO_SUCH_EFFECT = "NO SUCH EFFECT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What a report must know of an experiment beside its figures; ``shares`` names the control first."""

    layer: str
    name: str
    shares: Mapping[str, float]
    effect: float = EFFECT
    learning: str = "shared"
    guardrails: tuple[tuple[str, float], ...] = ()
    declared: bool = True

    @property
    def control(self) -> str:
        """The variant that all others are compared with."""
        return next(iter(self.shares))

    def variant(self, name: str) -> str:
        """A variant as exposures carry it."""
        return f"{self.layer}:{self.name}/{name}"


def report(design: Design, sums: Mapping[str, UserSums], tests: Mapping[str, AlwaysValid]) -> dict[str, Any]:
    """The report on one experiment, ready for JSON.

    Args:
        sums: by variant name; one that is missing has earned nothing yet.
        tests: of each variant against the control, over all looks so far, by variant name.
    """
    of = {name: sums.get(name) or UserSums() for name in design.shares}
    split = _split(design, of)
    rows = [
        _compared(design, name, of[design.control], of[name], tests.get(name), split)
        for name in design.shares
        if name != design.control
    ]
    return {
        "layer": design.layer, "experiment": design.name, "declared": design.declared,
        "learning": design.learning, "effect": design.effect, "sample_ratio": split,
        "variants": [_figures(name, of[name], design.shares[name]) for name in of], "comparisons": rows,
    }  # fmt: skip


def _split(design: Design, of: Mapping[str, UserSums]) -> dict[str, Any]:
    users = [sums.users for sums in of.values()]
    if not sum(users) or min(design.shares.values()) <= 0.0:
        return {"p_value": None, "mismatch": False}
    told = sample_ratio(users, list(design.shares.values()))
    return {"p_value": told.p_value, "mismatch": told.mismatch}


def _figures(name: str, sums: UserSums, share: float) -> dict[str, Any]:
    rate, loss = sums.ratio(CLICKS, IMPRESSIONS), sums.ratio(LOSS, PREDICTED)
    converted = Conversion(min(sums.converted, sums.users), sums.users) if sums.users else None
    low, high = converted.interval if converted else (None, None)
    return {
        "variant": name, "share": share, "users": sums.users, "forgotten": sums.forgotten,
        "slates": sums.slates, "empty_share": sums.empty / sums.slates if sums.slates else None,
        "failed_share": sums.failed / sums.slates if sums.slates else None,
        "latency_ms": {name: quantile(sums.took, p) if sums.took.any() else None for name, p in _TIMES.items()},
        "clicks": float(sums.sums[CLICKS]), "impressions": float(sums.sums[IMPRESSIONS]),
        "click_rate": _interval(rate), "log_loss": _interval(loss),
        "users_who_clicked": {"value": converted.rate if converted else None, "low": low, "high": high},
    }  # fmt: skip


def _interval(rate: Ratio) -> dict[str, float | None]:
    if not rate.y or rate.users < 2:
        return {"value": None, "low": None, "high": None}
    value, error = float(rate.value), float(rate.error)
    return {"value": value, "low": value - 1.96 * error, "high": value + 1.96 * error}


def _compared(
    design: Design, name: str, control: UserSums, treatment: UserSums, test: AlwaysValid | None,
    split: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    told = difference(control.ratio(CLICKS, IMPRESSIONS), treatment.ratio(CLICKS, IMPRESSIONS))
    adjusted = cuped_difference(control, treatment)
    always = _always(test)
    guards = guarded(design.guardrails, control, treatment)
    crossed = [guard.reason for guard in guards if guard.state == "crossed"]
    unknown = [guard.reason for guard in guards if guard.state == "unknown"]
    clicks = float(control.sums[CLICKS] + treatment.sums[CLICKS])
    verdict, reasons = _verdict(design, clicks, always, split, crossed)
    return {
        "variant": name, "verdict": verdict, "reasons": [*reasons, *crossed, *unknown],
        "guardrails": [asdict(guard) for guard in guards],
        "difference": {k: _finite(v) for k, v in asdict(told).items()},
        "cuped": asdict(adjusted) if adjusted else None, "always_valid": always,
    }  # fmt: skip


def _always(test: AlwaysValid | None) -> dict[str, float | None]:
    if test is None or not np.isfinite(test.low):
        return {"p_value": 1.0, "low": None, "high": None}
    low, high = sorted((test.low, test.high))  # two looks that exclude each other: the effect has changed
    return {"p_value": test.p_value, "low": low, "high": high}


def _verdict(
    design: Design, clicks: float, always: Mapping[str, float | None], split: Mapping[str, Any], crossed: list[str]
) -> tuple[Verdict, list[str]]:  # fmt: skip
    if split["mismatch"]:
        return Verdict.INVALID, [
            f"users are not split as declared (p {split['p_value']:.2g}): believe nothing below"
        ]
    if crossed:
        return Verdict.WORSE, []
    low, high, p = always["low"], always["high"], always["p_value"]
    if clicks < FEWEST_CLICKS or low is None or high is None or p is None:
        return Verdict.INSUFFICIENT, [f"{clicks:,.0f} clicks in both, fewer than {FEWEST_CLICKS}"]
    share = ALPHA / (len(design.shares) - 1)  # several variants against one control
    if p <= share:
        return (Verdict.BETTER if low + high > 0.0 else Verdict.WORSE), []
    if -design.effect < low and high < design.effect:
        return Verdict.NO_SUCH_EFFECT, [f"an effect of {design.effect:g} clicks an impression is ruled out"]
    return Verdict.UNDECIDED, [f"the difference lies between {low:+.4f} and {high:+.4f}, 0 among them"]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
