"""Results of several workers as one report, with a verdict that says no more than the figures do."""

from __future__ import annotations

import numpy as np
import pytest

from online_models.user_sums import UserSums
from serving.experiments import parse
from serving.results_board import ResultsBoard

TEXT = """
layers:
  ranking:
    experiments:
      diverse:
        start: 1970-01-01T00:00:00Z
        end: 1970-02-01T00:00:00Z
        traffic: 1
        effect: 0.02
        variants: {control: {}, treatment: {overrides: {diversity: 0.3}}}
        guardrails: [{metric: latency_p99_ms, worse_by: 0.1}, {metric: log_loss, worse_by: 0.1}]
"""


def sums(count: int, rate: float, seed: int, *, loss: float = 0.3) -> UserSums:
    rng = np.random.default_rng(seed)
    shown = np.full(count, 20.0)
    clicks = rng.binomial(20, rate, count)
    v = np.column_stack([clicks, shown, np.zeros(count), loss * shown + clicks, shown])
    return UserSums(
        users=count, converted=int((clicks > 0).sum()), slates=count, sums=v.sum(0), products=v.T @ v
    )


def board_of(control: UserSums, treatment: UserSums) -> ResultsBoard:
    board = ResultsBoard()
    board.plan = parse(TEXT).plan
    for worker, name, told in (("a", "control", control), ("b", "treatment", treatment)):
        board.hear({"worker": worker, "variants": {f"ranking:diverse/{name}": told.told()}})
    board.look()
    return board


@pytest.mark.parametrize(
    ("count", "rate", "verdict"),
    [
        (5, 0.1, "INSUFFICIENT"),
        (60, 0.105, "UNDECIDED"),
        (5_000, 0.13, "BETTER"),
        (5_000, 0.08, "WORSE"),
        (5_000, 0.1, "NO SUCH EFFECT"),
    ],
)
def test_the_verdict_says_what_the_figures_say(count: int, rate: float, verdict: str) -> None:
    [told] = board_of(sums(count, 0.1, 1), sums(count, rate, 2)).report()
    [row] = told["comparisons"]
    assert row["verdict"] == verdict
    assert "guardrail latency_p99_ms: not known yet" in row["reasons"]


def test_a_split_that_is_wrong_makes_everything_invalid() -> None:
    [told] = board_of(sums(5_000, 0.1, 1), sums(4_000, 0.2, 2)).report()
    assert told["sample_ratio"]["mismatch"]
    assert told["comparisons"][0]["verdict"] == "INVALID"


def test_more_clicks_at_the_price_of_a_guardrail_are_not_better() -> None:
    [told] = board_of(sums(5_000, 0.1, 1), sums(5_000, 0.13, 2, loss=0.6)).report()
    assert told["comparisons"][0]["verdict"] == "WORSE"
    assert any("guardrail log_loss" in reason for reason in told["comparisons"][0]["reasons"])


def test_each_workers_last_word_counts() -> None:
    board = ResultsBoard()
    for users in (1, 5):
        board.hear({"worker": "a", "variants": {"l:e/x": UserSums(users=users).told()}})
    assert board.totals["l:e/x"].users == 5


def test_workers_that_are_gone_are_added_up_as_one() -> None:
    board = ResultsBoard(workers=2)
    for k in range(10):
        board.hear({"worker": str(k), "variants": {"l:e/x": UserSums(users=1).told()}})
    assert (board.totals["l:e/x"].users, len(board._heard)) == (10, 2)


def test_a_record_that_is_none_is_counted() -> None:
    board = ResultsBoard()
    for told in ({}, {"worker": "a", "variants": {"x": {}}}, {"worker": "a", "variants": 3}):
        board.hear(told)
    assert (board.refused, board.totals) == (3, {})


def test_the_least_p_value_of_all_looks_is_told() -> None:
    board = board_of(sums(2_000, 0.1, 1), sums(2_000, 0.13, 2))
    [before] = board.report()
    board.hear({"worker": "b", "variants": {"ranking:diverse/treatment": sums(2_000, 0.1, 3).told()}})
    board.look()
    [after] = board.report()
    p = [told["comparisons"][0]["always_valid"]["p_value"] for told in (before, after)]
    assert p[1] == p[0] < 0.05


def test_a_restart_goes_on_with_the_looks_before_it_and_does_not_begin_anew() -> None:
    before = board_of(sums(2_000, 0.1, 1), sums(2_000, 0.13, 2))
    [told] = before.report()
    later = {"worker": "b", "variants": {"ranking:diverse/treatment": sums(2_000, 0.1, 3).told()}}
    after = ResultsBoard()
    after.plan = parse(TEXT).plan
    after.hear({"worker": "a", "variants": {"ranking:diverse/control": sums(2_000, 0.1, 1).told()}})
    after.hear({**later, "tests": before.looks()})
    after.look()
    [again] = after.report()
    kept, was = (one["comparisons"][0]["always_valid"] for one in (again, told))
    assert kept["p_value"] == was["p_value"] < 0.05
    assert (kept["low"], kept["high"]) != (None, None)
    forgetful = ResultsBoard()
    forgetful.plan = parse(TEXT).plan
    forgetful.hear({"worker": "a", "variants": {"ranking:diverse/control": sums(2_000, 0.1, 1).told()}})
    forgetful.hear(later)
    forgetful.look()
    assert forgetful.report()[0]["comparisons"][0]["always_valid"]["p_value"] > 0.05


def test_looks_at_another_planned_effect_are_another_test() -> None:
    board = board_of(sums(2_000, 0.1, 1), sums(2_000, 0.1, 2))
    p = board.report()[0]["comparisons"][0]["always_valid"]["p_value"]
    board.hear({"worker": "c", "variants": {}, "tests": {"ranking:diverse/treatment": [0.5, 1e-9, 0.1, 0.2]}})
    board.look()
    assert board.report()[0]["comparisons"][0]["always_valid"]["p_value"] == p


@pytest.mark.parametrize("looks", [[0.02], [-1.0, 0.1, 0.0, 0.0], ["x", 1, 2, 3], 7])
def test_looks_that_are_none_are_counted_and_change_nothing(looks: object) -> None:
    board = ResultsBoard()
    board.hear({"worker": "a", "variants": {}, "tests": {"l:e/x": looks}})
    assert (board.refused, board.looks()) == (1, {})


def test_the_log_loss_of_versions_is_that_of_all_workers_together() -> None:
    board = ResultsBoard()
    for worker, loss in (("a", [30.0, 100.0]), ("b", [10.0, 100.0])):
        board.hear({"worker": worker, "variants": {}, "losses": {"base": loss, "v2": [loss[0] / 2, 100.0]}})
    assert board.losses() == {"base": 0.2, "v2": 0.1}


def test_canaries_and_the_global_holdout_are_reported_without_being_declared() -> None:
    board = ResultsBoard()
    board.plan = parse("holdout: 0.2").plan
    told = {
        name: sums(200, 0.1, 1).told()
        for name in (
            "model:v2/live",
            "model:v2/canary",
            "holdout:global/held_out",
            "holdout:global/open",
            "old:e/a",
            "old:e/b",
        )
    }
    board.hear({"worker": "a", "variants": told})
    board.look()
    assert {(r["layer"], r["variants"][0]["variant"], r["declared"]) for r in board.report()} == {
        ("model", "live", True), ("holdout", "held_out", True), ("old", "a", False),
    }  # fmt: skip
