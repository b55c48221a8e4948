"""Overnight regression: a harmful model is a canary, nobody is awake (docs/scenarios/overnight-regression.md)."""

from __future__ import annotations

import pytest

from tests.scenarios.shop import Shop, spoil

WARM_UP, CANARY = 700, 2_500


IMPORTED = {"rate": 1e-9, "deep_rate": 1e-9, "alpha": 1e-9}
"""A model that was trained elsewhere and hardly moves."""


async def opened(**recipe: float) -> Shop:
    """A shop whose challenger has been in the shadow for a while."""
    shop = Shop()
    await shop.run(WARM_UP // 2)
    await shop.decide("register", version="v2", details=recipe)
    await shop.decide("promote", version="v2")
    await shop.run(WARM_UP // 2)
    return shop


async def test_a_harmful_canary_is_found_taken_back_and_recorded_without_a_person(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shop = await opened(**IMPORTED)
    spoil(shop.worker, "v2")
    promoted = shop.now
    await shop.decide("promote", version="v2", share=0.3)
    known = taken_back = everywhere = 0

    def over() -> bool:
        nonlocal known, taken_back, everywhere
        if (
            not taken_back
        ):  # evidence that the next clicks take back was not enough: it counts from when it stays
            known = (known or shop.now) if shop.harm_known("v2") else 0
        if not taken_back and shop.decisions.registry.frozen:
            taken_back = shop.now
        if not everywhere and shop.replica.registry.frozen:
            everywhere = shop.now
        return bool(everywhere)

    await shop.run(CANARY, until=over)
    assert promoted < known <= taken_back <= everywhere
    assert everywhere - known <= 10_000
    for process in (shop.worker, shop.api):
        registry = process.recommender.registry
        assert (registry.live, registry.canary) == ("base", "")
        assert process.learner.frozen
    [record] = [entry.change for entry in shop.decisions.registry.audit if entry.change.what == "rollback"]
    assert record.who == "guard of worker-1"
    assert {"metric", "live", "canary", "low", "high", "limit", "users"} == record.details.keys()
    assert [signal.name for signal in shop.signals] == ["rollback:v2"]
    with capsys.disabled():
        print(
            f"\novernight regression: detected {(known - promoted) / 1_000:.0f} s after the promotion "
            f"({record.details['users']} users in the canary), mitigated {(everywhere - known) / 1_000:.0f} s later; "
            f"{record.reason}"
        )
    answers = {shop.pipeline.ask(f"u{k}", shop.now, f"after-{k}").model_version for k in range(30)}
    assert answers == {shop.worker.recommender.model_version}
    before = shop.worker.learner.ranker.examples
    await shop.run(50)
    assert shop.worker.learner.ranker.examples == before, "what came in since is not learnt"
    await shop.decide("release")
    await shop.run(300)
    assert shop.worker.learner.ranker.examples > before


async def test_a_canary_that_is_as_good_is_left_alone() -> None:
    shop = await opened()
    await shop.decide("promote", version="v2", share=0.3)
    await shop.run(900)
    assert shop.decisions.registry.canary == "v2"
    assert shop.canary.mine.variants["model:v2/canary"].users > 20
    losses = shop.decisions.report()["model"]["log_loss"]
    assert losses.keys() == {"base", "v2"}
    assert abs(losses["v2"] - losses["base"]) < 0.1 * losses["base"]
