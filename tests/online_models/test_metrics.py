"""Metrics: known answers in tiny worlds, and windows that equal a recomputation."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import metrics as river_metrics

from online_models.metrics import (
    ClickQuality,
    RankingQuality,
    log_loss,
    ndcg_at,
    rank_of,
    recall_at,
    reciprocal_rank,
)

outcomes = st.lists(st.tuples(st.booleans(), st.floats(0.001, 0.999)), min_size=2, max_size=80)


def test_ties_count_half():
    assert rank_of(np.array([1.0, 1.0, 1.0]), 0) == 1.0
    assert rank_of(np.array([3.0, 2.0, 1.0]), 2) == 2.0


def test_an_item_that_was_not_retrieved_scores_nothing():
    assert recall_at(None, 10) == ndcg_at(None, 10) == reciprocal_rank(None) == 0.0


@given(st.floats(0, 100), st.integers(1, 50))
def test_every_ranking_metric_lies_between_zero_and_one_and_recall_is_the_largest(rank, k):
    values = ndcg_at(rank, k), reciprocal_rank(rank, k)
    assert all(0 <= value <= recall_at(rank, k) <= 1 for value in values)


@given(outcomes, st.integers(2, 40))
@settings(max_examples=60, deadline=None)
def test_a_window_equals_a_recomputation_over_its_examples(rows, window):
    quality = ClickQuality(window)
    for clicked, p in rows:
        quality.update(clicked, p)
    held, seen = rows[-window:], quality.get()
    rate = sum(c for c, _ in held) / len(held)
    assert seen.n == len(held)
    assert seen.click_rate == pytest.approx(rate)
    assert seen.predicted == pytest.approx(np.mean([p for _, p in held]), abs=1e-9)
    assert seen.log_loss == pytest.approx(np.mean([log_loss(c, p) for c, p in held]), abs=1e-9)
    assert (seen.auc is None) == (rate in (0.0, 1.0))


@given(outcomes)
@settings(max_examples=40, deadline=None)
def test_log_loss_is_that_of_river(rows):
    river, ours = river_metrics.LogLoss(), ClickQuality(1_000)
    for clicked, p in rows:
        river.update(clicked, p)
        ours.update(clicked, p)
    assert ours.get().log_loss == pytest.approx(river.get(), rel=1e-9)


def test_predicting_the_click_rate_itself_has_normalised_entropy_one():
    quality = ClickQuality(1_000)
    for k in range(1_000):
        quality.update(k % 10 == 0, 0.1)
    assert quality.get().normalised_entropy == pytest.approx(1.0)
    assert quality.get().auc == pytest.approx(0.5)


def test_a_probability_that_is_none_is_refused_and_counted():
    quality = ClickQuality()
    for p in (math.nan, -0.1, 1.1, math.inf):
        quality.update(True, p)
    assert (quality.refused, quality.get().n) == (4, 0)


def test_a_wrong_certainty_costs_much_but_not_infinity():
    assert 20 < log_loss(True, 0.0) < 30


@given(st.lists(st.one_of(st.none(), st.integers(0, 30)), min_size=1, max_size=60), st.integers(1, 30))
def test_ranking_windows_equal_a_recomputation(ranks, window):
    quality = RankingQuality(k=10, window=window)
    for rank in ranks:
        quality.update(rank)
    held = ranks[-window:]
    assert quality.get().recall == pytest.approx(np.mean([recall_at(r, 10) for r in held]))
    assert quality.get().mrr == pytest.approx(np.mean([reciprocal_rank(r, 10) for r in held]))
    assert quality.overall().n == len(ranks)


def test_empty_windows_and_bad_arguments():
    assert ClickQuality().get().auc is None
    assert RankingQuality().get().recall == 0.0
    with pytest.raises(ValueError, match="at least 2"):
        ClickQuality(1)
    with pytest.raises(ValueError, match="at least 1"):
        RankingQuality(k=0)
