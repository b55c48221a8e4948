"""A new re-ranker behind a flag: planned, ramped by service levels, logged for replay, judged (docs/scenarios/)."""

from __future__ import annotations

import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evaluation.ope.log import log_of
from evaluation.ope.report import evaluate
from online_models.power import sizes
from serving.ramp import Ramp, Step
from serving.types import SurfacePolicy
from serving.wire import exposure
from tests.scenarios.shop import Shop

START = 1_767_600_000_000  # 2026-01-05T08:00Z
RAMP = Ramp(slos={"p99_ms": 50.0, "empty_share": 0.01}, most=0.3)
VISITS = 320
TEXT = """
layers:
  ranking:
    experiments:
      fewer-alike:
        start: 2026-01-05T00:00:00Z
        end: 2026-01-19T00:00:00Z
        traffic: {traffic}
        effect: {effect}
        variants: {{control: {{}}, reranker: {{overrides: {{per_tag_cap: 1, diversity: 0.9}}}}}}
        guardrails: [{{metric: log_loss, worse_by: 0.25}}]
"""


class Trial:
    """The experiment while it grows."""

    def __init__(self, folder: Path, effect: float) -> None:
        self.file, self.effect, self.traffic, self.edits = folder / "e.yml", effect, 0.1, 0
        self._declare(self.traffic)
        surface = SurfacePolicy(seen="none", randomised_share=0.1)
        self.shop = Shop(seed=8, experiments_file=str(self.file), surface=surface, start_ms=START)
        self.exposures: list[dict[str, Any]] = []
        self.took: list[float] = []
        self.steps: list[Step] = []
        self._record()

    def _declare(self, traffic: float) -> None:
        self.file.write_text(TEXT.format(traffic=traffic, effect=self.effect))
        self.edits += 1
        os.utime(self.file, (self.edits, self.edits))

    def _record(self) -> None:
        """Keep what is logged, and how long each answer took."""
        ask = self.shop.pipeline.ask

        def asked(user_id: str, now: int, request_id: str) -> Any:
            began = time.thread_time()
            slate = ask(user_id, now, request_id)
            self.took.append(1_000.0 * (time.thread_time() - began))
            self.exposures.append(exposure(slate, now))
            return slate

        self.shop.pipeline.ask = asked  # type: ignore[method-assign]

    async def stage(self) -> Step:
        """Some minutes at one share, then the next step."""
        self.took.clear()
        await self.shop.run(VISITS)
        measured = {"p99_ms": sorted(self.took)[int(0.99 * len(self.took))], "empty_share": self._empty()}
        step = RAMP.next(self.traffic, measured, self.report()["comparisons"])
        self.steps.append(step)
        if step.action == "raise":
            self.traffic = step.traffic
            self._declare(step.traffic)
            assert self.shop.decisions.file.look()
        return step

    def _empty(self) -> float:
        return sum(not record["items"] for record in self.exposures) / len(self.exposures)

    def report(self) -> dict[str, Any]:
        """The report on the experiment."""
        self.shop.decisions.board.look()
        return next(r for r in self.shop.decisions.report()["experiments"] if r["layer"] == "ranking")


async def test_a_reranker_is_ramped_and_judged_by_what_the_figures_bear(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = sizes(0.2, -0.3, impressions=30, design_effect=2.0)
    trial = Trial(tmp_path, planned.effect)
    shares, inside = [], []
    for _ in range(5):
        shares.append(trial.traffic)
        await trial.stage()
        inside.append(
            {r["user_id"] for r in trial.exposures if "ranking:" in r["context"].get("variant", "")}
        )
        if trial.steps[-1].action != "raise":
            break
    told = trial.report()
    [row] = told["comparisons"]
    users = {v["variant"]: v["users"] for v in told["variants"]}
    assert shares == [0.1, 0.15, 0.2, 0.25, 0.3][: len(shares)]
    assert all(before <= after for before, after in pairwise(inside)), "who is in stays in"
    assert not told["sample_ratio"]["mismatch"]
    always = row["always_valid"]
    if row["verdict"] in ("BETTER", "WORSE"):
        assert always["p_value"] <= 0.05
    else:
        assert row["verdict"] in ("UNDECIDED", "INSUFFICIENT", "NO SUCH EFFECT")
        assert min(users.values()) < planned.any_look, "fewer users than the plan asks for"
    log = log_of([*trial.exposures, *_clicks(trial)])
    replayed = evaluate(log, "greedy")
    assert replayed["verdict"] in ("INSUFFICIENT", "REFUSED")
    with capsys.disabled():
        print(
            f"\nre-ranker A/B: planned {planned.any_look} users a variant for {-planned.effect:+.3f}, had {users}; "
            f"ramp {shares} ({trial.steps[-1].action}: {trial.steps[-1].reason}); {row['verdict']}, difference "
            f"{row['difference']['value']:+.4f}, at any time {always['low']} to {always['high']}; "
            f"counterfactual: {replayed['slates']} slates drawn, greedy {replayed['verdict']}"
        )


def _clicks(trial: Trial) -> list[dict[str, Any]]:
    """Clicks as the log of events holds them: those that are labels by now."""
    return [event for event in trial.shop.told if event["type"] == "click"]
