"""What the click head reads and says of many rows: the compiled loops against numpy's own words."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from online_models.bends import KNOTS, LOWEST, POSITIONS, WIDTH, Bends
from online_models.click_features import SILENCE, beside, join, product, user_rate
from online_models.counters import CLICK, IMPRESSION, CounterBatch, ItemCounters
from online_models.features import OF_ITEM, Rows
from online_models.history import UserRecord
from online_models.kernels.calibrating import sigmoids
from online_models.kernels.ranks import ranked
from online_models.ranker import ClickRanker

Seeds = st.integers(0, 10_000)
Odd = st.lists(
    st.sampled_from([0.0, 1.0, -2.5, 1e-3, float("inf"), float("-inf"), float("nan"), -1e12]), max_size=40
)


def rows_of(seed: int, n: int, sources: int = 4) -> tuple[Rows, Rows]:
    rng = np.random.default_rng(seed)
    rows = rng.normal(0, 3, (n, 2 * sources + len(OF_ITEM))).astype(np.float32)
    return rows, rng.normal(0, 3, (n, 8)).astype(np.float32)


def side_by_side(rows: Rows, more: Rows) -> Rows:
    logged = (rows.shape[1] + len(OF_ITEM)) // 2
    out = np.concatenate([rows[:, :logged], more], axis=1)
    out[:, : logged - len(OF_ITEM)] = (out[:, : logged - len(OF_ITEM)] + np.float32(SILENCE)) * np.float32(
        0.5
    )
    return out


def logit(p: float | np.ndarray) -> np.ndarray:
    inside = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(inside / (1 - inside))


@given(Seeds, st.booleans())
def test_what_stands_beside_the_features_follows_from_counters_and_user(seed: int, known: bool) -> None:
    rng = np.random.default_rng(seed)
    counters, batch, record = ItemCounters(86_400_000), CounterBatch(86_400_000), UserRecord()
    for item in rng.integers(0, 12, 60).tolist():
        batch.impression(item, 1_000, "home")
        if rng.random() < 0.2:
            batch.action(item, CLICK, 1_000, "home")
    counters.apply(batch)
    for item in rng.integers(0, 15, 6).tolist():
        record.see(item)
    record.count(CLICK, int(rng.integers(3)))
    ids = np.flatnonzero(rng.random(15) < 0.6).astype(np.int32)
    scores = 10 * rng.random(len(ids))
    places = np.argsort(np.argsort(-scores))
    who = record if known else None
    out = beside(ids, scores, places, counters, who, surface="home", now=5_000)
    rate, seen = counters.surface_rate("home"), counters.fading(ids, IMPRESSION, 5_000)
    clicks = record.counts.get(CLICK, 0) if known else 0
    want = np.stack(
        np.broadcast_arrays(
            scores - scores.max(initial=0.0),
            np.log1p(places),
            logit(counters.click_rate(ids, 5_000, "home")) - logit(rate),
            0.3 * np.log1p(seen),
            logit(user_rate(who, counters, rate, 5_000)) - logit(rate),
            0.3 * math.log1p(clicks),
            np.log1p([record.shown.count(i) if known else 0 for i in ids.tolist()]),
            not clicks,
        ),
        axis=1,
    )
    np.testing.assert_allclose(out, np.clip(want, -5, 5), rtol=1e-5, atol=1e-6)


@given(Seeds, st.integers(0, 20))
def test_rows_are_joined_bounded_rounded_and_what_is_missing_is_counted(seed: int, n: int) -> None:
    rows, more = rows_of(seed, 20)
    rows[::3, 0], more[::7, 2] = np.nan, np.inf
    which = np.random.default_rng(seed).permutation(20)[:n]
    want = side_by_side(rows, more)[which]
    absent = int((~np.isfinite(want)).sum())
    want[~np.isfinite(want)] = 0.0
    told, missing = join(which, rows, more)
    np.testing.assert_array_equal(told, np.clip(want, -5, 5).astype(np.float16))
    assert missing == absent


@given(Seeds, st.integers(0, 20))
def test_the_product_is_that_of_the_joined_rows(seed: int, n: int) -> None:
    rows, more = rows_of(seed, n)
    weights = np.random.default_rng(seed).normal(size=4 + len(OF_ITEM) + 8)
    np.testing.assert_allclose(product(rows, more, weights), side_by_side(rows, more) @ weights, atol=1e-3)


@given(Odd)
def test_scores_are_ranked_as_by_a_stable_sort_and_what_is_not_finite_sinks(scores: list[float]) -> None:
    finite, places = ranked(np.array(scores), -1e9)
    want = [s if math.isfinite(s) and s > -1e9 else -1e9 for s in scores]
    assert finite.tolist() == want
    order = sorted(range(len(want)), key=lambda k: (-want[k], k))
    assert places[order].tolist() == list(range(len(want)))


@given(Seeds, st.lists(st.integers(0, 40), max_size=20))
def test_log_odds_of_many_rows_are_those_of_each(seed: int, positions: list[int]) -> None:
    rng = np.random.default_rng(seed)
    ranker = ClickRanker([f"f{k}" for k in range(6)], surfaces=("home",))
    ranker.optimizer.weights = rng.normal(size=len(ranker.names))
    rows = rng.normal(0, 4, (len(positions), 6)).astype(np.float32)
    rows[::5, 1] = np.nan
    said = ranker.logits(rows, np.array(positions, dtype=np.intp), "home")
    want = [ranker.logit(row, at, "home") for row, at in zip(rows, positions, strict=True)]
    np.testing.assert_allclose(said, want, rtol=1e-9, atol=1e-9)


@given(Seeds, st.lists(st.tuples(st.floats(-12, 12), st.integers(0, 40)), max_size=20), st.booleans())
def test_bends_are_of_the_two_knots_beside_and_the_position(
    seed: int, slots: list[tuple[float, int]], told: bool
) -> None:
    bends = Bends(prior=2.0)
    sums = np.random.default_rng(seed).uniform(0, 9, (WIDTH, 2))
    bends.load(sums)
    said = np.log((sums[:, 0] + 2.0) / (sums[:, 1] + 2.0))
    logits, positions = np.array([x for x, _ in slots]), np.array([at for _, at in slots], dtype=np.intp)
    want = np.interp(logits, LOWEST + np.arange(KNOTS), said[:KNOTS])
    if told:
        want = want + said[KNOTS + np.minimum(positions, POSITIONS - 1)]
    np.testing.assert_allclose(bends.of(logits, positions if told else None), want, rtol=1e-9, atol=1e-12)


@given(Odd)
def test_probabilities_of_log_odds_are_bounded(logits: list[float]) -> None:
    with np.errstate(all="ignore"):
        want = 1 / (1 + np.exp(-np.clip(logits, -15, 15)))
    finite = ~np.isnan(logits)
    np.testing.assert_allclose(sigmoids(np.array(logits), 15.0)[finite], want[finite], rtol=1e-12)
