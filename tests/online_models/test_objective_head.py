"""What the head of an action knows: little from little, an item's own record from much, the same whoever saw it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from online_models import deltas
from online_models.deltas import Delta
from online_models.objective_head import ObjectiveHead

Slot = tuple[np.ndarray, int, float, int]  # row, item, value, time
LOOKED, BOUGHT = 0, 1


def slots(n: int, rates: dict[int, float], seed: int = 1, width: int = 3) -> list[Slot]:
    """Slots of some items, each with the action at the item's own rate; the features say nothing."""
    rng = np.random.default_rng(seed)
    items = list(rates)
    out = []
    for k in range(n):
        item = items[rng.integers(len(items))]
        row = rng.normal(size=width).astype(np.float32)
        out.append((row, item, float(rng.random() < rates[item]), 1_000 * k))
    return out


def learnt(head: ObjectiveHead, told: Iterable[Slot]) -> ObjectiveHead:
    for row, item, value, ts in told:
        head.learn(row, item, value, ts=ts)
    return head


def says(head: ObjectiveHead, *items: int, now: int = 10**7) -> list[float]:
    rows = np.zeros((len(items), 3), dtype=np.float32)
    return head.predict(rows, np.array(items, dtype=np.int32), now).tolist()


def head(**more: object) -> ObjectiveHead:
    return ObjectiveHead("purchase", ["a", "b", "c"], **more)  # type: ignore[arg-type]


def test_an_item_that_is_bought_is_told_from_one_that_is_only_looked_at() -> None:
    looked, bought, never_seen = says(
        learnt(head(after_click=True), slots(2_000, {LOOKED: 0.005, BOUGHT: 0.4})), LOOKED, BOUGHT, 7
    )
    assert looked < 0.03 < never_seen < 0.4 and bought == pytest.approx(0.4, abs=0.08)


def test_an_action_hardly_ever_seen_says_its_base_rate_and_not_noise() -> None:
    one = learnt(head(negative_rate=1.0), slots(500, dict.fromkeys(range(20), 0.004)))
    told = says(one, *range(20))
    assert max(told) < 5 * one.base(10**7) and one.base(10**7) < 0.01
    assert one.trust(10**7) < 0.1


def test_what_nothing_was_learnt_of_is_the_same_for_every_item() -> None:
    assert len(set(says(head(), 1, 2, 3))) == 1


def test_features_that_matter_are_learnt() -> None:
    rng = np.random.default_rng(3)
    one = head(negative_rate=1.0)
    for k in range(5_000):
        row = rng.normal(size=3).astype(np.float32)
        one.learn(row, k % 50, float(rng.random() < 1 / (1 + np.exp(3 - 2 * row[0]))), ts=k)
    rows = np.array([[1.5, 0, 0], [-1.5, 0, 0]], dtype=np.float32)
    high, low = one.predict(rows, np.array([99, 99], dtype=np.int32), 5_000)
    assert high > 5 * low


def test_a_share_of_the_negatives_teaches_the_same_rates() -> None:
    told = slots(8_000, {1: 0.02, 2: 0.10})
    all_of_them, a_quarter = (says(learnt(head(negative_rate=r), told), 1, 2) for r in (1.0, 0.25))
    np.testing.assert_allclose(a_quarter, all_of_them, rtol=0.25)


def test_a_valued_action_tells_the_mean_of_its_value() -> None:
    rng = np.random.default_rng(4)
    watch = ObjectiveHead("watch", ["a", "b", "c"], valued=True)
    for k in range(4_000):
        watch.learn(
            rng.normal(size=3).astype(np.float32), k % 2, float(rng.beta(8, 2) if k % 2 else 0.2), ts=k
        )
    short, long = watch.predict(np.zeros((2, 3), dtype=np.float32), np.array([0, 1], dtype=np.int32), 4_000)
    assert short == pytest.approx(0.2, abs=0.05) and long == pytest.approx(0.8, abs=0.05)


