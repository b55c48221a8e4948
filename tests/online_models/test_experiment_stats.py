"""An experiment's figures: right in small worlds worked out by hand, and as wide as chance is in large ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from online_models.conversions import Conversion, gap, preference
from online_models.experiment_stats import Ratio, cuped, difference, linearised, sample_ratio

Floats = NDArray[np.float64]
totals = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50)), min_size=2, max_size=30)


def users(count: int, rate: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Clicks and impressions of users who differ widely in both."""
    shown = rng.poisson(rng.gamma(1.0, 20.0, count)) + 1.0
    taste = np.minimum(rng.gamma(2.0, rate / 2.0, count), 1.0)
    return rng.binomial(shown.astype(int), taste).astype(float), shown


def test_the_delta_method_is_as_wide_as_click_rates_of_repeated_samples_are() -> None:
    rng = np.random.default_rng(1)
    made = [Ratio.of(*users(500, 0.05, rng)) for _ in range(1_000)]
    spread = np.std([float(one.value) for one in made])
    assert np.mean([float(one.error) for one in made]) == pytest.approx(spread, rel=0.05)
    assert (
        np.mean([float(one.design_effect) for one in made]) > 1.5
    )  # as impressions alone, it would be far too sure


def test_a_95_percent_interval_of_the_lift_holds_it_in_95_percent() -> None:
    rng, held = np.random.default_rng(2), []
    for _ in range(1_000):
        told = difference(Ratio.of(*users(400, 0.05, rng)), Ratio.of(*users(400, 0.06, rng)))
        held.append((told.lift_low <= 0.2 <= told.lift_high, told.low <= 0.01 <= told.high))
    assert np.mean(held, axis=0) == pytest.approx([0.95, 0.95], abs=0.02)


@given(totals, totals)
def test_sums_of_two_workers_and_of_users_one_by_one_are_those_of_all_at_once(
    first: list[tuple[int, int]], second: list[tuple[int, int]]
) -> None:
    x, y = np.array(first + second, float).T
    whole = Ratio.of(x, y)
    merged = Ratio.of(*np.array(first, float).T).merged(Ratio.of(*np.array(second, float).T))
    kept = Ratio()
    for clicks, shown in first + second:
        kept = kept.moved(None, (0.0, 1.0)).moved((0.0, 1.0), (clicks, shown))
    for one in (merged, kept):
        assert (one.users, float(one.value)) == (whole.users, pytest.approx(float(whole.value)))
        assert float(one.variance) == pytest.approx(float(whole.variance), abs=1e-12)


def test_nothing_seen_is_no_rate_and_no_error() -> None:
    told = difference(Ratio(), Ratio())
    assert (told.value, told.p_value) == (0.0, 1.0)


def test_cuped_keeps_the_mean_and_takes_out_what_was_known_before() -> None:
    rng = np.random.default_rng(3)
    before = rng.normal(5.0, 1.0, 10_000)
    values = 2.0 * before + rng.normal(0.0, 1.0, 10_000)  # four fifths of the variance were known
    after = cuped(values, before)
    assert after.mean() == pytest.approx(values.mean())
    assert after.var() / values.var() == pytest.approx(0.2, abs=0.01)
    assert cuped(values, np.zeros(10_000)) == pytest.approx(values)


def test_cuped_finds_an_effect_on_the_click_rate_with_a_narrower_interval() -> None:
    rng = np.random.default_rng(4)
    shown, taste = np.full(2_000, 50.0), rng.gamma(2.0, 0.03, 2_000).clip(max=0.5)
    before = rng.binomial(50, taste) / 50.0
    clicks = rng.binomial(50, taste * np.where(np.arange(2_000) < 1_000, 1.0, 1.2)).astype(float)
    plain = difference(Ratio.of(clicks[:1_000], shown[:1_000]), Ratio.of(clicks[1_000:], shown[1_000:]))
    control = float(Ratio.of(clicks[:1_000], shown[:1_000]).value)
    adjusted = cuped(linearised(clicks, shown, control), before)
    ones = np.ones(1_000)
    told = difference(Ratio.of(adjusted[:1_000], ones), Ratio.of(adjusted[1_000:], ones))
    assert told.low < 0.012 < told.high
    assert told.error < 0.85 * plain.error


@given(totals)
def test_a_linearised_click_rate_has_the_mean_and_the_variance_of_the_ratio(
    told: list[tuple[int, int]],
) -> None:
    x, y = np.array(told, float).T
    rate = Ratio.of(x, y)
    flat = Ratio.of(linearised(x, y, float(rate.value)), np.ones(len(x)))
    assert float(flat.value) == pytest.approx(float(rate.value))
    assert float(flat.variance) == pytest.approx(float(rate.variance), abs=1e-12)


def test_a_split_as_declared_passes_and_a_lost_percent_of_many_users_does_not() -> None:
    assert not sample_ratio([10_010, 9_990], [0.5, 0.5]).mismatch
    assert not sample_ratio([900, 4_600, 4_500], [0.1, 0.45, 0.45]).mismatch
    assert sample_ratio([101_000, 99_000], [0.5, 0.5]).mismatch


def test_a_right_split_is_called_wrong_in_one_of_a_thousand() -> None:
    split = np.random.default_rng(5).binomial(10_000, 0.5, 5_000)
    wrong = sum(sample_ratio([k, 10_000 - k], [0.5, 0.5]).mismatch for k in split.tolist())
    assert wrong <= 15


@pytest.mark.parametrize("shares", [[0.0, 1.0], [1.0, -1.0]])
def test_a_split_needs_users_and_shares(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        sample_ratio([5, 5], shares)
    with pytest.raises(ValueError, match="must be"):
        sample_ratio([0, 0], [0.5, 0.5])


def test_newcombes_interval_is_that_of_his_paper() -> None:
    """56 of 70 against 48 of 80: 0.0524 to 0.3339 (Newcombe, 1998, table II, example a, method 10)."""
    told = gap(Conversion(48, 80), Conversion(56, 70))
    assert (told.value, told.low, told.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


@given(st.integers(0, 50), st.integers(0, 50))
def test_intervals_of_conversions_hold_their_rates_even_at_none_and_all(a: int, b: int) -> None:
    one, other = Conversion(a, 50), Conversion(b, 50)
    assert 0.0 <= one.interval[0] <= one.rate <= one.interval[1] <= 1.0
    told = gap(one, other)
    assert -1.0 <= told.low <= told.value <= told.high <= 1.0
    assert 0.0 <= told.p_value <= 1.0


def test_more_conversions_than_users_are_refused() -> None:
    with pytest.raises(ValueError, match=r"in 0\.\.users"):
        Conversion(3, 2)


def test_a_preference_of_most_users_is_no_chance() -> None:
    assert preference(70, 30) < 0.001 < 0.5 < preference(52, 48)
