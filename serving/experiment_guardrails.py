"""Guardrails of an experiment: how much worse a variant is than the control at least, valid however often one looks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from online_models.answer_times import FIRST_MS, bounds, quantile
from online_models.sequential import half_width
from online_models.user_sums import CLICKS, IMPRESSIONS, LOSS, PREDICTED, UserSums

ALPHA = 0.01
"""Of a guardrail that is called crossed without being so, at any time."""
_TAU = 0.005
"""The least change that is to be found soonest, of a click rate, a share, a log-loss."""
_RATIOS = {"click_rate": (CLICKS, IMPRESSIONS), "log_loss": (LOSS, PREDICTED)}
State = Literal["kept", "crossed", "unknown"]
_FALLS = ("click_rate", "conversion_rate")
"""Metrics of which less is worse."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """One guardrail; ``low`` to ``high`` holds the change relative to the control's figure, None where
    that is not known yet or 0."""

    metric: str
    worse_by: float
    control: float | None
    variant: float | None
    low: float | None
    high: float | None
    state: State

    @property
    def reason(self) -> str:
        """For people; empty while it is kept."""
        if self.state == "kept":
            return ""
        if self.variant is None or self.control is None or self.state == "unknown":
            return f"guardrail {self.metric}: not known yet"
        told = f"guardrail {self.metric}: {self.variant:.4g} beside {self.control:.4g} of the control"
        if self.low is None or self.high is None:  # of nothing there is no share
            return told
        least = -self.high if self.metric in _FALLS else self.low
        return f"{told}, worse by at least {least:.1%}, allowed {self.worse_by:.1%}"


def guarded(limits: Iterable[tuple[str, float]], control: UserSums, variant: UserSums) -> list[Guarded]:
    """All guardrails of a variant, each a metric and by which share of the control's it may be worse.

    >>> [one] = guarded([("empty_share", 0.5)], UserSums(slates=5_000, empty=50), UserSums(slates=5_000, empty=400))
    >>> one.state, one.reason
    ('crossed', 'guardrail empty_share: 0.08 beside 0.01 of the control, worse by at least 528.5%, allowed 50.0%')
    """
    return [_guarded(metric, limit, control, variant) for metric, limit in limits]


def _guarded(metric: str, limit: float, control: UserSums, variant: UserSums) -> Guarded:
    if metric == "latency_p99_ms":
        return _slower(limit, control, variant)
    if metric in _RATIOS:
        above, below = _RATIOS[metric]
        a, b = control.ratio(above, below), variant.ratio(above, below)
        known = bool(a.y and b.y) and min(a.users, b.users) >= 2
        told = (float(a.value), float(b.value), float(a.variance + b.variance)) if known else None
    else:
        told = _shares(*_counted(metric, control), *_counted(metric, variant))
    return _related(metric, limit, told)


def _counted(metric: str, sums: UserSums) -> tuple[int, int]:
    """How many of how many: converted users, slates that failed or were empty."""
    if metric == "conversion_rate":
        return min(sums.converted, sums.users), sums.users
    return (sums.failed if metric == "error_share" else sums.empty), sums.slates


def _shares(a: int, of_a: int, b: int, of_b: int) -> tuple[float, float, float] | None:
    if not (of_a and of_b):
        return None
    pooled = (a + b + 1) / (of_a + of_b + 2)
    return a / of_a, b / of_b, pooled * (1.0 - pooled) * (1.0 / of_a + 1.0 / of_b)


def _related(metric: str, limit: float, told: tuple[float, float, float] | None) -> Guarded:
    if told is None or told[2] <= 0.0:
        return Guarded(metric, limit, None, None, None, None, "unknown")
    was, now, variance = told
    wide = float(half_width(variance, max(limit * was, _TAU), alpha=ALPHA))
    low, high = now - was - wide, now - was + wide
    crossed = -high > limit * was if metric in _FALLS else low > limit * was
    state: State = "crossed" if crossed else "kept"
    if not was:
        return Guarded(metric, limit, was, now, None, None, state)
    return Guarded(metric, limit, was, now, low / was, high / was, state)


def _slower(limit: float, control: UserSums, variant: UserSums) -> Guarded:
    if not (control.took.any() and variant.took.any()):
        return Guarded("latency_p99_ms", limit, None, None, None, None, "unknown")
    (low_a, high_a), (low_b, high_b) = (bounds(s.took, 0.99, ALPHA / 2.0) for s in (control, variant))
    was, now = quantile(control.took, 0.99), quantile(variant.took, 0.99)
    if math.isinf(high_a):
        return Guarded("latency_p99_ms", limit, was, now, None, None, "unknown")
    low = low_b / high_a - 1.0
    high = min(high_b, quantile(variant.took, 1.0)) / max(low_a, FIRST_MS) - 1.0
    return Guarded("latency_p99_ms", limit, was, now, low, high, "crossed" if low > limit else "kept")