def test_an_action_after_its_window_counts_once_and_its_slot_no_second_time() -> None:
    late, at_once = head(negative_rate=1.0), head(negative_rate=1.0)
    row = np.ones(3, dtype=np.float32)
    late.learn(row, 1, 0.0, ts=1_000)
    late.correct(row, 1, 1.0, ts=1_000)
    at_once.learn(row, 1, 1.0, ts=1_000)
    a, b = (one.items.total(1_000) for one in (late, at_once))
    np.testing.assert_allclose(a, b)
    # at the weights of that moment the two gradients differ by the input itself
    assert late.regression.optimizer.gradient[-1] == pytest.approx(
        at_once.regression.optimizer.gradient[-1], abs=0.01
    )


def test_workers_that_share_the_slots_hold_the_sums_of_one_who_saw_all() -> None:
    told = slots(600, {1: 0.1, 2: 0.3})
    alone = head(negative_rate=1.0)
    workers = [head(negative_rate=1.0), head(negative_rate=1.0)]
    for k, slot in enumerate(told):
        learnt(alone, [slot])
        worker, other = workers[k % 2], workers[1 - k % 2]
        learnt(worker, [slot])
        assert other.merge(over_the_wire(worker))
    for worker in workers:
        np.testing.assert_allclose(worker.items.total(10**6), alone.items.total(10**6), rtol=1e-9)
        np.testing.assert_allclose(says(worker, 1, 2, 3), says(alone, 1, 2, 3), rtol=1e-9)
    np.testing.assert_allclose(
        workers[0].regression.optimizer.weights, workers[1].regression.optimizer.weights, rtol=1e-9
    )


def over_the_wire(one: ObjectiveHead) -> deltas.Arrays:
    told = deltas.decode(deltas.encode(Delta("w", 1, (), {"objective:purchase": one.take_delta()})))
    return dict(told.learners["objective:purchase"])


def test_nothing_is_told_twice() -> None:
    one = learnt(head(), slots(50, {1: 0.5}))
    assert one.take_delta() and one.take_delta() == {}


def test_a_delta_that_would_do_harm_changes_nothing() -> None:
    good = learnt(head(), slots(50, {1: 0.5})).take_delta()
    one = head()
    before = {name: array.copy() for name, array in one.arrays().items()}
    for name, wrong in (
        ("items.sums", -good["items.sums"]), ("items.sums", good["items.sums"] * np.nan),
        ("items.rows", good["items.rows"] + 10**7), ("items.marks", good["items.marks"] + 1),
        ("surfaces.rows", good["surfaces.rows"] + 2),
        ("regression.gradient", good["regression.gradient"] + 1e9), ("items.rows", good["items.rows"][:1]),
    ):  # fmt: skip
        assert not one.merge({**good, name: wrong}), name
    assert not one.merge({})
    assert all(np.array_equal(before[name], array) for name, array in one.arrays().items())
    assert one.merge(good)


def test_a_restored_head_goes_on_as_if_it_had_never_stopped() -> None:
    told = slots(400, {1: 0.1, 2: 0.3})
    never, stopped = head(), head()
    learnt(never, told)
    learnt(stopped, told[:200])
    again = head()
    again.load(stopped.arrays())
    learnt(again, told[200:])
    for name, array in never.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name], err_msg=name)


def test_old_actions_fade() -> None:
    one = learnt(head(half_life_ms=1_000_000), slots(1_000, {1: 0.5}))
    assert says(one, 1, now=10**6)[0] > 0.3
    assert one.base(60_000_000) == pytest.approx(0.01, abs=0.001)


def test_a_row_that_is_not_ours_is_left_out() -> None:
    one = head()
    assert one.learn(np.zeros(2, dtype=np.float32), 1, 1.0, ts=1) is None
    assert one.learn(np.full(3, np.nan, dtype=np.float32), 1, 1.0, ts=1) is None
    assert one.take_delta() == {}
