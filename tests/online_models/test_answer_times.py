"""Answer times as histograms: they add up, and bounds of their quantiles hold however often one looks."""

from __future__ import annotations

import numpy as np
import pytest

from online_models import answer_times
from online_models.answer_times import Counts, bounds, bucket, quantile


def histogram(ms: np.ndarray) -> Counts:
    counts = answer_times.none()
    np.add.at(counts, [bucket(float(one)) for one in ms], 1)
    return counts


def test_quantiles_are_those_of_the_answers_within_a_bucket() -> None:
    ms = np.random.default_rng(0).lognormal(1.0, 0.8, 20_000)
    for p in (0.5, 0.95, 0.99):
        assert quantile(histogram(ms), p) == pytest.approx(np.quantile(ms, p), rel=0.05)


@pytest.mark.parametrize("p", [0.5, 0.95])
def test_bounds_hold_at_every_look_at_once(p: float) -> None:
    """By the theorem at most a tenth of the streams leave them at any time."""
    rng, left = np.random.default_rng(1), 0
    truth = float(np.exp(1.0 + 0.8 * {0.5: 0.0, 0.95: 1.6449}[p]))
    for _ in range(200):
        counts = answer_times.none()
        for ms in rng.lognormal(1.0, 0.8, (40, 25)):
            counts += histogram(ms)
            low, high = bounds(counts, p, 0.1)
            if not low <= truth <= high:
                left += 1
                break
    assert left / 200 <= 0.1


def test_bounds_come_together() -> None:
    ms = np.random.default_rng(2).lognormal(1.0, 0.8, 50_000)
    low, high = bounds(histogram(ms), 0.95, 0.01)
    assert 0.85 < low / np.quantile(ms, 0.95) < 1.0 < high / np.quantile(ms, 0.95) < 1.15


@pytest.mark.parametrize("said", [{"80": 1}, {"-1": 1}, {"3": -2}, {"x": 1}])
def test_a_histogram_that_is_none_is_refused(said: dict[str, int]) -> None:
    with pytest.raises(ValueError):
        answer_times.read(said)
