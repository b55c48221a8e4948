"""What a worker hands to its detectors, and what it publishes of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import orjson

from online_models.counters import IMPRESSION
from online_models.events import Exposure, Slot
from streams.monitor import Monitor, bubble_of, encoded
from tests.serving.world import NOW, World


def exposures(rng: np.random.Generator, items: list[str], count: int) -> Iterator[Exposure]:
    """Slates of four of these items, a second apart."""
    for k in range(count):
        slots = [Slot(item, place) for place, item in enumerate(rng.permutation(items)[:4].tolist())]
        yield Exposure(
            type="exposure",
            event_id=f"x{k}",
            user_id="u",
            ts=NOW + 1_000 * k,
            request_id=f"r{k}",
            items=slots,
        )


def test_slates_that_close_in_on_a_few_items_are_told_once_with_their_runbook() -> None:
    world, rng = World(), np.random.default_rng(0)
    monitor = Monitor(world.parts.watch, bubble_of(world.parts), world.names)
    everything = [f"i{k}" for k in range(12)]
    for among, count in ((everything, 9_000), (everything[:5], 1_500)):
        for exposure in exposures(rng, among, count):
            for slot in exposure.items:
                world.learner.counters.update(world.number(slot.item_id), IMPRESSION, exposure.ts)
            monitor.served([exposure])
        if among is everything:
            assert monitor.take() == []
    [signal] = monitor.take()
    assert signal.runbook == "docs/runbooks/feedback-loop.md"
    assert monitor.counts[signal.name.partition(":")[0], signal.severity] == 1
    told = orjson.loads(encoded(signal))
    assert {"now.coverage", "now.gini", "now.diversity", "now.novelty", "before", "after"} <= told[
        "evidence"
    ].keys()
    assert monitor.bubble is not None
    assert monitor.bubble.latest["coverage"] == 5 / 12


def test_items_without_a_number_and_processes_that_watch_nothing_are_no_trouble() -> None:
    world = World()
    shown = list(exposures(np.random.default_rng(1), ["unknown", "i1", "i2", "i3"], 1))
    Monitor(world.parts.watch).served(shown)
    monitor = Monitor(world.parts.watch, bubble_of(world.parts), world.names)
    monitor.served(shown)
    assert monitor.take() == []
