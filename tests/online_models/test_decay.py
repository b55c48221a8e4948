"""Forward decay: order does not matter, late events land right, nothing overflows."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.decay import WINDOW, DecayedCounter, landmark, read, weight

HALF_LIFE = 1_000
events = st.lists(
    st.tuples(st.integers(0, 3 * WINDOW * HALF_LIFE), st.floats(0.01, 100.0)), min_size=1, max_size=40
)


def filled(pairs, half_life=HALF_LIFE):
    counter = DecayedCounter(half_life)
    for ts, value in pairs:
        counter.update(ts, value)
    return counter


def direct(pairs, now, half_life=HALF_LIFE):
    return math.fsum(value * 2.0 ** (-(now - ts) / half_life) for ts, value in pairs)


def test_an_event_is_worth_half_after_one_half_life():
    assert filled([(5_000, 1.0)]).get(now=6_000) == pytest.approx(0.5, rel=1e-12)


def test_a_late_event_weighs_what_it_would_have_weighed_in_time():
    late = filled([(9_000, 1.0), (4_000, 1.0)])
    assert late.get(10_000) == pytest.approx(filled([(4_000, 1.0), (9_000, 1.0)]).get(10_000), rel=1e-12)


def test_an_event_just_before_a_landmark_still_counts_just_after_it():
    edge = WINDOW * HALF_LIFE
    counter = filled([(edge - 1, 1.0), (edge, 1.0)])
    assert counter.get(edge) == pytest.approx(2.0, rel=1e-3)


def test_two_windows_are_kept_and_no_more():
    counter = filled([(k * WINDOW * HALF_LIFE, 1.0) for k in range(10)])
    assert len(counter.sums) == 2


@given(events)
def test_a_read_equals_the_direct_computation(pairs):
    now = max(ts for ts, _ in pairs)
    assert filled(pairs).get(now) == pytest.approx(direct(pairs, now), rel=1e-9)


@given(events, st.randoms(use_true_random=False))
def test_order_does_not_matter(pairs, random):
    now = max(ts for ts, _ in pairs) + 17
    shuffled = list(pairs)
    random.shuffle(shuffled)
    assert filled(shuffled).get(now) == pytest.approx(filled(pairs).get(now), rel=1e-9)


@given(events, st.integers(0, 40))
def test_partial_sums_merge_to_the_whole(pairs, cut):
    now = max(ts for ts, _ in pairs)
    merged = filled(pairs[:cut])
    merged.merge(filled(pairs[cut:]))
    assert merged.get(now) == pytest.approx(filled(pairs).get(now), rel=1e-9)


@given(st.integers(0, 4_102_444_800_000), st.integers(1, 10**11))
def test_no_time_and_no_half_life_overflows(ts, half_life):
    mark = landmark(ts, half_life)
    factor = weight(ts, mark, half_life)
    assert 1.0 <= factor <= 2.0**WINDOW
    assert math.isfinite(read({mark: factor * 1e12}, 0, half_life))


def test_a_restored_counter_reads_the_same():
    counter, copy = filled([(5_000, 2.0), (WINDOW * HALF_LIFE, 1.0)]), DecayedCounter(HALF_LIFE)
    copy.load(counter.arrays())
    assert copy.get(300_000) == counter.get(300_000)


def test_a_half_life_below_one_millisecond_is_refused():
    with pytest.raises(ValueError, match="half_life must be at least 1"):
        DecayedCounter(0)
