"""Results by variant as labels come: counted once, by user, bounded; and what guards a canary."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from online_models.answer_times import bucket
from online_models.canary_guard import Guard
from online_models.events import Exposure, Slot
from online_models.experiment_results import ExperimentResults
from online_models.experiment_stats import cuped, linearised
from online_models.labels import Kind, Labelled
from online_models.user_sums import CLICKS, IMPRESSIONS, LOSS, PREDICTED, UserSums, cuped_difference

Floats = NDArray[np.float64]


def label(
    kind: Kind, user: int = 1, variant: str = "l:e/a", p: float = 0.5, feature: float = 0.0
) -> Labelled:
    row = np.array([feature], dtype=np.float32)
    return Labelled(1, kind, row, "s", 0, "home", p, 1.0, ts=0, user=user, variant=variant)


def counted(*labels: Labelled, **given: Any) -> ExperimentResults:
    """Results once all windows are closed."""
    results = ExperimentResults(**given)
    for one in (*labels, label(Kind.NEGATIVE, variant="")):
        results.observe(one)
    return results


def test_a_click_is_an_impression_too_and_a_late_one_adds_no_second() -> None:
    results = counted(label(Kind.POSITIVE), label(Kind.NEGATIVE, user=2), label(Kind.CORRECTION, user=2))
    sums = results.variants["l:e/a"]
    assert (sums.users, sums.converted, sums.sums[CLICKS], sums.sums[IMPRESSIONS]) == (2, 2, 2.0, 2.0)


def test_a_click_waits_for_the_slots_shown_beside_it() -> None:
    results = ExperimentResults()
    results.observe(label(Kind.POSITIVE))
    assert not results.variants
    results.observe(label(Kind.NEGATIVE, user=2))
    assert results.variants["l:e/a"].sums[:2].tolist() == [1.0, 2.0]


def test_log_loss_is_of_the_probabilities_as_served_and_a_correction_takes_the_negative_back() -> None:
    sums = counted(label(Kind.NEGATIVE, p=0.2), label(Kind.CORRECTION, p=0.2)).variants["l:e/a"]
    assert (sums.sums[LOSS], sums.sums[PREDICTED]) == (pytest.approx(-np.log(0.2)), 1.0)
    assert counted(label(Kind.NEGATIVE, p=0.0)).variants["l:e/a"].sums[PREDICTED] == 0.0


def test_one_slate_may_be_in_several_experiments() -> None:
    results = counted(label(Kind.POSITIVE, variant="l:e/a model:v2/live"), label(Kind.POSITIVE, variant=""))
    assert {name: sums.users for name, sums in results.variants.items()} == {"l:e/a": 1, "model:v2/live": 1}


def test_the_covariate_is_that_of_the_first_slate() -> None:
    sums = counted(label(Kind.NEGATIVE, feature=3.0), label(Kind.NEGATIVE, feature=9.0), before=0).variants[
        "l:e/a"
    ]
    assert sums.sums[2] == 3.0


def test_memory_is_bounded_in_users_and_variants() -> None:
    results = counted(*(label(Kind.NEGATIVE, user=k) for k in range(10)), users=3)
    assert (results.variants["l:e/a"].users, results.variants["l:e/a"].forgotten) == (10, 7)
    results = counted(*(label(Kind.NEGATIVE, variant=f"l:e/{k}") for k in range(9)), variants=4)
    assert (len(results.variants), results.overflow) == (4, 5)


def test_empty_slates_are_counted_as_served() -> None:
    results = ExperimentResults()
    for items in ([], [Slot("a", 0)]):
        results.served([
            Exposure(type="exposure", event_id="x", user_id="u", ts=0, request_id="r", items=items,
                     context={"variant": "l:e/a"})
        ])  # fmt: skip
    assert (results.variants["l:e/a"].slates, results.variants["l:e/a"].empty) == (2, 1)


def test_answers_are_counted_with_how_long_they_took_and_whether_they_failed() -> None:
    results = ExperimentResults()
    for flags, took in (([], 3.0), (["degraded"], 40.0), ([], "soon"), ([], float("nan"))):
        results.served([
            Exposure(type="exposure", event_id="x", user_id="u", ts=0, request_id="r", items=[Slot("a", 0)],
                     flags=flags, context={"variant": "l:e/a", "took_ms": took})
        ])  # fmt: skip
    sums = UserSums.read(results.variants["l:e/a"].told())
    assert (sums.slates, sums.failed, int(sums.took.sum())) == (4, 1, 2)
    assert sums.took[bucket(3.0)] == sums.took[bucket(40.0)] == 1


def test_what_a_worker_of_an_older_version_tells_is_read() -> None:
    told = UserSums(users=3).told()
    del told["took"], told["failed"]
    assert UserSums.read(told).users == 3


def users(count: int, lift: float, rng: np.random.Generator) -> Floats:
    """Vectors of users whose taste is known in part from before."""
    shown = rng.poisson(20.0, count) + 1.0
    taste = rng.gamma(2.0, 0.05, count).clip(max=0.6)
    clicks = rng.binomial(shown.astype(int), (taste * lift).clip(max=1.0))
    return np.column_stack([clicks, shown, taste, 0.3 * shown, shown])


def sums_of(vectors: Floats) -> UserSums:
    made = UserSums(users=len(vectors), sums=vectors.sum(0), products=vectors.T @ vectors)
    made.slates, made.converted = len(vectors), int((vectors[:, CLICKS] > 0).sum())
    return made


def test_cuped_by_sums_is_cuped_by_users() -> None:
    rng = np.random.default_rng(0)
    a, b = users(500, 1.0, rng), users(500, 1.2, rng)
    told = cuped_difference(sums_of(a), sums_of(b))
    assert told is not None
    both = np.concatenate([
        linearised(part[:, CLICKS], part[:, IMPRESSIONS], part[:, CLICKS].sum() / part[:, IMPRESSIONS].sum())
        for part in (a, b)
    ])  # fmt: skip
    adjusted = cuped(both, np.concatenate([a[:, 2], b[:, 2]]))
    assert told.value == pytest.approx(adjusted[500:].mean() - adjusted[:500].mean(), abs=5e-4)
    assert told.variance_left < 0.6
    assert told.low < 0.02 < told.high


def test_sums_of_several_workers_add_up_and_survive_the_wire() -> None:
    rng = np.random.default_rng(1)
    a, b = users(50, 1.0, rng), users(70, 1.0, rng)
    whole, parts = sums_of(np.concatenate([a, b])), sums_of(a) + UserSums.read(sums_of(b).told())
    np.testing.assert_allclose(parts.products, whole.products)
    assert (parts.users, parts.converted) == (whole.users, whole.converted)


@pytest.mark.parametrize(
    "told", [{}, {**UserSums().told(), "sums": [1.0]}, {**UserSums().told(), "sums": [None] * 5}]
)
def test_sums_that_are_none_are_refused(told: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        UserSums.read(told)


def answered(count: int, rng: np.random.Generator, slow: float = 1.0, failed: float = 0.01) -> Floats:
    """How users were answered, each twenty times: ms, failed, empty; who has much history waits longer."""
    ms = 3.0 * slow * rng.lognormal(0.0, 0.3, (count, 1)) * rng.lognormal(0.0, 0.5, (count, 20))
    bad = rng.random((count, 20)) < failed * rng.gamma(0.5, 2.0, (count, 1))
    return np.stack([ms, bad, rng.random((count, 20)) < 0.005])


def seen_so_far(vectors: Floats, answers: Floats, share: float) -> UserSums:
    upto = int(share * len(vectors))
    sums = sums_of(vectors[:upto])
    ms, bad, empty = answers[:, :upto]
    sums.slates, sums.failed, sums.empty = ms.size, int(bad.sum()), int(empty.sum())
    np.add.at(sums.took, [bucket(one) for one in ms.ravel().tolist()], 1)
    return sums


def rolled_back(lift: float, runs: int, seed: int, looks: int = 20, **worse: float) -> dict[str, float]:
    """The share of canaries at 10 % that the guard takes back when it looks again and again, by guardrail."""
    rng, guard = np.random.default_rng(seed), Guard()
    back: Counter[str] = Counter()
    for _ in range(runs):
        live, canary = (
            (users(1_800, 1.0, rng), answered(1_800, rng)),
            (users(200, lift, rng), answered(200, rng, **worse)),
        )
        for part in range(1, looks + 1):
            harm = guard.judge(*(seen_so_far(*side, part / looks) for side in (live, canary)))
            if harm is not None:
                back[harm.metric] += 1
                break
    return {metric: n / runs for metric, n in back.items()}


def test_a_harmless_canary_is_hardly_ever_taken_back_however_often_one_looks() -> None:
    assert sum(rolled_back(1.0, 100, seed=3).values()) <= 0.01 + 0.01


def test_a_canary_that_halves_the_click_rate_is_taken_back() -> None:
    assert rolled_back(0.5, 20, seed=4)["click rate"] >= 0.95


@pytest.mark.parametrize(
    ("worse", "metrics"),
    [
        ({"slow": 3.0}, {"p95 of answer times, ms", "median of answer times, ms"}),
        ({"failed": 0.1}, {"share of failed answers"}),
    ],
)
def test_a_canary_that_is_slow_or_fails_is_taken_back_by_the_guardrail_that_says_so(
    worse: dict[str, float], metrics: set[str]
) -> None:
    back = rolled_back(1.0, 20, seed=5, **worse)
    assert sum(back.values()) >= 0.95
    assert back.keys() <= metrics


def test_a_canary_that_answers_with_nothing_is_taken_back_without_waiting_for_clicks() -> None:
    harm = Guard().judge(UserSums(slates=200), UserSums(slates=50, empty=50))
    assert harm is not None
    assert harm.metric == "share of empty slates"
    assert "allowed is" in harm.reason


def test_probabilities_far_off_are_harm_though_clicks_are_the_same() -> None:
    rng = np.random.default_rng(5)
    live, canary = users(2_000, 1.0, rng), users(500, 1.0, rng)
    live[:, LOSS] *= rng.uniform(0.5, 1.5, len(live))
    canary[:, LOSS] *= rng.uniform(1.5, 2.5, len(canary))
    harm = Guard().judge(sums_of(live), sums_of(canary))
    assert harm is not None
    assert harm.metric == "log-loss"


def test_nothing_is_said_of_a_few_clicks() -> None:
    rng = np.random.default_rng(6)
    assert Guard().judge(sums_of(users(30, 1.0, rng)), sums_of(users(10, 0.0, rng))) is None
