"""Waves of the day are no drift; what leaves them is, as early at night as at noon."""

from __future__ import annotations

import numpy as np
import pytest

from bench.drift import Days, delay_h, signals
from online_models.drift import SeriesDetector
from online_models.drift_monitor import DriftMonitor
from online_models.same_hour import Moved, SameHour
from online_models.season import HOUR_MS, DailyProfile


def feed(
    watch: SameHour, hours: range, rate: float, *, wave: float = 0.5, per_hour: int = 3_000, seed: int = 0
) -> list[tuple[int, Moved]]:
    """Clicks in a wave, in six batches an hour; the changes found, with their hour."""
    rng, found = np.random.default_rng(seed), []
    for hour in hours:
        for part in range(6):
            at = hour + (part + 0.5) / 6
            here = rate * (1.0 + wave * np.sin(2 * np.pi * at / 24))
            moved = watch.update((rng.random(per_hour // 6) < here).astype(float), ts=round(at * HOUR_MS))
            if moved is not None:
                found.append((hour, moved))
    return found


def test_a_day_must_be_seen_before_anything_is_expected() -> None:
    profile = DailyProfile()
    for hour in range(24):
        profile.update(np.full(100, 0.1), hour * HOUR_MS)
        assert not profile.ready and profile.expected(hour * HOUR_MS) == 0.0
    profile.update(np.full(100, 0.1), 24 * HOUR_MS)
    assert profile.ready and profile.expected(30 * HOUR_MS) == pytest.approx(0.1)


def test_what_lies_between_hours_is_interpolated() -> None:
    profile = DailyProfile(prior=1e-6)
    for hour in range(25):
        profile.update(np.full(1_000, 0.2 if hour % 24 == 12 else 0.1), hour * HOUR_MS)
    at = [profile.expected(round((24 + x) * HOUR_MS)) for x in (11.5, 12.0, 12.5, 13.0)]
    assert at == pytest.approx([0.1, 0.15, 0.2, 0.15])


def test_an_hour_that_rests_on_little_is_drawn_towards_the_day() -> None:
    profile = DailyProfile(prior=20.0)
    for hour in range(25):
        profile.update(np.ones(2) if hour % 24 == 3 else np.full(1_000, 0.1), hour * HOUR_MS)
    assert 0.1 < profile.expected(round(27.5 * HOUR_MS)) < 0.13, (
        "two clicks of two impressions are no night of 100 %"
    )


def test_a_night_without_traffic_is_no_night_without_clicks() -> None:
    watch = SameHour()
    for day in range(4):
        assert feed(watch, range(24 * day + 8, 24 * day + 20), 0.1, wave=0.0, seed=day) == []
    assert watch.ready


def test_a_wave_that_halves_every_night_is_no_change() -> None:
    assert feed(SameHour(), range(24 * 8), 0.05) == []


@pytest.mark.parametrize("begins", [24 * 4 + 6, 24 * 4 + 18], ids=["at the height", "at the depth"])
@pytest.mark.parametrize(("factor", "within_clicks"), [(0.8, 2_500), (0.5, 500), (1.5, 500)])
def test_a_change_is_seen_within_a_number_of_expected_clicks_whatever_the_hour(
    begins: int, factor: float, within_clicks: int
) -> None:
    watch = SameHour()
    assert feed(watch, range(begins), 0.05) == []
    _, moved = feed(watch, range(begins, begins + 48), 0.05 * factor, seed=1)[0]
    assert moved.expected * moved.values < within_clicks
    assert moved.ratio == pytest.approx(factor, rel=0.15)
    assert abs(moved.seen - moved.expected) > 0.9 * moved.bound


def test_what_has_moved_for_good_is_told_once() -> None:
    watch = SameHour()
    feed(watch, range(24 * 4), 0.05)
    assert len(feed(watch, range(24 * 4, 24 * 9), 0.04, seed=2)) == 1


def test_a_restart_goes_on_where_it_was() -> None:
    one, other = SameHour(), SameHour()
    feed(one, range(24 * 3 + 5), 0.05)
    other.load(one.arrays())
    later = range(24 * 3 + 5, 24 * 3 + 20)
    assert feed(other, later, 0.03, seed=3) == feed(one, later, 0.03, seed=3) != []
    SameHour().load({})  # of a snapshot from before


def test_the_signal_says_what_is_usual_at_this_hour_and_what_was_seen() -> None:
    detector = SeriesDetector("click_rate", direction="both")
    rng = np.random.default_rng(5)
    told = []
    for hour in range(24 * 4):
        rate = 0.1 * (1.0 + 0.2 * np.sin(2 * np.pi * hour / 24)) * (0.7 if hour >= 80 else 1.0)
        told.append(detector.update((rng.random(2_000) < rate).astype(float), ts=hour * HOUR_MS))
    assert not any(told[:80])
    signal = next(filter(None, told))
    assert (signal.detector, signal.severity) == ("same_hour", "critical")
    assert signal.evidence["after"] / signal.evidence["before"] == pytest.approx(0.7, abs=0.1)
    assert signal.statistic > 0.0 and signal.window == signal.evidence["newer"]


def test_more_series_make_each_of_them_harder_to_alarm() -> None:
    few, many = (DriftMonitor(expected_series=n)._detector("click_rate", "c", "s", "both") for n in (3, 300))
    assert many.same_hour.limit == pytest.approx(few.same_hour.limit + np.log(100.0))


def test_a_week_of_waves_days_and_bursts_gives_at_most_one_false_alarm() -> None:
    assert [len(signals(Days(1_800), seed)) <= 1 for seed in range(3)] == [True] * 3


def test_a_fall_of_the_click_rate_by_a_fifth_is_seen_within_two_days_at_1_800_impressions_an_hour() -> None:
    delays = [delay_h(1_800, seed) for seed in range(3)]
    assert all(delay is not None and delay < 48.0 for delay in delays), delays
