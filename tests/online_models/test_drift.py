"""Drift: silent while nothing changes, quick when the click rate does, and one signal a cause."""

import numpy as np
import pytest

from online_models.drift import SeriesDetector
from online_models.drift_cuts import best_cut, scaled_log_loss
from online_models.drift_monitor import DriftMonitor, Hushed
from online_models.drift_signal import DriftSignal


def clicks(rate, n, seed):
    return (np.random.default_rng(seed).random(n) < rate).astype(np.float64)


def fed(detector, values, step=50):
    """(values until the signal, the signal), or (None, None)."""
    for start in range(0, len(values), step):
        signal = detector.update(values[start : start + step], ts=start)
        if signal:
            return start + step, signal
    return None, None


def signal(name="a", cause="c", ts=0, severity="warning"):
    return DriftSignal(name, cause, "adwin", 1.0, 0.5, 100, severity, "docs/runbooks/model-drift.md", ts)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
def test_a_stationary_stream_of_200_000_values_gives_no_signal(rate):
    assert fed(SeriesDetector("click_rate"), clicks(rate, 200_000, seed=1), step=500) == (None, None)


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2])
@pytest.mark.parametrize(("factor", "typical"), [(2.0, 60), (0.5, 150)], ids=["doubled", "halved"])
def test_a_changed_click_rate_is_seen_within_150_expected_clicks_of_the_old_rate(rate, factor, typical):
    delays = []
    for seed in range(9):
        detector = SeriesDetector("click_rate")
        assert fed(detector, clicks(rate, int(2_000 / rate), seed)) == (None, None)
        after, _ = fed(detector, clicks(rate * factor, int(400 / rate), seed + 100))
        delays.append(np.inf if after is None else after * rate)
    assert np.median(delays) <= typical
    assert max(delays) <= 250


def test_the_evidence_says_what_changed_and_when():
    detector = SeriesDetector("click_rate")
    fed(detector, clicks(0.05, 40_000, seed=3))
    _, found = fed(detector, clicks(0.15, 4_000, seed=4))
    assert found.evidence["before"] == pytest.approx(0.05, abs=0.01)
    assert found.evidence["after"] == pytest.approx(0.15, abs=0.06)
    assert found.statistic > found.threshold
    assert found.severity == "critical"


def test_how_the_stream_is_cut_into_batches_does_not_change_when_a_change_is_seen():
    values = np.concatenate([clicks(0.05, 20_000, 1), clicks(0.2, 2_000, 2)])
    seen = [fed(SeriesDetector("x"), values, step)[1].evidence["seen"] for step in (1, 77, 22_000)]
    assert len(set(seen)) == 1


def test_a_falling_log_loss_is_no_reason_to_wake_anybody():
    detector = SeriesDetector("log_loss", direction="up")
    fed(detector, np.full(5_000, 0.3) + clicks(0.5, 5_000, 1) * 0.1)
    assert fed(detector, np.full(5_000, 0.05)) == (None, None)


def test_nothing_is_said_before_the_grace_is_over():
    values = np.concatenate([np.zeros(300), np.ones(300)])
    assert fed(SeriesDetector("x", grace=1_000), values) == (None, None)
    assert fed(SeriesDetector("x", grace=0), values)[1] is not None


def test_values_that_are_not_finite_do_no_harm():
    detector = SeriesDetector("x")
    assert detector.update(np.array([np.nan, np.inf, -np.inf, 0.5]), ts=0) is None
    assert np.isfinite(detector._adwin.estimation)


def test_a_restart_keeps_the_history_that_makes_it_quick():
    old, new = SeriesDetector("x"), SeriesDetector("x")
    fed(old, clicks(0.05, 30_000, seed=5), step=500)
    new.load(old.arrays())
    change = clicks(0.15, 4_000, seed=6)
    assert fed(new, change)[0] == fed(old, change)[0]


def test_log_loss_is_clipped_and_scaled():
    loss = scaled_log_loss(np.array([True, False, True]), np.array([0.0, 0.5, 1.0]))
    assert loss.tolist() == pytest.approx([1.0, np.log(2) / 7, 0.0])


def test_the_cut_is_found_where_the_mean_changed():
    values = np.concatenate([clicks(0.1, 5_000, 1), clicks(0.4, 1_000, 2)])
    assert best_cut(values) == pytest.approx(5_000, abs=60)


