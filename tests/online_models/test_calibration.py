"""Calibration: predicted over observed comes to one, by decile and by surface, and stays there."""

import math

import numpy as np
import pytest

from online_models.calibration import Calibration, CalibrationReport


def world(n, slope, offset, seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-2.0, 1.2, n)
    return logits, rng.random(n) < 1 / (1 + np.exp(-(slope * logits + offset)))


def taught(calibration, logits, clicked, surface="default"):
    """The probabilities given before each example was learnt."""
    given = np.empty(len(logits))
    for k, (logit, label) in enumerate(zip(logits.tolist(), clicked.tolist(), strict=True)):
        given[k] = calibration.predict(logits[k : k + 1], surface)[0]
        calibration.update(logit, label, surface)
    return given


def test_what_was_never_learnt_is_left_as_it_is():
    assert Calibration().predict(np.array([0.0, 2.0])).tolist() == pytest.approx(
        [0.5, 1 / (1 + math.exp(-2))]
    )


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (0.6, -0.5), (1.4, 0.7), (1.0, -1.5)])
def test_predicted_over_observed_comes_within_the_bounds_overall_and_per_decile(slope, offset):
    logits, clicked = world(60_000, slope, offset)
    given = taught(Calibration(), logits, clicked)
    report = CalibrationReport()
    report.update_many(given[20_000:], clicked[20_000:])
    assert 0.95 < report.overall().ratio < 1.05
    for bucket in report.deciles():
        chance = 3 / math.sqrt(max(bucket.n * bucket.observed, 1))
        assert 0.9 - chance < bucket.ratio < 1.1 + chance


def test_surfaces_have_numbers_of_their_own():
    calibration = Calibration()
    taught(calibration, *world(20_000, 1.0, 1.0), surface="home")
    taught(calibration, *world(20_000, 1.0, -1.0), surface="mail")
    assert calibration.get("home")[1] > 0.5 > -0.5 > calibration.get("mail")[1]
    assert calibration.get("other") == (1.0, 0.0)


def test_it_follows_a_shift_as_quickly_late_as_early():
    calibration = Calibration()
    taught(calibration, *world(60_000, 1.0, 0.0))
    taught(calibration, *world(3_000, 1.0, 1.0, seed=1))
    assert calibration.predict(np.array([-2.0]))[0] == pytest.approx(1 / (1 + math.exp(1)), rel=0.15)


def test_extremes_and_nonsense_do_no_harm():
    calibration = Calibration()
    for logit in (math.nan, math.inf, -math.inf):
        calibration.update(logit, True)
    for _ in range(1_000):
        calibration.update(1e6, False)
        calibration.update(-1e6, True)
    assert calibration.refused == 3
    assert np.isfinite(calibration.predict(np.array([1e9, -1e9]))).all()


def test_surfaces_beyond_the_cap_share_one_pair():
    calibration = Calibration(max_surfaces=2)
    for k in range(10):
        calibration.update(0.0, True, f"s{k}")
    assert calibration.arrays()["values"].shape == (3, 4)
    assert calibration.get("s5") == calibration.get("s9")


def test_a_restored_calibration_continues_identically():
    logits, clicked = world(500, 0.7, 0.2)
    a, b = Calibration(), Calibration()
    taught(a, logits, clicked)
    b.load(a.arrays())
    assert taught(a, logits, clicked).tolist() == taught(b, logits, clicked).tolist()


def test_the_report_finds_a_head_that_is_twice_too_sure():
    rng = np.random.default_rng(1)
    p = rng.beta(2, 20, 20_000)
    report = CalibrationReport()
    report.update_many(2 * p.clip(0, 0.5), rng.random(20_000) < p)
    assert report.overall().ratio == pytest.approx(2.0, rel=0.1)
    assert sum(bucket.n for bucket in report.deciles()) == 20_000


def test_a_report_on_nothing_says_nothing():
    report = CalibrationReport()
    report.update_many(np.array([np.nan, 2.0]), np.array([True, False]))
    assert report.deciles() == []
    assert report.overall().ratio is None


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": 2.0}, {"max_surfaces": 0}])
def test_bad_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        Calibration(**wrong)
