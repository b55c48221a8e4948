"""Intervals for policies that learn while they log: they hold at all times at once, where the usual one does not."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.ope.sequence import at_any_time, lower_bound

ARMS = np.array([0.05, 0.1, 0.3])
"""Click rate of each of three items."""
TARGET = np.array([0.2, 0.2, 0.6])
TRUTH = float(ARMS @ TARGET)


def adaptive(rng: np.random.Generator, slates: int) -> tuple[np.ndarray, np.ndarray]:
    """One slot, drawn by a softmax of the click rates so far with a floor: weights and clicks in order of time."""
    shown, clicked = np.ones(3), np.full(3, 0.5)
    weights, clicks = np.zeros((slates, 1)), np.zeros((slates, 1))
    for t in range(slates):
        odds = np.exp(20.0 * clicked / shown)
        p = 0.7 * odds / odds.sum() + 0.1
        item = int(rng.choice(3, p=p))
        weights[t], clicks[t] = TARGET[item] / p[item], rng.random() < ARMS[item]
        shown[item] += 1.0
        clicked[item] += clicks[t, 0]
    return weights, clicks


def test_the_truth_is_held_at_every_look_of_a_log_that_learns() -> None:
    rng, left = np.random.default_rng(0), 0
    for _ in range(100):
        weights, clicks = adaptive(rng, 1_500)
        looks = [at_any_time(weights[:t], clicks[:t]) for t in range(50, 1_501, 50)]
        left += not all(told.low <= TRUTH <= told.high for told in looks)
    assert left / 100 <= 0.05


def test_the_interval_closes_in_on_the_truth() -> None:
    weights, clicks = adaptive(np.random.default_rng(1), 20_000)
    told = at_any_time(weights, clicks)
    assert told.low <= TRUTH <= told.high
    assert told.high - told.low < 0.05


def test_slots_add_up_to_clicks_a_slate() -> None:
    rng = np.random.default_rng(2)
    clicks = (rng.random((20_000, 4)) < 0.2).astype(float)
    told = at_any_time(np.ones((20_000, 4)), clicks)
    assert told.low < 0.8 < told.high
    assert told.high - told.low < 0.1


def test_one_huge_weight_moves_the_lower_bound_up_by_little_and_breaks_nothing() -> None:
    x = np.full(1_000, 0.1)
    x[500] = 200.0
    assert lower_bound(x, 0.05) < 0.3


@pytest.mark.parametrize(("weight", "level"), [(-1.0, 0.95), (1.0, 0.0), (1.0, 1.0)])
def test_what_cannot_be_is_refused(weight: float, level: float) -> None:
    with pytest.raises(ValueError):
        at_any_time(np.full((3, 1), weight), np.zeros((3, 1)), level=level)
