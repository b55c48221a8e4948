"""Examination: the known curve of a simulated world is recovered from swaps, where clicks by slot mislead."""

import numpy as np
import pytest

from online_models.examination import Examination

SLOTS = 8


def simulated(curve, requests, seed, share=0.01, attraction=None):
    """A nearly deterministic ranker: better items stand higher, a share of requests swaps one adjacent pair."""
    rng = np.random.default_rng(seed)
    examination = Examination(slots=SLOTS)
    rates = np.linspace(0.5, 0.15, SLOTS) if attraction is None else attraction
    swaps = rng.multinomial(int(requests * share), np.full(SLOTS - 1, 1 / (SLOTS - 1)))
    plain = requests - swaps.sum()
    for slot in range(SLOTS):
        examination.add("home", slot, int(plain), int(rng.binomial(plain, curve[slot] * rates[slot])))
    for pair, n in enumerate(swaps.tolist()):
        for slot, item in ((pair, pair + 1), (pair + 1, pair)):
            examination.add("home", slot, n, int(rng.binomial(n, curve[slot] * rates[item])), swapped=pair)
    return examination


@pytest.mark.parametrize(
    "curve",
    [
        np.arange(1, SLOTS + 1) ** -1.0,
        np.arange(1, SLOTS + 1) ** -0.5,
        1 / np.log2(np.arange(2, SLOTS + 2)),
        np.array([1.0, 0.9, 0.85, 0.4, 0.35, 0.3, 0.28, 0.25]),  # a fold in the page after the third slot
    ],
    ids=["1/k", "1/sqrt(k)", "1/log", "fold"],
)
def test_a_known_curve_is_recovered_within_10_percent(curve):
    errors = [
        np.abs(simulated(curve, 1_000_000, seed, share=0.05).curve("home") / curve - 1) for seed in range(8)
    ]
    assert np.median(errors, axis=0).max() < 0.10


def test_one_percent_of_swaps_is_enough_on_a_smooth_curve():
    curve = np.arange(1, SLOTS + 1) ** -0.7
    errors = [np.abs(simulated(curve, 1_000_000, seed).curve("home") / curve - 1) for seed in range(8)]
    assert np.median(errors, axis=0).max() < 0.10


def test_clicks_by_slot_alone_miss_it_by_far():
    curve = np.arange(1, SLOTS + 1) ** -0.5
    by_slot = curve * np.linspace(0.5, 0.15, SLOTS) / 0.5
    assert abs(by_slot[-1] / curve[-1] - 1) > 0.5


def test_without_swaps_nothing_is_claimed():
    examination = Examination(slots=3)
    examination.add("home", 0, 1_000, 100)
    examination.add("home", 1, 1_000, 10)
    assert examination.curve("home").tolist() == [1.0, 1.0, 1.0]
    assert examination.curve("elsewhere").tolist() == [1.0, 1.0, 1.0]


def test_one_by_one_equals_many_at_once():
    one, many = Examination(slots=3), Examination(slots=3)
    for k in range(50):
        one.update("home", 1, k < 7, swapped=0)
    many.add("home", 1, 50, 7, swapped=0)
    assert (one.arrays()["counts"] == many.arrays()["counts"]).all()


def test_slots_outside_the_swapped_pair_and_beyond_the_last_are_left_out():
    examination = Examination(slots=3)
    examination.add("home", 2, 10, 1, swapped=0)
    examination.add("home", 5, 10, 1)
    assert examination.arrays()["counts"].sum() == 0


def test_surfaces_beyond_the_cap_are_counted_and_left_out():
    examination = Examination(max_surfaces=1)
    examination.update("a", 0, True)
    examination.update("b", 0, True)
    assert examination.overflow == 1


def test_a_restored_one_reads_the_same():
    examination, copy = simulated(np.ones(SLOTS), 10_000, 1), Examination(slots=SLOTS)
    copy.load(examination.arrays())
    assert copy.curve("home").tolist() == examination.curve("home").tolist()


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="slots must be at least 2"):
        Examination(slots=1)
