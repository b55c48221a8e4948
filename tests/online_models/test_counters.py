"""Item counters: what memory holds is what the writes say, and partials add up to the whole."""

from collections import Counter

import numpy as np
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from online_models.counters import CounterBatch, ItemCounters
from online_models.decay import WINDOW

HALF_LIFE = 1_000
events = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.sampled_from(["impression", "click", "like"]),
        st.integers(0, 2 * WINDOW * HALF_LIFE - 1),
        st.sampled_from(["home", "a:b"]),
    ),
    max_size=60,
)


def batch_of(rows):
    batch = CounterBatch(HALF_LIFE, strengths={"click": 1.0, "like": 2.0})
    for item, action, ts, surface in rows:
        batch.action(item, action, ts, surface)
    return batch


def counters_of(*batches, **kwargs):
    counters = ItemCounters(HALF_LIFE, **kwargs)
    for batch in batches:
        counters.apply(batch)
    return counters


def same(a, b):
    left, right = a.arrays(), b.arrays()
    assert left.keys() == right.keys()
    for name in left.keys() - {"surfaces"}:
        size = max(len(left[name]), len(right[name]))
        pad = [np.pad(x[name], (0, size - len(x[name]))) for x in (left, right)]
        np.testing.assert_allclose(pad[0], pad[1], rtol=1e-9)
    assert a.surfaces == b.surfaces


def test_a_click_and_an_impression_make_the_writes_one_expects():
    writes = batch_of([(3, "impression", 0, "home"), (3, "click", HALF_LIFE, "home")]).writes()
    assert ("HINCRBY", "n:click", 3, 1) in writes
    assert ("ZINCRBY", "trend:home:0", 2.0, 3) in writes


def test_disliked_items_do_not_trend():
    batch = CounterBatch(HALF_LIFE, strengths={"click": 1.0, "not_interested": -1.0})
    batch.action(1, "not_interested", 5, "home")
    assert not batch.trend


def test_windows_that_are_read_no_more_are_deleted():
    writes = batch_of([(3, "click", 2 * WINDOW * HALF_LIFE, "home")]).writes()
    assert ("DEL", "d:click:0") in writes
    assert ("DEL", "trend:home:0") in writes


def test_trending_prefers_what_was_clicked_lately_and_breaks_ties_by_id():
    counters = counters_of(
        batch_of([(9, "click", 0, "home")] * 3 + [(k, "click", 5_000, "home") for k in (4, 2)])
    )
    ids, scores = counters.trending("home", now=5_000, n=3)
    assert ids.tolist() == [2, 4, 9]
    assert scores.tolist() == pytest.approx([1.0, 1.0, 3 / 32])


def test_the_click_rate_of_an_unknown_item_is_that_of_its_surface():
    rows = [(1, "impression", 0, "home")] * 900 + [(1, "click", 0, "home")] * 90
    counters = counters_of(batch_of(rows))
    known, unknown = counters.click_rate(np.array([1, 5], dtype=np.int32), surface="home")
    assert unknown == pytest.approx(counters.surface_rate("home"))
    assert known == pytest.approx(0.1, rel=0.02)


def test_an_item_beyond_the_cap_is_left_out_and_counted():
    counters = counters_of(batch_of([(10, "click", 0, "home")]), max_items=10)
    assert counters.get(10, "click") == 0
    assert counters.overflow == 3


def test_reading_the_unknown_inserts_nothing():
    counters = ItemCounters(HALF_LIFE)
    items = np.array([5_000_000, -1], dtype=np.int32)
    assert counters.fading(items, "click", 10).tolist() == [0.0, 0.0]
    assert counters.trending("nowhere", 10, 5)[0].tolist() == []
    assert len(counters.arrays()) == 1


@given(events)
@settings(max_examples=50)
def test_exact_counts_equal_a_recount(rows):
    counters = counters_of(batch_of(rows))
    recount = Counter((item, action) for item, action, _, _ in rows)
    assert all(counters.get(item, action) == n for (item, action), n in recount.items())
    assert sum(counters.exact(np.arange(31), "click")) == sum(
        n for (_, a), n in recount.items() if a == "click"
    )


@given(events, st.integers(0, 60))
@settings(max_examples=50)
def test_partials_of_two_partitions_merge_to_the_whole(rows, cut):
    merged = counters_of(batch_of(rows[:cut]))
    merged.merge(counters_of(batch_of(rows[cut:])))
    same(merged, counters_of(batch_of(rows)))


@given(events)
@settings(max_examples=50)
def test_replaying_the_writes_gives_what_memory_holds(rows):
    batch = batch_of(rows)
    replayed = ItemCounters(HALF_LIFE)
    for command, key, *rest in batch.writes():
        if command == "ZINCRBY":
            replayed.add_redis(key, [(str(rest[1]), rest[0])])
        elif command != "DEL":
            replayed.add_redis(key, [(str(rest[0]).encode(), rest[1])])
    same(replayed, counters_of(batch))


@given(events, st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_writes_are_sorted_whatever_the_order_of_events(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    keys = [write[:2] for write in batch_of(rows).writes()]
    assert keys == [write[:2] for write in batch_of(shuffled).writes()]


@given(events)
@settings(max_examples=30)
def test_restored_counters_hold_the_same(rows):
    counters, copy = counters_of(batch_of(rows)), ItemCounters(HALF_LIFE)
    copy.load(counters.arrays())
    same(copy, counters)


def test_items_far_apart_grow_the_arrays_once_asked():
    counters = counters_of(batch_of([(1, "click", 0, "home"), (70_000, "click", 0, "home")]))
    assert counters.get(70_000, "click") == 1
    assert counters.get(1, "click") == 1


def test_bad_arguments_are_refused_with_the_valid_range():
    with pytest.raises(ValueError, match="half_life_ms must be at least 1"):
        CounterBatch(0)
    with pytest.raises(ValueError, match="prior_rate must be between 0 and 1"):
        ItemCounters(HALF_LIFE, prior_rate=1.0)


def test_what_redis_holds_after_the_writes_is_what_memory_holds_at_either_end_of_a_window(redis_url):
    client = redis.Redis.from_url(redis_url, protocol=2)
    rng = np.random.default_rng(1)
    times = np.concatenate([rng.integers(0, 50, 300), rng.integers(1, 50, 300) + (WINDOW - 1) * HALF_LIFE])
    rows = [(int(rng.integers(0, 5)), "click", int(ts), "a:b") for ts in times]
    keys = set()
    for start in range(0, len(rows), 60):
        for command, key, *rest in batch_of(rows[start : start + 60]).writes():
            client.execute_command(command, key, *rest)
            keys.add((command, key))
    held = ItemCounters(HALF_LIFE)
    for command, key in sorted(keys):
        fields = (
            client.zrange(key, 0, -1, withscores=True)
            if command == "ZINCRBY"
            else client.hgetall(key).items()
        )
        held.add_redis(key, fields)
    same(held, counters_of(batch_of(rows)))
