"""Whether an estimate may be believed, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FEWEST_CLICKS = 300
FEWEST_CARRIED = 30
FEWEST_EFFECTIVE = 100.0
MOST_OUTSIDE = 0.01
MOST_ERRORS = 3.0


class Verdict(StrEnum):
    """``ok``; ``INSUFFICIENT``: shown, and too little to decide on; ``REFUSED``: wrong, and therefore not shown."""

    OK = "ok"
    INSUFFICIENT = "INSUFFICIENT"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict with its reasons, none for ``ok``."""

    verdict: Verdict
    reasons: tuple[str, ...] = ()


def judge(
    *, clicks: int, carried: int, effective: float, outside: float, mean_weight: float, weight_error: float
) -> Judged:
    """Refused where the log cannot answer for the target, insufficient where it says too little.

    Args:
        clicks: in the slates used.
        carried: those of them with a weight above 0. Of fewer than 30 the bootstrap knows too little: of none it
            says ``0 to 0``.
        effective: as how many slates of the target the log counts; of fewer than 100 a single one can decide.
        outside: the target's mass on what could not be drawn.
        mean_weight, weight_error: its standard error by user. The mean is 1 when propensities are what they say.

    >>> judge(clicks=46, carried=46, effective=9_000.0, outside=0.0, mean_weight=1.0, weight_error=0.0).reasons
    ('46 clicks, fewer than 300',)
    >>> judge(clicks=900, carried=800, effective=500.0, outside=0.0, mean_weight=0.8, weight_error=0.05).verdict.value
    'REFUSED'
    """
    refused = _contradictions(outside, mean_weight, weight_error)
    few = _shortages(clicks, carried, effective)
    least = Verdict.INSUFFICIENT if few else Verdict.OK
    return Judged(Verdict.REFUSED if refused else least, (*refused, *few))


def _contradictions(outside: float, mean_weight: float, weight_error: float) -> list[str]:
    told = []
    if outside > MOST_OUTSIDE:
        told.append(f"{outside:.1%} of the target's mass lies outside what was logged, more than 1 %")
    if abs(mean_weight - 1.0) > MOST_ERRORS * weight_error + 1e-9:
        told.append(
            f"the mean weight is {mean_weight:.3f}, not 1 within 3 standard errors of {weight_error:.3f}: "
            "propensities are not those drawn from, or the target is not supported"
        )
    return told


def _shortages(clicks: int, carried: int, effective: float) -> list[str]:
    told = []
    if clicks < FEWEST_CLICKS:
        told.append(f"{clicks:,} clicks, fewer than {FEWEST_CLICKS}")
    if carried < FEWEST_CARRIED:
        told.append(
            f"{carried} clicks where the target looks, fewer than {FEWEST_CARRIED}: the interval is too narrow"
        )
    if effective < FEWEST_EFFECTIVE:
        told.append(
            f"as much as {effective:.0f} slates drawn by the target, fewer than {FEWEST_EFFECTIVE:.0f}"
        )
    return told
