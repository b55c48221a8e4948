"""How fast an error budget burns, over windows like those of the alerts, from counters that only grow."""

from __future__ import annotations

import pytest

from online_models.error_budget import ErrorBudget


def after(*spells: tuple[float, float, float], step_s: float = 5.0) -> ErrorBudget:
    """Spells of (seconds, requests a second, share of errors), one after the other."""
    budget = ErrorBudget("latency", 0.01)
    now = bad = total = 0.0
    budget.observe(now, bad, total)
    for seconds, rate, share in spells:
        for _ in range(round(seconds / step_s)):
            now, total, bad = now + step_s, total + rate * step_s, bad + rate * step_s * share
            budget.observe(now, bad, total)
    return budget


def test_errors_at_just_the_budget_burn_at_one() -> None:
    budget = after((7_200, 10, 0.01))
    assert [budget.rate(s) == pytest.approx(1.0) for s in (300, 1_800, 3_600, 21_600)] == [True] * 4
    assert budget.burning() is None


def test_a_budget_that_burns_thrice_as_fast_is_told_with_both_its_windows() -> None:
    told = after((7_200, 10, 0.03)).burning()
    assert told is not None and (told.slo, told.long_s, told.short_s) == ("latency", 3_600, 300)
    assert (told.long_rate, told.short_rate) == (pytest.approx(3.0), pytest.approx(3.0))


def test_what_is_over_is_no_reason_to_pause_any_more() -> None:
    assert after((7_200, 10, 0.001), (900, 10, 0.3)).burning() is not None
    told = after((7_200, 10, 0.001), (900, 10, 0.3), (360, 10, 0.0)).burning()
    assert told is not None and told.short_s == 1_800, "the half hour still remembers it"
    assert after((7_200, 10, 0.001), (900, 10, 0.3), (1_830, 10, 0.0)).burning() is None


def test_a_short_spell_that_the_hour_hardly_notices_pauses_nothing() -> None:
    assert after((21_600, 10, 0.0), (60, 10, 0.5)).burning() is None


def test_a_few_errors_of_few_requests_prove_nothing() -> None:
    budget = ErrorBudget("availability", 0.001)
    budget.observe(0.0, 0, 0)
    budget.observe(60.0, 4, 40)
    assert budget.rate(300) == pytest.approx(100.0) and budget.burning() is None
    budget.observe(70.0, 5, 41)
    assert budget.burning() is not None


def test_a_day_of_samples_is_held_in_bounds() -> None:
    budget = after((86_400, 10, 0.0))
    assert len(budget._kept) < 21_600 / 5 + 3


def test_a_budget_out_of_range_is_refused() -> None:
    for wrong in (0.0, 1.0):
        with pytest.raises(ValueError, match="budget must be in"):
            ErrorBudget("x", wrong)
