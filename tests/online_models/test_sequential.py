"""A thousand experiments peeked at daily: without an effect few are called, with the planned one most are."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from online_models.experiment_stats import Ratio
from online_models.power import sizes
from online_models.sequential import AlwaysValid, always_valid_p, half_width, power_at, variance_for

EXPERIMENTS, DAYS = 1_000, 10
RATE, LIFT, A_DAY = 0.1, 0.25, 1.0
FALSE_AT_MOST = 0.05 + 0.014
"""Two standard errors of a share of 5 % among 1,000 experiments are 1.4 points."""
Floats = NDArray[np.float64]


def arm(rate: float, users: int, experiments: int, rng: np.random.Generator) -> Ratio:
    """Click rates up to every day, [experiments, days]: users differ in taste and liveliness, and return."""
    shape = (experiments, users)
    taste = np.minimum(rate * rng.gamma(4.0, 0.25, shape), 1.0)
    busy = rng.gamma(1.0, A_DAY, shape)
    begun = rng.integers(0, DAYS, shape)
    x, y = np.zeros(shape), np.zeros(shape)
    days = []
    for day in range(DAYS):
        shown = rng.poisson(busy * (begun <= day))
        x, y = x + rng.binomial(shown, taste), y + shown
        days.append(Ratio.of(x, y))
    stacked = [
        np.stack([getattr(day, name) for day in days], axis=1) for name in ("x", "y", "xx", "xy", "yy")
    ]
    return Ratio(float(users), *stacked)


@cache
def looks(lift: float, users: int, experiments: int = EXPERIMENTS) -> tuple[Floats, Floats, Floats]:
    """Difference, its variance and the clicks behind it, [experiments, days]."""
    rng = np.random.default_rng(11)
    parts = []
    for _ in range(0, experiments, 100):
        a, b = arm(RATE, users, 100, rng), arm(RATE * (1 + lift), users, 100, rng)
        parts.append((b.value - a.value, a.variance + b.variance, a.x + b.x))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]


def called(difference: Floats, variance: Floats, clicks: Floats) -> Floats:
    """Share of experiments in which any look says 5 %."""
    p = np.where(clicks >= 100, always_valid_p(difference, variance, tau=RATE * LIFT), 1.0)
    return (p.min(axis=1) <= 0.05).mean()


@cache
def planned() -> int:
    """Users a variant, from a design effect that a first experiment told and impressions that stop at the end."""
    first = arm(RATE, 2_000, 20, np.random.default_rng(5))
    effect, impressions = float(first.design_effect[:, -1].mean()), float(first.y[:, -1].mean()) / 2_000
    return sizes(RATE, LIFT, impressions=impressions, design_effect=effect).any_look


def test_without_an_effect_at_most_5_percent_and_two_errors_are_called_however_often_one_looks() -> None:
    assert called(*looks(0.0, 500)) <= FALSE_AT_MOST


def test_an_ordinary_p_value_read_daily_is_wrong_far_more_often() -> None:
    difference, variance, _ = looks(0.0, 500)
    ordinary = 2 * stats.norm.sf(np.abs(difference) / np.sqrt(variance))
    assert (ordinary.min(axis=1) <= 0.05).mean() > 0.12
    assert (ordinary[:, -1] <= 0.05).mean() <= FALSE_AT_MOST  # read once, it is right


def test_the_interval_holds_no_effect_at_all_times_as_often_as_it_says() -> None:
    difference, variance, _ = looks(0.0, 500)
    inside = np.abs(difference) <= half_width(variance, tau=RATE * LIFT)
    assert inside.all(axis=1).mean() >= 1 - FALSE_AT_MOST


def test_the_planned_effect_is_found_in_at_least_80_percent() -> None:
    assert called(*looks(LIFT, planned())) >= 0.80


@given(st.floats(-0.1, 0.1), st.floats(1e-8, 1e-3), st.floats(1e-3, 0.1))
def test_the_p_value_is_5_percent_exactly_where_the_interval_touches_no_effect(
    difference: float, variance: float, tau: float
) -> None:
    outside = abs(difference) > float(half_width(variance, tau))
    p = float(always_valid_p(difference, variance, tau))
    assert 0.0 <= p <= 1.0
    assert outside == (p < 0.05) or p == pytest.approx(0.05)


@given(st.floats(0.001, 0.2), st.floats(0.55, 0.99))
def test_the_variance_for_a_power_gives_that_power(effect: float, power: float) -> None:
    assert power_at(effect, variance_for(effect, tau=effect, power=power), effect) == pytest.approx(
        power, abs=1e-6
    )


def test_a_look_never_raises_the_p_value_and_early_ones_do_not_count() -> None:
    test = AlwaysValid(tau=0.01)
    test.update(0.5, 1e-6, events=99)
    assert (test.p_value, test.low) == (1.0, -math.inf)
    test.update(0.02, 1e-5, events=100)
    p, low = test.p_value, test.low
    assert p < 0.05
    test.update(0.0, 1e-6, events=200)
    assert (test.p_value, test.low) == (p, low)


def test_no_variance_yet_is_no_evidence() -> None:
    assert float(always_valid_p(0.1, 0.0, tau=0.01)) == 1.0
    assert float(half_width(0.0, tau=0.01)) == math.inf


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan, math.inf])
def test_a_planned_effect_is_above_0(tau: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        AlwaysValid(tau)


def test_who_may_look_at_any_time_needs_more_users() -> None:
    need = sizes(0.05, 0.1, impressions=20, users_a_day=2_000)
    assert need.one_look < need.any_look < 3 * need.one_look
    assert need.days == pytest.approx(need.any_look * 2 / 2_000)


def test_the_power_of_one_look_is_that_of_the_textbook() -> None:
    """Two proportions, 10 % against 12 %, 80 % power: 3,841 each by the unpooled normal formula."""
    assert sizes(0.10, 0.2, impressions=1, design_effect=1.0).one_look == pytest.approx(3_839, abs=3)


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0.0}, {"lift": 0.0}, {"lift": 30.0}, {"impressions": 0}, {"power": 0.3}, {"alpha": 0.7}],
)
def test_what_cannot_be_planned_is_refused(wrong: dict[str, float]) -> None:
    given_ = {"rate": 0.05, "lift": 0.1, "impressions": 10.0, **wrong}
    with pytest.raises(ValueError, match="must be"):
        sizes(**given_)
