"""Canaries that nobody's clicks tell of: one that answers slowly, one that fails (docs/models.md)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from online_models.canary_guard import Guard
from tests.scenarios.shop import Shop

WARM_UP, CANARY = 60, 2_500
SHARE = 0.3
SLOW = {"hidden": 80_000}
"""A version whose deep part is thousands of times as wide as the live one's: right, and too slow."""


def corrupt(shop: Shop) -> None:
    """Weights of another shape in all processes, as a file of another build would bring them."""
    for parts in (shop.worker, shop.api):
        parameters = parts.learner.heads["v2"].ordering.parameters
        name = max(parameters, key=lambda one: parameters[one].size)
        parameters[name] = np.zeros((3, 3), dtype=np.float32)


def leave(shop: Shop) -> None:
    """Change nothing."""


@pytest.mark.parametrize(
    ("recipe", "harm", "metric"),
    [(SLOW, leave, "answer times, ms"), ({"hidden": 8}, corrupt, "share of failed answers")],
    ids=["slow", "failing"],
)
async def test_a_canary_that_answers_badly_is_taken_back_within_ten_seconds_of_enough_evidence(
    recipe: dict[str, float], harm: Callable[[Shop], None], metric: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = Shop()
    shop.canary.guard = Guard(slow_ms=0.0)  # by ratio alone, which is the same on a fast machine
    await shop.decide("register", version="v2", details=recipe)
    await shop.decide("promote", version="v2")
    await shop.run(WARM_UP)
    promoted = shop.now
    await shop.decide("promote", version="v2", share=SHARE)
    await shop.decisions.log.catch_up()
    harm(shop)
    known = everywhere = 0

    def over() -> bool:
        nonlocal known, everywhere
        if shop.decisions.registry.frozen:
            known = known or shop.now  # by what had been told: what came since would have taken it back
        else:
            known = (known or shop.now) if shop.harm_known("v2") else 0
        if shop.replica.registry.frozen:
            everywhere = shop.now
        return bool(everywhere)

    await shop.run(CANARY, until=over)
    assert promoted < known <= everywhere
    assert everywhere - known <= 10_000
    [signal] = shop.signals
    assert signal.name == "rollback:v2"
    assert signal.detector.startswith("guardrail: ")
    assert signal.detector.endswith(metric)
    [record] = [entry.change for entry in shop.decisions.registry.audit if entry.change.what == "rollback"]
    assert record.details["metric"].endswith(metric)
    assert shop.decisions.registry.live == "base"
    assert shop.worker.learner.stats["ordered"] > 0
    with capsys.disabled():
        print(
            f"\ncanary guardrails: known {(known - promoted) / 1_000:.0f} s after the promotion, taken back everywhere "
            f"{(everywhere - known) / 1_000:.0f} s later; {record.reason}"
        )
