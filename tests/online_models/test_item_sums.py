"""Sums of what came and what was expected: of one item as of many, in any order, whoever saw what."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from online_models.item_sums import ItemSums

slots = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 3 * 256_000), st.booleans(), st.floats(0.01, 0.99)),
    max_size=30,
)


def held(told: list[tuple[int, int, bool, float]]) -> ItemSums:
    sums = ItemSums(half_life_ms=1_000, items=8)
    for item, ts, came, expected in told:
        sums.add(item, ts=ts, shown=1.0, observed=float(came), expected=expected)
    return sums


@given(slots, st.integers(0, 4 * 256_000))
def test_one_item_reads_as_it_does_among_many(told: list[tuple[int, int, bool, float]], now: int) -> None:
    sums = held(told)
    ids = np.arange(12, dtype=np.int32)
    one_by_one = [sums.factor(int(i), now, 2.0) for i in ids]
    np.testing.assert_allclose(sums.factors(ids, now, 2.0), one_by_one, rtol=1e-12)


@given(slots, st.integers(0, 30))
def test_two_that_tell_each_other_hold_what_one_who_saw_all_does(
    told: list[tuple[int, int, bool, float]], cut: int
) -> None:
    a, b, alone = held(told[:cut]), held(told[cut:]), held(told)
    for of, other in ((a, b), (b, a)):
        delta = of.take_delta()
        assert other.harmless(delta)
        other.merge(delta)
    now = 3 * 256_000
    for sums in (a, b):
        assert sums.total(now) == pytest.approx(alone.total(now), rel=1e-9)


def test_items_beyond_the_most_count_in_the_total_alone() -> None:
    sums = held([(9, 0, True, 0.5), (1, 0, True, 0.5)])
    assert sums.total(0) == (2.0, 1.0, 2.0)
    assert sums.factor(9, 0, 1.0) == 1.0 < sums.factor(1, 0, 1.0)


def test_what_one_delta_has_no_room_for_is_told_by_the_next() -> None:
    told = [(k % 8, 0, k % 3 == 0, 0.5) for k in range(24)]
    sums, other = held(told), ItemSums(half_life_ms=1_000, items=8)
    sizes = []
    while sums.has_untold:
        delta = sums.take_delta(most=4)
        sizes.append(len(delta["rows"]))
        other.merge(delta)
    assert sizes == [4, 4, 1]
    ids = np.arange(8, dtype=np.int32)
    np.testing.assert_array_equal(other.factors(ids, 0, 2.0), sums.factors(ids, 0, 2.0))
    assert other.total(0) == sums.total(0)
