"""Guardrails of an experiment: crossed when a variant is worse by more than allowed, and hardly ever otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.answer_times import bucket
from online_models.user_sums import UserSums
from serving.experiment_guardrails import guarded

EVERY = [
    (metric, 0.2)
    for metric in ("click_rate", "conversion_rate", "log_loss", "latency_p99_ms", "error_share", "empty_share")
]  # fmt: skip


def sums(
    rng: np.random.Generator, users: int = 3_000, *, rate: float = 0.1, loss: float = 0.3, failed: float = 0.02,
    empty: float = 0.02, ms: float = 3.0,
) -> UserSums:  # fmt: skip
    """What so many users saw, ten slots and two answers each."""
    shown = np.full(users, 10.0)
    clicks = rng.binomial(10, rate, users)
    v = np.column_stack([clicks, shown, np.zeros(users), loss * rng.gamma(4.0, 0.25, users) * shown, shown])
    made = UserSums(
        users=users, converted=int((clicks > 0).sum()), slates=2 * users, sums=v.sum(0), products=v.T @ v
    )
    made.failed, made.empty = (int(rng.binomial(2 * users, share)) for share in (failed, empty))
    np.add.at(made.took, [bucket(one) for one in rng.lognormal(np.log(ms), 0.5, 2 * users)], 1)
    return made  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "worse"),
    [
        ("click_rate", {"rate": 0.06}),
        ("conversion_rate", {"rate": 0.06}),
        ("log_loss", {"loss": 0.5}),
        ("latency_p99_ms", {"ms": 9.0}),
        ("error_share", {"failed": 0.1}),
        ("empty_share", {"empty": 0.1}),
    ],
)
def test_a_variant_that_is_worse_crosses_the_guardrail_and_no_other(
    metric: str, worse: dict[str, float]
) -> None:
    rng = np.random.default_rng(0)
    told = guarded(EVERY, sums(rng), sums(rng, **worse))  # type: ignore[arg-type]
    crossed = {guard.metric for guard in told if guard.state == "crossed"}
    assert crossed - {"click_rate", "conversion_rate"} <= {metric}
    assert metric in crossed
    [reason] = [guard.reason for guard in told if guard.metric == metric]
    assert "of the control, worse by at least" in reason


def test_without_a_difference_nothing_is_crossed_however_often_one_looks() -> None:
    rng, crossed = np.random.default_rng(1), 0
    for _ in range(60):
        control, variant = UserSums(), UserSums()
        for _ in range(8):
            control, variant = control + sums(rng, 300), variant + sums(rng, 300)
            if any(guard.state == "crossed" for guard in guarded(EVERY, control, variant)):
                crossed += 1
                break
    assert crossed <= 3  # six guardrails of 1 %


def test_errors_where_the_control_has_none_are_told_without_a_share_of_nothing() -> None:
    rng = np.random.default_rng(2)
    [guard] = guarded([("error_share", 0.2)], sums(rng, failed=0.0), sums(rng, failed=0.05))
    assert (guard.state, guard.low, guard.control) == ("crossed", None, 0.0)
    assert guard.reason.endswith("beside 0 of the control")


def test_what_was_not_measured_is_unknown() -> None:
    assert {guard.state for guard in guarded(EVERY, UserSums(), UserSums())} == {"unknown"}
    rng = np.random.default_rng(3)
    few = guarded([("latency_p99_ms", 0.2)], sums(rng, 20), sums(rng, 20))
    assert few[0].reason == "guardrail latency_p99_ms: not known yet"
