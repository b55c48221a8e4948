"""How many users an experiment needs, told before it starts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from online_models.sequential import variance_for


@dataclass(frozen=True, slots=True)
class Sizes:
    """Users a variant.

    Attributes:
        effect: the difference planned for, in clicks an impression; also ``tau`` of the always-valid test.
        one_look: enough when results are read once, at the end.
        any_look: enough when they may be read at any time.
        days: until ``any_look`` is reached, where the number of new users a day is known.
    """

    effect: float
    one_look: int
    any_look: int
    days: float | None


def sizes(
    rate: float, lift: float, *, impressions: float, design_effect: float = 1.5, alpha: float = 0.05,
    power: float = 0.8, variants: int = 2, users_a_day: float | None = None,
) -> Sizes:  # fmt: skip
    """Users a variant that find a relative lift of a click rate.

    The variance of a variant's rate is ``rate (1 - rate) D / (users * impressions)``, D the design effect: 1 when a
    user's impressions are independent, more when users differ. For one look the difference must be
    ``z(1 - alpha/2) + z(power)`` standard errors (two-sided); for any look see :mod:`online_models.sequential`.

    Args:
        rate: the control's clicks an impression.
        lift: relative, 0.05 is 5 % more; may be below 0.
        impressions: a user over the whole experiment.
        users_a_day: new ones in the whole experiment, shared equally by the variants.

    Raises:
        ValueError: an argument is out of its range.

    >>> planned = sizes(0.05, 0.1, impressions=20, users_a_day=2_000)
    >>> planned.one_look, planned.any_look, planned.days
    (2343, 4540, 4.54)
    """
    effect = rate * lift
    _check(rate, rate + effect, lift, impressions, design_effect, alpha, power, variants)
    after = rate + effect
    of_one_user = (rate * (1.0 - rate) + after * (1.0 - after)) * design_effect / impressions
    z = stats.norm.ppf(1.0 - alpha / 2.0) + stats.norm.ppf(power)
    once = of_one_user * (float(z) / effect) ** 2
    ever = of_one_user / variance_for(effect, tau=abs(effect), alpha=alpha, power=power)
    days = math.ceil(ever) * variants / users_a_day if users_a_day else None
    return Sizes(abs(effect), math.ceil(once), math.ceil(ever), days)


def _check(
    rate: float, after: float, lift: float, impressions: float, design_effect: float, alpha: float,
    power: float, variants: int,
) -> None:  # fmt: skip
    if not (0.0 < rate < 1.0 and 0.0 < after < 1.0 and lift):
        raise ValueError(
            f"rate must be in (0, 1) before and after the lift, and the lift not 0: {rate}, {lift}"
        )
    if not (impressions > 0 and design_effect > 0 and variants >= 2):
        raise ValueError("impressions and design_effect must be above 0, variants at least 2")
    if not (0.0 < alpha < 0.5 <= power < 1.0):
        raise ValueError(f"alpha must be in (0, 0.5) and power in [0.5, 1), not {alpha} and {power}")