@pytest.mark.parametrize("n", range(2, 20))
def test_a_cut_leaves_something_on_both_sides_however_short_the_window(n):
    assert 1 <= best_cut(np.arange(n, dtype=float)) <= n - 1


def test_one_signal_per_cause_and_quiet_period():
    hushed = Hushed(quiet_ms=1_000)
    assert len(hushed.admit([signal("a"), signal("b")])) == 1
    assert hushed.admit([signal("b", ts=999)]) == []
    assert len(hushed.admit([signal("b", ts=1_000), signal("z", cause="other", ts=1_000)])) == 2
    assert hushed.suppressed == 2


def test_the_most_severe_of_a_cause_is_the_one_that_is_told():
    told = Hushed().admit([signal("mild"), signal("bad", severity="critical")])
    assert [s.name for s in told] == ["bad"]


def test_a_storm_is_limited_per_hour():
    hushed = Hushed(quiet_ms=0, per_hour=5)
    told = [s for k in range(50) for s in hushed.admit([signal(cause=str(k), ts=k)])]
    assert len(told) == 5
    assert len(hushed.admit([signal(ts=3_700_000)])) == 1


def test_a_monitor_is_silent_on_200_000_stationary_events_of_all_series():
    rng = np.random.default_rng(7)
    monitor = DriftMonitor(["a", "b", "flag"], reference=5_000, window=2_000)
    told = []
    for k in range(400):
        p = rng.beta(1, 19, 500)
        rows = np.column_stack([rng.normal(size=500), rng.poisson(2, 500), rng.random(500) < 0.1])
        told += monitor.closed(rng.random(500) < p, p, ts=k * 1_000)
        told += monitor.scores(p, ts=k * 1_000)
        told += monitor.rows(rows.astype(np.float32), ts=k * 1_000)
    assert told == []


def test_a_click_rate_that_doubles_gives_one_signal_for_clicks_and_loss_together():
    rng = np.random.default_rng(8)
    monitor = DriftMonitor()
    told = []
    for k in range(120):
        p = np.full(500, 0.05)
        told += monitor.closed(rng.random(500) < p * (1 if k < 100 else 2), p, ts=k * 1_000, surface="home")
    assert [(s.cause, s.severity) for s in told] == [
        ("engagement:home", "critical"),
        ("engagement:home", "info"),  # steady again
    ]
    assert told[0].ts >= 100_000


def test_a_feature_that_moves_is_named_and_then_becomes_the_new_normal():
    rng = np.random.default_rng(9)
    monitor = DriftMonitor(["steady", "moved"], reference=2_000, window=1_000, quiet_ms=0)
    told = []
    for k in range(60):
        rows = rng.normal(size=(500, 2)).astype(np.float32)
        rows[:, 1] += 1.0 if k >= 20 else 0.0
        told += monitor.rows(rows, ts=k)
    assert [(s.name, s.detector) for s in told] == [("psi:moved", "psi"), ("psi:moved", "recovery")]
    assert set(told[0].evidence) == {"moved"}


def test_small_windows_raise_the_bar_so_that_chance_alone_gives_no_signal():
    rng = np.random.default_rng(10)
    monitor = DriftMonitor([f"f{k}" for k in range(20)], reference=100, window=100, quiet_ms=0)
    assert [
        s for k in range(300) for s in monitor.rows(rng.normal(size=(50, 20)).astype(np.float32), ts=k)
    ] == []


def test_surfaces_beyond_the_cap_share_one_series():
    monitor = DriftMonitor(max_surfaces=2)
    for k in range(10):
        monitor.scores(np.array([0.5]), ts=0, surface=f"s{k}")
    assert sorted(monitor.series) == ["score_mean:(other)", "score_mean:s0", "score_mean:s1"]


def test_a_restored_monitor_holds_the_same_series_and_reference():
    rng = np.random.default_rng(11)
    monitor, copy = (DriftMonitor(["x"], reference=500, window=500) for _ in range(2))
    monitor.closed(rng.random(500) < 0.1, np.full(500, 0.1), ts=0, surface="a:b")
    monitor.rows(rng.normal(size=(500, 1)).astype(np.float32), ts=0)
    copy.load(monitor.arrays())
    left, right = monitor.arrays(), copy.arrays()
    assert left.keys() == right.keys()
    assert all(np.array_equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("wrong", [{"delta": 0.0}, {"grace": -1}, {"keep": 0}])
def test_bad_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        SeriesDetector("x", **wrong)
