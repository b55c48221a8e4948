"""Calibration: predicted over observed comes to one, by decile and by surface, and stays there."""

import math

import numpy as np
import pytest

from online_models.calibration import Calibration, CalibrationReport, combined


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


def too_sure_at_the_bottom(n, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-2.5, 1.5, n)
    truth = np.where(logits < -4.0, -4.0 + 0.2 * (logits + 4.0), logits)
    return logits, rng.random(n) < 1 / (1 + np.exp(-truth))


def test_a_head_too_sure_of_its_lowest_alone_is_mended_where_no_line_could():
    calibration, report, head = Calibration(), CalibrationReport(), CalibrationReport()
    for logit, clicked in zip(*too_sure_at_the_bottom(40_000, 4), strict=True):
        calibration.update(float(logit), bool(clicked))
    logits, clicked = too_sure_at_the_bottom(100_000, 6)
    head.update_many(1 / (1 + np.exp(-logits)), clicked)
    report.update_many(calibration.predict(logits), clicked)
    assert head.deciles()[0].ratio < 0.5
    assert report.deciles()[0].ratio > 0.75
    assert 0.9 < report.overall().ratio < 1.1


def test_a_position_the_head_is_wrong_about_is_mended_by_itself():
    rng = np.random.default_rng(5)
    calibration, right = Calibration(), 1 / (1 + np.exp(2.0))
    for _ in range(20_000):
        position = int(rng.integers(0, 4))
        calibration.update(-2.0, rng.random() < right * (0.5 if position == 2 else 1.0), "home", position)
    given = calibration.predict(np.full(4, -2.0), "home", np.arange(4))
    assert given == pytest.approx([right, right, right / 2, right], rel=0.1)
    assert calibration.predict(np.array([-2.0]), "home", 900)[0] > 0.0


def test_what_several_workers_saw_of_a_bend_adds_up():
    one, other, both = Calibration(), Calibration(), Calibration()
    for k in range(8_000):
        (one if k % 2 else other).update(-5.0, k % 20 < 2, "home", 3)
    both.load(combined([one.arrays(), other.arrays()]))
    sums = one.arrays()["bends"] + other.arrays()["bends"]
    assert both.arrays()["bends"].tolist() == sums.tolist()
    assert sums.sum() > 0


def test_a_calibration_stored_before_bends_is_read_as_a_line():
    calibration = Calibration()
    taught(calibration, *world(2_000, 1.0, 1.0))
    stored = {name: array for name, array in calibration.arrays().items() if name != "bends"}
    old = Calibration()
    old.load(stored)
    a, b = calibration.get()
    line = 1 / (1 + np.exp(-(a * -1.0 + b)))
    assert old.predict(np.array([-1.0]), "default", 3)[0] == pytest.approx(line)


def test_a_calibration_that_saw_nothing_can_be_told_and_heard():
    empty = Calibration()
    empty.load(combined([Calibration().arrays()]))
    assert empty.predict(np.array([0.0]), "home", 2).tolist() == [0.5]


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
