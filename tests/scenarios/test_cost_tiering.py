"""Cost tiering: the full pipeline for users who are worth it, a cheap one for most others (docs/scenarios/)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from online_models.power import sizes
from serving.experiments import load, parse
from serving.recommender import Recommender
from serving.types import SlateRequest, SurfacePolicy
from tests.scenarios.shop import Shop

START = 1_767_600_000_000  # 2026-01-05T08:00Z
LEARNING, VISITS, ROUNDS = 500, 2_000, 6
TARGET = 0.30
SEGMENTS = ("regulars", "known", "new")
TEXT = """
tiers:
  regulars: {who: {actions: {like: 3}}}
  known:
    who: {actions: {click: 2}}
    overrides: {candidates: 20, without: [popularity, embedding, neighbours, content, fresh], diversity: 0.0}
  new: {}
layers:
  cost:
    experiments:
      tiering:
        start: 2026-01-05T00:00:00Z
        end: 2026-01-19T00:00:00Z
        traffic: 1
        effect: 0.06
        variants: {everything: {overrides: {tiers: false}}, tiered: {}}
        guardrails: [{metric: click_rate, worse_by: 0.2}, {metric: empty_share, worse_by: 0.1}]
"""
Row = tuple[int, float, float, float, float]


class Trial:
    """The shop with every second user in tiers."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "e.yml"
        self.file.write_text(TEXT)
        surface = SurfacePolicy(seen="none")
        self.shop = Shop(seed=9, experiments_file=str(self.file), surface=surface, start_ms=START, items=400)

    def report(self) -> dict[str, dict[str, Any]]:
        """All that is compared, by layer and name."""
        self.shop.decisions.board.look()
        told = self.shop.decisions.report()["experiments"]
        return {f"{one['layer']}:{one['experiment']}": one for one in told}

    def both(self, tiers: str) -> dict[str, list[Row]]:
        """Each user's slate with tiers and without, each first in turn, by segment and side.

        A row is: items, candidates ranked, CPU in us, expected click rate, share of all requests that are this user's.
        """
        parts, now = self.shop.worker, self.shop.now
        sides = {
            side: Recommender(parts.learner, parts.catalog, parts.interner, parts.recommender.surfaces)
            for side in ("off", "on")
        }
        sides["on"].treatments.declare(parse(tiers))
        told: dict[str, list[Row]] = {f"{segment} {side}": [] for segment in SEGMENTS for side in sides}
        for k in range(ROUNDS):
            for user, share in zip(self.shop.world.user_ids, self.shop.world.truth.activity, strict=True):
                record = self.shop.pipeline.record(user)
                request = SlateRequest(request_id=f"b{k}-{user}", user_id=user, n=6)
                segment = sides["on"].treatments.tier(request, record)
                order = list(sides.items())
                for side, recommender in order[:: 1 - 2 * (k % 2)]:  # what comes second finds memory warm
                    begun = time.thread_time()
                    slate = recommender.recommend(request, record, now)
                    us = 1e6 * (time.thread_time() - begun)
                    rate = self.shop.world.expected(user, [item.item_id for item in slate.items], now)
                    ranked = 0 if slate.candidates is None else len(slate.candidates.ids)
                    told[f"{segment} {side}"].append((len(slate.items), ranked, us, rate, share))
        return told


async def test_most_users_are_answered_cheaply_and_the_verdict_says_what_it_costs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = sizes(0.2, -0.3, impressions=30, design_effect=2.0)
    trial = Trial(tmp_path)
    await trial.shop.run(LEARNING + VISITS)
    told = trial.report()
    assert {"cost:tiering", "tiers:known", "tiers:regulars", "tiers:new"} == told.keys()
    [whole] = told["cost:tiering"]["comparisons"]
    assert whole["verdict"] in ("UNDECIDED", "NO SUCH EFFECT", "BETTER"), whole["reasons"]
    assert [guard["state"] for guard in whole["guardrails"]] == ["kept", "kept"]
    assert not told["cost:tiering"]["sample_ratio"]["mismatch"]
    rows = {name: np.array(found) for name, found in trial.both(TEXT.partition("layers:")[0]).items()}
    assert all(len(found) for found in rows.values()), "nobody is in a segment"
    assert all((found[:, 0] == 6).all() for found in rows.values()), "a slate is short"
    assert rows["known on"][:, 1].max() <= 20 < 100 < rows["known off"][:, 1].mean()
    for segment in ("regulars", "new"):
        np.testing.assert_array_equal(
            rows[f"{segment} on"][:, [0, 1, 3]], rows[f"{segment} off"][:, [0, 1, 3]]
        )
    gap = rows["known on"][:, 3] - rows["known off"][:, 3]
    by_user = gap.reshape(ROUNDS, -1).mean(axis=0)
    error = float(by_user.std(ddof=1) / np.sqrt(len(by_user)))
    assert by_user.mean() > -0.05 * rows["known off"][:, 3].mean(), "the cheap tier costs clicks"
    with capsys.disabled():
        _tell(rows, float(by_user.mean()), error, whole, planned.any_look)


def _tell(rows: dict[str, Any], gap: float, error: float, whole: dict[str, Any], planned: int) -> None:
    print("\ncost tiering: of all requests, items ranked, CPU a request (median), expected clicks a slot")
    spent = {"on": 0.0, "off": 0.0}
    for name, found in rows.items():
        us = float(np.median(found[:, 2]))
        share = found[:, 4].sum() / ROUNDS
        spent[name.split()[1]] += us * share
        print(f"  {name:12} {share:5.0%} {found[:, 1].mean():5.0f} {us:6,.0f} us {found[:, 3].mean():.4f}")
    of_known = 1.0 - np.median(rows["known on"][:, 2]) / np.median(rows["known off"][:, 2])
    saved = 1.0 - spent["on"] / spent["off"]
    always = whole["always_valid"]
    print(
        f"  CPU of known users {-of_known:+.0%}: target {-TARGET:+.0%} {_reached(of_known)}; "
        f"of all requests {-saved:+.0%}: {_reached(saved)}\n"
        f"  known users both ways: {gap:+.4f} clicks a slot, "
        f"95 % {gap - 1.96 * error:+.4f} to {gap + 1.96 * error:+.4f}\n"
        f"  experiment: {whole['verdict']}, at any time {always['low']:+.4f} to {always['high']:+.4f} "
        f"({planned} users a variant were planned)"
    )


def _reached(saved: float) -> str:
    return "reached" if saved >= TARGET else "NOT reached"


def test_the_file_of_the_scenario_holds(tmp_path: Path) -> None:
    file = tmp_path / "e.yml"
    file.write_text(TEXT)
    assert list(load(file).plan.tiers) == list(SEGMENTS)
