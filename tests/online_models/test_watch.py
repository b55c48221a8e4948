"""What is measured before learning: bursts are no drift, late clicks change nothing told, probabilities come right."""

import numpy as np
import pytest

from online_models.drift import SeriesDetector
from online_models.drift_monitor import DriftMonitor
from online_models.labels import Kind, Labelled
from online_models.ranker import ClickRanker
from online_models.watch import QualityWatch

WINDOW = 60_000


def label(kind, ts, features=(0.0,), p=0.1, surface="home", position=0):
    row = np.array(features, dtype=np.float32)
    return Labelled(1, kind, row, "s", position, surface, p, 1.0, ts, served=ts)


def watching(**kwargs):
    return QualityWatch(ClickRanker(["x"]), DriftMonitor(), **kwargs)


def as_they_come(shown, clicked):
    """Labels in order of arrival: a click 2 s after it was shown, the others when their window closes."""
    arrivals = [
        (ts + 2_000, k, label(Kind.POSITIVE, ts)) if hit else (ts + WINDOW, k, label(Kind.NEGATIVE, ts))
        for k, (ts, hit) in enumerate(zip(shown, clicked, strict=True))
    ]
    return [one for _, _, one in sorted(arrivals)]


def test_bursts_of_traffic_at_a_steady_click_rate_are_no_drift():
    rng, watch = np.random.default_rng(0), watching()
    gaps = np.where(np.arange(60_000) // 3_000 % 2, 5_000, 5)  # a burst, then hours of quiet, again and again
    shown = np.cumsum(gaps).tolist()
    naive = SeriesDetector("click_rate")
    alarms = 0
    for one in as_they_come(shown, rng.random(len(shown)) < 0.1):
        watch.observe(one, one.probability)
        alarms += naive.update(np.array([float(one.kind)]), ts=one.ts) is not None
    watch.flush(shown[-1])
    assert watch.take_signals() == []
    assert alarms > 0  # what reads labels as they come cries wolf
    assert watch.quality["home"].get().predicted == pytest.approx(0.1)


def test_a_click_rate_that_doubles_is_told_once():
    rng, watch = np.random.default_rng(1), watching()
    shown = list(range(0, 60_000 * 100, 100))
    rate = np.where(np.arange(60_000) < 40_000, 0.1, 0.2)
    for one in as_they_come(shown, rng.random(len(shown)) < rate):
        watch.observe(one, one.probability)
    told = watch.take_signals()
    assert [(signal.cause, signal.severity) for signal in told] == [
        ("engagement:home", "critical"),
        ("engagement:home", "info"),
    ]
    assert told[0].ts >= 4_000_000
    assert watch.take_signals() == []


def test_clicks_without_any_negatives_are_held_up_to_the_cap():
    watch = watching(max_held=5)
    for k in range(8):
        watch.observe(label(Kind.POSITIVE, k), 0.1)
    assert watch.held == 5
    assert watch.quality["home"].get().n == 3


def test_the_correction_of_a_negative_is_only_counted():
    watch = watching()
    watch.observe(label(Kind.CORRECTION, 5), 0.1)
    assert (watch.corrections, watch.held, watch.quality) == (1, 0, {})


def test_the_calibration_maps_the_heads_log_odds_to_what_was_observed():
    rng, watch = np.random.default_rng(2), watching()
    for k in range(20_000):
        kind = Kind.POSITIVE if rng.random() < 0.2 else Kind.NEGATIVE
        watch.observe(label(kind, k), 0.05)
    head = watch.ranker.logits(np.zeros((1, 1), dtype=np.float32))
    assert watch.calibration.predict(head, "home")[0] == pytest.approx(0.2, abs=0.03)
    assert watch.report.overall().ratio == pytest.approx(0.25, rel=0.1)


def test_features_of_another_schema_are_left_out_of_all_but_the_click_rate():
    watch = watching(batch=1)
    watch.observe(label(Kind.NEGATIVE, 1, features=(1.0, 2.0)), 0.1)
    assert watch.quality["home"].get().n == 1
    assert watch.calibration.refused == 1


def test_surfaces_beyond_the_cap_share_one():
    watch = watching(max_surfaces=2)
    for k in range(6):
        watch.observe(label(Kind.NEGATIVE, k, surface=f"s{k}"), 0.1)
    assert sorted(watch.quality) == ["(other)", "s0", "s1"]
    assert watch.quality["(other)"].get().n == 4


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="must be at least 1"):
        watching(batch=0)
