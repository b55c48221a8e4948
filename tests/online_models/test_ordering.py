"""What is computed in few numpy calls equals what is said in plain words: steps, gradients, unions, ages."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models import mlp
from online_models.base import Interaction, Query
from online_models.candidates import Candidates
from online_models.features import Buckets, FeatureSchema, of_items
from online_models.model import Model
from online_models.ordering import OrderingHead
from online_models.scratch import Uniter
from online_models.sources.covisits import CHANNELS, Covisits

SCHEMA = FeatureSchema.of(["one", "two"])
WIDTH = len(SCHEMA.names)
BUCKETS = Buckets(gap=2, pace=1, length=3)
ROWS = [0, 1 + 2, 1 + 6 + 1, 1 + 12 + 3]
"""Shared weights, then those of the gap, the pace and the length."""


def slate(seed: int, n: int = 12) -> Candidates:
    rng = np.random.default_rng(seed)
    rows = rng.uniform(-5.0, 5.0, (n, WIDTH)).astype(np.float32)
    return Candidates(np.arange(n, dtype=np.int32), rows, np.zeros(n, dtype=np.int8), BUCKETS)


def test_a_step_of_the_linear_part_is_adagrad_with_fading_sums_on_its_four_rows_alone() -> None:
    head = OrderingHead(SCHEMA, floor={}, hidden=0, rate=0.02, half_life=10.0)
    weights, squares = np.zeros((20, WIDTH)), np.ones((20, WIDTH))
    for seed in range(20):
        c = slate(seed)
        scores = c.features.astype(np.float64) @ weights[ROWS].sum(axis=0)
        share = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        gradient = (share - (np.arange(12) == 4)) @ c.features
        squares[ROWS] = 1.0 + (squares[ROWS] - 1.0) * 2.0**-0.1 + gradient**2
        weights[ROWS] -= 0.02 * gradient / np.sqrt(squares[ROWS])
        assert head.learn(c, 4)
    assert head.parameters["linear"] == pytest.approx(weights, rel=1e-3, abs=1e-5)
    assert head.squares["linear"] == pytest.approx(squares, rel=1e-3)


def test_what_is_told_to_others_is_the_sum_of_gradients_and_of_their_squares() -> None:
    one, two = OrderingHead(SCHEMA, floor={}, hidden=4), OrderingHead(SCHEMA, floor={}, hidden=4)
    one.learn(slate(1), 4)
    first = one.take_delta()
    one.learn(slate(2), 3)
    second = one.take_delta()
    two.learn(slate(1), 4)
    two.learn(slate(2), 3)
    both = two.take_delta()
    for name in ("gradient.linear", "squares.deep", "gradient.deep"):
        assert both[name] == pytest.approx(first[name] + second[name], rel=1e-6, abs=1e-7)


def test_the_gradient_of_the_hidden_layer_is_that_of_its_loss() -> None:
    rng = np.random.default_rng(3)
    flat = rng.normal(0.0, 0.5, mlp.size(WIDTH, 3)).astype(np.float32)
    c = slate(5)

    def loss(at: np.ndarray) -> float:
        a = at[: WIDTH * 3].reshape(WIDTH, 3)
        centred = c.features - c.features.mean(axis=0)
        s = np.maximum(centred @ a + at[WIDTH * 3 : -3], 0.0) @ at[-3:]
        return float(np.log(np.exp(s - s.max()).sum()) + s.max() - s[4])

    layer = mlp.Layer(flat, WIDTH, 3)
    added, hidden = layer.forward(c.features)
    error = np.exp(added - added.max()) / np.exp(added - added.max()).sum()
    error[4] -= 1.0
    told = layer.gradient(c.features, hidden, error)
    steps = np.eye(len(flat)) * 1e-5
    expected = [(loss(flat.astype(np.float64) + h) - loss(flat.astype(np.float64) - h)) / 2e-5 for h in steps]
    assert told == pytest.approx(np.array(expected), rel=1e-3, abs=1e-4)


def test_a_feature_that_is_the_same_for_all_candidates_changes_neither_the_order_nor_what_is_learnt() -> None:
    """So that a source which is silent on a stream costs that stream nothing."""
    silent, loud = OrderingHead(SCHEMA, floor={}, hidden=4), OrderingHead(SCHEMA, floor={}, hidden=4)
    for seed in range(20):
        c = slate(seed)
        for head, value in ((silent, 0.0), (loud, -4.6)):
            rows = c.features.copy()
            rows[:, 0] = value
            changed = Candidates(c.ids, rows, c.source, c.buckets)
            assert head.learn(changed, 4)
            told = head.order(changed)
            if head is silent:
                expected = told
        assert told - told.mean() == pytest.approx(expected - expected.mean(), abs=1e-3)
    assert loud.parameters["deep"] == pytest.approx(silent.parameters["deep"], abs=1e-4)


def test_both_parts_learn_from_the_error_of_their_sum() -> None:
    """What the hidden layer has explained is not explained a second time by the linear part."""
    head = OrderingHead(SCHEMA, floor={}, hidden=4, seed=1)
    for seed in range(30):
        head.learn(slate(seed), 4)
    c = slate(99)
    scores = head.order(c)
    share = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    head.take_delta()
    head.learn(c, 7)
    gradient = (share - (np.arange(12) == 7)) @ c.features
    assert head.take_delta()["gradient.linear"][0] == pytest.approx(gradient, rel=1e-3, abs=1e-3)


def test_the_hidden_layer_reads_what_is_logged_and_the_linear_part_all() -> None:
    c = slate(3)
    shares = c.features.copy()
    shares[:, SCHEMA.logged :] += np.arange(24, dtype=np.float32).reshape(12, 2)
    other = Candidates(c.ids, shares, c.source, c.buckets)
    head = OrderingHead(SCHEMA, floor={}, hidden=4, seed=1)
    for seed in range(30):
        head.learn(slate(seed), 4)
    added = [head.order(x) - head.linear(x.features, x.buckets) for x in (c, other)]
    assert added[0] == pytest.approx(added[1], abs=1e-5)
    assert np.abs(head.linear(other.features, BUCKETS) - head.linear(c.features, BUCKETS)).max() > 0.01


Lists = st.lists(st.lists(st.integers(-1, 3_000), max_size=30), min_size=1, max_size=4)


@settings(max_examples=50)
@given(Lists, st.sets(st.integers(0, 3_000), max_size=10))
def test_a_union_is_that_of_sets_and_places_point_into_it(lists: list[list[int]], out: set[int]) -> None:
    arrays = [np.array(ids, dtype=np.int32) for ids in lists]
    uniter = Uniter()
    for _ in range(2):  # nothing is left over from a call
        union, places = uniter.unite(arrays, np.array(sorted(out), dtype=np.int32))
        expected = sorted({i for ids in lists for i in ids} - out - {-1})
        assert union.tolist() == expected
        where = {item: k for k, item in enumerate(expected)}
        assert [at.tolist() for at in places] == [[where.get(i, len(expected)) for i in ids] for ids in lists]


def test_ages_are_counted_in_interactions_and_unknown_items_have_none() -> None:
    model = Model(hidden=0)
    for ts, item in enumerate((3, 5, 3, 700)):
        model.learn_one(Interaction(1, item, ts))
    query = Query(1, (), (), now=9)
    told = of_items(np.array([3, 4, 5, 700, 100_000], dtype=np.int32), query, model._seen, model._ticks)
    np.testing.assert_allclose(told[:, 0], 0.2 * np.log1p([3, 0, 2, 0, 0]), rtol=1e-6)
    np.testing.assert_allclose(told[[0, 2, 3], 1], 0.2 * np.log1p([1, 2, 0]), rtol=1e-6)
    assert told[[1, 4], 1].tolist() == [5.0, 5.0]


def test_what_a_pair_adds_is_the_channel_s_formula_at_its_distance() -> None:
    family = Covisits(width=60)
    recent = tuple(range(1, 41))
    family.learn_one(Interaction(1, 0, 0, recent, recent))
    for distance, item in enumerate(recent, start=1):
        onward, back = family.lists.row(item).get(0), family.lists.row(0).get(item)
        if distance > 20:
            assert (onward, back) == (None, None)
            continue
        close = np.exp(-(distance - 1) / 6)
        reach = float(distance <= CHANNELS[2].span)
        assert onward == pytest.approx((1.0, 1 / distance, reach / distance, close), rel=1e-6)
        assert back == pytest.approx((1.0, 0.0, 0.0, close), rel=1e-6)


def test_learning_from_a_slate_without_the_target_changes_nothing() -> None:
    head = OrderingHead(SCHEMA, floor={}, hidden=4)
    assert not head.learn(slate(1), 99)
    assert head.take_delta() == {}
