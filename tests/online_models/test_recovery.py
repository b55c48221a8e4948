"""A drift that was told is told to be over, once its series has held still, and where it came to rest."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.drift_cuts import shapes
from online_models.drift_monitor import DriftMonitor
from online_models.drift_signal import DriftSignal
from online_models.recovery import Recovery


def _feed(monitor: DriftMonitor, rate: float, n: int, seed: int, begin: int) -> list[DriftSignal]:
    rng = np.random.default_rng(seed)
    told = []
    for k in range(0, n, 100):
        clicked = rng.random(100) < rate
        told += monitor.closed(clicked, np.full(100, 0.1), ts=begin + k * 1_000)
    return told


def test_a_rate_that_doubled_and_stays_is_told_once_and_then_told_to_be_steady() -> None:
    monitor = DriftMonitor(steady=4_000)
    assert _feed(monitor, 0.1, 20_000, 1, 0) == []
    told = _feed(monitor, 0.2, 20_000, 2, 20_000_000)
    kinds = [(signal.name.split(":")[0], signal.severity) for signal in told]
    assert kinds[0][1] == "critical"
    assert kinds[-1] == (kinds[0][0], "info")
    assert sum(severity == "info" for _, severity in kinds) == 1
    over = told[-1]
    assert over.detector == "recovery"
    assert over.evidence["steady"] >= 4_000
    assert over.evidence["returned"] == 0.0
    assert over.evidence["after"] == pytest.approx(0.2, abs=0.05) or over.name.startswith("log_loss")


def test_a_series_that_was_never_told_is_never_told_to_be_over() -> None:
    monitor = DriftMonitor(steady=1_000)
    assert _feed(monitor, 0.1, 30_000, 3, 0) == []


def test_a_further_change_begins_the_wait_anew() -> None:
    recovery = Recovery(steady=10)
    signal = DriftSignal("a", "a", "adwin", 1.0, 0.1, 5, "warning", "r", 0, {"before": 0.1, "after": 0.9})
    recovery.told([signal])
    still = np.full(6, 0.1)
    assert recovery.watch("a", still, 1, changed=False) == []
    assert recovery.watch("a", still, 2, changed=True) == []
    assert recovery.watch("a", still, 3, changed=False) == []
    (over,) = recovery.watch("a", still, 4, changed=False)
    assert (over.ts, over.evidence["returned"]) == (4, 1.0)
    assert recovery.watch("a", still, 5, changed=False) == []


def test_no_more_series_are_watched_than_allowed() -> None:
    recovery = Recovery(steady=1, most=1)
    for name in ("a", "b"):
        recovery.told([DriftSignal(name, name, "adwin", 1.0, 0.1, 5, "warning", "r", 0)])
    assert recovery.watch("a", np.ones(5), 1, changed=False) == []
    assert len(recovery.watch("b", np.ones(5), 1, changed=False)) == 1


def test_a_histogram_is_told_of_scores_and_not_of_clicks() -> None:
    assert shapes(np.array([0.0, 1.0]), np.array([1.0, 1.0])) == {}
    told = shapes(np.linspace(0, 0.5, 100), np.linspace(0.5, 1.0, 100))
    assert sum(told["older"]) == pytest.approx(1.0)
    assert len(told["edges"]) == len(told["newer"]) + 1


@pytest.mark.parametrize(("steady", "most"), [(0, 1), (1, 0)])
def test_bad_arguments_are_refused(steady: int, most: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Recovery(steady, most)
