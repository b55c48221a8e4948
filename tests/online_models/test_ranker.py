"""The click head: it predicts what River predicts, learns what was labelled, and lets no harm in."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.utils import VectorDict

from online_models.ftrl import DecayedFTRL
from online_models.ranker import BOUND, ClickRanker, keep_negative

NAMES = ("a", "b", "c")
DAY = 86_400_000
rows_of_three = st.lists(
    st.lists(st.floats(-20, 20, width=32), min_size=3, max_size=3), min_size=1, max_size=8
)


def world(n, seed=0, weights=(1.5, -1.0, 0.5), bias=-2.0, ms=1_000):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 3)).astype(np.float32)
    clicked = rng.random(n) < 1 / (1 + np.exp(-(rows @ np.array(weights) + bias)))
    return rows, clicked, np.arange(n) * ms


def taught(ranker, rows, clicked, times, **kwargs):
    for row, label, ts in zip(rows, clicked, times, strict=True):
        ranker.learn(row, bool(label), ts=int(ts), **kwargs)
    return ranker


def log_loss(ranker, rows, clicked):
    p = np.clip(ranker.predict_many(rows), 1e-12, 1 - 1e-12)
    return -float(np.mean(np.where(clicked, np.log(p), np.log(1 - p))))


def row(*values):
    return np.array(values, dtype=np.float32)


def test_before_anything_is_learnt_it_predicts_the_prior_rate():
    ranker = ClickRanker(NAMES, prior_rate=0.03)
    assert ranker.predict_many(np.zeros((2, 3), dtype=np.float32)).tolist() == pytest.approx([0.03, 0.03])


@given(rows_of_three, st.integers(0, 40), st.sampled_from(["default", "home", "never seen"]))
@settings(max_examples=60, deadline=None)
def test_many_at_once_equal_river_one_by_one(values, position, surface):
    ranker = ClickRanker(NAMES, log_features=["b"], surfaces=("default", "home"))
    rows = np.array(values, dtype=np.float32)
    for k, x in enumerate(rows):
        ranker.learn(x, k % 2 == 0, ts=k, position=(position + k) % 30, surface=surface)
    one_by_one = [ranker.pipeline.predict_proba_one(ranker.raw(x, position, surface))[True] for x in rows]
    np.testing.assert_allclose(
        ranker.predict_many(rows, position, surface), one_by_one, rtol=1e-9, atol=1e-15
    )


@given(
    rows_of_three, st.integers(0, 40), st.sampled_from(["default", "never seen"]), st.sampled_from([1.0, 0.1])
)
@settings(max_examples=60, deadline=None)
def test_it_learns_what_rivers_own_learn_one_learns(values, position, surface, rate):
    ours, rivers = (
        ClickRanker(NAMES, log_features=["b"], negative_rate=rate, half_life_ms=5) for _ in range(2)
    )
    for k, x in enumerate(np.array(values, dtype=np.float32)):
        at = (position + k) % 30
        ours.learn(x, k % 2 == 0, ts=k, position=at, surface=surface)
        regression = rivers.pipeline["click"]
        regression.intercept, rivers.optimizer.ts = -math.log(rate), k
        rivers.pipeline.learn_one(rivers.raw(x, at, surface), k % 2 == 0, w=1.0)
        assert ours.logit(x, at, surface) == pytest.approx(
            float(ours.logits(x[None], at, surface)[0]), abs=1e-12
        )
    np.testing.assert_allclose(ours.optimizer.weights, rivers.optimizer.weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.optimizer.total(), rivers.optimizer.total(), rtol=1e-9, atol=1e-12)


def test_positions_may_differ_by_row():
    ranker = taught(ClickRanker(NAMES), *world(50))
    ranker.learn(row(0, 0, 0), False, ts=1, position=7)
    rows = np.zeros((2, 3), dtype=np.float32)
    both = ranker.predict_many(rows, np.array([0, 7]))
    assert both[0] == ranker.predict_many(rows, 0)[0]
    assert both[1] == ranker.predict_many(rows, 7)[0]


def test_the_optimiser_is_ftrl_proximal_in_closed_form():
    rng, alpha, beta, l2 = np.random.default_rng(0), 0.1, 1.0, 0.5
    optimizer = DecayedFTRL(NAMES, alpha=alpha, beta=beta, l2=l2)
    weights = VectorDict(dict.fromkeys(NAMES, 0.0))
    z, n, w = np.zeros(3), np.zeros(3), np.zeros(3)
    for g in rng.normal(size=(200, 3)):
        sigma = (np.sqrt(n + g * g) - np.sqrt(n)) / alpha
        z += g - sigma * w
        n += g * g
        w = -z / ((beta + np.sqrt(n)) / alpha + l2)
        optimizer.step(weights, VectorDict(dict(zip(NAMES, g.tolist(), strict=True))))
    assert optimizer.weights == pytest.approx(w, rel=1e-9)
    assert weights.to_numpy(NAMES).tolist() == optimizer.weights.tolist()


def test_it_finds_the_true_weights_of_a_world_it_can_represent():
    ranker = taught(ClickRanker(NAMES, alpha=0.2), *world(20_000))
    assert ranker.optimizer.weights[:3] == pytest.approx([1.5, -1.0, 0.5], abs=0.2)


def test_sampled_negatives_leave_the_probability_unbiased():
    rows, clicked, times = world(40_000, bias=-3.0)
    ranker = ClickRanker(NAMES, negative_rate=0.1, alpha=0.05)
    for k, x in enumerate(rows):
        if clicked[k] or keep_negative(x, k, 0.1):
            ranker.learn(x, bool(clicked[k]), ts=int(times[k]))
    assert ranker.examples < 10_000
    assert ranker.predict_many(rows).mean() == pytest.approx(clicked.mean(), rel=0.08)


def test_a_negative_is_kept_or_not_whenever_it_is_asked():
    rows = np.random.default_rng(3).normal(size=(4_000, 3)).astype(np.float32)
    kept = [keep_negative(x, 5, 0.3) for x in rows]
    assert kept == [keep_negative(x.copy(), 5, 0.3) for x in rows]
    assert np.mean(kept) == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("rate", [1.0, 0.25])
def test_a_late_click_takes_a_step_of_exactly_the_gradient_difference(rate):
    ranker = taught(ClickRanker(NAMES, negative_rate=rate), *world(200))
    ranker.take_delta()
    ranker.learn_correction(row(1, 2, -1), ts=300_000)
    assert ranker.take_delta()["gradient"][:3] == pytest.approx([-1, -2, 1])


def test_a_late_click_on_a_negative_that_was_not_kept_is_a_plain_positive():
    a, b = (taught(ClickRanker(NAMES, negative_rate=0.5), *world(50)) for _ in range(2))
    a.learn_correction(row(1, 0, 0), ts=90_000, negative_kept=False)
    b.learn(row(1, 0, 0), True, ts=90_000)
    assert a.optimizer.weights.tolist() == b.optimizer.weights.tolist()


def test_late_clicks_end_where_clicks_in_time_would_have():
    rows, clicked, times = world(8_000)
    in_time = taught(ClickRanker(NAMES, alpha=0.1), rows, clicked, times)
    late = ClickRanker(NAMES, alpha=0.1)
    for k, x in enumerate(rows):
        late.learn(x, False, ts=int(times[k]))
        if k >= 50 and clicked[k - 50]:
            late.learn_correction(rows[k - 50], ts=int(times[k]))
    fresh, labels, _ = world(4_000, seed=9)
    assert log_loss(late, fresh, labels) < log_loss(in_time, fresh, labels) * 1.03


def test_after_a_shift_late_in_life_it_recovers_as_fast_as_early_in_life():
    def loss_after_shift(half_life, calm):
        rows, clicked, times = world(calm, ms=60_000)
        ranker = taught(ClickRanker(NAMES, alpha=0.1, half_life_ms=half_life), rows, clicked, times)
        rows, clicked, after = world(1_500, seed=1, weights=(-1.5, 1.0, 0.5), ms=60_000)
        taught(ranker, rows, clicked, times[-1] + after)
        fresh, labels, _ = world(4_000, seed=2, weights=(-1.5, 1.0, 0.5))
        return log_loss(ranker, fresh, labels)

    early, late, rigid = (loss_after_shift(*args) for args in ((DAY, 4_000), (DAY, 20_000), (None, 20_000)))
    assert late < early * 1.1
    assert late < rigid * 0.95


def test_a_row_that_is_not_finite_is_refused_and_counted():
    ranker = ClickRanker(NAMES)
    before = ranker.optimizer.weights.copy()
    ranker.learn(row(1, math.nan, 0), True, ts=0)
    ranker.learn(row(1, math.inf, 0), True, ts=0)
    ranker.learn_correction(row(1, 2), ts=0)
    assert ranker.refused == 3
    assert (ranker.optimizer.weights == before).all()


def test_serving_answers_a_row_that_is_not_finite_as_if_the_value_were_missing_or_at_its_bound():
    ranker = taught(ClickRanker(NAMES), *world(100))
    odd = ranker.predict_many(np.stack([row(1, math.nan, 0), row(1, math.inf, 0)]))
    assert odd.tolist() == ranker.predict_many(np.stack([row(1, 0, 0), row(1, BOUND, 0)])).tolist()


def test_contributions_sum_to_the_logit():
    ranker = taught(ClickRanker(NAMES, log_features=["c"]), *world(500))
    x = row(1, -2, 30)
    parts = ranker.contributions(x, position=3)
    assert sum(value for _, value in parts) == pytest.approx(ranker.logits(x[None], 3)[0], rel=1e-12)
    assert {"a", "b", "c", "bias"} <= {name for name, _ in parts}


def test_the_posterior_narrows_where_much_was_learnt():
    ranker = ClickRanker(NAMES)
    x = row(1, 0, 0)
    before = ranker.logit_errors(np.stack([x, row(0, 1, 0)]))
    for k in range(500):
        ranker.learn(x, k % 2 == 0, ts=k)
    after = ranker.logit_errors(np.stack([x, row(0, 1, 0)]))
    assert after[0] < before[0] / 5
    assert after[1] == before[1]
    drawn = ranker.head_logits(np.stack([x, row(0, 1, 0)]), heads=4_000, seed=1)
    assert drawn.std(axis=0) == pytest.approx(after, rel=0.1)


def test_a_restored_learner_continues_identically():
    first, second, times = world(300)[0], world(300, seed=1), world(600)[2]
    ranker = taught(ClickRanker(NAMES), first, world(300)[1], times[:300])
    copy = ClickRanker(NAMES)
    copy.load(ranker.arrays())
    for one in (ranker, copy):
        taught(one, second[0], second[1], times[300:])
    assert copy.optimizer.weights.tolist() == ranker.optimizer.weights.tolist()
    assert copy.take_delta()["gradient"].tolist() == ranker.take_delta()["gradient"].tolist()


def test_features_may_come_and_go_between_snapshots():
    ranker = taught(ClickRanker(NAMES), *world(300))
    other = ClickRanker(("c", "new", "a"))
    other.load(ranker.arrays())
    assert other.optimizer.weights[:3].tolist() == [
        ranker.optimizer.weights[2],
        0.0,
        ranker.optimizer.weights[0],
    ]
    other.learn(row(1, 1, 1), True, ts=10**9)


def test_four_workers_that_mix_learn_as_well_as_one_alone():
    rows, clicked, times = world(16_000, bias=-1.0)
    fresh, labels, _ = world(8_000, seed=5, bias=-1.0)
    alone = taught(ClickRanker(NAMES, alpha=0.1), rows, clicked, times)
    workers = [ClickRanker(NAMES, alpha=0.1) for _ in range(4)]
    for start in range(0, len(rows), 1_000):
        for k, worker in enumerate(workers):
            part = slice(start + 250 * k, start + 250 * (k + 1))
            taught(worker, rows[part], clicked[part], times[part])
        deltas = [worker.take_delta() for worker in workers]
        for k, worker in enumerate(workers):
            assert all(worker.merge(delta) for j, delta in enumerate(deltas) if j != k)
    losses = [log_loss(worker, fresh, labels) for worker in workers]
    assert max(losses) < log_loss(alone, fresh, labels) * 1.01


def test_merged_accumulators_equal_those_of_one_learner_exactly_in_count():
    rows, clicked, times = world(400)
    a = taught(ClickRanker(NAMES), rows, clicked, times)
    b = ClickRanker(NAMES)
    assert b.merge(a.take_delta())
    assert b.optimizer.total() == pytest.approx(a.optimizer.total(), rel=1e-12)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d | {"gradient": d["gradient"] * np.nan},
        lambda d: d | {"gradient": d["gradient"] + 1e9},
        lambda d: d | {"squares": -d["squares"] - 1},
        lambda d: d | {"gradient": d["gradient"][:2]},
        lambda d: {k: v for k, v in d.items() if k != "now"},
    ],
    ids=["nan", "huge", "negative squares", "other width", "incomplete"],
)
def test_a_delta_that_would_do_harm_is_refused_and_counted(spoil):
    source, target = taught(ClickRanker(NAMES), *world(100)), ClickRanker(NAMES)
    before = target.optimizer.weights.copy()
    assert not target.merge(spoil(source.take_delta()))
    assert target.refused == 1
    assert (target.optimizer.weights == before).all()


def test_nothing_learnt_means_nothing_to_tell():
    ranker = ClickRanker(NAMES)
    assert ranker.take_delta() == {}
    assert ranker.merge({})


@pytest.mark.parametrize(
    "wrong",
    [
        {"negative_rate": 0.0},
        {"prior_rate": 1.0},
        {"alpha": 0.0},
        {"half_life_ms": 0},
        {"log_features": ["x"]},
    ],
)
def test_bad_arguments_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        ClickRanker(NAMES, **wrong)
