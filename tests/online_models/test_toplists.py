"""Pruned lists of neighbours: sums are exact until a row is full, memory is bounded, what fades is forgotten."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.toplists import TopLists

Pairs = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 20)).filter(lambda p: p[0] != p[1]), max_size=80
)


def learn(lists: TopLists, pairs: list[tuple[int, int]]) -> None:
    for a, b in pairs:
        lists.visit(b)
        lists.room(max(a, b))
        weight = lists.unit.astype(np.float32)[None, :]
        lists.link(b, np.array([a]), weight, weight)


@given(Pairs)
def test_with_room_for_all_every_weight_equals_a_plain_decayed_recount(pairs: list[tuple[int, int]]) -> None:
    lists = TopLists(width=50, half_lives=[5.0, 1e9])
    learn(lists, pairs)
    expected: dict[tuple[int, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for age, (a, b) in enumerate(reversed(pairs)):
        for key in ((a, b), (b, a)):
            expected[key][0] += 2.0 ** (-age / 5.0)
            expected[key][1] += 1.0
    for item in range(21):
        row = lists.row(item)
        assert set(row) == {b for a, b in expected if a == item}
        for other, weights in row.items():
            assert weights == pytest.approx(expected[item, other], rel=1e-4)


@given(Pairs, st.integers(1, 4))
def test_a_row_never_holds_more_than_its_width_nor_a_neighbour_twice(
    pairs: list[tuple[int, int]], width: int
) -> None:
    lists = TopLists(width=width, half_lives=[100.0])
    learn(lists, pairs)
    assert lists.arrays()["ids"].shape[1] == width
    for row in lists.arrays()["ids"]:
        held = row[row > 0].tolist()
        assert len(held) == len(set(held)) <= width


@given(Pairs, st.integers(1, 4))
def test_growing_keeps_every_row_and_nothing_else(pairs: list[tuple[int, int]], width: int) -> None:
    lists, size = TopLists(width=width, half_lives=[100.0, 5.0]), 256
    learn(lists, pairs)
    lists.drop(3)
    before = lists.arrays()
    lists.room(1_000)
    after = lists.arrays()
    for name in ("ids", "weights", "used"):
        assert len(after[name]) == 1_001
        np.testing.assert_array_equal(after[name][:size], before[name])
        assert not after[name][size:].any()


def test_a_full_row_gives_up_its_weakest_neighbour_also_when_several_come_at_once() -> None:
    lists = TopLists(width=3, half_lives=[1e9])
    lists.link(0, np.array([1, 2, 3]), np.zeros((3, 1), np.float32), np.float32([[5.0], [1.0], [3.0]]))
    lists.link(0, np.array([3, 8]), np.zeros((2, 1), np.float32), np.float32([[1.0], [1.0]]))
    assert lists.row(0) == {1: (5.0,), 3: (4.0,), 8: (1.0,)}


@settings(max_examples=20)
@given(Pairs)
def test_moving_the_landmark_changes_no_weight(pairs: list[tuple[int, int]]) -> None:
    lists = TopLists(width=50, half_lives=[5.0])
    learn(lists, pairs)
    before = {i: lists.row(i) for i in range(21)}
    lists._rescale()
    for item, row in before.items():
        for other, weights in row.items():
            assert lists.row(item)[other] == pytest.approx(weights, rel=1e-5)


def test_weights_stay_finite_through_a_hundred_thousand_interactions_of_a_short_half_life() -> None:
    lists = TopLists(width=4, half_lives=[10.0])
    for k in range(100_000 // 50):
        lists.unit *= 2.0 ** (50 / 10.0)
        learn(lists, [(k % 5, (k + 1) % 5)])
    assert np.isfinite(lists.weights).all()
    assert np.isfinite(lists.visits).all()
    assert lists.unit.max() < 2.0**70


@pytest.mark.parametrize(("width", "half_lives"), [(0, [1.0]), (1, []), (1, [0.0])])
def test_settings_out_of_range_are_refused(width: int, half_lives: list[float]) -> None:
    with pytest.raises(ValueError, match="width must be at least 1"):
        TopLists(width, half_lives)
