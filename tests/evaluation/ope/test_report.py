"""A log becomes a report: the truth in its intervals, and a refusal where the log cannot answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from typer.testing import CliRunner

from evaluation.ope.example import Example
from evaluation.ope.log import log_of
from evaluation.ope.report import evaluate
from evaluation.ope.verdict import Verdict, judge
from online_models.bandit import PlackettLuce, draw_slate
from online_models.chance import generator
from streams import cli
from tests.evaluation.ope.world import LOGGED_BY, SLOTS, Kind, chances, kinds, truth

FULL_NAME = f"plackett_luce:{LOGGED_BY.temperature}:{LOGGED_BY.floor}"


def served(
    users: int, *, drawn_by: PlackettLuce = LOGGED_BY, policy: str = FULL_NAME, barred: bool = False
) -> Iterator[dict[str, Any]]:
    """Exposures of the world as they stand in the topic, four a user."""
    world, rng = kinds(), np.random.default_rng(0)
    for user in range(users):
        kind = world[user % len(world)]
        for visit in range(4):
            yield _exposure(kind, f"u{user}", f"r{user}-{visit}", drawn_by, policy, rng, barred=barred)


def _exposure(
    kind: Kind, user: str, request: str, by: PlackettLuce, policy: str, rng: np.random.Generator, *, barred: bool
) -> dict[str, Any]:  # fmt: skip
    slate = draw_slate(by, kind.scores, SLOTS, generator(int(rng.integers(2**40))))
    clicked = rng.random(SLOTS) < chances(kind, np.array([slate.chosen]), 1.0)[0]
    items = [f"i{k}" for k in range(len(kind.scores))]
    return {
        "type": "exposure", "request_id": request, "user_id": user, "flags": ["randomised"], "policy": policy,
        "items": [
            {"item_id": items[k], "position": at, "propensity": p}
            for at, (k, p) in enumerate(zip(slate.chosen, slate.propensities, strict=True))
        ],
        "context": {"choice": {"items": items, "scores": kind.scores.tolist(), "barred": []}},
        "clicks": [items[k] for k, yes in zip(slate.chosen, clicked, strict=True) if yes],
    }  # fmt: skip


def test_what_a_log_says_of_a_softmax_holds_the_truth_in_every_interval() -> None:
    told = evaluate(log_of(served(500)), "softmax:0.5")
    assert (told["verdict"], told["slates"], told["users"]) == (Verdict.OK, 2_000, 500)
    for row in told["estimates"]:
        assert row["low"] < truth(kinds()) < row["high"], row["estimator"]
        assert not row["note"]


def test_without_the_logging_policy_in_full_two_estimators_are_marked_as_approximate() -> None:
    told = evaluate(log_of(served(200, policy="plackett_luce")), "softmax:0.5")
    assert [bool(row["note"]) for row in told["estimates"]] == [True, False, False, True]
    named = evaluate(log_of(served(200, policy="plackett_luce")), "softmax:0.5", logged_by=FULL_NAME)
    assert not any(row["note"] for row in named["estimates"])


def test_a_policy_that_did_not_draw_the_slates_is_not_believed() -> None:
    told = evaluate(log_of(served(200)), "softmax:0.5", logged_by="softmax:9:0.3")
    assert [bool(row["note"]) for row in told["estimates"]] == [True, False, False, True]


def test_few_clicks_are_insufficient_and_shown() -> None:
    told = evaluate(log_of(served(50)), "uniform")
    assert told["verdict"] == Verdict.INSUFFICIENT
    assert all("fewer than 300" in row["reasons"][0] and row["value"] > 0 for row in told["estimates"])


def test_propensities_that_were_not_drawn_from_are_refused_and_not_shown() -> None:
    lines = [
        {**one, "items": [{**slot, "propensity": slot["propensity"] ** 0.5} for slot in one["items"]]}
        for one in served(500, policy="")
    ]
    told = evaluate(log_of(lines), "softmax:0.5")
    assert told["verdict"] == Verdict.REFUSED
    row = told["estimates"][1]
    assert (row["value"], row["low"]) == (None, None)
    assert "mean weight" in row["reasons"][0]


def test_a_target_that_looks_where_nothing_could_be_drawn_is_refused() -> None:
    """Logged by the best item alone, so that uniform has no support."""
    told = evaluate(log_of(served(500, drawn_by=PlackettLuce(1e-3, floor=0.0), policy="greedy")), "uniform")
    assert told["verdict"] == Verdict.REFUSED
    assert "outside what was logged" in told["estimates"][0]["reasons"][0]


def test_without_a_randomised_slate_nothing_is_said() -> None:
    told = evaluate(log_of([{**one, "flags": []} for one in served(3)]), "uniform")
    assert (told["verdict"], told["estimates"]) == (Verdict.REFUSED, [])
    assert told["excluded"] == {"not randomised": 12}


def test_of_no_clicks_where_the_target_looks_the_interval_is_not_believed() -> None:
    judged = judge(clicks=400, carried=0, effective=500.0, outside=0.0, mean_weight=1.0, weight_error=0.1)
    assert judged.verdict is Verdict.INSUFFICIENT
    assert "too narrow" in judged.reasons[0]


def test_where_a_few_slates_carry_all_the_weight_the_estimate_is_insufficient() -> None:
    judged = judge(
        clicks=2_000, carried=2_000, effective=2.1, outside=0.0, mean_weight=0.96, weight_error=0.19
    )
    assert judged.verdict is Verdict.INSUFFICIENT
    assert judged.reasons == ("as much as 2 slates drawn by the target, fewer than 100",)


def test_the_example_log_is_evaluated_to_its_truth() -> None:
    example = Example(users=200)
    told = evaluate(log_of(example.log(visits=5)), "softmax:0.5")
    for row in told["estimates"]:
        assert row["low"] < example.truth("softmax:0.5") < row["high"], row["estimator"]


@pytest.mark.parametrize(("policy", "code"), [("softmax:0.5", 0), ("best", 2), ("softmax:-1", 2)])
def test_the_command_tells_a_report_or_what_policies_there_are(
    tmp_path: Path, policy: str, code: int
) -> None:
    log = tmp_path / "exposures.jsonl"
    log.write_bytes(b"\n".join(orjson.dumps(one) for one in served(40)))
    words = ["evaluate", "ope", "--log", str(log), "--policy", policy]
    done = CliRunner().invoke(cli.app, [*words, "--json"])
    assert done.exit_code == code
    if not code:
        assert json.loads(done.stdout)["policy"] == policy
        assert "pseudo-inverse" in CliRunner().invoke(cli.app, words).stdout
