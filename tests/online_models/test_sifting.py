"""From scores to a table of features: the compiled passes against numpy's own words."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models import features
from online_models.base import Query
from online_models.kernels import gather
from online_models.kernels import sifting as kernel

Seeds = st.integers(0, 10_000)
Sizes = st.integers(0, 60)
Few = st.lists(st.sampled_from([0.0, 1.0, 2.5, 0.1, float("inf"), float("nan"), -1.0]), max_size=30)


def scored(seed: int, n: int, sources: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    scores = rng.random((sources, n)) * (rng.random((sources, n)) < 0.4)
    scores[rng.integers(sources)] = 0.0  # silent
    return scores.astype(np.float32)


def told(seed: int, n: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 8)).astype(np.float32)


@given(Seeds, Sizes)
def test_shares_are_of_the_highest_of_each_source(seed: int, n: int) -> None:
    every, which = scored(seed, n), np.flatnonzero(np.random.default_rng(seed).random(n) < 0.7)
    scores = every[:, which]
    highest = np.maximum(scores.max(axis=1, initial=0.0), np.float32(1e-30))
    np.testing.assert_array_equal(features.shares(every, which), scores / highest[:, None])


@given(st.lists(st.integers(0, 30), max_size=50), st.sets(st.integers(0, 40)), Seeds)
def test_what_is_told_of_items_is_as_the_history_and_the_stream_have_it(
    recent: list[int], ids: set[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    last = rng.integers(-1, 500, 35)
    seen = np.stack([np.minimum(rng.integers(0, 500, 35), last), last], axis=1)
    items = np.array(sorted(ids), dtype=np.int32)
    out = features.of_items(items, Query(1, tuple(recent), (0,) * len(recent), 0), seen, 500)
    for row, item in zip(out, items.tolist(), strict=True):
        first, last = seen[item] if item < len(seen) else (-1, -1)
        place = recent.index(item) if item in recent else None
        want = [
            0.2 * np.log(501 - first) if first >= 0 else 0.0,
            0.2 * np.log(501 - last) if last >= 0 else 5.0,
            place is not None,
            0.0 if place is None else 1 / (1 + place),
            place == 0,
            place == 1,
            np.log1p(max(recent.count(item) - 1, 0)),
            1.0,
        ]
        np.testing.assert_allclose(row, np.minimum(want, 5.0), rtol=1e-6)


@given(Seeds, Sizes)
def test_worth_is_the_table_of_features_times_the_weights(seed: int, n: int) -> None:
    share, of_item = features.shares(scored(seed, n), np.arange(n)), told(seed, n)
    logs = features.logarithms(share)
    np.testing.assert_array_equal(logs, np.log(share + np.float32(0.01)))
    table, source = features.table(np.arange(n), share, logs, of_item)
    np.testing.assert_array_equal(table, np.concatenate([logs.T, of_item, share.T], axis=1))
    np.testing.assert_array_equal(source, share.argmax(axis=0))
    weights = np.random.default_rng(seed).normal(size=table.shape[1]).astype(np.float32)
    np.testing.assert_allclose(features.worth(weights, share, logs, of_item), table @ weights, atol=1e-4)
    some = np.flatnonzero(np.random.default_rng(seed).random(n) < 0.5)
    np.testing.assert_array_equal(features.table(some, share, logs, of_item)[0], table[some])


@given(Few, st.integers(0, 8))
def test_the_highest_of_a_source_are_lifted_ties_to_the_first(scores: list[float], n: int) -> None:
    values = np.zeros(len(scores), dtype=np.float32)
    kernel.lift(values, np.array(scores, dtype=np.float32), n)
    order = sorted((-s, k) for k, s in enumerate(scores) if 0 < s < np.inf)[:n]
    assert np.flatnonzero(np.isinf(values)).tolist() == sorted(k for _, k in order)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=30), st.data())
def test_what_is_kept_are_the_highest_ties_to_the_first(values: list[int], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(values)))
    cut = sorted(values)[-n]
    rows = kernel.kept(np.array(values, dtype=np.float32), cut, n)
    assert rows.tolist() == sorted(sorted(range(len(values)), key=lambda k: (-values[k], k))[:n])


@given(st.lists(st.integers(0, 12), max_size=10, unique=True), Seeds)
def test_what_is_said_is_put_in_its_place_and_left_out_beyond_the_end(at: list[int], seed: int) -> None:
    said, out = scored(seed, len(at), 2), np.zeros((2, 9), dtype=np.float32)
    gather.put(np.array(at, dtype=np.intp), said, out)
    want = np.zeros((2, 13), dtype=np.float32)
    want[:, at] = said
    np.testing.assert_array_equal(out, want[:, :9])
